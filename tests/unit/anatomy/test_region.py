from __future__ import annotations

import numpy as np
import pytest

from planner.errors import GridMismatchError, TargetError
from planner.geometry import Grid, Mask
from planner.model import TargetRegion


@pytest.fixture
def mask(oriented_grid: Grid) -> Mask:
    inside = np.zeros(oriented_grid.shape_kji, np.bool_)
    inside[2:5, 3:8, 1:4] = True
    return Mask(grid=oriented_grid, inside=inside)


def region(mask: Mask, /, **changed) -> TargetRegion:
    values = {
        "name": "anatomy:disc:L4-L5",
        "mask": mask,
        "centre_lps_mm": mask.grid.to_lps((3, 5, 2)),
        "axis_lps": np.array([0.6, -0.8, 0.0]),
        "measures": {"disc_height_mm": 9.5},
    }
    return TargetRegion(**{**values, **changed})


def test_a_region_keeps_copies_that_cannot_be_changed(mask: Mask) -> None:
    centre = mask.grid.to_lps((3, 5, 2))
    made = region(mask, centre_lps_mm=centre)
    centre += 1.0
    np.testing.assert_allclose(made.centre_lps_mm, mask.grid.to_lps((3, 5, 2)))
    with pytest.raises(ValueError, match="read-only"):
        made.centre_lps_mm[0] = 0.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.measures["disc_height_mm"] = 99.0  # type: ignore[index]


def test_what_is_no_region(mask: Mask) -> None:
    empty = Mask(grid=mask.grid, inside=np.zeros(mask.grid.shape_kji, np.bool_))
    with pytest.raises(TargetError, match="no voxel"):
        region(mask, mask=empty)
    with pytest.raises(TargetError, match="centre of the region is outside"):
        region(mask, centre_lps_mm=mask.grid.to_lps((0, 0, 0)))
    with pytest.raises(TargetError, match="centre of the region is outside"):
        region(mask, centre_lps_mm=np.full(3, np.nan))
    with pytest.raises(TargetError, match="length one"):
        region(mask, axis_lps=np.array([1.0, 1.0, 0.0]))
    with pytest.raises(TargetError, match="length one"):
        region(mask, plane_normal_lps=np.full(3, np.nan))
    with pytest.raises(TargetError, match="left or right"):
        region(mask, side="L")


@pytest.mark.parametrize("measures", [{"width": 3.0}, {"width_mm": np.nan}, {"Width_mm": 1.0}])
def test_a_measure_has_a_unit_and_is_finite(mask: Mask, measures: dict[str, float]) -> None:
    with pytest.raises(TargetError, match="finite number and a key with its unit"):
        region(mask, measures=measures)


def test_a_corridor_lies_on_the_same_grid(mask: Mask) -> None:
    other = Grid.from_axes((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    corridor = Mask(grid=other, inside=np.ones(other.shape_kji, np.bool_))
    with pytest.raises(GridMismatchError, match="corridor"):
        region(mask, corridor=corridor)
    assert region(mask, corridor=mask).corridor is mask


@pytest.mark.parametrize("half", [2.5, 3.5])
def test_a_point_on_the_face_between_two_voxels_goes_into_the_one_that_is_inside(half):
    """The middle of an even number of voxels: the nearest even index may be the other one."""
    from planner.anatomy.block import Block, nearest_inside
    from planner.geometry import FrameId, Grid, Mask

    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    grid = Grid(shape_kji=(8, 8, 8), lps_from_kji=matrix, frame=FrameId("1.2", "block"))
    inside = np.zeros(grid.shape_kji, bool)
    inside[int(half + 0.5), 4, 4] = True
    block = Block(grid=grid, whole=grid, start_kji=(0, 0, 0))
    found = nearest_inside(block, inside, grid.to_lps((half, 4.0, 4.0)))
    assert Mask(grid=grid, inside=inside).contains(found)
    assert grid.to_kji(found)[0] > half
