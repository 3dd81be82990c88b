"""plan.json as typed data: schema ``needle-plan/1``. Its JSON Schema is made from here.

``python -m planner.io.plan_document`` writes ``schema/needle-plan-1.schema.json``.
Points and directions are LPS, lengths in mm, angles in degrees.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from planner.io.atomic import write_text_atomic
from planner.model.structures import StructureRole
from planner.model.verdict import Verdict

SCHEMA_ID: Final = "needle-plan/1"
SCHEMA_FILE = Path(__file__).parent / "schema" / "needle-plan-1.schema.json"
RESEARCH_USE = "Research use only. Not a medical device. Not for clinical decisions."

Point = tuple[float, float, float]
Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]
Shape = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sha256OrEmpty = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class Software(_Part):
    """The program that made the plan."""

    name: str
    version: str


class FrameRecord(_Part):
    """Coordinate system of every point in the plan."""

    coordinate_system: Literal["LPS"]
    unit: Literal["mm"]
    frame_of_reference_uid: str | None
    label: str = ""


class ImageRecord(_Part):
    """The image planned on. File names are left out: they may hold a patient's name."""

    modality: str
    study_instance_uid: str | None
    series_instance_uid: str | None
    series_number: int | None = None
    part: str | None = None
    patient_position: str
    shape_kji: Shape
    spacing_kji_mm: Point
    lps_from_kji: Matrix
    sha256: Sha256
    n_files: Count = 0


class ProcedureRecord(_Part):
    """The procedure and the limits that decide a verdict."""

    id: str
    sha256: Sha256OrEmpty
    title: str = ""
    caution_band_mm: NotNegative = 0.0
    max_skin_angle_deg: NotNegative | None = None
    min_length_mm: NotNegative | None = None
    required_classes: tuple[str, ...] = ()


class NeedleRecord(_Part):
    """The needle."""

    name: str
    outer_diameter_mm: Positive
    length_mm: Positive
    throw_mm: NotNegative
    material: str
    inner_diameter_mm: NotNegative = 0.0


class TargetRecord(_Part):
    """Where the tip is to be."""

    point_lps_mm: Point
    tolerance_mm: NotNegative
    name: str = "target"


class CoverageRecord(_Part):
    """The grid a mask was stored on: outside its box nothing is known of the structure."""

    shape_kji: Shape
    lps_from_kji: Matrix


class StructureRecord(_Part):
    """One structure as the search used it; ``sha256`` is of its mask on the image grid.

    ``margin_mm`` is what the search kept; ``own_margin_mm`` is what the user (or the
    file) had set, null where the procedure decided.
    """

    name: str
    role: StructureRole
    margin_mm: NotNegative | None
    hard: bool
    voxels: Count
    volume_mm3: NotNegative
    source: str
    sha256: Sha256
    own_margin_mm: NotNegative | None = None
    structure_class: str | None = None
    evidence: str = ""
    method: str = ""
    grown_mm: NotNegative = 0.0
    role_from: str = ""
    tool: str | None = None
    label_value: int | None = None
    segment_name: str | None = None
    file_sha256: Sha256OrEmpty = ""
    frame_mismatch: str | None = None
    """What does not agree between the mask's and the image's frame, accepted by the user."""
    coverage: CoverageRecord


class BodyRecord(_Part):
    """The body whose outer surface is the skin.

    ``source`` is ``"structure:NAME"`` or ``"automatic"``; ``sha256`` is of its
    mask, null when the result does not hold it.
    """

    source: str
    sha256: Sha256 | None
    voxels: Count | None = None


class AcquisitionRecord(_Part):
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


class MaterialRecord(_Part):
    """A metal: susceptibility relative to tissue, ppm; the worse end of the range counts."""

    name: str
    delta_chi_ppm: float
    low_ppm: float
    high_ppm: float
    evidence: str


class ImplantRecord(_Part):
    """How an implant entered the field: the metals it may be, where its shape is from."""

    name: str
    materials: tuple[MaterialRecord, ...]
    shape: Literal["mask", "surface mesh", "rods"]


class BoreRecord(_Part):
    """The scanner's bore, along S; a site setting."""

    radius_mm: Positive
    centre_lp_mm: tuple[float, float] | None
    clearance_mm: NotNegative
    handle_mm: NotNegative


class SearchRecord(_Part):
    """What the search tried and what removed candidates first."""

    candidates: Count
    feasible: Count
    rejected: dict[str, Count]
    seconds: dict[str, NotNegative]


class AnglesRecord(_Part):
    """Angles of the needle, direction entry to tip."""

    axial_deg: float
    craniocaudal_deg: float
    skin_normal_deg: float
    b0_deg: float | None


class ClearanceRecord(_Part):
    """Clearance to one structure with the two closest points."""

    structure: str
    clearance_mm: float
    required_mm: float | None
    on_needle_lps_mm: Point
    on_structure_lps_mm: Point


class FindingRecord(_Part):
    """One check: what was measured, what was needed."""

    constraint: str
    structure: str | None
    measured: float | None
    required: float | None
    unit: str
    verdict: Verdict
    where_lps_mm: Point | None
    note: str = ""


class ScanPlaneRecord(_Part):
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


class EmptyRecord(_Part):
    """``{}``: nothing is known."""


class TargetShiftRecord(_Part):
    """By how much the image may show the target elsewhere, to either side."""

    readout_mm: NotNegative
    slice_mm: NotNegative
    fat_mm: NotNegative
    total_mm: NotNegative


class AdviceRecord(_Part):
    """What another sequence would change for the path; the first row is as it is."""

    change: str
    verdict: Verdict
    room_mm: float | None
    structure: str | None
    void_mm: float | None
    target_shift_mm: NotNegative


class SusceptibilityRecord(_Part):
    """The path beside metal. Clearances elsewhere are to the swept structures."""

    zones_mm: dict[Literal["void", "distorted", "far"], NotNegative]
    largest_shift_mm: NotNegative
    target_shift: TargetShiftRecord
    clearance_without_sweep_mm: dict[str, float]
    binding: tuple[str, ...]
    advice: tuple[AdviceRecord, ...] = ()


class NeedleArtefactRecord(_Part):
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


class TrajectoryRecord(_Part):
    """One ranked path."""

    rank: Annotated[int, Field(ge=1)]
    entry_lps_mm: Point
    tip_lps_mm: Point
    throw_end_lps_mm: Point
    skin_normal_lps: Point
    length_mm: Positive
    tip_to_target_mm: NotNegative
    verdict: Verdict
    cost: float
    cost_terms: dict[str, float]
    angles: AnglesRecord
    clearance_mm: dict[str, float]
    clearances: tuple[ClearanceRecord, ...]
    findings: tuple[FindingRecord, ...]
    is_pareto_optimal: bool
    words: str
    candidate: Count | None = None
    susceptibility: SusceptibilityRecord | EmptyRecord = Field(default_factory=EmptyRecord)
    needle_artefact: NeedleArtefactRecord | EmptyRecord = Field(default_factory=EmptyRecord)
    bore_room_mm: float | None = None
    risk: dict[str, JsonValue] = Field(default_factory=dict)
    scan_planes: tuple[ScanPlaneRecord, ...] = ()


class ExplanationRecord(_Part):
    """Why nothing, or little, is feasible."""

    code: str
    message: str
    constraint: str = ""
    n_removed: Count = 0
    n_only_this: Count = 0
    current: float | None = None
    opens_at: float | None = None
    unit: str = ""


class WarningRecord(_Part):
    """A warning with a stable code."""

    code: str
    message: str


class PlanDocument(_Part):
    """A whole plan, as in the file."""

    schema_id: Literal["needle-plan/1"] = Field(alias="schema")
    research_use: str = RESEARCH_USE
    created_utc: Annotated[
        str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
    ]
    software: Software
    frame: FrameRecord
    image: ImageRecord
    procedure: ProcedureRecord
    needle: NeedleRecord
    target: TargetRecord
    structures: tuple[StructureRecord, ...]
    body: BodyRecord
    mr: MrRecord | None
    implants: tuple[ImplantRecord, ...] = ()
    bore: BoreRecord | None = None
    search: SearchRecord
    verdict: Verdict
    trajectories: tuple[TrajectoryRecord, ...]
    explanation: tuple[ExplanationRecord, ...]
    warnings: tuple[WarningRecord, ...]
    options: dict[str, JsonValue] = Field(default_factory=dict)

    def to_json_dict(self) -> dict[str, Any]:
        """Plain lists, dictionaries, numbers and strings with the keys of the file."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(self.to_json_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def plan_json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of plan.json."""
    schema = PlanDocument.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:mr-needle-planner:needle-plan-1",
        **schema,
        "title": "needle-plan/1",
    }


def schema_text() -> str:
    """The text of the JSON Schema file that ships with the package."""
    return json.dumps(plan_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    write_text_atomic(SCHEMA_FILE, schema_text())
