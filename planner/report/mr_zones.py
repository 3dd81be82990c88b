"""What metal does to the image on the plane of a picture. Geometry only, no drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.geometry.sampling import sample_mask, sample_volume
from planner.model.mr import MRAcquisition
from planner.model.mr_results import MetalMap
from planner.physics.metal_zones import FAR_SHIFT_MM, SWEEP_SHIFT_MM
from planner.physics.shifts import shift_model
from planner.physics.sweep import half_widths_kji, swept
from planner.report.reslice import PlaneSpec


@dataclass(frozen=True, slots=True, eq=False)
class MetalOnPlane:
    """A metal map on a plane, arrays (rows, columns).

    Attributes
    ----------
    shift_mm : float
        Bound of the shift, trilinear between voxel centres; 0 outside the map, where the
        shift is below what is swept.
    field_hz : float
        Nominal offset; NaN outside the map.
    is_void : bool
        By the box of the nearest voxel, as clearances to the void are measured.
    """

    shift_mm: FloatArray
    field_hz: FloatArray
    is_void: NDArray[np.bool_]

    @property
    def is_distorted(self) -> NDArray[np.bool_]:
        """Shifted by ``FAR_SHIFT_MM`` or more, with signal left."""
        return (self.shift_mm >= FAR_SHIFT_MM) & ~self.is_void

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of the void or the distorted zone on the plane."""
        return not (self.is_void.any() or self.is_distorted.any())


def metal_on_plane(metal: MetalMap, plane: PlaneSpec) -> MetalOnPlane:
    """The shift bound, the field and the void at the pixel centres of a plane."""
    points_lps_mm = plane.points_lps_mm()
    return MetalOnPlane(
        shift_mm=sample_volume(metal.shift_mm, metal.grid, points_lps_mm, outside=0.0),
        field_hz=sample_volume(metal.field_hz, metal.grid, points_lps_mm),
        is_void=sample_mask(metal.is_void, metal.grid, points_lps_mm) == 1.0,
    )


class MetalSweep:
    """Masks with every voxel set that may truly hold what was drawn, within the map.

    As the search sweeps for one acquisition. For two, each is swept by the worst shift of
    both, which contains what the search takes and is larger where their axes differ.
    """

    def __init__(self, metal: MetalMap, acquisitions: Sequence[MRAcquisition]) -> None:
        self._metal = metal
        moves = metal.shift_mm >= SWEEP_SHIFT_MM
        readout, through = (np.where(moves, b, 0.0) for b in (metal.readout_mm, metal.slice_mm))
        self._widths = [
            half_widths_kji(readout, through, shift_model(acquisition), metal.grid)
            for acquisition in acquisitions
        ]

    def swept(self, mask: Mask) -> Mask:
        """A mask of the image grid of which the map's grid is a block, swept."""
        corner_lps_mm = self._metal.grid.to_lps(np.zeros(3))
        start = np.rint(mask.grid.to_kji(corner_lps_mm)).astype(int).tolist()
        stop = np.add(start, self._metal.grid.shape_kji).tolist()
        block = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        inside = np.array(mask.inside)
        for widths in self._widths:
            inside[block] |= swept(mask.inside[block], widths)
        return Mask(grid=mask.grid, inside=inside)
