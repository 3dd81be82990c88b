"""An intervertebral disc: by its label, or the gap between two vertebral bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from planner.anatomy.atlas import SACRAL, Atlas
from planner.anatomy.block import (
    NEIGHBOURS,
    Block,
    BoolArray,
    largest_piece,
    nearest_inside,
    plane_through,
)
from planner.anatomy.kambin import kambin_measures
from planner.anatomy.names import Part
from planner.anatomy.rays import distance_to_entry
from planner.anatomy.vertebra import Vertebra, vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import LEFT_LPS, FloatArray, unit
from planner.model import RegionAxes, TargetRegion

MAX_GAP_MM = 22.0
"""Between two end plates; a healthy lumbar disc is 8 to 14 mm high."""

MIN_DISC_MM3 = 500.0
COLUMN_MM = 8.0
"""Radius about the middle in which the height is measured, as volume over area."""

OUTLINE_POWER = 2.5
"""Of the superellipse that the outline of a lumbar body follows."""

MAX_APART_MM = 15.0
"""From a disc's middle to the plane half-way between two bodies, for a disc of no level."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Disc:
    """Voxels, middle, unit normal (towards the head) and height of a disc."""

    block: Block
    inside: BoolArray
    centre_lps_mm: FloatArray
    normal_lps: FloatArray
    height_mm: float
    names: tuple[str, ...]
    is_labelled: bool


def disc_region(atlas: Atlas, name: str, upper: str, lower: str) -> TargetRegion:
    """The disc between two adjacent vertebrae as a target.

    Raises
    ------
    AnatomyError
        If neither the disc nor both vertebrae are labelled.
    """
    disc = disc_between(atlas, upper, lower)
    normal = disc.normal_lps
    resolution = disc.block.extent_mm(normal)
    mask, axes = disc.block.mask(disc.inside), _axes(disc)
    how = "its label" if disc.is_labelled else "the gap between the two bodies"
    return TargetRegion(
        name=name,
        mask=mask,
        centre_lps_mm=nearest_inside(disc.block, disc.inside, disc.centre_lps_mm),
        axes=axes,
        plane_normal_lps=normal,
        level=f"{upper}-{lower}",
        measures={
            "disc_obliquity_deg": float(np.degrees(np.arccos(min(abs(normal[2]), 1.0)))),
            "disc_sagittal_tilt_deg": float(np.degrees(np.arctan2(-normal[1], normal[2]))),
            "disc_coronal_tilt_deg": float(np.degrees(np.arctan2(normal[0], normal[2]))),
            "disc_height_mm": max(disc.height_mm - resolution, 0.0),
            **kambin_measures(atlas, mask, axes),
            "resolution_mm": resolution,
        },
        words=f"disc {upper}-{lower} from {how} ({', '.join(disc.names)}); the plane is fitted "
        "to its middle",
        warnings=()
        if disc.is_labelled
        else ("the disc has no label: the region is the space between two end plates",),
    )


def _axes(disc: Disc) -> RegionAxes:
    """Patient's left and back in the plane of the disc, and up across it, with its extent."""
    up = disc.normal_lps
    left = unit(LEFT_LPS - (LEFT_LPS @ up) * up)
    axes = np.stack([left, np.cross(up, left), up])
    local = (disc.block.points(disc.inside) - disc.centre_lps_mm) @ axes.T
    low, high = np.percentile(local, [2, 98], axis=0)
    voxel = np.array([disc.block.extent_mm(axis) for axis in axes]) / 2
    return RegionAxes(
        origin_lps_mm=disc.centre_lps_mm,
        axes_lps=axes,
        low_mm=low - voxel,
        high_mm=high + voxel,
        words="across the disc",
    )


def disc_between(atlas: Atlas, upper: str, lower: str, above: Vertebra | None = None) -> Disc:
    """The disc between two adjacent vertebrae; ``above`` is the upper one if it is known."""
    labelled = _labelled(atlas, upper, lower)
    if labelled is not None:
        return labelled
    return _gap(atlas, above or vertebra_of(atlas, upper), lower)


def _labelled(atlas: Atlas, upper: str, lower: str) -> Disc | None:
    found = atlas.find(Part.DISC, upper) if _has_level(atlas, upper) else None
    if found is not None:
        block = Block.around(atlas.grid, found.inside, 10.0)
        inside = largest_piece(block.take(found.inside))
        return _measured(block, inside, found.names)
    every = atlas.find(Part.DISC)
    if every is None:
        return None
    try:
        middle = _between_bodies(atlas, upper, lower)
    except AnatomyError:
        return None
    numbers, n = ndimage.label(every.inside, structure=NEIGHBOURS)
    centres = ndimage.center_of_mass(every.inside, numbers, range(1, n + 1))
    apart = [float(np.linalg.norm(atlas.grid.to_lps(c) - middle)) for c in centres]
    if not apart or not min(apart) <= MAX_APART_MM:
        return None
    inside = numbers == int(np.argmin(apart)) + 1
    block = Block.around(atlas.grid, inside, 10.0)
    return _measured(block, block.take(inside), every.names)


def _has_level(atlas: Atlas, level: str) -> bool:
    return any(label.part is Part.DISC and label.level == level for label, _ in atlas.labels)


def _between_bodies(atlas: Atlas, upper: str, lower: str) -> FloatArray:
    """The middle of the space between the two bodies."""
    above, below = vertebra_of(atlas, upper), vertebra_of(atlas, lower)
    bottom = above.frame.lps((0.0, 0.0, -above.half_height_mm))
    return np.asarray((bottom + below.frame.lps((0.0, 0.0, below.half_height_mm))) / 2)


def _measured(block: Block, inside: BoolArray, names: tuple[str, ...]) -> Disc:
    """Plane and height of labelled voxels."""
    points = block.points(inside)
    if not inside.sum() * block.grid.voxel_volume_mm3 >= MIN_DISC_MM3:
        raise AnatomyError(
            "the label of the disc is too small to be a disc",
            seen=f"{inside.sum() * block.grid.voxel_volume_mm3:.0f} mm3",
            needed=f"at least {MIN_DISC_MM3:.0f} mm3",
            where=", ".join(names),
        )
    centre, normal, _ = plane_through(points)
    normal = normal if normal[2] > 0 else -normal
    from_centre = points - centre
    beside = np.linalg.norm(from_centre - np.outer(from_centre @ normal, normal), axis=1)
    column = np.count_nonzero(beside <= COLUMN_MM) * block.grid.voxel_volume_mm3
    return Disc(
        block=block,
        inside=inside,
        centre_lps_mm=_middle(points, normal),
        normal_lps=normal,
        height_mm=float(column / (np.pi * COLUMN_MM**2)),
        names=names,
        is_labelled=True,
    )


def _gap(atlas: Atlas, above: Vertebra, lower: str) -> Disc:
    """Voxels with the upper body above them and the lower bone below them."""
    below = atlas.sacrum() if lower in SACRAL else atlas.vertebra(lower)
    block = above.block
    other = block.take(below.inside)
    body_depth, other_depth = block.depth_mm(above.body), block.depth_mm(other)
    normal = above.frame.up_lps
    candidates = _under(above, ~(above.bone | other | above.canal))
    for _ in range(2):
        points = block.points(candidates)
        to_upper = distance_to_entry(block, body_depth, points, normal, MAX_GAP_MM)
        to_lower = distance_to_entry(block, other_depth, points, -normal, MAX_GAP_MM)
        keep = to_upper + to_lower <= MAX_GAP_MM  # NaN, where one was not met, is not kept
        if np.count_nonzero(keep) * block.grid.voxel_volume_mm3 < MIN_DISC_MM3:
            raise AnatomyError(
                f"there is no gap between {above.level} and {lower} that could be a disc",
                seen=f"{np.count_nonzero(keep) * block.grid.voxel_volume_mm3:.0f} mm3",
                needed=f"at least {MIN_DISC_MM3:.0f} mm3, and not more than {MAX_GAP_MM:g} mm high",
            )
        middles = points[keep] + ((to_upper - to_lower)[keep] / 2)[:, None] * normal
        height = float(np.median((to_upper + to_lower)[keep]))
        _, found, _ = plane_through(middles)
        normal = found if found[2] > 0 else -found
    off_mm = np.abs((points - middles.mean(axis=0)) @ normal)
    near = off_mm <= 0.75 * height + block.extent_mm(normal) / 2
    inside = largest_piece(block.selected(candidates, keep & near))
    return Disc(
        block=block,
        inside=inside,
        centre_lps_mm=_middle(block.points(inside), normal),
        normal_lps=normal,
        height_mm=height,
        names=tuple(dict.fromkeys((*above.names, *below.names))),
        is_labelled=False,
    )


def _under(above: Vertebra, free: BoolArray) -> BoolArray:
    """Free voxels below the middle of a body, within its outline and in front of its canal."""
    frame, points = above.frame, above.block.points(free)
    x, a, h = frame.local(points).T
    body = frame.local(above.block.points(above.body))
    low, high = body[:, :2].min(axis=0), body[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 + 1.0
    round_frac = (np.abs(x - middle[0]) / half[0]) ** OUTLINE_POWER
    round_frac += (np.abs(a - middle[1]) / half[1]) ** OUTLINE_POWER
    inside = (round_frac <= 1.0) & (a <= above.wall_mm + 2.0)
    return above.block.selected(free, inside & (h < 0) & (h > -above.half_height_mm - 30.0))


def _middle(points_lps_mm: FloatArray, normal_lps: FloatArray) -> FloatArray:
    """Half-way between the outermost voxels, to the left and to the back, in the plane."""
    centre = points_lps_mm.mean(axis=0)
    left = unit(np.array([1.0, 0.0, 0.0]) - normal_lps[0] * normal_lps)
    back = np.cross(normal_lps, left)
    axes = np.stack([left, back])
    local = (points_lps_mm - centre) @ axes.T
    low, high = np.percentile(local, [2, 98], axis=0)
    return np.asarray(centre + ((low + high) / 2) @ axes)
