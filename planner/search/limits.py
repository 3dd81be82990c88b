"""Limits that follow from the axis alone: length, approach, skin angle, table, forbidden skin.

Each limit measures every candidate and says which satisfy it; NaN never does.
"""

from __future__ import annotations

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

HANDLE_MM = 60.0
"""Length of hub and handle beyond the shaft (engineering default, evidence E)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Limit:
    """One limit over all candidates.

    ``shortfall`` says by how much (in ``unit``) each candidate misses the limit;
    0 where it is met, inf or NaN where no amount would help.
    """

    constraint: str
    ok: NDArray[np.bool_]
    shortfall: FloatArray
    unit: str
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
    skin = np.ones(len(batch), dtype=bool) if is_image_end is None else ~is_image_end
    limits = [
        _never(IMAGE_END, ~skin),
        _length(batch, protocol, needle),
        _approach(batch, protocol),
        _skin_angle(batch, protocol),
    ]
    if down_lps is not None:
        limits.append(_table(batch, needle, down_lps, skin))
    if forbidden is not None:
        limits.append(_never("forbidden_entry", forbidden))
    if bore is not None and bore.centre_lp_mm is not None:
        limits.append(_bore(batch, needle, bore))
    limits += [_of_rule(rule, batch) for rule in rules if rule.is_hard and rule.is_quick]
    return tuple(limits)


def _of_rule(rule: WayRule, batch: AxisBatch) -> Limit:
    values = measured(rule, batch, np.arange(len(batch)))
    return Limit(
        constraint=rule.constraint,
        ok=rule.ok(values),
        shortfall=rule.shortfall(values),
        unit=rule.unit,
        rule=rule,
    )


def _never(constraint: str, is_bad: NDArray[np.bool_]) -> Limit:
    """A limit that no amount opens."""
    return Limit(
        constraint=constraint, ok=~is_bad, shortfall=np.where(is_bad, np.inf, 0.0), unit=""
    )


def skin_angle_deg(batch: AxisBatch) -> FloatArray:
    """Angle between the needle and the inward skin normal, 0..180 degrees, shape (n,)."""
    cosine = -np.einsum("ij,ij->i", batch.direction_lps, batch.normal_lps)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def approach_excess_deg(batch: AxisBatch, protocol: Protocol) -> FloatArray:
    """How far (degrees) each candidate lies outside the allowed cone; inf from the wrong side."""
    excess = np.zeros(len(batch))
    for allowed, value in _angle_ranges(batch, protocol):
        excess = np.maximum(excess, np.maximum(allowed[0] - value, value - allowed[2]))
    to_front = -batch.direction_lps[:, 1]
    if protocol.approach_side == "posterior":
        excess = np.where(to_front > 0.0, excess, np.inf)
    elif protocol.approach_side == "anterior":
        excess = np.where(to_front < 0.0, excess, np.inf)
    return excess


def approach_deviation_deg(batch: AxisBatch, protocol: Protocol) -> FloatArray | None:
    """Angle to the preferred approach, degrees; None where the procedure has none."""
    squared = None
    for allowed, value in _angle_ranges(batch, protocol):
        term = (value - allowed[1]) ** 2
        squared = term if squared is None else squared + term
    return None if squared is None else np.asarray(np.sqrt(squared))


def _angle_ranges(
    batch: AxisBatch, protocol: Protocol
) -> list[tuple[tuple[float, float, float], FloatArray]]:
    """(min, preferred, max) and the candidates' angles, for each angle that is limited."""
    if protocol.axial_deg is None and protocol.craniocaudal_deg is None:
        return []
    angles = needle_angles_deg(batch.entry_lps_mm, batch.tip_lps_mm)
    limited = (
        (protocol.axial_deg, np.abs(angles.axial_deg)),
        (protocol.craniocaudal_deg, angles.craniocaudal_deg),
    )
    return [(allowed, value) for allowed, value in limited if allowed is not None]


def _length(batch: AxisBatch, protocol: Protocol, needle: Needle) -> Limit:
    longest = needle.length_mm - protocol.length_reserve.value
    too_long = batch.length_mm - longest
    too_short = protocol.min_length.value - batch.length_mm
    return Limit(
        constraint="length",
        ok=(batch.length_mm <= longest) & (batch.length_mm >= protocol.min_length.value),
        shortfall=np.maximum(np.maximum(too_long, 0.0), np.where(too_short > 0, np.inf, 0.0)),
        unit="mm",
    )


def _approach(batch: AxisBatch, protocol: Protocol) -> Limit:
    excess = approach_excess_deg(batch, protocol)
    return Limit(
        constraint="approach",
        ok=excess <= 0.0,
        shortfall=np.maximum(excess, 0.0),
        unit="degrees",
    )


def _skin_angle(batch: AxisBatch, protocol: Protocol) -> Limit:
    angle = skin_angle_deg(batch)
    largest = protocol.max_skin_angle.value
    return Limit(
        constraint="skin_angle",
        ok=angle <= largest,
        shortfall=np.maximum(angle - largest, 0.0),
        unit="degrees",
    )


def _bore(batch: AxisBatch, needle: Needle, bore: Bore) -> Limit:
    room = bore_room_mm(bore, batch.entry_lps_mm, np.asarray(batch.tip_lps_mm), needle.length_mm)
    return Limit(constraint=BORE, ok=room >= 0.0, shortfall=np.maximum(-room, 0.0), unit="mm")


def _table(
    batch: AxisBatch, needle: Needle, down_lps: FloatArray, skin: NDArray[np.bool_]
) -> Limit:
    """Skin that lies on the table, and needles whose hub would have to be below it."""
    facing = batch.normal_lps @ down_lps
    depth = batch.entry_lps_mm @ down_lps
    table = depth[skin].max() if skin.any() else np.inf
    hub = np.maximum(needle.length_mm - batch.length_mm, 0.0) + HANDLE_MM
    hub_depth = depth - hub * (batch.direction_lps @ down_lps)
    ok = (facing <= TABLE_FACING_COSINE) & (hub_depth <= table)
    return Limit(constraint="table_side", ok=ok, shortfall=np.where(ok, 0.0, np.inf), unit="")
