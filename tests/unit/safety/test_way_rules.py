"""Rules about the way against analytic shapes: plane, border, far wall, cortex, pedicle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.geometry import Mask
from planner.model import (
    CorridorRule,
    CortexAngle,
    Evidenced,
    Needle,
    TargetRegion,
    TipRule,
    Triple,
    Verdict,
)
from planner.safety.checks import NeedleAxis
from planner.safety.cortex import cortex_rule
from planner.safety.entry_rules import entry_rules
from planner.safety.pedicle import Pedicles, pedicle_rules, too_narrow, wall_of
from planner.safety.target_rules import BorderDistance, far_wall_mm, target_rules
from planner.safety.way_rules import WayRule
from tests.metal_truths import grid_of, points_lps_mm
from tests.trunk import simple_protocol

KINDS = ["oblique", "flipped"]


def number(value):
    return Evidenced(value=value, evidence="E")


def ball_region(kind, radius_mm=10.0, **more):
    grid = grid_of(kind, (30, 60, 60), (1.5, 0.8, 0.8))
    inside = np.linalg.norm(points_lps_mm(grid), axis=-1) <= radius_mm
    return TargetRegion(
        name="test", mask=Mask(grid=grid, inside=inside), centre_lps_mm=np.zeros(3), **more
    )


def rule_named(rules, name):
    return next(rule for rule in rules if rule.constraint == name)


def one(point):
    return np.atleast_2d(np.asarray(point, float))


class TestWayRule:
    def rule(self, **more):
        return WayRule(
            constraint="x", words="x", unit="mm", measure=lambda e, t, n: e[:, 0], low=2.0, **more
        )

    def test_a_number_is_told_away_from_its_only_limit(self):
        def told(entry_l_mm, **limits):
            rule = WayRule(
                constraint="x", words="x", unit="mm", measure=lambda e, t, n: e[:, 0], **limits
            )
            axis = NeedleAxis(
                entry_lps_mm=np.array([entry_l_mm, 0.0, 0.0]),
                tip_lps_mm=np.zeros(3),
                end_lps_mm=np.zeros(3),
            )
            return rule.finding(axis).measured

        assert told(2.0078, low=2.0) == 2.0
        assert told(1.9921, high=2.0) == 2.0
        assert told(1.9961, low=1.0, high=3.0) == 2.0

    def test_nan_never_passes_unless_it_may(self):
        assert not self.rule().ok(np.array([np.nan]))[0]
        assert self.rule(passes_unmeasured=True).ok(np.array([np.nan]))[0]

    def test_the_limit_itself_passes_and_shortfall_is_the_gap(self):
        values = np.array([1.5, 2.0, 9.0])
        assert self.rule().ok(values).tolist() == [False, True, True]
        assert self.rule().shortfall(values).tolist() == [0.5, 0.0, 0.0]

    @pytest.mark.parametrize("is_hard, bad", [(True, Verdict.FAIL), (False, Verdict.CAUTION)])
    def test_a_soft_rule_is_a_caution(self, is_hard, bad):
        axis = NeedleAxis(
            entry_lps_mm=np.array([1.0, 0, 0]), tip_lps_mm=np.zeros(3), end_lps_mm=np.zeros(3)
        )
        found = self.rule(is_hard=is_hard).finding(axis)
        assert found.verdict is bad and found.measured == 1.0 and found.required == 2.0


@pytest.mark.parametrize("kind", KINDS)
class TestRegion:
    def test_border_distance_of_a_ball(self, kind):
        region = ball_region(kind)
        measure = BorderDistance(region.mask)
        tips = np.array([[0.0, 0, 0], [4.0, 0, 0], [0, -7.0, 0], [0, 0, 25.0]])
        found = measure(tips, tips, tips)
        assert np.all(np.abs(found[:3] - [10.0, 6.0, 3.0]) <= 1.3) and found[3] < 0

    def test_far_wall_is_along_the_path_and_counts_the_throw(self, kind):
        protocol = simple_protocol(tip=TipRule(far_wall=number(3.0)))
        rule = rule_named(target_rules(protocol, ball_region(kind)), "far_wall")
        entry, tip = one([0, 60.0, 0]), one([0, 4.0, 0])
        assert rule.measure(entry, tip, tip)[0] == pytest.approx(14.0, abs=1.0)
        fired = one([0, -8.0, 0])
        assert not rule.ok(rule.measure(entry, tip, fired))[0]
        beyond = one([0, -15.0, 0])
        assert rule.measure(entry, tip, beyond)[0] == 0.0

    @pytest.mark.parametrize("off_deg", [0.0, 12.0, 40.0, 90.0])
    def test_plane_angle(self, kind, off_deg):
        normal = np.array([1.0, 0.0, 0.0])
        region = ball_region(kind, plane_normal_lps=normal)
        corridor = CorridorRule(kind="joint_plane", numbers={"max_plane_angle_deg": number(20.0)})
        rule = rule_named(target_rules(simple_protocol(corridor=corridor), region), "joint_plane")
        a = np.radians(off_deg)
        entry = one([50 * np.sin(a), 50 * np.cos(a), 0])
        value = rule.measure(entry, one([0, 0, 0]), one([0, 0, 0]))
        assert value[0] == pytest.approx(off_deg, abs=1e-6)
        assert rule.ok(value)[0] == (off_deg <= 20.0)

    def test_depth_in_target_counts_what_is_inside(self, kind):
        corridor = CorridorRule(kind="joint_plane", numbers={"max_depth_mm": number(8.0)})
        rules = target_rules(simple_protocol(corridor=corridor), ball_region(kind))
        rule = rule_named(rules, "depth_in_target")
        found = rule.measure(one([0, 60.0, 0]), one([0, 0, 0]), one([0, 0, 0]))
        assert found[0] == pytest.approx(10.0, abs=1.0) and not rule.ok(found)[0]


class TestEntry:
    @pytest.mark.parametrize("tip_l, entry_l, inwards", [(30, 60, True), (-30, -60, True),
                                                         (30, 20, False), (-30, -5, False),
                                                         (-30, 10, False)])  # fmt: skip
    def test_direction_is_of_the_patients_midline(self, tip_l, entry_l, inwards):
        for direction, wanted in (
            ("lateral_to_medial", inwards),
            ("medial_to_lateral", not inwards),
        ):
            protocol = simple_protocol(direction=direction, direction_is_hard=True)
            (rule,) = entry_rules(protocol, 5.0 if tip_l > 0 else 2.0)
            value = rule.measure(one([entry_l, 80, 0]), one([tip_l, 20, 0]), one([tip_l, 20, 0]))
            assert bool(rule.ok(value)[0]) == wanted

    def test_a_tip_in_the_middle_has_no_side(self):
        protocol = simple_protocol(direction="lateral_to_medial", direction_is_hard=True)
        (rule,) = entry_rules(protocol, 0.0)
        assert rule.ok(rule.measure(one([40, 80, 0]), one([1, 20, 0]), one([1, 20, 0])))[0]

    def test_without_a_midline_nothing_is_claimed(self):
        assert entry_rules(simple_protocol(direction="lateral_to_medial"), None) == ()

    def test_published_depth_is_never_a_limit(self):
        depth = Triple(low=40, typical=50, high=60, evidence="L: text")
        (rule,) = entry_rules(simple_protocol(depth_mm=depth), None)
        assert not rule.is_hard and rule.constraint == "depth"


@pytest.mark.parametrize("kind", KINDS)
def test_the_cortex_is_met_at_its_angle_or_refused(kind):
    grid = grid_of(kind, (30, 70, 70), (1.5, 0.8, 0.8))
    bone = Mask(grid=grid, inside=points_lps_mm(grid)[..., 1] <= 0.0)  # surface towards P
    rule = cortex_rule([bone], CortexAngle(min_deg=60.0, max_deg=90.0, evidence="L: text"))
    for angle_deg, kept in ((90.0, True), (75.0, True), (45.0, False), (20.0, False)):
        a = np.radians(angle_deg)
        way = np.array([np.cos(a), -np.sin(a), 0.0])
        value = rule.measure(one(-20 * way), one(4 * way), one(4 * way))
        assert value[0] == pytest.approx(angle_deg, abs=4.0)
        assert bool(rule.ok(value)[0]) == kept
    passing_by = rule.measure(one([-20, 15, 0]), one([20, 15, 0]), one([20, 15, 0]))
    assert np.isnan(passing_by[0]) and rule.ok(passing_by)[0]


class TestPedicle:
    """A tube of bone 9 mm wide and 12 mm long, along -P."""

    RADIUS_MM, HALF_MM = 4.5, 6.0

    def pedicles(self, kind="oblique", width_mm=9.0):
        grid = grid_of(kind, (50, 90, 90), (0.8, 0.6, 0.6))
        x, y, z = np.moveaxis(points_lps_mm(grid), -1, 0)
        tube = (np.hypot(x, z) <= self.RADIUS_MM) & (np.abs(y) <= self.HALF_MM)
        mask = Mask(grid=grid, inside=tube)
        region = TargetRegion(
            name="anatomy:pedicle:L4:left",
            mask=mask,
            corridor=mask,
            centre_lps_mm=np.zeros(3),
            axis_lps=np.array([0.0, -1.0, 0.0]),
            level="L4",
            side="left",
            measures={"pedicle_width_mm": width_mm},
        )
        return Pedicles(level="L4", regions=(region,), reasons=())

    @pytest.mark.parametrize("kind", KINDS)
    def test_bone_beside_the_needle_is_measured(self, kind):
        needle = Needle(name="13G-125", outer_diameter_mm=2.4, length_mm=125.0)
        through, gap = pedicle_rules(self.pedicles(kind), needle, 1.5, "E")
        for aside, room in ((0.0, 3.3), (1.0, 2.3), (2.5, 0.8), (4.0, -0.7)):
            path = one([aside, 40, 0]), one([aside, -15, 0]), one([aside, -15, 0])
            assert through.measure(*path)[0] == pytest.approx(12.0, abs=1.2)
            assert gap.measure(*path)[0] == pytest.approx(room, abs=0.6)
            assert gap.measure(*path)[0] <= room + 0.4
        assert not gap.ok(gap.measure(one([2.5, 40, 0]), one([2.5, -15, 0]), one([2.5, -15, 0])))[0]

    def test_a_slanted_path_is_nearer_to_the_wall(self):
        needle = Needle(name="13G-125", outer_diameter_mm=2.4, length_mm=125.0)
        _, gap = pedicle_rules(self.pedicles(), needle, 1.5, "E")
        tilt = np.tan(np.radians(20.0))
        straight = gap.measure(one([0, 40, 0]), one([0, -15, 0]), one([0, -15, 0]))[0]
        slanted = gap.measure(
            one([40 * tilt, 40, 0]), one([-15 * tilt, -15, 0]), one([-15 * tilt, -15, 0])
        )[0]
        assert slanted < straight - 1.0

    def test_around_the_pedicle_is_not_through_it(self):
        needle = Needle(name="13G-125", outer_diameter_mm=2.4, length_mm=125.0)
        through, _ = pedicle_rules(self.pedicles(), needle, 1.5, "E")
        assert not through.ok(through.measure(one([9, 40, 0]), one([9, -15, 0]), one([9, -15, 0])))[
            0
        ]

    def test_the_wall_holds_no_voxel_of_the_pedicle(self):
        region = self.pedicles().regions[0]
        wall = wall_of(region)
        points = wall.grid.to_lps(np.argwhere(wall.inside))
        assert not region.mask.contains(points).any() and len(points) > 1000

    def test_too_narrow_says_the_numbers(self):
        needle = Needle(name="11G-125", outer_diameter_mm=3.05, length_mm=125.0)
        assert too_narrow(self.pedicles(width_mm=6.1), needle, 1.5) is None
        told = too_narrow(self.pedicles(width_mm=5.9), needle, 1.5)
        assert told is not None and "5.9 mm" in told.message and "6.0" in told.message
        unknown = replace(self.pedicles().regions[0], measures={})
        nobody_knows = Pedicles(level="L4", regions=(unknown,), reasons=())
        assert too_narrow(nobody_knows, needle, 1.5) is not None

    @pytest.mark.parametrize(
        ("width_mm", "offered"), [(5.9, "13G-125 of 2.4 mm"), (4.0, "18G-150"), (3.2, None)]
    )
    def test_a_thinner_needle_is_offered_only_where_one_of_the_sizes_fits(self, width_mm, offered):
        needle = Needle(name="11G-125", outer_diameter_mm=3.05, length_mm=125.0)
        sizes = [
            Needle(name=name, outer_diameter_mm=mm, length_mm=125.0)
            for name, mm in (("18G-150", 0.9), ("13G-125", 2.4), ("8G-125", 4.2))
        ]
        pedicles = self.pedicles(width_mm=width_mm)
        wall = pedicle_rules(pedicles, needle, 1.5, "E", sizes)[1].opens.format(least="1 mm")
        told = too_narrow(pedicles, needle, 1.5, sizes).message
        for text in (wall, told):
            assert f"{width_mm:.1f} mm wide" in text and "thinner" not in text
            assert ("would fit" in text) == (offered is not None)
            assert offered is None or offered in text


def test_an_angle_to_no_cortex_is_unknown_and_not_refused():
    grid = grid_of("oblique", (20, 40, 40), (1.5, 0.8, 0.8))
    bone = Mask(grid=grid, inside=points_lps_mm(grid)[..., 1] <= -10.0)
    rule = cortex_rule([bone], CortexAngle(min_deg=60.0, max_deg=90.0, evidence="L: text"))
    axis = NeedleAxis(
        entry_lps_mm=np.array([0.0, 12, 0]), tip_lps_mm=np.zeros(3), end_lps_mm=np.zeros(3)
    )
    assert rule.finding(axis).verdict is Verdict.UNKNOWN
    assert rule.ok(rule.measure(one([0, 12, 0]), one([0, 0, 0]), one([0, 0, 0])))[0]


@pytest.mark.parametrize("kind", KINDS)
class TestFarWallOfTheWholeNeedle:
    """A wall that slopes to the path is nearer to the needle's edge than to its axis."""

    def slope(self, kind, slope_deg, **more):
        """Everything behind a plane whose normal leans to the left; the path runs to the front."""
        grid = grid_of(kind, (30, 60, 60), (1.0, 0.6, 0.6))
        points, a = points_lps_mm(grid), np.radians(slope_deg)
        depth = points[..., 1] * np.cos(a) + points[..., 0] * np.sin(a)
        inside = (depth >= 0.0) & (np.abs(points[..., 0]) <= 9.0)
        return Mask(grid=grid, inside=inside)

    @pytest.mark.parametrize("slope_deg", [0.0, 30.0, 55.0])
    @pytest.mark.parametrize("radius_mm", [0.36, 1.5, 3.0])
    def test_the_edge_is_nearer_by_the_slope(self, kind, slope_deg, radius_mm):
        mask, tip = self.slope(kind, slope_deg), one([0, 8.0, 0])
        axis = far_wall_mm(mask, one([0, 14.0, 0]), tip, 0.0)[0]
        edge = far_wall_mm(mask, one([0, 14.0, 0]), tip, radius_mm)[0]
        less = radius_mm * np.tan(np.radians(slope_deg))
        assert edge <= axis
        assert axis - edge == pytest.approx(less, abs=1.7)

    def test_an_edge_that_has_left_the_region_leaves_nothing(self, kind):
        mask = self.slope(kind, 75.0)
        tip, entry = one([0, 4.0, 0]), one([0, 14.0, 0])
        assert far_wall_mm(mask, entry, tip, 0.0)[0] > 3.0
        assert far_wall_mm(mask, entry, tip, 3.0)[0] == 0.0

    def test_an_edge_beside_the_region_has_no_wall_ahead(self, kind):
        mask = self.slope(kind, 0.0)
        tip, entry = one([8.0, 8.0, 0]), one([8.0, 30.0, 0])
        assert far_wall_mm(mask, entry, tip, 3.0)[0] == pytest.approx(8.0, abs=1.0)

    def test_a_step_of_the_region_beside_the_needle_is_no_far_wall(self, kind):
        grid = grid_of(kind, (30, 60, 60), (1.0, 0.6, 0.6))
        points = points_lps_mm(grid)
        x, y = points[..., 0], points[..., 1]
        inside = (np.abs(x) <= 9.0) & (y >= -4.0) & ((x <= 1.0) | (y >= 11.0))
        mask = Mask(grid=grid, inside=inside)
        tip, entry = one([0, 10.0, 0]), one([0, 17.0, 0])
        assert far_wall_mm(mask, entry, tip, 2.0)[0] == pytest.approx(14.0, abs=1.0)

    def test_verify_finds_the_same(self, kind):
        from types import SimpleNamespace

        from planner.verify.way import WayTruth
        from planner.verify.way_findings import PathWay

        mask = self.slope(kind, 40.0)
        start = mask.grid.to_lps(np.argwhere(mask.inside)[0])
        region = TargetRegion(name="slope", mask=mask, centre_lps_mm=start)
        rng = np.random.default_rng(1)
        for _ in range(25):
            tip = np.array([[rng.uniform(-8, 8), rng.uniform(0, 14), rng.uniform(-6, 6)]])
            entry = tip + np.array([[rng.uniform(-20, 20), 40.0, rng.uniform(-9, 9)]])
            path = SimpleNamespace(
                entry_lps_mm=entry[0], tip_lps_mm=tip[0], throw_end_lps_mm=tip[0]
            )
            truth = PathWay(WayTruth(protocol=None, region=region, midline_l_mm=None), path, 1.5)
            found = far_wall_mm(mask, entry, tip, 1.5)[0]
            assert truth.value("far_wall") == pytest.approx(found, abs=1e-6)
