"""Masks brought from one lattice to another, without losing what must be avoided.

Two lattices may be related in three ways, tried in this order:

1. **One to one** (`lattice.lattice_map`): the same voxels, perhaps stored with flipped or
   permuted axes, perhaps only a cut-out of them. Voxels are copied; nothing grows.
2. **Axis-aligned** (a signed permutation with any spacing ratio and any shift):
   the voxel boxes are products of intervals and the cover is exact.
3. **Oblique**: every pair of boxes near each other is tested with the separating
   axis theorem, which is exact for two boxes.

In 2 and 3 `cover_mask` sets a target voxel when its box and the box of a set
source voxel share more than a touching face (`lattice.OVERLAP_TOL_VOX`). So every point
of a set source voxel that lies in the target volume lies in a set target voxel,
and every point of a set target voxel is within ``grown_mm`` of a set source voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import FrameMismatchError
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid
from planner.geometry.lattice import (
    OVERLAP_TOL_VOX,
    TransferMethod,
    copy_voxels,
    index_triple,
    lattice_map,
    reach_along,
    separating_axes,
)
from planner.geometry.volume import Mask

_MAX_SKEW_VOX = 0.01
"""Off-axis run over the whole source volume up to which lattices count as aligned."""

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MaskTransfer:
    """A mask on a new grid and what it cost.

    Attributes
    ----------
    mask : Mask
        On the target grid.
    method : TransferMethod
    grown_mm : float
        No point of the new mask is farther than this from the old mask.
    n_outside : int
        Set source voxels whose centre lies outside the target volume.
    """

    mask: Mask
    method: TransferMethod
    grown_mm: float
    n_outside: int


def cover_mask(mask: Mask, grid: Grid) -> MaskTransfer:
    """The mask on another grid with no point of it lost, for structures to avoid.

    Parameters
    ----------
    mask : Mask
    grid : Grid
        Target, in the frame of the mask; a frame without a UID is taken to be
        the same (a caller that knows better must check before).

    Returns
    -------
    MaskTransfer
        ``grown_mm`` is 0 where voxels map one to one or nest in each other; else
        at most the diagonal of a target voxel.

    Raises
    ------
    FrameMismatchError
        If both frames are known and differ.

    Notes
    -----
    Boxes that overlap by less than 1e-6 target voxels count as touching, so a
    sliver of that width may be lost. Lattices whose headers agree to
    `same_place_tol_mm` count as the same lattice. What lies outside the target
    volume cannot be represented; it is counted in ``n_outside``.

    Examples
    --------
    >>> coarse = Grid.from_axes((1, 1, 4), (1.0, 1.0, 2.0), (0.5, 0.0, 0.0))
    >>> fine = Grid.from_axes((1, 1, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    >>> mask = Mask(grid=fine, inside=np.arange(8).reshape(1, 1, 8) == 2)
    >>> moved = cover_mask(mask, coarse)
    >>> moved.mask.inside[0, 0].tolist(), moved.grown_mm
    ([False, True, False, False], 1.0)
    """
    _require_same_frame(mask.grid, grid)
    one_to_one = _copied(mask, grid)
    if one_to_one is not None:
        return one_to_one
    bounds = mask.bounds_kji()
    if bounds is None:
        return _transfer(grid, np.zeros(grid.shape_kji, bool), TransferMethod.COVER, 0.0, 0)
    part = mask.inside[tuple(slice(a, b) for a, b in zip(*bounds, strict=True))]
    source = mask.grid.cropped(*bounds)
    aligned = _aligned_map(source, grid)
    if aligned is not None:
        return _aligned_cover(part, grid, aligned)
    return _oblique_cover(part, source, grid)


def nearest_mask(mask: Mask, grid: Grid) -> MaskTransfer:
    """The mask on another grid, sampled at voxel centres: for body, target, allowed.

    Not for structures to avoid: whatever is thinner than a target voxel may
    vanish. Parameters, Raises: as `cover_mask`.

    Returns
    -------
    MaskTransfer
        ``grown_mm`` is half the diagonal of a target voxel (0 where voxels map
        one to one); the mask may have shrunk by as much.

    Examples
    --------
    >>> fine = Grid.from_axes((1, 1, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    >>> coarse = Grid.from_axes((1, 1, 2), (1.0, 1.0, 4.0), (1.4, 0.0, 0.0))
    >>> thin = Mask(grid=fine, inside=np.arange(8).reshape(1, 1, 8) == 2)
    >>> nearest_mask(thin, coarse).mask.n_voxels, cover_mask(thin, coarse).mask.n_voxels
    (0, 1)
    """
    _require_same_frame(mask.grid, grid)
    one_to_one = _copied(mask, grid)
    if one_to_one is not None:
        return one_to_one
    out = np.zeros(grid.shape_kji, bool)
    source_from_target = np.linalg.inv(mask.grid.lps_from_kji) @ grid.lps_from_kji
    n_j, n_i = grid.shape_kji[1:]
    plane = np.stack(np.meshgrid(np.arange(n_j), np.arange(n_i), indexing="ij"), axis=-1)
    in_plane = plane @ source_from_target[:3, 1:3].T + source_from_target[:3, 3]
    for k in range(grid.shape_kji[0]):
        out[k] = _looked_up(mask.inside, in_plane + k * source_from_target[:3, 0])
    grown_mm = _longest_diagonal_mm(grid, np.full(3, 0.5))
    return _transfer(grid, out, TransferMethod.NEAREST, grown_mm, _count_outside(mask, grid))


# ---------------------------------------------------------------- one to one


def _copied(mask: Mask, grid: Grid) -> MaskTransfer | None:
    lattice = lattice_map(mask.grid, grid)
    if lattice is None:
        return None
    inside = copy_voxels(mask.inside, grid.shape_kji, lattice)
    n_outside = mask.n_voxels - int(np.count_nonzero(inside))
    return _transfer(grid, inside, lattice.method, 0.0, n_outside)


# ---------------------------------------------------------------- axis-aligned


@dataclass(frozen=True, slots=True, eq=False)
class _AlignedMap:
    """Per target axis: source axis, signed scale, where source index 0 falls, inflation."""

    axis: tuple[int, int, int]
    scale: FloatArray
    zero: FloatArray
    slack: FloatArray


def _aligned_map(source: Grid, target: Grid) -> _AlignedMap | None:
    matrix = np.linalg.inv(target.lps_from_kji) @ source.lps_from_kji
    linear = matrix[:3, :3]
    axis = np.argmax(np.abs(linear), axis=1)
    if sorted(axis.tolist()) != [0, 1, 2]:
        return None
    rows = np.arange(3)
    scale = linear[rows, axis]
    off_axis = np.array(linear)
    off_axis[rows, axis] = 0.0
    shape = np.array(source.shape_kji, dtype=np.float64)
    slack = np.abs(off_axis) @ (shape / 2)
    if not (slack.max() <= _MAX_SKEW_VOX):
        return None
    middle = (shape - 1) / 2
    zero = linear @ middle + matrix[:3, 3] - scale * middle[axis]
    slack = np.where(slack <= OVERLAP_TOL_VOX, 0.0, slack)
    return _AlignedMap(index_triple(axis), scale, zero, slack)


def _aligned_cover(part: BoolArray, grid: Grid, aligned: _AlignedMap) -> MaskTransfer:
    out: BoolArray = np.transpose(part, aligned.axis)
    protrusion = np.zeros(3)
    centred: list[slice] = []
    for n in range(3):
        scale, zero, slack = aligned.scale[n], aligned.zero[n], aligned.slack[n]
        centres = zero + scale * np.arange(part.shape[aligned.axis[n]])
        centred.append(_run_inside(centres, grid.shape_kji[n]))
        first, last = _source_runs(centres.size, scale, zero, slack, grid.shape_kji[n])
        protrusion[n] = _protrusion_vox(first, last, scale, zero, slack)
        out = _any_over_runs(out, n, first, last)
    protrusion[protrusion < OVERLAP_TOL_VOX] = 0.0
    n_set = int(np.count_nonzero(part))
    n_centred = int(np.count_nonzero(np.transpose(part, aligned.axis)[tuple(centred)]))
    grown_mm = _longest_diagonal_mm(grid, protrusion)
    return _transfer(grid, out, TransferMethod.COVER, grown_mm, n_set - n_centred)


def _source_runs(
    n_source: int, scale: float, zero: float, slack: float, n_target: int
) -> tuple[IntArray, IntArray]:
    """First and last source index whose interval overlaps each target interval."""
    reach = abs(scale) / 2 + slack + 0.5 - OVERLAP_TOL_VOX
    target = np.arange(n_target)
    ends = np.stack([(target - reach - zero) / scale, (target + reach - zero) / scale])
    first = np.floor(ends.min(axis=0)).astype(np.int64) + 1
    last = np.ceil(ends.max(axis=0)).astype(np.int64) - 1
    return np.maximum(first, 0), np.minimum(last, n_source - 1)


def _protrusion_vox(
    first: IntArray, last: IntArray, scale: float, zero: float, slack: float
) -> float:
    """Largest stretch of a target interval past a source interval that it overlaps."""
    target = np.flatnonzero(first <= last)
    if target.size == 0:
        return 0.0
    off = [np.abs(zero + scale * run[target] - target).max() for run in (first, last)]
    return max(0.0, 0.5 + float(max(off)) + slack - abs(scale) / 2)


def _any_over_runs(source: BoolArray, axis: int, first: IntArray, last: IntArray) -> BoolArray:
    moved = np.moveaxis(source, axis, 0)
    out = np.zeros((first.size, *moved.shape[1:]), bool)
    for n in np.flatnonzero(first <= last):
        np.any(moved[first[n] : last[n] + 1], axis=0, out=out[n])
    return np.moveaxis(out, 0, axis)


def _run_inside(centres: FloatArray, n_target: int) -> slice:
    """The contiguous source indices whose centre is in the target volume."""
    tol = OVERLAP_TOL_VOX
    hit = np.flatnonzero((centres >= -0.5 - tol) & (centres <= n_target - 0.5 + tol))
    return slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 0)


# ---------------------------------------------------------------- oblique


def _oblique_cover(part: BoolArray, source: Grid, grid: Grid) -> MaskTransfer:
    from planner.geometry.cover_kernels import cover_boxes

    matrix = np.linalg.inv(grid.lps_from_kji) @ source.lps_from_kji
    edges = np.ascontiguousarray(matrix[:3, :3])
    axes = separating_axes(edges)
    out = np.zeros(grid.shape_kji, bool)
    n_outside = cover_boxes(
        np.ascontiguousarray(part),
        matrix,
        0.5 * np.abs(edges).sum(axis=1),
        axes,
        reach_along(axes, edges) - OVERLAP_TOL_VOX,
        out,
    )
    grown_mm = _longest_diagonal_mm(grid, np.ones(3))
    return _transfer(grid, out, TransferMethod.COVER, grown_mm, int(n_outside))


# ---------------------------------------------------------------- shared


def _looked_up(inside: BoolArray, points_kji: FloatArray) -> BoolArray:
    nearest = np.floor(points_kji + 0.5)
    ok = np.all((nearest >= 0) & (nearest < np.array(inside.shape)), axis=-1)
    index = np.where(ok[..., None], nearest, 0).astype(np.int64)
    return np.asarray(inside[index[..., 0], index[..., 1], index[..., 2]] & ok)


def _count_outside(mask: Mask, grid: Grid) -> int:
    matrix = np.linalg.inv(grid.lps_from_kji) @ mask.grid.lps_from_kji
    high = np.array(grid.shape_kji) - 0.5 + OVERLAP_TOL_VOX
    n_outside = 0
    for k in range(mask.grid.shape_kji[0]):
        in_plane = np.argwhere(mask.inside[k])
        if in_plane.size == 0:
            continue
        kji = in_plane @ matrix[:3, 1:3].T + matrix[:3, 3] + k * matrix[:3, 0]
        ok = np.all((kji >= -0.5 - OVERLAP_TOL_VOX) & (kji <= high), axis=-1)
        n_outside += int(np.count_nonzero(~ok))
    return n_outside


def _longest_diagonal_mm(grid: Grid, edges_vox: FloatArray) -> float:
    """Length of the longest diagonal of a box with these edges along the voxel axes."""
    signs = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]], dtype=np.float64)
    return float(np.linalg.norm((signs * edges_vox) @ grid.lps_from_kji[:3, :3].T, axis=1).max())


def _transfer(
    grid: Grid, inside: BoolArray, method: TransferMethod, grown_mm: float, n_outside: int
) -> MaskTransfer:
    return MaskTransfer(
        mask=Mask(grid=grid, inside=inside), method=method, grown_mm=grown_mm, n_outside=n_outside
    )


def _require_same_frame(source: Grid, target: Grid) -> None:
    one, other = source.frame, target.frame
    if one.uid is not None and other.uid is not None and one.uid != other.uid:
        raise FrameMismatchError(
            "the mask is in another frame of reference than the image",
            seen=one.uid,
            needed=other.uid,
            fix="Register the two scans first, or use a mask of this scan.",
        )
