"""The MR part of a plan is recomputed by another route: what is too hopeful is not confirmed."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest

from planner.geometry import Grid, Mask
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import Verdict
from planner.model.mr_results import Bore
from planner.verify import verify_plan
from planner.verify.exact import VoxelBoxes
from planner.verify.ledger import Ledger
from planner.verify.way_findings import check_shaft
from tests.metal_plan import KNOWN, metal_plan, metal_scene


@pytest.fixture(scope="module")
def result():
    return metal_plan(
        "stainless steel",
        scene=metal_scene(),
        mr={**KNOWN, "guidance.like": "planning", "guidance.bandwidth_hz_per_px": 200.0},
        bore=Bore(radius_mm=350.0, centre_lp_mm=(3.0, -4.0)),
        top=1,
    )


@pytest.fixture(scope="module")
def content(result):
    return json.loads(plan_document(result).to_json())


def failures(result, content):
    plan = PlanDocument.model_validate_json(json.dumps(content))
    report = verify_plan(plan, result.volume, result.structures, protocol=result.protocol)
    return [check.claim for check in report.failures]


def changed(content, change):
    copied = copy.deepcopy(content)
    change(copied, copied["trajectories"][0])
    return copied


def test_the_plan_is_confirmed(result, content):
    assert failures(result, content) == []


def test_a_swept_shaft_clearance_may_be_smaller_than_the_drawn_one_but_not_larger():
    inside = np.zeros((3, 3, 3), bool)
    inside[1, 1, 1] = True
    boxes = VoxelBoxes.of(
        Mask(grid=Grid.from_axes((3, 3, 3), np.ones(3), np.zeros(3), np.eye(3)), inside=inside)
    )
    path = SimpleNamespace(entry_lps_mm=(1.0, 10.5, -40.0), tip_lps_mm=(1.0, 10.5, 40.0))

    def is_kept(measured, verdict, *, is_displaced):
        finding = SimpleNamespace(
            structure="root", required=3.0, measured=measured, verdict=Verdict(verdict)
        )
        book = Ledger()
        check_shaft(
            "x", finding, path, boxes, (3.0, 10.0), 0.5, 1.0, book, is_displaced=is_displaced
        )
        return all(check.ok for check in book.checks)

    assert is_kept(8.5, "pass", is_displaced=False)
    assert not is_kept(5.0, "pass", is_displaced=False)
    assert is_kept(5.0, "pass", is_displaced=True)
    assert is_kept(3.5, "caution", is_displaced=True)
    assert not is_kept(3.5, "pass", is_displaced=True)
    assert not is_kept(9.0, "pass", is_displaced=True)


@pytest.mark.parametrize("kind", ["axial", "thick"])
@pytest.mark.parametrize("material", ["titanium", "unknown"])
def test_plans_on_other_grids_are_confirmed(kind, material):
    planned = metal_plan(material, kind)
    assert planned.trajectories
    assert failures(planned, json.loads(plan_document(planned).to_json())) == []


def test_a_plan_without_values_is_confirmed_and_its_doubt_cannot_be_dropped():
    planned = metal_plan(mr={"field_t": 1.5}, top=1)
    content = json.loads(plan_document(planned).to_json())
    assert failures(planned, content) == []

    def drop(plan, path):
        path["findings"] = [f for f in path["findings"] if f["constraint"] != "mr_unknown"]
        path["verdict"] = plan["verdict"] = "pass"

    assert "findings hold 'mr_unknown'" in failures(planned, changed(content, drop))


def _scale(*keys, factor):
    def change(plan, path):
        node = path
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] *= factor

    return change


def _add(*keys, by):
    def change(plan, path):
        node = plan if keys[0] in plan else path
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] += by

    return change


def _mr(**values):
    return lambda plan, path: plan["mr"].update(values)


WRONG = {
    "target shift": _scale("susceptibility", "target_shift", "readout_mm", factor=0.3),
    "slice shift": _scale("susceptibility", "target_shift", "slice_mm", factor=0.3),
    "fat shift": _add("susceptibility", "target_shift", "fat_mm", by=0.1),
    "zones": _add("susceptibility", "zones_mm", "distorted", by=-2.0),
    "largest shift": _scale("susceptibility", "largest_shift_mm", factor=0.2),
    "drawn clearance": _add("susceptibility", "clearance_without_sweep_mm", "nerve", by=0.1),
    "binding": lambda plan, path: path["susceptibility"].update(binding=["nerve", "aorta", "rod"]),
    "no susceptibility": lambda plan, path: path.update(susceptibility={}),
    "void": lambda plan, path: path["clearance_mm"].update({"MR void": 40.0}),
    "no void": lambda plan, path: path["clearance_mm"].pop("MR void"),
    "width": _add("needle_artefact", "width_mm", by=-0.05),
    "width to count with": _add("needle_artefact", "width_max_mm", by=-0.05),
    "tip": _add("needle_artefact", "tip_overshoot_mm", by=-0.05),
    "tip to count with": _add("needle_artefact", "tip_max_mm", by=-0.05),
    "blooms": lambda plan, path: path["needle_artefact"].update(
        blooms=not path["needle_artefact"]["blooms"]
    ),
    "no artefact": lambda plan, path: path.update(needle_artefact={}),
    "cost of the artefact": _add("cost_terms", "needle_artefact", by=-0.01),
    "b0 angle": _add("angles", "b0_deg", by=0.1),
    "bore room": _add("bore_room_mm", by=1.0),
    "no implant": lambda plan, path: plan.update(implants=[]),
    "weaker metal": lambda plan, path: plan["implants"][0]["materials"][0].update(high_ppm=900.0),
    "other metal": lambda plan, path: plan["implants"][0]["materials"][0].update(name="gold leaf"),
    "less field": lambda plan, path: plan["mr"]["guidance"].update(field_t=0.5),
    "readout axis": _mr(readout_axis_lps=[0.0, 0.5, 0.5]),
    "plane normal": lambda plan, path: path["scan_planes"][0].update(normal_lps=[0.0, 0.0, 1.0]),
    "plane centre": lambda plan, path: path["scan_planes"][1]["centre_lps_mm"].__setitem__(0, 9.0),
    "plane text": lambda plan, path: path["scan_planes"][2].update(orientation="T > C 1.0"),
    "plane too small": lambda plan, path: path["scan_planes"][0].update(field_of_view_mm=20.0),
    "readout out of plane": lambda plan, path: path["scan_planes"][0].update(
        readout_direction_lps=path["scan_planes"][0]["normal_lps"]
    ),
    "a plane is missing": lambda plan, path: path["scan_planes"].pop(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_changed_claim_is_caught(result, content, name):
    assert failures(result, changed(content, WRONG[name])) != []


def test_a_plan_that_forgot_the_sweep_is_not_confirmed(result, content, monkeypatch):
    """The structures as drawn, the void as it was: the dipoles still move the nerve."""
    scene = metal_scene()
    from planner.safety import metal

    monkeypatch.setattr(metal, "_swept_obstacle", lambda obstacle, field, widths: obstacle)
    low = {**KNOWN, "bandwidth_hz_per_px": 40.0}
    planned = metal_plan("stainless steel", scene=scene, mr=low, top=3)
    claims = failures(planned, json.loads(plan_document(planned).to_json()))
    assert any("counts what metal displaces" in claim for claim in claims)


def test_a_void_that_is_too_small_is_not_confirmed(monkeypatch):
    from planner.physics import metal_zones

    real = metal_zones._lost
    monkeypatch.setattr(metal_zones, "_lost", lambda *a: np.zeros_like(real(*a)))
    gre = {**KNOWN, "sequence": "GRE", "echo_time_ms": 20.0}
    planned = metal_plan("stainless steel", mr=gre, top=3)
    claims = failures(planned, json.loads(plan_document(planned).to_json()))
    assert any("counts lost signal" in claim for claim in claims)
