"""Why a path is not simply pass: findings put together, one sentence for each kind of reason.

Dozens of structures may be affected for one and the same reason; a list with one line
for each of them would hide the second reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from planner.model import Finding, PlanResult, Trajectory, Verdict
from planner.model.requirements import missing_rules
from planner.report.style import plain, shortened
from planner.report.wording import clearance_text, compared, finding_text, limit_text, listed

ORDER = (Verdict.UNKNOWN, Verdict.FAIL, Verdict.CAUTION)
"""What is not known comes first: a broken limit can be seen in a picture, this cannot."""

NAMES_SHOWN, NAME_CHARACTERS = 3, 26
_MISSING = "missing_structure"
_COVERAGE = "coverage"
_MR = {
    "needle_artefact": "the needle's artefact may hide, so that MR does not show how near it is,",
    "mr_unknown": "the image cuts metal whose field beyond is not known, the path comes near:",
}
"""Distances that are not a clearance from the needle: what they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One sentence for all findings of one kind, and the ranks of the paths that it concerns."""

    verdict: Verdict
    text: str
    ranks: tuple[int, ...]

    def line(self, n_paths: int) -> str:
        """The sentence behind its verdict, with the paths where it is not all ``n_paths``."""
        where = ""
        if self.ranks and len(self.ranks) < n_paths:
            word = "path" if len(self.ranks) == 1 else "paths"
            where = f" ({word} {listed([str(rank) for rank in self.ranks], 6)})"
        return f"{self.verdict.upper()}: {self.text}{where}"


def reasons(trajectories: Iterable[Trajectory]) -> list[Reason]:
    """Every finding that is not pass, in one sentence for each kind; what is not known first."""
    groups: dict[tuple[object, ...], list[tuple[int, Finding]]] = {}
    for path in trajectories:
        for finding in path.findings:
            if finding.verdict is not Verdict.PASS:
                groups.setdefault(_kind(finding), []).append((path.rank, finding))
    found = [
        Reason(
            verdict=group[0][1].verdict,
            text=_sentence([finding for _, finding in group]),
            ranks=tuple(sorted({rank for rank, _ in group})),
        )
        for group in groups.values()
    ]
    return sorted(found, key=lambda reason: ORDER.index(reason.verdict))


def unknown_reasons(result: PlanResult) -> list[Reason]:
    """What is not known about the paths; without a path, the required masks that are missing."""
    found = [r for r in reasons(result.trajectories) if r.verdict is Verdict.UNKNOWN]
    told = {
        f.structure
        for path in result.trajectories
        for f in path.findings
        if f.verdict is Verdict.UNKNOWN and f.constraint == _MISSING
    }
    missing = [name for name in _missing_classes(result) if name not in told]
    if missing:
        text = _missing_text(missing)
        found.insert(0, Reason(verdict=Verdict.UNKNOWN, text=text, ranks=()))
    return found


def _missing_classes(result: PlanResult) -> list[str]:
    return [rule.label for rule in missing_rules(result.protocol, result.structures)]


def _kind(finding: Finding) -> tuple[object, ...]:
    """Findings of one kind share a sentence."""
    same = (finding.verdict, finding.constraint)
    if finding.constraint == _MISSING or (finding.constraint == _COVERAGE):
        return (*same, finding.structure is None)
    if _is_clearance(finding):
        what = finding.constraint if finding.constraint in _MR else "clearance"
        return (finding.verdict, what, _is_below_soft(finding))
    # Of a kind that has no sentence of its own here, only findings alike but for the structure.
    return (*same, finding.measured, finding.required, finding.note)


def _is_clearance(finding: Finding) -> bool:
    is_measured = finding.measured is not None and finding.required is not None
    return is_measured and finding.structure is not None and finding.unit == "mm"


def _is_below_soft(finding: Finding) -> bool:
    """Whether it is the soft margin alone that is not kept."""
    if finding.verdict is not Verdict.CAUTION or finding.wanted is None:
        return False
    return finding.measured is not None and finding.measured < finding.wanted


def _sentence(group: Sequence[Finding]) -> str:
    first = group[0]
    if first.constraint == _MISSING:
        return _missing_text([f.structure or "?" for f in group])
    if first.constraint == _COVERAGE:
        return _coverage_text(group)
    if _is_clearance(first):
        return _clearances_text(group)
    names = [_name(f.structure) for f in group if f.structure]
    if len(set(names)) <= 1:
        return plain(finding_text(first))
    return f"{listed(names, NAMES_SHOWN)}: {plain(finding_text(replace(first, structure=None)))}"


def _missing_text(classes: Sequence[str]) -> str:
    names = [_name(name).replace("_", " ") for name in dict.fromkeys(classes)]
    it = "it" if len(names) == 1 else "them"
    return (
        f"no mask to avoid was given for: {', '.join(names)}; this procedure requires {it}, "
        "the distance is not known"
    )


def _coverage_text(group: Sequence[Finding]) -> str:
    first = group[0]
    if first.structure is not None:
        names = listed([_name(f.structure or "?") for f in group], NAMES_SHOWN)
        return f"the mask does not cover the path and its margin: {names}"
    nearest = min(group, key=lambda f: float("inf") if f.measured is None else f.measured)
    measured, required = compared(nearest.measured, nearest.required)
    return (
        f"the image ends inside the body {measured} mm from the path, within a margin of "
        f"{required} mm: what lies beyond is not known"
    )


def _clearances_text(group: Sequence[Finding]) -> str:
    """The structures with the least room first, each once with its smallest value."""
    ranked = sorted(group, key=_room)
    least: dict[str, Finding] = {}
    for finding in ranked:
        least.setdefault(finding.structure or "?", finding)
    is_soft = _is_below_soft(group[0])
    texts = [
        f"{_name(name)} {clearance_text(f.measured, f.required)}"
        + (f", {limit_text(f.wanted)} wanted" if is_soft else "")
        for name, f in least.items()
        if f.measured is not None and f.required is not None
    ]
    if is_soft:
        return f"nearer than the soft margin to {listed(texts, NAMES_SHOWN)}"
    what = (
        _MR.get(group[0].constraint)
        or {
            Verdict.CAUTION: "only just clear of",
            Verdict.FAIL: "too near to",
            Verdict.UNKNOWN: "distance not known to",
        }[group[0].verdict]
    )
    return f"{what} {listed(texts, NAMES_SHOWN)}"


def _room(finding: Finding) -> float:
    if finding.measured is None or finding.required is None:
        return -float("inf")
    room = finding.measured - finding.required
    return room if room == room else -float("inf")


def _name(text: str) -> str:
    return shortened(plain(text), NAME_CHARACTERS)
