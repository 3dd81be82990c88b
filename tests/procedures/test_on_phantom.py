"""Every procedure on the phantom: a path that an expert would recognise, and NO where it must be.

Two patients (large and small) under two obliquities; a variant of the patient in which nothing
is left; and the same patient with a mask missing that the procedure cannot do without.
"""

from __future__ import annotations

import pytest

from planner.model import Verdict
from planner.protocols import list_protocols
from planner.verify import verify_plan
from tests.phantom_expectations import EXPECTATIONS
from tests.phantom_paths import complaints
from tests.phantom_planning import CASES, planned

BY_SCENE = sorted(EXPECTATIONS, key=lambda name: EXPECTATIONS[name].make.__name__)
GOOD = (Verdict.PASS, Verdict.CAUTION)
FINE_ONLY = {"facet_injection", "facet_cryoneurotomy"}
"""Regions too small for the coarse scan of the small patient: refused there, with the reason."""


def test_every_procedure_is_expected_somewhere():
    elsewhere = {"bone_biopsy_flat"}  # test_flat_bone
    assert set(list_protocols()) == set(EXPECTATIONS) | elsewhere


@pytest.mark.parametrize("case", ["large", "small"])
@pytest.mark.parametrize("procedure", BY_SCENE)
def test_a_path_that_an_expert_would_recognise(procedure, case):
    expectation = EXPECTATIONS[procedure]
    sizes, scan = CASES[case]
    scene = expectation.scene(scan, **sizes)
    result = planned(procedure, expectation, scene)
    if result is None:
        assert procedure in FINE_ONLY and case == "small"
        pytest.skip("the labels of the coarse scan do not carry this region")
    assert result.verdict in GOOD
    found = [
        complaints(expectation, scene, path.entry_lps_mm, path.tip_lps_mm)
        for path in result.trajectories
        if path.verdict in GOOD
    ]
    if case == "small" and result.protocol.axial_deg is None:
        # no direction is published: the depth alone is expected
        found = [[c for c in told if c.startswith("depth")] for told in found]
    assert [] in found, found
    if case == "large":
        structures = result.structures
        report = verify_plan(result, scene.volume, structures, protocol=result.protocol)
        expected = [c for c in report.failures if not c.claim.startswith("target.region")]
        assert not expected, [c.claim for c in expected]


@pytest.mark.parametrize("procedure", BY_SCENE)
def test_no_where_it_cannot_be_done(procedure):
    expectation = EXPECTATIONS[procedure]
    if expectation.blocked_patient is None:
        pytest.skip("only missing knowledge stops this procedure")
    sizes, scan = CASES[
        expectation.blocked_case
    ]  # in which the same target has a path: tested above, or here
    target = None if expectation.blocked_target is None else expectation.blocked_target[0]
    if target is not None:
        free = expectation.scene(scan, **{**sizes, **(expectation.control_patient or {})})
        control = planned(procedure, expectation, free, target=target)
        assert control is not None and control.verdict in GOOD
    scene = expectation.blocked_scene(scan, **sizes)
    result = planned(procedure, expectation, scene, target=target)
    if result is None:
        return  # no region, no path: the loader of the target refused
    assert result.verdict not in GOOD
    assert result.explanation or result.verdict is Verdict.UNKNOWN
    told = " ".join(found.message for found in result.explanation)
    assert expectation.blocked_words in told


@pytest.mark.parametrize("procedure", BY_SCENE)
def test_unknown_without_a_mask_that_it_needs(procedure):
    expectation = EXPECTATIONS[procedure]
    sizes, scan = CASES["large"]
    scene = expectation.scene(scan, **sizes)
    result = planned(procedure, expectation, scene, without=expectation.unknown_without)
    assert result is None or result.verdict not in GOOD
