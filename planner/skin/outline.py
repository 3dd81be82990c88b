"""The coarse outline of the trunk: largest thick object, holes filled, and its refinement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from planner.skin.image import WorkingImage
from planner.skin.kernels import (
    ByteArray,
    ImageArray,
    dilated,
    eroded,
    opened,
    reached_from,
)
from planner.skin.padding import border_seeds, edge_seeds
from planner.skin.refine import refined

THIN_MM = 6.0
"""Coarse objects thinner than this (folds, cables, table shells) do not join others to the body."""

EDGE_DEPTH_MM = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A coarse body without holes.

    Attributes
    ----------
    inside : ndarray of 0/1
        The body where imaged.
    padded : ndarray of 0/1
        The same and everything not imaged: a body does not end at a cut.
    """

    inside: ByteArray
    padded: ByteArray

    def edge(self, image: WorkingImage) -> ByteArray:
        """The outermost few millimetres of the body."""
        return self.inside & (1 - eroded(self.padded, EDGE_DEPTH_MM, image.coarse_mm))

    def refined(self, image: WorkingImage, level: ImageArray, *, smooth: bool) -> ByteArray:
        """The body at full resolution: where intensities reach ``level`` near the outline."""
        return refined(
            image.values,
            level,
            self.inside,
            self.padded,
            image.imaged,
            image.factor,
            image.spacing_mm,
            smooth=smooth,
        )


def trunk_outline(foreground: ByteArray, image: WorkingImage) -> Outline | None:
    """Outline of the largest thick object of a coarse foreground; None when there is none.

    A hole is what air from the volume's edges does not reach, in the volume or
    within a slice across the head-foot axis: bowel gas and lungs stay body
    even where the last slice opens them.
    """
    coarse_mm = image.coarse_mm
    known = np.asarray(image.coarse_imaged, dtype=np.uint8)
    unknown = np.asarray(1 - known, dtype=np.uint8)
    radius_mm = max(THIN_MM / 2, 1.01 * float(np.sort(coarse_mm)[1]))
    trunk = _largest(opened(foreground | unknown, radius_mm, coarse_mm) & known)
    if trunk is None:
        return None
    near = dilated(trunk, 2 * radius_mm, coarse_mm) & foreground
    axes = image.lateral_axes
    free = np.asarray(1 - (near | unknown), dtype=np.uint8)
    outside = reached_from(free, edge_seeds(image.coarse_imaged, axes))
    along = (0 in axes, 1 in axes, 2 in axes)
    outside &= reached_from(free, border_seeds(image.coarse_imaged, axes), along)
    inside = _largest((1 - outside) & known)
    return None if inside is None else Outline(inside, inside | unknown)


def _largest(mask: ByteArray) -> ByteArray | None:
    parts, n_parts = label(mask)
    if n_parts == 0:
        return None
    size = np.bincount(parts.ravel())
    size[0] = 0
    return np.asarray(parts == int(np.argmax(size)), dtype=np.uint8)
