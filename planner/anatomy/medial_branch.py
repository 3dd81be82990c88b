"""The medial branch of a dorsal ramus: the groove between two processes of a vertebra."""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import largest_piece, nearest_inside, side_sign
from planner.anatomy.fusion import level_warnings, refuse_bridge
from planner.anatomy.names import Part
from planner.anatomy.vertebra import vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import unit
from planner.model import TargetRegion
from planner.model.region import Side

FROM_PROCESSES_MM = 6.0
FROM_BONE_MM = 4.0


def medial_branch_region(atlas: Atlas, name: str, level: str, side: Side) -> TargetRegion:
    """Free voxels behind the junction of superior articular and transverse process.

    The medial branch that crosses the transverse process of L4 is that of the L3 root; the
    level here is the vertebra's.

    Raises
    ------
    AnatomyError
        If the two processes are not labelled as sub-regions, do not meet, or bone bridges
        them to those of a neighbour.
    """
    superior = atlas.need(Part.SUPERIOR_ARTICULAR, level, side)
    transverse = atlas.need(Part.TRANSVERSE, level, side)
    vertebra = vertebra_of(atlas, level)
    refuse_bridge(atlas, vertebra, side)
    block, frame = vertebra.block, vertebra.frame
    near = [block.distance_mm(block.take(p.inside)) for p in (superior, transverse)]
    names = (*superior.names, *transverse.names)
    free = ~vertebra.bone & (block.distance_mm(vertebra.bone) <= FROM_BONE_MM)
    free &= (near[0] <= FROM_PROCESSES_MM) & (near[1] <= FROM_PROCESSES_MM)
    for structure in atlas.obstacles:
        free &= ~block.take(structure.mask.inside)
    bone = block.points(
        vertebra.bone & (near[0] <= FROM_PROCESSES_MM) & (near[1] <= FROM_PROCESSES_MM)
    )
    if not free.any() or not len(bone):
        raise AnatomyError(
            f"superior articular and transverse process of {level} do not meet in the labels",
            needed=f"free voxels within {FROM_PROCESSES_MM:g} mm of both",
            where=", ".join(names),
        )
    junction = frame.local(bone).mean(axis=0)
    local = frame.local(block.points(free))
    inside = block.selected(free, (local[:, 1] >= junction[1]) & (local[:, 2] >= junction[2] - 3.0))
    if not inside.any():
        raise AnatomyError(
            f"nothing is free behind the junction at {level}", where=", ".join(names)
        )
    inside = largest_piece(inside)
    lean = np.radians(15.0)
    axis = -np.cos(lean) * frame.posterior_lps - side_sign(side) * np.sin(lean) * frame.left_lps
    return TargetRegion(
        name=name,
        mask=block.mask(inside),
        centre_lps_mm=nearest_inside(block, inside, block.points(inside).mean(axis=0)),
        axis_lps=unit(axis),
        level=level,
        side=side,
        measures={"resolution_mm": block.extent_mm(frame.posterior_lps)},
        words=f"{side} groove between superior articular and transverse process of {level}, "
        f"behind the bone and within {FROM_BONE_MM:g} mm of it ({', '.join(names)})",
        warnings=(
            *vertebra.warnings,
            *level_warnings(atlas, vertebra),
            "the nerve itself is not labelled",
        ),
    )
