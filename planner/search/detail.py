"""From a picked candidate to a Trajectory: every number again, exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.geometry import Grid
from planner.geometry.angles import needle_angles_deg
from planner.geometry.frames import FloatArray
from planner.geometry.walk import BodyWalker
from planner.model import Angles, Clearance, Needle, Protocol, Target, Trajectory, Verdict
from planner.safety.checks import (
    CutFaces,
    NeedleAxis,
    check_axis,
    check_clearances,
    check_coverage,
    check_inside_body,
)
from planner.safety.crossings import check_crossings
from planner.safety.fields import FieldCache
from planner.safety.obstacles import Obstacles
from planner.search.batch import AxisBatch
from planner.search.cost import NEEDLE_ARTEFACT, axis_cost_terms, clearance_cost, total_cost
from planner.search.limits import skin_angle_deg
from planner.search.mr_physics import MrPhysics
from planner.search.way import Way, beside_metal
from planner.search.words import entry_words

_ONLY = np.zeros(1, dtype=np.int64)
"""The one candidate of a batch of one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DetailContext:
    """What does not change between the trajectories of one plan."""

    protocol: Protocol
    way: Way
    needle: Needle
    obstacles: Obstacles
    cache: FieldCache
    grid: Grid
    body: BodyWalker
    cut_faces: CutFaces
    midline: tuple[float, str]
    target: Target
    physics: MrPhysics


def detailed_trajectory(
    context: DetailContext, batch: AxisBatch, number: int, *, pareto: bool
) -> Trajectory:
    """The trajectory of candidate ``number`` with exact clearances and all findings; rank 0."""
    axis = NeedleAxis(
        entry_lps_mm=batch.entry_lps_mm[number],
        tip_lps_mm=np.array(batch.tip_lps_mm[number]),
        end_lps_mm=np.array(batch.end_lps_mm[number]),
    )
    one = batch.only(number)
    skin_deg = float(skin_angle_deg(one, _ONLY)[0])
    clearances, clearance_findings = check_clearances(
        axis, context.obstacles, context.needle, context.cache
    )
    angles = _angles(axis, skin_deg, context.physics.b0_direction_lps)
    target = replace(context.target, point_lps_mm=axis.tip_lps_mm)
    physics = context.physics.path(axis, target, clearances, angles.b0_deg)
    way = context.way.path_findings(axis)
    if physics.metal is not None:
        way = beside_metal(way, physics.metal.largest_shift_mm)
    findings = (
        *clearance_findings,
        *check_axis(axis, context.needle, context.protocol, skin_deg),
        check_inside_body(axis, context.grid, context.body),
        *check_crossings(axis, context.obstacles, context.cache, context.protocol),
        *check_coverage(axis, context.obstacles, context.needle, context.cut_faces),
        *way,
        *context.obstacles.missing,
        *context.obstacles.doubts,
        *physics.findings,
    )
    terms = {
        name: float(v[0])
        for name, v in axis_cost_terms(one, context.protocol, context.needle, _ONLY).items()
    }
    terms["clearance"] = _worst_clearance_cost(clearances, context.obstacles)
    artefact = context.physics.artefact_cost(one.direction_lps, context.target.tolerance_mm)
    if artefact is not None:
        terms[NEEDLE_ARTEFACT] = float(artefact[0])
    terms |= {name: float(v[0]) for name, v in context.way.cost_terms(one, _ONLY).items()}
    length = axis.length_mm
    return Trajectory(
        rank=0,
        entry_lps_mm=axis.entry_lps_mm,
        tip_lps_mm=axis.tip_lps_mm,
        throw_end_lps_mm=axis.end_lps_mm,
        skin_normal_lps=batch.normal_lps[number],
        length_mm=length,
        verdict=Verdict.worst(f.verdict for f in findings),
        cost=float(total_cost({k: np.array([v]) for k, v in terms.items()}, context.protocol)[0]),
        cost_terms=terms,
        angles=angles,
        clearances=clearances,
        findings=findings,
        is_pareto_optimal=pareto,
        words=entry_words(axis.entry_lps_mm, angles, length, context.midline),
        candidate=number,
        artefact=physics.artefact,
        scan_planes=physics.planes,
        metal=physics.metal,
        bore_room_mm=physics.bore_room_mm,
        advice=physics.advice,
    )


def _worst_clearance_cost(clearances: tuple[Clearance, ...], obstacles: Obstacles) -> float:
    costs = [
        float(clearance_cost(c.clearance_mm, o))
        for c, o in zip(clearances, obstacles.obstacles, strict=True)
    ]
    return max(costs, default=0.0)


def _angles(axis: NeedleAxis, skin_deg: float, b0_direction_lps: FloatArray | None) -> Angles:
    b0_deg = None
    if b0_direction_lps is not None:
        along = axis.tip_lps_mm - axis.entry_lps_mm
        across = np.linalg.norm(np.cross(along, b0_direction_lps))
        b0_deg = float(np.degrees(np.arctan2(across, abs(along @ b0_direction_lps))))
    angles = needle_angles_deg(axis.entry_lps_mm, axis.tip_lps_mm)
    return Angles(
        axial_deg=float(angles.axial_deg),
        craniocaudal_deg=float(angles.craniocaudal_deg),
        skin_normal_deg=skin_deg,
        b0_deg=b0_deg,
    )
