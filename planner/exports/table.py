"""The chosen paths as a CSV table: one row per path, every number with frame and unit."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from planner.exports.plan_to_export import PlanToExport, one_line, verdict_of
from planner.geometry.frames import ras_from_lps
from planner.io.atomic import write_text_atomic
from planner.io.plan_document import RESEARCH_USE, Point, TrajectoryRecord

Cell = str | int | float | None


def write_csv(plan: PlanToExport, path: str | Path) -> tuple[Path, ...]:
    """The file, after it was written in one step: UTF-8, a header row, CRLF as RFC 4180 says.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = [_row(plan, trajectory) for trajectory in plan.paths]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return (write_text_atomic(path, text.getvalue()),)


def _row(plan: PlanToExport, path: TrajectoryRecord) -> dict[str, Cell]:
    document, angles = plan.document, path.angles
    least = min(path.clearance_mm, key=lambda name: path.clearance_mm[name], default=None)
    return {
        "name": plan.name_of(path),
        "rank": path.rank,
        "verdict": str(verdict_of(path)),
        "plan_verdict": str(document.verdict),
        **_point("entry", path.entry_lps_mm),
        **_point("tip", path.tip_lps_mm),
        **_point("target", document.target.point_lps_mm),
        "depth_mm": _rounded(path.length_mm),
        "throw_mm": document.needle.throw_mm,
        "tip_to_target_mm": _rounded(path.tip_to_target_mm),
        "axial_deg": _rounded(angles.axial_deg),
        "craniocaudal_deg": _rounded(angles.craniocaudal_deg),
        "skin_normal_deg": _rounded(angles.skin_normal_deg),
        "b0_deg": None if angles.b0_deg is None else _rounded(angles.b0_deg),
        "least_clearance_mm": None if least is None else path.clearance_mm[least],
        "least_clearance_structure": None if least is None else _words(least),
        "needle": _words(document.needle.name),
        "procedure": _words(document.procedure.id),
        "words": _words(path.words),
        "frame_of_reference_uid": _words(document.frame.frame_of_reference_uid or ""),
        "series_instance_uid": _words(document.image.series_instance_uid or ""),
        "plan_sha256": plan.sha256,
        "description": _words(plan.description_of(path)),
        "research_use": RESEARCH_USE,
    }


def _point(what: str, point_lps_mm: Point) -> dict[str, Cell]:
    lps: list[Cell] = [_rounded(v) for v in point_lps_mm]
    ras: list[Cell] = [_rounded(float(v)) for v in ras_from_lps(point_lps_mm)]
    return {f"{what}_lps_{axis}_mm": v for axis, v in zip("xyz", lps, strict=True)} | {
        f"{what}_ras_{axis}_mm": v for axis, v in zip("xyz", ras, strict=True)
    }


def _rounded(value: float) -> float:
    """To a thousandth; never the -0.0 that rounding leaves."""
    return round(value, 3) + 0.0


def _words(text: str) -> str:
    """A cell that a spreadsheet takes for text: names come from others' files."""
    clean = one_line(text)
    return f"'{clean}" if clean.startswith(("=", "+", "-", "@")) else clean
