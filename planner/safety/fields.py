"""Clearance fields of obstacles, kept between plans and rebuilt only when they must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid, Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.distance import distance_field
from planner.geometry.frames import FloatArray
from planner.geometry.trace import SHARE_MM, TraceTarget
from planner.geometry.walk import BodyWalker
from planner.safety.obstacles import Obstacle

_SPARE_REACH_MM = 30.0
"""Fields cover this much more than one target needs, so that it may be moved."""

Block = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(slots=True)
class _Kept:
    target: TraceTarget
    block: Block
    cap_mm: float


class FieldCache:
    """Traceable distance fields and exact indices of obstacles, by structure name.

    The masks are immutable, so a field stays valid as long as it covers the
    block that is asked for and reaches the cap that is asked for.
    """

    def __init__(self) -> None:
        self._fields: dict[str, _Kept] = {}
        self._indices: dict[str, MaskIndex] = {}
        self._walkers: dict[str, BodyWalker] = {}

    def trace_target(
        self, obstacle: Obstacle, radius_mm: float, centre_lps_mm: FloatArray, reach_mm: float
    ) -> TraceTarget:
        """A field that answers within ``reach_mm`` of a centre, built if need be."""
        mask = obstacle.structure.mask
        needed = reach_block(mask.grid, centre_lps_mm, reach_mm)
        cap_mm = obstacle.clear_mm + radius_mm + SHARE_MM
        kept = self._fields.get(obstacle.name)
        if kept is None or kept.cap_mm < cap_mm or not _covers(kept.block, needed):
            block = reach_block(mask.grid, centre_lps_mm, reach_mm + _SPARE_REACH_MM)
            field = distance_field(mask, cap_mm, within_kji=block)
            kept = _Kept(TraceTarget(mask, field), block, cap_mm)
            self._fields[obstacle.name] = kept
        return kept.target

    def index(self, name: str, mask: Mask) -> MaskIndex:
        """The exact index of a mask."""
        if name not in self._indices:
            self._indices[name] = MaskIndex(mask)
        return self._indices[name]

    def walker(self, name: str, mask: Mask) -> BodyWalker:
        """A walker through a mask."""
        if name not in self._walkers:
            self._walkers[name] = BodyWalker(mask)
        return self._walkers[name]


def reach_block(grid: Grid, centre_lps_mm: FloatArray, reach_mm: float) -> Block:
    """Voxels ``start, stop`` of the box around a ball, clipped to the grid."""
    centre_kji = grid.to_kji(centre_lps_mm)
    half = reach_mm / grid.spacing_kji_mm
    shape = np.array(grid.shape_kji)
    start = np.clip(np.floor(centre_kji - half), 0, shape).astype(np.int64)
    stop = np.clip(np.ceil(centre_kji + half) + 1, 0, shape).astype(np.int64)
    return start, stop


def _covers(block: Block, needed: Block) -> bool:
    return bool(np.all(block[0] <= needed[0]) and np.all(block[1] >= needed[1]))
