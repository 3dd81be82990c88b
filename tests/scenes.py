"""Small random scenes for exactness tests: blobs in a box on any grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from planner.geometry import FrameId, Grid, Mask

BLOB_MM = 5.0


def random_blobs(grid: Grid, seed: int, fraction: float = 0.03) -> Mask:
    """Smooth random blobs that fill a fraction of the grid."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(
        rng.standard_normal(grid.shape_kji), BLOB_MM / grid.spacing_kji_mm, mode="nearest"
    )
    return Mask(grid=grid, inside=noise > np.quantile(noise, 1 - fraction))


def block_grid(spacing_kji_mm: tuple[float, float, float], axes: np.ndarray) -> Grid:
    """A grid of about 70 x 70 x 70 mm with its origin off centre."""
    shape = tuple(round(70.0 / s) for s in spacing_kji_mm)
    return Grid.from_axes(
        (shape[0], shape[1], shape[2]),
        spacing_kji_mm,
        (-41.0, 17.5, 230.0),
        axes,
        FrameId("1.2.3", "test"),
    )


def random_segments(grid: Grid, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Segments from anywhere in the grid to its middle half, LPS mm."""
    rng = np.random.default_rng(seed)
    extent = np.array(grid.shape_kji) - 1
    return (
        grid.to_lps(rng.uniform(-0.4, extent + 0.4, (n, 3))),
        grid.to_lps(rng.uniform(0.25, 0.75, (n, 3)) * extent),
    )
