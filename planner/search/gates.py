"""Tests of whole paths that are asked last, of those that nothing else refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.walk import BodyWalker
from planner.model import Needle
from planner.safety.checks import skin_slack_mm
from planner.safety.way_rules import WayRule
from planner.search.batch import AxisBatch

SHAFT_START_MM = 5.0
"""The needle outside the skin is checked from here on: nearer, the voxels of the
entry's own skin are grazed by any oblique needle."""

OUTSIDE_BODY = "outside_body"
SHAFT = "shaft_blocked"

Test = Callable[[AxisBatch, NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Gate:
    """One test: which of the active paths pass it, (m,); ``what`` the others do, in words."""

    constraint: str
    what: str
    passes: Test
    rule: WayRule | None = None


def body_gates(body: BodyWalker, needle: Needle) -> tuple[Gate, ...]:
    """In the body all the way, and free of it outside."""
    return (
        Gate(
            constraint=OUTSIDE_BODY,
            what="would leave the imaged body on the way",
            passes=lambda batch, active: path_is_in_body(batch, body, active),
        ),
        Gate(
            constraint=SHAFT,
            what="would have the needle's outer part meet the body",
            passes=lambda batch, active: shaft_is_free(batch, body, needle, active),
        ),
    )


def rule_gates(rules: tuple[WayRule, ...]) -> tuple[Gate, ...]:
    """The procedure's rules that take long to ask."""
    return tuple(
        Gate(
            constraint=rule.constraint,
            what=f"would break the rule: {rule.words}",
            passes=lambda batch, active, rule=rule: rule.ok(measured(rule, batch, active)),  # type: ignore[misc]
            rule=rule,
        )
        for rule in rules
        if rule.is_hard and not rule.is_quick
    )


def measured(rule: WayRule, batch: AxisBatch, active: NDArray[np.int64]) -> FloatArray:
    """The number of a rule for active paths, (m,)."""
    if active.size == 0:
        return np.zeros(0)
    return rule.measure(
        batch.entry_lps_mm[active],
        np.ascontiguousarray(batch.tip_lps_mm[active]),
        np.ascontiguousarray(batch.end_lps_mm[active]),
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
    start, hub = batch.shaft_axes_mm(needle, SHAFT_START_MM, active)
    nothing_outside = needle.length_mm - batch.length_mm[active] <= SHAFT_START_MM
    return nothing_outside | body.stays_outside(start, hub, np.arange(active.size))
