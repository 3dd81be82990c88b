"""By how much what is drawn at a point may truly lie elsewhere.

The bound of the shift belongs to the true place x. What is drawn at y may come from every x
that is as near to y as the bound at x, along the readout and the slice axis, and that has
signal. Nearer the metal than y the bound is larger, so the bound at y itself is too small.
"""

from __future__ import annotations

import numpy as np

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.physics.metal_zones import MetalZones
from planner.physics.shifts import ShiftModel
from planner.physics.sweep import MAX_REACH_MM

STEP_MM = 0.5
_MOST_STEPS = 60


def drawn_shift_mm(
    point_lps_mm: FloatArray, zones: MetalZones, model: ShiftModel, grid: Grid
) -> tuple[float, float]:
    """Largest displacement along readout and slice of what is drawn at a point, mm."""
    point = np.asarray(point_lps_mm, dtype=np.float64)
    here = _bounds(point[None, :], zones, grid)
    found = [(float(here[0][0]), float(here[1][0]))]
    seen = ~zones.is_void
    if not seen.any():
        return found[0]
    far = [min(float(b[seen].max()), MAX_REACH_MM) for b in (zones.readout_mm, zones.slice_mm)]
    if model.readout_axis_lps is None:
        found.append(_from_every_side(point, zones, grid, sum(far)))
    else:
        axes = (model.readout_axis_lps, model.slice_axis_lps)
        found.append(_from_the_plane(point, zones, grid, axes, far))
    return max(f[0] for f in found), max(f[1] for f in found)


def _from_the_plane(
    point: FloatArray,
    zones: MetalZones,
    grid: Grid,
    axes_lps: tuple[FloatArray, FloatArray],
    far_mm: list[float],
) -> tuple[float, float]:
    """From places in the plane of readout and slice axis."""
    t, u = np.meshgrid(_places(far_mm[0]), _places(far_mm[1]), indexing="ij")
    places = point + t[..., None] * axes_lps[0] + u[..., None] * axes_lps[1]
    readout, through, is_void = _bounds(places.reshape(-1, 3), zones, grid)
    # a sample stands for every place within half a step of it
    nearest = [np.maximum(np.abs(x.ravel()) - _half_step_mm(x), 0.0) for x in (t, u)]
    may_be = ~is_void & (nearest[0] <= readout) & (nearest[1] <= through)
    largest: list[float] = []
    for place, bound, half in ((t, readout, _half_step_mm(t)), (u, through, _half_step_mm(u))):
        farthest = np.minimum(np.abs(place.ravel()) + half, bound)[may_be]
        largest.append(float(farthest.max(initial=0.0)))
    return largest[0], largest[1]


def _from_every_side(
    point: FloatArray, zones: MetalZones, grid: Grid, far_mm: float
) -> tuple[float, float]:
    """From voxels in every direction: a readout without a single axis shifts to any side."""
    half_mm = 0.5 * float(np.linalg.norm(grid.spacing_kji_mm))
    middle = grid.to_kji(point) - zones.start_kji
    reach = (far_mm + half_mm) / grid.spacing_kji_mm
    low = np.maximum(np.floor(middle - reach), 0).astype(np.int64)
    high = np.minimum(np.ceil(middle + reach) + 1, zones.is_void.shape).astype(np.int64)
    if np.any(high <= low):
        return 0.0, 0.0
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    places = np.moveaxis(np.indices(tuple(high - low)), 0, -1) + low + zones.start_kji
    away = np.linalg.norm(grid.to_lps(places) - point, axis=-1)
    readout, through = zones.readout_mm[part], zones.slice_mm[part]
    may_be = ~zones.is_void[part] & (away - half_mm <= readout + through)
    farthest = [np.minimum(away + half_mm, bound)[may_be] for bound in (readout, through)]
    return float(farthest[0].max(initial=0.0)), float(farthest[1].max(initial=0.0))


def _half_step_mm(places_mm: FloatArray) -> float:
    return float(np.abs(np.diff(np.unique(places_mm))).max(initial=0.0)) / 2.0


def _places(reach_mm: float) -> FloatArray:
    n = min(_MOST_STEPS, int(np.ceil(reach_mm / STEP_MM)))
    return np.linspace(-reach_mm, reach_mm, 2 * n + 1)


def _bounds(
    points_lps_mm: FloatArray, zones: MetalZones, grid: Grid
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Bounds and void at points; outside the block no shift."""
    kji = np.rint(grid.to_kji(points_lps_mm)).astype(np.int64) - zones.start_kji
    ok = np.all((kji >= 0) & (kji < np.array(zones.is_void.shape)), axis=1)
    at = tuple(kji[ok].T)
    readout, through = np.zeros(len(kji)), np.zeros(len(kji))
    is_void = np.zeros(len(kji), dtype=np.bool_)
    readout[ok], through[ok], is_void[ok] = (
        zones.readout_mm[at],
        zones.slice_mm[at],
        zones.is_void[at],
    )
    return readout, through, is_void
