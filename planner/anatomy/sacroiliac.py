"""The sacroiliac joint: the gap between sacrum and hip bone, its posterior-inferior third."""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import (
    Block,
    BoolArray,
    largest_piece,
    nearest_inside,
    plane_through,
    side_sign,
)
from planner.anatomy.joint import JointSpace, joint_space
from planner.anatomy.names import Part
from planner.errors import AnatomyError
from planner.geometry.frames import CRANIAL_LPS, POSTERIOR_LPS, FloatArray, unit
from planner.model import RegionAxes, TargetRegion
from planner.model.region import Side

MAX_GAP_MM = 5.0
"""The cartilage-lined part is 1 to 4 mm wide; behind it the ligament-filled space opens."""

MIN_HEIGHT_MM = 25.0
"""A joint that is seen over less cannot be divided into thirds."""

TIP_DEPTH_MM = 4.0
"""Of the preferred tip in front of the posterior opening."""

TIP_ABOVE_MM = 15.0
"""The caudal margin: 10 to 20 mm are published."""

MAX_NORMAL_OFF_DEG = 65.0
"""Between the joint's normal and left-right; the joint stands 10 to 45 degrees to sagittal."""


def si_joint_region(atlas: Atlas, name: str, side: Side) -> TargetRegion:
    """The posterior half of the inferior third of the joint space.

    Raises
    ------
    AnatomyError
        If sacrum or hip bone have no label, or do not face each other over 25 mm.
    """
    sacrum, hip = atlas.sacrum(), atlas.need(Part.HIP, None, side)
    drawn = atlas.find(Part.SI_JOINT, None, side)
    block = Block.around(atlas.grid, sacrum.inside, 15.0)
    bones = block.take(sacrum.inside), block.take(hip.inside)
    space = joint_space(block, *bones, MAX_GAP_MM)
    gap = np.zeros(space.inside.shape)
    gap[space.inside] = space.gap_mm
    inside, names = space.inside, (*sacrum.names, *hip.names)
    if drawn is not None:
        inside, names = block.take(drawn.inside) & ~bones[0] & ~bones[1], (*names, *drawn.names)
    joint = largest_piece(inside, bridge=True)
    points = block.points(joint)
    if len(points) < 10:
        raise _not_a_joint(side, 0.0)
    _, normal, _ = plane_through(points)
    normal = normal if side_sign(side) * normal[0] > 0 else -normal
    up, back = _in_plane(normal)
    height, depth = points @ up, points @ back
    resolution = block.extent_mm(normal)
    if not np.ptp(height) >= MIN_HEIGHT_MM:
        raise _not_a_joint(side, float(np.ptp(height)))
    if not abs(normal[0]) >= np.cos(np.radians(MAX_NORMAL_OFF_DEG)):
        raise AnatomyError(
            f"the surfaces between sacrum and {side} hip bone are no sagittal joint",
            seen=f"normal {np.round(normal, 2).tolist()} in LPS",
            where=", ".join(names),
        )
    low = height <= height.min() + np.ptp(height) / 3
    posterior = low & (depth >= np.median(depth[low]))
    region = block.selected(joint, posterior)
    free = region & ~bones[0] & ~bones[1]
    warnings = _warnings(space, drawn is not None, region, free)
    tip = _preferred_tip(points[posterior], up, back, float(height.min()) + TIP_ABOVE_MM)
    place = free if free.any() else region
    used = joint & space.inside
    return TargetRegion(
        name=name,
        mask=block.mask(region),
        centre_lps_mm=nearest_inside(block, place, _snapped(block, place, tip)),
        axis_lps=-back,
        plane_normal_lps=normal,
        side=side,
        axes=_axes(block, points, np.stack([normal, back, up])),
        measures={
            "joint_gap_mm": max(float(np.median(gap[used])) if used.any() else 0.0, 0.0),
            "joint_height_mm": float(np.ptp(height)),
            "joint_angle_to_sagittal_deg": float(
                np.degrees(np.arccos(min(abs(normal[0]) / np.hypot(normal[0], normal[1]), 1.0)))
            ),
            "touching_frac": space.touching_frac,
            "resolution_mm": resolution,
        },
        words=f"{side} sacroiliac joint: voxels between sacrum and hip bone at most "
        f"{MAX_GAP_MM:g} mm apart, the lower third, its posterior half ({', '.join(names)})",
        warnings=warnings,
    )


def _axes(block: Block, points: FloatArray, axes: FloatArray) -> RegionAxes:
    """Across the joint to the side, back and up in it, with the extent of the whole joint."""
    origin = points.mean(axis=0)
    local = (points - origin) @ axes.T
    voxel = np.array([block.extent_mm(axis) for axis in axes]) / 2
    return RegionAxes(
        origin_lps_mm=origin,
        axes_lps=axes,
        low_mm=local.min(axis=0) - voxel,
        high_mm=local.max(axis=0) + voxel,
        words="above the caudal margin of the joint",
    )


def _in_plane(normal_lps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Up and back in the plane of the joint, at right angles."""
    up = unit(CRANIAL_LPS - (CRANIAL_LPS @ normal_lps) * normal_lps)
    back = POSTERIOR_LPS - (POSTERIOR_LPS @ normal_lps) * normal_lps
    return up, unit(back - (back @ up) * up)


def _preferred_tip(
    points_lps_mm: FloatArray, up: FloatArray, back: FloatArray, wanted_mm: float
) -> FloatArray:
    """At the wanted height, or as near to it as the region reaches, near the posterior opening."""
    height = points_lps_mm @ up
    middle = np.clip(wanted_mm, height.min(), height.max())
    row = points_lps_mm[np.abs(height - middle) <= 4.0]
    opening = (row @ back).max()
    near = row[np.abs(row @ back - (opening - TIP_DEPTH_MM)) <= 2.5]
    return np.asarray((near if len(near) else row).mean(axis=0))


def _snapped(block: Block, place: BoolArray, point: FloatArray) -> FloatArray:
    centres = block.points(place)
    return np.asarray(centres[np.argmin(((centres - point) ** 2).sum(axis=1))])


def _warnings(
    space: JointSpace, is_drawn: bool, region: BoolArray, free: BoolArray
) -> tuple[str, ...]:
    said = []
    if not is_drawn and space.touching_frac > 0.1:
        said.append(
            f"the labels of the bones touch in {space.touching_frac:.0%} of the joint: the gap is "
            "finer than the voxels, and part of the region lies in voxels labelled bone"
        )
    if not free.any():
        said.append("no voxel of the region is free of bone labels")
    return tuple(said)


def _not_a_joint(side: Side, seen_mm: float) -> AnatomyError:
    return AnatomyError(
        f"sacrum and {side} hip bone do not face each other closely: no joint to be seen",
        seen=f"{seen_mm:.0f} mm of joint",
        needed=f"surfaces at most {MAX_GAP_MM:g} mm apart over {MIN_HEIGHT_MM:g} mm",
        fix="Look whether both labels are complete in the image.",
    )
