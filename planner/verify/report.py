"""What a verification found, claim by claim."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from planner.io.plan_document import RESEARCH_USE

JsonScalar = str | float | int | bool | None


class CheckKind(StrEnum):
    """What a failed check means."""

    INPUT = "input"
    """The image, a mask or the procedure is not the one the plan was made from."""
    NUMBER = "number"
    """A number of the plan is not what the inputs give."""
    RULE = "rule"
    """The plan contradicts itself or passes a path that it must not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCheck:
    """One claim of the plan beside what was recomputed."""

    trajectory: int | None
    """Place of the trajectory in the plan, from 1; None for the plan as a whole."""
    claim: str
    claimed: JsonScalar
    recomputed: JsonScalar
    ok: bool
    kind: CheckKind
    tolerance: float | None = None
    note: str = ""

    def to_text(self) -> str:
        """One line for people."""
        place = "plan" if self.trajectory is None else f"trajectory {self.trajectory}"
        sign = "ok" if self.ok else "NOT OK"
        within = "" if self.tolerance is None else f" (tolerance {self.tolerance:g})"
        line = f"{sign:6} {place}: {self.claim}: claimed {_show(self.claimed)}"
        line += f", recomputed {_show(self.recomputed)}{within}"
        # One line whatever a structure is called: a line feed in a name could forge a headline.
        return " ".join((f"{line}; {self.note}" if self.note else line).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """All claims that were checked, and those that could not be."""

    checks: tuple[ClaimCheck, ...]
    not_checked: tuple[str, ...] = ()
    on_trust: tuple[str, ...] = ()
    """Roles, margins, metals and choices that the plan gives as the user's: nothing in the image
    can confirm them."""

    @property
    def ok(self) -> bool:
        """Whether every claim was confirmed. A report without a check confirms nothing."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[ClaimCheck, ...]:
        """The claims that were not confirmed."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def inputs_differ(self) -> bool:
        """Whether the plan was made from another image, mask or procedure."""
        return any(check.kind is CheckKind.INPUT for check in self.failures)

    @property
    def numbers_differ(self) -> bool:
        """Whether a number is wrong or the plan breaks a rule."""
        return any(check.kind is not CheckKind.INPUT for check in self.failures)

    def to_json_dict(self) -> dict[str, Any]:
        """Plain lists, dictionaries, numbers and strings."""
        return {
            "schema": "needle-verification/1",
            "research_use": RESEARCH_USE,
            "ok": self.ok,
            "inputs_differ": self.inputs_differ,
            "numbers_differ": self.numbers_differ,
            "n_checks": len(self.checks),
            "n_failures": len(self.failures),
            "checks": [
                {
                    "trajectory": c.trajectory,
                    "claim": c.claim,
                    "claimed": c.claimed,
                    "recomputed": c.recomputed,
                    "tolerance": c.tolerance,
                    "ok": c.ok,
                    "kind": str(c.kind),
                    "note": c.note,
                }
                for c in self.checks
            ],
            "not_checked": list(self.not_checked),
            "on_trust": list(self.on_trust),
        }

    def to_text(self, *, with_confirmed: bool = False) -> str:
        """Text for people: the outcome, then what was not confirmed."""
        lines = [self._headline()]
        if with_confirmed:
            lines += [check.to_text() for check in self.checks if check.ok]
        if self.on_trust:
            lines.append(
                "Roles, margins and choices taken from the plan as the user's word: "
                + "; ".join(" ".join(what.split()) for what in self.on_trust)
                + "."
            )
        lines += [check.to_text() for check in self.failures]
        if self.not_checked:
            lines.append("Not checked: " + "; ".join(self.not_checked) + ".")
        lines.append(RESEARCH_USE)
        return "\n".join(lines)

    def _headline(self) -> str:
        total = len(self.checks)
        if self.ok:
            said = f"VERIFIED: all {total} claims were confirmed by an independent computation"
            if self.on_trust:
                said += ", taking the user's word for what is named below"
            return f"{said}."
        if not self.checks:
            return "NOT VERIFIED: nothing could be checked."
        counts = Counter(check.kind for check in self.failures)
        reasons = {
            CheckKind.INPUT: "the inputs are not those of the plan",
            CheckKind.NUMBER: "numbers differ",
            CheckKind.RULE: "rules are broken",
        }
        found = "; ".join(f"{reasons[k]} ({counts[k]})" for k in CheckKind if counts[k])
        return f"NOT VERIFIED: {len(self.failures)} of {total} claims not confirmed: {found}."


def _show(value: JsonScalar) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."
