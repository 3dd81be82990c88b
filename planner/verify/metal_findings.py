"""Findings about metal: verdicts that follow from the path's numbers."""

from __future__ import annotations

import numpy as np

from planner.io.plan_document import FindingRecord, SusceptibilityRecord, TrajectoryRecord
from planner.model import Verdict
from planner.verify.ledger import Ledger

VOID = "MR void"
METAL_FINDINGS = ("mr_void", "mr_distorted", "mr_unknown", "target_shift")
ROUNDING = 0.005 + 1e-6
_GOOD = (Verdict.PASS, Verdict.CAUTION)


def check_metal_finding(
    claim: str, finding: FindingRecord, path: TrajectoryRecord, tolerance_mm: float, book: Ledger
) -> None:
    """Verdicts of the findings about metal follow from their numbers."""
    measured, needed = finding.measured, finding.required
    if finding.constraint == "mr_void":
        book.close(f"{claim}.measured", measured, path.clearance_mm.get(VOID), 1e-9)
        is_clear = measured is not None and needed is not None and measured >= needed >= 0.01
        wanted = Verdict.PASS if is_clear else Verdict.FAIL
    elif finding.constraint == "target_shift":
        book.close(f"{claim}.required", needed, tolerance_mm, 1e-9)
        wanted = _target_verdict(claim, finding, path, book, tolerance_mm)
    elif finding.constraint == "mr_distorted":
        record = path.susceptibility
        zones = record.zones_mm if isinstance(record, SusceptibilityRecord) else {}
        book.close(f"{claim}.measured", measured, zones.get("distorted"), ROUNDING)
        wanted = Verdict.PASS
    else:
        is_bad = finding.verdict not in _GOOD
        book.rule(f"{claim}.verdict", str(finding.verdict), "unknown", is_bad)
        return
    book.rule(f"{claim}.verdict", str(finding.verdict), str(wanted), finding.verdict is wanted)


def _target_verdict(
    claim: str,
    finding: FindingRecord,
    path: TrajectoryRecord,
    book: Ledger,
    tolerance_mm: float,
) -> Verdict:
    """Metal over the tolerance fails; marrow's chemical shift alone is a caution."""
    measured = finding.measured
    record = path.susceptibility
    if isinstance(record, SusceptibilityRecord):
        shift = record.target_shift
        book.close(f"{claim}.measured", measured, shift.total_mm, ROUNDING)
        metal_mm = float(np.hypot(shift.readout_mm, shift.slice_mm))
        total_mm = shift.total_mm
    else:
        metal_mm, total_mm = 0.0, np.inf if measured is None else measured
    if not metal_mm <= tolerance_mm:
        return Verdict.FAIL
    return Verdict.PASS if total_mm <= tolerance_mm else Verdict.CAUTION
