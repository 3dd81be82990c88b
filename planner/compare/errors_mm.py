"""How far a needle lies from its plan, taken apart along and across the planned axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import DegenerateGeometryError
from planner.exports.plan_to_export import MOST_MM
from planner.geometry.frames import FloatArray

MIN_LENGTH_MM = 0.1
"""Two points nearer than this have no direction."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlacementErrors:
    """Errors of a needle against its plan; mm and degrees.

    Attributes
    ----------
    tip_mm : float
        Distance of the two tips; ``tip_along_mm`` and ``tip_off_axis_mm`` are its parts.
    tip_along_mm : float
        Along the planned direction: positive when the tip lies too deep.
    tip_off_axis_mm : float
        Across it: what advancing or drawing back the needle cannot mend.
    tip_off_axis_lps : (3,)
        The part across, as a vector.
    entry_mm, entry_off_axis_mm : float
        Of the other ends; the second does not depend on where along the needle that end was
        marked.
    angle_deg : float
        Between the two directions.
    planned_depth_mm, actual_depth_mm : float
        Lengths from end to end.
    tip_to_target_mm : float
        From the actual tip to the point that was aimed at.
    """

    tip_mm: float
    tip_along_mm: float
    tip_off_axis_mm: float
    tip_off_axis_lps: FloatArray
    entry_mm: float
    entry_off_axis_mm: float
    angle_deg: float
    planned_depth_mm: float
    actual_depth_mm: float
    tip_to_target_mm: float

    @property
    def depth_mm(self) -> float:
        """Actual less planned depth."""
        return self.actual_depth_mm - self.planned_depth_mm


def placement_errors(
    planned_entry_lps_mm: ArrayLike,
    planned_tip_lps_mm: ArrayLike,
    actual_entry_lps_mm: ArrayLike,
    actual_tip_lps_mm: ArrayLike,
    *,
    target_lps_mm: ArrayLike,
) -> PlacementErrors:
    """The errors of a needle against its plan.

    Parameters
    ----------
    planned_entry_lps_mm, planned_tip_lps_mm, actual_entry_lps_mm, actual_tip_lps_mm
        array_like, shape (3,), LPS mm, all in one frame of reference.
    target_lps_mm : array_like, shape (3,)

    Raises
    ------
    DegenerateGeometryError
        If a point is not finite or a needle has no length.

    Examples
    --------
    >>> found = placement_errors((0, 0, 0), (0, 0, 50), (0, 0, 0), (3, 4, 52),
    ...                          target_lps_mm=(0, 0, 50))
    >>> round(found.tip_along_mm, 6), round(found.tip_off_axis_mm, 6)
    (2.0, 5.0)
    """
    p_entry, p_tip = _point(planned_entry_lps_mm), _point(planned_tip_lps_mm)
    a_entry, a_tip = _point(actual_entry_lps_mm), _point(actual_tip_lps_mm)
    planned, planned_mm = _direction(p_entry, p_tip, "planned")
    actual, actual_mm = _direction(a_entry, a_tip, "actual")
    tip, entry = a_tip - p_tip, a_entry - p_entry
    along_mm = float(tip @ planned)
    off_axis = tip - along_mm * planned
    entry_off = entry - float(entry @ planned) * planned
    # by sine and cosine: exact for the small angles that matter
    angle_rad = np.arctan2(np.linalg.norm(np.cross(planned, actual)), planned @ actual)
    return PlacementErrors(
        tip_mm=float(np.linalg.norm(tip)),
        tip_along_mm=along_mm,
        tip_off_axis_mm=float(np.linalg.norm(off_axis)),
        tip_off_axis_lps=off_axis,
        entry_mm=float(np.linalg.norm(entry)),
        entry_off_axis_mm=float(np.linalg.norm(entry_off)),
        angle_deg=float(np.degrees(angle_rad)),
        planned_depth_mm=planned_mm,
        actual_depth_mm=actual_mm,
        tip_to_target_mm=float(np.linalg.norm(a_tip - _point(target_lps_mm))),
    )


def _point(values: ArrayLike) -> FloatArray:
    point = np.asarray(values, dtype=np.float64)
    if point.shape != (3,) or not np.all(np.isfinite(point)):
        raise DegenerateGeometryError(
            "an end of a needle is three finite numbers in mm", seen=point.tolist()
        )
    for value in point:
        require_in_reach(float(value), "coordinate of an end of the needle")
    return point


def require_in_reach(value_mm: float, what: str) -> None:
    """Raise where a number is beyond any patient: squares of larger ones overflow.

    Raises
    ------
    DegenerateGeometryError
    """
    is_in_reach = abs(value_mm) <= MOST_MM
    if not is_in_reach:
        raise DegenerateGeometryError(
            f"the {what} is beyond any patient",
            seen=f"{value_mm:g} mm",
            needed=f"at most {MOST_MM:g} mm",
        )


def _direction(entry: FloatArray, tip: FloatArray, which: str) -> tuple[FloatArray, float]:
    length_mm = float(np.linalg.norm(tip - entry))
    has_direction = length_mm >= MIN_LENGTH_MM
    if not has_direction:
        raise DegenerateGeometryError(
            f"the {which} needle has no length",
            seen=f"{length_mm:.3f} mm",
            needed=f"at least {MIN_LENGTH_MM:g} mm",
        )
    return (tip - entry) / length_mm, length_mm
