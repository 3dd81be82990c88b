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
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask, read_only_bytes

_ROUNDING_MM2 = 1e-4
"""Taken off every interpolated squared distance: float32 storage and integer units."""
_MIN_STEP_MM = 0.7
_STEP_LOSS_MM = 0.08
"""What a bound may lose between two samples: l^2 / (8 d) for a step of l at distance d."""
_RELAXED = 1.85
"""Factor on the step that the concave bound could allow if the next bound is no smaller."""
_PIECE_MM = 4.0
_MAX_PENDING = 6
_LAST_STEP_MM = 1e-9
SHARE_MM = 4.0
"""An axis whose entry lies at most this far from the last traced one's may take over
its answer, where that is still certain: a field should reach this much beyond the
clear distance, and axes should be given in coherent order."""
_SHARE_LOSS_MM = 0.15
"""How much looser than its own a taken-over bound may be, about."""
_DEEPER_STEPS = 12
_RUN = 1024
"""Answers are taken over within runs of this many axes: a fixed number, so that the
result does not depend on how many threads there are."""

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
        self._bounds = (np.stack([low, high]).astype(np.float64) - 0.5) * spacing
        self._spacing = spacing
        if field is not None:
            self._lattice = np.stack([field.first_axes_mm, field.step_mm, 1.0 / field.step_mm])

    def trace(
        self,
        ends_axes_mm: FloatArray,
        entries_axes_mm: FloatArray,
        required_mm: float,
        clear_mm: float | FloatArray,
        active: NDArray[np.int64],
    ) -> FloatArray:
        """Certified lower bound of the axis distance, for the active candidates.

        Parameters
        ----------
        ends_axes_mm, entries_axes_mm : ndarray, shape (n, 3)
            Axis ends (tip or throw end; entry) in the mask grid's millimetre axes.
        required_mm : float
            Axis distance (margin plus needle radius) under which an axis is rejected.
        clear_mm : float or ndarray, shape (m,)
            Distances from here on need not be told apart; not below ``required_mm``,
            and at most the field's cap.
        active : ndarray of int, shape (m,)
            Which candidates to trace.

        Returns
        -------
        ndarray, shape (m,)
            ``REJECTED`` where the exact distance is below ``required_mm``;
            otherwise a value between ``required_mm`` and the smaller of
            ``clear_mm`` and the exact distance.
        """
        clear = np.broadcast_to(np.asarray(clear_mm, dtype=np.float64), active.shape)
        if self.field is None:
            return np.array(clear)
        out = np.empty(active.shape[0])
        field = self.field
        enough = np.minimum(clear, field.cap_mm)

        def trace(first_run: int, stop_run: int) -> None:
            low, high = first_run * _RUN, min(stop_run * _RUN, active.shape[0])
            _trace_of(
                field.squared_mm2,
                self._lattice,
                self._bounds,
                field.cap_mm**2,
                read_only_bytes(self.mask.inside),
                self._spacing,
                ends_axes_mm,
                entries_axes_mm,
                float(required_mm),
                enough[low:high],
                active[low:high],
                out[low:high],
            )

        in_chunks(trace, -(-active.shape[0] // _RUN), least=1)
        return out


@nb.njit(cache=True, nogil=True, inline="always")
def _beyond(x, low, high):  # type: ignore[no-untyped-def]
    return max(low - x, x - high, 0.0)


@nb.njit(cache=True, nogil=True, inline="always")
def _clamped(u, n):  # type: ignore[no-untyped-def]
    return min(max(u, 0.0), n - 1.0)


@nb.njit(cache=True, nogil=True)
def _lower_squared(sq, lattice, bounds, cap_squared, x, y, z):  # type: ignore[no-untyped-def]
    """A lower bound of the squared distance at x, y, z, from the field and the mask's bounds.

    ``lattice`` has rows first sample, step, 1 / step; ``bounds`` rows low, high.
    """
    gx = _beyond(x, bounds[0, 0], bounds[1, 0])
    gy = _beyond(y, bounds[0, 1], bounds[1, 1])
    gz = _beyond(z, bounds[0, 2], bounds[1, 2])
    to_bounds = gx * gx + gy * gy + gz * gz
    if to_bounds >= cap_squared:
        return to_bounds
    n0, n1, n2 = sq.shape
    uk = (x - lattice[0, 0]) * lattice[2, 0]
    uj = (y - lattice[0, 1]) * lattice[2, 1]
    ui = (z - lattice[0, 2]) * lattice[2, 2]
    vk, vj, vi = _clamped(uk, n0), _clamped(uj, n1), _clamped(ui, n2)
    k0, j0, i0 = int(vk), int(vj), int(vi)
    fk, fj, fi = vk - k0, vj - j0, vi - i0
    k1, j1, i1 = min(k0 + 1, n0 - 1), min(j0 + 1, n1 - 1), min(i0 + 1, n2 - 1)
    a = sq[k0, j0, i0] + fi * (sq[k0, j0, i1] - sq[k0, j0, i0])
    b = sq[k0, j1, i0] + fi * (sq[k0, j1, i1] - sq[k0, j1, i0])
    c = sq[k1, j0, i0] + fi * (sq[k1, j0, i1] - sq[k1, j0, i0])
    d = sq[k1, j1, i0] + fi * (sq[k1, j1, i1] - sq[k1, j1, i0])
    sk, sj, si = lattice[1, 0], lattice[1, 1], lattice[1, 2]
    near = a + fj * (b - a)
    variance = sk * sk * fk * (1.0 - fk) + sj * sj * fj * (1.0 - fj) + si * si * fi * (1.0 - fi)
    squared = near + fk * (c + fj * (d - c) - near) - (variance + _ROUNDING_MM2)
    ek, ej, ei = (uk - vk) * sk, (uj - vj) * sj, (ui - vi) * si
    outside = ek * ek + ej * ej + ei * ei
    if outside > 0.0 and squared > 0.0:
        # Beyond the lattice the distance is at least that of its rim, less the way there.
        rim = max(math.sqrt(squared) - math.sqrt(outside), 0.0)
        squared = rim * rim
    return max(squared, to_bounds)


@nb.njit(cache=True, nogil=True, inline="always")
def _nearest(x, first, step, n):  # type: ignore[no-untyped-def]
    u = (x - first) / step
    index = min(max(int(u + 0.5), 0), n - 1)
    way = (u - index) * step
    return index, way * way


@nb.njit(cache=True, nogil=True)
def _upper_bound(sq, lattice, x, y, z):  # type: ignore[no-untyped-def]
    """An upper bound of the distance (below the cap): nearest sample plus the way to it."""
    k, wk = _nearest(x, lattice[0, 0], lattice[1, 0], sq.shape[0])
    j, wj = _nearest(y, lattice[0, 1], lattice[1, 1], sq.shape[1])
    i, wi = _nearest(z, lattice[0, 2], lattice[1, 2], sq.shape[2])
    return math.sqrt(sq[k, j, i] + _ROUNDING_MM2) + math.sqrt(wk + wj + wi)


@nb.njit(cache=True, nogil=True, inline="always")
def _between_squared(squared_0, squared_1, length):  # type: ignore[no-untyped-def]
    """Lower bound of the squared distance anywhere between two points ``length`` apart."""
    ll = length * length
    excess = ll + squared_0 - squared_1
    if excess <= 0.0:
        return squared_0
    if excess >= 2.0 * ll:
        return squared_1
    return squared_0 - excess * excess / (4.0 * ll)


@nb.njit(cache=True, nogil=True)
def _deepest(sq, lattice, x, y, z, ux, uy, uz, t, length, slope):  # type: ignore[no-untyped-def]
    """Least upper bound of the distance just beyond t, plus ``slope`` times the way there."""
    least = np.inf
    for _ in range(_DEEPER_STEPS):
        px, py, pz = x + t * ux, y + t * uy, z + t * uz
        upper = _upper_bound(sq, lattice, px, py, pz) + slope * t
        if upper > least:
            break
        least = upper
        t = min(t + 1.0, length)
    return least


@nb.njit(cache=True, nogil=True)
def _trace_one(  # type: ignore[no-untyped-def]
    sq, lattice, bounds, cap_squared, inside, spacing, end, entry, required, clear, pending, seen
):
    """Certified bound of one axis; what it says of its neighbours goes into ``seen``.

    ``seen[0]``: lower bound for every axis with the same end whose entry lies
    within SHARE_MM of this one's (it is at most SHARE_MM * t / length away at
    t); ``seen[1]``: about how large that bound could be; ``seen[2]``: upper
    bound for such an axis.
    """
    x, y, z = end[0], end[1], end[2]
    ux, uy, uz = entry[0] - x, entry[1] - y, entry[2] - z
    length = math.sqrt(ux * ux + uy * uy + uz * uz)
    seen[0], seen[1], seen[2] = -np.inf, np.inf, np.inf
    if not length > 0.0:
        return REJECTED
    ux, uy, uz = ux / length, uy / length, uz / length
    slope = SHARE_MM / length
    required_squared = required * required
    n_pending = 0
    least = clear
    least_squared = clear * clear
    at = 0.0
    here = _lower_squared(sq, lattice, bounds, cap_squared, x, y, z)
    shared = math.sqrt(here) if here > 0.0 else 0.0
    about = shared
    if here < required_squared and _upper_bound(sq, lattice, x, y, z) < required:
        seen[2] = _deepest(sq, lattice, x, y, z, ux, uy, uz, 0.0, length, slope)
        return REJECTED
    while length - at > _LAST_STEP_MM:
        distance = math.sqrt(here) if here > 0.0 else 0.0
        # A step this short costs at most _STEP_LOSS_MM of the bound at this distance.
        safe = max(distance - least, math.sqrt(8.0 * _STEP_LOSS_MM * distance), _MIN_STEP_MM)
        room = here - least_squared
        advance = max(safe, _RELAXED * math.sqrt(room)) if room > 0.0 else safe
        advance = min(advance, length - at)
        t = at + advance
        px, py, pz = x + t * ux, y + t * uy, z + t * uz
        ahead = _lower_squared(sq, lattice, bounds, cap_squared, px, py, pz)
        between = _between_squared(here, ahead, advance)
        if between < least_squared and advance > safe:
            advance = safe
            t = at + advance
            px, py, pz = x + t * ux, y + t * uy, z + t * uz
            ahead = _lower_squared(sq, lattice, bounds, cap_squared, px, py, pz)
            between = _between_squared(here, ahead, advance)
        if between < required_squared:
            if ahead < required_squared and _upper_bound(sq, lattice, px, py, pz) < required:
                seen[0] = -np.inf
                seen[2] = _deepest(sq, lattice, x, y, z, ux, uy, uz, t, length, slope)
                return REJECTED
            if n_pending > 0 and (pending[n_pending - 1, 1] >= at or n_pending == pending.shape[0]):
                pending[n_pending - 1, 1] = t
            else:
                pending[n_pending, 0] = at
                pending[n_pending, 1] = t
                n_pending += 1
            least = required
            least_squared = required_squared
        elif between < least_squared:
            least_squared = between
            least = math.sqrt(between)
        away = slope * t
        if shared > 0.0 and between < (shared + away) ** 2:
            shared = (math.sqrt(between) if between > 0.0 else 0.0) - away
        if ahead < (about - away) ** 2:
            about = math.sqrt(ahead) + away if ahead > 0.0 else away
        at = t
        here = ahead
    for m in range(n_pending):
        if _comes_nearer(inside, spacing, end, entry, length, pending[m], required):
            return REJECTED
    seen[0], seen[1] = shared, about
    return least


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


@nb.njit(cache=True, nogil=True, inline="always")
def _gap(a, b):  # type: ignore[no-untyped-def]
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)


@nb.njit(cache=True, nogil=True)
def _taken_over(seen, aside, required, enough):  # type: ignore[no-untyped-def]
    """A neighbour's answer for an axis whose end lies ``aside`` of its own; NaN if none."""
    lower, upper = seen[0] - aside, seen[2] + aside
    if upper < required:
        return REJECTED
    if lower >= enough:
        return enough
    if lower >= required and seen[1] + aside - lower <= _SHARE_LOSS_MM:
        return lower
    return np.nan


@nb.njit(cache=True, nogil=True)
def _trace_of(  # type: ignore[no-untyped-def]
    sq, lattice, bounds, cap_squared, inside, spacing, ends, entries, required, clear, active, out
):
    pending = np.empty((_MAX_PENDING, 2))
    seen = np.empty(3)
    cap = math.sqrt(cap_squared)
    traced = -1
    for m in range(active.shape[0]):
        c = active[m]
        if m % _RUN == 0:
            traced = -1
        is_near = traced >= 0 and _gap(entries[c], entries[traced]) <= SHARE_MM
        if is_near and _gap(ends[c], entries[c]) > 0.0:
            aside = _gap(ends[c], ends[traced])
            out[m] = _taken_over(seen, aside, required, clear[m])
            if not np.isnan(out[m]):
                continue
        bound = _trace_one(
            sq,
            lattice,
            bounds,
            cap_squared,
            inside,
            spacing,
            ends[c],
            entries[c],
            required,
            min(clear[m] + SHARE_MM, cap),
            pending,
            seen,
        )
        out[m] = min(bound, clear[m])
        traced = c
