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
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask, read_only_bytes

_BLOCK = 8
_LEAST_SEGMENTS = 512
_EMPTY, _MIXED, _FULL = 0, 1, 2


class BodyWalker:
    """A mask that many segments are walked through; blocks that are all one are jumped over.

    Parameters
    ----------
    mask : Mask
    """

    def __init__(self, mask: Mask) -> None:
        self.grid = mask.grid
        self._inside = read_only_bytes(mask.inside)
        self._spacing = mask.grid.spacing_kji_mm
        self._blocks = _block_states(self._inside)

    def stays_inside(
        self,
        starts_axes_mm: FloatArray,
        ends_axes_mm: FloatArray,
        active: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Whether each active segment lies wholly in voxels of the mask; shape (m,).

        A segment that leaves the grid does not stay inside.
        """
        return np.asarray(self._walk(starts_axes_mm, ends_axes_mm, active, _FULL) >= 0.0)

    def stays_outside(
        self,
        starts_axes_mm: FloatArray,
        ends_axes_mm: FloatArray,
        active: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Whether no voxel of the mask is on each active segment; shape (m,).

        Beyond the grid nothing is known; those parts are passed over.
        """
        return np.asarray(self._walk(starts_axes_mm, ends_axes_mm, active, _EMPTY) >= 0.0)

    def length_inside_mm(
        self,
        starts_axes_mm: FloatArray,
        ends_axes_mm: FloatArray,
        active: NDArray[np.int64],
    ) -> FloatArray:
        """Millimetres of each active segment that lie in voxels of the mask; shape (m,)."""
        return self._walk(starts_axes_mm, ends_axes_mm, active, _MIXED)

    def _walk(
        self,
        starts_axes_mm: FloatArray,
        ends_axes_mm: FloatArray,
        active: NDArray[np.int64],
        must_be: int,
    ) -> FloatArray:
        out = np.empty(active.shape[0])
        starts = np.ascontiguousarray(starts_axes_mm)
        ends = np.ascontiguousarray(ends_axes_mm)

        def walk(low: int, high: int) -> None:
            _walk_of(
                self._inside,
                self._blocks,
                starts,
                ends,
                self._spacing,
                active[low:high],
                must_be,
                out[low:high],
            )

        in_chunks(walk, active.shape[0], least=_LEAST_SEGMENTS)
        return out


@nb.njit(cache=True, nogil=True)
def _block_states(inside):  # type: ignore[no-untyped-def]
    """Whether blocks of 8 x 8 x 8 voxels are empty, mixed or full."""
    nk, nj, ni = inside.shape
    blocks = np.empty(
        ((nk + _BLOCK - 1) // _BLOCK, (nj + _BLOCK - 1) // _BLOCK, (ni + _BLOCK - 1) // _BLOCK),
        np.uint8,
    )
    for bk in range(blocks.shape[0]):
        for bj in range(blocks.shape[1]):
            for bi in range(blocks.shape[2]):
                n_set, n_all = 0, 0
                for k in range(bk * _BLOCK, min((bk + 1) * _BLOCK, nk)):
                    for j in range(bj * _BLOCK, min((bj + 1) * _BLOCK, nj)):
                        for i in range(bi * _BLOCK, min((bi + 1) * _BLOCK, ni)):
                            n_set += inside[k, j, i] != 0
                            n_all += 1
                state = _MIXED
                if n_set == 0:
                    state = _EMPTY
                elif n_set == n_all:
                    state = _FULL
                blocks[bk, bj, bi] = state
    return blocks


@nb.njit(cache=True, nogil=True, inline="always")
def _face_ahead(at, direction, inverse, index, n, block):  # type: ignore[no-untyped-def]
    """Parameter t at which the segment leaves the voxel (or, with ``block``, its block)."""
    if direction == 0.0:
        return np.inf
    low, high = index, index
    if block:
        low = (index // _BLOCK) * _BLOCK
        high = min(low + _BLOCK, n) - 1
    face = high + 0.5 if direction > 0.0 else low - 0.5
    return (face - at) * inverse


@nb.njit(cache=True, nogil=True, inline="always")
def _index_at(at, direction, t, index):  # type: ignore[no-untyped-def]
    """Voxel index at t; never behind ``index`` on the way."""
    there = math.floor(at + t * direction + 0.5)
    return max(there, index) if direction > 0.0 else min(there, index)


@nb.njit(cache=True, nogil=True)
def _walk_one(  # type: ignore[no-untyped-def]
    inside, blocks, k, j, i, dk, dj, di, length, must_be
):
    """Millimetres inside; -1 as soon as a voxel is not what it must be."""
    nk, nj, ni = inside.shape
    vk, vj, vi = math.floor(k + 0.5), math.floor(j + 0.5), math.floor(i + 0.5)
    inverse_k = 1.0 / dk if dk != 0.0 else 0.0
    inverse_j = 1.0 / dj if dj != 0.0 else 0.0
    inverse_i = 1.0 / di if di != 0.0 else 0.0
    total, t = 0.0, 0.0
    while True:
        on_grid = 0 <= vk < nk and 0 <= vj < nj and 0 <= vi < ni
        jump = False
        is_set = False
        if on_grid:
            state = blocks[vk // _BLOCK, vj // _BLOCK, vi // _BLOCK]
            jump = state != _MIXED
            is_set = inside[vk, vj, vi] != 0
        elif must_be != _FULL and (
            (vk < 0 and dk <= 0.0)
            or (vk >= nk and dk >= 0.0)
            or (vj < 0 and dj <= 0.0)
            or (vj >= nj and dj >= 0.0)
            or (vi < 0 and di <= 0.0)
            or (vi >= ni and di >= 0.0)
        ):
            return total
        if (must_be == _FULL and not is_set) or (must_be == _EMPTY and is_set):
            return -1.0
        tk = _face_ahead(k, dk, inverse_k, vk, nk, jump)
        tj = _face_ahead(j, dj, inverse_j, vj, nj, jump)
        ti = _face_ahead(i, di, inverse_i, vi, ni, jump)
        t_leave = min(tk, tj, ti)
        if is_set:
            total += max(min(t_leave, 1.0) - t, 0.0) * length
        if t_leave >= 1.0:
            return total
        t = max(t, t_leave)
        if jump:
            wk, wj, wi = (
                _index_at(k, dk, t_leave, vk),
                _index_at(j, dj, t_leave, vj),
                _index_at(i, di, t_leave, vi),
            )
        else:
            wk, wj, wi = vk, vj, vi
        # The axis whose face is reached steps over it, whatever rounding says.
        if t_leave == tk:
            wk = _next_index(vk, dk, nk, jump)
        elif t_leave == tj:
            wj = _next_index(vj, dj, nj, jump)
        else:
            wi = _next_index(vi, di, ni, jump)
        vk, vj, vi = wk, wj, wi


@nb.njit(cache=True, nogil=True, inline="always")
def _next_index(index, direction, n, block):  # type: ignore[no-untyped-def]
    low, high = index, index
    if block:
        low = (index // _BLOCK) * _BLOCK
        high = min(low + _BLOCK, n) - 1
    return high + 1 if direction > 0.0 else low - 1


@nb.njit(cache=True, nogil=True)
def _walk_of(  # type: ignore[no-untyped-def]
    inside, blocks, starts, ends, spacing, active, must_be, out
):
    for m in range(active.shape[0]):
        c = active[m]
        k, j, i = (
            starts[c, 0] / spacing[0],
            starts[c, 1] / spacing[1],
            starts[c, 2] / spacing[2],
        )
        dk = ends[c, 0] / spacing[0] - k
        dj = ends[c, 1] / spacing[1] - j
        di = ends[c, 2] / spacing[2] - i
        length = math.sqrt((dk * spacing[0]) ** 2 + (dj * spacing[1]) ** 2 + (di * spacing[2]) ** 2)
        out[m] = _walk_one(inside, blocks, k, j, i, dk, dj, di, length, must_be)
