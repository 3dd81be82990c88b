"""Signs that labels of vertebrae are fused, merged or misplaced: what derived places rest on."""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import SACRAL, Atlas
from planner.anatomy.block import side_sign
from planner.anatomy.names import LEVELS, below
from planner.anatomy.vertebra import Vertebra, vertebra_of
from planner.errors import AnatomyError
from planner.model.region import Side

BAND_MM = (3.0, 7.0)
"""Beyond an end plate: beside the disc, where no vertebra has bone so far to the side."""

BESIDE_MM = 4.0
"""Beyond the side of the body: articular processes end before."""

BEFORE_WALL_MM = 3.0
"""In front of the body's back wall a rim of bone beside the disc is common."""

MASS_MM3 = 300.0
"""A healthy spine shows at most 250 in coarse labels, a fusion thousands."""

HEIGHTS = (0.7, 1.4)
SPACINGS = (0.7, 1.4)
"""Of a vertebra's height, and of its distance to a neighbour, against the next: beyond these
two labels are merged, one is split, or a level is left out."""


def bridge_of(atlas: Atlas, vertebra: Vertebra, side: Side) -> float:
    """Bone beside the discs above and below a vertebra, on one side, mm3; 0 in healthy anatomy.

    Of this vertebra and its neighbours: a fusion from transverse process to transverse process,
    whichever label it is in.
    """
    block, frame = vertebra.block, vertebra.frame
    inside = vertebra.bone.copy()  # its largest piece; the label may hold more
    for level in (vertebra.level, *_neighbours(vertebra.level)):
        if level in SACRAL:  # the sacral ala lies beside the disc by nature
            continue
        try:
            inside |= block.take(atlas.vertebra(level).inside)
        except AnatomyError:
            continue
    x, a, h = frame.local(block.points(inside)).T
    beyond = np.abs(h) - vertebra.half_height_mm
    keep = (beyond >= BAND_MM[0]) & (beyond <= BAND_MM[1])
    keep &= a >= vertebra.wall_mm - BEFORE_WALL_MM
    keep &= side_sign(side) * x >= vertebra.half_width_mm + BESIDE_MM
    return float(np.count_nonzero(keep) * block.grid.voxel_volume_mm3)


def level_warnings(atlas: Atlas, vertebra: Vertebra) -> list[str]:
    """What is out of family: the height of a vertebra, and its distances to its neighbours."""
    others = []
    for level in _neighbours(vertebra.level):
        try:
            other = vertebra_of(atlas, level)
        except AnatomyError:
            continue
        if not other.warnings:  # cut by the image, its middle and height are not its own
            others.append(other)
    told = []
    for other in others:
        ratio = vertebra.half_height_mm / other.half_height_mm
        if not HEIGHTS[0] <= ratio <= HEIGHTS[1]:
            told.append(
                f"{vertebra.level} is {ratio:.1f} times as high as {other.level}: labels merged, "
                "split, or a fractured vertebra; look at it"
            )
    away = [
        float(np.linalg.norm(o.frame.origin_lps_mm - vertebra.frame.origin_lps_mm)) for o in others
    ]
    if len(away) == 2 and not SPACINGS[0] <= away[0] / away[1] <= SPACINGS[1]:
        told.append(
            f"from {vertebra.level} to its neighbours it is {away[0]:.0f} and {away[1]:.0f} mm: "
            "a level may be left out, merged or fused; look at it"
        )
    return told


def refuse_bridge(atlas: Atlas, vertebra: Vertebra, side: Side) -> None:
    """Nothing, where the vertebra stands free on a side.

    Raises
    ------
    AnatomyError
        If bone bridges the transverse processes there: the grooves that nerves run in are
        buried or moved.
    """
    mass_mm3 = bridge_of(atlas, vertebra, side)
    if not mass_mm3 <= MASS_MM3:
        raise AnatomyError(
            f"bone bridges the {side} side of {vertebra.level} to its neighbour: fused, or the "
            "labels run into each other; the groove of the nerve cannot be derived",
            seen=f"{mass_mm3:.0f} mm3 beside the disc, lateral of the body",
            needed=f"at most {MASS_MM3:.0f} mm3",
            where=", ".join(vertebra.names),
            fix="Give the target as a point, after looking at the image.",
        )


def _neighbours(level: str) -> list[str]:
    place = LEVELS.index(level)
    above = LEVELS[place - 1] if place else None
    return [name for name in (above, below(level)) if name is not None]
