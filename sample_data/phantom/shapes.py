"""Signed distances (mm, negative inside) of simple solids, on broadcastable arrays.

All are exact or first-order distances: near the surface, value over gradient, which is what
the rasteriser and the clearance checks need.
"""

from functools import reduce

import numpy as np

TINY = 1e-6


def smooth_union(distance_a_mm, distance_b_mm, blend_mm):
    """Union whose crease is filleted over ``blend_mm``."""
    mix = np.clip(0.5 + 0.5 * (distance_b_mm - distance_a_mm) / blend_mm, 0.0, 1.0)
    return distance_b_mm + (distance_a_mm - distance_b_mm) * mix - blend_mm * mix * (1.0 - mix)


def smooth_intersection(distance_a_mm, distance_b_mm, blend_mm):
    """Intersection whose edge is rounded over ``blend_mm``."""
    return -smooth_union(-distance_a_mm, -distance_b_mm, blend_mm)


def union(*distances_mm):
    """Sharp union of any number of solids."""
    return reduce(np.minimum, distances_mm)


def intersection(*distances_mm):
    """Sharp intersection of any number of solids."""
    return reduce(np.maximum, distances_mm)


def capsule(x, y, z, start, end, radius_start_mm, radius_end_mm=None):
    """Round-ended cone along the segment start -> end."""
    radius_end_mm = radius_start_mm if radius_end_mm is None else radius_end_mm
    (x0, y0, z0), (x1, y1, z1) = start, end
    dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
    t = ((x - x0) * dx + (y - y0) * dy + (z - z0) * dz) / (dx * dx + dy * dy + dz * dz)
    t = np.clip(t, 0.0, 1.0)
    gap = np.sqrt((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 + (z - z0 - t * dz) ** 2)
    return gap - (radius_start_mm + t * (radius_end_mm - radius_start_mm))


def tube(x, y, z, points, radii_mm):
    """Union of capsules along a polyline with one radius per point."""
    return union(
        *(
            capsule(x, y, z, points[n], points[n + 1], radii_mm[n], radii_mm[n + 1])
            for n in range(len(points) - 1)
        )
    )


def superellipse(u_mm, v_mm, half_u_mm, half_v_mm, exponent=2.0):
    """First-order distance to |u/a|^n + |v/b|^n = 1 (n = 2 is the ellipse)."""
    u = np.abs(u_mm) / half_u_mm
    v = np.abs(v_mm) / half_v_mm
    level = np.maximum((u**exponent + v**exponent) ** (1.0 / exponent), TINY)
    slope_u = (u / level) ** (exponent - 1.0) / half_u_mm
    slope_v = (v / level) ** (exponent - 1.0) / half_v_mm
    return (level - 1.0) / np.maximum(np.hypot(slope_u, slope_v), TINY)


def ellipsoid(x, y, z, centre, half_axes_mm):
    """First-order distance to an axis-aligned ellipsoid."""
    u, v, w = ((q - c) / h for q, c, h in zip((x, y, z), centre, half_axes_mm, strict=True))
    level = np.maximum(np.sqrt(u * u + v * v + w * w), TINY)
    slope = np.sqrt(sum((q / h) ** 2 for q, h in zip((u, v, w), half_axes_mm, strict=True))) / level
    return (level - 1.0) / np.maximum(slope, TINY)


def plate(u_mm, v_mm, h_mm, start_uv, end_uv, half_thickness_mm, h_low_mm, h_high_mm, round_mm=2.0):
    """Wall of given thickness over the segment start -> end in (u, v), between two heights."""
    (u0, v0), (u1, v1) = start_uv, end_uv
    du, dv = u1 - u0, v1 - v0
    t = np.clip(((u_mm - u0) * du + (v_mm - v0) * dv) / (du * du + dv * dv), 0.0, 1.0)
    flat = np.hypot(u_mm - u0 - t * du, v_mm - v0 - t * dv) - half_thickness_mm
    tall = np.abs(h_mm - (h_low_mm + h_high_mm) / 2) - (h_high_mm - h_low_mm) / 2
    return smooth_intersection(flat, tall, round_mm)


def column(x, y, z, table):
    """Elliptic column along rows of (z, centre x, centre y, half x, half y, turn_deg)."""
    rows = np.asarray(sorted(table), float)
    centre_x, centre_y, half_x, half_y, turn = (
        np.interp(z, rows[:, 0], rows[:, n]) for n in range(1, 6)
    )
    turn = np.deg2rad(turn)
    dx, dy = x - centre_x, y - centre_y
    u = dx * np.cos(turn) + dy * np.sin(turn)
    v = -dx * np.sin(turn) + dy * np.cos(turn)
    across = superellipse(u, v, half_x, half_y, 2.3)
    beyond = np.maximum(z - rows[-1, 0], rows[0, 0] - z)
    return np.maximum(across, beyond)


def waviness(x, y, z, seed, amplitude_mm):
    """Small smooth displacement, so that left and right soft tissue are not mirror images."""
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(3):
        k = rng.normal(size=3)
        k *= 2 * np.pi / (rng.uniform(45.0, 110.0) * np.linalg.norm(k))
        total = total + np.sin(k[0] * x + k[1] * y + k[2] * z + rng.uniform(0, 2 * np.pi))
    return amplitude_mm / 3.0 * total
