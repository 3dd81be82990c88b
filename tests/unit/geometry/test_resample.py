"""Masks on other lattices: nothing to avoid is lost, and the growth stays in its bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from planner.errors import FrameMismatchError
from planner.geometry import FrameId, Grid, Mask
from planner.geometry.lattice import (
    OVERLAP_TOL_VOX,
    TransferMethod,
    lattice_map,
    same_place_tol_mm,
    volumes_overlap,
)
from planner.geometry.resample import MaskTransfer, cover_mask, nearest_mask
from tests.grids import ORIENTED_AXES

TOL_MM = 1e-5
"""Floating point and the stated sliver of 1e-6 voxels (<= 10 mm each)."""


def some_mask(grid: Grid, rng: np.random.Generator, fraction: float = 0.08) -> Mask:
    inside = rng.random(grid.shape_kji) < fraction
    inside[tuple(n // 2 for n in grid.shape_kji)] = True
    return Mask(grid=grid, inside=inside)


def points_in_voxels(mask: Mask, rng: np.random.Generator, n_each: int = 12) -> np.ndarray:
    """Random points of every set voxel, and its corners pulled in by a hair."""
    centres = np.argwhere(mask.inside).astype(float)
    random = rng.uniform(-0.5, 0.5, (n_each, 3))
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * (0.5 - 1e-4)
    offsets = np.concatenate([random, corners])
    return mask.grid.to_lps((centres[:, None] + offsets).reshape(-1, 3))


def distance_to_voxels_mm(points_lps_mm: np.ndarray, mask: Mask) -> np.ndarray:
    """Exact distance of points to the nearest set voxel box, by brute force."""
    spacing = mask.grid.spacing_kji_mm
    centres_mm = np.argwhere(mask.inside) * spacing
    at_mm = mask.grid.to_axes_mm(points_lps_mm)
    nearest = np.full(len(at_mm), np.inf)
    for centre in centres_mm:
        apart = np.maximum(np.abs(at_mm - centre) - spacing / 2, 0.0)
        nearest = np.minimum(nearest, np.linalg.norm(apart, axis=-1))
    return nearest


def assert_nothing_lost(mask: Mask, moved: MaskTransfer, rng: np.random.Generator) -> None:
    points = points_in_voxels(mask, rng)
    kji = moved.mask.grid.to_kji(points)
    # Only points clearly in the target volume, and not on the tolerated sliver.
    clear = np.abs(kji - np.floor(kji) - 0.5) > 2 * OVERLAP_TOL_VOX
    inner = moved.mask.grid.contains(points) & clear.all(axis=-1)
    assert moved.mask.contains(points[inner]).all()


def assert_bound_holds(mask: Mask, moved: MaskTransfer) -> None:
    centres = np.argwhere(moved.mask.inside).astype(float)
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    points = moved.mask.grid.to_lps((centres[:, None] + corners).reshape(-1, 3))
    if len(points):
        assert distance_to_voxels_mm(points, mask).max() <= moved.grown_mm + TOL_MM


spacings = st.tuples(*[st.floats(0.3, 6.0)] * 3)
shapes = st.tuples(*[st.integers(2, 7)] * 3)
angles = st.tuples(*[st.floats(-180.0, 180.0)] * 3)


def small_grid(shape, spacing_mm, angles_deg, centre_lps_mm) -> Grid:
    axes = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    origin = np.asarray(centre_lps_mm) - axes @ (np.asarray(spacing_mm) * (np.array(shape) - 1) / 2)
    return Grid.from_axes(shape, spacing_mm, origin, axes, FrameId("1.2.3", "test"))


class TestNoVoxelLost:
    @settings(max_examples=60, deadline=None)
    @given(shapes, spacings, angles, shapes, spacings, angles, st.integers(0, 2**31))
    def test_any_orientation_and_spacing(self, shape_a, step_a, turn_a, shape_b, step_b, turn_b, s):
        rng = np.random.default_rng(s)
        source = small_grid(shape_a, step_a, turn_a, (12.0, -40.0, 300.0))
        target = small_grid(
            shape_b, step_b, turn_b, np.array([12.0, -40.0, 300.0]) + rng.normal(size=3)
        )
        mask = some_mask(source, rng, 0.1)
        moved = cover_mask(mask, target)
        assert_nothing_lost(mask, moved, rng)
        assert_bound_holds(mask, moved)

    @settings(max_examples=60, deadline=None)
    @given(
        st.permutations(range(3)),
        st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
        spacings,
        spacings,
        st.integers(0, 2**31),
    )
    def test_aligned_axes_with_any_ratio(self, order, signs, step_a, step_b, seed):
        rng = np.random.default_rng(seed)
        tilt = Rotation.from_euler("xyz", [20.0, 5.0, -33.0], degrees=True).as_matrix()
        axes = tilt[:, order] * np.array(signs)
        source = Grid.from_axes((5, 6, 4), step_a, (1.0, 2.0, 3.0), tilt)
        start = source.centre_lps_mm - axes @ (np.array(step_b) * 2.7)
        target = Grid.from_axes((6, 5, 7), step_b, start, axes)
        mask = some_mask(source, rng, 0.1)
        moved = cover_mask(mask, target)
        assert_nothing_lost(mask, moved, rng)
        assert_bound_holds(mask, moved)

    def test_every_orientation_of_the_fixture(self, oriented_grid, rng):
        mask = some_mask(oriented_grid, rng, 0.01)
        for axes in ORIENTED_AXES.values():
            target = Grid.from_axes(
                (36, 36, 36),
                (1.7, 2.1, 1.1),
                oriented_grid.centre_lps_mm - axes @ (np.array([1.7, 2.1, 1.1]) * 17.5),
                axes,
                oriented_grid.frame,
            )
            moved = cover_mask(mask, target)
            assert moved.n_outside == 0
            assert_nothing_lost(mask, moved, rng)
            assert_bound_holds(mask, moved)

    def test_a_nearest_mask_would_lose_some(self, rng):
        # The checks above must be able to fail: nearest sampling drops thin things.
        fine = Grid.from_axes((20, 20, 20), (0.4, 0.4, 0.4), (0.0, 0.0, 0.0))
        coarse = Grid.from_axes((5, 5, 5), (1.7, 1.7, 1.7), (0.3, 0.3, 0.3))
        mask = some_mask(fine, rng, 0.01)
        with pytest.raises(AssertionError):
            assert_nothing_lost(mask, nearest_mask(mask, coarse), rng)
        too_small = MaskTransfer(
            mask=cover_mask(mask, coarse).mask,
            method=TransferMethod.COVER,
            grown_mm=0.2,
            n_outside=0,
        )
        with pytest.raises(AssertionError):
            assert_bound_holds(mask, too_small)

    def test_oblique_cover_takes_only_boxes_that_overlap(self, rng):
        # Independent of the kernel: a target voxel without any dense sample point of a
        # set source voxel may be set only when the boxes graze each other.
        source = small_grid((4, 4, 4), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        target = small_grid((20, 20, 20), (0.9, 0.9, 0.9), (30.0, 20.0, 10.0), (0.0, 0.0, 0.0))
        inside = np.zeros(source.shape_kji, bool)
        inside[1, 2, 1] = True
        mask = Mask(grid=source, inside=inside)
        moved = cover_mask(mask, target)
        fine = np.linspace(-0.5 + 1e-9, 0.5 - 1e-9, 61)
        offsets = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3)
        touched = np.zeros(target.shape_kji, bool)
        hit = np.floor(target.to_kji(source.to_lps(np.array([1, 2, 1]) + offsets)) + 0.5)
        touched[tuple(hit.astype(int).T)] = True
        assert not (touched & ~moved.mask.inside).any()
        extra = Mask(grid=target, inside=moved.mask.inside & ~touched)
        assert extra.n_voxels <= 0.1 * touched.sum()
        assert_bound_holds(
            extra, MaskTransfer(mask=extra, method=moved.method, grown_mm=0.0, n_outside=0)
        )


class TestOneToOne:
    def test_same_grid_is_the_identity(self, oriented_grid, rng):
        mask = some_mask(oriented_grid, rng)
        moved = cover_mask(mask, oriented_grid)
        assert moved.method is TransferMethod.SAME_GRID
        assert moved.grown_mm == 0.0 and moved.n_outside == 0
        assert np.array_equal(moved.mask.inside, mask.inside)

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("transfer", [cover_mask, nearest_mask])
    def test_flipped_and_permuted_axes(self, oriented_grid, rng, order, transfer):
        mask = some_mask(oriented_grid, rng)
        for flips in itertools.product((False, True), repeat=3):
            back = transfer(reordered(mask, order, flips), oriented_grid)
            assert np.array_equal(back.mask.inside, mask.inside)
            plain = order == (0, 1, 2) and not any(flips)
            assert back.method is (TransferMethod.SAME_GRID if plain else TransferMethod.REORDERED)
            assert back.grown_mm == 0.0

    def test_a_cut_out_lands_in_its_place(self, oriented_grid, rng):
        mask = some_mask(oriented_grid, rng)
        part = Mask(
            grid=oriented_grid.cropped((2, 3, 1), (7, 10, 9)), inside=mask.inside[2:7, 3:10, 1:9]
        )
        moved = cover_mask(reordered(part, (1, 0, 2), (True, False, True)), oriented_grid)
        wanted = np.zeros(oriented_grid.shape_kji, bool)
        wanted[2:7, 3:10, 1:9] = mask.inside[2:7, 3:10, 1:9]
        assert np.array_equal(moved.mask.inside, wanted)
        assert moved.n_outside == 0 and moved.grown_mm == 0.0

    def test_a_larger_mask_is_cut_and_counted(self, oriented_grid, rng):
        mask = some_mask(oriented_grid, rng)
        target = oriented_grid.cropped((1, 1, 1), (6, 9, 30))
        moved = cover_mask(mask, target)
        assert np.array_equal(moved.mask.inside[:, :, :10], mask.inside[1:6, 1:9, 1:])
        assert moved.n_outside == mask.n_voxels - moved.mask.n_voxels > 0

    def test_header_rounding_is_forgiven_and_more_is_not(self, oriented_grid):
        tol = same_place_tol_mm(oriented_grid)
        assert tol == 0.01
        assert lattice_map(shifted(oriented_grid, (0.9 * tol, 0, 0)), oriented_grid) is not None
        assert lattice_map(shifted(oriented_grid, (1.1 * tol, 0, 0)), oriented_grid) is None

    def test_tolerance_is_one_percent_of_a_coarse_voxel(self):
        grid = Grid.from_axes((3, 3, 3), (5.0, 3.0, 3.0), (0.0, 0.0, 0.0))
        assert same_place_tol_mm(grid) == pytest.approx(0.03)


class TestAlignedCover:
    def test_nested_voxels_do_not_grow(self):
        coarse = Grid.from_axes((3, 4, 5), (4.0, 2.0, 2.0), (0.0, 0.0, 0.0))
        fine = Grid.from_axes((6, 8, 10), (2.0, 1.0, 1.0), (-0.5, -0.5, -1.0))
        inside = np.zeros(coarse.shape_kji, bool)
        inside[1, 2, 3] = True
        moved = cover_mask(Mask(grid=coarse, inside=inside), fine)
        assert moved.method is TransferMethod.COVER
        assert moved.grown_mm == 0.0
        wanted = np.zeros(fine.shape_kji, bool)
        wanted[2:4, 4:6, 6:8] = True
        assert np.array_equal(moved.mask.inside, wanted)

    def test_a_shift_of_a_third_grows_by_two_thirds(self):
        grid = Grid.from_axes((1, 1, 5), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0))
        inside = np.zeros(grid.shape_kji, bool)
        inside[0, 0, 2] = True
        moved = cover_mask(Mask(grid=shifted(grid, (1.0, 0, 0)), inside=inside), grid)
        assert moved.mask.inside[0, 0].tolist() == [False, False, True, True, False]
        assert moved.grown_mm == pytest.approx(2.0)

    def test_what_is_beyond_the_volume_is_counted(self):
        source = Grid.from_axes((1, 1, 6), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0))
        target = Grid.from_axes((1, 1, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        moved = cover_mask(Mask(grid=source, inside=np.ones(source.shape_kji, bool)), target)
        # Centres at 0, 2 | 4, 6, 8, 10; the box of 4 reaches into the volume all the same.
        assert moved.n_outside == 4
        assert moved.mask.inside.all()

    def test_a_tilt_of_a_hair_still_counts_as_aligned(self, rng):
        source = small_grid((5, 5, 5), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        target = small_grid((9, 9, 9), (1.3, 1.3, 1.3), (0.01, 0.0, 0.0), (0.0, 0.0, 0.0))
        mask = some_mask(source, rng)
        moved = cover_mask(mask, target)
        assert moved.grown_mm < np.linalg.norm([1.3] * 3)
        assert_nothing_lost(mask, moved, rng)
        assert_bound_holds(mask, moved)

    def test_what_a_hair_of_tilt_pushes_over_a_boundary_is_covered(self):
        # Over half the length (50 mm) the row rises by 0.004 mm into the next row.
        tilt = Rotation.from_rotvec([0.0, 0.0, 0.004 / 50.0]).as_matrix()
        source = Grid.from_axes((1, 1, 101), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        target = Grid.from_axes(
            (1, 3, 51),
            (1.0, 1.0, 2.0),
            source.centre_lps_mm - tilt @ np.array([50.0, 1.0, 0.0]),
            tilt @ np.eye(3)[:, ::-1],
        )
        moved = cover_mask(Mask(grid=source, inside=np.ones((1, 1, 101), bool)), target)
        assert moved.mask.inside[0, :, 0].tolist() == [True, True, True]
        assert moved.grown_mm < 2.0  # the diagonal of a target voxel is 2.4

    def test_an_empty_mask_stays_empty(self, oriented_grid):
        target = Grid.from_axes((3, 3, 3), (5.0, 5.0, 5.0), oriented_grid.centre_lps_mm)
        empty = Mask(grid=oriented_grid, inside=np.zeros(oriented_grid.shape_kji, bool))
        moved = cover_mask(empty, target)
        assert moved.mask.n_voxels == 0 and moved.n_outside == 0


class TestObliqueOutside:
    def test_both_methods_count_the_same_voxels(self, rng):
        source = small_grid((9, 9, 9), (2.0, 2.0, 2.0), (20.0, 30.0, 40.0), (0.0, 0.0, 0.0))
        target = small_grid((5, 5, 5), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0))
        mask = some_mask(source, rng, 0.5)
        centres = source.to_lps(np.argwhere(mask.inside))
        n_outside = int((~target.contains(centres)).sum())
        assert 0 < n_outside < mask.n_voxels
        assert cover_mask(mask, target).n_outside == n_outside
        assert nearest_mask(mask, target).n_outside == n_outside


class TestNearest:
    def test_follows_the_centres(self, oriented_grid, rng):
        mask = some_mask(oriented_grid, rng, 0.4)
        target = small_grid((11, 12, 13), (1.1, 1.3, 0.9), (5.0, 15.0, 25.0), (0, 0, 0))
        target = shifted(target, oriented_grid.centre_lps_mm)
        target = Grid(
            shape_kji=target.shape_kji, lps_from_kji=target.lps_from_kji, frame=oriented_grid.frame
        )
        moved = nearest_mask(mask, target)
        index = np.stack(np.meshgrid(*map(np.arange, target.shape_kji), indexing="ij"), -1)
        assert np.array_equal(moved.mask.inside, mask.contains(target.to_lps(index)))
        assert moved.method is TransferMethod.NEAREST
        assert moved.grown_mm == pytest.approx(np.linalg.norm([1.1, 1.3, 0.9]) / 2)
        assert_bound_holds(mask, moved)


class TestFrames:
    def test_two_known_frames_are_refused(self, oriented_grid, rng):
        other = Grid(
            shape_kji=oriented_grid.shape_kji,
            lps_from_kji=oriented_grid.lps_from_kji,
            frame=FrameId("9.9.9", "another"),
        )
        mask = some_mask(oriented_grid, rng)
        with pytest.raises(FrameMismatchError, match=r"another frame of reference.*9\.9\.9"):
            cover_mask(mask, other)
        with pytest.raises(FrameMismatchError, match="another frame of reference"):
            nearest_mask(mask, other)


class TestVolumesOverlap:
    def test_neighbours_touch_but_do_not_overlap(self, oriented_grid):
        n_k = oriented_grid.shape_kji[0]
        beside = oriented_grid.cropped((n_k, 0, 0), (n_k + 4, 5, 5))
        assert not volumes_overlap(oriented_grid, beside)
        assert not volumes_overlap(beside, oriented_grid)
        assert volumes_overlap(oriented_grid, oriented_grid.cropped((n_k - 1, 0, 0), (n_k, 5, 5)))

    def test_a_corner_that_passes_by_an_edge_is_apart(self):
        # Two boxes whose axis-aligned bounds overlap although they do not.
        straight = small_grid((10, 10, 10), (1.0, 1.0, 1.0), (0, 0, 0), (0, 0, 0))
        turned = small_grid((10, 10, 10), (1.0, 1.0, 1.0), (0, 0, 45), (9.0, 9.0, 0.0))
        assert not volumes_overlap(straight, turned)
        closer = small_grid((10, 10, 10), (1.0, 1.0, 1.0), (0, 0, 45), (8.0, 8.0, 0.0))
        assert volumes_overlap(straight, closer)


def reordered(mask: Mask, order: tuple[int, ...], flips: tuple[bool, ...]) -> Mask:
    """The same voxels stored with axes permuted and flipped, header right."""
    matrix = np.array(mask.grid.lps_from_kji)[:, [*order, 3]]
    inside = np.transpose(mask.inside, order)
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (inside.shape[axis] - 1)
            matrix[:3, axis] *= -1
            inside = np.flip(inside, axis)
    grid = Grid(shape_kji=inside.shape, lps_from_kji=matrix, frame=mask.grid.frame)
    return Mask(grid=grid, inside=inside)


def shifted(grid: Grid, by_lps_mm) -> Grid:
    matrix = np.array(grid.lps_from_kji)
    matrix[:3, 3] += by_lps_mm
    return Grid(shape_kji=grid.shape_kji, lps_from_kji=matrix, frame=grid.frame)
