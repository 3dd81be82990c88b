"""Analytic fields of magnetised bodies (dB/B0 per unit of susceptibility) and their masks.

Truths from PHYSICS: sphere, infinite cylinder at any angle, finite cylinder on its axis,
far field. All with the Lorentz sphere taken out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from planner.geometry import FrameId, Grid
from planner.model.mr import MRAcquisition, SequenceFamily
from tests.grids import ORIENTED_AXES


def grid_of(orientation, shape_kji, spacing_kji_mm):
    """A grid with its centre near the origin, in one of the test orientations."""
    axes = ORIENTED_AXES[orientation]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.asarray(spacing_kji_mm)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape_kji) - 1) / 2) + (0.13, -0.21, 0.17)
    return Grid(shape_kji=shape_kji, lps_from_kji=matrix, frame=FrameId(None))


def points_lps_mm(grid):
    """Voxel centres, (k, j, i, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape_kji], indexing="ij"), axis=-1)
    return grid.to_lps(index.reshape(-1, 3)).reshape(*grid.shape_kji, 3)


def share_of(grid, is_inside, parts=6):
    """Share of each voxel inside a body, by sub-voxel sampling; shape (k, j, i)."""
    share = np.zeros(grid.shape_kji)
    centres = points_lps_mm(grid)
    steps = (np.arange(parts) + 0.5) / parts - 0.5
    for k in steps:
        for j in steps:
            for i in steps:
                share += is_inside(centres + grid.lps_from_kji[:3, :3] @ (k, j, i))
    return share / parts**3


def sphere_field(points, radius_mm, b):
    """Outside (1/3)(R/r)^3 (3 cos^2 - 1), inside 0."""
    r = np.linalg.norm(points, axis=-1)
    cosine = points @ b / np.maximum(r, 1e-12)
    outside = (radius_mm / np.maximum(r, 1e-12)) ** 3 * (3 * cosine**2 - 1) / 3
    return np.where(r > radius_mm, outside, 0.0)


def cylinder_field(points, radius_mm, axis, b):
    """Infinite cylinder through the origin along ``axis``."""
    axis = axis / np.linalg.norm(axis)
    across = points - (points @ axis)[..., None] * axis
    rho = np.linalg.norm(across, axis=-1)
    b_across = b - (b @ axis) * axis
    sine = np.linalg.norm(b_across)
    cos_phi = across @ b_across / np.maximum(rho * sine, 1e-12)
    outside = 0.5 * (radius_mm / np.maximum(rho, 1e-12)) ** 2 * sine**2 * (2 * cos_phi**2 - 1)
    inside = (3 * (b @ axis) ** 2 - 1) / 6
    return np.where(rho > radius_mm, outside, inside)


def finite_cylinder_on_axis(beyond_mm, length_mm, radius_mm):
    """Cylinder along B0, at a distance beyond its end face on the axis."""
    far = beyond_mm + length_mm
    return 0.5 * (far / np.hypot(far, radius_mm) - beyond_mm / np.hypot(beyond_mm, radius_mm))


TILTED = Rotation.from_euler("xyz", [23.0, 41.0, 10.0], degrees=True).apply([0.0, 0.0, 1.0])
DIRECTIONS = {
    "along": np.array([0.0, 0.0, 1.0]),
    "across": np.array([1.0, 0.0, 0.0]),
    "oblique": TILTED,
}


def acquisition(grid, **changes):
    """A 1.5 T turbo spin echo with its readout along the columns' axis i of a grid."""
    axes = grid.axes_lps_from_kji
    known = MRAcquisition(
        field_t=1.5,
        b0_direction_lps=np.array([0, 0, 1.0]),
        bandwidth_hz_per_px=250.0,
        readout_pixel_mm=1.0,
        phase_pixel_mm=1.0,
        readout_axis_lps=np.array(axes[:, 2]),
        slice_axis_lps=np.array(axes[:, 0]),
        slice_thickness_mm=3.0,
        rf_bandwidth_hz=1000.0,
        acquisition="2D",
        sequence=SequenceFamily.TSE,
        echo_time_ms=20.0,
        repetition_time_ms=500.0,
    )
    return replace(known, **changes)
