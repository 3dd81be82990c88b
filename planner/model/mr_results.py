"""What MR physics says of one path: values only; they are computed in physics and safety."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.geometry.frames import FloatArray
from planner.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedleArtefact:
    """Artefact of one needle in one sequence.

    Attributes
    ----------
    width_mm, tip_overshoot_mm : float
        Closed form; the width is never below the needle's diameter.
    width_max_mm, tip_max_mm : float
        With quantisation, the range of the material, and the factor for steep
        needles in gradient echo: what to count with.
    b0_angle_deg : float
    pixels_wide : float
        Width in acquired pixels.
    material : str
    is_visible : bool
        Whether the shaft is wide enough to be seen.
    blooms : bool
        Whether the needle is so steep to B0 that the tip blooms.
    """

    width_mm: float
    width_max_mm: float
    tip_overshoot_mm: float
    tip_max_mm: float
    b0_angle_deg: float
    pixels_wide: float
    material: str
    is_visible: bool
    blooms: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScanPlane:
    """One imaging plane as numbers a technologist types.

    ``row_direction_lps`` points along a row (to the right of the picture),
    ``column_direction_lps`` down a column; ``normal_lps`` = row x column.
    """

    name: str
    centre_lps_mm: FloatArray
    normal_lps: FloatArray
    row_direction_lps: FloatArray
    column_direction_lps: FloatArray
    orientation: str
    field_of_view_mm: float
    readout_direction_lps: FloatArray
    readout_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetShift:
    """By how much the image may show the target elsewhere, mm to either side."""

    readout_mm: float
    slice_mm: float
    fat_mm: float
    """Shift of marrow against water along the readout; 0 where the target is not in bone."""

    @property
    def total_mm(self) -> float:
        """Length of the worst shift."""
        return float(np.hypot(self.readout_mm + self.fat_mm, self.slice_mm))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetalRecord:
    """One path beside metal, in numbers.

    ``binding`` names the structures whose clearance the sweep made smaller and that are
    now below their margin plus caution band.
    """

    zones_mm: Mapping[str, float]
    largest_shift_mm: float
    target_shift: TargetShift
    clearance_without_sweep_mm: Mapping[str, float]
    binding: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRow:
    """One alternative, evaluated for one path.

    Attributes
    ----------
    change : str
        What would be done differently; the first row is the sequence as it is.
    verdict : Verdict
        Of clearances, void and target shift together.
    room_mm : float or None
        Least clearance over its margin, and ``structure`` where; None: nothing near.
    void_mm : float or None
        Clearance to the void (negative: the path runs through it); None: no void near.
    target_shift_mm : float
    """

    change: str
    verdict: Verdict
    room_mm: float | None
    structure: str | None
    void_mm: float | None
    target_shift_mm: float
