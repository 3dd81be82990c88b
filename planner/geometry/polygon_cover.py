"""Closed polygons of one plane on a lattice of pixels: touched at all, or centre inside.

Which side of a doubtful case is safe depends on what the region is for, so there are two
rules, and they differ in more than the width of the edge:

`touched_pixels`, for what must be avoided, errs to the large side. A pixel counts when its
box meets the region. A polygon is a hole only where it lies wholly inside others, an odd
number of them, and meets none; polygons that cross, touch or repeat each other are joined.
A polygon that winds about a point counts there, however often it does.

`centre_pixels`, for body, target and allowed, errs to the small side: the centre of the
pixel is in an odd number of polygons.

One polygon may hold a hole of its own, joined to the outer edge by a cut that is walked
there and back ("keyhole"); both rules leave such a hole open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.geometry.frames import FloatArray

BoolArray = NDArray[np.bool_]

MEET_TOL_PX = 1e-3
"""Edges nearer than this to each other count as meeting: such polygons are joined."""

MAX_PAIRS = 20_000_000
"""Pairs of edges compared in one plane; beyond, polygons whose boxes overlap are joined."""

MAX_NESTED = 4000
"""More polygons than this in one plane are joined without looking for holes."""

MAX_PIXELS = 2_000_000_000
"""Sum of the pixels of the boxes around the polygons of one plane."""


@dataclass(frozen=True, slots=True, eq=False)
class PlanePolygons:
    """The polygons of one plane; points are [v, u] in pixels of the lattice.

    Attributes
    ----------
    points : ndarray, shape (n, 2)
    starts : ndarray of int, shape (m + 1,)
        Polygon ``p`` is ``points[starts[p]:starts[p + 1]]``, closed on itself.
    """

    points: FloatArray
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, polygons: Sequence[FloatArray]) -> PlanePolygons:
        """From one (n, 2) array for each polygon; empty ones are dropped."""
        kept = [np.asarray(p, dtype=np.float64).reshape(-1, 2) for p in polygons if len(p)]
        points = np.concatenate(kept) if kept else np.zeros((0, 2))
        sizes = np.cumsum([0, *(len(p) for p in kept)])
        return cls(np.ascontiguousarray(points), np.asarray(sizes, dtype=np.int64))

    @property
    def n_polygons(self) -> int:
        """Number of polygons."""
        return self.starts.size - 1

    def boxes(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest v and u of each polygon, two arrays of shape (m, 2)."""
        if self.n_polygons == 0:
            return np.zeros((0, 2)), np.zeros((0, 2))
        first = self.starts[:-1]
        return (
            np.minimum.reduceat(self.points, first, axis=0),
            np.maximum.reduceat(self.points, first, axis=0),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TouchedPixels:
    """``inside`` [v, u] and how it came about; ``n_joined`` polygons met another one."""

    inside: BoolArray
    n_holes: int
    n_joined: int


def touched_pixels(
    plane: PlanePolygons, shape_vu: tuple[int, int], half_vu: tuple[float, float]
) -> TouchedPixels:
    """The pixels whose box meets the region, for what must be avoided.

    Parameters
    ----------
    plane : PlanePolygons
        May reach beyond the lattice.
    shape_vu : tuple of int
    half_vu : tuple of float
        Half size of the box around a pixel centre, in pixels. 0.5 is the pixel; 1.0 is the
        pixel and half a pixel around it, which is the same as a region grown by half a
        pixel.

    Returns
    -------
    TouchedPixels
        No point of the region lies in the box of a pixel that is not set, and every set
        pixel has a point of the region in its box.

    Raises
    ------
    MaskError
        If there is more to fill than ``MAX_PIXELS``.

    Examples
    --------
    >>> square = np.array([[1.0, 1.0], [1.0, 3.0], [2.0, 3.0], [2.0, 1.0]])
    >>> touched_pixels(PlanePolygons.of([square]), (4, 5), (0.5, 0.5)).inside.sum()
    np.int64(6)
    """
    from planner.geometry.contour_kernels import mark_edges

    inside = np.zeros(shape_vu, bool)
    _check_amount(plane, shape_vu)
    depth, meets = _nesting(plane)
    is_hole = (depth % 2 == 1) & ~meets
    # Outer ones first: a hole is cut before the islands in it are put back. What lies over
    # a hole lies in it, and so deeper: else it would meet the hole, which then were none.
    for n in np.argsort(depth, kind="stable"):
        window, turns = _winding(plane, int(n), shape_vu)
        if is_hole[n]:
            inside[window] &= turns == 0
        else:
            inside[window] |= turns != 0
    mark_edges(plane.points, plane.starts, *half_vu, inside)
    return TouchedPixels(
        inside=inside,
        n_holes=int(np.count_nonzero(is_hole)),
        n_joined=int(np.count_nonzero(meets)),
    )


def centre_pixels(plane: PlanePolygons, shape_vu: tuple[int, int]) -> BoolArray:
    """The pixels whose centre lies in an odd number of polygons, [v, u] bool.

    Not for structures to avoid: what is thinner than a pixel may vanish.
    Parameters, Raises: as `touched_pixels`.
    """
    inside = np.zeros(shape_vu, bool)
    _check_amount(plane, shape_vu)
    for n in range(plane.n_polygons):
        window, turns = _winding(plane, n, shape_vu)
        inside[window] ^= turns % 2 == 1
    return inside


def _nesting(plane: PlanePolygons) -> tuple[NDArray[np.int64], BoolArray]:
    from planner.geometry.contour_kernels import nesting

    depth = np.zeros(plane.n_polygons, np.int64)
    meets = np.zeros(plane.n_polygons, bool)
    if plane.n_polygons > MAX_NESTED:
        meets[:] = True
    elif plane.n_polygons > 1:
        low, high = plane.boxes()
        nesting(plane.points, plane.starts, low, high, MEET_TOL_PX, MAX_PAIRS, depth, meets)
    return depth, meets


def _winding(
    plane: PlanePolygons, n: int, shape_vu: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.int32]]:
    """Winding numbers of one polygon in the part of the lattice that it can reach."""
    from planner.geometry.contour_kernels import windings

    begin, end = int(plane.starts[n]), int(plane.starts[n + 1])
    points = plane.points[begin:end]
    low = np.clip(np.ceil(points.min(axis=0)), 0, shape_vu).astype(np.int64)
    stop = np.clip(np.floor(points.max(axis=0)) + 1, low, shape_vu).astype(np.int64)
    turns = np.zeros(stop - low, np.int32)
    if turns.size:
        windings(plane.points, begin, end, int(low[0]), int(low[1]), turns)
    return (slice(int(low[0]), int(stop[0])), slice(int(low[1]), int(stop[1]))), turns


def _check_amount(plane: PlanePolygons, shape_vu: tuple[int, int]) -> None:
    low, high = plane.boxes()
    sizes = np.clip(high, 0, shape_vu) - np.clip(low, 0, shape_vu)
    n_pixels = float(np.prod(sizes, axis=1).sum()) if plane.n_polygons else 0.0
    if not (n_pixels <= MAX_PIXELS):
        raise MaskError(
            "the contours of one plane fill too many pixels",
            seen=f"{n_pixels:.2g} pixels in {plane.n_polygons} contours",
            needed=f"<= {MAX_PIXELS:.2g}",
            fix="Is it one contour for every pixel? Export the outlines only.",
        )
