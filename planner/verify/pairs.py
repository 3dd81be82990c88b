"""Two needles at once: their distances, sampled and refined."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from planner.io.plan_document import PlanDocument, TrajectoryRecord
from planner.model import Protocol
from planner.verify.ledger import Ledger

TOL_MM = 1e-3
HANDLE_MM = 60.0


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
        ends = [_needle(plan, t) for t in (one, other)]
        apart = np.array(one.tip_lps_mm) - np.array(other.tip_lps_mm)
        spacing = float(np.sqrt((apart**2).sum()))
        gap = _gap_mm(ends[0], ends[1]) - plan.needle.outer_diameter_mm
        book.close(f"{claim}.tip_spacing_mm", pair.tip_spacing_mm, spacing, TOL_MM)
        book.close(f"{claim}.clearance_mm", pair.clearance_mm, gap, TOL_MM)
        if rule is not None:
            is_kept = (
                spacing >= rule.spacing.value - TOL_MM and gap >= rule.clearance.value - TOL_MM
            )
            book.rule(f"{claim} keeps the rule", [spacing, gap], None, is_kept)


def _needle(plan: PlanDocument, path: TrajectoryRecord) -> np.ndarray:
    """Two ends of the needle with hub and handle: (2, 3)."""
    tip = np.array(path.tip_lps_mm)
    inward = tip - np.array(path.entry_lps_mm)
    length = float(np.sqrt((inward**2).sum()))
    out_mm = max(plan.needle.length_mm, length) + HANDLE_MM
    return np.array([tip - inward / length * out_mm, path.throw_end_lps_mm])


def _gap_mm(one: np.ndarray, other: np.ndarray) -> float:
    """Least distance of two segments: a convex function of the two places along them."""

    def squared(place: np.ndarray) -> float:
        a = one[0] + place[0] * (one[1] - one[0])
        b = other[0] + place[1] * (other[1] - other[0])
        return float(((a - b) ** 2).sum())

    starts = [(s, t) for s in (0.0, 0.5, 1.0) for t in (0.0, 0.5, 1.0)]
    found = [
        minimize(squared, start, bounds=[(0, 1), (0, 1)], tol=1e-14, method="L-BFGS-B").fun
        for start in starts
    ]
    return float(np.sqrt(max(min(found), 0.0)))
