"""Compiled kernels of the skin: block means, mm balls, flood fills. Arrays are [k, j, i].

Work is done on surfaces, not on volumes: eroding or dilating by a ball marks
the ball around every surface voxel, so the cost follows the skin's area.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba as nb
import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
ImageArray = NDArray[np.float32]
AxesTriple = tuple[bool, bool, bool]

CORNER_VOX = 3
EVERY_AXIS: AxesTriple = (True, True, True)

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def compiled(kernel: _Kernel) -> _Kernel:
    """The function compiled by numba at its first call, then kept on disk."""
    return cast(_Kernel, nb.njit(cache=True, nogil=True)(kernel))


def ball_rows(radius_mm: float, spacing_kji_mm: FloatArray) -> IntArray:
    """The voxel centres within ``radius_mm`` of a voxel's centre, as rows (dk, dj, half length).

    A row holds the offsets ``-half .. +half`` along i.
    """
    reach = np.floor(radius_mm / spacing_kji_mm[:2] + 1e-9).astype(np.int64)
    rows = []
    for dk in range(-int(reach[0]), int(reach[0]) + 1):
        for dj in range(-int(reach[1]), int(reach[1]) + 1):
            left = radius_mm**2 - (dk * spacing_kji_mm[0]) ** 2 - (dj * spacing_kji_mm[1]) ** 2
            if left >= -1e-9:
                half = int(np.sqrt(max(left, 0.0)) / spacing_kji_mm[2] + 1e-9)
                rows.append((dk, dj, half))
    return np.array(rows, dtype=np.int64)


def ball_offsets_kji(radius_mm: float, spacing_kji_mm: FloatArray) -> IntArray:
    """The same as index offsets (n, 3)."""
    return np.concatenate(
        [
            [(dk, dj, di) for di in range(-half, half + 1)]
            for dk, dj, half in ball_rows(radius_mm, spacing_kji_mm)
        ]
    ).astype(np.int64)


def eroded(mask: ByteArray, radius_mm: float, spacing_kji_mm: FloatArray) -> ByteArray:
    """``mask`` (0/1) less every voxel within ``radius_mm`` of a voxel outside it.

    What lies beyond the array counts as inside: a cut face does not erode.
    """
    out = mask.copy()
    _mark_balls(mask, 0, ball_rows(radius_mm, spacing_kji_mm), out)
    return out


def dilated(mask: ByteArray, radius_mm: float, spacing_kji_mm: FloatArray) -> ByteArray:
    """``mask`` (0/1) and every voxel within ``radius_mm`` of it."""
    out = mask.copy()
    _mark_balls(mask, 1, ball_rows(radius_mm, spacing_kji_mm), out)
    return out


def opened(mask: ByteArray, radius_mm: float, spacing_kji_mm: FloatArray) -> ByteArray:
    """``mask`` less what is thinner than about ``2 * radius_mm``."""
    return dilated(eroded(mask, radius_mm, spacing_kji_mm), radius_mm, spacing_kji_mm)


def closed(mask: ByteArray, radius_mm: float, spacing_kji_mm: FloatArray) -> ByteArray:
    """``mask`` and gaps narrower than about ``2 * radius_mm``."""
    return eroded(dilated(mask, radius_mm, spacing_kji_mm), radius_mm, spacing_kji_mm)


def reached_from(free: ByteArray, seeds: IntArray, along: AxesTriple = EVERY_AXIS) -> ByteArray:
    """Voxels of ``free`` (0/1) that connect by faces to the flat indices ``seeds``.

    ``along`` says along which axes two neighbours connect.
    """
    state = free.copy()
    flood(state, seeds, along)
    return np.asarray(state == 2, dtype=np.uint8)


def flood(state: ByteArray, seeds: IntArray, along: AxesTriple = EVERY_AXIS) -> None:
    """Turn 1 into 2, in place, in all that connects to the flat indices ``seeds``."""
    _flood(state, seeds, np.array(along, dtype=np.bool_))


def corner_seeds(shape_kji: tuple[int, ...], axis: int) -> IntArray:
    """Flat indices of the voxels along the four edges of a volume that run along ``axis``.

    A few voxels wide, so that a speck at a corner does not hide the air beside it.
    """
    ranges = []
    for a, n in enumerate(shape_kji):
        at = np.arange(n)
        is_end = (at < CORNER_VOX) | (at >= n - CORNER_VOX)
        ranges.append(at if a == axis else at[is_end])
    index = np.ravel_multi_index(np.meshgrid(*ranges, indexing="ij"), shape_kji)
    return np.unique(index)


@compiled
def block_means(values: ImageArray, factor: IntArray) -> ImageArray:  # pragma: no cover
    """Means over blocks of ``factor`` voxels; the last block of an axis may be smaller."""
    nk, nj, ni = values.shape
    fk, fj, fi = factor[0], factor[1], factor[2]
    mk, mj, mi = (nk + fk - 1) // fk, (nj + fj - 1) // fj, (ni + fi - 1) // fi
    out = np.zeros((mk, mj, mi), dtype=np.float32)
    for a in range(mk):
        k1 = min((a + 1) * fk, nk)
        for b in range(mj):
            j1 = min((b + 1) * fj, nj)
            for k in range(a * fk, k1):
                for j in range(b * fj, j1):
                    for c in range(mi):
                        total = np.float32(0.0)
                        for i in range(c * fi, min((c + 1) * fi, ni)):
                            total += values[k, j, i]
                        out[a, b, c] += total
            area = (k1 - a * fk) * (j1 - b * fj)
            for c in range(mi):
                out[a, b, c] /= area * (min((c + 1) * fi, ni) - c * fi)
    return out


@compiled
def block_fractions(inside: NDArray[np.bool_], factor: IntArray) -> ImageArray:  # pragma: no cover
    """Fraction of each block of ``factor`` voxels that is inside."""
    nk, nj, ni = inside.shape
    fk, fj, fi = factor[0], factor[1], factor[2]
    mk, mj, mi = (nk + fk - 1) // fk, (nj + fj - 1) // fj, (ni + fi - 1) // fi
    out = np.zeros((mk, mj, mi), dtype=np.float32)
    for a in range(mk):
        k1 = min((a + 1) * fk, nk)
        for b in range(mj):
            j1 = min((b + 1) * fj, nj)
            for k in range(a * fk, k1):
                for j in range(b * fj, j1):
                    for c in range(mi):
                        count = 0
                        for i in range(c * fi, min((c + 1) * fi, ni)):
                            count += inside[k, j, i]
                        out[a, b, c] += count
            area = (k1 - a * fk) * (j1 - b * fj)
            for c in range(mi):
                out[a, b, c] /= area * (min((c + 1) * fi, ni) - c * fi)
    return out


@compiled
def _mark_balls(
    mask: ByteArray, value: int, rows: IntArray, out: ByteArray
) -> None:  # pragma: no cover
    """Write ``value`` in the ball around every voxel equal to it that has another neighbour."""
    nk, nj, ni = mask.shape
    for k in range(nk):
        for j in range(nj):
            for i in range(ni):
                if mask[k, j, i] != value:
                    continue
                if not (
                    (i > 0 and mask[k, j, i - 1] != value)
                    or (i < ni - 1 and mask[k, j, i + 1] != value)
                    or (j > 0 and mask[k, j - 1, i] != value)
                    or (j < nj - 1 and mask[k, j + 1, i] != value)
                    or (k > 0 and mask[k - 1, j, i] != value)
                    or (k < nk - 1 and mask[k + 1, j, i] != value)
                ):
                    continue
                for n in range(rows.shape[0]):
                    a, b = k + rows[n, 0], j + rows[n, 1]
                    if 0 <= a < nk and 0 <= b < nj:
                        low, high = max(i - rows[n, 2], 0), min(i + rows[n, 2] + 1, ni)
                        for c in range(low, high):
                            out[a, b, c] = value


@compiled
def prefill_rows(state: ByteArray, from_low: bool, from_high: bool) -> None:  # pragma: no cover
    """Turn the runs of 1 that start at either end of a row along i into 2, in place."""
    nk, nj, ni = state.shape
    for k in range(nk):
        for j in range(nj):
            if from_low:
                i = 0
                while i < ni and state[k, j, i] == 1:
                    state[k, j, i] = 2
                    i += 1
            if from_high:
                i = ni - 1
                while i >= 0 and state[k, j, i] == 1:
                    state[k, j, i] = 2
                    i -= 1


@compiled
def _flood(state: ByteArray, seeds: IntArray, along: NDArray[np.bool_]) -> None:  # pragma: no cover
    """Turn 1 into 2 in everything that connects by faces to a seed, run by run along i."""
    nk, nj, ni = state.shape
    flat = state.ravel()
    stack = np.empty(max(1024, 2 * seeds.size), dtype=np.int64)
    for s in range(seeds.size):
        top = 0
        if flat[seeds[s]] == 1:
            stack[0] = seeds[s]
            top = 1
        while top > 0:
            top -= 1
            at = stack[top]
            if flat[at] != 1:
                continue
            i = at % ni
            row = at - i
            j = (row // ni) % nj
            k = row // (ni * nj)
            low = i
            while along[2] and low > 0 and flat[row + low - 1] == 1:
                low -= 1
            high = i
            while along[2] and high < ni - 1 and flat[row + high + 1] == 1:
                high += 1
            for c in range(low, high + 1):
                flat[row + c] = 2
            for side in range(4):
                if side == 0:
                    if j == 0 or not along[1]:
                        continue
                    other = row - ni
                elif side == 1:
                    if j == nj - 1 or not along[1]:
                        continue
                    other = row + ni
                elif side == 2:
                    if k == 0 or not along[0]:
                        continue
                    other = row - ni * nj
                else:
                    if k == nk - 1 or not along[0]:
                        continue
                    other = row + ni * nj
                in_run = False
                for c in range(low, high + 1):
                    if flat[other + c] == 1:
                        if not in_run:
                            if top == stack.size:
                                bigger = np.empty(2 * stack.size, dtype=np.int64)
                                bigger[:top] = stack
                                stack = bigger
                            stack[top] = other + c
                            top += 1
                        in_run = True
                    else:
                        in_run = False


@compiled
def beside(
    state: ByteArray, wanted: int, neighbour: int, along: NDArray[np.bool_]
) -> IntArray:  # pragma: no cover
    """Flat indices of voxels in state ``wanted`` that touch one in state ``neighbour``."""
    nk, nj, ni = state.shape
    found = np.empty(1024, dtype=np.int64)
    n = 0
    for k in range(nk):
        for j in range(nj):
            for i in range(ni):
                if state[k, j, i] != wanted:
                    continue
                if (
                    (along[2] and i > 0 and state[k, j, i - 1] == neighbour)
                    or (along[2] and i < ni - 1 and state[k, j, i + 1] == neighbour)
                    or (along[1] and j > 0 and state[k, j - 1, i] == neighbour)
                    or (along[1] and j < nj - 1 and state[k, j + 1, i] == neighbour)
                    or (along[0] and k > 0 and state[k - 1, j, i] == neighbour)
                    or (along[0] and k < nk - 1 and state[k + 1, j, i] == neighbour)
                ):
                    if n == found.size:
                        bigger = np.empty(2 * n, dtype=np.int64)
                        bigger[:n] = found
                        found = bigger
                    found[n] = (k * nj + j) * ni + i
                    n += 1
    return found[:n]
