"""The upper lumbar region: trunk above L2, cord, pleura, twelfth ribs, liver, coeliac artery.

The tables of ``trunk`` end at 90 mm. Above ``TABLE_TOP_MM`` the trunk goes on with its last
section, carried along by the course of the spine; the vena cava leaves the spine forwards.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from sample_data.phantom import shapes, trunk
from sample_data.phantom.nerves import thecal_sac_distance
from sample_data.phantom.part import Distance, Part, make_part
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.spine import (
    WALL_MM,
    Spine,
    canal_local,
)
from sample_data.phantom.tissues import Tissue

TABLE_TOP_MM = 85.0
WORLD_TOP_MM = 215.0
COELIAC_BELOW_DISC_MM = 3.0
_CAVA_FORWARD = 0.35
_SIDES = {"left": 1.0, "right": -1.0}


def spine_shift_mm(column: Spine, z):
    """How far the spine at height z lies behind its place at ``TABLE_TOP_MM``."""
    rows = sorted((v.pose.z_mm, v.pose.y_mm) for v in column.vertebrae.values())
    z_row, y_row = np.asarray(rows).T
    above = np.interp(z, z_row, y_row) - np.interp(TABLE_TOP_MM, z_row, y_row)
    return np.where(np.asarray(z) > TABLE_TOP_MM, above, 0.0)


def raised(part: Part, column: Spine, name: str) -> Part:
    """A part of the trunk continued above its table."""
    if part.high_mm[2] < TABLE_TOP_MM or name.startswith("kidney"):
        return part
    forward = _CAVA_FORWARD if name == "inferior_vena_cava" else 0.0

    def distance(x, y, z):
        ahead = forward * np.clip(z - TABLE_TOP_MM, 0.0, None)
        return part.distance(x, y - spine_shift_mm(column, z) + ahead, np.minimum(z, TABLE_TOP_MM))

    high = np.maximum(part.high_mm + np.array([0.0, 25.0, 0.0]), (-np.inf, -np.inf, WORLD_TOP_MM))
    return replace(
        part, distance=distance, low_mm=part.low_mm - np.array([0.0, 50.0, 0.0]), high_mm=high
    )


def upper_parts(column: Spine, patient: ScenePatient) -> list[Part]:
    """What only the scenes above L2 show, in painting order."""
    lung = partial(_lung_distance, column, patient.pleura_drop_mm)
    parts = [make_part(partial(_liver_distance, column), (0.0, Tissue.LIVER, "liver"))]
    for side, sign in _SIDES.items():
        mirrored: Distance = lambda x, y, z, sign=sign: lung(sign * x, y, z)  # noqa: E731
        parts.append(make_part(mirrored, (0.0, Tissue.LUNG, f"lung_{side}")))
        rib = partial(shapes.tube, points=rib_line(column) * (sign, 1, 1), radii_mm=(4.5, 4.5, 3.5))
        parts.append(
            make_part(
                rib,
                (1.0, Tissue.FAT, ""),
                (0.0, Tissue.CORTEX, f"rib_{side}_12"),
                (-1.2, Tissue.MARROW, f"rib_{side}_12"),
            )
        )
    artery = partial(shapes.tube, points=coeliac_line(column), radii_mm=(3.6, 3.2))
    parts.append(make_part(artery, (0.0, Tissue.ARTERY, "coeliac_artery")))
    parts.append(make_part(partial(cord_distance, column), (0.0, Tissue.NERVE, "spinal_cord")))
    return parts


def cord_distance(column: Spine, x, y, z):
    """Spinal cord, ending as the conus at the L1-L2 disc."""
    v, _, _ = canal_local(column, y, z)
    conus_z = column.discs["L1_L2"].z_mm
    taper = np.clip((z - conus_z) / 22.0, 0.0, 1.0) ** 0.7
    round_part = shapes.superellipse(x, v + 1.0, np.maximum(4.9 * taper, 0.3), 3.9 * taper + 0.3)
    inside = thecal_sac_distance(column, x, y, z) + 0.8
    return shapes.intersection(round_part, conus_z - z, inside)


def coeliac_line(column: Spine) -> np.ndarray:
    """First centimetres of the coeliac artery, (2, 3) in anatomy coordinates."""
    z = column.discs["T12_L1"].z_mm - COELIAC_BELOW_DISC_MM
    aorta_y = -33.0 + float(spine_shift_mm(column, z))
    return np.array([(8.5, aorta_y - 5.0, z), (5.0, aorta_y - 26.0, z - 7.0)])


def rib_line(column: Spine) -> np.ndarray:
    """Left twelfth rib, (3, 3) in anatomy coordinates: down, back and sideways."""
    head = column.vertebrae["T12"].pose.point(26.0, WALL_MM + 2.0, 1.0)
    return head + np.array([(0.0, 0.0, 0.0), (46.0, 24.0, -16.0), (82.0, 10.0, -38.0)])


def _lung_distance(column: Spine, drop_mm: float, x, y, z):
    """Posterior costodiaphragmatic recess of the side x > 0."""
    shift = spine_shift_mm(column, z)
    level = np.minimum(z, TABLE_TOP_MM)
    ribs = trunk.fascia_distance(x, y - shift, level) + 15.0
    behind = (
        y
        - shift
        - 0.1 * drop_mm
        - np.interp(x, (20.0, 45.0, 70.0, 110.0), (22.0, 32.0, 42.0, 62.0))
    )
    bottom_z = column.discs["T12_L1"].z_mm + np.interp(x, (25.0, 75.0, 120.0), (24.0, 20.0, -8.0))
    below = bottom_z - drop_mm - z
    return shapes.intersection(ribs, behind, below, 27.0 - 0.08 * drop_mm - x, -25.0 - y)


def _liver_distance(column: Spine, x, y, z):
    centre = (-84.0, -34.0, column.discs["T12_L1"].z_mm + 40.0)
    return shapes.ellipsoid(x, y, z, centre, (50.0, 62.0, 62.0))
