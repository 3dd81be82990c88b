"""Metal in a plan, by a second route: the summed dipoles of the metal's voxels.

The plan's clearances beside metal are to swept masks, and its bounds of the shift count the
strongest field of a neighbourhood. Here every voxel of metal is a point dipole and no
neighbour is asked. That gives less than the bound, so what is checked is that the plan is
never more hopeful than this: no structure nearer, no larger shift, no signal lost on the way
that the plan does not know of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.io.plan_document import AcquisitionRecord, ImplantRecord, PlanDocument
from planner.model import Structure, StructureSet

HZ_PER_PPM_T = 42.577478518
FAT_PPM = 3.4
REFOCUSING = ("SE", "TSE")
MAY_BE_BALANCED = ("bSSFP", "unknown")
SLOW_TR_MS = 30.0
"""Above this TR an unknown sequence is not a balanced one."""

DISTRUST = 0.85
"""Dipoles of whole voxels and the smoothed metal of the plan differ by less than the rest."""

NEAR_VOXELS = 2.0
"""Nearer to metal than this many voxel diagonals, point dipoles say nothing."""

STRETCH_LOST = 1.3 * 0.3 / 0.7
"""Change of shift per mm at which signal is surely spread thin by 30 %."""

CYCLES_LOST = 0.6
"""Cycles over a voxel edge at which surely 30 % of the signal is lost (0.44 by the sinc)."""

LEAST_SHIFT_MM = 0.3
"""Structures are swept from 0.25 mm on."""

SAME_B0_COSINE = 0.99999

MAX_DIPOLES = 20_000
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shifting:
    """What one acquisition makes of a frequency offset, in mm per ppm."""

    readout_mm_per_ppm: float
    slice_mm_per_ppm: float
    readout_axis_lps: FloatArray | None
    slice_axis_lps: FloatArray | None
    cycles_per_ppm_per_mm: tuple[float, float]
    """Dephasing over readout and slice edge per ppm and mm; 0 with refocusing."""
    band_ppm: float
    """Offset of the centre of the first dark band; infinite without bands."""


def needed_values(mr: AcquisitionRecord) -> list[str]:
    """Names of values that are missing or contradictory beside metal."""
    needed = ["field_t", "bandwidth_hz_per_px", "readout_pixel_mm", "acquisition"]
    if not mr.is_isotropic_readout:
        needed.append("readout_axis_lps")
    if mr.acquisition != "3D":
        needed += ["slice_axis_lps", "slice_thickness_mm"]
    if mr.sequence not in REFOCUSING:
        needed += ["echo_time_ms", "slice_thickness_mm"]
    if mr.sequence in MAY_BE_BALANCED:
        needed.append("repetition_time_ms")
    lacking = [n for n in needed if getattr(mr, n) is None or n in mr.problems]
    if mr.metal_reduction in ("SEMAC", "MAVRIC") and mr.sequence not in REFOCUSING:
        lacking.append("metal_reduction")
    return [*lacking, "sequence"] if mr.sequence == "EPI" else lacking


def sequence_of(mr: AcquisitionRecord) -> Shifting:
    """The shifts of an acquisition of which nothing is missing."""
    assert mr.field_t and mr.bandwidth_hz_per_px and mr.readout_pixel_mm
    hz = HZ_PER_PPM_T * mr.field_t
    is_2d = mr.acquisition == "2D"
    thickness = mr.slice_thickness_mm or 0.0
    through = hz * thickness / (mr.rf_bandwidth_hz or 1000.0) if is_2d else 0.0
    echo_s = 0.0 if mr.sequence in REFOCUSING else (mr.echo_time_ms or 0.0) * 1e-3
    is_multispectral = mr.metal_reduction in ("SEMAC", "MAVRIC")
    return Shifting(
        readout_mm_per_ppm=0.0
        if mr.metal_reduction != "none"
        else hz * mr.readout_pixel_mm / mr.bandwidth_hz_per_px,
        slice_mm_per_ppm=0.0 if is_multispectral else through,
        readout_axis_lps=None
        if mr.is_isotropic_readout or mr.readout_axis_lps is None
        else np.array(mr.readout_axis_lps),
        slice_axis_lps=None if mr.slice_axis_lps is None else np.array(mr.slice_axis_lps),
        cycles_per_ppm_per_mm=(hz * echo_s * mr.readout_pixel_mm, hz * echo_s * thickness),
        band_ppm=dark_band_hz(mr) / hz,
    )


def dark_band_hz(mr: AcquisitionRecord) -> float:
    """Offset of the first dark band of a sequence that may be balanced; infinite without."""
    repetition_ms = mr.repetition_time_ms or math.inf
    has_bands = mr.sequence == "bSSFP" or (mr.sequence == "unknown" and repetition_ms <= SLOW_TR_MS)
    return 500.0 / repetition_ms if has_bands else math.inf


def fat_shift_mm(mr: AcquisitionRecord) -> float:
    """Shift of marrow against water; 0 where the plan cannot know it."""
    if not (mr.field_t and mr.bandwidth_hz_per_px and mr.readout_pixel_mm):
        return 0.0
    hz = FAT_PPM * HZ_PER_PPM_T * mr.field_t
    return hz / mr.bandwidth_hz_per_px * mr.readout_pixel_mm


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalTruth:
    """The dipoles of every implant, and the sequences of the plan."""

    bodies: tuple[tuple[FloatArray, FloatArray], ...]
    """Places (m, 3) LPS mm and strengths (m,) ppm mm^3 of each implant."""
    b0_lps: FloatArray
    sequences: tuple[Shifting, ...]
    near_mm: float

    def offset_ppm(self, points_lps_mm: FloatArray) -> FloatArray:
        """Sum over implants of the size of their field, (n,); NaN too near to metal."""
        total = np.zeros(len(points_lps_mm))
        for places, strengths in self.bodies:
            step = max(1, _CHUNK // len(places))
            for low in range(0, len(total), step):
                part = slice(low, low + step)
                total[part] += np.abs(self._field(points_lps_mm[part], places, strengths))
        return total

    def _field(self, points: FloatArray, places: FloatArray, strengths: FloatArray) -> FloatArray:
        centre = places.mean(axis=0)
        a, b = points - centre, places - centre
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
        along = (a @ self.b0_lps)[:, None] - (b @ self.b0_lps)[None, :]
        squared = np.where(squared < self.near_mm**2, np.nan, squared)
        field = (3.0 * along**2 / squared - 1.0) / (4.0 * np.pi * squared**1.5)
        return np.asarray(field @ strengths)

    def shifts_mm(self, points_lps_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shift along readout and slice, the larger of the sequences; NaN too near to metal."""
        offset = self.offset_ppm(points_lps_mm)
        readout = max(s.readout_mm_per_ppm for s in self.sequences)
        through = max(s.slice_mm_per_ppm for s in self.sequences)
        return offset * readout, offset * through

    def is_lost(self, points_lps_mm: FloatArray, step_mm: float = 0.5) -> NDArray[np.bool_]:
        """Whether signal there is surely lost or folded in one of the sequences, (n,)."""
        here = self.offset_ppm(points_lps_mm) * DISTRUST
        lost = np.zeros(len(points_lps_mm), bool)
        for s in self.sequences:
            lost |= here >= s.band_ppm
            ways = (
                (s.readout_axis_lps, s.readout_mm_per_ppm, s.cycles_per_ppm_per_mm[0]),
                (s.slice_axis_lps, s.slice_mm_per_ppm, s.cycles_per_ppm_per_mm[1]),
            )
            for axis, mm_per_ppm, cycles_per_ppm in ways:
                if axis is None or not (mm_per_ppm or cycles_per_ppm):
                    continue
                ahead = self.offset_ppm(points_lps_mm + step_mm * axis)
                behind = self.offset_ppm(points_lps_mm - step_mm * axis)
                slope = np.abs(ahead - behind) / (2.0 * step_mm) * DISTRUST
                lost |= slope * mm_per_ppm >= STRETCH_LOST
                lost |= slope * cycles_per_ppm >= CYCLES_LOST
        return lost


def one_b0(acquisitions: Sequence[AcquisitionRecord]) -> bool:
    """Whether all acquisitions have the same direction of the main field."""
    axes = [mr.b0_direction_lps for mr in acquisitions]
    if any(axis is None for axis in axes):
        return False
    return all(abs(float(np.dot(axes[0], axis))) >= SAME_B0_COSINE for axis in axes)  # type: ignore[arg-type]


def metal_truth(plan: PlanDocument, structures: StructureSet) -> MetalTruth | None:
    """The dipoles, or None where the plan has no implant or does not know its acquisition."""
    if not plan.implants or plan.mr is None or plan.mr.b0_direction_lps is None:
        return None
    acquisitions = [plan.mr, *([plan.mr.guidance] if plan.mr.guidance else [])]
    if any(needed_values(mr) for mr in acquisitions) or not one_b0(acquisitions):
        return None
    known = [i for i in plan.implants if i.name in structures]
    spacing = structures.grid.spacing_kji_mm
    return MetalTruth(
        bodies=tuple(_dipoles(structures[i.name], worst_ppm(i)) for i in known),
        b0_lps=np.array(plan.mr.b0_direction_lps),
        sequences=tuple(sequence_of(mr) for mr in acquisitions),
        near_mm=NEAR_VOXELS * float(np.sqrt((spacing**2).sum())),
    )


def worst_ppm(implant: ImplantRecord) -> float:
    """The strongest metal that is not excluded."""
    return max(max(abs(m.low_ppm), abs(m.high_ppm)) for m in implant.materials)


def _dipoles(structure: Structure, ppm: float) -> tuple[FloatArray, FloatArray]:
    if structure.rods:
        parts = [_rod(r.start_lps_mm, r.end_lps_mm, r.diameter_mm) for r in structure.rods]
        places = np.concatenate([p for p, _ in parts])
        return places, ppm * np.concatenate([v for _, v in parts])
    mask = structure.mask
    at = np.argwhere(mask.inside).astype(np.float64)
    volume = abs(float(np.linalg.det(mask.grid.lps_from_kji[:3, :3])))
    weights: FloatArray = np.ones(len(at))
    edge = 1
    while len(at) > MAX_DIPOLES:
        edge *= 2
        at, weights = _merged(at, weights, edge)
    return mask.grid.to_lps(at), ppm * volume * weights


def _merged(at: FloatArray, weights: FloatArray, edge: int) -> tuple[FloatArray, FloatArray]:
    """Dipoles of one cell put together at their centroid."""
    where = np.unique(at // edge, axis=0, return_inverse=True)[1].ravel()
    counts = np.bincount(where, weights=weights)
    sums = [np.bincount(where, weights=weights * at[:, n]) for n in range(3)]
    return np.stack(sums, axis=1) / counts[:, None], np.asarray(counts, np.float64)


def _rod(start: FloatArray, end: FloatArray, diameter_mm: float) -> tuple[FloatArray, FloatArray]:
    """Points along and around a rod, each with the volume it stands for."""
    axis = end - start
    length = float(np.sqrt(axis @ axis))
    axis = axis / length
    side = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    side = side / np.sqrt(side @ side)
    other = np.cross(axis, side)
    n_along = max(2, int(np.ceil(length)))
    along = (np.arange(n_along) + 0.5) / n_along * length
    # rings of equal area, six points on each
    rings = diameter_mm / 2 * np.sqrt((np.arange(3) + 0.5) / 3)
    turn = np.arange(6) * np.pi / 3
    disc = (rings[:, None, None] * (
        np.cos(turn)[None, :, None] * side + np.sin(turn)[None, :, None] * other
    )).reshape(-1, 3)  # fmt: skip
    places = (start + along[:, None, None] * axis + disc[None]).reshape(-1, 3)
    volume = np.pi * diameter_mm**2 / 4 * length
    return places, np.full(len(places), volume / len(places))


def touches_swept(
    mask: Mask,
    kji: NDArray[np.int64],
    offset_ppm: FloatArray,
    sequences: Sequence[Shifting],
) -> NDArray[np.bool_]:
    """Whether voxels, by less than their shift, may hold what the mask has drawn, (n,)."""
    grid = mask.grid
    axes = grid.lps_from_kji[:3, :3] / grid.spacing_kji_mm
    size = np.nan_to_num(DISTRUST * offset_ppm)[:, None]
    half = np.zeros((len(kji), 3))
    for s in sequences:
        across = np.ones(3) if s.readout_axis_lps is None else np.abs(axes.T @ s.readout_axis_lps)
        along = np.zeros(3) if s.slice_axis_lps is None else np.abs(axes.T @ s.slice_axis_lps)
        reach = size * (s.readout_mm_per_ppm * across + s.slice_mm_per_ppm * along)
        total = size * np.hypot(s.readout_mm_per_ppm, s.slice_mm_per_ppm)
        reach = np.where(total >= LEAST_SHIFT_MM, reach, 0.0)
        half = np.maximum(half, np.floor(reach / grid.spacing_kji_mm))
    shape = np.array(grid.shape_kji)
    low = np.clip(kji - half.astype(np.int64), 0, shape)
    high = np.clip(kji + half.astype(np.int64) + 1, 0, shape)
    sums = np.zeros(shape + 1, np.int64)
    sums[1:, 1:, 1:] = mask.inside.cumsum(0).cumsum(1).cumsum(2)
    count = np.zeros(len(kji), np.int64)
    for corner in np.ndindex(2, 2, 2):
        sign = (-1) ** (3 - sum(corner))
        at = np.where(np.array(corner, bool), high, low)
        count += sign * sums[at[:, 0], at[:, 1], at[:, 2]]
    return np.asarray(count > 0)
