"""Synthetic bodies with an analytic skin, drawn on any grid. Test helper of the skin tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from planner.geometry import FrameId, Grid, ImageSource, Volume

FRAME = FrameId("1.2.3", "synthetic")


@dataclass(frozen=True)
class Cylinder:
    """An elliptic cylinder along the patient's head-foot axis."""

    centre_lp_mm: tuple[float, float] = (0.0, 0.0)
    half_axes_mm: tuple[float, float] = (150.0, 95.0)

    def _scaled(self, points_lps_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets from the axis as shares of the half axes."""
        (left, back), (a, b) = self.centre_lp_mm, self.half_axes_mm
        return (points_lps_mm[..., 0] - left) / a, (points_lps_mm[..., 1] - back) / b

    def radius(self, points_lps_mm: np.ndarray) -> np.ndarray:
        return np.hypot(*self._scaled(points_lps_mm))

    def gradient(self, points_lps_mm: np.ndarray) -> np.ndarray:
        scaled = (points_lps_mm[..., :2] - self.centre_lp_mm) / np.square(self.half_axes_mm)
        return scaled / np.maximum(self.radius(points_lps_mm), 1e-9)[..., None]

    def distance_mm(self, points_lps_mm: np.ndarray) -> np.ndarray:
        """Signed distance, first order near the surface; negative inside."""
        (x, y), (a, b) = self._scaled(points_lps_mm), self.half_axes_mm
        radius = np.hypot(x, y)
        slope = np.hypot(x / a, y / b) / np.maximum(radius, 1e-9)
        return (radius - 1.0) / np.maximum(slope, 1e-6)

    def normal(self, points_lps_mm: np.ndarray) -> np.ndarray:
        gradient = self.gradient(points_lps_mm)
        unit = gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)
        return np.concatenate([unit, np.zeros((*unit.shape[:-1], 1))], axis=-1)

    def shrunk(self, by_mm: float) -> Cylinder:
        a, b = self.half_axes_mm
        return replace(self, half_axes_mm=(a - by_mm, b - by_mm))


TRUNK = Cylinder()
LEFT_ARM = Cylinder((205.0, 10.0), (30.0, 30.0))
TOUCHING_ARM = Cylinder((178.0, 10.0), (30.0, 30.0))


def trunk_grid(
    axes: np.ndarray | None = None,
    spacing_kji_mm: tuple[float, float, float] = (4.0, 1.7, 1.7),
    extent_kji_mm: tuple[float, float, float] = (100.0, 250.0, 360.0),
    centre_lps_mm: tuple[float, float, float] = (0.0, 0.0, 40.0),
) -> Grid:
    """A grid about the trunk; extents go with the array axes."""
    axes = np.eye(3)[:, ::-1] if axes is None else np.asarray(axes)
    shape = tuple(round(e / s) for e, s in zip(extent_kji_mm, spacing_kji_mm, strict=True))
    half = (np.array(shape) - 1) / 2 * np.array(spacing_kji_mm)
    origin = np.array(centre_lps_mm) - axes @ half
    return Grid.from_axes(shape, spacing_kji_mm, origin, axes, FRAME)  # type: ignore[arg-type]


def points_of(grid: Grid) -> np.ndarray:
    index = np.moveaxis(np.indices(grid.shape_kji, dtype=np.float64), 0, -1)
    return grid.to_lps(np.ascontiguousarray(index))


def cover(body: Cylinder, points_lps_mm: np.ndarray, width_mm: float) -> np.ndarray:
    """Share of a voxel of that width inside: 0 to 1 across the skin."""
    return np.clip(0.5 - body.distance_mm(points_lps_mm) / width_mm, 0.0, 1.0)


def mr_signal(
    points_lps_mm: np.ndarray, *, trunk: Cylinder = TRUNK, width_mm: float = 1.7
) -> np.ndarray:
    """Noise-free MR-like trunk: fat ring, muscle, dark bone ring, bowel air; air outside is 0.

    Edges are blurred over ``width_mm``.
    """
    signal = 900.0 * cover(trunk, points_lps_mm, width_mm)
    signal -= 550.0 * cover(trunk.shrunk(22.0), points_lps_mm, width_mm)
    spine = Cylinder((0.0, 35.0), (20.0, 18.0))
    signal -= 330.0 * cover(spine, points_lps_mm, width_mm)
    signal += 300.0 * cover(spine.shrunk(3.0), points_lps_mm, width_mm)
    gas = Cylinder((35.0, -40.0), (18.0, 12.0))  # runs through every slice: opens the end faces
    signal -= 350.0 * cover(gas, points_lps_mm, width_mm)
    return np.maximum(signal, 0.0)


def rician(signal: np.ndarray, sigma: float, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    real = signal + sigma * rng.standard_normal(signal.shape)
    return np.hypot(real, sigma * rng.standard_normal(signal.shape))


def mr_volume(grid: Grid, values: np.ndarray, modality: str = "MR") -> Volume:
    return Volume(
        grid=grid,
        values=np.round(values).astype(np.int16),
        source=ImageSource(modality=modality, description="synthetic"),
    )


def ct_signal(points_lps_mm: np.ndarray, *, width_mm: float = 1.7, seed: int = 5) -> np.ndarray:
    """The trunk in HU, with noise, in air."""
    hu = -1000.0 + 900.0 * cover(TRUNK, points_lps_mm, width_mm)
    hu += 150.0 * cover(TRUNK.shrunk(20.0), points_lps_mm, width_mm)
    return hu + 15.0 * np.random.default_rng(seed).standard_normal(hu.shape)


def padded(values: np.ndarray, seen: np.ndarray, fill: float, *, soft: bool) -> np.ndarray:
    """``values`` where ``seen``, else a constant; ``soft`` blurs the edge as interpolation does."""
    mixed = np.where(seen, values, fill)
    if not soft:
        return mixed
    square = np.ones((1, 3, 3), dtype=bool)
    edge = ndimage.binary_dilation(~seen, square) & ndimage.binary_dilation(seen, square)
    return np.where(edge, ndimage.uniform_filter(mixed, (1, 3, 3)), mixed)


def with_strays(values: np.ndarray, seen: np.ndarray, share: float = 0.15) -> np.ndarray:
    """Single small values in the fill, as resampling leaves them."""
    rng = np.random.default_rng(9)
    is_stray = ~seen & (rng.random(values.shape) < share)
    return np.where(is_stray, values + rng.integers(1, 4, values.shape), values)
