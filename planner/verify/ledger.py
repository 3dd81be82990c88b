"""Book of the claims checked so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from planner.verify.report import CheckKind, ClaimCheck, JsonScalar, VerificationReport


@dataclass(slots=True)
class Ledger:
    """Collects checks; ``trajectory`` is the place of the path they belong to."""

    checks: list[ClaimCheck] = field(default_factory=list)
    not_checked: dict[str, None] = field(default_factory=dict)
    on_trust: dict[str, None] = field(default_factory=dict)
    trajectory: int | None = None

    def same(
        self,
        claim: str,
        claimed: object,
        recomputed: object,
        *,
        kind: CheckKind = CheckKind.INPUT,
        note: str = "",
    ) -> None:
        """Claimed and recomputed are the same."""
        self._add(claim, claimed, recomputed, claimed == recomputed, kind, None, note)

    def close(
        self,
        claim: str,
        claimed: float | None,
        recomputed: float | None,
        tolerance: float,
        *,
        kind: CheckKind = CheckKind.NUMBER,
        note: str = "",
    ) -> None:
        """Both are numbers within the tolerance, or both are absent. NaN is never close."""
        if claimed is None or recomputed is None:
            is_close = claimed is None and recomputed is None
        else:
            is_close = abs(claimed - recomputed) <= tolerance
        self._add(claim, claimed, recomputed, is_close, kind, tolerance, note)

    def between(
        self,
        claim: str,
        claimed: float | None,
        recomputed: float,
        *,
        under: float,
        over: float,
        note: str = "",
    ) -> None:
        """Claimed is at most ``over`` above and ``under`` below what was recomputed."""
        is_in = claimed is not None and recomputed - under <= claimed <= recomputed + over
        self._add(claim, claimed, recomputed, is_in, CheckKind.NUMBER, under, note)

    def rule(
        self, claim: str, claimed: object, recomputed: object, is_kept: bool, note: str = ""
    ) -> None:
        """A rule that the plan must keep."""
        self._add(claim, claimed, recomputed, is_kept, CheckKind.RULE, None, note)

    def skip(self, what: str) -> None:
        """Something that cannot be checked."""
        self.not_checked[what] = None

    def trust(self, what: str) -> None:
        """Something that only the user can know: taken from the plan."""
        self.on_trust[what] = None

    def report(self) -> VerificationReport:
        """All that was collected."""
        return VerificationReport(
            checks=tuple(self.checks),
            not_checked=tuple(self.not_checked),
            on_trust=tuple(self.on_trust),
        )

    def _add(
        self,
        claim: str,
        claimed: object,
        recomputed: object,
        ok: bool,
        kind: CheckKind,
        tolerance: float | None,
        note: str,
    ) -> None:
        self.checks.append(
            ClaimCheck(
                trajectory=self.trajectory,
                claim=claim,
                claimed=_scalar(claimed),
                recomputed=_scalar(recomputed),
                ok=bool(ok),
                kind=kind,
                tolerance=tolerance,
                note=note,
            )
        )


def _scalar(value: object) -> JsonScalar:
    """The value for a report; lists become text, numbers that are not finite become None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return ", ".join(str(_scalar(v)) for v in value)
    return str(value)
