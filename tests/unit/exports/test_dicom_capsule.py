"""The voxels a needle touches, against samples of its axis and a brute-force distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.exports.capsule_voxels import capsule_voxels
from planner.geometry import FrameId, Grid
from tests.grids import ORIENTED_AXES

SHAPE = (7, 11, 9)
SPACING_MM = (4.0, 0.7, 1.1)
TOL_MM = 1e-5
"""Nearer to the radius than this, rounding decides."""


def make_grid(kind: str) -> Grid:
    axes = ORIENTED_AXES[kind]
    return Grid.from_axes(SHAPE, SPACING_MM, (-31.5, 12.2, 107.0), axes, FrameId("1.2"))


def distances_mm(grid: Grid, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of every voxel's box from the axis, by ternary search: the distance is convex along it."""
    spacing = np.array(SPACING_MM)
    a, b = grid.to_kji(start) * spacing, grid.to_kji(end) * spacing
    centres = np.moveaxis(np.indices(SHAPE), 0, -1) * spacing

    def gaps(t: np.ndarray) -> np.ndarray:
        beyond = np.abs(a + t[..., None] * (b - a) - centres) - spacing / 2
        return np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)

    low, high = np.zeros(SHAPE), np.ones(SHAPE)
    for _ in range(80):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        is_left = gaps(first) <= gaps(second)
        high, low = np.where(is_left, second, high), np.where(is_left, low, first)
    return gaps((low + high) / 2)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(ORIENTED_AXES)),
    start=st.tuples(*[st.floats(-3, n + 2) for n in SHAPE]),
    end=st.tuples(*[st.floats(-3, n + 2) for n in SHAPE]),
    radius_mm=st.floats(0.0, 2.5),
)
def test_exactly_the_voxels_within_the_radius(kind, start, end, radius_mm):
    grid = make_grid(kind)
    a, b = grid.to_lps(start), grid.to_lps(end)
    gap_mm = distances_mm(grid, a, b)
    is_clear = np.abs(gap_mm - radius_mm) > TOL_MM
    touched = capsule_voxels(grid, a, b, radius_mm)
    np.testing.assert_array_equal(touched[is_clear], (gap_mm <= radius_mm)[is_clear])


@pytest.mark.parametrize("kind", sorted(ORIENTED_AXES))
def test_the_axis_has_no_gap(kind):
    grid = make_grid(kind)
    a, b = grid.to_lps([0.2, 0.4, 7.7]), grid.to_lps([6.1, 9.8, 0.3])
    touched = capsule_voxels(grid, a, b, 0.0)
    axis = np.linspace(a, b, 4000)
    index = np.floor(grid.to_kji(axis) + 0.5).astype(int)
    assert touched[tuple(index.T)].all()
    assert touched.sum() == len(np.unique(index, axis=0))


def test_a_point_is_a_ball():
    grid = make_grid("oblique")
    centre = grid.to_lps([3, 5, 4])
    touched = capsule_voxels(grid, centre, centre, 1.6)
    offset = np.abs(np.moveaxis(np.indices(SHAPE), 0, -1) - [3, 5, 4]) - 0.5
    gap_mm = np.linalg.norm(np.maximum(offset, 0) * SPACING_MM, axis=-1)
    np.testing.assert_array_equal(touched, gap_mm <= 1.6)


def test_outside_the_volume_there_is_nothing():
    grid = make_grid("oblique")
    far = grid.to_lps([60.0, 5.0, 4.0])
    assert not capsule_voxels(grid, far, far + 3.0, 1.0).any()
