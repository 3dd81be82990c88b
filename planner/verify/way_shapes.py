"""What a finding on the way to the target is about, its unit and its limit.

Its number and its verdict are checked beside it (``way_findings``); here is what stands in the
same row and misleads as much: "4 mm, required 1" where the procedure asks for 3.
"""

from __future__ import annotations

import math

from planner.io.plan_document import FindingRecord
from planner.verify.ledger import Ledger
from planner.verify.way import WayTruth
from planner.verify.way_findings import REGION_FINDINGS, limits_of

UNITS = {
    "joint_plane": "degrees",
    "cortex_angle": "degrees",
    "disc_obliquity": "degrees",
    "patient_rotated": "degrees",
    "safe_triangle_area": "mm2",
    "tip_height": "",
    "tip_central": "",
}
"""Of the others: millimetres."""

OWN_LIMIT = ("joint_gap",)
"""Their limit is no number of the procedure, and is checked with their number."""

TOL = 1e-6
NEAREST_TOL = 0.02
"""Numbers are rounded: in the middle between two limits either may be the nearer one."""


def check_way_shape(
    claim: str, finding: FindingRecord, way: WayTruth, radius_mm: float, book: Ledger
) -> None:
    """It is about no structure, in the unit of its kind, against the limit of the procedure."""
    name = finding.constraint
    book.rule(f"{claim}.structure", finding.structure, None, finding.structure is None)
    is_asked = name in REGION_FINDINGS or way.expected.get(name, False)
    is_doubt = name == "target_region" or not is_asked
    if name in REGION_FINDINGS and finding.measured is None:
        is_doubt = True  # what should have been measured: its verdict is checked with its number
    if is_doubt:
        for key in ("measured", "required"):
            book.close(f"{claim}.{key}", getattr(finding, key), None, 0.0)
    unit = "" if is_doubt else UNITS.get(name, "mm")
    book.rule(f"{claim}.unit", finding.unit, unit, finding.unit == unit)
    if not is_doubt and name not in OWN_LIMIT and way.protocol is not None:
        low, high, _ = limits_of(name, way.protocol, radius_mm)
        wanted = _nearest([v for v in (low, high) if math.isfinite(v)], finding)
        book.close(f"{claim}.required", finding.required, wanted, TOL)


def _nearest(limits: list[float], finding: FindingRecord) -> float | None:
    """The limit that the number is nearest to; the claimed one where it is as near."""
    if not limits:
        return None
    measured = finding.measured
    if measured is None:
        return min(limits)
    best = min(abs(limit - measured) for limit in limits)
    near = [limit for limit in limits if abs(limit - measured) <= best + NEAREST_TOL]
    told = [v for v in near if finding.required is not None and abs(v - finding.required) <= TOL]
    return (told or near)[0]
