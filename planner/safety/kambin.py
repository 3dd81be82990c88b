"""The Kambin triangle around a path: how wide it is there, and that the root lies above.

Measured in a window: the last 15 mm before the disc, or, into a foramen, the stretch in it. Its
walls are all labelled bone, the canal and every labelled nerve.
"""

from __future__ import annotations

import numpy as np

from planner.anatomy.block import side_sign
from planner.anatomy.kambin import REACH_MM, WINDOW_MM, wall_structures
from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.geometry.rays import first_surface
from planner.model import (
    CorridorRule,
    Explanation,
    Needle,
    RegionAxes,
    StructureSet,
    TargetRegion,
    Verdict,
)
from planner.model.region import Side
from planner.safety.exiting_root import SIDES, roots_of
from planner.safety.way_rules import WayRule, directions_lps


class KambinWindow:
    """Walls and exiting roots about a disc or a foramen, and the window of paths to it.

    Parameters
    ----------
    structures : StructureSet
    region : TargetRegion
        A disc, or the foramen of one side; with its axes.
    """

    def __init__(self, structures: StructureSet, region: TargetRegion) -> None:
        assert region.axes is not None
        self._axes: RegionAxes = region.axes
        self._region = region
        self._is_disc = region.side is None
        walls = [s.mask for s in wall_structures(structures.structures)]
        near = None if not walls else _near(walls, region.mask)
        self._walls = None if near is None else MaskIndex(near)
        roots = roots_of(structures, region)
        self._roots: dict[Side, MaskIndex] = {side: MaskIndex(m) for side, m in roots.items()}

    def width_mm(self, entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        """Diameter of the widest cylinder about each path that is free in the window, (n,).

        NaN where the path meets no target, or its side has no labelled root.
        """
        width = np.full(len(entries), np.nan)
        if self._walls is None:
            return width
        for side in self._roots:
            ok, starts, stops = self._window(side, entries, tips, ends)
            if ok.any():
                width[ok] = 2.0 * self._walls.closest_approach(starts, stops).distance_mm
        return width

    def below_root_mm(self, entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        """Distance to the exiting root, below 0 where it lies below or medial, (n,); NaN as above.

        The triangle is the space under the root: the root lies above it and to the side.
        """
        distance = np.full(len(entries), np.nan)
        side_axis, _, up = self._axes.axes_lps
        for side, root in self._roots.items():
            ok, starts, stops = self._window(side, entries, tips, ends)
            if not ok.any():
                continue
            out = side_axis * (side_sign(side) if self._is_disc else 1.0)
            found = root.closest_approach(starts, stops)
            towards = found.on_mask_lps_mm - found.on_axis_lps_mm
            along = directions_lps(entries[ok], tips[ok])
            towards = towards - np.einsum("ij,ij->i", towards, along)[:, None] * along
            is_above = towards @ (out + up) > 0.0
            distance[ok] = np.where(is_above, found.distance_mm, -found.distance_mm - 1e-6)
        return distance

    def _window(
        self, side: Side, entries: FloatArray, tips: FloatArray, ends: FloatArray
    ) -> tuple[np.ndarray, FloatArray, FloatArray]:
        """Which paths come from a side and meet the target, and start and end of their windows."""
        at_mm = first_surface(self._region.mask, entries, ends).distance_mm
        ok = np.isfinite(at_mm)
        if self._is_disc:
            ok &= side_sign(side) * self._axes.local_mm(entries)[:, 0] > 0.0
        along, at = directions_lps(entries, tips)[ok], at_mm[ok, None]
        reached = entries[ok] + at * along
        if not self._is_disc:
            return ok, reached, ends[ok]
        return ok, entries[ok] + np.maximum(at - WINDOW_MM, 0.0) * along, reached


def _near(masks: list[Mask], target: Mask) -> Mask | None:
    """All voxels of some masks within reach of a target; None where there are none."""
    bounds = target.bounds_kji()
    assert bounds is not None, "a region is never empty"
    grid = target.grid
    reach = np.ceil((REACH_MM + WINDOW_MM) / grid.spacing_kji_mm).astype(int)
    start = np.maximum(bounds[0] - reach, 0)
    stop = np.minimum(bounds[1] + reach, np.array(grid.shape_kji))
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inside = np.logical_or.reduce([mask.inside[box] for mask in masks])
    return Mask(grid=grid.cropped(start, stop), inside=inside) if inside.any() else None


def kambin_rules(
    structures: StructureSet, region: TargetRegion, corridor: CorridorRule, needle: Needle
) -> list[WayRule]:
    """Room for the needle with its gap on both sides, and the root above it; unknown without."""
    window = KambinWindow(structures, region)
    gap = corridor.numbers["gap_mm"]
    return [
        WayRule(
            constraint="kambin",
            words="free width about the path between bone, canal and root, against the needle of "
            f"{needle.outer_diameter_mm:g} mm with {gap.value:g} mm on each side",
            unit="mm",
            measure=window.width_mm,
            low=round(needle.outer_diameter_mm + 2.0 * gap.value, 6),
            evidence=gap.evidence,
            is_quick=False,
            passes_unmeasured=True,
            unmeasured=Verdict.UNKNOWN,
            opens="a needle, or a gap on each side, that takes {least} less would open a path",
        ),
        WayRule(
            constraint="below_root",
            words="how far above the path, or lateral of it, the exiting root lies",
            unit="mm",
            measure=window.below_root_mm,
            low=0.0,
            evidence="by definition: the Kambin triangle lies below the exiting root",
            is_quick=False,
            passes_unmeasured=True,
            unmeasured=Verdict.UNKNOWN,
            opens="",
        ),
    ]


def cannula_rules(corridor: CorridorRule, needle: Needle) -> list[WayRule]:
    """The needle against the widest cannula that the procedure takes; none without a number."""
    widest = corridor.numbers.get("max_cannula_mm")
    if widest is None:
        return []
    return [
        WayRule(
            constraint="cannula",
            words="outer diameter of the needle or cannula",
            unit="mm",
            measure=lambda entries, tips, ends: np.full(len(entries), needle.outer_diameter_mm),
            high=widest.value,
            evidence=widest.evidence,
            opens="a needle {least} thinner would open a path",
        )
    ]


def triangle_too_small(
    region: TargetRegion, corridor: CorridorRule, needle: Needle
) -> Explanation | None:
    """What the triangles measure, where no side takes the needle; None where one may."""
    widths = {
        side: region.measures[key]
        for side in SIDES
        if (key := f"kambin_{side}_diameter_mm") in region.measures
    }
    needed = needle.outer_diameter_mm + 2.0 * corridor.numbers["gap_mm"].value
    if not widths or any(width >= needed for width in widths.values()):
        return None
    told = ", ".join(f"{side} {width:.1f} mm" for side, width in widths.items())
    message = (
        "The largest circle in the Kambin triangle, as seen along the usual way in and less one "
        f"voxel of {region.measures['resolution_mm']:.1f} mm, is {told} wide; "
        f"{needle.name} of {needle.outer_diameter_mm:g} mm with its gap on both sides needs "
        f"{needed:.1f} mm. A thinner needle, or the other side, may help."
    )
    return Explanation(code="kambin_too_narrow", message=message, constraint="kambin")
