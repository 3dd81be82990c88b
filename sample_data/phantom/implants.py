"""Pedicle screws L4 and L5 on both sides with two rods (titanium alloy)."""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.spine import Spine, Vertebra

SCREW_DIAMETER_MM = 6.5
SCREW_LENGTH_MM = 45.0
HEAD_RADIUS_MM = 6.2
ROD_DIAMETER_MM = 5.5
_ENTRY_BEHIND_ISTHMUS_MM = 14.0
MATERIAL = "Ti-6Al-4V"
DELTA_CHI_PPM = 190.0
"""Susceptibility relative to soft tissue: +181 (Schenck 1996) less -9 (SI, ppm)."""


def screw_axis(v: Vertebra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rod centre, entry and tip (anatomy coordinates, left side) of the screw of one vertebra."""
    angle = min(v.pedicle_angle_rad, np.deg2rad(25.0))
    forward = np.array([-np.sin(angle), -np.cos(angle), 0.0])
    isthmus = np.array([v.pedicle_x_mm, v.pedicle_a_mm, v.pedicle_h_mm])
    entry = isthmus - _ENTRY_BEHIND_ISTHMUS_MM * forward
    places = (entry - 8.0 * forward, entry, entry + SCREW_LENGTH_MM * forward)
    return tuple(v.pose.point(*place) for place in places)


def screws_distance(spine: Spine, x, y, z):
    """Shanks and tulip heads of all four screws."""
    ax = np.abs(x)
    pieces = []
    for level in ("L4", "L5"):
        rod, entry, tip = screw_axis(spine.vertebrae[level])
        pieces.append(
            shapes.capsule(ax, y, z, entry, tip, SCREW_DIAMETER_MM / 2, SCREW_DIAMETER_MM / 2 - 0.6)
        )
        pieces.append(shapes.capsule(ax, y, z, entry, rod, HEAD_RADIUS_MM))
    return shapes.union(*pieces)


def rod_ends(spine: Spine) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the left rod (anatomy coordinates): 9 mm beyond both screw heads."""
    upper = screw_axis(spine.vertebrae["L4"])[0]
    lower = screw_axis(spine.vertebrae["L5"])[0]
    along = (lower - upper) / np.linalg.norm(lower - upper)
    return upper - 9 * along, lower + 9 * along


def rods_distance(spine: Spine, x, y, z):
    """One rod per side through the screw heads, 9 mm longer at both ends."""
    return shapes.capsule(np.abs(x), y, z, *rod_ends(spine), ROD_DIAMETER_MM / 2)


def left_axis_points(spine: Spine) -> np.ndarray:
    """Ends of every axis of the left side's metal, (n, 3) anatomy coordinates."""
    screws = [p for level in ("L4", "L5") for p in screw_axis(spine.vertebrae[level])]
    return np.array([*screws, *rod_ends(spine)])
