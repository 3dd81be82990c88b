"""The entry in the words that a radiologist uses at the table."""

from __future__ import annotations

from planner.geometry.frames import FloatArray
from planner.model import Angles


def entry_words(
    entry_lps_mm: FloatArray, angles: Angles, length_mm: float, midline: tuple[float, str]
) -> str:
    """For example ``"entry 62 mm left of midline, 24 degrees towards midline, ..."``.

    ``midline`` is the line's LPS x (mm) and its name, from ``Midline.at``. A line that
    is not the patient's midline is never called so.
    """
    lateral = float(entry_lps_mm[0]) - midline[0]
    side = "left" if lateral > 0 else "right"
    name = midline[1]
    where = f"{abs(lateral):.0f} mm {side} of {name}" if abs(lateral) >= 0.5 else f"on {name}"
    return ", ".join(
        [
            f"entry {where}",
            _axial_words(lateral, angles.axial_deg, name),
            _tilt_words(angles.craniocaudal_deg),
            f"depth {length_mm:.0f} mm",
        ]
    )


def _axial_words(lateral_mm: float, axial_deg: float, midline_name: str) -> str:
    if abs(axial_deg) < 0.5:
        return "straight in the axial plane"
    if abs(lateral_mm) < 0.5:
        return f"{_degrees(axial_deg)} to the {'left' if axial_deg > 0 else 'right'}"
    towards = axial_deg * lateral_mm < 0
    middle = "midline" if midline_name.startswith("midline") else "it"
    return f"{_degrees(axial_deg)} {'towards' if towards else 'away from'} {middle}"


def _tilt_words(craniocaudal_deg: float) -> str:
    if abs(craniocaudal_deg) < 0.5:
        return "no cranial or caudal tilt"
    return f"{_degrees(craniocaudal_deg)} {'cranial' if craniocaudal_deg > 0 else 'caudal'}"


def _degrees(angle_deg: float) -> str:
    rounded = f"{abs(angle_deg):.0f}"
    return f"{rounded} degree{'' if rounded == '1' else 's'}"
