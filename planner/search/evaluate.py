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
from planner.geometry.walk import BodyWalker
from planner.model import Needle
from planner.progress import ProgressCallback
from planner.safety.checks import skin_slack_mm
from planner.safety.obstacles import Obstacle
from planner.search.batch import AxisBatch
from planner.search.cost import clearance_cost
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
        # The bound is at least what is required; subtracting may round it to a hair below.
        clearance = np.maximum(traced - radius_mm, self.obstacle.required_mm)
        return np.where(traced < 0.0, -np.inf, clearance)


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
    body: BodyWalker,
    needle: Needle,
    progress: ProgressCallback,
) -> Evaluation:
    """Feasibility of all candidates, each rejection under the first constraint that failed."""
    found = _Rejections(len(batch))
    room = _Room(len(batch))
    for limit in limits:
        found.reject(limit.constraint, ~limit.ok[found.active])
    order = _binding_order(batch, obstacles, needle.radius_mm, found.active)
    for done, number in enumerate(order):
        item = obstacles[number]
        progress("tracing paths", done / max(len(order), 1))
        enough = room.enough_mm(item.obstacle, found.active)
        bound = item.bounds(batch, needle.radius_mm, found.active, enough)
        room.take(item.obstacle, found.active, bound)
        found.reject(item.obstacle.constraint, ~(bound >= item.obstacle.required_mm))
    found.reject(OUTSIDE_BODY, ~path_is_in_body(batch, body, found.active))
    found.reject(SHAFT, ~shaft_is_free(batch, body, needle, found.active))
    progress("tracing paths", 1.0)
    survivors = found.active
    return Evaluation(
        rejected_by=found.names(),
        survivors=survivors,
        clearance_cost=room.cost[survivors],
        least_clearance_mm=room.least_mm[survivors],
        is_tight=room.is_tight[survivors],
    )


def path_is_in_body(
    batch: AxisBatch, body: BodyWalker, active: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each path lies in the body from just beneath the skin to its end, shape (m,)."""
    beneath = batch.beneath_skin_axes_mm(skin_slack_mm(body.grid), active)
    return body.stays_inside(batch.end_axes_mm[active], beneath, np.arange(active.size))


def shaft_is_free(
    batch: AxisBatch, body: BodyWalker, needle: Needle, active: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the needle outside the skin meets no other part of the body, shape (m,)."""
    start, hub = batch.shaft_axes_mm(needle, _SHAFT_START_MM, active)
    nothing_outside = needle.length_mm - batch.length_mm[active] <= _SHAFT_START_MM
    return nothing_outside | body.stays_outside(start, hub, np.arange(active.size))


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
        return np.asarray(np.array(self._ids)[self._reason])


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
