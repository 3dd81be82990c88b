"""Grid: where the voxels of an array lie in the patient, exact for any orientation.

Arrays are [k, j, i] = [slice, row, column]. An integer index is a voxel CENTRE;
a voxel fills index -0.5 .. +0.5, a volume -0.5 .. n-0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import DegenerateGeometryError
from planner.geometry.frames import FloatArray, FrameId

MAX_AXIS_COSINE = 1e-4
"""Largest |cos| between two voxel axes that still counts as orthogonal.

DICOM direction cosines carry about six decimals; 1e-4 is 0.006 degrees, or
0.05 mm over a 500 mm volume.
"""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Grid:
    """A regular orthogonal lattice of voxels in patient coordinates.

    Parameters
    ----------
    shape_kji : tuple of int
        Number of slices, rows, columns.
    lps_from_kji : ndarray, shape (4, 4)
        Maps homogeneous [k, j, i, 1] to LPS in mm.
    frame : FrameId
        Frame of reference of the LPS coordinates.

    Raises
    ------
    DegenerateGeometryError
        If the shape is not positive or the matrix is not finite, not affine,
        singular or sheared.
    """

    shape_kji: tuple[int, int, int]
    lps_from_kji: FloatArray
    frame: FrameId
    _spacing_kji_mm: FloatArray = field(init=False, repr=False)
    _axes_from_lps: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape_kji)
        if len(shape) != 3 or min(shape) < 1:
            raise DegenerateGeometryError(
                "a grid needs three positive sizes", seen=self.shape_kji, needed="(k, j, i) >= 1"
            )
        matrix = np.array(self.lps_from_kji, dtype=np.float64)
        _check_affine(matrix)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        axes_from_lps = np.linalg.inv(matrix[:3, :3]) * spacing[:, None]
        for array in (matrix, spacing, axes_from_lps):
            array.setflags(write=False)
        object.__setattr__(self, "shape_kji", shape)
        object.__setattr__(self, "lps_from_kji", matrix)
        object.__setattr__(self, "_spacing_kji_mm", spacing)
        object.__setattr__(self, "_axes_from_lps", axes_from_lps)

    @classmethod
    def from_axes(
        cls,
        shape_kji: tuple[int, int, int],
        spacing_kji_mm: ArrayLike,
        origin_lps_mm: ArrayLike,
        axes_lps_from_kji: ArrayLike | None = None,
        frame: FrameId | None = None,
    ) -> Grid:
        """A grid from spacing, centre of voxel (0, 0, 0) and unit axes.

        ``axes_lps_from_kji`` has the k, j, i directions as columns; by default
        k is +z, j is +y, i is +x (an axial stack).
        """
        axes = np.eye(3)[:, ::-1] if axes_lps_from_kji is None else np.asarray(axes_lps_from_kji)
        matrix = np.eye(4)
        matrix[:3, :3] = axes * np.asarray(spacing_kji_mm, dtype=np.float64)
        matrix[:3, 3] = origin_lps_mm
        return cls(
            shape_kji=shape_kji, lps_from_kji=matrix, frame=frame or FrameId(None, "unknown")
        )

    @property
    def spacing_kji_mm(self) -> FloatArray:
        """Voxel edge lengths along k, j, i in mm, shape (3,)."""
        return self._spacing_kji_mm

    @property
    def axes_lps_from_kji(self) -> FloatArray:
        """Unit directions of k, j, i as the columns of a (3, 3) matrix."""
        return np.asarray(self.lps_from_kji[:3, :3] / self.spacing_kji_mm)

    @property
    def origin_lps_mm(self) -> FloatArray:
        """Centre of voxel (0, 0, 0), shape (3,)."""
        return np.array(self.lps_from_kji[:3, 3])

    @property
    def centre_lps_mm(self) -> FloatArray:
        """Middle of the volume, shape (3,)."""
        return self.to_lps((np.array(self.shape_kji) - 1) / 2)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_kji_mm))

    def to_lps(self, points_kji: ArrayLike) -> FloatArray:
        """LPS points in mm, shape (..., 3), from (continuous) indices kji."""
        indices = np.asarray(points_kji, dtype=np.float64)
        turned = np.einsum("...j,kj->...k", indices, self.lps_from_kji[:3, :3])
        return np.asarray(turned + self.lps_from_kji[:3, 3])

    def to_kji(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Continuous indices kji, shape (..., 3), from LPS points in mm."""
        return np.asarray(self.to_axes_mm(points_lps_mm) / self.spacing_kji_mm)

    def to_axes_mm(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Millimetres along k, j, i from the centre of voxel (0, 0, 0).

        A rigid map (rotation and translation): distances are kept, and the
        voxels become axis-aligned boxes.
        """
        offset = np.asarray(points_lps_mm, dtype=np.float64) - self.lps_from_kji[:3, 3]
        # not by BLAS: its threads would wait for each other over three columns
        return np.asarray(np.einsum("...j,kj->...k", offset, self._axes_from_lps))

    def contains(self, points_lps_mm: ArrayLike, *, inset_mm: float = 0.0) -> np.ndarray:
        """Whether points lie in the volume, at least ``inset_mm`` from its faces.

        Shape (...,) bool. NaN is outside.
        """
        axes_mm = self.to_axes_mm(points_lps_mm)
        spacing = self.spacing_kji_mm
        low = -0.5 * spacing + inset_mm
        high = (np.array(self.shape_kji) - 0.5) * spacing - inset_mm
        return np.asarray(np.all((axes_mm >= low) & (axes_mm <= high), axis=-1))

    def corners_lps_mm(self) -> FloatArray:
        """The eight outer corners of the volume, shape (8, 3)."""
        low = np.full(3, -0.5)
        high = np.array(self.shape_kji) - 0.5
        pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
        return self.to_lps(np.where(pick == 0, low, high))

    def cropped(self, start_kji: ArrayLike, stop_kji: ArrayLike) -> Grid:
        """The sub-grid of voxels ``start <= index < stop``."""
        start = np.asarray(start_kji, dtype=np.int64)
        stop = np.asarray(stop_kji, dtype=np.int64)
        matrix = np.array(self.lps_from_kji)
        matrix[:3, 3] = self.to_lps(start)
        shape = tuple(int(n) for n in stop - start)
        return Grid(shape_kji=(shape[0], shape[1], shape[2]), lps_from_kji=matrix, frame=self.frame)

    def is_close(self, other: Grid, *, tol_mm: float = 0.01) -> bool:
        """Same shape, and every voxel centre within ``tol_mm`` of its twin."""
        if self.shape_kji != other.shape_kji:
            return False
        gap = np.abs(self.corners_lps_mm() - other.corners_lps_mm()).max()
        return bool(gap <= tol_mm)


def _check_affine(matrix: FloatArray) -> None:
    if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
        raise DegenerateGeometryError(
            "lps_from_kji must be a finite 4 x 4 matrix", seen=np.array2string(matrix)
        )
    if not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-12):
        raise DegenerateGeometryError(
            "the last row of lps_from_kji must be 0 0 0 1", seen=matrix[3].tolist()
        )
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (spacing.min() > 1e-6):
        raise DegenerateGeometryError(
            "lps_from_kji is singular: a voxel has no size", seen=spacing.tolist(), needed="> 0 mm"
        )
    axes = matrix[:3, :3] / spacing
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if not (cosine <= MAX_AXIS_COSINE):
        raise DegenerateGeometryError(
            "lps_from_kji is sheared: voxel axes are not at right angles",
            seen=f"|cos| {cosine:.2e} ({90 - np.degrees(np.arccos(min(cosine, 1.0))):.3f} degrees)",
            needed=f"<= {MAX_AXIS_COSINE:.0e}",
            fix="Resample the data to an orthogonal grid (for CT: remove the gantry tilt).",
        )
