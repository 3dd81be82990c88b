"""The body's boundary at full resolution, within a band around a coarse outline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.skin.kernels import (
    AxesTriple,
    ByteArray,
    ImageArray,
    IntArray,
    beside,
    closed,
    compiled,
    dilated,
    eroded,
    flood,
    opened,
)

BAND_INSIDE_MM = 14.0
"""How far inside the coarse outline the boundary is still looked for: a sheet and its gap."""

BAND_OUTSIDE_MM = 4.0
"""How far outside."""

SHEET_MM = 4.5
"""Things on the skin thinner than this are not body."""

GAP_MM = 3.0
"""Gaps narrower than this are body."""

THICK_SLICE_MM = 5.0
"""Air is not followed from one slice to the next when they are farther apart."""

_MARGIN_VOX = 4

_AIR, _DARK, _REACHED, _BAND, _CORE, _VOID = 0, 1, 2, 3, 4, 5
"""States of a voxel. A flood turns 1 into 2. Void was not imaged: neither air nor hold."""

_IS_BODY: ByteArray = np.array([0, 1, 0, 1, 1, 1], dtype=np.uint8)
_SEEK_BODY: ByteArray = np.array([0, 0, 0, 1, 4, 0], dtype=np.uint8)


def refined(
    values: ImageArray,
    level: ImageArray,
    inside: ByteArray,
    padded: ByteArray,
    imaged: NDArray[np.bool_],
    factor: IntArray,
    spacing_kji_mm: FloatArray,
    *,
    smooth: bool,
) -> ByteArray:
    """Body (0/1) on the full grid, shape of ``values``.

    Parameters
    ----------
    values : ndarray, (k, j, i)
        The image at full resolution.
    level : ndarray, coarse
        Intensity at which body begins, locally.
    inside, padded : ndarray of 0/1, coarse
        The body to refine, without holes; and the same with all that was not imaged.
    imaged : ndarray of bool, (k, j, i)
        Where there are measured values.
    factor : ndarray of int, (3,)
        Full-resolution voxels per coarse voxel.
    spacing_kji_mm : ndarray, (3,)
        Of the full grid.
    smooth : bool
        Average each voxel with its neighbours before comparing, for noisy images.
    """
    coarse_mm = spacing_kji_mm * factor
    widest_mm = float(np.sort(coarse_mm)[1])
    core = eroded(padded, max(BAND_INSIDE_MM, 1.01 * widest_mm), coarse_mm) & inside
    reach = dilated(inside, max(BAND_OUTSIDE_MM, 1.01 * widest_mm), coarse_mm)
    box = _box(reach, factor, values.shape)
    full = tuple(slice(a, b) for a, b in box)
    taps = _taps(spacing_kji_mm) if smooth else np.array([0.0, 0.0, 0.0])
    low, high = (np.array(x, dtype=np.int64) for x in zip(*box, strict=True))
    state = _classify(values, level, core + reach, imaged, factor, taps, low, high)
    body = _settled(state, connecting_axes(spacing_kji_mm), spacing_kji_mm)
    out = np.zeros(values.shape, dtype=np.uint8)
    out[full] = body & imaged[full]
    return out


def _settled(state: ByteArray, along: AxesTriple, spacing_kji_mm: FloatArray) -> ByteArray:
    """Body (0/1): outer dark and sheets off, parts without hold off, gaps and holes filled."""
    flood(state, beside(state, _DARK, _AIR, np.array(along)), along)
    body = opened(_IS_BODY[state], SHEET_MM / 2, spacing_kji_mm)
    held = np.where((body == 1) | (state == _CORE), state, np.uint8(_AIR))
    held = np.where(held == _DARK, np.uint8(_BAND), held)
    held = _SEEK_BODY[held]
    flood(held, beside(held, 1, _CORE, np.ones(3, np.bool_)))
    body = closed(np.asarray(held >= 2, dtype=np.uint8), GAP_MM / 2, spacing_kji_mm)
    rest = np.where((state == _AIR) | (state == _VOID), state, np.uint8(_DARK))
    rest[(body == 1) & (rest == _DARK)] = _CORE
    flood(rest, beside(rest, _DARK, _AIR, np.array(along)), along)
    return _IS_BODY[rest]


def _box(reach: ByteArray, factor: IntArray, shape_kji: tuple[int, ...]) -> list[tuple[int, int]]:
    """Full-resolution start and stop per axis of what the band can touch, and a margin."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(reach.any(axis=tuple(a for a in range(3) if a != axis)))
        start = max(int(hit[0] * factor[axis]) - _MARGIN_VOX, 0)
        stop = min(int((hit[-1] + 1) * factor[axis]) + _MARGIN_VOX, shape_kji[axis])
        box.append((start, stop))
    return box


def connecting_axes(spacing_kji_mm: FloatArray) -> AxesTriple:
    """Axes along which air is followed: not across thick slices.

    From one thick slice to the next the chest wall may shift by its own
    thickness, and lung would then touch the air outside.
    """
    thin = spacing_kji_mm <= max(THICK_SLICE_MM, 1.5 * float(np.sort(spacing_kji_mm)[1]))
    return (bool(thin[0]), bool(thin[1]), bool(thin[2]))


def _taps(spacing_kji_mm: FloatArray) -> FloatArray:
    """Weight of each neighbour relative to the centre, per axis; none across thick slices."""
    return np.where(spacing_kji_mm <= 2.0 * float(spacing_kji_mm.min()) + 0.2, 0.5, 0.0)


@compiled
def _classify(
    values: ImageArray,
    level: ImageArray,
    zone: ByteArray,
    imaged: NDArray[np.bool_],
    factor: IntArray,
    taps: FloatArray,
    low: IntArray,
    high: IntArray,
) -> ByteArray:  # pragma: no cover
    """States in the box from ``low`` to ``high``; ``zone``: 0 beyond reach, 1 band, 2 core."""
    nk, nj, ni = values.shape
    out = np.zeros((high[0] - low[0], high[1] - low[1], high[2] - low[2]), dtype=np.uint8)
    is_smooth = taps[0] + taps[1] + taps[2] > 0
    for k in range(low[0], high[0]):
        a = k // factor[0]
        for j in range(low[1], high[1]):
            b = j // factor[1]
            for i in range(low[2], high[2]):
                c = i // factor[2]
                z = zone[a, b, c]
                if not imaged[k, j, i]:
                    out[k - low[0], j - low[1], i - low[2]] = 5
                elif z == 2:
                    out[k - low[0], j - low[1], i - low[2]] = 4
                elif z == 1:
                    v = values[k, j, i]
                    if is_smooth:
                        total, weight = 0.0, 0.0
                        for dk in range(-1, 2):
                            wk = taps[0] if dk else 1.0
                            if wk == 0.0 or k + dk < 0 or k + dk >= nk:
                                continue
                            for dj in range(-1, 2):
                                wj = wk * (taps[1] if dj else 1.0)
                                if wj == 0.0 or j + dj < 0 or j + dj >= nj:
                                    continue
                                for di in range(-1, 2):
                                    w = wj * (taps[2] if di else 1.0)
                                    if w == 0.0 or i + di < 0 or i + di >= ni:
                                        continue
                                    total += w * values[k + dk, j + dj, i + di]
                                    weight += w
                        v = np.float32(total / weight)
                    is_body = v >= level[a, b, c]
                    out[k - low[0], j - low[1], i - low[2]] = 3 if is_body else 1
    return out
