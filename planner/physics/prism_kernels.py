"""Compiled closed forms: the field of one uniformly magnetised voxel, a box.

A body with small susceptibility chi in a field B0 is magnetised by chi B0 everywhere.
The field of a box so magnetised is known in closed form (its demagnetisation tensor N
at a point is a sum over the eight corners of arctangents and logarithms). Along B0,
and with the Lorentz sphere taken out as a nucleus sees it::

    dB / B0 = chi * (1/3 [at the inside only] - b^T N b)

Units cancel: only ratios of lengths enter, so everything is in mm.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_OFF = 1e-9
"""Share of a voxel by which corners are moved off a face: there their terms jump, not the sum."""


@njit(cache=True, inline="always")
def _log_term(x, r, rest2):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """ln(x + r) without cancellation where x is negative; rest2 = r^2 - x^2."""
    if x > 0.0:
        return math.log(x + r)
    return math.log(rest2) - math.log(r - x)


@njit(cache=True, inline="always")
def corner_terms(z, y, x, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Even part and the three odd parts of the corner function at a corner (k, j, i order)."""
    zz, yy, xx = z * z, y * y, x * x
    r = math.sqrt(zz + yy + xx)
    even = (
        b[0] * b[0] * math.atan(x * y / (z * r))
        + b[1] * b[1] * math.atan(x * z / (y * r))
        + b[2] * b[2] * math.atan(y * z / (x * r))
    )
    kj = ki = ji = 0.0
    if b[0] * b[1] != 0.0:
        kj = 2.0 * b[0] * b[1] * _log_term(x, r, yy + zz)
    if b[0] * b[2] != 0.0:
        ki = 2.0 * b[0] * b[2] * _log_term(y, r, xx + zz)
    if b[1] * b[2] != 0.0:
        ji = 2.0 * b[1] * b[2] * _log_term(z, r, xx + yy)
    return even, kj, ki, ji


@njit(cache=True, nogil=True)
def minus_bnb(point_mm, size_mm, b):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """-b^T N b of a box of ``size_mm`` (k, j, i) centred at the origin, at one point."""
    total = 0.0
    for p in range(2):
        z = point_mm[0] + (p - 0.5 + _OFF) * size_mm[0]
        for q in range(2):
            y = point_mm[1] + (q - 0.5 + _OFF) * size_mm[1]
            for s in range(2):
                x = point_mm[2] + (s - 0.5 + _OFF) * size_mm[2]
                even, kj, ki, ji = corner_terms(z, y, x, b)
                sign = 1.0 if (p + q + s) % 2 == 1 else -1.0
                total += sign * (even - kj - ki - ji)
    return -total / (4.0 * math.pi)


@njit(cache=True, nogil=True)
def fill_octants(low, high, spacing, b, n, padded, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write -b^T N b for displacements of whole voxels into a wrapped array.

    The even part is equal in all octants, an odd part changes sign with each of its
    two axes; so only displacements >= 0 are computed and mirrored.

    Parameters
    ----------
    low, high : int
        Displacements along k, ``low <= dk < high``, that this call fills (and -dk).
    spacing : (3,) mm
    b : (3,)
        Unit direction of B0 along the array axes.
    n : (3, 2) int
        Largest displacement wanted upwards and downwards, per axis.
    padded : (3,) int
        Shape of ``out``; displacement -d is at index ``padded - d``.
    out : (k, j, i) float32, changed in place
    """
    nj = max(n[1, 0], n[1, 1]) + 1
    ni = max(n[2, 0], n[2, 1]) + 1
    corners = np.empty((2, nj + 1, ni + 1, 4))
    for dk in range(low, high + 1):
        side = dk % 2
        z = (dk - 0.5) * spacing[0]
        for dj in range(nj + 1):
            y = (dj - 0.5) * spacing[1]
            for di in range(ni + 1):
                x = (di - 0.5) * spacing[2]
                terms = corner_terms(z, y, x, b)
                for t in range(4):
                    corners[side, dj, di, t] = terms[t]
        if dk == low:
            continue
        _write_plane(corners, side, dk - 1, nj, ni, n, padded, out)


@njit(cache=True, inline="always")
def _write_plane(corners, side, dk, nj, ni, n, padded, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    scale = 1.0 / (4.0 * math.pi)
    above, below = corners[side], corners[1 - side]
    for dj in range(nj):
        for di in range(ni):
            even = kj = ki = ji = 0.0
            for t in range(4):
                value = (
                    above[dj + 1, di + 1, t]
                    - above[dj + 1, di, t]
                    - above[dj, di + 1, t]
                    + above[dj, di, t]
                    - below[dj + 1, di + 1, t]
                    + below[dj + 1, di, t]
                    + below[dj, di + 1, t]
                    - below[dj, di, t]
                ) * scale
                if t == 0:
                    even = value
                elif t == 1:
                    kj = value
                elif t == 2:
                    ki = value
                else:
                    ji = value
            for sk in range(2 if dk else 1):
                if dk > n[0, sk]:
                    continue
                k = padded[0] - dk if sk else dk
                for sj in range(2 if dj else 1):
                    if dj > n[1, sj]:
                        continue
                    j = padded[1] - dj if sj else dj
                    for si in range(2 if di else 1):
                        if di > n[2, si]:
                            continue
                        i = padded[2] - di if si else di
                        odd_kj = -kj if sk != sj else kj
                        odd_ki = -ki if sk != si else ki
                        odd_ji = -ji if sj != si else ji
                        out[k, j, i] = odd_kj + odd_ki + odd_ji - even
