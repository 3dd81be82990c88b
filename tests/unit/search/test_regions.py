"""Target regions, last stretch, direction, two needles: plans on the trunk against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.errors import TargetError
from planner.geometry import Mask
from planner.geometry.clearance import exact_clearance_mm
from planner.model import (
    CorridorRule,
    Evidenced,
    MarginRule,
    StructureRole,
    StructureSet,
    TargetRegion,
    TerminalRule,
    TipRule,
    TwoNeedleRule,
    Verdict,
)
from planner.search.pairs import segment_gaps_mm
from planner.search.tips import sampled_tips
from planner.verify import verify_plan
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 4.0, "top": 4}
RADIUS_MM = 0.36
GOOD = (Verdict.PASS, Verdict.CAUTION)


def number(value):
    return Evidenced(value=value, evidence="E")


@pytest.fixture(scope="module", params=["oblique", "thick"])
def scene(request):
    return trunk(request.param)


def cavity(volume, radius_mm=9.0):
    """A ball left of the midline and in front of the target, as a region."""
    grid = volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    centre = TARGET_LPS_MM + np.array([22.0, -10.0, 0.0])
    inside = np.linalg.norm(points - centre, axis=-1) <= radius_mm
    mask = Mask(grid=grid, inside=inside)
    near = np.argwhere(inside)
    middle = near[np.argmin(np.linalg.norm(grid.to_lps(near) - centre, axis=1))]
    return TargetRegion(name="region:cavity", mask=mask, centre_lps_mm=grid.to_lps(middle))


def planned(scene, protocol, region, **options):
    volume, structures = scene
    return planner.plan(volume, None, protocol, structures, region=region, **{**OPTIONS, **options})


class TestTips:
    def test_the_centre_comes_first_and_all_lie_inside_off_the_border(self, scene):
        region = cavity(scene[0])
        protocol = simple_protocol(tip=TipRule(border=number(3.0)))
        tips = sampled_tips(region, protocol)
        np.testing.assert_array_equal(tips[0], region.centre_lps_mm)
        assert 4 <= len(tips) <= 16 and region.mask.contains(tips).all()
        assert len(np.unique(tips, axis=0)) == len(tips)

    def test_a_thin_region_is_tried_all_the_same(self, scene):
        region = cavity(scene[0], radius_mm=2.5)
        assert len(sampled_tips(region, simple_protocol(tip=TipRule(border=number(30.0))))) >= 1


@pytest.fixture(scope="module")
def rules():
    return simple_protocol(tip=TipRule(border=number(1.0), far_wall=number(4.0)))


class TestRegion:
    def test_every_feasible_candidate_keeps_every_rule_by_brute_force(self, scene, rules):
        region = cavity(scene[0])
        result = planned(scene, rules, region)
        c = result.candidates
        assert result.trajectories and len(np.unique(c.tip_lps_mm, axis=0)) > 3
        some = np.flatnonzero(c.feasible)[:: max(1, int(c.feasible.sum()) // 40)]
        steps = np.arange(0.0, 4.0, 0.05)
        for n in some:
            entry, tip = c.entry_lps_mm[n], c.tip_lps_mm[n]
            way = (tip - entry) / np.linalg.norm(tip - entry)
            assert region.mask.contains(tip + steps[:, None] * way).all()
            for name, margin in (("nerve", 3.0), ("aorta", 5.0), ("spine", 1.0)):
                mask = result.structures[name].mask
                assert exact_clearance_mm(entry, tip, mask, needle_radius_mm=RADIUS_MM) >= margin

    def test_a_rule_refuses_what_it_should(self, scene, rules):
        region = cavity(scene[0])
        strict = replace(rules, tip=TipRule(border=number(1.0), far_wall=number(40.0)))
        result = planned(scene, strict, region)
        assert not result.trajectories and result.verdict is Verdict.FAIL
        assert any(e.constraint == "far_wall" for e in result.explanation)

    def test_a_region_is_too_near_only_when_every_tip_is(self, scene):
        volume, structures = scene
        region = cavity(volume)
        gaps = {}
        for margin_mm in (1.0, 30.0):
            wide = structures["nerve"].with_role(StructureRole.AVOID, margin_mm)
            others = tuple(s for s in structures.structures if s.name != "nerve")
            asked = StructureSet(grid=structures.grid, structures=(*others, wide))
            rules = simple_protocol(min_length=number(190.0))  # nothing is feasible
            result = planned((volume, asked), rules, region)
            tips = sampled_tips(region, result.protocol)
            assert not result.trajectories and len(tips) > 3
            room = exact_clearance_mm(tips, tips, wide.mask, needle_radius_mm=0.0)
            gaps[margin_mm] = room.max()
            said = [e.message for e in result.explanation if e.code == "target_too_near"]
            if room.max() - RADIUS_MM >= margin_mm:
                assert not said
            else:
                assert f"All {len(tips)} tips tried" in said[0]
                assert f"at most {room.max():.2f} mm from 'nerve'" in said[0]
        assert 1.5 < gaps[1.0] < 30.0

    def test_the_preferred_depth_is_preferred(self, scene, rules):
        region = cavity(scene[0])
        depths = []
        for fraction in (0.1, 0.9):
            tip = TipRule(border=number(1.0), preferred_depth_fraction=number(fraction))
            weights = replace(rules.weights, clearance=0.0, length=0.0, tip_place=5.0)
            result = planned(scene, replace(rules, tip=tip, weights=weights), region)
            depths.append(result.trajectories[0].cost_terms["tip_place"])
            assert depths[-1] <= 0.35

    def test_verify_confirms_and_a_point_outside_is_caught(self, scene, rules):
        volume, structures = scene
        region = cavity(volume)
        cyst = replace(structures["nerve"], name="cavity", mask=region.mask, margin_mm=None)
        cyst = cyst.with_role(planner.model.StructureRole.TARGET, None)
        with_cyst = StructureSet(grid=volume.grid, structures=(*structures.structures, cyst))
        result = planned((volume, with_cyst), rules, region)
        report = verify_plan(result, volume, with_cyst, protocol=rules)
        assert report.ok, [c.claim for c in report.failures]
        path = result.trajectories[0]
        away = replace(path, tip_lps_mm=path.tip_lps_mm + np.array([0.0, 0.0, 30.0]))
        wrong = replace(result, trajectories=(away, *result.trajectories[1:]))
        claims = [c.claim for c in verify_plan(wrong, volume, with_cyst, protocol=rules).failures]
        assert any("tip_in_region" in claim for claim in claims)

    def test_a_point_and_a_region_are_two_questions(self, scene):
        volume, structures = scene
        for target, region in ((None, None), (TARGET_LPS_MM, cavity(volume))):
            with pytest.raises(TargetError, match="one of the two"):
                planner.plan(volume, target, simple_protocol(), structures, region=region)


class TestLastStretch:
    """The nerve's margin of 3 mm may shrink to 1 mm over the last 12 mm before the tip."""

    RULE = TerminalRule(
        length=number(12.0),
        margins=(MarginRule(structure_class="nerve", margin=number(1.0)),),
    )

    def structures(self, scene):
        volume, structures = scene
        plain = tuple(
            replace(s, margin_mm=None) if s.name == "nerve" else s for s in structures.structures
        )
        return volume, StructureSet(grid=volume.grid, structures=plain)

    def target(self, scene):
        """Beside the nerve (its axis runs at L 14 + 0.2 S, P 9; radius 2.5 mm)."""
        return np.array([14.2 - 2.5 - RADIUS_MM - 1.9, 9.0, 1.0])

    def plan(self, scene, protocol):
        volume, structures = self.structures(scene)
        return planner.plan(volume, self.target(scene), protocol, structures, **OPTIONS)

    def test_without_the_rule_the_target_is_too_near(self, scene):
        assert not self.plan(scene, simple_protocol()).trajectories

    def test_the_shaft_keeps_the_usual_margin_and_the_tip_its_own(self, scene):
        result = self.plan(scene, simple_protocol(terminal=self.RULE))
        c = result.candidates
        assert result.trajectories
        nerve = result.structures["nerve"].mask
        for n in np.flatnonzero(c.feasible)[:: max(1, int(c.feasible.sum()) // 40)]:
            entry, tip = c.entry_lps_mm[n], c.tip_lps_mm[n]
            way = (tip - entry) / np.linalg.norm(tip - entry)
            whole = exact_clearance_mm(entry, tip, nerve, needle_radius_mm=RADIUS_MM)
            shaft = exact_clearance_mm(entry, tip - 12 * way, nerve, needle_radius_mm=RADIUS_MM)
            assert whole >= 1.0 - 1e-9 and shaft >= 3.0 - 1e-9
        finding = next(
            f for f in result.trajectories[0].findings if f.constraint == "shaft_clearance"
        )
        assert finding.required == 3.0 and finding.measured >= 3.0

    def test_beyond_the_last_stretch_the_smaller_margin_is_refused(self, scene):
        volume, structures = self.structures(scene)
        protocol = simple_protocol(terminal=self.RULE)
        target = np.array([14.0, -14.0, 1.0])  # the nerve is 20 mm behind: beside the shaft
        c = planner.plan(volume, target, protocol, structures, **OPTIONS).candidates
        way = c.tip_lps_mm - c.entry_lps_mm
        length = np.linalg.norm(way, axis=1, keepdims=True)
        ends = c.tip_lps_mm - np.minimum(12.0, length) * way / length
        nerve = structures["nerve"].mask
        shaft = exact_clearance_mm(c.entry_lps_mm, ends, nerve, needle_radius_mm=RADIUS_MM)
        between = (shaft >= 1.0) & (shaft < 3.0)
        assert between.any() and not c.feasible[between].any()
        assert (c.rejected_by[between] == "clearance:nerve").any()

    def test_verify_confirms_it_and_catches_a_dropped_finding(self, scene):
        protocol = simple_protocol(terminal=self.RULE)
        result = self.plan(scene, protocol)
        volume, structures = self.structures(scene)
        report = verify_plan(result, volume, structures, protocol=protocol)
        assert report.ok, [c.claim for c in report.failures]
        path = result.trajectories[0]
        kept = tuple(f for f in path.findings if f.constraint != "shaft_clearance")
        less = replace(
            result, trajectories=(replace(path, findings=kept), *result.trajectories[1:])
        )
        assert not verify_plan(less, volume, structures, protocol=protocol).ok

    def test_a_users_own_margin_holds_everywhere(self, scene):
        volume, structures = scene
        protocol = simple_protocol(terminal=self.RULE)
        result = planner.plan(volume, self.target(scene), protocol, structures, **OPTIONS)
        assert not result.trajectories


class TestDirection:
    @pytest.mark.parametrize("direction", ["lateral_to_medial", "medial_to_lateral"])
    def test_a_hard_direction_is_kept_by_every_feasible_path(self, scene, direction):
        volume, structures = scene
        protocol = simple_protocol(direction=direction, direction_is_hard=True)
        target = np.array([28.0, 2.0, 1.0])
        result = planner.plan(volume, target, protocol, structures, **OPTIONS)
        c = result.candidates
        assert c.feasible.any() and result.midline_l_mm is not None
        outwards = c.entry_lps_mm[c.feasible, 0] - target[0]
        assert np.all(outwards >= -1e-6 if direction == "lateral_to_medial" else outwards <= 1e-6)

    def test_a_preference_costs_and_does_not_refuse(self, scene):
        volume, structures = scene
        protocol = simple_protocol(direction="medial_to_lateral")
        result = planner.plan(volume, np.array([28.0, 2.0, 1.0]), protocol, structures, **OPTIONS)
        assert {t.cost_terms["direction"] for t in result.trajectories} <= {0.0, 1.0}
        assert "direction" not in result.rejected_counts


def test_a_foramen_without_a_region_is_unknown(scene):
    volume, structures = scene
    corridor = CorridorRule(kind="foramen", numbers={"max_depth_mm": number(15.0)})
    result = planner.plan(
        volume, TARGET_LPS_MM, simple_protocol(corridor=corridor), structures, **OPTIONS
    )
    assert result.trajectories and result.verdict is Verdict.UNKNOWN


def test_the_needle_is_longer_than_the_path_by_the_reserve(scene):
    volume, structures = scene
    protocol = simple_protocol(length_reserve=number(20.0))
    result = planner.plan(volume, TARGET_LPS_MM, protocol, structures, **OPTIONS)
    c = result.candidates
    length = np.linalg.norm(c.entry_lps_mm - c.tip_lps_mm, axis=1)
    assert c.feasible.any() and length[c.feasible].max() <= 70.0
    assert np.all(c.rejected_by[length > 70.0] != "")


class TestTwoNeedles:
    RULE = TwoNeedleRule(spacing=number(10.0), clearance=number(5.0))

    def test_a_pair_keeps_its_distances(self, scene):
        region = cavity(scene[0], radius_mm=12.0)
        result = planned(scene, simple_protocol(two_needles=self.RULE), region)
        assert result.pairs and result.pairs[0].first_rank == 1
        by_rank = {t.rank: t for t in result.trajectories}
        along = np.linspace(0, 1, 400)[:, None]
        for pair in result.pairs:
            one, other = by_rank[pair.first_rank], by_rank[pair.second_rank]
            lines = [
                t.entry_lps_mm + along * (t.throw_end_lps_mm - t.entry_lps_mm) for t in (one, other)
            ]
            gap = np.linalg.norm(lines[0][:, None] - lines[1][None], axis=2).min()
            assert pair.clearance_mm == pytest.approx(gap - 2 * RADIUS_MM, abs=0.05)
            assert np.linalg.norm(one.tip_lps_mm - other.tip_lps_mm) >= 10.0

    def test_no_room_for_two_is_said(self, scene):
        region = cavity(scene[0], radius_mm=4.0)
        result = planned(scene, simple_protocol(two_needles=self.RULE), region)
        assert result.trajectories and not result.pairs
        assert "no_second_needle" in [w.code for w in result.warnings]

    def test_gaps_of_segments_equal_sampling(self):
        rng = np.random.default_rng(4)
        along = np.linspace(0, 1, 201)[:, None]
        start, end = rng.normal(size=3) * 20, rng.normal(size=3) * 20
        starts, ends = rng.normal(size=(50, 3)) * 20, rng.normal(size=(50, 3)) * 20
        found = segment_gaps_mm(start, end, starts, ends)
        line = start + along * (end - start)
        for a, b, gap in zip(starts, ends, found, strict=True):
            other = a + along * (b - a)
            truth = np.linalg.norm(line[:, None] - other[None], axis=2).min()
            assert gap <= truth + 1e-9 and gap >= truth - 0.35

    def test_parallel_and_touching(self):
        gap = segment_gaps_mm(
            np.zeros(3), np.array([0, 0, 10.0]), np.array([[3.0, 0, 5], [0, 0, 12]]),
            np.array([[3.0, 0, 25], [0, 5.0, 12]]),
        )  # fmt: skip
        assert gap == pytest.approx([3.0, 2.0])


def test_an_outer_part_counts_for_two_needles():
    """Paths that diverge inwards cross outside the skin: the whole needles are compared."""
    from planner.model import Needle
    from planner.search.pairs import _whole

    needle = Needle(name="22G-90", outer_diameter_mm=0.72, length_mm=90.0)
    start, end = _whole(np.array([0.0, 30, 0]), np.zeros(3), np.zeros(3), needle)
    assert np.linalg.norm(start - end) == pytest.approx(90.0 + 60.0)
    other = _whole(
        np.array([[12.0, 30, 0]]), np.array([[24.0, 0, 0]]), np.array([[24.0, 0, 0]]), needle
    )
    inner = segment_gaps_mm(
        np.array([0.0, 30, 0]), np.zeros(3), np.array([[12.0, 30, 0]]), np.array([[24.0, 0, 0]])
    )[0]
    assert segment_gaps_mm(start, end, *other)[0] < 1.0 < inner


def test_bone_that_only_the_user_allows_is_a_caution(scene):
    volume, structures = scene
    target = np.array([-6.0, 0.0, 1.0])  # behind it the spine
    result = planner.plan(
        volume, target, simple_protocol(approach_side="posterior"), structures,
        allow_bone=True, **OPTIONS,
    )  # fmt: skip
    crossed = [f for t in result.trajectories for f in t.findings if f.constraint == "bone_crossed"]
    assert crossed and {f.verdict for f in crossed} == {Verdict.CAUTION}


def test_a_hard_direction_without_a_midline_is_unknown(scene):
    from planner.model import Needle, Target
    from planner.search.way import way_to

    _, structures = scene
    protocol = simple_protocol(direction="lateral_to_medial", direction_is_hard=True)
    target = Target(point_lps_mm=TARGET_LPS_MM, tolerance_mm=3.0)
    needle = Needle(name="22G-90", outer_diameter_mm=0.72, length_mm=90.0)
    way = way_to(target, protocol, needle, structures, None)
    assert [f.verdict for f in way.findings if f.constraint == "direction"] == [Verdict.UNKNOWN]


def test_a_point_in_no_region_that_labels_tell_is_a_caution(scene):
    volume, structures = scene
    protocol = simple_protocol(tip=TipRule(far_wall=number(5.0)), targets=("vertebra",))
    result = planner.plan(volume, TARGET_LPS_MM, protocol, structures, **OPTIONS)
    assert result.verdict is Verdict.CAUTION
    assert any(f.constraint == "target_region" for f in result.trajectories[0].findings)


def test_metal_leaves_no_room_for_what_is_drawn():
    from planner.model import Finding
    from planner.search.way import beside_metal

    def wall(measured):
        return Finding(
            constraint="pedicle_wall", structure=None, measured=measured, required=1.5,
            unit="mm", verdict=Verdict.PASS, note="",
        )  # fmt: skip

    tight, ample = beside_metal((wall(1.62), wall(4.0)), 1.59)
    assert tight.verdict is Verdict.UNKNOWN and ample.verdict is Verdict.PASS
