"""What MR physics says of one path: values only; they are computed in physics and safety."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.geometry.frames import FloatArray
from planner.model.mr import Material
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
    readout_rotation_deg: float
    """In-plane turn from the row to the readout, positive towards the column direction."""
    readout_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetShift:
    """By how much the image may show the target elsewhere, mm to either side."""

    readout_mm: float
    slice_mm: float
    fat_mm: float
    """Shift of marrow against water along the readout; 0 where the target is not in bone."""

    @property
    def metal_mm(self) -> float:
        """Length of the worst shift by metal alone."""
        return float(np.hypot(self.readout_mm, self.slice_mm))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImplantUse:
    """How an implant entered the field: the metals it may be, and where its shape is from."""

    name: str
    materials: tuple[Material, ...]
    shape: Literal["mask", "surface mesh", "rods"]
    """``"mask"`` (drawn on an image, perhaps on its own artefact), ``"surface mesh"`` or
    ``"rods"`` (geometry)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalMap:
    """Metal of a plan: where it shifts or hides the image; arrays over a block of its grid.

    Attributes
    ----------
    grid : Grid
        Of the block; outside it the shift is below what is swept.
    readout_mm, slice_mm : (k, j, i) float32
        Bounds of the shift to either side, worst of the acquisitions.
    is_void : (k, j, i) bool
    field_hz : (k, j, i) float32
        Nominal offset in the planning acquisition, for pictures.
    """

    grid: Grid
    readout_mm: NDArray[np.float32]
    slice_mm: NDArray[np.float32]
    is_void: NDArray[np.bool_]
    field_hz: NDArray[np.float32]

    @property
    def shift_mm(self) -> FloatArray:
        """Length of the shift bound, (k, j, i)."""
        return np.hypot(self.readout_mm, self.slice_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bore:
    """The scanner's cylindrical bore along the patient's S axis: a site setting.

    Attributes
    ----------
    radius_mm : float
        350 for a 70 cm bore, 300 for 60 cm (M).
    centre_lp_mm : (L, P) or None
        Where the axis of the bore runs in patient coordinates; None: not known.
    clearance_mm : float
        Room to keep from the wall (20 mm, E).
    handle_mm : float
        Hub and handle beyond the shaft (60 mm, E).
    """

    radius_mm: float
    centre_lp_mm: tuple[float, float] | None
    clearance_mm: float = 20.0
    handle_mm: float = 60.0
