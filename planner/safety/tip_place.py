"""Where in a whole piece of anatomy the tip may lie: upper half, above a margin, central third."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.model import Protocol, RegionAxes, TargetRegion
from planner.safety.way_rules import WayRule

TIP_RULES = ("tip_height", "tip_above", "tip_lateral", "tip_central")
"""Rules about the tip's place, which need the axes of the region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    constraint: str
    words: str
    unit: str
    of_axes: Callable[[RegionAxes, FloatArray], FloatArray]
    low: float
    high: float
    evidence: str


def asked_places(protocol: Protocol) -> tuple[str, ...]:
    """Ids of the rules about the tip's place that a procedure has."""
    return tuple(place.constraint for place in _places(protocol, ""))


def place_rules(protocol: Protocol, region: TargetRegion) -> list[WayRule]:
    """The rules about the tip's place; none where the region has no axes."""
    axes = region.axes
    if axes is None:
        return []
    return [
        WayRule(
            constraint=place.constraint,
            words=place.words,
            unit=place.unit,
            measure=lambda entries, tips, ends, of=place.of_axes: of(axes, tips),  # type: ignore[misc]
            low=place.low,
            high=place.high,
            evidence=place.evidence,
            opens="",
        )
        for place in _places(protocol, axes.words)
    ]


def keeps_place(protocol: Protocol, region: TargetRegion, points: FloatArray) -> NDArray[np.bool_]:
    """Which points keep all rules about the tip's place, (n,); all where none can be asked."""
    kept = np.ones(len(points), dtype=np.bool_)
    for rule in place_rules(protocol, region):
        kept &= rule.ok(rule.measure(points, points, points))
    return kept


def _places(protocol: Protocol, ends: str) -> list[_Place]:
    tip = protocol.tip
    if tip is None:
        return []
    found = []
    if tip.height_fraction is not None:
        span = tip.height_fraction
        found.append(
            _Place(
                constraint="tip_height",
                words=f"height of the tip, as a part of the way {ends}".rstrip(),
                unit="",
                of_axes=_height_fraction,
                low=span.low if span.low > 0.0 else -np.inf,
                high=span.high if span.high < 1.0 else np.inf,
                evidence=span.evidence,
            )
        )
    if tip.height_mm is not None:
        found.append(
            _Place(
                constraint="tip_above",
                words=f"height of the tip {ends}".rstrip(),
                unit="mm",
                of_axes=lambda axes, tips: axes.local_mm(tips)[:, 2] - axes.low_mm[2],
                low=tip.height_mm.low,
                high=tip.height_mm.high,
                evidence=tip.height_mm.evidence,
            )
        )
    if tip.lateral is not None:
        found.append(
            _Place(
                constraint="tip_lateral",
                words="how far lateral of the middle of the pedicle the tip lies",
                unit="mm",
                of_axes=lambda axes, tips: axes.local_mm(tips)[:, 0],
                low=tip.lateral.value,
                high=np.inf,
                evidence=tip.lateral.evidence,
            )
        )
    if tip.central_fraction is not None:
        found.append(
            _Place(
                constraint="tip_central",
                words="how far the tip lies off the middle, to the side or to front or back, "
                "as a part of the way to the edge",
                unit="",
                of_axes=_off_centre_fraction,
                low=-np.inf,
                high=tip.central_fraction.value,
                evidence=tip.central_fraction.evidence,
            )
        )
    return found


def _height_fraction(axes: RegionAxes, tips: FloatArray) -> FloatArray:
    low, high = axes.low_mm[2], axes.high_mm[2]
    return np.asarray((axes.local_mm(tips)[:, 2] - low) / (high - low))


def _off_centre_fraction(axes: RegionAxes, tips: FloatArray) -> FloatArray:
    """The larger of the two offsets in the plane, as parts of the way to the edge."""
    half = (axes.high_mm - axes.low_mm)[:2] / 2
    off = np.abs(axes.local_mm(tips)[:, :2] - (axes.high_mm + axes.low_mm)[:2] / 2)
    return np.asarray((off / half).max(axis=1))
