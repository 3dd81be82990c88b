"""Plans that mutations start from, made once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.io.plan_file import plan_document
from planner.model import PlanResult
from planner.model.mr_results import Bore
from tests.metal_plan import KNOWN, metal_plan, metal_scene
from tests.region_plan import region_plan

HEADER = {
    "field_t": 1.5,
    "bandwidth_hz_per_px": 300.0,
    "echo_time_ms": 40.0,
    "repetition_time_ms": 2500.0,
}


@pytest.fixture(scope="session")
def metal_result() -> PlanResult:
    """One path beside metal, with a guiding sequence and a bore."""
    volume, structures = metal_scene()
    volume = replace(volume, source=replace(volume.source, mr=HEADER))
    said = {key: value for key, value in KNOWN.items() if key not in HEADER}
    return metal_plan(
        "stainless steel",
        scene=(volume, structures),
        mr={**said, "guidance.like": "planning", "guidance.bandwidth_hz_per_px": 200.0},
        bore=Bore(radius_mm=350.0, centre_lp_mm=(3.0, -4.0)),
        top=1,
    )


@pytest.fixture(scope="session")
def metal_content(metal_result: PlanResult) -> dict[str, Any]:
    """The plan file of ``metal_result`` as plain JSON: read it, do not change it."""
    return plan_document(metal_result).to_json_dict()


@pytest.fixture(scope="session")
def region_results() -> dict[str, PlanResult]:
    """Plans with pairs to two regions: one with a plane, one with a side and an axis."""
    return {name: region_plan(name) for name in ("disc:L3-L4", "foramen:L3-L4:left")}


@pytest.fixture(scope="session")
def region_contents(region_results: dict[str, PlanResult]) -> dict[str, dict[str, Any]]:
    """Their plan files as plain JSON: read them, do not change them."""
    return {name: plan_document(r).to_json_dict() for name, r in region_results.items()}
