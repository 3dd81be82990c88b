"""Hip and shoulder: the front of the femoral head-neck junction, the glenohumeral joint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import (
    Block,
    BoolArray,
    largest_piece,
    nearest_inside,
    side_sign,
)
from planner.anatomy.names import Part
from planner.anatomy.rays import distance_to_exit
from planner.errors import AnatomyError
from planner.geometry.frames import CRANIAL_LPS, LEFT_LPS, POSTERIOR_LPS, FloatArray, unit
from planner.model import TargetRegion
from planner.model.region import Side

FACING_MM = 8.0
"""Surface of a head this near to its socket is taken for its articular surface."""

HEAD_RADIUS_MM = (15.0, 35.0)
MAX_SPHERE_RMS_MM = 2.5
NECK_MM = (1.15, 1.7)
"""Shell, in head radii, in which the neck leaves the head."""

SPOT_MM = 7.0
SKIN_OF_BONE_MM = 4.0
SHOULDER_FACING_MM = 22.0
"""The glenoid is small: more of the head than faces it is needed to fit a sphere."""

INTERVAL_AP, INTERVAL_MEDIAL, INTERVAL_UP = 0.85, 0.35, 0.40
"""From the middle of the head to the rotator interval: to the front, medially, upward."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Head:
    centre_lps_mm: FloatArray
    radius_mm: float
    rms_mm: float


def hip_region(atlas: Atlas, name: str, side: Side) -> TargetRegion:
    """Free voxels at the front of the femoral head-neck junction.

    Raises
    ------
    AnatomyError
        If femur or hip bone have no label, or no round head is seen in the socket.
    """
    femur, hip = atlas.need(Part.FEMUR, None, side), atlas.need(Part.HIP, None, side)
    names = (*femur.names, *hip.names)
    block, bone, socket = _ball_block(atlas, femur.inside, hip.inside, names)
    head = _head(block, bone, socket, names)
    neck = _neck(block, bone, head, names)
    front = unit(-POSTERIOR_LPS + (POSTERIOR_LPS @ neck) * neck)
    start = head.centre_lps_mm + 0.9 * head.radius_mm * neck
    spot = _spot_before(block, bone, socket, start, front, names)
    return TargetRegion(
        name=name,
        mask=block.mask(spot),
        centre_lps_mm=nearest_inside(block, spot, block.points(spot).mean(axis=0)),
        axis_lps=-front,
        side=side,
        measures={
            "head_radius_mm": head.radius_mm,
            "head_fit_rms_mm": head.rms_mm,
            "resolution_mm": block.extent_mm(front),
        },
        words=f"{side} hip: front of the femoral head-neck junction, within {SPOT_MM:g} mm of "
        f"where the head's sphere passes into the neck ({', '.join(names)})",
    )


def shoulder_region(atlas: Atlas, name: str, side: Side) -> TargetRegion:
    """Free voxels at the rotator interval: the front of the humeral head, medial and high.

    Raises
    ------
    AnatomyError
        If humerus or scapula have no label, or no round head is seen beside the glenoid.
    """
    humerus, scapula = atlas.need(Part.HUMERUS, None, side), atlas.need(Part.SCAPULA, None, side)
    names = (*humerus.names, *scapula.names)
    block, bone, socket = _ball_block(atlas, humerus.inside, scapula.inside, names)
    head = _head(block, bone, socket, names, SHOULDER_FACING_MM)
    toward = unit(
        -INTERVAL_AP * POSTERIOR_LPS
        - INTERVAL_MEDIAL * side_sign(side) * LEFT_LPS
        + INTERVAL_UP * CRANIAL_LPS
    )
    spot = _spot_before(block, bone, socket, head.centre_lps_mm, toward, names)
    return TargetRegion(
        name=name,
        mask=block.mask(spot),
        centre_lps_mm=nearest_inside(block, spot, block.points(spot).mean(axis=0)),
        axis_lps=np.asarray(POSTERIOR_LPS),
        side=side,
        measures={
            "head_radius_mm": head.radius_mm,
            "head_fit_rms_mm": head.rms_mm,
            "resolution_mm": block.extent_mm(POSTERIOR_LPS),
        },
        words=f"{side} shoulder at the rotator interval: within {SPOT_MM:g} mm of the surface of "
        f"the humeral head in front, medial and above its middle ({', '.join(names)})",
        warnings=("tendons and the biceps are not labelled",),
    )


def _spot_before(
    block: Block,
    bone: BoolArray,
    socket: BoolArray,
    start: FloatArray,
    toward: FloatArray,
    names: tuple[str, ...],
) -> BoolArray:
    """Free voxels at the surface of a bone, where a look from inside leaves it."""
    reach = float(distance_to_exit(block, block.depth_mm(bone), start, toward, 60.0))
    if not reach > 0:
        raise AnatomyError(
            "the bone ends at the edge of the image where the target is", where=", ".join(names)
        )
    surface = start + reach * toward
    free = ~(bone | socket) & (block.distance_mm(bone) <= SKIN_OF_BONE_MM)
    points = block.points(free)
    near = np.linalg.norm(points - surface, axis=1) <= SPOT_MM
    spot = block.selected(free, near & ((points - start) @ toward >= 0.6 * reach))
    if not spot.any():
        raise AnatomyError("nothing is free in front of the bone", where=", ".join(names))
    return largest_piece(spot)


def _ball_block(
    atlas: Atlas, ball: BoolArray, socket: BoolArray, names: tuple[str, ...]
) -> tuple[Block, BoolArray, BoolArray]:
    """A block around where two bones come near each other."""
    whole = Block.around(atlas.grid, ball, 10.0)
    near = whole.take(ball) & (whole.distance_mm(whole.take(socket)) <= FACING_MM)
    if np.count_nonzero(near) < 20:
        raise AnatomyError(
            "the two bones of the joint do not come near each other in the image",
            seen=f"{np.count_nonzero(near)} voxels within {FACING_MM:g} mm",
            where=", ".join(names),
        )
    block = Block.around(atlas.grid, whole.mask(near).inside, 60.0)
    return block, largest_piece(block.take(ball)), block.take(socket)


def _head(
    block: Block,
    bone: BoolArray,
    socket: BoolArray,
    names: tuple[str, ...],
    facing_mm: float = FACING_MM,
) -> _Head:
    """The sphere through the surface of the ball that faces the socket."""
    surface = bone & (block.distance_mm(~bone) <= float(block.grid.spacing_kji_mm.max()) * 1.01)
    facing = surface & (block.distance_mm(socket) <= facing_mm)
    points = block.points(facing)
    head = _sphere(points) if len(points) >= 20 else None
    for _ in range(2):
        if head is None:
            break
        off = np.abs(np.linalg.norm(points - head.centre_lps_mm, axis=1) - head.radius_mm)
        points = points[off <= max(2 * head.rms_mm, 1.0)]
        head = _sphere(points) if len(points) >= 20 else None
    low, high = HEAD_RADIUS_MM
    ok = head is not None and low <= head.radius_mm <= high and head.rms_mm <= MAX_SPHERE_RMS_MM
    if head is None or not ok:
        seen = "none" if head is None else f"radius {head.radius_mm:.1f}, rms {head.rms_mm:.1f} mm"
        raise AnatomyError(
            "no round head is to be seen in the socket",
            seen=seen,
            needed=f"a radius of {low:g} to {high:g} mm, fitted to {MAX_SPHERE_RMS_MM:g} mm",
            where=", ".join(names),
        )
    beyond_mm = float(block.grid.spacing_kji_mm.mean()) / 2  # the outermost centres lie inside
    return replace(head, radius_mm=head.radius_mm + beyond_mm)


def _sphere(points: FloatArray) -> _Head:
    """Least squares sphere: |p|^2 = 2 c p + (r^2 - c^2)."""
    middle = points.mean(axis=0)
    moved = points - middle
    rows = np.concatenate([2 * moved, np.ones((len(moved), 1))], axis=1)
    fit = np.linalg.lstsq(rows, (moved**2).sum(axis=1), rcond=None)[0]
    radius = float(np.sqrt(max(fit[3] + fit[:3] @ fit[:3], 0.0)))
    off = np.linalg.norm(moved - fit[:3], axis=1) - radius
    return _Head(
        centre_lps_mm=middle + fit[:3], radius_mm=radius, rms_mm=float(np.sqrt((off**2).mean()))
    )


def _neck(block: Block, bone: BoolArray, head: _Head, names: tuple[str, ...]) -> FloatArray:
    """Direction from the head into the neck."""
    points = block.points(bone)
    apart = np.linalg.norm(points - head.centre_lps_mm, axis=1)
    shell = points[(apart >= NECK_MM[0] * head.radius_mm) & (apart <= NECK_MM[1] * head.radius_mm)]
    if len(shell) < 10:
        raise AnatomyError("the neck is not to be seen beside the head", where=", ".join(names))
    return unit(shell.mean(axis=0) - head.centre_lps_mm)
