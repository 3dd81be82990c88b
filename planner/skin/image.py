"""An image ready to be searched for the body: finite, with a coarse copy and its imaged region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.skin.kernels import (
    ByteArray,
    ImageArray,
    IntArray,
    block_fractions,
    block_means,
)

COARSE_MM = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class WorkingImage:
    """Intensities at full and coarse resolution.

    Attributes
    ----------
    values : ndarray of float32, (k, j, i)
        Finite; meaningless where nothing was imaged.
    imaged : ndarray of bool, (k, j, i)
        Where there are measured values.
    spacing_mm : ndarray, (3,)
        Voxel size along k, j, i.
    factor : ndarray of int, (3,)
        Voxels per coarse voxel.
    coarse, coarse_imaged : ndarray
        Block means, and where most of a block was imaged.
    axial_axis : int
        The array axis nearest to head-foot: slices across it are closed outlines.
    """

    values: ImageArray
    imaged: NDArray[np.bool_]
    spacing_mm: FloatArray
    factor: IntArray
    coarse: ImageArray
    coarse_imaged: NDArray[np.bool_]
    axial_axis: int

    @classmethod
    def prepared(cls, values: ImageArray, imaged: NDArray[np.bool_], grid: Grid) -> WorkingImage:
        """The image and its coarse copy."""
        spacing_mm = grid.spacing_kji_mm
        factor = np.maximum(1, np.round(COARSE_MM / spacing_mm)).astype(np.int64)
        return cls(
            values=values,
            imaged=imaged,
            spacing_mm=spacing_mm,
            factor=factor,
            coarse=block_means(values, factor),
            coarse_imaged=block_fractions(imaged, factor) > 0.5,
            axial_axis=int(np.argmax(np.abs(grid.axes_lps_from_kji[2]))),
        )

    @property
    def coarse_mm(self) -> FloatArray:
        """Size of a coarse voxel along k, j, i."""
        return np.asarray(self.spacing_mm * self.factor)

    @property
    def lateral_axes(self) -> tuple[int, int]:
        """The two array axes across the head-foot axis."""
        first, second = (axis for axis in range(3) if axis != self.axial_axis)
        return first, second


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """A body at full resolution (0/1) and what was learnt on the way; see ``BodyMask``."""

    inside: ByteArray
    imaged: NDArray[np.bool_]
    method: str
    contrast: float = float("nan")
    air_level: float = float("nan")
    body_level: float = float("nan")
    unsure_mm3: float = 0.0
    dark_layer_mm: float = 0.0
    unsure_mm: float = 0.0
    warnings: tuple[str, ...] = ()


def whole(image: WorkingImage, warnings: tuple[str, ...]) -> Found:
    """The answer when no air is in view."""
    return Found(
        inside=image.imaged.astype(np.uint8),
        imaged=image.imaged,
        method="no air in view",
        warnings=(
            *warnings,
            "no air was recognised in the image: the body fills it and no skin is in view",
        ),
    )
