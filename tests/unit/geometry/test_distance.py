"""Distance fields against scipy, SimpleITK and analytic boxes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from planner.errors import DegenerateGeometryError
from planner.geometry import Grid, Mask
from planner.geometry.distance import Metric, distance_field, distance_to_mask_mm
from tests.scenes import random_blobs

TOL_MM = 1e-4
"""What DESIGN fixes; three integer roundings give about 1e-6."""


@pytest.mark.parametrize("spacing", [(1.2, 0.8, 0.8), (4.0, 0.5, 0.5), (0.6, 3.0, 1.0)])
@pytest.mark.parametrize("cap_mm", [3.0, 12.5, 40.0])
def test_centre_metric_equals_scipy_up_to_the_cap(spacing, cap_mm):
    grid = Grid.from_axes((23, 41, 37), spacing, (0, 0, 0))
    inside = random_blobs(grid, seed=3).inside
    expected = ndimage.distance_transform_edt(~inside, sampling=spacing)
    found = distance_to_mask_mm(inside, spacing, cap_mm)
    assert np.abs(found - np.minimum(expected, cap_mm)).max() <= TOL_MM


def test_centre_metric_equals_simpleitk():
    sitk = pytest.importorskip("SimpleITK")
    spacing = (2.0, 0.7, 0.9)
    inside = random_blobs(Grid.from_axes((20, 40, 30), spacing, (0, 0, 0)), seed=8).inside
    image = sitk.GetImageFromArray(inside.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    maurer = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    )
    found = distance_to_mask_mm(inside, spacing, 60.0)
    assert np.abs(found - np.maximum(maurer, 0))[~inside].max() <= TOL_MM


def test_rows_longer_than_one_chunk_are_joined():
    inside = np.zeros((3, 4, 1300), bool)
    inside[1, 2, 640] = True
    expected = ndimage.distance_transform_edt(~inside, sampling=(1, 1, 1))
    found = distance_to_mask_mm(inside, (1, 1, 1), 200.0)
    assert np.abs(found - np.minimum(expected, 200.0)).max() <= TOL_MM


def test_an_empty_mask_is_the_cap_everywhere():
    assert np.all(distance_to_mask_mm(np.zeros((4, 5, 6), bool), (1, 1, 1), 7.0) == 7.0)


def test_box_metric_of_one_voxel_is_the_distance_to_its_faces():
    inside = np.zeros((9, 9, 9), bool)
    inside[4, 4, 4] = True
    spacing = np.array([3.0, 1.0, 0.5])
    offset = (np.indices(inside.shape) - 4).reshape(3, -1).T * spacing
    expected = np.linalg.norm(np.maximum(np.abs(offset) - spacing / 2, 0), axis=1)
    found = distance_to_mask_mm(inside, spacing, 30.0, metric=Metric.BOX)
    assert np.abs(found.ravel() - expected).max() <= TOL_MM


@pytest.mark.parametrize("spacing", [(4.0, 0.5, 0.5), (0.9, 5.0, 0.9), (2.0, 2.6, 3.0)])
def test_field_samples_are_exact_also_between_voxel_centres(spacing):
    grid = Grid.from_axes((14, 18, 16), spacing, (0, 0, 0))
    mask = random_blobs(grid, seed=4, fraction=0.02)
    field = distance_field(mask, 9.0)
    assert field is not None
    index = np.indices(field.squared_mm2.shape).reshape(3, -1).T
    points = field.first_axes_mm + index * field.step_mm
    boxes = np.argwhere(mask.inside) * np.array(spacing)
    some = np.random.default_rng(0).choice(len(points), 400, replace=False)
    gap = np.maximum(np.abs(points[some, None] - boxes[None]) - np.array(spacing) / 2, 0)
    expected = np.minimum(np.linalg.norm(gap, axis=2).min(axis=1), 9.0)
    found = np.sqrt(field.squared_mm2.reshape(-1)[some])
    assert np.abs(found - expected).max() <= TOL_MM


def test_a_cropped_field_equals_the_full_one_where_it_answers():
    grid = Grid.from_axes((30, 40, 40), (1.2, 1.0, 1.0), (0, 0, 0))
    mask = random_blobs(grid, seed=5)
    start, stop = np.array([8, 10, 4]), np.array([20, 31, 33])
    part = distance_field(mask, 8.0, within_kji=(start, stop))
    assert part is not None
    whole = distance_to_mask_mm(mask.inside, grid.spacing_kji_mm, 8.0, metric=Metric.BOX)
    low = np.rint(part.first_axes_mm / grid.spacing_kji_mm).astype(int)
    if np.any(part.step_mm < grid.spacing_kji_mm - 1e-9):
        pytest.fail("this grid should not be sampled more finely: the test would compare nothing")
    window = tuple(slice(a, a + n) for a, n in zip(low, part.squared_mm2.shape, strict=True))
    assert np.abs(np.sqrt(part.squared_mm2) - whole[window]).max() <= TOL_MM


def test_a_mask_out_of_reach_has_no_field():
    inside = np.zeros((40, 10, 10), bool)
    inside[0] = True
    mask = Mask(grid=Grid.from_axes(inside.shape, (1, 1, 1), (0, 0, 0)), inside=inside)
    near = (np.array([30, 0, 0]), np.array([40, 10, 10]))
    assert distance_field(mask, 5.0, within_kji=near) is None
    assert distance_field(mask, 35.0, within_kji=near) is not None


@pytest.mark.parametrize("cap_mm", [0.0, -1.0, np.nan, np.inf, 300.0])
def test_a_cap_that_does_not_fit_is_refused(cap_mm):
    with pytest.raises(DegenerateGeometryError, match="cap"):
        distance_to_mask_mm(np.ones((3, 3, 3), bool), (1, 1, 1), cap_mm)
