"""The plan in words: a short text for the terminal, and the sentences of every report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np

from planner.model import (
    Clearance,
    Explanation,
    PlanResult,
    StructureRole,
    Trajectory,
    Verdict,
)
from planner.report.mr_text import not_checked_mr, summary_facts
from planner.report.reasons import ORDER, reasons, unknown_reasons
from planner.report.region import PAIRS_TITLE, pair_texts, region_rows
from planner.report.style import BANNER, VERDICT_MEANING, plain, shortened
from planner.report.views import ranked_clearances
from planner.report.wording import (
    clearance_text,
    compared,
    counted,
    finding_text,
    listed,
    number,
    point_text,
    towards,
)

_NOT_MODELLED = (
    "bending of the needle, breathing and other motion, and errors of registration, "
    "navigation and segmentation: none of them is in the clearances",
)
_TERMINAL_WIDTH, _TERMINAL_WIDTH_NAME = 100, 28
_NAMES_SHOWN = 4
_REMOVED = "removed:"


def summary_text(result: PlanResult) -> str:
    """A plan on one screen: verdict first, then what is not known, then the paths.

    Plain text without colour codes, lines up to about 100 characters.
    """
    lines = [BANNER, "", f"VERDICT: {result.verdict.upper()} - {verdict_meaning(result)}"]
    unknown = unknown_texts(result)
    if unknown:
        lines += ["", "UNKNOWN, never counts as safe, because:", *_bullets(unknown)]
    lines.append("")
    for label, text in (
        ("Procedure", f"{plain(result.protocol.title)} ({plain(result.protocol.id)})"),
        ("Needle", needle_text(result)),
        ("Target", target_text(result)),
        *region_rows(result),
        *approach_rows(result),
        ("Searched", search_text(result)),
    ):
        lines += _wrapped(text, first=f"{label:<11}", other=" " * 11)
    if result.trajectories:
        best = result.trajectories[0]
        lines += ["", *_wrapped(f"Path {best.rank}: {plain(best.words)}")]
        for label, text in summary_facts(result, best):
            lines += _wrapped(text, first=f"  {label:<9}", other=" " * 11)
        lines.append("")
        lines += _terminal_table(result.trajectories)
        if result.pairs:
            lines += ["", f"{PAIRS_TITLE}, each pair side by side:", *_bullets(pair_texts(result))]
    else:
        lines += ["", "NO PATH FOUND.", *_bullets(explanation_texts(result))]
    limits = [
        reason.line(1)
        for reason in reasons(result.trajectories[:1])
        if reason.verdict is not Verdict.UNKNOWN
    ]
    for title, texts in (
        ("Not met, or only just, on path 1:", limits),
        ("Not checked:", not_checked_texts(result)),
        ("Warnings:", warning_texts(result)),
    ):
        if texts:
            lines += ["", title, *_bullets(texts)]
    return "\n".join(lines) + "\n"


def unknown_texts(result: PlanResult) -> list[str]:
    """Why something is not known: one sentence for each kind of reason, over all paths."""
    n_paths = len(result.trajectories)
    return [
        reason.line(n_paths).removeprefix(f"{Verdict.UNKNOWN.upper()}: ")
        for reason in unknown_reasons(result)
    ]


def not_checked_texts(result: PlanResult) -> list[str]:
    """What this plan does not answer for, in sentences."""
    texts = list(_NOT_MODELLED)
    texts.append("anatomy for which no mask was given: the path was not kept clear of it")
    texts.append(
        "gas inside the body (bowel, lung): it counts as body, so a path through it is not "
        "refused unless a mask to avoid covers it"
    )
    if result.pairs:
        texts.append("of two needles at once: that the artefact of one hides the tip of the other")
    texts += not_checked_mr(result)
    texts += [plain(text) for text in result.protocol.not_checked]
    soft = [use for use in result.uses if not use.hard and _is_obstacle(result, use.name)]
    bones = [plain(use.name) for use in soft if use.role == StructureRole.BONE]
    others = [plain(use.name) for use in soft if use.role != StructureRole.BONE]
    if bones:
        texts.append(
            "the distance to bone: this procedure lets the needle cross it "
            f"({listed(bones, _NAMES_SHOWN)})"
        )
    if others:
        texts.append(f"no distance is kept, a path may touch: {listed(others, _NAMES_SHOWN)}")
    return texts


def _is_obstacle(result: PlanResult, name: str) -> bool:
    return name in result.structures and result.structures[name].role.is_obstacle


def verdict_meaning(result: PlanResult) -> str:
    """The verdict of the plan in a few words."""
    if not result.trajectories:
        return "no path meets every limit"
    return VERDICT_MEANING[result.verdict]


def needle_text(result: PlanResult) -> str:
    """The needle in one line."""
    needle = result.needle
    throw = f", throw {needle.throw_mm:g} mm" if needle.throw_mm > 0 else ""
    material = plain(needle.material)
    if material == "unknown":
        material = "material not given"
    return (
        f"{plain(needle.name)}, outer diameter {needle.outer_diameter_mm:g} mm, "
        f"length {needle.length_mm:g} mm{throw}, {material}"
    )


def target_text(result: PlanResult) -> str:
    """The target in one line."""
    target = result.target
    centre = "" if target.region is None else ", its middle"
    return (
        f"{plain(target.name)}{centre} at LPS {point_text(target.point_lps_mm)} mm, "
        f"tolerance {target.tolerance_mm:g} mm"
    )


def approach_rows(result: PlanResult) -> list[tuple[str, str]]:
    """The directions that the procedure allows at the target's level, and their evidence."""
    protocol = result.protocol
    parts = []
    if protocol.approach_side is not None:
        parts.append(
            {"posterior": "from behind", "anterior": "from the front"}.get(
                protocol.approach_side, protocol.approach_side
            )
        )
    for word, allowed in (
        ("axial", protocol.axial_deg),
        ("craniocaudal", protocol.craniocaudal_deg),
    ):
        if allowed is not None:
            low, preferred, high = allowed
            parts.append(f"{word} {low:g} to {high:g}°, {preferred:g}° preferred")
    if not parts:
        return []
    return [("Approach", f"{'; '.join(parts)}; evidence: {protocol.approach_evidence or 'none'}")]


def search_text(result: PlanResult) -> str:
    """How much was tried, and why not every feasible path is shown."""
    n_feasible, n_shown = int(result.candidates.feasible.sum()), len(result.trajectories)
    tried = f"{counted(len(result.candidates), 'candidate')}, {n_feasible:,} feasible"
    if n_shown == 0:
        return tried
    apart_mm = result.options.get("min_separation_mm")
    n_similar = _n_similar(result, apart_mm) if isinstance(apart_mm, int | float) else 0
    left_out = []
    if n_similar:
        left_out.append(
            f"{n_similar:,} left out as too similar (entry under {apart_mm:g} mm from that of a "
            "shown path: --min-separation-mm)"
        )
    if n_feasible - n_shown - n_similar > 0:
        left_out.append(f"{n_feasible - n_shown - n_similar:,} ranked lower (--top)")
    return "; ".join([tried, f"{n_shown} shown", *left_out])


def _n_similar(result: PlanResult, apart_mm: float) -> int:
    """Feasible candidates that are not shown because of an entry beside one that is."""
    entries = result.candidates.entry_lps_mm[result.candidates.feasible]
    is_near = np.zeros(entries.shape[0], dtype=bool)
    n_shown = 0
    for path in result.trajectories:
        gap_mm = np.linalg.norm(entries - path.entry_lps_mm, axis=1)
        is_near |= gap_mm < apart_mm
        n_shown += bool(np.any((gap_mm == 0.0) & (gap_mm < apart_mm)))
    return int(is_near.sum()) - n_shown


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
        closest = "none measured"
        if worst is not None:
            name = shortened(plain(worst.structure), _TERMINAL_WIDTH_NAME)
            closest = f"{name} {clearance_text(worst.clearance_mm, worst.required_mm)}"
        lines.append(
            f"{path.rank:>4}  {path.verdict.upper():<8}{path.length_mm:>7.1f}"
            f"{towards(path.angles.axial_deg, 'L', 'R'):>14}"
            f"{towards(path.angles.craniocaudal_deg, 'H', 'F'):>15}"
            f"{number(path.cost, 3):>8}  {closest}"
        )
    return lines


def open_texts(path: Trajectory) -> list[str]:
    """Each finding of a path that is not pass: what is not known first, then the worst."""
    found = [f for f in path.findings if f.verdict is not Verdict.PASS]
    found.sort(key=lambda f: ORDER.index(f.verdict))
    return [f"{f.verdict.upper()}: {plain(finding_text(f))}" for f in found]


def explanation_texts(result: PlanResult) -> list[str]:
    """Why nothing is feasible: what would open a path first, the rest in one sentence."""
    texts, never_alone = [], []
    for item in result.explanation:
        if item.code.startswith(_REMOVED) and item.n_only_this == 0:
            never_alone.append(f"{plain(item.constraint)} {item.n_removed:,}")
        else:
            texts.append(_explanation_text(item))
    if never_alone:
        texts.append(
            "Also broken, but never alone, so that changing one of them opens nothing: "
            f"{', '.join(never_alone)}."
        )
    counts = sorted(result.rejected_counts.items(), key=lambda item: (-item[1], item[0]))
    if counts:
        first = ", ".join(f"{plain(name)} {count:,}" for name, count in counts)
        texts.append(f"Each candidate counted once, by the first limit it broke: {first}.")
    return texts


def _explanation_text(explanation: Explanation) -> str:
    text = plain(explanation.message)
    if explanation.opens_at is not None and explanation.current is not None:
        unit = f" {plain(explanation.unit)}" if explanation.unit else ""
        opens, now = compared(explanation.opens_at, explanation.current)
        text += f" (opens at {opens}{unit}, now {now}{unit})"
    return text


def warning_texts(result: PlanResult) -> list[str]:
    """Each warning once, with its code; a missing mask is told as UNKNOWN already."""
    texts = [
        f"{plain(w.message)} [{plain(w.code)}]"
        for w in result.warnings
        if w.code != "missing_structure"
    ]
    return list(dict.fromkeys(texts))


def _bullets(texts: Iterable[str]) -> list[str]:
    """List lines for a terminal, wrapped."""
    return [line for text in texts for line in _wrapped(text, first="  - ", other="    ")]


def _wrapped(text: str, *, first: str = "", other: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _TERMINAL_WIDTH,
        initial_indent=first,
        subsequent_indent=other,
        break_on_hyphens=False,
    )
