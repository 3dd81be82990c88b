"""Rays through a mask: where they first meet it, how it faces them, how far they stay inside.

Voxel by voxel and exact, like ``walk``: a ray never jumps over a corner of the mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np

from planner.geometry.frames import FloatArray
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask, read_only_bytes

SMOOTHING_MM = 2.0
"""Sigma over which a surface is smoothed for its normal: over the steps of a millimetre voxel."""

_LEAST_RAYS = 256


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SurfaceHits:
    """First crossings of a surface, one per ray.

    Attributes
    ----------
    distance_mm : (n,)
        From the start of the ray; NaN where it meets nothing.
    inward_lps : (n, 3)
        Unit normal pointing into the mask; NaN where it meets nothing.
    """

    distance_mm: FloatArray
    inward_lps: FloatArray


def first_surface(
    mask: Mask,
    starts_lps_mm: FloatArray,
    ends_lps_mm: FloatArray,
    *,
    smoothing_mm: float = SMOOTHING_MM,
) -> SurfaceHits:
    """Where segments first enter a mask, and the normal of its smoothed surface there.

    Parameters
    ----------
    mask : Mask
    starts_lps_mm, ends_lps_mm : (n, 3)
    smoothing_mm : float
        Sigma of the Gaussian whose gradient of the mask is the normal.
    """
    grid = mask.grid
    starts = np.ascontiguousarray(grid.to_axes_mm(np.atleast_2d(starts_lps_mm)))
    ends = np.ascontiguousarray(grid.to_axes_mm(np.atleast_2d(ends_lps_mm)))
    n = starts.shape[0]
    distance, normal = np.empty(n), np.empty((n, 3))
    inside = read_only_bytes(mask.inside)
    spacing = grid.spacing_kji_mm
    # at least a voxel, or a thick slice would show no slope at all
    sigma = np.maximum(smoothing_mm, 0.75 * spacing)

    def hit(low: int, high: int) -> None:
        _hits(inside, spacing, sigma, starts, ends, distance, normal, low, high)

    in_chunks(hit, n, least=_LEAST_RAYS)
    return SurfaceHits(distance_mm=distance, inward_lps=normal @ grid.axes_lps_from_kji.T)


def run_inside_mm(
    mask: Mask, starts_lps_mm: FloatArray, directions_lps: FloatArray, limit_mm: float
) -> FloatArray:
    """How far each ray goes before it leaves the mask, (n,); 0 where it starts outside.

    Parameters
    ----------
    mask : Mask
    starts_lps_mm, directions_lps : (n, 3)
        Unit directions.
    limit_mm : float
        Rays are not followed farther.
    """
    grid = mask.grid
    starts = np.atleast_2d(starts_lps_mm)
    ends = starts + limit_mm * np.atleast_2d(directions_lps)
    from_mm = np.ascontiguousarray(grid.to_axes_mm(starts))
    to_mm = np.ascontiguousarray(grid.to_axes_mm(ends))
    out = np.empty(starts.shape[0])
    inside = read_only_bytes(mask.inside)

    def run(low: int, high: int) -> None:
        _runs(inside, grid.spacing_kji_mm, from_mm, to_mm, out, low, high)

    in_chunks(run, out.shape[0], least=_LEAST_RAYS)
    return out


@nb.njit(cache=True, nogil=True, inline="always")
def _is_set(inside, v):  # type: ignore[no-untyped-def]
    for axis in range(3):
        if not 0 <= v[axis] < inside.shape[axis]:
            return False
    return inside[v[0], v[1], v[2]] != 0


@nb.njit(cache=True, nogil=True)
def _stop_at(inside, at, step, wanted, v):  # type: ignore[no-untyped-def]
    """Parameter 0..1 at which the first voxel that is ``wanted`` begins, or -1; ``v`` is it."""
    for axis in range(3):
        v[axis] = math.floor(at[axis] + 0.5)
    t = 0.0
    while t <= 1.0:
        if _is_set(inside, v) == wanted:
            return t
        t_next, which = np.inf, -1
        for axis in range(3):
            if step[axis] != 0.0:
                face = v[axis] + (0.5 if step[axis] > 0.0 else -0.5)
                t_face = (face - at[axis]) / step[axis]
                if t_face < t_next:
                    t_next, which = t_face, axis
        if which < 0:
            return -1.0
        t = max(t, t_next)
        v[which] += 1 if step[which] > 0.0 else -1
    return -1.0


@nb.njit(cache=True, nogil=True)
def _line(starts, ends, spacing, n, at, step):  # type: ignore[no-untyped-def]
    squared = 0.0
    for axis in range(3):
        at[axis] = starts[n, axis] / spacing[axis]
        step[axis] = ends[n, axis] / spacing[axis] - at[axis]
        squared += (ends[n, axis] - starts[n, axis]) ** 2
    return math.sqrt(squared)


@nb.njit(cache=True, nogil=True)
def _runs(inside, spacing, starts, ends, out, low, high):  # type: ignore[no-untyped-def]
    at, step, v = np.empty(3), np.empty(3), np.empty(3, np.int64)
    for n in range(low, high):
        length = _line(starts, ends, spacing, n, at, step)
        t = _stop_at(inside, at, step, False, v)
        out[n] = length if t < 0.0 else t * length


@nb.njit(cache=True, nogil=True)
def _hits(  # type: ignore[no-untyped-def]
    inside, spacing, sigma, starts, ends, distance, normal, low, high
):
    at, step, v = np.empty(3), np.empty(3), np.empty(3, np.int64)
    reach = np.empty(3, np.int64)
    for axis in range(3):
        reach[axis] = math.ceil(3.0 * sigma[axis] / spacing[axis])
    for n in range(low, high):
        length = _line(starts, ends, spacing, n, at, step)
        t = _stop_at(inside, at, step, True, v)
        normal[n, :] = np.nan
        distance[n] = np.nan
        if t < 0.0:
            continue
        distance[n] = t * length
        centre = at + t * step
        _gradient(inside, spacing, sigma, reach, centre, normal[n])


@nb.njit(cache=True, nogil=True)
def _gradient(inside, spacing, sigma, reach, centre, out):  # type: ignore[no-untyped-def]
    """Unit gradient of the Gaussian-smoothed mask at a point (in voxels); NaN where it is flat."""
    total = np.zeros(3)
    offset = np.empty(3)
    v = np.empty(3, np.int64)
    nearest = np.empty(3, np.int64)
    for axis in range(3):
        nearest[axis] = math.floor(centre[axis] + 0.5)
    for dk in range(-reach[0], reach[0] + 1):
        for dj in range(-reach[1], reach[1] + 1):
            for di in range(-reach[2], reach[2] + 1):
                v[0], v[1], v[2] = nearest[0] + dk, nearest[1] + dj, nearest[2] + di
                if not _is_set(inside, v):
                    continue
                exponent = 0.0
                for axis in range(3):
                    offset[axis] = (v[axis] - centre[axis]) * spacing[axis]
                    exponent += (offset[axis] / sigma[axis]) ** 2
                weight = math.exp(-0.5 * exponent)
                for axis in range(3):
                    total[axis] += weight * offset[axis] / sigma[axis] ** 2
    size = math.sqrt(total[0] ** 2 + total[1] ** 2 + total[2] ** 2)
    for axis in range(3):
        out[axis] = total[axis] / size if size > 1e-12 else np.nan
