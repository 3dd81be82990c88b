"""Frames of reference, LPS and RAS, orientation letters, patient position.

The world inside the package is the DICOM patient coordinate system: LPS, in
millimetres (+x to the patient's left, +y to posterior, +z to the head). RAS
exists only at the edges (3D Slicer, OpenIGTLink) and is converted once, here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import DegenerateGeometryError

FloatArray = NDArray[np.float64]

_RAS_SIGN = np.array([-1.0, -1.0, 1.0])

LEFT_LPS = np.array([1.0, 0.0, 0.0])
POSTERIOR_LPS = np.array([0.0, 1.0, 0.0])
CRANIAL_LPS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class FrameId:
    """Identity of a patient frame of reference.

    An unknown frame (``uid is None``) is the same as nothing, not even as
    another unknown frame; ``same_as`` is therefore False for it.
    """

    uid: str | None
    label: str = ""

    def same_as(self, other: FrameId) -> bool:
        """Whether both are known and carry the same UID."""
        return self.uid is not None and self.uid == other.uid


def ras_from_lps(points_lps_mm: ArrayLike) -> FloatArray:
    """Points or directions in RAS, from LPS; shape (..., 3) in mm."""
    return np.asarray(np.asarray(points_lps_mm, dtype=np.float64) * _RAS_SIGN)


def lps_from_ras(points_ras_mm: ArrayLike) -> FloatArray:
    """Points or directions in LPS, from RAS; shape (..., 3) in mm."""
    return np.asarray(np.asarray(points_ras_mm, dtype=np.float64) * _RAS_SIGN)


def unit(direction_lps: ArrayLike) -> FloatArray:
    """A direction scaled to length one.

    Raises
    ------
    DegenerateGeometryError
        If the direction is not finite or has no length.
    """
    vector = np.asarray(direction_lps, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not (np.isfinite(length) and length > 1e-12):
        raise DegenerateGeometryError("a direction has no usable length", seen=vector.tolist())
    return vector / length


def orientation_letters(direction_lps: ArrayLike, *, min_component: float = 0.2) -> str:
    """Letters a radiologist reads at an image edge, e.g. ``"A"`` or ``"PL"``.

    The largest component comes first; components under ``min_component`` of
    the unit vector are left out.
    """
    vector = unit(direction_lps)
    order = np.argsort(-np.abs(vector), kind="stable")
    names = (("R", "L"), ("A", "P"), ("F", "H"))
    letters = [
        names[axis][int(vector[axis] > 0)] for axis in order if abs(vector[axis]) >= min_component
    ]
    return "".join(letters)


class PatientPosition(StrEnum):
    """DICOM Patient Position (0018,5100), section C.7.3.1.1.2 of PS3.3.

    The positions of patients who sit, or lie across the bore (LFS, RFP, AFDR ...), are
    UNKNOWN here: which side is down, nothing was tested to tell.
    """

    HFS = "HFS"
    HFP = "HFP"
    HFDR = "HFDR"
    HFDL = "HFDL"
    FFS = "FFS"
    FFP = "FFP"
    FFDR = "FFDR"
    FFDL = "FFDL"
    UNKNOWN = "unknown"

    @classmethod
    def from_dicom(cls, code: str | None) -> PatientPosition:
        """The member for a DICOM code; UNKNOWN for anything else."""
        try:
            return cls((code or "").strip().upper())
        except ValueError:
            return cls.UNKNOWN

    @property
    def down_lps(self) -> FloatArray | None:
        """Unit vector towards the table in LPS, or None when unknown.

        Head-first or feet-first does not matter: supine lies on posterior,
        prone on anterior, decubitus right on the patient's right.
        """
        kind = self.value[2:]
        if self is PatientPosition.UNKNOWN:
            return None
        return {
            "S": np.array([0.0, 1.0, 0.0]),
            "P": np.array([0.0, -1.0, 0.0]),
            "DR": np.array([-1.0, 0.0, 0.0]),
            "DL": np.array([1.0, 0.0, 0.0]),
        }[kind]

    @property
    def lies_on(self) -> str:
        """The side of the patient on the table in words, ``""`` when unknown."""
        sides = {"S": "the back", "P": "the front", "DR": "the right side", "DL": "the left side"}
        return sides.get(self.value[2:], "")
