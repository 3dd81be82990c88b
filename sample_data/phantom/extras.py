"""What the scenes add to the trunk: abscess with bowel beside it, cyst, and obstacles."""

from functools import partial
from itertools import pairwise

import numpy as np

from sample_data.phantom import shapes, trunk
from sample_data.phantom.part import Part, make_part
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.spine import Spine, sacral_local
from sample_data.phantom.tissues import Tissue

ABSCESS_CENTRE_MM = np.array([54.0, -2.0, 12.0])  # in the left psoas beside L4
ABSCESS_HALF_AXES_MM = (15.0, 17.0, 24.0)
ABSCESS_WALL_MM = 2.0
CYST_CENTRE_MM = np.array([-31.0, 52.0, -14.0])  # behind the right L4-L5 facet joint
CYST_HALF_AXES_MM = (6.5, 6.0, 7.5)


def organ_parts(patient: ScenePatient) -> list[Part]:
    """Parts that bones and nerves are painted over."""

    def abscess(x, y, z):
        return shapes.ellipsoid(x, y, z, ABSCESS_CENTRE_MM, ABSCESS_HALF_AXES_MM)

    def loop(x, y, z):
        back = ((104.0, 8.0, 12.0), (84.0, 22.0, 12.0), (62.0, 30.0, 12.0), (47.0, 27.0, 12.0))
        upright = [
            shapes.capsule(x, y, z, (px, py, pz - 42.0), (px, py, pz + 42.0), 8.0)
            for px, py, pz in back
        ]
        return shapes.union(*upright, shapes.tube(x, y, z, back, (8.0, 9.0, 9.0, 8.0)))

    parts = [
        make_part(
            abscess, (0.0, Tissue.BOWEL_WALL, "abscess"), (-ABSCESS_WALL_MM, Tissue.PUS, "abscess")
        )
    ]
    if patient.has_bowel_behind:
        parts.append(
            make_part(loop, (0.0, Tissue.BOWEL_WALL, "bowel"), (-2.0, Tissue.STOOL, "bowel"))
        )
    return parts


def target_parts(patient: ScenePatient, column: Spine) -> list[Part]:
    """Parts that lie over bones and nerves."""

    def cyst(x, y, z):
        return shapes.ellipsoid(x, y, z, CYST_CENTRE_MM, CYST_HALF_AXES_MM)

    parts = [make_part(cyst, (0.0, Tissue.CSF, "paraspinal_cyst"))]
    if patient.has_bone_behind_cyst:
        parts.append(make_part(_bone_over_cyst, (0.0, Tissue.CORTEX, "L4")))
    if patient.has_fusion_mass:
        parts.append(make_part(_fusion_mass, (0.0, Tissue.CORTEX, "L4")))
    if patient.has_sealed_sacrum:
        seal = partial(_sacral_seal, column)
        parts.append(make_part(seal, (0.0, Tissue.CORTEX, "sacrum")))
    if patient.has_gluteal_varix:
        parts.append(make_part(_gluteal_sheet, (0.0, Tissue.VEIN, "gluteal_vein_left")))
    return parts


def _bone_over_cyst(x, y, z):
    """A shell of bone around the cyst, open to the front only."""
    r = np.sqrt(
        (x - CYST_CENTRE_MM[0]) ** 2 + (y - CYST_CENTRE_MM[1]) ** 2 + (z - CYST_CENTRE_MM[2]) ** 2
    )
    return shapes.intersection(np.abs(r - 14.0) - 3.0, CYST_CENTRE_MM[1] - 9.0 - y)


def _fusion_mass(x, y, z):
    """Bone of a posterolateral fusion, from the laminae to beyond the transverse processes."""
    course = ((7.0, 57.0), (22.0, 51.0), (36.0, 40.0), (58.0, 32.0))
    pieces = [
        shapes.plate(x, y, z, start, end, 5.5, -52.0, 46.0) for start, end in pairwise(course)
    ]
    return shapes.union(*pieces)


def _sacral_seal(column: Spine, x, y, z):
    a, s = sacral_local(column, y, z)
    flat = np.abs(a - 19.0) - 3.0
    return shapes.intersection(flat, np.abs(s - 30.0) - 40.0, np.abs(np.abs(x) - 24.0) - 16.0)


def _gluteal_sheet(x, y, z):
    """A layer 15 to 23 mm under the skin of the left buttock and over the sacrum."""
    depth = np.abs(trunk.skin_distance(x, y, z) + 19.0) - 4.0
    return shapes.intersection(depth, -8.0 - x, x - 115.0, -20.0 - y, z - 5.0)
