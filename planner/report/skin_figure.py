"""Letters, scale bar, ranks and legends around the rendered skin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray, orientation_letters
from planner.model import PlanResult, Trajectory, Verdict
from planner.report.header import draw_header, procedure_title
from planner.report.skin_camera import PICTURE_PX, SkinCamera, hub_lps_mm
from planner.report.skin_colours import (
    CLEARANCE_MAP,
    CUT_COLOUR,
    FEASIBLE_COLOUR,
    NOT_TRIED_COLOUR,
    REJECTED_COLOUR,
    label_colours,
)
from planner.report.skin_values import IMAGE_ENDS, NOT_TRIED, SkinValues
from planner.report.style import DPI, VERDICT_COLOUR, drawable, shortened
from planner.report.text import verdict_meaning
from planner.report.wording import counted

WIDTH_PX, HEIGHT_PX = 1600, 1200

LABEL_GAP_PX = 38.0
"""Two rank labels keep this distance."""

_LEGEND_X = 1180 / WIDTH_PX
_LEGEND_TOP = 1 - 175 / HEIGHT_PX
_WITHOUT_COUNT = {NOT_TRIED: "not tried as an entry", IMAGE_ENDS: "image ends here"}
_WHITE_HALO = [withStroke(linewidth=3.0, foreground="white")]


def skin_figure(
    result: PlanResult,
    picture: NDArray[np.uint8],
    camera: SkinCamera,
    paths: Sequence[Trajectory],
) -> Figure:
    """The rendered picture with letters, scale bar and ranks over it."""
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    columns, rows = PICTURE_PX
    axes: Any = figure.add_axes(
        (20 / WIDTH_PX, 40 / HEIGHT_PX, columns / WIDTH_PX, rows / HEIGHT_PX)
    )
    axes.imshow(picture, extent=(0, columns, rows, 0), interpolation="nearest")
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    _draw_letters(axes, camera)
    _draw_scale_bar(axes, camera)
    _draw_inner_paths(axes, result, camera, paths)
    _draw_ranks(axes, result, camera, paths)
    draw_header(
        figure,
        f"Skin entries: {procedure_title(result)}",
        result.verdict,
        verdict_meaning(result),
        margin_px=20,
    )
    series = drawable(result.volume.source.series_instance_uid or "unknown")
    figure.text(
        20 / WIDTH_PX,
        18 / HEIGHT_PX,
        f"series {series}    needles and marks are drawn thicker than they are",
        fontsize=10.5,
        color="#444444",
        va="center",
        parse_math=False,
    )
    return figure


def _draw_letters(axes: Any, camera: SkinCamera) -> None:
    right, up = camera.right_lps, camera.up_lps
    for direction, x, y, horizontal, vertical in (
        (-right, 0.01, 0.5, "left", "center"),
        (right, 0.99, 0.5, "right", "center"),
        (up, 0.5, 0.99, "center", "top"),
        (-up, 0.5, 0.01, "center", "bottom"),
    ):
        axes.text(
            x,
            y,
            orientation_letters(direction),
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            fontsize=18,
            fontweight="bold",
            path_effects=_WHITE_HALO,
        )


def _draw_scale_bar(axes: Any, camera: SkinCamera) -> None:
    length_mm = 50 if camera.height_mm >= 150 else 20
    x_px, y_px = 30, PICTURE_PX[1] - 30
    length_px = length_mm * PICTURE_PX[1] / camera.height_mm
    axes.plot(
        [x_px, x_px + length_px],
        [y_px, y_px],
        color="black",
        linewidth=4,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=7, foreground="white")],
    )
    axes.text(
        x_px, y_px - 12, f"{length_mm} mm", fontsize=14, fontweight="bold", path_effects=_WHITE_HALO
    )


def _draw_inner_paths(
    axes: Any, result: PlanResult, camera: SkinCamera, paths: Sequence[Trajectory]
) -> None:
    """The way inside the body, seen through the skin: dashed."""
    for path in paths:
        ends = camera.to_pixel(np.stack([path.entry_lps_mm, path.tip_lps_mm]))
        axes.plot(*ends.T, color="white", linewidth=2.6)
        axes.plot(*ends.T, color="black", linewidth=1.2, linestyle=(0, (4, 3)))
        axes.plot(
            *ends[0], marker="o", markersize=7, markerfacecolor="white", markeredgecolor="black"
        )
    target = camera.to_pixel(result.target.point_lps_mm)
    axes.plot(
        *target,
        marker="+",
        markersize=16,
        markeredgecolor="black",
        markeredgewidth=2.2,
        path_effects=_WHITE_HALO,
    )
    entries = [camera.to_pixel(path.entry_lps_mm) for path in paths]
    to_left = bool(entries) and float(np.mean(entries, axis=0)[0]) > target[0]
    axes.annotate(
        "target (inside)",
        target,
        xytext=(-12 if to_left else 12, 0),
        textcoords="offset points",
        ha="right" if to_left else "left",
        va="center",
        fontsize=13,
        path_effects=_WHITE_HALO,
    )


def _draw_ranks(
    axes: Any, result: PlanResult, camera: SkinCamera, paths: Sequence[Trajectory]
) -> None:
    """Numbers at the hubs, pushed apart where needles are close."""
    hubs = [camera.to_pixel(hub_lps_mm(result, path)) for path in paths]
    entries = [camera.to_pixel(path.entry_lps_mm) for path in paths]
    for path, hub, place in zip(paths, hubs, label_places(hubs, entries), strict=True):
        axes.plot(*np.stack([hub, place]).T, color="black", linewidth=1.0)
        axes.text(
            *place,
            str(path.rank),
            fontsize=15,
            fontweight="bold",
            color="white",
            ha="center",
            va="center",
            bbox={
                "boxstyle": "circle,pad=0.25",
                "facecolor": VERDICT_COLOUR[path.verdict],
                "edgecolor": "white",
            },
        )


def label_places(
    hubs_px: Sequence[FloatArray], entries_px: Sequence[FloatArray]
) -> list[FloatArray]:
    """Where the rank labels go: beyond each hub, no two closer than ``LABEL_GAP_PX``."""
    placed: list[FloatArray] = []
    low, high = np.full(2, 24.0), np.array(PICTURE_PX) - 24.0
    for hub, entry in zip(hubs_px, entries_px, strict=True):
        outward = hub - entry
        length = float(np.linalg.norm(outward))
        start_rad = float(np.arctan2(outward[1], outward[0])) if length > 1e-9 else 0.0
        spots = (
            np.clip(hub + reach * np.array([np.cos(a), np.sin(a)]), low, high)
            for reach in np.arange(24.0, 1000.0, 20.0)
            for a in start_rad + np.radians([0, 30, -30, 60, -60, 90, -90, 135, -135, 180])
        )
        place = next(
            (s for s in spots if all(np.linalg.norm(s - p) >= LABEL_GAP_PX for p in placed)), hub
        )
        placed.append(np.asarray(place))
    return placed


def clearance_legend(figure: Figure, values: SkinValues, norm: Normalize) -> None:
    """The colour bar, and what has no clearance."""
    is_unmeasured = bool(np.any(np.isposinf(values.clearance_mm)))
    figure.text(
        _LEGEND_X,
        _LEGEND_TOP,
        "Smallest clearance of the\nbest path from here, mm",
        fontsize=16,
        fontweight="bold",
        va="bottom",
    )
    if np.any(np.isfinite(values.clearance_mm)):
        axes: Any = figure.add_axes(
            (_LEGEND_X, _LEGEND_TOP - 560 / HEIGHT_PX, 40 / WIDTH_PX, 530 / HEIGHT_PX)
        )
        bar = figure.colorbar(mpl.cm.ScalarMappable(norm, mpl.colormaps[CLEARANCE_MAP]), cax=axes)
        bar.ax.tick_params(labelsize=14)
        figure.text(
            _LEGEND_X + 110 / WIDTH_PX,
            _LEGEND_TOP - 300 / HEIGHT_PX,
            "at least, to the\nstructures given;\nfeasible entries only",
            fontsize=13,
            va="center",
        )
    elif is_unmeasured:
        figure.text(
            _LEGEND_X,
            _LEGEND_TOP - 60 / HEIGHT_PX,
            "CLEARANCE NOT MEASURED\n(no structure to avoid given)",
            fontsize=16,
            fontweight="bold",
            color=VERDICT_COLOUR[Verdict.UNKNOWN],
            va="top",
        )
    else:
        is_skin_tried = sum(values.counts[:-1]) > 0  # the last are ends of the image
        figure.text(
            _LEGEND_X,
            _LEGEND_TOP - 60 / HEIGHT_PX,
            "NO FEASIBLE ENTRY" if is_skin_tried else "NO SKIN WITHIN REACH\nIN THIS IMAGE",
            fontsize=18,
            fontweight="bold",
            color=VERDICT_COLOUR[Verdict.FAIL],
            va="top",
        )
    rows = [
        (REJECTED_COLOUR, "rejected"),
        (NOT_TRIED_COLOUR, _WITHOUT_COUNT[NOT_TRIED]),
        (CUT_COLOUR, _WITHOUT_COUNT[IMAGE_ENDS]),
    ]
    if is_unmeasured:
        rows.insert(0, (FEASIBLE_COLOUR, "no limit broken,\nclearance not measured"))
    _swatches(figure, _LEGEND_TOP - 620 / HEIGHT_PX, rows)


def reason_legend(figure: Figure, values: SkinValues) -> None:
    """A swatch per rejection reason, with how many it removed."""
    figure.text(
        _LEGEND_X,
        _LEGEND_TOP,
        "First limit that a path\nfrom here breaks",
        fontsize=16,
        fontweight="bold",
        va="bottom",
    )
    rows = []
    colours = label_colours(values.labels)
    for colour, label, count in zip(colours, values.labels, values.counts, strict=True):
        if label in (NOT_TRIED, IMAGE_ENDS):
            ruled_out = f"\n{counted(count, 'candidate')}" if count else ""
            rows.append((colour, _WITHOUT_COUNT[label] + ruled_out))
        else:
            rows.append(
                (colour, f"{shortened(drawable(label), 30)}\n{counted(count, 'candidate')}")
            )
    _swatches(figure, _LEGEND_TOP - 50 / HEIGHT_PX, rows)


def _swatches(figure: Figure, top: float, rows: Sequence[tuple[str, str]]) -> None:
    for number, (colour, label) in enumerate(rows):
        y = top - number * 62 / HEIGHT_PX
        figure.add_artist(
            Rectangle(
                (_LEGEND_X, y - 17 / HEIGHT_PX),
                34 / WIDTH_PX,
                34 / HEIGHT_PX,
                facecolor=colour,
                edgecolor="black",
                linewidth=0.8,
            )
        )
        figure.text(
            _LEGEND_X + 48 / WIDTH_PX, y, label, fontsize=13.5, va="center", parse_math=False
        )
