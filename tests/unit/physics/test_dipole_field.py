"""The field map against the analytic sphere, cylinders and far field."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner.physics.dipole_field as dipole_field
from planner.errors import DegenerateGeometryError, GridMismatchError, InputError
from planner.geometry.threads import use_threads
from planner.physics import field_perturbation_ppm
from tests.metal_truths import (
    DIRECTIONS,
    cylinder_field,
    finite_cylinder_on_axis,
    grid_of,
    points_lps_mm,
    share_of,
    sphere_field,
)

PEAK = 2.0 / 3.0
"""Largest field outside a sphere, at its poles."""

VOXELS = {"cubes": (1.0, 1.0, 1.0), "slices": (3.0, 0.8, 0.8), "flat": (1.2, 0.9, 2.0)}


ROD_AXIS = np.array([0.86, 0.3, 0.41]) / np.linalg.norm([0.86, 0.3, 0.41])


def shape_for(spacing, half_mm):
    return tuple(int(np.ceil(2 * half_mm / d)) + 1 for d in spacing)


@cache
def ball(voxel, orientation, radius):
    """Grid, points and share of each voxel, the same for every direction of the field."""
    grid = grid_of(orientation, shape_for(VOXELS[voxel], 26.0), VOXELS[voxel])
    share = share_of(grid, lambda p: np.linalg.norm(p, axis=-1) <= radius)
    return grid, points_lps_mm(grid), share


@cache
def rod(voxel, radius):
    """The same of a rod along ``ROD_AXIS`` that reaches the ends of the grid."""
    grid = grid_of("oblique", shape_for(VOXELS[voxel], 45.0), VOXELS[voxel])

    def inside(p):
        return np.linalg.norm(p - (p @ ROD_AXIS)[..., None] * ROD_AXIS, axis=-1) <= radius

    return grid, points_lps_mm(grid), share_of(grid, inside, parts=4)


@pytest.mark.parametrize("orientation", ["axial", "oblique_flipped"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("voxel", VOXELS)
def test_sphere_within_one_percent_of_the_peak_beyond_one_voxel(voxel, direction, orientation):
    radius = 7.3
    grid, points, share = ball(voxel, orientation, radius)
    b = DIRECTIONS[direction]
    error = np.abs(field_perturbation_ppm(share, grid, b) - sphere_field(points, radius, b))
    gap = np.linalg.norm(points, axis=-1) - radius
    assert error[gap > max(VOXELS[voxel])].max() <= 0.01 * PEAK
    assert error[gap < -np.linalg.norm(VOXELS[voxel])].max() <= 0.01
    assert np.sqrt(np.mean(error[gap > 2 * max(VOXELS[voxel])] ** 2)) <= 0.001


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("voxel", ["cubes", "slices"])
def test_long_cylinder_oblique_in_the_grid(voxel, direction):
    radius, b = 4.1, DIRECTIONS[direction]
    grid, points, share = rod(voxel, radius)
    field = field_perturbation_ppm(share, grid, b)
    # the rod ends at the edge of the grid: compare near the middle of it
    middle = np.abs(points @ ROD_AXIS) < 4.0
    rho = np.linalg.norm(points - (points @ ROD_AXIS)[..., None] * ROD_AXIS, axis=-1)
    near = middle & (rho - radius > max(VOXELS[voxel])) & (rho < 4 * radius)
    error = np.abs(field - cylinder_field(points, radius, ROD_AXIS, b))[near]
    # ends 45 mm away are two monopoles: at most cos * a^2 / (4 s^2) each
    ends = 2 * abs(b @ ROD_AXIS) * radius**2 / (4 * 40.0**2)
    assert error.max() <= 0.01 * 0.5 + ends + (radius / 40.0) ** 2 * 0.25


def test_end_of_a_finite_cylinder_along_the_field():
    radius, length = 3.0, 20.0
    grid = grid_of("axial", (90, 41, 41), (1.0, 1.0, 1.0))
    points = points_lps_mm(grid)

    def inside(p):
        return (np.hypot(p[..., 0], p[..., 1]) <= radius) & (np.abs(p[..., 2]) <= length / 2)

    field = field_perturbation_ppm(share_of(grid, inside), grid, np.array([0, 0, 1.0]))
    on_axis = np.hypot(points[..., 0], points[..., 1]) < 0.3
    beyond = np.abs(points[..., 2]) - length / 2
    chosen = on_axis & (beyond > 1.0) & (beyond < 30.0)
    truth = finite_cylinder_on_axis(beyond[chosen], length, radius)
    assert np.count_nonzero(chosen) > 40
    assert np.abs(field[chosen] - truth).max() <= 0.005


def test_far_field_is_that_of_a_dipole_with_the_volume():
    b = DIRECTIONS["oblique"]
    grid = grid_of("flipped", (61, 61, 61), (2.0, 1.5, 1.5))
    points = points_lps_mm(grid)
    share = np.zeros(grid.shape_kji)
    share[29:32, 29:33, 29:32] = 1.0
    centre = grid.to_lps(np.array([30.0, 30.5, 30.0]))
    away = points - centre
    r = np.linalg.norm(away, axis=-1)
    cosine = away @ b / np.maximum(r, 1e-9)
    volume = share.sum() * grid.voxel_volume_mm3
    truth = volume / (4 * np.pi * np.maximum(r, 1e-9) ** 3) * (3 * cosine**2 - 1)
    far = r > 25.0
    field = field_perturbation_ppm(share, grid, b)
    assert np.abs(field - truth)[far].max() <= 0.02 * np.abs(truth[far]).max()


def test_metal_at_the_edge_does_not_wrap_around():
    grid = grid_of("axial", (40, 40, 40), (1.0, 1.0, 1.0))
    share = np.zeros(grid.shape_kji)
    share[:3, 18:22, 18:22] = 1.0
    field = field_perturbation_ppm(share, grid, np.array([0, 0, 1.0]))
    volume = share.sum()
    opposite = np.abs(field[-1]).max()
    assert opposite <= 1.1 * 2 * volume / (4 * np.pi * 38.0**3)


def test_slabs_agree_with_one_transform(monkeypatch):
    rng = np.random.default_rng(3)
    grid = grid_of("oblique", (37, 24, 29), (2.0, 1.0, 1.3))
    chi = np.where(rng.random(grid.shape_kji) < 0.02, 190.0, 0.0)
    whole = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    monkeypatch.setattr(dipole_field, "MAX_PADDED_VOXELS", 150_000)
    in_slabs = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    assert np.abs(whole - in_slabs).max() <= 1e-3 * np.abs(whole).max()


def test_same_on_one_thread_and_two():
    grid = grid_of("oblique", (30, 31, 32), (1.0, 1.1, 0.9))
    chi = np.zeros(grid.shape_kji)
    chi[10:14, 11:20, 9:12] = 909.0
    chi[14, 11:20, 9:12] = 300.0
    with use_threads(1):
        one = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    with use_threads(2):
        two = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    np.testing.assert_array_equal(one, two)


@settings(max_examples=15, deadline=None)
@given(
    st.floats(-1000.0, 1000.0).filter(lambda v: abs(v) > 1.0),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1),
)
def test_linear_in_susceptibility_and_even_in_the_direction(scale, direction):
    grid = grid_of("oblique", (12, 13, 14), (2.0, 1.0, 1.0))
    share = np.zeros(grid.shape_kji)
    share[4:7, 5:8, 6] = 1.0
    share[7, 5:8, 6] = 0.4
    b = np.array(direction)
    field = field_perturbation_ppm(share, grid, b)
    np.testing.assert_allclose(
        field_perturbation_ppm(scale * share, grid, -b), scale * field, atol=2e-5 * abs(scale)
    )


def test_nothing_from_nothing():
    grid = grid_of("axial", (5, 6, 7), (1.0, 1.0, 1.0))
    assert not field_perturbation_ppm(np.zeros((5, 6, 7)), grid, (0, 0, 1)).any()


def test_bad_input_is_refused():
    grid = grid_of("axial", (5, 6, 7), (1.0, 1.0, 1.0))
    with pytest.raises(GridMismatchError):
        field_perturbation_ppm(np.zeros((7, 6, 5)), grid, (0, 0, 1))
    with pytest.raises(InputError):
        field_perturbation_ppm(np.full((5, 6, 7), np.nan), grid, (0, 0, 1))
    with pytest.raises(DegenerateGeometryError):
        field_perturbation_ppm(np.zeros((5, 6, 7)), grid, (0, 0, 0))


def test_far_pieces_are_taken_apart_without_a_difference(monkeypatch):
    grid = grid_of("oblique", (60, 62, 64), (1.0, 1.2, 0.9))
    chi = np.zeros(grid.shape_kji)
    chi[2:5, 3:6, 2:4], chi[55:58, 57:60, 58:62] = 191.0, 909.0
    chi[30:33, 30:32, 31] = 50.0
    apart = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    monkeypatch.setattr(dipole_field, "_MAX_PIECES", 1)
    together = field_perturbation_ppm(chi, grid, DIRECTIONS["oblique"])
    assert len(dipole_field._pieces(chi)) == 1
    monkeypatch.undo()
    assert len(dipole_field._pieces(chi)) == 3
    assert np.abs(apart - together).max() <= 1e-4 * np.abs(together).max()
