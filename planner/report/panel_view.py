"""One view of a trajectory drawn into a matplotlib axes: image, outlines, needle, marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.geometry.sampling import NearestVoxels, nearest_voxels
from planner.model import PlanResult, StructureRole, Trajectory
from planner.report.body import body_of
from planner.report.mr_needle import draw_artefact
from planner.report.panel_marks import IN_PLANE_MM, THIN_HALO, draw_marks
from planner.report.region import corridor_masks
from planner.report.reslice import PlaneSpec, reslice
from planner.report.style import (
    BODY_OUTLINE,
    CORRIDOR_OUTLINE,
    OUTSIDE_COLOUR,
    OUTSIDE_HATCH_COLOUR,
    REGION_OUTLINE,
    SECOND_NEEDLE_COLOUR,
    Outline,
    drawable,
    outline_of,
)
from planner.report.views import View, ranked_clearances

MIN_CORRIDOR_MM = 0.5
"""A required margin below this lies on the needle's own edge and is not drawn."""

WINDOW_PERCENTILES = (1.0, 99.5)
UNSEEN_OPACITY = 0.35
"""Of image values where nothing was measured: the hatching of what is not imaged shows through."""

WINDOW_SAMPLES = 96
"""Samples along each axis of the image for its percentiles."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """A mask, how its outline is drawn, and the corners of its bounding box, shape (8, 3)."""

    mask: Mask
    line: Outline
    box_lps_mm: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PanelScene:
    """What all panels of one plan share, computed once."""

    result: PlanResult
    window: tuple[float, float]
    outlined: tuple[Outlined, ...]


def panel_scene(result: PlanResult) -> PanelScene:
    """The grey window, and the structures in the order they are drawn.

    Obstacles lie on top of other structures, the target region and its corridor on top of all.
    """
    ordered = sorted(result.structures.structures, key=lambda s: s.role.is_obstacle)
    chosen = [(s.mask, outline_of(s)) for s in ordered]
    if result.body is not None and not result.structures.with_role(StructureRole.BODY):
        chosen.insert(0, (result.body, BODY_OUTLINE))
    chosen += [(mask, CORRIDOR_OUTLINE) for mask in corridor_masks(result)]
    if result.target.region is not None:
        chosen = [item for item in chosen if item[0] is not result.target.region.mask]
        chosen.append((result.target.region.mask, REGION_OUTLINE))
    outlined = []
    for mask, line in chosen:
        bounds = mask.bounds_kji()
        if bounds is not None:
            box_lps_mm = mask.grid.cropped(*bounds).corners_lps_mm()
            outlined.append(Outlined(mask, line, box_lps_mm))
    return PanelScene(result=result, window=grey_window(result), outlined=tuple(outlined))


def grey_window(result: PlanResult) -> tuple[float, float]:
    """Image values shown black and white: robust percentiles inside the body."""
    values = result.volume.values
    step = tuple(max(1, n // WINDOW_SAMPLES) for n in values.shape)
    thin = tuple(slice(None, None, s) for s in step)
    sample = np.asarray(values[thin], dtype=np.float64)
    body = body_of(result)
    chosen = sample[body.inside[thin]] if body is not None else sample.ravel()
    chosen = chosen[np.isfinite(chosen)]
    if chosen.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(chosen, WINDOW_PERCENTILES)
    return float(low), float(high if high > low else low + 1.0)


def capsule_outline(
    start: ArrayLike, end: ArrayLike, radius: float, *, n_arc: int = 24
) -> FloatArray:
    """Polygon of all points within ``radius`` of a 2D segment, shape (n, 2)."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    heading = float(np.arctan2(*(b - a)[::-1])) if np.any(a != b) else 0.0
    arc = np.linspace(-np.pi / 2, np.pi / 2, n_arc) + heading
    around_end = b + radius * np.stack([np.cos(arc), np.sin(arc)], axis=1)
    around_start = a - radius * np.stack([np.cos(arc), np.sin(arc)], axis=1)
    return np.concatenate([around_end, around_start])


def draw_view(axes: Any, scene: PanelScene, trajectory: Trajectory, view: View) -> list[Outline]:
    """Everything of one view; returns the outlines that are visible in it."""
    plane = view.plane
    voxels = nearest_voxels(scene.result.volume.grid, plane.points_lps_mm())
    imaged = scene.result.imaged
    is_unseen = None if imaged is None else voxels.of_mask(imaged.inside) == 0.0
    _draw_image(axes, scene, plane, is_unseen)
    drawn = _draw_outlines(axes, scene, plane, voxels, is_unseen)
    _draw_second_needle(axes, scene.result, trajectory, view)
    _draw_needle(axes, scene.result, trajectory, view)
    _draw_target(axes, scene.result, view)
    draw_marks(axes, scene.result, trajectory, view)
    left, right, bottom, top = plane.extent_mm
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_title(drawable(view.title), fontsize=14, loc="left", pad=5, fontweight="bold")
    axes.set_title(view.note, fontsize=11.5, loc="right", pad=5, color="#444444")
    return drawn


def _draw_image(
    axes: Any, scene: PanelScene, plane: PlaneSpec, is_unseen: NDArray[np.bool_] | None
) -> None:
    left, right, bottom, top = plane.extent_mm
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            facecolor=OUTSIDE_COLOUR,
            edgecolor=OUTSIDE_HATCH_COLOUR,
            hatch="//",
            linewidth=0,
            zorder=0,
        )
    )
    image = reslice(scene.result.volume, plane)
    low, high = scene.window
    axes.imshow(
        np.ma.masked_invalid(image),
        extent=plane.extent_mm,
        cmap="gray",
        vmin=low,
        vmax=high,
        alpha=None if is_unseen is None else np.where(is_unseen, UNSEEN_OPACITY, 1.0),
        interpolation="nearest",
        zorder=1,
    )


def _draw_outlines(
    axes: Any,
    scene: PanelScene,
    plane: PlaneSpec,
    voxels: NearestVoxels,
    is_unseen: NDArray[np.bool_] | None,
) -> list[Outline]:
    drawn = []
    for item in scene.outlined:
        if not _may_meet(item, plane):
            continue
        mask = voxels.of_mask(item.mask.inside)
        if is_unseen is not None and item.line == BODY_OUTLINE:
            mask[is_unseen] = np.nan  # a body that stops there is cut, its end is no surface
        if not (np.any(mask == 1.0) and np.any(mask == 0.0)):
            continue
        contour = axes.contour(
            np.ma.masked_invalid(mask),
            levels=[0.5],
            extent=plane.extent_mm,
            origin="upper",
            colors=[item.line.colour],
            linewidths=[item.line.width_pt],
            zorder=3,
        )
        halo = withStroke(linewidth=item.line.width_pt + 1.4, foreground="black", alpha=0.55)
        contour.set_path_effects([halo])
        if item.line.fill_opacity > 0.0:
            axes.contourf(
                np.ma.masked_invalid(mask),
                levels=[0.5, 1.5],
                extent=plane.extent_mm,
                origin="upper",
                colors=[item.line.colour],
                alpha=item.line.fill_opacity,
                zorder=2.5,
            )
        drawn.append(item.line)
    return drawn


def _may_meet(item: Outlined, plane: PlaneSpec) -> bool:
    """Whether a structure's bounding box reaches the picture."""
    corners = plane.to_plane_mm(item.box_lps_mm)
    low, high = corners.min(axis=0), corners.max(axis=0)
    half = np.array([plane.width_mm, plane.height_mm, 0.0]) / 2
    return bool(np.all(low <= half) and np.all(high >= -half))


def has_corridor(trajectory: Trajectory) -> bool:
    """Whether the binding margin is wide enough to be drawn beside the needle."""
    return any(c.required_mm >= MIN_CORRIDOR_MM for c in ranked_clearances(trajectory)[:1])


def _draw_needle(axes: Any, result: PlanResult, trajectory: Trajectory, view: View) -> None:
    """The needle, its throw and the corridor of the binding margin, all at true size."""
    plane, radius_mm = view.plane, result.needle.radius_mm
    entry, tip, end = plane.to_plane_mm(
        np.stack([trajectory.entry_lps_mm, trajectory.tip_lps_mm, trajectory.throw_end_lps_mm])
    )[:, :2]
    if has_corridor(trajectory):
        margin_mm = ranked_clearances(trajectory)[0].required_mm
        _draw_corridor(axes, capsule_outline(entry, end, radius_mm + margin_mm))
    draw_artefact(axes, plane, trajectory, is_along=view.is_along)
    if not view.is_along:
        _solid(axes, capsule_outline(tip, tip, radius_mm), "white")
        return
    out_mm = max(0.0, result.needle.length_mm - trajectory.length_mm)
    hub = entry + (entry - tip) / np.linalg.norm(tip - entry) * out_mm
    _solid(axes, capsule_outline(hub, entry, radius_mm), "#b9c6e0")
    _solid(axes, capsule_outline(entry, tip, radius_mm), "white")
    axes.plot(*np.stack([entry, tip], axis=1), color="white", linewidth=0.7, zorder=6.1)
    if np.any(end != tip):
        throw = capsule_outline(tip, end, radius_mm)
        _patch(axes, throw, fill=False, edgecolor="black", linewidth=2.6, alpha=0.6, zorder=5.8)
        _patch(axes, throw, fill=False, edgecolor="white", linewidth=1.2, linestyle="--", zorder=6)
    for point, marker in ((entry, "o"), (tip, "D")):
        axes.plot(
            *point,
            marker=marker,
            markersize=8,
            markerfacecolor="none",
            markeredgecolor="white",
            markeredgewidth=1.6,
            path_effects=THIN_HALO,
            zorder=7,
        )


def second_path(result: PlanResult, trajectory: Trajectory) -> Trajectory | None:
    """The path that a second needle may take beside this one: of the first pair it is in."""
    for pair in result.pairs:
        ranks = {pair.first_rank, pair.second_rank}
        if trajectory.rank in ranks:
            (other,) = ranks - {trajectory.rank}
            return next((t for t in result.trajectories if t.rank == other), None)
    return None


def _draw_second_needle(axes: Any, result: PlanResult, trajectory: Trajectory, view: View) -> None:
    """The second needle of a pair: projected on a plane along, its place in a plane across."""
    second = second_path(result, trajectory)
    if second is None:
        return
    ends = view.plane.to_plane_mm(np.stack([second.entry_lps_mm, second.throw_end_lps_mm]))
    start, end = ends[:, :2]
    if not view.is_along:
        (near, far) = ends[:, 2]
        if not near * far < 0.0:
            return  # it does not come through this plane
        start = end = start + (end - start) * near / (near - far)
    outline = capsule_outline(start, end, result.needle.radius_mm)
    _patch(axes, outline, fill=False, edgecolor="black", linewidth=2.6, alpha=0.6, zorder=5.4)
    look = {"edgecolor": SECOND_NEEDLE_COLOUR, "linewidth": 1.4, "linestyle": "--"}
    _patch(axes, outline, fill=False, zorder=5.5, **look)


def _solid(axes: Any, polygon_mm: FloatArray, colour: str) -> None:
    """The needle's body: true width in ``colour``, with a dark halo outside of it."""
    _patch(axes, polygon_mm, fill=False, edgecolor="black", linewidth=2.2, zorder=5.9)
    _patch(axes, polygon_mm, facecolor=colour, edgecolor="none", linewidth=0, zorder=6)


def _draw_corridor(axes: Any, polygon_mm: FloatArray) -> None:
    _patch(axes, polygon_mm, fill=False, edgecolor="black", linewidth=2.6, alpha=0.6, zorder=4)
    _patch(axes, polygon_mm, fill=False, edgecolor="white", linewidth=1.5, linestyle=":", zorder=5)


def _patch(axes: Any, polygon_mm: FloatArray, **look: Any) -> None:
    axes.add_patch(Polygon(polygon_mm, closed=True, **look))


def _draw_target(axes: Any, result: PlanResult, view: View) -> None:
    x, y, off_mm = view.plane.to_plane_mm(result.target.point_lps_mm)
    if abs(off_mm) > IN_PLANE_MM:
        return
    if not view.is_along:
        axes.add_patch(
            Circle(
                (x, y),
                result.target.tolerance_mm,
                fill=False,
                edgecolor="#3ddc55",
                linewidth=1.2,
                linestyle="--",
                zorder=5,
            )
        )
    axes.plot(
        x, y, marker="+", markersize=9, markeredgecolor="#3ddc55", markeredgewidth=1.6, zorder=8
    )
