"""Thecal sac, cauda equina and nerve roots of the lumbar spine."""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.spine import WALL_MM, Spine, canal_local, sacral_point


def thecal_sac_distance(spine: Spine, x, y, z):
    """Dural sac, lying towards the front of the canal (prone), ending at S2."""
    v, _, _ = canal_local(spine, y, z)
    end_z = sacral_point(spine, 0.0, 11.0, 42.0)[2]
    taper = np.clip((z - end_z) / 55.0, 0.0, 1.0) ** 0.6
    half_x = np.maximum(8.6 * taper, 0.3)
    half_y = np.maximum(6.0 * taper, 0.3)
    return np.maximum(shapes.superellipse(x, v + 1.0, half_x, half_y), end_z - z)


def cauda_equina_distance(spine: Spine, x, y, z):
    """Rootlets inside the sac; they sink to its front in the prone patient."""
    v, _, _ = canal_local(spine, y, z)
    strands = []
    for n, (x_mm, v_mm) in enumerate(
        (
            (-5.4, -2.6),
            (-3.2, -4.0),
            (-1.0, -4.7),
            (1.3, -4.6),
            (3.4, -3.9),
            (5.3, -2.5),
            (-5.9, -0.4),
            (5.9, -0.2),
        )
    ):
        sway = 0.5 * np.sin(z / 17.0 + n)
        strands.append(np.hypot(x - x_mm - sway, v - v_mm) - 0.75)
    return np.maximum(shapes.union(*strands), thecal_sac_distance(spine, x, y, z) + 0.6)


_ROOT_ENDS_MM = {
    "L1": (50.0, 12.0, 66.0),
    "L2": (42.0, 5.0, 8.0),
    "L3": (42.0, 4.0, -40.0),
    "L4": (40.0, 4.0, -66.0),
    "L5": (42.5, 8.0, -100.0),
}


def nerve_root_line(spine: Spine, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Left root: points (n, 3) in anatomy coordinates and radii; ganglion under the pedicle."""
    if level == "S1":
        points = [spine.discs["L5_S1"].point(6.5, WALL_MM + 6.0, 4.0)]
        places = (
            (7.0, 16.5, 8.0),
            (7.5, 14.0, 17.0),
            (7.6, 13.0, 21.0),
            (11.8, 10.4, 25.4),
            (16.5, 5.0, 28.5),
            (18.8, -4.0, 30.3),
            (20.0, -15.0, 32.5),
        )
        points += [sacral_point(spine, *place) for place in places]
        points += [
            np.array([30.0, points[-1][1] - 1.0, points[-1][2] - 12.0]),
            np.array([42.0, 14.0, -118.0]),
        ]
        return np.asarray(points), np.array([1.4, 1.6, 1.6, 1.8, 1.9, 2.5, 2.2, 2.0, 2.1, 2.3])
    v = spine.vertebrae[level]
    bottom = v.pedicle_h_mm - v.pedicle_half_height_mm
    wall_x = v.pedicle_x_mm - v.pedicle_half_width_mm / np.cos(v.pedicle_angle_rad)
    place = [
        (7.4, WALL_MM + 6.5, bottom + 9.0),
        (wall_x - 3.3, WALL_MM + 5.6, bottom + 1.5),
        (wall_x + 0.6, WALL_MM + 5.0, bottom - 3.4),
        (wall_x + 6.0, WALL_MM + 4.6, bottom - 5.4),
        (wall_x + 12.0, WALL_MM + 2.0, bottom - 8.5),
        (wall_x + 18.0, WALL_MM - 5.0, bottom - 15.0),
        (wall_x + 22.0, WALL_MM - 13.0, bottom - 28.0),
    ]
    radii = [1.2, 1.5, 1.9, 2.7, 2.0, 1.9, 1.9]
    points = [v.pose.point(*p) for p in place]
    # beyond the foramen the roots run down inside or behind the psoas, L5 over the sacral ala
    if level == "L5":
        points[-2:] = [
            v.pose.point(wall_x + 16.0, WALL_MM - 13.0, bottom - 12.0),
            sacral_point(spine, 34.0, -18.5, 1.0),
        ]
        points += [sacral_point(spine, 38.0, -18.0, 18.0), sacral_point(spine, 40.0, -17.5, 32.0)]
    points.append(np.array(_ROOT_ENDS_MM[level]))
    return np.asarray(points), np.asarray(radii + [1.9] * (len(points) - len(radii)))
