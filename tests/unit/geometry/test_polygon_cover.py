"""Polygons on pixels: nothing of a region to avoid is lost, holes are open, doubt is joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MaskError
from planner.geometry import polygon_cover
from planner.geometry.polygon_cover import PlanePolygons, centre_pixels, touched_pixels

SHAPE = (13, 17)
PIXEL = (0.5, 0.5)


def rectangle(low_v, low_u, high_v, high_u):
    return np.array([[low_v, low_u], [low_v, high_u], [high_v, high_u], [high_v, low_u]], float)


def touched(*polygons, half=PIXEL, shape=SHAPE):
    return touched_pixels(PlanePolygons.of(polygons), shape, half)


def centres(*polygons, shape=SHAPE):
    return centre_pixels(PlanePolygons.of(polygons), shape)


def crossings(polygon, points_vu):
    """Whether points lie in a polygon, by counting the edges to the right of each."""
    inside = np.zeros(len(points_vu), bool)
    for (v0, u0), (v1, u1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        spans = (v0 <= points_vu[:, 0]) != (v1 <= points_vu[:, 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = u0 + (points_vu[:, 0] - v0) * (u1 - u0) / (v1 - v0)
        inside ^= spans & (at > points_vu[:, 1])
    return inside


def turns_about(polygon, point_vu):
    """Winding number as the sum of the angles under which the edges are seen."""
    seen = np.arctan2(*(polygon - point_vu).T)
    steps = np.diff(np.append(seen, seen[0]))
    return round(np.sum((steps + np.pi) % (2 * np.pi) - np.pi) / (2 * np.pi))


def pixels_of(points_vu, shape=SHAPE):
    index = np.floor(points_vu + 0.5).astype(int)
    ok = np.all((index >= 0) & (index < shape), axis=1)
    return index, ok


coordinate = st.floats(-3.0, 19.0, allow_nan=False).map(lambda x: round(x, 3))
a_polygon = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9).map(np.array)


class TestTouched:
    @given(polygon=a_polygon, seed=st.integers(0, 2**16))
    @settings(max_examples=100, deadline=None)
    def test_no_point_of_a_polygon_lies_in_an_unset_pixel(self, polygon, seed):
        rng = np.random.default_rng(seed)
        points = rng.uniform([-0.5, -0.5], np.array(SHAPE) - 0.5, (3000, 2))
        within = points[crossings(polygon, points)]
        ends = np.concatenate(
            [polygon + t * (np.roll(polygon, -1, axis=0) - polygon) for t in np.linspace(0, 1, 41)]
        )
        index, ok = pixels_of(np.concatenate([within, ends]))
        assert touched(polygon).inside[tuple(index[ok].T)].all()

    @given(polygon=a_polygon)
    @settings(max_examples=30, deadline=None)
    def test_every_set_pixel_meets_the_polygon(self, polygon):
        inside = touched(polygon, half=(0.5, 0.5)).inside
        edges = np.concatenate(
            [
                polygon + t * (np.roll(polygon, -1, axis=0) - polygon)
                for t in np.linspace(0, 1, 1001)
            ]
        )
        for centre in np.argwhere(inside):
            near = np.abs(edges - centre).max(axis=1).min() <= 0.5 + 0.03
            assert near or turns_about(polygon, centre) != 0

    def test_half_a_pixel_more_undoes_tracing_on_pixel_centres(self):
        traced = rectangle(3, 5, 6, 9)
        out = touched(traced, half=(0.99, 0.99)).inside
        assert np.array_equal(np.argwhere(out).min(axis=0), [3, 5])
        assert np.array_equal(np.argwhere(out).max(axis=0), [6, 9])
        on_edges = touched(rectangle(2.5, 4.5, 6.5, 9.5), half=(0.99, 0.99)).inside
        assert np.argwhere(on_edges).min(axis=0).tolist() == [2, 4]
        assert np.argwhere(on_edges).max(axis=0).tolist() == [7, 10]

    def test_a_sliver_without_area_is_kept(self):
        line = np.array([[2.0, 2.0], [5.0, 9.0], [2.0, 2.0]])
        assert touched(line).inside[2, 2] and touched(line).inside[5, 9]
        assert not centres(line).any()

    def test_beyond_the_lattice_nothing_is_written_and_what_reaches_in_is(self):
        assert not touched(rectangle(-9, -9, -2, -2)).inside.any()
        assert not touched(rectangle(40, 40, 50, 50)).inside.any()
        assert touched(rectangle(-1e6, -1e6, 1e6, 1e6)).inside.all()
        assert centres(rectangle(-1e6, -1e6, 1e6, 1e6)).all()

    def test_nothing_of_nothing(self):
        assert not touched().inside.any() and not centres().any()


class TestHoles:
    OUTER, HOLE, ISLAND = rectangle(1, 1, 11, 15), rectangle(3, 3, 9, 13), rectangle(5, 6, 7, 9)

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    @pytest.mark.parametrize("turned", [False, True])
    def test_nested_polygons_alternate(self, order, turned):
        three = [self.OUTER, self.HOLE[::-1] if turned else self.HOLE, self.ISLAND]
        found = touched(*(three[n] for n in order))
        for inside in (found.inside, centres(*(three[n] for n in order))):
            assert inside[2, 2] and not inside[4, 4] and inside[6, 7] and not inside[6, 11]
        assert (found.n_holes, found.n_joined) == (1, 0)

    def test_a_keyhole_is_open(self):
        outer, hole = self.OUTER, self.HOLE[::-1]
        keyhole = np.concatenate([outer, outer[:1], hole, hole[:1]])
        for inside in (touched(keyhole).inside, centres(keyhole)):
            assert inside[2, 2] and not inside[6, 6]

    @pytest.mark.parametrize(
        "other",
        [
            rectangle(1, 1, 11, 15),  # drawn twice
            rectangle(4, 8, 8, 30),  # crosses
            rectangle(1, 4, 8, 12),  # shares an edge
            np.array([[1.0, 8.0], [6.0, 4.0], [6.0, 12.0]]),  # touches in one point
        ],
    )
    def test_polygons_that_meet_are_joined_to_avoid(self, other):
        found = touched(self.OUTER, other)
        assert found.inside[1:12, 1:16].all()
        assert (found.n_holes, found.n_joined) == (0, 2)

    def test_the_same_polygon_twice_is_nothing_for_a_target(self):
        assert not centres(self.OUTER, self.OUTER).any()

    def test_a_joined_polygon_over_a_hole_fills_it(self):
        # The third crosses the outer one and covers the hole without touching its edge.
        over = rectangle(2, 2, 10, 30)
        assert touched(self.OUTER, self.HOLE, over).inside[1:12, 1:16].all()

    def test_islands_that_cross_each_other_in_a_hole_are_kept(self):
        pair = [rectangle(3.6, 4, 8.4, 9), rectangle(4.6, 6, 7.6, 12)]
        for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
            four = [self.OUTER, self.HOLE, *pair]
            found = touched(*(four[n] for n in order))
            assert found.inside[6, 5] and found.inside[6, 8] and found.inside[6, 10]
            assert not found.inside[4, 11] and (found.n_holes, found.n_joined) == (1, 2)

    def test_a_self_crossing_polygon_counts_wherever_it_winds(self):
        twice = np.concatenate([self.OUTER, self.HOLE])
        assert touched(twice).inside[6, 6]

    def test_without_time_to_compare_everything_is_joined(self, monkeypatch):
        monkeypatch.setattr(polygon_cover, "MAX_PAIRS", 3)
        assert touched(self.OUTER, self.HOLE).inside[6, 6]
        monkeypatch.setattr(polygon_cover, "MAX_NESTED", 1)
        assert touched(self.OUTER, self.HOLE).inside[6, 6]

    def test_too_much_to_fill_is_refused(self, monkeypatch):
        monkeypatch.setattr(polygon_cover, "MAX_PIXELS", 100)
        with pytest.raises(
            MaskError, match=r"fill too many pixels; seen: 1.4e\+02 pixels in 1 contours"
        ):
            touched(self.OUTER)
        with pytest.raises(MaskError, match="fill too many pixels"):
            centres(self.OUTER)


class TestCentres:
    @given(polygons=st.lists(a_polygon, min_size=1, max_size=3))
    @settings(max_examples=100, deadline=None)
    def test_parity_of_the_centres(self, polygons):
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
        points = grid.reshape(-1, 2) + 0.0
        truth = np.zeros(len(points), bool)
        for polygon in polygons:
            truth ^= crossings(polygon, points)
        near = np.zeros(len(points), bool)  # on an edge either answer is right
        for polygon in polygons:
            for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                along = b - a
                t = np.clip((points - a) @ along / max(along @ along, 1e-12), 0, 1)
                near |= np.linalg.norm(points - a - t[:, None] * along, axis=1) < 1e-6
        found = centres(*polygons).ravel()
        assert np.array_equal(found[~near], truth[~near])

    def test_neighbours_share_no_pixel_and_leave_none(self):
        left, right = rectangle(2, 2, 8, 6), rectangle(2, 6, 8, 11)
        one, other = centres(left), centres(right)
        assert not (one & other).any()
        assert np.array_equal(one | other, centres(rectangle(2, 2, 8, 11)))
