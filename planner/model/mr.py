"""MR acquisition and metal: what physics needs to know, each value with where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from planner.geometry.frames import FloatArray
from planner.model.protocol_rules import Evidenced

GYROMAGNETIC_MHZ_PER_T = 42.577478518
"""Proton gyromagnetic ratio over 2 pi (CODATA 2018)."""


class SequenceFamily(StrEnum):
    """How echoes are made, as far as metal cares."""

    SE = "SE"
    TSE = "TSE"
    GRE = "GRE"
    BSSFP = "bSSFP"
    EPI = "EPI"
    UNKNOWN = "unknown"

    @property
    def refocuses(self) -> bool:
        """Whether a refocusing pulse undoes dephasing; unknown is taken as the worst, no."""
        return self in (SequenceFamily.SE, SequenceFamily.TSE)

    @property
    def may_be_balanced(self) -> bool:
        """Whether dark bands of balanced steady-state imaging may occur."""
        return self in (SequenceFamily.BSSFP, SequenceFamily.UNKNOWN)


class MetalReduction(StrEnum):
    """Techniques against metal artefacts, counted only when the user confirms them."""

    NONE = "none"
    VAT = "VAT"
    SEMAC = "SEMAC"
    MAVRIC = "MAVRIC"


class ValueSource(StrEnum):
    """Where an acquisition value is from."""

    TAG = "tag"
    DERIVED = "derived"
    USER = "user"
    SITE = "site"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where one value is from: the kind, and the words (tag name, formula, option)."""

    source: ValueSource
    detail: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MRAcquisition:
    """One MR acquisition; None means not known, never a default in disguise.

    Attributes
    ----------
    field_t : float or None
        B0 in tesla.
    b0_direction_lps : (3,)
        Unit vector. Not in DICOM: along the bore (0, 0, 1) unless the site says otherwise.
    bandwidth_hz_per_px : float or None
        Per ACQUIRED readout pixel.
    readout_pixel_mm : float or None
        Acquired pixel along the readout, mm (not the interpolated one).
    phase_pixel_mm : float or None
        Acquired pixel along the phase encoding, mm.
    readout_axis_lps, slice_axis_lps : (3,) or None
        Unit vectors; the polarity of the readout is not in DICOM.
    is_isotropic_readout : bool
        Radial or spiral: no single readout axis, shifts are bounded in all directions.
    slice_thickness_mm, rf_bandwidth_hz : float or None
        Slice profile; the RF bandwidth is not in DICOM (default 1000 Hz, evidence L).
    acquisition : str or None
        ``"2D"`` or ``"3D"``.
    echo_time_ms, repetition_time_ms : float or None
    metal_reduction : MetalReduction
        What the user confirmed. ``metal_reduction_hint``: what the names suggest.
    distortion_corrected : bool or None
        Gradient distortion correction (DIS2D, DIS3D).
    sources : mapping of field name to Provenance
    problems : mapping of field name to str
        Why a value is missing or contradictory, naming the tag.
    """

    field_t: float | None
    b0_direction_lps: FloatArray
    bandwidth_hz_per_px: float | None
    readout_pixel_mm: float | None
    phase_pixel_mm: float | None
    readout_axis_lps: FloatArray | None
    slice_axis_lps: FloatArray | None
    slice_thickness_mm: float | None
    rf_bandwidth_hz: float
    acquisition: str | None
    sequence: SequenceFamily
    echo_time_ms: float | None
    repetition_time_ms: float | None
    is_isotropic_readout: bool = False
    metal_reduction: MetalReduction = MetalReduction.NONE
    metal_reduction_hint: str = ""
    distortion_corrected: bool | None = None
    sources: Mapping[str, Provenance] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A metal: susceptibility relative to tissue (ppm, SI), its range, and its evidence tag."""

    name: str
    delta_chi_ppm: Evidenced
    low_ppm: float
    high_ppm: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cylinder:
    """Metal given as geometry: a round rod or screw between two points (LPS mm)."""

    start_lps_mm: FloatArray
    end_lps_mm: FloatArray
    diameter_mm: float
