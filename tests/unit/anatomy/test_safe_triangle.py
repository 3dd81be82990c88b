"""The safe triangle of a root with a straight upper edge, and the halves of the foramen."""

from __future__ import annotations

import numpy as np
import pytest

from planner.anatomy import find_region
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES
from tests.kambin_shapes import SIDES, structures_of

ROOF_MM = shapes.PITCH_MM / 2 + shapes.PEDICLE_H_MM - shapes.PEDICLE_HEIGHT_MM / 2
"""The lower border of the upper pedicle, over the middle of the disc."""

AREA = "safe_triangle_area_mm2"


def root(grid, side, first_mm, last_mm):
    """Nerve under a straight edge that falls from 5 mm medial to 5 mm lateral of the pedicle."""
    x, a, h = np.moveaxis(shapes.local_of(grid), -1, 0)
    out = SIDES[side] * x - shapes.PEDICLE_X_MM
    edge = np.interp(out, [-5.0, 5.0], [first_mm, last_mm])
    return (np.abs(out) <= 9.0) & (np.abs(a - 21.0) <= 3.0) & (h <= edge) & (h >= edge - 4.0)


def foramen(axes, side, spacing, first_mm=None, last_mm=None, half=""):
    grid = shapes.grid_about(ORIENTED_AXES[axes], spacing)
    masks = shapes.spine_masks(grid)
    if first_mm is not None:
        masks[f"nerve_root_L3_{side}"] = root(grid, side, first_mm, last_mm)
    return find_region(f"foramen:L3-L4:{side}{half}", structures_of(grid, masks))


@pytest.mark.parametrize("axes", ["axial", "oblique", "oblique_flipped"])
@pytest.mark.parametrize(
    ("side", "first_mm", "last_mm"), [("left", 13.0, 3.0), ("right", 9.0, 2.0)]
)
def test_the_area_between_pedicle_and_root(axes, side, first_mm, last_mm):
    found = foramen(axes, side, (1.6, 1.1, 1.3), first_mm, last_mm)
    truth = 10.0 * (ROOF_MM - (first_mm + last_mm) / 2)
    voxel = found.measures["resolution_mm"]
    assert truth - 10.0 * 2.6 * voxel <= found.measures[AREA] <= truth


def test_it_errs_small_at_any_voxel_and_is_smaller_under_a_higher_root():
    for spacing in ((2.4, 1.1, 1.3), (1.0, 1.4, 1.4)):
        low = foramen("oblique_flipped", "left", spacing, 8.0, 2.0).measures[AREA]
        high = foramen("oblique_flipped", "left", spacing, 12.0, 6.0).measures[AREA]
        assert 0.0 <= high < low <= 10.0 * (ROOF_MM - 5.0)


def test_without_a_root_it_is_not_measured():
    assert AREA not in foramen("oblique", "left", (1.6, 1.1, 1.3)).measures


@pytest.mark.parametrize("side", ["left", "right"])
def test_halves_part_the_foramen_at_the_middle_of_its_height(side):
    whole = foramen("oblique_flipped", side, (1.6, 1.1, 1.3))
    upper = foramen("oblique_flipped", side, (1.6, 1.1, 1.3), half=":upper")
    lower = foramen("oblique_flipped", side, (1.6, 1.1, 1.3), half=":lower")
    both = upper.mask.inside | lower.mask.inside
    assert np.array_equal(both, whole.mask.inside)
    assert not (upper.mask.inside & lower.mask.inside).any()
    for region, keeps in ((upper, np.greater_equal), (lower, np.less)):
        places = region.mask.grid.to_lps(np.argwhere(region.mask.inside))
        low, high = region.axes.low_mm[2], region.axes.high_mm[2]
        assert keeps(region.axes.local_mm(places)[:, 2], (low + high) / 2).all()
        assert region.axes.local_mm(region.centre_lps_mm)[0] > 0.0
    rise = (upper.centre_lps_mm - lower.centre_lps_mm) @ shapes.POSE[:, 2]
    assert rise == pytest.approx(whole.measures["foramen_height_mm"] / 2, abs=2.5)
    assert upper.name.endswith(f"{side}:upper")
