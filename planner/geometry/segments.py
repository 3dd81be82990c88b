"""Exact distance from a segment to an axis-aligned box: the atom of every clearance.

For a box with centre c and half edges h, the squared distance from the point
a + t (b - a) is sum over axes of max(|a + t (b - a) - c| - h, 0)^2: convex in t
and quadratic between the six values of t where the line meets a face plane.
Its derivative is monotone, so each such t tells on which side the minimum
lies; between the last two the derivative is linear and its root is exact.

All kernels work in a frame where voxels are axis-aligned boxes
(``Grid.to_axes_mm``), in millimetres.
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True, inline="always")
def box_point_squared(x, y, z, cx, cy, cz, hx, hy, hz):  # type: ignore[no-untyped-def]
    """Squared distance from a point to a box."""
    dx = max(abs(x - cx) - hx, 0.0)
    dy = max(abs(y - cy) - hy, 0.0)
    dz = max(abs(z - cz) - hz, 0.0)
    return dx * dx + dy * dy + dz * dz


@nb.njit(cache=True, nogil=True)
def _slope(t, a, d, c, h):  # type: ignore[no-untyped-def]
    """Half the derivative of the squared distance at t."""
    total = 0.0
    for axis in range(3):
        offset = a[axis] + t * d[axis] - c[axis]
        if offset > h[axis]:
            total += (offset - h[axis]) * d[axis]
        elif offset < -h[axis]:
            total += (offset + h[axis]) * d[axis]
    return total


@nb.njit(cache=True, nogil=True)
def segment_box_squared(a, b, c, h):  # type: ignore[no-untyped-def]
    """Squared distance from the segment a-b to a box, and where on the segment.

    Parameters
    ----------
    a, b, c, h : float64 arrays, shape (3,)
        Segment ends, box centre, half edges; mm, axes of the box.

    Returns
    -------
    squared_mm2 : float
    t : float
        0 at ``a``, 1 at ``b``; the smallest t of a minimum.
    """
    d = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
    low, high = 0.0, 1.0
    slope_low = _slope(0.0, a, d, c, h)
    if slope_low >= 0.0:
        t = 0.0
    else:
        slope_high = _slope(1.0, a, d, c, h)
        if slope_high < 0.0:
            t = 1.0
        else:
            for axis in range(3):
                if d[axis] != 0.0:
                    for side in (-1.0, 1.0):
                        t_face = (c[axis] + side * h[axis] - a[axis]) / d[axis]
                        if low < t_face < high:
                            slope = _slope(t_face, a, d, c, h)
                            if slope < 0.0:
                                low, slope_low = t_face, slope
                            else:
                                high, slope_high = t_face, slope
            rise = slope_high - slope_low
            t = low - slope_low * (high - low) / rise if rise > 0.0 else low
            t = min(max(t, low), high)
    squared = box_point_squared(
        a[0] + t * d[0], a[1] + t * d[1], a[2] + t * d[2], c[0], c[1], c[2], h[0], h[1], h[2]
    )
    return squared, t


@nb.njit(cache=True, nogil=True)
def nearest_box_near(inside, spacing, a, b, reach, stop_below):  # type: ignore[no-untyped-def]
    """Nearest set voxel box to the segment a-b among those within ``reach``.

    Scans every voxel whose box can come within ``reach`` of the segment's
    bounding box. Ends early once the squared distance is below ``stop_below``.

    Returns
    -------
    squared_mm2 : float
        ``reach ** 2`` when no set voxel is nearer.
    t : float
        Where on the segment; -1 when none.
    k, j, i : int
        The voxel; -1 when none.
    """
    best, best_t = reach * reach, -1.0
    best_k, best_j, best_i = -1, -1, -1
    h = 0.5 * spacing
    start = np.empty(3, np.int64)
    stop = np.empty(3, np.int64)
    for axis in range(3):
        low = min(a[axis], b[axis]) - reach
        high = max(a[axis], b[axis]) + reach
        start[axis] = max(0, int(np.ceil(low / spacing[axis] - 0.5)))
        stop[axis] = min(inside.shape[axis], int(np.floor(high / spacing[axis] + 0.5)) + 1)
    c = np.empty(3)
    for k in range(start[0], stop[0]):
        c[0] = k * spacing[0]
        for j in range(start[1], stop[1]):
            c[1] = j * spacing[1]
            for i in range(start[2], stop[2]):
                if not inside[k, j, i]:
                    continue
                c[2] = i * spacing[2]
                squared, t = segment_box_squared(a, b, c, h)
                if squared < best:
                    best, best_t = squared, t
                    best_k, best_j, best_i = k, j, i
                    if best < stop_below:
                        return best, best_t, best_k, best_j, best_i
    return best, best_t, best_k, best_j, best_i
