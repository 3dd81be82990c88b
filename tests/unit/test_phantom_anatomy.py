"""The phantom's scenes: masks and truth agree, on two patients and two scan obliquities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scenes import UPPER_LEVELS, SceneScan
from tests.phantom_checks import CASES, IDS, SUBREGIONS, check_body, check_labels, voxel_mm
from tests.phantom_scenes import (
    Scene,
    lumbar_scene,
    pelvis_scene,
    scene_structures,
    upper_lumbar_scene,
)


def patient_of(view: str, sizes: dict) -> ScenePatient:
    if view == "upper_lumbar":
        return ScenePatient(levels=UPPER_LEVELS, lesion_level="L1", **sizes)
    return ScenePatient(**sizes)


VARIANT = SceneScan(tilt_about_left_deg=9.0, coarser=2.0)
"""For patients that are only compared with each other."""

MAKERS = {"lumbar": lumbar_scene, "pelvis": pelvis_scene, "upper_lumbar": upper_lumbar_scene}


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def case(request):
    return request.param


@pytest.fixture(scope="module", params=list(MAKERS))
def scene(request, case) -> Scene:
    sizes, scan = case
    return MAKERS[request.param](patient_of(request.param, sizes), scan)


@pytest.fixture(scope="module")
def lumbar(case) -> Scene:
    return lumbar_scene(patient_of("lumbar", case[0]), case[1])


@pytest.fixture(scope="module")
def pelvis(case) -> Scene:
    return pelvis_scene(patient_of("pelvis", case[0]), case[1])


@pytest.fixture(scope="module")
def upper(case) -> Scene:
    return upper_lumbar_scene(patient_of("upper_lumbar", case[0]), case[1])


def inside(scene: Scene, name: str, point_lps_mm) -> bool:
    return bool(scene.masks[name].contains(point_lps_mm))


def bones(scene: Scene) -> list[str]:
    return [n for n in scene.masks if n.startswith(("vertebrae", "sacrum", "hip", "rib"))]


# ---- every trunk scene ---------------------------------------------------------------------


def test_grid_is_oblique_and_anisotropic(scene):
    grid = scene.volume.grid
    assert np.abs(grid.axes_lps_from_kji).max() < 0.999
    assert grid.spacing_kji_mm.max() > 1.5 * grid.spacing_kji_mm.min()


def test_automatic_body_is_the_body(scene):
    check_body(scene)


def test_labels_do_not_overlap(scene):
    check_labels(scene)


def test_left_is_plus_x(scene):
    sided = [n for n in scene.masks if n.lower().endswith(("_left", "_right")) or "rib_" in n]
    assert len(sided) >= 20
    for name in sided:
        kji = np.argwhere(scene.masks[name].inside).mean(axis=0)
        is_left = scene.volume.grid.to_lps(kji)[0] > scene.truth.midline_x_mm
        assert is_left == ("left" in name.lower()), name
    for text, target in scene.truth.targets.items():
        if text.endswith((":left", ":right")):
            is_left = target.centre_lps_mm[0] > scene.truth.midline_x_mm
            assert is_left == text.endswith("left"), text


def test_targets_mirror(scene):
    middle = scene.truth.midline_x_mm
    pairs = [t for t in scene.truth.targets if t.endswith(":left") and not t.startswith("coeliac")]
    for text in pairs:
        right = scene.truth.targets.get(text.replace(":left", ":right"))
        if right is None:
            continue  # at the edge of a tilted view
        left = scene.truth.targets[text]
        mirror = np.array([2 * middle - left.centre_lps_mm[0], *left.centre_lps_mm[1:]])
        np.testing.assert_allclose(right.centre_lps_mm, mirror, atol=1e-6, err_msg=text)


def test_soft_targets_lie_in_no_bone(scene):
    soft = ("foramen", "s1_foramen", "disc", "si_joint", "sympathetic", "coeliac", "piriformis")
    texts = [t for t in scene.truth.targets if t.startswith(soft)]
    assert texts
    for text in texts:
        point = scene.truth.targets[text].centre_lps_mm
        names = [n for n in scene.truth.image.maps.names if n in _PHANTOM_BONES]
        gap_mm = min(float(scene.truth.distance_mm(n, point)) for n in names)
        assert gap_mm > 0.5, text


_PHANTOM_BONES = (
    "T12", "L1", "L2", "L3", "L4", "L5", "sacrum", "ilium_left", "ilium_right",
    "rib_left_12", "rib_right_12",
)  # fmt: skip


def test_subregions_fill_the_vertebrae_and_nothing_else(scene):
    whole = np.any([m.inside for n, m in scene.masks.items() if n.startswith("vertebrae_")], axis=0)
    parts = [scene.masks[n].inside for n in SUBREGIONS if n in scene.masks]
    total = np.sum(parts, axis=0)
    np.testing.assert_array_equal(total, whole.astype(int))


def test_structures_have_the_roles_that_their_names_mean(scene):
    structures = scene_structures(scene, without=("nerve_root_*",), roles={"abscess": "target"})
    assert structures["body"].role == "body"
    assert not any(n.startswith("nerve_root") for n in structures)
    assert all(structures[n].role == "bone" for n in bones(scene))
    if "abscess" in structures:
        assert structures["abscess"].role == "target"


# ---- spine ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["L3", "L4", "L5"])
def test_pedicle_width_in_the_mask_is_the_true_width(lumbar, level):
    """Across the axis at the isthmus, in the axial plane of the vertebra."""
    for side, sign in (("left", 1.0), ("right", -1.0)):
        truth = lumbar.truth.targets[f"pedicle:{level}:{side}"]
        assert inside(lumbar, f"vertebrae_{level}", truth.centre_lps_mm)
        across = np.cross(truth.axis_lps, [0.0, 0.0, 1.0])
        across *= sign / np.linalg.norm(across)
        steps = np.arange(-16.0, 16.0, 0.1)
        hit = lumbar.masks[f"vertebrae_{level}"].contains(
            truth.centre_lps_mm + 3.0 * truth.axis_lps + steps[:, None] * across
        )
        middle = len(steps) // 2
        width_mm = 0.1 * (np.argmin(hit[middle:]) + np.argmin(hit[middle::-1]))
        in_plane_mm = lumbar.volume.grid.spacing_kji_mm[1]
        true_mm = truth.measures["pedicle_width_mm"]
        assert width_mm == pytest.approx(true_mm, abs=1.3 * in_plane_mm), side


def test_a_narrow_pedicle_is_narrow():
    truth = lumbar_scene(ScenePatient(pedicle_width_factor=0.4), VARIANT).truth
    assert truth.targets["pedicle:L4:left"].measures["pedicle_width_mm"] == pytest.approx(5.16)


@pytest.mark.parametrize("name", ["L3-L4", "L4-L5", "L5-S1"])
def test_disc_plane_is_that_of_its_mask(lumbar, name):
    truth = lumbar.truth.targets[f"disc:{name}"]
    mask = lumbar.masks[f"disc_{name.replace('-', '_').replace('S1', 'S')}"]
    points = lumbar.volume.grid.to_lps(np.argwhere(mask.inside))
    assert np.linalg.norm(points.mean(axis=0) - truth.centre_lps_mm) < 2.0
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    turn_deg = np.rad2deg(np.arccos(min(1.0, abs(axes[2] @ truth.plane_normal_lps))))
    assert turn_deg < 5.0
    tilt_deg = np.rad2deg(np.arccos(truth.plane_normal_lps[2]))
    assert truth.measures["disc_obliquity_deg"] == pytest.approx(tilt_deg, abs=1e-6)


def test_each_root_leaves_through_its_foramen(lumbar):
    for upper_level in ("L3", "L4", "L5"):
        lower = {"L3": "L4", "L4": "L5", "L5": "S1"}[upper_level]
        for side in ("left", "right"):
            centre = lumbar.truth.targets[f"foramen:{upper_level}-{lower}:{side}"].centre_lps_mm
            root = lumbar.masks[f"nerve_root_{upper_level}_{side}"]
            points = lumbar.volume.grid.to_lps(np.argwhere(root.inside))
            gap_mm = np.linalg.norm(points - centre, axis=1).min()
            assert gap_mm < 5.0 + voxel_mm(lumbar), (upper_level, side)
            other = lumbar.masks[
                f"nerve_root_{upper_level}_{'right' if side == 'left' else 'left'}"
            ]
            far = lumbar.volume.grid.to_lps(np.argwhere(other.inside))
            assert np.linalg.norm(far - centre, axis=1).min() > 15.0


def test_facet_gap_separates_the_processes(lumbar):
    for name in ("L3-L4", "L4-L5", "L5-S1"):
        truth = lumbar.truth.targets[f"facet:{name}:left"]
        upper_bone = name.split("-")[0]
        lower_bone = name.split("-")[1].replace("S1", "sacrum")
        line = truth.centre_lps_mm + np.arange(-4.0, 4.0, 0.05)[:, None] * truth.plane_normal_lps
        gaps = [lumbar.truth.distance_mm(n, line) for n in (upper_bone, lower_bone)]
        assert gaps[0][0] < 0.0 < gaps[0][-1] and gaps[1][-1] < 0.0 < gaps[1][0]
        free_mm = 0.05 * np.sum(np.minimum(*gaps) > 0.0)
        assert free_mm == pytest.approx(truth.measures["facet_gap_mm"], abs=0.4)


def test_medial_branch_lies_on_the_bone(lumbar):
    for text in [t for t in lumbar.truth.targets if t.startswith("medial_branch")]:
        point = lumbar.truth.targets[text].centre_lps_mm
        gap_mm = float(lumbar.truth.distance_mm(text.split(":")[1], point))
        assert 0.0 < gap_mm < 2.0, text


def test_sympathetic_target_lies_in_front_and_beside_the_body(lumbar):
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body = lumbar.truth.targets["vertebra:L3"].centre_lps_mm
        offset = lumbar.truth.targets[f"sympathetic:L3:{side}"].centre_lps_mm - body
        assert sign * offset[0] > 10.0 and offset[1] < -8.0


# ---- pelvis --------------------------------------------------------------------------------


def test_si_joint_lies_between_the_bones_in_its_lower_back_part(pelvis):
    for side in ("left", "right"):
        truth = pelvis.truth.targets[f"si_joint:{side}"]
        assert not inside(pelvis, "sacrum", truth.centre_lps_mm)
        assert not inside(pelvis, f"hip_{side}", truth.centre_lps_mm)
        line = truth.centre_lps_mm + np.arange(-12, 12, 0.1)[:, None] * truth.plane_normal_lps
        hits = [pelvis.masks[n].contains(line) for n in ("sacrum", f"hip_{side}")]
        assert hits[0][0] and hits[1][-1], "sacrum medially, ilium laterally"
        assert abs(truth.axis_lps @ truth.plane_normal_lps) < 0.15, "the axis runs in the plane"
        assert truth.axis_lps[1] < -0.8, "from behind"
        joint = pelvis.volume.grid.to_lps(np.argwhere(pelvis.masks[f"si_joint_{side}"].inside))
        below = np.mean(joint[:, 2] < truth.centre_lps_mm[2])
        assert below < 0.4


def test_s1_foramen_is_a_hole_in_the_sacrum(pelvis):
    for side in ("left", "right"):
        truth = pelvis.truth.targets[f"s1_foramen:{side}"]
        line = truth.centre_lps_mm + np.arange(0.0, 14.0, 0.25)[:, None] * truth.axis_lps
        assert float(np.min(pelvis.truth.distance_mm("sacrum", line))) > 1.5
        root = pelvis.truth.distance_mm(f"nerve_root_S1_{side}", line)
        assert np.min(root) < 4.0, "it leads to the root"
        beside = line + np.array([9.0, 0.0, 0.0])
        assert float(np.min(pelvis.truth.distance_mm("sacrum", beside))) < 0.0


def test_ala_is_inside_the_sacrum_away_from_foramen_and_joint(pelvis):
    for side in ("left", "right"):
        centre = pelvis.truth.targets[f"sacral_ala:{side}"].centre_lps_mm
        assert inside(pelvis, "sacrum", centre)
        assert float(pelvis.truth.distance_mm("sacrum", centre)) < -8.0


def test_piriformis_target_is_in_the_muscle_off_the_nerve(pelvis):
    for side in ("left", "right"):
        centre = pelvis.truth.targets[f"piriformis:{side}"].centre_lps_mm
        assert inside(pelvis, f"piriformis_{side}", centre)
        assert float(pelvis.truth.distance_mm(f"sciatic_nerve_{side}", centre)) > 8.0


# ---- upper lumbar --------------------------------------------------------------------------


def test_cord_ends_at_the_first_lumbar_disc(upper):
    cord = upper.masks["spinal_cord"].inside
    assert np.mean(upper.masks["spinal_canal"].inside[cord]) > 0.98
    lowest_mm = upper.volume.grid.to_lps(np.argwhere(cord))[:, 2].min()
    disc_mm = upper.truth.targets["disc:L1-L2"].centre_lps_mm[2]
    assert lowest_mm == pytest.approx(disc_mm, abs=8.0)


def test_coeliac_targets_lie_beside_the_aorta_in_front_of_the_spine(upper):
    for side in ("left", "right"):
        point = upper.truth.targets[f"coeliac:{side}"].centre_lps_mm
        gaps = {n: float(upper.truth.distance_mm(n, point)) for n in ("aorta", "T12", "L1")}
        assert 4.0 < gaps["aorta"] < 25.0 and min(gaps["T12"], gaps["L1"]) > 3.0
        assert float(upper.truth.distance_mm("inferior_vena_cava", point)) > 5.0
    artery = upper.volume.grid.to_lps(np.argwhere(upper.masks["coeliac_artery"].inside))
    aorta = upper.volume.grid.to_lps(np.argwhere(upper.masks["aorta"].inside))
    assert artery[:, 1].mean() < aorta[:, 1].mean(), "it leaves forwards"


def test_pleura_ends_above_the_path_and_lower_in_the_variant(upper):
    def lowest(scene):
        return scene.volume.grid.to_lps(np.argwhere(scene.masks["lung_left"].inside))[:, 2].min()

    low = upper_lumbar_scene(
        ScenePatient(levels=UPPER_LEVELS, lesion_level="L1", pleura_drop_mm=40.0), VARIANT
    )
    normal = upper_lumbar_scene(ScenePatient(levels=UPPER_LEVELS, lesion_level="L1"), VARIANT)
    assert lowest(normal) - lowest(low) > 20.0


def test_cord_and_lungs_are_connected(upper):
    for name in ("spinal_cord", "lung_left", "lung_right", "aorta"):
        _, n = ndimage.label(upper.masks[name].inside, np.ones((3, 3, 3)))
        assert n == 1, name


# ---- variants that stand in the way --------------------------------------------------------


def test_a_high_crest_reaches_above_the_l5_disc():
    low, high = (
        pelvis_or_lumbar.masks["hip_left"].inside.sum()
        for pelvis_or_lumbar in (
            lumbar_scene(ScenePatient(), VARIANT),
            lumbar_scene(ScenePatient(crest_rise_mm=30.0), VARIANT),
        )
    )
    assert high > 1.1 * low


def test_bowel_can_lie_behind_the_abscess():
    normal, blocked = (
        lumbar_scene(ScenePatient(has_bowel_behind=b), VARIANT) for b in (False, True)
    )
    centre = normal.truth.targets["abscess"].centre_lps_mm
    behind = centre + np.arange(0.0, 70.0, 1.0)[:, None] * np.array([0.35, 0.94, 0.0])
    assert not normal.masks["bowel"].contains(behind).any()
    assert blocked.masks["bowel"].contains(behind).any()
