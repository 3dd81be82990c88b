"""Letters, scale bar, words and the closest approach over a view, without overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from planner.geometry.frames import FloatArray, unit
from planner.model import Clearance, PlanResult, Trajectory
from planner.report.reslice import PlaneSpec
from planner.report.style import DPI, drawable, shortened
from planner.report.views import View, shown_clearances
from planner.report.wording import clearance_text

IN_PLANE_MM = 2.0
"""A closest point farther off the plane than this is drawn hollow, with its offset."""

LETTER_SHIFT, LETTER_ROOM = 0.1, (0.05, 0.035)
"""How far a letter moves along its side, and half the room it needs; fractions of the picture."""

SMALL_VIEW_PX = 600
"""A narrower picture gets smaller labels."""

THIN_HALO = [withStroke(linewidth=1.8, foreground="black")]
_HALO = [withStroke(linewidth=2.6, foreground="black")]


def draw_marks(axes: Any, result: PlanResult, trajectory: Trajectory, view: View) -> None:
    """Orientation letters, scale bar, entry and tip, closest approach with its distance."""
    plane = view.plane
    closest = shown_clearances(trajectory, view)
    needle = _needle_samples(result, trajectory, plane)
    _draw_letters(axes, plane, needle)
    busy = [needle, _draw_scale_bar(axes, plane)]
    if view.is_along:
        busy += _label_ends(axes, trajectory, plane, closest)
    for item in closest:
        _draw_closest(axes, plane, item, busy)


def _draw_letters(axes: Any, plane: PlaneSpec, needle: FloatArray) -> None:
    """The four letters, each beside the middle of its side where the needle is in the way."""
    letters = plane.letters
    places = (
        (letters.left, 0.012, 0.5, "left", "center"),
        (letters.right, 0.988, 0.5, "right", "center"),
        (letters.top, 0.5, 0.985, "center", "top"),
        (letters.bottom, 0.5, 0.015, "center", "bottom"),
    )
    for text, x, y, horizontal, vertical in places:
        is_side = vertical == "center"
        shifts = [s * LETTER_SHIFT * np.array([not is_side, is_side]) for s in (0, 1, -1)]
        spots = [np.array([x, y]) + shift for shift in shifts]
        free = [spot for spot in spots if not _is_near(needle, spot)]
        at = free[0] if free else spots[0]
        axes.text(
            *at,
            text,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            fontsize=17,
            fontweight="bold",
            color="white",
            path_effects=_HALO,
            zorder=9,
        )


def _is_near(needle: FloatArray, spot: FloatArray) -> bool:
    return bool(np.any(np.all(np.abs(needle - spot) < LETTER_ROOM, axis=1)))


def _draw_scale_bar(axes: Any, plane: PlaneSpec) -> FloatArray:
    """Draws the bar; returns the axes-fraction points that it covers."""
    length_mm = 50 if plane.width_mm >= 180 else 20 if plane.width_mm >= 60 else 10
    left, _, bottom, _ = plane.extent_mm
    x_mm, y_mm = left + 0.03 * plane.width_mm, bottom - 0.035 * plane.height_mm
    axes.add_patch(
        Rectangle(
            (left + 0.015 * plane.width_mm, bottom - 0.1 * plane.height_mm),
            length_mm + 0.03 * plane.width_mm,
            0.085 * plane.height_mm,
            facecolor="black",
            alpha=0.45,
            linewidth=0,
            zorder=8.5,
        )
    )
    axes.plot(
        [x_mm, x_mm + length_mm],
        [y_mm, y_mm],
        color="white",
        linewidth=3.5,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5.5, foreground="black")],
        zorder=9,
    )
    axes.text(
        x_mm,
        y_mm - 0.014 * plane.height_mm,
        f"{length_mm} mm",
        fontsize=13,
        fontweight="bold",
        color="white",
        va="bottom",
        path_effects=_HALO,
        zorder=9,
    )
    return np.stack(np.meshgrid(np.linspace(0.0, 0.25, 8), np.linspace(0.0, 0.1, 4)), -1).reshape(
        -1, 2
    )


def _fraction(plane: PlaneSpec, points_lps_mm: ArrayLike) -> FloatArray:
    """Axes fractions (x right, y up) of points projected on the plane."""
    place = plane.to_plane_mm(points_lps_mm)[..., :2]
    size = np.array([plane.width_mm, plane.height_mm])
    return np.asarray(np.array([0.5, 0.5]) + place / size * np.array([1.0, -1.0]))


def _needle_samples(result: PlanResult, trajectory: Trajectory, plane: PlaneSpec) -> FloatArray:
    direction = unit(trajectory.tip_lps_mm - trajectory.entry_lps_mm)
    out_mm = max(0.0, result.needle.length_mm - trajectory.length_mm)
    start = trajectory.entry_lps_mm - direction * out_mm
    steps = np.linspace(0.0, 1.0, 80)[:, None]
    return _fraction(plane, start + steps * (trajectory.throw_end_lps_mm - start))


def _label_ends(
    axes: Any, trajectory: Trajectory, plane: PlaneSpec, closest: Sequence[Clearance]
) -> list[FloatArray]:
    """Words beside entry and tip, on the side away from the closest point."""
    entry, tip = plane.to_plane_mm(np.stack([trajectory.entry_lps_mm, trajectory.tip_lps_mm]))[
        :, :2
    ]
    along = (tip - entry) / np.linalg.norm(tip - entry)
    side = np.array([-along[1], along[0]])
    for item in closest:
        offset = plane.to_plane_mm(item.on_structure_lps_mm)[:2] - entry
        if offset @ side > 0:
            side = -side
    covered = []
    for word, point in (("entry", entry), ("tip", tip)):
        shift = 0.02 * plane.width_mm * side
        axes.text(
            *(point + shift),
            word,
            fontsize=13,
            color="white",
            ha="left" if side[0] > 0.3 else "right" if side[0] < -0.3 else "center",
            va="top" if side[1] > 0.3 else "bottom" if side[1] < -0.3 else "center",
            path_effects=_HALO,
            zorder=9,
            clip_on=True,
        )
        size = np.array([plane.width_mm, plane.height_mm])
        middle = np.array([0.5, 0.5]) + (point + 2 * shift) / size * np.array([1.0, -1.0])
        covered.append(middle + np.array([[-0.03, 0.0], [0.0, 0.0], [0.03, 0.0]]))
    return covered


def _draw_closest(axes: Any, plane: PlaneSpec, item: Clearance, busy: Iterable[FloatArray]) -> None:
    """Line, marker and label of the closest approach, projected on the plane."""
    on_needle, on_structure = plane.to_plane_mm(
        np.stack([item.on_needle_lps_mm, item.on_structure_lps_mm])
    )
    off_mm = float(on_structure[2])
    solid = abs(off_mm) <= IN_PLANE_MM
    ends = np.stack([on_needle[:2], on_structure[:2]], axis=1)
    axes.plot(*ends, color="black", linewidth=3.2, zorder=7)
    axes.plot(*ends, color="white", linewidth=1.6, linestyle="-" if solid else ":", zorder=7.1)
    axes.plot(
        *on_structure[:2],
        marker="o",
        markersize=9,
        markerfacecolor="white" if solid else "none",
        markeredgecolor="black" if solid else "white",
        markeredgewidth=1.6,
        path_effects=[] if solid else THIN_HALO,
        zorder=8,
    )
    small = plane.shape[1] < SMALL_VIEW_PX
    rows = [
        shortened(drawable(item.structure), 24 if small else 34),
        clearance_text(item.clearance_mm, item.required_mm),
    ]
    if not solid:
        rows.append(f"{abs(off_mm):.{1 if abs(off_mm) < 10 else 0}f} mm off this plane")
    font_pt = 11.5 if small else 12.5
    marker = _fraction(plane, item.on_structure_lps_mm)
    corner = _free_corner(marker, np.concatenate(list(busy)), _label_size(rows, font_pt, plane))
    axes.annotate(
        "\n".join(rows),
        xy=on_structure[:2],
        xytext=corner,
        textcoords="axes fraction",
        ha="left" if corner[0] < 0.5 else "right",
        va="bottom" if corner[1] < 0.5 else "top",
        fontsize=font_pt,
        color="black",
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "black"},
        arrowprops={
            "arrowstyle": "-",
            "color": "white",
            "linewidth": 1.0,
            "path_effects": THIN_HALO,
        },
        zorder=10,
        annotation_clip=False,
        parse_math=False,
    )


def _label_size(rows: Sequence[str], font_pt: float, plane: PlaneSpec) -> FloatArray:
    """Width and height of a label box as axes fractions, rounded up."""
    font_px = font_pt * DPI / 72
    n_rows, n_columns = plane.shape
    width_px = max(len(row) for row in rows) * 0.62 * font_px + font_px
    height_px = len(rows) * 1.3 * font_px + font_px
    return np.array([width_px / n_columns, height_px / n_rows])


def _free_corner(marker: FloatArray, busy: FloatArray, size: FloatArray) -> tuple[float, float]:
    """The corner whose label box covers least, nearest to the marker, as a fraction."""
    best, best_cost = (0.02, 0.975), np.inf
    for corner in ((0.02, 0.975), (0.98, 0.975), (0.98, 0.025), (0.02, 0.14)):
        low = np.array([c if c < 0.5 else c - n for c, n in zip(corner, size, strict=True)])
        hidden = np.count_nonzero(np.all((busy >= low) & (busy <= low + size), axis=1))
        hides_marker = bool(np.all((marker >= low - 0.03) & (marker <= low + size + 0.03)))
        away = float(np.linalg.norm(marker - (low + size / 2)))
        cost = 2.0 * hidden + 100.0 * hides_marker + away
        if cost < best_cost:
            best, best_cost = corner, cost
    return best
