"""The column of numbers beside the pictures of a trajectory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from planner.model import Clearance, PlanResult, Trajectory, Verdict
from planner.report.reasons import Reason, reasons
from planner.report.style import DPI, VERDICT_COLOUR, drawable, shortened
from planner.report.views import ranked_clearances
from planner.report.wording import (
    angle_texts,
    clearance_verdict,
    compared,
    counted,
    point_text,
)

WIDTH_PX, HEIGHT_PX = 490, 535
"""Size of the column."""

N_ROWS_CLEARANCE, LEAST_ROWS_CLEARANCE = 9, 3
WORDS_CHARACTERS = 160
_FONT, _MONO = "DejaVu Sans", "DejaVu Sans Mono"
_TEXT_PT, _TABLE_PT, _WORDS_PT, _REASON_PT = 12.0, 11.5, 13.0, 11.5
_HINTED = 1.03
"""Hinting makes drawn text up to this much wider than measured."""
_LINE = 1.33
"""Line height over font size."""


def draw_text(axes: Any, result: PlanResult, trajectory: Trajectory) -> None:
    """Entry in words, depth, angles, what is not simply pass, and clearances of a trajectory."""
    axes.set_axis_off()
    line = _Writer(axes)
    words = shortened(drawable(trajectory.words), WORDS_CHARACTERS)
    line.wrapped(words, size=_WORDS_PT, weight="bold")
    line.skip(6)
    needle = result.needle
    throw = f", throw {needle.throw_mm:g} mm" if needle.throw_mm > 0 else ""
    name = shortened(drawable(needle.name), 18)
    line.wrapped(
        f"Depth {trajectory.length_mm:.1f} mm, {name}, Ø {needle.outer_diameter_mm:.2f} mm{throw}"
    )
    line.wrapped(f"Angles: {', '.join(angle_texts(trajectory.angles))}")
    line.skip(4)
    line.add(f"Entry LPS {point_text(trajectory.entry_lps_mm)} mm", size=_TABLE_PT)
    line.add(f"Tip LPS {point_text(trajectory.tip_lps_mm)} mm", size=_TABLE_PT)
    line.skip(8)
    _draw_reasons(line, reasons([trajectory]), n_below=LEAST_ROWS_CLEARANCE + 2)
    line.skip(8)
    _clearance_table(line, trajectory)


class _Writer:
    """Lines of text from the top of an axes downwards, in pixels."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.y_px = 0.0

    def add(self, text: str, *, size: float = _TEXT_PT, **look: Any) -> None:
        self.axes.text(
            0.0,
            1.0 - self.y_px / HEIGHT_PX,
            text,
            transform=self.axes.transAxes,
            va="top",
            fontsize=size,
            fontfamily=look.pop("family", _FONT),
            parse_math=False,
            **look,
        )
        self.y_px += _line_px(size)

    def wrapped(self, text: str, *, size: float = _TEXT_PT, **look: Any) -> None:
        for row in rows_of(text, size=size, weight=look.get("weight", "normal")):
            self.add(row, size=size, **look)

    def skip(self, pixels: float) -> None:
        self.y_px += pixels

    def room(self, size: float) -> int:
        """How many more lines there is room for."""
        return int((HEIGHT_PX - self.y_px) / _line_px(size) + 1e-6)


def rows_of(text: str, *, size: float, weight: str = "normal") -> list[str]:
    """The text in rows that fit into the column, broken at spaces where there are any."""
    rows = [""]
    for word in text.split():
        for piece in _pieces(word, size, weight):
            longer = f"{rows[-1]} {piece}" if rows[-1] else piece
            if _width_px(longer, size, weight) <= WIDTH_PX:
                rows[-1] = longer
            else:
                rows.append(piece)
    return rows


def _pieces(word: str, size: float, weight: str) -> Iterator[str]:
    """A word that is wider than the column in pieces that are not."""
    while _width_px(word, size, weight) > WIDTH_PX:
        n = len(word) - 1
        while n > 1 and _width_px(word[:n], size, weight) > WIDTH_PX:
            n -= 1
        yield word[:n]
        word = word[n:]
    yield word


@lru_cache(maxsize=4096)
def _width_px(text: str, size: float, weight: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, size=size, weight=weight)
    width_pt, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width_pt) * DPI / 72 * _HINTED


def _line_px(size: float) -> float:
    return size * DPI / 72 * _LINE


def _draw_reasons(line: _Writer, found: list[Reason], *, n_below: int) -> None:
    """What is not simply pass, what is not known first; a sentence is shown whole or counted."""
    if not found:
        line.add("No open finding", size=_REASON_PT, color=VERDICT_COLOUR[Verdict.PASS])
        return
    for number, reason in enumerate(found):
        text = drawable(reason.line(n_paths=1))
        n_rows = len(rows_of(text, size=_REASON_PT, weight="bold"))
        is_last = number == len(found) - 1
        if n_rows + (0 if is_last else 1) > line.room(_REASON_PT) - n_below:
            left = found[number:]
            kinds = ", ".join(dict.fromkeys(reason.verdict.upper() for reason in left))
            more = f"{kinds}: {counted(len(left), 'more reason')}, see the report"
            line.add(more, size=_REASON_PT, weight="bold", color=VERDICT_COLOUR[left[0].verdict])
            return
        line.wrapped(text, size=_REASON_PT, weight="bold", color=VERDICT_COLOUR[reason.verdict])


def _clearance_table(line: _Writer, trajectory: Trajectory) -> None:
    ranked = ranked_clearances(trajectory)
    if not ranked:
        text = "UNKNOWN: no clearance was measured, no structure to avoid was given"
        colour = VERDICT_COLOUR[Verdict.UNKNOWN]
        line.wrapped(text, size=_REASON_PT, color=colour, weight="bold")
        return
    head = f"{'clearance to':<25}{'mm':>7}{'needed':>8}"
    line.add(head, weight="bold", family=_MONO, size=_TABLE_PT)
    room = line.room(_TABLE_PT)
    n_rows = min(len(ranked), room if len(ranked) <= room else room - 1, N_ROWS_CLEARANCE)
    for item in ranked[:n_rows]:
        _clearance_row(line, trajectory, item)
    if len(ranked) > n_rows:
        line.add(f"and {len(ranked) - n_rows} more with more room", size=_TABLE_PT)


def _clearance_row(line: _Writer, trajectory: Trajectory, item: Clearance) -> None:
    verdict = clearance_verdict(trajectory, item)
    passed = verdict is Verdict.PASS
    measured, required = compared(item.clearance_mm, item.required_mm)
    line.add(
        f"{shortened(drawable(item.structure), 24):<25}{measured:>7}{required:>8}"
        f"  {'ok' if passed else verdict.upper()}",
        color="black" if passed else VERDICT_COLOUR[verdict],
        weight="normal" if passed else "bold",
        family=_MONO,
        size=_TABLE_PT,
    )
