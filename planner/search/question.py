"""Everything needed to explain why nothing is feasible."""

from __future__ import annotations

from dataclasses import dataclass

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.model import Needle, Protocol
from planner.safety import FieldCache
from planner.search.batch import AxisBatch
from planner.search.evaluate import TracedObstacle
from planner.search.gates import Gate
from planner.search.limits import Limit


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Question:
    """Everything needed to ask each constraint about each candidate."""

    batch: AxisBatch
    tips_lps_mm: FloatArray
    """All tips that were tried, (n, 3); several in a target region."""
    limits: tuple[Limit, ...]
    traced: tuple[TracedObstacle, ...]
    cache: FieldCache
    gates: tuple[Gate, ...]
    body_mask: Mask
    needle: Needle
    protocol: Protocol
    nearest_skin_mm: float | None
    """From the target to the nearest skin in view; None when there is none."""
