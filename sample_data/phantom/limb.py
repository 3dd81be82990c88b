"""Left thigh of a supine patient down to the knee: femur with lesions, compartments, bundle.

Anatomy coordinates: origin in the middle of the femoral shaft, +x left (lateral), +y posterior,
+z head.
"""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.anatomy import Anatomy, assembled
from sample_data.phantom.part import Part, make_part
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scene_truth import TargetTruth, point_truth
from sample_data.phantom.tissues import Tissue

FAT_MM, SKIN_MM, SEPTUM_MM = 9.0, 1.8, 0.8
SHAFT_RADIUS_MM = 14.0
PLATE_Z_MM, PLATE_HALF_MM = -92.0, 1.8
LATERAL_SEPTUM_DEG, MEDIAL_SEPTA_DEG = 35.0, (150.0, 210.0)  # 0 lateral, 90 posterior
# z, centre x, centre y, half x, half y, turn
_SKIN = (
    (125, 3, 6, 78, 80, 0),
    (0, 2, 4, 66, 68, 0),
    (-80, 0, 2, 58, 58, 0),
    (-150, 0, 2, 55, 56, 0),
)
_FEMUR = (
    (135, 0, 0, 14, 14, 0), (-30, 0, 0, 14, 14, 0), (-60, 0, 1, 20, 17, 0), (-85, 0, 2, 30, 24, 0),
    (-100, 0, 2, 36, 28, 0), (-118, 0, 3, 38, 29, 0), (-126, 0, 3, 34, 25, 0),
)  # fmt: skip
ARTERY_MM = ((-30, -14, 130), (-28, -4, 40), (-26, 14, -20), (-8, 32, -80), (-4, 36, -150))
VEIN_MM = ((-34, -6, 130), (-32, 5, 40), (-28, 24, -20), (-2, 40, -80), (4, 42, -150))
NERVE_MM = ((6, 38, 130), (4, 40, 0), (6, 44, -60), (14, 44, -150))
# name: centre, half axes, tissue
LESIONS = {
    "bone_lesion": ((4.0, -4.0, 40.0), (7.5, 7.5, 14.0), Tissue.LESION_BONE),
    "nidus": ((11.0, 3.0, 76.0), (3.5, 3.5, 4.0), Tissue.LESION_BONE),
    "bone_cyst": ((0.0, 1.0, -60.0), (11.0, 9.5, 16.0), Tissue.CSF),
    "osteochondral_lesion": ((-25.0, 3.0, -116.0), (8.0, 8.0, 5.0), Tissue.LESION_BONE),
    "soft_tissue_tumour": ((37.0, -10.0, 4.0), (12.0, 11.0, 18.0), Tissue.TUMOUR),
}
BAR_RADIUS_MM, BAR_HALF_MM = 7.0, 3.8


def plate_z_mm(x):
    """Height of the growth plate, which dips at both sides."""
    return PLATE_Z_MM - 2.0 + 2.0 * np.cos(x / 12.0)


BAR_MM = (-28.0, 2.0, float(plate_z_mm(-28.0)))  # at the medial edge


def build_limb(patient: ScenePatient) -> Anatomy:
    """The thigh with every lesion."""
    return assembled(patient, [*_soft_parts(patient), *_bone_parts(), *_lesion_parts()])


def limb_targets(anatomy: Anatomy) -> dict[str, TargetTruth]:
    """Centres of the lesions; sizes are their shortest axes."""
    scale = anatomy.parameters.scale
    found = {
        name: point_truth(anatomy.parameters, centre, shortest_axis_mm=2 * min(half) * scale)
        for name, (centre, half, _) in LESIONS.items()
    }
    found["physeal_bar"] = point_truth(
        anatomy.parameters, BAR_MM, normal=(0, 0, 1.0), shortest_axis_mm=2 * BAR_HALF_MM * scale
    )
    return found


def skin_distance(x, y, z):
    """Outline of the thigh."""
    return shapes.column(x, y, z, _SKIN)


def femur_distance(x, y, z):
    """Shaft, metaphysis and condyles in one."""
    return shapes.column(x, y, z, _FEMUR)


def cortex_mm(z):
    """Thickness of the cortex: 6 mm in the shaft, 2 mm at the knee."""
    return np.interp(z, (-85.0, -45.0), (2.0, 6.0))


def _half_plane(x, y, angle_deg: float):
    """Distance beyond a septum that runs from the femur outwards, positive on its far side."""
    turn = np.deg2rad(angle_deg)
    return x * np.sin(turn) - y * np.cos(turn)


def _fascia(x, y, z):
    return skin_distance(x, y, z) + FAT_MM


def _posterior(x, y, z):
    sides = (
        _half_plane(x, y, LATERAL_SEPTUM_DEG), -_half_plane(x, y, MEDIAL_SEPTA_DEG[0])
    )  # fmt: skip
    return shapes.intersection(_fascia(x, y, z), *sides)


def _medial(x, y, z):
    first, second = MEDIAL_SEPTA_DEG
    return shapes.intersection(
        _fascia(x, y, z), _half_plane(x, y, first), -_half_plane(x, y, second)
    )


def _wrap(x, y, z):
    fascia = _fascia(x, y, z)
    return shapes.intersection(fascia, -10.0 - fascia)


def _varices(x, y, z):
    return shapes.intersection(np.abs(femur_distance(x, y, z) - 7.0) - 3.5, -128.0 - z)


def _soft_parts(patient: ScenePatient) -> list[Part]:
    muscle = Tissue.MUSCLE
    parts = [
        make_part(skin_distance, (0.0, Tissue.SKIN, "body"), (-SKIN_MM, Tissue.FAT, "body")),
        make_part(_fascia, (0.0, muscle, "quadriceps_femoris_left")),
    ]
    for name, distance in (("posterior", _posterior), ("medial", _medial)):
        label = f"thigh_{name}_compartment_left"
        parts.append(make_part(distance, (2 * SEPTUM_MM, Tissue.FAT, None), (0.0, muscle, label)))
    if patient.thigh_wrap:
        parts.append(make_part(_wrap, (0.0, muscle, "thigh_posterior_compartment_left")))
    tubes = (
        ("femoral_vein_left", VEIN_MM, 5.0, Tissue.VEIN),
        ("femoral_artery_left", ARTERY_MM, 4.5, Tissue.ARTERY),
        ("sciatic_nerve_left", NERVE_MM, 4.5, Tissue.NERVE),
    )
    for name, points, radius, tissue in tubes:
        parts.append(make_part(_tube(points, radius), (1.5, Tissue.FAT, None), (0.0, tissue, name)))
    if patient.bundle_over_target:
        parts.append(make_part(_varices, (0.0, Tissue.VEIN, "femoral_vein_left")))
    return parts


def _tube(points, radius: float):
    return lambda x, y, z: shapes.tube(x, y, z, points, (radius,) * len(points))


def _bone_parts() -> list[Part]:
    def marrow(x, y, z):
        return femur_distance(x, y, z) + cortex_mm(z)

    def cartilage(x, y, z):
        return shapes.intersection(femur_distance(x, y, z) - 2.5, z + 117.0)

    def plate(x, y, z):
        bent = np.abs(z - plate_z_mm(x)) - PLATE_HALF_MM
        return shapes.intersection(bent, femur_distance(x, y, z))

    return [
        make_part(cartilage, (0.0, Tissue.CARTILAGE, "joint_cartilage")),
        make_part(femur_distance, (0.0, Tissue.CORTEX, "femur_left")),
        make_part(marrow, (0.0, Tissue.MARROW_FATTY, "femur_left")),
        make_part(plate, (0.0, Tissue.PHYSIS, "growth_plate")),
    ]


def _lesion_parts() -> list[Part]:
    def bar(x, y, z):
        across = np.hypot(x - BAR_MM[0], y - BAR_MM[1]) - BAR_RADIUS_MM
        flat = np.abs(z - BAR_MM[2]) - BAR_HALF_MM
        return shapes.intersection(across, flat, femur_distance(x, y, z))

    parts = [
        make_part(
            lambda x, y, z, c=centre, h=half: shapes.ellipsoid(x, y, z, c, h),
            (0.0, tissue, name),
        )
        for name, (centre, half, tissue) in LESIONS.items()
    ]
    parts.append(make_part(bar, (0.0, Tissue.CORTEX, "femur_left"), (0.0, None, "physeal_bar")))
    return parts
