"""Whether hub and handle fit the bore while the needle goes in.

The isocentre and the table height are in no image: a site setting gives where the axis
of the bore runs in patient coordinates. Without it nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.geometry.frames import FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bore:
    """A cylindrical bore along the patient's S axis.

    Attributes
    ----------
    radius_mm : float
        350 for a 70 cm bore, 300 for 60 cm (M).
    centre_lps_mm : (3,)
        A point on the axis of the bore; its S coordinate does not matter.
    clearance_mm : float
        Room to keep from the wall (20 mm, E).
    handle_mm : float
        Hub and handle beyond the shaft (60 mm, E).
    """

    radius_mm: float
    centre_lps_mm: FloatArray
    clearance_mm: float = 20.0
    handle_mm: float = 60.0


def bore_room_mm(
    bore: Bore, entry_lps_mm: FloatArray, tip_lps_mm: FloatArray, needle_length_mm: float
) -> float:
    """Least room (mm) between the handle's end and the wall, clearance taken off.

    The handle's end is farthest out when the tip is at the skin: then it is the whole
    needle and the handle above the entry. It comes in along the axis, and the distance
    from the bore's axis is convex along a line, so the two ends decide.
    """
    inward = np.asarray(tip_lps_mm, float) - np.asarray(entry_lps_mm, float)
    length = float(np.linalg.norm(inward))
    out = -inward / length
    outside = np.array([needle_length_mm, needle_length_mm - length]) + bore.handle_mm
    ends = np.asarray(entry_lps_mm, float) + outside[:, None] * out
    away = (ends - bore.centre_lps_mm)[:, :2]
    return float(bore.radius_mm - bore.clearance_mm - np.linalg.norm(away, axis=1).max())
