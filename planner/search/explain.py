"""Why nothing is feasible, and the smallest single change that would open a path.

Computed, not guessed: every constraint is measured on every candidate, and a
claimed opening is the exact value on a real candidate that fails that
constraint alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.angles import needle_angles_deg
from planner.geometry.clearance import floor_to_hundredth
from planner.geometry.frames import FloatArray, lps_from_ras
from planner.model import Explanation, Protocol
from planner.safety.obstacles import CONTACT_MM, Obstacle
from planner.safety.way_rules import WayRule
from planner.search.choices import long_enough
from planner.search.evaluate import BONE
from planner.search.gates import Gate, measured
from planner.search.limits import BORE, IMAGE_END, Limit
from planner.search.question import Question
from planner.search.target_fault import CHECK_FRAME, target_at_fault
from planner.search.target_place import mixed_up_frames

_EXACT_LOOKS = 2000
"""Candidates measured exactly per obstacle: those with the largest certified bound."""


def explain_nothing_feasible(question: Question) -> tuple[Explanation, ...]:
    """One summary, then one explanation per constraint, those that open a path first."""
    if len(question.batch) == 0:
        return (_no_skin(question),)
    fails = _failures(question)
    names = list(fails)
    matrix = np.stack([fails[name] for name in names])
    n_failed = matrix.sum(axis=0)
    if fails[IMAGE_END].all():
        # Where no skin is in reach, no other limit is worth a word.
        alone = np.flatnonzero(n_failed == 1)
        at_end = _explain_image_end(question, len(question.batch), alone)
        return (_no_skin(question), at_end) if alone.size else (_no_skin(question),)
    explanations = []
    for row, name in enumerate(names):
        removed = int(matrix[row].sum())
        if removed == 0:
            continue
        alone = np.flatnonzero(matrix[row] & (n_failed == 1))
        explanations.append(_explain(question, name, removed, alone))
    explanations.sort(key=lambda e: (e.opens_at is None, -e.n_only_this, -e.n_removed))
    summary = _summary(question, names, matrix, n_failed)
    at_fault = target_at_fault(question, fails)
    hopeless = not at_fault and bool(n_failed.min() > 1)
    return (*at_fault, summary, *explanations, *(_other_frame(question) if hopeless else ()))


def _other_frame(question: Question) -> tuple[Explanation, ...]:
    """Where a point would lie in the other frame, where that is in the body too."""
    tips = question.tips_lps_mm
    other = lps_from_ras(tips[0])
    if len(tips) > 1 or not bool(question.body_mask.contains(other)):
        return ()
    hint = f"{mixed_up_frames(tips[0], question.body_mask)}."
    return (Explanation(code=CHECK_FRAME, message=hint),)


def _failures(question: Question) -> dict[str, NDArray[np.bool_]]:
    """Which candidates fail each constraint, tested on its own."""
    everyone = np.arange(len(question.batch))
    fails = {limit.constraint: ~limit.ok(everyone) for limit in question.limits}
    for item in question.traced:
        bad = np.isneginf(item.bounds(question.batch, question.needle.radius_mm, everyone))
        name = item.obstacle.constraint
        fails[name] = fails[name] | bad if name in fails else bad
    for gate in question.gates:
        fails[gate.constraint] = ~gate.passes(question.batch, everyone)
    return fails


def _explain(question: Question, name: str, removed: int, alone: NDArray[np.int64]) -> Explanation:
    for limit in question.limits:
        if limit.constraint == name:
            return _explain_limit(question, limit, removed, alone)
    for item in question.traced:
        if item.obstacle.constraint == name and name != BONE:
            return _explain_clearance(question, item.obstacle, removed, alone)
    if name == BONE:
        return _explain_bone(question, removed, alone)
    gate = next(gate for gate in question.gates if gate.constraint == name)
    return _explain_gate(question, gate, removed, alone)


def _explain_gate(
    question: Question, gate: Gate, removed: int, alone: NDArray[np.int64]
) -> Explanation:
    text = f"'{gate.constraint}': {_paths(removed)} {gate.what}; {_alone(alone)}"
    current = opens_at = None
    if gate.rule is not None and gate.rule.opens and alone.size:
        missed = gate.rule.shortfall(measured(gate.rule, question.batch, alone))
        if np.isfinite(missed).any():
            text += _wider(gate.rule, float(np.nanmin(missed)))
            current, opens_at = 0.0, _tenth_up(float(np.nanmin(missed)))
    return Explanation(
        code=f"removed:{gate.constraint}",
        message=text + ".",
        constraint=gate.constraint,
        n_removed=removed,
        n_only_this=int(alone.size),
        current=current,
        opens_at=opens_at,
        unit="" if gate.rule is None else gate.rule.unit,
    )


def _wider(rule: WayRule, least: float) -> str:
    unit = "°" if rule.unit == "degrees" else f" {rule.unit}"
    return ": " + rule.opens.format(least=f"{_tenth_up(least):g}{unit}")


def _tenth_up(value: float) -> float:
    return float(np.ceil(value * 10.0) / 10.0)


def _explain_limit(
    question: Question, limit: Limit, removed: int, alone: NDArray[np.int64]
) -> Explanation:
    name = limit.constraint
    if name == IMAGE_END:
        return _explain_image_end(question, removed, alone)
    shortfall = limit.shortfall(alone)
    finite = shortfall[np.isfinite(shortfall)]
    least = _tenth_up(float(finite.min())) if finite.size else None
    change = {
        "length": ("a needle {x:g} mm longer would open a path", question.needle.length_mm),
        "approach": ("an allowed approach wider by {x:g}° would open a path", 0.0),
        "skin_angle": (
            "a skin angle limit {x:g}° larger would open a path",
            question.protocol.max_skin_angle.value,
        ),
        BORE: ("a bore wider by {x:g} mm to each side would open a path", 0.0),
    }
    opens_at = current = None
    text = f"'{name}' removes {_paths(removed)}; {_alone(alone)}"
    if least is not None and name in change:
        words, current = change[name]
        opens_at = current + least
        text += ": " + words.format(x=least)
        other = None
        if name == "length":
            other = long_enough(question.protocol, question.needle, opens_at)
        if other is not None:
            text += f" (the procedure's {other.name} is long enough)"
        if name == "approach":
            text += _tilt_text(question, alone, shortfall, least)
    elif least is not None and limit.rule is not None and limit.rule.opens:
        text += _wider(limit.rule, least)
        current, opens_at = 0.0, least
    text += _evidence_of(question.protocol, name)
    return Explanation(
        code=f"removed:{name}",
        message=text + ".",
        constraint=name,
        n_removed=removed,
        n_only_this=int(alone.size),
        current=current,
        opens_at=opens_at,
        unit=limit.unit,
    )


def _evidence_of(protocol: Protocol, name: str) -> str:
    """The limit of the axis that decided, and what it rests on."""
    if name == "skin_angle":
        limit = protocol.max_skin_angle
        return f" [at most {limit.value:g}°; evidence: {limit.evidence}]"
    if name != "approach" or not (protocol.axial_deg or protocol.craniocaudal_deg):
        return ""
    ranges = (("axial", protocol.axial_deg), ("craniocaudal", protocol.craniocaudal_deg))
    told = ", ".join(f"{word} {r[0]:g} to {r[2]:g}°" for word, r in ranges if r is not None)
    return f" [allowed: {told}; evidence: {protocol.approach_evidence or 'none'}]"


def _tilt_text(
    question: Question, alone: NDArray[np.int64], shortfall: FloatArray, least: float
) -> str:
    """Which way the paths lie that the approach alone refuses, and how many within a degree."""
    allowed = question.protocol.craniocaudal_deg
    near = alone[shortfall <= least + 1.0]
    paths = f"{near.size:,} path{'s' if near.size > 1 else ''} within {least + 1.0:g}°"
    if allowed is None:
        return f" ({paths})"
    angles = needle_angles_deg(question.batch.entry_lps_mm[near], question.batch.tip_lps_mm[near])
    tilt = np.median(angles.craniocaudal_deg)
    if tilt < allowed[0]:
        return f" ({paths}, tilted more caudal)"
    return f" ({paths}, tilted more cranial)" if tilt > allowed[2] else f" ({paths})"


def _explain_image_end(question: Question, removed: int, alone: NDArray[np.int64]) -> Explanation:
    text = (
        f"'{IMAGE_END}' removes {_paths(removed)}; {_alone(alone)}: there the image ends at the "
        "body's outline (cut, padded, or with too little air before it), so it is no proven skin"
    )
    if removed == len(question.batch):
        text += ". Use an image that shows the skin and some air on the side of the approach"
    return Explanation(
        code=f"removed:{IMAGE_END}",
        message=text + ".",
        constraint=IMAGE_END,
        n_removed=removed,
        n_only_this=int(alone.size),
    )


def _explain_clearance(
    question: Question, obstacle: Obstacle, removed: int, alone: NDArray[np.int64]
) -> Explanation:
    is_plain = obstacle.shaft_mm is None
    best = _largest_clearance_mm(question, obstacle, alone) if alone.size and is_plain else None
    opens_at = best if best is not None and best >= CONTACT_MM else None
    text = (
        f"'{obstacle.name}' (margin {_margin_text(obstacle)}) removes {_paths(removed)}; "
        f"{_alone(alone)}"
    )
    if opens_at is not None:
        text += f": its margin from {obstacle.required_mm:g} to {opens_at:.2f} mm would open a path"
    elif alone.size and is_plain:
        text += ", but all of those touch it: no margin would open a path"
    return Explanation(
        code=f"removed:{obstacle.constraint}",
        message=text + ".",
        constraint=obstacle.constraint,
        n_removed=removed,
        n_only_this=int(alone.size),
        current=obstacle.required_mm,
        opens_at=opens_at,
        unit="mm",
    )


def _margin_text(obstacle: Obstacle) -> str:
    if obstacle.shaft_mm is None:
        return f"{obstacle.required_mm:g} mm"
    last = f"{obstacle.required_mm:g} mm over the last {obstacle.terminal_mm:g} mm"
    return f"{obstacle.shaft_mm:g} mm, {last}"


def _largest_clearance_mm(
    question: Question, obstacle: Obstacle, alone: NDArray[np.int64]
) -> float:
    """Largest exact clearance among candidates, rounded down to 0.01 mm."""
    looks = alone
    if alone.size > _EXACT_LOOKS:
        item = next(t for t in question.traced if t.obstacle is obstacle)
        touching = question.needle.radius_mm + CONTACT_MM
        bound = item.target.trace(
            question.batch.end_axes_mm,
            question.batch.entry_axes_mm,
            touching,
            obstacle.clear_mm,
            alone,
        )
        looks = alone[np.argsort(-bound, kind="stable")[:_EXACT_LOOKS]]
    index = question.cache.index(obstacle.name, obstacle.structure.mask)
    distance = index.closest_approach(
        question.batch.entry_lps_mm[looks], question.batch.end_lps_mm[looks]
    ).distance_mm
    return float(floor_to_hundredth(distance.max() - question.needle.radius_mm))


def _explain_bone(question: Question, removed: int, alone: NDArray[np.int64]) -> Explanation:
    text = f"'{BONE}' removes {_paths(removed)}; {_alone(alone)}"
    if alone.size:
        text += (
            f"{_bones_text(question, alone)}: crossing bone, which the procedure forbids "
            f"(--allow-bone), would open {_paths(alone.size)}"
        )
    return Explanation(
        code="removed:bone",
        message=text + ".",
        constraint=BONE,
        n_removed=removed,
        n_only_this=int(alone.size),
        opens_at=0.0 if alone.size else None,
    )


def _paths(n: int) -> str:
    return f"{n:,} path{'' if n == 1 else 's'}"


def _alone(alone: NDArray[np.int64]) -> str:
    return f"{alone.size:,} of them fail{'s' if alone.size == 1 else ''} nothing else"


def _summary(
    question: Question,
    names: list[str],
    matrix: NDArray[np.bool_],
    n_failed: NDArray[np.int64],
) -> Explanation:
    n = matrix.shape[1]
    share = sorted(zip(matrix.mean(axis=1), names, strict=True), reverse=True)
    bones = _bones_text(question, np.arange(n)) if BONE in names else ""
    parts = ", ".join(
        f"{name.removeprefix('clearance:')} {100 * part:.0f} %{bones if name == BONE else ''}"
        for part, name in share[:4]
        if part > 0
    )
    text = f"None of {n:,} candidate paths is feasible. Share that each constraint blocks: {parts}."
    if n_failed.min() > 1:
        nearest = matrix[:, n_failed == n_failed.min()]
        sets, counts = np.unique(nearest, axis=1, return_counts=True)
        which = sets[:, int(np.argmax(counts))]
        together = " and ".join(name for name, hit in zip(names, which, strict=True) if hit)
        text += (
            f" No single change opens a path: the nearest candidates fail "
            f"{n_failed.min()} constraints at once ({together})."
        )
    return Explanation(code="nothing_feasible", message=text, n_removed=n)


def _bones_text(question: Question, of: NDArray[np.int64]) -> str:
    """Which bones block how much of some paths, the three that block most."""
    radius = question.needle.radius_mm
    share = {
        item.obstacle.name: float(np.isneginf(item.bounds(question.batch, radius, of)).mean())
        for item in question.traced
        if item.obstacle.constraint == BONE
    }
    most = sorted(share.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    told = ", ".join(f"{name} {100 * part:.0f} %" for name, part in most if part > 0)
    return f" ({told})" if len(share) > 1 and told else ""


def _no_skin(question: Question) -> Explanation:
    needle, nearest = question.needle, question.nearest_skin_mm
    if nearest is None:
        return Explanation(
            code="no_skin",
            message=(
                "No skin is in view: the image cuts the body on every side. "
                "Use an image that shows the skin on the side of the approach."
            ),
        )
    return Explanation(
        code="no_skin",
        message=(
            f"The nearest skin in view is {nearest:.1f} mm from the target, beyond the reach of "
            f"the needle ({needle.name}, {needle.length_mm:g} mm). Use a longer needle, or an "
            "image that shows the skin on the side of the approach."
        ),
        constraint="length",
        current=needle.length_mm,
        opens_at=float(np.ceil(nearest)),
        unit="mm",
    )
