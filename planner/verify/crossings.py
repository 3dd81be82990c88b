"""What a path goes through where it may: bone, and what the user opted in to, measured again."""

from __future__ import annotations

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.io.plan_document import FindingRecord
from planner.model import Protocol, Structure, StructureRole, Verdict
from planner.verify.inputs import asked_margin_mm
from planner.verify.ledger import Ledger
from planner.verify.way_numbers import cortex_deg, inside_mm

SURFACE_TOL_DEG = 20.0
"""Two ways to smooth a surface of voxels agree to this at edges; the number decides nothing."""

GRAZED_MM = 0.01
VITAL = ("nerve", "vessel", "spinal_canal", "bowel", "kidney", "pleura_lung", "organ")


def bone_verdict(structure: Structure, protocol: Protocol | None) -> Verdict:
    """Of crossed bone: a caution where the procedure by itself keeps off this one."""
    is_kept_off = protocol is not None and asked_margin_mm(structure, protocol) is not None
    return Verdict.CAUTION if is_kept_off else Verdict.PASS


def is_vital(structure: Structure) -> bool:
    """Whether going through it is told as a caution, where it may be crossed at all."""
    return structure.role is StructureRole.AVOID and structure.structure_class in VITAL


def tells_entry_angle(protocol: Protocol | None) -> bool:
    """Whether crossed bone has its angle told without a limit: the procedure has no rule."""
    return protocol is not None and protocol.cortex_angle_deg is None


def check_bone_entry(
    claim: str,
    finding: FindingRecord,
    mask: Mask,
    entry: FloatArray,
    end: FloatArray,
    book: Ledger,
) -> None:
    """The angle at which a bone is entered: information, with no limit.

    A corner that is grazed by less than the rounding of numbers has any angle.
    """
    about = finding.structure
    book.rule(f"{claim}.structure", about, None, about is None)
    found = cortex_deg(mask, entry, end)
    if finding.measured is not None and not inside_mm(mask, entry, end) > GRAZED_MM:
        book.between(f"{claim}.measured", finding.measured, 0.0, under=90.0, over=90.0)
    elif finding.measured is None:
        book.rule(f"{claim}.measured", None, found, found is None)
    else:
        book.close(f"{claim}.measured", finding.measured, found, SURFACE_TOL_DEG)
    book.close(f"{claim}.required", finding.required, None, 0.0)
    book.rule(f"{claim}.unit", finding.unit, "degrees", finding.unit == "degrees")
