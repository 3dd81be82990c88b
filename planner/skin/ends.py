"""Where the image ends and not the body: padding, cut corners, masked circles.

An array has a value everywhere, a scanner has not. Zeros written beside the field
of view, into the corners that distortion correction or a reformat leaves, or outside
a reconstruction circle look like air, and tissue that stops there looks like skin.
Called with a body that was found, this module says which voxels hold no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, uniform_filter
from scipy.spatial import cKDTree

from planner.geometry.frames import FloatArray
from planner.geometry.threads import in_chunks
from planner.skin.kernels import ImageArray, IntArray, block_fractions, block_means, compiled
from planner.skin.padding import circle_of, constant_of

BLOCK_MM = 2.5
SOLID_FRAC = 0.9
"""A block of voxels is solid when this share of them equals all neighbours in its slice."""

FILL_SHARE = 0.7
LEAST_FILL_FRAC = 0.002
FILL_WINDOW_MM = 12.0
"""Or when this share of a window around it is the value that fills a face: interpolation leaves
single others."""

DARK_SHARE = 0.15
"""Fill is raised to the darkest of the rest if that is this dark, as a share of the range: air.
Where it is brighter the fill may be all the air there is."""

AVERAGE_MM = 7.5

NOISY_FLAT_FRAC = 0.25
"""Air with fewer such voxels is measured. Seen in real images: 0.0001 to 0.06; 0.7 in one
whose background was set to zero, where constants prove nothing."""

LEAST_AIR_MM3 = 2000.0
DRAWN_FLAT_FRAC = 0.5
"""A body of which half is constant is a drawing: nothing tells its background from padding."""

STRAIGHTEST_RADIUS_MM = 500.0
"""Skin bends more than this; a plane that stops tissue before a constant is a cut."""

PLANE_SHARE = 0.8
"""A plane holds at least this share of the outline around a point of it."""

REACHES = ((1.0, 1.0), (0.7, 0.73), (0.55, 0.3))
"""Sizes of a patch and the bounds of its roughness, both relative: the smallest patch finds only
planes along the voxels, but shallower cuts. A bend's sagitta falls with the square of the size."""

CIRCLE_LEAST = 0.9
CIRCLE_FOLLOWED = 0.2
"""Share of a circle about the middle, of this part of the inscribed one or more, that the outline
of a body follows by chance."""

_SECTOR_DEG = 5.0

_MOST_CENTRES, _MOST_POINTS = 800, 12_000
_LEAST_NEIGHBOURS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What of an image was measured.

    Attributes
    ----------
    region : ndarray of bool, (k, j, i)
        Where there are measured values, as far as can be told.
    fill : ndarray of bool, (k, j, i), or None
        Constants that are fill for certain, for the image has air with noise elsewhere.
    is_air_constant : bool
        The air is a constant: nothing proves that it was measured.
    """

    region: NDArray[np.bool_]
    fill: NDArray[np.bool_] | None = None
    is_air_constant: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """Where an image is constant.

    Attributes
    ----------
    is_flat : ndarray of bool, (k, j, i)
        Voxels that equal all neighbours within their slice.
    is_fill : ndarray of bool, (k, j, i)
        Voxels with a value that fills a face and more.
    factor : ndarray of int, (3,)
        Voxels per block.
    flat_share : ndarray, blocks
        Share of ``is_flat``.
    solid : ndarray of bool, blocks
        Blocks of one value, with single others at most.
    """

    is_flat: NDArray[np.bool_]
    is_fill: NDArray[np.bool_]
    factor: IntArray
    flat_share: ImageArray
    solid: NDArray[np.bool_]

    @property
    def voxels(self) -> NDArray[np.bool_]:
        """Solid blocks and the constant voxels within two blocks of them, at full resolution."""
        blocks, around = self.solid, binary_dilation(self.solid, np.ones((1, 5, 5), dtype=bool))
        for axis in range(3):
            around = np.repeat(around, self.factor[axis], axis=axis)
            blocks = np.repeat(blocks, self.factor[axis], axis=axis)
        crop = tuple(slice(n) for n in self.is_flat.shape)
        return np.asarray(blocks[crop] | (around[crop] & (self.is_flat | self.is_fill)))


def measured_region(
    values: ImageArray,
    constants: Constants,
    inside: NDArray[np.bool_],
    imaged: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
) -> Measured:
    """The part of ``imaged`` in which values were measured, as far as can be told.

    Parameters
    ----------
    values : ndarray, (k, j, i)
        The image.
    constants : Constants
        Of the image.
    inside, imaged : ndarray of bool, (k, j, i)
        The body, and what is not yet known to be fill.
    spacing_kji_mm : ndarray, shape (3,)
        Voxel size.

    Notes
    -----
    Measured air has noise. Where the image has such air, solid constants are fill,
    whatever their value and shape. Where all air is constant, fill is told from a
    background set to zero by its shape: a circle about the middle, or a plane that
    stops the body (``STRAIGHTEST_RADIUS_MM``). A drawing is left as it is.
    """
    body = inside & imaged
    if not constants.solid.any() or not body.any():
        return Measured(imaged)
    if float(np.mean(constants.is_flat[body])) > DRAWN_FLAT_FRAC:
        return Measured(imaged)
    if _has_measured_air(constants, inside, imaged, spacing_kji_mm):
        # What equals the brightest value may be tissue beyond the range of the file.
        fill = constants.voxels & ~(body & (values == values.max()))
        return Measured(imaged & ~fill, fill)
    air = imaged & ~inside
    is_flat = constants.is_flat & air
    if not is_flat.any():
        return Measured(imaged)
    is_air_constant = np.count_nonzero(is_flat) >= NOISY_FLAT_FRAC * np.count_nonzero(air)
    region = circle_of(values, imaged)
    region = region & ~_behind_a_circle(inside, region)
    region = region & ~_behind_planes(inside, region, is_flat, spacing_kji_mm)
    return Measured(region, is_air_constant=bool(is_air_constant))


def without_dark_fill(
    values: ImageArray, constants: Constants, spacing_kji_mm: FloatArray
) -> ImageArray:
    """The image with fill raised to the darkest of the rest, that it be not taken for the air.

    Zeros beside noisy air make a boundary as sharp as that of skin.
    """
    # Away from the fill, and averaged until noise no longer decides.
    apart = ~binary_dilation(constants.solid, np.ones((1, 5, 5), dtype=bool))
    if not constants.solid.any() or not apart.any():
        return values
    factor = constants.factor
    width = np.maximum(1, np.round(AVERAGE_MM / (factor * spacing_kji_mm))).astype(int)
    means = uniform_filter(block_means(values, factor), tuple(int(w) for w in width))
    low, level, high = (float(q) for q in np.percentile(means[apart], [0.1, 2, 98]))
    if not level <= low + DARK_SHARE * (high - low):
        return values
    fill = constants.voxels & (values < level)
    return np.where(fill, np.float32(level), values) if fill.any() else values


def constants_of(values: ImageArray, spacing_kji_mm: FloatArray) -> Constants:
    """Where an image is constant, judged in blocks of ``BLOCK_MM``."""
    factor = np.maximum(1, np.round(BLOCK_MM / spacing_kji_mm)).astype(np.int64)
    is_flat, is_fill = flat_voxels(values), np.zeros(values.shape, dtype=bool)
    flat_share = block_fractions(is_flat, factor)
    solid = flat_share > SOLID_FRAC
    width = np.maximum(3, np.round(FILL_WINDOW_MM / (factor * spacing_kji_mm)[1:])).astype(int)
    faces = [np.moveaxis(values, axis, 0)[side] for axis in range(3) for side in (0, -1)]
    # One value at a time: the few whole numbers of dim air are not one constant.
    for fill in {constant_of(face) for face in faces} - {None}:
        has_value = values == fill
        if np.count_nonzero(has_value) < LEAST_FILL_FRAC * values.size:
            continue
        size = (1, int(width[0]), int(width[1]))
        share = uniform_filter(block_fractions(has_value, factor), size, mode="nearest")
        if (share >= FILL_SHARE).any():
            solid |= share >= FILL_SHARE
            is_fill |= has_value
    return Constants(is_flat, is_fill, factor, flat_share, _opened_in_plane(solid))


def flat_voxels(values: ImageArray) -> NDArray[np.bool_]:
    """Voxels (k, j, i) that equal all their neighbours within the slice."""
    out = np.zeros(values.shape, dtype=np.bool_)
    in_chunks(lambda low, high: _flat_slices(values, out, low, high), len(values), least=4)
    return out


@compiled
def _flat_slices(
    values: ImageArray, out: NDArray[np.bool_], k_low: int, k_high: int
) -> None:  # pragma: no cover
    _, n_j, n_i = values.shape
    for k in range(k_low, k_high):
        for j in range(n_j):
            low, high = max(j - 1, 0), min(j + 2, n_j)
            for i in range(n_i):
                value = values[k, j, i]
                same = True
                for b in range(low, high):
                    for c in range(max(i - 1, 0), min(i + 2, n_i)):
                        if values[k, b, c] != value:
                            same = False
                            break
                    if not same:
                        break
                out[k, j, i] = same


def _opened_in_plane(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    square = np.ones((1, 3, 3), dtype=bool)
    return np.asarray(binary_dilation(binary_erosion(solid, square, border_value=1), square))


def _has_measured_air(
    constants: Constants,
    inside: NDArray[np.bool_],
    imaged: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
) -> bool:
    """Whether air that is neither fill nor blurred by tissue carries noise."""
    factor, square = constants.factor, np.ones((1, 3, 3), dtype=bool)
    known = block_fractions(imaged, factor) > 0.99
    body = block_fractions(inside, factor) > 0.0
    air = known & ~binary_dilation(body | ~known, square)
    air &= ~binary_dilation(constants.solid, square)
    block_mm3 = float(np.prod(factor * spacing_kji_mm))
    if np.count_nonzero(air) * block_mm3 < LEAST_AIR_MM3:
        return False
    return float(np.mean(constants.flat_share[air])) < NOISY_FLAT_FRAC


def _behind_a_circle(inside: NDArray[np.bool_], imaged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels beyond the inscribed circle of the slices, where the body follows it for long."""
    _, n_j, n_i = inside.shape
    j, i = np.ogrid[:n_j, :n_i]
    down, right = j - (n_j - 1) / 2, i - (n_i - 1) / 2
    radius = np.hypot(down, right)
    sector = (np.degrees(np.arctan2(down, right)) // _SECTOR_DEG).astype(np.int64)
    sector -= int(sector.min())
    farthest = np.zeros(int(sector.max()) + 1)
    np.maximum.at(farthest, sector, np.where(inside.any(axis=0), radius, 0.0))
    out = np.zeros(inside.shape, dtype=bool)
    tries = np.arange(CIRCLE_LEAST * min(n_j, n_i) / 2, radius.max(), 0.5)
    on_circle = np.abs(farthest[:, None] - tries) <= 1.5
    best = int(np.argmax(on_circle.sum(axis=0)))
    if float(on_circle[:, best].mean()) >= CIRCLE_FOLLOWED:
        is_cut = on_circle[sector, best] & (radius > tries[best] - 3.0)
        out |= is_cut[None] & imaged & ~inside
    return out


def _behind_planes(
    inside: NDArray[np.bool_],
    imaged: NDArray[np.bool_],
    is_flat: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
) -> NDArray[np.bool_]:
    """Voxels outside the body whose face to it lies in a plane before a constant."""
    out = np.zeros(inside.shape, dtype=bool)
    points, outer = _faces_before_constant(inside, imaged, is_flat)
    if len(points) < _LEAST_NEIGHBOURS:
        return out
    in_plane = _in_a_plane(points * spacing_kji_mm, inside.shape, spacing_kji_mm)
    out[tuple(outer[in_plane].T)] = True
    return out


def _faces_before_constant(
    inside: NDArray[np.bool_], imaged: NDArray[np.bool_], is_flat: NDArray[np.bool_]
) -> tuple[FloatArray, IntArray]:
    """Faces (n, 3) from body to air as indices, and the air's voxels, beside a constant."""
    # Interpolation leaves up to two voxels between tissue and the constant.
    outside = imaged & ~inside & binary_dilation(is_flat, np.ones((1, 7, 7), dtype=bool))
    points, outer = [], []
    for axis in range(3):
        for step in (1, -1):
            body, free = (np.moveaxis(a, axis, 0)[::step] for a in (inside, outside))
            at = np.argwhere(body[:-1] & free[1:]).astype(np.int64)
            at[:, 0] = at[:, 0] + 1 if step > 0 else len(body) - 2 - at[:, 0]
            places = at.astype(np.float64)
            places[:, 0] -= 0.5 * step
            order = np.argsort([axis, *(a for a in range(3) if a != axis)])
            points.append(places[:, order])
            outer.append(at[:, order])
    return np.concatenate(points), np.concatenate(outer)


def _in_a_plane(
    points_mm: FloatArray, shape_kji: tuple[int, ...], spacing_kji_mm: FloatArray
) -> NDArray[np.bool_]:
    """Which points lie in a patch flatter than any skin.

    Points within reach of a centre are fitted with a plane. What voxels leave of a true
    plane is under ``tol``; the reach is such that the straightest skin leaves 1.5 of it.
    """
    tol = 0.3 * spacing_kji_mm + 0.1 * float(spacing_kji_mm.min())
    largest_mm = float(np.sqrt(12.0 * STRAIGHTEST_RADIUS_MM * np.sort(tol)[1]))
    some = points_mm[:: max(1, len(points_mm) // _MOST_POINTS)]
    centres = some[:: max(1, len(some) // _MOST_CENTRES)]
    tree, all_points = cKDTree(some), cKDTree(points_mm)
    found = np.zeros(len(points_mm), dtype=bool)
    for size, roughness in REACHES:
        reach_mm = size * largest_mm
        # A stack thinner than the reach is taken to go on: a curve in one slice is no plane.
        is_thin = np.array(shape_kji) * spacing_kji_mm < reach_mm
        unseen = np.diag(np.where(is_thin, reach_mm**2, 0.0))
        for centre, near in zip(centres, tree.query_ball_point(centres, reach_mm), strict=True):
            plane = _plane_of(some[near], unseen, (0.35 * reach_mm) ** 2, tol)
            if plane is None:
                continue
            middle, normal, spread2 = plane
            limit = roughness * float(np.abs(normal) @ tol)
            if spread2 <= limit**2:
                close = np.array(all_points.query_ball_point(centre, reach_mm))
                off = np.abs((points_mm[close] - middle) @ normal)
                found[close[off <= 3.0 * max(limit, float(tol.max()))]] = True
    return found


def _plane_of(
    points_mm: FloatArray, unseen_mm2: FloatArray, least_width_mm2: float, tol_mm: FloatArray
) -> tuple[FloatArray, FloatArray, float] | None:
    """Middle, normal and mean squared distance of points to their plane.

    None for a line, and where too many lie off the plane. A few may: a corner, a step.
    """
    chosen = points_mm
    for _ in range(2):
        if len(chosen) < max(_LEAST_NEIGHBOURS, PLANE_SHARE * len(points_mm)):
            return None
        middle = chosen.mean(axis=0)
        spread, axes = np.linalg.eigh(np.cov(chosen.T) + unseen_mm2)
        normal, squared = axes[:, 0], float(spread[0])
        if not spread[1] >= least_width_mm2:
            return None
        off = np.abs((points_mm - middle) @ normal)
        chosen = points_mm[off <= 3.0 * float(np.abs(normal) @ tol_mm)]
    return middle, normal, squared
