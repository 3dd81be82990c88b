"""Brute force over all voxel boxes: the independent truth that decisions are held against.

Shares no code with the planner: the squared distance from a segment to a box is
minimised by ternary search, which needs only that it is convex along the segment.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from planner.geometry import Mask

N_THIRDS = 90
"""The search ends within 1e-15 of the segment's length."""

PAIRS_AT_ONCE = 40_000
"""Segments and boxes searched together: numpy's own time then no longer counts."""


def axis_distances_mm(mask: Mask, starts_lps_mm: np.ndarray, ends_lps_mm: np.ndarray) -> np.ndarray:
    """Exact distance from each segment to the nearest voxel box, shape (n,)."""
    grid = mask.grid
    spacing = np.linalg.norm(grid.lps_from_kji[:3, :3], axis=0)
    rotation = grid.lps_from_kji[:3, :3] / spacing
    origin = grid.lps_from_kji[:3, 3]
    # A segment that meets the mask begins in it, ends in it, or passes a box of its surface.
    surface = mask.inside & ~ndimage.binary_erosion(mask.inside)
    centres = (np.argwhere(surface) * spacing).T.copy()
    a, b = ((np.asarray(ends) - origin) @ rotation for ends in (starts_lps_mm, ends_lps_mm))
    least = _least_mm(a, b, centres, spacing / 2)
    return np.where(_is_in(mask, a / spacing) | _is_in(mask, b / spacing), 0.0, least)


def _is_in(mask: Mask, points_kji: np.ndarray) -> np.ndarray:
    """Whether the box around the nearest voxel centre is set."""
    nearest = np.rint(points_kji).astype(int)
    shape = np.array(mask.inside.shape)
    in_grid = np.all((nearest >= 0) & (nearest < shape), axis=1)
    return in_grid & mask.inside[tuple(np.clip(nearest, 0, shape - 1).T)]


def _least_mm(a: np.ndarray, b: np.ndarray, centres: np.ndarray, half: np.ndarray) -> np.ndarray:
    out = np.empty(len(a))
    waiting: list[np.ndarray] = []
    first = 0
    for n in range(len(a)):
        waiting.append(_possible(a[n], b[n], centres, half))
        if sum(w.shape[1] for w in waiting) >= PAIRS_AT_ONCE or n == len(a) - 1:
            sizes = [w.shape[1] for w in waiting]
            pairs = [np.repeat(e[first : n + 1], sizes, axis=0).T.copy() for e in (a, b)]
            found = _least_squared(*pairs, np.concatenate(waiting, axis=1), half[:, None])
            begin = np.cumsum([0, *sizes[:-1]])
            out[first : n + 1] = np.sqrt(np.minimum.reduceat(found, begin))
            waiting, first = [], n + 1
    return out


def _possible(a: np.ndarray, b: np.ndarray, centres: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Boxes that could be nearest: centre distance within two half diagonals of the least."""
    d, offset = b - a, centres - a[:, None]
    t = np.clip((d @ offset) / max(d @ d, 1e-30), 0, 1)
    gap = np.sqrt(((offset - t * d[:, None]) ** 2).sum(axis=0))
    return centres[:, gap <= gap.min() + 2 * np.linalg.norm(half) + 1e-9]


def _least_squared(a: np.ndarray, b: np.ndarray, c: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Of each pair of a segment and a box; every array is [axis, pair]."""
    a, d = a - c, b - a
    low, high = np.zeros(a.shape[1]), np.ones(a.shape[1])
    for _ in range(N_THIRDS):
        third = (high - low) / 3
        one, two = low + third, high - third
        better = _squared(a, d, half, one) <= _squared(a, d, half, two)
        low, high = np.where(better, low, one), np.where(better, two, high)
    return _squared(a, d, half, (low + high) / 2)


def _squared(a: np.ndarray, d: np.ndarray, half: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (np.maximum(np.abs(a + t * d) - half, 0) ** 2).sum(axis=0)
