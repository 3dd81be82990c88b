"""Targets beside the spine and in muscle: vertebral body, sympathetic chain, plexus, piriformis.

Nerves are not in the labels: what is given is where they are known to run, beside bone and
vessels that are labelled.
"""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import (
    Block,
    BoolArray,
    LocalFrame,
    largest_piece,
    nearest_inside,
    side_sign,
)
from planner.anatomy.names import Part
from planner.anatomy.vertebra import vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import CRANIAL_LPS, POSTERIOR_LPS, FloatArray
from planner.model import TargetRegion
from planner.model.region import Side

RIM_MM = 3.0
"""Of the body that is left out: a tip there is at the cortex."""

CHAIN_FROM_BONE_MM = (1.5, 5.0)
"""At most 5 mm in front of the cortex, as the procedure asks."""

CHAIN_SECTOR_DEG = (25.0, 65.0)
"""From straight in front of the body towards the side; the chain lies at its edge."""

CHAIN_LEAN_DEG = 25.0
PLEXUS_FROM_BONE_MM = (2.0, 12.0)
PLEXUS_TO_AORTA_MM = 30.0
PLEXUS_SECTOR_DEG = (15.0, 65.0)
THIRDS = ("medial", "middle", "lateral")


def vertebra_region(atlas: Atlas, name: str, level: str) -> TargetRegion:
    """The body of a vertebra, without its outermost 3 mm.

    Raises
    ------
    AnatomyError
        If the vertebra has no label or its canal cannot be seen.
    """
    vertebra = vertebra_of(atlas, level)
    block, frame = vertebra.block, vertebra.frame
    depth = block.distance_mm(~vertebra.body)
    inside = vertebra.body & (depth >= RIM_MM + block.extent_mm(frame.up_lps) / 2)
    inside = largest_piece(inside if inside.any() else vertebra.body)
    obliquity = float(np.degrees(np.arccos(min(frame.up_lps[2], 1.0))))
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=nearest_inside(block, inside, frame.origin_lps_mm),
        plane_normal_lps=frame.up_lps,
        wall=block.mask(vertebra.bone | vertebra.body),
        level=level,
        measures={
            "body_height_mm": 2 * vertebra.half_height_mm,
            "body_width_mm": 2 * vertebra.half_width_mm,
            "body_obliquity_deg": obliquity,
            "resolution_mm": block.extent_mm(frame.up_lps),
        },
        words=f"body of {level} without its outermost {RIM_MM:g} mm, "
        + ("by its own label" if vertebra.has_body_label else "the bone in front of the canal")
        + f" ({', '.join(vertebra.names)}); the plane is the mean of its endplates",
        warnings=vertebra.warnings,
    )


def sympathetic_region(atlas: Atlas, name: str, level: str, side: Side) -> TargetRegion:
    """Free voxels at the anterolateral border of a vertebral body.

    Raises
    ------
    AnatomyError
        If the vertebra has no label, or labelled structures leave no room there.
    """
    vertebra = vertebra_of(atlas, level)
    block, frame, sign = vertebra.block, vertebra.frame, side_sign(side)
    free = ~_occupied(atlas, block)
    near = _between(block.distance_mm(vertebra.body), CHAIN_FROM_BONE_MM) & free
    x, a, h = frame.local(block.points(near)).T
    round_deg = np.degrees(np.arctan2(sign * x, -a))
    keep = (round_deg >= CHAIN_SECTOR_DEG[0]) & (round_deg <= CHAIN_SECTOR_DEG[1])
    keep &= np.abs(h) <= 0.8 * vertebra.half_height_mm
    inside = block.selected(near, keep)
    if not inside.any():
        raise _no_room(f"the {side} anterolateral border of {level}", vertebra.names)
    inside = largest_piece(inside)
    lean = np.radians(CHAIN_LEAN_DEG)
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=nearest_inside(block, inside, block.points(inside).mean(axis=0)),
        axis_lps=-np.cos(lean) * frame.posterior_lps - sign * np.sin(lean) * frame.left_lps,
        level=level,
        side=side,
        measures={"resolution_mm": block.extent_mm(frame.left_lps)},
        words=f"{side} anterolateral border of the body of {level}: "
        f"{CHAIN_FROM_BONE_MM[0]:g} to {CHAIN_FROM_BONE_MM[1]:g} mm from the bone, "
        f"{CHAIN_SECTOR_DEG[0]:g} to {CHAIN_SECTOR_DEG[1]:g} degrees from its front, outside of "
        f"every labelled vessel, organ and nerve ({', '.join(vertebra.names)})",
        warnings=(*vertebra.warnings, "the sympathetic chain itself is not labelled"),
    )


def coeliac_region(atlas: Atlas, name: str, side: Side | None) -> TargetRegion:
    """Free voxels in front of T12 and L1, beside the aorta.

    Raises
    ------
    AnatomyError
        If the aorta, T12 or L1 have no label, or nothing is free there.
    """
    aorta = atlas.need(Part.AORTA)
    upper, lower = vertebra_of(atlas, "T12"), vertebra_of(atlas, "L1")
    bodies = upper.body_on(atlas.grid) | lower.body_on(atlas.grid)
    block = Block.around(atlas.grid, bodies, 20.0)
    top, bottom = upper.frame.origin_lps_mm, lower.frame.origin_lps_mm
    frame = LocalFrame.of((top + bottom) / 2, top - bottom, upper.frame.posterior_lps)
    near = _between(block.distance_mm(block.take(bodies)), PLEXUS_FROM_BONE_MM)
    near &= block.distance_mm(block.take(aorta.inside)) <= PLEXUS_TO_AORTA_MM
    near &= ~_occupied(atlas, block)
    x, a, h = frame.local(block.points(near)).T
    round_deg = np.degrees(np.arctan2(x, -a))
    wide = (np.abs(round_deg) >= PLEXUS_SECTOR_DEG[0]) & (np.abs(round_deg) <= PLEXUS_SECTOR_DEG[1])
    tall = np.abs(h) <= float(np.linalg.norm(top - bottom)) / 2
    inside = block.selected(near, wide & tall & ((side is None) | (side_sign(side) * x > 0)))
    if not inside.any():
        raise _no_room("the front of T12 and L1 beside the aorta", aorta.names)
    inside = largest_piece(inside)
    names = tuple(dict.fromkeys((*aorta.names, *upper.names, *lower.names)))
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=nearest_inside(block, inside, block.points(inside).mean(axis=0)),
        axis_lps=-frame.posterior_lps,
        level="T12-L1",
        side=side,
        measures={"resolution_mm": block.extent_mm(frame.posterior_lps)},
        words=f"in front of T12 and L1 beside the aorta: {PLEXUS_FROM_BONE_MM[0]:g} to "
        f"{PLEXUS_FROM_BONE_MM[1]:g} mm from the bodies between their middles, at most "
        f"{PLEXUS_TO_AORTA_MM:g} mm from the aorta, outside of every labelled vessel, organ and "
        f"nerve ({', '.join(names)})",
        warnings=(*upper.warnings, *lower.warnings, "the plexus itself is not labelled"),
    )


def piriformis_region(
    atlas: Atlas, name: str, side: Side, third: str = "middle", superficial: bool = False
) -> TargetRegion:
    """The belly of the piriformis: a third of its length, by its own label.

    Raises
    ------
    AnatomyError
        If it has no label: no other structure tells where the muscle is.
    """
    found = atlas.need(Part.PIRIFORMIS, None, side)
    block = Block.around(atlas.grid, found.inside, 5.0)
    muscle = largest_piece(block.take(found.inside))
    points = block.points(muscle)
    centre = points.mean(axis=0)
    along = np.linalg.svd(points - centre, full_matrices=False)[2][0]
    along = along if side_sign(side) * along[0] > 0 else -along
    place = (points - centre) @ along
    low, high = np.percentile(place, [1, 99])
    share = (place - low) / (high - low)
    number = THIRDS.index(third)
    keep = (share >= number / 3) & (share <= (number + 1) / 3)
    if superficial:
        back = POSTERIOR_LPS - (POSTERIOR_LPS @ along) * along
        keep &= (points - centre) @ back >= np.median(((points - centre) @ back)[keep])
    inside = block.selected(muscle, keep)
    depth = block.distance_mm(~muscle)
    deepest = np.unravel_index(int(np.argmax(np.where(inside, depth, -1.0))), depth.shape)
    words = f"{third} third" + (", superficial half" if superficial else "")
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=block.grid.to_lps(np.array(deepest)),
        side=side,
        measures={
            "muscle_length_mm": float(high - low),
            "belly_thickness_mm": 2 * float(depth[deepest]),
            "resolution_mm": block.extent_mm(CRANIAL_LPS),
        },
        words=f"{side} piriformis, {words} of its length from the sacrum to the trochanter "
        f"({', '.join(found.names)}); the tip is where the muscle is thickest",
    )


def _between(values: FloatArray, limits: tuple[float, float]) -> BoolArray:
    return np.asarray((values >= limits[0]) & (values <= limits[1]))


def _occupied(atlas: Atlas, block: Block) -> BoolArray:
    """Voxels of every structure that a needle must not be in."""
    occupied = np.zeros(block.grid.shape_kji, bool)
    for structure in atlas.obstacles:
        occupied |= block.take(structure.mask.inside)
    return occupied


def _no_room(where: str, names: tuple[str, ...]) -> AnatomyError:
    return AnatomyError(
        f"labelled structures leave no room at {where}",
        where=", ".join(names),
        fix="Give the target as a point, and say why it may be there.",
    )
