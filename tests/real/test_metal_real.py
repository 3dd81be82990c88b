"""Real metal: a nail and lag screw in the left femur, seen by CT, guided at 1.5 T."""

from __future__ import annotations

import json

import numpy as np
import pytest

import planner
from planner.io.plan_file import plan_document
from planner.model import Verdict
from planner.verify import verify_plan
from tests.real.test_main_job_real import _si_joint_target, pelvis  # noqa: F401

GUIDED = {
    "field_t": 1.5,
    "bandwidth_hz_per_px": 150.0,
    "readout_pixel_mm": 1.0,
    "phase_pixel_mm": 1.0,
    "readout": "row",
    "slice_axis": "slice",
    "slice_thickness_mm": 4.0,
    "acquisition": "2D",
    "sequence": "TSE",
    "echo_time_ms": 30.0,
    "repetition_time_ms": 3000.0,
}
BESIDE_MM = np.array([0.0, -35.0, 0.0])
"""From the metal's centroid to a place in front of it."""


def planned(pelvis, target, procedure, material, **options):  # noqa: F811
    volume, structures = pelvis
    return planner.plan(
        volume, target, procedure, structures, mr=GUIDED, implants={"metal": material},
        top=2, **options,
    )  # fmt: skip


def of(path, constraint):
    return [f for f in path.findings if f.constraint == constraint]


@pytest.fixture(scope="module")
def joint(pelvis):  # noqa: F811
    target = _si_joint_target(pelvis[1], "left")
    return {
        material: planned(
            pelvis, target, "si_joint_injection", material, needle="22G-120",
            table_side="anterior",
        )
        for material in ("titanium", "cobalt-chrome")
    }  # fmt: skip


def test_the_joint_is_far_from_titanium_and_less_far_from_cobalt_chrome(joint):
    first = {material: result.trajectories[0] for material, result in joint.items()}
    titanium, cobalt = first["titanium"], first["cobalt-chrome"]
    assert titanium.clearance_mm["metal"] == cobalt.clearance_mm["metal"] > 50
    assert cobalt.clearance_mm["MR void"] < titanium.clearance_mm["MR void"] - 5
    # the bounds are in the ratio of the susceptibilities, 1309 to 195 ppm
    ratio = cobalt.metal.target_shift.total_mm / titanium.metal.target_shift.total_mm
    assert ratio == pytest.approx(1309 / 195, rel=0.01)
    assert titanium.metal.target_shift.total_mm < 0.1
    assert of(titanium, "target_shift")[0].verdict is Verdict.PASS


def test_metal_beyond_the_image_is_told_where_it_may_matter(joint):
    """The nail leaves the image 130 mm from the path: within the reach of cobalt-chrome only."""
    assert not of(joint["titanium"].trajectories[0], "mr_unknown")
    (finding,) = of(joint["cobalt-chrome"].trajectories[0], "mr_unknown")
    assert finding.structure == "metal" and finding.verdict is Verdict.UNKNOWN


def test_beside_the_metal_the_material_decides(pelvis):  # noqa: F811
    mask = pelvis[1]["metal"].mask
    target = mask.grid.to_lps(np.argwhere(mask.inside)).mean(axis=0) + BESIDE_MM
    results = {
        material: planned(
            pelvis, target, "soft_tissue_biopsy", material, needle="18G-100", throw_mm=0.0
        )
        for material in ("titanium", "cobalt-chrome")
    }
    titanium, cobalt = results["titanium"], results["cobalt-chrome"]
    assert cobalt.candidates.feasible.sum() < 0.5 * titanium.candidates.feasible.sum()
    assert of(titanium.trajectories[0], "target_shift")[0].verdict is Verdict.PASS
    for path in cobalt.trajectories:
        (shift,) = of(path, "target_shift")
        assert shift.verdict is Verdict.FAIL and shift.measured > 3 * shift.required
        assert (
            path.metal.zones_mm["distorted"] > titanium.trajectories[0].metal.zones_mm["distorted"]
        )
    assert not np.allclose(
        titanium.trajectories[0].entry_lps_mm, cobalt.trajectories[0].entry_lps_mm
    )


def test_the_plan_is_confirmed_by_the_dipoles(joint):
    result = joint["cobalt-chrome"]
    content = json.loads(plan_document(result).to_json())
    report = verify_plan(
        planner.io.plan_document.PlanDocument.model_validate_json(json.dumps(content)),
        result.volume,
        result.structures,
    )
    assert report.ok, [c.claim for c in report.failures][:5]
