"""What a plan was made from: acquisition, structures, limits with their evidence, hashes."""

from __future__ import annotations

from planner.io.plan_document import PlanDocument, StructureRecord
from planner.model import PlanResult, Protocol
from planner.protocols.describing import EVIDENCE_LEGEND, describe_protocol
from planner.report import mr_text
from planner.report.html_parts import Html, bullets, element, facts, joined, table
from planner.report.wording import limit_text

_SHORT = 8
"""Characters of a hash in a table: enough to tell two files apart; the plan holds it whole."""


def input_sections(
    plan: PlanDocument, result: PlanResult, protocol: Protocol | None, plan_sha256: str
) -> list[str]:
    """Everything that the numbers above rest on."""
    parts = _acquisitions(result)
    parts += _structures(plan)
    parts += _limits(protocol)
    counts = sorted(plan.search.rejected.items(), key=lambda item: (-item[1], item[0]))
    if counts:
        rows = [(name, f"{count:,}") for name, count in counts]
        columns = ("First limit broken", "Candidates")
        parts += [element("h2", "Why candidates fell out"), table(columns, rows, numeric=(1,))]
    return [*parts, element("h2", "Software and input"), facts(_identity(plan, plan_sha256))]


def _acquisitions(result: PlanResult) -> list[str]:
    parts: list[str] = []
    for index, acquisition in enumerate(result.acquisitions):
        parts += [
            element("h2", mr_text.acquisition_title(index)),
            table(mr_text.ACQUISITION_COLUMNS, mr_text.acquisition_rows(acquisition)),
        ]
        problems = mr_text.problem_texts(acquisition)
        if problems:
            parts += [element("p", element("b", "Problems:")), bullets(problems)]
    if result.implants:
        rows = mr_text.implant_rows(result.implants)
        parts += [element("h2", "Implants"), table(mr_text.IMPLANT_COLUMNS, rows)]
    return parts


def _structures(plan: PlanDocument) -> list[str]:
    columns = ("Structure", "Role", "Margin mm", "Hard", "Evidence", "Volume mm³", "Brought by",
               "SHA-256 of the mask, of the file")  # fmt: skip
    rows = [
        (
            s.name,
            str(s.role),
            "" if s.margin_mm is None else limit_text(s.margin_mm),
            "yes" if s.hard else "no",
            s.evidence,
            f"{s.volume_mm3:,.0f}",
            _brought(s),
            element("span", f"{s.sha256[:_SHORT]} {s.file_sha256[:_SHORT]}", cls="mono"),
        )
        for s in plan.structures
    ]
    head = element("h2", "Structures")
    if not rows:
        told = "None was given: nothing was kept clear of."
        return [head, element("p", element("b", told))]
    return [head, table(columns, rows, numeric=(2, 5)), _body(plan)]


def _body(plan: PlanDocument) -> Html:
    if plan.body.source == "automatic":
        return element("p", "No body mask was given: the skin was found in the image.", cls="note")
    return element("p", f"The skin is the surface of {plan.body.source}.", cls="note")


def _brought(record: StructureRecord) -> str:
    grown = f", grown by up to {record.grown_mm:g} mm" if record.grown_mm > 0 else ""
    role = f"; role: {record.role_from}" if record.role_from else ""
    mismatch = f"; FRAME: {record.frame_mismatch}" if record.frame_mismatch else ""
    return f"{record.method or 'unknown'}{grown}{role}{mismatch}"


def _limits(protocol: Protocol | None) -> list[str]:
    head = element("h2", "Limits of the procedure and their evidence")
    if protocol is None:
        told = (
            "The procedure that this plan was made with is not known here, only its hash below: "
            "its limits and their evidence cannot be shown."
        )
        return [head, element("p", element("b", told))]
    lines = describe_protocol(protocol).splitlines()
    kept = [line for line in lines[2:] if line.strip() and line != EVIDENCE_LEGEND]
    shown = [element("div", " ".join(line.split())) for line in kept]
    return [
        head,
        element("p", EVIDENCE_LEGEND, cls="note"),
        joined([element("div", *shown, cls="limits")]),
    ]


def _identity(plan: PlanDocument, plan_sha256: str) -> list[tuple[str, str]]:
    image, grid = plan.image, plan.image.spacing_kji_mm
    rows = [
        ("Software", f"{plan.software.name} {plan.software.version}"),
        ("Plan file SHA-256", plan_sha256),
        ("Plan made (UTC)", plan.created_utc),
        ("Study instance UID", image.study_instance_uid or "unknown"),
        ("Series instance UID", image.series_instance_uid or "unknown"),
        ("Frame of reference UID", plan.frame.frame_of_reference_uid or "unknown"),
        ("Modality, patient position", f"{image.modality}, {image.patient_position}"),
        ("Image shape (k, j, i)", " x ".join(str(n) for n in image.shape_kji)),
        ("Voxel (k, j, i) mm", " x ".join(f"{s:.3f}" for s in grid)),
        ("Image SHA-256", image.sha256),
        ("Body SHA-256", plan.body.sha256 or "unknown"),
        ("Procedure", plan.procedure.id),
        ("Procedure SHA-256", plan.procedure.sha256 or "unknown"),
        ("Coordinates", "DICOM patient coordinates (LPS), mm; RAS where it says so"),
    ]
    hashed = {"Plan file SHA-256", "Image SHA-256", "Body SHA-256", "Procedure SHA-256"}
    return [
        (name, element("span", value, cls="mono") if name in hashed else value)
        for name, value in rows
    ]
