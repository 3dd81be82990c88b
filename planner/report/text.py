"""The plan in words: a short text for the terminal, and the sentences of every report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from planner.model import (
    Clearance,
    Explanation,
    Finding,
    PlanResult,
    Trajectory,
    Verdict,
)
from planner.report.style import BANNER, VERDICT_MEANING, plain, shortened
from planner.report.views import ranked_clearances
from planner.report.wording import (
    finding_text,
    number,
    point_text,
    towards,
)

_NOT_MODELLED = (
    "bending of the needle, breathing and other motion, and errors of registration, "
    "navigation and segmentation: none of them is in the clearances",
)
_MR_CHECKS = ("mr_", "susceptibility", "needle_artefact", "distortion")
_TERMINAL_WIDTH, _TERMINAL_WIDTH_NAME = 100, 28


def summary_text(result: PlanResult) -> str:
    """A plan on one screen: verdict first, then the paths, then what is not known.

    Plain text without colour codes, lines up to about 100 characters.
    """
    lines = [BANNER, "", f"VERDICT: {result.verdict.upper()} - {verdict_meaning(result)}", ""]
    lines.append(f"Procedure  {plain(result.protocol.title)} ({plain(result.protocol.id)})")
    lines.append(f"Needle     {needle_text(result)}")
    lines.append(f"Target     {target_text(result)}")
    lines.append(f"Searched   {search_text(result)}")
    if result.trajectories:
        best = result.trajectories[0]
        lines += ["", f"Path {best.rank}: {plain(best.words)}", ""]
        lines += _terminal_table(result.trajectories)
    else:
        lines += ["", "NO PATH FOUND.", *_bullets(explanation_text(e) for e in result.explanation)]
        lines += _bullets(_rejected_texts(result))
    for title, texts in (
        ("NOT KNOWN (never counts as safe):", unknown_texts(result)),
        ("Not met, or only just, on path 1:", _limits_texts(result.trajectories[:1])),
        ("Not checked:", not_checked_texts(result)),
        ("Warnings:", warning_texts(result)),
    ):
        if texts:
            lines += ["", title, *_bullets(texts)]
    return "\n".join(lines) + "\n"


def unknown_texts(result: PlanResult) -> list[str]:
    """Every UNKNOWN finding once, and required structure classes without a mask."""
    texts = [
        f"UNKNOWN: {plain(finding_text(finding))}"
        for trajectory in result.trajectories
        for finding in trajectory.findings
        if finding.verdict is Verdict.UNKNOWN
    ]
    found = {f.structure for t in result.trajectories for f in t.findings}
    given = {s.structure_class for s in result.structures.structures if s.role.is_obstacle}
    texts += [
        f"UNKNOWN: no mask of class '{plain(rule.structure_class)}', which this procedure requires"
        for rule in result.protocol.margins
        if rule.required and rule.structure_class not in given | found
    ]
    return list(dict.fromkeys(texts))


def not_checked_texts(result: PlanResult) -> list[str]:
    """What this plan does not answer for, in sentences."""
    texts = list(_NOT_MODELLED)
    texts.append("anatomy for which no mask was given: the path was not kept clear of it")
    texts.append(
        "gas inside the body (bowel, lung): it counts as body, so a path through it is not "
        "refused unless a mask to avoid covers it"
    )
    checked = {f.constraint for t in result.trajectories for f in t.findings}
    if not any(c.startswith(_MR_CHECKS) for c in checked):
        texts.append("MR distortion near metal and the needle's own artefact")
    texts += [plain(text) for text in result.protocol.not_checked]
    soft = [
        plain(use.name) for use in result.uses if not use.hard and _is_obstacle(result, use.name)
    ]
    if soft:
        texts.append(f"soft only, a path may touch them: {', '.join(soft)}")
    return texts


def _is_obstacle(result: PlanResult, name: str) -> bool:
    return name in result.structures and result.structures[name].role.is_obstacle


def verdict_meaning(result: PlanResult) -> str:
    """The verdict of the plan in a few words."""
    if not result.trajectories:
        return "no path meets every limit"
    return VERDICT_MEANING[result.verdict]


def _limits_texts(trajectories: Iterable[Trajectory]) -> list[str]:
    return [t for t in open_texts(trajectories) if not t.startswith(Verdict.UNKNOWN.upper())]


def needle_text(result: PlanResult) -> str:
    """The needle in one line."""
    needle = result.needle
    throw = f", throw {needle.throw_mm:g} mm" if needle.throw_mm > 0 else ""
    return (
        f"{plain(needle.name)}, outer diameter {needle.outer_diameter_mm:g} mm, "
        f"length {needle.length_mm:g} mm{throw}, {plain(needle.material)}"
    )


def target_text(result: PlanResult) -> str:
    """The target in one line."""
    target = result.target
    return (
        f"{plain(target.name)} at LPS {point_text(target.point_lps_mm)} mm, "
        f"tolerance {target.tolerance_mm:g} mm"
    )


def search_text(result: PlanResult) -> str:
    """How much was tried."""
    feasible = int(result.candidates.feasible.sum())
    return f"{len(result.candidates):,} candidates, {feasible:,} feasible"


def least_room(trajectory: Trajectory) -> Clearance | None:
    """The clearance with the least room over its margin, None when none was measured."""
    ranked = ranked_clearances(trajectory)
    return ranked[0] if ranked else None


def _terminal_table(trajectories: Iterable[Trajectory]) -> list[str]:
    lines = [
        f"{'rank':>4}  {'verdict':<8}{'depth':>7}{'axial':>14}{'cranio-caudal':>15}"
        f"{'cost':>8}  closest structure"
    ]
    for path in trajectories:
        worst = least_room(path)
        closest = "UNKNOWN: none measured"
        if worst is not None:
            closest = (
                f"{shortened(plain(worst.structure), _TERMINAL_WIDTH_NAME)} "
                f"{number(worst.clearance_mm, 2)} mm (needs {number(worst.required_mm, 1)})"
            )
        lines.append(
            f"{path.rank:>4}  {path.verdict.upper():<8}{path.length_mm:>7.1f}"
            f"{towards(path.angles.axial_deg, 'L', 'R'):>14}"
            f"{towards(path.angles.craniocaudal_deg, 'H', 'F'):>15}"
            f"{number(path.cost, 3):>8}  {closest}"
        )
    return lines


def open_texts(trajectories: Iterable[Trajectory]) -> list[str]:
    """Findings that are not pass, worst first."""
    found: list[Finding] = [
        f for t in trajectories for f in t.findings if f.verdict is not Verdict.PASS
    ]
    found.sort(key=lambda f: -f.verdict.severity)
    return [f"{f.verdict.upper()}: {plain(finding_text(f))}" for f in found]


def explanation_text(explanation: Explanation) -> str:
    """One sentence of why nothing, or little, is feasible."""
    text = plain(explanation.message)
    if explanation.opens_at is not None and explanation.current is not None:
        unit = f" {plain(explanation.unit)}" if explanation.unit else ""
        opens, now = number(explanation.opens_at, 2), number(explanation.current, 2)
        text += f" (opens at {opens}{unit}, now {now}{unit})"
    return text


def _rejected_texts(result: PlanResult) -> list[str]:
    counts = sorted(result.rejected_counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{count:,} rejected by {plain(name)}" for name, count in counts]


def warning_texts(result: PlanResult) -> list[str]:
    """Each warning once, with its code."""
    texts = [f"{plain(w.message)} [{plain(w.code)}]" for w in result.warnings]
    return list(dict.fromkeys(texts))


def _bullets(texts: Iterable[str]) -> list[str]:
    """List lines for a terminal, wrapped."""
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(
            text, _TERMINAL_WIDTH, initial_indent="  - ", subsequent_indent="    "
        )
    return lines
