"""Exact clearance of needles to masks: every reported number comes from here.

Branch and bound over blocks of voxels: the distance to a block's bounding box
bounds the distance to each voxel in it, so blocks are opened in order of their
bound until no unopened block can be nearer. No distance field is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import DegenerateGeometryError, MaskError
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid
from planner.geometry.segments import segment_box_squared
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask, read_only_bytes

_BLOCK = 8
_LEAST_AXES = 64


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClosestApproach:
    """Closest points between needle axes and a mask, for n axes.

    Attributes
    ----------
    distance_mm : ndarray, shape (n,)
        From the axis to the nearest voxel box; 0 when the axis enters the mask.
    on_axis_lps_mm, on_mask_lps_mm : ndarray, shape (n, 3)
        The closest points.
    """

    distance_mm: FloatArray
    on_axis_lps_mm: FloatArray
    on_mask_lps_mm: FloatArray


class MaskIndex:
    """A mask with the bounding boxes of its occupied blocks, for exact queries.

    Parameters
    ----------
    mask : Mask
        At least one voxel inside.
    """

    def __init__(self, mask: Mask) -> None:
        bounds = mask.bounds_kji()
        if bounds is None:
            raise MaskError("an empty mask has no distance", needed="at least one voxel")
        self.grid: Grid = mask.grid
        self._inside = read_only_bytes(mask.inside)
        self._blocks = _occupied_blocks(self._inside, bounds[0], bounds[1])

    def closest_approach(self, start_lps_mm: ArrayLike, end_lps_mm: ArrayLike) -> ClosestApproach:
        """Exact closest approach of segments, shape (n, 3) each, to the mask.

        Raises
        ------
        DegenerateGeometryError
            If a point is not finite.
        """
        start = np.atleast_2d(np.asarray(start_lps_mm, dtype=np.float64))
        end = np.atleast_2d(np.asarray(end_lps_mm, dtype=np.float64))
        start, end = np.broadcast_arrays(start, end)
        if not (np.all(np.isfinite(start)) and np.all(np.isfinite(end))):
            raise DegenerateGeometryError("a needle axis is not finite", needed="numbers in mm")
        found = np.empty((start.shape[0], 5))
        from_mm = np.ascontiguousarray(self.grid.to_axes_mm(start))
        to_mm = np.ascontiguousarray(self.grid.to_axes_mm(end))
        spacing = self.grid.spacing_kji_mm

        def closest(low: int, high: int) -> None:
            part = slice(low, high)
            _closest_of(
                self._inside, self._blocks, spacing, from_mm[part], to_mm[part], found[part]
            )

        in_chunks(closest, start.shape[0], least=_LEAST_AXES)
        distance, t, kji = found[:, 0].copy(), found[:, 1], found[:, 2:]
        on_axis = start + t[:, None] * (end - start)
        offset = np.clip(self.grid.to_kji(on_axis) - kji, -0.5, 0.5)
        return ClosestApproach(
            distance_mm=distance,
            on_axis_lps_mm=on_axis,
            on_mask_lps_mm=self.grid.to_lps(kji + offset),
        )


def exact_clearance_mm(
    entry_lps_mm: ArrayLike,
    tip_lps_mm: ArrayLike,
    mask: Mask,
    needle_radius_mm: float = 0.0,
    throw_mm: float = 0.0,
) -> FloatArray | float:
    """Distance from a needle's surface to the nearest voxel box of a mask, in mm.

    Parameters
    ----------
    entry_lps_mm, tip_lps_mm : array_like, shape (3,) or (n, 3)
        Ends of the needle axis, LPS, mm.
    mask : Mask
        On any grid in the same frame; at least one voxel.
    needle_radius_mm : float
        Outer radius, subtracted from the axis distance.
    throw_mm : float
        How far the axis goes on beyond the tip.

    Returns
    -------
    float or ndarray, shape (n,)
        Negative or zero means contact; the least value is ``-needle_radius_mm``.
        Exact to 1e-6 mm.

    Raises
    ------
    DegenerateGeometryError
        If a point is not finite, or entry and tip coincide while ``throw_mm > 0``.
    MaskError
        If the mask is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from planner.geometry import Grid, Mask
    >>> inside = np.zeros((5, 5, 5), bool)
    >>> inside[2, 2, 2] = True
    >>> mask = Mask(grid=Grid.from_axes((5, 5, 5), (1, 1, 1), (0, 0, 0)), inside=inside)
    >>> exact_clearance_mm((6, 0, 2), (6, 4, 2), mask, needle_radius_mm=0.5)
    3.0
    """
    entry = np.asarray(entry_lps_mm, dtype=np.float64)
    tip = np.asarray(tip_lps_mm, dtype=np.float64)
    end = throw_end_lps_mm(entry, tip, throw_mm)
    found = MaskIndex(mask).closest_approach(entry, end)
    clearance = found.distance_mm - needle_radius_mm
    single = entry.ndim == 1 and tip.ndim == 1
    return float(clearance[0]) if single else clearance


def throw_end_lps_mm(
    entry_lps_mm: FloatArray, tip_lps_mm: FloatArray, throw_mm: float
) -> FloatArray:
    """End of the needle axis with the throw, shape (..., 3)."""
    if not (np.isfinite(throw_mm) and throw_mm >= 0):
        raise DegenerateGeometryError("a throw must be a length", seen=throw_mm, needed=">= 0 mm")
    if throw_mm == 0.0:
        return tip_lps_mm
    along = tip_lps_mm - entry_lps_mm
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    if not np.all(length > 1e-9):
        raise DegenerateGeometryError("entry and tip coincide: the throw has no direction")
    return np.asarray(tip_lps_mm + along * (throw_mm / length))


@nb.njit(cache=True, nogil=True)
def _occupied_blocks(inside, start, stop):  # type: ignore[no-untyped-def]
    """Tight voxel bounds (low k, j, i, high k, j, i inclusive) of each occupied block."""
    count = 0
    n = np.empty(3, np.int64)
    for axis in range(3):
        n[axis] = (stop[axis] - start[axis] + _BLOCK - 1) // _BLOCK
    blocks = np.empty((n[0] * n[1] * n[2], 6), np.int32)
    for bk in range(n[0]):
        for bj in range(n[1]):
            for bi in range(n[2]):
                k0, j0, i0 = (
                    start[0] + bk * _BLOCK,
                    start[1] + bj * _BLOCK,
                    start[2] + bi * _BLOCK,
                )
                low_k, low_j, low_i = stop[0], stop[1], stop[2]
                high_k, high_j, high_i = -1, -1, -1
                for k in range(k0, min(k0 + _BLOCK, stop[0])):
                    for j in range(j0, min(j0 + _BLOCK, stop[1])):
                        for i in range(i0, min(i0 + _BLOCK, stop[2])):
                            if inside[k, j, i]:
                                low_k, high_k = min(low_k, k), max(high_k, k)
                                low_j, high_j = min(low_j, j), max(high_j, j)
                                low_i, high_i = min(low_i, i), max(high_i, i)
                if high_k >= 0:
                    blocks[count, 0], blocks[count, 3] = low_k, high_k
                    blocks[count, 1], blocks[count, 4] = low_j, high_j
                    blocks[count, 2], blocks[count, 5] = low_i, high_i
                    count += 1
    return blocks[:count].copy()


@nb.njit(cache=True, nogil=True)
def _closest_one(inside, blocks, spacing, a, b):  # type: ignore[no-untyped-def]
    n = blocks.shape[0]
    bound = np.empty(n)
    c = np.empty(3)
    h = np.empty(3)
    for m in range(n):
        for axis in range(3):
            c[axis] = 0.5 * (blocks[m, axis] + blocks[m, axis + 3]) * spacing[axis]
            h[axis] = 0.5 * (blocks[m, axis + 3] - blocks[m, axis] + 1) * spacing[axis]
        bound[m] = segment_box_squared(a, b, c, h)[0]
    order = np.argsort(bound)
    best, best_t = np.inf, 0.0
    voxel = np.zeros(3, np.int64)
    half = 0.5 * spacing
    for m in order:
        if bound[m] >= best:
            break
        for k in range(blocks[m, 0], blocks[m, 3] + 1):
            c[0] = k * spacing[0]
            for j in range(blocks[m, 1], blocks[m, 4] + 1):
                c[1] = j * spacing[1]
                for i in range(blocks[m, 2], blocks[m, 5] + 1):
                    if not inside[k, j, i]:
                        continue
                    c[2] = i * spacing[2]
                    squared, t = segment_box_squared(a, b, c, half)
                    if squared < best:
                        best, best_t = squared, t
                        voxel[0], voxel[1], voxel[2] = k, j, i
    return np.sqrt(best), best_t, voxel


@nb.njit(cache=True, nogil=True)
def _closest_of(inside, blocks, spacing, start, end, out):  # type: ignore[no-untyped-def]
    """Fill rows of ``out``: distance, t, k, j, i."""
    for m in range(start.shape[0]):
        distance, t, voxel = _closest_one(inside, blocks, spacing, start[m], end[m])
        out[m, 0], out[m, 1] = distance, t
        out[m, 2], out[m, 3], out[m, 4] = voxel[0], voxel[1], voxel[2]


def floor_to_hundredth(values_mm: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Round down to 0.01 mm, so that a reported clearance is never larger than the true one."""
    return np.asarray(np.floor(np.asarray(values_mm) * 100.0 + 1e-7) / 100.0)
