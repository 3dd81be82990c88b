"""Brute force over all voxel boxes: the independent truth that decisions are held against.

Shares no code with the planner: the squared distance from a segment to a box is
minimised by ternary search, which needs only that it is convex along the segment.
"""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask


def axis_distances_mm(mask: Mask, starts_lps_mm: np.ndarray, ends_lps_mm: np.ndarray) -> np.ndarray:
    """Exact distance from each segment to the nearest voxel box, shape (n,)."""
    grid = mask.grid
    spacing = np.linalg.norm(grid.lps_from_kji[:3, :3], axis=0)
    rotation = grid.lps_from_kji[:3, :3] / spacing
    origin = grid.lps_from_kji[:3, 3]
    centres = np.argwhere(mask.inside) * spacing
    half = spacing / 2
    out = np.empty(len(starts_lps_mm))
    for n, (start, end) in enumerate(zip(starts_lps_mm, ends_lps_mm, strict=True)):
        a, b = (start - origin) @ rotation, (end - origin) @ rotation
        out[n] = np.sqrt(_least_squared(a, b, _possible(a, b, centres, half), half))
    return out


def _possible(a: np.ndarray, b: np.ndarray, centres: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Boxes that could be nearest: centre distance within two half diagonals of the least."""
    d = b - a
    t = np.clip(((centres - a) @ d) / max(d @ d, 1e-30), 0, 1)
    gap = np.linalg.norm(centres - (a + t[:, None] * d), axis=1)
    return centres[gap <= gap.min() + 2 * np.linalg.norm(half) + 1e-9]


def _least_squared(a: np.ndarray, b: np.ndarray, c: np.ndarray, half: np.ndarray) -> float:
    low, high = np.zeros(len(c)), np.ones(len(c))
    for _ in range(120):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        better = _squared(a, b, c, half, one) <= _squared(a, b, c, half, two)
        low, high = np.where(better, low, one), np.where(better, two, high)
    return float(_squared(a, b, c, half, (low + high) / 2).min())


def _squared(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, half: np.ndarray, t: np.ndarray
) -> np.ndarray:
    point = a + t[:, None] * (b - a)
    return (np.maximum(np.abs(point - c) - half, 0) ** 2).sum(axis=1)
