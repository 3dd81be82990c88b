"""Regions from real labels: a pelvic CT of TotalSegmentator, a lumbar crop of TPTBox.

Nobody drew the truth here: the two sides are compared with each other, and with what is known of
the anatomy (which side, which way, how large). The regions were looked at in pictures.
"""

from __future__ import annotations

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.errors import AnatomyError
from planner.io import load_structures, load_volume
from planner.model import StructureSet, TargetRegion

MIRROR_MM = 12.0
"""Left against mirrored right; the voxels are 3 mm, and this spine is a little scoliotic."""


@pytest.fixture(scope="module")
def ct(shared_data) -> StructureSet:
    folder = shared_data / "totalseg_ct_pelvis_metal_implant"
    return load_structures(
        folder / "example_ct_seg.nii.gz", load_volume(folder / "example_ct.nii.gz")
    )


@pytest.fixture(scope="module")
def crop(shared_data) -> StructureSet:
    folder = shared_data / "tptbox_spine_crops" / "ct"
    image = load_volume(folder / "sub-ct_label-22_ct.nii.gz")
    parts = load_structures(
        folder / "sub-ct_seg-subreg_label-22_msk.nii.gz", image, label_table="tptbox/subreg"
    )
    levels = load_structures(
        folder / "sub-ct_seg-vert_label-22_msk.nii.gz", image, label_table="tptbox/vert"
    )
    return StructureSet(grid=image.grid, structures=parts.structures + levels.structures)


def _mean(structures: StructureSet, name: str) -> np.ndarray:
    return structures.grid.to_lps(np.argwhere(structures[name].mask.inside).mean(axis=0))


def _mirrored_off_mm(left: TargetRegion, right: TargetRegion, midline_x_mm: float) -> float:
    mirrored = right.centre_lps_mm * (-1.0, 1.0, 1.0) + (2 * midline_x_mm, 0.0, 0.0)
    return float(np.linalg.norm(left.centre_lps_mm - mirrored))


@pytest.mark.parametrize(
    ("form", "midline_of", "allowed_mm"),
    [
        ("si_joint:{}", "sacrum", MIRROR_MM),
        ("s1_foramen:{}", "sacrum", MIRROR_MM),
        ("sacral_ala:{}", "sacrum", MIRROR_MM),
        ("pedicle:L3:{}", "vertebrae_L3", MIRROR_MM),
        ("pedicle:L5:{}", "vertebrae_L5", MIRROR_MM),
        ("foramen:L2-L3:{}", "vertebrae_L3", MIRROR_MM),
        ("sympathetic:L3:{}", "vertebrae_L3", MIRROR_MM),
        ("hip:{}", "sacrum", MIRROR_MM),
    ],
)
def test_left_and_right_mirror_each_other(
    ct: StructureSet, form: str, midline_of: str, allowed_mm: float
) -> None:
    middle = float(_mean(ct, midline_of)[0])
    left, right = (find_region(form.format(side), ct) for side in ("left", "right"))
    assert left.centre_lps_mm[0] > middle > right.centre_lps_mm[0]
    assert _mirrored_off_mm(left, right, middle) <= allowed_mm
    for region in (left, right):
        if region.axis_lps is not None and "foramen:L" not in region.name:
            forward = region.axis_lps[1] < 0.0
            assert forward is not region.name.startswith("anatomy:hip")  # the hip from in front


def test_the_sacroiliac_joint_is_between_its_bones(ct: StructureSet) -> None:
    from scipy import ndimage

    for side in ("left", "right"):
        region = find_region(f"si_joint:{side}", ct)
        for bone in (f"hip_{side}", "sacrum"):
            apart = ndimage.distance_transform_edt(
                ~ct[bone].mask.inside, sampling=ct.grid.spacing_kji_mm
            )
            assert apart[region.mask.inside].max() <= 6.0
        assert 10.0 <= region.measures["joint_angle_to_sagittal_deg"] <= 45.0
        assert region.centre_lps_mm[2] < _mean(ct, f"hip_{side}")[2] + 60.0
        assert any("labels of the bones touch" in w for w in region.warnings)


@pytest.mark.parametrize(
    ("text", "upper", "lower", "tilt_deg"),
    [
        ("disc:L4-L5", "vertebrae_L4", "vertebrae_L5", (5.0, 30.0)),
        ("disc:L5-S1", "vertebrae_L5", "vertebrae_S1", (25.0, 55.0)),
    ],
)
def test_discs_lie_between_their_vertebrae(
    ct: StructureSet, text: str, upper: str, lower: str, tilt_deg: tuple[float, float]
) -> None:
    region = find_region(text, ct)
    above, below = find_region("vertebra:" + text[5:7], ct).centre_lps_mm, _mean(ct, lower)
    normal = region.plane_normal_lps
    assert (above - region.centre_lps_mm) @ normal > 8.0
    assert (below - region.centre_lps_mm) @ normal < -8.0
    low, high = tilt_deg
    assert low <= region.measures["disc_obliquity_deg"] <= high
    assert 3.0 <= region.measures["disc_height_mm"] <= 14.0
    for name in (upper, lower, "spinal_cord"):
        assert not (region.mask.inside & ct[name].mask.inside).any()
    assert 3_000.0 <= region.mask.volume_mm3 <= 30_000.0


def test_the_body_of_l5_has_the_size_of_one(ct: StructureSet) -> None:
    region = find_region("vertebra:L5", ct)
    assert 20.0 <= region.measures["body_height_mm"] <= 34.0
    assert 40.0 <= region.measures["body_width_mm"] <= 65.0
    assert not (region.mask.inside & ~ct["vertebrae_L5"].mask.inside).any()
    assert (region.centre_lps_mm - _mean(ct, "vertebrae_L5"))[1] < -5.0  # in front of the whole


def test_what_the_labels_do_not_carry_is_refused(ct: StructureSet) -> None:
    for text, match in [
        ("piriformis:left", "no left piriformis"),
        ("shoulder:left", "no left humerus"),
        ("medial_branch:L4:left", "no left superior articular process of L4"),
        ("disc:T9-T10", "no vertebra T9"),
    ]:
        with pytest.raises(AnatomyError, match=match):
            find_region(text, ct)


@pytest.mark.parametrize("side", ["left", "right"])
def test_pedicle_and_foramen_from_sub_regions(crop: StructureSet, side: str) -> None:
    pedicle = find_region(f"pedicle:L3:{side}", crop)
    arch = crop["Arcus_Vertebrae"].mask.inside | crop["Vertebra_Corpus_border"].mask.inside
    arch = arch | crop["Vertebra_Corpus"].mask.inside
    shared = (pedicle.mask.inside & arch).sum() / pedicle.mask.n_voxels
    assert shared >= 0.8  # the rest is of the articular processes
    assert 4.0 <= pedicle.measures["pedicle_width_mm"] <= 12.0
    assert pedicle.axis_lps[1] < -0.9
    foramen = find_region(f"foramen:L3-L4:{side}", crop)
    assert 12.0 <= foramen.measures["foramen_height_mm"] <= 25.0
    assert 4.0 <= foramen.measures["foramen_width_mm"] <= 15.0
    for structure in crop.structures:
        assert not (foramen.mask.inside & structure.mask.inside).any()
    sign = 1.0 if side == "left" else -1.0
    middle = float(_mean(crop, "L3")[0])
    for region in (pedicle, foramen):
        assert sign * (region.centre_lps_mm[0] - middle) > 8.0
    below = find_region(f"pedicle:L4:{side}", crop)
    assert pedicle.centre_lps_mm[2] > foramen.centre_lps_mm[2] > below.centre_lps_mm[2]


def test_a_vertebra_that_is_cut_says_so(crop: StructureSet) -> None:
    assert "cut by the edge" in find_region("pedicle:L4:left", crop).warnings[0]
    with pytest.raises(AnatomyError, match="anatomy:pedicle:L2:left"):
        find_region("pedicle:L2:left", crop)


def test_instances_without_a_level_are_no_level(shared_data) -> None:
    folder = shared_data / "tptbox_spine_crops" / "mri"
    image = load_volume(folder / "sub-mri_label-6_T2w.nii.gz")
    structures = load_structures(
        folder / "sub-mri_seg-vert_label-6_msk.nii.gz", image, label_table="spineps/instance"
    )
    with pytest.raises(AnatomyError, match="no vertebra L4"):
        find_region("pedicle:L4:left", structures)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_published_place_and_direction_of_the_tip(ct: StructureSet, side: str) -> None:
    """10 to 20 mm above the joint's margin; 20 to 37 degrees through the pedicle of L5."""
    joint = find_region(f"si_joint:{side}", ct)
    assert joint.axes is not None
    above_mm = joint.axes.local_mm(joint.centre_lps_mm)[2] - joint.axes.low_mm[2]
    assert 10.0 <= above_mm <= 20.0
    assert 20.0 <= find_region(f"pedicle:L5:{side}", ct).measures["pedicle_axial_deg"] <= 37.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_halves_of_a_foramen_lie_one_above_the_other(ct: StructureSet, side: str) -> None:
    whole, upper, lower = (
        find_region(f"foramen:L4-L5:{side}{half}", ct) for half in ("", ":upper", ":lower")
    )
    assert upper.mask.n_voxels + lower.mask.n_voxels == whole.mask.n_voxels
    assert upper.centre_lps_mm[2] > lower.centre_lps_mm[2]
    assert not [key for key in whole.measures if key.startswith("safe_triangle")]  # no root


def test_without_roots_no_triangle_is_measured(ct: StructureSet) -> None:
    measures = find_region("disc:L4-L5", ct).measures
    assert not [key for key in measures if key.startswith("kambin")]


def test_healthy_vertebrae_are_not_taken_for_fused(ct: StructureSet) -> None:
    from planner.anatomy.atlas import Atlas
    from planner.anatomy.fusion import level_warnings, refuse_bridge
    from planner.anatomy.vertebra import vertebra_of

    atlas = Atlas.of(ct)
    for level in ("L1", "L2", "L3", "L4", "L5"):
        vertebra = vertebra_of(atlas, level)
        assert level_warnings(atlas, vertebra) == []
        for side in ("left", "right"):
            refuse_bridge(atlas, vertebra, side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_medial_branch_of_real_sub_regions(crop: StructureSet, side: str) -> None:
    region = find_region(f"medial_branch:L3:{side}", crop)
    assert region.warnings == ("the nerve itself is not labelled",)
