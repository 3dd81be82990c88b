"""The anatomical region that a target point lies in, where the labels carry it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.anatomy import KINDS, find_region
from planner.anatomy.names import LEVELS, Part, below, label_of
from planner.errors import PlannerError
from planner.geometry.frames import FloatArray
from planner.model import Protocol, StructureSet, TargetRegion

NEAR_MM = 60.0
"""Vertebrae farther from the point are not looked at."""

ONE_SIDE_MM = 15.0
"""A point so far beside its vertebra lies in no region of the other side."""


def region_at(
    structures: StructureSet, protocol: Protocol, point_lps_mm: FloatArray
) -> TargetRegion | None:
    """The first region of the procedure's kinds that holds a point, None without one.

    A point in no region may lie in the whole anatomy of some (between a region's border and the
    cortex): of these, the one whose centre is nearest.

    Parameters
    ----------
    structures : StructureSet
    protocol : Protocol
        Its ``targets`` are the kinds that are tried.
    point_lps_mm : (3,)
    """
    around: list[TargetRegion] = []
    for text in _asked(structures, protocol, point_lps_mm):
        try:
            region = find_region(text, structures)
        except PlannerError:
            continue
        if bool(region.mask.contains(point_lps_mm)):
            return region
        if bool(region.whole.contains(point_lps_mm)):
            around.append(region)
    return min(
        around, key=lambda r: float(np.linalg.norm(r.centre_lps_mm - point_lps_mm)), default=None
    )


def region_beside(
    structures: StructureSet, protocol: Protocol, point_lps_mm: FloatArray, within_mm: float
) -> TargetRegion | None:
    """The region of the procedure's kinds with the voxel nearest to a point, not farther off."""
    best, found = within_mm, None
    for text in _asked(structures, protocol, point_lps_mm):
        try:
            region = find_region(text, structures)
        except PlannerError:
            continue
        voxels = region.mask.grid.to_lps(np.argwhere(region.mask.inside))
        away = float(np.sqrt(((voxels - point_lps_mm) ** 2).sum(axis=1)).min())
        if away <= best:
            best, found = away, region
    return found


def _asked(structures: StructureSet, protocol: Protocol, point_lps_mm: FloatArray) -> Iterator[str]:
    """Requests for regions that may hold the point, the likeliest first."""
    near = vertebrae_near(structures, point_lps_mm)
    for name in protocol.targets:
        kind = KINDS.get(name)
        if kind is None:
            continue
        places = [""]
        if kind.levels == 1:
            places = [f":{level}" for level in near]
        elif kind.levels == 2:
            places = [f":{a}-{b}" for a, b in _neighbours(near)]
        sides = _sides(near, point_lps_mm) if kind.needs_side else [""]
        yield from (f"{name}{place}{side}" for place in places for side in sides)


def _neighbours(near: dict[str, FloatArray]) -> list[tuple[str, str]]:
    """Neighbouring levels of which the upper or the lower one is near, the nearest first."""
    pairs = [(level, lower) for level in LEVELS if (lower := below(level)) is not None]
    rank = {level: n for n, level in enumerate(near)}
    pairs = [pair for pair in pairs if pair[0] in near or pair[1] in near]
    return sorted(pairs, key=lambda pair: sum(rank.get(level, len(near)) for level in pair))


def _sides(near: dict[str, FloatArray], point_lps_mm: FloatArray) -> list[str]:
    """Of a point well beside the nearest vertebra its own side only."""
    off_mm = 0.0 if not near else float(point_lps_mm[0] - next(iter(near.values()))[0])
    sides = [":left", ":right"] if off_mm >= 0.0 else [":right", ":left"]
    return sides[:1] if abs(off_mm) > ONE_SIDE_MM else sides


def vertebrae_near(structures: StructureSet, point_lps_mm: FloatArray) -> dict[str, FloatArray]:
    """Middles of the vertebrae that are not far from a point, by level, the nearest first."""
    found = {}
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.level is None or label.part is not Part.VERTEBRA:
            continue
        bounds = structure.mask.bounds_kji()
        if bounds is None:
            continue
        corners = structure.mask.grid.to_lps(np.array([bounds[0], bounds[1] - 1]))
        middle = corners.mean(axis=0)
        if np.linalg.norm(middle - point_lps_mm) <= NEAR_MM:
            found[label.level] = middle
    away = {level: float(np.linalg.norm(found[level] - point_lps_mm)) for level in found}
    return {level: found[level] for level in sorted(found, key=lambda level: away[level])}
