"""Limits that follow from the axis alone: length, approach, skin angle, table, forbidden skin.

Each limit measures the candidates that it is asked about and says which satisfy it; NaN
never does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.angles import needle_angles_deg
from planner.geometry.frames import FloatArray
from planner.model import Needle, Protocol
from planner.model.mr_results import Bore
from planner.physics.bore import bore_room_mm
from planner.safety.way_rules import WayRule
from planner.search.batch import AxisBatch
from planner.search.gates import measured

TABLE_FACING_COSINE = 0.5
"""Skin that faces the table to within 60 degrees lies on it."""
BORE = "bore"
IMAGE_END = "image_end"
"""Rejects places on the body's outline where the image ends: padding, cuts, too little air."""

Indices = NDArray[np.int64]

HANDLE_MM = 60.0
"""Length of hub and handle beyond the shaft (engineering default, evidence E)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limit:
    """One limit on the axis.

    ``ok`` says of the candidates with the given indices which keep the limit; ``shortfall``
    by how much (in ``unit``) each misses it: 0 where it is kept, inf or NaN where no amount
    would help.
    """

    constraint: str
    ok: Callable[[Indices], NDArray[np.bool_]]
    shortfall: Callable[[Indices], FloatArray]
    unit: str = ""
    rule: WayRule | None = None


def axis_limits(
    batch: AxisBatch,
    protocol: Protocol,
    needle: Needle,
    *,
    down_lps: FloatArray | None,
    forbidden: NDArray[np.bool_] | None,
    is_image_end: NDArray[np.bool_] | None = None,
    bore: Bore | None = None,
    rules: tuple[WayRule, ...] = (),
) -> tuple[Limit, ...]:
    """All limits of the axis, in the order in which they are reported."""
    is_end = np.zeros(len(batch), dtype=bool) if is_image_end is None else is_image_end
    limits = [
        _never(IMAGE_END, is_end),
        _length(batch, protocol, needle),
        _approach(batch, protocol),
        _skin_angle(batch, protocol),
    ]
    if down_lps is not None:
        limits.append(_table(batch, needle, down_lps, ~is_end))
    if forbidden is not None:
        limits.append(_never("forbidden_entry", forbidden))
    if bore is not None and bore.centre_lp_mm is not None:
        limits.append(_bore(batch, needle, bore))
    limits += [_of_rule(rule, batch) for rule in rules if rule.is_hard and rule.is_quick]
    return tuple(limits)


def _of_rule(rule: WayRule, batch: AxisBatch) -> Limit:
    return Limit(
        constraint=rule.constraint,
        ok=lambda active: rule.ok(measured(rule, batch, active)),
        shortfall=lambda active: rule.shortfall(measured(rule, batch, active)),
        unit=rule.unit,
        rule=rule,
    )


def _never(constraint: str, is_bad: NDArray[np.bool_]) -> Limit:
    """A limit that no amount opens."""
    return _hopeless(constraint, lambda active: ~is_bad[active])


def _hopeless(constraint: str, ok: Callable[[Indices], NDArray[np.bool_]]) -> Limit:
    return Limit(
        constraint=constraint,
        ok=ok,
        shortfall=lambda active: np.where(ok(active), 0.0, np.inf),
    )


def skin_angle_deg(batch: AxisBatch, active: Indices) -> FloatArray:
    """Angle between the needle and the inward skin normal, 0..180 degrees, shape (m,)."""
    cosine = -np.einsum("ij,ij->i", batch.direction_lps[active], batch.normal_lps[active])
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def approach_excess_deg(batch: AxisBatch, protocol: Protocol, active: Indices) -> FloatArray:
    """How far (degrees) paths lie outside the allowed cone; inf from the wrong side; (m,)."""
    excess = np.zeros(active.size)
    for allowed, value in _angle_ranges(batch, protocol, active):
        excess = np.maximum(excess, np.maximum(allowed[0] - value, value - allowed[2]))
    if protocol.approach_side in ("posterior", "anterior"):
        to_front = -batch.direction_lps[active, 1]
        is_kept = to_front > 0.0 if protocol.approach_side == "posterior" else to_front < 0.0
        excess = np.where(is_kept, excess, np.inf)
    return excess


def approach_deviation_deg(
    batch: AxisBatch, protocol: Protocol, active: Indices
) -> FloatArray | None:
    """Angle to the preferred approach, degrees, (m,); None where the procedure has none."""
    squared = None
    for allowed, value in _angle_ranges(batch, protocol, active):
        term = (value - allowed[1]) ** 2
        squared = term if squared is None else squared + term
    return None if squared is None else np.asarray(np.sqrt(squared))


def _angle_ranges(
    batch: AxisBatch, protocol: Protocol, active: Indices
) -> list[tuple[tuple[float, float, float], FloatArray]]:
    """(min, preferred, max) and the candidates' angles, for each angle that is limited."""
    if protocol.axial_deg is None and protocol.craniocaudal_deg is None:
        return []
    angles = needle_angles_deg(batch.entry_lps_mm[active], batch.tip_lps_mm[active])
    limited = (
        (protocol.axial_deg, np.abs(angles.axial_deg)),
        (protocol.craniocaudal_deg, angles.craniocaudal_deg),
    )
    return [(allowed, value) for allowed, value in limited if allowed is not None]


def _length(batch: AxisBatch, protocol: Protocol, needle: Needle) -> Limit:
    longest = needle.length_mm - protocol.length_reserve.value
    shortest = protocol.min_length.value

    def ok(active: Indices) -> NDArray[np.bool_]:
        length = batch.length_mm[active]
        return np.asarray((length <= longest) & (length >= shortest))

    def shortfall(active: Indices) -> FloatArray:
        length = batch.length_mm[active]
        too_short = np.where(length < shortest, np.inf, 0.0)
        return np.maximum(np.maximum(length - longest, 0.0), too_short)

    return Limit(constraint="length", ok=ok, shortfall=shortfall, unit="mm")


def _approach(batch: AxisBatch, protocol: Protocol) -> Limit:
    return Limit(
        constraint="approach",
        ok=lambda active: approach_excess_deg(batch, protocol, active) <= 0.0,
        shortfall=lambda active: np.maximum(approach_excess_deg(batch, protocol, active), 0.0),
        unit="degrees",
    )


def _skin_angle(batch: AxisBatch, protocol: Protocol) -> Limit:
    largest = protocol.max_skin_angle.value

    return Limit(
        constraint="skin_angle",
        ok=lambda active: skin_angle_deg(batch, active) <= largest,
        shortfall=lambda active: np.maximum(skin_angle_deg(batch, active) - largest, 0.0),
        unit="degrees",
    )


def _bore(batch: AxisBatch, needle: Needle, bore: Bore) -> Limit:
    def room_mm(active: Indices) -> FloatArray:
        tips = np.asarray(batch.tip_lps_mm[active])
        return bore_room_mm(bore, batch.entry_lps_mm[active], tips, needle.length_mm)

    return Limit(
        constraint=BORE,
        ok=lambda active: room_mm(active) >= 0.0,
        shortfall=lambda active: np.maximum(-room_mm(active), 0.0),
        unit="mm",
    )


def _table(
    batch: AxisBatch, needle: Needle, down_lps: FloatArray, skin: NDArray[np.bool_]
) -> Limit:
    """Skin that lies on the table, and needles whose hub would have to be below it."""
    depth = batch.entry_lps_mm @ down_lps
    table = depth[skin].max() if skin.any() else np.inf

    def ok(active: Indices) -> NDArray[np.bool_]:
        facing = batch.normal_lps[active] @ down_lps
        hub = np.maximum(needle.length_mm - batch.length_mm[active], 0.0) + HANDLE_MM
        hub_depth = depth[active] - hub * (batch.direction_lps[active] @ down_lps)
        return np.asarray((facing <= TABLE_FACING_COSINE) & (hub_depth <= table))

    return _hopeless("table_side", ok)
