"""A folder as it comes from a disc: index, nested folders, reports, several patients."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import UID, generate_uid

from planner.errors import PlannerError, SeriesGeometryError
from planner.geometry import FrameId, Grid
from planner.io import inspect_path, load_volume
from tests.dicom_writer import SERIES_UID, edit_file, save, slice_dataset, texture, write_series
from tests.grids import ORIENTED_AXES


@pytest.fixture
def grid() -> Grid:
    """Oblique, pixels not square."""
    return Grid.from_axes(
        (6, 5, 4), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip


def test_one_series_in_nested_folders_is_one_volume(tmp_path: Path, grid: Grid) -> None:
    """Some exports begin a new folder after so many files."""
    write_series(tmp_path / "a", grid, skip=(0, 2, 4))
    write_series(tmp_path / "a" / "b" / "more", grid, skip=(1, 3, 5))
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


@pytest.fixture
def disc(tmp_path: Path, grid: Grid) -> Path:
    """A disc with its DICOMDIR, written by pydicom: folders by record, no suffixes."""

    def with_study_values(ds: Dataset, k: int) -> None:
        ds.StudyDate, ds.StudyTime = "20260101", "120000"
        ds.StudyID, ds.AccessionNumber = "1", ""

    source = write_series(tmp_path / "source", grid, edit=with_study_values)
    files = FileSet()
    for file in source:
        files.add(pydicom.dcmread(file))
    files.write(tmp_path / "disc")
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, which warns
    shutil.rmtree(tmp_path / "source")
    assert (tmp_path / "disc" / "DICOMDIR").is_file()
    return tmp_path / "disc"


def test_a_disc_is_read_and_its_index_skipped(disc: Path, grid: Grid) -> None:
    volume = load_volume(disc)
    assert volume.grid.shape_kji == grid.shape_kji
    assert not any(Path(f).suffix for f in volume.source.files)
    assert len(Path(volume.source.files[0]).relative_to(disc).parts) > 2
    (skipped,) = inspect_path(disc).skipped
    assert (skipped.file, skipped.reason) == (
        "DICOMDIR", "a DICOMDIR index: the files themselves are read"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "index.dcm"])
def test_a_dicomdir_as_path_means_its_folder_and_says_so(disc: Path, name: str) -> None:
    index = (disc / "DICOMDIR").rename(disc / name)
    assert np.array_equal(load_volume(index).values, load_volume(disc).values)
    assert any("DICOMDIR index: every file" in w for w in load_volume(index).source.warnings)
    assert not any("DICOMDIR" in w for w in load_volume(disc).source.warnings)
    found = inspect_path(index)
    assert found.n_plannable == 1
    assert "note: PATH is a DICOMDIR index" in found.to_text()


def test_a_series_of_a_disc_is_chosen_through_its_index(disc: Path, grid: Grid) -> None:
    write_series(
        disc / "more", grid,
        edit=lambda ds, k: (setattr(ds, "SeriesInstanceUID", "1.9"),
                            setattr(ds, "SeriesNumber", 9)),
    )  # fmt: skip
    assert load_volume(disc / "DICOMDIR", series=9).source.series_number == 9


def test_a_broken_index_is_no_disc(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    with pytest.raises(PlannerError):
        load_volume(tmp_path / "DICOMDIR")


def other_object(ds: Dataset, uid: str, modality: str, *, has_pixels: bool) -> None:
    """Turns an image into an object of another class, in a series of its own."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(uid)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = modality, "1.9", 99
    if not has_pixels:
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(ds, keyword)


WITHOUT_PIXELS = {
    "1.2.840.10008.5.1.4.1.1.88.22": ("SR", "a structured report, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.67": ("SR", "a structured report, not an image"),
    "1.2.840.10008.5.1.4.1.1.88.59": ("KO", "a structured report, not an image"),
    "1.2.840.10008.5.1.4.1.1.11.1": ("PR", "a presentation state, not an image"),
    "1.2.840.10008.5.1.4.1.1.66": ("RAW", "raw data, not an image"),
    "1.2.840.10008.5.1.4.1.1.104.1": ("DOC", "Encapsulated PDF Storage without an image"),
    "1.2.840.10008.5.1.4.1.1.66.4": ("SEG", "a segmentation (DICOM SEG), not an image: give it"),
    "1.2.840.10008.5.1.4.1.1.66.7": ("SEG", "a segmentation (DICOM SEG), not an image: give it"),
    "1.2.840.10008.5.1.4.1.1.481.3": ("RTSTRUCT", "contours (RTSTRUCT), not an image: give it"),
}
"""Reports, X-ray dose report, key objects, presentation states, raw data, PDF, masks."""


@pytest.mark.parametrize("uid", sorted(WITHOUT_PIXELS))
def test_objects_that_are_no_images_are_skipped_with_a_reason(
    tmp_path: Path, grid: Grid, uid: str
) -> None:
    modality, reason = WITHOUT_PIXELS[uid]
    write_series(tmp_path / "images", grid)
    ds = slice_dataset(grid, 0, texture(grid)[0])
    other_object(ds, uid, modality, has_pixels=False)
    save(ds, tmp_path / "other")
    found = inspect_path(tmp_path)
    assert [v.plannable for v in found.volumes] == [True]
    ((file, text),) = [(s.file, s.reason) for s in found.skipped]
    assert file == "other"
    assert text.startswith(reason)


WITH_PIXELS = {
    "1.2.840.10008.5.1.4.1.1.7": ("OT", "Secondary Capture Image Storage is not a cross-"),
    "1.2.840.10008.5.1.4.1.1.6.1": ("US", "Ultrasound Image Storage is not a cross-sectional"),
    "1.2.840.10008.5.1.4.1.1.4.3": ("MR", "a colour image"),
}


@pytest.mark.parametrize("uid", sorted(WITH_PIXELS))
def test_images_of_another_kind_are_listed_never_plannable(
    tmp_path: Path, grid: Grid, uid: str
) -> None:
    modality, reason = WITH_PIXELS[uid]
    write_series(tmp_path / "images", grid)
    for k in range(6):
        ds = slice_dataset(grid, k, texture(grid)[k])
        other_object(ds, uid, modality, has_pixels=True)
        save(ds, tmp_path / f"other{k}")
    good, other = inspect_path(tmp_path).volumes
    assert (good.plannable, other.plannable) == (True, False)
    assert other.n_files == 6
    assert (other.reason or "").startswith(reason)
    assert load_volume(tmp_path).source.series_number == 4


def test_colour_slices_are_refused(tmp_path: Path, grid: Grid) -> None:
    def colour(ds: Dataset, k: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = ds.PixelData * 3

    write_series(tmp_path, grid, edit=colour)
    (volume,) = inspect_path(tmp_path).volumes
    assert "a colour image (6 of 6 images)" in (volume.reason or "")


def test_a_three_plane_localizer_is_three_volumes(tmp_path: Path) -> None:
    for n, name in enumerate(("axial", "sagittal", "coronal")):
        grid = Grid.from_axes(
            (5, 8, 6), (10.0, 1.5, 1.5), (-30.0, -20.0, 10.0), ORIENTED_AXES[name],
            FrameId("1.2.3.4", "test"),
        )  # fmt: skip
        write_series(
            tmp_path, grid, prefix=f"{n}_",
            edit=lambda ds, k: setattr(ds, "SeriesDescription", "3-plane localizer"),
        )  # fmt: skip
    found = inspect_path(tmp_path).volumes
    assert [(v.part, v.n_files) for v in found] == [(f"orientation {n} of 3", 5) for n in (1, 2, 3)]
    assert all((v.reason or "").startswith("a localizer") for v in found)


def test_a_single_slice_series_is_listed_not_plannable(tmp_path: Path, grid: Grid) -> None:
    write_series(
        tmp_path, grid, skip=(1, 2, 3, 4, 5), edit=lambda ds, k: delattr(ds, "FrameOfReferenceUID")
    )
    found = inspect_path(tmp_path)
    (volume,) = found.volumes
    assert (volume.n_files, volume.plannable) == (1, False)
    assert "only one slice" in (volume.reason or "")
    assert found.to_text().startswith("1 volume, 0 plannable\n")
    for text in ("  1 file\n", "seen: 1 slice;", "FrameOfReferenceUID absent in its one image)"):
        assert text in found.to_text()


@pytest.mark.parametrize("is_mixed", [False, True])
def test_two_patients_are_never_in_one_volume(tmp_path: Path, grid: Grid, is_mixed: bool) -> None:
    """Even where an anonymiser gave both the same study, series and frame UIDs."""

    def other(ds: Dataset, k: int) -> None:
        ds.PatientID = "9999"

    first = (0, 2, 4) if is_mixed else ()
    second = (1, 3, 5) if is_mixed else ()
    write_series(tmp_path / "a", grid, skip=first)
    write_series(tmp_path / "b", grid, texture(grid) + 3, edit=other, skip=second)
    found = inspect_path(tmp_path).volumes
    assert {v.series_instance_uid for v in found} == {SERIES_UID}
    assert [v.n_files for v in found] == ([3, 3] if is_mixed else [6, 6])
    for volume in found:
        loaded = load_volume(tmp_path, series=volume.select)
        assert len({Path(f).parent for f in loaded.source.files}) == 1


@pytest.mark.parametrize("keyword", ["PatientName", "PatientBirthDate"])
def test_patients_without_an_id_are_told_apart_by_name_and_birth_date(
    tmp_path: Path, grid: Grid, keyword: str
) -> None:
    def other(ds: Dataset, k: int) -> None:
        ds.PatientID = ""
        setattr(ds, keyword, "19991231")

    write_series(tmp_path / "a", grid, edit=lambda ds, k: setattr(ds, "PatientID", ""))
    write_series(tmp_path / "b", grid, edit=other)
    assert [v.n_files for v in inspect_path(tmp_path).volumes] == [6, 6]


def test_the_name_does_not_part_files_with_one_patient_id(tmp_path: Path, grid: Grid) -> None:
    """Spelling varies between the nodes a study passed through."""
    files = write_series(tmp_path, grid)
    edit_file(files[0], lambda ds: setattr(ds, "PatientName", "DOE^JOHN^^^"))
    assert [v.n_files for v in inspect_path(tmp_path).volumes] == [6]


def test_a_slice_of_another_patient_leaves_a_gap(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    at = [f for f in files if pydicom.dcmread(f).InstanceNumber == 3]
    edit_file(at[0], lambda ds: setattr(ds, "PatientID", "9999"))
    (rest,) = [v for v in inspect_path(tmp_path).volumes if v.n_files == 5]
    with pytest.raises(SeriesGeometryError, match="1 slice missing"):
        load_volume(tmp_path, series=rest.select)
