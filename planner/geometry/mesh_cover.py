"""Surface meshes onto the voxels of an image: nothing of a solid to avoid is lost.

`cover_mesh` is for obstacles. Every voxel whose box meets a triangle is set; what cannot be
reached from outside through the faces of the other voxels is inside, and set too. An open
surface so keeps its shell, and what the shell encloses on these voxels.

`centres_in_mesh` is for body, target and allowed: voxels whose centre lies inside a closed
surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import DegenerateGeometryError, MaskError
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid
from planner.geometry.lattice import TransferMethod
from planner.geometry.resample import MaskTransfer
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

TOUCH_VOX = 1e-6
"""A triangle this near to a voxel's box meets it: a surface on a face sets both sides."""

MAX_LINES = 1_000_000_000
"""Voxel rows within the boxes around all triangles; bounds the time."""

SAME_POINT_MM = 1e-5
"""Corners that agree this well are one point, when edges are matched."""

_LEAST_SLICES = 8
_FAR = 1e18
_HASH_FACTORS = tuple(
    np.uint64(f) for f in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


@dataclass(frozen=True, slots=True, eq=False)
class TriangleMesh:
    """Triangles in patient coordinates.

    Parameters
    ----------
    points_lps_mm : ndarray, shape (n, 3)
    triangles : ndarray of int, shape (m, 3)
        Numbers of points.

    Raises
    ------
    DegenerateGeometryError
        If a point is not finite, or a triangle names a point that is not there.
    """

    points_lps_mm: FloatArray
    triangles: IntArray

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.points_lps_mm)):
            raise DegenerateGeometryError("a mesh point is not a finite number")
        n_points = len(self.points_lps_mm)
        if self.triangles.size and not (
            self.triangles.min() >= 0 and self.triangles.max() < n_points
        ):
            raise DegenerateGeometryError(
                "a triangle names a point that the mesh does not have",
                seen=f"{self.triangles.min()} to {self.triangles.max()}",
                needed=f"0 to {n_points - 1}",
            )

    def n_open_edges(self) -> int:
        """Edges that do not join an even number of triangles; 0 for a closed surface.

        Corners within ``SAME_POINT_MM`` are taken as one point; triangles that are only
        a line or a point then have no part in the surface.
        """
        rounded = np.clip(np.rint(self.points_lps_mm / SAME_POINT_MM), -_FAR, _FAR).astype(np.int64)
        same = _numbered_rows(rounded)[self.triangles]
        a, b, c = same.T
        flat = (a == b) | (b == c) | (c == a)
        same = same[~flat]
        if len(same) == 0:
            return 0
        ends = np.concatenate([same[:, [0, 1]], same[:, [1, 2]], same[:, [2, 0]]])
        ends.sort(axis=1)
        keys = np.sort(ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1])
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        counts = np.diff(np.append(starts, len(keys)))
        return int(np.count_nonzero(counts % 2))


def cover_mesh(mesh: TriangleMesh, grid: Grid, *, is_closed: bool) -> MaskTransfer:
    """The voxels that a solid may reach, for what must be avoided.

    Parameters
    ----------
    mesh : TriangleMesh
    grid : Grid
        Of the image.
    is_closed : bool
        Whether ``mesh.n_open_edges()`` is 0. Where the image cuts a closed surface, rays
        tell its inside from its outside. Where it cuts an open one, nothing can: what is
        not reached from a side of the image that the surface leaves free is set.

    Returns
    -------
    MaskTransfer
        No point of the solid or its surface that lies in the image is in a voxel that is
        not set. Hollows inside a closed surface are filled. ``grown_mm`` is the diagonal
        of a voxel: every set voxel of a closed solid meets it.

    Raises
    ------
    MaskError
        If there are too many large triangles.
    """
    inside = np.zeros(grid.shape_kji, bool)
    kji = _voxels_of(mesh.points_lps_mm, grid)
    part = _reached(kji, mesh.triangles, grid)
    if part is not None:
        shell = np.zeros([s.stop - s.start for s in part], bool)
        kji -= [s.start for s in part]
        _mark(kji, mesh.triangles, np.full(3, 0.5 + TOUCH_VOX), shell)
        seeds = _surely_outside(kji, mesh.triangles, shell, is_closed=is_closed)
        inside[part] = ~_flooded(shell, seeds)
    return _transfer(grid, inside, TransferMethod.COVER, float(np.linalg.norm(grid.spacing_kji_mm)))


def centres_in_mesh(mesh: TriangleMesh, grid: Grid) -> MaskTransfer:
    """The voxels whose centre is inside a closed surface: for body, target, allowed.

    A centre is inside when a line to it crosses the surface an odd number of times; parts
    of a mesh that overlap take each other away. Not for structures to avoid. Parameters,
    Raises: as `cover_mesh`.

    Returns
    -------
    MaskTransfer
        ``grown_mm`` is half the diagonal of a voxel.
    """
    inside = np.zeros(grid.shape_kji, bool)
    kji = _voxels_of(mesh.points_lps_mm, grid)
    part = _reached(kji, mesh.triangles, grid)
    if part is not None:
        kji -= [s.start for s in part]
        shape = tuple(s.stop - s.start for s in part)
        inside[part] = _crossings(kji, mesh.triangles, shape) % 2 == 1
    half_mm = float(np.linalg.norm(grid.spacing_kji_mm)) / 2
    return _transfer(grid, inside, TransferMethod.NEAREST, half_mm)


def cover_line(points_kji: FloatArray, half_vox: FloatArray, inside: BoolArray) -> None:
    """Set the voxels whose box of half size ``half_vox`` meets a line through points.

    ``points_kji`` is (n, 3) in voxels; a single point is a line of no length.
    """
    n = len(points_kji)
    ends = np.arange(max(n - 1, 1))
    triangles = np.stack([ends, np.minimum(ends + 1, n - 1), np.minimum(ends + 1, n - 1)], axis=1)
    _mark(np.ascontiguousarray(points_kji, dtype=np.float64), triangles, half_vox, inside)


def part_outside(mesh: TriangleMesh, grid: Grid) -> float:
    """Share of the surface's area whose triangles have their middle outside the volume."""
    corners = mesh.points_lps_mm[mesh.triangles]
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    total = float(areas.sum())
    if total == 0.0:
        return 0.0 if grid.contains(corners.reshape(-1, 3)).all() else 1.0
    return float(areas[~grid.contains(corners.mean(axis=1))].sum() / total)


def _voxels_of(points_lps_mm: FloatArray, grid: Grid) -> FloatArray:
    """As ``grid.to_kji``, column by column: ten times faster for millions of points."""
    matrix = np.linalg.inv(grid.lps_from_kji)
    kji = np.empty(points_lps_mm.shape)
    x, y, z = points_lps_mm.T
    for n in range(3):
        kji[:, n] = matrix[n, 0] * x + matrix[n, 1] * y + matrix[n, 2] * z + matrix[n, 3]
    return kji


def _bounds(kji: FloatArray, triangles: IntArray) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest corner of the triangles; points of none of them do not count."""
    used = np.zeros(len(kji), bool)
    used[triangles.ravel()] = True
    columns = [kji[:, n] if used.all() else kji[used, n] for n in range(3)]
    return np.array([c.min() for c in columns]), np.array([c.max() for c in columns])


def _reached(kji: FloatArray, triangles: IntArray, grid: Grid) -> tuple[slice, slice, slice] | None:
    """The part of the volume around the mesh, with a free layer wherever the volume has one."""
    if len(triangles) == 0:
        return None
    low, high = _bounds(kji, triangles)
    start = np.clip(np.floor(low - 0.5) - 1, 0, grid.shape_kji).astype(np.int64)
    stop = np.clip(np.ceil(high + 0.5) + 2, 0, grid.shape_kji).astype(np.int64)
    if np.any(start >= stop):
        return None
    _check_amount(kji, triangles, start, stop)
    a, b, c = (slice(int(s), int(e)) for s, e in zip(start, stop, strict=True))
    return a, b, c


def _check_amount(kji: FloatArray, triangles: IntArray, start: IntArray, stop: IntArray) -> None:
    n_lines = np.zeros(len(triangles)) + 1.0
    for axis in (0, 1):
        a, b, c = (kji[triangles[:, corner], axis] for corner in range(3))
        low = np.clip(np.minimum(np.minimum(a, b), c), start[axis] - 1, stop[axis])
        high = np.clip(np.maximum(np.maximum(a, b), c), start[axis] - 1, stop[axis])
        n_lines *= high - low + 1
    total = float(n_lines.sum())
    if not (total <= MAX_LINES):
        raise MaskError(
            "the mesh has too many large triangles for the image",
            seen=f"{len(triangles)} triangles over {total:.2g} rows of voxels",
            needed=f"<= {MAX_LINES:.0e}",
            fix="Simplify the mesh, or crop it to the image.",
        )


def _mark(kji: FloatArray, triangles: IntArray, half: FloatArray, out: BoolArray) -> None:
    from planner.geometry.mesh_kernels import mark_triangles

    points = np.ascontiguousarray(kji)
    index = np.ascontiguousarray(triangles, dtype=np.int64)
    in_chunks(
        lambda low, high: mark_triangles(points, index, half, low, high, out),
        out.shape[0],
        least=_LEAST_SLICES,
    )


def _crossings(kji: FloatArray, triangles: IntArray, shape: tuple[int, ...]) -> NDArray[np.int32]:
    from planner.geometry.mesh_kernels import add_crossings

    out = np.zeros(shape, np.int32)
    points = np.ascontiguousarray(kji)
    index = np.ascontiguousarray(triangles, dtype=np.int64)
    in_chunks(
        lambda low, high: add_crossings(points, index, low, high, out),
        shape[0],
        least=_LEAST_SLICES,
    )
    return out


def _surely_outside(
    local: FloatArray,
    triangles: IntArray,
    shell: BoolArray,
    *,
    is_closed: bool,
) -> BoolArray:
    """Voxels on the faces of the part that are outside: free layers, and where rays say so."""
    low, high = _bounds(local, triangles)
    seeds = np.zeros(shell.shape, bool)
    cut: list[tuple[slice | int, ...]] = []
    for axis in range(3):
        first: list[slice | int] = [slice(None)] * 3
        last = list(first)
        first[axis], last[axis] = 0, shell.shape[axis] - 1
        for face, is_free in (
            (tuple(first), low[axis] > 0.5 + TOUCH_VOX),
            (tuple(last), high[axis] < shell.shape[axis] - 1.5 - TOUCH_VOX),
        ):
            if is_free:
                seeds[face] = True
            else:
                cut.append(face)
    if cut and is_closed:
        is_out = _crossings(local, triangles, shell.shape) == 0
        for face in cut:
            seeds[face] |= is_out[face]
    return seeds & ~shell


def _flooded(shell: BoolArray, seeds: BoolArray) -> BoolArray:
    """What is reached from the seeds through faces of voxels that are not of the shell."""
    from scipy import ndimage

    labels, n_labels = ndimage.label(~shell)
    is_out = np.zeros(n_labels + 1, bool)
    is_out[labels[seeds]] = True
    is_out[0] = False
    return np.asarray(is_out[labels])


def _numbered_rows(rows: IntArray) -> IntArray:
    """A number for each row, the same for equal rows.

    By a 64-bit hash: two of fifteen million points share one with a chance of 1e-5.
    """
    mixed = np.zeros(len(rows), np.uint64)
    for column, factor in zip(rows.T, _HASH_FACTORS, strict=True):
        mixed = (mixed ^ column.astype(np.uint64)) * factor
        mixed ^= mixed >> np.uint64(29)
    return np.asarray(np.unique(mixed, return_inverse=True)[1], dtype=np.int64)


def _transfer(
    grid: Grid, inside: BoolArray, method: TransferMethod, grown_mm: float
) -> MaskTransfer:
    return MaskTransfer(
        mask=Mask(grid=grid, inside=inside), method=method, grown_mm=grown_mm, n_outside=0
    )
