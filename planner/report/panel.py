"""One picture per trajectory: along, across, and the numbers beside them.

Drawn with matplotlib's Agg canvas on a Figure of its own; pyplot is not used, so
a notebook's or a caller's figures are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from planner.model import PlanResult, Trajectory
from planner.report.header import draw_header, procedure_title
from planner.report.mr_needle import artefact_handles
from planner.report.mr_text import distance_note
from planner.report.panel_text import HEIGHT_PX as TEXT_HEIGHT_PX
from planner.report.panel_text import WIDTH_PX as TEXT_WIDTH_PX
from planner.report.panel_text import draw_text
from planner.report.panel_view import PanelScene, draw_view, has_corridor, second_path
from planner.report.style import (
    DPI,
    MATPLOTLIB_STYLE,
    OUTSIDE_COLOUR,
    OUTSIDE_HATCH_COLOUR,
    SECOND_NEEDLE_COLOUR,
    VERDICT_MEANING,
    Outline,
    drawable,
)
from planner.report.views import across_views, along_views

WIDTH_PX, HEIGHT_PX = 1600, 1400

FULL_LEGEND = 14
"""More entries than this are set smaller, so that the legend stays in the picture."""

# Axes rectangles in pixels from the lower left corner: x, y, width, height.
_TOP = ((30, 688, 755, 590), (815, 688, 755, 590))
_BOTTOM = ((30, 118, 505, 505), (565, 118, 505, 505))
_TEXT = (1095, 118, TEXT_WIDTH_PX, TEXT_HEIGHT_PX)


def panel_figure(scene: PanelScene, trajectory: Trajectory) -> Figure:
    """The picture of one trajectory, 1600 x 1400 pixels, not yet written."""
    with mpl.rc_context(MATPLOTLIB_STYLE):
        figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        along = along_views(trajectory, aspect=_TOP[0][2] / _TOP[0][3], columns=_TOP[0][2])
        across = across_views(
            trajectory,
            scene.result.needle,
            aspect=_BOTTOM[0][2] / _BOTTOM[0][3],
            columns=_BOTTOM[0][2],
        )
        drawn: list[Outline] = []
        for rectangle, view in zip((*_TOP, *_BOTTOM), (*along, *across), strict=True):
            axes = _axes(figure, rectangle)
            drawn += draw_view(axes, scene, trajectory, view)
        draw_header(
            figure,
            _title(scene.result, trajectory),
            trajectory.verdict,
            VERDICT_MEANING[trajectory.verdict],
            margin_px=_TOP[0][0],
        )
        draw_text(_axes(figure, _TEXT), scene.result, trajectory)
        _draw_footer(figure, scene.result, drawn, trajectory)
    return figure


def _axes(figure: Figure, rectangle: tuple[int, int, int, int]) -> Any:
    x, y, width, height = rectangle
    place = (x / WIDTH_PX, y / HEIGHT_PX, width / WIDTH_PX, height / HEIGHT_PX)
    axes = figure.add_axes(place)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _title(result: PlanResult, trajectory: Trajectory) -> str:
    n, feasible = len(result.trajectories), int(result.candidates.feasible.sum())
    shown = f"Path {trajectory.rank} of {n} shown ({feasible:,} feasible)"
    return f"{shown}:  {procedure_title(result)}"


def _draw_footer(
    figure: Figure, result: PlanResult, drawn: Iterable[Outline], trajectory: Trajectory
) -> None:
    outlines: dict[str, Outline] = {line.label: line for line in drawn}
    handles: list[Line2D | Rectangle] = [
        Line2D([], [], color=o.colour, linewidth=3, label=o.label) for o in outlines.values()
    ]
    handles.append(Line2D([], [], color="white", linewidth=3, label="needle, true width"))
    if has_corridor(trajectory):
        handles.append(
            Line2D([], [], color="white", linestyle=":", linewidth=1.6, label="required margin")
        )
    second = second_path(result, trajectory)
    if second is not None:
        label = f"needle of path {second.rank}, projected"
        handles.append(
            Line2D([], [], color=SECOND_NEEDLE_COLOUR, linestyle="--", linewidth=1.6, label=label)
        )
    handles += artefact_handles(trajectory)
    if trajectory.clearances:
        handles += [
            _point("closest point", "white", "black"),
            _point("… off this plane", "none", "white"),
        ]
    handles.append(
        Rectangle(
            (0, 0),
            1,
            1,
            facecolor=OUTSIDE_COLOUR,
            edgecolor=OUTSIDE_HATCH_COLOUR,
            hatch="//",
            label="not imaged",
        )
    )
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(0.5, 72 / HEIGHT_PX),
        ncol=min(8, (len(handles) + 1) // 2) if len(handles) > 8 else len(handles),
        fontsize=12.5 if len(handles) <= FULL_LEGEND else 11.0,
        facecolor="#3a3a3a",
        labelcolor="white",
        framealpha=1.0,
        handlelength=1.8,
        columnspacing=1.4,
    )
    series = result.volume.source.series_instance_uid or "unknown"
    figure.text(
        30 / WIDTH_PX,
        16 / HEIGHT_PX,
        f"series {drawable(series)}    {distance_note(trajectory)}",
        fontsize=10.5,
        color="#444444",
        va="center",
        parse_math=False,
    )


def _point(label: str, face: str, edge: str) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker="o",
        markersize=9,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=1.6,
        label=label,
    )
