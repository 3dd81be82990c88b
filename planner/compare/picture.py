"""Planned and actual needle in one picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from planner.compare.needle import ActualNeedle, Comparison
from planner.compare.texts import error_rows, name_text, needed_texts, tolerance_text
from planner.geometry.frames import FloatArray, orientation_letters
from planner.model import PlanResult, Trajectory, Verdict
from planner.report.header import draw_header, procedure_title
from planner.report.panel_view import PanelScene, draw_view, panel_scene
from planner.report.reslice import PlaneSpec
from planner.report.style import DPI, MATPLOTLIB_STYLE, VERDICT_COLOUR, drawable, shortened
from planner.report.views import View, along_views
from planner.report.wording import number

WIDTH_PX, HEIGHT_PX = 1600, 1350
MARGIN_PX = 30
ACTUAL_COLOUR, PLANNED_COLOUR = "#ff6a00", "#0b5fa5"

# Rectangles in pixels from the lower left corner: x, y, width, height.
_TOP = ((30, 610, 755, 600), (815, 610, 755, 600))
_AIM = (110, 90, 400, 400)
_TEXT = (600, 40, 960, 490)
_ROWS = 10
_LINE = 92
_IN_PLANE_MM = 0.5


def comparison_figure(
    result: PlanResult, comparison: Comparison, *, is_image_known: bool
) -> Figure:
    """The picture, 1600 x 1350 pixels.

    Above two planes that hold the planned needle, with the image where it is given; below on
    the left the tips as seen along the planned needle, with the tolerance as a ring.
    """
    path = next(t for t in result.trajectories if t.rank == comparison.rank)
    with mpl.rc_context(MATPLOTLIB_STYLE):
        figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        views = along_views(path, aspect=_TOP[0][2] / _TOP[0][3], columns=_TOP[0][2])
        scene = panel_scene(result) if is_image_known else None
        for place, view in zip(_TOP, views, strict=True):
            _draw_along(_axes(figure, place), scene, path, view, comparison)
        _draw_aim(_axes(figure, _AIM), result, path, comparison, views[0].plane)
        _draw_text(_axes(figure, _TEXT), comparison)
        title = f"As it lies, against path {path.rank}:  {procedure_title(result)}"
        verdict, meaning = headline(comparison)
        draw_header(figure, title, verdict, meaning, margin_px=MARGIN_PX)
        handles = [
            Line2D([], [], color=PLANNED_COLOUR, linewidth=3, linestyle="--", label="planned"),
            Line2D([], [], color=ACTUAL_COLOUR, linewidth=3, label="as it lies"),
        ]
        figure.legend(
            handles=handles,
            loc="center",
            bbox_to_anchor=(0.5, 580 / HEIGHT_PX),
            ncol=2,
            fontsize=13,
            frameon=False,
        )
    return figure


def headline(comparison: Comparison) -> tuple[Verdict, str]:
    """What stands largest: never a pass for a needle that is not where it was to be."""
    meaning = "clearances of the needle as it lies"
    if comparison.is_on_target is False:
        miss = "target region missed"
        if comparison.tolerance_mm is not None:
            miss = f"target missed by {number(comparison.errors.tip_to_target_mm, 1)} mm"
        return Verdict.FAIL, f"{miss}; {meaning}: {comparison.verdict.upper()}"
    return comparison.verdict, meaning


def off_plane_mm(plane: PlaneSpec, actual: ActualNeedle) -> float:
    """How far the needle as it lies leaves a plane that is drawn."""
    ends = np.stack([actual.entry_lps_mm, actual.tip_lps_mm])
    return float(np.abs(plane.to_plane_mm(ends)[:, 2]).max())


def _axes(figure: Figure, place: tuple[int, int, int, int]) -> Any:
    x, y, width, height = place
    axes = figure.add_axes((x / WIDTH_PX, y / HEIGHT_PX, width / WIDTH_PX, height / HEIGHT_PX))
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _draw_along(
    axes: Any, scene: PanelScene | None, path: Trajectory, view: View, comparison: Comparison
) -> None:
    plane, actual = view.plane, comparison.actual
    if scene is not None:
        # without the planned clearances: their numbers would be read as those of the needle
        draw_view(axes, scene, replace(path, clearances=()), view)
    else:
        left, right, bottom, top = plane.extent_mm
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_aspect("equal")
        axes.set_title(drawable(view.title), fontsize=14, loc="left", pad=5, fontweight="bold")
        axes.set_title("no image given", fontsize=11.5, loc="right", pad=5, color="#444444")
    for ends, colour, style in (
        ((path.entry_lps_mm, path.tip_lps_mm), PLANNED_COLOUR, "--"),
        ((actual.entry_lps_mm, actual.tip_lps_mm), ACTUAL_COLOUR, "-"),
    ):
        flat = plane.to_plane_mm(np.stack(ends))[:, :2]
        axes.plot(*flat.T, color=colour, linewidth=2.4, linestyle=style, zorder=8)
        axes.plot(*flat[1], marker="o", markersize=8, color=colour, markeredgecolor="white",
                  zorder=9)  # fmt: skip

    off_mm = off_plane_mm(plane, actual)
    if off_mm >= _IN_PLANE_MM:
        axes.text(
            0.5,
            0.92,
            f" as it lies: projected, up to {number(off_mm, 1)} mm off this plane ",
            transform=axes.transAxes,
            fontsize=12,
            fontweight="bold",
            ha="center",
            va="top",
            color=ACTUAL_COLOUR,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
            zorder=12,
        )


def _draw_aim(
    axes: Any, result: PlanResult, path: Trajectory, comparison: Comparison, plane: PlaneSpec
) -> None:
    """The tips as seen along the planned needle from its hub, up is towards the head or back."""
    right, up = _aim_directions(path)
    off = comparison.errors.tip_off_axis_lps
    tolerance_mm = result.target.tolerance_mm
    reach = 1.35 * max(tolerance_mm, comparison.errors.tip_off_axis_mm, 1.0)
    axes.add_patch(Circle((0, 0), tolerance_mm, fill=False, edgecolor="#3a3a3a", linewidth=1.6))
    axes.axhline(0, color="#c8ccd1", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#c8ccd1", linewidth=0.8, zorder=0)
    look = {"markeredgecolor": "white", "zorder": 5}
    axes.plot(0, 0, marker="o", markersize=13, color=PLANNED_COLOUR, **look)
    axes.plot(off @ right, off @ up, marker="o", markersize=13, color=ACTUAL_COLOUR, **look)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_title(
        f"Tips across the needle, ring {tolerance_mm:g} mm", fontsize=13, loc="left", pad=20,
        fontweight="bold",
    )  # fmt: skip
    for axis, spot, ha, va in (
        (right, (reach, 0), "right", "bottom"),
        (-right, (-reach, 0), "left", "bottom"),
        (up, (0, reach), "left", "top"),
        (-up, (0, -reach), "left", "bottom"),
    ):
        axes.text(*spot, f" {orientation_letters(axis)} ", fontsize=13, fontweight="bold",
                  ha=ha, va=va)  # fmt: skip


def _aim_directions(path: Trajectory) -> tuple[FloatArray, FloatArray]:
    from planner.report.reslice import barrel_directions

    direction = (path.tip_lps_mm - path.entry_lps_mm) / path.length_mm
    right, down = barrel_directions(direction)
    return right, -down


def _draw_text(axes: Any, comparison: Comparison) -> None:
    axes.set_axis_off()
    lines: list[tuple[str, str, str]] = [
        (f"{name:<20}{text}", "black", "normal") for name, text in error_rows(comparison)
    ]
    kept = VERDICT_COLOUR[Verdict.FAIL] if comparison.is_on_target is False else "black"
    lines.append((f"{'':<20}{tolerance_text(comparison)}", kept, "bold"))
    if comparison.is_longer:
        told = f"LONGER than the needle of the plan, {comparison.needle_length_mm:g} mm"
        lines.append((told, VERDICT_COLOUR[Verdict.FAIL], "bold"))
    lines += [("", "black", "normal")]
    if comparison.unknowns:
        told = f"NOT KNOWN to the plan: {drawable('; '.join(comparison.unknowns))}"
        lines.append((shortened(told, _LINE), VERDICT_COLOUR[Verdict.UNKNOWN], "bold"))
    head = f"{'clearance mm to':<34}{'as it lies':>11}{'needed':>13}{'planned':>9}"
    lines.append((head, "black", "bold"))
    shown = comparison.clearances[:_ROWS]
    for item in shown:
        measured, needed = needed_texts(item)
        row = (
            f"{drawable(name_text(item, 33)):<34}{measured:>11}"
            f"{needed:>13}{number(item.planned_mm, 2):>9}"
            f"  {item.verdict.upper()}"
        )
        lines.append((row, VERDICT_COLOUR[item.verdict], "normal"))
    rest = len(comparison.clearances) - len(shown)
    if rest:
        lines.append((f"and {rest} more with more room", "black", "normal"))
    for place, (text, colour, weight) in enumerate(lines):
        axes.text(
            0.0,
            1.0 - place * 0.0445,
            text,
            transform=axes.transAxes,
            va="top",
            fontsize=12,
            fontfamily="DejaVu Sans Mono",
            color=colour,
            fontweight=weight,
            parse_math=False,
        )
