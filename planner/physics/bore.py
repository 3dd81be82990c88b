"""Whether hub and handle fit the bore while the needle goes in.

The isocentre and the table height are in no image: a site setting gives where the axis
of the bore runs in patient coordinates. Without it nothing is claimed.
"""

from __future__ import annotations

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model.mr_results import Bore


def bore_room_mm(
    bore: Bore, entry_lps_mm: FloatArray, tip_lps_mm: FloatArray, needle_length_mm: float
) -> float:
    """Least room (mm) between the handle's end and the wall, clearance taken off.

    The handle's end is farthest out when the tip is at the skin: then it is the whole
    needle and the handle above the entry. It comes in along the axis, and the distance
    from the bore's axis is convex along a line, so the two ends decide.

    Raises
    ------
    ValueError
        If it is not known where the bore's axis runs.
    """
    if bore.centre_lp_mm is None:
        raise ValueError("the centre of the bore is not known")
    inward = np.asarray(tip_lps_mm, float) - np.asarray(entry_lps_mm, float)
    length = float(np.linalg.norm(inward))
    out = -inward / length
    outside = np.array([needle_length_mm, needle_length_mm - length]) + bore.handle_mm
    ends = np.asarray(entry_lps_mm, float) + outside[:, None] * out
    away = ends[:, :2] - np.asarray(bore.centre_lp_mm)
    return float(bore.radius_mm - bore.clearance_mm - np.linalg.norm(away, axis=1).max())
