"""Needles whose numbers were meant otherwise: the other frame, entry and tip exchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner.io.plan_document import TrajectoryRecord

FAR_MM = 20.0
"""A needle that lies off by so much makes one look for a mix-up,"""

NEAR_MM = 15.0
"""and one that would lie so near otherwise is told."""

Ends = tuple[Sequence[float], Sequence[float]]


def mix_up_text(planned: TrajectoryRecord, ends_lps_mm: Ends) -> str | None:
    """How entry and tip may have been meant, where that fits the plan and they do not.

    Parameters
    ----------
    planned : TrajectoryRecord
    ends_lps_mm : entry and tip as given, LPS
    """
    if _off_mm(planned, ends_lps_mm) <= FAR_MM:
        return None
    flipped: Ends = (_flipped(ends_lps_mm[0]), _flipped(ends_lps_mm[1]))
    ways = (
        ("in the other of LPS and RAS (--frame)", flipped),
        ("with entry and tip exchanged", ends_lps_mm[::-1]),
        ("in the other frame (--frame) and with entry and tip exchanged", flipped[::-1]),
    )
    off_mm, words = min((_off_mm(planned, ends), words) for words, ends in ways)
    if not off_mm <= NEAR_MM:
        return None
    return f"Read {words}, the needle would lie within {off_mm:.1f} mm of the plan: look again."


def _off_mm(planned: TrajectoryRecord, ends: Ends) -> float:
    return max(math.dist(planned.entry_lps_mm, ends[0]), math.dist(planned.tip_lps_mm, ends[1]))


def _flipped(point: Sequence[float]) -> Sequence[float]:
    return (-point[0], -point[1], point[2])
