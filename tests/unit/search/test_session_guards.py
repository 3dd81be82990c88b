"""What a session refuses, what it does not know, and what it says when nothing is feasible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.errors import ConfigError, FrameMismatchError, OutsideVolumeError, TargetError
from planner.geometry import Grid, Mask, PatientPosition
from planner.model import (
    Evidenced,
    MaskSource,
    Needle,
    StructureRole,
    StructureSet,
    TargetRegion,
    Verdict,
)
from planner.search.choices import chosen_needle, throw_warning
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk, trunk_grid


def _plan(volume, structures, target=TARGET_LPS_MM, **options):
    options = {
        "procedure": simple_protocol(),
        "table_side": "none",
        "entry_spacing_mm": 3.0,
    } | options
    return planner.plan(volume, target, structures=structures, **options)


@pytest.fixture(scope="module")
def scene():
    return trunk("axial")


def _changed(structures: StructureSet, *drop: str, add=()) -> StructureSet:
    kept = tuple(s for s in structures.structures if s.name not in drop)
    return StructureSet(grid=structures.grid, structures=(*kept, *add))


class TestTarget:
    def test_outside_the_image(self, scene):
        with pytest.raises(OutsideVolumeError, match="outside the image"):
            _plan(*scene, target=(400.0, 0.0, 0.0))

    def test_in_the_air(self, scene):
        with pytest.raises(TargetError, match="in the air"):
            _plan(*scene, target=(78.0, 60.0, 0.0))

    @pytest.mark.parametrize("target", [(np.nan, 0, 0), (1.0, 2.0)])
    def test_not_a_point(self, scene, target):
        with pytest.raises(planner.errors.DegenerateGeometryError, match="three finite numbers"):
            _plan(*scene, target=target)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"nonsense": 1}, "unknown option"),
            ({"table_side": "sideways"}, "table side"),
            ({"top": 0}, "top"),
            ({"min_separation_mm": float("nan")}, "min_separation_mm"),
            ({"needle": "9G-9999"}, "9G"),
            ({"throw_mm": -1.0}, "throw_mm"),
            ({"procedure": "no_such_thing"}, "no_such_thing"),
            ({"forbidden_entry": ["no mask"]}, "no such structure"),
            ({"mr": {"field_t": 300}}, "out of range"),
            ({"mr": {"fieldstrength": 3}}, "unknown MR value"),
            ({"implants": {"nerve": "titanium"}}, "no implant"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, scene, options, match):
        with pytest.raises(ConfigError, match=match):
            _plan(*scene, **options)

    def test_structures_of_another_image_are_refused(self, scene):
        other = trunk("thick")[1]
        with pytest.raises(FrameMismatchError, match="not on the image's grid"):
            _plan(scene[0], other)


class TestUnknown:
    def test_a_required_class_without_a_mask_is_unknown_never_pass(self, scene):
        volume, structures = scene
        result = _plan(volume, _changed(structures, "nerve"))
        assert result.trajectories
        assert result.verdict is Verdict.UNKNOWN
        assert all(t.verdict is Verdict.UNKNOWN for t in result.trajectories)
        missing = [
            f for f in result.trajectories[0].findings if f.constraint == "missing_structure"
        ]
        assert [f.structure for f in missing] == ["nerve"]
        assert any(w.code == "missing_structure" for w in result.warnings)

    def test_all_masks_given_passes(self, scene):
        assert _plan(*scene).verdict is Verdict.PASS

    def test_a_mask_drawn_on_a_smaller_image_does_not_vouch_beyond_it(self, scene):
        volume, structures = scene
        nerve = structures["nerve"]
        small = Grid.from_axes((10, 20, 20), (2, 2, 2), TARGET_LPS_MM - 20)
        source = MaskSource(file="small.nrrd", grid=small, method="conservative cover")
        short = structure("nerve", nerve.mask.inside, volume.grid, nerve.role, "nerve", 3.0, source)
        result = _plan(volume, _changed(structures, "nerve", add=(short,)))
        assert result.verdict is Verdict.UNKNOWN
        assert any(
            f.constraint == "coverage" and f.structure == "nerve"
            for f in result.trajectories[0].findings
        )

    def test_a_path_along_the_cut_end_of_the_image_is_unknown(self, scene):
        volume, structures = scene
        edge = volume.grid.to_lps([0.6, 0, 0])[2]
        result = _plan(volume, structures, target=(4.0, 2.0, edge))
        assert result.trajectories
        for trajectory in result.trajectories:
            assert trajectory.verdict is Verdict.UNKNOWN
            assert any(f.constraint == "coverage" for f in trajectory.findings)

    def test_an_unknown_patient_position_is_said(self):
        volume, structures = trunk("axial", PatientPosition.UNKNOWN)
        result = _plan(volume, structures, table_side="auto")
        assert any(w.code == "table_side" for w in result.warnings)
        assert "table_side" not in result.rejected_counts


class TestTable:
    @pytest.mark.parametrize(
        ("position", "free_side"),
        [(PatientPosition.HFP, 1.0), (PatientPosition.FFS, -1.0)],
    )
    def test_no_entry_on_the_side_that_lies_on_the_table(self, position, free_side):
        volume, structures = trunk("axial", position)
        result = _plan(volume, structures, table_side="auto")
        down = position.down_lps
        facing = result.candidates.skin_normal_lps @ down
        assert np.all(result.candidates.rejected_by[facing > 0.5] != "")
        assert result.rejected_counts["table_side"] > 0
        for trajectory in result.trajectories:
            assert free_side * trajectory.entry_lps_mm[1] > -20.0

    def test_the_side_can_be_given(self, scene):
        result = _plan(*scene, table_side="left")
        entries = result.candidates.entry_lps_mm[result.candidates.feasible]
        assert entries[:, 0].max() < 60.0


class TestForbiddenEntry:
    def test_no_entry_within_the_structure_or_its_margin(self, scene):
        volume, structures = scene
        points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
        plaster = structure(
            "plaster", points[..., 1] > 40, volume.grid, StructureRole.ALLOWED, None, 2.0
        )
        result = _plan(volume, _changed(structures, add=(plaster,)), forbidden_entry=["plaster"])
        entries = result.candidates.entry_lps_mm
        assert np.all(result.candidates.rejected_by[entries[:, 1] > 42.0] != "")
        assert result.rejected_counts["forbidden_entry"] > 0
        assert result.candidates.feasible.any()


class TestBody:
    def test_a_path_through_air_is_refused(self, scene):
        volume, structures = scene
        body = np.array(structures["trunk"].mask.inside)
        points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
        body[(np.abs(points[..., 1] - 30) < 3) & (np.abs(points[..., 0] - 25) < 25)] = False
        holed = structure("trunk", body, volume.grid, StructureRole.BODY, "skin_body")
        result = _plan(volume, _changed(structures, "trunk", add=(holed,)))
        assert result.rejected_counts["outside_body"] > 0
        for trajectory in result.trajectories:
            t = np.linspace(0, 1, 2000)[:, None]
            path = trajectory.entry_lps_mm + t * (trajectory.tip_lps_mm - trajectory.entry_lps_mm)
            assert np.all(result.body.contains(path))

    def test_a_limb_in_the_way_of_the_shaft_is_noticed(self, scene):
        volume, structures = scene
        points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
        x, y = points[..., 0], points[..., 1]
        arm = (x - 71) ** 2 + (y - 53) ** 2 < 8**2
        body = structures["trunk"].mask.inside | arm
        both = structure("trunk", body, volume.grid, StructureRole.BODY, "skin_body")
        changed = _changed(structures, "trunk", add=(both,))
        result = _plan(volume, changed, target=(30.0, 20.0, 1.0))
        assert result.rejected_counts.get("shaft_blocked", 0) > 0

    def test_the_skin_is_found_without_a_body_mask(self, scene):
        volume, structures = scene
        result = _plan(volume, _changed(structures, "trunk"))
        assert result.body_source == "automatic"
        truth = structures["trunk"].mask.inside
        assert np.mean(result.body.inside != truth) < 0.03
        assert result.trajectories


class TestBoneRule:
    def test_allowed_bone_may_be_crossed_and_is_told(self, scene):
        volume, structures = scene
        strict = _plan(volume, structures)
        free = _plan(volume, structures, allow_bone=True)
        assert "bone" in strict.rejected_counts
        assert "bone" not in free.rejected_counts
        assert free.candidates.feasible.sum() > strict.candidates.feasible.sum()
        crossed = [
            f for t in free.trajectories for f in t.findings if f.constraint == "bone_crossed"
        ]
        assert all(f.measured > 0 for f in crossed)

    def test_a_margin_from_the_user_makes_bone_an_obstacle_again(self, scene):
        volume, structures = scene
        spine = structures["spine"].with_role(StructureRole.BONE, 2.0)
        result = _plan(volume, _changed(structures, "spine", add=(spine,)), allow_bone=True)
        assert "bone" in result.rejected_counts


class TestExplanation:
    def test_the_margin_that_opens_a_path_does_open_one(self, scene):
        volume, structures = scene
        wide = structures["nerve"].with_role(StructureRole.AVOID, 30.0)
        result = _plan(volume, _changed(structures, "nerve", add=(wide,)))
        assert result.verdict is Verdict.FAIL
        assert not result.trajectories
        found = next(e for e in result.explanation if e.constraint == "clearance:nerve")
        assert found.current == 30.0
        assert found.opens_at is not None
        opened = structures["nerve"].with_role(StructureRole.AVOID, found.opens_at)
        shut = structures["nerve"].with_role(StructureRole.AVOID, found.opens_at + 0.02)
        again = _plan(volume, _changed(structures, "nerve", add=(opened,)))
        assert again.candidates.feasible.sum() >= 1
        assert not _plan(volume, _changed(structures, "nerve", add=(shut,))).trajectories

    def test_the_needle_length_that_opens_a_path_does_open_one(self, scene):
        target = (30.0, -5.0, 1.0)
        shortest = min(t.length_mm for t in _plan(*scene, target=target).trajectories)
        needle = replace(planner.parse_needle("22G-90"), length_mm=shortest - 4.0)
        result = _plan(*scene, target=target, needle=needle)
        assert not result.trajectories
        found = next(e for e in result.explanation if e.constraint == "length")
        assert found.current == needle.length_mm
        assert found.opens_at > needle.length_mm
        longer = replace(needle, length_mm=found.opens_at)
        assert _plan(*scene, target=target, needle=longer).trajectories
        shorter = replace(needle, length_mm=found.opens_at - 0.2)
        assert not _plan(*scene, target=target, needle=shorter).trajectories

    def test_a_target_inside_a_structure_cannot_be_opened_by_its_margin(self, scene):
        result = _plan(*scene, target=(-10.0, -14.0, 0.0))
        assert result.verdict is Verdict.FAIL
        found = next(e for e in result.explanation if e.code == "removed:clearance:aorta")
        assert found.opens_at is None
        assert any(e.code == "target_inside" and "aorta" in e.message for e in result.explanation)
        assert "no margin would open" in found.message

    def test_a_target_deeper_than_any_reach_says_how_deep(self, scene):
        result = _plan(*scene, needle=planner.parse_needle("22G-20"))
        assert [e.code for e in result.explanation] == ["no_skin"]
        assert "22G-20" in result.explanation[0].message
        assert result.explanation[0].opens_at > 40.0

    def test_no_skin_in_view_is_said(self):
        volume, _ = trunk("axial")
        full = structure(
            "trunk",
            np.ones(volume.grid.shape_kji, bool),
            volume.grid,
            StructureRole.BODY,
            "skin_body",
        )
        result = _plan(volume, StructureSet(grid=volume.grid, structures=(full,)))
        assert result.explanation[0].code == "no_skin"
        assert result.verdict is Verdict.FAIL


def test_words_say_side_angle_tilt_and_depth(scene):
    words = _plan(*scene).trajectories[0].words
    assert "of midline" in words or "on the midline" in words
    assert "depth" in words


def test_the_grid_helper_has_the_orientation_it_says():
    assert trunk_grid("oblique").axes_lps_from_kji[2, 0] < 0


class TestThrow:
    """What the procedure fires counts, however the needle was named."""

    protocol = simple_protocol(throw=Evidenced(value=12.0, evidence="E"))

    def test_a_needle_without_a_throw_of_its_own_takes_the_procedures(self):
        plain = Needle(name="mine", outer_diameter_mm=1.0, length_mm=150.0)
        for needle in (plain, "18G-150", None):
            assert chosen_needle(needle, self.protocol, None).throw_mm == 12.0

    def test_the_longer_throw_counts_and_only_the_callers_word_shortens_it(self):
        far = Needle(name="mine", outer_diameter_mm=1.0, length_mm=150.0, throw_mm=22.0)
        assert chosen_needle(far, self.protocol, None).throw_mm == 22.0
        short = chosen_needle(far, self.protocol, 0.0)
        assert short.throw_mm == 0.0
        (told,) = throw_warning(short, self.protocol)
        assert "12 mm past the tip" in told.message
        assert throw_warning(far, self.protocol) == ()

    def test_the_plan_tells_it(self, scene):
        volume, structures = scene
        session = planner.PlanningSession(
            volume, structures, procedure=self.protocol, throw_mm=0.0, table_side="none"
        )
        result = session.plan(TARGET_LPS_MM)
        assert "throw" in {warning.code for warning in result.warnings}


class TestNeedleByLength:
    protocol = simple_protocol(needles=("22G-30", "25G-120", "22G-150", "22G-120"))

    def test_without_a_name_one_of_the_list_that_is_long_enough_is_taken(self, scene):
        result = _plan(*scene, procedure=self.protocol)
        assert result.needle.name == "22G-120" and result.trajectories
        (told,) = [w.message for w in result.warnings if w.code == "needle"]
        assert told.startswith("22G-30, the procedure's first needle, is too short here: 22G-120")

    def test_a_needle_that_is_not_of_the_list_is_told(self, scene):
        for name, is_odd in (("22G-150", False), ("22G-150:steel", False), ("13G-125", True)):
            result = _plan(*scene, procedure=self.protocol, needle=name)
            told = [w.message for w in result.warnings if w.code == "needle"]
            assert bool(told) is is_odd
            assert not told or told[0].startswith("13G-125 (2.41 mm) is not among this procedure's")

    def test_a_named_one_stays_and_the_list_is_told(self, scene):
        result = _plan(*scene, procedure=self.protocol, needle="22G-50")
        assert result.needle.name == "22G-50" and not result.trajectories
        said = [e.message for e in result.explanation if e.constraint == "length"]
        assert "(the procedure's 22G-120 is long enough)" in said[0]

    def test_where_none_is_long_enough_the_first_is_explained(self, scene):
        short = simple_protocol(needles=("22G-30", "22G-40"))
        result = _plan(*scene, procedure=short)
        assert result.needle.name == "22G-30" and not result.trajectories


@pytest.mark.parametrize(
    ("name", "targets", "is_refused"),
    [
        ("foramen:L4-L5:left", ("sympathetic",), True),
        ("anatomy:foramen:L4-L5:left", ("sympathetic",), True),
        ("anatomy:foramen:L4-L5:left", ("lesion",), True),
        ("anatomy:foramen:L4-L5:left", ("disc", "foramen"), False),
        ("region:foramen_drawn", ("sympathetic",), False),
    ],
)
def test_a_procedure_takes_only_the_anatomy_that_it_aims_at(scene, name, targets, is_refused):
    volume, structures = scene
    inside = np.zeros(volume.grid.shape_kji, bool)
    inside[tuple(np.rint(volume.grid.to_kji(TARGET_LPS_MM)).astype(int))] = True
    region = TargetRegion(
        name=name, mask=Mask(grid=volume.grid, inside=inside), centre_lps_mm=TARGET_LPS_MM
    )
    asked = {"procedure": simple_protocol(targets=targets), "region": region}
    if is_refused:
        with pytest.raises(TargetError, match="does not aim at this region"):
            _plan(volume, structures, None, **asked)
    else:
        _plan(volume, structures, None, **asked)
