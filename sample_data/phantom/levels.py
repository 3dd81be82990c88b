"""Sizes of the vertebrae T12 to L5 and of the discs and facet joints between them.

Pedicle width and axial angle of L1 to L5: Zindrick 1987; T12 leans the other way there
(-4 deg), here 3 deg, the middle of what planning uses. All other sizes: this project.
"""

from typing import NamedTuple

ORDER = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""From head to feet; a disc or joint is named by its two levels, ``"L4_L5"``."""


class LevelSize(NamedTuple):
    """One vertebra, mm in its local frame and degrees."""

    tilt_deg: float
    height_mm: float
    half_width_mm: float
    wedge: float
    canal_half_mm: float
    pedicle_width_mm: float
    pedicle_angle_deg: float
    pedicle_h_mm: float
    pedicle_half_height_mm: float
    transverse_tip: tuple[float, float, float]
    spinous_length_mm: float
    facet_x_mm: float  # of its inferior processes, as seen by the lamina
    canal_size_mm: tuple[float, float]  # half width, half depth


LEVEL_SIZES = {
    "T12": LevelSize(
        -11.0, 25.5, 19.5, 0.0, 10.5, 7.1, 3.0, 6.0, 7.6,
        (22.0, 17.0, 3.0), 27.0, 11.5, (10.4, 8.0)
    ),
    "L1": LevelSize(
        -10.0, 26.5, 20.5, 0.0, 11.0, 8.7, 11.0, 5.8, 7.5,
        (37.0, 15.0, 4.0), 29.0, 12.0, (10.9, 8.1)
    ),
    "L2": LevelSize(
        -8.0, 27.5, 21.5, 0.005, 11.5, 8.9, 12.0, 5.6, 7.4,
        (44.0, 14.5, 4.0), 31.0, 12.5, (11.3, 8.2)
    ),
    "L3": LevelSize(
        -5.0, 28.0, 22.5, 0.01, 12.0, 10.3, 14.0, 5.5, 7.3,
        (48.0, 14.0, 4.0), 31.0, 13.0, (11.8, 8.2)
    ),
    "L4": LevelSize(
        3.5, 27.5, 24.0, 0.02, 12.5, 12.9, 18.0, 5.2, 7.2,
        (43.0, 14.0, 6.0), 29.0, 15.5, (12.2, 8.2)
    ),
    "L5": LevelSize(
        18.0, 25.5, 25.5, 0.055, 14.0, 18.0, 30.0, 4.0, 7.2,
        (45.0, 11.0, 5.0), 21.0, 18.5, (13.4, 8.2)
    ),
}  # fmt: skip
SACRAL_BASE_TILT_DEG = 35.0
S1_SUPERIOR_PROCESS_ROOT_X_MM = 25.0


class JointSize(NamedTuple):
    """What lies between two levels, in the disc's frame."""

    disc_height_mm: float
    disc_half_width_mm: float
    canal_size_mm: tuple[float, float]
    facet_x_mm: float
    facet_behind_wall_mm: float
    facet_angle_deg: float  # joint line against the sagittal plane


JOINT_SIZES = {
    "T12_L1": JointSize(7.5, 20.5, (10.4, 7.8), 11.5, 18.5, 22.0),
    "L1_L2": JointSize(8.5, 21.5, (10.6, 7.8), 12.0, 19.0, 26.0),
    "L2_L3": JointSize(9.5, 22.5, (10.8, 7.8), 12.5, 19.5, 31.0),
    "L3_L4": JointSize(10.0, 23.5, (11.0, 7.8), 13.0, 19.5, 36.0),
    "L4_L5": JointSize(11.0, 25.0, (11.5, 7.6), 15.5, 19.5, 44.0),
    "L5_S1": JointSize(10.0, 25.0, (13.0, 7.5), 18.5, 21.0, 50.0),
}


def joint_below(level: str) -> str:
    """Name of the joint under a vertebra: ``"L4"`` gives ``"L4_L5"``."""
    return f"{level}_{ORDER[ORDER.index(level) + 1]}"


def joint_above(level: str) -> str | None:
    """Name of the joint over a vertebra; None above the first."""
    n = ORDER.index(level)
    return f"{ORDER[n - 1]}_{level}" if n else None
