"""The predicted outline of the needle's own artefact in a view of a path."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from numpy.typing import ArrayLike

from planner.geometry.frames import FloatArray
from planner.model import Trajectory
from planner.model.mr_results import NeedleArtefact
from planner.report.reslice import PlaneSpec

ARTEFACT_COLOUR = "#d9b3ff"
ARTEFACT_LABEL = "needle's artefact, at most"
_DASHES = (0, (5, 3))
_N_ARC = 25


def artefact_outline(entry: ArrayLike, tip: ArrayLike, artefact: NeedleArtefact) -> FloatArray:
    """Polygon of the widest artefact on a plane that holds the needle, shape (n, 2).

    Straight along the shaft from the entry to the tip, then half an ellipse that reaches
    the farthest false tip.

    Parameters
    ----------
    entry, tip : array_like, shape (2,)
        Plane mm.
    """
    a, b = np.asarray(entry, dtype=np.float64), np.asarray(tip, dtype=np.float64)
    along = (b - a) / np.linalg.norm(b - a)
    half = artefact.width_max_mm / 2 * np.array([-along[1], along[0]])
    arc = np.linspace(0.0, np.pi, _N_ARC)[:, None]
    cap = b + np.cos(arc) * half + np.sin(arc) * artefact.tip_max_mm * along
    return np.concatenate([[a + half], cap, [a - half]])


def draw_artefact(axes: Any, plane: PlaneSpec, trajectory: Trajectory, *, is_along: bool) -> None:
    """The dashed outline of the artefact; nothing where it is not known."""
    artefact = trajectory.artefact
    if artefact is None:
        return
    entry, tip = plane.to_plane_mm(np.stack([trajectory.entry_lps_mm, trajectory.tip_lps_mm]))
    if is_along:
        outline = artefact_outline(entry[:2], tip[:2], artefact)
    else:
        radius_mm = _radius_across_mm(entry[2], tip[2], artefact)
        if not radius_mm > 0.0:
            return
        turn = np.linspace(0.0, 2 * np.pi, 2 * _N_ARC)
        outline = tip[:2] + radius_mm * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    look = {"closed": True, "fill": False}
    axes.add_patch(
        Polygon(outline, edgecolor="black", linewidth=2.6, alpha=0.45, zorder=5.3, **look)
    )
    axes.add_patch(
        Polygon(
            outline,
            edgecolor=ARTEFACT_COLOUR,
            linewidth=1.4,
            linestyle=_DASHES,
            zorder=5.4,
            label=ARTEFACT_LABEL,
            **look,
        )
    )


def _radius_across_mm(entry_off_mm: float, tip_off_mm: float, artefact: NeedleArtefact) -> float:
    """Of the section by a plane across the needle: the shaft's, smaller beyond the tip, then 0."""
    beyond_mm = -tip_off_mm * np.sign(tip_off_mm - entry_off_mm)
    half_mm = artefact.width_max_mm / 2
    if beyond_mm <= 0.0:
        return half_mm
    share = beyond_mm / artefact.tip_max_mm if artefact.tip_max_mm > 0.0 else np.inf
    return half_mm * float(np.sqrt(max(0.0, 1.0 - share**2)))


def artefact_handles(trajectory: Trajectory) -> list[Line2D]:
    """The entry of a legend: one where the artefact is drawn, else none."""
    if trajectory.artefact is None:
        return []
    line = Line2D([], [], color=ARTEFACT_COLOUR, linewidth=1.6, linestyle=_DASHES)
    line.set_label(ARTEFACT_LABEL)
    return [line]
