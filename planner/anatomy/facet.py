"""The facet joint: between the articular processes of two adjacent vertebrae."""

from __future__ import annotations

import numpy as np

from planner.anatomy.atlas import SACRAL, Atlas, Found
from planner.anatomy.block import (
    Block,
    BoolArray,
    largest_piece,
    nearest_inside,
    plane_through,
    side_sign,
)
from planner.anatomy.joint import joint_space
from planner.anatomy.names import Part
from planner.anatomy.vertebra import Vertebra, vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import FloatArray, unit
from planner.model import TargetRegion
from planner.model.region import Side

MAX_GAP_MM = 4.0
MIN_OFF_MIDLINE_MM = 5.0
MAX_OFF_MIDLINE_MM = 35.0
MIN_AREA_MM2 = 30.0
"""A lumbar facet has 100 to 250 mm2."""

MAX_ABOVE_DISC_MM, MAX_BELOW_DISC_MM = 20.0, 15.0


def facet_region(atlas: Atlas, name: str, upper: str, lower: str, side: Side) -> TargetRegion:
    """The joint space between the inferior process above and the superior one below.

    Raises
    ------
    AnatomyError
        If one of the bones has no label, or their processes do not face each other.
    """
    above = vertebra_of(atlas, upper)
    block = above.block
    inferior = atlas.find(Part.INFERIOR_ARTICULAR, upper, side)
    superior = atlas.find(Part.SUPERIOR_ARTICULAR, lower, side)
    whole = atlas.sacrum() if lower in SACRAL else atlas.vertebra(lower)
    bones = (
        block.take((inferior or atlas.vertebra(upper)).inside),
        block.take((superior or whole).inside),
    )
    space = joint_space(block, *bones, MAX_GAP_MM)
    inside = space.inside & ~_other_bone(block, bones, (above, whole))
    inside = block.selected(inside, _behind(above, side, block.points(inside)))
    joint = largest_piece(inside, bridge=True)
    gap = np.zeros(space.inside.shape)
    gap[space.inside] = space.gap_mm
    points, voxel_mm = block.points(joint), block.grid.voxel_volume_mm3 ** (1 / 3)
    thick = max(float(gap[joint].mean()) if len(points) else 0.0, voxel_mm)
    area = len(points) * block.grid.voxel_volume_mm3 / thick
    if len(points) < 4 or not area >= MIN_AREA_MM2:
        raise AnatomyError(
            f"the {side} articular processes of {upper} and {lower} do not face each other in "
            "the labels: no facet joint to be seen",
            seen=f"{area:.0f} mm2",
            needed=f"{MIN_AREA_MM2:g} mm2 at most {MAX_GAP_MM:g} mm apart",
            where=", ".join((*above.names, *whole.names)),
        )
    return _described(
        name,
        (upper, lower, side),
        above,
        block,
        joint,
        gap,
        bones,
        _names(above, whole, inferior, superior),
    )


def _other_bone(
    block: Block, bones: tuple[BoolArray, BoolArray], whole: tuple[Vertebra, Found]
) -> BoolArray:
    """Bone of the two vertebrae that is not of the two processes."""
    return (whole[0].bone | block.take(whole[1].inside)) & ~bones[0] & ~bones[1]


def _behind(above: Vertebra, side: Side, points_lps_mm: FloatArray) -> np.ndarray:
    """Whether points lie where the facet joint below this vertebra must be."""
    x, a, h = above.frame.local(points_lps_mm).T
    out = side_sign(side) * x
    bottom = -above.half_height_mm
    near = (out >= MIN_OFF_MIDLINE_MM) & (out <= MAX_OFF_MIDLINE_MM)
    tall = (h >= bottom - MAX_BELOW_DISC_MM - 5.0) & (h <= bottom + MAX_ABOVE_DISC_MM)
    return np.asarray(near & tall & (a >= (above.wall_mm + above.canal_back_mm) / 2))


def _described(
    name: str,
    place: tuple[str, str, Side],
    above: Vertebra,
    block: Block,
    joint: BoolArray,
    gap: FloatArray,
    bones: tuple[BoolArray, BoolArray],
    names: tuple[str, ...],
) -> TargetRegion:
    upper, lower, side = place
    centre, normal, _ = plane_through(block.points(joint))
    back = above.frame.posterior_lps - (above.frame.posterior_lps @ normal) * normal
    free = joint & ~bones[0] & ~bones[1]
    axial = np.hypot(normal[0], normal[1])
    warnings = list(above.warnings)
    if not free.any():
        warnings.append("no voxel of the joint is free of bone labels: the gap is finer than them")
    return TargetRegion(
        name=name,
        mask=block.mask(joint),
        centre_lps_mm=nearest_inside(block, free if free.any() else joint, centre),
        axis_lps=-unit(back),
        plane_normal_lps=normal,
        level=f"{upper}-{lower}",
        side=side,
        measures={
            "joint_gap_mm": float(np.median(gap[joint])),
            "joint_angle_to_sagittal_deg": float(
                np.degrees(np.arccos(min(abs(normal[0]) / max(axial, 1e-9), 1.0)))
            ),
            "touching_frac": float(np.count_nonzero(joint & ~free) / np.count_nonzero(joint)),
            "resolution_mm": block.extent_mm(normal),
        },
        words=f"{side} facet joint {upper}-{lower}: voxels between the articular processes at "
        f"most {MAX_GAP_MM:g} mm apart ({', '.join(names)})",
        warnings=tuple(warnings),
    )


def _names(
    above: Vertebra, whole: Found, inferior: Found | None, superior: Found | None
) -> tuple[str, ...]:
    parts = [f.names for f in (inferior, superior) if f is not None]
    return tuple(dict.fromkeys((*above.names, *whole.names, *(n for p in parts for n in p))))
