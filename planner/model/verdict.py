"""Verdicts and findings: what was checked, what was measured, what was needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Outcome of a check. UNKNOWN never passes; the worst of several wins."""

    PASS = "pass"
    CAUTION = "caution"
    UNKNOWN = "unknown"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """0 for PASS up to 3 for FAIL."""
        return list(Verdict).index(self)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The most severe of the verdicts; UNKNOWN when there is none."""
        found = list(verdicts)
        return max(found, key=lambda v: v.severity) if found else cls.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of one trajectory.

    Attributes
    ----------
    constraint : str
        Identifier, e.g. ``"clearance"``, ``"length"``, ``"outside_body"``.
    structure : str or None
        The structure concerned.
    measured, required : float or None
        In ``unit``; None where no number exists (a missing structure).
    verdict : Verdict
    where_lps_mm : tuple of 3 floats or None
        Where on the needle the measured value occurs.
    note : str
        A sentence for people: why it is unknown, what was assumed.
    wanted : float or None
        A soft limit beyond ``required``: less than this is no more than a caution.
    """

    constraint: str
    structure: str | None
    measured: float | None
    required: float | None
    unit: str
    verdict: Verdict
    where_lps_mm: tuple[float, float, float] | None = None
    note: str = ""
    wanted: float | None = None


def verdict_of_margin(measured: float, required: float, *, caution_band: float = 0.0) -> Verdict:
    """PASS, CAUTION or FAIL for a value that must reach ``required``; NaN is UNKNOWN.

    A value that reaches ``required`` but not ``required + caution_band`` is CAUTION.
    """
    if measured >= required + caution_band:
        return Verdict.PASS
    if measured >= required:
        return Verdict.CAUTION
    if measured < required:
        return Verdict.FAIL
    return Verdict.UNKNOWN
