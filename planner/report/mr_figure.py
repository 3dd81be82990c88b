"""One picture per path beside metal: field, zones and shift bounds along the needle.

The two planes of the path's panel that hold the needle, with what metal does to the image
on them. Drawn only where a plane shows something of the void or the distorted zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from planner.geometry import Mask
from planner.geometry.sampling import nearest_voxels
from planner.model import PlanResult, Structure, StructureRole, Trajectory
from planner.physics.metal_zones import FAR_SHIFT_MM
from planner.report.header import draw_header, procedure_title
from planner.report.mr_facts import draw_compass, draw_facts
from planner.report.mr_needle import artefact_handles
from planner.report.mr_overlay import (
    DISTORTED_DASHES,
    SHIFT_LEVELS_MM,
    SHIFT_WIDTHS_PT,
    SWEPT_DASHES,
    VOID_GID,
    ZONE_COLOUR,
    FieldScale,
    draw_field,
    draw_field_bar,
    draw_shift_lines,
    draw_swept,
    draw_void,
    label_shift_lines,
    shift_gid,
)
from planner.report.mr_text import distance_note
from planner.report.mr_zones import MetalOnPlane, MetalSweep, metal_on_plane
from planner.report.panel_view import PanelScene, draw_view, panel_scene
from planner.report.style import (
    DPI,
    MATPLOTLIB_STYLE,
    VERDICT_MEANING,
    Outline,
    drawable,
    outline_of,
)
from planner.report.views import View, along_views, ranked_clearances

WIDTH_PX, HEIGHT_PX = 1600, 1400
MARGIN_PX = 30
NEAREST_SHOWN = 3
"""Structures with the least room that are outlined beside implant, target and binding ones."""

# Rectangles in pixels from the lower left corner: x, y, width, height.
_VIEWS = ((30, 590, 755, 690), (815, 590, 755, 690))
_COMPASSES = ((30, 478, 755, 92), (815, 478, 755, 92))
_BAR = (60, 412, 695, 22)
_FACTS = (815, 50, 755, 400)
_LEGEND_CENTRE = (407, 205)
_SWEPT = "swept"


@dataclass(frozen=True, slots=True, eq=False)
class MetalPictures:
    """What the pictures of one plan beside metal share; ``swept`` remembers by name."""

    scene: PanelScene
    sweep: MetalSweep
    remembered: dict[str, Mask]

    def swept(self, structure: Structure) -> Mask:
        """A structure's mask, swept by the bound of the shift."""
        if structure.name not in self.remembered:
            self.remembered[structure.name] = self.sweep.swept(structure.mask)
        return self.remembered[structure.name]


def metal_pictures(scene: PanelScene) -> MetalPictures | None:
    """What all pictures share, or None where no field of metal is known."""
    metal = scene.result.metal
    if metal is None:
        return None
    return MetalPictures(scene, MetalSweep(metal, scene.result.acquisitions), {})


def metal_figure(shared: MetalPictures, trajectory: Trajectory) -> Figure | None:
    """The picture of one path, 1600 x 1400 pixels; None where it shows nothing of metal."""
    result = shared.scene.result
    metal = result.metal
    if metal is None or trajectory.metal is None:
        return None
    aspect = _VIEWS[0][2] / _VIEWS[0][3]
    views = along_views(trajectory, aspect=aspect, columns=_VIEWS[0][2])
    zones = [metal_on_plane(metal, view.plane) for view in views]
    if all(zone.is_empty for zone in zones):
        return None
    with mpl.rc_context(MATPLOTLIB_STYLE):
        figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        scale = FieldScale.of(result.acquisitions[0])
        shown = _shown(result, trajectory)
        drawn: list[Outline] = []
        metal_drawn: set[str] = set()
        scene = _scene_of(shared.scene, shown)
        needle_lps_mm = np.linspace(trajectory.entry_lps_mm, trajectory.throw_end_lps_mm, 60)
        for place, view, zone in zip(_VIEWS, views, zones, strict=True):
            axes = _axes(figure, place)
            metal_drawn |= _draw_zones(axes, shared, view, zone, scale, shown)
            drawn += draw_view(axes, scene, trajectory, view)
            label_shift_lines(axes, view.plane, needle_lps_mm)
        for place, view in zip(_COMPASSES, views, strict=True):
            draw_compass(_axes(figure, place), view.plane, result.acquisitions, place[2:])
        title = f"MR beside metal, path {trajectory.rank}:  {procedure_title(result)}"
        meaning = VERDICT_MEANING[trajectory.verdict]
        draw_header(figure, title, trajectory.verdict, meaning, margin_px=MARGIN_PX)
        draw_field_bar(_axes(figure, _BAR), scale, result.acquisitions[0])
        draw_facts(_axes(figure, _FACTS), result, trajectory, _FACTS[2:])
        _draw_legend(figure, drawn, metal_drawn, trajectory)
        _draw_foot(figure, result, trajectory)
    return figure


def _shown(result: PlanResult, trajectory: Trajectory) -> list[Structure]:
    """Implants, targets, the body, what the metal made binding, and what is nearest."""
    always = (StructureRole.IMPLANT, StructureRole.TARGET, StructureRole.BODY)
    near = [c.structure for c in ranked_clearances(trajectory)]
    near = [name for name in near if name in result.structures][:NEAREST_SHOWN]
    names = {*near, *(trajectory.metal.binding if trajectory.metal else ())}
    return [s for s in result.structures.structures if s.role in always or s.name in names]


def _scene_of(scene: PanelScene, shown: Sequence[Structure]) -> PanelScene:
    """The same scene with fewer outlines: the zones are the picture's matter."""
    structures = replace(scene.result.structures, structures=tuple(shown))
    fewer = panel_scene(replace(scene.result, structures=structures))
    return replace(scene, outlined=fewer.outlined)


def _draw_zones(
    axes: Any,
    shared: MetalPictures,
    view: View,
    zone: MetalOnPlane,
    scale: FieldScale,
    shown: Sequence[Structure],
) -> set[str]:
    """Field, lines and void, and the swept outlines; what of it is visible."""
    draw_field(axes, view.plane, zone, scale)
    drawn = {shift_gid(level) for level in draw_shift_lines(axes, view.plane, zone)}
    if draw_void(axes, view.plane, zone):
        drawn.add(VOID_GID)
    voxels = nearest_voxels(shared.scene.result.structures.grid, view.plane.points_lps_mm())
    for structure in shown:
        if not structure.role.is_obstacle or structure.role is StructureRole.IMPLANT:
            continue
        swept = voxels.of_mask(shared.swept(structure).inside)
        if np.any((swept == 1.0) & (voxels.of_mask(structure.mask.inside) == 0.0)):
            draw_swept(axes, view.plane, swept, outline_of(structure))
            drawn.add(_SWEPT)
    return drawn


def _axes(figure: Figure, rectangle: tuple[int, int, int, int]) -> Any:
    x, y, width, height = rectangle
    place = (x / WIDTH_PX, y / HEIGHT_PX, width / WIDTH_PX, height / HEIGHT_PX)
    axes = figure.add_axes(place)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _draw_legend(
    figure: Figure, outlines: Sequence[Outline], metal_drawn: set[str], trajectory: Trajectory
) -> None:
    by_label = {line.label: line for line in outlines}
    handles: list[Line2D | Patch] = [_line(o.label, o.colour, 3) for o in by_label.values()]
    if _SWEPT in metal_drawn:
        handles.append(_line("may truly reach here (swept)", "white", 1.6, SWEPT_DASHES))
    handles.append(_line("needle, true width", "white", 3))
    handles += artefact_handles(trajectory)
    if VOID_GID in metal_drawn:
        look = Patch(facecolor="black", edgecolor="white", hatch="xxx")
        look.set_label("void: no signal, or folded")
        handles.append(look)
    if shift_gid(FAR_SHIFT_MM) in metal_drawn:
        label = f"distorted: shift over {FAR_SHIFT_MM:g} mm"
        handles.append(_line(label, ZONE_COLOUR, 1.4, DISTORTED_DASHES))
    handles += [
        _line(f"shift bound {level:g} mm", ZONE_COLOUR, width)
        for level, width in zip(SHIFT_LEVELS_MM, SHIFT_WIDTHS_PT, strict=True)
        if shift_gid(level) in metal_drawn
    ]
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(_LEGEND_CENTRE[0] / WIDTH_PX, _LEGEND_CENTRE[1] / HEIGHT_PX),
        ncol=2,
        fontsize=12.5,
        facecolor="#3a3a3a",
        labelcolor="white",
        framealpha=1.0,
        handlelength=2.4,
        columnspacing=1.6,
    )


def _line(label: str, colour: str, width_pt: float, style: Any = "-") -> Line2D:
    return Line2D([], [], color=colour, linewidth=width_pt, linestyle=style, label=label)


def _draw_foot(figure: Figure, result: PlanResult, trajectory: Trajectory) -> None:
    series = drawable(result.volume.source.series_instance_uid or "unknown")
    figure.text(
        MARGIN_PX / WIDTH_PX,
        16 / HEIGHT_PX,
        f"series {series}    {distance_note(trajectory)}",
        fontsize=10.5,
        color="#444444",
        va="center",
        parse_math=False,
    )
