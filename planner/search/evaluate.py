"""All candidates against all hard constraints, cheapest and most binding first.

The search asks, the safety room's fields and the exact kernel decide: a
candidate is feasible only if no constraint could be shown to fail and each was
shown to hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.trace import TraceTarget
from planner.model import Needle
from planner.progress import ProgressCallback
from planner.safety.obstacles import Obstacle
from planner.search.batch import AxisBatch
from planner.search.cost import clearance_cost
from planner.search.gates import Gate
from planner.search.limits import Limit

_PILOT = 512
"""Candidates, evenly spread, on which the obstacles are put in order of how many they reject."""
BONE = "bone"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TracedObstacle:
    """An obstacle with its field."""

    obstacle: Obstacle
    target: TraceTarget

    def bounds(
        self,
        batch: AxisBatch,
        radius_mm: float,
        active: NDArray[np.int64],
        enough_mm: FloatArray | None = None,
    ) -> FloatArray:
        """Certified lower bounds of the clearance (mm); negative infinity where rejected.

        ``enough_mm`` (m,): clearance from which more need not be told apart; by
        default the obstacle's clear distance.
        """
        enough = self.obstacle.clear_mm if enough_mm is None else enough_mm
        traced = self.target.trace(
            batch.end_axes_mm,
            batch.entry_axes_mm,
            self.obstacle.required_mm + radius_mm,
            enough + radius_mm,
            active,
        )
        if self.obstacle.shaft_mm is not None:
            traced = np.where(self._shaft_is_clear(batch, radius_mm, active), traced, -1.0)
        # The bound is at least what is required; subtracting may round it to a hair below.
        clearance = np.maximum(traced - radius_mm, self.obstacle.required_mm)
        return np.where(traced < 0.0, -np.inf, clearance)

    def _shaft_is_clear(
        self, batch: AxisBatch, radius_mm: float, active: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether all but the last stretch keeps the larger margin, (m,)."""
        needed = (self.obstacle.shaft_mm or 0.0) + radius_mm
        ends = batch.terminal_axes_mm(self.obstacle.terminal_mm)
        traced = self.target.trace(ends, batch.entry_axes_mm, needed, needed, active)
        return np.asarray(traced >= 0.0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """What became of every candidate.

    ``survivors`` are the indices of the feasible candidates; the arrays after
    it are theirs: the clearance cost of the worst obstacle, a lower bound of
    the smallest clearance (mm), and whether any margin is met by less than its
    caution band.
    """

    rejected_by: NDArray[np.str_]
    survivors: NDArray[np.int64]
    clearance_cost: FloatArray
    least_clearance_mm: FloatArray
    is_tight: NDArray[np.bool_]

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Which candidates no constraint rejected."""
        feasible = np.zeros(self.rejected_by.shape[0], dtype=bool)
        feasible[self.survivors] = True
        return feasible


def evaluate(
    batch: AxisBatch,
    limits: tuple[Limit, ...],
    obstacles: tuple[TracedObstacle, ...],
    gates: tuple[Gate, ...],
    needle: Needle,
    progress: ProgressCallback,
) -> Evaluation:
    """Feasibility of all candidates, each rejection under the first constraint that failed."""
    found = _Rejections(len(batch))
    room = _Room(len(batch))
    for limit in limits:
        found.reject(limit.constraint, ~limit.ok(found.active))
    order = _binding_order(batch, obstacles, needle.radius_mm, found.active)
    for done, number in enumerate(order):
        item = obstacles[number]
        progress("tracing paths", done / max(len(order), 1))
        enough = room.enough_mm(item.obstacle, found.active)
        bound = item.bounds(batch, needle.radius_mm, found.active, enough)
        room.take(item.obstacle, found.active, bound)
        found.reject(item.obstacle.constraint, ~(bound >= item.obstacle.required_mm))
    for gate in gates:
        found.reject(gate.constraint, ~gate.passes(batch, found.active))
    progress("tracing paths", 1.0)
    survivors = found.active
    return Evaluation(
        rejected_by=found.names(),
        survivors=survivors,
        clearance_cost=room.cost[survivors],
        least_clearance_mm=room.least_mm[survivors],
        is_tight=room.is_tight[survivors],
    )


class _Room:
    """The least clearance of each candidate so far, and what it costs."""

    def __init__(self, n: int) -> None:
        self.cost = np.zeros(n)
        self.least_mm = np.full(n, np.inf)
        self.is_tight = np.zeros(n, dtype=bool)

    def enough_mm(self, obstacle: Obstacle, active: NDArray[np.int64]) -> FloatArray:
        """Clearance to the next obstacle that could change neither cost, least nor caution."""
        span = obstacle.clear_mm - obstacle.required_mm
        same_cost = obstacle.required_mm + span * (1.0 - self.cost[active])
        enough = np.maximum(same_cost, np.minimum(self.least_mm[active], obstacle.clear_mm))
        enough = np.maximum(enough, obstacle.required_mm + obstacle.caution_mm)
        return np.asarray(np.minimum(enough, obstacle.clear_mm))

    def take(self, obstacle: Obstacle, active: NDArray[np.int64], bound_mm: FloatArray) -> None:
        """Count in the bounds of one more obstacle."""
        cost = clearance_cost(bound_mm, obstacle)
        self.cost[active] = np.maximum(self.cost[active], cost)
        self.least_mm[active] = np.minimum(self.least_mm[active], bound_mm)
        self.is_tight[active] |= ~(bound_mm >= obstacle.required_mm + obstacle.caution_mm)


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
        if is_bad.any():
            self.active = self.active[~is_bad]

    def names(self) -> NDArray[np.str_]:
        return np.take(np.array(self._ids), self._reason)


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
