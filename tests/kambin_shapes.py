"""A disc and a straight exiting root about it, of known place, with the two vertebrae's shapes."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.model import MaskSource, Structure, StructureRole, StructureSet
from tests import anatomy_shapes as shapes

DISC_HALF_MM = 5.0
DISC_X_MM, DISC_A_MM = 22.0, 14.0
SIDES = {"left": 1.0, "right": -1.0}


def with_root(masks, grid, side, bottom_mm, radius_mm=2.0, near_mm=6.0):
    """A disc label and a straight root in its plane, from the canal's side outwards.

    It crosses the way in at 45 degrees at right angles, ``near_mm`` behind the disc's corner;
    its lower edge lies ``bottom_mm`` above the middle of the disc.
    """
    x, a, h = np.moveaxis(shapes.local_of(grid), -1, 0)
    masks["disc_L3_L4"] = (np.hypot(x / DISC_X_MM, a / DISC_A_MM) <= 1.0) & (
        np.abs(h) <= DISC_HALF_MM
    )
    s = np.sqrt(0.5)
    behind = (SIDES[side] * x + a) * s - (np.hypot(DISC_X_MM, DISC_A_MM) * s + near_mm)
    along = (SIDES[side] * x - a) * s
    root = np.hypot(behind, h - bottom_mm - radius_mm) <= radius_mm
    masks[f"nerve_root_L3_{side}"] = root & (np.abs(along) <= 22.0) & (SIDES[side] * x > 10.0)
    return masks


def structures_of(grid, masks):
    """As the shapes' structures, with the roots as nerves."""
    plain = shapes.structures_of(grid, {n: m for n, m in masks.items() if "nerve" not in n})
    nerves = tuple(
        Structure(
            name=name,
            role=StructureRole.AVOID,
            mask=Mask(grid=grid, inside=inside),
            source=MaskSource(file="shapes", grid=grid),
            structure_class="nerve",
        )
        for name, inside in masks.items()
        if "nerve" in name
    )
    return StructureSet(grid=grid, structures=(*plain.structures, *nerves))
