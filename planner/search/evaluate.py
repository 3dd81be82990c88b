"""All candidates against all hard constraints, cheapest and most binding first.

The search asks, the safety room's fields and the exact kernel decide: a
candidate is feasible only if no constraint could be shown to fail and each was
shown to hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.geometry.trace import TraceTarget
from planner.geometry.walk import stays_inside, stays_outside
from planner.model import Needle
from planner.progress import ProgressCallback
from planner.safety.obstacles import Obstacle
from planner.search.batch import AxisBatch
from planner.search.limits import Limit

_PILOT = 512
"""Candidates, evenly spread, on which the obstacles are put in order of how many they reject."""
_SHAFT_START_MM = 5.0
"""The needle outside the skin is checked from here on: nearer, the voxels of the
entry's own skin are grazed by any oblique needle."""

OUTSIDE_BODY = "outside_body"
SHAFT = "shaft_blocked"
BONE = "bone"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TracedObstacle:
    """An obstacle with its field."""

    obstacle: Obstacle
    target: TraceTarget

    def bounds(self, batch: AxisBatch, radius_mm: float, active: NDArray[np.int64]) -> FloatArray:
        """Certified lower bounds of the clearance (mm); negative infinity where rejected."""
        traced = self.target.trace(
            batch.end_axes_mm,
            batch.entry_axes_mm,
            self.obstacle.required_mm + radius_mm,
            self.obstacle.clear_mm + radius_mm,
            active,
        )
        return np.where(traced < 0.0, -np.inf, traced - radius_mm)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """What became of every candidate.

    ``clearance_mm`` maps each obstacle to lower bounds for ``survivors``, the
    indices of the feasible candidates.
    """

    rejected_by: NDArray[np.str_]
    survivors: NDArray[np.int64]
    clearance_mm: dict[str, FloatArray]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Which candidates no constraint rejected."""
        return np.asarray(self.rejected_by == "")


def evaluate(
    batch: AxisBatch,
    limits: tuple[Limit, ...],
    obstacles: tuple[TracedObstacle, ...],
    body: Mask,
    needle: Needle,
    progress: ProgressCallback,
) -> Evaluation:
    """Feasibility of all candidates, each rejection under the first constraint that failed."""
    verdict = _Rejections(len(batch))
    for limit in limits:
        verdict.reject(limit.constraint, ~limit.ok[verdict.active])
    order = _binding_order(batch, obstacles, needle.radius_mm, verdict.active)
    bounds: dict[str, FloatArray] = {}
    for done, number in enumerate(order):
        item = obstacles[number]
        progress("tracing paths", done / max(len(order), 1))
        bound = item.bounds(batch, needle.radius_mm, verdict.active)
        keep = bound >= item.obstacle.required_mm
        bounds = {name: values[keep] for name, values in bounds.items()}
        bounds[item.obstacle.name] = bound[keep]
        verdict.reject(item.obstacle.constraint, ~keep)
    for constraint, ok in _body_checks(batch, body, needle, verdict):
        bounds = {name: values[ok] for name, values in bounds.items()}
        verdict.reject(constraint, ~ok)
    progress("tracing paths", 1.0)
    return Evaluation(rejected_by=verdict.names(), survivors=verdict.active, clearance_mm=bounds)


class _Rejections:
    """Which candidates are still in, and why the others are not."""

    def __init__(self, n: int) -> None:
        self._reason = np.zeros(n, dtype=np.int16)
        self._ids: list[str] = [""]
        self.active = np.arange(n)

    def reject(self, constraint: str, is_bad: NDArray[np.bool_]) -> None:
        if constraint not in self._ids:
            self._ids.append(constraint)
        self._reason[self.active[is_bad]] = self._ids.index(constraint)
        self.active = self.active[~is_bad]

    def names(self) -> NDArray[np.str_]:
        return np.asarray(np.array(self._ids)[self._reason])


def _body_checks(  # type: ignore[no-untyped-def]
    batch: AxisBatch, body: Mask, needle: Needle, verdict: _Rejections
):
    """Yield (constraint, ok over the still active), one after the other."""
    yield (
        OUTSIDE_BODY,
        stays_inside(body, batch.end_axes_mm, batch.entry_axes_mm, verdict.active),
    )
    start, hub = batch.shaft_axes_mm(body.grid, needle, _SHAFT_START_MM)
    yield SHAFT, stays_outside(body, start, hub, verdict.active)


def shaft_is_free(batch: AxisBatch, body: Mask, needle: Needle) -> NDArray[np.bool_]:
    """Whether the needle outside the skin meets no other part of the body, shape (n,)."""
    start, hub = batch.shaft_axes_mm(body.grid, needle, _SHAFT_START_MM)
    return stays_outside(body, start, hub, np.arange(len(batch)))


def _binding_order(
    batch: AxisBatch,
    obstacles: tuple[TracedObstacle, ...],
    radius_mm: float,
    active: NDArray[np.int64],
) -> list[int]:
    """Obstacles by how many of a pilot sample they reject, most first; ties keep their order."""
    if active.size == 0:
        return list(range(len(obstacles)))
    pilot = active[:: max(1, active.size // _PILOT)]
    rejected = [
        int(np.count_nonzero(np.isneginf(item.bounds(batch, radius_mm, pilot))))
        for item in obstacles
    ]
    return sorted(range(len(obstacles)), key=lambda number: -rejected[number])
