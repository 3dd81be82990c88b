"""The entry in the words that a radiologist uses at the table."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.model import Angles, StructureSet

_MIDLINE_WINDOW_MM = 30.0
_SPARSE_PER_AXIS = 40


class Midline:
    """Where the patient's middle is, at any level.

    The middle of the spinal canal or thecal sac where one was given, else the
    middle of the body within 30 mm head- and footwards of a level. Where the
    image cuts the body on the left or right, its middle is not the patient's:
    then the zero of the scanner's coordinates is used, and said.

    Parameters
    ----------
    structures : StructureSet
    body : Mask
    is_cut_laterally : bool
        Whether a left or right face of the image cuts the body.
    """

    def __init__(self, structures: StructureSet, body: Mask, *, is_cut_laterally: bool) -> None:
        self._sources = [
            (f"midline ({structure.name})", _sparse_points(structure.mask))
            for structure in structures.structures
            if structure.structure_class == "spinal_canal"
        ]
        if not is_cut_laterally:
            self._sources.append(("midline (middle of the body)", _sparse_points(body)))

    def at(self, tip_lps_mm: FloatArray) -> tuple[float, str]:
        """The midline's LPS x (mm) at the tip's level, and what it is called."""
        for name, points in self._sources:
            near = points[np.abs(points[:, 2] - tip_lps_mm[2]) <= _MIDLINE_WINDOW_MM, 0]
            if near.size:
                return float(0.5 * (near.min() + near.max())), name
        return 0.0, "the scanner's centre line"


def _sparse_points(mask: Mask) -> FloatArray:
    """Some thousand voxels of a mask, evenly spread, LPS mm."""
    bounds = mask.bounds_kji()
    if bounds is None:
        return np.zeros((0, 3))
    start, stop = bounds
    step = np.maximum((stop - start) // _SPARSE_PER_AXIS, 1)
    window = tuple(slice(a, b, n) for a, b, n in zip(start, stop, step, strict=True))
    return mask.grid.to_lps(start + step * np.argwhere(mask.inside[window]))


def entry_words(
    entry_lps_mm: FloatArray, angles: Angles, length_mm: float, midline: tuple[float, str]
) -> str:
    """For example ``"entry 62 mm left of midline, 24 degrees towards midline, ..."``."""
    lateral = float(entry_lps_mm[0]) - midline[0]
    side = "left" if lateral > 0 else "right"
    name = midline[1]
    where = f"{abs(lateral):.0f} mm {side} of {name}" if abs(lateral) >= 0.5 else f"on {name}"
    return ", ".join(
        [
            f"entry {where}",
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
