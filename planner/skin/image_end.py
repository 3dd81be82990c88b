"""Which places on the body's outline are no proven skin: the image ends beside or before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.skin.kernels import IntArray, dilated

END_GUARD_MM = 5.0
END_GUARD_VOX = 2.5
"""An entry keeps the larger of the two from where the image ends beside it: interpolation smears
an end over two voxels, and the normal there depends on what was not seen."""

AIR_RUN_MM = 8.0
"""Before an entry lies at least this much measured air: less of it, at the image's end, is the
image fading or filled as likely as air."""

_AIR_STEP_MM = 0.8


def end_guard_mm(spacing_kji_mm: FloatArray) -> float:
    """How far an entry keeps from where the image ends beside it, mm."""
    return max(END_GUARD_MM, END_GUARD_VOX * float(np.sort(spacing_kji_mm)[1]))


def at_image_end(
    entry_axes_mm: FloatArray,
    normal_axes: FloatArray,
    shape_kji: IntArray,
    spacing_kji_mm: FloatArray,
    axial_axis: int,
    imaged: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """Which entries have no measured air before them, or the end of the image beside them.

    Parameters
    ----------
    entry_axes_mm, normal_axes : ndarray, shape (n, 3)
        Entries and their outward normals along the grid's own axes k, j, i.
    shape_kji, spacing_kji_mm : ndarray, shape (3,)
        The grid.
    axial_axis : int
        The array axis nearest to head-foot. A stack that ends along it goes on in the
        patient with the same outline: no end of that kind.
    imaged : ndarray of bool, (k, j, i), or None
        Where there are measured values; None: everywhere.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    guard_mm = end_guard_mm(spacing_kji_mm)
    room_mm = np.full(len(entry_axes_mm), np.inf)
    for axis in range(3):
        if axis == axial_axis:
            continue
        at = entry_axes_mm[:, axis] + 0.5 * spacing_kji_mm[axis]
        size_mm = shape_kji[axis] * spacing_kji_mm[axis]
        room_mm = np.minimum(room_mm, np.minimum(at, size_mm - at))
    is_end = ~(room_mm >= guard_mm)
    is_watched = room_mm < AIR_RUN_MM + guard_mm
    voxel = np.floor(entry_axes_mm / spacing_kji_mm + 0.5).astype(np.int64)
    voxel = np.clip(voxel, 0, shape_kji - 1)
    if imaged is not None and not imaged.all():
        unknown = np.asarray(~imaged, dtype=np.uint8)
        half_mm = 0.5 * float(spacing_kji_mm.max())
        is_end |= _within(unknown, voxel, guard_mm, spacing_kji_mm)
        is_watched |= _within(unknown, voxel, AIR_RUN_MM + half_mm, spacing_kji_mm)
    watched = np.flatnonzero(is_watched & ~is_end)
    is_end[watched] = _runs_out(
        entry_axes_mm[watched], normal_axes[watched], shape_kji, spacing_kji_mm, axial_axis, imaged
    )
    return is_end


def _within(
    unknown: NDArray[np.uint8], voxel: IntArray, reach_mm: float, spacing_kji_mm: FloatArray
) -> NDArray[np.bool_]:
    """Whether a voxel's centre lies within reach of the centre of an unknown one."""
    margin = np.ceil(reach_mm / spacing_kji_mm).astype(np.int64)
    low = np.maximum(voxel.min(axis=0) - margin, 0)
    high = np.minimum(voxel.max(axis=0) + margin + 1, unknown.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = dilated(np.ascontiguousarray(unknown[window]), reach_mm, spacing_kji_mm)
    return np.asarray(near[tuple((voxel - low).T)] == 1)


def _runs_out(
    entry_axes_mm: FloatArray,
    normal_axes: FloatArray,
    shape_kji: IntArray,
    spacing_kji_mm: FloatArray,
    axial_axis: int,
    imaged: NDArray[np.bool_] | None,
) -> NDArray[np.bool_]:
    """Whether the way outward ends or meets what was not imaged within ``AIR_RUN_MM``."""
    out = np.zeros(len(entry_axes_mm), dtype=bool)
    for far_mm in np.append(np.arange(_AIR_STEP_MM, AIR_RUN_MM, _AIR_STEP_MM), AIR_RUN_MM):
        at = (entry_axes_mm + far_mm * normal_axes) / spacing_kji_mm
        voxel = np.floor(at + 0.5).astype(np.int64)
        beyond = (voxel < 0) | (voxel >= shape_kji)
        beyond[:, axial_axis] = False
        out |= beyond.any(axis=1)
        if imaged is not None:
            out |= ~imaged[tuple(np.clip(voxel, 0, shape_kji - 1).T)]
    return out
