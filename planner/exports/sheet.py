"""The chosen paths as a printable sheet: numbers to read out, in LPS and RAS, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from planner.exports.plan_to_export import PlanToExport, one_line, region_words, verdict_of
from planner.geometry.frames import ras_from_lps
from planner.io.atomic import write_text_atomic
from planner.io.plan_document import RESEARCH_USE, Point, TrajectoryRecord
from planner.model import PlanResult, StructureRole, Verdict
from planner.report.html_plan import as_result, procedure_of
from planner.report.html_style import page_rule
from planner.report.mr_text import target_shift_text
from planner.report.text import not_checked_texts, warning_texts

_WORDS_LPS = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
"""What a negative and a positive number along L, P and S mean, seen from the origin."""

SHOWN = 6
"""Structures in the table of a path: those with the least room over what is required."""

_STYLE = """
body { font: 11pt/1.35 sans-serif; color: #000; max-width: 186mm; margin: 0 auto }
section { break-inside: avoid; border-top: 2px solid #000; margin-top: 5mm }
h1 { font-size: 15pt; margin: 3mm 0 1mm } h2 { font-size: 13pt; margin: 2mm 0 }
.banner { color: #b00020; font-weight: bold } .unverified { background: #000; color: #fff;
padding: 1mm 3mm } table { border-collapse: collapse; width: 100% }
th, td { border: 1px solid #888; padding: 1mm 2mm; text-align: left }
td.n { text-align: right; font: bold 12pt monospace; white-space: nowrap }
.small { font-size: 8.5pt; overflow-wrap: anywhere }
"""


def write_sheet(plan: PlanToExport, path: str | Path) -> tuple[Path, ...]:
    """The HTML file, after it was written in one step; it loads nothing from elsewhere.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    return (write_text_atomic(path, sheet_html(plan)),)


def sheet_html(plan: PlanToExport) -> str:
    """The text of the page: a head, then one block per path that is not broken in print."""
    document = plan.document
    result = as_result(document, protocol=procedure_of(document))
    title = f"Needle paths, {document.procedure.title or document.procedure.id}"
    unverified = (
        '<p class="unverified"><b>UNVERIFIED</b>: the planner could not confirm every check.</p>'
        if plan.is_unverified
        else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title><style>{page_rule(plan.sha256)}{_STYLE}</style></head><body>\n"
        f"<h1>{_text(title)}</h1>\n"
        f'<p class="banner">{_text(RESEARCH_USE)}</p>\n{unverified}'
        f"<p>Needle {_text(document.needle.name)}, {document.needle.outer_diameter_mm:g} mm thick, "
        f"{document.needle.length_mm:g} mm long. Verdict: <b>{plan.worst_verdict}</b>.</p>\n"
        f"{_target(plan)}{_region(plan)}{_limits(result)}"
        f"{''.join(_section(plan, result, p) for p in plan.paths)}\n{_foot(plan)}</body></html>\n"
    )


def spoken(point_lps_mm: Point) -> str:
    """A point as it is said out loud: ``"12.3 left, 4.0 posterior, 205.0 inferior"``."""
    parts = []
    for value, (negative, positive) in zip(point_lps_mm, _WORDS_LPS, strict=True):
        shown = f"{abs(value):.1f}"
        is_centre = shown == "0.0"
        parts.append("0" if is_centre else f"{shown} {negative if value < 0 else positive}")
    return ", ".join(parts)


def _target(plan: PlanToExport) -> str:
    target = plan.document.target
    lps = ", ".join(f"{_shown(v):.1f}" for v in target.point_lps_mm)
    within = "" if target.region is not None else f", within {target.tolerance_mm:g} mm"
    return (
        f"<p><b>Target</b> {_text(target.name)}: LPS {lps} mm, {spoken(target.point_lps_mm)}"
        f"{within}.</p>\n"
    )


def _limits(result: PlanResult) -> str:
    """What nobody checked, and what the planner warned of: read before any number."""
    not_checked = _listed("NOT checked", not_checked_texts(result))
    return not_checked + _listed("Warnings", warning_texts(result))


def _listed(title: str, texts: Sequence[str]) -> str:
    rows = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return f"<p><b>{title} ({len(texts)}):</b></p><ul>{rows}</ul>\n" if texts else ""


def _metal(plan: PlanToExport, result: PlanResult, path: TrajectoryRecord) -> str:
    """How far the image may show the target elsewhere beside metal; not known is said too."""
    document = plan.document
    found = next(t for t in result.trajectories if t.rank == path.rank)
    told = target_shift_text(found, document.target.tolerance_mm)
    has_metal = bool(document.implants) or any(
        s.role is StructureRole.IMPLANT for s in document.structures
    )
    if told is None and has_metal and document.image.modality != "CT":
        told = "how far the image shifts it beside the metal is NOT KNOWN"
    return f"<p><b>Target beside metal</b>: {_text(told)}.</p>\n" if told else ""


def _region(plan: PlanToExport) -> str:
    words = region_words(plan)
    return f"<p><b>Target region</b> {_text(words)}.</p>\n" if words else ""


def _section(plan: PlanToExport, result: PlanResult, path: TrajectoryRecord) -> str:
    document = plan.document
    throw_mm = document.needle.throw_mm
    depth = f"{path.length_mm:.1f} mm from skin to tip"
    if throw_mm > 0:
        depth += f"; fires {throw_mm:g} mm further"
    points = (
        ("Entry on the skin", path.entry_lps_mm),
        ("Tip of the needle", path.tip_lps_mm),
        (
            "Target" if document.target.region is None else "Middle of the region, not a tip",
            document.target.point_lps_mm,
        ),
    )
    angles = path.angles
    b0 = "not known" if angles.b0_deg is None else f"{angles.b0_deg:.1f}°"
    rows = "".join(_point_row(name, point) for name, point in points)
    return (
        f"<section><h2>{_text(plan.name_of(path))}: verdict {verdict_of(path)}</h2>\n"
        f"<p>{_text(path.words)}</p>\n"
        "<table><tr><th>mm</th><th>LPS (L, P, S positive)</th><th>RAS (R, A, S positive)</th>"
        f"<th>said out loud, from the origin</th></tr>{rows}</table>\n"
        f"<p><b>Depth</b> {depth}. <b>Angles</b> axial {angles.axial_deg:+.1f}° (positive: the "
        f"tip points left), craniocaudal {angles.craniocaudal_deg:+.1f}° (positive: cranially), "
        f"to the skin's normal {angles.skin_normal_deg:.1f}°, to the main field {b0}.</p>\n"
        f"{_metal(plan, result, path)}{_clearances(path)}{_open(path)}"
        f'<p class="small">{_text(plan.description_of(path))}</p></section>\n'
    )


def _point_row(name: str, point_lps_mm: Point) -> str:
    lps = ", ".join(f"{_shown(v):.1f}" for v in point_lps_mm)
    ras = ", ".join(f"{_shown(float(v)):.1f}" for v in ras_from_lps(point_lps_mm))
    return (
        f'<tr><th>{name}</th><td class="n">{lps}</td><td class="n">{ras}</td>'
        f"<td>{spoken(point_lps_mm)}</td></tr>"
    )


def _shown(value: float) -> float:
    """To a tenth, never the -0.0 that rounding leaves."""
    return round(value, 1) + 0.0


def _clearances(path: TrajectoryRecord) -> str:
    if not path.clearances:
        return "<p><b>No clearance was measured.</b></p>\n"
    by_room = sorted(path.clearances, key=lambda c: c.clearance_mm - (c.required_mm or 0.0))
    rows = "".join(
        f'<tr><td>{_text(c.structure)}</td><td class="n">{c.clearance_mm:.2f}</td>'
        f'<td class="n">{"none" if c.required_mm is None else f"{c.required_mm:g}"}</td></tr>'
        for c in by_room[:SHOWN]
    )
    head = "<tr><th>tightest structures</th><th>clear, mm</th><th>required, mm</th></tr>"
    return f"<table>{head}{rows}</table>\n"


def _open(path: TrajectoryRecord) -> str:
    """Every finding that is not a pass, in one line each."""
    told = []
    for f in path.findings:
        if f.verdict is not Verdict.PASS:
            what = " ".join(part for part in (f.constraint.replace("_", " "), f.structure) if part)
            numbers = ""
            if f.measured is not None:
                needed = "" if f.required is None else f", required {f.required:g}"
                numbers = f" {f.measured:g} {f.unit}{needed}"
            note = f" ({f.note})" if f.note else ""
            told.append(f"<li><b>{f.verdict.upper()}</b> {_text(what + numbers + note)}</li>")
    return f"<p><b>Not a pass:</b></p><ul>{''.join(told)}</ul>\n" if told else ""


def _foot(plan: PlanToExport) -> str:
    document = plan.document
    software = document.software
    parts = (
        f"Plan sha256 {plan.sha256}",
        *plan.place(),
        f"patient position {document.image.patient_position or 'not stated'}",
        f"planned {document.created_utc} by {software.name} {software.version}",
    )
    return f'<p class="small">{_text("; ".join(parts))}</p>\n'


def _text(text: str) -> str:
    return escape(one_line(text))
