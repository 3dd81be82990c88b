"""The Kambin triangle around a path, against distances known from the shapes and by verify."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.model import CorridorRule, Evidenced, Needle, StructureSet, Verdict
from planner.safety.checks import NeedleAxis
from planner.safety.kambin import (
    KambinWindow,
    cannula_rules,
    kambin_rules,
    triangle_too_small,
)
from planner.verify.way_kambin import KambinTruth
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES
from tests.kambin_shapes import SIDES, structures_of, with_root

VOXEL_MM = 1.6
NEEDLE = Needle(name="17G-150", outer_diameter_mm=1.47, length_mm=150.0)


def number(value):
    return Evidenced(value=value, evidence="E")


def corridor(gap_mm=2.0, **more):
    numbers = {"gap_mm": number(gap_mm), **{k: number(v) for k, v in more.items()}}
    return CorridorRule(kind="kambin", numbers=numbers)


@lru_cache(maxsize=4)
def scene(side="left", bottom_mm=2.0, has_root=True):
    grid = shapes.grid_about(ORIENTED_AXES["oblique_flipped"], (1.6, 1.1, 1.3))
    masks = with_root(shapes.spine_masks(grid), grid, side, bottom_mm)
    structures = structures_of(grid, masks)
    if not has_root:
        kept = tuple(s for s in structures.structures if s.structure_class != "nerve")
        structures = StructureSet(grid=grid, structures=kept)
    return structures, find_region("disc:L3-L4", structures)


def path(side, h_mm, off_mm=0.0, depth_mm=55.0):
    """Entry and tip of a needle at 45 degrees in the disc's plane, at a height above its middle."""
    s = np.sqrt(0.5)
    tip = np.array([off_mm * s, -off_mm * s, h_mm])
    entry = tip + depth_mm * np.array([s, s, 0.0])
    mirror = np.array([SIDES[side], 1.0, 1.0])
    return shapes.lps_of(entry * mirror)[None], shapes.lps_of(tip * mirror)[None]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("h_mm", [-1.0, 0.0, 1.0])
def test_the_width_is_twice_the_distance_to_the_nearer_wall(side, h_mm):
    """The root's lower edge lies 2 mm above the middle, the end plate 5.5 mm below."""
    structures, region = scene(side)
    entry, tip = path(side, h_mm)
    width = KambinWindow(structures, region).width_mm(entry, tip, tip)[0]
    truth = 2.0 * (2.0 - h_mm)
    assert width == pytest.approx(truth, abs=2 * VOXEL_MM)


def test_above_the_root_is_not_in_the_triangle():
    structures, region = scene()
    window = KambinWindow(structures, region)
    below, above = path("left", 0.0), path("left", 8.5)
    assert window.below_root_mm(*below, below[1])[0] > 0.0
    found = window.below_root_mm(above[0], path("left", 4.9)[1], path("left", 4.9)[1])[0]
    assert found < 0.0
    inside = window.below_root_mm(*path("left", 4.0), path("left", 4.0)[1])[0]
    assert not inside > 0.0


def test_a_needle_that_does_not_fit_is_refused_with_the_numbers():
    structures, region = scene()
    entry, tip = path("left", 0.0)
    axis = NeedleAxis(entry_lps_mm=entry[0], tip_lps_mm=tip[0], end_lps_mm=tip[0])
    for gap_mm, wanted in ((0.3, Verdict.PASS), (2.0, Verdict.FAIL)):
        rule = kambin_rules(structures, region, corridor(gap_mm), NEEDLE)[0]
        finding = rule.finding(axis)
        assert finding.verdict is wanted
        assert finding.required == pytest.approx(1.47 + 2 * gap_mm)
        assert finding.measured is not None
        assert rule.ok(rule.measure(entry, tip, tip))[0] == (wanted is Verdict.PASS)


@pytest.mark.parametrize("case", ["no root", "other side", "misses the disc"])
def test_what_cannot_be_measured_is_unknown(case):
    structures, region = scene(has_root=case != "no root")
    entry, tip = path("right" if case == "other side" else "left", 0.0)
    if case == "misses the disc":
        entry, tip = entry + 60.0 * shapes.POSE[:, 2], tip + 60.0 * shapes.POSE[:, 2]
    axis = NeedleAxis(entry_lps_mm=entry[0], tip_lps_mm=tip[0], end_lps_mm=tip[0])
    for rule in kambin_rules(structures, region, corridor(0.1), NEEDLE):
        assert rule.finding(axis).verdict is Verdict.UNKNOWN


def test_verify_finds_the_same_by_its_own_code():
    structures, region = scene()
    window, truth = KambinWindow(structures, region), KambinTruth.of(structures, region)
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(40):
        entry, tip = path("left", rng.uniform(-3, 6), rng.uniform(-6, 6))
        entry = entry + rng.normal(size=3) * 8.0
        for mine, other in ((window.width_mm, truth.width_mm),
                            (window.below_root_mm, truth.below_root_mm)):  # fmt: skip
            value, again = mine(entry, tip, tip)[0], other(entry[0], tip[0], tip[0])
            assert np.isnan(value) == (again is None)
            if again is not None:
                assert value == pytest.approx(again, abs=1e-5)
                seen += value > 0.0
    assert seen > 20


@pytest.mark.parametrize(("widest", "fits"), [(1.4, False), (1.47, True), (6.0, True)])
def test_a_cannula_wider_than_the_procedure_takes_is_refused(widest, fits):
    (rule,) = cannula_rules(corridor(max_cannula_mm=widest), NEEDLE)
    entry, tip = path("left", 0.0)
    assert rule.ok(rule.measure(entry, tip, tip))[0] == fits
    assert cannula_rules(corridor(), NEEDLE) == []


def test_a_triangle_that_takes_no_needle_is_told_with_its_width():
    _, region = scene()
    told = triangle_too_small(region, corridor(3.5), NEEDLE)
    assert told is not None and "8.5 mm" in told.message and "left" in told.message
    assert triangle_too_small(region, corridor(0.5), NEEDLE) is None
    unmeasured = scene(has_root=False)[1]
    assert triangle_too_small(unmeasured, corridor(3.5), NEEDLE) is None
