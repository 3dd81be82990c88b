"""What can be varied: the patient (PhantomParameters) and the scan (AcquisitionParameters).

Frames: "anatomy" coordinates are millimetres of a scale-1 patient along the DICOM patient
axes (+x left, +y posterior, +z head) with the origin at the centre of the L4 body.
LPS = origin_lps_mm + scale * anatomy.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

N_DECIMALS_COSINE = 12  # both fit the 16 characters of a DICOM DS value
N_DECIMALS_POSITION_MM = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomParameters:
    """One synthetic patient.

    Parameters
    ----------
    scale : float, isotropic size of the patient, 1 = adult of average height
    lordosis_factor : float, multiplies every lumbar tilt (1 = L4-L5 disc 10.75 deg caudal)
    l5_s1_extra_tilt_deg : float, added to the slope of the L5-S1 disc and the sacral base
    pedicle_width_factor : float, multiplies the published isthmus widths
    sij_gap_mm : float, sacroiliac joint space at scale 1, 1.5 .. 2.5 is normal
    has_implant : bool, pedicle screws L4 + L5 on both sides with two rods
    seed : int, bowel course, muscle surface waviness, texture and noise
    origin_lps_mm : where the centre of the L4 body lies in the scanner's patient frame
    """

    levels: ClassVar[tuple[str, ...]] = ("L3", "L4", "L5")
    """Vertebrae that are drawn, head to feet; `scene_patient.ScenePatient` may have more."""

    scale: float = 1.0
    lordosis_factor: float = 1.0
    l5_s1_extra_tilt_deg: float = 0.0
    pedicle_width_factor: float = 1.0
    sij_gap_mm: float = 2.3
    has_implant: bool = False
    seed: int = 1
    origin_lps_mm: tuple[float, float, float] = (3.5, 7.0, 52.0)

    def lps_from_anatomy(self, points_anatomy_mm):
        """Patient LPS millimetres of points given in anatomy coordinates, (..., 3)."""
        return np.asarray(self.origin_lps_mm) + self.scale * np.asarray(points_anatomy_mm, float)

    def anatomy_from_lps(self, points_lps_mm):
        """Anatomy coordinates of patient LPS points, (..., 3)."""
        return (np.asarray(points_lps_mm, float) - np.asarray(self.origin_lps_mm)) / self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionParameters:
    """The oblique axial 2D series: matrix, voxel, tilt; centre in anatomy coordinates."""

    shape_kji: tuple[int, int, int] = (64, 208, 288)
    pixel_mm: float = 1.4
    slice_step_mm: float = 3.3
    slice_thickness_mm: float = 3.0
    tilt_about_left_deg: float = 12.0  # brings the slice near the L4-L5 and L5-S1 discs
    tilt_about_posterior_deg: float = 3.0
    centre_anatomy_mm: tuple[float, float, float] = (0.0, -8.0, -46.0)

    def coarser(self, factor: float) -> "AcquisitionParameters":
        """The same field of view with ``factor`` times larger voxels, for quick tests."""
        shape_kji = tuple(int(np.ceil(n / factor)) for n in self.shape_kji)
        return replace(
            self,
            shape_kji=shape_kji,
            pixel_mm=self.pixel_mm * factor,
            slice_step_mm=self.slice_step_mm * factor,
            slice_thickness_mm=self.slice_thickness_mm * factor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomGrid:
    """Voxel grid: array shape [k, j, i] and the 4x4 map of index [k, j, i, 1] to LPS mm."""

    shape_kji: tuple[int, int, int]
    lps_from_kji: np.ndarray

    @property
    def spacing_kji_mm(self) -> np.ndarray:
        """Length of one index step along slice, row and column axis."""
        return np.linalg.norm(self.lps_from_kji[:3, :3], axis=0)

    def kji_from_lps(self, points_lps_mm) -> np.ndarray:
        """Fractional [k, j, i] of LPS points, (..., 3); integers are voxel centres."""
        linear = self.lps_from_kji[:3, :3]
        return (np.asarray(points_lps_mm, float) - self.lps_from_kji[:3, 3]) @ np.linalg.inv(
            linear
        ).T

    def lps_from_index(self, index_kji) -> np.ndarray:
        """LPS millimetres of [k, j, i] positions, (..., 3)."""
        return np.asarray(index_kji, float) @ self.lps_from_kji[:3, :3].T + self.lps_from_kji[:3, 3]


def refined(grid: PhantomGrid, factors) -> PhantomGrid:
    """The same box with every voxel divided."""
    factors = np.asarray(factors)
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.lps_from_index((1.0 / factors - 1.0) / 2.0)
    affine[:3, :3] /= factors
    return PhantomGrid(
        shape_kji=tuple((np.array(grid.shape_kji) * factors).tolist()), lps_from_kji=affine
    )


def cropped(grid: PhantomGrid, block) -> PhantomGrid:
    """The voxels of a block, given as three slices with start and stop."""
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.lps_from_index([s.start for s in block])
    return PhantomGrid(shape_kji=tuple(s.stop - s.start for s in block), lps_from_kji=affine)


def slice_axes(acquisition: AcquisitionParameters) -> np.ndarray:
    """Unit LPS vectors (3, 3) as columns: slice normal, down the rows, along the columns.

    Prone patient, matrix stored as seen in the room: the first row is posterior (up) and the
    first column is the patient's left, so both in-plane axes run against +y and +x.
    """
    about_left = np.deg2rad(acquisition.tilt_about_left_deg)
    about_posterior = np.deg2rad(acquisition.tilt_about_posterior_deg)
    c, s = np.cos(about_left), np.sin(about_left)
    rotate_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(about_posterior), np.sin(about_posterior)
    rotate_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    axes = rotate_y @ rotate_x @ np.array([[0, 0, -1.0], [0, -1.0, 0], [1.0, 0, 0]])
    return np.round(axes, N_DECIMALS_COSINE)


def acquisition_grid(
    parameters: PhantomParameters, acquisition: AcquisitionParameters
) -> PhantomGrid:
    """Grid of the series, rounded to what the DICOM text values can hold exactly."""
    axes = slice_axes(acquisition)
    spacing_kji_mm = np.array(
        [acquisition.slice_step_mm, acquisition.pixel_mm, acquisition.pixel_mm]
    )
    linear = axes * spacing_kji_mm
    middle_kji = (np.asarray(acquisition.shape_kji) - 1) / 2.0
    centre_lps_mm = parameters.lps_from_anatomy(acquisition.centre_anatomy_mm)
    lps_from_kji = np.eye(4)
    lps_from_kji[:3, :3] = linear
    lps_from_kji[:3, 3] = np.round(centre_lps_mm - linear @ middle_kji, N_DECIMALS_POSITION_MM)
    return PhantomGrid(shape_kji=tuple(acquisition.shape_kji), lps_from_kji=lps_from_kji)
