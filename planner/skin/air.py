"""Which intensity separates air from tissue in an MR image, or that there is no air in view.

No assumption on units: coil shading, raised noise floors and added offsets are
all met by asking one question. At which threshold does the dark region that
reaches the volume's edges have the sharpest boundary?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.skin.kernels import ByteArray, ImageArray, IntArray, dilated, eroded, reached_from
from planner.skin.padding import edge_seeds

N_THRESHOLDS = 18
MIN_LOG_STEP = 1.9
"""Least mean ln(tissue / air) of a boundary that may be skin. Seen in real images: 2.1 to 5 at
skin; 1.0 to 1.15 between tissues in crops without air; 1.8 at the edge of a saturation band."""

MIN_CONTRAST = 1.6
"""The same for ln((tissue - air) / (2 sd of air) + 1), which finds skin at low signal to noise,
where the noise floor keeps the first small. Between tissues and at bands: up to 1.4."""

NEAR_BEST_FRAC = 0.8
"""The lowest threshold whose contrast is at least this fraction of the best is taken:
tissue that is nearly as dark as air stays in the body."""

NOISE_WIDTHS = 4.0
"""The threshold lies at least this many widths of the noise (median less its 16 % level, which
ghosts do not widen) above the median of air."""

UNSURE_FACTOR = 3.0
MIN_AIR_FRAC = 1e-3
_DARKEST_FRAC = 5e-4
"""Air's spread counts as at least this fraction of the 98th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AirModel:
    """What air looks like; intensities are above the image's floor.

    Attributes
    ----------
    threshold : float
        Below it, and connected to the volume's edges, is air.
    mean, sd : float
        Of the air at the coarse resolution (median and half the 16-84 % range).
    log_step : float
        Mean over the boundary of ln(tissue / air).
    contrast : float
        Mean over the boundary of ln((tissue - mean + 2 sd) / (air - mean + 2 sd)).
    blur_mm : float
        Shift of the boundary when the threshold grows by a factor e.
    unsure_mm3 : float
        Volume that is body at this threshold and air at ``UNSURE_FACTOR`` times it.
    unsure_mm : float
        The same over the boundary's area: a thickness.
    """

    threshold: float
    mean: float
    sd: float
    log_step: float
    contrast: float
    blur_mm: float
    unsure_mm3: float
    unsure_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    threshold: float
    volume_mm3: float
    area_mm2: float
    mean: float
    sd: float
    noise_top: float
    log_step: float
    contrast: float


def find_air(
    image: ImageArray,
    spacing_kji_mm: FloatArray,
    imaged: NDArray[np.bool_],
    lateral_axes: tuple[int, int],
) -> AirModel | None:
    """The air of a coarse image whose floor is zero, or None when none is in view.

    Parameters
    ----------
    image : ndarray, (k, j, i)
        Intensities >= 0.
    spacing_kji_mm : ndarray, shape (3,)
        Voxel size.
    imaged : ndarray of bool, (k, j, i)
        Voxels with measured data; faces towards the rest are not boundary.
    lateral_axes : (int, int)
        The array axes across head-foot.
    """
    top = float(np.percentile(image[imaged], 98)) if imaged.any() else 0.0
    if not top > 0:
        return None
    low = max(float(np.percentile(image[imaged], 0.5)), top / 500) * 1.2
    if not low < 0.7 * top:
        return None
    seeds = edge_seeds(imaged, lateral_axes)
    trials = [
        _trial(image, float(t), spacing_kji_mm, imaged, seeds, _DARKEST_FRAC * top)
        for t in np.geomspace(low, 0.7 * top, N_THRESHOLDS)
    ]
    total_mm3 = float(np.prod(spacing_kji_mm)) * int(np.count_nonzero(imaged))
    sizeable = [n for n, t in enumerate(trials) if t.volume_mm3 >= MIN_AIR_FRAC * total_mm3]
    merit = [t.log_step for t in trials]
    fit = [n for n in sizeable if merit[n] >= MIN_LOG_STEP]
    if not fit:
        merit = [t.contrast for t in trials]
        fit = [n for n in sizeable if merit[n] >= MIN_CONTRAST]
    if not fit:
        return None
    best = max(merit[n] for n in fit)
    near = [n for n in fit if merit[n] >= NEAR_BEST_FRAC * best]
    clear = [n for n in near if trials[n].threshold >= trials[n].noise_top]
    index = clear[0] if clear else near[-1]
    chosen = trials[index]
    brighter = dark_outside(image < UNSURE_FACTOR * chosen.threshold, spacing_kji_mm, imaged, seeds)
    voxel_mm3 = float(np.prod(spacing_kji_mm))
    unsure_mm3 = float(np.count_nonzero(brighter[imaged])) * voxel_mm3 - chosen.volume_mm3
    return AirModel(
        threshold=chosen.threshold,
        mean=chosen.mean,
        sd=chosen.sd,
        log_step=chosen.log_step,
        contrast=chosen.contrast,
        blur_mm=float(_blur_mm(trials)[index]),
        unsure_mm3=unsure_mm3,
        unsure_mm=unsure_mm3 / max(chosen.area_mm2, 1e-9),
    )


def dark_outside(
    dark: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
    imaged: NDArray[np.bool_],
    seeds: IntArray,
) -> ByteArray:
    """Dark imaged voxels that connect to ``seeds`` by a passage two voxels wide.

    The passage rule keeps a break in thin bright skin from emptying dark tissue.
    What was not imaged is neither air nor a passage. The seeds are flat
    indices, from ``edge_seeds``.
    """
    radius_mm = float(np.sort(spacing_kji_mm)[1]) * 1.01
    free = np.asarray(dark & imaged, dtype=np.uint8)
    roomy = np.asarray(dark | ~imaged, dtype=np.uint8)
    core = np.asarray(eroded(roomy, radius_mm, spacing_kji_mm) & free, dtype=np.uint8)
    reached = reached_from(core, seeds)
    return np.asarray(dilated(reached, radius_mm, spacing_kji_mm) & free, dtype=np.uint8)


def dark_rim(
    dark: NDArray[np.bool_], imaged: NDArray[np.bool_], axes: tuple[int, int], least_vox: FloatArray
) -> NDArray[np.bool_]:
    """Dark voxels between the border of the imaged region and body closer than a few voxels.

    Such a layer is the image fading or filled as likely as air: unknown.

    Parameters
    ----------
    dark, imaged : ndarray of bool, (k, j, i)
        Voxels as dark as air; voxels with measured data.
    axes : (int, int)
        Axes along which to look inward from both borders.
    least_vox : ndarray, (3,)
        Along each axis, the length from which a dark run is air.
    """
    left = np.array(dark & imaged, dtype=np.uint8)
    for axis in axes:
        _clear_rim(left, imaged, axis, float(least_vox[axis]))
    return np.asarray(dark & imaged & (left == 0))


def _clear_rim(dark: ByteArray, imaged: NDArray[np.bool_], axis: int, least_vox: float) -> None:
    """Take dark runs shorter than ``least_vox``, from either border along an axis, out in place."""
    for at_end in (False, True):
        lines, known = np.moveaxis(dark, axis, 0), np.moveaxis(imaged, axis, 0)
        if at_end:
            lines, known = lines[::-1], known[::-1]
        run = np.zeros(lines.shape[1:], dtype=np.int64)
        is_open = np.ones(lines.shape[1:], dtype=bool)
        for at in range(len(lines)):
            is_dark = lines[at] == 1
            is_open &= is_dark | (~known[at] & (run == 0))
            run += is_open & is_dark
            if not is_open.any() or run[is_open].min() >= least_vox:
                break
        first = np.argmax(known, axis=0)
        is_rim = (run > 0) & (run < least_vox)
        for step in range(int(run[is_rim].max(initial=0))):
            j, i = np.nonzero(is_rim & (run > step))
            lines[first[j, i] + step, j, i] = 0


def _trial(
    image: ImageArray,
    threshold: float,
    spacing_kji_mm: FloatArray,
    imaged: NDArray[np.bool_],
    seeds: IntArray,
    least_sd: float,
) -> _Trial:
    air = dark_outside(image < threshold, spacing_kji_mm, imaged, seeds).astype(bool)
    voxel_mm3 = float(np.prod(spacing_kji_mm))
    values = image[air & imaged]
    if values.size == 0:
        return _Trial(threshold, 0.0, 0.0, 0.0, least_sd, 0.0, 0.0, 0.0)
    low, mean, high = (float(q) for q in np.percentile(values, [16, 50, 84]))
    sd = max((high - low) / 2, least_sd)
    area_mm2, log_sum, contrast_sum = 0.0, 0.0, 0.0
    for axis in range(3):
        face_mm2 = voxel_mm3 / float(spacing_kji_mm[axis])
        clear, deep = _across(image, air, imaged, axis)
        area_mm2 += face_mm2 * clear.size
        log_sum += face_mm2 * _sum_log_ratio(deep, clear, 2 * least_sd)
        above = np.maximum(deep - mean, 0), np.maximum(clear - mean, 0)
        contrast_sum += face_mm2 * _sum_log_ratio(*above, 2 * sd)
    area = max(area_mm2, 1e-9)
    volume_mm3 = values.size * voxel_mm3
    return _Trial(
        threshold=threshold,
        volume_mm3=volume_mm3,
        area_mm2=area_mm2,
        mean=mean,
        sd=sd,
        noise_top=mean + NOISE_WIDTHS * (mean - low),
        log_step=log_sum / area,
        contrast=contrast_sum / area,
    )


def _sum_log_ratio(deep: ImageArray, clear: ImageArray, offset: float) -> float:
    ratio = np.log(deep + np.float32(offset)) - np.log(clear + np.float32(offset))
    return float(np.sum(ratio, dtype=np.float64))


def _across(
    image: ImageArray, air: NDArray[np.bool_], imaged: NDArray[np.bool_], axis: int
) -> tuple[ImageArray, ImageArray]:
    """Intensities one voxel off every boundary face: on the air's side and on the body's side."""
    v = np.moveaxis(image, axis, 0)
    a, m = np.moveaxis(air, axis, 0), np.moveaxis(imaged, axis, 0)
    n = v.shape[0] - 3
    if n < 1:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    known = m[:n] & m[1 : n + 1] & m[2 : n + 2] & m[3:]
    up = known & a[:n] & a[1 : n + 1] & ~a[2 : n + 2]
    down = known & a[3:] & a[2 : n + 2] & ~a[1 : n + 1]
    clear = np.concatenate([v[:n][up], v[3:][down]])
    deep = np.concatenate([v[3:][up], v[:n][down]])
    return clear, deep


def _blur_mm(trials: list[_Trial]) -> FloatArray:
    volume = np.array([t.volume_mm3 for t in trials])
    area = np.array([t.area_mm2 for t in trials])
    log_t = np.log([t.threshold for t in trials])
    slope = np.gradient(volume, log_t)
    return np.asarray(np.where(area > 0, slope / np.maximum(area, 1e-9), np.inf))
