"""Several volumes in enhanced multi-frame objects: what tells them apart, and copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from planner.errors import (
    SeriesChoiceError,
)
from planner.geometry import Grid
from planner.io import load_volume
from tests.dicom_writer import texture
from tests.grids import ORIENTED_AXES
from tests.multiframe_files import (
    MAGNITUDE,
    PHASE,
    in_order,
    merged,
    oblique_flipped_grid,
    parts,
    reason,
    single,
    volumes_of,
    write_object,
)
from tests.multiframe_writer import enhanced_dataset


@pytest.fixture
def grid() -> Grid:
    return oblique_flipped_grid()


def test_echo_kind_and_time_are_split_and_each_has_its_voxels(tmp_path: Path, grid: Grid) -> None:
    contents, labels = [], []
    for echo_ms in (4.5, 7.0):
        for kind, name in ((MAGNITUDE, "magnitude"), (PHASE, "phase")):
            for time in (1, 2, 3):
                echo = {"MREchoSequence": {"EffectiveEchoTime": echo_ms}}
                content = {"FrameContentSequence": {"TemporalPositionIndex": time}}
                contents.append(merged(echo, kind, content))
                labels.append(f"TE={echo_ms:.1f} ms, {name}, time {time} of 3")
    volumes = volumes_of(grid, contents)
    file = write_object(tmp_path, enhanced_dataset(grid, volumes))
    found = parts(file)
    assert list(found) == labels
    for (values, _), select in zip(volumes, found.values(), strict=True):
        volume = load_volume(file, series=select)
        assert np.array_equal(in_order(volume.values, volume.grid, grid), values)
    with pytest.raises(
        SeriesChoiceError, match=r"(?s)12 volumes can be planned on.*TE=4\.5 ms, phase"
    ):
        load_volume(file)


def _diffusion(b_value: float, *directions: float) -> dict[str, Any]:
    content: dict[str, Any] = {"DiffusionBValue": b_value}
    if directions:
        content["DiffusionGradientDirectionSequence"] = {
            "DiffusionGradientOrientation": list(directions)
        }
    return {"MRDiffusionSequence": content}


@pytest.mark.parametrize(
    ("contents", "labels"),
    [
        (
            [_diffusion(0.0), _diffusion(400.0), _diffusion(1000.0)],
            ["b=0", "b=400", "b=1000"],
        ),
        (
            [_diffusion(0.0), _diffusion(800.0, 0, 1, 0), _diffusion(800.0, 1, 0, 0)],
            ["b=0", "b=800, direction 1 of 2", "b=800, direction 2 of 2"],
        ),
        (
            [{"MRModifierSequence": {"InversionTimes": [ti]}} for ti in (150.0, 900.0)],
            ["TI=150 ms", "TI=900 ms"],
        ),
        (
            [{"MRTimingAndRelatedParametersSequence": {"FlipAngle": flip}} for flip in ("5", "20")],
            ["flip=5 deg", "flip=20 deg"],
        ),
        (
            [
                {"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": t}}
                for t in (20.0, 60.0)
            ],
            ["trigger=20 ms", "trigger=60 ms"],
        ),
        (
            [{"FrameContentSequence": {"FrameAcquisitionNumber": n}} for n in (1, 2)],
            ["acquisition 1", "acquisition 2"],
        ),
        (
            [
                {"FrameContentSequence": {"FrameAcquisitionDateTime": f"2024010112000{n}.5"}}
                for n in (1, 2)
            ],
            ["time 1 of 2", "time 2 of 2"],
        ),
    ],
)
def test_what_tells_volumes_apart(
    tmp_path: Path, grid: Grid, contents: list[dict[str, Any]], labels: list[str]
) -> None:
    volumes = volumes_of(grid, contents)
    file = write_object(tmp_path, enhanced_dataset(grid, volumes))
    found = parts(file)
    assert list(found) == labels
    for (values, _), select in zip(volumes, found.values(), strict=True):
        volume = load_volume(file, series=select)
        assert np.array_equal(in_order(volume.values, volume.grid, grid), values)


def test_philips_private_b_values_stand_in_for_missing_ones(tmp_path: Path, grid: Grid) -> None:
    def add(ds: Dataset, creator: str) -> Dataset:
        for frame in ds.PerFrameFunctionalGroupsSequence:
            private = Dataset()
            b_value = 800.0 if frame.MRAveragesSequence[0].NumberOfAverages == 2 else 0.0
            private.private_block(0x2001, creator, create=True).add_new(0x03, "FL", b_value)
            block = frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
            block.add_new(0x0F, "SQ", [private])
            frame[0x2005100F].tag  # noqa: B018
            frame.add_new(0x2005140F, "SQ", [private])
            del frame[0x2005100F], frame[0x20050010]
        return ds

    averages = [{"MRAveragesSequence": {"NumberOfAverages": str(n)}} for n in (1, 2)]
    volumes = volumes_of(grid, averages)
    good = write_object(
        tmp_path / "a", add(enhanced_dataset(grid, volumes), "Philips Imaging DD 001")
    )
    assert list(parts(good)) == ["b=0", "b=800"]
    other = write_object(tmp_path / "b", add(enhanced_dataset(grid, volumes), "SOMEONE ELSE"))
    assert "duplicate slices" in reason(other)


def test_stacks_are_told_apart_by_their_id(tmp_path: Path, grid: Grid) -> None:
    """Two parallel blocks with a gap between them are two volumes, not one with missing slices."""
    moved = Grid.from_axes(
        grid.shape_kji,
        grid.spacing_kji_mm,
        grid.to_lps([12.4, 0, 0]),
        ORIENTED_AXES["oblique_flipped"],
        grid.frame,
    )
    ds = enhanced_dataset(grid, [(texture(grid), {})], is_permuted=False)
    second = enhanced_dataset(moved, [(texture(grid) + 5, {})], is_permuted=False)
    for frame in second.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence[0].StackID = "2"
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    ds.NumberOfFrames, ds.PixelData = 10, ds.PixelData + second.PixelData
    file = write_object(tmp_path, ds)
    assert list(parts(file)) == ["stack 1 of 2", "stack 2 of 2"]
    volume = load_volume(file, series="4:stack 2 of 2")
    assert np.array_equal(in_order(volume.values, volume.grid, moved), texture(grid) + 5)


def test_two_objects_of_one_series_are_two_time_points(tmp_path: Path, grid: Grid) -> None:
    for n in (1, 2):
        content = {"FrameContentSequence": {"TemporalPositionIndex": n}}
        write_object(tmp_path, enhanced_dataset(grid, [(texture(grid) + n, content)]), f"{n}.dcm")
    assert list(parts(tmp_path)) == ["time 1 of 2", "time 2 of 2"]
    volume = load_volume(tmp_path, series="4:2")
    assert np.array_equal(in_order(volume.values, volume.grid, grid), texture(grid) + 2)


def test_an_exact_copy_of_the_object_is_used_once(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    write_object(tmp_path, ds, "a.dcm")
    write_object(tmp_path, ds, "b.dcm")
    volume = load_volume(tmp_path)
    assert [Path(file).name for file in volume.source.files] == ["a.dcm"]
    assert any("1 file left out as exact copy" in w for w in volume.source.warnings)


def test_a_copy_of_the_object_with_one_other_pixel_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    write_object(tmp_path, ds, "a.dcm")
    ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]
    write_object(tmp_path, ds, "b.dcm")
    assert "equal SOPInstanceUID" in reason(tmp_path)


def test_frames_that_nothing_tells_apart_are_no_copies(tmp_path: Path, grid: Grid) -> None:
    text = reason(write_object(tmp_path, enhanced_dataset(grid, volumes_of(grid, [{}, {}]))))
    assert "duplicate slices: 5 of 10" in text
    assert "SOPInstanceUID" not in text
