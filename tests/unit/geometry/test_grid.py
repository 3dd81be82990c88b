"""Grid, frames and patient position: exact, and strict about what cannot be exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from planner.errors import DegenerateGeometryError, GridMismatchError
from planner.geometry import FrameId, Grid, Mask, PatientPosition, Volume
from planner.geometry.frames import lps_from_ras, orientation_letters, ras_from_lps, unit

ROUND_TRIP_MM = 1e-9


def test_index_and_world_round_trip(oriented_grid):
    points = np.random.default_rng(1).uniform(-300, 300, (50, 3))
    back = oriented_grid.to_lps(oriented_grid.to_kji(points))
    assert np.abs(back - points).max() <= ROUND_TRIP_MM


def test_axes_mm_keeps_distances(oriented_grid):
    a, b = np.random.default_rng(2).uniform(-300, 300, (2, 30, 3))
    moved = oriented_grid.to_axes_mm(a) - oriented_grid.to_axes_mm(b)
    assert np.allclose(np.linalg.norm(moved, axis=1), np.linalg.norm(a - b, axis=1), atol=1e-9)


def test_integer_index_is_a_voxel_centre_and_faces_are_half_a_voxel_out(oriented_grid):
    n = np.array(oriented_grid.shape_kji)
    assert np.allclose(oriented_grid.to_lps([0, 0, 0]), oriented_grid.origin_lps_mm)
    assert np.allclose(oriented_grid.centre_lps_mm, oriented_grid.to_lps((n - 1) / 2))
    assert oriented_grid.contains(oriented_grid.to_lps(n - 0.5 - 1e-6))
    assert not oriented_grid.contains(oriented_grid.to_lps(n - 0.5 + 1e-6))
    assert not oriented_grid.contains(oriented_grid.to_lps([-0.5 - 1e-6, 1, 1]))
    assert not oriented_grid.contains([np.nan, 0, 0])
    assert not oriented_grid.contains(oriented_grid.to_lps([0, 5, 5]), inset_mm=2.1)


def test_a_crop_keeps_world_positions(oriented_grid):
    part = oriented_grid.cropped([2, 3, 1], [7, 9, 8])
    assert part.shape_kji == (5, 6, 7)
    assert np.allclose(part.to_lps([1, 2, 3]), oriented_grid.to_lps([3, 5, 4]))


@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 10)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
@settings(max_examples=100, deadline=None)
def test_any_rotation_and_spacing_is_recovered(angles, spacing, origin):
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    grid = Grid.from_axes((4, 5, 6), spacing, origin, axes)
    assert np.allclose(grid.spacing_kji_mm, spacing, rtol=1e-12)
    assert np.allclose(grid.axes_lps_from_kji, axes, atol=1e-12)
    points = np.array([[1.0, 2.0, 3.0], [0.0, -4.0, 9.0]])
    assert np.allclose(grid.to_kji(grid.to_lps(points)), points, atol=1e-9)


def _with(change):
    matrix = np.diag([2.0, 1.0, 1.0, 1.0])
    change(matrix)
    return matrix


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.__setitem__((0, 0), np.nan), "finite"),
        (lambda m: m.__setitem__((0, 0), 0.0), "singular"),
        (lambda m: m.__setitem__((1, 0), 0.1), "sheared"),
        (lambda m: m.__setitem__((3, 0), 0.5), "last row"),
    ],
)
def test_affines_that_are_no_lattice_are_refused(change, match):
    with pytest.raises(DegenerateGeometryError, match=match):
        Grid(shape_kji=(2, 2, 2), lps_from_kji=_with(change), frame=FrameId(None))


def test_a_shape_without_voxels_is_refused():
    with pytest.raises(DegenerateGeometryError, match="positive sizes"):
        Grid.from_axes((2, 0, 2), (1, 1, 1), (0, 0, 0))


def test_arrays_of_another_shape_are_refused(oriented_grid):
    with pytest.raises(GridMismatchError, match="shape"):
        Volume(grid=oriented_grid, values=np.zeros((3, 3, 3)))
    with pytest.raises(GridMismatchError, match="shape"):
        Mask(grid=oriented_grid, inside=np.zeros((3, 3, 3), bool))


def test_values_cannot_be_written_by_accident(oriented_grid):
    volume = Volume(grid=oriented_grid, values=np.zeros(oriented_grid.shape_kji))
    with pytest.raises(ValueError, match="read-only"):
        volume.values[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        oriented_grid.lps_from_kji[0, 0] = 1


def test_mask_contains_by_voxel_box(oriented_grid):
    inside = np.zeros(oriented_grid.shape_kji, bool)
    inside[4, 5, 6] = True
    mask = Mask(grid=oriented_grid, inside=inside)
    assert mask.contains(oriented_grid.to_lps([4.49, 4.51, 6.4]))
    assert not mask.contains(oriented_grid.to_lps([4.51, 5.0, 6.0]))
    assert not mask.contains(np.array([np.nan, 0.0, 0.0]))
    assert not mask.contains(oriented_grid.to_lps([-50, 0, 0]))
    start, stop = mask.bounds_kji()
    assert tuple(start) == (4, 5, 6)
    assert tuple(stop) == (5, 6, 7)


def test_an_unknown_frame_equals_nothing():
    unknown = FrameId(None, "scanner")
    assert not unknown.same_as(unknown)
    assert not unknown.same_as(FrameId("1.2"))
    assert FrameId("1.2").same_as(FrameId("1.2", "other label"))
    assert not FrameId("1.2").same_as(FrameId("1.3"))


def test_ras_and_lps_differ_in_the_sign_of_two_axes():
    assert np.array_equal(ras_from_lps([1, 2, 3]), [-1, -2, 3])
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(lps_from_ras(ras_from_lps(points)), points)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, 0, -1), "F"),
        ((0.5, -0.8, 0), "AL"),
    ],
)
def test_orientation_letters(direction, letters):
    assert orientation_letters(direction) == letters


def test_a_direction_without_length_is_refused():
    with pytest.raises(DegenerateGeometryError, match="no usable length"):
        unit([0, 0, 0])


@pytest.mark.parametrize(
    ("code", "down"),
    [
        ("HFS", (0, 1, 0)),
        ("FFS", (0, 1, 0)),
        ("HFP", (0, -1, 0)),
        ("FFP", (0, -1, 0)),
        ("HFDR", (-1, 0, 0)),
        ("FFDR", (-1, 0, 0)),
        ("HFDL", (1, 0, 0)),
        ("FFDL", (1, 0, 0)),
    ],
)
def test_down_follows_the_patient_not_the_scanner(code, down):
    assert np.array_equal(PatientPosition.from_dicom(code).down_lps, down)


@pytest.mark.parametrize("code", [None, "", "SITTING", "HF"])
def test_a_position_that_is_not_known_has_no_down(code):
    assert PatientPosition.from_dicom(code).down_lps is None
