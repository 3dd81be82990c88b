"""The intervertebral foramen: between two pedicles, behind the bodies, beside the canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.anatomy.atlas import SACRAL, Atlas
from planner.anatomy.block import (
    Block,
    BoolArray,
    LocalFrame,
    largest_piece,
    nearest_inside,
    side_sign,
)
from planner.anatomy.disc import disc_between
from planner.anatomy.pedicle import Pedicle, pedicle_of
from planner.anatomy.rays import OUTSIDE_MM, distance_to_entry, distance_to_exit
from planner.anatomy.safe_triangle import safe_triangle
from planner.anatomy.vertebra import Vertebra, vertebra_of
from planner.errors import AnatomyError
from planner.geometry.frames import FloatArray, unit
from planner.model import RegionAxes, TargetRegion
from planner.model.region import Side

STEP_MM = 0.5
HALF_DEPTH_MM = 5.0
"""Half of the length of the channel that is taken as foramen, from medial to lateral."""

MAX_HEIGHT_MM = 45.0
MIN_HEIGHT_MM, MIN_WIDTH_MM = 4.0, 2.0
HALVES = ("upper", "lower")
TIP_OUT_MM = 1.0
"""Of the preferred tip, to the side of the pedicles' middles: not medial to 6 o'clock."""

BEHIND_MM = 14.0
"""How far behind the pedicles the foramen may reach where no bone is seen behind it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Window:
    """The opening in the plane of the pedicles: front and back at each height, local mm."""

    heights_mm: FloatArray
    front_mm: FloatArray
    back_mm: FloatArray
    is_closed: FloatArray


def foramen_region(
    atlas: Atlas, name: str, upper: str, lower: str, side: Side, half: str = ""
) -> TargetRegion:
    """The foramen between two vertebrae on a side, or its upper or lower half.

    Raises
    ------
    AnatomyError
        If a vertebra (below L5: the sacrum) has no label, a pedicle is not to be seen, or
        the space between them is too small to be a foramen.
    """
    above = vertebra_of(atlas, upper)
    roof = pedicle_of(atlas, upper, side)
    lower_bone = atlas.sacrum() if lower in SACRAL else atlas.vertebra(lower)
    block = Block.around(atlas.grid, above.bone_on(atlas.grid) | lower_bone.inside, 5.0)
    bone = block.take(above.bone_on(atlas.grid) | lower_bone.inside)
    disc = disc_between(atlas, upper, lower, above)
    closed = bone | block.take(disc.block.mask(disc.inside).inside) if disc.is_labelled else bone
    depth = block.depth_mm(bone)
    frame, warnings, floor_wall = _frame(atlas, above, roof, lower, block, depth, disc.normal_lps)
    height = _height_mm(block, depth, frame)
    window = _window(block, depth, frame, height, _walls(above, frame, floor_wall))
    region = _region(block, frame, window, closed, atlas)
    if not region.any():
        raise AnatomyError(
            f"no free space between the {side} pedicles of {upper} and {lower}",
            seen="bone, disc or canal everywhere",
            where=", ".join((*above.names, *lower_bone.names)),
        )
    if half:
        region = _half(block, frame, region, height, half)
    if np.mean(window.is_closed) < 0.5:
        warnings.append("less than half of the back wall is bone in the labels: look at it")
    widths = window.back_mm - window.front_mm
    across, along = block.extent_mm(frame.posterior_lps), block.extent_mm(frame.up_lps)
    wide, tall = float(np.percentile(widths, 75)), height[1] - height[0]
    if not (wide >= 2 * across and tall >= 2 * along):
        warnings.append("the opening is less than two voxels wide or high: it is hardly known")
    x, a, h = _middle_of(window, half, height)
    centre = frame.lps((side_sign(side) * x, a, h))
    axes = _axes(frame, window, height, side)
    return TargetRegion(
        name=name,
        mask=block.mask(region),
        centre_lps_mm=nearest_inside(block, region, centre),
        axis_lps=-side_sign(side) * frame.left_lps,
        level=f"{upper}-{lower}",
        side=side,
        axes=axes,
        measures={
            "foramen_height_mm": max(tall - along, 0.0),
            "foramen_width_mm": max(wide - across, 0.0),
            **safe_triangle(atlas, block, depth, axes),
            "resolution_mm": along,
        },
        words=f"{side} foramen {upper}-{lower}{f', {half} half' if half else ''}: free space "
        "between the pedicles, behind the bodies and the disc, beside the canal, "
        f"{2 * HALF_DEPTH_MM:g} mm deep, from "
        f"{', '.join(dict.fromkeys((*above.names, *lower_bone.names, *disc.names)))}; height "
        "and width are less one voxel",
        warnings=tuple(warnings),
    )


def _frame(
    atlas: Atlas,
    above: Vertebra,
    roof: Pedicle,
    lower: str,
    block: Block,
    depth: FloatArray,
    disc_normal: FloatArray,
) -> tuple[LocalFrame, list[str], FloatArray]:
    """Origin half-way between the pedicles, up along the line between them.

    Also a point on the back wall of the lower body.
    """
    warnings = list(above.warnings)
    if lower not in SACRAL:
        floor = pedicle_of(atlas, lower, roof.side)
        below, wall = floor.centre_lps_mm, _wall_point(floor.vertebra)
        warnings += floor.vertebra.warnings
    else:
        below, down = _sacral_floor(block, depth, roof, (above.frame.up_lps, disc_normal))
        roof_wall = _wall_point(above)
        wall = roof_wall - np.linalg.norm(below - roof.centre_lps_mm) * down
        warnings.append("the floor is the upper border of the sacrum under the pedicle of L5")
    up = roof.centre_lps_mm - below
    frame = LocalFrame.of((roof.centre_lps_mm + below) / 2, up, above.frame.posterior_lps)
    return frame, warnings, wall


def _sacral_floor(
    block: Block, depth: FloatArray, roof: Pedicle, ups: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """A point in the sacrum under the pedicle of L5, and the way up from it.

    The way down is between those across the body of L5 and across the disc under it; where
    the sacrum stands steep, one of them alone may miss its upper border.
    """
    for up in (unit(ups[0] + ups[1]), *ups):
        edge = float(distance_to_exit(block, depth, roof.centre_lps_mm, -up, 20.0))
        start = roof.centre_lps_mm - (edge + STEP_MM) * up
        down = float(distance_to_entry(block, depth, start, -up, MAX_HEIGHT_MM))
        if down >= MIN_HEIGHT_MM:
            return start - (down + 5.0) * up, up
    raise AnatomyError(
        f"no sacral bone under the {roof.side} pedicle of {roof.vertebra.level}: no foramen",
        needed=f"the sacrum, {MIN_HEIGHT_MM:g} to {MAX_HEIGHT_MM:g} mm below the pedicle",
        where=", ".join(roof.vertebra.names),
    )


def _wall_point(vertebra: Vertebra) -> FloatArray:
    return vertebra.frame.lps((0.0, vertebra.wall_mm, 0.0))


def _height_mm(block: Block, depth: FloatArray, frame: LocalFrame) -> tuple[float, float]:
    """Lowest and highest free place on the line between the pedicles, local h."""
    h = np.arange(-MAX_HEIGHT_MM / 2, MAX_HEIGHT_MM / 2 + STEP_MM, STEP_MM)
    line = frame.lps(np.stack([0 * h, 0 * h, h], -1))
    free = block.at(depth, line, OUTSIDE_MM) <= 0
    if not free[len(h) // 2]:
        shut = np.flatnonzero(free)
        if not len(shut):
            raise _too_small(0.0)
        middle = int(shut[np.argmin(np.abs(shut - len(h) // 2))])
    else:
        middle = len(h) // 2
    low, high = middle, middle
    while low > 0 and free[low - 1]:
        low -= 1
    while high < len(h) - 1 and free[high + 1]:
        high += 1
    if not MIN_HEIGHT_MM <= h[high] - h[low] < MAX_HEIGHT_MM - 1.0:
        raise _too_small(float(h[high] - h[low]))
    return float(h[low]), float(h[high])


def _walls(above: Vertebra, frame: LocalFrame, lower_wall: FloatArray) -> FloatArray:
    """(a, h) of the back walls of the upper and the lower body, shape (2, 2)."""
    return frame.local(np.stack([_wall_point(above), lower_wall]))[:, 1:]


def _window(
    block: Block,
    depth: FloatArray,
    frame: LocalFrame,
    height: tuple[float, float],
    walls: FloatArray,
) -> _Window:
    """Front and back at each height: bone, or the line of the back walls of the bodies."""
    h = np.arange(height[0] + STEP_MM / 2, height[1], STEP_MM)
    line = frame.lps(np.stack([0 * h, 0 * h, h], -1))
    order = np.argsort(walls[:, 1])
    wall = np.interp(h, walls[order, 1], walls[order, 0])
    front = -distance_to_entry(block, depth, line, -frame.posterior_lps, 25.0)
    back = distance_to_entry(block, depth, line, frame.posterior_lps, BEHIND_MM)
    closed = np.isfinite(back)
    usual = float(np.nanmedian(back)) if closed.any() else BEHIND_MM / 2
    front = np.where(np.isfinite(front), np.maximum(front, wall), wall)
    back = np.where(closed, back, usual)
    ok = back - front >= MIN_WIDTH_MM
    if np.count_nonzero(ok) * STEP_MM < MIN_HEIGHT_MM:
        raise _too_small(float(np.count_nonzero(ok) * STEP_MM))
    return _Window(
        heights_mm=h[ok], front_mm=front[ok], back_mm=back[ok], is_closed=closed[ok].astype(float)
    )


def _region(
    block: Block, frame: LocalFrame, window: _Window, closed: BoolArray, atlas: Atlas
) -> BoolArray:
    """Free voxels of the channel that hang together with its middle."""
    canal = atlas.canal()
    free = ~closed if canal is None else ~closed & ~block.take(canal.inside)
    x, a, h = frame.local(block.points(free)).T
    front = np.interp(h, window.heights_mm, window.front_mm)
    back = np.interp(h, window.heights_mm, window.back_mm)
    tall = (h >= window.heights_mm[0]) & (h <= window.heights_mm[-1])
    region = block.selected(free, tall & (np.abs(x) <= HALF_DEPTH_MM) & (a >= front) & (a <= back))
    if not region.any():
        return region
    return largest_piece(region)


def _half(
    block: Block, frame: LocalFrame, region: BoolArray, height: tuple[float, float], half: str
) -> BoolArray:
    is_upper = frame.local(block.points(region))[:, 2] >= sum(height) / 2
    chosen = block.selected(region, is_upper if half == "upper" else ~is_upper)
    if not chosen.any():
        raise AnatomyError(f"the {half} half of the foramen has no free voxel")
    return chosen


def _axes(
    frame: LocalFrame, window: _Window, height: tuple[float, float], side: Side
) -> RegionAxes:
    """Away from the midline, to the back, and up from pedicle to pedicle; the whole foramen's.

    The origin is half-way between the middles of the pedicles.
    """
    return RegionAxes(
        origin_lps_mm=frame.origin_lps_mm,
        axes_lps=np.stack([side_sign(side) * frame.left_lps, frame.posterior_lps, frame.up_lps]),
        low_mm=np.array([-HALF_DEPTH_MM, float(window.front_mm.min()), height[0]]),
        high_mm=np.array([HALF_DEPTH_MM, float(window.back_mm.max()), height[1]]),
        words="from the lower to the upper pedicle",
    )


def _middle_of(
    window: _Window, half: str, height: tuple[float, float]
) -> tuple[float, float, float]:
    """The middle of the opening, or of the upper or lower half of it: out, to the back, up."""
    widths = window.back_mm - window.front_mm
    middles = (window.back_mm + window.front_mm) / 2
    a = float(np.average(middles, weights=widths))
    if half:
        share = 0.75 if half == "upper" else 0.25
        h = height[0] + share * (height[1] - height[0])
        return TIP_OUT_MM, float(np.interp(h, window.heights_mm, middles)), h
    return TIP_OUT_MM, a, float(np.average(window.heights_mm, weights=widths))


def _too_small(seen_mm: float) -> AnatomyError:
    return AnatomyError(
        "the free space between the pedicles is no foramen",
        seen=f"{seen_mm:g} mm high",
        needed=f"{MIN_HEIGHT_MM:g} to {MAX_HEIGHT_MM:g} mm high and {MIN_WIDTH_MM:g} mm wide",
    )
