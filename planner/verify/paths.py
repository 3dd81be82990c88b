"""One trajectory: every rule of a safe path looked at again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.io.plan_document import ClearanceRecord, PlanDocument, TrajectoryRecord
from planner.model import Protocol, Verdict
from planner.verify.artefact import check_artefact, check_bore
from planner.verify.artefact_findings import check_artefact_presence
from planner.verify.claims import check_path_claims
from planner.verify.coverage import check_bone_presence, check_coverage
from planner.verify.exact import VoxelBoxes, walk_voxels
from planner.verify.findings import (
    ANGLE_TOL_DEG,
    LENGTH_TOL_MM,
    NUMERIC_TOL_MM,
    FindingChecker,
    Recomputed,
    Surroundings,
    check_clearance,
    check_not_passed,
    gap_mm,
    is_clearance,
)
from planner.verify.ledger import Ledger
from planner.verify.metal_findings import VOID
from planner.verify.metal_paths import check_metal
from planner.verify.needle import check_angles, check_axis, check_cost, recomputed
from planner.verify.planes import check_planes
from planner.verify.way_findings import check_way_presence
from planner.verify.words import check_words

MIN_NEEDLE_MM = 1e-6
MAX_REACH_MM = 1e4
SKIN_TOL_VOXELS = 1.0
END_GUARD_MM = 5.0
"""Nearer to padding or to a cut, what looks like skin may be the image's end."""

SHAFT_FROM_MM = 5.0
"""Nearer to the skin, an oblique needle grazes the voxels of its own entry."""

NEEDED_FINDINGS = ("length", "skin_angle", "outside_body")
"""Findings that every path has, beside its clearances."""


def check_trajectory(
    plan: PlanDocument, trajectory: TrajectoryRecord, around: Surroundings, book: Ledger
) -> None:
    """All claims of one trajectory."""
    if not _is_a_needle(plan, trajectory, book):
        return
    truth = recomputed(plan, trajectory, around)
    check_axis(plan, trajectory, truth, book)
    check_angles(trajectory, truth, around, book)
    check_cost(plan, trajectory, truth, around, book)
    check_planes(trajectory, truth, book)
    _check_clearances(plan, trajectory, around, truth, book)
    _check_place(trajectory, truth, around, book)
    _check_entry(plan, trajectory, truth, around, book)
    check_coverage(trajectory, truth, around, book)
    check_bone_presence(trajectory, truth, around, book)
    check_metal(plan, trajectory, truth, around, book)
    check_artefact(plan, trajectory, truth.b0_deg, book)
    check_artefact_presence(plan, trajectory, around.structures, book)
    check_bore(plan, trajectory, book)
    check_words(trajectory, truth, around, book)
    check_path_claims(plan, trajectory, truth, book)
    checker = FindingChecker(plan=plan, truth=truth, around=around, book=book, path=trajectory)
    for number, finding in enumerate(trajectory.findings, start=1):
        checker.check(number, finding)
    for needed in NEEDED_FINDINGS:
        n_found = sum(f.constraint == needed for f in trajectory.findings)
        book.rule(f"findings hold '{needed}' once", n_found, 1, n_found == 1)
    if around.way is not None:
        check_way_presence(trajectory, around.way, book)
    for name in around.shaft_mm:
        held_mm = [
            f
            for f in trajectory.findings
            if (f.constraint, f.structure) == ("shaft_clearance", name)
        ]
        book.rule(
            f"findings hold the shaft's clearance to '{name}'", len(held_mm), 1, len(held_mm) == 1
        )
    held = {(f.constraint, f.structure) for f in trajectory.findings}
    for doubt in around.doubts:
        claim = f"findings hold '{doubt.constraint}' of {doubt.structure}"
        is_held = (doubt.constraint, doubt.structure) in held
        book.rule(claim, is_held, True, is_held)
    worst = Verdict.worst(f.verdict for f in trajectory.findings)
    book.rule(
        "verdict is the worst finding",
        str(trajectory.verdict),
        str(worst),
        trajectory.verdict is worst,
    )


def _is_a_needle(plan: PlanDocument, trajectory: TrajectoryRecord, book: Ledger) -> bool:
    """Whether the path has a direction and a human size: nothing else can be recomputed."""
    entry, tip = np.array(trajectory.entry_lps_mm), np.array(trajectory.tip_lps_mm)
    needle_mm = float(np.abs(tip - entry).max())
    if not (needle_mm > MIN_NEEDLE_MM):
        book.rule("entry and tip are apart", needle_mm, MIN_NEEDLE_MM, False, "no direction")
        return False
    reach_mm = max(float(np.abs([entry, tip]).max()), plan.needle.length_mm, plan.needle.throw_mm)
    if not (reach_mm <= MAX_REACH_MM):
        book.rule("path is of human size", reach_mm, MAX_REACH_MM, False, "coordinates in mm")
        return False
    return True


def _check_clearances(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    around: Surroundings,
    truth: Recomputed,
    book: Ledger,
) -> None:
    listed = {record.structure: record for record in trajectory.clearances}
    book.rule(
        "clearances are listed once each",
        sorted(trajectory.clearance_mm),
        sorted(listed),
        len(listed) == len(trajectory.clearances) and set(listed) == set(trajectory.clearance_mm),
    )
    for name, record in listed.items():
        if name == VOID and around.metal is not None:
            continue  # check_metal
        moved = around.is_displaced(name)
        if name not in truth.nearest:
            book.same(f"clearance_mm[{name}]", record.clearance_mm, None, note="not given")
            continue
        for claim, claimed in (
            (f"clearance_mm[{name}]", trajectory.clearance_mm.get(name)),
            (f"clearances[{name}].clearance_mm", record.clearance_mm),
        ):
            check_clearance(claim, claimed, name, truth, book, is_displaced=moved)
        _check_closest_points(record, truth, around.boxes[name], book, is_displaced=moved)
    for use in plan.structures:
        if use.hard:
            _check_required(trajectory, use.name, use.margin_mm, listed, book)
    for name, needed_mm in around.margins_mm.items():
        if needed_mm is not None:
            exact_mm = truth.clearance_mm(name)
            if around.is_displaced(name):
                exact_mm = min(exact_mm, trajectory.clearance_mm.get(name, -np.inf))
            is_kept = exact_mm >= needed_mm - NUMERIC_TOL_MM
            check_not_passed(trajectory, f"margin to '{name}' is kept", is_kept, book)
            soft_mm = around.soft_mm.get(name, 0.0)
            is_ample = (
                exact_mm >= soft_mm - NUMERIC_TOL_MM or trajectory.verdict is not Verdict.PASS
            )
            book.rule(f"soft margin to '{name}'", str(trajectory.verdict), soft_mm, is_ample)


def _check_closest_points(
    record: ClearanceRecord,
    truth: Recomputed,
    boxes: VoxelBoxes,
    book: Ledger,
    *,
    is_displaced: bool,
) -> None:
    """Both points lie where they should, at the distance that was recomputed.

    Which of several equally near points is named is not checked.
    """
    claim = f"clearances[{record.structure}]"
    off_mm = truth.gap_to_axis_mm(record.on_needle_lps_mm)
    book.close(f"{claim}.on_needle_lps_mm is off the needle by", off_mm, 0.0, LENGTH_TOL_MM)
    on_structure = np.array(record.on_structure_lps_mm)
    if is_displaced:
        apart_mm = gap_mm(on_structure, record.on_needle_lps_mm) - truth.radius_mm
        book.close(f"{claim}: gap of its two points", record.clearance_mm, apart_mm, 0.011)
        return
    off_mm = boxes.nearest_to_segment(on_structure, on_structure).distance_mm
    book.close(f"{claim}.on_structure_lps_mm is off it by", off_mm, 0.0, LENGTH_TOL_MM)
    apart_mm = gap_mm(on_structure, record.on_needle_lps_mm)
    exact_mm = truth.nearest[record.structure].distance_mm
    book.close(f"{claim}: distance of its two points", apart_mm, exact_mm, LENGTH_TOL_MM)


def _check_required(
    trajectory: TrajectoryRecord,
    name: str,
    margin_mm: float | None,
    listed: Mapping[str, ClearanceRecord],
    book: Ledger,
) -> None:
    """A hard structure has a clearance and a finding, both with the plan's margin."""
    record = listed.get(name)
    book.close(
        f"clearances[{name}].required_mm",
        None if record is None else record.required_mm,
        margin_mm,
        1e-9,
        note="" if record else "the path has no clearance to this structure",
    )
    found = [f for f in trajectory.findings if is_clearance(f) and f.structure == name]
    book.rule(f"findings hold the clearance to '{name}'", len(found), 1, len(found) == 1)


# --- place -------------------------------------------------------------------------------------


def _check_place(
    trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings, book: Ledger
) -> None:
    """The path, throw included, lies in the image and in the body, and starts on the skin."""
    walk = walk_voxels(truth.entry_lps_mm, truth.axis_end_lps_mm, around.volume.grid)
    in_image = bool(np.all(walk.is_in_grid))
    check_not_passed(trajectory, "path lies in the image", in_image, book)
    check_not_passed(trajectory, "path lies in the body", truth.is_in_body, book)
    off = np.inf if around.skin is None else around.skin.voxels_to_surface(truth.entry_lps_mm)
    check_not_passed(trajectory, "entry lies on the skin", off <= SKIN_TOL_VOXELS, book)
    if around.skin is not None:
        is_seen = around.skin.is_seen_beside(truth.entry_lps_mm, END_GUARD_MM)
        check_not_passed(trajectory, "image goes on beside the entry", is_seen, book)


def _check_entry(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    truth: Recomputed,
    around: Surroundings,
    book: Ledger,
) -> None:
    """Nothing hinders the needle outside, and the entry and its direction are allowed."""
    if around.body is not None:
        out_mm = max(plan.needle.length_mm - truth.length_mm, 0.0)
        near, hub = (
            truth.entry_lps_mm - truth.direction_lps * reach_mm
            for reach_mm in (min(SHAFT_FROM_MM, out_mm), out_mm)
        )
        is_free = not walk_voxels(near, hub, around.body.grid).inside(around.body).any()
        check_not_passed(trajectory, "needle outside the skin meets no body", is_free, book)
    forbidden = plan.options.get("forbidden_entry") or ()
    for name in forbidden if isinstance(forbidden, list) else ():
        if name not in around.structures:
            book.same("options.forbidden_entry", str(name), None, note="not given")
            continue
        structure = around.structures[str(name)]
        entry = truth.entry_lps_mm
        gap = VoxelBoxes.of(structure.mask).nearest_to_segment(entry, entry).distance_mm
        is_apart = gap > (structure.margin_mm or 0.0)
        check_not_passed(trajectory, f"entry keeps off '{name}'", is_apart, book)
    if around.protocol is not None:
        is_allowed = _is_allowed_approach(around.protocol, truth)
        check_not_passed(trajectory, "approach is one of the procedure", is_allowed, book)


def _is_allowed_approach(protocol: Protocol, truth: Recomputed) -> bool:
    for allowed, value in (
        (protocol.axial_deg, abs(truth.axial_deg)),
        (protocol.craniocaudal_deg, truth.craniocaudal_deg),
    ):
        if allowed is not None:
            low, _, high = allowed
            if not (low - ANGLE_TOL_DEG <= value <= high + ANGLE_TOL_DEG):
                return False
    to_back = float(truth.direction_lps[1])
    sides = {"posterior": to_back < 0, "anterior": to_back > 0}
    return protocol.approach_side is None or sides[protocol.approach_side]
