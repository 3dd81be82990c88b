"""From where the skin is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.geometry.frames import CRANIAL_LPS, POSTERIOR_LPS, FloatArray, unit
from planner.model import PlanResult, Trajectory
from planner.report.surface import Surface

PICTURE_PX = (1130, 1050)
"""Columns and rows of the rendered part."""

MIN_HUB_MM = 15.0
"""Needles are drawn at least this far out of the skin."""

CONTEXT_MM = 25.0
MIN_HEIGHT_MM = 120.0
TILT_DEG = (18.0, 22.0)
"""The camera stands this far to the side of and above the mean skin normal: seen
exactly end-on, a needle is a dot."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SkinCamera:
    """A parallel projection; ``height_mm`` fills the picture from bottom to top."""

    focus_lps_mm: FloatArray
    towards_viewer_lps: FloatArray
    up_lps: FloatArray
    height_mm: float

    @property
    def right_lps(self) -> FloatArray:
        """To the right of the picture."""
        return np.cross(self.up_lps, self.towards_viewer_lps)

    def to_pixel(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Column and row (down) of points in the picture, shape (..., 2)."""
        offset = np.asarray(points_lps_mm, dtype=np.float64) - self.focus_lps_mm
        px_per_mm = PICTURE_PX[1] / self.height_mm
        return np.stack(
            [
                PICTURE_PX[0] / 2 + offset @ self.right_lps * px_per_mm,
                PICTURE_PX[1] / 2 - offset @ self.up_lps * px_per_mm,
            ],
            axis=-1,
        )


def skin_camera(result: PlanResult, surface: Surface) -> SkinCamera:
    """A camera on the entry side that sees every entry a needle can reach from."""
    candidates, target = result.candidates, result.target.point_lps_mm
    outward = _mean_outward(result)
    up = CRANIAL_LPS if abs(outward @ CRANIAL_LPS) < 0.85 else -POSTERIOR_LPS
    up = unit(up - (up @ outward) * outward)
    side, above = np.radians(TILT_DEG)
    right = np.cross(up, outward)
    viewer = unit(outward + np.tan(above) * up + np.tan(side) * right)
    up = unit(up - (up @ viewer) * viewer)
    distance_mm = np.linalg.norm(candidates.entry_lps_mm - target, axis=1)
    shown = [candidates.entry_lps_mm[distance_mm <= result.needle.length_mm], target[None]]
    shown += [hub_lps_mm(result, t)[None] for t in result.trajectories]
    if len(shown[0]) == 0:
        shown.append(surface.vertices_lps_mm)
    points = np.concatenate(shown)
    axes = np.stack([np.cross(up, viewer), up, viewer])
    low, high = (points @ axes.T).min(axis=0), (points @ axes.T).max(axis=0)
    size = high - low + 2 * CONTEXT_MM
    height_mm = max(MIN_HEIGHT_MM, size[1], size[0] * PICTURE_PX[1] / PICTURE_PX[0])
    return SkinCamera(
        focus_lps_mm=((low + high) / 2) @ axes,
        towards_viewer_lps=viewer,
        up_lps=up,
        height_mm=float(height_mm),
    )


def _mean_outward(result: PlanResult) -> FloatArray:
    """Outward direction of the entry side."""
    candidates = result.candidates
    normals = candidates.skin_normal_lps
    for chosen in (candidates.feasible, np.isfinite(candidates.clearance_bound_mm)):
        if chosen.any():
            mean = normals[chosen].mean(axis=0)
            if np.linalg.norm(mean) > 0.2:
                return unit(mean)
    if len(candidates) == 0:
        return POSTERIOR_LPS
    gap = np.linalg.norm(candidates.entry_lps_mm - result.target.point_lps_mm, axis=1)
    return unit(normals[int(np.argmin(gap))])


def hub_lps_mm(result: PlanResult, path: Trajectory) -> FloatArray:
    """Where the hub is when the tip is at the target, shape (3,)."""
    out_mm = max(MIN_HUB_MM, result.needle.length_mm - path.length_mm)
    return path.entry_lps_mm + unit(path.entry_lps_mm - path.tip_lps_mm) * out_mm
