"""The trade-off of the paths found: how deep the needle goes against how much room it has."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from planner.model import PlanResult, Trajectory, Verdict
from planner.report.html_parts import Picture
from planner.report.style import MATPLOTLIB_STYLE, VERDICT_COLOUR
from planner.report.views import ranked_clearances

WIDTH_IN, HEIGHT_IN = 5.4, 3.7
LEAST_PATHS = 2
"""One path has nothing to be weighed against."""


def room_mm(path: Trajectory) -> float | None:
    """The least clearance over its margin; None where none was measured."""
    ranked = ranked_clearances(path)
    return ranked[0].clearance_mm - ranked[0].required_mm if ranked else None


def trade_off(result: PlanResult) -> Picture | None:
    """The plot as SVG, the same bytes for the same plan; None where there is nothing to compare.

    Each path is a dot with its rank in the colour of its verdict. Those that no other path
    beats in everything (Pareto-optimal among all candidates) have a ring.
    """
    shown = [(path, room) for path in result.trajectories if (room := room_mm(path)) is not None]
    shown = [(path, room) for path, room in shown if room == room]
    if len(shown) < LEAST_PATHS:
        return None
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {**MATPLOTLIB_STYLE, "svg.hashsalt": "needle-planner", "svg.fonttype": "path"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _draw(axes, shown)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return Picture(name="trade_off", content=stream.getvalue(), mime="image/svg+xml")


def _draw(plot: Any, shown: Sequence[tuple[Trajectory, float]]) -> None:
    plot.axhline(0.0, color=VERDICT_COLOUR[Verdict.FAIL], linewidth=1.2)
    for path, room in shown:
        colour = VERDICT_COLOUR[path.verdict]
        if path.is_pareto_optimal:
            plot.plot(
                path.length_mm,
                room,
                marker="o",
                markersize=21,
                markerfacecolor="none",
                markeredgecolor=colour,
                markeredgewidth=1.6,
            )
        plot.plot(path.length_mm, room, marker="o", markersize=15, color=colour)
        plot.text(
            path.length_mm,
            room,
            str(path.rank),
            color="white",
            fontsize=9,
            fontweight="bold",
            ha="center",
            va="center_baseline",
        )
    plot.set_xlabel("depth of the needle, mm (shorter is better)", fontsize=9)
    plot.set_ylabel("least room over a margin, mm (more is better)", fontsize=9)
    plot.tick_params(labelsize=9)
    plot.margins(0.14)
    plot.grid(color="#e3e6ea", linewidth=0.8)
    plot.set_axisbelow(True)
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
