"""The artefact of a catalogue needle: ``planner.safety.needle_artefact``."""

from __future__ import annotations

from planner.geometry.frames import FloatArray
from planner.model import Needle
from planner.model.mr import MRAcquisition
from planner.model.mr_results import NeedleArtefact
from planner.physics.materials import candidate_materials
from planner.physics.needle_artefact import needle_artefact as artefact_of


def needle_artefact(
    needle: Needle,
    mr: MRAcquisition,
    b0_angle_deg: float,
    *,
    direction_lps: FloatArray | None = None,
) -> NeedleArtefact:
    """Width of the shaft's artefact and overshoot of the tip's, mm.

    Parameters
    ----------
    needle : Needle
        An unknown material counts with the strongest likely one.
    mr : MRAcquisition
        ``planner.physics.acquisition_of(volume.source.mr, volume.grid)``.
    b0_angle_deg : float
        Between needle and main field, 0 to 90.
    direction_lps : (3,), optional
        Of the needle; without it the readout is taken as the worst.

    Returns
    -------
    NeedleArtefact
        ``width_mm``, ``tip_overshoot_mm`` and what to count with (docs/needle_artefact.md).

    Raises
    ------
    ValueError
        If the acquisition misses a value, or the angle is none.
    """
    return artefact_of(
        needle.outer_diameter_mm,
        candidate_materials(needle.material),
        mr,
        b0_angle_deg,
        direction_lps=direction_lps,
        inner_diameter_mm=needle.inner_diameter_mm,
    )
