"""The chosen paths as 3D Slicer markups, named and described as every export is."""

from __future__ import annotations

from pathlib import Path

from planner.exports.plan_to_export import PlanToExport, verdict_of
from planner.io.markups import markup_line, write_lines


def write_markups(plan: PlanToExport, path: str | Path) -> tuple[Path, ...]:
    """The ``.mrk.json``, after it was written in one step: one locked Line per path, LPS mm.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    lines = [
        markup_line(
            name=plan.name_of(trajectory),
            description=plan.description_of(trajectory),
            verdict=verdict_of(trajectory),
            entry_lps_mm=trajectory.entry_lps_mm,
            tip_lps_mm=trajectory.tip_lps_mm,
        )
        for trajectory in plan.paths
    ]
    return (write_lines(lines, path),)
