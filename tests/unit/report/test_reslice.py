"""Where things appear on a resliced plane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from planner.errors import DegenerateGeometryError
from planner.geometry import Grid, Mask, Volume
from planner.geometry.frames import CRANIAL_LPS
from planner.report.reslice import (
    PlaneSpec,
    along_normals,
    barrel_directions,
    picture_directions,
    plane_name,
    reslice,
    reslice_mask,
)


def plane_through(point, right, down, *, pixel_mm=0.1, width_mm=14.1, height_mm=11.1) -> PlaneSpec:
    return PlaneSpec(
        centre_lps_mm=point,
        right_lps=right,
        down_lps=down,
        width_mm=width_mm,
        height_mm=height_mm,
        pixel_mm=pixel_mm,
    )


def directions(rng: np.random.Generator, n: int) -> np.ndarray:
    """Unit vectors; those within 6 degrees of the body axis have a test of their own."""
    vectors = rng.normal(size=(2 * n + 20, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[np.hypot(vectors[:, 0], vectors[:, 1]) > 0.1][:n]


def test_marker_voxel_is_where_the_plane_predicts(oriented_grid: Grid, rng):
    """For every orientation of the array and 20 orientations of the plane."""
    voxel = (5, 9, 4)
    inside = np.zeros(oriented_grid.shape_kji, bool)
    inside[voxel] = True
    volume = Volume(grid=oriented_grid, values=inside.astype(np.float32) * 100)
    marker = oriented_grid.to_lps(voxel)
    for rotation in Rotation.random(20, rng=rng):
        right, down = rotation.as_matrix()[:, 0], rotation.as_matrix()[:, 1]
        shift = rng.integers(-20, 20, 2) * 0.1  # whole pixels: the peak is at a pixel's centre
        plane = plane_through(marker + shift[0] * right + shift[1] * down, right, down)
        image = reslice(volume, plane)
        brightest = np.unravel_index(np.nanargmax(image), image.shape)
        predicted = plane.to_pixel(marker)
        np.testing.assert_allclose(predicted, brightest, atol=1e-6)
        assert image[brightest] == pytest.approx(100.0, abs=1e-3)
        mask = reslice_mask(Mask(grid=oriented_grid, inside=inside), plane)
        assert mask[tuple(np.round(predicted).astype(int))] == 1.0


def test_pixels_and_points_agree_both_ways(rng):
    right, down = picture_directions([0.2, 0.5, 0.8])
    plane = plane_through(np.array([3.0, -8.0, 90.0]), right, down, pixel_mm=0.7)
    points = plane.points_lps_mm()
    rows, columns = plane.shape
    assert points.shape == (rows, columns, 3)
    expected = np.moveaxis(np.indices((rows, columns)), 0, -1)
    np.testing.assert_allclose(plane.to_pixel(points), expected, atol=1e-9)
    np.testing.assert_allclose(plane.to_plane_mm(points)[..., 2], 0.0, atol=1e-9)


def test_off_plane_distance_is_positive_away_from_the_viewer():
    plane = plane_through(np.zeros(3), [1, 0, 0], [0, 1, 0])  # axial, seen from the feet
    assert plane.to_plane_mm([0.0, 0.0, 4.0])[2] == pytest.approx(4.0)


def test_outside_the_volume_is_nan_not_zero(oriented_grid: Grid):
    volume = Volume(grid=oriented_grid, values=np.ones(oriented_grid.shape_kji, np.int16))
    plane = plane_through(
        oriented_grid.centre_lps_mm, [1, 0, 0], [0, 1, 0], width_mm=300, height_mm=300, pixel_mm=5
    )
    image = reslice(volume, plane)
    inside = oriented_grid.contains(plane.points_lps_mm())
    assert np.array_equal(np.isfinite(image), inside)
    assert inside.any() and not inside.all()


@pytest.mark.parametrize(
    ("normal", "left", "right", "top", "bottom"),
    [
        ([0, 0, 1], "R", "L", "A", "P"),
        ([0, 0, -1], "R", "L", "A", "P"),
        ([0, 1, 0], "R", "L", "H", "F"),
        ([-1, 0, 0], "A", "P", "H", "F"),
        ([0, 0.5, 0.866], "R", "L", "AH", "PF"),
    ],
)
def test_pictures_follow_the_radiological_convention(normal, left, right, top, bottom):
    plane = plane_through(np.zeros(3), *picture_directions(normal))
    letters = plane.letters
    assert (letters.left, letters.right, letters.top, letters.bottom) == (left, right, top, bottom)
    assert abs(plane.normal_lps @ np.array(normal)) == pytest.approx(1.0, abs=1e-3)


def test_along_planes_hold_the_needle_and_stand_on_each_other(rng):
    for direction in directions(rng, 200):
        first, second = along_normals(direction)
        assert abs(first @ direction) < 1e-9
        assert abs(second @ direction) < 1e-9
        assert abs(first @ second) < 1e-9


def test_first_plane_is_the_one_closest_to_axial(rng):
    for direction in directions(rng, 50):
        first, second = along_normals(direction)
        turns = np.linspace(0, np.pi, 180)[:, None]
        others = np.cos(turns) * first + np.sin(turns) * second
        assert abs(first @ CRANIAL_LPS) >= np.abs(others @ CRANIAL_LPS).max() - 1e-9


def test_second_plane_of_an_oblique_needle_has_the_head_exactly_up(rng):
    for direction in directions(rng, 50):
        _, second = along_normals(direction)
        _, down = picture_directions(second)
        np.testing.assert_allclose(down, -CRANIAL_LPS, atol=1e-9)


def test_needle_along_the_body_takes_coronal_and_sagittal():
    first, second = along_normals([0.0, 0.01, -1.0])
    assert plane_name(first).startswith("coronal")
    assert plane_name(second).startswith("sagittal")


def test_down_the_barrel_looks_from_the_hub_with_the_head_up(rng):
    for direction in directions(rng, 100):
        right, down = barrel_directions(direction)
        np.testing.assert_allclose(np.cross(right, down), direction, atol=1e-9)
        up = CRANIAL_LPS if abs(direction[2]) < np.cos(np.pi / 6) else np.array([0.0, -1.0, 0.0])
        assert -down @ up >= 0.0


def test_from_behind_the_patients_left_is_on_the_left():
    right, _ = barrel_directions([0.0, -1.0, 0.0])  # from posterior towards anterior
    np.testing.assert_allclose(right, [-1.0, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("normal", "name"),
    [([0, 0, 1], "axial"), ([0, 0.2079, 0.9781], "axial, 12° oblique"), ([1, 0, 0], "sagittal")],
)
def test_plane_names(normal, name):
    assert plane_name(normal) == name


def test_skew_directions_are_refused():
    with pytest.raises(DegenerateGeometryError, match="not at right angles"):
        plane_through(np.zeros(3), [1, 0, 0], [0.1, 1, 0])


def test_empty_field_of_view_is_refused():
    with pytest.raises(DegenerateGeometryError, match="no usable size"):
        plane_through(np.zeros(3), [1, 0, 0], [0, 1, 0], width_mm=0.0)
