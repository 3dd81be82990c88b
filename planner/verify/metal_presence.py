"""What a path beside metal must say: zones no shorter than the dipoles give, and its findings."""

from __future__ import annotations

import math

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.io.plan_document import PlanDocument, SusceptibilityRecord, TrajectoryRecord
from planner.model import Structure, StructureRole, StructureSet
from planner.verify.exact import VoxelBoxes
from planner.verify.findings import ROUNDING, Recomputed, Surroundings
from planner.verify.ledger import Ledger
from planner.verify.metal import DISTRUST, MetalTruth, fat_shift_mm, worst_ppm
from planner.verify.metal_findings import VOID

STEP_MM = 0.25
DISTORTED_FROM_MM = 0.5
"""Where the image is shifted by this much the path is in the distorted zone."""

CUT_SHIFT_MM = 0.2
"""As much metal again beyond the image's edge matters where its pole shifts by this much."""

ROD_POINTS = 101


def check_zones(
    record: SusceptibilityRecord,
    truth: Recomputed,
    around: Surroundings,
    metal: MetalTruth,
    book: Ledger,
) -> None:
    """Neither the void nor the distorted zone is shorter than the dipoles surely give.

    Zones are of whole voxels: half a voxel at either end is not decided.
    """
    along = truth.axis_end_lps_mm - truth.entry_lps_mm
    length_mm = float(np.sqrt(along @ along))
    n_steps = math.ceil(length_mm / STEP_MM)
    points = truth.entry_lps_mm + ((np.arange(n_steps) + 0.5) / n_steps)[:, None] * along
    size = max(math.hypot(s.readout_mm_per_ppm, s.slice_mm_per_ppm) for s in metal.sequences)
    is_void = metal.is_lost(points)
    for structure in around.structures.with_role(StructureRole.IMPLANT):
        if not structure.rods:
            is_void |= structure.mask.contains(points)
    is_shifted = is_void | (DISTRUST * size * metal.offset_ppm(points) >= DISTORTED_FROM_MM)
    slack_mm = float(np.sqrt((around.volume.grid.spacing_kji_mm**2).sum()))
    zones = record.zones_mm
    for claim, told, surely in (
        ("void", zones.get("void", 0.0), is_void),
        ("void and distorted", zones.get("void", 0.0) + zones.get("distorted", 0.0), is_shifted),
    ):
        least_mm = float(surely.mean()) * length_mm
        is_kept = told >= least_mm - slack_mm
        book.rule(f"susceptibility.zones_mm {claim} is not too short", told, least_mm, is_kept)


def check_metal_presence(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    record: SusceptibilityRecord,
    truth: Recomputed,
    around: Surroundings,
    book: Ledger,
) -> None:
    """The findings that zones, void and metal at the image's edge give."""
    _check_n(trajectory, "mr_distorted", int(record.zones_mm.get("distorted", 0.0) > 0.0), book)
    _check_n(trajectory, "mr_void", int(VOID in trajectory.clearance_mm), book)
    metal = around.metal
    assert metal is not None
    size = max(math.hypot(s.readout_mm_per_ppm, s.slice_mm_per_ppm) for s in metal.sequences)
    for implant in plan.implants:
        if implant.name not in around.structures:
            continue
        structure = around.structures[implant.name]
        moment = structure.mask.volume_mm3 * worst_ppm(implant) * size / (2.0 * math.pi)
        reach_mm = (moment / CUT_SHIFT_MM) ** (1.0 / 3.0) - ROUNDING
        for cut_mm in _to_cuts_mm(structure, truth):
            if cut_mm < reach_mm:
                told = [(f.constraint, f.structure) for f in trajectory.findings]
                n_held = told.count(("mr_unknown", implant.name))
                claim = f"findings hold that '{implant.name}' is cut by the image's edge"
                book.rule(claim, n_held, None, n_held >= 1)


def check_marrow(
    plan: PlanDocument, trajectory: TrajectoryRecord, structures: StructureSet, book: Ledger
) -> None:
    """Without metal of a known field the target is shifted by the fat of marrow alone."""
    point = np.array(plan.target.point_lps_mm)
    shift_mm = 0.0
    if plan.mr is not None and is_in_bone(point, structures):
        shift_mm = fat_shift_mm(plan.mr)
    _check_n(trajectory, "target_shift", int(shift_mm > 0.0), book)
    for finding in trajectory.findings:
        if finding.constraint == "target_shift":
            book.close("target_shift of marrow", finding.measured, shift_mm, ROUNDING)


def is_in_bone(point_lps_mm: FloatArray, structures: StructureSet) -> bool:
    """Whether a point lies in any bone: marrow shifts against water."""
    return any(
        bool(s.mask.contains(point_lps_mm))
        for s in structures.structures
        if s.role is StructureRole.BONE or s.structure_class == "bone"
    )


def _check_n(trajectory: TrajectoryRecord, constraint: str, needed: int, book: Ledger) -> None:
    n_held = sum(f.constraint == constraint for f in trajectory.findings)
    book.rule(f"findings hold '{constraint}'", n_held, needed, n_held == needed)


def _to_cuts_mm(structure: Structure, truth: Recomputed) -> list[float]:
    """Distances of the path to where the image's edge cuts an implant."""
    mask, found = structure.mask, []
    edge = np.ones(mask.inside.shape, dtype=bool)
    edge[1:-1, 1:-1, 1:-1] = False
    cut = Mask(grid=mask.grid, inside=mask.inside & edge)
    if cut.inside.any():
        near = VoxelBoxes.of(cut).nearest_to_segment(truth.entry_lps_mm, truth.axis_end_lps_mm)
        found.append(near.distance_mm)
    for rod in structure.rods:
        places = np.linspace(rod.start_lps_mm, rod.end_lps_mm, ROD_POINTS)
        outside = places[~mask.grid.contains(places)]
        found += [min(truth.gap_to_axis_mm(tuple(p)) for p in outside)] if len(outside) else []
    return found
