"""The body in an MR image: any units, contrast, coil shading, noise floor or offset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from planner.errors import MaskError
from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.skin.air import AirModel, dark_outside, dark_rim, find_air
from planner.skin.dark_layer import dark_layer_mm
from planner.skin.image import COARSE_MM, Found, WorkingImage, whole
from planner.skin.kernels import ByteArray, ImageArray, block_fractions, block_means, eroded
from planner.skin.outline import Outline, trunk_outline
from planner.skin.padding import Imaged, edge_seeds

AIR_SEARCH_MM = 5.0
COARSE_ENOUGH_MM = 3.5
"""Axes with larger voxels are not blurred: a slice must not leak into the next."""


BODY_LEVEL_FRAC = 0.2
"""Body begins at this fraction of the step from air to the tissue behind the skin. Under one
half on purpose: the skin itself is darker than the fat behind it, and a body too large by a
fraction of a voxel is the safer error."""

NOISY_FRAC = 0.05
NOISE_SIGMAS = 3.5
SMOOTHING_GAIN = 0.35
"""With air noise over ``NOISY_FRAC`` of the step, voxels are averaged with their neighbours first,
which leaves about ``SMOOTHING_GAIN`` of the noise. Body begins at least ``NOISE_SIGMAS`` of it
above air, but never above half the step."""

TISSUE_SIGMA_MM = 8.0
TISSUE_DEPTH_MM = 10.0
"""The tissue behind the skin is looked at to this depth, averaged over this width."""

UNSURE_MM = 3.5
"""Warn when the boundary moves farther than this between a threshold and three times it."""

RIM_MM = 5.5
"""A darker layer along the lateral border is unknown up to this depth. Blurring takes some 2.5 mm
off a layer of ``AIR_RUN_MM``, which is looked at again before each entry, at full resolution."""

MIN_STRUCTURE_FRAC = 0.02
"""Least fraction of the image's variance that must survive averaging over 8 mm: noise has none."""


def mr_body(values: ImageArray, imaged: Imaged, grid: Grid) -> Found:
    """The body in an MR image.

    Raises
    ------
    MaskError
        If the image is flat or noise.
    """
    image, floor, sign = _above_floor(values, imaged, grid)
    warnings: tuple[str, ...] = ()
    if sign < 0:
        warnings = ("the background is brighter than the body: intensities were inverted",)
    air = find_air(*_for_air_search(image, imaged), image.lateral_axes)
    if air is None:
        return whole(image, warnings)
    blurred = _as_smooth_as_searched(image)
    known, coarse_mm = image.coarse_imaged, image.coarse_mm
    dark = blurred < air.threshold
    rim = dark_rim(dark, known, image.lateral_axes, RIM_MM / coarse_mm)
    seeds = edge_seeds(known, image.lateral_axes)
    outside = dark_outside(dark & ~rim, coarse_mm, known, seeds)
    outline = trunk_outline(np.asarray(1 - outside, dtype=np.uint8), image)
    if outline is None or not (outline.padded == 0).any():
        return whole(image, warnings)
    tissue, clear = _levels(image, outline)
    level, is_noisy = _body_level(tissue, clear, _air_noise(image, outline))
    layer_mm = dark_layer_mm(
        image.coarse, outline.padded.astype(bool), known, coarse_mm, image.lateral_axes
    )
    edge = outline.edge(image).astype(bool)
    body_level = float(np.median(tissue[edge])) if edge.any() else float("nan")
    inside = outline.refined(image, level + np.float32(floor), smooth=is_noisy)
    return Found(
        inside=inside,
        imaged=_without_rim(image, rim),
        method="MR sharpest boundary",
        contrast=float(np.exp(air.log_step)),
        air_level=sign * (floor + air.mean),
        body_level=sign * (floor + body_level),
        unsure_mm3=max(air.unsure_mm3, 0.0),
        dark_layer_mm=layer_mm,
        unsure_mm=air.unsure_mm if air.unsure_mm > UNSURE_MM else 0.0,
        warnings=warnings + _layer_warning(layer_mm) + _unsure_warning(air),
    )


def _above_floor(
    values: ImageArray, imaged: Imaged, grid: Grid
) -> tuple[WorkingImage, float, float]:
    """The image with a coarse copy whose floor is zero; then that floor and the sign.

    Where air is bright, the sign is -1 and the image is turned upside down.
    """
    low, high = _range_of(values, imaged.region)
    image = WorkingImage.prepared(values, imaged.region, grid)
    _demand_structure(image)
    sign = 1.0
    if _is_inverted(image):
        image = WorkingImage.prepared(-values, imaged.region, grid)
        low, sign = -high, -1.0
    coarse = np.maximum(image.coarse - np.float32(low), np.float32(0))
    coarse[~image.coarse_imaged] = 0
    return replace(image, coarse=coarse), low, sign


def _range_of(values: ImageArray, region: NDArray[np.bool_]) -> tuple[float, float]:
    """Darkest and brightest level, single voxels aside."""
    step = max(1, values.size // 400_000)
    some = values.ravel()[::step][region.ravel()[::step]]
    low, high = (float(q) for q in np.percentile(some, [0.1, 99.9]))
    if not high > low:
        raise MaskError("no body can be told from the background: the image is flat", seen=low)
    return low, high


def _layer_warning(layer_mm: float) -> tuple[str, ...]:
    if not layer_mm > 0:
        return ()
    return (
        f"before the skin that was found lies an even layer of some {layer_mm:.0f} mm that is "
        "brighter than air, as tissue with suppressed fat is: the skin may lie that much farther "
        "out and every depth be too small; use another contrast or give the body as a structure",
    )


def _unsure_warning(air: AirModel) -> tuple[str, ...]:
    if air.unsure_mm <= UNSURE_MM:
        return ()
    return (
        f"{air.unsure_mm3 / 1e3:.0f} mL near the skin are nearly as dark as air and were counted"
        " as body: look at the outline (suppressed fat, a saturation band, ghosts)",
    )


def _demand_structure(image: WorkingImage) -> None:
    """Refuse noise: averaging must leave some of the variance."""
    step = max(1, image.values.size // 400_000)
    total = float(np.var(image.values.ravel()[::step][image.imaged.ravel()[::step]]))
    factor = np.maximum(1, np.round(8.0 / image.coarse_mm)).astype(np.int64)
    known = block_fractions(np.ascontiguousarray(image.coarse_imaged), factor) > 0.9
    blocks = block_means(image.coarse, factor)[known]
    n_block = float(np.prod(factor * image.factor))
    kept = float(np.var(blocks)) / total if blocks.size > 1 and total > 0 else 0.0
    needed = max(MIN_STRUCTURE_FRAC, 4.0 / n_block)
    if not kept >= needed:
        raise MaskError(
            "no body can be told from the background: the image is noise or flat",
            seen=f"{kept:.4f} of the variance is left after averaging over 8 mm",
            needed=f">= {needed:.4f}",
            fix="Check the series, or give a mask with the role body.",
        )


def _is_inverted(image: WorkingImage) -> bool:
    """Whether the volume's edges hold one bright, even background."""
    coarse, known = image.coarse, image.coarse_imaged
    rim = np.zeros(coarse.shape, dtype=bool)
    for a in (0, -1):
        for b in (0, -1):
            rim[:, a, b] = rim[a, :, b] = rim[a, b, :] = True
    if coarse.shape[0] < 8:  # a thin stack: its end slices' outlines say little, corners do
        rim[:] = False
        rim[:, (0, 0, -1, -1), (0, -1, 0, -1)] = True
    rim &= known
    if np.count_nonzero(rim) < 4:
        return False
    inner = coarse[known]
    span = float(np.percentile(inner, 99.5) - np.percentile(inner, 0.5))
    low, middle, high = (float(q) for q in np.percentile(coarse[rim], [20, 50, 80]))
    brighter = float(np.mean(inner > middle + 0.1 * span))
    darker = float(np.mean(inner < middle - 0.3 * span))
    return high - low < 0.1 * span and brighter < 0.05 and darker > 0.1


def _for_air_search(
    image: WorkingImage, imaged: Imaged
) -> tuple[ImageArray, FloatArray, NDArray[np.bool_]]:
    factor = np.maximum(1, np.round(AIR_SEARCH_MM / image.coarse_mm)).astype(np.int64)
    known = image.coarse_imaged
    if imaged.certain is not imaged.region:
        known = known & (block_fractions(imaged.certain, image.factor) > 0.5)
    known = block_fractions(np.ascontiguousarray(known), factor) > 0.5
    return block_means(image.coarse, factor), image.coarse_mm * factor, known


def _as_smooth_as_searched(image: WorkingImage) -> ImageArray:
    """The coarse image blurred to the resolution at which the threshold was chosen.

    Else noise that was averaged away there would stand above the threshold here.
    """
    sigma_mm = np.where(image.coarse_mm < COARSE_ENOUGH_MM, 0.5 * AIR_SEARCH_MM, 0.0)
    sigma = sigma_mm / image.coarse_mm
    return np.asarray(gaussian_filter(image.coarse, sigma, mode="nearest", truncate=3.0))


def _without_rim(image: WorkingImage, rim: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the image is imaged and not a dark layer along its lateral border."""
    if not rim.any():
        return image.imaged
    for axis in range(3):
        rim = np.repeat(rim, image.factor[axis], axis=axis)
    n_k, n_j, n_i = image.values.shape
    return np.asarray(image.imaged & ~rim[:n_k, :n_j, :n_i])


def _levels(image: WorkingImage, outline: Outline) -> tuple[ImageArray, ImageArray]:
    """Local intensity of the tissue just behind the skin and of the air before it."""
    coarse_mm = image.coarse_mm
    step_mm = float(np.sort(coarse_mm)[1]) * 1.01
    known = np.asarray(image.coarse_imaged, dtype=np.uint8)
    behind = eroded(outline.padded, step_mm, coarse_mm) & known
    behind &= 1 - eroded(outline.padded, step_mm + TISSUE_DEPTH_MM, coarse_mm)
    before = eroded(np.asarray(1 - outline.padded, dtype=np.uint8), step_mm, coarse_mm) & known
    return _local_mean(image, behind), _local_mean(image, before)


def _local_mean(image: WorkingImage, where: ByteArray) -> ImageArray:
    chosen = where.astype(bool)
    if not chosen.any():
        return np.zeros_like(image.coarse)
    weight = where.astype(np.float32)
    sigma = TISSUE_SIGMA_MM / image.coarse_mm
    total = gaussian_filter(image.coarse * weight, sigma, mode="nearest", truncate=3.0)
    share = gaussian_filter(weight, sigma, mode="nearest", truncate=3.0)
    everywhere = np.float32(np.median(image.coarse[chosen]))
    # A trace of the global level keeps the ratio defined where nothing is near.
    return np.asarray((total + 1e-3 * everywhere) / (share + 1e-3), dtype=np.float32)


def _body_level(tissue: ImageArray, clear: ImageArray, noise: float) -> tuple[ImageArray, bool]:
    """Where body begins, and whether noise asks for smoothing first."""
    step = np.maximum(tissue - clear, 0)
    typical = float(np.median(step[step > 0])) if (step > 0).any() else 0.0
    is_noisy = noise > NOISY_FRAC * typical
    left = noise * (SMOOTHING_GAIN if is_noisy else 1.0)
    above = np.minimum(np.maximum(BODY_LEVEL_FRAC * step, NOISE_SIGMAS * left), 0.5 * step)
    return np.asarray(clear + above, dtype=np.float32), is_noisy


def _air_noise(image: WorkingImage, outline: Outline) -> float:
    """Standard deviation of the air at full resolution."""
    clear = eroded(np.asarray(1 - outline.padded, dtype=np.uint8), 2 * COARSE_MM, image.coarse_mm)
    block = np.argwhere(clear.astype(bool) & image.coarse_imaged)
    if len(block) == 0:
        return 0.0
    some = block[:: max(1, len(block) // 20_000)] * image.factor
    i_step = np.minimum(np.arange(image.factor[2]), image.values.shape[2] - 1)
    i = np.minimum(some[:, 2, None] + i_step, image.values.shape[2] - 1)
    return float(np.std(image.values[some[:, 0, None], some[:, 1, None], i]))
