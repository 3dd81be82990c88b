"""Bone from transverse process to transverse process, merged labels, levels left out."""

from __future__ import annotations

import numpy as np
import pytest

from planner.anatomy.atlas import Atlas
from planner.anatomy.fusion import MASS_MM3, bridge_of, level_warnings, refuse_bridge
from planner.anatomy.vertebra import vertebra_of
from planner.errors import AnatomyError
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES

SIDES = {"left": 1.0, "right": -1.0}


def spine(axes="oblique_flipped"):
    grid = shapes.grid_about(ORIENTED_AXES[axes])
    return grid, shapes.spine_masks(grid)


def atlas_of(grid, masks):
    return Atlas.of(shapes.structures_of(grid, masks))


def bar(grid, side, low_mm=-22.0, high_mm=22.0):
    """Bone 29 to 40 mm off the middle, behind the bodies, along the disc."""
    x, a, h = np.moveaxis(shapes.local_of(grid), -1, 0)
    out = SIDES[side] * x
    return (
        (out >= 29.0) & (out <= 40.0) & (a >= 18.0) & (a <= 28.0) & (h >= low_mm) & (h <= high_mm)
    )


@pytest.mark.parametrize("axes", sorted(ORIENTED_AXES))
def test_a_free_spine_has_no_bridge(axes):
    grid, masks = spine(axes)
    atlas = atlas_of(grid, masks)
    for level in ("L3", "L4"):
        for side in ("left", "right"):
            assert bridge_of(atlas, vertebra_of(atlas, level), side) <= MASS_MM3 / 3
            refuse_bridge(atlas, vertebra_of(atlas, level), side)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("label", ["L3", "L4", "both"])
def test_a_bridge_is_refused_whichever_label_it_is_in(side, label):
    grid, masks = spine()
    if label == "both":
        masks["vertebrae_L3"] |= bar(grid, side, low_mm=0.0)
        masks["vertebrae_L4"] |= bar(grid, side, high_mm=0.0)
    else:
        masks[f"vertebrae_{label}"] |= bar(grid, side)
    atlas = atlas_of(grid, masks)
    for level in ("L3", "L4"):
        with pytest.raises(AnatomyError, match=f"bone bridges the {side} side of {level}"):
            refuse_bridge(atlas, vertebra_of(atlas, level), side)
        refuse_bridge(atlas, vertebra_of(atlas, level), "left" if side == "right" else "right")


def test_transverse_processes_alone_are_no_bridge():
    grid, masks = spine()
    for level, middle in (("L3", 18.5), ("L4", -18.5)):
        masks[f"vertebrae_{level}"] |= bar(grid, "left", middle - 3.0, middle + 9.0)
    atlas = atlas_of(grid, masks)
    refuse_bridge(atlas, vertebra_of(atlas, "L4"), "left")


class TestLevels:
    def column(self, heights_mm, levels=("L2", "L3", "L4")):
        """Vertebrae of the shapes at given middles."""
        grid = shapes.grid_about(ORIENTED_AXES["oblique"], (2.4, 1.4, 1.4), edge_mm=150.0)
        local = shapes.local_of(grid)
        masks = {"spinal_canal": shapes.canal(local)}
        for level, middle in zip(levels, heights_mm, strict=True):
            parts = shapes.vertebra_parts(local, middle)
            masks[f"vertebrae_{level}"] = parts["body"] | parts["pedicle"] | parts["arch"]
        return atlas_of(grid, masks)

    def test_even_spacing_says_nothing(self):
        atlas = self.column((37.0, 0.0, -37.0))
        assert level_warnings(atlas, vertebra_of(atlas, "L3")) == []

    def test_a_level_that_is_too_near_is_told(self):
        atlas = self.column((48.0, 0.0, -29.0))
        told = level_warnings(atlas, vertebra_of(atlas, "L3"))
        assert len(told) == 1 and "left out, merged or fused" in told[0]

    def test_a_label_of_two_vertebrae_is_told(self, monkeypatch):
        grid = shapes.grid_about(ORIENTED_AXES["oblique"], (2.4, 1.4, 1.4), edge_mm=150.0)
        local = shapes.local_of(grid)
        masks = {"spinal_canal": shapes.canal(local)}
        parts = shapes.vertebra_parts(local, 34.0)
        masks["vertebrae_L2"] = parts["body"] | parts["pedicle"] | parts["arch"]
        monkeypatch.setattr(shapes, "BODY_HALF_MM", (23.0, 15.0, 24.0))
        parts = shapes.vertebra_parts(local, -14.0)
        masks["vertebrae_L3"] = parts["body"] | parts["pedicle"] | parts["arch"]
        atlas = atlas_of(grid, masks)
        told = level_warnings(atlas, vertebra_of(atlas, "L3"))
        assert len(told) == 1 and "times as high as L2" in told[0]
