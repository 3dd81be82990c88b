"""sample_volume and sample_mask against SimpleITK, scipy and the geometry itself."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from planner.errors import GridMismatchError
from planner.geometry import Grid, Mask
from planner.geometry.sampling import nearest_voxels, sample_mask, sample_volume

TOL_VALUE = 1e-6
"""Grey values; both sides interpolate in float64, from values of a few hundred."""


@pytest.fixture
def values(oriented_grid: Grid, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-500, 500, oriented_grid.shape_kji).astype(np.int16)


def points_in(grid: Grid, rng: np.random.Generator, n: int = 400) -> np.ndarray:
    """World points in the whole volume, its outermost half voxel included."""
    high = np.array(grid.shape_kji) - 0.5
    return grid.to_lps(rng.uniform(-0.499, high - 1e-3, (n, 3)))


def test_volume_equals_simpleitk_everywhere_inside(oriented_grid, values, rng):
    image = sitk.GetImageFromArray(values.astype(np.float64))
    image.SetSpacing(oriented_grid.spacing_kji_mm[::-1].tolist())
    image.SetOrigin(oriented_grid.origin_lps_mm.tolist())
    image.SetDirection(oriented_grid.axes_lps_from_kji[:, ::-1].ravel().tolist())
    points = points_in(oriented_grid, rng)
    expected = [image.EvaluateAtPhysicalPoint(p.tolist(), sitk.sitkLinear) for p in points]
    found = sample_volume(values, oriented_grid, points)
    np.testing.assert_allclose(found, expected, atol=1e-4)  # ITK keeps indices to about 1e-7


def test_volume_equals_map_coordinates(oriented_grid, values, rng):
    high = np.array(oriented_grid.shape_kji) - 1.0
    kji = rng.uniform(0.0, high, (200, 3))
    expected = ndimage.map_coordinates(values.astype(float), kji.T, order=1)
    found = sample_volume(values, oriented_grid, oriented_grid.to_lps(kji))
    np.testing.assert_allclose(found, expected, atol=TOL_VALUE)


def test_linear_field_is_reproduced_exactly(oriented_grid, rng):
    """Also between 4 mm slices: no overshoot, no sharpening."""
    index = np.moveaxis(np.indices(oriented_grid.shape_kji), 0, -1)
    slope = np.array([0.3, -1.7, 0.9])
    field = oriented_grid.to_lps(index) @ slope
    high = np.array(oriented_grid.shape_kji) - 1.0
    points = oriented_grid.to_lps(rng.uniform(0, high, (100, 3)))
    found = sample_volume(field, oriented_grid, points)
    np.testing.assert_allclose(found, points @ slope, atol=TOL_VALUE)


def test_border_value_continues_for_half_a_voxel_then_nan(oriented_grid, values):
    low = [[-0.49, 0.0, 0.0], [-0.51, 0.0, 0.0], [0.0, 0.0, -0.51], [0.0, 13.49, 0.0], [8.51, 0, 0]]
    found = sample_volume(values, oriented_grid, oriented_grid.to_lps(low))
    assert found[0] == pytest.approx(values[0, 0, 0])
    assert found[3] == pytest.approx(values[0, 13, 0])
    assert np.isnan(found[[1, 2, 4]]).all()


def test_nan_points_and_other_fill_value(oriented_grid, values):
    points = np.full((2, 3, 3), np.nan)
    assert np.isnan(sample_volume(values, oriented_grid, points)).all()
    assert sample_volume(values, oriented_grid, points).shape == (2, 3)
    assert (sample_volume(values, oriented_grid, points, outside=-7.0) == -7.0).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32, ">i2", ">f4"])
def test_any_voxel_type_gives_the_same(oriented_grid, values, rng, dtype):
    typed = (values % 2).astype(dtype)
    points = points_in(oriented_grid, rng, 50)
    expected = sample_volume((values % 2).astype(np.float64), oriented_grid, points)
    np.testing.assert_allclose(sample_volume(typed, oriented_grid, points), expected, atol=1e-6)


def test_wrong_shape_is_refused(oriented_grid, values):
    with pytest.raises(GridMismatchError, match="does not have the shape of its grid"):
        sample_volume(values[1:], oriented_grid, [0.0, 0.0, 0.0])
    with pytest.raises(GridMismatchError, match="does not have the shape of its grid"):
        sample_mask(values[1:] > 0, oriented_grid, [0.0, 0.0, 0.0])


def test_mask_is_the_nearest_voxel_box(oriented_grid, rng):
    inside = rng.random(oriented_grid.shape_kji) < 0.3
    mask = Mask(grid=oriented_grid, inside=inside)
    points = points_in(oriented_grid, rng)
    found = sample_mask(inside, oriented_grid, points)
    np.testing.assert_array_equal(found == 1.0, mask.contains(points))
    assert set(np.unique(found)) == {0.0, 1.0}


def test_mask_says_nothing_outside(oriented_grid):
    inside = np.ones(oriented_grid.shape_kji, bool)
    outside = oriented_grid.to_lps([[-0.6, 0.0, 0.0], [0.0, 0.0, 10.6], [np.nan, 0.0, 0.0]])
    assert np.isnan(sample_mask(inside, oriented_grid, outside)).all()


def test_mask_changes_at_the_voxel_face(oriented_grid):
    inside = np.zeros(oriented_grid.shape_kji, bool)
    inside[4, 5, 6] = True
    across_slices = oriented_grid.to_lps([[3.49, 5, 6], [3.51, 5, 6], [4.49, 5, 6], [4.51, 5, 6]])
    np.testing.assert_array_equal(
        sample_mask(inside, oriented_grid, across_slices), [0.0, 1.0, 1.0, 0.0]
    )


def test_one_lookup_serves_many_masks(oriented_grid, rng):
    points = points_in(oriented_grid, rng, 60).reshape(6, 10, 3)
    voxels = nearest_voxels(oriented_grid, points)
    for share in (0.2, 0.7):
        inside = rng.random(oriented_grid.shape_kji) < share
        np.testing.assert_array_equal(
            voxels.of_mask(inside), sample_mask(inside, oriented_grid, points)
        )
