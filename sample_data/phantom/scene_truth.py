"""Where the anatomical targets of the trunk scenes truly are (patient LPS mm).

Everything comes from the analytic shapes, nothing from a mask. Keys are the texts a planner is
asked with: ``"foramen:L4-L5:left"``, ``"coeliac:left"``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sample_data.phantom import extras, pelvis, spine, upper
from sample_data.phantom.anatomy import SOFT_TISSUE_LESION_MM, Anatomy, bone_lesion
from sample_data.phantom.parameters import PhantomParameters

SIDES = {"left": 1, "right": -1}
BONES_OF_SCENES = ("T12", "L1", "L2", "L3", "L4", "L5", "sacrum", "ilium_left", "ilium_right")
SI_S_MM, SI_DEPTH_MM = 50.0, 5.0
SYMPATHETIC_GAP_MM = 3.0  # tip in front of the cortex
COELIAC_X_MM = {"left": 19.0, "right": -15.0}
ALA_X_MM, ALA_A_MM, ALA_S_MM = 34.0, 3.0, 18.0  # between the S1 foramen and the joint
PIRIFORMIS_TARGET_MM = (46.0, 33.0, -128.0)  # where gluteus maximus does not cover it
FORAMEN_BEHIND_WALL_MM = 4.0
S1_PEDICLE_LOCAL_MM = (24.0, 12.0, 12.0)
_STEP_MM = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTruth:
    """One anatomical target.

    ``centre_lps_mm`` (3,); ``axis_lps`` unit (3,) is the way a needle runs into it, or None;
    ``plane_normal_lps`` unit (3,) of its joint or disc plane, or None; ``measures`` has sizes
    with units in their names.
    """

    centre_lps_mm: np.ndarray
    axis_lps: np.ndarray | None = None
    plane_normal_lps: np.ndarray | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


def trunk_targets(anatomy: Anatomy) -> dict[str, TargetTruth]:
    """Every target of the spine and pelvis, whether a scene shows it or not."""
    column, parameters = anatomy.spine, anatomy.parameters
    found: dict[str, TargetTruth] = {}
    for level, v in column.vertebrae.items():
        found[f"vertebra:{level}"] = point_truth(parameters, v.pose.point(0.0, 0.0, 0.0))
        for side, sign in SIDES.items():
            found[f"pedicle:{level}:{side}"] = _pedicle(parameters, v, sign)
            found[f"sympathetic:{level}:{side}"] = _sympathetic(anatomy, v, sign)
            if spine.joint_above(level) in column.facets:
                found[f"medial_branch:{level}:{side}"] = _medial_branch(anatomy, level, sign)
    for name, pose in column.discs.items():
        text = name.replace("_", "-")
        found[f"disc:{text}"] = _disc(column, parameters, name, pose)
        for side, sign in SIDES.items():
            found[f"facet:{text}:{side}"] = _facet(parameters, column.facets[name], sign)
            found[f"foramen:{text}:{side}"] = _foramen(anatomy, name, sign)
    found |= dict(_pelvic(anatomy))
    if "T12_L1" in column.discs:
        found |= {f"coeliac:{side}": _coeliac(anatomy, side) for side in SIDES}
    level, lesion = bone_lesion(column, parameters)
    found[f"lesion_{level}"] = point_truth(parameters, lesion)
    found["lesion_soft_tissue"] = point_truth(parameters, SOFT_TISSUE_LESION_MM)
    found["abscess"] = point_truth(parameters, extras.ABSCESS_CENTRE_MM)
    found["paraspinal_cyst"] = point_truth(parameters, extras.CYST_CENTRE_MM)
    return found


def point_truth(
    parameters: PhantomParameters, centre, axis=None, normal=None, **measures
) -> TargetTruth:
    """Truth of a point in anatomy coordinates; directions need no unit length."""
    unit = [None if d is None else np.asarray(d) / np.linalg.norm(d) for d in (axis, normal)]
    return TargetTruth(
        centre_lps_mm=parameters.lps_from_anatomy(centre),
        axis_lps=unit[0],
        plane_normal_lps=unit[1],
        measures={name: float(value) for name, value in measures.items()},
    )


def _pedicle(parameters: PhantomParameters, v: spine.Vertebra, sign: int) -> TargetTruth:
    mirror = np.array([sign, 1.0, 1.0])
    angle, scale = v.pedicle_angle_rad, parameters.scale
    isthmus = v.pose.point(v.pedicle_x_mm, v.pedicle_a_mm, v.pedicle_h_mm)
    ahead = v.pose.point(
        v.pedicle_x_mm - np.sin(angle), v.pedicle_a_mm - np.cos(angle), v.pedicle_h_mm
    )
    return point_truth(
        parameters,
        mirror * isthmus,
        axis=mirror * (ahead - isthmus),
        pedicle_width_mm=2 * v.pedicle_half_width_mm * scale,
        pedicle_height_mm=2 * v.pedicle_half_height_mm * scale,
        pedicle_axial_deg=np.rad2deg(angle),
    )


def _sympathetic(anatomy: Anatomy, v: spine.Vertebra, sign: int) -> TargetTruth:
    """In front of the anterolateral border: 45 deg round from the front of the lower body."""
    h_mm = -0.25 * v.half_height_mm
    ahead = np.array([0.75 * v.half_width_mm, -v.half_depth_mm * 0.75]) / (0.75 * v.half_width_mm)
    reach = np.arange(8.0, 40.0, _STEP_MM)
    distance = spine.body_distance(v, reach * ahead[0], reach * ahead[1], h_mm)
    r = reach[np.argmax(distance > SYMPATHETIC_GAP_MM)]
    point = v.pose.point(r * ahead[0], r * ahead[1], h_mm)
    return point_truth(anatomy.parameters, point * (sign, 1.0, 1.0))


def _medial_branch(anatomy: Anatomy, level: str, sign: int) -> TargetTruth:
    """On the bone where the superior articular process meets the transverse process."""
    v = anatomy.spine.vertebrae[level]
    facet = anatomy.spine.facets[spine.joint_above(level)]
    beside_mm = spine.INFERIOR_PROCESS_RADIUS_MM + spine.FACET_GAP_MM
    x_mm = facet.x_mm + beside_mm + spine.SUPERIOR_PROCESS_THICKNESS_MM + 1.0
    h_mm = v.pedicle_h_mm + 2.5
    depths = np.arange(spine.WALL_MM + 30.0, spine.WALL_MM, -_STEP_MM)
    line = np.array([v.pose.point(x_mm, a, h_mm) for a in depths])
    lps = anatomy.parameters.lps_from_anatomy(line * (sign, 1.0, 1.0))
    first = int(np.argmax(anatomy.distance_mm(level, lps) < 1.0))
    ahead = v.pose.point(0.0, -1.0, 0.0) - v.pose.point(0.0, 0.0, 0.0)
    return point_truth(anatomy.parameters, line[first] * (sign, 1.0, 1.0), axis=ahead)


def _disc(column, parameters: PhantomParameters, name: str, pose: spine.Pose) -> TargetTruth:
    up = pose.point(0.0, 0.0, 1.0) - pose.point(0.0, 0.0, 0.0)
    return point_truth(
        parameters,
        pose.point(0.0, 0.0, 0.0),
        normal=up,
        disc_obliquity_deg=abs(np.rad2deg(pose.tilt_rad)),
        disc_height_mm=column.disc_height_mm[name] * parameters.scale,
    )


def _facet(parameters: PhantomParameters, facet: spine.Facet, sign: int) -> TargetTruth:
    """Middle of the joint space; the posterior opening lies 45 deg round the peg from there."""
    mirror = np.array([sign, 1.0, 1.0])
    mid = spine.INFERIOR_PROCESS_RADIUS_MM + spine.FACET_GAP_MM / 2
    across = np.array([np.cos(facet.angle_rad), -np.sin(facet.angle_rad)])
    centre = facet.pose.point(facet.x_mm + mid * across[0], facet.a_mm + mid * across[1], 0.0)
    origin = facet.pose.point(0.0, 0.0, 0.0)
    along = facet.pose.point(-np.sin(facet.angle_rad), -np.cos(facet.angle_rad), 0.0) - origin
    return point_truth(
        parameters,
        mirror * centre,
        axis=mirror * along,
        normal=mirror * (facet.pose.point(*across, 0.0) - origin),
        facet_gap_mm=spine.FACET_GAP_MM * parameters.scale,
        facet_angle_deg=np.rad2deg(facet.angle_rad),
    )


def _foramen(anatomy: Anatomy, name: str, sign: int) -> TargetTruth:
    """Middle of the bone-free stretch between the two pedicles, lateral of the canal."""
    column, parameters = anatomy.spine, anatomy.parameters
    v, w = (column.vertebrae.get(level) for level in name.split("_"))
    top = v.pose.point(v.pedicle_x_mm, spine.WALL_MM + FORAMEN_BEHIND_WALL_MM, v.pedicle_h_mm)
    if w is None:
        bottom = spine.sacral_point(column, *S1_PEDICLE_LOCAL_MM)
    else:
        bottom = w.pose.point(
            w.pedicle_x_mm, spine.WALL_MM + FORAMEN_BEHIND_WALL_MM, w.pedicle_h_mm
        )
    line = (top + np.linspace(0.0, 1.0, 400)[:, None] * (bottom - top)) * (sign, 1.0, 1.0)
    lps = parameters.lps_from_anatomy(line)
    bones = name.replace("S1", "sacrum").split("_")
    free = np.flatnonzero(np.min([anatomy.distance_mm(n, lps) for n in bones], axis=0) > 0.0)
    first, last = line[free[0]], line[free[-1]]
    return point_truth(
        parameters,
        (first + last) / 2,
        axis=(-sign, 0.0, 0.0),
        foramen_height_mm=np.linalg.norm(last - first) * parameters.scale,
    )


def _pelvic(anatomy: Anatomy) -> Iterator[tuple[str, TargetTruth]]:
    column, parameters = anatomy.spine, anatomy.parameters
    slope = np.deg2rad(pelvis.JOINT_ANGLE_DEG)
    for side, sign in SIDES.items():
        mirror = np.array([sign, 1.0, 1.0])
        joint = pelvis.joint_point(column, SI_S_MM, SI_DEPTH_MM, sign)
        behind = pelvis.joint_point(column, SI_S_MM, SI_DEPTH_MM - 1.0, sign)
        back = spine.sacral_point(column, 0.0, 1.0, SI_S_MM) - spine.sacral_point(
            column, 0.0, 0.0, SI_S_MM
        )
        yield (
            f"si_joint:{side}",
            point_truth(
                parameters,
                joint,
                axis=joint - behind,
                normal=mirror * (np.array([np.cos(slope), 0, 0]) + np.sin(slope) * back),
                joint_gap_mm=parameters.sij_gap_mm * parameters.scale,
            ),
        )
        s0, x_front, x_back, radius = pelvis.FORAMINA["S1"]
        outside = spine.sacral_point(column, sign * x_back, 15.0, s0 + 0.5)
        inside = spine.sacral_point(column, sign * (x_front - 1.0), 4.0, s0 - 1.0)
        yield (
            f"s1_foramen:{side}",
            point_truth(
                parameters,
                outside,
                axis=inside - outside,
                foramen_lateral_mm=x_back * parameters.scale,
                foramen_width_mm=2 * radius * parameters.scale,
            ),
        )
        ala = spine.sacral_point(column, sign * ALA_X_MM, ALA_A_MM, ALA_S_MM)
        yield f"sacral_ala:{side}", point_truth(parameters, ala)
        yield f"piriformis:{side}", point_truth(parameters, mirror * PIRIFORMIS_TARGET_MM)


def _coeliac(anatomy: Anatomy, side: str) -> TargetTruth:
    """Beside the aorta in front of the T12-L1 disc."""
    pose = anatomy.spine.discs["T12_L1"]
    point = pose.point(COELIAC_X_MM[side], -20.0, 0.0)
    origin_z_mm = upper.coeliac_line(anatomy.spine)[0][2]
    return point_truth(
        anatomy.parameters, point, coeliac_origin_z_mm=origin_z_mm * anatomy.parameters.scale
    )
