"""Every expectation can be met in the phantom, and cannot be met in its variant.

No search and no protocol of the planner takes part: paths are enumerated over the expected
angles, and their clearances are exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.model import StructureRole
from sample_data.phantom.scenes import SceneScan
from tests.phantom_expectations import EXPECTATIONS, Expectation
from tests.phantom_paths import complaints, open_paths

pytestmark = pytest.mark.thorough

SMALL = {"scale": 0.93, "lordosis_factor": 1.05}
LARGE = {"scale": 1.1, "lordosis_factor": 0.85}
LEVEL = SceneScan(tilt_about_left_deg=9.0, coarser=1.35)
STEEP = SceneScan(tilt_about_left_deg=-14.0, tilt_about_posterior_deg=-5.0, coarser=1.35)
BLOCKED = SceneScan(tilt_about_left_deg=5.0, coarser=1.5)
BY_SCENE = sorted(EXPECTATIONS, key=lambda name: EXPECTATIONS[name].make.__name__)
PAIRS = [(n, "small" if place % 2 else "large") for place, n in enumerate(BY_SCENE)]
CASES = {"large": (LARGE, LEVEL), "small": (SMALL, STEEP)}


def scene_of(expectation: Expectation, case: str):
    sizes, scan = CASES[case]
    return expectation.scene(scan, **sizes)


@pytest.mark.parametrize("procedure, case", PAIRS)
def test_an_expected_path_is_open(procedure, case):
    expectation = EXPECTATIONS[procedure]
    scene = scene_of(expectation, case)
    assert expectation.truth in scene.truth.targets
    paths = open_paths(expectation, scene)
    assert len(paths) > 0
    some = np.linspace(0, len(paths) - 1, 25).astype(int)
    found = [
        complaints(expectation, scene, paths.entry_lps_mm[n], paths.tip_lps_mm[n]) for n in some
    ]
    assert [] in found, found[0]


@pytest.mark.parametrize("procedure", BY_SCENE)
def test_no_expected_path_is_open_in_the_blocked_variant(procedure):
    expectation = EXPECTATIONS[procedure]
    scene = expectation.blocked_scene(BLOCKED)
    _, truth = expectation.blocked_target or (None, expectation.truth)
    assert expectation.blocked_by
    assert len(open_paths(expectation, scene, truth)) == 0


def test_the_blocked_variant_blocks_and_not_the_margins_alone():
    """Helper check: without margins paths are proposed in the variant too."""
    expectation = EXPECTATIONS["abscess_drainage"]
    free = replace(expectation, margins_mm={})
    assert len(open_paths(free, expectation.blocked_scene(BLOCKED))) > 0


@pytest.mark.parametrize("procedure", BY_SCENE)
def test_what_a_planner_is_given(procedure):
    expectation = EXPECTATIONS[procedure]
    scene = scene_of(expectation, "large")
    given = expectation.structures(scene)
    assert given.with_role(StructureRole.BODY)
    if expectation.target.startswith("structure:"):
        target = given[expectation.target.removeprefix("structure:")]
        assert target.role in (StructureRole.TARGET, StructureRole.ALLOWED)
    fewer = expectation.structures(scene, without=expectation.unknown_without)
    assert len(fewer) < len(given), "something is missing, so the answer is unknown"


def test_complaints_name_what_is_wrong():
    expectation = EXPECTATIONS["si_joint_injection"]
    scene = scene_of(expectation, "large")
    tip = scene.truth.targets["si_joint:left"].centre_lps_mm
    from_the_front_and_side = tip + np.array([60.0, -60.0, 60.0])
    words = "; ".join(complaints(expectation, scene, from_the_front_and_side, tip))
    for part in (
        "not posterior",
        "not medial",
        "axial_deg is -45.0",
        "craniocaudal_deg",
        "expected",
    ):
        assert part in words


def test_a_needle_too_thick_for_the_pedicle_is_refused():
    expectation = EXPECTATIONS["vertebral_biopsy_transpedicular"]
    scene = scene_of(expectation, "small")
    assert len(open_paths(replace(expectation, needle_mm=16.0, margins_mm={}), scene)) == 0
