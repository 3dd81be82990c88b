"""A right plan is confirmed, and what the report of a verification says."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planner.verify
from planner.io.plan_file import load_plan, plan_document, save_plan
from planner.model import PlanResult, Verdict
from planner.verify import (
    CheckKind,
    VerificationReport,
    verify_plan,
)
from tests.grids import ORIENTED_AXES
from tests.unit.verify.phantom_plan import make_protocol, make_result
from tests.unit.verify.plan_edits import edited, failed_claims, verified


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


@pytest.mark.parametrize("axes", sorted(ORIENTED_AXES))
def test_right_plan_is_confirmed_on_every_orientation(axes: str) -> None:
    plan = make_result(axes)
    report = verify_plan(plan, plan.volume, plan.structures)
    assert report.ok, report.to_text()
    assert not report.inputs_differ
    assert not report.numbers_differ


def test_verdicts_of_the_phantom_differ(result: PlanResult) -> None:
    """The phantom holds a caution and a fail, so that verdict rules are exercised."""
    assert {t.verdict for t in result.trajectories} == {Verdict.CAUTION, Verdict.FAIL}


def test_throw_is_part_of_the_needle() -> None:
    plan = make_result("axial", throw_mm=2.0)
    assert verify_plan(plan, plan.volume, plan.structures).ok
    bare = make_result("axial")
    assert plan.trajectories[0].clearance_mm["sacrum"] < bare.trajectories[0].clearance_mm["sacrum"]


def test_plan_from_its_file_is_confirmed(result: PlanResult, tmp_path: Path) -> None:
    document = load_plan(save_plan(result, tmp_path / "plan.json"))
    assert verified(result, document).ok


def test_plan_without_a_path_is_confirmed_and_without_a_reason_is_not() -> None:
    plan = make_result(feasible=False)
    assert verified(plan, plan).ok
    silent = replace(plan, explanation=())
    assert failed_claims(verified(plan, silent)) == {"explanation"}
    praised = replace(plan, verdict=Verdict.PASS)
    assert failed_claims(verified(plan, praised)) == {"verdict"}


def test_missing_class_is_unknown_and_must_not_pass() -> None:
    plan = make_result(missing_class=True)
    assert plan.verdict is Verdict.UNKNOWN or plan.trajectories[2].verdict is Verdict.FAIL
    assert verified(plan, plan).ok, verified(plan, plan).to_text()

    def forget(content: dict[str, Any]) -> None:
        content["trajectories"] = content["trajectories"][:1]
        path = content["trajectories"][0]
        path["findings"] = [f for f in path["findings"] if f["verdict"] != "unknown"]
        path["verdict"] = content["verdict"] = "caution"

    report = verified(plan, edited(plan, forget))
    assert failed_claims(report) == {
        "a mask of class 'bowel' is given",
        "findings hold 'missing_structure' of 'bowel'",
    }


def test_hostile_numbers_are_refused_not_a_crash(result: PlanResult) -> None:
    def far(content: dict[str, Any]) -> None:
        content["trajectories"][0]["entry_lps_mm"] = [1e300, -1e300, 0.0]
        content["trajectories"][1]["tip_lps_mm"] = [1e9, 0.0, 0.0]

    report = verified(result, edited(result, far))
    assert [c.claim for c in report.failures if c.trajectory == 1] == ["path is of human size"]
    assert [c.claim for c in report.failures if c.trajectory == 2] == ["path is of human size"]


def test_report_says_what_differs_in_words_and_in_json(result: PlanResult) -> None:
    def widen(content: dict[str, Any]) -> None:
        content["trajectories"][0]["clearance_mm"]["L5 root"] += 0.5

    report = verified(result, edited(result, widen))
    text = report.to_text()
    assert text.startswith("NOT VERIFIED: 1 of ")
    assert "numbers differ (1)" in text
    assert "trajectory 1: clearance_mm[L5 root]: claimed 4.37, recomputed 3.87" in text
    assert "Research use only" in text
    data = json.loads(json.dumps(report.to_json_dict(), allow_nan=False))
    assert data["ok"] is False
    assert data["n_failures"] == 1
    wrong = [check for check in data["checks"] if not check["ok"]]
    assert wrong[0]["kind"] == CheckKind.NUMBER
    assert wrong[0]["claimed"] == pytest.approx(wrong[0]["recomputed"] + 0.5, abs=0.011)


def test_report_of_inputs_says_so(result: PlanResult) -> None:
    report = verify_plan(
        plan_document(result), result.volume, result.structures, protocol=make_protocol("ef" * 32)
    )
    assert "the inputs are not those of the plan (1)" in report.to_text()
    assert "numbers differ" not in report.to_text()


def test_report_without_a_check_confirms_nothing() -> None:
    report = VerificationReport(checks=())
    assert not report.ok
    assert report.to_text().startswith("NOT VERIFIED: nothing could be checked.")


def test_nothing_of_the_search_is_shared() -> None:
    """The point of a verification: no distance field, no kernel of the search."""
    forbidden = (
        "planner.search",
        "planner.safety",
        *(
            f"planner.geometry.{m}"
            for m in ("clearance", "distance", "trace", "segments", "walk", "sampling", "angles")
        ),
    )
    for file in Path(planner.verify.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for name in names:
                assert not name.startswith(forbidden), f"{file.name} imports {name}"
