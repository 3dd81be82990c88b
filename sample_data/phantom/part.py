"""One painted solid: a distance function, what it paints, and its bounding box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample_data.phantom.tissues import Tissue

_WORLD_LOW_MM = (-190.0, -135.0, -225.0)
_WORLD_HIGH_MM = (190.0, 135.0, 215.0)
_PROBE_STEP_MM = 12.0

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Where the part's distance is below ``offset_mm`` the point becomes ``tissue``.

    ``structure`` None clears the label there (layer kept), "" leaves labels as they are.
    """

    offset_mm: float
    tissue: Tissue | None
    structure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One solid in anatomy coordinates with its paints and bounding box."""

    distance: Distance
    paints: tuple[Paint, ...]
    low_mm: np.ndarray
    high_mm: np.ndarray


def make_part(distance: Distance, *paints: tuple[float, Tissue | None, str | None]) -> Part:
    """Part with its bounding box probed on a coarse lattice."""
    axes = [
        np.arange(lo, hi, _PROBE_STEP_MM)
        for lo, hi in zip(_WORLD_LOW_MM, _WORLD_HIGH_MM, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    # a point of the solid is at most half a lattice diagonal (10.4 mm) from a probe
    inside = np.broadcast_to(distance(x, y, z), x.shape) < max(p[0] for p in paints) + 16.0
    hits = np.stack([x[inside], y[inside], z[inside]])
    return Part(
        distance=distance,
        paints=tuple(Paint(offset_mm=o, tissue=t, structure=s) for o, t, s in paints),
        low_mm=hits.min(axis=1) - _PROBE_STEP_MM,
        high_mm=hits.max(axis=1) + _PROBE_STEP_MM,
    )


def mirrored(distance: Distance, side: int) -> Distance:
    """The solid of the left side on the side of the sign ``side``."""
    return lambda x, y, z: distance(side * x, y, z)
