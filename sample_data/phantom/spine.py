"""Lumbar spine: bodies, arches, facets, discs and canal.

Every vertebra and disc has a Pose in the sagittal plane; local coordinates are (x, a, h):
x to the patient's left, a posterior in the plane of the endplates, h towards the head.
Published sizes: pedicle width and angle Zindrick 1987, foramen Khalaf, S1 foramen Kim 2023.
"""

from dataclasses import dataclass

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.levels import (
    JOINT_SIZES,
    LEVEL_SIZES,
    S1_SUPERIOR_PROCESS_ROOT_X_MM,
    SACRAL_BASE_TILT_DEG,
    joint_above,
    joint_below,
)
from sample_data.phantom.parameters import PhantomParameters

WALL_MM = 17.0  # body centre to posterior wall, also of the discs
FACET_GAP_MM = 1.8
INFERIOR_PROCESS_RADIUS_MM = 6.0
SUPERIOR_PROCESS_THICKNESS_MM = 5.2
SACRAL_ARC_RADIUS_MM = 120.0
SACRUM_LENGTH_MM = 105.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Sagittal place of a vertebra or disc; tilt > 0 leans its top surface anteriorly."""

    y_mm: float
    z_mm: float
    tilt_rad: float

    def local(self, y, z):
        """(a, h) of points: along the local posterior and cranial axes."""
        c, s = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return (y - self.y_mm) * c + (z - self.z_mm) * s, -(y - self.y_mm) * s + (z - self.z_mm) * c

    def point(self, x_mm: float, a_mm: float, h_mm: float) -> np.ndarray:
        """Anatomy coordinates of a local point."""
        c, s = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return np.array([x_mm, self.y_mm + a_mm * c - h_mm * s, self.z_mm + a_mm * s + h_mm * c])


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertebra:
    """Sizes of one lumbar vertebra, mm in its local frame."""

    name: str
    pose: Pose
    half_width_mm: float
    half_depth_mm: float
    half_height_mm: float
    wedge: float  # endplate slope against the local axes, anterior side taller
    pedicle_x_mm: float
    pedicle_half_width_mm: float
    pedicle_angle_rad: float
    pedicle_h_mm: float
    pedicle_half_height_mm: float
    transverse_tip: tuple[float, float, float]
    spinous_length_mm: float

    @property
    def pedicle_a_mm(self) -> float:
        """Posterior position of the isthmus."""
        return WALL_MM + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """Joint at one disc level: centre of the inferior process in the disc's frame."""

    pose: Pose
    x_mm: float
    a_mm: float
    angle_rad: float  # joint line against the sagittal plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """All poses and sizes of one patient's lumbar spine."""

    vertebrae: dict[str, Vertebra]
    discs: dict[str, Pose]
    facets: dict[str, Facet]
    sacral_base: Pose
    disc_height_mm: dict[str, float]


def build_spine(parameters: PhantomParameters) -> Spine:
    """Stack the vertebrae from L4 outwards with the requested lordosis."""
    f = parameters.lordosis_factor
    extra = parameters.l5_s1_extra_tilt_deg
    levels = parameters.levels
    tilt = {name: LEVEL_SIZES[name].tilt_deg * f for name in levels}
    tilt |= {"L5": tilt["L5"] + extra / 3, "S1": SACRAL_BASE_TILT_DEG * f + extra}
    tilt = {name: np.deg2rad(value) for name, value in tilt.items()}
    height = {name: LEVEL_SIZES[name].height_mm for name in levels}
    disc_height = {joint_below(n): JOINT_SIZES[joint_below(n)].disc_height_mm for n in levels}
    poses = {"L4": Pose(y_mm=0.0, z_mm=0.0, tilt_rad=tilt["L4"])}
    disc_poses = {}

    def down(pose, mm, tilt_rad):
        y, z = pose.y_mm + mm * np.sin(tilt_rad), pose.z_mm - mm * np.cos(tilt_rad)
        return Pose(y_mm=y, z_mm=z, tilt_rad=tilt_rad)

    def step(upper, lower, name, sign):
        start, end = (upper, lower) if sign > 0 else (lower, upper)
        half_disc = sign * disc_height[name] / 2
        middle = (tilt[upper] + tilt[lower]) / 2
        edge = down(poses[start], sign * height[start] / 2, tilt[start])
        disc_poses[name] = down(edge, half_disc, middle)
        far = down(disc_poses[name], half_disc, middle)
        poses[end] = down(far, sign * height.get(end, 0.0) / 2, tilt[end])

    above = levels[: levels.index("L4")]
    for upper, lower in reversed(list(zip(above, levels[1:], strict=False))):
        step(upper, lower, joint_below(upper), -1)
    step("L4", "L5", "L4_L5", +1)
    step("L5", "S1", "L5_S1", +1)
    return Spine(
        vertebrae={name: _vertebra(name, poses[name], height[name], parameters) for name in height},
        discs=disc_poses,
        facets=_facets(disc_poses),
        sacral_base=poses["S1"],
        disc_height_mm=disc_height,
    )


def _vertebra(name: str, pose: Pose, height_mm: float, parameters: PhantomParameters) -> Vertebra:
    size = LEVEL_SIZES[name]
    half_width = size.pedicle_width_mm * parameters.pedicle_width_factor / 2
    angle = np.deg2rad(size.pedicle_angle_deg)
    return Vertebra(
        name=name,
        pose=pose,
        half_width_mm=size.half_width_mm,
        half_depth_mm=WALL_MM,
        half_height_mm=height_mm / 2,
        wedge=size.wedge,
        pedicle_x_mm=size.canal_half_mm + half_width / np.cos(angle),
        pedicle_half_width_mm=half_width,
        pedicle_angle_rad=angle,
        pedicle_h_mm=size.pedicle_h_mm,
        pedicle_half_height_mm=size.pedicle_half_height_mm,
        transverse_tip=size.transverse_tip,
        spinous_length_mm=size.spinous_length_mm,
    )


def _facets(disc_poses: dict[str, Pose]) -> dict[str, Facet]:
    return {
        name: Facet(
            pose=pose,
            x_mm=JOINT_SIZES[name].facet_x_mm,
            a_mm=WALL_MM + JOINT_SIZES[name].facet_behind_wall_mm,
            angle_rad=np.deg2rad(JOINT_SIZES[name].facet_angle_deg),
        )
        for name, pose in disc_poses.items()
    }


def body_distance(v: Vertebra, x, a, h):
    """Vertebral body: kidney-shaped section, waist, slightly concave endplates."""
    waist = 1.0 - 0.075 * np.clip(1.0 - (h / v.half_height_mm) ** 2, 0.0, 1.0)
    across = shapes.superellipse(x, a, v.half_width_mm * waist, v.half_depth_mm * waist, 2.35)
    behind = 26.0 - np.hypot(x, a - (v.half_depth_mm + 24.2))  # shallow posterior concavity
    across = shapes.smooth_intersection(across, behind, 3.0)
    radial = np.clip(1.0 - (x / v.half_width_mm) ** 2 - (a / v.half_depth_mm) ** 2, 0.0, 1.0)
    tall = np.abs(h) + v.wedge * a - v.half_height_mm + 1.3 * radial
    return shapes.smooth_intersection(across, tall, 2.5)


def pedicle_distance(v: Vertebra, ax, a, h):
    """Elliptic bridge along the pedicle axis, narrowest at the isthmus."""
    along = -(ax - v.pedicle_x_mm) * np.sin(v.pedicle_angle_rad) - (a - v.pedicle_a_mm) * np.cos(
        v.pedicle_angle_rad
    )
    across = (ax - v.pedicle_x_mm) * np.cos(v.pedicle_angle_rad) - (a - v.pedicle_a_mm) * np.sin(
        v.pedicle_angle_rad
    )
    flare = 1.0 + 0.0015 * along**2
    ring = shapes.superellipse(
        across,
        h - v.pedicle_h_mm,
        v.pedicle_half_width_mm * flare,
        v.pedicle_half_height_mm * flare,
        2.4,
    )
    return shapes.smooth_intersection(ring, np.abs(along + 0.5) - 10.5, 1.0)


def arch_parts(v: Vertebra, ax, a, h):
    """Distances of pars, lamina, spinous and transverse process of a lumbar vertebra."""
    facet_x = LEVEL_SIZES[v.name].facet_x_mm
    root = (v.pedicle_x_mm, WALL_MM + 11.0, v.pedicle_h_mm - 1.0)
    pars = shapes.capsule(ax, a, h, root, (facet_x + 1.0, WALL_MM + 18.0, -11.0), 5.2, 5.0)
    lamina = shapes.plate(
        ax, a, h, (facet_x, WALL_MM + 18.0), (0.0, WALL_MM + 24.5), 3.2, -15.0, 3.0
    )
    base_h, tip_h = -6.0, -11.0
    t = np.clip((a - WALL_MM - 23.0) / v.spinous_length_mm, 0.0, 1.0)
    tall = np.abs(h - (base_h + t * (tip_h - base_h))) - (8.0 + 2.0 * t)
    long = np.abs(a - WALL_MM - 23.0 - v.spinous_length_mm / 2) - v.spinous_length_mm / 2
    wide = ax - (2.6 + 1.6 * t**3)
    spinous = shapes.smooth_intersection(shapes.smooth_intersection(tall, long, 5.0), wide, 2.0)
    tip_x, tip_a, tip_h2 = v.transverse_tip
    transverse = shapes.capsule(
        ax, a, h, (v.pedicle_x_mm + 1.0, WALL_MM + 8.0, v.pedicle_h_mm),
        (tip_x, WALL_MM + tip_a - 6.0, tip_h2),
        5.6 if v.name == "L5" else 4.6, 3.4,
    )  # fmt: skip
    return pars, lamina, spinous, transverse


def arch_distance(v: Vertebra, ax, a, h):
    """The whole arch behind the pedicles, without articular processes."""
    pars, lamina, spinous, transverse = arch_parts(v, ax, a, h)
    arch = shapes.smooth_union(pars, lamina, 3.0)
    arch = shapes.smooth_union(arch, spinous, 4.0)
    return shapes.smooth_union(arch, transverse, 3.0)


def inferior_process_distance(f: Facet, ax, y, z):
    """Rounded peg of the upper vertebra that hangs into the joint."""
    a, h = f.pose.local(y, z)
    return shapes.capsule(
        ax, a, h, (f.x_mm, f.a_mm, 14.0), (f.x_mm, f.a_mm, -6.0), INFERIOR_PROCESS_RADIUS_MM
    )


def superior_process_distance(f: Facet, ax, y, z, root_x_mm: float):
    """Cup of the lower vertebra that wraps the peg from its anterolateral side."""
    a, h = f.pose.local(y, z)
    outward = (np.cos(f.angle_rad), -np.sin(f.angle_rad))  # across the joint line, anterolateral
    dx, da = ax - f.x_mm, a - f.a_mm
    radius = np.hypot(dx, da)
    inner = INFERIOR_PROCESS_RADIUS_MM + FACET_GAP_MM
    ring = (
        np.abs(radius - inner - SUPERIOR_PROCESS_THICKNESS_MM / 2)
        - SUPERIOR_PROCESS_THICKNESS_MM / 2
    )
    sector = 6.0 - (dx * outward[0] + da * outward[1])
    tall = np.abs(h + 2.0) - 7.5
    cup = shapes.smooth_intersection(shapes.smooth_intersection(ring, sector, 2.0), tall, 4.0)
    mid = inner + SUPERIOR_PROCESS_THICKNESS_MM / 2
    seat = (f.x_mm + mid * outward[0], f.a_mm + mid * outward[1], -7.0)
    stem = shapes.capsule(ax, a, h, seat, (root_x_mm, WALL_MM + 9.0, -14.0), 4.2, 5.0)
    return shapes.smooth_union(cup, stem, 2.5)


def superior_root_x_mm(spine: Spine, joint: str) -> float:
    """Where the superior process of a joint's lower vertebra springs from."""
    lower = spine.vertebrae.get(joint.split("_")[1])
    return lower.pedicle_x_mm if lower else S1_SUPERIOR_PROCESS_ROOT_X_MM


def vertebra_distance(spine: Spine, name: str, x, y, z):
    """Whole vertebra with joint spaces and canal kept free."""
    v = spine.vertebrae[name]
    ax = np.abs(x)
    a, h = v.pose.local(y, z)
    bone = shapes.smooth_union(body_distance(v, x, a, h), pedicle_distance(v, ax, a, h), 2.0)
    bone = shapes.smooth_union(bone, arch_distance(v, ax, a, h), 2.0)
    below, above = joint_below(name), joint_above(name)
    bone = shapes.smooth_union(bone, inferior_process_distance(spine.facets[below], ax, y, z), 2.5)
    lower_root = superior_root_x_mm(spine, below)
    lower_cup = superior_process_distance(spine.facets[below], ax, y, z, lower_root)
    bone = np.maximum(bone, FACET_GAP_MM - lower_cup)
    if above in spine.facets:
        facet = spine.facets[above]
        bone = shapes.smooth_union(
            bone, superior_process_distance(facet, ax, y, z, v.pedicle_x_mm), 2.0
        )
        bone = np.maximum(bone, FACET_GAP_MM - inferior_process_distance(facet, ax, y, z))
    return np.maximum(bone, -canal_distance(spine, x, y, z))


def disc_distance(spine: Spine, name: str, x, y, z):
    """Disc between two endplates (the bones themselves are painted over it)."""
    pose = spine.discs[name]
    a, h = pose.local(y, z)
    half_width = JOINT_SIZES[name].disc_half_width_mm
    across = shapes.superellipse(x, a, half_width, WALL_MM + 0.3, 2.35)
    across = np.maximum(across, 27.5 - np.hypot(x, a - (WALL_MM + 27.0)))
    return shapes.smooth_intersection(across, np.abs(h) + 0.13 * a - 7.5, 2.0)


def nucleus_distance(spine: Spine, name: str, x, y, z):
    """Bright centre of a disc."""
    pose = spine.discs[name]
    a, h = pose.local(y, z)
    return shapes.ellipsoid(x, a, h, (0.0, 1.5, 0.0), (14.5, 9.5, 5.0))


def canal_line(spine: Spine):
    """Sagittal course of the canal centre: z (ascending), y, tilt, half width, half depth."""
    rows = []
    sized = [(v.pose, LEVEL_SIZES[name].canal_size_mm) for name, v in spine.vertebrae.items()]
    sized += [(pose, JOINT_SIZES[name].canal_size_mm) for name, pose in spine.discs.items()]
    for pose, (width, depth) in sized:
        point = pose.point(0.0, WALL_MM - 0.6 + depth, 0.0)
        rows.append((point[2], point[1], pose.tilt_rad, width, depth))
    first = next(iter(spine.vertebrae))
    width, depth = LEVEL_SIZES[first].canal_size_mm
    pose = spine.vertebrae[first].pose
    top = pose.point(0.0, WALL_MM - 0.6 + depth, 45.0)
    rows.append((top[2], top[1], pose.tilt_rad, width, depth))
    for s_mm, a_mm, width, depth in (
        (14, 15.5, 13.0, 6.2),
        (32, 12.0, 11.0, 5.2),
        (60, 9.5, 8.0, 4.0),
        (104, 6, 4, 2.5),
    ):
        point = sacral_point(spine, 0.0, a_mm, s_mm)
        tilt = spine.sacral_base.tilt_rad - s_mm / SACRAL_ARC_RADIUS_MM
        rows.append((point[2], point[1], tilt, width, depth))
    return np.asarray(sorted(rows)).T


def canal_local(spine: Spine, y, z):
    """Posterior offset from the canal's centre line, and the half width and depth there."""
    z_row, y_row, tilt, width, depth = canal_line(spine)
    v = (y - np.interp(z, z_row, y_row)) * np.cos(np.interp(z, z_row, tilt))
    return v, np.interp(z, z_row, width), np.interp(z, z_row, depth)


def canal_distance(spine: Spine, x, y, z):
    """Vertebral canal, rounded triangle wider in front, down to the sacral hiatus."""
    v, width, depth = canal_local(spine, y, z)
    taper = 1.0 - 0.28 * np.clip(v / depth, -1.0, 1.0)
    return shapes.superellipse(x, v, width * taper / 1.12, depth, 2.6)


def sacral_point(spine: Spine, x_mm: float, a_mm: float, s_mm: float) -> np.ndarray:
    """Anatomy coordinates of sacral (x, a posterior, s arc length caudal of the S1 endplate)."""
    base = spine.sacral_base
    theta = base.tilt_rad - s_mm / SACRAL_ARC_RADIUS_MM
    centre_y = base.y_mm - SACRAL_ARC_RADIUS_MM * np.cos(base.tilt_rad)
    centre_z = base.z_mm - SACRAL_ARC_RADIUS_MM * np.sin(base.tilt_rad)
    radius = SACRAL_ARC_RADIUS_MM + a_mm
    return np.array([x_mm, centre_y + radius * np.cos(theta), centre_z + radius * np.sin(theta)])


def sacral_local(spine: Spine, y, z):
    """(a, s) of points, inverse of ``sacral_point``."""
    base = spine.sacral_base
    centre_y = base.y_mm - SACRAL_ARC_RADIUS_MM * np.cos(base.tilt_rad)
    centre_z = base.z_mm - SACRAL_ARC_RADIUS_MM * np.sin(base.tilt_rad)
    a = np.hypot(y - centre_y, z - centre_z) - SACRAL_ARC_RADIUS_MM
    theta = np.arctan2(z - centre_z, y - centre_y)
    return a, (base.tilt_rad - theta) * SACRAL_ARC_RADIUS_MM
