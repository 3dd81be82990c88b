"""Known truth of the phantom: targets, sizes, known good paths with exact clearances."""

from dataclasses import dataclass

import numpy as np

from sample_data.phantom import pelvis, spine
from sample_data.phantom.anatomy import (
    BONE_LESION_LOCAL_MM,
    BONE_LESION_RADIUS_MM,
    SOFT_TISSUE_LESION_MM,
    Anatomy,
)
from sample_data.phantom.labels import LabelMaps, bone_names
from sample_data.phantom.parameters import PhantomGrid

FORAMEN_TARGET_LOCAL_MM = (27.5, spine.WALL_MM + 7.0, -11.5)  # left, in the L4 frame
SI_TARGET_S_MM = 49.0
SI_TARGET_DEPTH_MM = 1.0
_STEP_MM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A procedure on one target: where a path may come from and what it must miss."""

    target: str
    procedure: str
    needle_outer_diameter_mm: float
    axial_deg: tuple[float, float]
    craniocaudal_deg: tuple[float, float]
    may_cross: tuple[str, ...]
    throw_mm: float = 0.0


_SOFT = (
    "body",
    "erector_spinae",
    "multifidus",
    "quadratus_lumborum",
    "psoas",
    "gluteus",
    "iliacus",
    "piriformis",
)
DEMOS = (
    Demo(
        target="foramen_L4_L5_left",
        procedure="transforaminal_epidural",
        needle_outer_diameter_mm=0.72,
        axial_deg=(-30.0, -16.0),
        craniocaudal_deg=(-10.0, 10.0),
        may_cross=_SOFT,
    ),
    Demo(
        target="si_joint_left",
        procedure="si_joint_injection",
        needle_outer_diameter_mm=0.72,
        axial_deg=(5.0, 30.0),
        craniocaudal_deg=(-12.0, 12.0),
        may_cross=(*_SOFT, "si_joint_left"),
    ),
    Demo(
        target="soft_tissue_lesion",
        procedure="soft_tissue_biopsy",
        needle_outer_diameter_mm=1.27,
        axial_deg=(-30.0, 0.0),
        craniocaudal_deg=(-10.0, 10.0),
        may_cross=(*_SOFT, "lesion_soft_tissue"),
        throw_mm=10.0,
    ),
    Demo(
        target="vertebra_L5_lesion",
        procedure="vertebral_biopsy_transpedicular",
        needle_outer_diameter_mm=3.05,
        axial_deg=(-34.0, -22.0),
        craniocaudal_deg=(-14.0, -4.0),
        may_cross=(*_SOFT, "L5", "lesion_L5"),
    ),
)


def target_points(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Named points in LPS mm."""
    column = anatomy.spine
    points = {}
    for side, sign in (("left", 1), ("right", -1)):
        mirror = np.array([sign, 1.0, 1.0])
        for upper, lower in (("L3", "L4"), ("L4", "L5")):
            shift = column.vertebrae[upper].pedicle_x_mm - column.vertebrae["L4"].pedicle_x_mm
            place = np.add(FORAMEN_TARGET_LOCAL_MM, (shift, 0.0, 0.0))
            points[f"foramen_{upper}_{lower}_{side}"] = mirror * column.vertebrae[upper].pose.point(
                *place
            )
        points[f"si_joint_{side}"] = pelvis.joint_point(
            column, SI_TARGET_S_MM, SI_TARGET_DEPTH_MM, sign
        )
        for name, facet in column.facets.items():
            mid = spine.INFERIOR_PROCESS_RADIUS_MM + spine.FACET_GAP_MM / 2
            dx, da = mid * np.cos(facet.angle_rad), -mid * np.sin(facet.angle_rad)
            points[f"facet_{name}_{side}"] = mirror * facet.pose.point(
                facet.x_mm + dx, facet.a_mm + da, 0.0
            )
        s0, x_front, x_back, _ = pelvis.FORAMINA["S1"]
        points[f"foramen_S1_posterior_{side}"] = spine.sacral_point(column, sign * x_back, 14.0, s0)
        points[f"foramen_S1_anterior_{side}"] = spine.sacral_point(
            column, sign * x_front, -12.0, s0 + 3.0
        )
        for level, v in column.vertebrae.items():
            points[f"pedicle_{level}_{side}"] = mirror * v.pose.point(
                v.pedicle_x_mm, v.pedicle_a_mm, v.pedicle_h_mm
            )
    for name, pose in column.discs.items():
        points[f"disc_{name}"] = pose.point(0.0, 0.0, 0.0)
    points["soft_tissue_lesion"] = SOFT_TISSUE_LESION_MM
    if not anatomy.parameters.has_implant:
        points["vertebra_L5_lesion"] = column.vertebrae["L5"].pose.point(*BONE_LESION_LOCAL_MM)
    return {name: anatomy.parameters.lps_from_anatomy(p) for name, p in points.items()}


def needle_direction(axial_deg: float, craniocaudal_deg: float) -> np.ndarray:
    """Unit LPS vector entry -> tip; axial > 0 points to the left, craniocaudal > 0 to the head."""
    a, c = np.deg2rad([axial_deg, craniocaudal_deg])
    return np.array([np.sin(a) * np.cos(c), -np.cos(a) * np.cos(c), np.sin(c)])


def skin_entry(anatomy: Anatomy, target_lps_mm: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """First point outside the body going backwards from the target, to 0.01 mm."""
    distances = np.arange(0.0, 260.0 * anatomy.parameters.scale, 1.0)
    outside = anatomy.distance_mm("body", target_lps_mm - distances[:, None] * direction) > 0.0
    high = distances[np.argmax(outside)]
    low = high - 1.0
    while high - low > 0.01:
        middle = (low + high) / 2
        is_outside = anatomy.distance_mm("body", target_lps_mm - middle * direction) > 0.0
        low, high = (low, middle) if is_outside else (middle, high)
    return target_lps_mm - high * direction


def avoided(anatomy: Anatomy, demo: Demo) -> list[str]:
    """Structures the demo's path may not touch."""
    return [
        n
        for n in anatomy.structure_names
        if not n.startswith(demo.may_cross) and n != "abdominal_wall"
    ]


def best_path(anatomy: Anatomy, demo: Demo, target_lps_mm: np.ndarray) -> tuple[float, float]:
    """Angles (axial, craniocaudal) with the largest analytic distance to everything avoided."""
    low, high = demo.axial_deg
    tilt_low, tilt_high = demo.craniocaudal_deg
    angles = [
        (a, c)
        for a in np.arange(low, high + 0.1, 2.0)
        for c in np.arange(tilt_low, tilt_high + 0.1, 2.0)
    ]
    length_mm = 100.0 * anatomy.parameters.scale
    along_mm = np.arange(-length_mm, demo.throw_mm + _STEP_MM, _STEP_MM)
    directions = np.array([needle_direction(*pair) for pair in angles])
    points = target_lps_mm + along_mm[None, :, None] * directions[:, None, :]
    clearance = np.full(len(angles), np.inf)
    if "transpedicular" in demo.procedure:
        # must cross this bone, so: as close as possible to the middle of the isthmus
        isthmus = target_points(anatomy)["pedicle_L5_left"]
        clearance = -np.linalg.norm(points - isthmus, axis=-1).min(axis=1)
    else:
        for name in avoided(anatomy, demo):
            if anatomy.distance_mm(name, points[::3, ::12]).min() > 25.0 * anatomy.parameters.scale:
                continue
            clearance = np.minimum(clearance, anatomy.distance_mm(name, points).min(axis=1))
    return angles[int(np.argmax(clearance))]


def segment_to_boxes_mm(entry_lps_mm, end_lps_mm, mask: np.ndarray, grid: PhantomGrid) -> float:
    """Exact smallest distance of a segment to the voxel boxes of a mask, inf for an empty mask.

    Distance to a box is convex along the segment, so a ternary search per box is exact.
    """
    kji = np.argwhere(mask).astype(float)
    if len(kji) == 0:
        return float("inf")
    spacing = grid.spacing_kji_mm
    start, end = (grid.kji_from_lps(p) * spacing for p in (entry_lps_mm, end_lps_mm))
    along = end - start
    centres = kji * spacing
    t = np.clip((centres - start) @ along / (along @ along), 0.0, 1.0)
    to_centre = np.linalg.norm(centres - start - t[:, None] * along, axis=1)
    near = to_centre <= to_centre.min() + np.linalg.norm(spacing)
    centres = centres[near]

    def distance(t):
        gap = np.abs(start + t[:, None] * along - centres) - spacing / 2
        return np.linalg.norm(np.maximum(gap, 0.0), axis=1)

    low, high = np.zeros(len(centres)), np.ones(len(centres))
    for _ in range(70):
        third = (high - low) / 3
        keep_low = distance(low + third) <= distance(high - third)
        low, high = np.where(keep_low, low, low + third), np.where(keep_low, high - third, high)
    return float(distance((low + high) / 2).min())


def demo_paths(anatomy: Anatomy, maps: LabelMaps) -> dict[str, dict]:
    """A known good path per demo: entry, angles and brute-force clearances on the voxels."""
    points = target_points(anatomy)
    paths = {}
    for demo in DEMOS:
        if demo.target not in points:
            continue
        target = points[demo.target]
        axial_deg, craniocaudal_deg = best_path(anatomy, demo, target)
        direction = needle_direction(axial_deg, craniocaudal_deg)
        entry = skin_entry(anatomy, target, direction)
        end = target + demo.throw_mm * direction
        names = sorted({*avoided(anatomy, demo), *bone_names()} & set(maps.names))
        clearance = {
            name: round(
                segment_to_boxes_mm(entry, end, maps.mask(name), maps.grid)
                - demo.needle_outer_diameter_mm / 2,
                3,
            )
            for name in names
        }
        paths[demo.target] = {
            "procedure": demo.procedure,
            "target_lps_mm": np.round(target, 4).tolist(),
            "entry_lps_mm": np.round(entry, 4).tolist(),
            "axial_deg": float(axial_deg),
            "craniocaudal_deg": float(craniocaudal_deg),
            "length_mm": round(float(np.linalg.norm(target - entry)), 3),
            "needle_outer_diameter_mm": demo.needle_outer_diameter_mm,
            "throw_mm": demo.throw_mm,
            "may_cross": [n for n in maps.names if n.startswith(demo.may_cross)],
            "clearance_mm": clearance,
        }
    return paths


def analytic_sizes(anatomy: Anatomy) -> dict:
    """Sizes the shapes were built with (mm, deg), at the phantom's scale."""
    column, scale = anatomy.spine, anatomy.parameters.scale
    pedicle = {
        level: {
            "width_mm": round(2 * v.pedicle_half_width_mm * scale, 3),
            "height_mm": round(2 * v.pedicle_half_height_mm * scale, 3),
            "axial_deg": round(float(np.rad2deg(v.pedicle_angle_rad)), 3),
        }
        for level, v in column.vertebrae.items()
    }
    tilt = {
        f"{n}_tilt_deg": round(float(np.rad2deg(p.tilt_rad)), 3) for n, p in column.discs.items()
    }
    return {
        "pedicle": pedicle,
        "disc": {**tilt, **{f"{n}_height_mm": h * scale for n, h in column.disc_height_mm.items()}},
        "foramen_height_mm": {n: round(h, 2) for n, h in foramen_heights_mm(anatomy).items()},
        "si_joint": {
            "gap_mm": anatomy.parameters.sij_gap_mm * scale,
            "angle_to_sagittal_deg": pelvis.JOINT_ANGLE_DEG,
        },
        "s1_foramen": {"posterior_lateral_mm": pelvis.FORAMINA["S1"][2] * scale, "axis_deg": 29.2},
        "facet_gap_mm": spine.FACET_GAP_MM * scale,
        "lesion_L5_radius_mm": BONE_LESION_RADIUS_MM * scale,
    }


def foramen_heights_mm(anatomy: Anatomy) -> dict[str, float]:
    """Cranio-caudal bone-to-bone height of the foramina at the pedicles' middle, measured."""
    column, scale = anatomy.spine, anatomy.parameters.scale
    heights = {}
    for upper, lower in (("L3", "L4"), ("L4", "L5")):
        v, w = column.vertebrae[upper], column.vertebrae[lower]
        x_mm = (v.pedicle_x_mm + w.pedicle_x_mm) / 2
        top = v.pose.point(x_mm, spine.WALL_MM + 2.5, v.pedicle_h_mm)
        bottom = w.pose.point(x_mm, spine.WALL_MM + 2.5, w.pedicle_h_mm)
        t = np.linspace(0.0, 1.0, 1200)
        line = anatomy.parameters.lps_from_anatomy(top + t[:, None] * (bottom - top))
        in_bone = np.minimum(*(anatomy.distance_mm(n, line) for n in (upper, lower))) < 0.0
        free = np.flatnonzero(~in_bone)
        heights[f"{upper}_{lower}"] = float(
            np.linalg.norm(bottom - top) * scale * (t[free[-1]] - t[free[0]])
        )
    return heights
