"""Masks swept by the local bound of the image shift: where the anatomy may truly be.

What is drawn at y was truly at some x from which the shift carried it to y. The shift
belongs to x, the true place. So a voxel x is set when the mask has a voxel within the
bound of the shift AT X, to either side along the readout and the slice axis. Sweeping
each drawn voxel by the shift at its drawn place would lose structures: beside metal
the shift at the true place, nearer the metal, is larger.

Conservative in three ways: a voxel counts with its whole box, the bound is the greatest
of the voxel and its 26 neighbours, and directions that are no grid axis are widened to
a box around them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.geometry.threads import in_chunks
from planner.physics.shifts import ShiftModel

MAX_REACH_MM = 60.0
"""Shifts are not followed farther: that near the metal there is no signal left to shift."""


def half_widths_kji(
    readout_mm: FloatArray, slice_mm: FloatArray, model: ShiftModel, grid: Grid
) -> NDArray[np.int16]:
    """Voxels to either side, per axis, from which a voxel's content may have been drawn.

    Parameters
    ----------
    readout_mm, slice_mm : (k, j, i)
        Bounds of the shift at each voxel of a block, mm; the greatest of its neighbourhood.

    Returns
    -------
    (k, j, i, 3) int16
    """
    spacing = grid.spacing_kji_mm
    along = np.abs(grid.axes_lps_from_kji.T @ model.slice_axis_lps)
    if model.readout_axis_lps is None:
        across = np.ones(3)
    else:
        across = np.abs(grid.axes_lps_from_kji.T @ model.readout_axis_lps)
    # a direction of 1e-4 is a rounded header, not an oblique readout
    along, across = (np.where(v < 1e-3, 0.0, v) for v in (along, across))
    out = np.zeros((*readout_mm.shape, 3), np.int16)
    in_plane = np.minimum(readout_mm, MAX_REACH_MM)
    through = np.minimum(slice_mm, MAX_REACH_MM)
    for axis in range(3):
        reach = in_plane * across[axis] + through * along[axis]
        out[..., axis] = np.ceil(reach / spacing[axis] - 1e-6)
    return out


def swept(
    inside: NDArray[np.bool_],
    half_widths: NDArray[np.int16],
    reach: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """The mask with every voxel set that may truly hold what was drawn.

    Parameters
    ----------
    inside : (k, j, i) bool
    half_widths : (k, j, i, 3) int16
        See ``half_widths_kji``.
    reach : (3,) int, optional
        ``largest(half_widths)``, where many masks are swept by the same.
    """
    out = np.array(inside, dtype=np.bool_)
    reach = largest(half_widths) if reach is None else reach
    near = _around(inside, reach)
    if near is None or not reach.any():
        return out
    part = inside[near]
    sums = np.zeros(np.array(part.shape) + 1, np.int32)
    sums[1:, 1:, 1:] = part
    for axis in range(3):
        np.cumsum(sums, axis=axis, out=sums)
    target, half = out[near], half_widths[near]
    in_chunks(
        lambda low, high: _sweep_planes(low, high, sums, half, target), part.shape[0], least=4
    )
    return out


def largest(half_widths: NDArray[np.int16]) -> NDArray[np.int64]:
    """The widest of all voxels, per axis."""
    return np.array([int(half_widths[..., axis].max(initial=0)) for axis in range(3)])


def _around(
    inside: NDArray[np.bool_], reach: NDArray[np.int64]
) -> tuple[slice, slice, slice] | None:
    """The box of the set voxels, widened by ``reach``; None when nothing is set."""
    found = []
    for axis in range(3):
        hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        if hit.size == 0:
            return None
        low, high = int(hit[0]) - int(reach[axis]), int(hit[-1]) + 1 + int(reach[axis])
        found.append(slice(max(0, low), min(inside.shape[axis], high)))
    return found[0], found[1], found[2]


@njit(cache=True, nogil=True)
def _sweep_planes(low, high, sums, half, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    n0, n1, n2 = out.shape
    for k in range(low, high):
        for j in range(n1):
            for i in range(n2):
                hk, hj, hi = half[k, j, i, 0], half[k, j, i, 1], half[k, j, i, 2]
                if out[k, j, i] or (hk == 0 and hj == 0 and hi == 0):
                    continue
                a, b = max(0, k - hk), min(n0, k + hk + 1)
                c, d = max(0, j - hj), min(n1, j + hj + 1)
                e, f = max(0, i - hi), min(n2, i + hi + 1)
                n = (
                    sums[b, d, f]
                    - sums[a, d, f]
                    - sums[b, c, f]
                    - sums[b, d, e]
                    + sums[a, c, f]
                    + sums[a, d, e]
                    + sums[b, c, e]
                    - sums[a, c, e]
                )
                out[k, j, i] = n > 0
