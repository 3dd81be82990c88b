"""The pedicle: the narrow bridge between a vertebral body and its arch.

No segmenter labels it by itself. Here it is the widest straight cylinder that runs through the
bone beside the canal, from the back wall of the body to the back of the canal: what a cannula
needs. Processes that leave the bridge do not widen a cylinder. The width decides whether a
cannula fits, so it is given as measured less one voxel: it errs small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import BoolArray, largest_piece, nearest_inside, side_sign
from planner.anatomy.rays import OUTSIDE_MM, depths_along
from planner.anatomy.vertebra import Vertebra, vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import FloatArray, unit
from planner.model import TargetRegion
from planner.model.region import Side

PIXEL_MM = 0.5
LENGTH_MM = 9.0
"""Of the cylinder, from the back wall of the body on: a lumbar pedicle is 8 to 12 mm long."""

YAWS_DEG = tuple(range(-4, 45, 4))
"""Towards the midline on the way to the front; Zindrick 1987: 5 to 30 degrees from L1 to L5."""

PUBLISHED_YAW_DEG = {
    "T12": -4.0, "L1": 11.0, "L2": 12.0, "L3": 14.0, "L4": 18.0, "L5": 30.0
}  # fmt: skip
"""Zindrick 1987, by level: which of several directions with room enough is taken."""

PITCHES_DEG = (-15, -10, -5, 0, 5, 10, 15)
WIDEST_MM = 20.0
"""Beyond this far from the edge of the canal, bone is a transverse process."""

NEAR_BEST = 0.95
ENOUGH_MM = 6.5
"""A width, less one voxel, that takes every cannula of the catalogue (3.05 mm) with 1.5 mm of
bone on both sides: of directions with more room, none is better."""

MIN_MEASURED_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pedicle:
    """The widest cylinder through a pedicle; ``axis_lps`` runs to the front, into the body.

    ``width_mm`` is its diameter, ``height_mm`` the smallest extent of the bone along ``up``
    through its axis, both as measured in the mask; ``resolution_mm`` is the reach of a voxel
    across the wall that limits the width.
    """

    vertebra: Vertebra
    side: Side
    centre_lps_mm: FloatArray
    axis_lps: FloatArray
    lateral_lps: FloatArray
    up_lps: FloatArray
    width_mm: float
    height_mm: float
    resolution_mm: float

    @property
    def safe_width_mm(self) -> float:
        """Less one voxel, half at each wall: what is surely bone."""
        return max(self.width_mm - self.resolution_mm, 0.0)

    def inside(self) -> BoolArray:
        """Bone of the pedicle in the vertebra's block; nothing that is labelled canal as well."""
        block = self.vertebra.block
        bone = self.vertebra.bone & ~self.vertebra.canal
        offset = block.points(bone) - self.centre_lps_mm
        along, lateral, up = offset @ self.axis_lps, offset @ self.lateral_lps, offset @ self.up_lps
        keep = np.abs(along) <= max(LENGTH_MM / 2, block.extent_mm(self.axis_lps) / 2)
        wide = max(0.65 * self.width_mm, block.extent_mm(self.lateral_lps) / 2)
        tall = max(0.65 * self.height_mm, block.extent_mm(self.up_lps) / 2)
        keep &= (np.abs(lateral) <= wide) & (np.abs(up) <= tall)
        return largest_piece(block.selected(bone, keep))


def pedicle_region(atlas: Atlas, name: str, level: str, side: Side) -> TargetRegion:
    """The pedicle as a target and as a corridor into the body.

    Raises
    ------
    AnatomyError
        If the vertebra has no label, its canal cannot be seen, or no bridge of bone runs
        beside it.
    """
    pedicle = pedicle_of(atlas, level, side)
    vertebra = pedicle.vertebra
    inside = pedicle.inside()
    mask = vertebra.block.mask(inside)
    warnings = list(vertebra.warnings)
    if not pedicle.width_mm >= 2 * pedicle.resolution_mm:
        warnings.append("the pedicle is less than two voxels wide: its width is hardly known")
    tall = pedicle.height_mm - vertebra.block.extent_mm(pedicle.up_lps)
    return TargetRegion(
        name=name,
        mask=mask,
        corridor=mask,
        centre_lps_mm=nearest_inside(vertebra.block, inside, pedicle.centre_lps_mm),
        axis_lps=pedicle.axis_lps,
        level=level,
        side=side,
        measures={
            "pedicle_width_mm": pedicle.safe_width_mm,
            "pedicle_height_mm": max(tall, 0.0),
            "pedicle_axial_deg": float(
                np.degrees(np.arctan2(-side_sign(side) * pedicle.axis_lps[0], -pedicle.axis_lps[1]))
            ),
            "resolution_mm": pedicle.resolution_mm,
        },
        words=f"{side} pedicle of {level}: the widest straight cylinder through the bone beside "
        f"the canal, from {', '.join(vertebra.names)}; its width is less one voxel",
        warnings=tuple(warnings),
    )


def pedicle_of(atlas: Atlas, level: str, side: Side) -> Pedicle:
    """The widest cylinder beside the canal on a side.

    Raises
    ------
    AnatomyError
        If there is none of 2 mm, or the image ends there.
    """
    return atlas.once(
        ("pedicle", level, side), lambda: _pedicle_of(vertebra_of(atlas, level), side)
    )


def _pedicle_of(vertebra: Vertebra, side: Side) -> Pedicle:
    depth = vertebra.block.depth_mm(vertebra.bone & ~vertebra.canal)
    edge_mm = _canal_edge_mm(vertebra, side_sign(side))
    tried = [
        _cylinder(vertebra, depth, side, (yaw, pitch), edge_mm)
        for yaw in YAWS_DEG
        for pitch in PITCHES_DEG
    ]
    widest = max(c.radius_mm for c in tried)
    if not 2 * widest >= MIN_MEASURED_MM:
        raise AnatomyError(
            f"no {side} pedicle of {vertebra.level} is to be seen: its label has no bridge of "
            "bone beside the canal",
            seen=", ".join(vertebra.names),
            needed=f"a bridge at least {MIN_MEASURED_MM:g} mm thick",
        )
    frame, extent_mm = vertebra.frame, vertebra.block.extent_mm
    enough_mm = (ENOUGH_MM + max(extent_mm(frame.left_lps), extent_mm(frame.up_lps))) / 2
    best = [c for c in tried if c.radius_mm >= min(NEAR_BEST * widest, enough_mm)]
    axis, centre = _chosen(vertebra, side, best)
    lateral, up = _across(axis, vertebra.frame.left_lps * side_sign(side))
    width, wall = _width_about(vertebra, depth, centre, (axis, lateral, up))
    if not width >= MIN_MEASURED_MM:  # the middle of several may lie beside all of them
        one = max(tried, key=lambda c: c.radius_mm)
        axis, centre = one.axis_lps, one.centre_lps_mm
        lateral, up = _across(axis, vertebra.frame.left_lps * side_sign(side))
        width, wall = _width_about(vertebra, depth, centre, (axis, lateral, up))
    return Pedicle(
        vertebra=vertebra,
        side=side,
        centre_lps_mm=centre,
        axis_lps=axis,
        lateral_lps=lateral,
        up_lps=up,
        width_mm=width,
        height_mm=_height_mm(vertebra, depth, centre, axis, up),
        resolution_mm=vertebra.block.extent_mm(wall),
    )


def _chosen(vertebra: Vertebra, side: Side, best: list[_Cylinder]) -> tuple[FloatArray, FloatArray]:
    """Of directions with room enough, the one nearest to the published; else their middle."""
    middle = unit(np.mean([c.axis_lps for c in best], axis=0))
    published = PUBLISHED_YAW_DEG.get(vertebra.level)
    if published is None:
        return middle, np.asarray(np.mean([c.centre_lps_mm for c in best], axis=0))
    pitch_deg = float(np.degrees(np.arcsin(middle @ vertebra.frame.up_lps)))
    wanted = _direction(vertebra, side, (published, pitch_deg))
    nearest = max(best, key=lambda c: (float(c.axis_lps @ wanted), c.radius_mm))
    return nearest.axis_lps, nearest.centre_lps_mm


def _direction(vertebra: Vertebra, side: Side, yaw_pitch_deg: tuple[float, float]) -> FloatArray:
    """To the front, by so much towards the midline and the head."""
    frame, (yaw, pitch) = vertebra.frame, np.radians(yaw_pitch_deg)
    return unit(
        -np.cos(yaw) * np.cos(pitch) * frame.posterior_lps
        - side_sign(side) * np.sin(yaw) * np.cos(pitch) * frame.left_lps
        + np.sin(pitch) * frame.up_lps
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Cylinder:
    centre_lps_mm: FloatArray
    axis_lps: FloatArray
    radius_mm: float


def _along_mm() -> FloatArray:
    return np.linspace(-LENGTH_MM / 2, LENGTH_MM / 2, 7)


def _cylinder(
    vertebra: Vertebra,
    depth: FloatArray,
    side: Side,
    yaw_pitch_deg: tuple[float, float],
    edge_mm: float,
) -> _Cylinder:
    """The widest cylinder of one direction: a circle in what all its sections have in common."""
    frame, sign = vertebra.frame, side_sign(side)
    axis = _direction(vertebra, side, yaw_pitch_deg)
    lateral, up = _across(axis, frame.left_lps * sign)
    middle_a = vertebra.wall_mm + 0.5 + LENGTH_MM / 2
    origin = frame.lps((sign * (edge_mm + WIDEST_MM / 2), middle_a, vertebra.half_height_mm / 3))
    wide = np.arange(-WIDEST_MM / 2 - 2.0, WIDEST_MM / 2 + 2.5, PIXEL_MM)
    half = vertebra.half_height_mm
    tall = np.arange(-half, half + PIXEL_MM, PIXEL_MM)
    plane = origin + wide[:, None, None] * lateral + tall[None, :, None] * up
    points = plane + _along_mm()[:, None, None, None] * axis
    solid = (vertebra.block.at(depth, points, OUTSIDE_MM) > 0).all(axis=0)
    radius = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1]
    place = np.unravel_index(int(np.argmax(radius)), radius.shape)
    return _Cylinder(
        centre_lps_mm=plane[place],
        axis_lps=axis,
        radius_mm=max(float(radius[place]) - 0.5, 0.0) * PIXEL_MM,
    )


def _canal_edge_mm(vertebra: Vertebra, sign: float) -> float:
    """How far to the side the canal reaches at the height of the upper half of the body."""
    local = vertebra.frame.local(vertebra.block.points(vertebra.canal))
    near = np.abs(local[:, 2] - vertebra.half_height_mm / 3) <= vertebra.half_height_mm
    return float(np.percentile(sign * local[near, 0], 90))


def _width_about(
    vertebra: Vertebra,
    depth: FloatArray,
    centre: FloatArray,
    axes: tuple[FloatArray, FloatArray, FloatArray],
) -> tuple[float, FloatArray]:
    """Diameter of the cylinder about a given axis, and the direction of the nearest wall."""
    axis, lateral, up = axes
    angles = np.radians(np.arange(0.0, 360.0, 7.5))
    out = np.cos(angles)[:, None] * lateral + np.sin(angles)[:, None] * up
    starts = centre + _along_mm()[:, None] * axis
    seen = np.array([depths_along(vertebra.block, depth, starts, d, 15.0)[1] > 0 for d in out])
    along_mm = depths_along(vertebra.block, depth, starts[:1], out[0], 15.0)[0]
    reach = np.where(seen.all(axis=-1), along_mm[-1], along_mm[np.argmin(seen, axis=-1)])
    nearest = int(np.argmin(reach.min(axis=1)))
    return 2 * float(reach.min()), out[nearest]


def _height_mm(
    vertebra: Vertebra, depth: FloatArray, centre: FloatArray, axis: FloatArray, up: FloatArray
) -> float:
    """The smallest extent of the bone along ``up`` through the axis."""
    starts = centre + _along_mm()[:, None] * axis
    total = np.zeros(len(starts))
    for direction in (up, -up):
        along_mm, seen = depths_along(vertebra.block, depth, starts, direction, 15.0)
        solid = seen > 0
        total += np.where(solid.all(axis=-1), along_mm[-1], along_mm[np.argmin(solid, axis=-1)])
    return float(total.min())


def _across(axis: FloatArray, lateral: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lateral and cranial directions at right angles to the axis."""
    out = unit(lateral - (lateral @ axis) * axis)
    up = np.cross(out, axis)
    return out, up if up[2] > 0 else -up
