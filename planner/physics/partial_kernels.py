"""The compiled loops of ``partial_voxels``."""

from __future__ import annotations

import numpy as np
from numba import njit

from planner.physics.prism_kernels import minus_bnb

LEAST_SLOPE = 0.02
"""Change of share per voxel under which it is not told on which side the metal lies."""

_FULL = 1e-3
"""Shares this near to 0 or 1 are empty or full."""


@njit(cache=True, nogil=True)
def find_partial(chi):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Partly filled voxels with a side: index (n, 3), level (n, 2), slope per voxel (n, 3).

    The levels around (least and greatest of the 26 neighbours) say what empty and full
    are; level is (share filled, full - empty).
    """
    n0, n1, n2 = chi.shape
    n_found = 0
    for a in range(2):
        if a == 1:
            found = np.empty((n_found, 3), np.int64)
            levels = np.empty((n_found, 2))
            slopes = np.empty((n_found, 3))
        n_found = 0
        for k in range(n0):
            for j in range(n1):
                for i in range(n2):
                    value = chi[k, j, i]
                    if value == 0.0:
                        continue
                    low = high = value
                    g0, g1, g2 = np.float32(0.0), np.float32(0.0), np.float32(0.0)
                    for u in range(-1, 2):
                        for v in range(-1, 2):
                            for w in range(-1, 2):
                                kk, jj, ii = k + u, j + v, i + w
                                other = np.float32(0.0)
                                if 0 <= kk < n0 and 0 <= jj < n1 and 0 <= ii < n2:
                                    other = chi[kk, jj, ii]
                                low, high = min(low, other), max(high, other)
                                weight = (2 - abs(u)) * (2 - abs(v)) * (2 - abs(w)) * other
                                g0 += u * weight
                                g1 += v * weight
                                g2 += w * weight
                    span = high - low
                    if not span > 0.0:
                        continue
                    share = (value - low) / span
                    if share < _FULL or share > 1.0 - _FULL:
                        continue
                    # the weights of one side add up to 16, two voxels apart
                    g0, g1, g2 = g0 / (32.0 * span), g1 / (32.0 * span), g2 / (32.0 * span)
                    if max(abs(g0), abs(g1), abs(g2)) < LEAST_SLOPE:
                        continue
                    if a == 1:
                        found[n_found, 0], found[n_found, 1], found[n_found, 2] = k, j, i
                        levels[n_found, 0], levels[n_found, 1] = share, span
                        slopes[n_found, 0], slopes[n_found, 1], slopes[n_found, 2] = g0, g1, g2
                    n_found += 1
    return found, levels, slopes


@njit(cache=True, nogil=True)
def fill_parts(levels, slopes, spacing, offsets):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Parts filled from the fuller side: surplus over an even spread (n, m), moments (n, 3) mm.

    The surplus is in shares of the voxel (sums to 0), the moment is the centroid of the
    metal times its share.
    """
    n, m = levels.shape[0], offsets.shape[0]
    surplus = np.empty((n, m), np.float32)
    moments = np.zeros((n, 3))
    towards = np.empty(m)
    for p in range(n):
        share = levels[p, 0]
        for q in range(m):
            towards[q] = 0.0
            for axis in range(3):
                towards[q] -= offsets[q, axis] * slopes[p, axis] / spacing[axis]
        left = share * m
        for q in np.argsort(towards):
            filled = min(1.0, max(0.0, left))
            left -= 1.0
            surplus[p, q] = (filled - share) / m
            for axis in range(3):
                moments[p, axis] += filled / m * offsets[q, axis]
    return surplus, moments


@njit(cache=True, nogil=True)
def part_table(spacing, per_axis, offsets, near, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Field at neighbour (u, v, w) of each part, per unit of voxel share; (.., .., .., m)."""
    m = offsets.shape[0]
    shape = (2 * near[0] + 1, 2 * near[1] + 1, 2 * near[2] + 1, m)
    table = np.empty(shape, np.float32)
    size = spacing / per_axis
    point = np.empty(3)
    for u in range(shape[0]):
        for v in range(shape[1]):
            for w in range(shape[2]):
                for q in range(m):
                    point[0] = (u - near[0]) * spacing[0] - offsets[q, 0]
                    point[1] = (v - near[1]) * spacing[1] - offsets[q, 1]
                    point[2] = (w - near[2]) * spacing[2] - offsets[q, 2]
                    # the part holds the whole share, so its own susceptibility is m times it
                    table[u, v, w, q] = m * minus_bnb(point, size, b)
    return table


@njit(cache=True, nogil=True)
def moment_table(spacing, far, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Change of the field at neighbour (u, v, w) per mm by which the voxel's metal moves."""
    shape = (2 * far[0] + 1, 2 * far[1] + 1, 2 * far[2] + 1, 3)
    table = np.empty(shape, np.float32)
    point = np.empty(3)
    for u in range(shape[0]):
        for v in range(shape[1]):
            for w in range(shape[2]):
                for axis in range(3):
                    step = 0.05 * spacing[axis]
                    value = 0.0
                    for side in (-1.0, 1.0):
                        point[0] = (u - far[0]) * spacing[0]
                        point[1] = (v - far[1]) * spacing[1]
                        point[2] = (w - far[2]) * spacing[2]
                        point[axis] -= side * step
                        value += side * minus_bnb(point, spacing, b)
                    table[u, v, w, axis] = value / (2.0 * step)
    return table


@njit(cache=True, nogil=True)
def add_near_field(  # type: ignore[no-untyped-def]
    low, high, found, levels, surplus, moments, part_field, moment_field, near, far, out
):  # pragma: no cover - compiled
    """Add the differences to the planes ``low <= k < high`` of ``out``."""
    n1, n2 = out.shape[1], out.shape[2]
    m = surplus.shape[1]
    for p in range(found.shape[0]):
        k0, j0, i0 = found[p, 0], found[p, 1], found[p, 2]
        if k0 + far[0] < low or k0 - far[0] >= high:
            continue
        span = levels[p, 1]
        for k in range(max(low, k0 - far[0]), min(high, k0 + far[0] + 1)):
            u = k - k0
            for j in range(max(0, j0 - far[1]), min(n1, j0 + far[1] + 1)):
                v = j - j0
                for i in range(max(0, i0 - far[2]), min(n2, i0 + far[2] + 1)):
                    w = i - i0
                    if abs(u) <= near[0] and abs(v) <= near[1] and abs(w) <= near[2]:
                        change = np.float32(0.0)
                        for q in range(m):
                            change += (
                                surplus[p, q] * part_field[u + near[0], v + near[1], w + near[2], q]
                            )
                    else:
                        row = moment_field[u + far[0], v + far[1], w + far[2]]
                        change = (
                            moments[p, 0] * row[0] + moments[p, 1] * row[1] + moments[p, 2] * row[2]
                        )
                    out[k, j, i] += span * change
