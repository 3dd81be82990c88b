"""Planes through the patient and the image seen on them.

A plane has its own frame: x runs to the right of the picture, y DOWN it, both in
mm from its centre; the third coordinate is the distance off the plane, positive
away from the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import DegenerateGeometryError
from planner.geometry import Mask, Volume
from planner.geometry.frames import (
    CRANIAL_LPS,
    LEFT_LPS,
    POSTERIOR_LPS,
    FloatArray,
    orientation_letters,
    unit,
)
from planner.geometry.sampling import sample_mask, sample_volume

TOL_ORTHOGONAL = 1e-6
"""Largest |cos| between the right and down directions of a plane."""

PARALLEL_SINE = 0.05
"""A needle within asin(0.05) = 3 degrees of an axis does not define a plane with it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeLetters:
    """Orientation letters at the four edges of a picture."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlaneSpec:
    """A rectangular picture plane in the patient.

    Parameters
    ----------
    centre_lps_mm : ndarray, shape (3,)
        Middle of the picture.
    right_lps, down_lps : ndarray, shape (3,)
        Unit directions of increasing column and increasing row; orthogonal.
    width_mm, height_mm : float
        Field of view.
    pixel_mm : float
        Edge of a (square) pixel.

    Raises
    ------
    DegenerateGeometryError
        If the directions are not orthogonal or a size is not positive.
    """

    centre_lps_mm: FloatArray
    right_lps: FloatArray
    down_lps: FloatArray
    width_mm: float
    height_mm: float
    pixel_mm: float

    def __post_init__(self) -> None:
        for name in ("right_lps", "down_lps"):
            object.__setattr__(self, name, unit(getattr(self, name)))
        object.__setattr__(self, "centre_lps_mm", np.array(self.centre_lps_mm, dtype=np.float64))
        if not abs(float(self.right_lps @ self.down_lps)) <= TOL_ORTHOGONAL:
            raise DegenerateGeometryError(
                "the directions of a picture plane are not at right angles",
                seen=float(self.right_lps @ self.down_lps),
                needed=f"|cos| <= {TOL_ORTHOGONAL:g}",
            )
        sizes = (self.width_mm, self.height_mm, self.pixel_mm)
        if not (np.all(np.isfinite(sizes)) and min(sizes) > 0):
            raise DegenerateGeometryError(
                "a picture plane has no usable size", seen=sizes, needed="> 0 mm"
            )

    @property
    def normal_lps(self) -> FloatArray:
        """Unit direction away from the viewer."""
        return np.cross(self.right_lps, self.down_lps)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        rows = max(1, round(self.height_mm / self.pixel_mm))
        return rows, max(1, round(self.width_mm / self.pixel_mm))

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """Outer edges left, right, bottom, top in plane mm (matplotlib's ``extent``)."""
        rows, columns = self.shape
        half_x, half_y = columns * self.pixel_mm / 2, rows * self.pixel_mm / 2
        return -half_x, half_x, half_y, -half_y

    def points_lps_mm(self) -> FloatArray:
        """World points of all pixel centres, shape (rows, columns, 3)."""
        rows, columns = self.shape
        x_mm = (np.arange(columns) - (columns - 1) / 2) * self.pixel_mm
        y_mm = (np.arange(rows) - (rows - 1) / 2) * self.pixel_mm
        return np.asarray(
            self.centre_lps_mm
            + x_mm[None, :, None] * self.right_lps
            + y_mm[:, None, None] * self.down_lps
        )

    def to_plane_mm(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Plane coordinates (right, down, off plane) in mm, shape (..., 3)."""
        offset = np.asarray(points_lps_mm, dtype=np.float64) - self.centre_lps_mm
        frame = np.stack([self.right_lps, self.down_lps, self.normal_lps])
        return np.asarray(offset @ frame.T)

    def to_pixel(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Continuous (row, column) of points projected on the plane, shape (..., 2)."""
        plane = self.to_plane_mm(points_lps_mm)
        rows, columns = self.shape
        return np.stack(
            [
                plane[..., 1] / self.pixel_mm + (rows - 1) / 2,
                plane[..., 0] / self.pixel_mm + (columns - 1) / 2,
            ],
            axis=-1,
        )

    @property
    def letters(self) -> EdgeLetters:
        """Patient directions at the four edges."""
        return EdgeLetters(
            left=orientation_letters(-self.right_lps),
            right=orientation_letters(self.right_lps),
            top=orientation_letters(-self.down_lps),
            bottom=orientation_letters(self.down_lps),
        )


def reslice(volume: Volume, plane: PlaneSpec) -> FloatArray:
    """The image on a plane, shape (rows, columns); NaN outside the volume."""
    return sample_volume(volume.values, volume.grid, plane.points_lps_mm())


def reslice_mask(mask: Mask, plane: PlaneSpec) -> FloatArray:
    """A mask on a plane: 1, 0, NaN outside the volume; shape (rows, columns)."""
    return sample_mask(mask.inside, mask.grid, plane.points_lps_mm())


def along_normals(direction_lps: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Normals of the two orthogonal planes that hold a needle.

    The first plane is the one closest to axial, the second stands on it (it
    holds the cranial axis). A needle along the cranial axis takes the coronal
    and the sagittal plane.
    """
    direction = unit(direction_lps)
    reference = CRANIAL_LPS
    if np.linalg.norm(np.cross(direction, reference)) < PARALLEL_SINE:
        reference = POSTERIOR_LPS
    first = unit(reference - (reference @ direction) * direction)
    return first, unit(np.cross(direction, first))


def picture_directions(normal_lps: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Right and down of a plane in the convention radiologists read.

    Near-axial: patient's left on the right, posterior down. Near-coronal: left
    on the right, feet down. Near-sagittal: posterior on the right, feet down.
    """
    normal = unit(normal_lps)
    right, down = (
        (POSTERIOR_LPS, -CRANIAL_LPS),  # mostly sagittal
        (LEFT_LPS, -CRANIAL_LPS),  # mostly coronal
        (LEFT_LPS, POSTERIOR_LPS),  # mostly axial
    )[int(np.argmax(np.abs(normal)))]
    down_in_plane = unit(down - (down @ normal) * normal)
    across = np.cross(down_in_plane, normal)
    return across * (1.0 if across @ right > 0 else -1.0), down_in_plane


def barrel_directions(direction_lps: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Right and down of the plane across a needle, as seen from its hub.

    Up is cranial; for a needle within 30 degrees of the cranial axis, anterior.
    """
    direction = unit(direction_lps)
    up = CRANIAL_LPS if abs(direction @ CRANIAL_LPS) < np.cos(np.pi / 6) else -POSTERIOR_LPS
    up_in_plane = unit(up - (up @ direction) * direction)
    return np.cross(direction, up_in_plane), -up_in_plane


def plane_name(normal_lps: ArrayLike) -> str:
    """A radiologist's name of a plane, e.g. ``"axial"`` or ``"axial, 12° oblique"``."""
    normal = np.abs(unit(normal_lps))
    axis = int(np.argmax(normal))
    name = ("sagittal", "coronal", "axial")[axis]
    off_deg = float(np.degrees(np.arccos(min(1.0, normal[axis]))))
    return name if off_deg < 1.0 else f"{name}, {off_deg:.0f}° oblique"
