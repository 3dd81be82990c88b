"""What the caller may ask of a search, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from planner.errors import ConfigError
from planner.geometry.frames import FloatArray, PatientPosition


class TableSide(StrEnum):
    """The side of the patient that lies on the table."""

    AUTO = "auto"
    NONE = "none"
    POSTERIOR = "posterior"
    ANTERIOR = "anterior"
    LEFT = "left"
    RIGHT = "right"

    def down_lps(self, position: PatientPosition) -> FloatArray | None:
        """Unit vector towards the table, or None when no side is excluded or known."""
        fixed = {
            TableSide.POSTERIOR: (0.0, 1.0, 0.0),
            TableSide.ANTERIOR: (0.0, -1.0, 0.0),
            TableSide.LEFT: (1.0, 0.0, 0.0),
            TableSide.RIGHT: (-1.0, 0.0, 0.0),
        }
        if self is TableSide.AUTO:
            return position.down_lps
        return np.array(fixed[self]) if self in fixed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Options of one search.

    Attributes
    ----------
    top : int
        How many trajectories to return.
    min_separation_mm : float
        Least distance between the entries of two returned trajectories.
    entry_spacing_mm : float or None
        Least distance between skin candidates; None tries every surface voxel.
    table_side : TableSide
    forbidden_entry : tuple of str
        Structures on whose skin no needle may enter (within their own margin).
    allow_bone : bool or None
        Overrides the protocol's bone rule.
    threads : int or None
        Number of threads; the result does not depend on it.
    """

    top: int = 10
    min_separation_mm: float = 10.0
    entry_spacing_mm: float | None = None
    table_side: TableSide = TableSide.AUTO
    forbidden_entry: tuple[str, ...] = ()
    allow_bone: bool | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        _check("top", self.top, 1, 1000)
        _check("min_separation_mm", self.min_separation_mm, 0.0, 500.0)
        if self.entry_spacing_mm is not None:
            _check("entry_spacing_mm", self.entry_spacing_mm, 0.1, 100.0)
        if self.threads is not None:
            _check("threads", self.threads, 1, 1024)
        try:
            object.__setattr__(self, "table_side", TableSide(self.table_side))
        except ValueError:
            raise ConfigError(
                "unknown table side",
                seen=self.table_side,
                needed=", ".join(TableSide),
            ) from None
        object.__setattr__(self, "forbidden_entry", tuple(self.forbidden_entry))


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high):
        raise ConfigError(f"{name} is out of range", seen=value, needed=f"{low:g} to {high:g}")
