"""Entry candidates: exposed voxels of the body's outer surface, with outward normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from planner.errors import ConfigError, GridMismatchError
from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray
from planner.skin.body import BodyMask
from planner.skin.image_end import at_image_end
from planner.skin.kernels import (
    ByteArray,
    ImageArray,
    IntArray,
    ball_offsets_kji,
    beside,
    block_fractions,
    corner_seeds,
    eroded,
    flood,
    prefill_rows,
)
from planner.skin.surface_kernels import face_bits, face_offsets, gradients, thin

NORMAL_SIGMA_MM = 4.0
"""Gaussian width of the body whose gradient is the skin's normal."""

CLEFT_WIDTH_MM = 5.0
"""Skin that a ball of this diameter cannot reach from outside is no entry."""

INSET_MM = 1e-3
"""How far inside its voxel an entry lies, so that it is in the body for certain."""

_SMOOTHING_STEP_MM = 2.5
_FACES_KJI: IntArray = np.array(
    [[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]], dtype=np.int64
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SkinEntries:
    """Places on the skin where a needle may enter.

    Attributes
    ----------
    entry_lps_mm : ndarray, shape (n, 3)
        Centre of the exposed voxel face best aligned with the normal, pulled
        ``INSET_MM`` into the body.
    outward_normal_lps : ndarray, shape (n, 3)
        Unit normal of the smoothed skin, pointing into the air.
    voxel_kji : ndarray of int, shape (n, 3)
        The surface voxel; ascending in k, then j, then i.
    is_image_end : ndarray of bool, shape (n,)
        The body's outline without proof of skin: the image ends at, beside or just
        beyond it. All False unless such places were asked for.
    """

    entry_lps_mm: FloatArray
    outward_normal_lps: FloatArray
    voxel_kji: IntArray
    is_image_end: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for array in (self.entry_lps_mm, self.outward_normal_lps, self.voxel_kji):
            array.setflags(write=False)
        self.is_image_end.setflags(write=False)

    def __len__(self) -> int:
        return len(self.voxel_kji)

    def only(self, chosen: NDArray[np.bool_] | IntArray) -> SkinEntries:
        """The chosen entries, in the order of the choice."""
        return SkinEntries(
            entry_lps_mm=self.entry_lps_mm[chosen],
            outward_normal_lps=self.outward_normal_lps[chosen],
            voxel_kji=self.voxel_kji[chosen],
            is_image_end=self.is_image_end[chosen],
        )


def skin_entries(
    body: Mask | BodyMask,
    *,
    spacing_mm: float | None = None,
    within: tuple[ArrayLike, float] | None = None,
    imaged: Mask | None = None,
    with_image_ends: bool = False,
) -> SkinEntries:
    """Entry candidates on the outer surface of a body mask.

    A voxel is a candidate when a face of it meets air that (1) connects to the
    outside of the body, (2) can be reached by a ball of ``CLEFT_WIDTH_MM`` and
    (3) was imaged, as was all within ``END_GUARD_MM`` of the entry and for
    ``AIR_RUN_MM`` outward from it. The border of the volume is never skin.

    Parameters
    ----------
    body : BodyMask or Mask
        The patient: what ``find_body`` returned, or a mask the user gave.
    spacing_mm : float, optional
        Smallest distance between two candidates; None keeps every surface voxel.
    within : (centre_lps_mm, radius_mm), optional
        Keep only candidates at most ``radius_mm`` from the centre.
    imaged : Mask, optional
        Where the scanner acquired data. A face towards a voxel outside it is a
        cut, not skin. None: ``body.imaged`` of a ``BodyMask``, else the whole
        volume. Give it with ``BodyMask.mask``: a mask alone cannot tell skin
        from the end of a field of view that fills only part of the array.
    with_image_ends : bool
        Keep what (3) takes out, marked in ``is_image_end``.

    Returns
    -------
    SkinEntries
        May be empty: no skin in view is a result, not an error.

    Raises
    ------
    ConfigError
        If the spacing or radius is not a positive number.
    GridMismatchError
        If ``imaged`` lies on another grid.

    Notes
    -----
    Thinning is greedy in (k, j, i) order, so the result is deterministic.
    See ``docs/skin.md``.
    """
    if isinstance(body, BodyMask):
        imaged = body.imaged if imaged is None else imaged
        body = body.mask
    grid = body.grid
    centre_mm, radius_mm = _checked(grid, spacing_mm, within)
    if imaged is not None and not imaged.grid.is_close(grid):
        raise GridMismatchError(
            "the imaged region is not on the grid of the body",
            seen=imaged.grid.shape_kji,
            needed=grid.shape_kji,
        )
    bounds = body.bounds_kji()
    if bounds is None:
        return _empty()
    spacing = grid.spacing_kji_mm
    shape = np.array(grid.shape_kji)
    reach_vox = np.ceil(CLEFT_WIDTH_MM / spacing).astype(np.int64) + 1
    start = np.maximum(bounds[0] - reach_vox, 0)
    stop = np.minimum(bounds[1] + reach_vox, shape)
    crop = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inside = np.ascontiguousarray(body.inside[crop])
    axial_axis = int(np.argmax(np.abs(grid.axes_lps_from_kji[2])))
    near = _reach_box(inside.shape, start, spacing, centre_mm, radius_mm)
    # Where the crop keeps its full margin, its face along i is all air.
    low_room, high_room = bounds[0][2] - start[2], stop[2] - bounds[1][2]
    open_sides = (bool(low_room == reach_vox[2]), bool(high_room == reach_vox[2]))
    voxel, bits = _exposed_faces(inside, spacing, near, axial_axis, open_sides)
    if len(voxel) == 0:
        return _empty()
    normal_axes = _smooth_normals(inside, voxel, start, shape, spacing)
    offset_axes = _best_face(bits, normal_axes, spacing)
    voxel += start
    # einsum, not matmul: many threads on a thin matrix cost more than they save.
    axes_lps = grid.axes_lps_from_kji
    axes_mm = voxel * spacing + offset_axes
    found = SkinEntries(
        entry_lps_mm=np.einsum("na,wa->nw", axes_mm, axes_lps) + grid.origin_lps_mm,
        outward_normal_lps=np.einsum("na,wa->nw", normal_axes, axes_lps),
        voxel_kji=voxel,
        is_image_end=at_image_end(
            axes_mm,
            normal_axes,
            shape,
            spacing,
            axial_axis,
            None if imaged is None else imaged.inside,
        ),
    )
    kept = np.ones(len(found), dtype=bool) if with_image_ends else ~found.is_image_end
    if centre_mm is not None:
        kept &= np.linalg.norm(axes_mm - centre_mm, axis=1) <= radius_mm
    if spacing_mm is not None:
        # Apart from each other, so that an end of the image takes no skin's place.
        for side in (found.is_image_end, ~found.is_image_end):
            group = np.flatnonzero(kept & side)
            kept[group] = _thinned(axes_mm[group], float(spacing_mm))
    return found.only(kept)


def _checked(
    grid: Grid, spacing_mm: float | None, within: tuple[ArrayLike, float] | None
) -> tuple[FloatArray | None, float]:
    if spacing_mm is not None and not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise ConfigError("the spacing of skin entries is no length", seen=spacing_mm, needed="> 0")
    if within is None:
        return None, np.inf
    centre = np.asarray(within[0], dtype=np.float64)
    radius_mm = float(within[1])
    if centre.shape != (3,) or not np.all(np.isfinite(centre)) or not radius_mm > 0:
        raise ConfigError(
            "the reach of skin entries needs a point and a positive radius",
            seen=f"{centre.tolist()}, {radius_mm}",
        )
    return grid.to_axes_mm(centre), radius_mm


def _empty() -> SkinEntries:
    none = np.zeros((0, 3))
    return SkinEntries(
        entry_lps_mm=none,
        outward_normal_lps=none.copy(),
        voxel_kji=np.zeros((0, 3), np.int64),
        is_image_end=np.zeros(0, dtype=np.bool_),
    )


def _reach_box(
    shape: tuple[int, ...],
    start_kji: IntArray,
    spacing_kji_mm: FloatArray,
    centre_axes_mm: FloatArray | None,
    radius_mm: float,
) -> IntArray:
    """Index ranges (3, 2) of the cropped array that can hold an entry within reach."""
    box = np.stack([np.zeros(3), np.array(shape, dtype=np.float64)], axis=1)
    if centre_axes_mm is not None:
        middle = centre_axes_mm / spacing_kji_mm - start_kji
        half = radius_mm / spacing_kji_mm + 1.0
        box[:, 0] = np.clip(np.floor(middle - half), 0, shape)
        box[:, 1] = np.clip(np.ceil(middle + half) + 1, 0, shape)
    return box.astype(np.int64)


def _exposed_faces(
    inside: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
    box: IntArray,
    axial_axis: int,
    open_sides: tuple[bool, bool],
) -> tuple[IntArray, ByteArray]:
    """Surface voxels (n, 3) in the box and their exposed faces, bits as in ``_FACES_KJI``.

    ``open_sides`` says whether all of the low and high face along i is air.
    """
    radius_mm = CLEFT_WIDTH_MM / 2
    # Centres at which the ball fits, connected to the outside.
    roomy = eroded(np.asarray(~inside).view(np.uint8), radius_mm, spacing_kji_mm)
    prefill_rows(roomy, *open_sides)
    flood(roomy, corner_seeds(roomy.shape, axial_axis))
    if any(open_sides):
        flood(roomy, beside(roomy, 1, 2, np.ones(3, dtype=np.bool_)))
    # A discrete ball does not fill corners between voxels: one voxel of slack.
    touch = ball_offsets_kji(radius_mm + float(np.min(spacing_kji_mm)), spacing_kji_mm)
    ahead = _most_ahead_first(touch, spacing_kji_mm)
    return face_bits(inside, roomy, ahead, _FACES_KJI, box)


def _most_ahead_first(touch: IntArray, spacing_kji_mm: FloatArray) -> IntArray:
    """The offsets once per face (6, n, 3), those far out and in its direction first."""
    touch_mm = touch * spacing_kji_mm
    distance_mm = np.linalg.norm(touch_mm, axis=1)
    ahead = touch_mm @ _FACES_KJI.T / np.maximum(distance_mm, 1e-9)[:, None]
    is_near = distance_mm < 0.75 * distance_mm.max()
    return np.stack([touch[np.lexsort((-ahead[:, f], is_near))] for f in range(6)])


def _smooth_normals(
    inside: NDArray[np.bool_],
    voxel: IntArray,
    start_kji: IntArray,
    shape_kji: IntArray,
    spacing_kji_mm: FloatArray,
) -> FloatArray:
    """Unit normals along the k, j, i axes: minus the gradient of the smoothed body.

    The body is continued beyond the faces of the volume, so a surface that a
    cut face ends keeps its direction up to the cut.
    """
    factor = np.maximum(1, np.round(_SMOOTHING_STEP_MM / spacing_kji_mm)).astype(np.int64)
    step_mm = factor * spacing_kji_mm
    stop_kji = start_kji + np.array(inside.shape)
    margin = np.ceil(4 * NORMAL_SIGMA_MM / step_mm).astype(np.int64)
    # Only what the surface voxels at hand can see.
    reach = margin * factor
    low = np.maximum(voxel.min(axis=0) - reach, 0)
    high = np.minimum(voxel.max(axis=0) + 1 + reach, inside.shape)
    view = np.ascontiguousarray(inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    smooth = block_fractions(view, factor)
    for axis in range(3):
        before = start_kji[axis] + low[axis] == 0
        after = stop_kji[axis] == shape_kji[axis] and high[axis] == inside.shape[axis]
        pad = int(margin[axis])
        width = [(0, 0)] * 3
        width[axis] = (pad, pad)
        smooth = np.pad(smooth, width)
        _continue(smooth, axis, pad, before=bool(before), after=bool(after))
        smooth = gaussian_filter1d(
            smooth, NORMAL_SIGMA_MM / step_mm[axis], axis=axis, truncate=4.0, mode="constant"
        )
    at = (voxel - low + 0.5) / factor - 0.5 + margin
    gradient = gradients(smooth, at.astype(np.float64)) / step_mm
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    return np.asarray(-gradient / np.maximum(length, 1e-30))


def _continue(block: ImageArray, axis: int, pad: int, *, before: bool, after: bool) -> None:
    """Fill the padding of ``axis`` in place where the volume ends, by point reflection.

    A surface square to the cut goes on square to it, one that meets it at an
    angle goes on at that angle.
    """
    moved = np.moveaxis(block, axis, 0)
    n = moved.shape[0] - 2 * pad
    source = np.arange(1, pad + 1) % (2 * n)
    source = np.where(source < n, source, 2 * n - 1 - source)
    if before:
        moved[:pad] = (2 * moved[pad] - moved[pad + source])[::-1]
    if after:
        moved[pad + n :] = 2 * moved[pad + n - 1] - moved[pad + n - 1 - source]


def _best_face(bits: ByteArray, normal_axes: FloatArray, spacing_kji_mm: FloatArray) -> FloatArray:
    """Offset in mm from voxel centre to the exposed face best aligned with the normal."""
    half_mm = 0.5 * spacing_kji_mm - np.minimum(INSET_MM, 0.25 * spacing_kji_mm)
    return np.asarray(face_offsets(bits, normal_axes, _FACES_KJI * half_mm))


def _thinned(points_mm: FloatArray, spacing_mm: float) -> NDArray[np.bool_]:
    """Greedy choice, in order, of points at least ``spacing_mm`` apart."""
    if len(points_mm) == 0:
        return np.zeros(0, dtype=bool)
    # A cell with this edge has a diagonal of spacing_mm: it holds at most one chosen point.
    cell = np.floor((points_mm - points_mm.min(axis=0)) / (spacing_mm / np.sqrt(3.0)))
    cells = cell.astype(np.int64) + 2
    size = cells.max(axis=0) + 3
    key = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    around = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    around = around[np.argsort(np.square(around).sum(axis=1), kind="stable")]
    steps = (around[:, 0] * size[1] + around[:, 1]) * size[2] + around[:, 2]
    return np.asarray(thin(points_mm, key, steps, spacing_mm * spacing_mm))
