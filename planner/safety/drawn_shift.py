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
    for readout_axis in _readout_axes(model, grid):
        largest: list[float] = []
        t, u = np.meshgrid(_places(far[0]), _places(far[1]), indexing="ij")
        places = point + t[..., None] * readout_axis + u[..., None] * model.slice_axis_lps
        readout, through, is_void = _bounds(places.reshape(-1, 3), zones, grid)
        # a sample stands for every place within half a step of it
        nearest = [np.maximum(np.abs(x.ravel()) - _half_step_mm(x), 0.0) for x in (t, u)]
        may_be = ~is_void & (nearest[0] <= readout) & (nearest[1] <= through)
        for place, bound, half in ((t, readout, _half_step_mm(t)), (u, through, _half_step_mm(u))):
            farthest = np.minimum(np.abs(place.ravel()) + half, bound)[may_be]
            largest.append(float(farthest.max(initial=0.0)))
        found.append((largest[0], largest[1]))
    return max(f[0] for f in found), max(f[1] for f in found)


def _readout_axes(model: ShiftModel, grid: Grid) -> list[FloatArray]:
    """The readout axis, or for a readout without a single one every axis of the grid."""
    if model.readout_axis_lps is not None:
        return [model.readout_axis_lps]
    return [np.array(axis) for axis in grid.axes_lps_from_kji.T]


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
