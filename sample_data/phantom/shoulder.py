"""Left shoulder of a supine patient: humerus, scapula, clavicle, axillary bundle, lung.

Anatomy coordinates: origin in the centre of the humeral head, +x left (lateral), +y posterior,
+z head.
"""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.anatomy import Anatomy, assembled
from sample_data.phantom.part import Part, make_part
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scene_truth import TargetTruth, point_truth
from sample_data.phantom.tissues import Tissue

HEAD_RADIUS_MM, JOINT_GAP_MM = 23.0, 3.0
INTERVAL_DIRECTION = np.array([-0.32, -0.86, 0.40])  # from the head's centre to the interval
INTERVAL_GAP_MM = 2.0
FAT_MM = 8.0
_ARTERY = ((-120.0, -10.0, 30.0), (-62.0, -14.0, -4.0), (-36.0, 0.0, -40.0), (-26.0, 6.0, -120.0))
_PLEXUS = ((-120.0, 0.0, 36.0), (-64.0, -4.0, 4.0), (-40.0, 8.0, -36.0), (-30.0, 12.0, -120.0))
_AXILLARY = ((-42.0, 6.0, -34.0), (-14.0, 30.0, -32.0), (18.0, 32.0, -28.0))
_OVER_TARGET = ((-14.0, -36.0, 90.0), (-12.0, -38.0, 10.0), (-12.0, -36.0, -90.0))


def build_shoulder(patient: ScenePatient) -> Anatomy:
    """The shoulder with its bundle, in its place or in front of the joint as well."""
    return assembled(patient, [*_soft_parts(patient), *_bone_parts()])


def shoulder_targets(anatomy: Anatomy) -> dict[str, TargetTruth]:
    """The rotator interval: front of the humeral head beside the coracoid."""
    unit = INTERVAL_DIRECTION / np.linalg.norm(INTERVAL_DIRECTION)
    return {
        "shoulder:left": point_truth(
            anatomy.parameters,
            (HEAD_RADIUS_MM + INTERVAL_GAP_MM) * unit,
            axis=(0.0, 1.0, 0.0),
            head_radius_mm=HEAD_RADIUS_MM * anatomy.parameters.scale,
        )
    }


def skin_distance(x, y, z):
    """Half the chest and the upper arm, rounded off above the acromion."""
    chest = shapes.superellipse(x + 125.0, y - 8.0, 122.0, 86.0, 2.4)
    arm = shapes.superellipse(x - 4.0, y - 4.0, 52.0, 56.0, 2.2)
    top = z - 62.0 + 0.12 * np.clip(x, 0.0, None) - 0.25 * np.clip(-x - 30.0, 0.0, None)
    return shapes.smooth_intersection(shapes.smooth_union(chest, arm, 20.0), top, 12.0)


def humerus_distance(x, y, z):
    """Head, greater tuberosity and shaft."""
    head = np.sqrt(x**2 + y**2 + z**2) - HEAD_RADIUS_MM
    tubercle = shapes.capsule(x, y, z, (15, -3, 8), (15, 0, -14), 10.0)
    shaft = shapes.capsule(x, y, z, (5, 1, -18), (10, 4, -150), 14.0, 12.0)
    return shapes.smooth_union(shapes.smooth_union(head, tubercle, 3.0), shaft, 5.0)


def scapula_distance(x, y, z):
    """Glenoid, neck and blade, acromion with spine, and coracoid."""
    r = np.sqrt(x**2 + y**2 + z**2)
    glenoid = shapes.ellipsoid(x, y, z, (-38.0, 8.0, -2.0), (14.0, 13.0, 18.0))
    blade = shapes.capsule(x, y, z, (-46, 12, -4), (-112, 52, -40), 8.0, 5.0)
    acromion = shapes.tube(x, y, z, ((-90, 56, 10), (-40, 44, 36), (4, 22, 40)), (6.0, 7.0, 7.0))
    coracoid = shapes.tube(x, y, z, ((-44, 4, 14), (-42, -14, 26), (-34, -30, 20)), (7.0, 7.0, 6.0))
    bone = shapes.smooth_union(shapes.smooth_union(glenoid, blade, 6.0), coracoid, 3.0)
    bone = shapes.smooth_union(bone, acromion, 3.0)
    return np.maximum(bone, HEAD_RADIUS_MM + JOINT_GAP_MM - r)


def _soft_parts(patient: ScenePatient) -> list[Part]:
    def fascia(x, y, z):
        return skin_distance(x, y, z) + FAT_MM

    def deltoid(x, y, z):
        round_part = shapes.ellipsoid(x, y, z, (2.0, 4.0, -8.0), (52.0, 56.0, 56.0))
        return shapes.intersection(round_part, fascia(x, y, z))

    def pectoralis(x, y, z):
        slab = np.abs(y + 44.0 - 0.12 * (x + 60.0)) - 10.0
        return shapes.intersection(slab, x + 22.0, z - 30.0, fascia(x, y, z))

    def subscapularis(x, y, z):
        return shapes.tube(
            x, y, z, ((-105, 30, -26), (-50, -8, -8), (-12, -27, -6)), (12.0, 10.0, 4.0)
        )

    def lung(x, y, z):
        return shapes.ellipsoid(x, y, z, (-125.0, 14.0, -40.0), (56.0, 58.0, 85.0))

    muscle = Tissue.MUSCLE
    parts = [
        make_part(skin_distance, (0.0, Tissue.SKIN, "body"), (-1.8, Tissue.FAT, "body")),
        make_part(deltoid, (0.0, muscle, "deltoid_left")),
        make_part(pectoralis, (1.0, Tissue.FAT, None), (0.0, muscle, "pectoralis_major_left")),
        make_part(subscapularis, (1.0, Tissue.FAT, None), (0.0, muscle, "subscapularis_left")),
        make_part(lung, (0.0, Tissue.LUNG, "lung_upper_lobe_left")),
    ]
    tubes = [
        ("axillary_artery_left", _ARTERY, 4.5, Tissue.ARTERY),
        ("brachial_plexus_left", _PLEXUS, 4.0, Tissue.NERVE),
        ("axillary_nerve_left", _AXILLARY, 2.0, Tissue.NERVE),
    ]
    if patient.bundle_over_target:
        tubes.append(("axillary_artery_left", _OVER_TARGET, 6.0, Tissue.ARTERY))
    for name, points, radius, tissue in tubes:
        tube = lambda x, y, z, p=points, r=radius: shapes.tube(x, y, z, p, (r,) * len(p))  # noqa: E731
        parts.append(make_part(tube, (1.5, Tissue.FAT, None), (0.0, tissue, name)))
    return parts


def _bone_parts() -> list[Part]:
    def layered(name: str):
        return (0.0, Tissue.CORTEX, name), (-1.8, Tissue.MARROW_FATTY, name)

    def clavicle(x, y, z):
        return shapes.capsule(x, y, z, (-10, 12, 46), (-130, -26, 40), 6.5)

    return [
        make_part(scapula_distance, *layered("scapula_left")),
        make_part(clavicle, *layered("clavicula_left")),
        make_part(humerus_distance, *layered("humerus_left")),
    ]
