"""One vertebra: its axes, its body and the wall behind it, from labels of any tool.

Left, posterior and cranial are those of the vertebra (from its endplates and its canal), checked
against the patient's; never those of the array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import (
    Block,
    BoolArray,
    LocalFrame,
    largest_piece,
)
from planner.anatomy.names import LEVELS, Part
from planner.anatomy.rays import distance_to_entry, distance_to_exit
from planner.anatomy.ring import ring_hole
from planner.errors import AnatomyError
from planner.geometry import Grid
from planner.geometry.frames import CRANIAL_LPS, POSTERIOR_LPS, FloatArray, unit

MARGIN_MM = 25.0
CANAL_REACH_MM = 12.0
"""Half of the height in which the canal is looked at, beside the middle of the body."""

ROUNDS = 3
MIN_CANAL_VOXELS = 4
MIN_WALL_RAYS = 3
MIN_ENDPLATE_RAYS = 12


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Vertebra:
    """A vertebra in a block of the image.

    ``frame`` has its origin in the middle of the body; ``wall_mm`` is the posterior wall of
    the body and ``canal_back_mm`` the back of the canal, both as local a; ``half_height_mm``
    and ``half_width_mm`` are the body's.
    """

    level: str
    block: Block
    bone: BoolArray
    body: BoolArray
    canal: BoolArray
    frame: LocalFrame
    wall_mm: float
    canal_back_mm: float
    half_height_mm: float
    half_width_mm: float
    names: tuple[str, ...]
    has_body_label: bool
    warnings: tuple[str, ...] = ()

    def bone_on(self, grid: Grid) -> BoolArray:
        """The bone as an array of the whole image grid."""
        full = np.zeros(grid.shape_kji, bool)
        full[self.block.window] = self.bone
        return full

    def body_on(self, grid: Grid) -> BoolArray:
        """The body as an array of the whole image grid."""
        full = np.zeros(grid.shape_kji, bool)
        full[self.block.window] = self.body
        return full


def vertebra_of(atlas: Atlas, level: str) -> Vertebra:
    """The vertebra of a level with its axes.

    Raises
    ------
    AnatomyError
        If the vertebra or the spinal canal beside it has no label, the body cannot be told
        from the arch, or left, back and head contradict the patient's.
    """
    return atlas.once(("vertebra", level), lambda: _vertebra_of(atlas, level))


def _vertebra_of(atlas: Atlas, level: str) -> Vertebra:
    found = atlas.vertebra(level)
    block = Block.around(atlas.grid, found.inside, MARGIN_MM)
    bone = largest_piece(block.take(found.inside))
    up_lps = _first_up(atlas, level)
    canal, canal_names = _canal(atlas, level, block, bone, up_lps)
    body_found = atlas.find(Part.BODY, level)
    label = None if body_found is None else largest_piece(block.take(body_found.inside))
    names = tuple(dict.fromkeys((*found.names, *canal_names)))
    return _fitted(level, block, bone, canal, label, up_lps, names)


def _canal(
    atlas: Atlas, level: str, block: Block, bone: BoolArray, up_lps: FloatArray
) -> tuple[BoolArray, tuple[str, ...]]:
    """The canal by its label; where it has none, by the hole in the vertebra's ring."""
    found = atlas.canal()
    if found is not None:
        canal, names = block.take(found.inside), found.names
    else:
        canal, names = ring_hole(block, bone, up_lps), ()
    if np.count_nonzero(canal) < MIN_CANAL_VOXELS:
        raise atlas.missing([f"spinal canal beside {level} (or a closed ring of {level})"])
    return canal, names


def _fitted(
    level: str,
    block: Block,
    bone: BoolArray,
    canal: BoolArray,
    label: BoolArray | None,
    up_lps: FloatArray,
    names: tuple[str, ...],
) -> Vertebra:
    bone_lps, canal_lps = block.points(bone), block.points(canal)
    body = bone if label is None else label
    depth = block.depth_mm(bone)
    body_depth = depth if label is None else block.depth_mm(label)
    centre = block.points(body).mean(axis=0)
    posterior = np.asarray(POSTERIOR_LPS)
    for _ in range(ROUNDS):
        frame = LocalFrame.of(centre, up_lps, posterior)
        beside = _canal_beside(level, frame, canal_lps)
        wall = _wall_mm(level, block, depth, frame, beside)
        if label is None:
            before = block.selected(bone, frame.local(bone_lps)[:, 1] < wall)
            body = _opened(block, before)
        centre = _middle(frame, block.points(body))
        frame = frame.moved(centre)
        posterior = beside.mean(axis=0) - centre
        up_lps, half_height = _endplates(level, block, body_depth, frame, block.points(body))
    frame = LocalFrame.of(centre, up_lps, posterior)
    beside = _canal_beside(level, frame, canal_lps)
    wide = np.ptp(frame.local(block.points(body))[:, 0]) + block.extent_mm(frame.left_lps)
    return Vertebra(
        level=level,
        block=block,
        bone=bone,
        body=body,
        canal=canal,
        frame=frame,
        wall_mm=_wall_mm(level, block, depth, frame, beside),
        canal_back_mm=float(np.percentile(frame.local(beside)[:, 1], 98)),
        half_height_mm=half_height,
        half_width_mm=float(wide / 2),
        names=names,
        has_body_label=label is not None,
        warnings=_cut(level, block, bone),
    )


def _cut(level: str, block: Block, bone: BoolArray) -> tuple[str, ...]:
    ends = [np.take(bone, n, axis=axis).any() for axis in range(3) for n in (0, -1)]
    return (f"{level} is cut by the edge of the image: its axes are less sure",) * any(ends)


def _opened(block: Block, before: BoolArray) -> BoolArray:
    """The stout part of the bone in front of the canal: without transverse processes.

    All within the widest ball's reach of where a ball of 60 % of the greatest depth fits.
    """
    depth = block.distance_mm(~before)
    ball_mm = 0.6 * float(depth.max())
    core = largest_piece(depth >= ball_mm)
    return before & (block.distance_mm(core) <= ball_mm + 1.0)


def _first_up(atlas: Atlas, level: str) -> FloatArray:
    """Towards the head, from the vertebrae above and below; else the patient's."""
    place = LEVELS.index(level)
    near = [LEVELS[n] for n in (place - 1, place, place + 1) if 0 <= n < len(LEVELS)]
    found = [atlas.find(Part.VERTEBRA, name) for name in near]
    centres = [
        atlas.grid.to_lps(np.argwhere(f.inside).mean(axis=0)) for f in found if f is not None
    ]
    if len(centres) < 2:
        return np.asarray(CRANIAL_LPS)
    return unit(centres[0] - centres[-1])


def _canal_beside(level: str, frame: LocalFrame, canal_lps: FloatArray) -> FloatArray:
    near = np.abs(frame.local(canal_lps)[:, 2]) <= CANAL_REACH_MM
    if np.count_nonzero(near) < MIN_CANAL_VOXELS:
        raise AnatomyError(
            f"the label of the spinal canal does not reach {level}",
            seen=f"{np.count_nonzero(near)} voxels",
            needed=f"within {CANAL_REACH_MM:g} mm of the middle of the body",
        )
    return canal_lps[near]


def _wall_mm(
    level: str, block: Block, depth_mm: FloatArray, frame: LocalFrame, beside_lps: FloatArray
) -> float:
    """Local a of the body's posterior wall: seen from the middle of the canal, looking forward."""
    local = frame.local(beside_lps)
    x, a = np.median(local[:, 0]), np.median(local[:, 1])
    heights = np.arange(-6.0, 6.5, 1.0)
    starts = frame.lps(np.stack([np.full_like(heights, x), np.full_like(heights, a), heights], -1))
    seen = distance_to_entry(block, depth_mm, starts, -frame.posterior_lps, 30.0)
    if np.count_nonzero(np.isfinite(seen)) < MIN_WALL_RAYS:
        raise AnatomyError(f"no bone of {level} in front of the spinal canal")
    return float(a - np.nanmedian(seen))


def _middle(frame: LocalFrame, body_lps: FloatArray) -> FloatArray:
    """Half-way between the outermost fiftieths of the body along each axis."""
    low, high = np.percentile(frame.local(body_lps), [2, 98], axis=0)
    return frame.lps((low + high) / 2)


def _endplates(
    level: str, block: Block, depth_mm: FloatArray, frame: LocalFrame, body_lps: FloatArray
) -> tuple[FloatArray, float]:
    """Direction between the two endplates' normals, and half the height of the body."""
    half = np.percentile(np.abs(frame.local(body_lps)), 95, axis=0)
    xs, bs = np.meshgrid(*(np.linspace(-0.6, 0.6, 7) * half[n] for n in (0, 1)), indexing="ij")
    flat = np.stack([xs.ravel(), bs.ravel(), np.zeros(xs.size)], -1)
    starts = frame.lps(flat)
    tops = distance_to_exit(block, depth_mm, starts, frame.up_lps, 40.0)
    bottoms = distance_to_exit(block, depth_mm, starts, -frame.up_lps, 40.0)
    slopes, heights = [], []
    for seen in (tops, bottoms):
        ok = np.isfinite(seen) & (seen > 1.0)
        if np.count_nonzero(ok) < MIN_ENDPLATE_RAYS:
            continue
        sign = 1.0 if seen is tops else -1.0
        rows = np.stack([flat[ok, 0], flat[ok, 1], np.ones(np.count_nonzero(ok))], -1)
        fit = np.linalg.lstsq(rows, sign * seen[ok], rcond=None)[0]
        slopes.append(fit[:2])
        heights.append(sign * fit[2])
    if not slopes:
        raise AnatomyError(f"the endplates of {level} are not to be seen in its label")
    slope = np.mean(slopes, axis=0)
    up = frame.up_lps - slope[0] * frame.left_lps - slope[1] * frame.posterior_lps
    return unit(up), float(np.mean(heights))
