"""How numbers, angles and findings are put into words, the same in every output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model import Angles, Clearance, Finding, Trajectory, Verdict, verdict_of_margin

_MOST_DECIMALS = 9


def number(value: float | None, decimals: int) -> str:
    """A number, or ``"unknown"`` when there is none; never ``nan``."""
    if value is None or not np.isfinite(value):
        return "unknown"
    return f"{value:.{decimals}f}"


def compared(measured: float | None, required: float | None) -> tuple[str, str]:
    """A measured value and its limit with so many decimals that different numbers look different.

    Two decimals where they tell the two apart, as many as it takes otherwise:
    2.996 against 3 is ``("2.996", "3.000")``, never ``("3.00", "3.00")``.
    """
    if measured is None or required is None or measured == required:
        return number(measured, 2), number(required, 2)
    texts = number(measured, 2), number(required, 2)
    for decimals in range(3, _MOST_DECIMALS):
        if "unknown" in texts:
            break
        shown, limit = (float(text) for text in texts)
        if shown != limit and (limit != 0.0 or required == 0.0):
            break
        texts = number(measured, decimals), number(required, decimals)
    return texts


def limit_text(required: float | None) -> str:
    """A limit without idle zeros: ``"0.01"``, ``"0.5"``, ``"10"``; never rounded to zero."""
    if required is None or not np.isfinite(required):
        return "unknown"
    return f"{required:.4f}".rstrip("0").rstrip(".") if abs(required) >= 1e-4 else f"{required:g}"


def clearance_text(clearance_mm: float, required_mm: float) -> str:
    """A clearance with its limit, e.g. ``"1.76 mm (needs 0.01)"``."""
    measured, required = compared(clearance_mm, required_mm)
    short = limit_text(required_mm)
    return f"{measured} mm (needs {short if len(short) <= len(required) else required})"


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``"1 path"``, ``"1,200 paths"``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(names: Iterable[str], n_max: int) -> str:
    """Names in a sentence, at most ``n_max`` of them: ``"a, b and 4 more"``."""
    every: Sequence[str] = list(dict.fromkeys(names))
    if len(every) > n_max:
        return f"{', '.join(every[:n_max])} and {len(every) - n_max} more"
    return " and ".join(filter(None, (", ".join(every[:-1]), *every[-1:])))


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
        measured, required = compared(finding.measured, finding.required)
        limit = "" if finding.required is None else f", required {required}"
        parts.append(f"measured {measured}{limit}{unit}")
    if finding.note:
        parts.append(finding.note)
    return f"{what}: {'; '.join(parts)}" if parts else what
