"""Needle and target: what is pushed, and where to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.errors import ConfigError, DegenerateGeometryError
from planner.geometry.frames import FloatArray
from planner.model.region import TargetRegion


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """A straight needle: a capsule of its outer radius.

    Attributes
    ----------
    name : str
        For example ``"22G-90"``.
    outer_diameter_mm, length_mm : float
        Shaft diameter; length from hub to tip that can be inserted.
    throw_mm : float
        How far the procedure fires something past the tip.
    inner_diameter_mm : float
        Of the lumen; 0 for a solid needle or one with its stylet in.
    material : str
        A name of ``planner.physics.materials``, or ``"unknown"``.
    evidence : str
        Evidence tag of the dimensions.
    """

    name: str
    outer_diameter_mm: float
    length_mm: float
    throw_mm: float = 0.0
    inner_diameter_mm: float = 0.0
    material: str = "unknown"
    evidence: str = ""

    def __post_init__(self) -> None:
        limits = {
            "outer_diameter_mm": (self.outer_diameter_mm, 0.1, 15.0),
            "length_mm": (self.length_mm, 10.0, 400.0),
            "throw_mm": (self.throw_mm, 0.0, 50.0),
        }
        for key, (value, low, high) in limits.items():
            if not (low <= value <= high):
                raise ConfigError(
                    f"needle '{self.name}': {key} is out of range",
                    seen=value,
                    needed=f"{low:g} to {high:g} mm",
                )

        if not (0.0 <= self.inner_diameter_mm < self.outer_diameter_mm):
            raise ConfigError(
                f"needle '{self.name}': inner_diameter_mm is out of range",
                seen=self.inner_diameter_mm,
                needed=f"0 to below {self.outer_diameter_mm:g} mm",
            )

    @property
    def radius_mm(self) -> float:
        """Half the outer diameter."""
        return self.outer_diameter_mm / 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Target:
    """The point the tip is to reach, LPS mm, and how far off it may be."""

    point_lps_mm: FloatArray
    tolerance_mm: float
    name: str = "target"
    region: TargetRegion | None = None
    """Where else the tip may lie, where the target is a region; the point is its centre."""

    def __post_init__(self) -> None:
        point = np.array(self.point_lps_mm, dtype=np.float64)
        if point.shape != (3,) or not np.all(np.isfinite(point)):
            raise DegenerateGeometryError(
                "a target is three finite numbers in mm", seen=self.point_lps_mm
            )
        point.setflags(write=False)
        object.__setattr__(self, "point_lps_mm", point)
