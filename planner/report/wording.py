"""How numbers, angles and findings are put into words, the same in every output."""

from __future__ import annotations

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model import Angles, Clearance, Finding, Trajectory, Verdict, verdict_of_margin


def number(value: float | None, decimals: int) -> str:
    """A number, or ``"unknown"`` when there is none; never ``nan``."""
    if value is None or not np.isfinite(value):
        return "unknown"
    return f"{value:.{decimals}f}"


def point_text(point_lps_mm: FloatArray) -> str:
    """Three coordinates to 0.1 mm."""
    return "(" + ", ".join(number(float(v), 1) for v in point_lps_mm) + ")"


def towards(angle_deg: float, positive: str, negative: str) -> str:
    """An angle with the side the tip points to, e.g. ``"23° tip to R"``."""
    if not np.isfinite(angle_deg):
        return "unknown"
    if round(abs(angle_deg)) == 0:
        return "0°"
    return f"{abs(angle_deg):.0f}° tip to {positive if angle_deg > 0 else negative}"


def angle_texts(angles: Angles) -> tuple[str, str, str, str]:
    """The four angles, each in a few words."""
    b0 = "unknown" if angles.b0_deg is None else f"{number(angles.b0_deg, 0)}°"
    return (
        f"axial {towards(angles.axial_deg, 'L', 'R')}",
        f"cranio-caudal {towards(angles.craniocaudal_deg, 'H', 'F')}",
        f"to skin normal {number(angles.skin_normal_deg, 0)}°",
        f"to B0 {b0}",
    )


def clearance_verdict(trajectory: Trajectory, item: Clearance) -> Verdict:
    """The worst finding about a structure; the bare comparison when there is none."""
    about = [f.verdict for f in trajectory.findings if f.structure == item.structure]
    bare = verdict_of_margin(item.clearance_mm, item.required_mm)
    return Verdict.worst([*about, bare])


def finding_text(finding: Finding) -> str:
    """What was checked, measured and required, in one line."""
    what = " ".join(filter(None, (finding.constraint.replace("_", " "), finding.structure)))
    parts = []
    if finding.measured is not None or not finding.note:
        unit = f" {finding.unit}" if finding.unit else ""
        parts.append(
            f"measured {number(finding.measured, 2)}, required {number(finding.required, 2)}{unit}"
        )
    if finding.note:
        parts.append(finding.note)
    return f"{what}: {'; '.join(parts)}" if parts else what
