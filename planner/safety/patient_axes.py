"""Whether the patient lies straight in the scanner: angles are measured in the scanner's axes."""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.names import LEVELS
from planner.anatomy.vertebra import vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import FloatArray
from planner.model import Finding, Protocol, StructureSet, TargetRegion, Verdict
from planner.safety.reference_region import vertebrae_near

PATIENT_ROTATED = "patient_rotated"
STRAIGHT_DEG = 7.0
"""Turned by more than this, published angles no longer mean what they say."""

STRAIGHT_EVIDENCE = "E: half of the usual width of a published range"


def rotated_findings(
    protocol: Protocol, around: TargetRegion | None, structures: StructureSet, point: FloatArray
) -> list[Finding]:
    """A caution where the vertebra at the target is turned in the scanner, with the angles.

    Looked at are the turn about the patient's long axis (what an axial angle is off by) and the
    tilt to a side, both 0 in a patient who lies straight. The forward tilt is not: lordosis
    gives every level its own.
    """
    is_asked = protocol.axial_deg or protocol.craniocaudal_deg or protocol.direction
    found = _left_of(structures, around, point) if is_asked else None
    if found is None:
        return []
    level, left_lps = found
    turn_deg, tilt_deg = turn_and_tilt_deg(left_lps)
    largest = max(abs(turn_deg), abs(tilt_deg))
    if largest <= STRAIGHT_DEG:
        return []
    note = (
        f"angles are measured in the scanner's axes; {level} is turned by {turn_deg:+.0f} degrees "
        f"about the long axis and tilted by {tilt_deg:+.0f} degrees to a side: published angles "
        f"are off by as much; evidence: {STRAIGHT_EVIDENCE}"
    )
    return [
        Finding(
            constraint=PATIENT_ROTATED,
            structure=None,
            measured=round(largest, 2),
            required=STRAIGHT_DEG,
            unit="degrees",
            verdict=Verdict.CAUTION,
            note=note,
        )
    ]


def turn_and_tilt_deg(left_lps: FloatArray) -> tuple[float, float]:
    """Of an anatomical left direction: in the axial plane from L, and out of that plane.

    Examples
    --------
    >>> turn, tilt = turn_and_tilt_deg(np.array([0.0, 1.0, 0.0]))
    >>> round(turn), round(tilt)
    (90, 0)
    """
    x, y, z = (float(v) for v in left_lps)
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _left_of(
    structures: StructureSet, around: TargetRegion | None, point: FloatArray
) -> tuple[str, FloatArray] | None:
    """The patient's left by the target's own vertebra, else by the nearest that has axes."""
    own = None if around is None or around.level is None else around.level.split("-")[0]
    levels = [*([own] if own in LEVELS else []), *vertebrae_near(structures, point)]
    for level in levels:
        try:
            return level, vertebra_of(Atlas.of(structures), level).frame.left_lps
        except AnatomyError:
            continue
    return None
