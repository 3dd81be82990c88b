"""Exact geometry of the verification, against formulas and a different brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.geometry import Grid, Mask
from planner.verify import exact
from planner.verify.exact import Skin, VoxelBoxes, walk_voxels
from tests.grids import ORIENTED_AXES
from tests.unit.verify.phantom_plan import brute_distance

TOL_MM = 1e-6


def random_mask(grid: Grid, rng: np.random.Generator, share: float = 0.02) -> Mask:
    inside = rng.random(grid.shape_kji) < share
    inside[2, 3, 4] = True
    return Mask(grid=grid, inside=inside)


def random_segment(grid: Grid, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    shape = np.array(grid.shape_kji)
    low, high = -0.5 * shape, 1.5 * shape
    return grid.to_lps(rng.uniform(low, high)), grid.to_lps(rng.uniform(low, high))


def one_voxel(grid: Grid, kji: tuple[int, int, int]) -> Mask:
    inside = np.zeros(grid.shape_kji, bool)
    inside[kji] = True
    return Mask(grid=grid, inside=inside)


def test_matches_scalar_minimisation_on_every_orientation(
    oriented_grid: Grid, rng: np.random.Generator
) -> None:
    mask = random_mask(oriented_grid, rng)
    boxes = VoxelBoxes.of(mask)
    for _ in range(12):
        start, end = random_segment(oriented_grid, rng)
        expected, _, _ = brute_distance(start, end, mask)
        found = boxes.nearest_to_segment(start, end)
        assert found.distance_mm == pytest.approx(expected, abs=TOL_MM)
        apart = np.linalg.norm(found.on_segment_lps_mm - found.on_boxes_lps_mm)
        assert apart == pytest.approx(found.distance_mm, abs=1e-9)


def test_one_voxel_has_the_distance_of_its_face_edge_and_corner(oriented_grid: Grid) -> None:
    mask = one_voxel(oriented_grid, (4, 6, 5))
    boxes = VoxelBoxes.of(mask)
    half = oriented_grid.spacing_kji_mm / 2
    for away in ([3, 0, 0], [0, 5, 5], [2, 4, 6], [-2, 4, -6]):
        offset = np.array(away, float)
        point = oriented_grid.to_lps(np.array([4, 6, 5]) + offset)
        gap = np.maximum(np.abs(offset) * oriented_grid.spacing_kji_mm - half, 0.0)
        gap[offset == 0] = 0.0
        found = boxes.nearest_to_segment(point, point)
        assert found.distance_mm == pytest.approx(np.linalg.norm(gap), abs=1e-9)


def test_axis_through_the_mask_has_distance_zero(oriented_grid: Grid) -> None:
    mask = one_voxel(oriented_grid, (4, 6, 5))
    start = oriented_grid.to_lps([4.2, 6.1, -3.0])
    end = oriented_grid.to_lps([4.2, 6.1, 14.0])
    found = VoxelBoxes.of(mask).nearest_to_segment(start, end)
    assert found.distance_mm == pytest.approx(0.0, abs=TOL_MM)


def test_axis_wholly_inside_a_solid_has_distance_zero(oriented_grid: Grid) -> None:
    mask = Mask(grid=oriented_grid, inside=np.ones(oriented_grid.shape_kji, bool))
    found = VoxelBoxes.of(mask).nearest_to_segment(
        oriented_grid.to_lps([3, 4, 5]), oriented_grid.to_lps([5, 7, 6])
    )
    assert found.distance_mm == 0.0


def test_axis_that_starts_or_ends_deep_in_a_solid_has_distance_zero(oriented_grid: Grid) -> None:
    """Boxes without a free face are not listed, and are not needed."""
    inside = np.zeros(oriented_grid.shape_kji, bool)
    inside[1:8, 2:12, 2:9] = True
    boxes = VoxelBoxes.of(Mask(grid=oriented_grid, inside=inside))
    assert boxes.flat_indices.size == inside.sum() - 5 * 8 * 5
    deep, out = oriented_grid.to_lps([4, 7, 5]), oriented_grid.to_lps([4, 30, 5])
    for start, end in ((deep, out), (out, deep), (deep, deep)):
        found = boxes.nearest_to_segment(start, end)
        assert found.distance_mm == pytest.approx(0.0, abs=TOL_MM)


def test_axis_parallel_to_a_wall_has_the_wall_s_distance(oriented_grid: Grid) -> None:
    inside = np.zeros(oriented_grid.shape_kji, bool)
    inside[:, :4, :] = True
    boxes = VoxelBoxes.of(Mask(grid=oriented_grid, inside=inside))
    found = boxes.nearest_to_segment(
        oriented_grid.to_lps([1.3, 9.0, 1.0]), oriented_grid.to_lps([6.1, 9.0, 8.0])
    )
    assert found.distance_mm == pytest.approx(5.5 * 0.7, abs=1e-9)


def test_ball_of_finer_voxels_approaches_the_sphere() -> None:
    """First order: the voxel surface is off by about half a voxel."""
    centre, radius = np.array([3.0, -2.0, 7.0]), 6.0
    errors = []
    for spacing in (1.0, 0.5, 0.25):
        n = int(16 / spacing)
        axes = ORIENTED_AXES["oblique"]
        loose = Grid.from_axes((n, n, n), (spacing,) * 3, (0, 0, 0), axes)
        grid = Grid.from_axes((n, n, n), (spacing,) * 3, centre - loose.centre_lps_mm, axes)
        lps = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
        mask = Mask(grid=grid, inside=np.linalg.norm(lps - centre, axis=-1) <= radius)
        start, end = centre + np.array([10.0, -20.0, 4.0]), centre + np.array([10.0, 20.0, 4.0])
        found = VoxelBoxes.of(mask).nearest_to_segment(start, end)
        errors.append(abs(found.distance_mm - (np.hypot(10.0, 4.0) - radius)))
        assert errors[-1] <= spacing * np.sqrt(3) / 2
    assert errors[2] < 0.6 * errors[0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), axes=st.sampled_from(sorted(ORIENTED_AXES)))
def test_never_above_any_point_of_the_axis(seed: int, axes: str) -> None:
    """The distance is at most that of each sampled point, and reversing the axis keeps it."""
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(0.2, 5.0, 3)
    grid = Grid.from_axes((5, 6, 7), spacing, rng.uniform(-300, 300, 3), ORIENTED_AXES[axes])
    mask = random_mask(grid, rng, 0.05)
    boxes = VoxelBoxes.of(mask)
    start, end = random_segment(grid, rng)
    found = boxes.nearest_to_segment(start, end).distance_mm
    centres = np.argwhere(mask.inside)
    for t in np.linspace(0, 1, 60):
        offset = np.abs(grid.to_kji(start + t * (end - start)) - centres) - 0.5
        gap = np.linalg.norm(np.maximum(offset, 0) * spacing, axis=1).min()
        assert found <= gap + TOL_MM
    assert boxes.nearest_to_segment(end, start).distance_mm == pytest.approx(found, abs=TOL_MM)


def test_chunks_do_not_change_the_answer(
    oriented_grid: Grid, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = VoxelBoxes.of(random_mask(oriented_grid, rng, 0.3))
    start, end = random_segment(oriented_grid, rng)
    whole = boxes.nearest_to_segment(start, end).distance_mm
    monkeypatch.setattr(exact, "_CHUNK", 7)
    assert boxes.nearest_to_segment(start, end).distance_mm == whole


def test_empty_mask_is_infinitely_far(oriented_grid: Grid) -> None:
    mask = Mask(grid=oriented_grid, inside=np.zeros(oriented_grid.shape_kji, bool))
    found = VoxelBoxes.of(mask).nearest_to_segment(np.zeros(3), np.ones(3))
    assert found.distance_mm == np.inf


# --- voxel walk --------------------------------------------------------------------------------


def test_walk_names_the_voxels_a_diagonal_crosses() -> None:
    grid = Grid.from_axes((1, 3, 3), (1, 1, 1), (0, 0, 0))
    walk = walk_voxels(grid.to_lps([0, 0.0, -0.4]), grid.to_lps([0, 1.2, 1.4]), grid)
    visited = list(dict.fromkeys(map(tuple, walk.kji[:, 1:].tolist())))
    assert visited == [(0, 0), (0, 1), (1, 1)] or visited == [(0, 0), (1, 0), (1, 1)]
    assert np.all(walk.is_in_grid)


def test_walk_pieces_add_up_and_lie_in_their_voxels(
    oriented_grid: Grid, rng: np.random.Generator
) -> None:
    for _ in range(10):
        start, end = random_segment(oriented_grid, rng)
        length = np.linalg.norm(end - start)
        walk = walk_voxels(start, end, oriented_grid)
        assert np.sum(walk.to_mm - walk.from_mm) == pytest.approx(length, abs=1e-3)
        for place in (0.05, 0.95):
            at = walk.from_mm + place * (walk.to_mm - walk.from_mm)
            kji = oriented_grid.to_kji(start + at[:, None] / length * (end - start))
            assert np.all(np.abs(kji - walk.kji) <= 0.5 + 1e-6)


def test_walk_finds_a_single_voxel_that_sampling_would_miss(oriented_grid: Grid) -> None:
    """A corner cut of 0.01 voxel is seen."""
    mask = one_voxel(oriented_grid, (4, 6, 5))
    start, end = oriented_grid.to_lps([4, 4.49, 6.5]), oriented_grid.to_lps([4, 7.49, 3.5 + 0.02])
    walk = walk_voxels(start, end, oriented_grid)
    assert walk.inside(mask).any()
    start, end = oriented_grid.to_lps([4, 7.0, 7.02]), oriented_grid.to_lps([4, 8.0, 4.0])
    assert not walk_voxels(start, end, oriented_grid).inside(mask).any()


def test_walk_beyond_the_grid_is_outside(oriented_grid: Grid) -> None:
    inside = Mask(grid=oriented_grid, inside=np.ones(oriented_grid.shape_kji, bool))
    walk = walk_voxels(
        oriented_grid.to_lps([1, 2, 3]), oriented_grid.to_lps([1, 2, -4]), oriented_grid
    )
    assert walk.is_in_grid[0]
    assert not walk.is_in_grid[-1]
    assert not walk.inside(inside)[-1]


# --- skin --------------------------------------------------------------------------------------


def half_space(axes: str) -> tuple[Grid, Mask]:
    grid = Grid.from_axes((12, 30, 30), (4.0, 1.0, 1.0), (5.0, -8.0, 30.0), ORIENTED_AXES[axes])
    inside = np.zeros(grid.shape_kji, bool)
    inside[:, :15, :] = True
    return grid, Mask(grid=grid, inside=inside)


@pytest.mark.parametrize("axes", sorted(ORIENTED_AXES))
def test_skin_distance_and_normal_of_a_flat_skin(axes: str) -> None:
    grid, body = half_space(axes)
    skin = Skin.of(body)
    assert skin.voxels_to_surface(grid.to_lps([6, 14.5, 12])) == pytest.approx(0.0, abs=1e-9)
    assert skin.voxels_to_surface(grid.to_lps([6, 13.0, 12])) == pytest.approx(1.5, abs=1e-9)
    assert skin.voxels_to_surface(grid.to_lps([6, 2.0, 12])) == np.inf
    normal = skin.outward_normal_lps(grid.to_lps([6, 14.4, 12]))
    assert normal == pytest.approx(grid.axes_lps_from_kji[:, 1], abs=1e-6)


def test_volume_faces_that_cut_the_body_are_no_skin() -> None:
    grid, body = half_space("axial")
    assert Skin.of(body).voxels_to_surface(grid.to_lps([-0.5, 7, 12])) == np.inf


def test_a_cavity_is_no_skin_but_a_notch_is() -> None:
    grid, body = half_space("axial")
    inside = np.array(body.inside)
    inside[6, 4, 12] = False
    cavity = Skin.of(Mask(grid=grid, inside=inside))
    assert cavity.voxels_to_surface(grid.to_lps([6, 4.5, 12])) == np.inf
    inside[6, 4:15, 12] = False
    notch = Skin.of(Mask(grid=grid, inside=inside))
    assert notch.voxels_to_surface(grid.to_lps([6, 4.5, 12.5])) == pytest.approx(0.0, abs=1e-9)


def test_a_body_that_fills_the_image_has_no_skin_and_no_normal() -> None:
    grid, body = half_space("axial")
    full = Skin.of(Mask(grid=grid, inside=np.ones_like(body.inside)))
    assert full.voxels_to_surface(grid.to_lps([6, 14, 12])) == np.inf
    assert full.outward_normal_lps(grid.to_lps([6, 14, 12])) is None
    assert full.outward_normal_lps(grid.to_lps([600, 14, 12])) is None
