"""The Kambin triangle about a path, measured again: voxel by voxel, one path at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.anatomy import find_region
from planner.errors import PlannerError
from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.model import StructureRole, StructureSet, TargetRegion
from planner.verify.exact import VoxelBoxes, walk_voxels

STRETCH_MM = 15.0
WALLS_WITHIN_MM = 60.0
DISC_ROOT_OUT_MM, DISC_ROOT_UP_MM, DISC_ROOT_BEHIND_MM = (10.0, 12.0), (-5.0, 25.0), 15.0
FORAMEN_ROOT_OUT_MM, FORAMEN_ROOT_AROUND_MM = (-7.0, 20.0), 8.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KambinTruth:
    """Walls of the triangle, and the exiting roots by side; of a foramen, of its own side."""

    region: TargetRegion
    walls: VoxelBoxes
    roots: dict[str, VoxelBoxes]

    @classmethod
    def of(cls, structures: StructureSet, region: TargetRegion) -> KambinTruth:
        """From all bone, the canal and every nerve near the region."""
        grid = structures.grid
        walls = np.zeros(grid.shape_kji, dtype=bool)
        for structure in structures.structures:
            is_soft = structure.structure_class in ("nerve", "spinal_canal")
            if is_soft or structure.role is StructureRole.BONE:
                walls |= structure.mask.inside
        roots = {
            side: VoxelBoxes.of(Mask(grid=grid, inside=kept))
            for side, kept in roots_by_side(region, structures).items()
        }
        return cls(
            region=region,
            walls=VoxelBoxes.of(Mask(grid=grid, inside=walls & _near(region))),
            roots=roots,
        )

    def width_mm(self, entry: FloatArray, tip: FloatArray, end: FloatArray) -> float | None:
        """Of the free cylinder about the path in its last stretch; None where not known."""
        found = self._stretch(entry, tip, end)
        if found is None:
            return None
        width = 2.0 * self.walls.nearest_to_segment(found[1], found[2]).distance_mm
        return width if np.isfinite(width) else None

    def below_root_mm(self, entry: FloatArray, tip: FloatArray, end: FloatArray) -> float | None:
        """Distance to the root, negative where it does not lie above or to the side."""
        found = self._stretch(entry, tip, end)
        if found is None:
            return None
        side, start, stop = found
        near = self.roots[side].nearest_to_segment(start, stop)
        towards = np.array(near.on_boxes_lps_mm) - np.array(near.on_segment_lps_mm)
        along = (tip - entry) / np.sqrt(((tip - entry) ** 2).sum())
        towards -= (towards @ along) * along
        axes = self.region.axes
        assert axes is not None
        is_mirrored = self.region.side is None and side == "right"
        out = -axes.axes_lps[0] if is_mirrored else axes.axes_lps[0]
        is_above = float(towards @ out) + float(towards @ axes.axes_lps[2]) > 0.0
        return near.distance_mm if is_above else -near.distance_mm - 1e-6

    def _stretch(
        self, entry: FloatArray, tip: FloatArray, end: FloatArray
    ) -> tuple[str, FloatArray, FloatArray] | None:
        axes, region = self.region.axes, self.region
        assert axes is not None
        lateral = float((entry - axes.origin_lps_mm) @ axes.axes_lps[0])
        side = region.side or ("left" if lateral > 0.0 else "right")
        walk = walk_voxels(entry, end, region.mask.grid)
        hits = np.flatnonzero(walk.inside(region.mask))
        if side not in self.roots or hits.size == 0:
            return None
        along = (tip - entry) / np.sqrt(((tip - entry) ** 2).sum())
        at = float(walk.from_mm[hits[0]])
        if region.side is not None:
            return side, entry + at * along, end
        return side, entry + max(at - STRETCH_MM, 0.0) * along, entry + at * along


def roots_by_side(region: TargetRegion, structures: StructureSet) -> dict[str, np.ndarray]:
    """Nerve that can be the exiting root, by side; at a disc, of sides whose foramen has one."""
    nerves = np.zeros(structures.grid.shape_kji, dtype=bool)
    for structure in structures.structures:
        if structure.structure_class == "nerve":
            nerves |= structure.mask.inside
    found = {}
    for side in ("left", "right") if region.side is None else (region.side,):
        kept = _root(region, side, nerves)
        if not kept.any():
            continue
        if region.side is None:
            try:
                foramen = find_region(f"foramen:{region.level}:{side}", structures)
            except PlannerError:
                foramen = None
            if foramen is not None and not _root(foramen, side, nerves).any():
                continue
        found[side] = kept
    return found


def _root(region: TargetRegion, side: str, nerves: np.ndarray) -> np.ndarray:
    """Nerve where the root of a side leaves the spine."""
    axes = region.axes
    assert axes is not None
    grid = region.mask.grid
    places = np.argwhere(nerves)
    lps = places @ grid.lps_from_kji[:3, :3].T + grid.lps_from_kji[:3, 3]
    x, a, h = ((lps - axes.origin_lps_mm) @ axes.axes_lps.T).T
    (_, front, floor), (side_mm, back, roof) = axes.low_mm, axes.high_mm
    if region.side is None:
        out = x if side == "left" else -x
        keep = (out >= DISC_ROOT_OUT_MM[0]) & (out <= side_mm + DISC_ROOT_OUT_MM[1])
        keep &= (h >= DISC_ROOT_UP_MM[0]) & (h <= DISC_ROOT_UP_MM[1])
        keep &= (a >= front) & (a <= back + DISC_ROOT_BEHIND_MM)
    else:
        keep = (x >= FORAMEN_ROOT_OUT_MM[0]) & (x <= FORAMEN_ROOT_OUT_MM[1])
        keep &= (h >= floor) & (h <= roof)
        keep &= (a >= front - FORAMEN_ROOT_AROUND_MM) & (a <= back + FORAMEN_ROOT_AROUND_MM)
    found = np.zeros_like(nerves)
    found[tuple(places[keep].T)] = True
    return found


def _near(region: TargetRegion) -> np.ndarray:
    """The box of voxels about a region in which walls count."""
    grid = region.mask.grid
    places = np.argwhere(region.mask.inside)
    reach = np.ceil(WALLS_WITHIN_MM / grid.spacing_kji_mm).astype(int)
    low = np.maximum(places.min(axis=0) - reach, 0)
    high = np.minimum(places.max(axis=0) + 1 + reach, grid.shape_kji)
    box = np.zeros(grid.shape_kji, dtype=bool)
    box[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = True
    return box
