"""The entry in the words that a radiologist uses at the table."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.model import Angles, StructureSet

_MIDLINE_WINDOW_MM = 30.0


def midline_x_mm(structures: StructureSet, body: Mask, tip_lps_mm: FloatArray) -> tuple[float, str]:
    """The patient's midline (LPS x, mm) near the tip's level, and what it was taken from.

    The middle of the spinal canal or thecal sac where one was given, else the
    middle of the body, within 30 mm head- and footwards of the tip.
    """
    for structure in structures.structures:
        if structure.structure_class == "spinal_canal":
            middle = _middle_x(structure.mask, tip_lps_mm)
            if middle is not None:
                return middle, structure.name
    middle = _middle_x(body, tip_lps_mm)
    return (0.0, "scanner axis") if middle is None else (middle, "middle of the body")


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


def _middle_x(mask: Mask, tip_lps_mm: FloatArray) -> float | None:
    """Middle of the extent along x of a mask near a level; every second voxel is enough."""
    step = tuple(slice(None, None, 2) for _ in range(3))
    kji = 2 * np.argwhere(mask.inside[step])
    if kji.size == 0:
        return None
    points = mask.grid.to_lps(kji)
    near = points[np.abs(points[:, 2] - tip_lps_mm[2]) <= _MIDLINE_WINDOW_MM]
    if near.size == 0:
        return None
    return float(0.5 * (near[:, 0].min() + near[:, 0].max()))
