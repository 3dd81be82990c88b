"""What is laid over the anatomy beside metal: field colours, shift lines, void, swept outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.patheffects import withStroke

from planner.geometry.frames import FloatArray
from planner.model.mr import GYROMAGNETIC_MHZ_PER_T, MRAcquisition
from planner.physics.metal_zones import FAR_SHIFT_MM
from planner.physics.shifts import shift_model
from planner.report.mr_zones import MetalOnPlane
from planner.report.reslice import PlaneSpec
from planner.report.style import DPI, Outline

FIELD_MAP = "PuOr_r"
"""Signed and safe for colour-blind readers: purple below, orange above."""

SHIFT_LEVELS_MM = (1.0, 2.0, 5.0)
SHIFT_WIDTHS_PT = (1.0, 1.7, 2.8)
ZONE_COLOUR = "#a8fff0"
DISTORTED_DASHES = (0, (6, 2, 1, 2))
SWEPT_DASHES = (0, (3, 2))

_OPAQUE, _FULL_AT = 0.65, 0.2
"""Opacity of strong field, and the share of the scale from which it is reached."""

_GREY = 0.45
"""Anatomy that the colour bar is laid over."""

_FULL_SHIFT_MM, _UNSHIFTED_HZ = 2.0, 1000.0
"""Shift at the ends of the colours, and their field where the readout does not shift with it."""

VOID_GID = "void"
_LABEL_PT = 12.0
_EDGE_SHARE = 0.06


@dataclass(frozen=True, slots=True)
class FieldScale:
    """Field at the two ends of the colours, Hz to either side."""

    limit_hz: float

    @classmethod
    def of(cls, acquisition: MRAcquisition) -> FieldScale:
        """The same for all paths of a plan: full colour where the readout shifts by 2 mm."""
        mm_per_hz = shift_model(acquisition).readout_mm_per_hz
        return cls(_nice(_FULL_SHIFT_MM / mm_per_hz) if mm_per_hz > 0.0 else _UNSHIFTED_HZ)

    def rgba(self, field_hz: FloatArray) -> FloatArray:
        """Colours with their opacity, shape (..., 4); clear where there is no field."""
        known = np.nan_to_num(field_hz)
        share = np.clip(known / self.limit_hz, -1.0, 1.0)
        colours = np.array(mpl.colormaps[FIELD_MAP](0.5 + share / 2))
        colours[..., 3] = _OPAQUE * np.minimum(1.0, np.abs(share) / _FULL_AT)
        return colours


def _nice(value: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def draw_field(axes: Any, plane: PlaneSpec, zone: MetalOnPlane, scale: FieldScale) -> None:
    """The nominal offset as translucent colours; the void is left to its hatching."""
    rgba = scale.rgba(zone.field_hz)
    rgba[zone.is_void, 3] = 0.0
    axes.imshow(rgba, extent=plane.extent_mm, interpolation="nearest", zorder=2)


def draw_shift_lines(axes: Any, plane: PlaneSpec, zone: MetalOnPlane) -> set[float]:
    """Edge of the distorted zone, and lines of equal shift bound outside the void.

    Returns
    -------
    set of float
        The levels, mm, of which there is a line.
    """
    shift = np.ma.masked_where(zone.is_void, zone.shift_mm)
    lines: list[tuple[float, float, Any]] = [(FAR_SHIFT_MM, 1.4, DISTORTED_DASHES)]
    lines += [(v, w, "-") for v, w in zip(SHIFT_LEVELS_MM, SHIFT_WIDTHS_PT, strict=True)]
    drawn = set()
    for level, width, dashes in lines:
        if not (np.any(shift >= level) and np.any(shift < level)):
            continue
        contour = axes.contour(
            shift,
            levels=[level],
            extent=plane.extent_mm,
            origin="upper",
            colors=[ZONE_COLOUR],
            linewidths=[width],
            linestyles=[dashes],
            zorder=2.6,
        )
        contour.set_path_effects([_halo(width)])
        contour.set_gid(shift_gid(level))
        drawn.add(level)
    return drawn


def shift_gid(level_mm: float) -> str:
    """By which the lines of one level are found again in the axes."""
    return f"shift {level_mm:g} mm"


def label_shift_lines(axes: Any, plane: PlaneSpec, needle_lps_mm: FloatArray) -> None:
    """The level beside each line, where no other word, mark nor the needle lies.

    ``needle_lps_mm`` (n, 3): points along the needle.
    """
    renderer = axes.figure.canvas.get_renderer()
    busy = [t.get_window_extent(renderer) for t in axes.texts if t.get_text()]
    busy += [p.get_window_extent(renderer) for p in axes.patches if p.get_zorder() == 8.5]
    taken = [axes.transAxes.inverted().transform(box.get_points()) for box in busy]
    left, right, bottom, top = plane.extent_mm
    needle = plane.to_plane_mm(needle_lps_mm)[:, :2] - [left, bottom]
    taken += [point + np.zeros((2, 1)) for point in needle / [right - left, top - bottom]]
    size = np.array(plane.shape[::-1])
    half = np.array([3.2, 1.0]) * _LABEL_PT * DPI / 72 / 2 / size * 1.25
    for level in SHIFT_LEVELS_MM:
        spots = _vertices(axes, plane, level)
        spots = spots[
            np.all((spots > half + _EDGE_SHARE) & (spots < 1 - half - _EDGE_SHARE), axis=1)
        ]
        gap = np.min([_gap(spots, box, half) for box in taken], axis=0) if taken else spots[:, 0]
        if not (gap.size and gap.max() > 0.0):
            continue
        at = spots[int(np.argmax(gap))]
        axes.text(
            *at,
            f"{level:g} mm",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=_LABEL_PT,
            fontweight="bold",
            color=ZONE_COLOUR,
            path_effects=[withStroke(linewidth=3.0, foreground="black")],
            zorder=8.6,
        )
        taken.append(np.stack([at - half, at + half]))


def _vertices(axes: Any, plane: PlaneSpec, level_mm: float) -> FloatArray:
    """Points of a level's lines as axes fractions (x right, y up), (n, 2)."""
    found = [np.empty((0, 2))]
    for item in axes.collections:
        if item.get_gid() == shift_gid(level_mm):
            found += [path.vertices for path in item.get_paths()]
    left, right, bottom, top = plane.extent_mm
    return (np.concatenate(found) - [left, bottom]) / [right - left, top - bottom]


def _gap(spots: FloatArray, box: FloatArray, half: FloatArray) -> FloatArray:
    """Gap of a label at each spot to a box of two corners, as fractions; negative: they touch."""
    low, high = box.min(axis=0) - half, box.max(axis=0) + half
    return np.asarray(np.max(np.maximum(low - spots, spots - high), axis=1))


def draw_void(axes: Any, plane: PlaneSpec, zone: MetalOnPlane) -> bool:
    """The void: dark, hatched, with its outline; whether there is any."""
    inside = zone.is_void.astype(np.float64)
    if not inside.any():
        return False
    place = {"extent": plane.extent_mm, "origin": "upper"}
    look = {"colors": ["black"], "alpha": 0.4, "hatches": ["xx"], "zorder": 2.7}
    with mpl.rc_context({"hatch.color": "white", "hatch.linewidth": 0.8}):
        filled = axes.contourf(inside, levels=[0.5, 1.5], **look, **place)
    filled.set_gid(VOID_GID)
    if not inside.all():
        look = {"colors": ["white"], "linewidths": [2.0], "zorder": 2.8}
        edge = axes.contour(inside, levels=[0.5], **look, **place)
        edge.set_path_effects([_halo(2.0)])
    return True


def draw_swept(axes: Any, plane: PlaneSpec, swept: FloatArray, line: Outline) -> None:
    """Dashed in the structure's colour: how far it may truly reach."""
    contour = axes.contour(
        np.ma.masked_invalid(swept),
        levels=[0.5],
        extent=plane.extent_mm,
        origin="upper",
        colors=[line.colour],
        linewidths=[1.4],
        linestyles=[SWEPT_DASHES],
        zorder=2.9,
    )
    contour.set_path_effects([_halo(1.4)])


def draw_field_bar(axes: Any, scale: FieldScale, acquisition: MRAcquisition) -> None:
    """The colours over the grey of anatomy, in Hz, with what that is in ppm."""
    limit = scale.limit_hz
    field = np.linspace(-limit, limit, 401)
    rgba = scale.rgba(field)
    opacity = rgba[:, 3:]
    over_grey = opacity * rgba[:, :3] + (1.0 - opacity) * _GREY
    axes.imshow(over_grey[None], extent=(-limit, limit, 0.0, 1.0), aspect="auto")
    ticks = np.linspace(-limit, limit, 5)
    words = [f"{tick:+,g}" if tick else "0" for tick in ticks]
    words[0], words[-1] = f"≤ {words[0]}", f"≥ {words[-1]}"
    axes.set_xticks(ticks, words, fontsize=12)
    ppm = ""
    if acquisition.field_t is not None:
        ppm = f" ({limit / (GYROMAGNETIC_MHZ_PER_T * acquisition.field_t):.2g} ppm at the ends)"
    axes.set_title(
        f"Field offset in Hz, nominal, planning sequence{ppm}", fontsize=12.5, loc="left", pad=5
    )


def _halo(width_pt: float) -> withStroke:
    return withStroke(linewidth=width_pt + 1.6, foreground="black", alpha=0.6)
