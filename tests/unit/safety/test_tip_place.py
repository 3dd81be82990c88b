"""The tip's place in the whole anatomy: upper half, above a margin, lateral, central third."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from planner.errors import TargetError
from planner.geometry import Mask
from planner.model import Evidenced, RegionAxes, Span, TargetRegion, TipRule
from planner.safety.target_rules import target_rules
from planner.safety.tip_place import TIP_RULES, keeps_place
from planner.search.tips import sampled_tips
from planner.search.way import way_to
from planner.verify.way_findings import TIP_PLACES, PathWay
from tests.metal_truths import grid_of, points_lps_mm
from tests.trunk import simple_protocol

KINDS = ["oblique", "flipped"]
ROWS = Rotation.from_euler("xyz", [20.0, -8.0, 5.0], degrees=True).as_matrix()
LOW, HIGH = np.array([-12.0, -8.0, -6.0]), np.array([12.0, 10.0, 14.0])
RULES = TipRule(
    height_fraction=Span(low=0.5, high=1.0, evidence="E"),
    height_mm=Span(low=10.0, high=20.0, evidence="E"),
    lateral=Evidenced(value=2.0, evidence="E"),
    central_fraction=Evidenced(value=0.5, evidence="E"),
)


def axes():
    return RegionAxes(
        origin_lps_mm=np.array([1.0, 2.0, -1.0]), axes_lps=ROWS, low_mm=LOW, high_mm=HIGH
    )


def region(kind="oblique", **more):
    grid = grid_of(kind, (30, 60, 60), (1.5, 0.8, 0.8))
    inside = np.linalg.norm(points_lps_mm(grid), axis=-1) <= 11.0
    return TargetRegion(
        name="test", mask=Mask(grid=grid, inside=inside), centre_lps_mm=np.zeros(3),
        **{"axes": axes(), **more},
    )  # fmt: skip


def at(x, a, h):
    return (np.array([1.0, 2.0, -1.0]) + np.array([x, a, h]) @ ROWS)[None]


@pytest.mark.parametrize(
    ("name", "inside", "outside", "told"),
    [
        ("tip_height", (0, 0, 5.0), (0, 0, 3.0), 0.55),
        ("tip_above", (0, 0, 9.0), (0, 0, 3.0), 15.0),
        ("tip_lateral", (4.0, 0, 0), (1.0, 0, 0), 4.0),
        ("tip_central", (5.0, 1.0, 0), (0.0, 8.0, 0), 5.0 / 12.0),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_each_rule_measures_along_the_axes_of_the_anatomy(kind, name, inside, outside, told):
    rule = next(
        r for r in target_rules(simple_protocol(tip=RULES), region(kind)) if r.constraint == name
    )
    for place, ok in ((inside, True), (outside, False)):
        tip = at(*place)
        assert rule.ok(rule.measure(tip + 50.0, tip, tip))[0] == ok
    assert rule.measure(at(0, 60, 0), at(*inside), at(*inside))[0] == pytest.approx(told)


def test_the_ends_of_the_anatomy_are_no_limit():
    """A voxel at the very top reaches beyond the last measured height."""
    rule = next(
        r
        for r in target_rules(simple_protocol(tip=RULES), region())
        if r.constraint == "tip_height"
    )
    top = at(0, 0, 14.4)
    assert rule.ok(rule.measure(top, top, top))[0]
    assert not rule.ok(np.array([np.nan]))[0]


def test_tips_are_sampled_where_they_may_lie():
    upper = TipRule(height_fraction=Span(low=0.7, high=1.0, evidence="E"))
    chosen, protocol = region(), simple_protocol(tip=upper)
    tips = sampled_tips(chosen, protocol)
    assert len(tips) > 4
    np.testing.assert_array_equal(tips[0], chosen.centre_lps_mm)
    assert keeps_place(protocol, chosen, tips[1:]).all()
    nowhere = simple_protocol(tip=TipRule(lateral=Evidenced(value=90.0, evidence="E")))
    assert len(sampled_tips(chosen, nowhere)) > 1


def test_verify_measures_the_same_place():
    from types import SimpleNamespace

    from planner.verify.way import WayTruth

    where = region()
    assert TIP_PLACES == TIP_RULES
    rules = target_rules(simple_protocol(tip=RULES), where)
    for place in ((1.0, 2.0, 3.0), (-4.0, 6.0, -2.0), (9.0, -7.0, 12.0)):
        tip = at(*place)
        path = SimpleNamespace(
            entry_lps_mm=tip[0] + 40.0, tip_lps_mm=tip[0], throw_end_lps_mm=tip[0]
        )
        truth = PathWay(WayTruth(protocol=None, region=where, midline_l_mm=None), path, 0.4)
        for name in TIP_RULES:
            rule = next(r for r in rules if r.constraint == name)
            assert truth.value(name) == pytest.approx(rule.measure(tip, tip, tip)[0], abs=1e-9)


def test_a_drawn_region_leaves_the_place_unasked_and_says_so():
    from planner.model import Needle, Target
    from tests.trunk import trunk

    _, structures = trunk("oblique")
    mask = structures["nerve"].mask
    centre = mask.grid.to_lps(np.argwhere(mask.inside)[0])
    drawn = TargetRegion(name="region:x", mask=mask, centre_lps_mm=centre)
    target = Target(point_lps_mm=centre, tolerance_mm=3.0, region=drawn)
    needle = Needle(name="22G-90", outer_diameter_mm=0.72, length_mm=90.0)
    way = way_to(target, simple_protocol(tip=RULES), needle, structures, 0.0)
    assert not set(TIP_RULES) & {r.constraint for r in way.rules}
    told = {f.constraint: str(f.verdict) for f in way.findings}
    assert told == dict.fromkeys(TIP_RULES, "caution")


@pytest.mark.parametrize("broken", ["skew", "empty", "nan"])
def test_axes_that_are_none_are_refused(broken):
    changed = {
        "skew": {"axes_lps": ROWS + np.eye(3) * 0.2},
        "empty": {"high_mm": LOW},
        "nan": {"low_mm": LOW * np.nan},
    }[broken]
    with pytest.raises(TargetError, match="axes"):
        replace(axes(), **changed)


def test_beside_metal_a_place_with_little_room_is_unknown():
    from planner.model import Finding, Verdict
    from planner.search.way import beside_metal

    def told(constraint, measured, required):
        return Finding(
            constraint=constraint, structure=None, measured=measured, required=required,
            unit="mm", verdict=Verdict.PASS, note="",
        )  # fmt: skip

    findings = (
        told("tip_above", 12.0, 10.0),
        told("tip_above", 14.0, 10.0),
        told("kambin", 6.0, 3.5),
        told("kambin", 9.0, 3.5),
        told("tip_height", 0.9, 0.5),
    )
    verdicts = [str(f.verdict) for f in beside_metal(findings, 2.5)]
    assert verdicts == ["unknown", "pass", "unknown", "pass", "unknown"]
