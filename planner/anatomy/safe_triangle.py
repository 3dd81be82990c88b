"""The safe triangle of a foramen: under the pedicle, over the exiting root.

As seen from the front: its base is the lower border of the pedicle, its side the outer border of
the foramen, its hypotenuse the root.
"""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import Block
from planner.anatomy.kambin import exiting_root
from planner.anatomy.rays import distance_to_entry
from planner.geometry.frames import FloatArray
from planner.model import RegionAxes

COLUMN_MM = 0.5
AREA = "safe_triangle_area_mm2"


def safe_triangle(
    atlas: Atlas, block: Block, bone_depth_mm: FloatArray, axes: RegionAxes
) -> dict[str, float]:
    """Its area by the measure's name; nothing where no root is labelled in the foramen.

    Only columns in which the root is seen count, and each is lower by one voxel: it errs small.

    Parameters
    ----------
    bone_depth_mm : ndarray, [k, j, i] of the block
        Depth in the bone of both vertebrae.
    axes : RegionAxes
        Of the foramen.
    """
    root = exiting_root(atlas.structures, axes, "left", is_disc=False)
    if root is None:
        return {}
    x, _, h = axes.local_mm(atlas.grid.to_lps(np.argwhere(root.inside))).T
    out, up = axes.axes_lps[0], axes.axes_lps[2]
    half_wide, half_tall = block.extent_mm(out) / 2, block.extent_mm(up) / 2
    columns = np.arange(axes.low_mm[0] + COLUMN_MM / 2, axes.high_mm[0], COLUMN_MM)
    is_in = np.abs(x - columns[:, None]) <= half_wide
    top = np.where(is_in, h + half_tall, -np.inf).max(axis=1)
    middle = (axes.low_mm[1:] + axes.high_mm[1:]) / 2
    starts = axes.origin_lps_mm + columns[:, None] * out
    starts = starts + middle[0] * axes.axes_lps[1] + middle[1] * up
    reach = axes.high_mm[2] - axes.low_mm[2]
    above = distance_to_entry(block, bone_depth_mm, starts, up, reach)
    roof = np.minimum(np.nan_to_num(middle[1] + above, nan=np.inf), axes.high_mm[2])
    tall = np.where(np.isfinite(top), roof - top - 2 * half_tall, 0.0)
    return {AREA: float(np.maximum(tall, 0.0).sum() * COLUMN_MM)}
