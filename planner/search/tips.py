"""Which points of a target region are tried as tips."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from planner.geometry.frames import FloatArray
from planner.model import Protocol, TargetRegion
from planner.safety.tip_place import keeps_place

MOST_TIPS = 16
_SAME_MM = 0.3
MOST_PAIRS = 1_500_000
"""Candidates of one search over a region: entries are thinned beyond, for memory."""


def sampled_tips(region: TargetRegion, protocol: Protocol, most: int = MOST_TIPS) -> FloatArray:
    """The centre first, then points of the region as far from each other as they go, (n, 3).

    Parameters
    ----------
    region : TargetRegion
    protocol : Protocol
        Its tip rule keeps tips off the region's border and in their place; a region too thin
        for it is tried at its centre and its deepest voxel, one without such a place anywhere,
        so that the reason can be told.
    most : int
    """
    border = None if protocol.tip is None else protocol.tip.border
    places = region.mask.grid.to_lps(_deep_voxels(region, 0.0 if border is None else border.value))
    kept = keeps_place(protocol, region, places)
    places = places[kept] if kept.any() else places
    tips = [np.array(region.centre_lps_mm)]
    gap = np.linalg.norm(places - tips[0], axis=1)
    while len(tips) < most and gap.size and gap.max() > _SAME_MM:
        tips.append(places[int(np.argmax(gap))])
        gap = np.minimum(gap, np.linalg.norm(places - tips[-1], axis=1))
    return np.stack(tips)


def _deep_voxels(region: TargetRegion, border_mm: float) -> FloatArray:
    """Indices of voxels whose centres keep off the border; the deepest one where none does."""
    bounds = region.mask.bounds_kji()
    assert bounds is not None, "a region is never empty"
    box = tuple(slice(int(a), int(b)) for a, b in zip(*bounds, strict=True))
    inside = np.pad(region.mask.inside[box], 1)
    spacing = region.mask.grid.spacing_kji_mm
    depth = ndimage.distance_transform_edt(inside, sampling=spacing) - 0.5 * spacing.min()
    keep = depth >= border_mm
    if not keep.any():
        keep = depth == depth.max()
    return np.asarray(np.argwhere(keep) - 1 + bounds[0], dtype=np.float64)
