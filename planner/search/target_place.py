"""Whether a target is where it was meant to be: mixed-up LPS and RAS are the usual mistake."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray, lps_from_ras
from planner.model import Structure


def mixed_up_frames(
    point_lps_mm: FloatArray, body: Mask, structure: Structure | None = None
) -> str:
    """Where the point would be if LPS and RAS were mixed up, in one sentence.

    Says whether that is in the body, and whether it is outside ``structure``, so
    that a person can tell a wrong frame from a wrong point.
    """
    other_lps_mm = np.asarray(lps_from_ras(point_lps_mm))
    place = ", ".join(f"{x:.1f}" for x in other_lps_mm)
    if not bool(body.grid.contains(other_lps_mm)):
        where = "outside the image as well"
    elif not bool(body.contains(other_lps_mm)):
        where = "outside the body"
    elif structure is None:
        where = "inside the body"
    elif bool(structure.mask.contains(other_lps_mm)):
        where = f"inside '{structure.name}' as well"
    else:
        where = f"inside the body and outside '{structure.name}'"
    return (
        "If the numbers were meant in the other frame (LPS or RAS: --frame), the point would be "
        f"at LPS ({place}) mm, {where}"
    )
