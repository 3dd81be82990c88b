"""The same image twice in a folder: kept once when it is the same, refused when it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from planner.errors import SeriesGeometryError
from planner.geometry import FrameId, Grid, ImageWarning
from planner.io import inspect_path, load_volume
from tests.dicom_writer import edit_file, save, texture, write_series
from tests.grids import ORIENTED_AXES


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (6, 5, 4), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip


@pytest.fixture
def twice(tmp_path: Path, grid: Grid) -> Path:
    """A series, and its first half again in a folder of its own."""
    files = write_series(tmp_path / "a", grid)
    (tmp_path / "b").mkdir()
    for file in files[:3]:
        shutil.copy(file, tmp_path / "b" / f"copy_{file.name}")
    return tmp_path


def test_exact_copies_are_used_once_and_told(twice: Path, grid: Grid) -> None:
    volume = load_volume(twice)
    assert np.array_equal(volume.values, load_volume(twice / "a").values)
    assert volume.grid.shape_kji == grid.shape_kji
    (warning,) = [w for w in volume.source.warnings if ImageWarning.code_of(w) == "copies"]
    assert warning.startswith("3 files left out as exact copy, one of each is kept: b/copy_IM")
    assert all("/a/" in file for file in volume.source.files)


def test_copies_left_out_are_listed(twice: Path) -> None:
    found = inspect_path(twice)
    assert [(v.plannable, v.n_files) for v in found.volumes] == [(True, 6)]
    assert [s.file.startswith("b/copy_") for s in found.skipped] == [True] * 3
    assert {s.reason for s in found.skipped} == {"an exact copy of a file in its series"}


def test_a_copy_beside_a_missing_slice_fills_it(tmp_path: Path, grid: Grid) -> None:
    """What one export lacks the other may have: together they are the whole series."""
    files = write_series(tmp_path / "a", grid)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    files[2].unlink()
    volume = load_volume(tmp_path)
    assert np.array_equal(volume.values, load_volume(tmp_path / "b").values)


def test_a_series_without_copies_says_nothing(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    codes = {ImageWarning.code_of(w) for w in load_volume(tmp_path).source.warnings}
    assert "copies" not in codes


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, None], ids=str
)
def test_same_pixel_bytes_under_another_wrapping(twice: Path, syntax: str | None) -> None:
    """Other software writes other files for the same image; deflating is no proof of it."""
    copy = next((twice / "b").iterdir())
    ds = pydicom.dcmread(copy)
    ds.PatientComments = "sent through another node"
    if syntax is not None:
        ds.file_meta.TransferSyntaxUID = syntax
    save(ds, copy)
    if syntax == DeflatedExplicitVRLittleEndian:
        with pytest.raises(SeriesGeometryError, match="duplicate slices: 1 of 7 images"):
            load_volume(twice)
    else:
        assert load_volume(twice).grid.shape_kji[0] == 6


def refused(folder: Path) -> None:
    with pytest.raises(
        SeriesGeometryError,
        match=r"duplicate slices: 1 of 7 images.*equal SOPInstanceUID, but other pixel bytes",
    ):
        load_volume(folder)


def test_one_other_pixel_is_no_copy(twice: Path) -> None:
    def change(ds: pydicom.Dataset) -> None:
        pixels = bytearray(ds.PixelData)
        pixels[7] ^= 1
        ds.PixelData = bytes(pixels)

    edit_file(next((twice / "b").iterdir()), change)
    refused(twice)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("RescaleSlope", "2"),
        ("PixelRepresentation", 1),
        ("PatientPosition", "FFS"),
        ("ImageType", ["DERIVED", "PRIMARY", "M"]),
        ("EchoTime", "30"),
    ],
)
def test_another_header_is_no_copy(twice: Path, keyword: str, value: object) -> None:
    edit_file(next((twice / "b").iterdir()), lambda ds: setattr(ds, keyword, value))
    if keyword in ("EchoTime", "ImageType"):
        assert not any(v.plannable and v.n_files == 6 and not v.part
                       for v in inspect_path(twice).volumes)  # fmt: skip
    else:
        refused(twice)


def test_another_compression_is_no_copy(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path / "a", grid)
    (tmp_path / "b").mkdir()
    ds = pydicom.dcmread(files[0])
    uid = ds.SOPInstanceUID
    ds.compress(RLELossless, generate_instance_uid=False)
    assert ds.SOPInstanceUID == uid
    save(ds, tmp_path / "b" / "rle")
    refused(tmp_path)


def test_another_position_is_no_copy(twice: Path, grid: Grid) -> None:
    def shift(ds: pydicom.Dataset) -> None:
        ds.ImagePositionPatient = [v + 0.01 for v in ds.ImagePositionPatient]

    edit_file(next((twice / "b").iterdir()), shift)
    refused(twice)


@pytest.mark.parametrize("uid", ["", None])
def test_without_an_instance_uid_nothing_is_a_copy(
    tmp_path: Path, grid: Grid, uid: str | None
) -> None:
    def strip(ds: pydicom.Dataset, k: int) -> None:
        ds.SOPInstanceUID = uid

    files = write_series(tmp_path, grid, edit=strip)
    shutil.copy(files[0], tmp_path / "copy")
    with pytest.raises(SeriesGeometryError, match="duplicate slices: 1 of 7 images"):
        load_volume(tmp_path)


def test_copies_of_another_patient_stay_apart(tmp_path: Path, grid: Grid) -> None:
    """Equal UIDs in two patients are an anonymiser's fault; nothing of one enters the other."""
    write_series(tmp_path / "a", grid)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for file in (tmp_path / "b").iterdir():
        edit_file(file, lambda ds: setattr(ds, "PatientID", "another"))
    found = inspect_path(tmp_path).volumes
    assert [(v.plannable, v.n_files) for v in found] == [(True, 6), (True, 6)]
    assert not any("copy" in w for v in found for w in v.warnings)


def test_unequal_images_at_one_place_stay_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    write_series(tmp_path, grid, texture(grid) + 5, prefix="B", skip=(1, 2, 3, 4, 5))
    with pytest.raises(SeriesGeometryError, match="duplicate slices: 1 of 7 images") as caught:
        load_volume(tmp_path)
    assert "SOPInstanceUID" not in str(caught.value)
