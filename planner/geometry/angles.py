"""Angles of a needle in the patient: the two numbers a radiologist dials in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import DegenerateGeometryError
from planner.geometry.frames import FloatArray

MIN_NEEDLE_MM = 1e-9
"""A shorter entry-to-tip distance has no direction."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NeedleAngles:
    """Axial and craniocaudal angle in degrees; arrays of the broadcast leading shape."""

    axial_deg: FloatArray
    craniocaudal_deg: FloatArray


def needle_angles_deg(entry_lps_mm: ArrayLike, tip_lps_mm: ArrayLike) -> NeedleAngles:
    """Angles of the direction entry to tip, in LPS.

    ``axial_deg`` lies in the axial plane, between the needle and the
    anterior-posterior axis: 0 for a needle that points straight to the front
    or straight to the back, positive when the tip points to the patient's
    left, -90..90. ``craniocaudal_deg`` is the elevation out of the axial
    plane, positive when the tip points to the head, -90..90. A needle along
    the body axis has ``axial_deg`` 0.

    Parameters
    ----------
    entry_lps_mm, tip_lps_mm : array_like, shape (..., 3)
        LPS points in mm; the leading axes broadcast.

    Returns
    -------
    NeedleAngles
        Arrays of the broadcast leading shape; NaN where a point is NaN.

    Raises
    ------
    DegenerateGeometryError
        If an entry coincides with its tip.

    Examples
    --------
    A tip 50 mm in front of the skin and 50 mm to the patient's left of it:

    >>> angles = needle_angles_deg([0.0, 80.0, 0.0], [50.0, 30.0, 0.0])
    >>> round(float(angles.axial_deg), 6), float(angles.craniocaudal_deg)
    (45.0, 0.0)
    """
    needle = np.asarray(tip_lps_mm, dtype=np.float64) - np.asarray(entry_lps_mm, dtype=np.float64)
    length_mm = np.linalg.norm(needle, axis=-1)
    if bool(np.any(length_mm < MIN_NEEDLE_MM)):
        raise DegenerateGeometryError(
            "entry and tip coincide: the needle has no direction",
            seen=f"{float(np.nanmin(length_mm)):g} mm",
            needed=f"> {MIN_NEEDLE_MM:g} mm",
        )
    to_left, to_back, to_head = needle[..., 0], needle[..., 1], needle[..., 2]
    axial_rad = np.arctan2(to_left, np.abs(to_back))
    elevation_rad = np.arcsin(np.clip(to_head / length_mm, -1.0, 1.0))
    return NeedleAngles(
        axial_deg=np.asarray(np.degrees(axial_rad)),
        craniocaudal_deg=np.asarray(np.degrees(elevation_rad)),
    )
