"""Exact Euclidean distance fields of masks on anisotropic grids, capped and cropped.

The transform is separable: the squared distance to the nearest voxel is a
minimum over voxels of a sum of one term per axis. Pass one counts voxels to
the nearest set voxel along k; passes two and three take minima over a window
along j and i that never needs to be wider than the cap, and stops as soon as
no farther row can win. Two metrics:

``CENTRE``  distance to the nearest set voxel's centre (what scipy computes);
``BOX``     distance to the nearest set voxel's box, the project's meaning of
            clearance; samples may be finer than the voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import DegenerateGeometryError
from planner.geometry.frames import FloatArray
from planner.geometry.threads import in_chunks
from planner.geometry.volume import Mask, read_only_bytes

_MAX_RUN = 255
_CHUNK = 512
_CAP_UNITS = 1 << 29
"""The squared cap in integer units: integers because their minima vectorise.

A unit is ``cap**2 / 2**29``: three roundings cost at most 1.5 units, 1.1e-6 mm^2
at a cap of 20 mm. Two terms never overflow 31 bits.
"""


class Metric(Enum):
    """What a distance is measured to."""

    CENTRE = 0.0
    BOX = 0.5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DistanceField:
    """Squared distance to a mask, sampled on a lattice along the mask's voxel axes.

    Attributes
    ----------
    squared_mm2 : ndarray, float32, shape (nk, nj, ni)
        Squared distance in mm^2, never above ``cap_mm ** 2``.
    first_axes_mm : ndarray, shape (3,)
        Position of sample (0, 0, 0) along k, j, i from the mask's voxel (0, 0, 0).
    step_mm : ndarray, shape (3,)
        Distance between samples along k, j, i.
    cap_mm : float
        Distances from here on are stored as this. Where a lattice was not cropped
        to what was asked for, the distance outside it is at least this.
    low_axes_mm, high_axes_mm : ndarray, shape (3,)
        The block the lattice answers for: between first and last sample.
    """

    squared_mm2: NDArray[np.float32]
    first_axes_mm: FloatArray
    step_mm: FloatArray
    cap_mm: float

    @property
    def low_axes_mm(self) -> FloatArray:
        """Lower corner of the sampled block."""
        return self.first_axes_mm

    @property
    def high_axes_mm(self) -> FloatArray:
        """Upper corner of the sampled block."""
        count = np.array(self.squared_mm2.shape)
        return np.asarray(self.first_axes_mm + (count - 1) * self.step_mm)


def distance_to_mask_mm(
    inside: NDArray[np.bool_],
    spacing_kji_mm: ArrayLike,
    cap_mm: float,
    *,
    metric: Metric = Metric.CENTRE,
) -> NDArray[np.float32]:
    """Distance of every voxel centre to the nearest set voxel, in mm, capped.

    Parameters
    ----------
    inside : ndarray of bool, shape (nk, nj, ni)
    spacing_kji_mm : array_like, shape (3,)
    cap_mm : float
        Larger distances are stored as this value.
    metric : Metric
        To voxel centres (as ``scipy.ndimage.distance_transform_edt(~inside)``
        does) or to voxel boxes.

    Returns
    -------
    ndarray of float32, shape of ``inside``
        Equal to the float64 result within 1e-5 mm up to a cap of 100 mm (the error grows
        with the square of the cap); an empty mask gives the cap.
    """
    return _field(
        np.ascontiguousarray(inside),
        np.asarray(spacing_kji_mm, float),
        cap_mm,
        metric,
        (1, 1, 1),
        take_root=True,
    )


def distance_field(
    mask: Mask,
    cap_mm: float,
    *,
    within_kji: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    max_step_mm: float = 1.6,
) -> DistanceField | None:
    """The BOX distance field of a mask, cropped to where it is below the cap.

    Parameters
    ----------
    mask : Mask
    cap_mm : float
        Distances from here on need not be told apart.
    within_kji : (start, stop), optional
        Voxels of the mask's grid where distances will be asked for (the box
        around the ball that the needle can reach).
    max_step_mm : float
        Voxel edges longer than this are sampled more finely, so that the
        interpolation bound stays small on thick slices.

    Returns
    -------
    DistanceField or None
        None when no voxel of the mask lies within the cap of ``within_kji``.
    """
    spacing = mask.grid.spacing_kji_mm
    reach = np.ceil(cap_mm / spacing + 0.5).astype(np.int64)
    shape = np.array(mask.grid.shape_kji)
    bounds = mask.bounds_kji()
    if bounds is None:
        return None
    ask_start, ask_stop = within_kji if within_kji is not None else (np.zeros(3, np.int64), shape)
    # Voxels farther than the cap from every asked point cannot matter.
    start = np.maximum(np.maximum(ask_start, bounds[0] - reach), 0)
    stop = np.minimum(np.minimum(ask_stop, bounds[1] + reach), shape)
    if np.any(stop <= start):
        return None
    source_start = np.maximum(start - reach, 0)
    source_stop = np.minimum(stop + reach, shape)
    source = mask.inside[tuple(slice(a, b) for a, b in zip(source_start, source_stop, strict=True))]
    if not source.any():
        return None
    finer = tuple(int(n) for n in np.ceil(spacing / max_step_mm - 1e-9))
    squared = _field(
        np.ascontiguousarray(source),
        spacing,
        cap_mm,
        Metric.BOX,
        (finer[0], finer[1], finer[2]),
        take_root=False,
    )
    step = spacing / np.array(finer)
    keep = tuple(
        slice(int((a - s) * f), int((b - s) * f))
        for a, b, s, f in zip(start, stop, source_start, finer, strict=True)
    )
    first = (start - 0.5) * spacing + step / 2
    return DistanceField(
        squared_mm2=np.ascontiguousarray(squared[keep]),
        first_axes_mm=first,
        step_mm=step,
        cap_mm=cap_mm,
    )


def _field(
    inside: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
    cap_mm: float,
    metric: Metric,
    finer_kji: tuple[int, int, int],
    *,
    take_root: bool,
) -> NDArray[np.float32]:
    """Distance, or squared distance, on the (finer) lattice."""
    runs = cap_mm / spacing_kji_mm + 1
    if not (np.isfinite(cap_mm) and cap_mm > 0 and runs.max() < _MAX_RUN):
        raise DegenerateGeometryError(
            "distance cap does not fit the voxel size",
            seen=f"cap {cap_mm} mm, spacing {spacing_kji_mm.tolist()} mm",
            needed=f"cap > 0 and at most {_MAX_RUN - 1} voxels",
        )
    half = metric.value
    unit_mm2 = cap_mm**2 / _CAP_UNITS
    voxels = read_only_bytes(inside)
    nk, nj, ni = inside.shape
    below = np.empty(inside.shape, dtype=np.uint8)
    above = np.empty(inside.shape, dtype=np.uint8)
    in_chunks(
        lambda low, high: _run_lengths(voxels, below, above, finer_kji[0] == 1, low, high),
        nj,
        least=16,
    )
    fk, fj, fi = finer_kji
    out = np.empty((nk * fk, nj * fj, ni * fi), dtype=np.float32)
    to_below, to_above = _run_costs(spacing_kji_mm[0], half, fk, unit_mm2)
    costs_j = _window_costs(spacing_kji_mm[1], cap_mm, half, fj, unit_mm2)
    costs_i = _window_costs(spacing_kji_mm[2], cap_mm, half, fi, unit_mm2)

    def fill(low: int, high: int) -> None:
        _fill_planes(
            below,
            above,
            to_below,
            to_above,
            costs_j,
            costs_i,
            unit_mm2,
            take_root,
            out,
            low,
            high,
        )

    in_chunks(fill, nk * fk, least=4)
    return out


def _offsets(finer: int) -> FloatArray:
    """Sample positions inside a voxel, in voxels from its centre."""
    return np.asarray((2 * np.arange(finer) + 1 - finer) / (2 * finer))


def _cost_units(gap_voxels: FloatArray, spacing_mm: float, unit_mm2: float) -> NDArray[np.int32]:
    squared = np.maximum(gap_voxels, 0.0) ** 2 * spacing_mm**2
    return np.asarray(np.minimum(np.rint(squared / unit_mm2), _CAP_UNITS), dtype=np.int32)


def _run_costs(
    spacing_mm: float, half: float, finer: int, unit_mm2: float
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Squared distance from sub-sample u to the set voxel ``run`` steps below or above.

    Two tables of shape (finer, 256). A run of 255 means that there is none.
    """
    run = np.arange(_MAX_RUN + 1)
    tables = []
    for sign in (1.0, -1.0):
        gap = np.abs(run[None, :] + sign * _offsets(finer)[:, None]) - half
        table = _cost_units(gap, spacing_mm, unit_mm2)
        table[:, _MAX_RUN] = _CAP_UNITS
        tables.append(table)
    return tables[0], tables[1]


def _window_costs(
    spacing_mm: float, cap_mm: float, half: float, finer: int, unit_mm2: float
) -> NDArray[np.int32]:
    """Squared distance from sub-sample u of voxel 0 to voxel d - width.

    Shape (finer, 2 width + 1).
    """
    width = int(np.ceil(cap_mm / spacing_mm + half))
    delta = np.arange(-width, width + 1)
    gap = np.abs(delta[None, :] - _offsets(finer)[:, None]) - half
    return _cost_units(gap, spacing_mm, unit_mm2)


@nb.njit(cache=True, nogil=True)
def _run_lengths(inside, below, above, is_plain, j_low, j_high):  # type: ignore[no-untyped-def]
    """Voxels to the nearest set voxel at or below, and at or above, along k (255 = none).

    With ``is_plain`` both sides cost the same: ``below`` becomes the nearer of them.
    """
    nk, _, ni = inside.shape
    run = np.empty(ni, np.uint8)
    for j in range(j_low, j_high):
        run[:] = 255
        for k in range(nk):
            for i in range(ni):
                grown = run[i] + np.uint8(run[i] != 255)
                run[i] = np.uint8(0) if inside[k, j, i] else np.uint8(grown)
                below[k, j, i] = run[i]
        run[:] = 255
        for k in range(nk - 1, -1, -1):
            for i in range(ni):
                grown = run[i] + np.uint8(run[i] != 255)
                run[i] = np.uint8(0) if inside[k, j, i] else np.uint8(grown)
                above[k, j, i] = run[i]
            if is_plain:
                for i in range(ni):
                    below[k, j, i] = min(below[k, j, i], run[i])


@nb.njit(cache=True, nogil=True)
def _fill_planes(  # type: ignore[no-untyped-def]
    below, above, to_below, to_above, costs_j, costs_i, unit_mm2, take_root, out, low, high
):
    _, nj, ni = below.shape
    fk = to_below.shape[0]
    plane = np.empty((nj, ni), np.int32)
    rows = np.empty((nj * costs_j.shape[0], ni), np.int32)
    for kk in range(low, high):
        k, u = kk // fk, kk % fk
        for j in range(nj):
            for i in range(ni):
                plane[j, i] = to_below[u, below[k, j, i]]
        if fk > 1:
            for j in range(nj):
                for i in range(ni):
                    plane[j, i] = min(plane[j, i], to_above[u, above[k, j, i]])
        _window_min_rows(plane, costs_j, rows)
        _window_min_columns(rows, costs_i, unit_mm2, take_root, out[kk])


@nb.njit(cache=True, nogil=True)
def _lower_to(best, one, cost_one, other, cost_other):  # type: ignore[no-untyped-def]
    """Lower ``best`` to the least of two shifted rows; the largest value left in it."""
    largest = np.int32(0)
    for i in range(best.shape[0]):
        least = min(np.int32(one[i] + cost_one), np.int32(other[i] + cost_other))
        least = min(best[i], least)
        best[i] = least
        largest = max(largest, least)
    return largest


@nb.njit(cache=True, nogil=True)
def _window_min_rows(plane, costs, out):  # type: ignore[no-untyped-def]
    """Minimum over rows: out[j * f + u] = min_d plane[j + d] + costs[u, d], in chunks of i."""
    nj, ni = plane.shape
    finer, n_window = costs.shape
    width = n_window // 2
    low = np.empty(nj, np.int32)
    for first in range(0, ni, _CHUNK):
        last = min(first + _CHUNK, ni)
        for j in range(nj):
            smallest = np.int32(_CAP_UNITS)
            for i in range(first, last):
                smallest = min(smallest, plane[j, i])
            low[j] = smallest
        for j in range(nj):
            for u in range(finer):
                best = out[j * finer + u, first:last]
                best[:] = _CAP_UNITS
                worst = np.int32(_CAP_UNITS)
                for d in range(width + 1):
                    up, down = costs[u, width + d], costs[u, width - d]
                    if min(up, down) >= worst:
                        break
                    after, before = min(j + d, nj - 1), max(j - d, 0)
                    if low[after] + up < worst or low[before] + down < worst:
                        # A row clamped at the edge is nearer than its cost says: safe to
                        # skip, never to count, so its cost becomes the cap.
                        up = up if j + d < nj else np.int32(_CAP_UNITS)
                        down = down if j - d >= 0 else np.int32(_CAP_UNITS)
                        worst = _lower_to(
                            best, plane[after, first:last], up, plane[before, first:last], down
                        )


@nb.njit(cache=True, nogil=True)
def _store(best, scale, take_root, out):  # type: ignore[no-untyped-def]
    if take_root:
        for i in range(out.shape[0]):
            out[i] = np.sqrt(np.float32(best[i]) * scale)
    else:
        for i in range(out.shape[0]):
            out[i] = np.float32(best[i]) * scale


@nb.njit(cache=True, nogil=True)
def _window_min_columns(rows, costs, unit_mm2, take_root, out):  # type: ignore[no-untyped-def]
    """Minimum along each row: out[j, i * f + u] = min_d rows[j, i + d] + costs[u, d]."""
    nj, ni = rows.shape
    finer, n_window = costs.shape
    width = n_window // 2
    line = np.full(ni + 2 * width, _CAP_UNITS, np.int32)
    room = np.empty(_CHUNK, np.int32)
    scale = np.float32(unit_mm2)
    for j in range(nj):
        line[width : width + ni] = rows[j]
        smallest = np.int32(_CAP_UNITS)
        for i in range(ni):
            smallest = min(smallest, rows[j, i])
        for first in range(0, ni, _CHUNK):
            n = min(_CHUNK, ni - first)
            best = room[:n]
            for u in range(finer):
                best[:] = _CAP_UNITS
                worst = np.int32(_CAP_UNITS)
                for d in range(width + 1):
                    nearer = min(costs[u, width + d], costs[u, width - d])
                    if nearer + smallest >= worst:
                        break
                    right, left = width + first + d, width + first - d
                    worst = _lower_to(
                        best,
                        line[right : right + n],
                        costs[u, width + d],
                        line[left : left + n],
                        costs[u, width - d],
                    )
                start = first * finer + u
                _store(best, scale, take_root, out[j, start : start + n * finer : finer])
