"""What a path goes through where it may: bone, and what the user opted in to cross."""

from __future__ import annotations

import numpy as np

from planner.geometry import Grid, Mask
from planner.geometry.rays import first_surface
from planner.geometry.walk import BodyWalker
from planner.model import Finding, Protocol, Structure, Verdict
from planner.safety.checks import NeedleAxis
from planner.safety.fields import FieldCache
from planner.safety.obstacles import Obstacles

BONE_CROSSED = "bone_crossed"
BONE_ENTRY_ANGLE = "bone_entry_angle"
CROSSED = "crossed"


def check_crossings(
    axis: NeedleAxis, obstacles: Obstacles, cache: FieldCache, protocol: Protocol
) -> tuple[Finding, ...]:
    """How much of each bone, and of each nerve or vessel that may be crossed, a path crosses.

    Bone is a caution where only the user lets a path cross it; a nerve, a vessel or the canal
    always is. Where the procedure has no rule about the angle to the cortex, the angle at
    the first crossing of bone is told without a limit.
    """
    findings = []
    for structure in obstacles.crossable_bone:
        crossed_mm = _crossed_mm(axis, structure, cache)
        if not crossed_mm > 0.0:
            continue
        by_user = structure.name in obstacles.bone_by_user
        note = (
            "the user allows it to be crossed; the procedure forbids it"
            if by_user
            else "the procedure allows bone to be crossed"
        )
        findings.append(_found(BONE_CROSSED, structure, crossed_mm, "mm", note, by_user))
    if findings and protocol.cortex_angle_deg is None and obstacles.bone is not None:
        findings.append(_entry_angle(axis, obstacles.bone))
    for structure in obstacles.crossable_vital:
        crossed_mm = _crossed_mm(axis, structure, cache)
        if crossed_mm > 0.0:
            asked = ", ".join(protocol.opted_in)
            note = f"the needle goes through it, by opt-in: {asked}" if asked else (
                "the needle goes through it, by leave of the procedure"
            )  # fmt: skip
            findings.append(_found(CROSSED, structure, crossed_mm, "mm", note, True))
    return tuple(findings)


def _entry_angle(axis: NeedleAxis, bone: Mask) -> Finding:
    value = bone_entry_deg(axis, bone)
    note = "angle between the needle and the bone's surface where it first meets bone, 90 square; "
    note += "no limit in this procedure" if value is not None else "it cannot be told here"
    return _found(BONE_ENTRY_ANGLE, None, value, "degrees", note, False)


def bone_entry_deg(axis: NeedleAxis, bone: Mask) -> float | None:
    """Angle to the surface of a bone where a path first meets it; None where it starts inside."""
    hit = first_surface(bone, axis.entry_lps_mm[None], axis.end_lps_mm[None])
    along = (axis.tip_lps_mm - axis.entry_lps_mm) / axis.length_mm
    sine = float(hit.inward_lps[0] @ along)
    return float(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))) if np.isfinite(sine) else None


def _found(
    constraint: str,
    structure: Structure | None,
    value: float | None,
    unit: str,
    note: str,
    is_caution: bool,
) -> Finding:
    return Finding(
        constraint=constraint,
        structure=None if structure is None else structure.name,
        measured=None if value is None else round(value, 2),
        required=None,
        unit=unit,
        verdict=Verdict.CAUTION if is_caution else Verdict.PASS,
        note=note,
    )


def _crossed_mm(axis: NeedleAxis, structure: Structure, cache: FieldCache) -> float:
    walker = cache.walker(structure.name, structure.mask)
    return _length_in(walker, structure.mask.grid, axis)


def _length_in(walker: BodyWalker, grid: Grid, axis: NeedleAxis) -> float:
    start = grid.to_axes_mm(axis.entry_lps_mm)[None, :]
    end = grid.to_axes_mm(axis.end_lps_mm)[None, :]
    return float(walker.length_inside_mm(start, end, np.zeros(1, np.int64))[0])
