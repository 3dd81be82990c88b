"""Which part of an array the scanner really imaged: fill values at the border are not air.

Three habits of scanners and software put a constant where nothing was measured:
a rectangular field of view stored in a square array, the curved rim that
gradient distortion correction leaves, and the circle of a CT reconstruction.
Tissue that ends there is cut, not skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_opening

from planner.geometry.frames import FloatArray
from planner.skin.kernels import ImageArray, IntArray, compiled

MIN_FILL_FRAC = 0.02
"""A face with fewer constant voxels than this carries no fill."""

_PLANES_AT_ONCE = 8
"""Lines are followed this far at a time: most end at once."""

RIM_BAND_MM = 8.0
RIM_BAND_FRAC = 0.03
"""Deepest curved rim: the larger of the two, the second as a fraction of the extent."""

RIM_SPREAD_VOX = 2
"""Interpolation smears the fill's edge over this many voxels."""

FLAT_DEPTH_MM = 8.0
FLAT_FRAC = 0.75
"""A rectangular cut: of the lines that start within ``FLAT_DEPTH_MM`` of its first plane, this
fraction starts in that plane. A convex body touching the plane stays under 0.6."""

CT_FILL_HU = -1100.0
CIRCLE_SHARE = 0.9

STRIP_SHARE = 0.5
"""A padded strip: planes that hold the fill in at least this share, up to where it halves at once.
Interpolation leaves single other values in it. As deep as a curved rim at most."""

ABRUPT_RATIO = 0.7
"""At a cut the second voxel is as bright as the sixth; at skin, blur and dermis make it darker."""


@dataclass(frozen=True, slots=True, eq=False)
class Imaged:
    """Where values were measured.

    Attributes
    ----------
    region : ndarray of bool, (k, j, i)
        Without rectangular fill. Tissue at its end is cut.
    certain : ndarray of bool, (k, j, i)
        Also without the curved rim: a rim of exact values, or air less than
        ``RIM_BAND`` deep; good for statistics.
    """

    region: NDArray[np.bool_]
    certain: NDArray[np.bool_]


def imaged_region(values: ImageArray, spacing_kji_mm: FloatArray) -> Imaged:
    """Voxels that the scanner imaged.

    Notes
    -----
    Judged side by side on the run of one exact value from the border inward.
    Air that software set to an exact constant looks alike; a rectangular fill
    is told from it by its flat and abrupt edge (see the constants above).
    """
    region = np.ones(values.shape, dtype=bool)
    certain = region
    for axis in range(3):
        for at_end in (False, True):
            lines = np.moveaxis(values, axis, 0)
            lines = lines[::-1] if at_end else lines
            run = _fill_run(lines)
            if run is None:
                continue
            spacing_mm = float(spacing_kji_mm[axis])
            strip = _strip_depth(lines, spacing_mm)
            if strip > 0:
                _clear(region, axis, at_end, np.full(run.shape, strip + RIM_SPREAD_VOX))
            across = np.delete(spacing_kji_mm, axis)
            first = int(run.min())
            if first > 0:
                if _is_flat_fill(lines, run, first, spacing_mm):
                    _clear(region, axis, at_end, np.full(run.shape, first + RIM_SPREAD_VOX))
            else:
                certain = certain.copy() if certain is region else certain
                _clear(certain, axis, at_end, _rim_depth(run, len(lines), spacing_mm, across))
    if not region.all() and (not region.any() or np.ptp(values[region]) == 0):
        # Nothing varies within: a drawing on an empty background, not an image in a frame.
        region = certain = np.ones(values.shape, dtype=bool)
    return Imaged(region, region & certain)


def circle_of_ct(values: ImageArray, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``region`` within the reconstruction circle of CT slices, where there is one.

    Fill under -1100 HU is never air; fill that equals air is known by its
    corners: constant in every slice beyond one circle about the middle.
    """
    return circle_of(values, np.asarray(region & (values > CT_FILL_HU)))


def circle_of(values: ImageArray, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``region`` within the circle about the slices' middle beyond which all is constant."""
    _, n_j, n_i = values.shape
    j, i = np.ogrid[:n_j, :n_i]
    radius = np.hypot(j - (n_j - 1) / 2, i - (n_i - 1) / 2)
    is_used = np.any(values != float(values[0, 0, 0]), axis=0)
    ring = np.floor(radius).astype(np.int64)
    share = np.bincount(ring.ravel(), is_used.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    reach = float(np.flatnonzero(share >= CIRCLE_SHARE).max(initial=0))
    half = min(n_j, n_i) / 2
    if 0.95 * half <= reach <= 1.05 * half:
        return np.asarray(region & (radius <= reach - RIM_SPREAD_VOX)[None])
    return region


def _fill_run(lines: ImageArray) -> NDArray[np.int64] | None:
    """Length of the fill from the start of each line, or None when the side has no fill."""
    if len(lines) < 3:
        return None
    fill = constant_of(lines[0])
    if fill is None:
        return None
    run = _run_length(lines, fill)
    return None if np.all(run == len(lines)) else run


def constant_of(face: ImageArray) -> float | None:
    """The value that fills a face, if at least ``MIN_FILL_FRAC`` of it is one exact value."""
    found, count = np.unique(face, return_counts=True)
    best = int(np.argmax(count))
    return float(found[best]) if count[best] >= MIN_FILL_FRAC * face.size else None


def _run_length(lines: ImageArray, fill: float) -> NDArray[np.int64]:
    """Length of the run of ``fill`` from the start of each line, n where it never ends."""
    run = np.full(lines.shape[1:], len(lines), dtype=np.int64)
    is_open = np.ones(lines.shape[1:], dtype=np.bool_)
    for low in range(0, len(lines), _PLANES_AT_ONCE):
        if not _run_on(lines[low : low + _PLANES_AT_ONCE], fill, low, run, is_open):
            break
    return run


@compiled
def _run_on(
    lines: ImageArray, fill: float, first: int, run: NDArray[np.int64], is_open: NDArray[np.bool_]
) -> bool:  # pragma: no cover
    """Ends runs within some planes; whether any line is still open."""
    n, n_a, n_b = lines.shape
    n_open = 0
    for a in range(n_a):
        for b in range(n_b):
            if not is_open[a, b]:
                continue
            for at in range(n):
                if lines[at, a, b] != fill:
                    run[a, b] = first + at
                    is_open[a, b] = False
                    break
            if is_open[a, b]:
                n_open += 1
    return n_open > 0


def _is_flat_fill(lines: ImageArray, run: NDArray[np.int64], first: int, spacing_mm: float) -> bool:
    deep = first + max(2, round(FLAT_DEPTH_MM / spacing_mm))
    n_first = int(np.count_nonzero(run <= first + 1))
    n_deep = int(np.count_nonzero(run <= deep))
    if n_first < FLAT_FRAC * n_deep:
        return False
    return _abruptness(lines, run, run <= first + 1) >= ABRUPT_RATIO


def _strip_depth(lines: ImageArray, spacing_mm: float) -> int:
    """How many planes from the border are padding with single other values, 0 for none."""
    fill = constant_of(lines[0])
    deepest = min(int(max(RIM_BAND_MM / spacing_mm, RIM_BAND_FRAC * len(lines))), len(lines) - 3)
    share = [float(np.mean(plane == fill)) for plane in lines[: deepest + 2]]
    for depth in range(1, deepest + 1):
        if min(share[:depth]) >= STRIP_SHARE and share[depth + 1] <= STRIP_SHARE * share[depth - 1]:
            return depth
    return 0


def _rim_depth(
    run: NDArray[np.int64], n: int, spacing_mm: float, across_mm: FloatArray
) -> NDArray[np.int64]:
    """Depth of a rim that is smooth along the side; lone lines of fill do not count."""
    band = max(RIM_BAND_MM / spacing_mm, RIM_BAND_FRAC * n)
    depth = np.where(run <= band, run, 0)
    size = np.maximum(1, np.round(RIM_BAND_MM / across_mm)).astype(int)
    smooth = grey_opening(depth, size=tuple(int(x) for x in size), mode="nearest")
    return np.asarray(np.where(smooth > 0, smooth + RIM_SPREAD_VOX, 0), dtype=np.int64)


def _abruptness(lines: ImageArray, run: NDArray[np.int64], chosen: NDArray[np.bool_]) -> float:
    """Median brightness of the second voxel after the fill relative to the sixth."""
    where = np.nonzero(chosen & (run + 6 < lines.shape[0]))
    if where[0].size == 0:
        return 1.0
    start = run[where]
    second = lines[(start + 1, *where)].astype(np.float64)
    sixth = lines[(start + 5, *where)].astype(np.float64)
    floor = float(lines[(start - 1, *where)].mean())
    bright = sixth - floor > np.median(sixth - floor)
    if not bright.any():
        return 1.0
    return float(np.median((second - floor)[bright] / (sixth - floor)[bright]))


def _clear(region: NDArray[np.bool_], axis: int, at_end: bool, depth: NDArray[np.int64]) -> None:
    """Take the first ``depth`` voxels of each line from the region, in place."""
    lines = np.moveaxis(region, axis, 0)
    lines = lines[::-1] if at_end else lines
    for at in range(min(int(depth.max()), lines.shape[0])):
        lines[at] &= at >= depth


def edge_seeds(imaged: NDArray[np.bool_], axes: tuple[int, int]) -> IntArray:
    """Flat indices of imaged voxels where the region ends along both of two axes.

    With the two axes across head-foot these are the four corner lines of an
    axial stack. Air that reaches one is outside; a cavity that a cut face
    opens (bowel gas in the last slice, a trachea, rectal gas) does not.
    """
    return np.flatnonzero(_ends_along(imaged, axes[0]) & _ends_along(imaged, axes[1]))


def border_seeds(imaged: NDArray[np.bool_], axes: tuple[int, int]) -> IntArray:
    """Flat indices of imaged voxels where the region ends along one of the two axes."""
    return np.flatnonzero(_ends_along(imaged, axes[0]) | _ends_along(imaged, axes[1]))


def _ends_along(imaged: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Imaged voxels with the border or a voxel not imaged within two steps along an axis."""
    lines = np.moveaxis(imaged, axis, 0)
    ends = np.zeros_like(lines)
    ends[0] = ends[-1] = True
    reach = 1 if imaged.all() else 2
    for step in range(1, min(reach, len(lines) - 1) + 1):
        ends[step:] |= ~lines[:-step]
        ends[:-step] |= ~lines[step:]
    return np.asarray(np.moveaxis(ends & lines, 0, axis))
