"""The entry in the words that a radiologist uses at the table."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.model import Angles, StructureSet

_MIDLINE_WINDOW_MM = 30.0


class Midline:
    """Where the patient's middle is, at any level.

    The middle of the spinal canal or thecal sac where one was given, else the
    middle of the skin, within 30 mm head- and footwards of a level.

    Parameters
    ----------
    structures : StructureSet
    skin_lps_mm : ndarray, shape (n, 3)
        Points on the skin.
    """

    def __init__(self, structures: StructureSet, skin_lps_mm: FloatArray) -> None:
        self._sources = [
            (structure.name, _sparse_points(structure.mask))
            for structure in structures.structures
            if structure.structure_class == "spinal_canal"
        ]
        self._sources.append(("middle of the body", skin_lps_mm))

    def at(self, tip_lps_mm: FloatArray) -> tuple[float, str]:
        """The midline's LPS x (mm) at the tip's level, and what it was taken from."""
        for name, points in self._sources:
            near = points[np.abs(points[:, 2] - tip_lps_mm[2]) <= _MIDLINE_WINDOW_MM, 0]
            if near.size:
                return float(0.5 * (near.min() + near.max())), name
        return 0.0, "scanner axis"


def _sparse_points(mask: Mask) -> FloatArray:
    """Every second voxel of a mask along each axis, LPS mm."""
    bounds = mask.bounds_kji()
    if bounds is None:
        return np.zeros((0, 3))
    start, stop = bounds
    window = tuple(slice(a, b, 2) for a, b in zip(start, stop, strict=True))
    return mask.grid.to_lps(start + 2 * np.argwhere(mask.inside[window]))


def entry_words(
    entry_lps_mm: FloatArray, angles: Angles, length_mm: float, midline: tuple[float, str]
) -> str:
    """For example ``"entry 62 mm left of midline, 24 degrees towards midline, ..."``."""
    lateral = float(entry_lps_mm[0]) - midline[0]
    side = "left" if lateral > 0 else "right"
    where = f"{abs(lateral):.0f} mm {side} of midline" if abs(lateral) >= 0.5 else "on the midline"
    return ", ".join(
        [
            f"entry {where} ({midline[1]})",
            _axial_words(lateral, angles.axial_deg),
            _tilt_words(angles.craniocaudal_deg),
            f"depth {length_mm:.0f} mm",
        ]
    )


def _axial_words(lateral_mm: float, axial_deg: float) -> str:
    if abs(axial_deg) < 0.5:
        return "straight in the axial plane"
    if abs(lateral_mm) < 0.5:
        return f"{abs(axial_deg):.0f} degrees to the {'left' if axial_deg > 0 else 'right'}"
    towards = axial_deg * lateral_mm < 0
    return f"{abs(axial_deg):.0f} degrees {'towards' if towards else 'away from'} midline"


def _tilt_words(craniocaudal_deg: float) -> str:
    if abs(craniocaudal_deg) < 0.5:
        return "no cranial or caudal tilt"
    return f"{abs(craniocaudal_deg):.0f} degrees {'cranial' if craniocaudal_deg > 0 else 'caudal'}"
