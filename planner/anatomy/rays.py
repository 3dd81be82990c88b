"""Straight looks through a depth field: where bone begins or ends along a direction."""

from __future__ import annotations

import numpy as np

from planner.anatomy.block import Block
from planner.geometry.frames import FloatArray

STEP_MM = 0.25
OUTSIDE_MM = -1e3
"""The depth where there is no voxel: outside of everything."""


def depths_along(
    block: Block,
    depth_mm: FloatArray,
    starts_lps_mm: FloatArray,
    direction_lps: FloatArray,
    reach_mm: float,
) -> tuple[FloatArray, FloatArray]:
    """Distances (m,) from the start, and the depths there, shape (..., m), for starts (..., 3)."""
    along_mm = np.asarray(STEP_MM * np.arange(int(reach_mm / STEP_MM) + 1), dtype=np.float64)
    points = starts_lps_mm[..., None, :] + along_mm[:, None] * direction_lps
    return along_mm, block.at(depth_mm, points, OUTSIDE_MM)


def distance_to_entry(
    block: Block,
    depth_mm: FloatArray,
    starts_lps_mm: FloatArray,
    direction_lps: FloatArray,
    reach_mm: float,
) -> FloatArray:
    """How far until the depth becomes positive, shape (...,) mm; NaN if it does not."""
    along_mm, depth = depths_along(block, depth_mm, starts_lps_mm, direction_lps, reach_mm)
    return _first(along_mm, depth > 0)


def distance_to_exit(
    block: Block,
    depth_mm: FloatArray,
    starts_lps_mm: FloatArray,
    direction_lps: FloatArray,
    reach_mm: float,
) -> FloatArray:
    """How far until the depth is no longer positive, shape (...,) mm; NaN if it stays so.

    NaN as well where the image ends first: bone that is cut off does not end there.
    """
    along_mm, depth = depths_along(block, depth_mm, starts_lps_mm, direction_lps, reach_mm)
    seen = _first(along_mm, depth <= 0)
    image_end = np.nan_to_num(_first(along_mm, depth <= OUTSIDE_MM / 2), nan=np.inf)
    return np.where(seen < image_end, seen, np.nan)


def _first(along_mm: FloatArray, hit: np.ndarray) -> FloatArray:
    found = np.where(hit.any(axis=-1), along_mm[np.argmax(hit, axis=-1)], np.nan)
    return np.asarray(found, dtype=np.float64)
