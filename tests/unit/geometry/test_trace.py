"""Certified tracing: decisions equal brute force, bounds are bounds, and they are tight."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.distance import DistanceField, distance_field
from planner.geometry.threads import use_threads
from planner.geometry.trace import REJECTED, TraceTarget
from planner.search.batch import coherent_order
from tests.brute_force import axis_distances_mm
from tests.grids import ORIENTED_AXES
from tests.scenes import block_grid, random_blobs, random_segments

CLEAR_MM = 10.5
STEP_LOSS_MM = 0.1
"""Loss between two samples that the tracer allows itself, and rounding."""


def _field(mask: Mask) -> DistanceField:
    return distance_field(mask, CLEAR_MM + 6.0)


def _usual_loss_mm(field: DistanceField, distance_mm: float) -> float:
    """What interpolation costs beside one surface: the variance of its weights.

    Between two surfaces, where the nearest voxel changes, it can cost more, but
    never more than the way to the nearest sample.
    """
    variance = (field.step_mm**2).sum() / 4
    return distance_mm - np.sqrt(max(distance_mm**2 - variance, 0.0)) + STEP_LOSS_MM


def _trace(mask: Mask, starts, ends, required_mm, field: DistanceField | None = None):
    target = TraceTarget(mask, field or _field(mask))
    to_axes = mask.grid.to_axes_mm
    everyone = np.arange(len(starts))
    return target.trace(to_axes(ends), to_axes(starts), required_mm, CLEAR_MM, everyone)


@pytest.mark.parametrize("orientation", sorted(ORIENTED_AXES))
@pytest.mark.parametrize("spacing", [(4.0, 0.5, 0.5), (1.2, 0.8, 0.8), (3.0, 3.0, 3.0)])
def test_every_decision_equals_the_exact_kernel(orientation, spacing):
    grid = block_grid(spacing, ORIENTED_AXES[orientation])
    for seed in range(3):
        mask = random_blobs(grid, seed=seed)
        starts, ends = random_segments(grid, 3000, seed=100 + seed)
        exact = MaskIndex(mask).closest_approach(starts, ends).distance_mm
        field = _field(mask)
        for required in (0.4, 2.5, 6.0):
            bound = _trace(mask, starts, ends, required, field)
            assert not np.any((bound != REJECTED) & (exact < required)), "false accept"
            assert not np.any((bound == REJECTED) & (exact >= required)), "false reject"
            kept = bound != REJECTED
            loss = np.minimum(exact[kept], CLEAR_MM) - bound[kept]
            assert loss.min(initial=0.0) >= -1e-6, "a bound larger than the truth"
            # Beyond the outermost samples (half a voxel at the rim) the bound is looser.
            within = np.all(
                (grid.to_kji(starts) >= 0) & (grid.to_kji(starts) <= np.array(grid.shape_kji) - 1),
                axis=1,
            )[kept]
            if required >= 2.5 and within.any():
                usual = _usual_loss_mm(field, required)
                half_cell = np.linalg.norm(field.step_mm) / 2
                assert np.quantile(loss[within], 0.9) <= usual
                assert loss.max() <= usual + half_cell


def test_decisions_equal_brute_force_on_thick_flipped_oblique_slices():
    grid = block_grid((4.0, 0.5, 0.5), ORIENTED_AXES["oblique_flipped"])
    mask = random_blobs(grid, seed=21, fraction=0.04)
    starts, ends = random_segments(grid, 150, seed=22)
    truth = axis_distances_mm(mask, starts, ends)
    bound = _trace(mask, starts, ends, 3.0)
    assert np.array_equal(bound == REJECTED, truth < 3.0)
    assert 0.05 < np.mean(truth < 3.0) < 0.95


@pytest.mark.parametrize("delta_mm", [-1e-5, 1e-5])
def test_a_hair_on_either_side_of_the_margin_is_told_apart(delta_mm):
    grid = block_grid((4.0, 0.5, 0.5), ORIENTED_AXES["oblique"])
    mask = random_blobs(grid, seed=31)
    starts, ends = random_segments(grid, 400, seed=32)
    exact = MaskIndex(mask).closest_approach(starts, ends).distance_mm
    near = np.flatnonzero((exact > 1.0) & (exact < 9.0))
    assert near.size > 50
    field = _field(mask)
    for number in near[:60]:
        one = slice(number, number + 1)
        bound = _trace(mask, starts[one], ends[one], float(exact[number] + delta_mm), field)
        assert (bound[0] == REJECTED) == (delta_mm > 0)


def test_cropped_fields_decide_like_whole_ones():
    grid = block_grid((2.0, 1.0, 1.0), ORIENTED_AXES["coronal"])
    mask = random_blobs(grid, seed=41)
    starts, ends = random_segments(grid, 2000, seed=42)
    inside = (np.zeros(3, np.int64), np.array(grid.shape_kji))
    whole = _trace(mask, starts, ends, 2.0)
    target = TraceTarget(mask, distance_field(mask, 12.0, within_kji=inside))
    again = target.trace(
        grid.to_axes_mm(ends), grid.to_axes_mm(starts), 2.0, CLEAR_MM, np.arange(2000)
    )
    assert np.array_equal(whole == REJECTED, again == REJECTED)


def test_a_mask_out_of_reach_never_rejects():
    grid = block_grid((2.0, 1.0, 1.0), ORIENTED_AXES["axial"])
    target = TraceTarget(random_blobs(grid, seed=1), None)
    points = np.zeros((4, 3))
    found = target.trace(points, points + 5, 3.0, CLEAR_MM, np.arange(4))
    assert np.all(found == CLEAR_MM)


def test_an_axis_without_length_is_rejected():
    grid = block_grid((2.0, 1.0, 1.0), ORIENTED_AXES["axial"])
    mask = random_blobs(grid, seed=1)
    point = grid.centre_lps_mm[None]
    assert _trace(mask, point, point, 0.5)[0] == REJECTED


def test_one_and_two_threads_give_the_same_bits():
    grid = block_grid((1.2, 0.8, 0.8), ORIENTED_AXES["oblique"])
    mask = random_blobs(grid, seed=51)
    starts, ends = random_segments(grid, 5000, seed=52)
    found = []
    for threads in (1, 2, 3):
        with use_threads(threads):
            found.append(_trace(mask, starts, ends, 2.0))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("throw_mm", [0.0, 12.0])
@pytest.mark.parametrize("spacing", [(4.0, 0.5, 0.5), (1.2, 0.8, 0.8)])
def test_answers_taken_over_from_neighbours_are_exact_too(spacing, throw_mm):
    """A dense fan to one tip, visited cell by cell, as the search does it."""
    grid = block_grid(spacing, ORIENTED_AXES["oblique_flipped"])
    extent = np.array(grid.shape_kji) - 1
    j, i = np.meshgrid(np.linspace(0, 1, 70), np.linspace(0, 1, 70), indexing="ij")
    entries = grid.to_lps(np.stack([np.full(j.size, 0.02), j.ravel(), i.ravel()], 1) * extent)
    entries = entries[coherent_order(grid.to_axes_mm(entries))]
    tip = grid.to_lps([0.8, 0.5, 0.45] * extent)
    along = tip - entries
    ends = tip + throw_mm * along / np.linalg.norm(along, axis=1, keepdims=True)
    n_shared_kinds = 0
    for seed in range(4):
        mask = random_blobs(grid, seed=seed, fraction=0.02)
        exact = MaskIndex(mask).closest_approach(entries, ends).distance_mm
        for required in (1.0, 3.0):
            bound = _trace(mask, entries, ends, required)
            assert np.array_equal(bound == REJECTED, exact < required)
            kept = bound != REJECTED
            assert np.all(bound[kept] <= exact[kept] + 1e-6), "a bound larger than the truth"
            n_shared_kinds += 0.02 < kept.mean() < 0.98
    assert n_shared_kinds > 0, "the fan must hold both accepted and rejected axes"
