"""Two vertebrae and a sacroiliac joint from boxes and cylinders of known size, in any pose.

Local axes: x to the left, a to posterior, h to the head, in mm. A voxel belongs to a shape when
its centre does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from planner.geometry import FrameId, Grid, Mask
from planner.model import MaskSource, Structure, StructureRole, StructureSet

BODY_HALF_MM = (23.0, 15.0, 13.0)
PITCH_MM = 37.0
"""From the middle of one vertebra to that of the next: a gap of 11 mm between them."""

PEDICLE_WIDTH_MM, PEDICLE_HEIGHT_MM = 8.0, 13.0
PEDICLE_X_MM, PEDICLE_H_MM = 15.0, 4.0
PEDICLE_A_MM = (15.0, 27.0)
CANAL_RADIUS_MM, CANAL_A_MM = 9.0, 25.0
ARCH_A_MM = (27.0, 36.0)
ARCH_H_MM = (-8.0, 10.5)
POSE = Rotation.from_euler("xyz", [-14.0, 6.0, 9.0], degrees=True).as_matrix()
CENTRE_LPS_MM = np.array([11.0, -23.0, 140.0])


def grid_about(axes: np.ndarray, spacing_kji_mm=(2.4, 1.1, 1.3), edge_mm: float = 118.0) -> Grid:
    """A grid of about a cube around the shapes, its voxel axes as given."""
    shape = tuple(round(edge_mm / s) for s in spacing_kji_mm)
    middle = (np.array(shape) - 1) / 2 * spacing_kji_mm
    origin = CENTRE_LPS_MM + 7.0 * POSE[:, 1] - axes @ middle
    return Grid.from_axes(
        (shape[0], shape[1], shape[2]), spacing_kji_mm, origin, axes, FrameId("1.2.5", "shapes")
    )


def local_of(grid: Grid) -> np.ndarray:
    """(x, a, h) of every voxel centre, shape (k, j, i, 3)."""
    indices = np.moveaxis(np.indices(grid.shape_kji), 0, -1)
    return (grid.to_lps(indices) - CENTRE_LPS_MM) @ POSE


def lps_of(local_mm) -> np.ndarray:
    """LPS of a local point."""
    return CENTRE_LPS_MM + POSE @ np.asarray(local_mm, float)


def vertebra_parts(
    local: np.ndarray, middle_h_mm: float, grown_mm: float = 0.0
) -> dict[str, np.ndarray]:
    """Body, pedicles and arch of a vertebra; all of them together are the vertebra.

    ``grown_mm``: how much thicker the pedicles are labelled than they are, on each side.
    """
    x, a = local[..., 0], local[..., 1]
    h = local[..., 2] - middle_h_mm
    outline = (np.abs(x) / BODY_HALF_MM[0]) ** 2.5 + (np.abs(a) / BODY_HALF_MM[1]) ** 2.5
    body = (outline <= 1.0) & (np.abs(h) <= BODY_HALF_MM[2])
    beside = np.abs(np.abs(x) - PEDICLE_X_MM) <= PEDICLE_WIDTH_MM / 2 + grown_mm
    tall = np.abs(h - PEDICLE_H_MM) <= PEDICLE_HEIGHT_MM / 2 + grown_mm
    # the pedicle goes on into the body, as far as its middle
    pedicle = beside & tall & (a >= 4.0) & (a <= PEDICLE_A_MM[1]) & ~body
    arch = (np.abs(x) <= 21.0) & (a >= ARCH_A_MM[0]) & (a <= ARCH_A_MM[1])
    arch &= (h >= ARCH_H_MM[0]) & (h <= ARCH_H_MM[1])
    arch &= np.hypot(x, a - CANAL_A_MM) > CANAL_RADIUS_MM
    return {"body": body, "pedicle": pedicle, "arch": arch & ~body & ~pedicle}


def canal(local: np.ndarray) -> np.ndarray:
    """The canal, from top to bottom."""
    return np.hypot(local[..., 0], local[..., 1] - CANAL_A_MM) <= CANAL_RADIUS_MM


def spine_masks(grid: Grid, grown_mm: float = 0.0) -> dict[str, np.ndarray]:
    """Vertebrae L3 and L4 and the canal, by plain names."""
    local = local_of(grid)
    masks = {"spinal_canal": canal(local)}
    for level, middle in (("L3", PITCH_MM / 2), ("L4", -PITCH_MM / 2)):
        parts = vertebra_parts(local, middle, grown_mm)
        masks[f"vertebrae_{level}"] = parts["body"] | parts["pedicle"] | parts["arch"]
    return masks


def plates(grid: Grid, gap_mm: float, angle_deg: float) -> dict[str, np.ndarray]:
    """A sacrum between two hip bones: plates that face each other across plane gaps.

    The gaps stand ``angle_deg`` to the sagittal plane, open to the back and the midline.
    """
    x, a, h = np.moveaxis(local_of(grid), -1, 0)
    slope = np.radians(angle_deg)
    box = (np.abs(a) <= 14.0) & (np.abs(h) <= 30.0)
    masks = {"sacrum": np.zeros(grid.shape_kji, bool)}
    across = (np.abs(x) - 25.0) * np.cos(slope) + a * np.sin(slope)
    masks["sacrum"] = box & (across <= -gap_mm / 2)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        masks[f"hip_{side}"] = box & (across >= gap_mm / 2) & (across <= 12.0) & (sign * x > 0)
    return masks


def structures_of(grid: Grid, masks: Mapping[str, np.ndarray]) -> StructureSet:
    """Bones as bone, everything else as allowed, so that only names matter."""
    bones = ("vertebra", "hip", "sacrum", "Arcus", "Superior", "Inferior", "Costal")
    return StructureSet(
        grid=grid,
        structures=tuple(
            Structure(
                name=name,
                role=StructureRole.BONE if name.startswith(bones) else StructureRole.ALLOWED,
                mask=Mask(grid=grid, inside=inside),
                source=MaskSource(file="shapes", grid=grid),
            )
            for name, inside in masks.items()
        ),
    )
