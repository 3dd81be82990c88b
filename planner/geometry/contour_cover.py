"""Contours onto the voxels of an image: nothing of a structure to avoid is lost.

`cover_contours` is for obstacles. Contours are taken as slabs (`contour_slabs`), and each
is grown by half a voxel in its plane: many tools trace an outline through the centres of
the outermost pixels, half a pixel inside the structure. Every voxel whose box meets a grown
slab is set. Open contours and points have no inside; the voxels within half a voxel of
them are set.

`contours_at_centres` is for body, target and allowed: voxels whose centre lies in a slab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.geometry.contour_slabs import ContourStack, Slab
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid
from planner.geometry.lattice import OVERLAP_TOL_VOX, TransferMethod
from planner.geometry.mesh_cover import cover_line
from planner.geometry.polygon_cover import (
    BoolArray,
    PlanePolygons,
    centre_pixels,
    touched_pixels,
)
from planner.geometry.resample import MaskTransfer, cover_mask, nearest_mask
from planner.geometry.volume import Mask

GROWN_PX = 0.5
"""Contours of obstacles are grown by so much of a voxel, against tracing on pixel centres."""

TOUCH_TOL_PX = 0.01
"""A grown contour that reaches no deeper than this into a voxel only touches it.

Contours on pixel centres so give back their own pixels in spite of rounded coordinates. The
contour itself stays 0.49 of a voxel inside what is set.
"""

MAX_FINE_PIXELS = 20_000_000
"""Pixels of the lattice in a contour plane that is not along the image's slices."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SlabStack:
    """The slabs of one direction of contour planes."""

    stack: ContourStack
    slabs: tuple[Slab, ...]


def cover_contours(
    stacks: Sequence[SlabStack], lines_lps_mm: Sequence[FloatArray], grid: Grid
) -> MaskTransfer:
    """The voxels that a structure drawn as contours may reach, for what must be avoided.

    Parameters
    ----------
    stacks : sequence of SlabStack
        Closed contours; see `contour_slabs`.
    lines_lps_mm : sequence of ndarray, shape (n, 3)
        Open contours; one point is a line of no length.
    grid : Grid
        Of the image.

    Returns
    -------
    MaskTransfer
        No point of a slab or line lies in a voxel that is not set, but for the last
        ``2 * ON_PLANE_MM`` of a stack along the slices. ``grown_mm`` is a bound
        for the other direction: how far a set voxel may reach from the slabs.

    Raises
    ------
    MaskError
        If the contours of a plane fill too many pixels.
    """
    inside = np.zeros(grid.shape_kji, bool)
    grown_mm = 0.0
    for one in stacks:
        cover = _cover_parallel if one.stack.is_parallel else _cover_oblique
        grown_mm = max(grown_mm, cover(one, grid, inside))
    half = np.full(3, 0.5 + GROWN_PX - TOUCH_TOL_PX)
    for line in lines_lps_mm:
        cover_line(grid.to_kji(line), half, inside)
        grown_mm = max(grown_mm, float(np.linalg.norm((0.5 + half) * grid.spacing_kji_mm)))
    return _transfer(grid, inside, TransferMethod.COVER, grown_mm)


def contours_at_centres(stacks: Sequence[SlabStack], grid: Grid) -> MaskTransfer:
    """The voxels whose centre lies in a slab: for body, target, allowed.

    Not for structures to avoid. Gaps between contour planes stay open, and open contours
    are not areas. Parameters, Raises: as `cover_contours`.

    Returns
    -------
    MaskTransfer
        ``grown_mm`` is half the diagonal of a voxel.
    """
    inside = np.zeros(grid.shape_kji, bool)
    spacing = grid.spacing_kji_mm
    grown_mm = float(np.linalg.norm(spacing)) / 2
    for one in stacks:
        for slab in one.slabs:
            if not one.stack.is_parallel:
                low, high = slab.own_low_mm, slab.own_high_mm
                fine, pixels = _fine_plane(one.stack, slab, (low, high), grid, None)
                grown_mm = max(
                    grown_mm, float(np.linalg.norm(spacing)) / 2 + _diagonal_mm(fine) / 2
                )
                _place(nearest_mask, fine, pixels, grid, inside)
                continue
            first = max(0, int(np.ceil(slab.own_low_mm / spacing[0] - OVERLAP_TOL_VOX)))
            stop = int(np.ceil(slab.own_high_mm / spacing[0] - OVERLAP_TOL_VOX))
            if first < min(stop, grid.shape_kji[0]):
                plane = PlanePolygons.of([p / spacing[1:] for p in slab.plane.polygons])
                inside[first:stop] |= centre_pixels(plane, grid.shape_kji[1:])
    return _transfer(grid, inside, TransferMethod.NEAREST, grown_mm)


def _cover_parallel(one: SlabStack, grid: Grid, inside: BoolArray) -> float:
    """Slabs along the image's slices; returns the growth in mm."""
    spacing = grid.spacing_kji_mm
    half = 0.5 + GROWN_PX - TOUCH_TOL_PX
    past_vox = 0.0
    for slab in one.slabs:
        low, high = slab.low_mm / spacing[0], slab.high_mm / spacing[0]
        first = int(np.floor(low + 0.5 + OVERLAP_TOL_VOX))
        last = int(np.ceil(high - 0.5 - OVERLAP_TOL_VOX))
        past_vox = max(past_vox, low - (first - 0.5), last + 0.5 - high)
        first, last = max(first, 0), min(last, grid.shape_kji[0] - 1)
        if first > last:
            continue
        plane = PlanePolygons.of([p / spacing[1:] for p in slab.plane.polygons])
        inside[first : last + 1] |= touched_pixels(plane, grid.shape_kji[1:], (half, half)).inside
    past_vox = past_vox if past_vox > OVERLAP_TOL_VOX else 0.0
    return float(np.linalg.norm(np.array([past_vox, 0.5 + half, 0.5 + half]) * spacing))


def _cover_oblique(one: SlabStack, grid: Grid, inside: BoolArray) -> float:
    """Slabs of another direction, over a lattice in their own planes."""
    # Half a voxel of the image, seen along the axes of the plane.
    turned = np.abs(one.stack.axes.axes_lps_from_kji[:, 1:].T @ grid.axes_lps_from_kji)
    by_mm = GROWN_PX * (turned @ grid.spacing_kji_mm)
    worst_mm = 0.0
    for slab in one.slabs:
        fine, pixels = _fine_plane(one.stack, slab, (slab.low_mm, slab.high_mm), grid, by_mm)
        edge_mm = float(np.linalg.norm(by_mm + fine.spacing_kji_mm[1:]))
        worst_mm = max(worst_mm, edge_mm + _place(cover_mask, fine, pixels, grid, inside))
    return worst_mm


def _fine_plane(
    stack: ContourStack,
    slab: Slab,
    ends_mm: tuple[float, float],
    grid: Grid,
    grown_mm: FloatArray | None,
) -> tuple[Grid, BoolArray]:
    """A slab on pixels in its own plane, as one layer of voxels as thick as the slab.

    Only where the image is; ``grown_mm`` None asks for pixel centres.
    """
    reach = np.zeros(2) if grown_mm is None else grown_mm
    points = np.concatenate(slab.plane.polygons)
    image = stack.axes.to_axes_mm(grid.corners_lps_mm())[:, 1:]
    low = np.maximum(points.min(axis=0) - reach, image.min(axis=0))
    high = np.maximum(np.minimum(points.max(axis=0) + reach, image.max(axis=0)), low)
    pixel_mm = float(grid.spacing_kji_mm.min()) / (1 if grown_mm is not None else 2)
    pixel_mm = max(pixel_mm, float(np.sqrt(np.prod(high - low + pixel_mm) / MAX_FINE_PIXELS)))
    n_v, n_u = (int(n) for n in np.ceil((high - low) / pixel_mm) + 1)
    start = (low + high) / 2 - pixel_mm * (np.array([n_v, n_u]) - 1) / 2
    fine = Grid.from_axes(
        (1, n_v, n_u),
        (ends_mm[1] - ends_mm[0], pixel_mm, pixel_mm),
        stack.axes.axes_lps_from_kji @ np.array([sum(ends_mm) / 2, *start])
        + stack.axes.origin_lps_mm,
        stack.axes.axes_lps_from_kji,
        grid.frame,
    )
    plane = PlanePolygons.of([(p - start) / pixel_mm for p in slab.plane.polygons])
    if grown_mm is None:
        return fine, centre_pixels(plane, (n_v, n_u))
    half_v, half_u = 0.5 + grown_mm / pixel_mm
    return fine, touched_pixels(plane, (n_v, n_u), (float(half_v), float(half_u))).inside


def _place(transfer, fine: Grid, pixels: BoolArray, grid: Grid, inside: BoolArray) -> float:  # type: ignore[no-untyped-def]
    """Add one layer to the mask, looking only at the part of the image that it can reach."""
    at = grid.to_kji(fine.corners_lps_mm())
    start = np.clip(np.floor(at.min(axis=0)) - 1, 0, grid.shape_kji).astype(np.int64)
    stop = np.clip(np.ceil(at.max(axis=0)) + 2, 0, grid.shape_kji).astype(np.int64)
    if np.any(start >= stop):
        return 0.0
    moved = transfer(Mask(grid=fine, inside=pixels[None]), grid.cropped(start, stop))
    inside[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] |= moved.mask.inside
    return float(moved.grown_mm)


def _diagonal_mm(fine: Grid) -> float:
    return float(np.linalg.norm(fine.spacing_kji_mm[1:]))


def _transfer(
    grid: Grid, inside: BoolArray, method: TransferMethod, grown_mm: float
) -> MaskTransfer:
    mask = Mask(grid=grid, inside=inside)
    return MaskTransfer(mask=mask, method=method, grown_mm=grown_mm, n_outside=0)
