"""The Kambin triangle: the way into a disc, and into a foramen, below the exiting root.

Its sides are the exiting root, the upper end plate of the vertebra below, and the superior
articular process with the canal beside it. What is labelled of these is its wall.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planner.anatomy.atlas import Atlas
from planner.anatomy.block import Block, BoolArray, side_sign
from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray
from planner.model import RegionAxes, Structure, StructureRole
from planner.model.region import Side

WINDOW_MM = 15.0
"""Last stretch before the disc in which the triangle is looked at."""

APPROACH_DEG = 45.0
"""From behind towards the side, in the plane of the disc; 40 to 52 degrees from L3-L4 to L5-S1
in Rajagopal's series."""

PIXEL_MM = 0.5
STEP_MM = 0.5
REACH_MM = 45.0
"""Around the disc's middle: of rays, and of the walls that count."""

ROOT_OUT_MM = (10.0, 12.0)
"""An exiting root at a disc: from so far off the middle to so far beyond the disc's side."""

ROOT_UP_MM = (-5.0, 25.0)
ROOT_BEHIND_MM = 15.0
ROOT_AT_FORAMEN_MM = (-7.0, 20.0)
"""An exiting root at a foramen: beside the pedicles' middles, to the side; and so far in front
of the opening and behind it:"""

ROOT_AROUND_MM = 8.0
ROOT_FROM_BOX_MM = 40.0
"""More than a root may lie beyond the box of its disc or foramen, by all of the above."""

WALL_CLASSES = ("nerve", "spinal_canal")


def wall_structures(structures: Iterable[Structure]) -> list[Structure]:
    """What bounds the triangle: all bone, the canal with what is in it, every nerve."""
    return [
        s
        for s in structures
        if s.mask.n_voxels > 0
        and (s.role is StructureRole.BONE or s.structure_class in WALL_CLASSES)
    ]


def is_at_exit(axes: RegionAxes, side: Side, is_disc: bool, points_lps_mm: FloatArray) -> BoolArray:
    """Whether points lie where the root of a side leaves the spine, (n,).

    Parameters
    ----------
    axes : RegionAxes
        Of the disc, or of the foramen of that side.
    """
    x, a, h = axes.local_mm(points_lps_mm).T
    low, high = axes.low_mm, axes.high_mm
    if is_disc:
        out = side_sign(side) * x
        near = (out >= ROOT_OUT_MM[0]) & (out <= high[0] + ROOT_OUT_MM[1])
        near &= (h >= ROOT_UP_MM[0]) & (h <= ROOT_UP_MM[1])
        return np.asarray(near & (a >= low[1]) & (a <= high[1] + ROOT_BEHIND_MM))
    near = (x >= ROOT_AT_FORAMEN_MM[0]) & (x <= ROOT_AT_FORAMEN_MM[1])
    near &= (h >= low[2]) & (h <= high[2])
    return np.asarray(near & (a >= low[1] - ROOT_AROUND_MM) & (a <= high[1] + ROOT_AROUND_MM))


def exiting_root(
    structures: Iterable[Structure], axes: RegionAxes, side: Side, is_disc: bool
) -> Mask | None:
    """Labelled nerve where the root of a side leaves; None without any."""
    nerves = [s.mask for s in structures if s.structure_class == "nerve" and s.mask.n_voxels > 0]
    if not nerves:
        return None
    grid, inside = nerves[0].grid, np.zeros(nerves[0].grid.shape_kji, dtype=bool)
    start, window = _window_about(axes, grid)
    for mask in nerves:
        places = np.argwhere(mask.inside[window]) + start
        places = places[is_at_exit(axes, side, is_disc, grid.to_lps(places))]
        inside[tuple(places.T)] = True
    return Mask(grid=grid, inside=inside) if inside.any() else None


def _window_about(axes: RegionAxes, grid: Grid) -> tuple[NDArray[np.int64], tuple[slice, ...]]:
    """Voxels about a disc or foramen that hold every place where its roots may leave."""
    farthest = np.maximum(np.abs(axes.low_mm), np.abs(axes.high_mm))
    reach = (float(np.linalg.norm(farthest)) + ROOT_FROM_BOX_MM) / grid.spacing_kji_mm
    middle = grid.to_kji(axes.origin_lps_mm)
    start = np.clip(np.floor(middle - reach), 0, grid.shape_kji).astype(np.int64)
    stop = np.clip(np.ceil(middle + reach) + 1, 0, grid.shape_kji).astype(np.int64)
    return start, tuple(slice(a, b) for a, b in zip(start, stop, strict=True))


def kambin_measures(atlas: Atlas, disc_mask: Mask, axes: RegionAxes) -> dict[str, float]:
    """Diameter of the largest circle in the triangle of each side, by the measure's name.

    As seen along the usual way in, over the last 15 mm before the disc; less one voxel. A side
    without a labelled exiting root is left out: nothing bounds it there.
    """
    canal = atlas.canal()
    block = Block.around(atlas.grid, disc_mask.inside, REACH_MM)
    walls = [block.take(s.mask.inside) for s in wall_structures(atlas.structures)]
    walls += [] if canal is None else [block.take(canal.inside)]
    sides: tuple[Side, ...] = ("left", "right")
    found = {}
    for side in sides:
        root = exiting_root(atlas.structures, axes, side, is_disc=True)
        if root is None:
            continue
        view = _View.along(block, axes, side_sign(side))
        solid, disc = np.logical_or.reduce(walls), block.take(disc_mask.inside)
        found[f"kambin_{side}_diameter_mm"] = view.diameter_mm(solid, disc, block.take(root.inside))
    return found


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _View:
    """The triangle as seen along the way in: a plane of pixels, to the side and to the head.

    ``voxels`` are those of the block at every step of the rays through the pixels, (m, n, depth)
    for each of k, j, i; ``is_in_block`` says where there is one.
    """

    block: Block
    out_lps: FloatArray
    up_lps: FloatArray
    voxels: tuple[NDArray[np.int32], ...]
    is_in_block: BoolArray

    @classmethod
    def along(cls, block: Block, axes: RegionAxes, sign: float) -> _View:
        """The view at 45 degrees from behind, in the plane of the disc."""
        turn = np.radians(APPROACH_DEG)
        left, back, up = axes.axes_lps
        along = -sign * np.sin(turn) * left - np.cos(turn) * back
        out = sign * np.cos(turn) * left - np.sin(turn) * back
        wide = np.arange(-REACH_MM, REACH_MM + PIXEL_MM / 2, PIXEL_MM)
        tall = np.arange(axes.low_mm[2] - 5.0, axes.high_mm[2] + ROOT_UP_MM[1], PIXEL_MM)
        deep = np.arange(-REACH_MM, REACH_MM + STEP_MM / 2, STEP_MM)
        plane = wide[:, None, None] * out + tall[None, :, None] * up
        # straight rays in a straight grid: indices add up, so no point is turned twice
        columns = np.linalg.inv(block.grid.lps_from_kji[:3, :3])
        kji = block.grid.to_kji(axes.origin_lps_mm) + 0.5
        shape = block.grid.shape_kji
        voxels, is_in = [], np.ones((len(wide), len(tall), len(deep)), dtype=np.bool_)
        for axis, turned in enumerate(columns):
            index = (plane @ turned)[:, :, None] + (deep * (along @ turned) + kji[axis])
            floor = np.floor(index).astype(np.int32)
            is_in &= (floor >= 0) & (floor < shape[axis])
            voxels.append(np.clip(floor, 0, shape[axis] - 1))
        return cls(block=block, out_lps=out, up_lps=up, voxels=tuple(voxels), is_in_block=is_in)

    def diameter_mm(self, solid: BoolArray, disc: BoolArray, root: BoolArray) -> float:
        """Of the largest circle that ends on the disc and below the root; less one voxel."""
        in_disc = self._seen(disc)
        first = np.argmax(in_disc, axis=-1)[..., None]
        steps = np.arange(in_disc.shape[-1])
        before = (steps < first) & (steps >= first - round(WINDOW_MM / STEP_MM))
        free = in_disc.any(axis=-1) & ~(self._seen(solid) & before).any(axis=-1)
        free &= self._is_below((self._seen(root) & before).any(axis=-1))
        radius = ndimage.distance_transform_edt(np.pad(free, 1)).max() - 0.5
        voxel_mm = max(self.block.extent_mm(self.out_lps), self.block.extent_mm(self.up_lps))
        return max(2.0 * PIXEL_MM * float(radius) - voxel_mm, 0.0)

    def _seen(self, inside: BoolArray) -> BoolArray:
        """Which steps of the rays lie in voxels inside, (m, n, depth)."""
        return np.asarray(self.is_in_block & inside[self.voxels])

    @staticmethod
    def _is_below(root: BoolArray) -> BoolArray:
        """Pixels to which the nearest of the root lies farther out or farther up."""
        if not root.any():
            return np.zeros(root.shape, dtype=bool)
        nearest = ndimage.distance_transform_edt(~root, return_distances=False, return_indices=True)
        towards = nearest - np.indices(root.shape)
        return np.asarray(towards.sum(axis=0) > 0)
