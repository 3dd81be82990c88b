"""What a path goes through: bone by whose leave, at which angle; vessels by opt-in only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.model import (
    BoneRule,
    Evidenced,
    MarginRule,
    OptIn,
    Structure,
    StructureRole,
    StructureSet,
    Verdict,
)
from planner.model.requirements import missing_rules
from planner.protocols import load_protocol
from planner.safety.checks import NeedleAxis
from planner.safety.crossings import check_crossings
from planner.safety.fields import FieldCache
from planner.safety.obstacles import resolve_obstacles
from planner.verify import verify_plan
from tests.trunk import simple_protocol, trunk

VESSEL = "splenic_artery"
OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 5.0, "top": 3}


def number(value):
    return Evidenced(value=value, evidence="E")


def named(name, kind, margin=5.0):
    return MarginRule(
        structure_class=kind, margin=number(margin), required=True, name_words=(name,)
    )


@pytest.fixture(scope="module")
def scene():
    return trunk("oblique")


def with_artery(structures):
    """The nerve is a vessel, as read from a file: no role or margin by the user."""

    def of(s: Structure) -> Structure:
        source = replace(s.source, role_from="default")
        return replace(s, name=VESSEL, structure_class="vessel", margin_mm=None, source=source)

    kept = (of(s) if s.name == "nerve" else s for s in structures.structures if s.name != "aorta")
    return StructureSet(grid=structures.grid, structures=tuple(kept))


def through(structures, name, **changes):
    """From behind straight through the middle of a structure, and what is said of it."""
    mask = structures[name].mask
    inside = mask.grid.to_lps(np.argwhere(mask.inside))
    middle = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
    tip = middle + np.array([0.0, -40.0, 0.0])
    axis = NeedleAxis(
        entry_lps_mm=middle + np.array([0.0, 60.0, 0.0]), tip_lps_mm=tip, end_lps_mm=tip
    )
    allow = changes.pop("allow_bone", None)
    protocol = changes.pop("protocol", None) or simple_protocol(**changes)
    obstacles = resolve_obstacles(structures, protocol, allow_bone=allow)
    return check_crossings(axis, obstacles, FieldCache(), protocol)


def bones(scene):
    return [s.name for s in scene[1].with_role(StructureRole.BONE)]


class TestBone:
    @pytest.mark.parametrize(
        ("rule", "margins", "allow", "verdict", "said"),
        [
            (BoneRule.ALLOWED, False, None, Verdict.PASS, "the procedure allows"),
            (BoneRule.ALLOWED, False, True, Verdict.PASS, "the procedure allows"),
            (BoneRule.ALLOWED, True, True, Verdict.CAUTION, "the user allows"),
            (BoneRule.FORBIDDEN, False, True, Verdict.CAUTION, "the user allows"),
        ],
    )
    def test_leave_is_told_of_each_bone(self, scene, rule, margins, allow, verdict, said):
        name = bones(scene)[0]
        own = (named(name.replace("_", " "), "bone"),) if margins else ()
        found = through(scene[1], name, bone=rule, margins=own, allow_bone=allow)
        crossed = next(f for f in found if (f.constraint, f.structure) == ("bone_crossed", name))
        assert crossed.verdict is verdict and said in crossed.note and crossed.measured > 1.0

    def test_the_angle_is_told_without_a_limit(self, scene):
        name = bones(scene)[0]
        found = through(scene[1], name, bone=BoneRule.ALLOWED)
        angle = next(f for f in found if f.constraint == "bone_entry_angle")
        assert angle.structure is None and angle.verdict is Verdict.PASS
        assert angle.required is None and 0.0 < angle.measured <= 90.0 and angle.unit == "degrees"

    def test_a_plan_through_bone_is_verified_and_a_changed_angle_is_caught(self, scene):
        volume, structures = scene
        target = np.array([-6.0, 0.0, 1.0])  # behind it the spine
        protocol = simple_protocol(approach_side="posterior", bone=BoneRule.ALLOWED)
        result = planner.plan(volume, target, protocol, structures, **OPTIONS)
        path = next(
            t
            for t in result.trajectories
            if any(f.constraint == "bone_crossed" for f in t.findings)
        )
        place = result.trajectories.index(path)
        assert verify_plan(result, volume, structures).ok
        wrong = [
            replace(f, measured=f.measured - 40.0) if f.constraint == "bone_entry_angle" else f
            for f in path.findings
        ]
        gone = [f for f in path.findings if f.constraint != "bone_entry_angle"]
        for findings in (wrong, gone):
            paths = list(result.trajectories)
            paths[place] = replace(path, findings=tuple(findings))
            changed = replace(result, trajectories=tuple(paths))
            assert not verify_plan(changed, volume, structures).ok


ARTERY = {
    "margins": (named("splenic artery", "vessel"),),
    "opt_ins": {"through": OptIn(words="w", evidence="E", crossable=("splenic artery",))},
}


class TestOptIn:
    def test_without_it_the_vessel_is_kept_off(self, scene):
        structures = with_artery(scene[1])
        protocol = simple_protocol(**ARTERY)
        assert not through(structures, VESSEL, protocol=protocol)
        assert VESSEL in {o.name for o in resolve_obstacles(structures, protocol).obstacles}

    def test_with_it_the_rule_is_kept_and_the_path_is_a_caution_in_millimetres(self, scene):
        structures = with_artery(scene[1])
        protocol = simple_protocol(**ARTERY).with_opt_in("through")
        assert not missing_rules(protocol, structures)
        assert missing_rules(protocol, scene[1])
        (crossed,) = (
            f for f in through(structures, VESSEL, protocol=protocol) if f.constraint == "crossed"
        )
        assert crossed.verdict is Verdict.CAUTION and crossed.structure == VESSEL
        assert crossed.measured > 1.0 and crossed.unit == "mm" and "through" in crossed.note

    def test_what_may_be_crossed_does_not_stand_for_its_class(self, scene):
        structures = with_artery(scene[1])
        rule = MarginRule(structure_class="vessel", margin=number(2.0), required=True)
        protocol = simple_protocol(**{**ARTERY, "margins": (*ARTERY["margins"], rule)})
        assert rule in missing_rules(protocol.with_opt_in("through"), structures)

    def test_a_plan_through_it_is_a_caution_and_verified(self, scene):
        volume, structures = scene
        structures = with_artery(structures)
        mask = structures[VESSEL].mask
        inside = mask.grid.to_lps(np.argwhere(mask.inside))
        middle = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
        protocol = simple_protocol(**ARTERY).with_opt_in("through")
        result = planner.plan(volume, middle, protocol, structures, **OPTIONS)
        assert result.verdict is Verdict.CAUTION
        for path in result.trajectories:
            assert [f.structure for f in path.findings if f.constraint == "crossed"] == [VESSEL]
        assert verify_plan(result, volume, structures, protocol=protocol).ok
        paths = tuple(
            replace(t, findings=tuple(f for f in t.findings if f.constraint != "crossed"))
            for t in result.trajectories
        )
        changed = replace(result, trajectories=paths)
        assert not verify_plan(changed, volume, structures, protocol=protocol).ok


class TestLeaveByName:
    @pytest.mark.parametrize(
        ("procedure", "name", "kind", "is_open"),
        [
            ("sacral_nerve_root_block", "S1_nerve_root_in_dorsal_foramen_left", "nerve", False),
            ("sacral_nerve_root_block", "dorsal_foramen_S1_left", "nerve", True),
            ("sacral_nerve_root_block", "posterior_s1_foramen", "nerve", True),
            ("facet_injection", "medial_branch_facet_joint_L4_left", "nerve", False),
            ("facet_injection", "facet_joint_L4_left", "joint", True),
            ("hip_arthrography", "femoral_artery_at_hip_joint", "vessel", False),
            ("shoulder_arthrography", "axillary_nerve_joint_capsule", "nerve", False),
        ],
    )
    def test_words_in_a_name_open_no_nerve_or_vessel(self, procedure, name, kind, is_open):
        assert load_protocol(procedure).may_cross(name, kind) is is_open

    def test_an_opt_in_for_a_vessel_opens_no_nerve_that_names_it(self):
        protocol = load_protocol("coeliac_plexus_block").with_opt_in("transaortic")
        assert protocol.may_cross("aorta_abdominalis", "vessel")
        assert not protocol.may_cross("plexus_on_aorta", "nerve")
