"""Claims that are no distances: words, units, names of things, where a value is said to be from.

A changed word misleads as a changed number does: what people read first is "depth 39 mm".
"""

from __future__ import annotations

import numpy as np

from planner.geometry import Volume
from planner.io.plan_document import (
    RESEARCH_USE,
    AcquisitionRecord,
    FindingRecord,
    NeedleArtefactRecord,
    PlanDocument,
    SusceptibilityRecord,
    TrajectoryRecord,
)
from planner.model import Protocol, StructureSet, TargetRegion, Verdict
from planner.verify.artefact import guiding, materials_of
from planner.verify.findings import LENGTH_TOL_MM, Recomputed, gap_mm, is_clearance
from planner.verify.inputs import CONTACT_MM
from planner.verify.ledger import Ledger
from planner.verify.metal_findings import VOID
from planner.verify.report import CheckKind

SEQUENCES = ("SE", "TSE", "GRE", "bSSFP", "EPI", "unknown")
REDUCTIONS = ("none", "VAT", "SEMAC", "MAVRIC")
DIMENSIONS = (None, "2D", "3D")
FROM_HEADER = ("bandwidth_hz_per_px", "echo_time_ms", "repetition_time_ms", "field_t")
SOURCE_KINDS = ("tag", "derived", "user", "site", "default")

GIVEN_REGION = "region:"
"""A region that is the mask of a structure, not derived from labels."""

GAP_TOL_MM = 0.011
"""A clearance is rounded down to 0.01 mm, its two points are not."""

_UNITS = {
    "length": "mm",
    "skin_angle": "degrees",
    "outside_body": "",
    "target_shift": "mm",
    "mr_distorted": "mm",
    "mr_void": "mm",
    "bore": "mm",
}
_OF_THE_PATH = ("length", "skin_angle", "outside_body", "target_shift", "mr_distorted", "bore")
"""Findings that are about no structure."""


def check_plan_claims(
    plan: PlanDocument,
    volume: Volume,
    structures: StructureSet,
    protocol: Protocol | None,
    book: Ledger,
) -> None:
    """What the plan says of itself, its image, its masks and its acquisitions."""
    is_told = plan.research_use == RESEARCH_USE
    book.rule("research_use", plan.research_use, RESEARCH_USE, is_told)
    book.same("image.part", plan.image.part, volume.source.part)
    book.same("image.series_number", plan.image.series_number, volume.source.series_number)
    if protocol is not None:
        kind = CheckKind.NUMBER
        book.same("procedure.title", plan.procedure.title, protocol.title, kind=kind)
        _check_evidence(plan, protocol, book)
    for record in plan.structures:
        if record.name in structures:
            given = structures[record.name].source.frame_mismatch
            claim = f"structures[{record.name}].frame_mismatch"
            book.same(claim, record.frame_mismatch is not None, given is not None)
    for implant in plan.implants:
        for material in implant.materials:
            found = materials_of(material.name).get(material.name, {})
            claim = f"implants[{implant.name}].{material.name}.evidence"
            book.same(claim, material.evidence, found.get("evidence"), kind=CheckKind.NUMBER)
    if plan.mr is not None:
        _check_acquisition("mr", plan.mr, book)
        _check_header_sources(plan.mr, volume, book)
        if plan.mr.guidance is not None:
            _check_acquisition("mr.guidance", plan.mr.guidance, book)


def check_region_claims(plan: PlanDocument, region: TargetRegion | None, book: Ledger) -> None:
    """What a person is told to look at is what the labels give; words of a given mask are free."""
    record = plan.target.region
    if record is None or region is None:
        return
    book.same("target.region.warnings", list(record.warnings), list(region.warnings))
    if not record.name.startswith(GIVEN_REGION):
        book.same("target.region.words", record.words, region.words)


def needle_is_known(plan: PlanDocument, book: Ledger) -> bool:
    """Whether the artefact of the needle's metal can be recomputed where it must be."""
    if guiding(plan) is None:
        return True
    is_known = bool(materials_of(plan.needle.material))
    book.rule("needle.material is in the table", plan.needle.material, None, is_known)
    return is_known


def check_path_claims(
    plan: PlanDocument, trajectory: TrajectoryRecord, truth: Recomputed, book: Ledger
) -> None:
    """Units and repeated numbers of one trajectory, and what nothing fills."""
    for number, finding in enumerate(trajectory.findings, start=1):
        _check_shape(f"findings[{number}] {finding.constraint}", finding, trajectory, book)
    _check_void_points(trajectory, truth, book)
    book.rule("risk is empty: nothing fills it", len(trajectory.risk), 0, not trajectory.risk)
    if trajectory.candidate is not None:
        is_one = trajectory.candidate < plan.search.candidates
        book.rule("candidate is one of those tried", trajectory.candidate, None, is_one)
    artefact = trajectory.needle_artefact
    if isinstance(artefact, NeedleArtefactRecord):
        metals = sorted(materials_of(artefact.material))
        wanted = sorted(materials_of(plan.needle.material))
        book.rule("needle_artefact.material", metals, wanted, bool(metals) and metals == wanted)
    if isinstance(trajectory.susceptibility, SusceptibilityRecord):
        _check_repeated(trajectory, book)
        _check_advice(plan, trajectory.susceptibility, book)


def _check_evidence(plan: PlanDocument, protocol: Protocol, book: Ledger) -> None:
    """A margin's evidence is one that the procedure gives, or the user's choice."""
    given = {
        protocol.default_margin.evidence,
        protocol.bone_margin.evidence,
        protocol.implant_margin.evidence,
        *(rule.margin.evidence for rule in protocol.margins),
    }
    for record in plan.structures:
        told = record.evidence
        is_right = told in given or any(told.endswith(f": {tag}") for tag in given)
        if record.own_margin_mm is not None:
            is_right = told == "user"
        if record.margin_mm is None:
            is_right = told in ("", *given)
        book.rule(f"structures[{record.name}].evidence", told, None, is_right)


def _check_acquisition(claim: str, mr: AcquisitionRecord, book: Ledger) -> None:
    for name, value, known in (
        ("sequence", mr.sequence, SEQUENCES),
        ("acquisition", mr.acquisition, DIMENSIONS),
        ("metal_reduction", mr.metal_reduction, REDUCTIONS),
    ):
        book.rule(f"{claim}.{name} is a known word", value, None, value in known)
    for name, text in mr.sources.items():
        is_known = text.partition(":")[0] in SOURCE_KINDS
        book.rule(f"{claim}.sources.{name} is of a known kind", text, None, is_known)
    for name in ("b0_direction_lps", "readout_axis_lps", "slice_axis_lps"):
        axis = getattr(mr, name)
        if axis is not None:
            length = float(np.sqrt((np.array(axis) ** 2).sum()))
            book.close(f"{claim}.{name} has length one", length, 1.0, 1e-6)


def _check_header_sources(mr: AcquisitionRecord, volume: Volume, book: Ledger) -> None:
    """What is said to be from the header is there."""
    for name in FROM_HEADER:
        if mr.sources.get(name, "").startswith("tag"):
            is_there = name in volume.source.mr
            book.rule(f"mr.sources.{name}: the header holds it", "tag", is_there, is_there)


# --- one path ----------------------------------------------------------------------------------


def _check_shape(
    claim: str, finding: FindingRecord, trajectory: TrajectoryRecord, book: Ledger
) -> None:
    unit = "mm" if is_clearance(finding) else _UNITS.get(finding.constraint)
    if unit is not None:
        book.rule(f"{claim}.unit", finding.unit, unit, finding.unit == unit)
    if finding.constraint in _OF_THE_PATH:
        is_none = finding.structure is None
        book.rule(f"{claim}.structure", finding.structure, None, is_none)
    if finding.constraint in ("outside_body", "mr_distorted"):
        book.close(f"{claim}.required", finding.required, None, 0.0)
    if finding.constraint == "outside_body":
        book.close(f"{claim}.measured", finding.measured, None, 0.0)
    if finding.constraint == "mr_void":
        is_void = finding.structure == VOID
        book.rule(f"{claim}.structure", finding.structure, VOID, is_void)
        book.close(f"{claim}.required", finding.required, CONTACT_MM, 1e-9)


def _check_repeated(trajectory: TrajectoryRecord, book: Ledger) -> None:
    """Beside metal a clearance may be less than the exact one: then it is so everywhere."""
    for record in trajectory.clearances:
        told = trajectory.clearance_mm.get(record.structure)
        claim = f"clearances[{record.structure}].clearance_mm is the one told"
        book.close(claim, record.clearance_mm, told, 0.0)
    for number, finding in enumerate(trajectory.findings, start=1):
        if is_clearance(finding):
            told = trajectory.clearance_mm.get(finding.structure or "")
            claim = f"findings[{number}] {finding.constraint}.measured is the clearance told"
            book.close(claim, finding.measured, told, 1e-9)


def _check_void_points(trajectory: TrajectoryRecord, truth: Recomputed, book: Ledger) -> None:
    """The clearance to the void: its limit, and two points that far apart, one on the needle."""
    for record in trajectory.clearances:
        if record.structure != VOID:
            continue
        claim = f"clearances[{VOID}]"
        book.close(f"{claim}.required_mm", record.required_mm, CONTACT_MM, 1e-9)
        off_mm = truth.gap_to_axis_mm(record.on_needle_lps_mm)
        book.close(f"{claim}.on_needle_lps_mm is off the needle by", off_mm, 0.0, LENGTH_TOL_MM)
        there = np.array(record.on_structure_lps_mm)
        apart_mm = gap_mm(there, record.on_needle_lps_mm) - truth.radius_mm
        book.close(f"{claim}: gap of its two points", record.clearance_mm, apart_mm, GAP_TOL_MM)
        nearest_mm = truth.gap_to_axis_mm(record.on_structure_lps_mm) - truth.radius_mm
        book.close(f"{claim}: its point is nearest there", apart_mm, nearest_mm, LENGTH_TOL_MM)


def _check_advice(plan: PlanDocument, record: SusceptibilityRecord, book: Ledger) -> None:
    """The verdict of each alternative follows from its own numbers."""
    names = {s.name for s in plan.structures}
    if record.advice:
        first = record.advice[0].change
        book.rule("advice[1] is the sequence as it is", first, "as it is", first == "as it is")
    for number, row in enumerate(record.advice, start=1):
        claim = f"advice[{number}]"
        is_broken = not (
            (row.room_mm is None or row.room_mm >= 0.0)
            and (row.void_mm is None or row.void_mm >= CONTACT_MM)
            and row.target_shift_mm <= plan.target.tolerance_mm
        )
        is_near = row.room_mm is not None and row.room_mm < plan.procedure.caution_band_mm
        allowed: tuple[Verdict, ...] = (Verdict.PASS, Verdict.CAUTION)
        if is_broken or is_near:
            allowed = (Verdict.FAIL,) if is_broken else (Verdict.CAUTION,)
        wanted = " or ".join(str(v) for v in allowed)
        book.rule(f"{claim}.verdict", str(row.verdict), wanted, row.verdict in allowed)
        is_one = row.structure in names if row.room_mm is not None else row.structure is None
        book.rule(f"{claim}.structure", row.structure, None, is_one)
