"""Candidate needle axes as arrays, in patient and in voxel-axis coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid
from planner.geometry.clearance import throw_end_lps_mm
from planner.geometry.frames import FloatArray
from planner.geometry.trace import SHARE_MM
from planner.model import Needle

_CELL_MM = 0.75 * SHARE_MM


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AxisBatch:
    """All candidates from the skin to their tips, shape (n, 3) each.

    ``end`` is the tip with the throw added. The ``_axes_mm`` arrays are in the
    image grid's millimetre axes, where voxels are axis-aligned boxes.
    """

    entry_lps_mm: FloatArray
    normal_lps: FloatArray
    tip_lps_mm: FloatArray
    direction_lps: FloatArray
    length_mm: FloatArray
    end_lps_mm: FloatArray
    entry_axes_mm: FloatArray
    tip_axes_mm: FloatArray
    end_axes_mm: FloatArray

    def __len__(self) -> int:
        return int(self.length_mm.shape[0])

    def only(self, number: int) -> AxisBatch:
        """A batch of candidate ``number`` alone."""
        at = slice(number, number + 1)
        return AxisBatch(
            **{name: getattr(self, name)[at] for name in AxisBatch.__dataclass_fields__}
        )

    def beneath_skin_axes_mm(self, slack_mm: float, active: NDArray[np.int64]) -> FloatArray:
        """Points ``slack_mm`` along active paths from the entry (the tip, if that is nearer)."""
        entry = self.entry_axes_mm[active]
        fraction = np.minimum(slack_mm / self.length_mm[active], 1.0)[:, None]
        return np.asarray(entry + fraction * (self.tip_axes_mm[active] - entry))

    def terminal_axes_mm(self, terminal_mm: float) -> FloatArray:
        """Where the last stretch before the tip begins; the entry where it is all, (n, 3)."""
        share = np.maximum(0.0, 1.0 - terminal_mm / np.maximum(self.length_mm, 1e-12))[:, None]
        return np.asarray(self.entry_axes_mm + share * (self.tip_axes_mm - self.entry_axes_mm))

    def shaft_axes_mm(
        self, needle: Needle, start_mm: float, active: NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray]:
        """The needle outside the skin, from ``start_mm`` beyond the entry to the hub."""
        entry, length = self.entry_axes_mm[active], self.length_mm[active]
        per_mm = (entry - self.tip_axes_mm[active]) / length[:, None]
        outside = np.maximum(needle.length_mm - length, 0.0)
        start = entry + per_mm * np.minimum(start_mm, outside)[:, None]
        return start, np.asarray(entry + per_mm * outside[:, None])


def coherent_order(points_axes_mm: FloatArray) -> NDArray[np.int64]:
    """An order that visits points cell by cell, so that neighbours follow each other.

    Memory is then read in one place, and axes can take over each other's answers.
    """
    cell = np.floor(points_axes_mm / _CELL_MM).astype(np.int64)
    return np.lexsort((cell[:, 2], cell[:, 1], cell[:, 0]))


def axis_batch(
    entry_lps_mm: FloatArray,
    normal_lps: FloatArray,
    entry_axes_mm: FloatArray,
    tip_lps_mm: FloatArray,
    tip_axes_mm: FloatArray,
    throw_mm: float,
    grid: Grid,
) -> AxisBatch:
    """Candidates from every entry to its tip (LPS, and the same in the grid's axes), (n, 3)."""
    along = tip_lps_mm - entry_lps_mm
    length = np.sqrt(np.einsum("ij,ij->i", along, along))
    np.divide(along, np.maximum(length, 1e-12)[:, None], out=along)
    end_lps_mm, end_axes_mm = tip_lps_mm, tip_axes_mm
    if throw_mm != 0.0 and len(length):
        end_lps_mm = throw_end_lps_mm(entry_lps_mm, tip_lps_mm, throw_mm)
        end_axes_mm = grid.to_axes_mm(end_lps_mm)
    return AxisBatch(
        entry_lps_mm=entry_lps_mm,
        normal_lps=normal_lps,
        tip_lps_mm=tip_lps_mm,
        direction_lps=along,
        length_mm=length,
        end_lps_mm=end_lps_mm,
        entry_axes_mm=np.ascontiguousarray(entry_axes_mm),
        tip_axes_mm=tip_axes_mm,
        end_axes_mm=np.ascontiguousarray(end_axes_mm),
    )
