"""Enhanced multi-frame objects that contradict themselves, are damaged, or hold no volume."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
)

from planner.errors import (
    InputError,
    SeriesChoiceError,
    UnsupportedObjectError,
)
from planner.geometry import Grid
from planner.io import inspect_path, load_volume
from tests.dicom_writer import ds_texts, texture, write_series
from tests.multiframe_files import (
    oblique_flipped_grid,
    reason,
    single,
    write_object,
)
from tests.multiframe_writer import enhanced_dataset, item, use_undefined_lengths


@pytest.fixture
def grid() -> Grid:
    return oblique_flipped_grid()


def _edited(change: Callable[[Dataset], object]) -> Callable[[Grid], Dataset]:
    def make(grid: Grid) -> Dataset:
        ds = single(grid)
        change(ds)
        return ds

    return make


def _drop_positions(ds: Dataset) -> None:
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    ds.ImagePositionPatient = [1, 2, 3]


def _drop_one_position(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def _drop_groups(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence


def _two_positions(ds: Dataset) -> None:
    sequence = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    sequence.append(item({"ImagePositionPatient": [9, 9, 9]}))


def _two_shared(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence.append(item({}))


def _too_many_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2_000_000_000


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda ds: setattr(ds, "NumberOfFrames", 6), "NumberOfFrames is 6, but .* 5 frames"),
        (lambda ds: setattr(ds, "NumberOfFrames", 4), "NumberOfFrames is 4, but .* 5 frames"),
        (lambda ds: setattr(ds, "NumberOfFrames", -3), "NumberOfFrames is -3"),
        (_too_many_frames, "NumberOfFrames is 2000000000: 1 to"),
        (_drop_positions, "5 of 5 frames have no ImagePositionPatient.*top level"),
        (_drop_one_position, "1 of 5 frames have no ImagePositionPatient"),
        (_drop_groups, "5 of 5 frames have no ImagePositionPatient"),
        (_two_positions, r"\(0020,9113\) has 2 items"),
        (_two_shared, "2 shared functional groups"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "pixel data is cut: 478"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData * 2), "there are pixels of 10 frames"),
        (lambda ds: delattr(ds, "PixelData"), "ends before its pixel data"),
        (lambda ds: setattr(ds, "Rows", 60000), "pixel data is cut"),
    ],
)
def test_an_object_that_contradicts_itself_is_refused(
    tmp_path: Path, grid: Grid, change: Callable[[Dataset], object], text: str
) -> None:
    seen = reason(write_object(tmp_path, _edited(change)(grid)))
    assert re.search(text, seen), seen


def test_sequences_nested_too_deep_are_refused(tmp_path: Path, grid: Grid) -> None:
    inner = item({"PixelSpacing": [1, 1]})
    for _ in range(40):
        outer = Dataset()
        outer.PixelMeasuresSequence = [inner]
        inner = outer
    ds = single(grid)
    ds.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [inner]
    assert "nested more than 12 deep" in reason(write_object(tmp_path, ds))


def test_a_position_shared_by_all_frames_is_no_volume(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, shared={"PlanePositionSequence": {"ImagePositionPatient": ["1", "2", "3"]}})
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    assert "all 5 slices lie at one place" in reason(write_object(tmp_path, ds))


def test_more_orientations_than_a_radial_series_has_are_not_split(
    tmp_path: Path, grid: Grid
) -> None:
    thin = Grid.from_axes((120, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), None, grid.frame)
    ds = enhanced_dataset(thin, [(texture(thin), {})], constants="per_frame")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        angle = np.radians(1.5 * n)
        axes = [np.cos(angle), np.sin(angle), 0, 0, 0, 1]
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = ds_texts(np.array(axes))
    assert "the slices are not parallel" in reason(write_object(tmp_path, ds))


@pytest.mark.parametrize(
    ("heights", "text"),
    [
        ([0, 0, 0, 0, 0], "the slices lie side by side in one plane"),
        ([0, 0, 0, 3, 6], "is shifted sideways.*uneven slice gaps: 0.000 to 3.000"),
        ([0, 0, 3, 3, 6], "is shifted sideways.*uneven slice gaps: 0.000 to 3.000"),
    ],
)
def test_slices_side_by_side_are_refused(
    tmp_path: Path, grid: Grid, heights: list[float], text: str
) -> None:
    ds = single(grid)
    axial = [1, 0, 0, 0, 1, 0]
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = axial
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [[0, 5, 11, 2, 8][n], 0, heights[n]]
    seen = reason(write_object(tmp_path, ds))
    assert re.search(text, seen), seen


def test_no_orientation_anywhere_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    assert "ImageOrientationPatient is missing" in reason(write_object(tmp_path, ds))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ({"VolumetricProperties": "SAMPLED"}, "VolumetricProperties SAMPLED"),
        ({"VolumetricProperties": "DISTORTED"}, "VolumetricProperties DISTORTED"),
        ({"VolumeBasedCalculationTechnique": "MAX_IP"}, "Technique MAX_IP"),
        ({"VolumeBasedCalculationTechnique": "CURVED_MPR"}, "Technique CURVED_MPR"),
    ],
)
def test_projections_and_renderings_are_refused(
    tmp_path: Path, grid: Grid, kind: dict[str, str], text: str
) -> None:
    content = {"MRImageFrameTypeSequence": kind}
    ds = enhanced_dataset(grid, [(texture(grid), content)])
    assert f"no plane sections ({'' if 'Vol' in text else 'VolumeBasedCalculation'}{text})" in (
        reason(write_object(tmp_path / "frame", ds))
    )
    ds = single(grid)
    ds.update(item(kind))
    assert text in reason(write_object(tmp_path / "object", ds))


@pytest.mark.parametrize("technique", ["NONE", "MPR"])
def test_plane_sections_are_not_refused(tmp_path: Path, grid: Grid, technique: str) -> None:
    ds = single(grid)
    ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "VOLUME", technique
    assert load_volume(write_object(tmp_path, ds)).values.shape == grid.shape_kji


@pytest.mark.parametrize(("constants", "n_warnings"), [("top", 1), ("shared", 0), ("per_frame", 0)])
def test_geometry_at_the_top_is_told(
    tmp_path: Path, grid: Grid, constants: str, n_warnings: int
) -> None:
    volume = load_volume(write_object(tmp_path, single(grid, constants=constants)))
    told = [w for w in volume.source.warnings if "top level" in w]
    assert len(told) == n_warnings


def test_enhanced_colour_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.3")
    assert "colour" in reason(write_object(tmp_path, ds))


def test_one_classic_slice_as_a_file_is_still_refused(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    with pytest.raises(InputError, match="one DICOM slice is not a volume"):
        load_volume(files[0])


def test_a_series_that_is_not_in_the_file(tmp_path: Path, grid: Grid) -> None:
    file = write_object(tmp_path, single(grid))
    with pytest.raises(SeriesChoiceError, match="no series answers to '9'"):
        load_volume(file, series=9)
    assert load_volume(file, series=4).values.shape == grid.shape_kji


def test_random_damage_to_the_groups_never_ends_the_scan(
    tmp_path: Path, grid: Grid, rng: np.random.Generator
) -> None:
    ds = single(grid, constants="per_frame")
    use_undefined_lengths(ds)
    whole = write_object(tmp_path, ds).read_bytes()
    start, end = whole.index(b"\x00\x52\x30\x92"), whole.index(b"\xe0\x7f\x10\x00")
    for n in range(150):
        data = bytearray(whole)
        for place in rng.integers(start, end, 1 + n % 5):
            data[place] = int(rng.integers(256))
        (tmp_path / "emr.dcm").write_bytes(bytes(data))
        found = inspect_path(tmp_path)
        assert len(found.volumes) + len(found.skipped) >= 1


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_file_cut_within_its_groups_is_refused(tmp_path: Path, grid: Grid, cut: float) -> None:
    file = write_object(tmp_path, single(grid, constants="per_frame"))
    whole = file.read_bytes()
    start, end = whole.index(b"\x00\x52\x30\x92"), whole.index(b"\xe0\x7f\x10\x00")
    file.write_bytes(whole[: int(start + cut * (end - start))])
    with pytest.raises(UnsupportedObjectError, match="functional groups cannot be read"):
        load_volume(file)
