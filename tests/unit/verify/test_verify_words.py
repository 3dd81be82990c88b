"""The patient's middle, and the sentence told from it, made a second time."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from planner.geometry import Mask
from planner.model import Angles
from planner.search.words import entry_words
from planner.verify.ledger import Ledger
from planner.verify.words import TRUNK_TOL_MM, _trunk_middle_mm, check_midline, check_words
from tests.trunk import trunk


@pytest.mark.parametrize("kind", ["axial", "thick", "oblique"])
def test_the_middle_of_the_trunk_leaves_an_arm_out(kind):
    volume, structures = trunk(kind)
    grid = volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    arm = np.hypot(points[..., 0] + 78, points[..., 1]) < 4
    body = Mask(grid=grid, inside=structures["trunk"].mask.inside | arm)
    assert abs(_trunk_middle_mm(body, 1.0)) <= 0.7
    assert _trunk_middle_mm(body, 400.0) is None


def midline_claims(told_mm, structures, body):
    plan = SimpleNamespace(
        target=SimpleNamespace(midline_l_mm=told_mm, point_lps_mm=(4.0, 2.0, 1.0))
    )
    book = Ledger()
    check_midline(plan, structures, body, book)
    return [(check.claim, check.ok) for check in book.checks]


def test_anatomy_says_where_the_middle_is_before_the_trunk_does():
    """The spine's middle is 6 mm to the right of the trunk's."""
    _, structures = trunk("oblique")
    body = structures["trunk"].mask
    for told_mm, is_right in (
        (-6.0, True),
        (-4.5, True),
        (-3.5, False),
        (0.0, False),
        (None, False),
    ):
        claims = midline_claims(told_mm, structures, body)
        assert claims == [("target.midline_l_mm is off the middle of 'spine' by", is_right)]
    kept = tuple(s for s in structures.structures if s.name != "spine")
    rest = replace(structures, structures=kept)
    for told_mm, is_right in ((0.0, True), (TRUNK_TOL_MM + 1.0, False)):
        claims = midline_claims(told_mm, rest, body)
        assert claims == [("target.midline_l_mm is off the middle of the body by", is_right)]
    # without anatomy the middle may be called unknown; without a body none may be told
    assert midline_claims(None, rest, body) == []
    assert [ok for _, ok in midline_claims(0.0, rest, None)] == [False]


def told_and_checked(entry_l_mm, axial_deg, tilt_deg, length_mm, middle):
    angles = Angles(
        axial_deg=axial_deg, craniocaudal_deg=tilt_deg, skin_normal_deg=0.0, b0_deg=None
    )
    entry = np.array([entry_l_mm, 0.0, 0.0])
    words = entry_words(entry, angles, length_mm, middle)
    truth = SimpleNamespace(
        entry_lps_mm=entry, axial_deg=axial_deg, craniocaudal_deg=tilt_deg, length_mm=length_mm
    )
    book = Ledger()
    around = SimpleNamespace(middles=((1.0, "midline (other)"), middle))
    check_words(SimpleNamespace(words=words), truth, around, book)
    return words, book.checks[0].ok


@pytest.mark.parametrize("middle", [(2.0, "midline (L5)"), (-3.0, "the image's centre line")])
@pytest.mark.parametrize("lateral_mm", [-62.5, -0.6, -0.4, 0.0, 0.49999999, 0.5, 1.0, 29.5])
def test_words_of_the_planner_are_those_of_the_second_route(middle, lateral_mm):
    for axial_deg in (-61.3, -0.7, 0.0, 0.5, 1.2, 24.5):
        for tilt_deg in (-14.4, -0.5, 0.2, 1.0):
            words, ok = told_and_checked(middle[0] + lateral_mm, axial_deg, tilt_deg, 38.5, middle)
            assert ok, words
