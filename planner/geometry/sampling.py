"""Values of an image or a mask at world points: the kernels behind every reslice.

A voxel fills index -0.5 .. +0.5 and a volume -0.5 .. n-0.5. Everything outside
is NaN, never 0: a picture or a check must be able to tell "dark" from "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from planner.errors import GridMismatchError
from planner.geometry.frames import FloatArray
from planner.geometry.grid import Grid


def sample_volume(
    volume_values: NDArray[np.generic],
    grid: Grid,
    points_lps_mm: ArrayLike,
    *,
    outside: float = np.nan,
) -> FloatArray:
    """Trilinear image values at world points.

    Parameters
    ----------
    volume_values : ndarray, shape (k, j, i)
        Real-valued image on ``grid``; integers are not copied to float.
    grid : Grid
    points_lps_mm : array_like, shape (..., 3)
        LPS, mm.
    outside : float
        Value for points outside the volume and for NaN points.

    Returns
    -------
    ndarray, shape (...,)
        float64. In the outermost half voxel the border voxel's value continues,
        as in SimpleITK's linear interpolator.

    Raises
    ------
    GridMismatchError
        If the array does not have the shape of the grid.

    Notes
    -----
    Nothing is sharpened or invented between thick slices: along a 4 mm slice
    step the value is the straight line between the two slices.

    Examples
    --------
    >>> grid = Grid.from_axes((2, 2, 2), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    >>> values = np.arange(8.0).reshape(2, 2, 2)
    >>> sample_volume(values, grid, [[0.0, 0.0, 1.0], [0.0, 0.0, 60.0]])
    array([ 1., nan])
    """
    _check_shape(volume_values, grid)
    kji, inside = _index(grid, points_lps_mm)
    values = volume_values.view(np.uint8) if volume_values.dtype == np.bool_ else volume_values
    found = ndimage.map_coordinates(
        values, kji.reshape(-1, 3).T, output=np.float64, order=1, mode="nearest", prefilter=False
    )
    return np.asarray(np.where(inside, found.reshape(inside.shape), outside))


def sample_mask(inside: NDArray[np.bool_], grid: Grid, points_lps_mm: ArrayLike) -> FloatArray:
    """Whether points lie in a voxel of a mask: 1, 0, or NaN outside the volume.

    The nearest voxel's box decides, without smoothing: an outline drawn from
    it is the boundary that clearances are measured to.

    Parameters
    ----------
    inside : ndarray of bool, shape (k, j, i)
    grid : Grid
    points_lps_mm : array_like, shape (..., 3)
        LPS, mm.

    Returns
    -------
    ndarray, shape (...,)
        1.0 inside, 0.0 not inside, NaN where the mask says nothing: outside the
        volume and for NaN points.

    Raises
    ------
    GridMismatchError
        If the array does not have the shape of the grid.
    """
    _check_shape(inside, grid)
    return nearest_voxels(grid, points_lps_mm).of_mask(inside)


@dataclass(frozen=True, slots=True, eq=False)
class NearestVoxels:
    """The voxels that points lie in; one look-up serves many masks of a grid.

    ``flat`` counts voxels in C order and is 0 where ``in_volume`` is False.
    """

    flat: NDArray[np.int64]
    in_volume: NDArray[np.bool_]

    def of_mask(self, inside: NDArray[np.bool_]) -> FloatArray:
        """1 inside, 0 not inside, NaN outside the volume; shape (...,)."""
        found = inside.reshape(-1).take(self.flat)
        return np.where(self.in_volume, found, np.nan)


def nearest_voxels(grid: Grid, points_lps_mm: ArrayLike) -> NearestVoxels:
    """The voxel whose box holds each point; shape (..., 3) LPS mm in."""
    kji, in_volume = _index(grid, points_lps_mm)
    last = np.array(grid.shape_kji) - 1
    box = np.clip(np.floor(kji + 0.5), 0, last).astype(np.int64)
    flat = (box[..., 0] * grid.shape_kji[1] + box[..., 1]) * grid.shape_kji[2] + box[..., 2]
    return NearestVoxels(flat, in_volume)


def _check_shape(values: NDArray[np.generic], grid: Grid) -> None:
    if values.shape != grid.shape_kji:
        raise GridMismatchError(
            "the array does not have the shape of its grid",
            seen=values.shape,
            needed=grid.shape_kji,
        )


def _index(grid: Grid, points_lps_mm: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Continuous indices (0 where outside) and whether each point is in the volume."""
    kji = grid.to_kji(points_lps_mm)
    high = np.array(grid.shape_kji) - 0.5
    inside = np.asarray(np.all((kji >= -0.5) & (kji <= high), axis=-1))  # NaN is outside
    return np.where(inside[..., None], kji, 0.0), inside
