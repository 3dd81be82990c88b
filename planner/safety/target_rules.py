"""Rules about the target region: where in it the tip lies, how the path runs to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.geometry.rays import first_surface, run_inside_mm
from planner.geometry.walk import BodyWalker
from planner.model import Protocol, TargetRegion
from planner.safety.tip_place import place_rules
from planner.safety.way_rules import WayRule, directions_lps

FARTHEST_MM = 300.0
"""No region of the body is deeper."""


RIM = 12
"""Lines at the needle's surface, beside its axis, that are followed to the far wall."""

LOOK_BACK = 4.0
"""Radii between where the axis and where such a line leaves through the far wall, at most: a
wall that meets the needle at 14 degrees. What lies flatter is a wall beside the needle."""


def target_rules(
    protocol: Protocol, region: TargetRegion, radius_mm: float = 0.0
) -> tuple[WayRule, ...]:
    """The rules that need the region, of those that the procedure has; for a needle's radius."""
    rules = [*_tip_rules(protocol, region, radius_mm)]
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


def _tip_rules(protocol: Protocol, region: TargetRegion, radius_mm: float) -> list[WayRule]:
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
                words="from the end of the throw to the far wall of "
                f"{'the target region' if region.wall is None else 'the whole bone'}, ahead of "
                "the needle's whole width",
                unit="mm",
                measure=lambda entries, tips, ends: far_wall_mm(
                    region.whole, entries, ends, radius_mm
                ),
                low=tip.far_wall.value,
                evidence=tip.far_wall.evidence,
            )
        )
    return [*rules, *place_rules(protocol, region)]


def far_wall_mm(mask: Mask, entries: FloatArray, ends: FloatArray, radius_mm: float) -> FloatArray:
    """The shortest way on to a mask's wall, of the axis and of lines at the needle's surface, (n,).

    0 where the axis ends outside, or one of these lines has just left the mask. A line that has
    not met it, or left it much earlier than the axis will, tells a wall beside the needle.
    """
    along = directions_lps(entries, ends)
    of_axis = run_inside_mm(mask, ends, along, FARTHEST_MM)
    ahead = of_axis.copy()
    one, other = across_lps(along)
    for turn in np.arange(RIM) * (2.0 * np.pi / RIM) if radius_mm > 0.0 else ():
        still = np.flatnonzero(ahead > 0.0)
        if not still.size:
            break
        off = radius_mm * (np.cos(turn) * one[still] + np.sin(turn) * other[still])
        beside = run_inside_mm(mask, ends[still] + off, along[still], FARTHEST_MM)
        out = np.flatnonzero(beside == 0.0)
        if out.size:
            behind = first_surface(
                mask, ends[still][out] + off[out], entries[still][out] + off[out]
            )
            beside[out[~(behind.distance_mm <= LOOK_BACK * radius_mm)]] = np.inf
        beside[~(of_axis[still] - beside <= LOOK_BACK * radius_mm)] = np.inf
        ahead[still] = np.minimum(ahead[still], beside)
    return ahead


def across_lps(along: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two directions at right angles to each of n directions, and to each other, (n, 3) each.

    The first is also across the patient's axis that the direction follows least.
    """
    least = np.eye(3)[np.argmin(np.abs(along), axis=1)]
    one = np.cross(along, least)
    one /= np.linalg.norm(one, axis=1)[:, None]
    return one, np.cross(along, one)


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
