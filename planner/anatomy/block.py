"""A part of the image grid to work in: distances in mm and points in LPS, for any orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from planner.errors import AnatomyError
from planner.geometry import Grid, Mask
from planner.geometry.frames import CRANIAL_LPS, LEFT_LPS, FloatArray, unit

BoolArray = NDArray[np.bool_]

NEIGHBOURS = np.ones((3, 3, 3), bool)
"""Voxels that share a face, an edge or a corner."""

MIN_LEFT_COSINE = 0.5
"""How well an axis found in the anatomy must agree with the patient's left (60 degrees)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """A box of voxels of the image grid."""

    grid: Grid
    whole: Grid
    start_kji: tuple[int, int, int]

    @classmethod
    def around(cls, grid: Grid, inside: BoolArray, margin_mm: float) -> Block:
        """The box that holds every voxel inside, and the margin as far as the image goes."""
        bounds = Mask(grid=grid, inside=inside).bounds_kji()
        if bounds is None:
            raise AnatomyError("a label that is needed has no voxel in the image")
        reach = np.ceil(margin_mm / grid.spacing_kji_mm).astype(np.int64)
        start = np.maximum(bounds[0] - reach, 0)
        stop = np.minimum(bounds[1] + reach, grid.shape_kji)
        low = (int(start[0]), int(start[1]), int(start[2]))
        return cls(grid=grid.cropped(start, stop), whole=grid, start_kji=low)

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the block lies in an array of the whole grid."""
        parts = zip(self.start_kji, self.grid.shape_kji, strict=True)
        k, j, i = (slice(start, start + n) for start, n in parts)
        return k, j, i

    def take(self, inside: BoolArray) -> BoolArray:
        """The block's part of an array on the whole grid."""
        return np.ascontiguousarray(inside[self.window])

    def mask(self, inside: BoolArray) -> Mask:
        """A mask on the whole grid from an array of the block."""
        full = np.zeros(self.whole.shape_kji, bool)
        full[self.window] = inside
        return Mask(grid=self.whole, inside=full)

    def points(self, inside: BoolArray) -> FloatArray:
        """Voxel centres inside, shape (n, 3) LPS mm, in array order."""
        return self.grid.to_lps(np.argwhere(inside))

    def selected(self, inside: BoolArray, keep: BoolArray) -> BoolArray:
        """The voxels inside for which ``keep``, shape (n,) in the order of `points`, is true."""
        chosen = np.zeros_like(inside)
        chosen[inside] = keep
        return chosen

    def distance_mm(self, inside: BoolArray) -> FloatArray:
        """Distance of every voxel centre to the nearest voxel centre inside; inf if none."""
        if not inside.any():
            return np.full(inside.shape, np.inf)
        return np.asarray(
            ndimage.distance_transform_edt(~inside, sampling=self.grid.spacing_kji_mm)
        )

    def depth_mm(self, inside: BoolArray) -> FloatArray:
        """Signed depth: positive inside, zero half-way between voxels inside and outside."""
        return self.distance_mm(~inside) - self.distance_mm(inside)

    def at(
        self, values: NDArray[np.generic], points_lps_mm: FloatArray, outside: float
    ) -> FloatArray:
        """Values at points by linear interpolation; ``outside`` where there is no voxel."""
        kji = np.moveaxis(self.grid.to_kji(points_lps_mm), -1, 0)
        found = ndimage.map_coordinates(
            np.asarray(values, dtype=np.float64), kji, order=1, mode="constant", cval=outside
        )
        return np.asarray(found, dtype=np.float64)

    def extent_mm(self, direction_lps: ArrayLike) -> float:
        """How far one voxel reaches along a direction: the resolution there."""
        along = np.abs(unit(direction_lps) @ self.grid.axes_lps_from_kji)
        return float(along @ self.grid.spacing_kji_mm)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LocalFrame:
    """Right-angled axes of a piece of anatomy: patient's left, posterior and cranial.

    Local coordinates are (x, a, h) in mm: to the left, to posterior, to the head.
    """

    origin_lps_mm: FloatArray
    left_lps: FloatArray
    posterior_lps: FloatArray
    up_lps: FloatArray

    @classmethod
    def of(cls, origin_lps_mm: FloatArray, up_lps: FloatArray, posterior_lps: FloatArray) -> Self:
        """A frame with ``up`` as given, and posterior as near as right angles allow.

        Raises
        ------
        AnatomyError
            If the axes contradict the patient's: left is not left, or up not up. Labels that
            were mirrored or turned do that.
        """
        up = unit(up_lps)
        posterior = unit(posterior_lps - (posterior_lps @ up) * up)
        left = np.cross(posterior, up)
        agrees = left @ LEFT_LPS >= MIN_LEFT_COSINE and up @ CRANIAL_LPS >= MIN_LEFT_COSINE
        if not agrees:
            raise AnatomyError(
                "the labels contradict the patient's left, back or head: mirrored or turned?",
                seen=f"left {np.round(left, 2).tolist()}, up {np.round(up, 2).tolist()} in LPS",
                needed=f"within {np.degrees(np.arccos(MIN_LEFT_COSINE)):.0f} degrees of the axes",
            )
        return cls(
            origin_lps_mm=np.asarray(origin_lps_mm, float),
            left_lps=left,
            posterior_lps=posterior,
            up_lps=up,
        )

    @property
    def axes_lps(self) -> FloatArray:
        """Left, posterior and up as rows, shape (3, 3)."""
        return np.stack([self.left_lps, self.posterior_lps, self.up_lps])

    def local(self, points_lps_mm: FloatArray) -> FloatArray:
        """(x, a, h) of points, shape (..., 3)."""
        return np.asarray((points_lps_mm - self.origin_lps_mm) @ self.axes_lps.T)

    def lps(self, local_mm: ArrayLike) -> FloatArray:
        """LPS of local points, shape (..., 3)."""
        return np.asarray(self.origin_lps_mm + np.asarray(local_mm, float) @ self.axes_lps)

    def moved(self, origin_lps_mm: FloatArray) -> LocalFrame:
        """The same axes from another origin."""
        return LocalFrame(
            origin_lps_mm=origin_lps_mm,
            left_lps=self.left_lps,
            posterior_lps=self.posterior_lps,
            up_lps=self.up_lps,
        )


def side_sign(side: str | None) -> float:
    """+1 for the patient's left (+x), -1 for the right."""
    return 1.0 if side == "left" else -1.0


def largest_piece(inside: BoolArray, *, bridge: bool = False) -> BoolArray:
    """The largest connected piece (shared corners count); ``bridge`` crosses gaps of 2 voxels."""
    grown = ndimage.binary_dilation(inside, NEIGHBOURS) if bridge else inside
    numbers, n = ndimage.label(grown, structure=NEIGHBOURS)
    if n <= 1:
        return inside
    numbers = numbers * inside
    counts = np.bincount(numbers.ravel())
    counts[0] = 0
    return np.asarray(numbers == int(np.argmax(counts)))


def nearest_inside(block: Block, inside: BoolArray, point_lps_mm: FloatArray) -> FloatArray:
    """The voxel centre inside that is nearest to a point; the point itself if it is inside.

    A point at a voxel's border is drawn inwards by a thousandth: the same border of the whole
    image's grid is rounded otherwise.
    """
    point = np.asarray(point_lps_mm, float)
    if bool(Mask(grid=block.grid, inside=inside).contains(point)):
        # of the voxel that holds the point: rounding to the even one may take its neighbour
        centre = block.grid.to_lps(np.floor(block.grid.to_kji(point) + 0.5))
        return np.asarray(point + 1e-3 * (centre - point))
    centres = block.points(inside)
    return np.asarray(centres[np.argmin(((centres - point_lps_mm) ** 2).sum(axis=1))])


def plane_through(points_lps_mm: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Centre, unit normal and root mean square distance of the best plane through points."""
    centre = points_lps_mm.mean(axis=0)
    _, spread, axes = np.linalg.svd(points_lps_mm - centre, full_matrices=False)
    rms_mm = float(spread[2] / np.sqrt(len(points_lps_mm)))
    return centre, np.asarray(axes[2]), rms_mm
