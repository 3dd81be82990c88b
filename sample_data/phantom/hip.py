"""Left hip of a supine patient: femoral head and neck, acetabulum, femoral bundle.

Anatomy coordinates: origin in the centre of the femoral head, +x left (lateral), +y posterior,
+z head. The neck is anteverted: the trochanter lies behind the head.
"""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.anatomy import Anatomy, assembled
from sample_data.phantom.part import Part, make_part
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scene_truth import TargetTruth, point_truth
from sample_data.phantom.tissues import Tissue

HEAD_RADIUS_MM, NECK_RADIUS_MM, JOINT_GAP_MM = 24.0, 14.5, 3.0
NECK_END_MM = np.array([36.0, 8.0, -26.0])
TARGET_GAP_MM = 2.5  # in front of the bone
JUNCTION_MM = 27.0  # along the neck, from the head's centre
BUNDLE_SHIFT_MM = 33.0  # of the variant with the bundle over the target
FAT_MM = 15.0
# z, centre x, centre y, half x, half y, turn
_SKIN = (
    (95, -70, 12, 166, 104, 0), (0, -70, 12, 164, 98, 0), (-40, -62, 12, 156, 96, 0),
    (-95, -58, 12, 150, 92, 0),
)  # fmt: skip
_MUSCLES = {
    "iliopsoas_left": (((-22, -32, 95), (-12, -36, 8), (14, -16, -58)), (17.0, 14.0, 9.0)),
    "quadriceps_femoris_left": (((10, -48, 45), (16, -52, 0), (26, -40, -90)), (8.0, 12.0, 22.0)),
    "sartorius_left": (((22, -56, 60), (2, -66, -10), (-22, -62, -90)), (7.0, 8.0, 8.0)),
    "gluteus_medius_left": (((14, 2, 85), (46, 6, 30), (52, 12, -8)), (26.0, 20.0, 8.0)),
    "gluteus_maximus_left": (((0, 72, 60), (30, 66, 0), (56, 44, -60)), (22.0, 24.0, 18.0)),
}
_BUNDLE = {
    "femoral_vein_left": (((-28, -46, 95), (-26, -52, 0), (-24, -50, -95)), 6.0, Tissue.VEIN),
    "femoral_artery_left": (((-18, -50, 95), (-15, -54, 0), (-14, -50, -95)), 4.5, Tissue.ARTERY),
    "femoral_nerve_left": (((-8, -52, 95), (-6, -53, 0), (-4, -50, -95)), 2.5, Tissue.NERVE),
}


def build_hip(patient: ScenePatient) -> Anatomy:
    """The hip with its bundle, in its place or in front of the target."""
    return assembled(patient, [*_soft_parts(patient), *_bone_parts()])


def hip_targets(anatomy: Anatomy) -> dict[str, TargetTruth]:
    """In front of the head-neck junction, inside the capsule."""
    along = NECK_END_MM / np.linalg.norm(NECK_END_MM)
    front = np.array([0.0, -1.0, 0.0]) + along[1] * along
    ray = JUNCTION_MM * along + np.arange(5.0, 30.0, 0.1)[:, None] * front / np.linalg.norm(front)
    outside = femur_distance(*ray.T) > TARGET_GAP_MM
    point = ray[int(np.argmax(outside))]
    return {
        "hip:left": point_truth(
            anatomy.parameters,
            point,
            axis=-front,
            head_radius_mm=HEAD_RADIUS_MM * anatomy.parameters.scale,
        )
    }


def skin_distance(x, y, z):
    """Left side and front of the pelvis and thigh, without the other leg."""
    return shapes.column(x, y, z, _SKIN)


def femur_distance(x, y, z):
    """Head, neck, greater trochanter and the top of the shaft."""
    head = np.sqrt(x**2 + y**2 + z**2) - HEAD_RADIUS_MM
    neck = shapes.capsule(x, y, z, (0, 0, 0), NECK_END_MM, NECK_RADIUS_MM)
    trochanter = shapes.capsule(x, y, z, (46, 14, -10), (46, 12, -40), 16.0)
    shaft = shapes.capsule(x, y, z, (45, 11, -44), (40, 6, -140), 15.0)
    return shapes.smooth_union(
        shapes.smooth_union(head, neck, 3.0), shapes.smooth_union(trochanter, shaft, 5.0), 6.0
    )


def hip_bone_distance(x, y, z):
    """Acetabular cup with ilium, pubis and ischium; the joint space is cut out."""
    r = np.sqrt(x**2 + y**2 + z**2)
    opening = 0.72 * x - 0.3 * y - 0.62 * z - 4.0  # the cup faces sideways, forwards and down
    cup = shapes.smooth_intersection(r - HEAD_RADIUS_MM - 13.0, opening, 3.0)
    ilium = shapes.capsule(x, y, z, (-16, 8, 34), (-4, 6, 120), 15.0, 12.0)
    pubis = shapes.capsule(x, y, z, (-30, -14, -4), (-90, -34, -26), 10.0, 9.0)
    ischium = shapes.capsule(x, y, z, (-22, 26, -16), (-26, 34, -70), 13.0)
    bone = shapes.smooth_union(shapes.smooth_union(cup, ilium, 6.0), pubis, 4.0)
    bone = shapes.smooth_union(bone, ischium, 4.0)
    return np.maximum(bone, HEAD_RADIUS_MM + JOINT_GAP_MM - r)


def _soft_parts(patient: ScenePatient) -> list[Part]:
    def cartilage(x, y, z):
        r = np.sqrt(x**2 + y**2 + z**2)
        cup = hip_bone_distance(x, y, z) - JOINT_GAP_MM - 0.6
        return shapes.intersection(cup, r - HEAD_RADIUS_MM - JOINT_GAP_MM)

    parts = [
        make_part(skin_distance, (0.0, Tissue.SKIN, "body"), (-1.8, Tissue.FAT, "body")),
    ]
    for name, (points, radii) in _MUSCLES.items():
        muscle = _tube(points, radii)
        inside = lambda x, y, z, m=muscle: np.maximum(m(x, y, z), skin_distance(x, y, z) + FAT_MM)  # noqa: E731
        parts.append(make_part(inside, (1.2, Tissue.FAT, None), (0.0, Tissue.MUSCLE, name)))
    shift = BUNDLE_SHIFT_MM if patient.bundle_over_target else 0.0
    for name, (points, radius, tissue) in _BUNDLE.items():
        moved = np.add(points, (shift, 0.0, 0.0))
        tube = _tube(moved, (radius,) * len(points))
        parts.append(make_part(tube, (1.5, Tissue.FAT, None), (0.0, tissue, name)))
    parts.append(make_part(cartilage, (0.0, Tissue.CARTILAGE, "hip_joint_cartilage_left")))
    return parts


def _tube(points, radii):
    return lambda x, y, z: shapes.tube(x, y, z, points, radii)


def _bone_parts() -> list[Part]:
    def layered(name: str, shell_mm: float):
        return (0.0, Tissue.CORTEX, name), (-shell_mm, Tissue.MARROW_FATTY, name)

    return [
        make_part(hip_bone_distance, *layered("hip_left", 1.5)),
        make_part(femur_distance, *layered("femur_left", 2.0)),
    ]
