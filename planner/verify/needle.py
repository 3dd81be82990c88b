"""One needle: length, ends, angles and cost, from entry and tip alone."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.io.plan_document import PlanDocument, TrajectoryRecord
from planner.model import Protocol, Verdict
from planner.verify.artefact import tip_cost
from planner.verify.exact import room_to_cuts_mm, room_to_faces_mm, walk_voxels
from planner.verify.findings import (
    ANGLE_TOL_DEG,
    CLEARANCE_STEP_MM,
    LENGTH_TOL_MM,
    NUMERIC_TOL_MM,
    Recomputed,
    Surroundings,
    angle_deg,
    gap_mm,
)
from planner.verify.inputs import CONTACT_MM
from planner.verify.ledger import Ledger
from planner.verify.metal_findings import VOID
from planner.verify.way_findings import preference_costs

COST_TOL = 1e-6
NORMAL_TOL_DEG = 45.0
"""The skin normal depends on how a voxel surface is smoothed; a wrong side or axis does not."""

FULL_APPROACH_COST_DEG = 45.0
"""Deviation from the preferred approach with the highest cost (docs of the cost)."""

LEAST_CLEAR_ROOM_MM = 3.0
"""The clearance cost falls from the margin over at least this much."""

_GOOD = (Verdict.PASS, Verdict.CAUTION)


def recomputed(
    plan: PlanDocument, trajectory: TrajectoryRecord, around: Surroundings
) -> Recomputed:
    """Every number that follows from entry, tip, needle and masks.

    The half-angle form of the angles is exact near 0 and near 90 degrees alike.
    """
    entry, tip = np.array(trajectory.entry_lps_mm), np.array(trajectory.tip_lps_mm)
    needle = tip - entry
    left, back, head = (float(v) for v in needle)
    length_mm = float(np.sqrt((needle**2).sum()))
    in_plane = float(np.sqrt(left**2 + back**2))
    axial = 2 * np.arctan(left / (in_plane + abs(back))) if in_plane > 0 else 0.0
    elevation = 2 * np.arctan(head / (length_mm + in_plane))
    axis_end = tip + needle / length_mm * plan.needle.throw_mm
    body = around.body
    is_in_body = body is not None and _lies_in_body(entry, axis_end, length_mm, body)
    b0 = around.b0_direction_lps
    to_b0 = None if b0 is None else angle_deg(needle, b0)
    return Recomputed(
        entry_lps_mm=entry,
        axis_end_lps_mm=axis_end,
        direction_lps=needle / length_mm,
        length_mm=length_mm,
        miss_mm=gap_mm(tip, plan.target.point_lps_mm),
        axial_deg=float(np.rad2deg(axial)),
        craniocaudal_deg=float(np.rad2deg(elevation)),
        skin_normal_deg=angle_deg(needle, -np.array(trajectory.skin_normal_lps)),
        b0_deg=None if to_b0 is None else min(to_b0, 180.0 - to_b0),
        radius_mm=plan.needle.outer_diameter_mm / 2,
        cut_room_mm=-np.inf if body is None else _room_mm(body, entry, axis_end, around),
        face_room_mm=float(room_to_faces_mm(around.volume.grid, entry, axis_end).min()),
        is_in_body=is_in_body,
        nearest={n: b.nearest_to_segment(entry, axis_end) for n, b in around.boxes.items()},
    )


def _room_mm(body: Mask, entry: FloatArray, end: FloatArray, around: Surroundings) -> float:
    """To the faces that cut the body, and to what was not imaged in or beside it."""
    room_mm = room_to_cuts_mm(body, entry, end)
    if around.unseen is None:
        return room_mm
    return min(room_mm, around.unseen.nearest_to_segment(entry, end).distance_mm)


def check_axis(
    plan: PlanDocument, trajectory: TrajectoryRecord, truth: Recomputed, book: Ledger
) -> None:
    """Length, end of the throw, and how far the tip is from the target."""
    is_bad = trajectory.verdict not in _GOOD
    longest_mm = plan.needle.length_mm - plan.procedure.length_reserve_mm
    book.close("length_mm", trajectory.length_mm, truth.length_mm, LENGTH_TOL_MM)
    book.rule(
        "length is within the needle's",
        truth.length_mm,
        longest_mm,
        is_bad or truth.length_mm <= longest_mm + NUMERIC_TOL_MM,
    )
    off_mm = gap_mm(truth.axis_end_lps_mm, trajectory.throw_end_lps_mm)
    book.close("throw_end_lps_mm is off by", off_mm, 0.0, LENGTH_TOL_MM)
    book.close("tip_to_target_mm", trajectory.tip_to_target_mm, truth.miss_mm, LENGTH_TOL_MM)
    if plan.target.region is not None:
        return  # the tip lies in the region: a finding of its own
    book.rule(
        "tip is within the target's tolerance",
        truth.miss_mm,
        plan.target.tolerance_mm,
        is_bad or truth.miss_mm <= plan.target.tolerance_mm + NUMERIC_TOL_MM,
    )


def check_angles(
    trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings, book: Ledger
) -> None:
    """All angles, and a skin normal that the body could have."""
    claimed = trajectory.angles
    for key, value, exact in (
        ("axial_deg", claimed.axial_deg, truth.axial_deg),
        ("craniocaudal_deg", claimed.craniocaudal_deg, truth.craniocaudal_deg),
        ("skin_normal_deg", claimed.skin_normal_deg, truth.skin_normal_deg),
    ):
        book.close(f"angles.{key}", value, exact, ANGLE_TOL_DEG)
    if claimed.b0_deg is not None:
        book.close("angles.b0_deg", claimed.b0_deg, truth.b0_deg, ANGLE_TOL_DEG)
    normal = np.array(trajectory.skin_normal_lps)
    book.close("skin_normal_lps has length", float(np.sqrt((normal**2).sum())), 1.0, 1e-6)
    if around.skin is not None and around.skin.is_known_around(truth.entry_lps_mm):
        found = around.skin.outward_normal_lps(truth.entry_lps_mm)
        apart_deg = np.inf if found is None else angle_deg(found, normal)
        book.close("skin_normal_lps is off the body's by", apart_deg, 0.0, NORMAL_TOL_DEG)


# --- cost --------------------------------------------------------------------------------------


def check_cost(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    truth: Recomputed,
    around: Surroundings,
    book: Ledger,
) -> None:
    """Each term from 0 to 1, and the cost as their mean weighted by the procedure."""
    protocol = around.protocol
    if protocol is None:
        book.skip("costs")
        return
    weights = {
        "clearance": protocol.weights.clearance,
        "length": protocol.weights.length,
        "approach": protocol.weights.approach,
        "skin_incidence": protocol.weights.skin_incidence,
    }
    tip_term = tip_cost(plan, truth.b0_deg)
    if tip_term is not None:
        weights["needle_artefact"] = protocol.weights.needle_artefact
    preferences = {} if around.way is None else preference_costs(trajectory, around.way)
    for name in preferences:
        weights[name] = getattr(protocol.weights, name)
    claimed = trajectory.cost_terms
    book.rule("cost_terms", sorted(claimed), sorted(weights), set(claimed) == set(weights))
    terms = {
        "length": truth.length_mm / plan.needle.length_mm,
        "approach": _approach_cost(protocol, truth),
        "skin_incidence": truth.skin_normal_deg / protocol.max_skin_angle.value,
        "clearance": _clearance_cost(protocol, trajectory, truth, around),
        **({} if tip_term is None else {"needle_artefact": tip_term}),
        **preferences,
    }
    for name, term in terms.items():
        # The search takes the clearance as it is reported, rounded down.
        rounding = CLEARANCE_STEP_MM / LEAST_CLEAR_ROOM_MM if name == "clearance" else 0.0
        # the cube root of a cosine near zero is far larger than its rounding
        rounding = 1e-4 if name == "needle_artefact" else rounding
        limited = min(max(term, 0.0), 1.0)
        book.close(f"cost_terms[{name}]", claimed.get(name), limited, COST_TOL + rounding)
    total = sum(weights.values())
    mean = sum(w * claimed.get(name, np.nan) for name, w in weights.items())
    book.close("cost", trajectory.cost, mean / total if total > 0 else 0.0, COST_TOL)


def _approach_cost(protocol: Protocol, truth: Recomputed) -> float:
    off_deg = [
        value - wanted[1]
        for wanted, value in (
            (protocol.axial_deg, abs(truth.axial_deg)),
            (protocol.craniocaudal_deg, truth.craniocaudal_deg),
        )
        if wanted is not None
    ]
    return float(np.sqrt(sum(d * d for d in off_deg))) / FULL_APPROACH_COST_DEG


def _clearance_cost(
    protocol: Protocol, trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings
) -> float:
    costs = [0.0]
    for name, margin_mm in around.margins_mm.items():
        if margin_mm is not None:
            usual_mm = around.shaft_mm.get(name, (margin_mm, 0.0))[0]
            clear_mm = max(protocol.clear_at.value, usual_mm + LEAST_CLEAR_ROOM_MM)
            fall_mm = clear_mm - margin_mm
            room_mm = truth.clearance_mm(name)
            if around.is_displaced(name):
                room_mm = min(room_mm, trajectory.clearance_mm.get(name, -np.inf))
            costs.append(1.0 - (room_mm - margin_mm) / fall_mm)
    if around.metal is not None:
        void_mm = trajectory.clearance_mm.get(VOID, -np.inf)
        costs.append(1.0 - (void_mm - CONTACT_MM) / LEAST_CLEAR_ROOM_MM)
    return max(costs)


def _lies_in_body(entry: FloatArray, end: FloatArray, length_mm: float, body: Mask) -> bool:
    """Every voxel on the way is body, but for those within one voxel diagonal of the entry."""
    walk = walk_voxels(entry, end, body.grid)
    diagonal_mm = min(float(np.sqrt((body.grid.spacing_kji_mm**2).sum())), length_mm)
    is_at_skin = walk.to_mm <= diagonal_mm + NUMERIC_TOL_MM
    return bool(np.all(walk.inside(body) | (is_at_skin & walk.is_in_grid)))
