"""Where the patient's middle is, as far as the images show it."""

from __future__ import annotations

import re

import numpy as np
from scipy import ndimage

from planner.geometry import Mask
from planner.geometry.frames import LEFT_LPS, FloatArray
from planner.model import Structure, StructureRole, StructureSet

IMAGE_CENTRE = "the image's centre line"
"""What the zero is called where the patient's midline is not known."""

_WINDOWS_MM = (15.0, 30.0)
"""Anatomy is looked for this far head- and footwards of a level, the nearer first."""

_BODY_WINDOW_MM = 10.0
_LEAST_AIR_MM = 4.0
"""The body is whole on a side where this much imaged air is beside it."""

_MOST_SKEW_MM = 10.0
"""A trunk whose middle and centroid are farther apart holds an arm or is lopsided."""

_SPARSE_PER_AXIS = 60

_MIDDLE_BONE = re.compile(r"vertebra|sacrum|coccyx|spine|(^|[^a-z0-9])[ctls][0-9]{1,2}$", re.I)
_ONE_SIDED = re.compile(r"(^|[^a-z])(left|right|l|r)([^a-z0-9]|$)", re.I)


class Midline:
    """The patient's middle at any level: from anatomy, else from the body, else unknown.

    Parameters
    ----------
    structures : StructureSet
        Spinal canal or cord, vertebrae and sacrum, and discs are taken, in this order,
        where their masks do not end at the side of the image.
    body : Mask
        Its middle is taken at levels where both sides are followed by imaged air.
    imaged : Mask, optional
        Where the image holds measured values; None: everywhere.
    """

    def __init__(self, structures: StructureSet, body: Mask, imaged: Mask | None = None) -> None:
        self._anatomy = [
            (s.name, _sparse_points(s.mask))
            for kind in (_is_canal, _is_middle_bone, _is_disc)
            for s in structures.structures
            if kind(s) and not _ends_at_the_side(s.mask)
        ]
        self._body, self._imaged = body, imaged

    def at(self, tip_lps_mm: FloatArray) -> tuple[float, str]:
        """The midline's LPS x (mm) at the tip's level, and what it is called.

        The name starts with ``"midline"`` only where it is the patient's.
        """
        level_mm = float(tip_lps_mm[2])
        for window_mm in _WINDOWS_MM:
            for name, points in self._anatomy:
                x_mm = points[np.abs(points[:, 2] - level_mm) <= window_mm, 0]
                if x_mm.size:
                    return float(x_mm.mean()), f"midline ({name})"
        middle_mm = _body_middle_mm(self._body, self._imaged, level_mm)
        if middle_mm is not None:
            return middle_mm, "midline (middle of the body)"
        corners = self._body.grid.corners_lps_mm()
        return float(corners[:, 0].mean()), IMAGE_CENTRE


def _is_canal(structure: Structure) -> bool:
    return structure.structure_class == "spinal_canal"


def _is_middle_bone(structure: Structure) -> bool:
    is_bone = structure.role is StructureRole.BONE or structure.structure_class == "bone"
    name = structure.name
    return is_bone and bool(_MIDDLE_BONE.search(name)) and not _ONE_SIDED.search(name)


def _is_disc(structure: Structure) -> bool:
    return structure.structure_class == "disc" and not _ONE_SIDED.search(structure.name)


def _ends_at_the_side(mask: Mask) -> bool:
    """Whether a mask is empty or touches a face of its grid that looks left or right."""
    bounds = mask.bounds_kji()
    if bounds is None:
        return True
    axis = int(np.argmax(np.abs(mask.grid.axes_lps_from_kji.T @ LEFT_LPS)))
    return bool(bounds[0][axis] == 0 or bounds[1][axis] == mask.grid.shape_kji[axis])


def _sparse_points(mask: Mask) -> FloatArray:
    """Some of a mask's voxels, evenly spread, LPS mm."""
    bounds = mask.bounds_kji()
    if bounds is None:
        return np.zeros((0, 3))
    start, stop = bounds
    step = np.maximum((stop - start) // _SPARSE_PER_AXIS, 1)
    window = tuple(slice(a, b, n) for a, b, n in zip(start, stop, step, strict=True))
    return mask.grid.to_lps(start + step * np.argwhere(mask.inside[window]))


def _body_middle_mm(body: Mask, imaged: Mask | None, level_mm: float) -> float | None:
    """Middle of the trunk at a level, LPS x; None where a side of it is not seen whole."""
    grid = body.grid
    step = np.maximum(np.array(grid.shape_kji) // _SPARSE_PER_AXIS, 1)
    head_foot = int(np.argmax(np.abs(grid.axes_lps_from_kji[2])))
    step[head_foot] = 1 if grid.spacing_kji_mm[head_foot] > 2.0 else step[head_foot]
    window = tuple(slice(None, None, int(n)) for n in step)
    inside = body.inside[window].copy()
    index = step * np.argwhere(inside)
    points = grid.to_lps(index)
    half_mm = max(_BODY_WINDOW_MM, 0.6 * float(grid.spacing_kji_mm[head_foot]))
    is_near = np.abs(points[:, 2] - level_mm) <= half_mm
    inside[inside] = is_near
    # The largest part: an arm that hangs free is not the trunk.
    part, n_parts = ndimage.label(inside)
    if n_parts == 0:
        return None
    trunk = part == 1 + int(np.argmax(np.bincount(part.ravel())[1:]))
    trunk_mm = grid.to_lps(step * np.argwhere(trunk))
    low, high = float(trunk_mm[:, 0].min()), float(trunk_mm[:, 0].max())
    middle = 0.5 * (low + high)
    if not abs(float(trunk_mm[:, 0].mean()) - middle) <= _MOST_SKEW_MM:
        return None
    # From one sparse voxel to the next, to the side.
    edge_mm = float(np.abs(grid.axes_lps_from_kji[0]) @ (step * grid.spacing_kji_mm))
    for side, end in ((-1.0, low), (1.0, high)):
        outermost = trunk_mm[np.abs(trunk_mm[:, 0] - end) <= edge_mm]
        if not _is_air_beside(outermost, side, edge_mm, body, imaged):
            return None
    return middle


def _is_air_beside(
    points_lps_mm: FloatArray, side: float, edge_mm: float, body: Mask, imaged: Mask | None
) -> bool:
    """Whether from all points imaged air follows to one side, beyond the last body voxel."""
    for far_mm in np.linspace(edge_mm, 2 * edge_mm + _LEAST_AIR_MM, 6):
        at = points_lps_mm + side * far_mm * LEFT_LPS
        if not bool(body.grid.contains(at).all()):
            return False
        if imaged is not None and not bool(imaged.contains(at).all()):
            return False
    return not bool(body.contains(at).any())
