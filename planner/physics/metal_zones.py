"""Where metal hides or moves the image: shift bounds and the void, voxel by voxel.

The field of all metal is computed on a grid cropped to where the shift matters and
refined where voxels are coarse. Metal of which only the kind is not known enters with
the strongest kind that is not excluded; bodies of different metal add their absolute
fields, since the share of each in a sum that cancels is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.physics.dipole_field import field_perturbation_ppm
from planner.physics.shifts import SIGNAL_LOSS, STRETCH_LIMIT, ShiftModel

FAR_SHIFT_MM = 0.5
"""Shift below which a voxel is FAR from the metal (E)."""

SWEEP_SHIFT_MM = 0.25
"""Shift from which masks are swept: half of FAR, since 0.5 mm is half a voxel of a fine image."""

CROP_SHIFT_MM = 0.2
"""The field is computed out to where the bound of the shift falls below this."""

FINE_EDGE_MM = 2.0
"""Voxel edges longer than this are divided for the field."""

_FEW_CYCLES = 0.2
"""Phase over a voxel edge, in cycles, that leaves over 0.8 of the signal on three edges (C)."""

_METAL_SHARE = 1e-3
_SURFACE_FIELD = 1.0
"""Bound of |dB/B0| / chi outside a body: 2/3 at a sphere's pole, up to 1 at a flat end (C)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalBody:
    """Metal of one kind: share of each voxel of the image grid, and its susceptibility.

    ``share`` (k, j, i) float 0..1; ``delta_chi_ppm`` the value relative to tissue that is
    used for bounds, ``nominal_ppm`` the one used for pictures.
    """

    share: NDArray[np.floating]
    delta_chi_ppm: float
    nominal_ppm: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalField:
    """The field of all metal in a block of the image grid, divided finely enough.

    It does not depend on bandwidth, sequence or field strength, so other acquisitions
    can be asked about without computing it again.

    Attributes
    ----------
    start_kji, stop_kji : (3,) int
        The block of the image grid.
    grid : Grid
        Of the arrays: the block with its voxels divided by ``factors``.
    bound_ppm, nominal_ppm : (k, j, i) float32
        Greatest and nominal relative shift of the field.
    surface_ppm : (k, j, i) float32
        Bound next to and in the metal, where the computed field is not resolved; else 0.
    steps_ppm : three of (k, j, i) float32
        Greatest change to a neighbour along k, j and i, summed over the bodies: the slopes
        of two bodies may add up where their fields take each other away.
    """

    start_kji: NDArray[np.int64]
    stop_kji: NDArray[np.int64]
    factors: NDArray[np.int64]
    grid: Grid
    bound_ppm: NDArray[np.float32]
    nominal_ppm: NDArray[np.float32]
    surface_ppm: NDArray[np.float32]
    steps_ppm: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalZones:
    """Bounds of the shift and the void in a block of the image grid.

    Attributes
    ----------
    start_kji, stop_kji : (3,) int
        The block; outside it the shift is below ``CROP_SHIFT_MM``.
    readout_mm, slice_mm : (k, j, i) float32
        Greatest shift that a spin truly in the voxel may have, to either side.
    is_void : (k, j, i) bool
        Signal lost or geometry folded; the metal itself included.
    field_hz : (k, j, i) float32
        Nominal offset, for pictures.
    """

    start_kji: NDArray[np.int64]
    stop_kji: NDArray[np.int64]
    readout_mm: NDArray[np.float32]
    slice_mm: NDArray[np.float32]
    is_void: NDArray[np.bool_]
    field_hz: NDArray[np.float32]

    @property
    def shift_mm(self) -> FloatArray:
        """Length of the shift bound, (k, j, i)."""
        return np.hypot(self.readout_mm, self.slice_mm)

    @property
    def block(self) -> tuple[slice, slice, slice]:
        """The block as slices of an array on the image grid."""
        return slices_of(self)


def metal_field(
    bodies: Sequence[MetalBody],
    models: Sequence[ShiftModel],
    grid: Grid,
    b0_direction_lps: FloatArray,
) -> MetalField:
    """The field of metal out to where no acquisition in question is shifted by it.

    Parameters
    ----------
    bodies : sequence of MetalBody
        At least one with metal in it.
    models : sequence of ShiftModel
        The acquisitions that will be asked about; the farthest reach is taken.
    grid : Grid
        Of the image.
    b0_direction_lps : (3,)
    """
    start, stop = _block(bodies, models, grid)
    factors = np.maximum(1, np.ceil(grid.spacing_kji_mm / FINE_EDGE_MM - 1e-9)).astype(np.int64)
    fine = _refined(grid.cropped(start, stop), factors)
    bound, nominal, surface = (np.zeros(fine.shape_kji, np.float32) for _ in range(3))
    steps = (np.zeros_like(bound), np.zeros_like(bound), np.zeros_like(bound))
    for body in bodies:
        share = _repeated(np.asarray(body.share[_slices(start, stop)], np.float32), factors)
        field = field_perturbation_ppm(share, fine, b0_direction_lps)
        bound += np.abs(field) * np.float32(abs(body.delta_chi_ppm))
        nominal += field * np.float32(body.nominal_ppm)
        for axis in range(3):
            steps[axis][...] += _steepest(field, axis) * np.float32(abs(body.delta_chi_ppm))
        near = _grown(share > _METAL_SHARE)
        surface[near] += np.float32(_SURFACE_FIELD * abs(body.delta_chi_ppm))
    return MetalField(
        start_kji=start,
        stop_kji=stop,
        factors=factors,
        grid=fine,
        bound_ppm=bound,
        nominal_ppm=nominal,
        surface_ppm=surface,
        steps_ppm=steps,
    )


def zones_of(field: MetalField, model: ShiftModel, voxel_edges_mm: FloatArray) -> MetalZones:
    """Shift bounds and void that a field means for one acquisition.

    Parameters
    ----------
    field : MetalField
    model : ShiftModel
    voxel_edges_mm : (3,)
        Acquired voxel: readout, phase, slice; spins dephase across these.
    """
    scale = np.float32(model.hz_per_ppm)
    is_void = field.surface_ppm > 0
    is_void |= _lost(field, model, voxel_edges_mm)
    bound_hz = np.maximum(_neighbour_max(field.bound_ppm), field.surface_ppm) * scale
    factors = field.factors
    readout_mm, slice_mm = model.bounds_mm(_block_reduce(bound_hz, factors, np.maximum))
    k, j, i = (slice(int(f) // 2, None, int(f)) for f in factors)
    return MetalZones(
        start_kji=field.start_kji,
        stop_kji=field.stop_kji,
        readout_mm=np.asarray(readout_mm, np.float32),
        slice_mm=np.asarray(slice_mm, np.float32),
        is_void=_block_reduce(is_void, factors, np.logical_or),
        field_hz=field.nominal_ppm[k, j, i] * scale,
    )


def cropped_field(field: MetalField, points_lps_mm: FloatArray, around_mm: float) -> MetalField:
    """The part of a field around points; a block of at least one voxel.

    Parameters
    ----------
    points_lps_mm : (n, 3)
    around_mm : float
        Room to keep on every side of their bounding box.
    """
    coarse = field.grid.spacing_kji_mm * field.factors
    at = (field.grid.to_kji(points_lps_mm) + 0.5) / field.factors - 0.5
    shape = field.stop_kji - field.start_kji
    reach = around_mm / coarse
    low = np.clip(np.floor(at.min(axis=0) - reach).astype(np.int64), 0, shape - 1)
    high = np.clip(np.ceil(at.max(axis=0) + reach).astype(np.int64) + 1, low + 1, shape)
    part = _slices(low * field.factors, high * field.factors)
    return replace(
        field,
        start_kji=field.start_kji + low,
        stop_kji=field.start_kji + high,
        grid=field.grid.cropped(low * field.factors, high * field.factors),
        bound_ppm=field.bound_ppm[part],
        nominal_ppm=field.nominal_ppm[part],
        surface_ppm=field.surface_ppm[part],
        steps_ppm=(field.steps_ppm[0][part], field.steps_ppm[1][part], field.steps_ppm[2][part]),
    )


def union(one: MetalZones, other: MetalZones) -> MetalZones:
    """The worse of two acquisitions over one field, voxel by voxel (pictures: the first)."""
    return replace(
        one,
        readout_mm=np.maximum(one.readout_mm, other.readout_mm),
        slice_mm=np.maximum(one.slice_mm, other.slice_mm),
        is_void=one.is_void | other.is_void,
    )


def reach_mm(strength_mm3_ppm: float, model: ShiftModel) -> float:
    """Distance from metal beyond which it neither shifts nor hides anything.

    Every cubic millimetre of metal adds at most chi / (2 pi r^3) (the pole of its dipole), and
    all of it is at least as far as the nearest; its slope is at most 3 chi / (2 pi r^4). So far
    out the shift is below ``CROP_SHIFT_MM`` (also without metal reduction), the offset below
    what bands and spectral bins allow, and the dephasing over a voxel below ``_FEW_CYCLES``.

    Parameters
    ----------
    strength_mm3_ppm : float
        Volume times susceptibility, summed over the metal.
    """
    moment_hz = strength_mm3_ppm * model.hz_per_ppm / (2 * np.pi)
    plain = max(model.plain_mm_per_hz, np.hypot(model.readout_mm_per_hz, model.slice_mm_per_hz))
    reach = [np.cbrt(moment_hz * plain / CROP_SHIFT_MM)]
    if model.band_hz is not None:
        reach.append(np.cbrt(moment_hz / (model.band_hz / 2.0)))
    if model.coverage_hz is not None:
        reach.append(np.cbrt(moment_hz / model.coverage_hz))
    if model.echo_time_ms is not None:
        cycles = 3.0 * moment_hz * model.largest_edge_mm * model.echo_time_ms * 1e-3
        reach.append((cycles / _FEW_CYCLES) ** 0.25)
    return float(max(reach))


def slices_of(where: MetalField | MetalZones) -> tuple[slice, slice, slice]:
    """The block of the image grid as slices."""
    return _slices(where.start_kji, where.stop_kji)


def _slices(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[slice, slice, slice]:
    k, j, i = (slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
    return k, j, i


def _block(
    bodies: Sequence[MetalBody], models: Sequence[ShiftModel], grid: Grid
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    total = 0.0
    low, high = np.array(grid.shape_kji), np.zeros(3, np.int64)
    for body in bodies:
        total += float(body.share.sum()) * grid.voxel_volume_mm3 * abs(body.delta_chi_ppm)
        where = body.share > _METAL_SHARE
        for axis in range(3):
            hit = np.flatnonzero(where.any(axis=tuple(a for a in range(3) if a != axis)))
            if hit.size:
                low[axis] = min(low[axis], hit[0])
                high[axis] = max(high[axis], hit[-1] + 1)
    farthest = max(reach_mm(total, model) for model in models)
    reach = np.ceil(farthest / grid.spacing_kji_mm).astype(np.int64) + 1
    return np.maximum(low - reach, 0), np.minimum(high + reach, np.array(grid.shape_kji))


def _refined(grid: Grid, factors: NDArray[np.int64]) -> Grid:
    """The same box with every voxel divided by whole numbers."""
    matrix = np.array(grid.lps_from_kji)
    matrix[:3, :3] = matrix[:3, :3] / factors
    shift = (1.0 / factors - 1.0) / 2.0
    matrix[:3, 3] = grid.to_lps(shift)
    k, j, i = (int(n) for n in np.array(grid.shape_kji) * factors)
    return Grid(shape_kji=(k, j, i), lps_from_kji=matrix, frame=grid.frame)


def _repeated(values: NDArray[np.float32], factors: NDArray[np.int64]) -> NDArray[np.float32]:
    for axis in range(3):
        if factors[axis] > 1:
            values = np.repeat(values, int(factors[axis]), axis=axis)
    return values


def _block_reduce(values: NDArray[Any], factors: NDArray[np.int64], combine: np.ufunc) -> Any:
    for axis in range(3):
        n = int(factors[axis])
        if n > 1:
            values = combine.reduceat(values, np.arange(0, values.shape[axis], n), axis=axis)
    return values


def _grown(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the 26 neighbours."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(inside, np.ones((3, 3, 3), bool)))


def _neighbour_max(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Greatest of each voxel and its 26 neighbours."""
    out = np.array(values)
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        before = out.copy()
        a, b = tuple(ahead), tuple(behind)
        np.maximum(out[b], before[a], out=out[b])
        np.maximum(out[a], before[b], out=out[a])
    return out


def _lost(field: MetalField, model: ShiftModel, voxel_edges_mm: FloatArray) -> NDArray[np.bool_]:
    """Voxels whose signal is lost to dephasing, stretching, dark bands or missing coverage."""
    scale, grid = np.float32(model.hz_per_ppm), field.grid
    offset_hz = field.bound_ppm * scale
    lost = np.zeros(offset_hz.shape, dtype=np.bool_)
    if model.coverage_hz is not None:
        lost |= offset_hz > model.coverage_hz
    if model.band_hz is not None:
        lost |= offset_hz > model.band_hz / 2.0  # the band has width: half way to its centre
    slopes = [step * scale for step in field.steps_ppm]
    axes = grid.axes_lps_from_kji
    spacing = grid.spacing_kji_mm

    def slope_along(direction_lps: FloatArray) -> NDArray[np.float32]:
        weights = np.abs(axes.T @ direction_lps) / spacing
        return np.asarray(sum(np.float32(w) * s for w, s in zip(weights, slopes, strict=True)))

    steepest = np.sqrt(
        sum((s / np.float32(d)) ** 2 for s, d in zip(slopes, spacing, strict=True))
    ).astype(np.float32)
    readout_axis, slice_axis = model.readout_axis_lps, model.slice_axis_lps
    readout = steepest if readout_axis is None else slope_along(readout_axis)
    through = slope_along(slice_axis)
    lost |= readout * np.float32(model.readout_mm_per_hz) >= STRETCH_LIMIT
    lost |= through * np.float32(model.slice_mm_per_hz) >= STRETCH_LIMIT
    if model.echo_time_ms is not None:
        phase = (
            steepest if readout_axis is None else slope_along(np.cross(slice_axis, readout_axis))
        )
        signal = np.ones(lost.shape, np.float32)
        for slope, edge_mm in zip((readout, phase, through), voxel_edges_mm, strict=True):
            cycles = slope * np.float32(edge_mm * model.echo_time_ms * 1e-3)
            signal *= np.where(cycles < 1.0, np.sinc(cycles), 0.0).astype(np.float32)
        lost |= ~(signal >= 1.0 - SIGNAL_LOSS)
    return lost


def _steepest(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The larger of the steps to the two neighbours along an axis, per voxel."""
    step = np.abs(np.diff(values, axis=axis))
    pad = [(0, 0)] * 3
    pad[axis] = (0, 1)
    ahead = np.pad(step, pad)
    pad[axis] = (1, 0)
    return np.asarray(np.maximum(ahead, np.pad(step, pad)))
