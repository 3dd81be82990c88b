"""Certified tracing of many needle axes through a distance field.

Every step rests on two facts about the distance d to any closed set:

* d is 1-Lipschitz: |d(x) - d(y)| <= |x - y|;
* d^2 - |x|^2 is concave (an infimum of affine functions of x).

From the second, interpolating d^2 between samples overestimates it by at most
the variance of the weights: at fraction f between samples a step s apart,
``d^2(x) >= lerp(d^2) - s^2 f (1 - f)`` per axis, and along a line between two
points ``l`` apart with known lower bounds L0, L1 the same holds with s = l.
A capped field (min(d^2, cap^2)) keeps the property. So the bound below really
is one, and it is tight: the error at distance d is about s^2 / (8 d) per axis.

Where the bound cannot decide, the short stretch is settled against the voxel
boxes themselves (``nearest_box_near``): decisions are exact.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from planner.geometry.distance import DistanceField
from planner.geometry.frames import FloatArray
from planner.geometry.segments import nearest_box_near
from planner.geometry.volume import Mask

_ROUNDING_MM2 = 1e-4
"""Taken off every interpolated squared distance: float32 storage and integer units."""
_MIN_STEP_MM = 0.6
_RELAXED = 1.7
"""Factor on the step that the concave bound could allow if the next bound is no smaller."""
_PIECE_MM = 4.0
_MAX_PENDING = 6
_LAST_STEP_MM = 1e-9
_BATCH = 256

REJECTED = -1.0
"""Bound returned for an axis that comes nearer than required."""


class TraceTarget:
    """One mask with its field, ready to be traced many times.

    Parameters
    ----------
    mask : Mask
    field : DistanceField or None
        From ``distance_field(mask, ...)``; None when the mask is out of reach.
    """

    def __init__(self, mask: Mask, field: DistanceField | None) -> None:
        self.field = field
        self.mask = mask
        spacing = mask.grid.spacing_kji_mm
        bounds = mask.bounds_kji()
        low, high = bounds if bounds is not None else (np.zeros(3), np.zeros(3))
        self._low = (np.asarray(low, float) - 0.5) * spacing
        self._high = (np.asarray(high, float) - 0.5) * spacing
        self._spacing = spacing

    def trace(
        self,
        ends_axes_mm: FloatArray,
        entries_axes_mm: FloatArray,
        required_mm: float,
        clear_mm: float,
        active: NDArray[np.int64],
    ) -> FloatArray:
        """Certified lower bound of the axis distance, for the active candidates.

        Parameters
        ----------
        ends_axes_mm, entries_axes_mm : ndarray, shape (n, 3)
            Axis ends (tip or throw end; entry) in the mask grid's millimetre axes.
        required_mm : float
            Axis distance (margin plus needle radius) under which an axis is rejected.
        clear_mm : float
            Distances from here on need not be told apart (at most the field's cap).
        active : ndarray of int, shape (m,)
            Which candidates to trace.

        Returns
        -------
        ndarray, shape (m,)
            ``REJECTED`` where the exact distance is below ``required_mm``;
            otherwise a value between ``required_mm`` and the smaller of
            ``clear_mm`` and the exact distance.
        """
        if self.field is None:
            return np.full(active.shape[0], clear_mm)
        return np.asarray(
            _trace_many(
                self.field.squared_mm2,
                self.field.first_axes_mm,
                self.field.step_mm,
                self.field.cap_mm,
                self._low,
                self._high,
                self.mask.inside.view(np.uint8),
                self._spacing,
                ends_axes_mm,
                entries_axes_mm,
                float(required_mm),
                float(min(clear_mm, self.field.cap_mm)),
                active,
            )
        )


@nb.njit(cache=True, nogil=True, inline="always")
def _cell(x, first, step, n):  # type: ignore[no-untyped-def]
    """Samples on both sides of x, fraction between them, variance, excess outside (squared)."""
    u = (x - first) / step
    v = min(max(u, 0.0), n - 1.0)
    low = min(int(v), max(n - 2, 0))
    fraction = v - low
    excess = (u - v) * step
    return (
        low,
        min(low + 1, n - 1),
        fraction,
        step * step * fraction * (1.0 - fraction),
        excess * excess,
    )


@nb.njit(cache=True, nogil=True, inline="always")
def _beyond(x, low, high):  # type: ignore[no-untyped-def]
    return max(low - x, x - high, 0.0)


@nb.njit(cache=True, nogil=True)
def _lower_bound(sq, first, step, cap, low, high, x, y, z):  # type: ignore[no-untyped-def]
    """A lower bound of the distance at x, y, z from the field and the mask's bounding box."""
    gx, gy, gz = (
        _beyond(x, low[0], high[0]),
        _beyond(y, low[1], high[1]),
        _beyond(z, low[2], high[2]),
    )
    to_bounds = math.sqrt(gx * gx + gy * gy + gz * gz)
    if to_bounds >= cap:
        return to_bounds
    k0, k1, fk, vk, ek = _cell(x, first[0], step[0], sq.shape[0])
    j0, j1, fj, vj, ej = _cell(y, first[1], step[1], sq.shape[1])
    i0, i1, fi, vi, ei = _cell(z, first[2], step[2], sq.shape[2])
    a = sq[k0, j0, i0] + fi * (sq[k0, j0, i1] - sq[k0, j0, i0])
    b = sq[k0, j1, i0] + fi * (sq[k0, j1, i1] - sq[k0, j1, i0])
    c = sq[k1, j0, i0] + fi * (sq[k1, j0, i1] - sq[k1, j0, i0])
    d = sq[k1, j1, i0] + fi * (sq[k1, j1, i1] - sq[k1, j1, i0])
    near = a + fj * (b - a)
    squared = near + fk * (c + fj * (d - c) - near) - (vk + vj + vi + _ROUNDING_MM2)
    bound = math.sqrt(squared) if squared > 0.0 else 0.0
    outside = ek + ej + ei
    if outside > 0.0:
        bound -= math.sqrt(outside)
    return max(bound, to_bounds)


@nb.njit(cache=True, nogil=True, inline="always")
def _nearest(x, first, step, n):  # type: ignore[no-untyped-def]
    u = (x - first) / step
    index = min(max(int(u + 0.5), 0), n - 1)
    way = (u - index) * step
    return index, way * way


@nb.njit(cache=True, nogil=True)
def _upper_bound(sq, first, step, x, y, z):  # type: ignore[no-untyped-def]
    """An upper bound of the distance (below the cap): nearest sample plus the way to it."""
    k, wk = _nearest(x, first[0], step[0], sq.shape[0])
    j, wj = _nearest(y, first[1], step[1], sq.shape[1])
    i, wi = _nearest(z, first[2], step[2], sq.shape[2])
    return math.sqrt(sq[k, j, i] + _ROUNDING_MM2) + math.sqrt(wk + wj + wi)


@nb.njit(cache=True, nogil=True, inline="always")
def _interval_bound(bound_0, bound_1, length):  # type: ignore[no-untyped-def]
    """Lower bound of the distance anywhere between two points ``length`` apart."""
    lipschitz = 0.5 * (bound_0 + bound_1 - length)
    s0, s1 = max(bound_0, 0.0) ** 2, max(bound_1, 0.0) ** 2
    ll = length * length
    excess = ll + s0 - s1
    if excess <= 0.0:
        concave = s0
    elif excess >= 2.0 * ll:
        concave = s1
    else:
        concave = s0 - excess * excess / (4.0 * ll)
    return max(lipschitz, math.sqrt(concave) if concave > 0.0 else 0.0)


@nb.njit(cache=True, nogil=True)
def _trace_one(  # type: ignore[no-untyped-def]
    sq, first, step, cap, low, high, inside, spacing, end, entry, required, clear, pending
):
    x, y, z = end[0], end[1], end[2]
    ux, uy, uz = entry[0] - x, entry[1] - y, entry[2] - z
    length = math.sqrt(ux * ux + uy * uy + uz * uz)
    if not length > 0.0:
        return REJECTED
    ux, uy, uz = ux / length, uy / length, uz / length
    n_pending = 0
    certified = clear
    at = 0.0
    bound = _lower_bound(sq, first, step, cap, low, high, x, y, z)
    if bound < required and _upper_bound(sq, first, step, x, y, z) < required:
        return REJECTED
    while length - at > _LAST_STEP_MM:
        least = max(certified, required)
        safe = max(bound - least, _MIN_STEP_MM)
        room = bound * bound - least * least
        advance = max(safe, _RELAXED * math.sqrt(room)) if room > 0.0 else safe
        advance = min(advance, length - at)
        t = at + advance
        ahead = _lower_bound(sq, first, step, cap, low, high, x + t * ux, y + t * uy, z + t * uz)
        between = _interval_bound(bound, ahead, advance)
        if between < least and advance > safe:
            advance = safe
            t = at + advance
            ahead = _lower_bound(
                sq, first, step, cap, low, high, x + t * ux, y + t * uy, z + t * uz
            )
            between = _interval_bound(bound, ahead, advance)
        if between < required:
            if ahead < required and (
                _upper_bound(sq, first, step, x + t * ux, y + t * uy, z + t * uz) < required
            ):
                return REJECTED
            if n_pending > 0 and (pending[n_pending - 1, 1] >= at or n_pending == pending.shape[0]):
                pending[n_pending - 1, 1] = t
            else:
                pending[n_pending, 0] = at
                pending[n_pending, 1] = t
                n_pending += 1
            certified = required
        elif between < certified:
            certified = between
        at = t
        bound = ahead
    for m in range(n_pending):
        if _comes_nearer(inside, spacing, end, entry, length, pending[m], required):
            return REJECTED
    return certified


@nb.njit(cache=True, nogil=True)
def _comes_nearer(inside, spacing, end, entry, length, stretch, required):  # type: ignore[no-untyped-def]
    """Whether a stretch (mm from the end) comes nearer to a voxel box than required."""
    t0 = stretch[0]
    # The last step may stop a hair short of the entry: settle up to the entry itself.
    t1 = length if length - stretch[1] <= _LAST_STEP_MM else stretch[1]
    n_pieces = max(1, math.ceil((t1 - t0) / _PIECE_MM))
    along = (entry - end) / length
    for piece in range(n_pieces):
        a = end + (t0 + (t1 - t0) * piece / n_pieces) * along
        b = end + (t0 + (t1 - t0) * (piece + 1) / n_pieces) * along
        squared = nearest_box_near(inside, spacing, a, b, required, required * required)[0]
        if squared < required * required:
            return True
    return False


@nb.njit(cache=True, nogil=True, parallel=True)
def _trace_many(  # type: ignore[no-untyped-def]
    sq, first, step, cap, low, high, inside, spacing, ends, entries, required, clear, active
):
    n = active.shape[0]
    out = np.empty(n)
    n_batches = (n + _BATCH - 1) // _BATCH
    for batch in nb.prange(n_batches):
        pending = np.empty((_MAX_PENDING, 2))
        for m in range(batch * _BATCH, min((batch + 1) * _BATCH, n)):
            c = active[m]
            out[m] = _trace_one(
                sq,
                first,
                step,
                cap,
                low,
                high,
                inside,
                spacing,
                ends[c],
                entries[c],
                required,
                clear,
                pending,
            )
    return out
