"""Which planes are shown, and that what matters lies within them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.report.views import (
    IN_PICTURE_FRAC,
    across_views,
    along_views,
    ranked_clearances,
    shown_clearances,
)


def in_picture(plane, point_lps_mm) -> bool:
    half = np.array([plane.width_mm, plane.height_mm]) / 2
    return bool(np.all(np.abs(plane.to_plane_mm(point_lps_mm)[:2]) <= IN_PICTURE_FRAC * half))


@pytest.mark.parametrize("aspect", [1.28, 1.0, 0.7])
def test_along_views_show_entry_tip_and_closest_point(plan_result, aspect):
    for path in plan_result.trajectories:
        closest = ranked_clearances(path)[0]
        for view in along_views(path, aspect=aspect, columns=700):
            for point in (path.entry_lps_mm, path.tip_lps_mm, closest.on_structure_lps_mm):
                assert in_picture(view.plane, point)
            assert abs(view.plane.to_plane_mm(path.entry_lps_mm)[2]) < 1e-6
            assert abs(view.plane.to_plane_mm(path.tip_lps_mm)[2]) < 1e-6
            assert view.plane.width_mm / view.plane.height_mm == pytest.approx(aspect)
            assert view.plane.shape[1] == 700


def test_across_views_lie_at_the_tip_and_at_the_closest_point(plan_result):
    for path in plan_result.trajectories:
        tip, other = across_views(path, plan_result.needle, aspect=1.0, columns=500)
        np.testing.assert_allclose(tip.plane.centre_lps_mm, path.tip_lps_mm)
        closest = ranked_clearances(path)[0]
        np.testing.assert_allclose(other.plane.centre_lps_mm, closest.on_needle_lps_mm)
        direction = path.tip_lps_mm - path.entry_lps_mm
        for view in (tip, other):
            assert view.plane.normal_lps @ direction == pytest.approx(path.length_mm)
            assert "hub" in view.note


def test_true_distance_is_seen_across_the_closest_point(plan_result):
    """Needle surface to structure in that picture equals the reported clearance."""
    for path in plan_result.trajectories:
        _, view = across_views(path, plan_result.needle, aspect=1.0, columns=500)
        (item,) = shown_clearances(path, view)
        ends = view.plane.to_plane_mm(np.stack([item.on_needle_lps_mm, item.on_structure_lps_mm]))
        in_plane_mm = np.linalg.norm(ends[1, :2] - ends[0, :2]) - plan_result.needle.radius_mm
        assert in_plane_mm == pytest.approx(item.clearance_mm, abs=0.06)  # sampled at 0.05 mm


def test_a_closest_point_elsewhere_on_the_needle_is_not_marked_across_the_tip(plan_result):
    path = plan_result.trajectories[0]
    tip, _ = across_views(path, plan_result.needle, aspect=1.0, columns=500)
    binding = ranked_clearances(path)[0]
    assert np.linalg.norm(binding.on_needle_lps_mm - path.tip_lps_mm) > 10.0
    assert binding not in shown_clearances(path, tip)


def test_clearance_that_is_no_number_comes_first_and_is_not_drawn(plan_result):
    path = plan_result.trajectories[0]
    lost = replace(path.clearances[-1], clearance_mm=np.nan, on_structure_lps_mm=np.full(3, np.nan))
    broken = replace(path, clearances=(*path.clearances[:-1], lost))
    assert ranked_clearances(broken)[0] is lost
    view, _ = along_views(broken, aspect=1.0, columns=300)
    assert np.all(np.isfinite(view.plane.centre_lps_mm))
    assert lost not in shown_clearances(broken, view)


def test_without_any_clearance_there_are_still_four_views(plan_result):
    bare = replace(plan_result.trajectories[0], clearances=())
    views = (
        *along_views(bare, aspect=1.2, columns=300),
        *across_views(bare, plan_result.needle, aspect=1.0, columns=300),
    )
    assert len(views) == 4
    assert all(shown_clearances(bare, view) == [] for view in views)


def test_a_title_promises_no_structure_outside_of_the_picture(plan_result):
    path = plan_result.trajectories[0]
    _, other = across_views(path, plan_result.needle, aspect=1.0, columns=500)
    assert "closest" in other.title
    far = tuple(
        replace(c, on_structure_lps_mm=c.on_structure_lps_mm + 300.0, required_mm=1.0)
        for c in path.clearances
    )
    _, other = across_views(
        replace(path, clearances=far), plan_result.needle, aspect=1.0, columns=500
    )
    assert other.title == "D  Across, on the way"
