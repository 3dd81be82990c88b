"""Roots that are not drawn, a patient who lies turned, levels without angles, lost planes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from planner.anatomy import find_region
from planner.geometry import Grid, Mask
from planner.model import Needle, StructureSet, Target, TargetRegion, Verdict
from planner.protocols import load_protocol
from planner.safety.exiting_root import root_findings
from planner.safety.kambin import KambinWindow
from planner.search.way import way_to
from planner.verify.way_doubts import _lacks_root, doubts_expected, turned_at
from planner.verify.way_kambin import KambinTruth
from tests import phantom_scenes as scenes

NEEDLE = Needle(name="22G-150", outer_diameter_mm=0.7, length_mm=150.0)
SIDES = ("left", "right")
DOUBTS = ("exiting_root", "patient_rotated", "level_angles")


@lru_cache(maxsize=1)
def scene():
    return scenes.scene_structures(scenes.lumbar_scene(scenes.LUMBAR, scenes.SCAN))


def without(*names):
    """The scene without structures whose names start so."""
    kept = tuple(s for s in scene().structures if not s.name.startswith(names))
    return StructureSet(grid=scene().grid, structures=kept)


def turned(structures, deg, axis=2):
    """The whole patient turned in the scanner about an axis of LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(deg) * np.eye(3)[axis]).as_matrix()
    old = structures.grid
    grid = Grid(shape_kji=old.shape_kji, lps_from_kji=matrix @ old.lps_from_kji, frame=old.frame)
    moved = tuple(
        replace(s, mask=Mask(grid=grid, inside=s.mask.inside), source=replace(s.source, grid=grid))
        for s in structures.structures
    )
    return StructureSet(grid=grid, structures=moved)


def told(procedure, structures, asked=None, point=None):
    """Findings for every path, by id; what verification expects must be the same doubts."""
    region = None if asked is None else find_region(asked, structures)
    centre = region.centre_lps_mm if point is None else point
    target = Target(point_lps_mm=centre, tolerance_mm=3.0, region=region)
    protocol = load_protocol(procedure)
    way = way_to(target, protocol, NEEDLE, structures, 0.0)
    found = {f.constraint: f for f in way.findings}
    turn = turned_at(protocol, region, structures, centre)
    expected = doubts_expected(protocol, region, structures, centre, turn)
    assert {n for n in DOUBTS if n in found} == {n for n in DOUBTS if n in expected}
    return found


class TestRoot:
    @pytest.mark.parametrize(
        "procedure",
        ["transforaminal_epidural", "selective_nerve_root_block", "transforaminal_infraneural"],
    )
    def test_a_foramen_whose_root_is_not_drawn_is_unknown_by_name(self, procedure):
        asked = "foramen:L4-L5:left"
        assert "exiting_root" not in told(procedure, scene(), asked)
        found = told(procedure, without("nerve_root_L4_left"), asked)
        assert found["exiting_root"].verdict is Verdict.UNKNOWN
        assert "no labelled root leaves at foramen L4-L5 left" in found["exiting_root"].note

    def test_a_region_drawn_in_a_foramen_is_asked_about_that_root(self):
        derived = find_region("foramen:L4-L5:left", scene())
        drawn = replace(derived, name="region:drawn", axes=None, level=None, side=None)
        protocol, point = load_protocol("transforaminal_epidural"), derived.centre_lps_mm
        for structures, is_lacking in ((scene(), False), (without("nerve_root_L4_left"), True)):
            found = root_findings(protocol, drawn, structures, point)
            assert [f.verdict for f in found] == [Verdict.UNKNOWN] * is_lacking
            assert _lacks_root(protocol, drawn, structures, point) is is_lacking

    def test_the_other_side_does_not_stand_for_it(self):
        found = told(
            "transforaminal_epidural", without("nerve_root_L4_right"), "foramen:L4-L5:left"
        )
        assert "exiting_root" not in found

    @pytest.mark.parametrize("procedure", ["discography", "percutaneous_discectomy"])
    def test_a_disc_without_its_roots_is_unknown(self, procedure):
        found = told(procedure, without("nerve_root_L4"), "disc:L4-L5")
        assert found["exiting_root"].verdict is Verdict.UNKNOWN
        assert "exiting_root" not in told(procedure, scene(), "disc:L4-L5")

    def test_at_a_disc_a_root_that_passes_farther_out_is_not_the_exiting_one(self):
        structures = without("nerve_root_L4_left")
        disc = find_region("disc:L4-L5", structures)
        tip = disc.centre_lps_mm
        window, truth = KambinWindow(structures, disc), KambinTruth.of(structures, disc)
        for sign, is_known in ((1.0, False), (-1.0, True)):
            entry = tip + np.array([sign * 70.0, 90.0, 0.0])
            width = window.width_mm(entry[None], tip[None], tip[None])[0]
            assert np.isfinite(width) == is_known
            assert (truth.width_mm(entry, tip, tip) is not None) == is_known

    @pytest.mark.parametrize("shift_mm", [0.0, 60.0])
    def test_a_point_needs_some_nerve_near_it(self, shift_mm):
        structures = without("nerve_root_L4", "nerve_root_L5", "nerve_root_S1", "vertebrae")
        point = find_region("foramen:L4-L5:left", scene()).centre_lps_mm
        nerves = [s.mask for s in structures.structures if s.structure_class == "nerve"]
        assert nerves
        near = np.concatenate([m.grid.to_lps(np.argwhere(m.inside)) for m in nerves])
        beside = near[np.argmin(((near - point) ** 2).sum(axis=1))]
        point = beside + np.array([shift_mm, 0.0, 0.0])
        found = told("transforaminal_epidural", structures, point=point)
        assert ("exiting_root" in found) == (shift_mm > 0.0)
        assert found["target_region"].verdict is Verdict.CAUTION

    def test_a_point_just_beside_a_foramen_is_asked_about_its_root(self):
        foramen = find_region("foramen:L4-L5:left", scene())
        lateral = foramen.axes.axes_lps[0]
        steps = foramen.centre_lps_mm + np.arange(0.0, 15.0, 0.5)[:, None] * lateral
        point = steps[np.argmin(foramen.mask.contains(steps))] + 1.0 * lateral
        assert not foramen.mask.contains(point)
        assert "exiting_root" not in told("transforaminal_epidural", scene(), point=point)
        found = told("transforaminal_epidural", without("nerve_root_L4_left"), point=point)
        assert found["exiting_root"].verdict is Verdict.UNKNOWN
        assert "L4-L5 left" in found["exiting_root"].note

    def test_other_procedures_do_not_ask(self):
        found = told("facet_injection", without("nerve_root"), "facet:L4-L5:left")
        assert "exiting_root" not in found


class TestTurned:
    @pytest.mark.parametrize(
        ("procedure", "asked"),
        [("discography", "disc:L4-L5"), ("transforaminal_epidural", "foramen:L4-L5:left")],
    )
    @pytest.mark.parametrize(("deg", "axis"), [(20.0, 2), (-12.0, 2), (11.0, 1)])
    def test_a_patient_who_lies_turned_is_a_caution_with_the_angle(
        self, procedure, asked, deg, axis
    ):
        assert "patient_rotated" not in told(procedure, scene(), asked)
        found = told(procedure, turned(scene(), deg, axis), asked)["patient_rotated"]
        assert found.verdict is Verdict.CAUTION and found.required == 7.0
        assert found.measured == pytest.approx(abs(deg), abs=2.5)
        assert "scanner" in found.note

    def test_a_forward_tilt_is_that_of_the_level(self):
        assert "patient_rotated" not in told("discography", turned(scene(), 15.0, 0), "disc:L4-L5")

    def test_a_point_is_judged_by_the_nearest_vertebra(self):
        structures = turned(scene(), 20.0)
        point = find_region("foramen:L4-L5:left", structures).centre_lps_mm
        found = told("lumbar_sympathetic_block", structures, point=point)
        assert found["patient_rotated"].verdict is Verdict.CAUTION


class TestLevels:
    @pytest.mark.parametrize(
        ("procedure", "asked", "is_told"),
        [
            ("discography", "disc:L2-L3", True),
            ("discography", "disc:L4-L5", False),
            ("lumbar_sympathetic_block", "sympathetic:L5:left", True),
            ("lumbar_sympathetic_block", "sympathetic:L3:left", False),
            ("facet_injection", "facet:L4-L5:left", False),
        ],
    )
    def test_a_level_without_published_angles_is_a_caution(self, procedure, asked, is_told):
        found = told(procedure, scene(), asked)
        assert ("level_angles" in found) == is_told
        if is_told:
            assert found["level_angles"].verdict is Verdict.CAUTION
            assert "no published angles at this level" in found["level_angles"].note


def test_a_region_drawn_in_a_vertebra_has_its_pedicles():
    body = find_region("vertebra:L4", scene())
    drawn = TargetRegion(name="region:x", mask=body.mask, centre_lps_mm=body.centre_lps_mm)
    protocol = load_protocol("vertebral_biopsy_transpedicular")
    target = Target(point_lps_mm=drawn.centre_lps_mm, tolerance_mm=3.0, region=drawn)
    way = way_to(target, protocol, NEEDLE, scene(), 0.0)
    assert {"pedicle", "pedicle_wall", "other_vertebra"} <= {r.constraint for r in way.rules}
    assert "no labelled vertebra" not in " ".join(f.note for f in way.findings)


def test_a_drawn_joint_loses_its_plane_aloud():
    facet = find_region("facet:L4-L5:left", scene())
    drawn = TargetRegion(name="region:x", mask=facet.mask, centre_lps_mm=facet.centre_lps_mm)
    protocol = load_protocol("facet_injection")
    for region, verdict in ((facet, None), (drawn, Verdict.CAUTION)):
        target = Target(point_lps_mm=facet.centre_lps_mm, tolerance_mm=3.0, region=region)
        way = way_to(target, protocol, NEEDLE, scene(), 0.0)
        found = {f.constraint: f.verdict for f in way.findings}
        assert found.get("joint_plane") is verdict
        assert any(r.constraint == "joint_plane" for r in way.rules) == (verdict is None)
