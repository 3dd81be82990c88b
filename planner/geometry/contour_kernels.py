"""The compiled loops of ``polygon_cover``: closed polygons on a lattice of pixels.

Points are [v, u] = [row, column] in pixels; an integer is a pixel centre. All polygons of
a plane lie one behind the other in ``points``; polygon ``n`` is ``starts[n]:starts[n + 1]``,
and its last point is joined to its first.
"""

from __future__ import annotations

import math

import numba as nb


@nb.njit(cache=True, nogil=True)
def mark_edges(  # type: ignore[no-untyped-def]
    points, starts, half_v, half_u, out
):  # pragma: no cover - compiled
    """Set each pixel of ``out`` whose box of half size ``half_v, half_u`` an edge meets.

    Exact: an edge is cut to the strip of a row, and what is left of it has one run of
    columns. The cost is that of the pixels set and the rows crossed.
    """
    n_v, n_u = out.shape
    for n in range(starts.size - 1):
        previous = starts[n + 1] - 1
        for m in range(starts[n], starts[n + 1]):
            v0, u0 = points[previous, 0], points[previous, 1]
            v1, u1 = points[m, 0], points[m, 1]
            previous = m
            if v0 > v1:
                v0, u0, v1, u1 = v1, u1, v0, u0
            first = math.ceil(max(v0 - half_v, 0.0))
            last = math.floor(min(v1 + half_v, n_v - 1.0))
            for row in range(first, last + 1):
                at0, at1 = u0, u1
                if v1 > v0:
                    slope = (u1 - u0) / (v1 - v0)
                    if row - half_v > v0:
                        at0 = u0 + (row - half_v - v0) * slope
                    if row + half_v < v1:
                        at1 = u0 + (row + half_v - v0) * slope
                low = math.ceil(max(min(at0, at1) - half_u, 0.0))
                high = math.floor(min(max(at0, at1) + half_u, n_u - 1.0))
                for column in range(low, high + 1):
                    out[row, column] = True


@nb.njit(cache=True, nogil=True)
def windings(  # type: ignore[no-untyped-def]
    points, begin, end, first_v, first_u, out
):  # pragma: no cover - compiled
    """Write the winding number of one polygon about the pixel centres of a window to ``out``.

    The window starts at pixel ``first_v, first_u``. A centre on an edge counts on one side
    of it only, so polygons that share an edge do not share a pixel.
    """
    n_v, n_u = out.shape
    out[:] = 0
    previous = end - 1
    for m in range(begin, end):
        v0, u0 = points[previous, 0] - first_v, points[previous, 1] - first_u
        v1, u1 = points[m, 0] - first_v, points[m, 1] - first_u
        previous = m
        turn = 1
        if v0 > v1:
            v0, u0, v1, u1 = v1, u1, v0, u0
            turn = -1
        if v0 == v1:
            continue
        slope = (u1 - u0) / (v1 - v0)
        first = math.ceil(max(v0, 0.0))
        last = math.ceil(min(v1, float(n_v))) - 1
        for row in range(first, last + 1):
            crossed = u0 + (row - v0) * slope
            if crossed <= n_u - 1:
                out[row, math.ceil(max(crossed, 0.0))] += turn
    for row in range(n_v):
        total = 0
        for column in range(n_u):
            total += out[row, column]
            out[row, column] = total


@nb.njit(cache=True, nogil=True)
def winding_about(points, begin, end, v, u):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Winding number of one polygon about a point that is not on its edges."""
    total = 0
    previous = end - 1
    for m in range(begin, end):
        v0, u0, v1, u1 = points[previous, 0], points[previous, 1], points[m, 0], points[m, 1]
        previous = m
        if (v0 <= v) == (v1 <= v):
            continue
        if u0 + (v - v0) * (u1 - u0) / (v1 - v0) <= u:
            total += 1 if v0 <= v else -1
    return total


@nb.njit(cache=True, nogil=True)
def _turn(v0, u0, v1, u1, v2, u2, slack):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Side of the third point: -1, 0 (within ``slack`` of the line), 1."""
    area = (v1 - v0) * (u2 - u0) - (u1 - u0) * (v2 - v0)
    reach = slack * (abs(v1 - v0) + abs(u1 - u0))
    if area > reach:
        return 1
    return -1 if area < -reach else 0


@nb.njit(cache=True, nogil=True)
def _edges_meet(p0, p1, q0, q1, slack):  # type: ignore[no-untyped-def]  # pragma: no cover
    for axis in range(2):
        if min(p0[axis], p1[axis]) > max(q0[axis], q1[axis]) + slack:
            return False
        if min(q0[axis], q1[axis]) > max(p0[axis], p1[axis]) + slack:
            return False
    a = _turn(p0[0], p0[1], p1[0], p1[1], q0[0], q0[1], slack)
    b = _turn(p0[0], p0[1], p1[0], p1[1], q1[0], q1[1], slack)
    c = _turn(q0[0], q0[1], q1[0], q1[1], p0[0], p0[1], slack)
    d = _turn(q0[0], q0[1], q1[0], q1[1], p1[0], p1[1], slack)
    return a * b <= 0 and c * d <= 0


@nb.njit(cache=True, nogil=True)
def _outlines_meet(  # type: ignore[no-untyped-def]
    points, starts, a, b, low, high, slack, max_pairs
):  # pragma: no cover - compiled
    """Whether an edge of polygon ``a`` meets one of ``b``, and how many pairs it took.

    With more than ``max_pairs`` to compare, they are said to meet.
    """
    n_pairs = starts[a + 1] - starts[a]
    p0 = starts[a + 1] - 1
    for p1 in range(starts[a], starts[a + 1]):
        if n_pairs > max_pairs:
            return True, n_pairs
        start, p0 = p0, p1
        off = False
        for axis in range(2):
            one, two = points[start, axis], points[p1, axis]
            if min(one, two) > high[b, axis] + slack or max(one, two) < low[b, axis] - slack:
                off = True
        if off:
            continue
        n_pairs += starts[b + 1] - starts[b]
        q0 = starts[b + 1] - 1
        for q1 in range(starts[b], starts[b + 1]):
            if _edges_meet(points[start], points[p1], points[q0], points[q1], slack):
                return True, n_pairs
            q0 = q1
    return n_pairs > max_pairs, n_pairs


@nb.njit(cache=True, nogil=True)
def nesting(  # type: ignore[no-untyped-def]
    points, starts, low, high, slack, max_pairs, depth, meets
):  # pragma: no cover - compiled
    """How many polygons each one lies in, and whether its edge meets that of another.

    Parameters
    ----------
    points : (n, 2), starts : (m + 1,)
    low, high : (m, 2)
        Bounding box of each polygon.
    slack : float
        Edges nearer to each other than about this meet.
    max_pairs : int
        Pairs of edges compared at most; from then on polygons whose boxes overlap meet.
    depth : (m,) int, meets : (m,) bool
        Written.
    """
    n_polygons = starts.size - 1
    left = max_pairs
    for a in range(n_polygons):
        for b in range(a + 1, n_polygons):
            apart = False
            for axis in range(2):
                if low[a, axis] > high[b, axis] + slack or low[b, axis] > high[a, axis] + slack:
                    apart = True
            if apart:
                continue
            met, n_pairs = _outlines_meet(points, starts, a, b, low, high, slack, left)
            left -= n_pairs
            if met:
                meets[a] = True
                meets[b] = True
                continue
            at_a, at_b = points[starts[a]], points[starts[b]]
            if winding_about(points, starts[a], starts[a + 1], at_b[0], at_b[1]) != 0:
                depth[b] += 1
            elif winding_about(points, starts[b], starts[b + 1], at_a[0], at_a[1]) != 0:
                depth[a] += 1
