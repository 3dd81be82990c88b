"""Share of metal in each voxel: from a mask with its staircase smoothed, or from geometry.

A staircase edge has no smooth field: a binary mask costs four to ten times the accuracy
of a smooth one. So the mask of an implant is averaged over neighbouring voxels
with weights 1/4, 1/2, 1/4 along each axis; its volume is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.model.mr import Cylinder

_PARTS = 5
"""Least points per voxel edge at which a cylinder is sampled."""

_PARTS_PER_DIAMETER = 4
_MOST_PARTS = 60


def share_of_mask(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Smoothed share of a binary mask, (k, j, i) float32; its sum is that of the mask."""
    low, high = _bounds(inside)
    share = np.zeros(inside.shape, np.float32)
    block = tuple(
        slice(max(0, a - 1), min(n, b + 1)) for a, b, n in zip(low, high, inside.shape, strict=True)
    )
    part = inside[block].astype(np.float32)
    for axis in range(3):
        ahead = np.roll(part, -1, axis=axis)
        behind = np.roll(part, 1, axis=axis)
        # at the edge of the image the weight stays in the voxel
        last = [slice(None)] * 3
        last[axis] = slice(-1, None)
        first = [slice(None)] * 3
        first[axis] = slice(0, 1)
        ahead[tuple(last)] = part[tuple(last)]
        behind[tuple(first)] = part[tuple(first)]
        part = 0.5 * part + 0.25 * (ahead + behind)
    share[block] = part
    return share


def share_of_cylinders(cylinders: tuple[Cylinder, ...], grid: Grid) -> NDArray[np.float32]:
    """Share of each voxel inside round rods, by points within the voxel; (k, j, i) float32."""
    share = np.zeros(grid.shape_kji, np.float32)
    for cylinder in cylinders:
        offsets = _offsets(cylinder, grid)
        start, stop = _block_of(cylinder, grid)
        if np.any(stop <= start):
            continue
        index = _indices(start, stop)
        hits = np.zeros(index.shape[:3], np.float32)
        for offset in offsets:
            hits += _inside(grid.to_lps(index + offset), cylinder)
        block = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        # rods that touch share a voxel at most once
        share[block] = np.minimum(share[block] + hits / offsets.shape[0], 1.0)
    return share


def _offsets(rod: Cylinder, grid: Grid) -> NDArray[np.float64]:
    """Points within a voxel, as fine as the rod is thin: (n, 3) in voxels."""
    wanted = np.ceil(_PARTS_PER_DIAMETER * grid.spacing_kji_mm / rod.diameter_mm)
    parts = np.clip(wanted, _PARTS, _MOST_PARTS).astype(int)
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in parts]
    return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)


def touched_by_cylinders(cylinders: tuple[Cylinder, ...], grid: Grid) -> NDArray[np.bool_]:
    """Every voxel whose box a rod may touch, (k, j, i) bool: the hard obstacle.

    The rod is grown by half a voxel diagonal, so that no box it touches is missed.
    """
    inside = np.zeros(grid.shape_kji, np.bool_)
    grown_mm = float(np.linalg.norm(grid.spacing_kji_mm)) / 2
    for cylinder in cylinders:
        start, stop = _block_of(cylinder, grid)
        if np.any(stop <= start):
            continue
        index = _indices(start, stop)
        block = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        inside[block] |= _inside(grid.to_lps(index), cylinder, grown_mm=grown_mm)
    return inside


def _inside(points: NDArray[np.float64], rod: Cylinder, grown_mm: float = 0.0) -> NDArray[np.bool_]:
    axis = rod.end_lps_mm - rod.start_lps_mm
    length = float(np.linalg.norm(axis))
    unit = axis / length
    away = points - rod.start_lps_mm
    along = away @ unit
    across = np.linalg.norm(away - along[..., None] * unit, axis=-1)
    return np.asarray(
        (along >= -grown_mm)
        & (along <= length + grown_mm)
        & (across <= rod.diameter_mm / 2 + grown_mm)
    )


def _block_of(rod: Cylinder, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels around a rod, clipped to the grid."""
    ends = grid.to_kji(np.stack([rod.start_lps_mm, rod.end_lps_mm]))
    reach = rod.diameter_mm / 2 / grid.spacing_kji_mm + 2
    shape = np.array(grid.shape_kji)
    start = np.clip(np.floor(ends.min(axis=0) - reach), 0, shape).astype(np.int64)
    stop = np.clip(np.ceil(ends.max(axis=0) + reach) + 1, 0, shape).astype(np.int64)
    return start, stop


def _indices(start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every index of a block, (k, j, i, 3)."""
    axes = [np.arange(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _bounds(inside: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    low, high = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        if hit.size:
            low[axis], high[axis] = int(hit[0]), int(hit[-1]) + 1
    return low, high
