"""Near field of voxels that are partly metal, resolved below the voxel.

A voxel that is 30 % metal acts on its neighbours according to where in it the metal
lies. The share alone does not tell, but the slope of the shares around does: the metal
is put on the fuller side, behind a plane across the slope (piecewise linear interface
reconstruction with the gradient of Youngs 1982). The difference between the field of
metal so placed and the field of metal spread evenly is added: part by part next to the
voxel, by its first moment a little farther, and beyond that it is too small to matter.

Without it the shift one voxel from the surface is wrong by 2 % of the peak on cubes and
by 10 to 30 % on 3 x 0.8 x 0.8 mm voxels (docs/field_map.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.threads import in_chunks
from planner.physics import partial_kernels

NEAR_EDGES = 1.0
"""Reach of the part-by-part difference in units of the longest voxel edge."""

FAR_EDGES = 3.0
"""Reach of the difference by first moment, in the same units."""

_LEAST_PARTS = 4
_PARTS_PER_SHORT_EDGE = 2


def resolve_partial_voxels(
    susceptibility_ppm: NDArray[np.generic],
    field_ppm: NDArray[np.float32],
    spacing_kji_mm: FloatArray,
    b_kji: FloatArray,
) -> None:
    """Add the near-field difference of every partly filled voxel to ``field_ppm`` (in place).

    Parameters
    ----------
    susceptibility_ppm, field_ppm : (k, j, i)
    spacing_kji_mm : (3,)
    b_kji : (3,)
        Unit direction of B0 along the array axes.
    """
    chi = np.ascontiguousarray(susceptibility_ppm, dtype=np.float32)
    found, levels, slopes = partial_kernels.find_partial(chi)
    if found.shape[0] == 0:
        return
    spacing = np.ascontiguousarray(spacing_kji_mm, dtype=np.float64)
    direction = np.ascontiguousarray(b_kji, dtype=np.float64)
    per_axis = np.ceil(_PARTS_PER_SHORT_EDGE * spacing / spacing.min()).astype(np.int64)
    per_axis = np.maximum(_LEAST_PARTS, per_axis)
    offsets_mm = _part_offsets_mm(spacing, per_axis)
    near = np.ceil(NEAR_EDGES * spacing.max() / spacing).astype(np.int64)
    far = np.ceil(FAR_EDGES * spacing.max() / spacing).astype(np.int64)
    part_field = partial_kernels.part_table(spacing, per_axis, offsets_mm, near, direction)
    moment_field = partial_kernels.moment_table(spacing, far, direction)
    surplus, moments_mm = partial_kernels.fill_parts(levels, slopes, spacing, offsets_mm)
    # a chunk owns planes of the output, so no two threads write to one voxel
    in_chunks(
        lambda low, high: partial_kernels.add_near_field(
            low,
            high,
            found,
            levels,
            surplus,
            moments_mm,
            part_field,
            moment_field,
            near,
            far,
            field_ppm,
        ),
        chi.shape[0],
        least=8,
    )


def _part_offsets_mm(spacing_mm: FloatArray, per_axis: NDArray[np.int64]) -> FloatArray:
    """Centres of the equal parts of a voxel, shape (m, 3), from its own centre."""
    axes = [
        ((np.arange(n) + 0.5) / n - 0.5) * d
        for n, d in zip(per_axis.tolist(), spacing_mm.tolist(), strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
