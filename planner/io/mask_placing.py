"""Masks onto the image's grid: is it the same space at all, and how is it brought over.

NIfTI, NRRD and MetaImage carry no frame-of-reference UID. What can be compared is
the position their headers state with the image's. The rules, in order:

1. The same lattice, axes flipped or permuted or not: the voxels are copied.
2. The same size and spacing as the image but voxels more than half a voxel from
   where the image has them: refused. Such a mask was drawn on these very voxels and
   one of the two headers lost its position. Half a voxel is where a mask voxel
   would begin to fall nearer to another image voxel than to its own.
3. No overlap with the image volume: refused.
4. Any other grid: a conservative cover for structures that are obstacles, nearest
   neighbour for the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.geometry import Grid
from planner.geometry.lattice import volumes_overlap

MAX_SHIFT_VOX = 0.5
"""Distance between twin voxels from which a header of equal shape is not believed."""

_ROUNDING_VOX = 1e-3
_SAME_SPACING = 1e-3
"""Relative difference up to which two spacings are the same number, written twice."""


def require_same_space(stored: Grid, image: Grid, file: str) -> None:
    """Refuse a mask whose header cannot be about the image's place in the patient.

    Raises
    ------
    MaskError
        By rule 2 or 3 above, with the numbers.
    """
    if _same_shape_and_spacing(stored, image):
        gap_vox, gap_mm = _twin_gap(stored, image)
        if not (gap_vox <= MAX_SHIFT_VOX + _ROUNDING_VOX):
            raise MaskError(
                "the mask's header disagrees with the image: same size and voxel spacing, "
                "but another position",
                seen=f"{_place(stored)}, voxels up to {gap_mm:.1f} mm from their twins",
                needed=f"{_place(image)}, within half a voxel",
                where=file,
                fix="One of the two headers lost its position: save the mask with the image's "
                "geometry. If it was drawn on another scan, resample it onto this one first.",
            )
    elif not volumes_overlap(stored, image):
        raise MaskError(
            "the mask's volume does not overlap the image: it is in another frame of reference",
            seen=f"centre {_point(stored.centre_lps_mm)} mm LPS",
            needed=f"centre near {_point(image.centre_lps_mm)} mm LPS",
            where=file,
            fix="Use a mask of this scan, or register the two first.",
        )


def _same_shape_and_spacing(one: Grid, other: Grid) -> bool:
    """Up to permuted axes."""

    def listed(grid: Grid) -> NDArray[np.float64]:
        pairs = zip(grid.shape_kji, np.round(grid.spacing_kji_mm, 6).tolist(), strict=True)
        return np.array(sorted(pairs), dtype=np.float64)

    a, b = listed(one), listed(other)
    return bool(
        np.array_equal(a[:, 0], b[:, 0])
        and np.allclose(a[:, 1], b[:, 1], rtol=_SAME_SPACING, atol=0.0)
    )


def _twin_gap(stored: Grid, image: Grid) -> tuple[float, float]:
    """Largest distance between twin voxels, in voxels along an axis and in mm.

    Twins are found with the permutation and flips nearest to the two headers;
    infinite in voxels when the axes do not correspond.
    """
    matrix = np.linalg.inv(image.lps_from_kji) @ stored.lps_from_kji
    linear = matrix[:3, :3]
    axis = np.argmax(np.abs(linear), axis=1)
    shape = np.array(stored.shape_kji)
    n_image = np.array(image.shape_kji)
    if sorted(axis.tolist()) != [0, 1, 2] or not np.array_equal(shape[axis], n_image):
        return np.inf, float(np.linalg.norm(stored.corners_lps_mm() - image.centre_lps_mm).max())
    sign = np.sign(linear[np.arange(3), axis])
    ends = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    index = ends * (shape - 1)
    twin = np.where(sign > 0, index[:, axis], n_image - 1 - index[:, axis])
    gap = index @ linear.T + matrix[:3, 3] - twin
    gap_mm = np.linalg.norm(gap @ image.lps_from_kji[:3, :3].T, axis=1).max()
    return float(np.abs(gap).max()), float(gap_mm)


def _place(grid: Grid) -> str:
    axes = ", ".join(_point(axis, 2) for axis in grid.axes_lps_from_kji.T[::-1])
    return f"first voxel at {_point(grid.origin_lps_mm)} mm LPS (axes i, j, k: {axes})"


def _point(values: NDArray[np.float64], digits: int = 1) -> str:
    return "(" + ", ".join(f"{v + 0.0:.{digits}f}" for v in np.round(values, digits)) + ")"
