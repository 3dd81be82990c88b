"""The exact kernel against brute force and analytic shapes."""

from __future__ import annotations

import numpy as np
import pytest

from planner import exact_clearance_mm
from planner.errors import DegenerateGeometryError, MaskError
from planner.geometry import Grid, Mask
from planner.geometry.clearance import MaskIndex, floor_to_hundredth
from tests.brute_force import axis_distances_mm
from tests.grids import ORIENTED_AXES
from tests.scenes import block_grid, random_blobs, random_segments

TOL_MM = 1e-6


@pytest.mark.parametrize("orientation", sorted(ORIENTED_AXES))
@pytest.mark.parametrize("spacing", [(4.0, 0.5, 0.5), (1.0, 1.3, 0.8)])
def test_distance_equals_brute_force(orientation, spacing):
    grid = block_grid(spacing, ORIENTED_AXES[orientation])
    mask = random_blobs(grid, seed=1, fraction=0.01)
    starts, ends = random_segments(grid, 40, seed=2)
    found = MaskIndex(mask).closest_approach(starts, ends)
    assert np.abs(found.distance_mm - axis_distances_mm(mask, starts, ends)).max() <= TOL_MM
    gap = np.linalg.norm(found.on_axis_lps_mm - found.on_mask_lps_mm, axis=1)
    assert np.abs(gap - found.distance_mm).max() <= TOL_MM


def test_closest_points_lie_on_the_axis_and_on_the_mask():
    grid = block_grid((4.0, 0.5, 0.5), ORIENTED_AXES["oblique"])
    mask = random_blobs(grid, seed=5, fraction=0.01)
    starts, ends = random_segments(grid, 20, seed=6)
    found = MaskIndex(mask).closest_approach(starts, ends)
    along = ends - starts
    offset = found.on_axis_lps_mm - starts
    t = np.einsum("ij,ij->i", offset, along) / np.einsum("ij,ij->i", along, along)
    assert np.all((t >= -1e-9) & (t <= 1 + 1e-9))
    assert np.abs(offset - t[:, None] * along).max() <= TOL_MM
    # A closest point lies on a voxel's face: one of the voxels around it is in the mask.
    around = np.array(np.meshgrid(*[[-1e-6, 1e-6]] * 3)).reshape(3, -1).T
    points = grid.to_lps(grid.to_kji(found.on_mask_lps_mm)[:, None] + around)
    assert np.all(mask.contains(points).any(axis=1))


def _sphere_case(axes):
    grid = block_grid((0.9, 0.7, 0.7), axes)
    centre, radius = grid.centre_lps_mm, 12.0
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    return grid, centre, radius, np.linalg.norm(points - centre, axis=-1) <= radius


@pytest.mark.parametrize("orientation", ["oblique", "flipped"])
def test_sphere_and_capsule_agree_with_analytic_within_the_voxelisation_bound(orientation):
    grid, centre, radius, inside = _sphere_case(ORIENTED_AXES[orientation])
    mask = Mask(grid=grid, inside=inside)
    bound = np.linalg.norm(grid.spacing_kji_mm) / 2 + 1e-9
    for offset, needle_radius in ((18.0, 0.0), (20.5, 0.36), (30.0, 1.5)):
        start = centre + [offset, 0.0, -25.0]
        end = centre + [offset, 0.0, 25.0]
        found = exact_clearance_mm(start, end, mask, needle_radius_mm=needle_radius)
        assert abs(found - (offset - radius - needle_radius)) <= bound
    end_on = exact_clearance_mm(centre + [0, 0, 40.0], centre + [0, 0, 20.0], mask)
    assert abs(end_on - 8.0) <= bound


def test_slab_is_exact_whatever_the_tilt_of_the_needle():
    inside = np.zeros((20, 30, 30), bool)
    inside[:5] = True
    grid = Grid.from_axes(inside.shape, (2.0, 1.0, 1.0), (0, 0, 0), ORIENTED_AXES["oblique"])
    surface_mm = 4.5 * 2.0
    tip = grid.to_lps([8.0, 15.0, 15.0])
    entry = grid.to_lps([18.0, 20.0, 3.0])
    found = exact_clearance_mm(entry, tip, Mask(grid=grid, inside=inside), needle_radius_mm=0.5)
    assert found == pytest.approx(16.0 - surface_mm - 0.5, abs=TOL_MM)


def test_an_axis_inside_the_mask_touches_it():
    grid = Grid.from_axes((9, 9, 9), (1, 1, 1), (0, 0, 0))
    mask = Mask(grid=grid, inside=np.ones(grid.shape_kji, bool))
    assert exact_clearance_mm((4, 4, 4), (4, 4.2, 4), mask, needle_radius_mm=0.7) == -0.7


def test_the_throw_counts():
    inside = np.zeros((5, 5, 40), bool)
    inside[2, 2, 35] = True
    mask = Mask(grid=Grid.from_axes(inside.shape, (1, 1, 1), (0, 0, 0)), inside=inside)
    assert exact_clearance_mm((5, 2, 2), (20, 2, 2), mask) == pytest.approx(14.5)
    assert exact_clearance_mm((5, 2, 2), (20, 2, 2), mask, throw_mm=10) == pytest.approx(4.5)
    assert exact_clearance_mm((5, 2, 2), (20, 2, 2), mask, throw_mm=16) == 0.0


def test_one_path_and_many_give_the_same():
    grid = block_grid((2.0, 1.0, 1.0), ORIENTED_AXES["sagittal"])
    mask = random_blobs(grid, seed=9)
    starts, ends = random_segments(grid, 6, seed=10)
    many = exact_clearance_mm(starts, ends, mask, needle_radius_mm=0.4)
    ones = [
        exact_clearance_mm(a, b, mask, needle_radius_mm=0.4)
        for a, b in zip(starts, ends, strict=True)
    ]
    assert np.array_equal(many, ones)


def test_an_empty_mask_is_refused():
    grid = Grid.from_axes((3, 3, 3), (1, 1, 1), (0, 0, 0))
    with pytest.raises(MaskError, match="empty mask"):
        exact_clearance_mm((0, 0, 0), (1, 1, 1), Mask(grid=grid, inside=np.zeros((3, 3, 3), bool)))


@pytest.mark.parametrize(
    ("entry", "throw", "match"),
    [((np.nan, 0, 0), 0.0, "not finite"), ((1, 1, 1), 5.0, "coincide"), ((0, 0, 0), -1.0, "throw")],
)
def test_axes_without_meaning_are_refused(entry, throw, match):
    grid = Grid.from_axes((3, 3, 3), (1, 1, 1), (0, 0, 0))
    mask = Mask(grid=grid, inside=np.ones((3, 3, 3), bool))
    with pytest.raises(DegenerateGeometryError, match=match):
        exact_clearance_mm(entry, (1, 1, 1), mask, throw_mm=throw)


def test_reported_clearances_are_never_larger():
    values = np.array([2.9999, 3.0, 3.00999, -0.361, 0.0])
    assert np.all(floor_to_hundredth(values) <= values + 1e-9)
    assert np.all(values - floor_to_hundredth(values) < 0.01)
