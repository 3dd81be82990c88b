"""Rules of a procedure about the way a needle takes: one number per path, and its limits.

Each rule measures paths as arrays (entries, tips, ends of the throw; LPS mm), says which are
within its limits, and makes the finding of one path from the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry.clearance import floor_to_hundredth
from planner.geometry.frames import FloatArray
from planner.model import Finding, Verdict
from planner.safety.checks import NeedleAxis

Measure = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Entries, tips and ends (n, 3) to one number each (n,); NaN where it cannot be told."""

ROUND = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WayRule:
    """One number of a path between two limits.

    Attributes
    ----------
    constraint : str
        Id of the rejection and of the finding.
    low, high : float
        Allowed range, ends included; infinite where a side is open.
    is_hard : bool
        A path beyond a soft rule is a caution, not refused.
    passes_unmeasured : bool
        Whether NaN passes: what the rule is about does not occur on the path.
    is_quick : bool
        Asked of every candidate; others only of those that nothing else refused.
    """

    constraint: str
    words: str
    unit: str
    measure: Measure
    low: float = -np.inf
    high: float = np.inf
    evidence: str = ""
    is_hard: bool = True
    is_quick: bool = True
    passes_unmeasured: bool = False
    unmeasured: Verdict = Verdict.PASS
    """What the finding says of NaN where it passes the search."""
    opens: str = "a limit wider by {least} would open a path"
    """In an explanation: what the least shortfall means; empty where no number opens a path."""

    def ok(self, values: FloatArray) -> NDArray[np.bool_]:
        """Which values are within the limits, (n,)."""
        within = (values >= self.low - ROUND) & (values <= self.high + ROUND)
        return within | np.isnan(values) if self.passes_unmeasured else within

    def shortfall(self, values: FloatArray) -> FloatArray:
        """By how much values miss the limits, (n,); NaN stays NaN."""
        return np.maximum(np.maximum(self.low - values, values - self.high), 0.0)

    def finding(self, axis: NeedleAxis) -> Finding:
        """What the rule says of one path."""
        value = float(
            self.measure(axis.entry_lps_mm[None], axis.tip_lps_mm[None], axis.end_lps_mm[None])[0]
        )
        is_kept = bool(self.ok(np.array([value]))[0])
        bad = Verdict.FAIL if self.is_hard else Verdict.CAUTION
        is_known = not np.isnan(value)
        return Finding(
            constraint=self.constraint,
            structure=None,
            measured=self._told(value) if is_known else None,
            required=self._nearest_limit(value),
            unit=self.unit,
            verdict=(Verdict.PASS if is_known else self.unmeasured) if is_kept else bad,
            note=f"{self.words}; {self._range()}; evidence: {self.evidence}",
        )

    def _told(self, value: float) -> float:
        """Two decimals, away from the limit where there is only one: never flattering."""
        if np.isfinite(self.low) and not np.isfinite(self.high):
            return float(floor_to_hundredth(value))
        if np.isfinite(self.high) and not np.isfinite(self.low):
            return -float(floor_to_hundredth(-value))
        return round(value, 2)

    def _nearest_limit(self, value: float) -> float | None:
        limits = [limit for limit in (self.low, self.high) if np.isfinite(limit)]
        if not limits:
            return None
        return min(limits, key=lambda limit: abs(limit - value) if np.isfinite(value) else limit)

    def _range(self) -> str:
        unit = "°" if self.unit == "degrees" else f" {self.unit}".rstrip()
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}{unit}"
        if np.isfinite(self.low):
            return f"at least {self.low:g}{unit}"
        return f"at most {self.high:g}{unit}"


def unknown_finding(constraint: str, note: str) -> Finding:
    """A rule that cannot be asked: nothing passes it."""
    return _without_number(constraint, note, Verdict.UNKNOWN)


def doubt(constraint: str, note: str) -> Finding:
    """A caution without a number."""
    return _without_number(constraint, note, Verdict.CAUTION)


def _without_number(constraint: str, note: str, verdict: Verdict) -> Finding:
    return Finding(
        constraint=constraint,
        structure=None,
        measured=None,
        required=None,
        unit="",
        verdict=verdict,
        note=note,
    )


def directions_lps(starts_lps_mm: FloatArray, ends_lps_mm: FloatArray) -> FloatArray:
    """Unit directions, (n, 3)."""
    along = ends_lps_mm - starts_lps_mm
    length = np.sqrt(np.einsum("ij,ij->i", along, along))
    return np.asarray(along / np.maximum(length, 1e-12)[:, None])
