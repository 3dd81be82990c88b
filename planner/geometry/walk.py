"""Walking needle axes voxel by voxel through a mask (after Amanatides and Woo, 1987).

Exact: every voxel that a segment passes through is visited, in order.
Segments are given in the mask grid's millimetre axes (``Grid.to_axes_mm``).
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.volume import Mask


def stays_inside(
    mask: Mask,
    starts_axes_mm: FloatArray,
    ends_axes_mm: FloatArray,
    active: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether each active segment lies wholly in voxels of the mask; shape (m,).

    A segment that leaves the grid does not stay inside.
    """
    length = _length_in(mask, starts_axes_mm, ends_axes_mm, active, stop_outside=True)
    return np.asarray(length >= 0.0)


def stays_outside(
    mask: Mask,
    starts_axes_mm: FloatArray,
    ends_axes_mm: FloatArray,
    active: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether no voxel of the mask is on each active segment; shape (m,).

    Beyond the grid nothing is known; those parts are passed over.
    """
    return np.asarray(_length_in(mask, starts_axes_mm, ends_axes_mm, active) == 0.0)


def length_inside_mm(
    mask: Mask,
    starts_axes_mm: FloatArray,
    ends_axes_mm: FloatArray,
    active: NDArray[np.int64],
) -> FloatArray:
    """Millimetres of each active segment that lie in voxels of the mask; shape (m,)."""
    return _length_in(mask, starts_axes_mm, ends_axes_mm, active)


def _length_in(
    mask: Mask,
    starts_axes_mm: FloatArray,
    ends_axes_mm: FloatArray,
    active: NDArray[np.int64],
    *,
    stop_outside: bool = False,
) -> FloatArray:
    spacing = mask.grid.spacing_kji_mm
    return np.asarray(
        _walk_many(
            mask.inside.view(np.uint8),
            np.ascontiguousarray(starts_axes_mm / spacing),
            np.ascontiguousarray(ends_axes_mm / spacing),
            spacing,
            active,
            stop_outside,
        )
    )


@nb.njit(cache=True, nogil=True)
def _walk_one(inside, start, end, spacing, stop_outside):  # type: ignore[no-untyped-def]
    """Millimetres inside; -1 as soon as the segment is outside when ``stop_outside``."""
    index = np.empty(3, np.int64)
    toward = np.empty(3, np.int64)
    t_next = np.empty(3)
    t_step = np.empty(3)
    squared = 0.0
    for axis in range(3):
        d = end[axis] - start[axis]
        squared += (d * spacing[axis]) ** 2
        index[axis] = math.floor(start[axis] + 0.5)
        if d > 0.0:
            toward[axis] = 1
            t_step[axis] = 1.0 / d
            t_next[axis] = (index[axis] + 0.5 - start[axis]) / d
        elif d < 0.0:
            toward[axis] = -1
            t_step[axis] = -1.0 / d
            t_next[axis] = (index[axis] - 0.5 - start[axis]) / d
        else:
            toward[axis] = 0
            t_step[axis] = np.inf
            t_next[axis] = np.inf
    length = math.sqrt(squared)
    total = 0.0
    t = 0.0
    while True:
        axis = 0
        if t_next[1] < t_next[axis]:
            axis = 1
        if t_next[2] < t_next[axis]:
            axis = 2
        t_leave = min(t_next[axis], 1.0)
        k, j, i = index[0], index[1], index[2]
        on_grid = 0 <= k < inside.shape[0] and 0 <= j < inside.shape[1] and 0 <= i < inside.shape[2]
        if on_grid and inside[k, j, i]:
            total += max(t_leave - t, 0.0) * length
        elif stop_outside:
            return -1.0
        if t_next[axis] >= 1.0:
            return total
        t = t_leave
        index[axis] += toward[axis]
        t_next[axis] += t_step[axis]


@nb.njit(cache=True, nogil=True, parallel=True)
def _walk_many(inside, starts, ends, spacing, active, stop_outside):  # type: ignore[no-untyped-def]
    n = active.shape[0]
    out = np.empty(n)
    for m in nb.prange(n):
        c = active[m]
        out[m] = _walk_one(inside, starts[c], ends[c], spacing, stop_outside)
    return out
