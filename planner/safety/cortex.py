"""The angle at which a path first meets bone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.geometry.rays import first_surface
from planner.model import Verdict
from planner.model.protocol_rules import CortexAngle
from planner.safety.way_rules import WayRule, directions_lps


def cortex_rule(bones: Sequence[Mask], angle: CortexAngle) -> WayRule:
    """Angle to the cortex at the first crossing, 90 degrees square on; unknown where none is met.

    Parameters
    ----------
    bones : sequence of Mask
        On one grid; at least one.
    angle : CortexAngle
    """
    inside = np.logical_or.reduce([mask.inside for mask in bones])
    bone = Mask(grid=bones[0].grid, inside=inside)

    def measure(entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        hits = first_surface(bone, entries, ends)
        sine = np.einsum("ij,ij->i", directions_lps(entries, tips), hits.inward_lps)
        return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))

    return WayRule(
        constraint="cortex_angle",
        words="angle between the needle and the bone's surface where it first meets bone",
        unit="degrees",
        measure=measure,
        low=angle.min_deg,
        high=angle.max_deg,
        evidence=angle.evidence,
        is_quick=False,
        passes_unmeasured=True,  # a path is not refused for a mask that is not there
        unmeasured=Verdict.UNKNOWN,
    )
