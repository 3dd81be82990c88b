"""The sweep against a brute-force search for every voxel that could have been drawn elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planner.physics.shifts import ShiftModel
from planner.physics.sweep import half_widths_kji, swept
from tests.metal_truths import grid_of

SHAPE = (5, 7, 6)


def model_with(readout, through):
    return ShiftModel(
        hz_per_ppm=64.0,
        readout_mm_per_hz=0.005,
        slice_mm_per_hz=0.003,
        readout_axis_lps=readout,
        slice_axis_lps=through,
    )


def brute_force(inside, half):
    out = np.array(inside)
    for k, j, i in np.ndindex(*inside.shape):
        a, b, c = half[k, j, i]
        box = inside[
            max(0, k - a) : k + a + 1, max(0, j - b) : j + b + 1, max(0, i - c) : i + c + 1
        ]
        out[k, j, i] |= box.any()
    return out


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.bool_, SHAPE, elements=st.booleans()),
    arrays(np.int16, (*SHAPE, 3), elements=st.integers(0, 3)),
)
def test_equals_brute_force(inside, half):
    np.testing.assert_array_equal(swept(inside, half), brute_force(inside, half))


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "oblique_flipped"])
def test_no_shifted_point_is_lost(orientation):
    """True voxels, shifted by up to the bound there, are drawn: all of them return."""
    rng = np.random.default_rng(8)
    grid = grid_of(orientation, (12, 26, 24), (2.5, 0.8, 1.1))
    axes = grid.axes_lps_from_kji
    model = model_with(axes[:, 2], axes[:, 0])
    readout = rng.uniform(0.0, 6.0, grid.shape_kji).astype(np.float32)
    through = rng.uniform(0.0, 4.0, grid.shape_kji).astype(np.float32)
    true = np.zeros(grid.shape_kji, bool)
    true[4:8, 9:17, 8:15] = True
    drawn = np.zeros_like(true)
    shape = np.array(grid.shape_kji)
    for index in np.argwhere(true):
        here = tuple(index)
        for _ in range(4):
            within = index + rng.uniform(-0.5, 0.5, 3)
            move = (
                rng.uniform(-1, 1) * readout[here] * axes[:, 2]
                + rng.uniform(-1, 1) * through[here] * axes[:, 0]
            )
            at = np.rint(grid.to_kji(grid.to_lps(within) + move)).astype(int)
            if np.all((at >= 0) & (at < shape)):
                drawn[tuple(at)] = True
    half = half_widths_kji(readout, through, model, grid)
    result = swept(drawn, half)
    seen = np.array([drawn[tuple(i)] or result[tuple(i)] for i in np.argwhere(true)])
    # a voxel none of whose points stayed in the image cannot come back
    assert seen.mean() > 0.99
    assert not half[..., 1].any(), "no shift along the phase encoding"


def test_a_shift_just_over_whole_voxels_takes_one_more():
    grid = grid_of("axial", (3, 3, 21), (1.0, 1.0, 1.0))
    model = model_with(np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))
    ones = np.ones(grid.shape_kji, np.float32)
    exact = half_widths_kji(2.0 * ones, 0 * ones, model, grid)
    over = half_widths_kji(2.01 * ones, 0 * ones, model, grid)
    assert exact[..., 2].max() == 2 and over[..., 2].max() == 3
    assert not exact[..., :2].any()


def test_oblique_readout_is_widened_to_a_box():
    grid = grid_of("axial", (3, 9, 9), (1.0, 1.0, 1.0))
    model = model_with(np.array([1.0, 1.0, 0]) / np.sqrt(2), np.array([0, 0, 1.0]))
    ones = np.ones(grid.shape_kji, np.float32)
    half = half_widths_kji(3.0 * ones, 0 * ones, model, grid)
    assert half[..., 1].max() == half[..., 2].max() == 3


def test_no_single_readout_axis_means_every_direction():
    grid = grid_of("oblique", (3, 9, 9), (1.0, 1.0, 1.0))
    model = model_with(None, np.array([0, 0, 1.0]))
    ones = np.ones(grid.shape_kji, np.float32)
    assert (half_widths_kji(2.0 * ones, 0 * ones, model, grid) >= 2).all()


def test_bound_at_the_true_place_decides_not_at_the_drawn_one():
    """Drawn where nothing shifts, truly beside metal: the sweep must reach back."""
    inside = np.zeros((1, 1, 12), bool)
    inside[0, 0, 9] = True
    half = np.zeros((1, 1, 12, 3), np.int16)
    half[0, 0, 4, 2] = 5
    result = swept(inside, half)
    assert result[0, 0, 4] and result[0, 0, 9] and result.sum() == 2
