"""Every decision of a plan against brute force, and every reported number."""

from __future__ import annotations

import numpy as np
import pytest

import planner
from planner.model import Verdict
from tests.brute_force import axis_distances_mm
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

CLEARANCE_TOL_MM = 0.01
"""What DESIGN fixes for reported clearances; they are never larger."""
SPACING_MM = 4.0


@pytest.fixture(scope="module", params=["axial", "thick", "oblique"])
def planned(request):
    volume, structures = trunk(request.param)
    result = planner.plan(
        volume,
        TARGET_LPS_MM,
        simple_protocol(),
        structures,
        "22G-90",
        entry_spacing_mm=SPACING_MM,
        table_side="none",
        throw_mm=6.0,
    )
    return volume, structures, result


def _ends(result):
    candidates = result.candidates
    along = candidates.tip_lps_mm - candidates.entry_lps_mm
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return candidates.tip_lps_mm + result.needle.throw_mm * along


def test_no_candidate_is_accepted_or_lost_against_brute_force(planned):
    _, structures, result = planned
    candidates = result.candidates
    required = {"nerve": 3.0, "aorta": 5.0, "spine": 1.0}
    clear = {
        name: axis_distances_mm(structures[name].mask, candidates.entry_lps_mm, _ends(result))
        - result.needle.radius_mm
        for name in required
    }
    ok = np.logical_and.reduce([clear[name] >= margin for name, margin in required.items()])
    by_clearance = np.isin(candidates.rejected_by, ["clearance:nerve", "clearance:aorta", "bone"])
    assert not np.any(candidates.feasible & ~ok), "false accept"
    assert not np.any(by_clearance & ok), "false reject"
    assert candidates.feasible.sum() > 20
    assert by_clearance.sum() > 20
    for name, id_ in (
        ("nerve", "clearance:nerve"),
        ("aorta", "clearance:aorta"),
        ("spine", "bone"),
    ):
        blamed = candidates.rejected_by == id_
        assert np.all(clear[name][blamed] < required[name]), "blamed for what it does not do"
    least = np.minimum.reduce(list(clear.values()))
    bound = candidates.clearance_bound_mm[candidates.feasible]
    assert np.all(bound <= least[candidates.feasible] + 1e-6), "a bound above the truth"


def test_length_and_skin_angle_decide_as_defined(planned):
    _, _, result = planned
    candidates = result.candidates
    along = candidates.tip_lps_mm - candidates.entry_lps_mm
    length = np.linalg.norm(along, axis=1)
    angle = np.degrees(
        np.arccos(-np.einsum("ij,ij->i", along, candidates.skin_normal_lps) / length)
    )
    assert np.all(length[candidates.feasible] <= 90.0)
    assert np.all(angle[candidates.feasible] <= 70.0)
    assert np.all(length[candidates.rejected_by == "length"] > 90.0)
    assert np.all(angle[candidates.rejected_by == "skin_angle"] > 70.0)


def test_reported_clearances_are_exact_and_never_larger(planned):
    _, structures, result = planned
    assert result.trajectories
    for trajectory in result.trajectories:
        for name, claimed in trajectory.clearance_mm.items():
            exact = (
                axis_distances_mm(
                    structures[name].mask,
                    trajectory.entry_lps_mm[None],
                    trajectory.throw_end_lps_mm[None],
                )[0]
                - result.needle.radius_mm
            )
            assert exact - CLEARANCE_TOL_MM <= claimed <= exact + 1e-6


def test_closest_points_are_that_far_apart(planned):
    _, _, result = planned
    for trajectory in result.trajectories:
        for clearance in trajectory.clearances:
            gap = np.linalg.norm(clearance.on_needle_lps_mm - clearance.on_structure_lps_mm)
            assert gap - result.needle.radius_mm == pytest.approx(clearance.clearance_mm, abs=0.011)


def test_trajectories_are_feasible_diverse_and_ranked(planned):
    _, _, result = planned
    entries = np.array([t.entry_lps_mm for t in result.trajectories])
    gaps = np.linalg.norm(entries[:, None] - entries[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() >= 10.0
    assert [t.rank for t in result.trajectories] == list(range(1, len(entries) + 1))
    keys = [(t.verdict.severity, t.cost) for t in result.trajectories]
    assert keys == sorted(keys)
    assert all(result.candidates.feasible[t.candidate] for t in result.trajectories)
    assert all(t.verdict is not Verdict.FAIL for t in result.trajectories)
    assert result.verdict is result.trajectories[0].verdict


def test_pareto_marks_equal_brute_force(planned):
    _, _, result = planned
    session_terms = np.array([list(t.cost_terms.values()) for t in result.trajectories])
    for number, trajectory in enumerate(result.trajectories):
        among_shown = np.all(session_terms <= session_terms[number] - 1e-3, axis=1).any()
        assert not (trajectory.is_pareto_optimal and among_shown)
    assert any(t.is_pareto_optimal for t in result.trajectories)


def test_counts_add_up(planned):
    _, _, result = planned
    total = sum(result.rejected_counts.values()) + int(result.candidates.feasible.sum())
    assert total == len(result.candidates)


def test_same_plan_on_one_and_two_threads_and_again():
    volume, structures = trunk("thick")
    results = [
        planner.plan(
            volume, TARGET_LPS_MM, simple_protocol(), structures, table_side="none", threads=n
        )
        for n in (1, 2, 2)
    ]
    for other in results[1:]:
        assert np.array_equal(results[0].candidates.rejected_by, other.candidates.rejected_by)
        assert np.array_equal(results[0].candidates.cost, other.candidates.cost, equal_nan=True)
        for one, two in zip(results[0].trajectories, other.trajectories, strict=True):
            assert np.array_equal(one.entry_lps_mm, two.entry_lps_mm)
            assert one.clearance_mm == two.clearance_mm
            assert one.cost == two.cost


def test_a_session_answers_like_a_fresh_plan_for_a_moved_target():
    volume, structures = trunk("oblique")
    options = {"procedure": simple_protocol(), "needle": "22G-90", "table_side": "none"}
    session = planner.PlanningSession(volume, structures, **options)
    for offset in ((0, 0, 0), (3, -2, 4), (-8, 5, -6)):
        target = TARGET_LPS_MM + offset
        moved = session.plan(target)
        fresh = planner.plan(volume, target, structures=structures, **options)
        assert np.array_equal(moved.candidates.rejected_by, fresh.candidates.rejected_by)
        assert [t.clearance_mm for t in moved.trajectories] == [
            t.clearance_mm for t in fresh.trajectories
        ]


def test_a_larger_obstacle_or_needle_never_helps():
    volume, structures = trunk("axial")

    def feasible(needle, margin):
        changed = planner.model.StructureSet(
            grid=structures.grid,
            structures=tuple(
                s if s.name != "nerve" else s.with_role(s.role, margin)
                for s in structures.structures
            ),
        )
        return planner.plan(
            volume,
            TARGET_LPS_MM,
            simple_protocol(),
            changed,
            needle,
            entry_spacing_mm=3.0,
            table_side="none",
        ).candidates.feasible

    base = feasible("22G-90", 3.0)
    assert not np.any(feasible("14G-90", 3.0) & ~base)
    wider = feasible("22G-90", 4.5)
    assert not np.any(wider & ~base)
    assert wider.sum() < base.sum()
