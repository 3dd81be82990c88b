"""A target that is a region derived from anatomy, not a point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from planner.errors import GridMismatchError, TargetError
from planner.geometry import Mask
from planner.geometry.frames import FloatArray, unit

Side = Literal["left", "right"]
"""Of the patient: left is +x in LPS."""

UNITS = ("mm", "mm2", "mm3", "deg", "frac", "count")
_MEASURE = re.compile(r"[a-z][a-z0-9_]*_(?:" + "|".join(UNITS) + r")")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RegionAxes:
    """Where in a whole piece of anatomy a place lies, whatever part of it is the target.

    Attributes
    ----------
    origin_lps_mm : ndarray, shape (3,)
    axes_lps : ndarray, shape (3, 3)
        Rows, right-angled: to the side (of one side's anatomy: away from the midline; else to
        the patient's left), to the back, to the head.
    low_mm, high_mm : ndarray, shape (3,)
        From where to where the anatomy reaches along each axis, from the origin.
    words : str
        What the ends of the height are: ``"from the lower to the upper pedicle"``.
    """

    origin_lps_mm: FloatArray
    axes_lps: FloatArray
    low_mm: FloatArray
    high_mm: FloatArray
    words: str = ""

    def __post_init__(self) -> None:
        for key, shape in (
            ("origin_lps_mm", (3,)),
            ("axes_lps", (3, 3)),
            ("low_mm", (3,)),
            ("high_mm", (3,)),
        ):
            values = np.array(getattr(self, key), dtype=np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise TargetError(
                    f"{key} of a region's axes needs finite numbers",
                    seen=values.tolist(),
                    needed=f"shape {shape}",
                )
            values.setflags(write=False)
            object.__setattr__(self, key, values)
        is_square = np.allclose(self.axes_lps @ self.axes_lps.T, np.eye(3), atol=1e-6)
        if not is_square or not bool((self.high_mm > self.low_mm).all()):
            raise TargetError(
                "the axes of a region are not at right angles, or it reaches nowhere along one",
                seen=f"{self.low_mm.tolist()} to {self.high_mm.tolist()}",
            )

    def local_mm(self, points_lps_mm: FloatArray) -> FloatArray:
        """To the side, to the back, to the head, from the origin; shape (..., 3)."""
        return np.asarray((points_lps_mm - self.origin_lps_mm) @ self.axes_lps.T)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TargetRegion:
    """Where a needle tip may lie, and how a needle gets in; all directions and points in LPS.

    Attributes
    ----------
    name : str
        As a user asks for it: ``"anatomy:si_joint:left"``.
    mask : Mask
        On the image grid: voxels in which a tip may lie. Never empty.
    centre_lps_mm : ndarray, shape (3,)
        The preferred tip, in a voxel of ``mask``.
    axis_lps : ndarray, shape (3,), or None
        Unit direction in which a needle runs INTO the region (foraminal axis, pedicle axis).
    plane_normal_lps : ndarray, shape (3,), or None
        Unit normal of the joint or disc plane. Its sign means nothing.
    level : str or None
        ``"L4"``, or ``"L4-L5"`` for what lies between two vertebrae.
    side : {"left", "right"} or None
        Of the patient.
    corridor : Mask or None
        On the same grid: what a path must go through (the pedicle).
    wall : Mask or None
        On the same grid: the whole piece of anatomy, where ``mask`` is only the inner part of
        it that a tip may lie in (a vertebra, the sacrum); see ``whole``.
    measures : Mapping of str to float
        Numbers with the unit in the key: ``"pedicle_width_mm"``, ``"disc_obliquity_deg"``.
        Only what was measured is there; a missing key is unknown, never zero.
    axes : RegionAxes or None
        By which rules about the tip's place are asked (upper half, central third); None where
        the region has no such axes, as one that was drawn.
    words : str
        One sentence: how the region was derived and from which labels.
    warnings : tuple of str
        What a person should look at before trusting the region.

    Raises
    ------
    TargetError
        If the mask is empty, the centre lies outside it, a direction is not of length one,
        a measure is not finite or its key does not end in a unit.
    GridMismatchError
        If the corridor or the wall is on another grid than the mask.
    """

    name: str
    mask: Mask
    centre_lps_mm: FloatArray
    axis_lps: FloatArray | None = None
    plane_normal_lps: FloatArray | None = None
    level: str | None = None
    side: Side | None = None
    corridor: Mask | None = None
    wall: Mask | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    axes: RegionAxes | None = None
    words: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        centre = np.array(self.centre_lps_mm, dtype=np.float64)
        if self.mask.n_voxels == 0:
            raise TargetError("the region has no voxel in the image", where=self.name)
        if centre.shape != (3,) or not bool(self.mask.contains(centre)):
            raise TargetError(
                "the centre of the region is outside it", seen=centre.tolist(), where=self.name
            )
        for what, other in (("corridor", self.corridor), ("wall", self.wall)):
            if other is not None and not other.grid.is_close(self.mask.grid):
                raise GridMismatchError(
                    f"the {what} of {self.name} is not on the grid of the region",
                    seen=other.grid.shape_kji,
                    needed=self.mask.grid.shape_kji,
                )
        if self.side not in (None, "left", "right"):
            raise TargetError("a side is left or right", seen=self.side, where=self.name)
        for key, value in self.measures.items():
            if not _MEASURE.fullmatch(key) or not np.isfinite(value):
                raise TargetError(
                    "a measure needs a finite number and a key with its unit",
                    seen=f"{key} = {value}",
                    needed="_" + ", _".join(UNITS),
                    where=self.name,
                )
        centre.setflags(write=False)
        object.__setattr__(self, "centre_lps_mm", centre)
        object.__setattr__(self, "axis_lps", _direction(self.axis_lps, self.name))
        object.__setattr__(self, "plane_normal_lps", _direction(self.plane_normal_lps, self.name))
        object.__setattr__(self, "measures", MappingProxyType(dict(self.measures)))

    @property
    def whole(self) -> Mask:
        """What ends at the far wall: the whole piece of anatomy, or the region itself."""
        return self.mask if self.wall is None else self.wall


def _direction(direction_lps: FloatArray | None, name: str) -> FloatArray | None:
    if direction_lps is None:
        return None
    vector = np.array(direction_lps, dtype=np.float64)
    ok = vector.shape == (3,) and abs(float(np.linalg.norm(vector)) - 1.0) <= 1e-6
    if not ok:
        raise TargetError("a direction needs length one", seen=vector.tolist(), where=name)
    scaled = unit(vector)
    scaled.setflags(write=False)
    return scaled
