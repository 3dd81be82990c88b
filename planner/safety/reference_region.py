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


def region_at(
    structures: StructureSet, protocol: Protocol, point_lps_mm: FloatArray
) -> TargetRegion | None:
    """The first region of the procedure's kinds that holds a point, None without one.

    Parameters
    ----------
    structures : StructureSet
    protocol : Protocol
        Its ``targets`` are the kinds that are tried.
    point_lps_mm : (3,)
    """
    for text in _asked(structures, protocol, point_lps_mm):
        try:
            region = find_region(text, structures)
        except PlannerError:
            continue
        if bool(region.mask.contains(point_lps_mm)):
            return region
    return None


def _asked(structures: StructureSet, protocol: Protocol, point_lps_mm: FloatArray) -> Iterator[str]:
    levels = _levels_near(structures, point_lps_mm)
    for name in protocol.targets:
        kind = KINDS.get(name)
        if kind is None:
            continue
        places = [""]
        if kind.levels == 1:
            places = [f":{level}" for level in levels]
        elif kind.levels == 2:
            lower = {level: below(level) for level in levels}
            places = [f":{a}-{b}" for a, b in lower.items() if b is not None]
        sides = (":left", ":right") if kind.needs_side else ("",)
        yield from (f"{name}{place}{side}" for place in places for side in sides)


def _levels_near(structures: StructureSet, point_lps_mm: FloatArray) -> list[str]:
    found = set()
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.level is None or label.part is not Part.VERTEBRA:
            continue
        bounds = structure.mask.bounds_kji()
        if bounds is None:
            continue
        corners = structure.mask.grid.to_lps(np.array([bounds[0], bounds[1] - 1]))
        if np.linalg.norm(corners.mean(axis=0) - point_lps_mm) <= NEAR_MM:
            found.add(label.level)
    return [level for level in LEVELS if level in found]
