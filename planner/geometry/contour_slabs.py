"""Planar contours as slabs: which part of space each contour plane speaks for.

A contour is an outline in a plane; a structure has thickness. Every plane that has contours
owns the slab half way to its neighbours, and at the ends half the usual distance between
planes. The planes may be those of the image, lie between them, or have another direction:
each direction is a stack of its own.

Where planes are missing inside a stack, up to ``MAX_FILLED_PLANES`` of them, the contours
on either side both hold for the whole gap, for structures to avoid; for the others the gap
stays open. A longer gap stays open for all: it is the end of one part and the start of
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid

MAX_OUT_OF_PLANE_MM = 0.5
"""Points of a closed contour may lie this far apart across its plane; the slab holds them."""

MAX_FILLED_PLANES = 3
"""Missing contour planes in a row that are filled for structures to avoid."""

MAX_DIRECTIONS = 12
"""More directions of contour planes in one structure make no stacks."""

ON_PLANE_MM = 0.05
"""A contour within this of an image plane lies on it: coordinates are rounded. A slab may end
so much too early by its plane, and as much again by the step that planes tell."""

TILT_SPACING = 0.05
"""A contour that leaves its plane by no more than this part of a voxel is parallel to it."""

_MISSING_FROM = 1.5
"""A step from plane to plane of more usual steps than this leaves planes out."""


class Gap(NamedTuple):
    """Contour planes missing between two others."""

    length_mm: float
    n_missing: int
    is_filled: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContourPlane:
    """The contours of one plane, [v, u] in mm along the axes of their stack.

    ``at_mm`` is where the plane lies along the normal, ``low_mm`` and ``high_mm`` where its
    points do.
    """

    at_mm: float
    low_mm: float
    high_mm: float
    polygons: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ContourStack:
    """Contour planes of one direction.

    Attributes
    ----------
    axes : Grid
        ``axes.to_axes_mm`` gives [n, v, u]: mm along the normal and in the plane.
    is_parallel : bool
        To the slices of the image; ``axes`` is then the image's grid.
    planes : tuple of ContourPlane
        By rising ``at_mm``.
    image_step_mm : float
        Extent of an image voxel along the normal.
    """

    axes: Grid
    is_parallel: bool
    planes: tuple[ContourPlane, ...]
    image_step_mm: float

    @property
    def normal_lps(self) -> FloatArray:
        """Unit direction across the planes, shape (3,)."""
        return np.asarray(self.axes.axes_lps_from_kji[:, 0])

    @property
    def steps_mm(self) -> FloatArray:
        """Distances between neighbouring planes."""
        return np.diff([plane.at_mm for plane in self.planes])

    @property
    def is_on_image_planes(self) -> bool:
        """Whether every plane is one of the image."""
        spacing = self.axes.spacing_kji_mm[0]
        at = np.array([plane.at_mm for plane in self.planes]) / spacing
        return self.is_parallel and bool(np.all(at == np.rint(at)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Slab:
    """A plane's contours and the stretch along the normal that they hold for, in mm.

    ``low_mm`` to ``high_mm`` for structures to avoid; ``own_low_mm`` to ``own_high_mm``,
    without what fills gaps, for the others.
    """

    plane: ContourPlane
    low_mm: float
    high_mm: float
    own_low_mm: float
    own_high_mm: float


def stacks_of(contours: Sequence[FloatArray], image: Grid) -> tuple[ContourStack, ...]:
    """Closed contours sorted into planes and directions.

    Parameters
    ----------
    contours : sequence of ndarray, shape (n, 3), LPS, mm
        At least three points each, all finite.
    image : Grid
        Directions and planes that are those of the image are recognised.

    Raises
    ------
    MaskError
        If a contour is not planar (``where`` names its number, from 1), or there are
        more than ``MAX_DIRECTIONS``.
    """
    if not contours:
        return ()
    points = np.concatenate(contours)
    first = np.cumsum([0, *(len(c) for c in contours[:-1])])
    left = np.arange(len(contours))
    # The largest contour tells its direction best; smaller ones join it where they can.
    left = left[np.argsort(-_areas_mm2(points, first), kind="stable")]
    stacks: list[ContourStack] = []
    while left.size:
        if len(stacks) == MAX_DIRECTIONS:
            raise MaskError(
                "the contours lie in too many directions to be stacks of planes",
                seen=f"more than {MAX_DIRECTIONS}",
            )
        axes = _axes_of(contours[left[0]], int(left[0]), image)
        at_mm = axes.to_axes_mm(points)
        low = np.minimum.reduceat(at_mm[:, 0], first)
        high = np.maximum.reduceat(at_mm[:, 0], first)
        joins = high[left] - low[left] <= MAX_OUT_OF_PLANE_MM
        joins[0] = True
        members = np.sort(left[joins])
        outlines = [at_mm[first[n] : first[n] + len(contours[n]), 1:] for n in members]
        stacks.append(_stack(axes, image, low[members], high[members], outlines))
        left = left[~joins]
    return tuple(stacks)


def usual_step_mm(steps_mm: FloatArray) -> float | None:
    """The lower median of distances between planes; None of fewer than two."""
    if len(steps_mm) < 2:
        return None
    return float(np.sort(steps_mm)[(len(steps_mm) - 1) // 2])


def slabs_of(
    stack: ContourStack, others_step_mm: float | None = None
) -> tuple[tuple[Slab, ...], tuple[Gap, ...]]:
    """The stretch of each plane, and the gaps between them.

    ``others_step_mm`` is the usual step of other structures drawn alike: it is asked where
    a stack has too few planes to tell its own. Without it the image's step is taken.
    """
    steps = stack.steps_mm
    step = usual_step_mm(steps)
    if step is None:
        step = others_step_mm or stack.image_step_mm
        step = min([step, *steps])
    planes = stack.planes
    own = np.array([[p.at_mm - step / 2, p.at_mm + step / 2] for p in planes])
    held = own.copy()
    gaps: list[Gap] = []
    for n, length in enumerate(steps):
        n_missing = round(length / step) - 1 if length > _MISSING_FROM * step else 0
        if n_missing == 0:
            own[n, 1] = own[n + 1, 0] = (planes[n].at_mm + planes[n + 1].at_mm) / 2
            held[n, 1] = held[n + 1, 0] = own[n, 1]
            continue
        is_filled = n_missing <= MAX_FILLED_PLANES
        gaps.append(Gap(float(length), n_missing, is_filled))
        if is_filled:
            held[n, 1], held[n + 1, 0] = own[n + 1, 0], own[n, 1]
    slabs = tuple(
        Slab(
            plane=plane,
            low_mm=min(float(held[n, 0]), plane.low_mm),
            high_mm=max(float(held[n, 1]), plane.high_mm),
            own_low_mm=float(own[n, 0]),
            own_high_mm=float(own[n, 1]),
        )
        for n, plane in enumerate(planes)
    )
    return slabs, tuple(gaps)


def _stack(
    axes: Grid, image: Grid, low: FloatArray, high: FloatArray, outlines: list[FloatArray]
) -> ContourStack:
    spacing = axes.spacing_kji_mm[0]
    is_parallel = axes is image
    at = (low + high) / 2
    order = np.argsort(at, kind="stable")
    planes = []
    for members in np.split(order, np.flatnonzero(np.diff(at[order]) > ON_PLANE_MM) + 1):
        middle = float(at[members].mean())
        on_image = np.rint(middle / spacing) * spacing
        if is_parallel and abs(middle - on_image) <= ON_PLANE_MM:
            middle = float(on_image)
        planes.append(
            ContourPlane(
                at_mm=middle,
                low_mm=float(low[members].min()),
                high_mm=float(high[members].max()),
                polygons=tuple(outlines[n] for n in members),
            )
        )
    along = np.abs(axes.axes_lps_from_kji[:, 0] @ image.axes_lps_from_kji)
    return ContourStack(
        axes=axes,
        is_parallel=is_parallel,
        planes=tuple(planes),
        image_step_mm=float(along @ image.spacing_kji_mm),
    )


def _axes_of(contour: FloatArray, number: int, image: Grid) -> Grid:
    """The image's grid for a contour along its slices, else unit axes in the contour's plane."""
    spreads = np.ptp(image.to_axes_mm(contour), axis=0)
    within = spreads <= np.maximum(ON_PLANE_MM, TILT_SPACING * image.spacing_kji_mm)
    if within[0]:
        return image
    image_axes = image.axes_lps_from_kji
    if within.any():
        normal = image_axes[:, int(np.flatnonzero(within)[0])]
    else:
        centred = contour - contour.mean(axis=0)
        normal = np.linalg.svd(centred, full_matrices=False)[2][-1]
        spread = float(np.ptp(centred @ normal))
        if not (spread <= MAX_OUT_OF_PLANE_MM):
            raise MaskError(
                "a closed contour is not planar",
                seen=f"points up to {spread:.2f} mm apart across the best plane",
                needed=f"<= {MAX_OUT_OF_PLANE_MM:g} mm",
                where=f"contour {number + 1}",
                fix="Draw it again in one plane, or export the structure as a mask.",
            )
    in_plane = image_axes - np.outer(normal, normal @ image_axes)
    across = in_plane[:, int(np.argmax(np.linalg.norm(in_plane, axis=0)))]
    across = across / np.linalg.norm(across)
    axes = np.stack([normal, np.cross(normal, across), across], axis=1)
    return Grid.from_axes((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), axes, image.frame)


def _areas_mm2(points: FloatArray, first: NDArray[np.int64]) -> FloatArray:
    """Twice the area of each closed polygon, in its own plane; ``first`` is where each begins."""
    sizes = np.diff(np.append(first, len(points)))
    following = np.arange(1, len(points) + 1)
    following[first + sizes - 1] = first
    start = np.repeat(points[first], sizes, axis=0)
    twice = np.add.reduceat(np.cross(points - start, points[following] - start), first, axis=0)
    return np.asarray(np.linalg.norm(twice, axis=1))
