"""Findings of one trajectory: their numbers, their places, and the verdicts that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from planner.geometry import Mask, Volume
from planner.geometry.frames import FloatArray
from planner.io.plan_document import FindingRecord, PlanDocument, Point, TrajectoryRecord
from planner.model import Finding, Protocol, StructureRole, StructureSet, Verdict
from planner.verify.artefact_findings import check_artefact_finding
from planner.verify.crossings import (
    bone_verdict,
    check_bone_entry,
    is_vital,
    tells_entry_angle,
)
from planner.verify.exact import NearestPoints, Skin, VoxelBoxes, walk_voxels
from planner.verify.ledger import Ledger
from planner.verify.metal import MetalTruth
from planner.verify.metal_findings import METAL_FINDINGS, check_metal_finding
from planner.verify.way import WayTruth
from planner.verify.way_findings import WAY_FINDINGS, check_shaft, check_way_finding
from planner.verify.way_shapes import check_way_shape

LENGTH_TOL_MM = 1e-3
ANGLE_TOL_DEG = 1e-3
NUMERIC_TOL_MM = 1e-6
CLEARANCE_STEP_MM = 0.01
"""Clearances are rounded down to a multiple of this."""
ROUNDING = 0.005 + 1e-6
"""Other numbers of findings are rounded to two decimals."""

_GOOD = (Verdict.PASS, Verdict.CAUTION)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recomputed:
    """What one trajectory's numbers are, from its entry and tip and the masks alone."""

    entry_lps_mm: FloatArray
    axis_end_lps_mm: FloatArray
    direction_lps: FloatArray
    length_mm: float
    miss_mm: float
    axial_deg: float
    craniocaudal_deg: float
    skin_normal_deg: float
    b0_deg: float | None
    radius_mm: float
    nearest: Mapping[str, NearestPoints]
    cut_room_mm: float
    """Distance to the nearest face of the image that cuts the body, or to what was not imaged
    in or beside it."""
    face_room_mm: float
    """Distance to the nearest face of the image, whether it cuts the body or not."""
    is_in_body: bool

    def clearance_mm(self, structure: str) -> float:
        """Distance of the axis to the structure, less the needle's radius."""
        return self.nearest[structure].distance_mm - self.radius_mm

    def gap_to_axis_mm(self, point_lps_mm: Point) -> float:
        """Distance of a point to the needle's axis, throw included."""
        along = self.axis_end_lps_mm - self.entry_lps_mm
        offset = np.array(point_lps_mm) - self.entry_lps_mm
        place = np.clip(offset @ along / (along @ along), 0.0, 1.0)
        return gap_mm(self.entry_lps_mm + place * along, point_lps_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything the paths of one plan are checked against."""

    volume: Volume
    structures: StructureSet
    boxes: Mapping[str, VoxelBoxes]
    body: Mask | None
    skin: Skin | None
    unseen: VoxelBoxes | None
    """What was not imaged, in and beside the body."""
    margins_mm: Mapping[str, float | None]
    """Least margin to each structure, from the user or the procedure."""
    required_mm: Mapping[str, float]
    """Margins to the classes of structures that the procedure requires."""
    protocol: Protocol | None
    b0_direction_lps: FloatArray | None
    doubts: tuple[Finding, ...]
    """What is doubtful about the masks and the skin, for every path."""
    middles: tuple[tuple[float, str], ...] = ()
    """Lines from which the words may tell the entry: L (mm) and name."""
    soft_mm: Mapping[str, float] = field(default_factory=dict)
    """Soft margins: their floor (or contact) rejects, and less than this is a caution."""
    shaft_mm: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Margin of all but the last stretch before the tip, and that stretch's length."""
    way: WayTruth | None = None
    metal: MetalTruth | None = None
    """The field of the implants by the second route; None without metal or where unknown."""

    def reach_mm(self, structure: str) -> float | None:
        """How far around a path the mask must be known; None where it may be touched."""
        margin_mm = self.margins_mm.get(structure)
        if margin_mm is None:
            return None
        shaft_mm = self.shaft_mm.get(structure, (0.0, 0.0))[0]
        return max(margin_mm, self.soft_mm.get(structure, 0.0), shaft_mm)

    def caution_band_mm(self, structure: str, band_mm: float) -> float:
        """How much more than its margin a clearance needs to be no caution."""
        margin_mm = self.margins_mm.get(structure) or 0.0
        return max(band_mm, self.soft_mm.get(structure, 0.0) - margin_mm)

    def is_displaced(self, structure: str) -> bool:
        """Whether the plan's clearance is to a mask that metal made larger."""
        if self.metal is None or structure not in self.structures:
            return False
        return self.structures[structure].role is not StructureRole.IMPLANT


def is_clearance(finding: FindingRecord) -> bool:
    """Whether the finding is about the clearance to a structure, bone included."""
    return finding.constraint in ("bone", "clearance", f"clearance:{finding.structure}")


def check_clearance(
    claim: str,
    claimed: float | None,
    structure: str,
    truth: Recomputed,
    book: Ledger,
    *,
    is_displaced: bool = False,
) -> None:
    """A clearance is what the masks give, rounded down, never larger; less beside metal."""
    book.between(
        claim,
        claimed,
        truth.clearance_mm(structure),
        under=np.inf if is_displaced else CLEARANCE_STEP_MM + NUMERIC_TOL_MM,
        over=NUMERIC_TOL_MM,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingChecker:
    """Checks the findings of one trajectory, one after the other."""

    plan: PlanDocument
    truth: Recomputed
    around: Surroundings
    book: Ledger
    path: TrajectoryRecord

    def check(self, number: int, finding: FindingRecord) -> None:
        """Its number is the trajectory's, its place is on the needle, its verdict follows."""
        claim = f"findings[{number}] {finding.constraint}"
        if finding.where_lps_mm is not None:
            off_mm = self.truth.gap_to_axis_mm(finding.where_lps_mm)
            self.book.close(
                f"{claim}.where_lps_mm is off the needle by", off_mm, 0.0, LENGTH_TOL_MM
            )
        if is_clearance(finding):
            self._clearance(claim, finding)
            return
        known = {
            "length": self._length,
            "skin_angle": self._skin_angle,
            "outside_body": self._outside_body,
            "coverage": self._coverage,
            "missing_structure": self._missing,
            "bone_crossed": self._crossed,
            "bone_entry_angle": self._bone_entry,
            "crossed": self._crossed,
            "bore": self._bore,
            "needle_artefact": self._artefact,
            "shaft_clearance": self._shaft,
            **dict.fromkeys(METAL_FINDINGS, self._metal),
            **dict.fromkeys(WAY_FINDINGS, self._way),
        }
        doubts = {f.constraint for f in self.around.doubts}
        if finding.constraint in doubts:
            self._doubt(claim, finding)
            return
        if finding.constraint in known:
            known[finding.constraint](claim, finding)
        else:
            note = "verification does not know this check"
            self.book.rule(claim, finding.measured, None, False, note)

    def _clearance(self, claim: str, finding: FindingRecord) -> None:
        name = finding.structure or ""
        if name not in self.around.boxes:
            self.book.same(f"{claim}.structure", name, None, note="no such structure was given")
            return
        truth, moved = self.truth, self.around.is_displaced(name)
        check_clearance(
            f"{claim}.measured", finding.measured, name, truth, self.book, is_displaced=moved
        )
        margins = {s.name: s.margin_mm for s in self.plan.structures}
        self.book.close(f"{claim}.required", finding.required, margins.get(name), 1e-9)
        if finding.where_lps_mm is not None and not moved:
            where = np.array(finding.where_lps_mm)
            there = self.around.boxes[name].nearest_to_segment(where, where)
            self.book.close(
                f"{claim}.where_lps_mm: distance to the structure",
                there.distance_mm,
                truth.nearest[name].distance_mm,
                LENGTH_TOL_MM,
            )
        if finding.required is not None:
            exact_mm = truth.clearance_mm(name)
            if moved and finding.measured is not None:
                exact_mm = min(exact_mm, finding.measured)
            room_mm = exact_mm - finding.required
            band_mm = self.around.caution_band_mm(name, self.plan.procedure.caution_band_mm)
            self._verdict(claim, finding, room_mm, band_mm)

    def _length(self, claim: str, finding: FindingRecord) -> None:
        length_mm = self.truth.length_mm
        longest_mm = self.plan.needle.length_mm - self.plan.procedure.length_reserve_mm
        self.book.close(f"{claim}.measured", finding.measured, length_mm, ROUNDING)
        self.book.close(f"{claim}.required", finding.required, longest_mm, 1e-9)
        shortest_mm = self.plan.procedure.min_length_mm or 0.0
        self._verdict(claim, finding, min(longest_mm - length_mm, length_mm - shortest_mm), 0.0)

    def _skin_angle(self, claim: str, finding: FindingRecord) -> None:
        angle_deg, largest_deg = self.truth.skin_normal_deg, self.plan.procedure.max_skin_angle_deg
        self.book.close(f"{claim}.measured", finding.measured, angle_deg, ROUNDING)
        self.book.close(f"{claim}.required", finding.required, largest_deg, 1e-9)
        if largest_deg is not None:
            self._verdict(claim, finding, largest_deg - angle_deg, 0.0)

    def _outside_body(self, claim: str, finding: FindingRecord) -> None:
        needed = Verdict.PASS if self.truth.is_in_body else Verdict.FAIL
        self._same_verdict(claim, finding, needed)

    def _coverage(self, claim: str, finding: FindingRecord) -> None:
        """What lies beyond a mask's or the image's edge is unknown."""
        self._same_verdict(claim, finding, Verdict.UNKNOWN)
        if finding.structure is not None:
            needed_mm = self.around.reach_mm(finding.structure)
            self.book.close(f"{claim}.required", finding.required, needed_mm, 1e-9)
            return
        room_mm, radius_mm = self.truth.cut_room_mm, self.truth.radius_mm
        reaches_mm = (self.around.reach_mm(name) for name in self.around.margins_mm)
        short_mm = [m for m in reaches_mm if m is not None and room_mm < m + radius_mm]
        if self.truth.face_room_mm < radius_mm:
            room_mm = min(room_mm, self.truth.face_room_mm)
        self.book.close(f"{claim}.measured", finding.measured, max(room_mm, 0.0), ROUNDING)
        self.book.close(f"{claim}.required", finding.required, max(short_mm, default=0.0), 1e-9)

    def _missing(self, claim: str, finding: FindingRecord) -> None:
        self._same_verdict(claim, finding, Verdict.UNKNOWN)
        required_mm = self.around.required_mm.get(finding.structure or "")
        self.book.close(f"{claim}.required", finding.required, required_mm, 1e-9)

    def _doubt(self, claim: str, finding: FindingRecord) -> None:
        """What the masks themselves say against them, read again from their files."""
        of = [
            f.verdict
            for f in self.around.doubts
            if (f.constraint, f.structure) == (finding.constraint, finding.structure)
        ]
        self._same_verdict(claim, finding, Verdict.worst(of))

    def _crossed(self, claim: str, finding: FindingRecord) -> None:
        name = finding.structure or ""
        if name not in self.around.structures:
            self.book.same(f"{claim}.structure", name, None, note="no such structure was given")
            return
        structure, protocol = self.around.structures[name], self.around.protocol
        is_soft = finding.constraint == "crossed"
        kind = is_vital(structure) if is_soft else structure.role is StructureRole.BONE
        self.book.rule(f"{claim} is of its kind", name, kind, kind)
        needed = Verdict.CAUTION if is_soft else bone_verdict(structure, protocol)
        self._same_verdict(claim, finding, needed)
        may_be_crossed = self.around.margins_mm[name] is None
        self.book.rule(f"{claim} is allowed", name, may_be_crossed, may_be_crossed)
        mask = self.around.structures[name].mask
        crossed_mm = length_in_mm(mask, self.truth)
        self.book.close(f"{claim}.measured", finding.measured, crossed_mm, ROUNDING + 1e-4)

    def _bone_entry(self, claim: str, finding: FindingRecord) -> None:
        bone = None if self.around.way is None else self.around.way.bones
        is_asked = bone is not None and tells_entry_angle(self.around.protocol)
        self.book.rule(f"{claim} is told of bone", finding.structure, None, is_asked)
        self._same_verdict(claim, finding, Verdict.PASS)
        if bone is not None:
            entry, end = self.truth.entry_lps_mm, self.truth.axis_end_lps_mm
            check_bone_entry(claim, finding, bone, entry, end, self.book)

    def _bore(self, claim: str, finding: FindingRecord) -> None:
        self.book.close(f"{claim}.required", finding.required, 0.0, 0.0)

    def _artefact(self, claim: str, finding: FindingRecord) -> None:
        check_artefact_finding(
            claim, finding, self.path, self.plan, self.around.structures, self.book
        )

    def _way(self, claim: str, finding: FindingRecord) -> None:
        assert self.around.way is not None
        check_way_finding(
            claim, finding, self.path, self.around.way, self.truth.radius_mm, self.book
        )
        check_way_shape(claim, finding, self.around.way, self.truth.radius_mm, self.book)

    def _shaft(self, claim: str, finding: FindingRecord) -> None:
        name = finding.structure or ""
        if name not in self.around.boxes:
            self.book.same(f"{claim}.structure", name, None, note="no such structure was given")
            return
        band_mm = self.around.caution_band_mm(name, self.plan.procedure.caution_band_mm)
        check_shaft(
            claim,
            finding,
            self.path,
            self.around.boxes[name],
            self.around.shaft_mm.get(name),
            self.truth.radius_mm,
            band_mm,
            self.book,
            is_displaced=self.around.is_displaced(name),
        )

    def _metal(self, claim: str, finding: FindingRecord) -> None:
        check_metal_finding(claim, finding, self.path, self.plan.target.tolerance_mm, self.book)

    def _same_verdict(self, claim: str, finding: FindingRecord, needed: Verdict) -> None:
        self.book.rule(
            f"{claim}.verdict", str(finding.verdict), str(needed), finding.verdict is needed
        )

    def _verdict(self, claim: str, finding: FindingRecord, room: float, band: float) -> None:
        """The verdict that the room over the limit gives; either one at the very limit."""
        allowed = {
            _verdict_of(room - NUMERIC_TOL_MM, band),
            _verdict_of(room + NUMERIC_TOL_MM, band),
        }
        self.book.rule(
            f"{claim}.verdict",
            str(finding.verdict),
            str(_verdict_of(room, band)),
            finding.verdict in allowed,
        )


def check_not_passed(trajectory: TrajectoryRecord, claim: str, is_kept: bool, book: Ledger) -> None:
    """A path that breaks the rule must not be called pass or caution."""
    book.rule(claim, str(trajectory.verdict), is_kept, is_kept or trajectory.verdict not in _GOOD)


def _verdict_of(room: float, caution_band: float) -> Verdict:
    if room >= caution_band:
        return Verdict.PASS
    return Verdict.CAUTION if room >= 0.0 else Verdict.FAIL


def length_in_mm(mask: Mask, truth: Recomputed) -> float:
    """Length of the needle, throw included, in the voxels of a mask."""
    walk = walk_voxels(truth.entry_lps_mm, truth.axis_end_lps_mm, mask.grid)
    return float(np.sum((walk.to_mm - walk.from_mm)[walk.inside(mask)]))


def gap_mm(a: FloatArray, b: Point | FloatArray) -> float:
    """Distance of two points."""
    return float(np.sqrt(((a - np.asarray(b)) ** 2).sum()))


def angle_deg(a: FloatArray, b: FloatArray) -> float:
    """Angle between two directions, exact for small angles too."""
    across = np.sqrt((np.cross(a, b) ** 2).sum())
    return float(np.rad2deg(np.arctan2(across, a @ b)))
