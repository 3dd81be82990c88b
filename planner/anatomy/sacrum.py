"""Holes and wings of the sacrum: the dorsal S1 foramen and the ala."""

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
from planner.anatomy.rays import distance_to_entry
from planner.errors import AnatomyError
from planner.geometry.frames import FloatArray, unit
from planner.model import TargetRegion
from planner.model.region import Side

RAYS = 12
MIN_HITS = 9
"""Of 12 looks in the plane of the dorsal surface that must meet bone, for a hole. A groove
between two crests is open at both ends and meets fewer."""

CORE_HITS = 11
"""Of a voxel that is surely in a hole; from these the opening is found."""

LOOK_MM = 9.0
OFF_MIDLINE_MM = (9.0, 36.0)
"""S1 dorsal foramina lie about 23 mm from the midline (Kim 2023)."""

S1_SHARE, S1_BELOW_TOP_MM = 0.28, 30.0
"""Where along the sacrum, from its top, the S1 foramen lies; in mm where the sacrum is cut."""

LEVEL_TOLERANCE_MM = 12.0
"""S1 and S2 foramina are 20 to 25 mm apart."""

MIN_HOLE_MM3 = 60.0
DORSAL_MM = 7.0
"""Radius of the region about the dorsal opening."""

DEEP_MM = (10.0, 20.0)
"""Where, below the dorsal opening, the channel is looked at for its direction."""

MIN_DEPTH_MM = 6.0


def s1_foramen_region(atlas: Atlas, name: str, side: Side) -> TargetRegion:
    """The posterior part of the S1 foramen.

    Raises
    ------
    AnatomyError
        If the sacrum has no label, or its label has no hole where S1's foramen must be.
    """
    sacrum = atlas.sacrum()
    block = Block.around(atlas.grid, sacrum.inside, 10.0)
    bone = largest_piece(block.take(sacrum.inside))
    frame, length = _frame(block, bone)
    expected, how = _expected_s(atlas, block, bone, frame, length)
    hole, core = _hole(atlas, block, bone, frame, side, expected)
    points, sure = block.points(hole), block.points(core)
    local = frame.local(points)
    big = len(points) * block.grid.voxel_volume_mm3 >= MIN_HOLE_MM3
    if not big or not len(sure) or not np.ptp(local[:, 1]) >= MIN_DEPTH_MM:
        raise AnatomyError(
            f"the label of the sacrum has no hole where the {side} S1 foramen must be",
            seen="bone or an open groove",
            needed=f"a hole of {MIN_HOLE_MM3:g} mm3, {MIN_DEPTH_MM:g} mm deep, "
            f"{OFF_MIDLINE_MM[0]:g} to {OFF_MIDLINE_MM[1]:g} mm from the midline",
            where=", ".join(sacrum.names),
            fix="Labels of thick slices often close it: give the target as a point.",
        )
    behind = frame.local(sure)[:, 1]
    opening = sure[behind >= behind.max() - DORSAL_MM / 2].mean(axis=0)
    away = np.linalg.norm(points - opening, axis=1)
    keep = away <= max(DORSAL_MM, float(away.min()))
    below = float(frame.local(opening)[1]) - local[:, 1]
    deep = points[(below >= DEEP_MM[0]) & (below <= DEEP_MM[1])]
    axis = -frame.posterior_lps if len(deep) < 3 else unit(deep.mean(axis=0) - opening)
    inside = block.selected(hole, keep)
    wide = float(np.ptp(local[keep, 0]))
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=nearest_inside(block, inside, opening),
        axis_lps=axis,
        level="S1",
        side=side,
        measures={
            "off_midline_mm": float(abs(frame.local(opening)[0])),
            "foramen_width_mm": wide,
            "axis_deg": float(np.degrees(np.arccos(np.clip(-axis @ frame.posterior_lps, -1, 1)))),
            "resolution_mm": block.extent_mm(frame.left_lps),
        },
        words=f"{side} S1 foramen, posterior part: the hole of the sacral label "
        f"({', '.join(sacrum.names)}) between S1 and S2, {how}",
        warnings=("which sacral foramen it is follows from its height alone: look at it",),
    )


def sacral_ala_region(atlas: Atlas, name: str, side: Side) -> TargetRegion:
    """The cancellous middle of the ala, between foramina and sacroiliac joint.

    Raises
    ------
    AnatomyError
        If the sacrum has no label, or nothing is left between foramina and joint.
    """
    sacrum = atlas.sacrum()
    block = Block.around(atlas.grid, sacrum.inside, 10.0)
    bone = largest_piece(block.take(sacrum.inside))
    frame, length = _frame(block, bone)
    ala = atlas.find(Part.SACRAL_ALA, None, side)
    names = sacrum.names
    x, _, h = frame.local(block.points(bone)).T
    wing = block.take(ala.inside) & bone if ala is not None else None
    out = side_sign(side) * x
    keep = (out >= 24.0) & (h <= 0.0) & (h >= -0.55 * length)
    inside = block.selected(bone, keep)
    inside = inside & wing if wing is not None else inside
    deep = inside & (block.distance_mm(~bone) >= 5.0)
    if not deep.any():
        raise AnatomyError(
            f"the label of the sacrum has no {side} ala 10 mm thick",
            where=", ".join(names),
        )
    deep = largest_piece(deep)
    points = block.points(deep)
    return TargetRegion(
        name=name,
        mask=block.mask(deep),
        wall=block.mask(bone),
        centre_lps_mm=nearest_inside(block, deep, points.mean(axis=0)),
        axis_lps=-frame.posterior_lps,
        level="S1",
        side=side,
        measures={
            "ala_thickness_mm": 2 * float(block.distance_mm(~bone)[deep].max())
            - block.extent_mm(frame.posterior_lps),
            "resolution_mm": block.extent_mm(frame.posterior_lps),
        },
        words=f"{side} sacral ala: sacral bone more than 24 mm from the midline, at S1 and S2, at "
        f"least 5 mm inside the label ({', '.join(names)})",
    )


def _frame(block: Block, bone: BoolArray) -> tuple[LocalFrame, float]:
    """Axes of the sacrum (h = 0 at its top, in the middle) and its length.

    The long axis is that of the bone near the midline, in the sagittal plane.
    """
    points = block.points(bone)
    middle = (np.percentile(points[:, 0], 1) + np.percentile(points[:, 0], 99)) / 2
    central = points[np.abs(points[:, 0] - middle) <= 20.0]
    if len(central) < 20:
        raise AnatomyError("the label of the sacrum has no bone near its middle")
    centre = central.mean(axis=0)
    along = np.linalg.svd((central - centre)[:, 1:], full_matrices=False)[2][0]
    up = np.array([0.0, *along])
    up = up if up[2] > 0 else -up
    posterior = np.array([0.0, up[2], -up[1]])
    frame = LocalFrame.of(np.array([middle, *centre[1:]]), up, posterior)
    low, high = np.percentile(frame.local(central)[:, 2], [0.5, 99.5])
    return frame.moved(frame.lps((0.0, 0.0, high))), float(high - low)


def _expected_s(
    atlas: Atlas, block: Block, bone: BoolArray, frame: LocalFrame, length: float
) -> tuple[float, str]:
    """How far below the top the S1 foramen is expected, and how that is known."""
    first = atlas.find(Part.VERTEBRA, "S1")
    if first is not None and block.take(first.inside).any():
        local = frame.local(block.points(block.take(first.inside)))
        front = local[local[:, 1] <= np.median(local[:, 1])]
        return float(-np.percentile(front[:, 2], 5)), "at the lower border of S1's label"
    if any(np.take(bone, n, axis=axis).any() for axis in range(3) for n in (0, -1)):
        return S1_BELOW_TOP_MM, f"{S1_BELOW_TOP_MM:g} mm below the top of a sacrum that is cut"
    return S1_SHARE * length, f"{S1_SHARE:.0%} of the sacrum's length below its top"


def _hole(
    atlas: Atlas,
    block: Block,
    bone: BoolArray,
    frame: LocalFrame,
    side: Side,
    expected_mm: float,
) -> tuple[BoolArray, BoolArray]:
    """Free voxels at the expected height that bone surrounds in the plane of the dorsal surface.

    And those of them that it surrounds on nearly all sides.
    """
    free = ~bone
    canal = atlas.canal()
    if canal is not None:
        free &= ~block.take(canal.inside)
    x, _, h = frame.local(block.points(free)).T
    out = side_sign(side) * x
    near = (out >= OFF_MIDLINE_MM[0]) & (out <= OFF_MIDLINE_MM[1])
    near &= np.abs(-h - expected_mm) <= LEVEL_TOLERANCE_MM
    candidates = block.selected(free, near)
    points = block.points(candidates)
    depth = block.depth_mm(bone)
    hits = np.zeros(len(points), int)
    for angle in np.arange(RAYS) * 2 * np.pi / RAYS:
        direction: FloatArray = np.cos(angle) * frame.left_lps + np.sin(angle) * frame.up_lps
        hits += np.isfinite(distance_to_entry(block, depth, points, direction, LOOK_MM))
    hole = largest_piece(block.selected(candidates, hits >= MIN_HITS))
    return hole, block.selected(candidates, hits >= CORE_HITS) & hole
