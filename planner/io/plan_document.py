"""plan.json as typed data: schema ``needle-plan/1``. Its JSON Schema is made from here.

``python -m planner.io.plan_document`` writes ``schema/needle-plan-1.schema.json``.
Points and directions are LPS, lengths in mm, angles in degrees.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, JsonValue, StringConstraints

from planner.io.atomic import write_text_atomic
from planner.io.plan_mr_document import AcquisitionRecord as AcquisitionRecord
from planner.io.plan_mr_document import AdviceRecord as AdviceRecord
from planner.io.plan_mr_document import BoreRecord as BoreRecord
from planner.io.plan_mr_document import EmptyRecord as EmptyRecord
from planner.io.plan_mr_document import ImplantRecord as ImplantRecord
from planner.io.plan_mr_document import MaterialRecord as MaterialRecord
from planner.io.plan_mr_document import MrRecord as MrRecord
from planner.io.plan_mr_document import NeedleArtefactRecord as NeedleArtefactRecord
from planner.io.plan_mr_document import ScanPlaneRecord as ScanPlaneRecord
from planner.io.plan_mr_document import SusceptibilityRecord as SusceptibilityRecord
from planner.io.plan_mr_document import TargetShiftRecord as TargetShiftRecord
from planner.io.plan_types import Count as Count
from planner.io.plan_types import Matrix as Matrix
from planner.io.plan_types import NotNegative as NotNegative
from planner.io.plan_types import Part as Part
from planner.io.plan_types import Point as Point
from planner.io.plan_types import Positive as Positive
from planner.io.plan_types import Row as Row
from planner.io.plan_types import Sha256 as Sha256
from planner.io.plan_types import Sha256OrEmpty as Sha256OrEmpty
from planner.io.plan_types import Shape as Shape
from planner.model.structures import StructureRole
from planner.model.verdict import Verdict

SCHEMA_ID: Final = "needle-plan/1"
SCHEMA_FILE = Path(__file__).parent / "schema" / "needle-plan-1.schema.json"
RESEARCH_USE = "Research use only. Not a medical device. Not for clinical decisions."


class Software(Part):
    """The program that made the plan."""

    name: str
    version: str


class FrameRecord(Part):
    """Coordinate system of every point in the plan."""

    coordinate_system: Literal["LPS"]
    unit: Literal["mm"]
    frame_of_reference_uid: str | None
    label: str = ""


class ImageRecord(Part):
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


class ProcedureRecord(Part):
    """The procedure and the limits that decide a verdict."""

    id: str
    sha256: Sha256OrEmpty
    title: str = ""
    caution_band_mm: NotNegative = 0.0
    max_skin_angle_deg: NotNegative | None = None
    min_length_mm: NotNegative | None = None
    length_reserve_mm: NotNegative = 0.0
    opt_ins: tuple[str, ...] = ()
    required_classes: tuple[str, ...] = ()


class NeedleRecord(Part):
    """The needle."""

    name: str
    outer_diameter_mm: Positive
    length_mm: Positive
    throw_mm: NotNegative
    material: str
    inner_diameter_mm: NotNegative = 0.0


class RegionRecord(Part):
    """A target region: the tip may lie anywhere in it. ``sha256`` is of its mask."""

    name: str
    voxels: Count
    sha256: Sha256
    level: str | None
    side: Literal["left", "right"] | None
    axis_lps: Point | None
    plane_normal_lps: Point | None
    measures: dict[str, float]
    words: str
    warnings: tuple[str, ...] = ()
    """What a person should look at before trusting the region."""


class TargetRecord(Part):
    """Where the tip is to be; with a region, its preferred point."""

    point_lps_mm: Point
    tolerance_mm: NotNegative
    name: str = "target"
    region: RegionRecord | None = None
    midline_l_mm: float | None = None
    """L of the patient's middle at the target, from which directions are told."""


class CoverageRecord(Part):
    """The grid a mask was stored on: outside its box nothing is known of the structure."""

    shape_kji: Shape
    lps_from_kji: Matrix


class StructureRecord(Part):
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


class BodyRecord(Part):
    """The body whose outer surface is the skin.

    ``source`` is ``"structure:NAME"`` or ``"automatic"``; ``sha256`` is of its
    mask, null when the result does not hold it.
    """

    source: str
    sha256: Sha256 | None
    voxels: Count | None = None


class PairRecord(Part):
    """Two paths, by rank, that two needles may take together."""

    first_rank: Annotated[int, Field(ge=1)]
    second_rank: Annotated[int, Field(ge=1)]
    tip_spacing_mm: NotNegative
    clearance_mm: float


class SearchRecord(Part):
    """What the search tried and what removed candidates first."""

    candidates: Count
    feasible: Count
    rejected: dict[str, Count]
    seconds: dict[str, NotNegative]


class AnglesRecord(Part):
    """Angles of the needle, direction entry to tip."""

    axial_deg: float
    craniocaudal_deg: float
    skin_normal_deg: float
    b0_deg: float | None


class ClearanceRecord(Part):
    """Clearance to one structure with the two closest points."""

    structure: str
    clearance_mm: float
    required_mm: float | None
    on_needle_lps_mm: Point
    on_structure_lps_mm: Point


class FindingRecord(Part):
    """One check: what was measured, what was needed."""

    constraint: str
    structure: str | None
    measured: float | None
    required: float | None
    unit: str
    verdict: Verdict
    where_lps_mm: Point | None
    note: str = ""


class TrajectoryRecord(Part):
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

    @property
    def worst_verdict(self) -> Verdict:
        """The worst of the path's verdict and its findings': a summary may not be better."""
        return Verdict.worst([self.verdict, *(f.verdict for f in self.findings)])


class ExplanationRecord(Part):
    """Why nothing, or little, is feasible."""

    code: str
    message: str
    constraint: str = ""
    n_removed: Count = 0
    n_only_this: Count = 0
    current: float | None = None
    opens_at: float | None = None
    unit: str = ""


class WarningRecord(Part):
    """A warning with a stable code."""

    code: str
    message: str


class PlanDocument(Part):
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
    pairs: tuple[PairRecord, ...] = ()
    search: SearchRecord
    verdict: Verdict
    trajectories: tuple[TrajectoryRecord, ...]
    explanation: tuple[ExplanationRecord, ...]
    warnings: tuple[WarningRecord, ...]
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def worst_verdict(self) -> Verdict:
        """The worst of the plan's verdict and that of its first path."""
        return Verdict.worst([self.verdict, *(t.worst_verdict for t in self.trajectories[:1])])

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
