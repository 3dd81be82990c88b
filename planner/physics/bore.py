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
) -> FloatArray:
    """Least room (mm) between the handle's end and the wall, clearance taken off.

    The handle's end is farthest out when the tip is at the skin: then it is the whole
    needle and the handle above the entry. It comes in along the axis, and the distance
    from the bore's axis is convex along a line, so the two ends decide.

    Parameters
    ----------
    bore : Bore
    entry_lps_mm, tip_lps_mm : (..., 3)
    needle_length_mm : float

    Returns
    -------
    (...)
        Negative where the handle does not fit.

    Raises
    ------
    ValueError
        If it is not known where the bore's axis runs.
    """
    if bore.centre_lp_mm is None:
        raise ValueError("the centre of the bore is not known")
    entry = np.asarray(entry_lps_mm, float)
    inward = np.asarray(tip_lps_mm, float) - entry
    length = np.linalg.norm(inward, axis=-1, keepdims=True)
    out = -inward / length
    whole, left = needle_length_mm + bore.handle_mm, needle_length_mm - length + bore.handle_mm
    farthest = np.maximum(*(_off_axis(entry + reach * out, bore) for reach in (whole, left)))
    return np.asarray(bore.radius_mm - bore.clearance_mm - farthest)


def _off_axis(points_lps_mm: FloatArray, bore: Bore) -> FloatArray:
    away = points_lps_mm[..., :2] - np.asarray(bore.centre_lp_mm)
    return np.asarray(np.linalg.norm(away, axis=-1))
