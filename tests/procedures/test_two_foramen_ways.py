"""Under the pedicle and under the root are two places: each procedure refuses the other's tip."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.model import Verdict
from planner.verify import verify_plan
from tests.phantom_expectations import EXPECTATIONS
from tests.phantom_paths import complaints
from tests.phantom_planning import CASES, planned

UPPER, LOWER = "transforaminal_epidural", "transforaminal_infraneural"
TARGET = "anatomy:foramen:L4-L5:left"
GOOD = (Verdict.PASS, Verdict.CAUTION)


@lru_cache(maxsize=8)
def plan_of(procedure, case, half=""):
    expectation = EXPECTATIONS[procedure]
    sizes, scan = CASES[case]
    scene = expectation.scene(scan, **sizes)
    return scene, planned(procedure, expectation, scene, target=TARGET + half)


def heights_mm(result):
    axes = result.target.region.axes
    return [axes.local_mm(t.tip_lps_mm)[2] for t in result.trajectories if t.verdict in GOOD]


@pytest.mark.parametrize("case", ["large", "small"])
def test_the_two_ways_end_in_two_places(case):
    scene, upper = plan_of(UPPER, case, ":upper")
    _, lower = plan_of(LOWER, case, ":lower")
    assert upper.verdict in GOOD and lower.verdict in GOOD
    assert max(heights_mm(lower)) < min(heights_mm(upper))
    for procedure, result in ((UPPER, upper), (LOWER, lower)):
        found = [
            complaints(EXPECTATIONS[procedure], scene, t.entry_lps_mm, t.tip_lps_mm)
            for t in result.trajectories
        ]
        assert [] in found, found


@pytest.mark.parametrize("case", ["large", "small"])
@pytest.mark.parametrize(("procedure", "half"), [(UPPER, ":lower"), (LOWER, ":upper")])
def test_the_other_half_is_refused(case, procedure, half):
    _, result = plan_of(procedure, case, half)
    assert not result.trajectories
    assert any(e.constraint == "tip_height" for e in result.explanation)
    assert not any("wider" in e.message for e in result.explanation if e.constraint == "tip_height")


@pytest.mark.parametrize(("procedure", "half"), [(UPPER, ":upper"), (LOWER, ":lower")])
def test_verify_confirms_both(procedure, half):
    scene, result = plan_of(procedure, "large", half)
    report = verify_plan(result, scene.volume, result.structures, protocol=result.protocol)
    failed = [c.claim for c in report.failures if not c.claim.startswith("target.region")]
    assert not failed, failed
    told = {f.constraint for f in result.trajectories[0].findings}
    assert {"tip_height", "tip_lateral"} <= told
    assert ("kambin" in told) == (procedure == LOWER)
    assert ("safe_triangle_area" in told) == (procedure == UPPER)


def test_without_the_root_neither_is_asked_to_pass():
    expectation = EXPECTATIONS[LOWER]
    sizes, scan = CASES["large"]
    scene = expectation.scene(scan, **sizes)
    result = planned(LOWER, expectation, scene, target=TARGET, without=("nerve_root_*",))
    assert result.verdict not in GOOD
    told = [f for f in result.trajectories[0].findings if f.constraint == "kambin"]
    assert [f.verdict for f in told] == [Verdict.UNKNOWN]
    assert not np.isfinite(told[0].measured or np.nan)


@pytest.mark.parametrize("constraint", ["kambin", "below_root", "tip_height", "tip_lateral"])
def test_verify_catches_a_number_that_is_too_good(constraint):
    scene, result = plan_of(LOWER, "large", ":lower")
    path = result.trajectories[0]
    findings = tuple(
        replace(f, measured=f.measured + 0.5) if f.constraint == constraint else f
        for f in path.findings
    )
    changed = replace(
        result, trajectories=(replace(path, findings=findings), *result.trajectories[1:])
    )
    report = verify_plan(changed, scene.volume, result.structures, protocol=result.protocol)
    assert any(constraint in c.claim for c in report.failures)


def test_verify_catches_a_rule_that_was_dropped():
    scene, result = plan_of(LOWER, "large", ":lower")
    path = result.trajectories[0]
    for constraint in ("kambin", "tip_height"):
        kept = tuple(f for f in path.findings if f.constraint != constraint)
        changed = replace(result, trajectories=(replace(path, findings=kept),))
        report = verify_plan(changed, scene.volume, result.structures, protocol=result.protocol)
        assert any(f"findings hold '{constraint}'" in c.claim for c in report.failures)
