"""The part of a needle's shaft that nobody marked: it lies in the patient all the same."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray

SAMPLES_PER_VOXEL = 4


def shaft_start_lps_mm(
    entry_lps_mm: FloatArray, tip_lps_mm: FloatArray, length_mm: float, body: Mask | None
) -> FloatArray:
    """Where the needle enters the patient, shape (3,): the marked entry, or further back.

    A line drawn along a visible artefact may begin deep in the patient. The needle goes on
    backwards along its axis, straight, as far as it is long.

    Parameters
    ----------
    entry_lps_mm, tip_lps_mm : ndarray, shape (3,)
        As marked; not the same point.
    length_mm : float
        Of the needle of the plan.
    body : Mask, optional
        Where its last part leaves the body the shaft ends for this purpose. Without it the
        whole length counts.
    """
    along = tip_lps_mm - entry_lps_mm
    depth_mm = float(np.linalg.norm(along))
    back = -along / depth_mm
    hidden_mm = length_mm - depth_mm
    if hidden_mm <= 0:
        return entry_lps_mm
    if body is None:
        return np.asarray(entry_lps_mm + hidden_mm * back)
    step_mm = float(body.grid.spacing_kji_mm.min()) / SAMPLES_PER_VOXEL
    steps_mm = step_mm * np.arange(int(np.ceil(hidden_mm / step_mm)) + 1)
    inside = np.flatnonzero(body.contains(entry_lps_mm + steps_mm[:, None] * back))
    if inside.size == 0:
        return entry_lps_mm
    # one step more than the last that is inside: the surface lies between the two
    reach_mm = min(float(steps_mm[inside[-1]]) + step_mm, hidden_mm)
    return np.asarray(entry_lps_mm + reach_mm * back)
