"""The main job on real images: the paths are right for what is known, and unknown is said."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

import planner
from planner.geometry import Mask
from planner.model import MaskSource, Structure, StructureRole, StructureSet, Verdict
from tests.brute_force import axis_distances_mm

CT = "totalseg_ct_pelvis_metal_implant"
METAL_HU = 1500
METAL_VOXELS = 589


@pytest.fixture(scope="module")
def pelvis(shared_data):
    """CT with TotalSegmentator's 61 labels and its metal as an implant."""
    volume = planner.load_volume(shared_data / CT / "example_ct.nii.gz")
    labels = planner.load_structures([shared_data / CT / "example_ct_seg.nii.gz"], like=volume)
    metal = Structure(
        name="metal",
        role=StructureRole.IMPLANT,
        mask=Mask(grid=volume.grid, inside=volume.values > METAL_HU),
        source=MaskSource(file="above 1500 HU", grid=volume.grid),
        structure_class="implant",
    )
    return volume, StructureSet(
        grid=volume.grid, structures=(*labels.structures, metal), warnings=labels.warnings
    )


def _si_joint_target(structures, side: str) -> np.ndarray:
    """Middle of the posterior inferior part of the gap between sacrum and hip bone."""
    grid = structures.grid
    sampling = tuple(grid.spacing_kji_mm)
    to_sacrum = ndimage.distance_transform_edt(~structures["sacrum"].mask.inside, sampling=sampling)
    to_hip = ndimage.distance_transform_edt(
        ~structures[f"hip_{side}"].mask.inside, sampling=sampling
    )
    gap = (to_sacrum > 0) & (to_hip > 0) & (to_sacrum + to_hip <= 10.0)
    points = grid.to_lps(np.argwhere(gap))
    room = np.minimum(to_sacrum, to_hip)[gap]
    low = points[:, 2] < np.quantile(points[:, 2], 0.4)
    back = points[:, 1] > np.quantile(points[low, 1], 0.6)
    chosen = np.flatnonzero(low & back)
    return points[chosen[np.argmax(room[chosen])]]


def _foramen_target(structures) -> np.ndarray:
    """A point in soft tissue beside L5/S1, about 30 mm left of the midline, clear of bone."""
    grid = structures.grid
    l5 = grid.to_lps(np.argwhere(structures["vertebrae_L5"].mask.inside))
    s1 = grid.to_lps(np.argwhere(structures["vertebrae_S1"].mask.inside))
    bone = np.logical_or.reduce([s.mask.inside for s in structures.with_role(StructureRole.BONE)])
    room = ndimage.distance_transform_edt(~bone, sampling=tuple(grid.spacing_kji_mm))
    points = grid.to_lps(np.argwhere(room > 3.0))
    level = (l5[:, 2].mean() + s1[:, 2].mean()) / 2 + 6.0
    wanted = [l5[:, 0].mean() + 30.0, l5[:, 1].mean() + 10.0, level]
    return points[np.argmin(np.linalg.norm(points - wanted, axis=1))]


def _spine_midline_mm(structures) -> float:
    return float(
        structures.grid.to_lps(np.argwhere(structures["vertebrae_L5"].mask.inside))[:, 0].mean()
    )


def _check_against_brute_force(result, structures) -> None:
    for trajectory in result.trajectories[:2]:
        for name in ("sacrum", "hip_left", "metal", "colon"):
            if name not in trajectory.clearance_mm:
                continue
            exact = (
                axis_distances_mm(
                    structures[name].mask,
                    trajectory.entry_lps_mm[None],
                    trajectory.throw_end_lps_mm[None],
                )[0]
                - result.needle.radius_mm
            )
            assert exact - 0.01 <= trajectory.clearance_mm[name] <= exact + 1e-6


def test_the_metal_is_there(pelvis):
    assert pelvis[1]["metal"].mask.n_voxels == METAL_VOXELS


def test_a_posterior_path_to_the_left_si_joint(pelvis):
    volume, structures = pelvis
    target = _si_joint_target(structures, "left")
    result = planner.plan(
        volume, target, "si_joint_injection", structures, "22G-120", table_side="anterior", top=5
    )
    assert result.trajectories, [e.message for e in result.explanation]
    best = result.trajectories[0]
    assert best.entry_lps_mm[1] > target[1] + 20, "the needle comes from behind"
    assert best.entry_lps_mm[0] > _spine_midline_mm(structures), "on the patient's left"
    assert best.clearance_mm["sacrum"] > 0
    assert best.clearance_mm["hip_left"] > 0
    assert best.clearance_mm["metal"] > 50
    # TotalSegmentator has no nerve label: the plan must say so and never pass.
    assert result.verdict is Verdict.UNKNOWN
    assert any(
        f.constraint == "missing_structure" and f.structure == "nerve" for f in best.findings
    )
    _check_against_brute_force(result, structures)


def test_an_l5_s1_foraminal_target_from_behind(pelvis):
    volume, structures = pelvis
    target = _foramen_target(structures)
    result = planner.plan(
        volume,
        target,
        "transforaminal_epidural",
        structures,
        "22G-150",
        table_side="anterior",
        top=5,
    )
    if not result.trajectories:
        assert result.explanation
        assert result.verdict is Verdict.FAIL
        pytest.fail("\n".join(e.message for e in result.explanation))
    best = result.trajectories[0]
    assert best.entry_lps_mm[1] > target[1]
    assert best.clearance_mm["vertebrae_L5"] > 0
    assert result.verdict is Verdict.UNKNOWN
    _check_against_brute_force(result, structures)


def _lesion(shared_data, description: str) -> np.ndarray:
    with (shared_data / "prostatex_0000_pelvis_mr" / "targets.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if description in r["DCMSerDescr"]]
    return np.array([float(n) for n in rows[0]["pos"].split()])


@pytest.mark.parametrize(
    ("folder", "description"),
    [
        ("4.000000-t2tsetra-00702", "t2_tse_tra"),
        ("3.000000-t2tsesag-87368", "t2_tse_sag"),
        ("5.000000-t2tsecor-03471", "t2_tse_cor"),
    ],
)
def test_one_lesion_is_one_world_point_on_three_series(shared_data, folder, description):
    volume = planner.load_volume(shared_data / "prostatex_0000_pelvis_mr" / folder)
    lesion = _lesion(shared_data, description)
    assert np.allclose(lesion, _lesion(shared_data, "t2_tse_tra"), atol=1e-3)
    assert volume.grid.contains(lesion)
    assert np.allclose(volume.grid.to_lps(volume.grid.to_kji(lesion)), lesion, atol=1e-9)


def test_a_field_of_view_without_skin_is_the_reason_that_is_given(shared_data):
    series = shared_data / "prostatex_0000_pelvis_mr" / "3.000000-t2tsesag-87368"
    volume = planner.load_volume(series)
    lesion = _lesion(shared_data, "t2_tse_sag")
    result = planner.plan(volume, lesion, "soft_tissue_biopsy", needle="18G-150")
    assert not result.trajectories
    assert result.explanation[0].code == "no_skin"
    assert "No skin is in view" in result.explanation[0].message


def test_the_command_line_plans_on_a_real_mr_series(shared_data, tmp_path):
    lesion = ",".join(f"{x:.4f}" for x in _lesion(shared_data, "t2_tse_tra"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "planner",
            "plan",
            str(shared_data / "prostatex_0000_pelvis_mr" / "4.000000-t2tsetra-00702"),
            "--target",
            lesion,
            "--procedure",
            "soft_tissue_biopsy",
            "--needle",
            "18G-150",
            "--out",
            str(tmp_path / "plan"),
            "--no-figures",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    plan = json.loads(done.stdout)
    assert plan["verdict"] == "unknown", "no nerve and no vessel mask was given"
    assert plan["image"]["patient_position"] == "FFS"
    best = plan["trajectories"][0]
    assert best["entry_lps_mm"][1] < best["tip_lps_mm"][1], "a supine patient is entered in front"
    assert (tmp_path / "plan" / "plan.json").exists()
    assert (tmp_path / "plan" / "plan.mrk.json").exists()
    messages = " ".join(warning["message"] for warning in plan["warnings"])
    assert "cuts the body at the head, feet, left, right, front and back ends" in messages
    series = shared_data / "prostatex_0000_pelvis_mr" / "4.000000-t2tsetra-00702"
    verify = ["verify", str(tmp_path / "plan" / "plan.json"), "--image", str(series)]
    checked = subprocess.run(
        [sys.executable, "-m", "planner", *verify],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert checked.returncode == 0, checked.stdout


def test_lumbar_dixon_with_its_muscle_labels(shared_data):
    folder = shared_data / "lpm_tum01_lumbar_dixon"
    volume = planner.load_volume(folder / "TUM01_fat.nii.gz")
    names = {
        1: "erector_spinae_right",
        2: "multifidus_right",
        3: "multifidus_left",
        4: "erector_spinae_left",
    }
    structures = planner.load_structures(
        [folder / "TUM01_fat_labels.nii.gz"], like=volume, label_names=names
    )
    muscle = structures["erector_spinae_left"].mask
    middle = muscle.grid.to_lps(np.argwhere(muscle.inside)).mean(axis=0)
    result = planner.plan(
        volume,
        middle,
        "soft_tissue_biopsy",
        structures,
        "18G-100",
        throw_mm=10.0,
        table_side="anterior",
        top=3,
    )
    assert result.trajectories, [e.message for e in result.explanation]
    best = result.trajectories[0]
    assert best.entry_lps_mm[1] > middle[1], "from behind"
    assert 15 < best.length_mm < 90
    assert result.verdict is Verdict.UNKNOWN
