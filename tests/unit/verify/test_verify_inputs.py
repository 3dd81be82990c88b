"""Another image, mask, body or procedure than those of the plan is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.errors import InputError
from planner.geometry import Mask, Volume
from planner.io.plan_file import plan_document
from planner.model import PlanResult, StructureRole
from planner.verify import (
    structures_as_planned,
    verify_plan,
    verifying,
)
from tests.unit.verify.phantom_plan import CENTRE_LPS_MM, make_protocol, make_result
from tests.unit.verify.plan_edits import edited, failed_claims, verified, with_structures


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


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
