"""Voxel walks against dense sampling."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Grid, Mask
from planner.geometry.walk import BodyWalker
from tests.grids import ORIENTED_AXES
from tests.scenes import block_grid, random_blobs, random_segments


def _axes(mask, points):
    return np.ascontiguousarray(mask.grid.to_axes_mm(points))


@pytest.mark.parametrize("orientation", ["axial", "oblique_flipped"])
def test_length_inside_equals_dense_sampling(orientation):
    grid = block_grid((4.0, 0.5, 0.5), ORIENTED_AXES[orientation])
    mask = random_blobs(grid, seed=2, fraction=0.3)
    starts, ends = random_segments(grid, 50, seed=3)
    found = BodyWalker(mask).length_inside_mm(_axes(mask, starts), _axes(mask, ends), np.arange(50))
    t = (np.arange(20000) + 0.5) / 20000
    for n in range(50):
        points = starts[n] + t[:, None] * (ends[n] - starts[n])
        expected = mask.contains(points).mean() * np.linalg.norm(ends[n] - starts[n])
        assert found[n] == pytest.approx(expected, abs=0.05)


def test_one_missing_voxel_on_the_way_is_noticed():
    inside = np.ones((5, 5, 30), bool)
    grid = Grid.from_axes(inside.shape, (1, 1, 1), (0, 0, 0))
    start, end = np.array([[2.0, 2.0, 1.0]]), np.array([[2.3, 2.4, 28.0]])
    one = np.zeros(1, np.int64)
    assert BodyWalker(Mask(grid=grid, inside=inside)).stays_inside(start, end, one)[0]
    inside[2, 2, 17] = False
    assert not BodyWalker(Mask(grid=grid, inside=inside)).stays_inside(start, end, one)[0]


def test_leaving_the_grid_is_not_inside():
    grid = Grid.from_axes((5, 5, 5), (1, 1, 1), (0, 0, 0))
    mask = Mask(grid=grid, inside=np.ones(grid.shape_kji, bool))
    start, end = np.array([[2.0, 2.0, 2.0]]), np.array([[2.0, 2.0, 4.6]])
    assert not BodyWalker(mask).stays_inside(start, end, np.zeros(1, np.int64))[0]


def test_outside_is_noticed_only_where_there_is_a_voxel():
    inside = np.zeros((5, 5, 30), bool)
    inside[2, 2, 20] = True
    mask = Mask(grid=Grid.from_axes(inside.shape, (1, 1, 1), (0, 0, 0)), inside=inside)
    one = np.zeros(1, np.int64)
    row = np.array([[2.0, 2.0, 0.0]])
    assert not BodyWalker(mask).stays_outside(row, np.array([[2.0, 2.0, 40.0]]), one)[0]
    assert BodyWalker(mask).stays_outside(row, np.array([[2.0, 2.0, 19.0]]), one)[0]
    assert BodyWalker(mask).stays_outside(row + [0, 1, 0], np.array([[2.0, 3.0, 40.0]]), one)[0]
