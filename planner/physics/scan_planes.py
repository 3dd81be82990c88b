"""Scan planes for a path: two that hold the needle, one across it at the target.

Angles are told the way consoles show them, for example ``T > C 12.3 > S -4.5``: the main
plane is that of the largest component of the normal, then the tilt towards the second
axis, then towards the third. With the normal turned so that its main component is
positive: first = -atan2(n_second, n_main), second = -asin(n_third), in patient
coordinates (L, P, S). Evidence M: signs as published for Siemens protocols; other vendors
turn in another order, so the vectors are given too.
"""

from __future__ import annotations

import numpy as np

from planner.geometry.frames import FloatArray, unit
from planner.model.mr_results import ScanPlane

_LETTERS = ("S", "C", "T")
"""Sagittal, coronal, transverse: planes normal to L, P and S."""

_FOV_MARGIN_MM = 40.0
"""Added around entry and target (E): skin, hub and a landmark or two."""

_FOV_STEP_MM = 10.0


def scan_planes(
    entry_lps_mm: FloatArray, tip_lps_mm: FloatArray
) -> tuple[ScanPlane, ScanPlane, ScanPlane]:
    """The three planes of a path.

    The first has its readout across the needle (true tip depth, wider shaft), the second
    along it (true shaft width, less certain tip). L: Lewin 1996, Frazzini 1997.

    Parameters
    ----------
    entry_lps_mm, tip_lps_mm : (3,)
        Entry and target.

    Returns
    -------
    tuple of ScanPlane
        The two planes that hold the needle are at right angles; the first is the one
        nearest to an axial (or, for a needle along the body, sagittal) image.
    """
    entry, tip = np.asarray(entry_lps_mm, float), np.asarray(tip_lps_mm, float)
    needle = unit(tip - entry)
    first = _normal_nearest(needle)
    second = unit(np.cross(needle, first))
    middle, length = (entry + tip) / 2.0, float(np.linalg.norm(tip - entry))
    view = _rounded_up(length + 2 * _FOV_MARGIN_MM)
    return (
        _in_plane("along needle 1", middle, first, needle, view, confirm_depth=True),
        _in_plane("along needle 2", middle, second, needle, view, confirm_depth=False),
        _across(tip, needle),
    )


def console_orientation(normal_lps: FloatArray) -> str:
    """The double-oblique text of a plane, such as ``T > C 12.3 > S -4.5``.

    Examples
    --------
    >>> console_orientation(np.array([0.0, 0.0, -1.0]))
    'T'
    >>> console_orientation(np.array([-0.0782, 0.4036, 0.9116]))
    'T > C -23.9 > S 4.5'
    """
    normal = unit(normal_lps)
    # ties go to the transverse, then the coronal plane
    order = sorted(range(3), key=lambda axis: (-round(float(abs(normal[axis])), 9), -axis))
    main, second, third = order
    if normal[main] < 0:
        normal = -normal
    tilt = -np.degrees(np.arctan2(normal[second], normal[main]))
    twist = -np.degrees(np.arcsin(np.clip(normal[third], -1.0, 1.0)))
    text = _LETTERS[main]
    if round(abs(tilt), 1) > 0 or round(abs(twist), 1) > 0:
        text += f" > {_LETTERS[second]} {round(tilt, 1) + 0.0:.1f}"
    if round(abs(twist), 1) > 0:
        text += f" > {_LETTERS[third]} {round(twist, 1) + 0.0:.1f}"
    return text


def _normal_nearest(needle: FloatArray) -> FloatArray:
    """Normal of the plane through the needle that is nearest to axial, else to sagittal."""
    for wanted in (np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])):
        across = wanted - (wanted @ needle) * needle
        if np.linalg.norm(across) > np.sin(np.radians(30.0)):
            return unit(across)
    raise AssertionError("two axes at right angles cannot both lie within 30 degrees of a line")


def _in_plane(
    name: str,
    centre: FloatArray,
    normal: FloatArray,
    needle: FloatArray,
    view_mm: float,
    *,
    confirm_depth: bool,
) -> ScanPlane:
    row, column = _rows_and_columns(normal)
    readout = unit(np.cross(normal, needle)) if confirm_depth else needle
    return ScanPlane(
        name=name,
        centre_lps_mm=centre,
        normal_lps=np.cross(row, column),
        row_direction_lps=row,
        column_direction_lps=column,
        orientation=console_orientation(normal),
        field_of_view_mm=view_mm,
        readout_direction_lps=readout,
        readout_rotation_deg=_rotation_deg(readout, row, column),
        readout_reason=(
            "across the needle: true tip depth, wider shaft"
            if confirm_depth
            else "along the needle: true shaft width, less certain tip"
        ),
    )


def _across(tip: FloatArray, needle: FloatArray) -> ScanPlane:
    row, column = _rows_and_columns(needle)
    return ScanPlane(
        name="across needle at target",
        centre_lps_mm=tip,
        normal_lps=np.cross(row, column),
        row_direction_lps=row,
        column_direction_lps=column,
        orientation=console_orientation(needle),
        field_of_view_mm=_rounded_up(2 * _FOV_MARGIN_MM * 2),
        readout_direction_lps=row,
        readout_rotation_deg=0.0,
        readout_reason="any in-plane direction: the needle is seen as a dot",
    )


def _rows_and_columns(normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """In-plane axes as radiologists look: rows towards L (or P), columns towards P (or feet)."""
    main = int(np.argmax(np.abs(normal)))
    # transverse: row L; coronal: row L; sagittal: row P
    wanted = np.array([0.0, 1.0, 0.0]) if main == 0 else np.array([1.0, 0.0, 0.0])
    row = unit(wanted - (wanted @ normal) * normal)
    column = np.cross(normal, row)
    down = np.array([0.0, 0.0, -1.0]) if main in (0, 1) else np.array([0.0, 1.0, 0.0])
    return row, column if column @ down >= 0 else -column


def _rotation_deg(direction: FloatArray, row: FloatArray, column: FloatArray) -> float:
    """In-plane turn from the row to a direction (either end), -90 to 90 degrees."""
    along, down = float(direction @ row), float(direction @ column)
    if along < 0.0:
        along, down = -along, -down
    return float(np.degrees(np.arctan2(down, along)))


def _rounded_up(length_mm: float) -> float:
    return float(np.ceil(length_mm / _FOV_STEP_MM) * _FOV_STEP_MM)
