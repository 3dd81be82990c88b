"""One trajectory beside metal: the plan is nowhere more hopeful than the second route."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.io.plan_document import (
    PlanDocument,
    SusceptibilityRecord,
    TrajectoryRecord,
)
from planner.model import StructureRole, Verdict
from planner.verify.findings import (
    CLEARANCE_STEP_MM,
    NUMERIC_TOL_MM,
    ROUNDING,
    Recomputed,
    Surroundings,
)
from planner.verify.ledger import Ledger
from planner.verify.metal import DISTRUST, MetalTruth, fat_shift_mm, touches_swept
from planner.verify.metal_findings import VOID
from planner.verify.metal_presence import (
    check_marrow,
    check_metal_presence,
    check_zones,
    is_in_bone,
)

CHECKED_MM = 12.0
"""Claims of more room than this are checked up to here."""

BETWEEN_MM = 1.0
"""Step along the needle at which shifts are looked at."""

_GOOD = (Verdict.PASS, Verdict.CAUTION)


def check_metal(
    plan: PlanDocument,
    trajectory: TrajectoryRecord,
    truth: Recomputed,
    around: Surroundings,
    book: Ledger,
) -> None:
    """Everything a plan says of one path beside metal."""
    implants = around.structures.with_role(StructureRole.IMPLANT)
    record = trajectory.susceptibility
    if around.metal is None:
        book.rule("susceptibility is of a known field", bool(implants), False, _is_empty(record))
        if implants:
            _check_unknown(plan, trajectory, book)
        check_marrow(plan, trajectory, around.structures, book)
        return
    if not isinstance(record, SusceptibilityRecord):
        book.rule("susceptibility is given beside metal", None, None, False)
        return
    _check_zones(record, truth, trajectory, book)
    check_zones(record, truth, around, around.metal, book)
    check_metal_presence(plan, trajectory, record, truth, around, book)
    _check_target(plan, record, around, trajectory, book)
    _check_swept(trajectory, record, truth, around, book)
    _check_void(trajectory, truth, around, around.metal, book)


def _is_empty(record: object) -> bool:
    return not isinstance(record, SusceptibilityRecord)


def _check_unknown(plan: PlanDocument, trajectory: TrajectoryRecord, book: Ledger) -> None:
    """Beside metal of which the shift is not known no path is good."""
    held = [f for f in trajectory.findings if f.constraint == "mr_unknown"]
    is_told = bool(held) and all(f.verdict not in _GOOD for f in held)
    book.rule("findings hold 'mr_unknown'", len(held), None, is_told)
    book.rule(
        "path beside unknown metal is not good",
        str(trajectory.verdict),
        "unknown",
        trajectory.verdict not in _GOOD,
    )


def _check_zones(
    record: SusceptibilityRecord, truth: Recomputed, trajectory: TrajectoryRecord, book: Ledger
) -> None:
    along = truth.axis_end_lps_mm - truth.entry_lps_mm
    length_mm = float(np.sqrt(along @ along))
    book.close("susceptibility.zones_mm together", sum(record.zones_mm.values()), length_mm, 0.05)
    is_kept = record.zones_mm["void"] <= ROUNDING or trajectory.verdict not in _GOOD
    book.rule("no good path runs through the void", record.zones_mm["void"], 0.0, is_kept)


def _check_target(
    plan: PlanDocument,
    record: SusceptibilityRecord,
    around: Surroundings,
    trajectory: TrajectoryRecord,
    book: Ledger,
) -> None:
    """The target's shift: no smaller than that of the dipoles, and its finding follows."""
    assert around.metal is not None and plan.mr is not None
    point = np.array(plan.target.point_lps_mm)
    shift = record.target_shift
    readout, through = (float(s[0]) for s in around.metal.shifts_mm(point[None]))
    for name, claimed, least in (
        ("readout_mm", shift.readout_mm, readout),
        ("slice_mm", shift.slice_mm, through),
    ):
        # too near to metal for dipoles: the target lies in the void, which is checked
        is_kept = not np.isfinite(least) or claimed >= DISTRUST * least - NUMERIC_TOL_MM
        book.rule(f"susceptibility.target_shift.{name} is not too small", claimed, least, is_kept)
    in_bone = is_in_bone(point, around.structures)
    book.close(
        "susceptibility.target_shift.fat_mm",
        shift.fat_mm,
        fat_shift_mm(plan.mr) if in_bone else 0.0,
        1e-6,
    )
    total = float(np.hypot(shift.readout_mm + shift.fat_mm, shift.slice_mm))
    book.close("susceptibility.target_shift.total_mm", shift.total_mm, total, 1e-6)
    held = [f for f in trajectory.findings if f.constraint == "target_shift"]
    if total > 0.0:
        book.rule("findings hold 'target_shift'", len(held), 1, len(held) == 1)


def _check_swept(
    trajectory: TrajectoryRecord,
    record: SusceptibilityRecord,
    truth: Recomputed,
    around: Surroundings,
    book: Ledger,
) -> None:
    """Clearances to swept structures: not above those as drawn, nor above the dipoles'."""
    metal = around.metal
    assert metal is not None
    drawn = record.clearance_without_sweep_mm
    claimed = trajectory.clearance_mm
    names = sorted(n for n in claimed if n != VOID)
    book.rule("clearance_without_sweep_mm names", sorted(drawn), names, sorted(drawn) == names)
    kji, offset = _near(truth, around, metal)
    place = around.volume.grid.to_lps(kji)
    gap_mm = _distance_mm(place, truth) - truth.radius_mm
    for name in names:
        if name not in truth.nearest:
            continue
        exact = truth.clearance_mm(name)
        book.between(
            f"clearance_without_sweep_mm[{name}]",
            drawn.get(name),
            exact,
            under=CLEARANCE_STEP_MM + NUMERIC_TOL_MM,
            over=NUMERIC_TOL_MM,
        )
        structure = around.structures[name]
        if structure.role is StructureRole.IMPLANT:
            continue
        inside = gap_mm < claimed[name] - NUMERIC_TOL_MM
        moved = touches_swept(structure.mask, kji[inside], offset[inside], metal.sequences)
        nearest = float(gap_mm[inside][moved].min()) if moved.any() else claimed[name]
        claim = f"clearance_mm[{name}] counts what metal displaces"
        book.rule(claim, claimed[name], nearest, not moved.any())
    _check_binding(record, trajectory, around, book)


def _check_binding(
    record: SusceptibilityRecord,
    trajectory: TrajectoryRecord,
    around: Surroundings,
    book: Ledger,
) -> None:
    band = 0.0 if around.protocol is None else around.protocol.caution_band.value
    claimed, drawn = trajectory.clearance_mm, record.clearance_without_sweep_mm
    found = sorted(
        name
        for name, margin_mm in around.margins_mm.items()
        if margin_mm is not None
        and name in claimed
        and claimed[name] < drawn.get(name, claimed[name])
        and not claimed[name] >= margin_mm + around.caution_band_mm(name, band)
    )
    book.rule(
        "susceptibility.binding", sorted(record.binding), found, found == sorted(record.binding)
    )


def _check_void(
    trajectory: TrajectoryRecord,
    truth: Recomputed,
    around: Surroundings,
    metal: MetalTruth,
    book: Ledger,
) -> None:
    """The void holds the metal and every place where signal is surely lost."""
    claimed = trajectory.clearance_mm.get(VOID)
    if claimed is None:
        book.rule(f"clearance_mm[{VOID}]", None, None, False, "the path has no clearance to it")
        return
    implants = around.structures.with_role(StructureRole.IMPLANT)
    gaps = [truth.clearance_mm(s.name) for s in implants if s.name in truth.nearest and not s.rods]
    least = min(gaps, default=np.inf)
    is_kept = claimed <= least + NUMERIC_TOL_MM
    book.rule(f"clearance_mm[{VOID}] is not above that to the metal", claimed, least, is_kept)
    kji, offset = _near(truth, around, metal)
    place = around.volume.grid.to_lps(kji)
    gap_mm = _distance_mm(place, truth) - truth.radius_mm
    inside = (gap_mm < claimed - NUMERIC_TOL_MM) & np.isfinite(offset)
    lost = metal.is_lost(place[inside])
    nearest = float(gap_mm[inside][lost].min()) if lost.any() else claimed
    book.rule(f"clearance_mm[{VOID}] counts lost signal", claimed, nearest, not lost.any())
    largest = trajectory.susceptibility
    assert isinstance(largest, SusceptibilityRecord)
    if largest.zones_mm["void"] > 0.0:
        return
    along = truth.axis_end_lps_mm - truth.entry_lps_mm
    steps = np.linspace(0.0, 1.0, int(np.sqrt(along @ along) / BETWEEN_MM) + 2)[:, None]
    readout, through = metal.shifts_mm(truth.entry_lps_mm + steps * along)
    met = np.hypot(readout, through)
    met_mm = float(np.nanmax(met)) if np.isfinite(met).any() else 0.0
    is_kept = met_mm < 0.3 or largest.largest_shift_mm >= DISTRUST * met_mm - ROUNDING
    claim = "susceptibility.largest_shift_mm is not too small"
    book.rule(claim, largest.largest_shift_mm, met_mm, is_kept)


def _near(
    truth: Recomputed, around: Surroundings, metal: MetalTruth
) -> tuple[NDArray[np.int64], FloatArray]:
    """Voxels about the path and the offset at their centres."""
    grid = around.volume.grid
    ends = np.stack([truth.entry_lps_mm, truth.axis_end_lps_mm])
    reach = CHECKED_MM + truth.radius_mm
    at = grid.to_kji(ends)
    room = reach / grid.spacing_kji_mm
    shape = np.array(grid.shape_kji)
    low = np.clip(np.floor(at.min(0) - room), 0, shape - 1).astype(np.int64)
    high = np.clip(np.ceil(at.max(0) + room) + 1, low + 1, shape).astype(np.int64)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    kji = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    kji = kji[_distance_mm(grid.to_lps(kji), truth) <= reach]
    return kji, metal.offset_ppm(grid.to_lps(kji))


def _distance_mm(points: FloatArray, truth: Recomputed) -> FloatArray:
    along = truth.axis_end_lps_mm - truth.entry_lps_mm
    offset = points - truth.entry_lps_mm
    place = np.clip(offset @ along / (along @ along), 0.0, 1.0)
    return np.asarray(np.sqrt(((offset - place[:, None] * along) ** 2).sum(1)))
