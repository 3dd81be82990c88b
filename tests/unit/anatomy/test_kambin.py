"""The Kambin triangle of shapes of known size: two end plates, a canal, and a root across it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.model import StructureSet
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES
from tests.kambin_shapes import DISC_HALF_MM, structures_of, with_root

FINE_MM = (1.6, 1.1, 1.3)


def measures(axes, side, bottom_mm, spacing=FINE_MM, **more):
    grid = shapes.grid_about(ORIENTED_AXES[axes], spacing)
    masks = with_root(shapes.spine_masks(grid), grid, side, bottom_mm, **more)
    return find_region("disc:L3-L4", structures_of(grid, masks)).measures


@pytest.mark.parametrize("axes", ["axial", "sagittal", "oblique", "oblique_flipped"])
@pytest.mark.parametrize(("side", "bottom_mm"), [("left", 2.0), ("right", -0.5)])
def test_the_largest_circle_between_end_plate_and_root(axes, side, bottom_mm):
    """The disc reaches 5 mm down; the root's edge lies at a known height above its middle."""
    found = measures(axes, side, bottom_mm)
    truth = bottom_mm + DISC_HALF_MM
    told = found[f"kambin_{side}_diameter_mm"]
    assert truth - 4.2 <= told <= truth  # two voxels across, of up to 2.1 mm
    other = "left" if side == "right" else "right"
    assert f"kambin_{other}_diameter_mm" not in found


@pytest.mark.parametrize("spacing", [(2.4, 1.1, 1.3), (1.4, 1.4, 1.4), (3.0, 1.2, 1.2)])
def test_it_errs_small_at_any_voxel(spacing):
    for bottom_mm in (3.0, 0.0):
        found = measures("oblique_flipped", "left", bottom_mm, spacing)
        assert found["kambin_left_diameter_mm"] <= bottom_mm + DISC_HALF_MM


def test_a_root_on_the_lower_end_plate_leaves_nothing():
    assert measures("oblique", "left", -5.0)["kambin_left_diameter_mm"] == 0.0


def test_a_root_far_behind_the_disc_is_not_in_the_window():
    """Nothing of the root within 15 mm before the disc bounds the triangle: nothing is claimed."""
    far = measures("oblique", "left", 0.0, near_mm=30.0)
    assert far.get("kambin_left_diameter_mm", 0.0) == 0.0


def test_without_a_root_it_is_not_measured():
    grid = shapes.grid_about(ORIENTED_AXES["oblique"], FINE_MM)
    masks = with_root(shapes.spine_masks(grid), grid, "left", 0.0)
    structures = structures_of(grid, masks)
    without = StructureSet(
        grid=grid,
        structures=tuple(s for s in structures.structures if s.structure_class != "nerve"),
    )
    assert not [k for k in find_region("disc:L3-L4", without).measures if k.startswith("kambin")]
    renamed = tuple(
        replace(s, structure_class=None) if s.structure_class else s for s in structures.structures
    )
    unknown = StructureSet(grid=grid, structures=renamed)
    assert not [k for k in find_region("disc:L3-L4", unknown).measures if k.startswith("kambin")]


def test_bone_in_the_window_narrows_it():
    grid = shapes.grid_about(ORIENTED_AXES["oblique"], FINE_MM)
    masks = with_root(shapes.spine_masks(grid), grid, "left", 3.0)
    before = find_region("disc:L3-L4", structures_of(grid, masks)).measures
    x, a, h = np.moveaxis(shapes.local_of(grid), -1, 0)
    masks["vertebrae_L4"] = masks["vertebrae_L4"] | (
        (x > 12.0) & (x + a > 26.0) & (x + a < 40.0) & (h < -1.0) & (h > -12.0)
    )
    after = find_region("disc:L3-L4", structures_of(grid, masks)).measures
    key = "kambin_left_diameter_mm"
    assert after[key] <= 4.0 < before[key]
