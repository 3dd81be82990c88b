"""Rays through masks against slabs, spheres and an independent walk."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Mask
from planner.geometry.rays import first_surface, run_inside_mm
from tests.metal_truths import grid_of, points_lps_mm

KINDS = ["oblique", "flipped"]


def ball(kind, radius_mm=18.0, spacing=(2.0, 0.8, 0.9)):
    shape = tuple(int(60 / s) for s in spacing)
    grid = grid_of(kind, shape, spacing)
    return Mask(grid=grid, inside=np.linalg.norm(points_lps_mm(grid), axis=-1) <= radius_mm)


def directions(n, seed=3):
    found = np.random.default_rng(seed).normal(size=(n, 3))
    return found / np.linalg.norm(found, axis=1)[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_ball_is_met_at_its_radius_and_square_on(kind):
    mask = ball(kind)
    way = directions(400)
    hits = first_surface(mask, -50.0 * way, 0.0 * way)
    assert np.all(np.abs(hits.distance_mm - 32.0) <= 2.2)
    off_deg = np.degrees(np.arccos(np.clip(np.sum(hits.inward_lps * way, axis=1), -1, 1)))
    assert np.percentile(off_deg, 95) <= 8.0 and off_deg.max() <= 14.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tilt_deg", [0.0, 20.0, 45.0, 70.0])
def test_the_angle_to_a_flat_cortex(kind, tilt_deg):
    grid = grid_of(kind, (30, 70, 70), (2.0, 0.8, 0.9))
    normal = np.array([0.2, -0.9, 0.35]) / np.linalg.norm([0.2, -0.9, 0.35])
    mask = Mask(grid=grid, inside=points_lps_mm(grid) @ normal >= 0.0)
    side = np.cross(normal, [1.0, 0, 0])
    side /= np.linalg.norm(side)
    way = np.cos(np.radians(tilt_deg)) * normal + np.sin(np.radians(tilt_deg)) * side
    hits = first_surface(mask, (-25.0 * way)[None], (5.0 * way)[None])
    found = np.degrees(np.arccos(hits.inward_lps[0] @ way))
    assert found == pytest.approx(tilt_deg, abs=4.0)


def test_a_ray_that_misses_meets_nothing():
    mask = ball("oblique")
    hits = first_surface(mask, np.array([[-30.0, 25.0, 0.0]]), np.array([[30.0, 25.0, 0.0]]))
    assert np.isnan(hits.distance_mm).all() and np.isnan(hits.inward_lps).all()


@pytest.mark.parametrize("kind", KINDS)
def test_runs_equal_dense_sampling(kind):
    mask = ball(kind)
    rng = np.random.default_rng(8)
    starts, way = rng.uniform(-12, 12, (60, 3)), directions(60, 9)
    found = run_inside_mm(mask, starts, way, 60.0)
    steps = np.arange(0.0, 60.0, 0.01)
    for start, direction, run in zip(starts, way, found, strict=True):
        inside = mask.contains(start + steps[:, None] * direction)
        truth = 0.0 if not inside[0] else steps[np.argmin(inside)]
        assert run == pytest.approx(truth, abs=0.02)


def test_a_run_that_starts_outside_is_zero_and_one_is_cut_at_the_limit():
    mask = ball("oblique")
    assert run_inside_mm(mask, np.array([[25.0, 0, 0]]), np.array([[1.0, 0, 0]]), 50.0)[0] == 0.0
    assert run_inside_mm(mask, np.zeros((1, 3)), np.array([[1.0, 0, 0]]), 7.0)[0] == pytest.approx(
        7.0
    )


def test_a_run_ends_at_the_edge_of_the_image():
    grid = grid_of("oblique", (10, 10, 10), (2.0, 2.0, 2.0))
    mask = Mask(grid=grid, inside=np.ones((10, 10, 10), bool))
    centre = grid.to_lps([4.5, 4.5, 4.5])
    run = run_inside_mm(mask, centre[None], grid.axes_lps_from_kji[:, 0][None], 100.0)
    assert run[0] == pytest.approx(10.0)
