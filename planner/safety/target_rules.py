"""Rules about the target region: where in it the tip lies, how the path runs to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.geometry.rays import run_inside_mm
from planner.geometry.walk import BodyWalker
from planner.model import Protocol, TargetRegion
from planner.safety.way_rules import WayRule, directions_lps

FARTHEST_MM = 300.0
"""No region of the body is deeper."""


def target_rules(protocol: Protocol, region: TargetRegion) -> tuple[WayRule, ...]:
    """The rules that need the region, of those that the procedure has."""
    rules = [*_tip_rules(protocol, region)]
    numbers = {} if protocol.corridor is None else protocol.corridor.numbers
    plane = numbers.get("max_plane_angle_deg")
    if plane is not None and region.plane_normal_lps is not None:
        rules.append(
            WayRule(
                constraint="joint_plane",
                words="angle between the needle and the joint's plane",
                unit="degrees",
                measure=lambda entries, tips, ends: plane_angle_deg(region, entries, tips),
                high=plane.value,
                evidence=plane.evidence,
            )
        )
    depth = numbers.get("max_depth_mm")
    if depth is not None:
        walker = BodyWalker(region.mask)
        rules.append(
            WayRule(
                constraint="depth_in_target",
                words="length of the path inside the target region, throw included",
                unit="mm",
                measure=lambda entries, tips, ends: length_inside_mm(
                    walker, region.mask, entries, ends
                ),
                high=depth.value,
                evidence=depth.evidence,
                is_quick=False,
            )
        )
    return tuple(rules)


def _tip_rules(protocol: Protocol, region: TargetRegion) -> list[WayRule]:
    tip = protocol.tip
    rules = [
        WayRule(
            constraint="tip_in_region",
            words="distance from the tip to the border of the target region",
            unit="mm",
            measure=BorderDistance(region.mask),
            low=0.0 if tip is None or tip.border is None else tip.border.value,
            evidence="by definition" if tip is None or tip.border is None else tip.border.evidence,
        )
    ]
    if tip is not None and tip.far_wall is not None:
        rules.append(
            WayRule(
                constraint="far_wall",
                words="from the end of the throw to the far wall of the target region",
                unit="mm",
                measure=lambda entries, tips, ends: run_inside_mm(
                    region.mask, ends, directions_lps(entries, tips), FARTHEST_MM
                ),
                low=tip.far_wall.value,
                evidence=tip.far_wall.evidence,
            )
        )
    return rules


def plane_angle_deg(region: TargetRegion, entries: FloatArray, tips: FloatArray) -> FloatArray:
    """Angle between paths and the region's plane, 0 within it, 90 across; (n,)."""
    assert region.plane_normal_lps is not None
    sine = np.abs(directions_lps(entries, tips) @ region.plane_normal_lps)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, 0.0, 1.0))))


def length_inside_mm(
    walker: BodyWalker, mask: Mask, starts: FloatArray, ends: FloatArray
) -> FloatArray:
    """Millimetres of each path in voxels of a mask, (n,)."""
    grid = mask.grid
    return walker.length_inside_mm(
        grid.to_axes_mm(starts), grid.to_axes_mm(ends), np.arange(len(starts))
    )


class BorderDistance:
    """Distance of tips to the nearest voxel outside a region; below 0 outside it (n,)."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        bounds = mask.bounds_kji()
        assert bounds is not None, "a region is never empty"
        start = np.maximum(bounds[0] - 1, 0)
        stop = np.minimum(bounds[1] + 1, np.array(mask.grid.shape_kji))
        box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        outside = Mask(grid=mask.grid.cropped(start, stop), inside=~mask.inside[box])
        self._outside = None if outside.n_voxels == 0 else MaskIndex(outside)

    def __call__(self, entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        """Distances of the tips; asked once per place, since many paths share a tip."""
        places, which = _runs_of(tips)
        inside = self._mask.contains(places)
        distance = np.full(len(places), -1.0)
        if self._outside is None:
            distance[inside] = np.inf
        elif inside.any():
            found = self._outside.closest_approach(places[inside], places[inside])
            distance[inside] = found.distance_mm
        return np.asarray(distance[which])


def _runs_of(points: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Points without repetitions in a row, and for each of the given its place among them."""
    is_new = np.ones(len(points), dtype=np.bool_)
    is_new[1:] = np.any(points[1:] != points[:-1], axis=1)
    return points[is_new], np.cumsum(is_new) - 1
