"""Which planes a trajectory is shown on, and how large. Geometry only, no drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.geometry.frames import FloatArray, unit
from planner.model import Clearance, Needle, Trajectory
from planner.report.reslice import (
    PlaneSpec,
    along_normals,
    barrel_directions,
    picture_directions,
    plane_name,
)

MIN_ALONG_MM = 100.0
"""Smallest field of view along the needle: enough anatomy to recognise the level."""

CONTEXT_MM = 24.0
"""Anatomy shown around entry, tip and closest point."""

ACROSS_HALF_MM = (28.0, 45.0)
"""Smallest and largest half field of view across the needle."""

ACROSS_CONTEXT_MM = 12.0
"""Anatomy shown beyond the closest structure across the needle."""

IN_PICTURE_FRAC = 0.9
"""A point nearer to the rim of a picture is not marked in it."""

SAME_PLACE_MM = 3.0
"""Two planes across the needle closer than this show the same thing."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class View:
    """One picture of a trajectory."""

    title: str
    note: str
    plane: PlaneSpec
    is_along: bool


def ranked_clearances(trajectory: Trajectory) -> list[Clearance]:
    """Clearances, least room over the margin first; one that is no number before all."""

    def room(item: Clearance) -> float:
        slack = item.clearance_mm - item.required_mm
        return slack if np.isfinite(slack) else -np.inf

    return sorted(trajectory.clearances, key=room)


def along_views(trajectory: Trajectory, *, aspect: float, columns: int) -> tuple[View, View]:
    """The two orthogonal planes that hold the needle.

    ``aspect`` is width over height of the picture, ``columns`` its width in pixels.
    """
    direction = unit(trajectory.tip_lps_mm - trajectory.entry_lps_mm)
    shown = [trajectory.entry_lps_mm, trajectory.throw_end_lps_mm]
    shown += [c.on_structure_lps_mm for c in _with_points(trajectory)[:1]]
    first, second = along_normals(direction)
    return (
        _along(first, np.stack(shown), trajectory.tip_lps_mm, "A", aspect, columns),
        _along(second, np.stack(shown), trajectory.tip_lps_mm, "B", aspect, columns),
    )


def across_views(
    trajectory: Trajectory, needle: Needle, *, aspect: float, columns: int
) -> tuple[View, View]:
    """Across the needle at its tip, and where it comes closest to a structure."""
    closest = _with_points(trajectory)
    reach_mm = [
        needle.radius_mm + max(c.clearance_mm, c.required_mm) + ACROSS_CONTEXT_MM
        for c in closest[:1]
    ]
    half_mm = float(np.clip(max(reach_mm, default=0.0), *ACROSS_HALF_MM))
    at_lps_mm, title = _second_place(trajectory, closest)
    tip_lps_mm = trajectory.tip_lps_mm
    second = _across(trajectory, at_lps_mm, half_mm, f"D  {title}", aspect, columns)
    if not shown_clearances(trajectory, second):
        # A title must not promise a structure that lies outside of the picture.
        second = replace(second, title="D  Across, on the way")
    return (
        _across(trajectory, tip_lps_mm, half_mm, "C  Across at the tip", aspect, columns),
        second,
    )


def shown_clearances(trajectory: Trajectory, view: View) -> list[Clearance]:
    """The closest approach to mark in a view.

    Along the needle: the one with the least room. Across it: the one with the
    least room among those that happen in that plane; a closest point centimetres
    up or down the needle would be read as if it lay in the picture.
    """
    known = _with_points(trajectory)
    if view.is_along:
        return known[:1]
    half = IN_PICTURE_FRAC * np.array([view.plane.width_mm, view.plane.height_mm]) / 2
    here = []
    for item in known:
        needle, structure = view.plane.to_plane_mm(
            np.stack([item.on_needle_lps_mm, item.on_structure_lps_mm])
        )
        if abs(needle[2]) <= SAME_PLACE_MM and np.all(
            np.abs(structure[:2]) < IN_PICTURE_FRAC * half
        ):
            here.append(item)
    return here[:1]


def _with_points(trajectory: Trajectory) -> list[Clearance]:
    """Ranked clearances whose closest points are known."""
    return [
        c
        for c in ranked_clearances(trajectory)
        if np.all(np.isfinite([c.on_needle_lps_mm, c.on_structure_lps_mm]))
    ]


def _second_place(trajectory: Trajectory, closest: list[Clearance]) -> tuple[FloatArray, str]:
    """Where the second plane across the needle lies, and its title."""
    for number, item in enumerate(closest):
        place = item.on_needle_lps_mm
        if np.linalg.norm(place - trajectory.tip_lps_mm) > SAME_PLACE_MM:
            return place, "Across, closest point" if number == 0 else "Across, next closest"
    middle = (trajectory.entry_lps_mm + trajectory.tip_lps_mm) / 2
    return middle, "Across, on the way"


def _along(
    normal: FloatArray,
    shown_lps_mm: FloatArray,
    tip_lps_mm: FloatArray,
    letter: str,
    aspect: float,
    columns: int,
) -> View:
    right, down = picture_directions(normal)
    offset = shown_lps_mm - tip_lps_mm
    across, along = offset @ right, offset @ down
    middle = (across.min() + across.max()) / 2 * right + (along.min() + along.max()) / 2 * down
    width_mm = max(
        np.ptp(across) + 2 * CONTEXT_MM,
        (np.ptp(along) + 2 * CONTEXT_MM) * aspect,
        MIN_ALONG_MM * max(aspect, 1.0),
    )
    plane = PlaneSpec(
        centre_lps_mm=tip_lps_mm + middle,
        right_lps=right,
        down_lps=down,
        width_mm=float(width_mm),
        height_mm=float(width_mm / aspect),
        pixel_mm=float(width_mm / columns),
    )
    title = f"{letter}  Along the needle: {plane_name(plane.normal_lps)}"
    return View(title=title, note="", plane=plane, is_along=True)


def _across(
    trajectory: Trajectory,
    at_lps_mm: FloatArray,
    half_mm: float,
    title: str,
    aspect: float,
    columns: int,
) -> View:
    right, down = barrel_directions(trajectory.tip_lps_mm - trajectory.entry_lps_mm)
    width_mm = 2 * half_mm * max(aspect, 1.0)
    plane = PlaneSpec(
        centre_lps_mm=at_lps_mm,
        right_lps=right,
        down_lps=down,
        width_mm=width_mm,
        height_mm=width_mm / aspect,
        pixel_mm=width_mm / columns,
    )
    depth_mm = float(np.linalg.norm(at_lps_mm - trajectory.entry_lps_mm))
    note = f"{depth_mm:.0f} mm deep, seen from hub"
    return View(title=title, note=note, plane=plane, is_along=False)
