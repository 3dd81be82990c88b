"""The space between two bones: where their surfaces face each other closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from planner.anatomy.block import Block, BoolArray
from planner.geometry.frames import FloatArray

FACING_COSINE = -0.5
"""A voxel lies between two bones when it sees them in directions more than 120 degrees apart."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JointSpace:
    """Voxels between two bones, and how wide the space is there.

    ``inside`` holds free voxels between the bones, and where the labels touch, the bone
    voxels at their common face; ``touching`` says which. ``gap_mm`` has one value per voxel
    inside, in array order: from label to label, 0 where they touch.
    """

    inside: BoolArray
    touching: BoolArray
    gap_mm: FloatArray

    @property
    def touching_frac(self) -> float:
        """The part of the space in which the labels touch."""
        total = int(np.count_nonzero(self.inside))
        return float(np.count_nonzero(self.touching)) / total if total else 0.0


def joint_space(block: Block, one: BoolArray, other: BoolArray, max_gap_mm: float) -> JointSpace:
    """Where two bones face each other across at most ``max_gap_mm``."""
    spacing = block.grid.spacing_kji_mm
    toward, apart = [], []
    for bone in (one, other):
        distance, nearest = ndimage.distance_transform_edt(
            ~bone, sampling=spacing, return_indices=True
        )
        apart.append(distance)
        toward.append((nearest - np.indices(bone.shape)) * spacing[:, None, None, None])
    free = ~(one | other)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (toward[0] * toward[1]).sum(axis=0) / (apart[0] * apart[1])
    across = toward[1] - toward[0]
    length = np.sqrt((across**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        step = (np.abs(across) * spacing[:, None, None, None]).sum(axis=0) / length
    gap = np.maximum(apart[0] + apart[1] - step, 0.0)
    between = free & (cosine <= FACING_COSINE) & (gap <= max_gap_mm)
    face = 1.01 * float(spacing.max())
    neighbours = ndimage.generate_binary_structure(3, 1)
    touching = (one & ndimage.binary_dilation(other, neighbours) & (apart[1] <= face)) | (
        other & ndimage.binary_dilation(one, neighbours) & (apart[0] <= face)
    )
    inside = between | touching
    return JointSpace(inside=inside, touching=touching, gap_mm=np.where(touching, 0.0, gap)[inside])
