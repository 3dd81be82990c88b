"""Rules about the way from the skin: towards or away from the midline, and how deep."""

from __future__ import annotations

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model import Protocol
from planner.safety.way_rules import WayRule

DIRECTION = "direction"
NO_SIDE_MM = 3.0
"""A tip this near to the midline has no side."""


def entry_rules(protocol: Protocol, midline_l_mm: float | None) -> tuple[WayRule, ...]:
    """The direction across the patient, and the published depth (never a limit).

    Parameters
    ----------
    protocol : Protocol
    midline_l_mm : float or None
        L of the patient's middle at the target, None where it is not known.
    """
    rules = []
    if protocol.direction is not None and midline_l_mm is not None:
        runs_in = protocol.direction == "lateral_to_medial"
        middle = midline_l_mm
        rules.append(
            WayRule(
                constraint=DIRECTION,
                words=f"the needle runs {protocol.direction.replace('_', ' ')}: "
                "how much farther from the midline the entry is than the tip",
                unit="mm",
                measure=lambda entries, tips, ends: outwards_mm(entries, tips, middle),
                low=0.0 if runs_in else -np.inf,
                high=np.inf if runs_in else 0.0,
                evidence=protocol.direction_evidence,
                is_hard=protocol.direction_is_hard,
                passes_unmeasured=True,
            )
        )
    depth = protocol.depth_mm
    if depth is not None:
        rules.append(
            WayRule(
                constraint="depth",
                words="depth from skin to tip against the published range",
                unit="mm",
                measure=lambda entries, tips, ends: np.linalg.norm(tips - entries, axis=1),
                low=depth.low,
                high=depth.high,
                evidence=depth.evidence,
                is_hard=False,
            )
        )
    return tuple(rules)


def outwards_mm(entries: FloatArray, tips: FloatArray, midline_l_mm: float) -> FloatArray:
    """How much farther from the midline entries are than tips; NaN for a tip in the middle."""
    off = tips[:, 0] - midline_l_mm
    side = np.where(np.abs(off) > NO_SIDE_MM, np.sign(off), np.nan)
    return np.asarray(side * (entries[:, 0] - tips[:, 0]))
