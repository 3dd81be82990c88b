"""A path where none may be is not confirmed, whatever the plan says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.geometry import Grid, Mask, Volume
from planner.model import PlanResult
from planner.verify import (
    exact,
    verify_plan,
)
from tests.unit.verify.phantom_plan import CENTRE_LPS_MM, make_result
from tests.unit.verify.plan_edits import edited, failed_claims, verified, with_structures


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


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
        assert claims <= {
            "mask of 'iliac artery' covers the path",
            "findings hold 'coverage' of 'iliac artery'",
        }


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
