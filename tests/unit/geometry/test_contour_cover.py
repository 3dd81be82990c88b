"""Contours as slabs on voxels: any direction of the planes, gaps, holes, open contours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from planner.errors import MaskError
from planner.geometry import Grid
from planner.geometry.contour_cover import SlabStack, contours_at_centres, cover_contours
from planner.geometry.contour_slabs import ON_PLANE_MM, slabs_of, stacks_of, usual_step_mm
from tests.meshes import oblique_grid
from tests.unit.geometry.test_polygon_cover import crossings

GRID = oblique_grid()


def slab_stacks(contours, grid, step_mm=None):
    return [
        SlabStack(stack=stack, slabs=slabs_of(stack, step_mm)[0])
        for stack in stacks_of(contours, grid)
    ]


def cover(contours, grid=GRID, lines=()):
    return cover_contours(slab_stacks(contours, grid), lines, grid)


def at_centres(contours, grid=GRID):
    return contours_at_centres(slab_stacks(contours, grid), grid)


def on_slices(polygon_ji, slices, grid=GRID):
    """A polygon in pixels on some slices of a grid, as contours in LPS."""
    return [
        grid.to_lps(np.column_stack([np.full(len(polygon_ji), float(k)), polygon_ji]))
        for k in slices
    ]


SQUARE = np.array([[8.0, 8.0], [8.0, 14.0], [19.0, 14.0], [19.0, 8.0]])
L_SHAPE = np.array([[5.0, 4.0], [25.0, 4.0], [25.0, 9.0], [11.0, 9.0], [11.0, 20.0], [5.0, 20.0]])


def turned_axes(kind: str) -> np.ndarray:
    """Normal, v, u as columns: the directions in which contours are drawn."""
    return {
        "of the slices": GRID.axes_lps_from_kji,
        "of the rows": GRID.axes_lps_from_kji[:, [1, 0, 2]],
        "oblique": Rotation.from_rotvec([0.4, 0.9, -0.3]).as_matrix(),
        "nearly of the slices": Rotation.from_rotvec([0.03, 0.0, 0.02]).as_matrix()
        @ GRID.axes_lps_from_kji,
    }[kind]


KINDS = ("of the slices", "of the rows", "oblique", "nearly of the slices")


class TestSlabs:
    @pytest.mark.parametrize("kind", KINDS)
    @given(
        corners=st.lists(st.tuples(st.floats(-11, 11), st.floats(-9, 9)), min_size=3, max_size=7),
        offset=st.floats(-1, 1),
        step=st.floats(0.8, 5.0),
        seed=st.integers(0, 999),
    )
    @example(corners=[(0.0, 0.0), (0.0, 2.0), (1.0, 1.0)], offset=0.0, step=2.25, seed=0)
    @settings(max_examples=15, deadline=None)
    def test_no_point_of_a_slab_is_lost(self, kind, corners, offset, step, seed):
        axes = turned_axes(kind)
        vu = np.round(np.array(corners), 2)
        levels = offset + step * np.arange(4)
        contours = [
            GRID.centre_lps_mm + np.column_stack([np.full(len(vu), n), vu]) @ axes.T for n in levels
        ]
        found = cover(contours)
        rng = np.random.default_rng(seed)
        ends = step / 2 - 2 * ON_PLANE_MM
        n = rng.uniform(levels[0] - ends, levels[-1] + ends, 4000)
        at = rng.uniform(-11, 11, (4000, 2))
        inside = crossings(vu, at)
        points = GRID.centre_lps_mm + np.column_stack([n, at])[inside] @ axes.T
        points = points[GRID.contains(points, inset_mm=1e-6)]
        assert found.mask.contains(points).all()

    def test_contours_beside_the_slices_keep_their_last_tenth_of_a_millimetre(self):
        """Up to 0.11 mm off the slices: more than rounding, so none may be moved onto them."""
        axes, step = turned_axes("of the slices"), GRID.spacing_kji_mm[0] + 0.0363
        vu = np.array([[-5.0, -5.0], [-5.0, 5.0], [5.0, 5.0], [5.0, -5.0]])
        levels = step * np.arange(4)
        found = cover(
            [GRID.centre_lps_mm + np.column_stack([np.full(4, n), vu]) @ axes.T for n in levels]
        )
        end = levels[-1] + step / 2 - 2 * ON_PLANE_MM - 0.005
        assert found.mask.contains(GRID.centre_lps_mm + np.array([[end, 0.0, 0.0]]) @ axes.T).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_growth_is_bounded_as_it_says(self, kind):
        axes = turned_axes(kind)
        vu = (L_SHAPE - L_SHAPE.mean(axis=0)) * 0.8
        contours = [
            GRID.centre_lps_mm + np.column_stack([np.full(len(vu), n), vu]) @ axes.T
            for n in (-3.0, 0.0, 3.0)
        ]
        found = cover(contours)
        steps = np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
        kji = (np.argwhere(found.mask.inside)[:, None] + steps).reshape(-1, 3)
        at = (GRID.to_lps(kji) - GRID.centre_lps_mm) @ axes
        closest = np.maximum(np.abs(at[:, 0]) - 4.5, 0.0)
        off = np.where(crossings(vu, at[:, 1:]), 0.0, _distance_2d(vu, at[:, 1:]))
        assert np.hypot(closest, off).max() <= found.grown_mm
        assert found.grown_mm <= 4 * np.linalg.norm(GRID.spacing_kji_mm)

    @pytest.mark.parametrize("kind", KINDS)
    def test_centres_for_the_others(self, kind):
        axes = turned_axes(kind)
        vu = (L_SHAPE - L_SHAPE.mean(axis=0)) * 0.8
        contours = [
            GRID.centre_lps_mm + np.column_stack([np.full(len(vu), n), vu]) @ axes.T
            for n in (-2.99, 0.01, 3.01)
        ]
        found = at_centres(contours).mask.inside.ravel()
        kji = np.argwhere(np.ones(GRID.shape_kji, bool))
        at = (GRID.to_lps(kji) - GRID.centre_lps_mm) @ axes
        truth = (np.abs(at[:, 0] - 0.01) < 4.5) & crossings(vu, at[:, 1:])
        near = _distance_2d(vu, at[:, 1:]) < 0.4
        near |= np.abs(np.abs(at[:, 0] - 0.01) - 4.5) < 1e-3
        assert np.array_equal(found[~near], truth[~near]) and truth.any()

    def test_on_image_planes_each_plane_is_its_slice(self):
        found = cover(on_slices(SQUARE, (6, 7, 8)))
        assert np.flatnonzero(found.mask.inside.any(axis=(1, 2))).tolist() == [6, 7, 8]
        in_plane = 1.49 * np.linalg.norm(GRID.spacing_kji_mm[1:])
        assert found.grown_mm == pytest.approx(in_plane)

    def test_rounded_coordinates_stay_on_their_plane(self):
        rounded = [np.round(c, 2) for c in on_slices(SQUARE, (6, 7))]
        assert stacks_of(rounded, GRID)[0].is_on_image_planes
        assert cover(rounded).mask.inside.any(axis=(1, 2)).sum() == 2

    def test_between_planes_both_slices_are_touched(self):
        found = cover(on_slices(SQUARE, (6.4, 7.4)))
        assert np.flatnonzero(found.mask.inside.any(axis=(1, 2))).tolist() == [6, 7, 8]

    def test_pixel_centres_give_back_their_pixels(self):
        inside = cover(on_slices(SQUARE, (6,))).mask.inside[6]
        truth = np.zeros_like(inside)
        truth[8:20, 8:15] = True
        assert np.array_equal(inside, truth)

    def test_a_lone_plane_is_as_thick_as_a_slice(self):
        assert cover(on_slices(SQUARE, (6,))).mask.inside.any(axis=(1, 2)).sum() == 1
        across = GRID.to_lps(np.column_stack([SQUARE[:, 0] / 2, np.full(4, 15.0), SQUARE[:, 1]]))
        rows = np.flatnonzero(cover([across]).mask.inside.any(axis=(0, 2)))
        assert 15 in rows and len(rows) <= 3


class TestGaps:
    def stack(self, slices):
        return stacks_of(on_slices(SQUARE, slices), GRID)[0]

    def test_one_missing_plane_is_filled_for_obstacles_only(self):
        contours = on_slices(SQUARE, (4, 5, 7, 8))
        (gap,) = slabs_of(self.stack((4, 5, 7, 8)))[1]
        assert (gap.n_missing, gap.is_filled) == (1, True)
        assert gap.length_mm == pytest.approx(2 * 2.2)
        assert cover(contours).mask.inside[4:9].any(axis=(1, 2)).all()
        assert not at_centres(contours).mask.inside[6].any()

    def test_both_sides_hold_in_a_gap(self):
        shifted = SQUARE + [8.0, 6.0]
        contours = on_slices(SQUARE, (4, 5)) + on_slices(shifted, (8, 9))
        inside = cover(contours).mask.inside
        for k in (6, 7):
            assert inside[k, 9, 9] and inside[k, 26, 19]
        assert not inside[5, 26, 19] and not inside[8, 9, 9]

    def test_a_long_gap_stays_open(self):
        contours = on_slices(SQUARE, (2, 3, 9, 10))
        (gap,) = slabs_of(self.stack((2, 3, 9, 10)))[1]
        assert (gap.n_missing, gap.is_filled) == (5, False)
        assert np.flatnonzero(cover(contours).mask.inside.any(axis=(1, 2))).tolist() == [
            2,
            3,
            9,
            10,
        ]

    def test_every_second_slice_on_purpose_is_no_gap(self):
        slabs, gaps = slabs_of(self.stack((2, 4, 6, 8)))
        assert gaps == () and slabs[0].low_mm == pytest.approx(1 * 2.2)
        contours = on_slices(SQUARE, (2, 4, 6, 8))
        assert cover(contours).mask.inside[1:10].any(axis=(1, 2)).all()

    def test_two_planes_ask_the_other_structures(self):
        assert slabs_of(self.stack((2, 4)))[1][0].n_missing == 1
        assert slabs_of(self.stack((2, 4)), 4.4)[1] == ()

    def test_the_usual_step(self):
        assert usual_step_mm(np.array([3.0])) is None
        assert usual_step_mm(np.array([3.0, 9.0])) == 3.0


class TestDirections:
    def test_two_directions_are_two_stacks_and_both_count(self):
        upright = GRID.to_lps(np.column_stack([SQUARE[:, 0] / 2, np.full(4, 30.0), SQUARE[:, 1]]))
        contours = [*on_slices(SQUARE, (6, 7)), upright]
        stacks = stacks_of(contours, GRID)
        assert sorted(s.is_parallel for s in stacks) == [False, True]
        mask = cover(contours).mask
        assert mask.inside[6, 10, 10] and mask.inside[6, 30, 10]

    def test_a_contour_that_is_not_planar_is_refused_with_the_numbers(self):
        bent = on_slices(SQUARE, (6,))[0]
        bent[0] += GRID.axes_lps_from_kji[:, 0] * 9.0
        with pytest.raises(
            MaskError, match=r"not planar; seen: points up to \d\.\d\d mm.*contour 2"
        ):
            stacks_of([*on_slices(SQUARE, (4,)), bent], GRID)

    def test_a_slightly_bent_contour_widens_its_slab(self):
        bent = on_slices(SQUARE, (6,))[0]
        bent[0] += GRID.axes_lps_from_kji[:, 0] * 0.4
        assert cover([*on_slices(SQUARE, (5, 7)), bent]).mask.contains(bent).all()

    def test_too_many_directions_are_refused(self):
        contours = [
            on_slices(SQUARE, (6,))[0] @ Rotation.from_rotvec([0.2 * n, 0.1 * n, 0]).as_matrix().T
            for n in range(1, 15)
        ]
        with pytest.raises(MaskError, match="too many directions"):
            stacks_of(contours, GRID)

    def test_a_contour_without_area_is_kept(self):
        line = GRID.to_lps(np.array([[6.0, 8.0, 8.0], [6.0, 12.0, 12.0], [6.0, 8.0, 8.0]]))
        assert cover([line]).mask.inside[6, 10, 10]

    def test_nothing(self):
        assert cover([]).mask.n_voxels == 0 and at_centres([]).mask.n_voxels == 0


class TestOpenContours:
    def test_a_nerve_drawn_as_a_line_is_covered_and_not_an_area(self):
        nerve = GRID.to_lps(np.array([[2.0, 4.0, 4.0], [9.0, 20.0, 9.0], [16.0, 22.0, 20.0]]))
        found = cover([], lines=[nerve])
        along = np.concatenate(
            [nerve[0] + t * (nerve[1] - nerve[0]) for t in np.linspace(0, 1, 99)[:, None]]
        )
        assert found.mask.contains(along.reshape(-1, 3)).all()
        assert 20 < found.mask.n_voxels < 400

    def test_a_point_is_a_voxel(self):
        found = cover([], lines=[GRID.to_lps([[6.0, 8.0, 8.0]])])
        assert np.argwhere(found.mask.inside).tolist() == [[6, 8, 8]]


def _distance_2d(polygon, points):
    best = np.full(len(points), np.inf)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = b - a
        t = np.clip((points - a) @ along / max(along @ along, 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * along, axis=1))
    return best


def test_the_image_axes_are_used_as_they_are():
    plain = Grid.from_axes((6, 40, 40), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    (stack,) = stacks_of(on_slices(SQUARE, (2, 3), plain), plain)
    assert stack.axes is plain and [p.at_mm for p in stack.planes] == [6.0, 9.0]
