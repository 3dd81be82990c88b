"""How the voxels of one grid lie to those of another: the same ones, or overlapping at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid

OVERLAP_TOL_VOX = 1e-6
"""Boxes that overlap by less than this (target voxels) only touch."""

SAME_PLACE_MM = 0.01
"""Two headers that agree this well name the same place (see `same_place_tol_mm`)."""

SAME_PLACE_VOX = 0.01

Scalar = TypeVar("Scalar", bound=np.generic)


class TransferMethod(StrEnum):
    """How a mask came onto another grid; the text of ``MaskSource.method``."""

    SAME_GRID = "same grid"
    REORDERED = "reordered axes"
    COVER = "conservative cover"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LatticeMap:
    """Target index ``t`` along axis ``n`` is ``sign[n] * source[axis[n]] + offset[n]``."""

    axis: tuple[int, int, int]
    sign: tuple[int, int, int]
    offset: tuple[int, int, int]

    @property
    def method(self) -> TransferMethod:
        """``REORDERED`` when an axis is flipped or permuted; a cut-out is ``SAME_GRID``."""
        plain = self.axis == (0, 1, 2) and self.sign == (1, 1, 1)
        return TransferMethod.SAME_GRID if plain else TransferMethod.REORDERED


def lattice_map(source: Grid, target: Grid) -> LatticeMap | None:
    """How source voxels map one to one onto target voxels; None when they do not.

    True for the same lattice up to flipped or permuted axes and a shift by whole
    voxels (a cut-out), every voxel within `same_place_tol_mm` of its twin.
    """
    matrix = np.linalg.inv(target.lps_from_kji) @ source.lps_from_kji
    signed = np.rint(matrix[:3, :3])
    if not _is_signed_permutation(signed):
        return None
    # The shift is rounded in the middle of the source, where it is known best.
    middle = (np.array(source.shape_kji) - 1) / 2
    offset = np.rint(matrix[:3, :3] @ middle + matrix[:3, 3] - signed @ middle)
    corners = _corner_indices(source.shape_kji)
    gap = corners @ (matrix[:3, :3] - signed).T + (matrix[:3, 3] - offset)
    gap_mm = np.linalg.norm(gap @ target.lps_from_kji[:3, :3].T, axis=-1).max()
    if not (gap_mm <= same_place_tol_mm(target)):
        return None
    axis = np.argmax(np.abs(signed), axis=1)
    sign = signed[np.arange(3), axis]
    return LatticeMap(axis=index_triple(axis), sign=index_triple(sign), offset=index_triple(offset))


def same_place_tol_mm(grid: Grid) -> float:
    """How far two headers may put a voxel apart and still mean the same one.

    0.01 mm, the step in which clearances are reported, or 1 % of the smallest
    voxel edge where that is more. The float32 matrix of a NIfTI header is good
    to about 1e-4 mm; a resampled or re-aligned mask is off by far more.
    """
    return max(SAME_PLACE_MM, SAME_PLACE_VOX * float(grid.spacing_kji_mm.min()))


def volumes_overlap(one: Grid, other: Grid) -> bool:
    """Whether the boxes of two volumes share more than a face."""
    # In units of the whole volume of ``other``, which so becomes a unit cube.
    matrix = np.linalg.inv(other.lps_from_kji) @ one.lps_from_kji
    size = np.array(other.shape_kji, dtype=np.float64)
    edges = matrix[:3, :3] * np.array(one.shape_kji) / size[:, None]
    between = (other.to_kji(one.centre_lps_mm) - (size - 1) / 2) / size
    axes = separating_axes(edges)
    tolerance = OVERLAP_TOL_VOX / size.max()
    return bool(np.all(np.abs(axes @ between) < reach_along(axes, edges) - tolerance))


def separating_axes(edges: FloatArray) -> FloatArray:
    """Unit directions that can separate a unit cube from a parallelepiped, shape (m, 3).

    ``edges`` has the full edge vectors of the parallelepiped as columns. The
    directions are the face normals of both and the cross products of their
    edges (separating axis theorem); directions of no length are left out, which
    can only keep boxes together.
    """
    cube = np.eye(3)
    candidates = [*cube]
    candidates += [np.cross(edges[:, a], edges[:, b]) for a, b in ((0, 1), (1, 2), (2, 0))]
    candidates += [np.cross(cube[a], edges[:, b]) for a in range(3) for b in range(3)]
    scale = float(np.linalg.norm(edges, axis=0).max())
    lengths = [float(np.linalg.norm(v)) for v in candidates]
    floor = 1e-9 * min(1.0, scale, scale * scale)
    kept = [v / n for v, n in zip(candidates, lengths, strict=True) if n > floor]
    return np.array(kept)


def reach_along(axes: FloatArray, edges: FloatArray) -> FloatArray:
    """Half width of a unit cube plus that of the parallelepiped along each axis, shape (m,)."""
    cube = 0.5 * np.abs(axes).sum(axis=1)
    other = 0.5 * np.abs(axes @ edges).sum(axis=1)
    return np.asarray(cube + other)


def copy_voxels(
    values: NDArray[Scalar], shape_kji: tuple[int, int, int], lattice: LatticeMap
) -> NDArray[Scalar]:
    """The voxels of a mask or label map at their places on a grid of ``shape_kji``.

    Target voxels that the source does not have are 0.
    """
    turned = np.transpose(values, lattice.axis)
    turned = turned[tuple(slice(None, None, sign) for sign in lattice.sign)]
    # After the flip, the first voxel of a negative axis is its former last one.
    start = [
        offset if sign > 0 else offset - (n - 1)
        for offset, sign, n in zip(lattice.offset, lattice.sign, turned.shape, strict=True)
    ]
    if start == [0, 0, 0] and turned.shape == shape_kji:
        return np.ascontiguousarray(turned)
    out = np.zeros(shape_kji, values.dtype)
    into, taken = [], []
    for first, n, size in zip(start, turned.shape, shape_kji, strict=True):
        low, high = max(first, 0), max(0, min(first + n, size))
        into.append(slice(low, max(low, high)))
        taken.append(slice(low - first, max(low, high) - first))
    out[tuple(into)] = turned[tuple(taken)]
    return out


def _corner_indices(shape_kji: tuple[int, int, int]) -> FloatArray:
    high = np.array(shape_kji) - 0.5
    pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    return np.where(pick == 0, -0.5, high)


def _is_signed_permutation(matrix: FloatArray) -> bool:
    size = np.abs(matrix)
    ones = np.all(size.sum(axis=0) == 1) and np.all(size.sum(axis=1) == 1)
    return bool(ones and size.max() == 1)


def index_triple(values: NDArray[np.generic]) -> tuple[int, int, int]:
    """Three numbers as a tuple of int."""
    return int(values[0]), int(values[1]), int(values[2])
