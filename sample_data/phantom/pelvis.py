"""Sacrum, ilia and the sacroiliac joints between them (both sides through |x|).

The joint is one oblique surface x = xj(a, s) in sacral coordinates, medial behind and lateral
in front; sacrum and ilium are each cut half a gap away from it, so the joint space is exact.
"""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.levels import S1_SUPERIOR_PROCESS_ROOT_X_MM
from sample_data.phantom.spine import (
    SACRUM_LENGTH_MM,
    Spine,
    canal_distance,
    sacral_local,
    sacral_point,
    superior_process_distance,
)

JOINT_ANGLE_DEG = 25.0
JOINT_END_S_MM = 62.0  # caudal margin of the joint
# joint x at a = 0, and posterior end of the cartilage-lined part, against s
_JOINT_S_MM = (-20.0, 0.0, 20.0, 40.0, 55.0, 62.0, 80.0)
_JOINT_X_MM = (52.0, 51.5, 49.0, 45.0, 42.8, 41.5, 36.0)
_JOINT_BACK_A_MM = (0.0, 2.0, 3.0, 7.0, 10.0, 10.0, 10.0)
# foramina: level s, anterior opening x, posterior opening x, radius
FORAMINA = {
    "S1": (30.0, 18.5, 23.5, 4.6),
    "S2": (51.0, 15.5, 19.5, 3.8),
    "S3": (70.0, 13.0, 16.5, 3.2),
}


def joint_x_mm(a_mm, s_mm):
    """Lateral position of the joint's middle surface, slightly undulating."""
    x0 = np.interp(s_mm, _JOINT_S_MM, _JOINT_X_MM)
    wave = 0.6 * np.sin(s_mm / 9.0) * np.cos(a_mm / 12.0)
    return x0 - np.tan(np.deg2rad(JOINT_ANGLE_DEG)) * a_mm + wave


def joint_point(spine: Spine, s_mm: float, depth_mm: float, side: int) -> np.ndarray:
    """Point of the joint's middle surface, ``depth_mm`` in front of its posterior opening."""
    slope = np.deg2rad(JOINT_ANGLE_DEG)
    a_mm = joint_back_a_mm(s_mm) - depth_mm * np.cos(slope)
    return sacral_point(spine, side * float(joint_x_mm(a_mm, s_mm)), float(a_mm), s_mm)


def joint_back_a_mm(s_mm):
    """Posterior end of the narrow joint; behind it the ligament-filled space opens."""
    return np.interp(s_mm, _JOINT_S_MM, _JOINT_BACK_A_MM)


def joint_side_mm(spine: Spine, ax, y, z):
    """Signed distance from the joint surface, positive on the iliac side."""
    a, s = sacral_local(spine, y, z)
    return (ax - joint_x_mm(a, s)) * np.cos(np.deg2rad(JOINT_ANGLE_DEG))


def joint_half_gap_mm(spine: Spine, y, z, gap_mm: float):
    """Half width of the joint space, flaring behind the synovial part."""
    a, s = sacral_local(spine, y, z)
    return gap_mm / 2 + np.clip(0.5 * (a - joint_back_a_mm(s)), 0.0, 5.5)


def sacrum_distance(spine: Spine, x, y, z, gap_mm: float):
    """Sacrum with promontory, alae, dorsal crests, canal and three pairs of foramina."""
    ax = np.abs(x)
    a, s = sacral_local(spine, y, z)
    rounding = np.interp(s, (50.0, 75.0), (3.0, 9.0))
    bone = shapes.smooth_intersection(_sacral_wedge(ax, a, s), _sacral_sides(ax, a, s), rounding)
    joint = joint_side_mm(spine, ax, y, z) + joint_half_gap_mm(spine, y, z, gap_mm)
    bone = shapes.smooth_union(bone, _dorsal_crest(ax, a, s), 4.0)
    cup = superior_process_distance(spine.facets["L5_S1"], ax, y, z, S1_SUPERIOR_PROCESS_ROOT_X_MM)
    bone = shapes.smooth_union(bone, cup, 3.0)
    bone = np.maximum(bone, joint)
    bone = np.maximum(bone, -canal_distance(spine, x, y, z))
    return np.maximum(bone, -foramina_distance(spine, ax, y, z))


def _sacral_wedge(ax, a, s):
    """Front, back, top and bottom of the sacral block."""
    lateral = np.clip((ax - 19.0) / 26.0, 0.0, 1.0)
    cranial = np.clip(1.0 - s / 34.0, 0.0, 1.0)
    front = (
        np.interp(s, (0, 12, 45, 80, 105), (-16.5, -14.5, -10.5, -7.0, -4.0))
        + 7.5 * cranial * lateral
    )
    crest = np.clip(1.0 - ax / 15.0, 0.0, 1.0)
    back = np.interp(s, (0, 10, 45, 80, 105), (15.0, 17.0, 13.5, 9.5, 5.0)) + crest * np.interp(
        s, (4, 12, 60, 90), (0.0, 6.5, 5.0, 2.0)
    )
    back = back + 3.0 * np.clip((ax - 28.0) / 12.0, 0.0, 1.0) * np.clip(1.0 - s / 60.0, 0.0, 1.0)
    top = 0.32 * np.clip(ax - 24.0, 0.0, None)
    top = top + 1.2 * np.clip(1.0 - (ax / 24.0) ** 2 - (a / 16.0) ** 2, 0.0, 1.0)
    block = shapes.smooth_intersection(front - a, a - back, 3.0)
    ends = np.maximum((top - s) * 0.95, s - SACRUM_LENGTH_MM)
    return shapes.smooth_intersection(block, ends, 3.0)


def _sacral_sides(ax, a, s):
    """Lateral border; down to the joint's end the joint surface itself cuts closer."""
    half_width = np.interp(
        s, (-5, 20, 50, 62, 80, 95, 105), (60.0, 60.0, 56.0, 37.0, 27.0, 17.0, 9.0)
    )
    return (ax - half_width) * 0.9


def _dorsal_crest(ax, a, s):
    """Median crest with the spinous tubercles of S1 to S3."""
    bumps = [
        shapes.capsule(ax, a, s, (0.0, a0 - 6.0, s0 - 3.0), (0.0, a0, s0 + 3.0), 3.6, 3.0)
        for s0, a0 in ((18.0, 30.0), (42.0, 24.0), (64.0, 19.0))
    ]
    lateral = shapes.capsule(ax, a, s, (24.0, 17.0, 6.0), (29.0, 14.5, 22.0), 4.5, 3.5)
    return shapes.union(*bumps, lateral)


def foramina_distance(spine: Spine, ax, y, z):
    """Channels from the sacral canal to the anterior and posterior openings of S1-S3."""
    a, s = sacral_local(spine, y, z)
    channels = []
    for s0, x_front, _, radius in FORAMINA.values():
        inner = (x_front - 6.5, 12.0, s0 - 7.0)
        elbow = (x_front - 1.0, 4.0, s0 - 1.0)
        channels.append(
            shapes.tube(
                ax,
                a,
                s,
                (inner, elbow, (x_front + 2.0, -24.0, s0 + 4.0)),
                (radius, radius, radius + 1.5),
            )
        )
        lean = np.tan(np.deg2rad(29.2))
        channels.append(
            shapes.capsule(
                ax, a, s, elbow, (x_front - 1.0 + 24.0 * lean, 28.0, s0 + 1.0), radius - 0.6, radius
            )
        )
    return shapes.union(*channels)


_ILIUM_Z_MM = (0.0, -40.0, -70.0, -100.0, -125.0, -160.0)
# per height: (x, y, half thickness) of five points from the posterior to the anterior end
_ILIUM_SECTIONS = (
    ((80, 40, 4), (88, 25, 4), (97, 6, 5), (106, -15, 5), (110, -32, 4)),
    ((60, 58, 8), (68, 37, 7), (83, 12, 5), (104, -18, 4), (118, -42, 6)),
    ((51, 60, 11), (60, 26, 10), (69, 3, 8), (97, -24, 3.5), (118, -58, 6)),
    ((43, 53, 9), (51.5, 33, 9.5), (62, 8, 9), (90, -22, 5), (112, -56, 7)),
    ((52, 36, 8), (56, 22, 9), (62, 4, 10), (84, -20, 9), (104, -46, 8)),
    ((58, 34, 8), (60, 20, 9), (64, 4, 12), (80, -14, 15), (96, -34, 9)),
)
_CREST_Y_MM = (-72.0, -62.0, -45.0, -28.0, -8.0, 12.0, 30.0, 45.0, 58.0, 68.0, 74.0)
_CREST_Z_MM = (-96.0, -76.0, -40.0, -19.0, -8.0, -10.0, -24.0, -43.0, -64.0, -84.0, -100.0)


def ilium_section(z):
    """Interpolated section at each z: lists of five x, y and half-thickness arrays."""
    order = slice(None, None, -1)
    table = np.asarray(_ILIUM_SECTIONS, float)
    z_row = np.asarray(_ILIUM_Z_MM)[order]

    def at(point, column):
        return np.interp(z, z_row, table[order, point, column])

    return [at(n, 0) for n in range(5)], [at(n, 1) for n in range(5)], [at(n, 2) for n in range(5)]


def wing_distance(ax, y, z):
    """Distance to the middle of the iliac plate minus half its thickness, and the side.

    Returns
    -------
    plate_mm : array, negative inside the bone plate (crest and notch not yet cut)
    outer_mm : array, signed distance to the middle surface, positive on the gluteal side
    """
    xs, ys, radii = ilium_section(z)
    best = np.full(np.broadcast(ax, y, z).shape, np.inf)
    plate = best.copy()
    outer = best.copy()
    for n in range(4):
        dx, dy = xs[n + 1] - xs[n], ys[n + 1] - ys[n]
        length = np.hypot(dx, dy)
        t = np.clip(((ax - xs[n]) * dx + (y - ys[n]) * dy) / length**2, 0.0, 1.0)
        gap = np.hypot(ax - xs[n] - t * dx, y - ys[n] - t * dy)
        side = ((ax - xs[n]) * dy - (y - ys[n]) * dx) / length  # sign only: which side of the plate
        closer = gap < best
        best = np.where(closer, gap, best)
        plate = np.minimum(plate, gap - (radii[n] + t * (radii[n + 1] - radii[n])))
        outer = np.where(closer, np.where(side < 0, gap, -gap), outer)
    return plate, outer


def crest_z_mm(y):
    """Height of the iliac crest seen from the side."""
    return np.interp(y, _CREST_Y_MM, _CREST_Z_MM)


def ilium_distance(spine: Spine, ax, y, z, gap_mm: float, rise_mm: float = 0.0):
    """Ilium of the side x = +ax: plate, crest, sciatic notch and auricular surface.

    ``rise_mm`` stretches the wing above the joint, so that its crest stands that much higher.
    """
    wing_z = z
    if rise_mm:
        wing_z = z - rise_mm * np.clip((z + 95.0) / (95.0 + rise_mm - 10.0), 0.0, 1.0)
    plate, _ = wing_distance(ax, y, wing_z)
    bone = shapes.smooth_intersection(plate, (wing_z - crest_z_mm(y)) * 0.75, 3.0)
    notch = shapes.superellipse(y - 47.0, z + 147.0, 30.0, 35.0)
    bone = shapes.smooth_intersection(bone, -notch, 2.0)
    clear = joint_half_gap_mm(spine, y, z, gap_mm) - joint_side_mm(spine, ax, y, z)
    # below the joint the surface has no meaning any more: let the cut fade out
    _, s = sacral_local(spine, y, z)
    return np.maximum(bone, clear - 0.8 * np.clip(s - JOINT_END_S_MM - 6.0, 0.0, None))
