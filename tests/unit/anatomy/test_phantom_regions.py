"""Regions of the phantom's scenes against its analytic truth: two sizes, two obliquities."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.errors import AnatomyError
from planner.model import StructureSet, TargetRegion
from sample_data.phantom.scenes import SceneScan
from tests import phantom_scenes as scenes

SMALL = replace(scenes.LUMBAR, scale=0.9, lordosis_factor=0.8)
STEEP = SceneScan(tilt_about_left_deg=-14.0, tilt_about_posterior_deg=6.0, coarser=1.2)
CASES = {"usual": (scenes.LUMBAR, scenes.SCAN), "small and steep": (SMALL, STEEP)}

# Text, farthest from the truth (mm) of the preferred tip and of the nearest voxel, largest angle
# (deg) of the axis and of the plane. The voxels are 1.7 x 1.7 x 3 mm.
LUMBAR_TARGETS = [
    ("vertebra:L3", 2.0, 2.0, None, None),
    ("vertebra:L5", 2.0, 2.0, None, None),
    ("pedicle:L3:left", 4.0, 2.5, 12.0, None),
    ("pedicle:L4:right", 4.0, 2.5, 12.0, None),
    ("disc:L4-L5", 1.5, 1.8, None, 3.0),
    ("disc:L5-S1", 1.5, 1.8, None, 3.0),
    ("facet:L3-L4:left", 5.0, 3.0, 15.0, 12.0),
    ("facet:L4-L5:right", 5.0, 3.0, 15.0, 12.0),
    ("foramen:L3-L4:right", 3.0, 2.5, 15.0, None),
    ("foramen:L4-L5:left", 3.0, 2.5, 15.0, None),
    ("foramen:L5-S1:left", 5.0, 3.0, 15.0, None),
    ("sympathetic:L3:left", 6.5, 2.5, None, None),
    ("medial_branch:L4:left", 5.0, 3.5, 25.0, None),
]
PELVIS_TARGETS = [
    ("si_joint:left", 8.0, 3.0, 15.0, 10.0),
    ("si_joint:right", 8.0, 3.0, 15.0, 10.0),
    ("s1_foramen:left", 6.0, 3.5, 30.0, None),
    ("s1_foramen:right", 6.0, 3.5, 30.0, None),
    ("piriformis:right", 10.0, 3.0, None, None),
    ("sacral_ala:left", 12.0, 3.0, None, None),
]


@lru_cache(maxsize=8)
def _scene(view: str, case: str):
    patient, scan = CASES[case]
    scene = {"lumbar": scenes.lumbar_scene, "pelvis": scenes.pelvis_scene}[view](patient, scan)
    return scene, scenes.scene_structures(scene)


@lru_cache(maxsize=32)
def _region(view: str, case: str, text: str) -> TargetRegion:
    return find_region(text, _scene(view, case)[1])


def _angle_deg(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1.0, 1.0))))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("view", "text", "tip_mm", "voxel_mm", "axis_deg", "plane_deg"),
    [("lumbar", *t) for t in LUMBAR_TARGETS] + [("pelvis", *t) for t in PELVIS_TARGETS],
)
def test_regions_lie_where_the_phantom_has_them(
    view: str,
    text: str,
    tip_mm: float,
    voxel_mm: float,
    axis_deg: float | None,
    plane_deg: float | None,
    case: str,
) -> None:
    truth = _scene(view, case)[0].truth.targets[text]
    region = _region(view, case, text)
    assert region.name == f"anatomy:{text}"
    voxels = region.mask.grid.to_lps(np.argwhere(region.mask.inside))
    assert np.linalg.norm(voxels - truth.centre_lps_mm, axis=1).min() <= voxel_mm
    assert np.linalg.norm(region.centre_lps_mm - truth.centre_lps_mm) <= tip_mm
    if axis_deg is not None:
        assert _angle_deg(region.axis_lps, truth.axis_lps) <= axis_deg
    if plane_deg is not None:
        off = _angle_deg(region.plane_normal_lps, truth.plane_normal_lps)
        assert min(off, 180.0 - off) <= plane_deg
    if region.side is not None:
        sign = 1.0 if region.side == "left" else -1.0
        assert sign * (region.centre_lps_mm[0] - _scene(view, case)[0].truth.midline_x_mm) > 0.0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("text", ["pedicle:L3:left", "pedicle:L4:right"])
def test_pedicle_widths_err_small(text: str, case: str) -> None:
    measures = _region("lumbar", case, text).measures
    truth = _scene("lumbar", case)[0].truth.targets[text].measures
    for key in ("pedicle_width_mm", "pedicle_height_mm"):
        assert measures[key] <= truth[key]
    assert measures["pedicle_width_mm"] >= truth["pedicle_width_mm"] - 4.5
    assert measures["pedicle_axial_deg"] == pytest.approx(truth["pedicle_axial_deg"], abs=10.0)


@pytest.mark.parametrize("case", CASES)
def test_measures_of_disc_foramen_and_joint(case: str) -> None:
    found = [
        ("lumbar", "disc:L5-S1", "disc_obliquity_deg", 3.0, 3.0),
        ("lumbar", "disc:L5-S1", "disc_height_mm", 3.0, 0.5),
        ("lumbar", "foramen:L4-L5:left", "foramen_height_mm", 6.0, 0.0),
        ("pelvis", "si_joint:left", "joint_gap_mm", 2.3, 1.0),
    ]
    for view, text, key, under, over in found:
        truth = _scene(view, case)[0].truth.targets[text].measures[key]
        assert truth - under <= _region(view, case, text).measures[key] <= truth + over, text


def _without(structures: StructureSet, *names: str) -> StructureSet:
    kept = tuple(s for s in structures.structures if s.name not in names)
    return StructureSet(grid=structures.grid, structures=kept)


def test_sub_regions_and_whole_vertebrae_agree() -> None:
    structures = _scene("lumbar", "usual")[1]
    parts = [s.name for s in structures.structures if "_Articular_" in s.name]
    parts += ["Vertebra_Corpus", "Arcus_Vertebrae", "Spinosus_Process"]
    parts += ["Costal_Process_Left", "Costal_Process_Right"]
    whole = _without(structures, *parts)
    for text, near_mm in [
        ("vertebra:L4", 2.0),
        ("pedicle:L4:left", 2.5),
        ("foramen:L4-L5:left", 2.5),
        ("facet:L4-L5:left", 5.0),
    ]:
        one = find_region(text, whole).centre_lps_mm
        other = _region("lumbar", "usual", text).centre_lps_mm
        assert np.linalg.norm(one - other) <= near_mm, text
    with pytest.raises(AnatomyError, match="no left superior articular process of L4"):
        find_region("medial_branch:L4:left", whole)


def test_without_a_disc_label_the_gap_is_taken() -> None:
    structures = _scene("lumbar", "usual")[1]
    region = find_region("disc:L4-L5", _without(structures, "disc_L4_L5"))
    truth = _scene("lumbar", "usual")[0].truth.targets["disc:L4-L5"]
    assert np.linalg.norm(region.centre_lps_mm - truth.centre_lps_mm) <= 3.0
    assert abs(region.plane_normal_lps @ truth.plane_normal_lps) >= np.cos(np.radians(4.0))
    assert "no label" in region.warnings[0]


def test_without_a_canal_label_the_ring_shows_it() -> None:
    structures = _without(_scene("lumbar", "usual")[1], "spinal_canal", "thecal_sac", "spinal_cord")
    region = find_region("pedicle:L4:left", structures)
    labelled = _region("lumbar", "usual", "pedicle:L4:left")
    assert np.linalg.norm(region.centre_lps_mm - labelled.centre_lps_mm) <= 3.0


@pytest.mark.parametrize(
    ("view", "text", "gone", "match"),
    [
        ("pelvis", "si_joint:left", "hip_left", "no left hip bone"),
        ("pelvis", "si_joint:left", "sacrum", "no sacrum"),
        ("pelvis", "piriformis:left", "piriformis_left", "no left piriformis"),
        ("pelvis", "s1_foramen:left", "sacrum", "no sacrum"),
        ("lumbar", "foramen:L4-L5:left", "vertebrae_L5", "no vertebra L5"),
        ("lumbar", "pedicle:L4:left", "vertebrae_L4", "no vertebra L4"),
    ],
)
def test_a_missing_label_is_named(view: str, text: str, gone: str, match: str) -> None:
    structures = _without(_scene(view, "usual")[1], gone)
    with pytest.raises(AnatomyError, match=match) as caught:
        find_region(text, structures)
    assert "seen: " in str(caught.value)


def test_the_belly_of_the_piriformis_by_thirds() -> None:
    structures = _scene("pelvis", "usual")[1]
    x = {}
    for third in ("medial", "middle", "lateral"):
        region = find_region(f"piriformis:left:{third}", structures)
        x[third] = region.centre_lps_mm[0]
        whole = structures["piriformis_left"].mask.inside
        assert 0.05 < region.mask.n_voxels / np.count_nonzero(whole) < 0.75
        assert not (region.mask.inside & ~whole).any()
    assert x["medial"] < x["middle"] < x["lateral"]
    half = find_region("piriformis:left:middle:superficial", structures)
    middle = find_region("piriformis:left:middle", structures)
    mean_y = [r.mask.grid.to_lps(np.argwhere(r.mask.inside))[:, 1].mean() for r in (half, middle)]
    assert mean_y[0] > mean_y[1]


@pytest.mark.parametrize(
    ("build", "text", "tip_mm"),
    [
        (scenes.hip_scene, "hip:left", 8.0),
        (scenes.shoulder_scene, "shoulder:left", 6.0),
        (scenes.upper_lumbar_scene, "coeliac:left", 7.0),
        (scenes.upper_lumbar_scene, "coeliac:right", 7.0),
    ],
)
def test_hip_shoulder_and_plexus(build, text: str, tip_mm: float) -> None:
    scene = build()
    region = find_region(text, scenes.scene_structures(scene))
    truth = scene.truth.targets[text]
    assert np.linalg.norm(region.centre_lps_mm - truth.centre_lps_mm) <= tip_mm
    if truth.axis_lps is not None:
        assert _angle_deg(region.axis_lps, truth.axis_lps) <= 15.0
    if "head_radius_mm" in truth.measures:
        assert region.measures["head_radius_mm"] == pytest.approx(
            truth.measures["head_radius_mm"], abs=2.0
        )
    blocked = [s.mask.inside for s in scenes.scene_structures(scene).structures if s.role == "bone"]
    assert not any((region.mask.inside & inside).any() for inside in blocked)
