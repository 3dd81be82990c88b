"""The spinal canal where nobody labelled it: the hole in the ring of a vertebra."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from planner.anatomy.block import Block, BoolArray, LocalFrame
from planner.anatomy.rays import OUTSIDE_MM
from planner.geometry.frames import POSTERIOR_LPS, FloatArray

MIN_HOLE_MM2, MAX_HOLE_MM2 = 80.0, 900.0
REACH_MM = 45.0
OFF_MIDLINE_MM = 12.0


def ring_hole(block: Block, bone: BoolArray, up_lps: FloatArray) -> BoolArray:
    """Voxels of the holes that the bone closes in planes across ``up``; all False if none.

    The vertebral foramen is closed at the height of the pedicles. A hole must have
    80 to 900 mm2 and lie within 12 mm of the middle of the bone, so that a foramen of a
    transverse process or a gap in a label is not taken for it.
    """
    frame = LocalFrame.of(block.points(bone).mean(axis=0), up_lps, np.asarray(POSTERIOR_LPS))
    depth = block.depth_mm(bone)
    across = np.arange(-REACH_MM, REACH_MM + 0.5, 1.0)
    hole = np.zeros_like(bone)
    x, a = np.meshgrid(across, across, indexing="ij")
    for height in np.arange(-25.0, 25.5, 1.0):
        plane = frame.lps(np.stack([x, a, np.full_like(x, height)], -1))
        solid = block.at(depth, plane, OUTSIDE_MM) > 0
        numbers, n = ndimage.label(ndimage.binary_fill_holes(solid) & ~solid)
        for number in range(1, n + 1):
            found = numbers == number
            area = float(np.count_nonzero(found))
            near = abs(float(x[found].mean())) <= OFF_MIDLINE_MM
            if near and MIN_HOLE_MM2 <= area <= MAX_HOLE_MM2:
                kji = np.floor(block.grid.to_kji(plane[found]) + 0.5).astype(np.int64)
                inside = np.all((kji >= 0) & (kji < block.grid.shape_kji), axis=-1)
                hole[tuple(kji[inside].T)] = True
    return hole & ~bone
