"""The MR parts of plan.json: acquisition, metal, needle artefact, scan planes, bore."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from planner.io.plan_types import NotNegative, Part, Point, Positive
from planner.model.verdict import Verdict


class AcquisitionRecord(Part):
    """One MR acquisition; null where the header did not say."""

    field_t: Positive | None
    b0_direction_lps: Point | None
    bandwidth_hz_per_px: Positive | None
    readout_axis_lps: Point | None
    readout_pixel_mm: Positive | None
    slice_thickness_mm: Positive | None
    acquisition: str | None
    sequence: str | None
    echo_time_ms: NotNegative | None
    phase_pixel_mm: Positive | None = None
    slice_axis_lps: Point | None = None
    is_isotropic_readout: bool = False
    rf_bandwidth_hz: Positive | None = None
    repetition_time_ms: Positive | None = None
    metal_reduction: str = "none"
    metal_reduction_hint: str = ""
    distortion_corrected: bool | None = None
    sources: dict[str, str]
    """Where each value is from: tag, derived, user, site or default, and the words."""
    problems: dict[str, str] = Field(default_factory=dict)
    """Why a value is missing or contradictory."""


class MrRecord(AcquisitionRecord):
    """The acquisition of the image, and the one that guides the needle if it is another."""

    guidance: AcquisitionRecord | None = None


class MaterialRecord(Part):
    """A metal: susceptibility relative to tissue, ppm; the worse end of the range counts."""

    name: str
    delta_chi_ppm: float
    low_ppm: float
    high_ppm: float
    evidence: str


class ImplantRecord(Part):
    """How an implant entered the field: the metals it may be, where its shape is from."""

    name: str
    materials: tuple[MaterialRecord, ...]
    shape: Literal["mask", "surface mesh", "rods"]


class BoreRecord(Part):
    """The scanner's bore, along S; a site setting."""

    radius_mm: Positive
    centre_lp_mm: tuple[float, float] | None
    clearance_mm: NotNegative
    handle_mm: NotNegative


class ScanPlaneRecord(Part):
    """One imaging plane for a path, as numbers to type in."""

    name: str
    centre_lps_mm: Point
    normal_lps: Point
    row_direction_lps: Point
    column_direction_lps: Point
    orientation: str
    field_of_view_mm: Positive
    readout_direction_lps: Point
    readout_rotation_deg: float = 0.0
    readout_reason: str


class EmptyRecord(Part):
    """``{}``: nothing is known."""


class TargetShiftRecord(Part):
    """By how much the image may show the target elsewhere, to either side."""

    readout_mm: NotNegative
    slice_mm: NotNegative
    fat_mm: NotNegative
    total_mm: NotNegative


class AdviceRecord(Part):
    """What another sequence would change for the path; the first row is as it is."""

    change: str
    verdict: Verdict
    room_mm: float | None
    structure: str | None
    void_mm: float | None
    target_shift_mm: NotNegative


class SusceptibilityRecord(Part):
    """The path beside metal. Clearances elsewhere are to the swept structures."""

    zones_mm: dict[Literal["void", "distorted", "far"], NotNegative]
    largest_shift_mm: NotNegative
    target_shift: TargetShiftRecord
    clearance_without_sweep_mm: dict[str, float]
    binding: tuple[str, ...]
    advice: tuple[AdviceRecord, ...] = ()


class NeedleArtefactRecord(Part):
    """The needle's own artefact: nominal, and what to count with."""

    width_mm: NotNegative
    width_max_mm: NotNegative
    tip_overshoot_mm: NotNegative
    tip_max_mm: NotNegative
    b0_angle_deg: NotNegative
    pixels_wide: NotNegative
    material: str
    is_visible: bool
    blooms: bool
