"""From a frequency offset to a displacement in the image, and where signal is lost.

A spin whose frequency is off by df is shown where the gradients would have put another:
shifted along the readout by df / bandwidth pixels, and in 2-D imaging along the slice
axis by df / RF bandwidth slices. The polarity of neither is in DICOM, so both are bounds
to either side.

Sources: L nitorch ``fieldmap_to_shift``, L Keskin et al. near-metal simulator (RF bandwidth
1.0 kHz, swept 0.5 to 2 kHz), M Hargreaves 2011 (multispectral residuals); the signal law
of dephasing is the sinc of the phase spread over a voxel edge (C).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.model.mr import GYROMAGNETIC_MHZ_PER_T, MetalReduction, MRAcquisition, SequenceFamily

SIGNAL_LOSS = 0.3
"""Loss of signal from which a voxel is part of an artefact (ASTM F2119, L)."""

STRETCH_LIMIT = SIGNAL_LOSS / (1.0 - SIGNAL_LOSS)
"""Change of displacement per mm that spreads signal thin by 30 %: 1 / (1 + g) = 0.7 (C).

At 1 the image folds; this limit is met before that.
"""

SPECTRAL_COVERAGE_HZ = 12_000.0
"""Offset up to which SEMAC and MAVRIC collect signal (M: 24 bins at 1.5 T)."""

LONGEST_BALANCED_TR_MS = 30.0
"""Balanced steady-state imaging repeats faster than this (M: clinical TR 3 to 10 ms): an
unknown sequence that repeats more slowly has no dark bands."""

EPI_REASON = "echo-planar images shift along the phase encoding by centimetres beside metal"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShiftModel:
    """What one acquisition makes of a frequency offset.

    Attributes
    ----------
    hz_per_ppm : float
    readout_mm_per_hz, slice_mm_per_hz : float
        Displacement for each hertz of offset.
    readout_floor_mm, slice_floor_mm : float
        Residual that stays however small the offset is (multispectral: one pixel).
    readout_axis_lps, slice_axis_lps : (3,) or None
        None for a readout without a single axis: bounded in every direction.
    echo_time_ms : float or None
        Set where spins dephase until the echo (no refocusing pulse).
    band_hz : float or None
        Offset of the first dark band of balanced steady-state imaging.
    coverage_hz : float or None
    """

    hz_per_ppm: float
    readout_mm_per_hz: float
    slice_mm_per_hz: float
    readout_axis_lps: FloatArray | None
    slice_axis_lps: FloatArray
    readout_floor_mm: float = 0.0
    slice_floor_mm: float = 0.0
    echo_time_ms: float | None = None
    band_hz: float | None = None
    coverage_hz: float | None = None
    plain_mm_per_hz: float = 0.0
    """Displacement without metal reduction: what bins or view angles have to undo."""
    largest_edge_mm: float = 0.0
    """Of the acquired voxel: spins dephase across it."""

    def bounds_mm(self, offset_hz: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """Largest displacement along the readout and the slice axis for offsets in Hz."""
        size = np.abs(offset_hz)
        in_plane = size * self.readout_mm_per_hz + np.where(size > 0, self.readout_floor_mm, 0.0)
        through = size * self.slice_mm_per_hz + np.where(size > 0, self.slice_floor_mm, 0.0)
        return in_plane, through


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingForMetal:
    """A value that the physics of metal needs and that is not known, and why."""

    name: str
    reason: str


def missing_for_metal(acquisition: MRAcquisition) -> tuple[MissingForMetal, ...]:
    """What keeps the shift beside metal from being computed; empty when nothing does."""
    needed = ["field_t", "bandwidth_hz_per_px", "readout_pixel_mm", "acquisition"]
    if not acquisition.is_isotropic_readout:
        needed.append("readout_axis_lps")
    if acquisition.acquisition != "3D":
        needed += ["slice_axis_lps", "slice_thickness_mm"]
    if not acquisition.sequence.refocuses:
        needed.append("echo_time_ms")
        if "slice_thickness_mm" not in needed:
            needed.append("slice_thickness_mm")  # spins dephase through a partition too
    if acquisition.sequence.may_be_balanced:
        needed.append("repetition_time_ms")
    missing = [
        MissingForMetal(name=name, reason=acquisition.problems.get(name, "not in the header"))
        for name in needed
        if getattr(acquisition, name) is None
    ]
    known = {item.name for item in missing}
    contradictory = [
        MissingForMetal(name=name, reason=acquisition.problems[name])
        for name in needed
        if name in acquisition.problems and name not in known
    ]
    is_multispectral = acquisition.metal_reduction in (MetalReduction.SEMAC, MetalReduction.MAVRIC)
    if is_multispectral and not acquisition.sequence.refocuses:
        reason = "SEMAC and MAVRIC are spin-echo techniques: the sequence says otherwise"
        contradictory.append(MissingForMetal(name="metal_reduction", reason=reason))
    if acquisition.sequence is SequenceFamily.EPI:
        contradictory.append(MissingForMetal(name="sequence", reason=EPI_REASON))
    return (*missing, *contradictory)


def dark_band_hz(acquisition: MRAcquisition) -> float | None:
    """Offset of the first dark band of balanced steady-state imaging, or None without bands.

    A sequence of unknown family has them unless it repeats too slowly.
    """
    family, repetition_ms = acquisition.sequence, acquisition.repetition_time_ms
    if not family.may_be_balanced or repetition_ms is None:
        return None
    if family is SequenceFamily.UNKNOWN and repetition_ms > LONGEST_BALANCED_TR_MS:
        return None
    return 500.0 / repetition_ms


def shift_model(acquisition: MRAcquisition) -> ShiftModel:
    """The displacement per hertz of an acquisition of which nothing is missing.

    Raises
    ------
    ValueError
        If something is missing: ask ``missing_for_metal`` first.
    """
    missing = missing_for_metal(acquisition)
    if missing:
        raise ValueError(f"missing: {', '.join(m.name for m in missing)}")
    field_t, bandwidth = acquisition.field_t, acquisition.bandwidth_hz_per_px
    pixel = acquisition.readout_pixel_mm
    assert field_t is not None and bandwidth is not None and pixel is not None
    readout, through = pixel / bandwidth, 0.0
    if acquisition.acquisition == "2D":
        assert acquisition.slice_thickness_mm is not None
        through = acquisition.slice_thickness_mm / acquisition.rf_bandwidth_hz
    plain = float(np.hypot(readout, through))
    edges = (pixel, acquisition.phase_pixel_mm or 0.0, acquisition.slice_thickness_mm or 0.0)
    technique = acquisition.metal_reduction
    is_multispectral = technique in (MetalReduction.SEMAC, MetalReduction.MAVRIC)
    if technique is not MetalReduction.NONE:
        readout = 0.0
    slice_axis = acquisition.slice_axis_lps
    return ShiftModel(
        hz_per_ppm=GYROMAGNETIC_MHZ_PER_T * field_t,
        readout_mm_per_hz=readout,
        slice_mm_per_hz=0.0 if is_multispectral else through,
        readout_floor_mm=pixel if technique is not MetalReduction.NONE else 0.0,
        slice_floor_mm=pixel if is_multispectral else 0.0,
        readout_axis_lps=None if acquisition.is_isotropic_readout else acquisition.readout_axis_lps,
        slice_axis_lps=np.zeros(3) if slice_axis is None else slice_axis,
        echo_time_ms=None if acquisition.sequence.refocuses else acquisition.echo_time_ms,
        band_hz=dark_band_hz(acquisition),
        coverage_hz=SPECTRAL_COVERAGE_HZ if is_multispectral else None,
        plain_mm_per_hz=plain,
        largest_edge_mm=max(edges),
    )
