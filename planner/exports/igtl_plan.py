"""A plan as OpenIGTLink messages: TRAJ, and TRANSFORM, POINT, POLYDATA, STRING per path.

3D Slicer takes no TRAJ but the others; other consoles take TRAJ. Coordinates are RAS mm.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from planner.exports.igtl_messages import (
    Line,
    message,
    points_body,
    polyline_body,
    string_body,
    trajectory_body,
    transform_body,
)
from planner.exports.plan_to_export import SHORT_HASH, PlanToExport, verdict_of
from planner.geometry.frames import FloatArray, ras_from_lps, unit
from planner.io.plan_document import TrajectoryRecord
from planner.model import Verdict

GROUP = "Trajectory"
PLAN_DEVICE, UNVERIFIED_DEVICE = "NeedlePlan", "UNVERIFIED"

_RGBA = {
    Verdict.PASS: (0, 158, 115, 255),
    Verdict.CAUTION: (230, 159, 0, 255),
    Verdict.UNKNOWN: (153, 153, 153, 255),
    Verdict.FAIL: (214, 38, 41, 255),
}


class Thickness(StrEnum):
    """What the receiver reads in TRAJ's last number: the protocol is ambiguous by a factor 2."""

    NONE = "none"
    DIAMETER = "diameter"
    RADIUS = "radius"


def plan_messages(
    plan: PlanToExport, *, thickness: Thickness = Thickness.NONE, time_s: float = 0.0
) -> dict[str, list[bytes]]:
    """Whole messages by their kind, in the order to send them.

    Parameters
    ----------
    plan : PlanToExport
    thickness : Thickness
        What to write as the needle's thickness; by default 0, which says nothing.
    time_s : float
        Time stamp, seconds since 1970, UTC.

    Raises
    ------
    OutputError
        If a text is too long for a message.
    """
    lines = [_line(plan, path, thickness) for path in plan.paths]
    device = UNVERIFIED_DEVICE if plan.is_unverified else PLAN_DEVICE
    found: dict[str, list[bytes]] = {
        "TRAJ": [message("TRAJ", device, trajectory_body(lines), time_s=time_s)],
        "STRING": [],
        "TRANSFORM": [],
        "POINT": [],
        "POLYDATA": [],
    }
    for path, line in zip(plan.paths, lines, strict=True):
        ends_ras_mm = np.array([line.entry_ras_mm, line.tip_ras_mm])
        bodies = {
            "STRING": string_body(plan.description_of(path)),
            "TRANSFORM": transform_body(ras_from_needle(*ends_ras_mm)),
            "POINT": points_body(line),
            "POLYDATA": polyline_body(ends_ras_mm),
        }
        for kind, body in bodies.items():
            found[kind].append(message(kind, device_of(plan, path), body, time_s=time_s))
    return found


def device_of(plan: PlanToExport, path: TrajectoryRecord) -> str:
    """``"NeedlePath1"`` or ``"UNVERIFIED Path1"``: at most 20 characters."""
    is_unverified = plan.name_of(path).startswith(UNVERIFIED_DEVICE)
    return f"{UNVERIFIED_DEVICE} Path{path.rank}" if is_unverified else f"NeedlePath{path.rank}"


def ras_from_needle(entry_ras_mm: FloatArray, tip_ras_mm: FloatArray) -> FloatArray:
    """Where the needle is, shape (4, 4): origin at the tip, z along the needle, entry to tip.

    x is the direction across the needle nearest to the patient's right; where the needle
    points right or left, nearest to anterior.
    """
    z_ras = unit(np.asarray(tip_ras_mm) - np.asarray(entry_ras_mm))
    aside_ras = np.eye(3)[0 if abs(z_ras[0]) < 0.9 else 1]
    x_ras = unit(aside_ras - (aside_ras @ z_ras) * z_ras)
    found = np.eye(4)
    found[:3, :3] = np.stack([x_ras, np.cross(z_ras, x_ras), z_ras], axis=1)
    found[:3, 3] = tip_ras_mm
    return found


def _line(plan: PlanToExport, path: TrajectoryRecord, thickness: Thickness) -> Line:
    diameter_mm = plan.document.needle.outer_diameter_mm
    width_mm = {
        Thickness.NONE: 0.0,
        Thickness.DIAMETER: diameter_mm,
        Thickness.RADIUS: diameter_mm / 2,
    }
    throw_mm = plan.document.needle.throw_mm
    # No field of TRAJ or POINT holds a throw: a console that shows names shows it.
    fires = f" fires {throw_mm:g} mm" if throw_mm > 0 else ""
    return Line(
        name=f"{plan.name_of(path)}{fires}",
        group=GROUP,
        rgba=_RGBA[verdict_of(path)],
        entry_ras_mm=ras_from_lps(path.entry_lps_mm),
        tip_ras_mm=ras_from_lps(path.tip_lps_mm),
        thickness_mm=width_mm[thickness],
        owner=f"plan {plan.sha256[:SHORT_HASH]}",
    )
