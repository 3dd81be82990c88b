"""The numbers of the way of one path, measured again."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.io.plan_document import TrajectoryRecord
from planner.verify.exact import walk_voxels
from planner.verify.way import WayTruth

CORTEX_SIGMA_MM = 2.5
FAR_MM = 300.0
NO_SIDE_MM = 3.0
LOOK_BACK = 4.0
"""Radii: a wall that is met over more of the needle than this is beside it."""


class PathWay:
    """The way of one path, measured again."""

    def __init__(self, way: WayTruth, path: TrajectoryRecord, radius_mm: float) -> None:
        self.way = way
        self.entry, self.tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
        self.end = np.array(path.throw_end_lps_mm)
        self.along = (self.tip - self.entry) / np.linalg.norm(self.tip - self.entry)
        self.radius_mm = radius_mm

    def value(self, constraint: str) -> float | None:
        """The number of a finding; None where there is none to be told."""
        found = getattr(self, f"_{constraint}")()
        return None if found is None or np.isnan(found) else float(found)

    def _direction(self) -> float | None:
        middle = self.way.midline_l_mm
        if middle is None or abs(self.tip[0] - middle) <= NO_SIDE_MM:
            return None
        sign = 1.0 if self.tip[0] > middle else -1.0
        return float(sign * (self.entry[0] - self.tip[0]))

    def _depth(self) -> float:
        return float(np.sqrt(((self.tip - self.entry) ** 2).sum()))

    def _joint_plane(self) -> float:
        normal = np.array(self.way.region.plane_normal_lps)  # type: ignore[union-attr]
        across = abs(float(self.along @ normal))
        return float(np.degrees(np.arctan2(across, np.sqrt(max(0.0, 1.0 - across**2)))))

    def _depth_in_target(self) -> float:
        return inside_mm(self.way.region.mask, self.entry, self.end)  # type: ignore[union-attr]

    def _tip_in_region(self) -> float:
        assert self.way.region is not None and self.way.region_border is not None
        if not bool(self.way.region.mask.contains(self.tip)):
            return -1.0
        return self.way.region_border.nearest_to_segment(self.tip, self.tip).distance_mm

    def _far_wall(self) -> float:
        region = self.way.region
        assert region is not None
        mask = region.mask if region.wall is None else region.wall
        least = np.eye(3)[int(np.argmin(np.abs(self.along)))]
        first = np.cross(self.along, least)
        first /= np.sqrt((first**2).sum())
        second = np.cross(self.along, first)
        rim = [
            self.radius_mm * (np.cos(turn) * first + np.sin(turn) * second)
            for turn in np.radians(np.arange(0.0, 360.0, 30.0))
        ]
        of_axis = run_mm(mask, self.end, self.along)
        slack = LOOK_BACK * self.radius_mm
        runs = [of_axis]
        for off in rim:
            run = run_mm(mask, self.end + off, self.along)
            # a line at the surface that left the region long before the axis runs beside it
            met = run > 0.0 or inside_mm(mask, self.end - slack * self.along + off, self.end + off)
            if met and of_axis - run <= slack:
                runs.append(run)
        return min(runs)

    def _cortex_angle(self) -> float | None:
        return None if self.way.bones is None else cortex_deg(self.way.bones, self.entry, self.end)

    def _other_vertebra(self) -> float:
        assert self.way.others is not None
        return inside_mm(self.way.others, self.entry, self.end)

    def _pedicle(self) -> float:
        return max(inside_mm(p.inside, self.entry, self.end) for p in self.way.pedicles)

    def _pedicle_wall(self) -> float:
        crossed = [inside_mm(p.inside, self.entry, self.end) for p in self.way.pedicles]
        own = self.way.pedicles[int(np.argmax(crossed))].wall
        return own.nearest_to_segment(self.entry, self.end).distance_mm - self.radius_mm

    def _place(self) -> FloatArray:
        axes = self.way.region.axes  # type: ignore[union-attr]
        assert axes is not None
        return np.array([float(axis @ (self.tip - axes.origin_lps_mm)) for axis in axes.axes_lps])

    def _tip_height(self) -> float:
        return float(self._tip_above() / self._reach()[2])

    def _tip_above(self) -> float:
        return float(self._place()[2] - self.way.region.axes.low_mm[2])  # type: ignore[union-attr]

    def _tip_lateral(self) -> float:
        return float(self._place()[0])

    def _tip_central(self) -> float:
        middle = self.way.region.axes.low_mm + self._reach() / 2  # type: ignore[union-attr]
        side, depth, _ = np.abs(self._place() - middle) / (self._reach() / 2)
        return float(max(side, depth))

    def _reach(self) -> FloatArray:
        axes = self.way.region.axes  # type: ignore[union-attr]
        assert axes is not None
        return np.asarray(axes.high_mm - axes.low_mm)

    def _kambin(self) -> float | None:
        assert self.way.kambin is not None
        return self.way.kambin.width_mm(self.entry, self.tip, self.end)

    def _below_root(self) -> float | None:
        assert self.way.kambin is not None
        return self.way.kambin.below_root_mm(self.entry, self.tip, self.end)

    def _patient_rotated(self) -> float | None:
        return self.way.turned_deg

    def _cannula(self) -> float:
        return 2.0 * self.radius_mm

    def _disc_obliquity(self) -> float | None:
        return self.way.region.measures.get("disc_obliquity_deg")  # type: ignore[union-attr]

    def _safe_triangle_area(self) -> float | None:
        return self.way.region.measures.get("safe_triangle_area_mm2")  # type: ignore[union-attr]


def inside_mm(mask: Mask, start: FloatArray, end: FloatArray) -> float:
    """Length of a path in the voxels of a mask."""
    walk = walk_voxels(start, end, mask.grid)
    return float(np.sum((walk.to_mm - walk.from_mm)[walk.inside(mask)]))


def run_mm(mask: Mask, start: FloatArray, direction: FloatArray) -> float:
    """Length of the first unbroken stretch inside."""
    walk = walk_voxels(start, start + FAR_MM * direction, mask.grid)
    outside = np.flatnonzero(~walk.inside(mask))
    if outside.size == 0:
        return FAR_MM
    return float(walk.from_mm[outside[0]])


def cortex_deg(bone: Mask, start: FloatArray, end: FloatArray) -> float | None:
    """Angle to the surface of bone where a path first meets it; None where it meets none."""
    walk = walk_voxels(start, end, bone.grid)
    hits = np.flatnonzero(walk.inside(bone))
    if hits.size == 0:
        return None
    at = walk.kji[hits[0]]
    spacing = bone.grid.spacing_kji_mm
    reach = np.ceil(4 * CORTEX_SIGMA_MM / spacing).astype(int) + 2
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, bone.grid.shape_kji)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    smooth = ndimage.gaussian_filter(bone.inside[box].astype(float), CORTEX_SIGMA_MM / spacing)
    here = tuple(int(v) for v in at - low)
    gradient = np.array([g[here] for g in np.gradient(smooth, *spacing)])
    columns = bone.grid.lps_from_kji[:3, :3] / spacing
    inward = columns @ gradient
    length = np.linalg.norm(inward)
    if not length > 1e-12:
        return None
    way = (end - start) / np.linalg.norm(end - start)
    return float(np.degrees(np.arcsin(np.clip(inward @ way / length, -1.0, 1.0))))
