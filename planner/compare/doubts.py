"""Why a needle that keeps its margins is not called safe all the same."""

from __future__ import annotations

from planner.compare.errors_mm import PlacementErrors
from planner.io.plan_document import PlanDocument, TrajectoryRecord
from planner.model import StructureRole, Verdict

METAL_NOTE = "to the mask as drawn: the shift of the image beside metal is not counted"
TURNED_NOTE = "the needle points against the plan: entry and tip may be mixed up"
LONGER_NOTE = "marked longer than the needle of the plan: another needle, or not its ends"
MOST_ANGLE_DEG = 90.0
_MEASURED_HERE = ("coverage", "missing_structure")
"""Findings of a plan that belong to its path alone, or have a row of their own here."""


def doubts_of(plan: PlanDocument, errors: PlacementErrors) -> tuple[str, ...]:
    """Why no clearance of this needle passes, if there is a reason."""
    is_metal = bool(plan.implants) or any(s.role is StructureRole.IMPLANT for s in plan.structures)
    # without a known field the shift is unknown, not zero: only CT draws metal where it is
    is_shifted = is_metal and (plan.image.modality != "CT" or plan.mr is not None)
    is_along = errors.angle_deg <= MOST_ANGLE_DEG
    is_as_long = errors.actual_depth_mm <= plan.needle.length_mm
    found = ((not is_along, TURNED_NOTE), (not is_as_long, LONGER_NOTE), (is_shifted, METAL_NOTE))
    return tuple(note for is_so, note in found if is_so)


def unknowns_of(plan: PlanDocument, planned: TrajectoryRecord) -> tuple[str, ...]:
    """What the plan did not know of this path and was not measured anew, in words."""
    found = []
    for finding in planned.findings:
        if finding.verdict is Verdict.UNKNOWN and finding.constraint not in _MEASURED_HERE:
            what = finding.constraint.replace("_", " ")
            of = f" ({finding.structure})" if finding.structure else ""
            found.append(f"{what}{of}: {finding.note}" if finding.note else f"{what}{of}")
    has_reason = any(f.verdict is Verdict.UNKNOWN for f in planned.findings)
    if planned.verdict is Verdict.UNKNOWN and not has_reason:
        found.append("the path of the plan is UNKNOWN, and no finding says why")
    if plan.verdict is Verdict.UNKNOWN and plan.worst_verdict is not planned.worst_verdict:
        found.append("the plan as a whole is UNKNOWN")
    return tuple(dict.fromkeys(found))
