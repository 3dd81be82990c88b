"""The compiled loops of ``mesh_cover``: triangles on a lattice of voxels.

Points are [k, j, i] in voxels, shape (n, 3); an integer is a voxel centre. A triangle is
three of their numbers. Every kernel writes only the slices ``low_k <= k < high_k``, so that
threads can share the work.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def _clipped(  # type: ignore[no-untyped-def]
    points, n, axis, low, high, spare, out
):  # pragma: no cover - compiled
    """Number of corners of a convex polygon cut to ``low <= x <= high`` along an axis."""
    n_spare = 0
    for m in range(n):
        one, two = points[m], points[(m + 1) % n]
        if one[axis] >= low:
            spare[n_spare] = one
            n_spare += 1
        if (one[axis] < low) != (two[axis] < low):
            t = (low - one[axis]) / (two[axis] - one[axis])
            for c in range(3):
                spare[n_spare, c] = one[c] + t * (two[c] - one[c])
            spare[n_spare, axis] = low
            n_spare += 1
    n_out = 0
    for m in range(n_spare):
        one, two = spare[m], spare[(m + 1) % n_spare]
        if one[axis] <= high:
            out[n_out] = one
            n_out += 1
        if (one[axis] > high) != (two[axis] > high):
            t = (high - one[axis]) / (two[axis] - one[axis])
            for c in range(3):
                out[n_out, c] = one[c] + t * (two[c] - one[c])
            out[n_out, axis] = high
            n_out += 1
    return n_out


@nb.njit(cache=True, nogil=True)
def mark_triangles(  # type: ignore[no-untyped-def]
    points, triangles, half, low_k, high_k, out
):  # pragma: no cover - compiled
    """Set each voxel of ``out`` whose box of half size ``half`` a triangle meets.

    Exact: the triangle is cut to the slab of a slice, that to the strip of a row, and what
    is left of it, being convex, has one run of columns. The cost is that of the voxels set
    and the rows crossed, however large a triangle is. A segment is a triangle with two
    corners the same, a point one with three.
    """
    n_j, n_i = out.shape[1], out.shape[2]
    triangle = np.empty((3, 3))
    in_slice = np.empty((16, 3))
    in_row = np.empty((16, 3))
    spare = np.empty((16, 3))
    for t in range(triangles.shape[0]):
        a, b, c = points[triangles[t, 0]], points[triangles[t, 1]], points[triangles[t, 2]]
        bottom = min(a[0], b[0], c[0])
        top = max(a[0], b[0], c[0])
        first_k = math.ceil(max(bottom - half[0], float(low_k)))
        last_k = math.floor(min(top + half[0], high_k - 1.0))
        if first_k > last_k:
            continue
        triangle[0], triangle[1], triangle[2] = a, b, c
        for k in range(first_k, last_k + 1):
            n = _clipped(triangle, 3, 0, k - half[0], k + half[0], spare, in_slice)
            if n == 0:
                continue
            bottom = top = in_slice[0, 1]
            for m in range(1, n):
                bottom = min(bottom, in_slice[m, 1])
                top = max(top, in_slice[m, 1])
            first_j = math.ceil(max(bottom - half[1], 0.0))
            last_j = math.floor(min(top + half[1], n_j - 1.0))
            for j in range(first_j, last_j + 1):
                n_row = _clipped(in_slice, n, 1, j - half[1], j + half[1], spare, in_row)
                if n_row == 0:
                    continue
                left = right = in_row[0, 2]
                for m in range(1, n_row):
                    left = min(left, in_row[m, 2])
                    right = max(right, in_row[m, 2])
                first_i = math.ceil(max(left - half[2], 0.0))
                last_i = math.floor(min(right + half[2], n_i - 1.0))
                for i in range(first_i, last_i + 1):
                    out[k, j, i] = True


@nb.njit(cache=True, nogil=True)
def _is_left(a, b, k, j):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Side of a point to an edge in the (k, j) plane; equal numbers for both its triangles."""
    if a[0] < b[0] or (a[0] == b[0] and a[1] < b[1]):
        return (b[0] - a[0]) * (j - a[1]) - (b[1] - a[1]) * (k - a[0])
    return -((a[0] - b[0]) * (j - b[1]) - (a[1] - b[1]) * (k - b[0]))


@nb.njit(cache=True, nogil=True)
def add_crossings(  # type: ignore[no-untyped-def]
    points, triangles, low_k, high_k, out
):  # pragma: no cover - compiled
    """Write to ``out`` how often the surface was entered on the way to each voxel centre.

    The way is along i from outside; entering counts 1 and leaving -1 where the triangles
    are turned alike, so the number is odd or not zero inside. A line through an edge or a
    corner belongs to one of the triangles there only.
    """
    n_j, n_i = out.shape[1], out.shape[2]
    for t in range(triangles.shape[0]):
        a, b, c = points[triangles[t, 0]], points[triangles[t, 1]], points[triangles[t, 2]]
        first_k = math.ceil(max(min(a[0], b[0], c[0]), float(low_k)))
        last_k = math.floor(min(max(a[0], b[0], c[0]), high_k - 1.0))
        if first_k > last_k:
            continue
        first_j = math.ceil(max(min(a[1], b[1], c[1]), 0.0))
        last_j = math.floor(min(max(a[1], b[1], c[1]), n_j - 1.0))
        for k in range(first_k, last_k + 1):
            for j in range(first_j, last_j + 1):
                turn = _crossing(a, b, c, float(k), float(j))
                if turn == 0:
                    continue
                wa = _is_left(b, c, float(k), float(j))
                wb = _is_left(c, a, float(k), float(j))
                wc = _is_left(a, b, float(k), float(j))
                total = wa + wb + wc
                if total == 0.0:
                    continue
                at = (wa * a[2] + wb * b[2] + wc * c[2]) / total
                if at <= n_i - 1:
                    out[k, j, math.ceil(max(at, 0.0))] += turn
    for k in range(low_k, high_k):
        for j in range(n_j):
            total_in = 0
            for i in range(n_i):
                total_in += out[k, j, i]
                out[k, j, i] = total_in


@nb.njit(cache=True, nogil=True)
def _crossing(a, b, c, k, j):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """How a line along i at (k, j) crosses a triangle: -1, 0 (not at all) or 1.

    The winding number of the triangle, seen along i, about the point: the edges on its -j
    side, each counted half-open in k. An edge gives its two triangles opposite numbers,
    so nothing is counted twice or not at all where triangles join.
    """
    turn = 0
    for m in range(3):
        if m == 0:
            p, q = a, b
        elif m == 1:
            p, q = b, c
        else:
            p, q = c, a
        if (p[0] <= k) == (q[0] <= k):
            continue
        side = _is_left(p, q, k, j)
        if p[0] <= k:
            if side > 0.0:
                turn += 1
        elif side < 0.0:
            turn -= 1
    return turn
