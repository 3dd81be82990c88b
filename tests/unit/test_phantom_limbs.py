"""The scenes of thigh, hip and shoulder: masks and truth agree, on two patients and two scans."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sample_data.phantom.scene_patient import ScenePatient
from tests.phantom_checks import CASES, IDS, check_body, check_labels, voxel_mm
from tests.phantom_scenes import Scene, hip_scene, limb_scene, shoulder_scene

LIMBS = {"limb": limb_scene, "hip": hip_scene, "shoulder": shoulder_scene}


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def case(request):
    return request.param


@pytest.fixture(scope="module", params=list(LIMBS))
def limb_view(request, case) -> Scene:
    return LIMBS[request.param](ScenePatient(**case[0]), case[1])


@pytest.fixture(scope="module")
def limb(case) -> Scene:
    return limb_scene(ScenePatient(**case[0]), case[1])


@pytest.fixture(scope="module")
def hip(case) -> Scene:
    return hip_scene(ScenePatient(**case[0]), case[1])


@pytest.fixture(scope="module")
def shoulder(case) -> Scene:
    return shoulder_scene(ScenePatient(**case[0]), case[1])


def test_limb_scenes_have_a_body_and_labels_apart(limb_view):
    check_body(limb_view)
    check_labels(limb_view)
    assert limb_view.volume.source.patient_position.value == "HFS"


def test_lesions_lie_where_their_truth_says(limb):
    for name in ("bone_lesion", "bone_cyst", "osteochondral_lesion", "soft_tissue_tumour"):
        mask, truth = limb.masks[name], limb.truth.targets[name]
        assert mask.contains(truth.centre_lps_mm), name
        centroid = limb.volume.grid.to_lps(np.argwhere(mask.inside)).mean(axis=0)
        assert np.linalg.norm(centroid - truth.centre_lps_mm) < 1.5, name
        home = "quadriceps_femoris_left" if name == "soft_tissue_tumour" else "femur_left"
        assert np.mean(limb.masks[home].inside[mask.inside]) > 0.95, name


def test_nidus_lies_in_the_cortex(limb):
    truth = limb.truth.targets["nidus"]
    depth_mm = -float(limb.truth.distance_mm("femur_left", truth.centre_lps_mm))
    assert 0.0 < depth_mm < 6.0 * limb.truth.image.anatomy.parameters.scale
    assert limb.masks["nidus"].inside.any()


def test_the_bar_bridges_the_growth_plate(limb):
    bar, plate = limb.masks["physeal_bar"], limb.masks["growth_plate"]
    points = limb.volume.grid.to_lps(np.argwhere(plate.inside))
    centre = limb.truth.targets["physeal_bar"].centre_lps_mm
    assert abs(points[:, 2].mean() - centre[2]) < voxel_mm(limb) + 2.0
    assert not (bar.inside & plate.inside).any(), "bone instead of growth plate"
    around = np.linalg.norm((points - centre)[:, :2], axis=1)
    scale = limb.truth.image.anatomy.parameters.scale
    assert around.min() > 5.0 * scale and around.min() < 12.0 * scale


def test_compartments_meet_at_septa(limb):
    names = ("quadriceps_femoris_left", "thigh_medial_compartment_left",
             "thigh_posterior_compartment_left")  # fmt: skip
    middle = limb.truth.targets["bone_lesion"].centre_lps_mm
    means = {}
    for name in names:
        points = limb.volume.grid.to_lps(np.argwhere(limb.masks[name].inside))
        means[name] = points.mean(axis=0) - middle
    assert means["thigh_medial_compartment_left"][0] < -10.0
    assert means["thigh_posterior_compartment_left"][1] > 10.0
    assert means["quadriceps_femoris_left"][1] < -5.0
    for vessel in ("femoral_artery_left", "femoral_vein_left", "sciatic_nerve_left"):
        assert limb.masks[vessel].inside.any()


def test_hip_target_is_on_the_front_of_the_head_neck_junction(hip):
    truth = hip.truth.targets["hip:left"]
    gap_mm = float(hip.truth.distance_mm("femur_left", truth.centre_lps_mm))
    assert 1.5 < gap_mm < 4.0
    head = hip.truth.image.anatomy.parameters.lps_from_anatomy((0.0, 0.0, 0.0))
    assert hip.masks["femur_left"].contains(head)
    offset = truth.centre_lps_mm - head
    assert offset[0] > 0.0 and offset[1] < 0.0 and offset[2] < 0.0
    radius_mm = truth.measures["head_radius_mm"]
    assert radius_mm < np.linalg.norm(offset) < 1.6 * radius_mm


def test_hip_joint_has_a_gap(hip):
    femur, bone = (hip.masks[n].inside for n in ("femur_left", "hip_left"))
    away_mm = ndimage.distance_transform_edt(~bone, sampling=hip.volume.grid.spacing_kji_mm)
    assert 0.0 < away_mm[femur].min() < 6.0


def test_shoulder_target_lies_beside_the_coracoid_in_front_of_the_head(shoulder):
    truth = shoulder.truth.targets["shoulder:left"]
    gap_mm = float(shoulder.truth.distance_mm("humerus_left", truth.centre_lps_mm))
    assert 0.0 < gap_mm < 4.0
    head = shoulder.truth.image.anatomy.parameters.lps_from_anatomy((0.0, 0.0, 0.0))
    assert truth.centre_lps_mm[1] < head[1] - 10.0
    assert 8.0 < float(shoulder.truth.distance_mm("scapula_left", truth.centre_lps_mm)) < 40.0
    assert float(shoulder.truth.distance_mm("axillary_artery_left", truth.centre_lps_mm)) > 20.0
