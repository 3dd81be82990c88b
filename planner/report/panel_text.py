"""The column of numbers beside the pictures of a trajectory."""

from __future__ import annotations

import textwrap
from typing import Any

from planner.model import PlanResult, Trajectory, Verdict
from planner.report.style import DPI, VERDICT_COLOUR, drawable, shortened
from planner.report.views import ranked_clearances
from planner.report.wording import (
    angle_texts,
    clearance_verdict,
    finding_text,
    number,
    point_text,
)

N_ROWS_CLEARANCE, N_ROWS_FINDINGS = 9, 4
HEIGHT_PX = 535
"""Height of the column."""


def draw_text(axes: Any, result: PlanResult, trajectory: Trajectory) -> None:
    """Entry in words, depth, angles, clearances and open findings of a trajectory."""
    axes.set_axis_off()
    line = _Writer(axes)
    for row in textwrap.wrap(drawable(trajectory.words), 40)[:3]:
        line.add(row, size=14, weight="bold")
    line.skip(6)
    needle = result.needle
    throw = f", throw {needle.throw_mm:g} mm" if needle.throw_mm > 0 else ""
    line.add(
        f"Depth {trajectory.length_mm:.1f} mm   "
        f"{shortened(drawable(needle.name), 18)}, Ø {needle.outer_diameter_mm:.2f} mm{throw}"
    )
    axial, craniocaudal, skin, b0 = angle_texts(trajectory.angles)
    line.add(f"Angles: {axial}, {craniocaudal},")
    line.add(f"{skin}, {b0}")
    line.skip(4)
    line.add(f"Entry {point_text(trajectory.entry_lps_mm)}", size=11.5)
    line.add(f"Tip   {point_text(trajectory.tip_lps_mm)}   LPS, mm", size=11.5)
    line.skip(8)
    _clearance_table(line, trajectory)
    _open_findings(line, trajectory)


class _Writer:
    """Lines of text from the top of an axes downwards, in pixels."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.height_px = HEIGHT_PX
        self.y_px = 0.0

    def add(self, text: str, *, size: float = 12.5, **look: Any) -> None:
        self.axes.text(
            0.0,
            1.0 - self.y_px / self.height_px,
            text,
            transform=self.axes.transAxes,
            va="top",
            fontsize=size,
            fontfamily=look.pop("family", "DejaVu Sans"),
            parse_math=False,
            **look,
        )
        self.y_px += size * DPI / 72 * 1.38

    def skip(self, pixels: float) -> None:
        self.y_px += pixels

    def room_for(self, n_lines: int, size: float = 12.0) -> bool:
        return self.y_px + n_lines * size * DPI / 72 * 1.38 <= self.height_px


def _clearance_table(line: _Writer, trajectory: Trajectory) -> None:
    mono: dict[str, Any] = {"family": "DejaVu Sans Mono", "size": 11.5}
    line.add(f"{'clearance to':<25}{'mm':>7}{'needed':>8}", weight="bold", **mono)
    ranked = ranked_clearances(trajectory)
    for item in ranked[:N_ROWS_CLEARANCE]:
        verdict = clearance_verdict(trajectory, item)
        passed = verdict is Verdict.PASS
        line.add(
            f"{shortened(drawable(item.structure), 24):<25}"
            f"{number(item.clearance_mm, 2):>7}{number(item.required_mm, 1):>8}"
            f"  {'ok' if passed else verdict.upper()}",
            color="black" if passed else VERDICT_COLOUR[verdict],
            weight="normal" if passed else "bold",
            **mono,
        )
    if len(ranked) > N_ROWS_CLEARANCE:
        line.add(f"and {len(ranked) - N_ROWS_CLEARANCE} more with more room", size=11.5)
    if not ranked:
        colour = VERDICT_COLOUR[Verdict.UNKNOWN]
        line.add("UNKNOWN: no clearance was measured", color=colour, weight="bold")


def _open_findings(line: _Writer, trajectory: Trajectory) -> None:
    still_open = [f for f in trajectory.findings if f.verdict is not Verdict.PASS]
    still_open.sort(key=lambda f: -f.verdict.severity)
    line.skip(8)
    shown = 0
    for finding in still_open:
        text = f"{finding.verdict.upper()}: {drawable(finding_text(finding))}"
        rows = textwrap.wrap(text, 44)[:3]
        if shown == N_ROWS_FINDINGS or not line.room_for(len(rows) + 1):
            break
        for row in rows:
            line.add(row, size=12, color=VERDICT_COLOUR[finding.verdict], weight="bold")
        shown += 1
    if shown < len(still_open):
        line.add(
            f"and {len(still_open) - shown} more open findings: see the report",
            size=12,
            weight="bold",
        )
    if not still_open:
        line.add("No open finding", size=12, color=VERDICT_COLOUR[Verdict.PASS], weight="bold")
