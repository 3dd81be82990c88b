"""Two needles at once: their distances, by a search along one of them."""

from __future__ import annotations

import itertools
import math

import numpy as np

from planner.io.plan_document import PlanDocument, TrajectoryRecord
from planner.model import Protocol, TwoNeedleRule
from planner.verify.ledger import Ledger

TOL_MM = 1e-3
HANDLE_MM = 60.0
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
STEPS = 60


def check_pairs(plan: PlanDocument, protocol: Protocol | None, book: Ledger) -> None:
    """Every pair keeps the procedure's rule, by its own paths."""
    rule = None if protocol is None else protocol.two_needles
    book.rule(
        "pairs are of a procedure with two needles",
        len(plan.pairs),
        None,
        rule is not None or not plan.pairs,
    )
    by_rank = {t.rank: t for t in plan.trajectories}
    for number, pair in enumerate(plan.pairs, start=1):
        claim = f"pairs[{number}]"
        one, other = by_rank.get(pair.first_rank), by_rank.get(pair.second_rank)
        if one is None or other is None or one is other:
            book.rule(f"{claim} names two paths", [pair.first_rank, pair.second_rank], None, False)
            continue
        spacing, gap = _apart_mm(plan, one, other)
        book.close(f"{claim}.tip_spacing_mm", pair.tip_spacing_mm, spacing, TOL_MM)
        book.close(f"{claim}.clearance_mm", pair.clearance_mm, gap, TOL_MM)
        if rule is not None:
            is_kept = _keeps(rule, spacing, gap, -TOL_MM)
            book.rule(f"{claim} keeps the rule", [spacing, gap], None, is_kept)
    if rule is not None:
        told = {frozenset((pair.first_rank, pair.second_rank)) for pair in plan.pairs}
        left_out = [
            f"{one.rank} and {other.rank}"
            for one, other in itertools.combinations(plan.trajectories, 2)
            if frozenset((one.rank, other.rank)) not in told
            and _keeps(rule, *_apart_mm(plan, one, other), TOL_MM)
        ]
        book.rule("pairs are all that keep the rule", left_out, [], not left_out)


def _keeps(rule: TwoNeedleRule, spacing_mm: float, gap_mm: float, slack_mm: float) -> bool:
    is_spaced = spacing_mm >= rule.spacing.value + slack_mm
    return is_spaced and gap_mm >= rule.clearance.value + slack_mm


def _apart_mm(
    plan: PlanDocument, one: TrajectoryRecord, other: TrajectoryRecord
) -> tuple[float, float]:
    """Distance of the tips, and of the surfaces of the whole needles."""
    gap = _gap_mm(_needle(plan, one), _needle(plan, other)) - plan.needle.outer_diameter_mm
    return math.dist(one.tip_lps_mm, other.tip_lps_mm), gap


def _needle(plan: PlanDocument, path: TrajectoryRecord) -> np.ndarray:
    """Two ends of the needle with hub and handle: (2, 3)."""
    tip = np.array(path.tip_lps_mm)
    inward = tip - np.array(path.entry_lps_mm)
    length = float(np.sqrt((inward**2).sum()))
    out_mm = max(plan.needle.length_mm, length) + HANDLE_MM
    return np.array([tip - inward / length * out_mm, path.throw_end_lps_mm])


def _gap_mm(one: np.ndarray, other: np.ndarray) -> float:
    """Least distance of two segments: golden section along the first, which is convex."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if _to_segment_mm(one, left, other) <= _to_segment_mm(one, right, other):
            high = right
        else:
            low = left
    places = (0.0, (low + high) / 2.0, 1.0)
    return min(_to_segment_mm(one, place, other) for place in places)


def _to_segment_mm(one: np.ndarray, place: float, other: np.ndarray) -> float:
    """From a place on one segment (0 to 1) to the nearest point of the other."""
    point = one[0] + place * (one[1] - one[0])
    along = other[1] - other[0]
    length2 = float(along @ along)
    share = 0.0 if length2 == 0.0 else float(np.clip((point - other[0]) @ along / length2, 0, 1))
    return math.dist(point, other[0] + share * along)
