"""load_volume: geometry, values, choice of the volume, refusals of paths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError, PlannerError, SeriesChoiceError, UnsupportedObjectError
from planner.geometry import Grid, PatientPosition, Volume
from planner.io import inspect_path, load_volume
from tests.dicom_writer import SECRETS, SERIES_UID, STUDY_UID, texture, write_series

WORLD_TOL_MM = 1e-6
"""DS strings hold 16 characters: at least 10 decimals of a position."""


def assert_same_in_world(volume: Volume, grid: Grid, values: np.ndarray) -> None:
    """Each voxel of ``grid`` is found at its world position, with its value."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape_kji), indexing="ij"), axis=-1)
    found = volume.grid.to_kji(grid.to_lps(index))
    rounded = np.rint(found).astype(int)
    assert np.abs(found - rounded).max() * volume.grid.spacing_kji_mm.max() < WORLD_TOL_MM
    assert np.array_equal(volume.values[tuple(np.moveaxis(rounded, -1, 0))], values)


def test_every_orientation_lands_at_its_world_position(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid)
    volume = load_volume(tmp_path)
    assert_same_in_world(volume, oriented_grid, texture(oriented_grid))
    assert volume.values.dtype == np.uint16
    assert volume.grid.frame.uid == "1.2.3.4"


def test_k_ascends_along_row_cross_column(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid)
    grid = load_volume(tmp_path).grid
    k, j, i = grid.axes_lps_from_kji.T
    assert np.allclose(np.cross(i, j), k, atol=1e-9)


def test_spacing_comes_from_positions_not_from_tags(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid)  # SliceThickness 99, SpacingBetweenSlices 77
    assert np.allclose(load_volume(tmp_path).grid.spacing_kji_mm, [4.0, 0.7, 0.5], atol=1e-9)


def test_result_does_not_depend_on_file_names(tmp_path: Path, oriented_grid: Grid) -> None:
    files = write_series(tmp_path / "one", oriented_grid)
    other = tmp_path / "other" / "deep"
    other.mkdir(parents=True)
    for n, file in enumerate(sorted(files, reverse=True)):
        (other / f"x{n}.dcm").write_bytes(file.read_bytes())
    first, second = load_volume(tmp_path / "one"), load_volume(tmp_path / "other")
    assert np.array_equal(first.grid.lps_from_kji, second.grid.lps_from_kji)
    assert np.array_equal(first.values, second.values)


def test_source_tells_where_it_came_from(tmp_path: Path, oriented_grid: Grid) -> None:
    files = write_series(tmp_path, oriented_grid)
    volume = load_volume(tmp_path)
    source = volume.source
    assert (source.modality, source.series_number, source.part) == ("MR", 4, None)
    assert (source.study_instance_uid, source.series_instance_uid) == (STUDY_UID, SERIES_UID)
    assert source.patient_position is PatientPosition.HFS
    assert sorted(source.files) == sorted(map(str, files))
    assert source.mr["slice_thickness_mm"] == 99.0


def test_files_are_in_slice_order(tmp_path: Path, oriented_grid: Grid) -> None:
    import pydicom

    write_series(tmp_path, oriented_grid)
    volume = load_volume(tmp_path)
    for k, file in enumerate(volume.source.files):
        position = np.array(pydicom.dcmread(file).ImagePositionPatient, float)
        assert np.abs(volume.grid.to_lps([k, 0, 0]) - position).max() < WORLD_TOL_MM


def _two_series(folder: Path, grid: Grid) -> None:
    write_series(folder / "a", grid)

    def second(ds, k):
        ds.SeriesInstanceUID, ds.SeriesNumber = SERIES_UID + ".9", 9
        ds.SeriesDescription = "t1_tse"

    write_series(folder / "b", grid, edit=second)


def test_two_volumes_and_none_asked_lists_both(tmp_path: Path, oriented_grid: Grid) -> None:
    _two_series(tmp_path, oriented_grid)
    with pytest.raises(SeriesChoiceError, match=r"(?s)2 volumes.*'4'.*t2_tse.*'9'.*t1_tse"):
        load_volume(tmp_path)


@pytest.mark.parametrize("series", [9, "9", SERIES_UID + ".9", "#2"])
def test_series_is_chosen_by_number_or_uid(
    tmp_path: Path, oriented_grid: Grid, series: str | int
) -> None:
    _two_series(tmp_path, oriented_grid)
    assert load_volume(tmp_path, series=series).source.description == "t1_tse"


def test_unknown_series_is_refused_with_the_list(tmp_path: Path, oriented_grid: Grid) -> None:
    _two_series(tmp_path, oriented_grid)
    with pytest.raises(SeriesChoiceError, match=r"(?s)no series answers to '77'.*t2_tse"):
        load_volume(tmp_path, series=77)


def test_one_plannable_among_several_is_taken(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path / "a", oriented_grid)

    def single(ds, k):
        ds.SeriesInstanceUID, ds.SeriesNumber = SERIES_UID + ".9", 9

    write_series(tmp_path / "b", oriented_grid, edit=single, skip=tuple(range(1, 9)))
    assert load_volume(tmp_path).source.series_number == 4
    with pytest.raises(PlannerError, match="only one slice"):
        load_volume(tmp_path, series=9)


def test_no_plannable_volume_lists_the_reasons(tmp_path: Path, oriented_grid: Grid) -> None:
    def strip(ds, k):
        ds.SeriesNumber, ds.SeriesInstanceUID = 1 + k % 2, f"{SERIES_UID}.{k % 2}"

    write_series(tmp_path, oriented_grid, edit=strip, skip=(4, 5))
    with pytest.raises(SeriesChoiceError, match="none of 2 volumes is plannable"):
        load_volume(tmp_path)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder at this path"):
        load_volume(tmp_path / "nothing")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder is empty; seen: 0 files"):
        load_volume(tmp_path)


def test_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello " * 50)
    with pytest.raises(InputError, match=r"no DICOM image found; seen: 1 file \(readme.txt"):
        load_volume(tmp_path)


def test_one_slice_is_not_a_volume(tmp_path: Path, oriented_grid: Grid) -> None:
    files = write_series(tmp_path, oriented_grid)
    with pytest.raises(InputError, match=r"one DICOM slice is not a volume.*Give the folder"):
        load_volume(files[0])


def test_text_file_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UnsupportedObjectError, match="this file holds no volume"):
        load_volume(tmp_path / "a.txt")


def test_nothing_about_the_patient_comes_out(tmp_path: Path, oriented_grid: Grid) -> None:
    def name(ds, k):
        ds.PatientID = "ID-4711"

    write_series(tmp_path, oriented_grid, edit=name)
    found = inspect_path(tmp_path)
    text = json.dumps(found.to_json_dict()) + found.to_text() + repr(load_volume(tmp_path).source)
    for secret in (*SECRETS, "ID-4711"):
        assert secret not in text
    assert "t2_tse" in text


def test_simpleitk_reads_the_same_world(tmp_path: Path, oriented_grid: Grid) -> None:
    sitk = pytest.importorskip("SimpleITK")
    write_series(tmp_path, oriented_grid)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    volume = load_volume(tmp_path)
    for kji in [(0, 0, 0), (8, 13, 10), (3, 5, 7)]:
        point = volume.grid.to_lps(kji)
        ijk = image.TransformPhysicalPointToIndex(point.tolist())
        assert np.abs(np.array(image.TransformIndexToPhysicalPoint(ijk)) - point).max() < 1e-6
        assert image.GetPixel(ijk) == volume.values[kji]
