"""The voxels a needle touches: those whose box comes within its radius of its axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.geometry import Grid
from planner.geometry.segments import segment_box_squared

ROUND_MM = 1e-9
"""A voxel that the axis runs through is at most this far from it, by rounding."""


def capsule_voxels(
    grid: Grid, start_lps_mm: ArrayLike, end_lps_mm: ArrayLike, radius_mm: float
) -> NDArray[np.bool_]:
    """Which voxels a capsule touches, [k, j, i]; a ball where both ends are one point.

    A voxel counts as soon as its box does, so the line has no gap and is never drawn
    thinner or shorter than the needle is; it may look up to one voxel wider to each side.

    Parameters
    ----------
    grid : Grid
    start_lps_mm, end_lps_mm : array_like, shape (3,)
        LPS mm in the grid's frame.
    radius_mm : float
        0 marks the voxels the axis runs through.
    """
    start, end = (
        np.array(grid.to_axes_mm(p), dtype=np.float64) for p in (start_lps_mm, end_lps_mm)
    )
    spacing_mm = np.array(grid.spacing_kji_mm, dtype=np.float64)
    touched = np.zeros(grid.shape_kji, np.bool_)
    reach_mm = radius_mm + spacing_mm / 2
    shape = np.array(grid.shape_kji)
    low = np.floor((np.minimum(start, end) - reach_mm) / spacing_mm).astype(int).clip(0, shape)
    high = (np.ceil((np.maximum(start, end) + reach_mm) / spacing_mm).astype(int) + 1).clip(
        0, shape
    )
    half_diagonal_mm = float(np.linalg.norm(spacing_mm)) / 2
    j, i = np.meshgrid(np.arange(low[1], high[1]), np.arange(low[2], high[2]), indexing="ij")
    for k in range(low[0], high[0]):
        centres_mm = np.stack([np.full_like(j, k), j, i], axis=-1) * spacing_mm
        near = _distance_mm(centres_mm, start, end) <= radius_mm + half_diagonal_mm + 1e-9
        for row, column in zip(j[near], i[near], strict=True):
            centre = np.array([k, row, column]) * spacing_mm
            squared, _ = segment_box_squared(start, end, centre, spacing_mm / 2)
            touched[k, row, column] = squared <= (radius_mm + ROUND_MM) ** 2
    return touched


def _distance_mm(
    points_mm: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of points, shape (..., 3), from a segment."""
    along = end - start
    squared = float(along @ along)
    t = np.clip((points_mm - start) @ along / squared, 0.0, 1.0) if squared > 0.0 else 0.0
    gap = points_mm - start - np.multiply.outer(t, along)
    return np.asarray(np.linalg.norm(gap, axis=-1))
