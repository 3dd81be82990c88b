"""A right plan is confirmed; wrong inputs and unsafe plans are not."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner.verify
from planner.errors import InputError
from planner.geometry import Grid, Mask, Volume
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import load_plan, plan_document, save_plan
from planner.model import PlanResult, Structure, StructureRole, StructureSet, Verdict
from planner.verify import (
    CheckKind,
    VerificationReport,
    exact,
    structures_as_planned,
    verify_plan,
    verifying,
)
from tests.grids import ORIENTED_AXES
from tests.unit.verify.phantom_plan import CENTRE_LPS_MM, make_protocol, make_result


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


def edited(result: PlanResult, change: Callable[[dict[str, Any]], None]) -> PlanDocument:
    content = plan_document(result).to_json_dict()
    change(content)
    return PlanDocument.model_validate_json(json.dumps(content))


def verified(result: PlanResult, plan: PlanDocument | PlanResult) -> VerificationReport:
    return verify_plan(plan, result.volume, result.structures, protocol=result.protocol)


def failed_claims(report: VerificationReport) -> set[str]:
    return {check.claim for check in report.failures}


def with_structures(result: PlanResult, *structures: Structure) -> StructureSet:
    return StructureSet(grid=result.structures.grid, structures=structures)


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
    assert failed_claims(report) == {"a mask of class 'bowel' is given"}


def test_hostile_numbers_are_refused_not_a_crash(result: PlanResult) -> None:
    def far(content: dict[str, Any]) -> None:
        content["trajectories"][0]["entry_lps_mm"] = [1e300, -1e300, 0.0]
        content["trajectories"][1]["tip_lps_mm"] = [1e9, 0.0, 0.0]

    report = verified(result, edited(result, far))
    assert [c.claim for c in report.failures if c.trajectory == 1] == ["path is of human size"]
    assert [c.claim for c in report.failures if c.trajectory == 2] == ["path is of human size"]


# --- inputs differ -----------------------------------------------------------------------------


def test_another_image_is_an_input_that_differs(result: PlanResult) -> None:
    values = np.array(result.volume.values)
    values[0, 0, 0] += 1
    other = Volume(grid=result.volume.grid, values=values, source=result.volume.source)
    report = verify_plan(result, other, result.structures)
    assert failed_claims(report) == {"image.sha256"}
    assert report.inputs_differ
    assert not report.numbers_differ


def test_another_mask_is_an_input_that_differs(result: PlanResult) -> None:
    root = result.structures["L5 root"]
    inside = np.array(root.mask.inside)
    inside[0, 0, 0] = True
    grown = replace(root, mask=Mask(grid=root.mask.grid, inside=inside))
    others = [s for s in result.structures.structures if s.name != "L5 root"]
    report = verify_plan(result, result.volume, with_structures(result, *others, grown))
    assert "structures[L5 root].sha256" in failed_claims(report)
    assert report.inputs_differ
    assert not report.numbers_differ


def test_moved_mask_gives_inputs_and_numbers_that_differ(result: PlanResult) -> None:
    artery = result.structures["iliac artery"]
    moved = replace(
        artery, mask=Mask(grid=artery.mask.grid, inside=np.roll(artery.mask.inside, 4, axis=2))
    )
    others = [s for s in result.structures.structures if s.name != "iliac artery"]
    report = verify_plan(result, result.volume, with_structures(result, *others, moved))
    assert report.inputs_differ
    assert report.numbers_differ
    assert "clearance_mm[iliac artery]" in failed_claims(report)


@pytest.mark.parametrize("name", ["L5 root", "iliac artery", "sacrum"])
def test_missing_structure_is_not_confirmed(result: PlanResult, name: str) -> None:
    others = [s for s in result.structures.structures if s.name != name]
    report = verify_plan(result, result.volume, with_structures(result, *others))
    assert {f"structures[{name}]", f"clearance_mm[{name}]"} <= failed_claims(report)
    assert report.inputs_differ


def test_structure_the_plan_never_saw_is_not_confirmed(result: PlanResult) -> None:
    extra = replace(result.structures["L5 root"], name="S1 root")
    more = with_structures(result, *result.structures.structures, extra)
    report = verify_plan(result, result.volume, more)
    assert "structures[S1 root]" in failed_claims(report)
    # The third path is too near to it, but is a fail anyway; the others keep their distance.
    assert report.inputs_differ


def test_other_role_and_margin_are_not_confirmed(result: PlanResult) -> None:
    others = [s for s in result.structures.structures if s.name != "iliac artery"]
    artery = result.structures["iliac artery"]
    allowed = with_structures(result, *others, artery.with_role(StructureRole.ALLOWED, None))
    report = verify_plan(result, result.volume, allowed)
    assert "structures[iliac artery].role" in failed_claims(report)
    wider = with_structures(result, *others, replace(artery, margin_mm=4.0))
    report = verify_plan(result, result.volume, wider)
    assert "structures[iliac artery].margin_mm is what was asked for" in failed_claims(report)
    assert "margin to 'iliac artery' is kept" in failed_claims(report)


def test_margin_under_the_procedure_s_is_not_confirmed(result: PlanResult) -> None:
    """Even where plan, clearances and findings agree on the smaller margin."""

    def lower(content: dict[str, Any]) -> None:
        for structure in content["structures"]:
            if structure["name"] == "L5 root":
                structure["margin_mm"] = 2.0
        for path in content["trajectories"]:
            for clearance in path["clearances"]:
                if clearance["structure"] == "L5 root":
                    clearance["required_mm"] = 2.0
            for finding in path["findings"]:
                if finding["structure"] == "L5 root":
                    finding["required"] = 2.0

    report = verified(result, edited(result, lower))
    claims = failed_claims(report)
    assert "structures[L5 root].margin_mm is what was asked for" in claims
    assert all("L5 root" in c or "verdict" in c or "cost" in c for c in claims)


def test_users_choices_can_be_put_back(result: PlanResult) -> None:
    document = plan_document(result)
    plain = with_structures(
        result,
        *(replace(s, margin_mm=None) for s in result.structures.structures),
    )
    assert not verify_plan(document, result.volume, plain, protocol=result.protocol).ok
    chosen = structures_as_planned(document, plain)
    assert chosen["iliac artery"].margin_mm == 2.5
    assert chosen["L5 root"].margin_mm is None
    assert verify_plan(document, result.volume, chosen, protocol=result.protocol).ok


def test_other_procedure_is_an_input_that_differs(result: PlanResult) -> None:
    document = plan_document(result)
    report = verify_plan(
        document, result.volume, result.structures, protocol=make_protocol("ef" * 32)
    )
    assert failed_claims(report) == {"procedure.sha256"}
    assert report.inputs_differ


def test_unknown_procedure_is_not_confirmed(
    result: PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_protocol_of", lambda plan: None)
    report = verify_plan(plan_document(result), result.volume, result.structures)
    assert failed_claims(report) == {"procedure.sha256"}
    assert any("margin of 'L5 root'" in line for line in report.not_checked)


# --- body --------------------------------------------------------------------------------------


def automatic(result: PlanResult) -> PlanResult:
    """The same plan with its body found automatically instead of given."""
    rest = [s for s in result.structures.structures if s.name != "trunk"]
    uses = tuple(use for use in result.uses if use.name != "trunk")
    return replace(
        result, structures=with_structures(result, *rest), uses=uses, body_source="automatic"
    )


class FindsBody:
    """Stands for planner.skin; ``imaged`` is everything."""

    findings = ()

    def __init__(self, body: Mask | None) -> None:
        self.mask = body

    def find_body(self, volume: Volume) -> FindsBody:
        if self.mask is None:
            raise InputError("there is no body in the image")
        self.imaged = Mask(grid=volume.grid, inside=np.ones(volume.grid.shape_kji, bool))
        return self


def test_body_given_beside_the_structures_is_confirmed_by_its_hash(result: PlanResult) -> None:
    plan = automatic(result)
    report = verify_plan(plan, plan.volume, plan.structures, plan.body)
    assert report.ok, report.to_text()


def test_body_is_found_again_when_it_is_not_given(
    result: PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = automatic(result)
    monkeypatch.setattr(verifying.importlib, "import_module", lambda name: FindsBody(plan.body))
    assert verify_plan(plan, plan.volume, plan.structures).ok


def test_body_that_cannot_be_found_is_not_confirmed(
    result: PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = automatic(result)
    monkeypatch.setattr(verifying.importlib, "import_module", lambda name: FindsBody(None))
    report = verify_plan(plan, plan.volume, plan.structures)
    assert {"body.sha256", "path lies in the body"} <= failed_claims(report)


def test_plan_that_does_not_name_its_body_is_not_confirmed(result: PlanResult) -> None:
    plan = replace(result, body=None)
    assert failed_claims(verify_plan(plan, plan.volume, plan.structures)) == {"body.sha256"}


def test_several_bodies_are_one(result: PlanResult) -> None:
    trunk = result.structures["trunk"]
    parts = [np.array(trunk.mask.inside), np.array(trunk.mask.inside)]
    parts[0][:, :60], parts[1][:, 60:] = False, False
    halves = [
        replace(trunk, name=name, mask=Mask(grid=trunk.mask.grid, inside=part))
        for name, part in zip(("upper", "lower"), parts, strict=True)
    ]
    rest = [s for s in result.structures.structures if s.name != "trunk"]
    plan = replace(
        result,
        structures=with_structures(result, *halves, *rest),
        body_source="structure:upper+lower",
    )
    assert verify_plan(plan, plan.volume, plan.structures).ok


def test_entry_inside_the_body_is_not_on_the_skin(result: PlanResult) -> None:
    """The body given to verify reaches 5 mm further out than the one planned on."""
    grid = result.volume.grid
    lps = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTRE_LPS_MM
    thick = Mask(grid=grid, inside=lps[..., 1] <= 23.0)
    report = verify_plan(result, result.volume, result.structures, thick)
    assert {"body.sha256", "entry lies on the skin"} <= failed_claims(report)
    assert "path lies in the body" not in failed_claims(report)


def test_path_through_a_hole_of_the_body_is_not_confirmed(result: PlanResult) -> None:
    body = result.structures["trunk"].mask
    middle = (result.trajectories[0].entry_lps_mm + result.trajectories[0].tip_lps_mm) / 2
    k, j, i = np.floor(body.grid.to_kji(middle) + 0.5).astype(int)
    inside = np.array(body.inside)
    inside[k, j, i] = False
    holed = Mask(grid=body.grid, inside=inside)
    report = verify_plan(result, result.volume, result.structures, holed)
    assert {"body.sha256", "path lies in the body"} <= failed_claims(report)
    assert "entry lies on the skin" not in failed_claims(report)


# --- place -------------------------------------------------------------------------------------


def test_mask_that_does_not_cover_the_path_must_not_pass(result: PlanResult) -> None:
    """Drawn on a grid that ends half-way along the path; and one that ends in the margin."""
    artery = result.structures["iliac artery"]
    path = result.trajectories[0]
    others = [s for s in result.structures.structures if s.name != "iliac artery"]
    middle = (path.entry_lps_mm + path.tip_lps_mm) / 2
    beside = path.tip_lps_mm + np.array([0.0, -1.0, 0.0])
    for corner, is_short in ((middle, True), (beside, True), (path.tip_lps_mm - 9.0, False)):
        # An axial box from the corner to far beyond the skin.
        grid = Grid.from_axes((60, 60, 60), (1, 1, 1), corner - [30.0, 0.0, 30.0])
        source = replace(artery.source, grid=grid, method="nearest")
        partial = replace(artery, source=source)
        plan = replace(result, structures=with_structures(result, *others, partial))
        claims = failed_claims(verify_plan(plan, plan.volume, plan.structures))
        assert ("mask of 'iliac artery' covers the path" in claims) == is_short
        assert claims <= {"mask of 'iliac artery' covers the path"}


def test_path_too_near_a_cut_face_must_not_pass(result: PlanResult) -> None:
    """Body cut by the image 3 mm beyond the tip: a nerve could lie within 3.36 mm, unseen."""
    path = result.trajectories[0]
    for below_tip_mm, is_short in ((2.5, True), (3.5, False)):
        corner = path.tip_lps_mm - [30.0, below_tip_mm, 30.0]
        near = Grid.from_axes((60, 60, 60), (1, 1, 1), corner)
        body = Mask(grid=near, inside=np.ones(near.shape_kji, bool))
        room_mm = exact.room_to_cuts_mm(body, path.entry_lps_mm, path.throw_end_lps_mm)
        assert room_mm == pytest.approx(below_tip_mm + 0.5)
        claims = failed_claims(verify_plan(result, result.volume, result.structures, body))
        assert ("image goes on as far as the margin of 'L5 root'" in claims) == is_short


def test_hub_that_would_pass_through_the_body_must_not_pass(result: PlanResult) -> None:
    """An arm beside the trunk, 6 to 10 mm out from the skin."""
    grid = result.volume.grid
    y = (grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - CENTRE_LPS_MM)[..., 1]
    arm = Mask(grid=grid, inside=(y <= 18.0) | ((y > 25.0) & (y < 28.0)))
    report = verify_plan(result, result.volume, result.structures, arm)
    assert "needle outside the skin meets no body" in failed_claims(report)


def test_forbidden_entry_is_looked_at_again(result: PlanResult) -> None:
    told = {**result.options, "forbidden_entry": ["trunk"]}
    report = verified(result, replace(result, options=told))
    assert failed_claims(report) == {"entry keeps off 'trunk'"}
    told = {**result.options, "forbidden_entry": ["sacrum"]}
    assert verified(result, replace(result, options=told)).ok
    told = {**result.options, "forbidden_entry": ["tattoo"]}
    assert failed_claims(verified(result, replace(result, options=told))) == {
        "options.forbidden_entry"
    }


def test_approach_outside_the_procedure_s_must_not_pass(result: PlanResult) -> None:
    for protocol in (
        replace(result.protocol, approach_side="anterior"),
        replace(result.protocol, craniocaudal_deg=(50.0, 60.0, 70.0)),
    ):
        claims = failed_claims(
            verify_plan(result, result.volume, result.structures, protocol=protocol)
        )
        assert "approach is one of the procedure" in claims


def test_bone_that_may_be_crossed_has_no_margin(result: PlanResult) -> None:
    """The user's choice is in the options; without it the procedure's margin is missing."""
    uses = tuple(
        replace(u, margin_mm=None, hard=False) if u.name == "sacrum" else u for u in result.uses
    )

    def without_bone(path: Any) -> Any:
        kept = tuple(c for c in path.clearances if c.structure != "sacrum")
        found = tuple(f for f in path.findings if f.structure != "sacrum")
        return replace(path, clearances=kept, findings=found)

    paths = tuple(without_bone(path) for path in result.trajectories[:1])
    plan = replace(result, uses=uses, trajectories=paths)
    claims = failed_claims(verify_plan(plan, plan.volume, plan.structures))
    assert "structures[sacrum].margin_mm is what was asked for" in claims
    plan = replace(plan, options={**plan.options, "allow_bone": True})
    claims = failed_claims(verify_plan(plan, plan.volume, plan.structures))
    assert not claims


def test_path_out_of_the_image_must_not_pass(result: PlanResult) -> None:
    """The image is cut off between entry and tip; the masks are not."""
    grid = result.volume.grid
    entry, tip = result.trajectories[0].entry_lps_mm, result.trajectories[0].tip_lps_mm
    axis = int(np.argmax(np.abs(grid.to_kji(entry) - grid.to_kji(tip))))
    stop = np.array(grid.shape_kji)
    start = np.zeros(3, int)
    cut = int((grid.to_kji(entry) + grid.to_kji(tip))[axis] / 2)
    start[axis] = cut
    small = Grid(
        shape_kji=grid.cropped(start, stop).shape_kji,
        lps_from_kji=grid.cropped(start, stop).lps_from_kji,
        frame=grid.frame,
    )
    image = Volume(
        grid=small,
        values=result.volume.values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))],
        source=result.volume.source,
    )
    report = verify_plan(result, image, result.structures)
    assert "path lies in the image" in failed_claims(report)
    assert report.inputs_differ


def test_unsafe_path_must_not_pass_even_if_findings_agree(result: PlanResult) -> None:
    """The third path is too near the nerve: calling it a pass throughout is caught."""

    def praise(content: dict[str, Any]) -> None:
        path = content["trajectories"][2]
        path["verdict"] = "pass"
        for finding in path["findings"]:
            finding["verdict"] = "pass"

    report = verified(result, edited(result, praise))
    assert "margin to 'L5 root' is kept" in failed_claims(report)
    assert {check.trajectory for check in report.failures} == {3, None}
    assert "trajectories: order by verdict, then cost" in failed_claims(report)


def test_path_without_its_clearances_is_not_confirmed(result: PlanResult) -> None:
    def drop(content: dict[str, Any]) -> None:
        path = content["trajectories"][0]
        path["clearances"] = [c for c in path["clearances"] if c["structure"] != "sacrum"]
        del path["clearance_mm"]["sacrum"]
        path["findings"] = [f for f in path["findings"] if f["structure"] != "sacrum"]

    claims = failed_claims(verified(result, edited(result, drop)))
    assert claims == {
        "clearances[sacrum].required_mm",
        "findings hold the clearance to 'sacrum'",
    }


def test_entry_on_the_tip_is_refused_not_a_crash(result: PlanResult) -> None:
    def collapse(content: dict[str, Any]) -> None:
        content["trajectories"][0]["entry_lps_mm"] = content["trajectories"][0]["tip_lps_mm"]

    assert "entry and tip are apart" in failed_claims(verified(result, edited(result, collapse)))


# --- report ------------------------------------------------------------------------------------


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
