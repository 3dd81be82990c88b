"""Surface meshes on voxels: solids with a known inside, cut, open, overlapping, huge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import DegenerateGeometryError, MaskError
from planner.geometry import Grid, mesh_cover
from planner.geometry.mesh_cover import (
    TriangleMesh,
    centres_in_mesh,
    cover_line,
    cover_mesh,
    part_outside,
)
from planner.geometry.threads import use_threads
from tests.meshes import box, cylinder, is_inside, joined, moved, oblique_grid, sphere, torus

GRID = oblique_grid()
CENTRE = GRID.centre_lps_mm
SOLIDS = {
    "sphere": sphere(CENTRE, 9.0),
    "box": box(CENTRE - [6.0, 4.0, 8.0], CENTRE + [6.0, 4.0, 8.0]),
    "torus": torus(CENTRE, 8.0, 2.5),
    "thin rod": cylinder(CENTRE - [9.0, 6.0, 4.0], CENTRE + [7.0, 8.0, 3.0], 0.2),
    "cut rod": cylinder(CENTRE - [90.0, 60.0, 40.0], CENTRE + [70.0, 80.0, 30.0], 3.1),
    "cut sphere": sphere(GRID.to_lps([0.0, 3.0, 2.0]), 12.0),
    "around all": sphere(CENTRE, 80.0),
}


def points_in(grid: Grid, n: int, seed: int = 1):
    rng = np.random.default_rng(seed)
    return grid.to_lps(rng.uniform(-0.5, np.array(grid.shape_kji) - 0.5, (n, 3)))


@pytest.mark.parametrize("name", SOLIDS)
class TestSolids:
    def test_no_point_of_the_solid_is_lost(self, name):
        mesh = SOLIDS[name]
        cover = cover_mesh(mesh, GRID, is_closed=True).mask
        points = points_in(GRID, 2500)
        assert cover.contains(points[is_inside(mesh, points)]).all()
        corners = mesh.points_lps_mm[mesh.triangles]
        weights = np.random.default_rng(3).dirichlet(np.ones(3), (200, len(corners)))
        surface = np.einsum("stc,tcx->stx", weights[:20], corners).reshape(-1, 3)
        surface = np.concatenate([surface, mesh.points_lps_mm])
        assert cover.contains(surface[GRID.contains(surface, inset_mm=1e-6)]).all()

    def test_every_set_voxel_meets_the_solid(self, name):
        mesh = SOLIDS[name]
        moved_mask = cover_mesh(mesh, GRID, is_closed=True)
        only = moved_mask.mask.inside & ~centres_in_mesh(mesh, GRID).mask.inside
        for kji in np.argwhere(only)[::7]:
            triangles = GRID.to_kji(mesh.points_lps_mm)[mesh.triangles]
            assert meets_cube(triangles - kji).any()
        assert moved_mask.grown_mm == pytest.approx(np.linalg.norm(GRID.spacing_kji_mm))

    def test_centres_are_those_of_the_solid(self, name):
        mesh = SOLIDS[name]
        kji = np.argwhere(np.ones(GRID.shape_kji, bool))[::11]
        inside = centres_in_mesh(mesh, GRID).mask.inside[tuple(kji.T)]
        assert np.array_equal(inside, is_inside(mesh, GRID.to_lps(kji)))

    def test_centres_are_never_outside_the_cover(self, name):
        mesh = SOLIDS[name]
        cover = cover_mesh(mesh, GRID, is_closed=True).mask.inside
        assert not (centres_in_mesh(mesh, GRID).mask.inside & ~cover).any()

    def test_closed(self, name):
        assert SOLIDS[name].n_open_edges() == 0


def meets_cube(triangles, half=0.5 + 1e-5):
    """Separating axes of each triangle and a cube about the origin (Akenine-Moeller 2001)."""
    edges = np.roll(triangles, -1, axis=1) - triangles
    axes = [np.broadcast_to(np.eye(3)[n], (len(triangles), 3)) for n in range(3)]
    axes.append(np.cross(edges[:, 0], edges[:, 1]))
    axes += [np.cross(np.eye(3)[n], edges[:, m]) for n in range(3) for m in range(3)]
    meets = np.ones(len(triangles), bool)
    for axis in axes:
        at = np.einsum("tcx,tx->tc", triangles, axis)
        reach = half * np.abs(axis).sum(axis=1) + 1e-12
        meets &= (at.min(axis=1) <= reach) & (at.max(axis=1) >= -reach)
    return meets


class TestOneTriangle:
    @given(corners=st.lists(st.tuples(*3 * [st.floats(-2, 8)]), min_size=3, max_size=3))
    @settings(max_examples=150, deadline=None)
    def test_the_same_voxels_as_separating_axes(self, corners):
        grid = Grid.from_axes((5, 6, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        kji = np.round(np.array(corners), 3)
        mesh = TriangleMesh(grid.to_lps(kji), np.array([[0, 1, 2]]))
        found = np.zeros(grid.shape_kji, bool)
        mesh_cover._mark(kji, mesh.triangles, np.full(3, 0.5 + 1e-6), found)
        shifted = kji - np.argwhere(np.ones(found.shape, bool))[:, None]
        at_least, at_most = meets_cube(shifted, 0.5), meets_cube(shifted, 0.5 + 1e-5)
        assert not (at_least & ~found.ravel()).any()
        assert not (found.ravel() & ~at_most).any()

    def test_on_a_face_it_sets_both_sides(self):
        found = np.zeros((4, 4, 4), bool)
        wall = np.array([[1.5, 0.0, 0.0], [1.5, 3.0, 0.0], [1.5, 0.0, 3.0]])
        mesh_cover._mark(wall, np.array([[0, 1, 2]]), np.full(3, 0.5 + 1e-6), found)
        assert found[1, 1, 1] and found[2, 1, 1] and not found[0].any() and not found[3].any()


class TestLines:
    def test_a_line_and_a_point(self):
        found = np.zeros((5, 9, 9), bool)
        cover_line(np.array([[2.0, 1.0, 1.0], [2.0, 7.0, 7.0]]), np.full(3, 0.5), found)
        assert found[2][np.arange(1, 8), np.arange(1, 8)].all()
        point = np.zeros((5, 9, 9), bool)
        cover_line(np.array([[2.0, 4.0, 4.0]]), np.full(3, 0.99), point)
        assert np.argwhere(point).tolist() == [[2, 4, 4]]
        cover_line(np.array([[2.0, 4.4, 4.0]]), np.full(3, 0.99), point)
        assert point[2, 5, 4]


class TestWhatIsEnclosed:
    def test_an_open_tube_keeps_its_wall_and_not_its_inside(self):
        tube = cylinder(CENTRE - [0, 0, 9.0], CENTRE + [0, 0, 9.0], 6.0, capped=False)
        assert tube.n_open_edges() == 40
        cover = cover_mesh(tube, GRID, is_closed=False).mask
        assert cover.contains(CENTRE + [5.95, 0.0, 0.0]) and not cover.contains(CENTRE)

    def test_a_small_leak_is_closed_by_the_voxels(self):
        ball = sphere(CENTRE, 9.0, n=60)
        leaky = TriangleMesh(ball.points_lps_mm, ball.triangles[5:])
        assert leaky.n_open_edges() > 0
        assert cover_mesh(leaky, GRID, is_closed=False).mask.contains(CENTRE)

    def test_a_hollow_is_filled_for_obstacles_and_not_for_the_others(self):
        hollow = joined(sphere(CENTRE, 10.0), sphere(CENTRE, 6.0))
        assert cover_mesh(hollow, GRID, is_closed=True).mask.contains(CENTRE)
        assert not centres_in_mesh(hollow, GRID).mask.contains(CENTRE)

    def test_parts_that_overlap_are_both_kept_where_the_image_cuts_them(self):
        start, end = CENTRE - [0.0, 0.0, 60.0], CENTRE + [0.0, 0.0, 60.0]
        two = joined(cylinder(start, end, 6.0), cylinder(start + [3, 0, 0], end + [3, 0, 0], 6.0))
        cover = cover_mesh(two, GRID, is_closed=True).mask
        points = points_in(GRID, 3000)
        from_axis = np.linalg.norm((points - CENTRE)[:, :2], axis=1)
        assert cover.contains(points[from_axis < 5.8]).all()
        assert not cover.contains(points[from_axis > 13.0]).any()

    def test_triangles_turned_either_way_enclose_the_same(self):
        mesh = SOLIDS["cut sphere"]
        faces = mesh.triangles.copy()
        faces[::2] = faces[::2, ::-1]
        mixed = TriangleMesh(mesh.points_lps_mm, faces)
        points = points_in(GRID, 3000)
        cover = cover_mesh(mixed, GRID, is_closed=True).mask
        assert cover.contains(points[is_inside(mesh, points)]).all()
        one, other = (centres_in_mesh(m, GRID).mask.inside for m in (mesh, mixed))
        assert np.array_equal(one, other)

    def test_an_open_surface_that_the_image_cuts_keeps_what_no_free_side_reaches(self):
        start, end = CENTRE - [0.0, 0.0, 60.0], CENTRE + [0.0, 0.0, 60.0]
        tube = cylinder(start, end, 6.0, capped=False)
        assert cover_mesh(tube, GRID, is_closed=False).mask.contains(CENTRE)

    def test_several_parts(self):
        two = joined(sphere(CENTRE - [7, 0, 0], 3.0), sphere(CENTRE + [7, 0, 0], 3.0))
        cover = cover_mesh(two, GRID, is_closed=True).mask
        assert cover.contains(CENTRE - [7, 0, 0]) and cover.contains(CENTRE + [7, 0, 0])
        assert not cover.contains(CENTRE)


class TestBounds:
    def test_far_away_is_nothing(self):
        assert (
            cover_mesh(moved(SOLIDS["box"], [900, 0, 0]), GRID, is_closed=True).mask.n_voxels == 0
        )
        assert centres_in_mesh(moved(SOLIDS["box"], [900, 0, 0]), GRID).mask.n_voxels == 0

    def test_a_mesh_without_triangles_is_nothing(self):
        empty = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
        assert cover_mesh(empty, GRID, is_closed=True).mask.n_voxels == 0
        assert empty.n_open_edges() == 0

    def test_too_many_large_triangles_are_refused(self, monkeypatch):
        monkeypatch.setattr(mesh_cover, "MAX_LINES", 1000)
        with pytest.raises(MaskError, match="too many large triangles"):
            cover_mesh(SOLIDS["around all"], GRID, is_closed=True)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_point_that_is_no_number_is_refused(self, bad):
        with pytest.raises(DegenerateGeometryError, match="not a finite number"):
            TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0, bad, 0]]), np.array([[0, 1, 2]]))

    def test_a_triangle_without_its_point_is_refused(self):
        with pytest.raises(DegenerateGeometryError, match="does not have; seen: 0 to 3"):
            TriangleMesh(np.eye(3), np.array([[0, 1, 3]]))

    def test_share_outside(self):
        assert part_outside(SOLIDS["box"], GRID) == 0.0
        assert part_outside(moved(SOLIDS["box"], [900, 0, 0]), GRID) == 1.0
        assert 0.2 < part_outside(SOLIDS["cut sphere"], GRID) < 0.9

    def test_the_same_on_one_thread_and_two(self):
        with use_threads(1):
            one = cover_mesh(SOLIDS["cut sphere"], GRID, is_closed=True).mask.inside
        with use_threads(2):
            two = cover_mesh(SOLIDS["cut sphere"], GRID, is_closed=True).mask.inside
        assert np.array_equal(one, two)
