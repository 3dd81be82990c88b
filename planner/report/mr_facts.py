"""Below the pictures beside metal: the axes along which the image shifts, and the numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from planner.geometry.frames import FloatArray, orientation_letters
from planner.model import PlanResult, Trajectory
from planner.model.mr import MRAcquisition
from planner.report.mr_text import SHAPE_WORDS, drawn_text, path_facts
from planner.report.reslice import PlaneSpec
from planner.report.style import DPI, VERDICT_COLOUR, drawable, shortened
from planner.report.views import ranked_clearances
from planner.report.wording import clearance_verdict, number

READOUT_COLOUR, SLICE_COLOUR = "#d55e00", "#0072b2"
"""Vermilion and blue of Okabe and Ito: told apart by colour-blind readers."""

SMALL_IN_PLANE = 0.35
"""A direction with less of it in the plane than this (20 degrees) is drawn as one through it."""

SAME_AXIS = 0.999
_FEW_AXES, _CROWDED_CELL_PX = 2, 62
"""Planning and guiding together may have four axes: smaller arrows leave room for the names."""

_TEXT_PT, _MONO = 11.0, "DejaVu Sans Mono"
_MONO_EM = 0.602
_LINE = 1.32
_N_CLEARANCES = 8


def shift_axes(acquisitions: Sequence[MRAcquisition]) -> list[tuple[str, FloatArray | None, str]]:
    """(words, LPS axis or None for every direction, colour) of all shifts, each axis once."""
    found: list[tuple[str, FloatArray | None, str]] = []
    for number_, acquisition in enumerate(acquisitions):
        who = "" if number_ == 0 else "guiding "
        if acquisition.is_isotropic_readout or acquisition.readout_axis_lps is None:
            found.append((f"{who}readout", None, READOUT_COLOUR))
        else:
            found.append((f"{who}readout", acquisition.readout_axis_lps, READOUT_COLOUR))
        if acquisition.acquisition != "3D" and acquisition.slice_axis_lps is not None:
            found.append((f"{who}slice axis", acquisition.slice_axis_lps, SLICE_COLOUR))
    kept: list[tuple[str, FloatArray | None, str]] = []
    for item in found:
        if not any(_is_same(item, other) for other in kept):
            kept.append(item)
    return kept


def _is_same(
    one: tuple[str, FloatArray | None, str], other: tuple[str, FloatArray | None, str]
) -> bool:
    if one[2] != other[2] or (one[1] is None) != (other[1] is None):
        return False
    return one[1] is None or other[1] is None or abs(float(one[1] @ other[1])) >= SAME_AXIS


def draw_compass(
    axes: Any,
    plane: PlaneSpec,
    acquisitions: Sequence[MRAcquisition],
    size_px: tuple[int, int],
) -> None:
    """Two-headed arrows as they lie in the picture above, each with its name."""
    axes.set_axis_off()
    width_px, height_px = size_px
    axes.set_xlim(0, width_px)
    axes.set_ylim(0, height_px)
    shown = shift_axes(acquisitions)
    is_crowded = len(shown) > _FEW_AXES
    cell_px = _CROWDED_CELL_PX if is_crowded else height_px
    for row, (name, axis, colour) in enumerate(shown):
        centre = np.array([cell_px * (0.5 + row), height_px / 2])
        _draw_arrow(axes, centre, 0.44 * cell_px, plane, axis, colour)
        x_px = cell_px * (len(shown) + 0.25)
        y_px = height_px * (1.0 - (row + 0.5) / len(shown))
        text = f"{name}: {_way(plane, axis)}"
        axes.text(
            x_px,
            y_px,
            text,
            color=colour,
            fontsize=11.0 if is_crowded else 12.5,
            va="center",
            fontweight="bold",
        )


def _way(plane: PlaneSpec, axis: FloatArray | None) -> str:
    if axis is None:
        return "shift in every direction"
    ends = f"{orientation_letters(-axis)} to {orientation_letters(axis)}"
    share = float(np.hypot(axis @ plane.right_lps, axis @ plane.down_lps))
    if share < SMALL_IN_PLANE:
        return f"{ends}, mostly through this plane"
    return f"{ends}, shift either way"


def _draw_arrow(
    axes: Any,
    centre: FloatArray,
    length_px: float,
    plane: PlaneSpec,
    axis: FloatArray | None,
    colour: str,
) -> None:
    steps = (
        [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
        if axis is None
        else [np.array([axis @ plane.right_lps, -(axis @ plane.down_lps)])]
    )
    for step in steps:
        if np.linalg.norm(step) < SMALL_IN_PLANE:
            look = {"color": colour, "linestyle": "none", "markeredgewidth": 2.2}
            axes.plot(*centre, marker="o", markersize=22, markerfacecolor="none", **look)
            axes.plot(*centre, marker="x", markersize=11, **look)
            continue
        axes.annotate(
            "",
            xy=centre + length_px * step,
            xytext=centre - length_px * step,
            arrowprops={
                "arrowstyle": "<|-|>,head_width=0.35,head_length=0.7",
                "color": colour,
                "linewidth": 2.6,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def draw_facts(
    axes: Any, result: PlanResult, trajectory: Trajectory, size_px: tuple[int, int]
) -> None:
    """The numbers of the path beside metal; where there is no room for all, it says so."""
    axes.set_axis_off()
    width_px, height_px = size_px
    line_px = _TEXT_PT * DPI / 72 * _LINE
    n_columns = int(width_px / (_TEXT_PT * DPI / 72 * _MONO_EM))
    lines, room = list(_lines(result, trajectory, n_columns)), int(height_px / line_px)
    if len(lines) > room:
        lines = [*lines[: room - 1], ("… more in the report", "black", "bold")]
    for row, (text, colour, weight) in enumerate(lines):
        axes.text(
            0.0,
            1.0 - row * line_px / height_px,
            text,
            transform=axes.transAxes,
            va="top",
            fontsize=_TEXT_PT,
            fontfamily=_MONO,
            color=colour,
            fontweight=weight,
            parse_math=False,
        )


def _lines(
    result: PlanResult, trajectory: Trajectory, n_columns: int
) -> Iterator[tuple[str, str, str]]:
    facts = path_facts(result, trajectory)
    facts += [
        (
            f"Implant {shortened(drawable(use.name), 24)}",
            f"{' or '.join(m.name for m in use.materials)}, {SHAPE_WORDS[use.shape]}",
        )
        for use in result.implants
    ]
    for label, text in facts:
        words = f"{label}: {drawable(text)}".replace(" mm", "\u00a0mm")
        for row in textwrap.wrap(words, n_columns, subsequent_indent="  "):
            yield row, "black", "normal"
    yield "", "black", "normal"
    yield f"{'clearance to':<26}{'swept mm':>10}{'as drawn':>10}{'needed':>9}", "black", "bold"
    for item in ranked_clearances(trajectory)[:_N_CLEARANCES]:
        verdict = clearance_verdict(trajectory, item)
        row = (
            f"{shortened(drawable(item.structure), 25):<26}{number(item.clearance_mm, 2):>10}"
            f"{drawn_text(trajectory, item):>10}{number(item.required_mm, 2):>9}"
            f"  {verdict.upper()}"
        )
        yield row, VERDICT_COLOUR[verdict], "normal"
