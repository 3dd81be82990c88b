"""Scan planes of one trajectory, by formulas written a second time."""

from __future__ import annotations

import math

import numpy as np

from planner.geometry.frames import FloatArray
from planner.io.plan_document import ScanPlaneRecord, TrajectoryRecord
from planner.verify.findings import LENGTH_TOL_MM, Recomputed
from planner.verify.ledger import Ledger

DIRECTION_TOL = 1e-6
TEXT_TOL_DEG = 0.2
"""Console texts are rounded to a tenth of a degree, two of them."""

NAMES = ("along needle 1", "along needle 2", "across needle at target")
VIEW_MARGIN_MM, VIEW_STEP_MM = 40.0, 10.0
"""Shown beyond the needle on either side, and what a field of view is rounded up to."""

_AXIS_OF_LETTER = {"S": 0, "C": 1, "T": 2}


def check_planes(trajectory: TrajectoryRecord, truth: Recomputed, book: Ledger) -> None:
    """Two planes hold the needle at right angles, one lies across it at the tip."""
    entry, tip = truth.entry_lps_mm, np.array(trajectory.tip_lps_mm)
    planes = trajectory.scan_planes
    book.rule("scan_planes: number", len(planes), 3, len(planes) == 3)
    for number, plane in enumerate(planes, start=1):
        claim = f"scan_planes[{number}]"
        frame = np.array([plane.row_direction_lps, plane.column_direction_lps, plane.normal_lps])
        off = float(np.abs(frame @ frame.T - np.eye(3)).max())
        book.close(f"{claim} directions are at right angles within", off, 0.0, DIRECTION_TOL)
        turn = math.radians(plane.readout_rotation_deg)
        turned = math.cos(turn) * frame[0] + math.sin(turn) * frame[1]
        off = float(np.linalg.norm(np.cross(turned, plane.readout_direction_lps)))
        book.close(f"{claim}.readout_rotation_deg is off the readout by", off, 0.0, DIRECTION_TOL)
        book.rule(
            f"{claim}.orientation says the normal",
            plane.orientation,
            None,
            _text_fits(plane),
        )
    names = [plane.name for plane in planes]
    book.rule("scan_planes: names", names, list(NAMES), names == list(NAMES))
    holding, across = planes[:2], planes[2:]
    for number, plane in enumerate(holding, start=1):
        _check_holds(f"scan_planes[{number}]", plane, entry, tip, book)
    if len(holding) == 2:
        between = float(np.dot(holding[0].normal_lps, holding[1].normal_lps))
        book.close("scan_planes[1] and [2] are at right angles within", between, 0.0, DIRECTION_TOL)
    for plane in across:
        along = abs(float(np.dot(plane.normal_lps, truth.direction_lps)))
        book.close("scan_planes[3].normal_lps along the needle", along, 1.0, DIRECTION_TOL)
        _check_view("scan_planes[3]", plane, 2 * VIEW_MARGIN_MM, book)
        _check_reason("scan_planes[3]", plane, "any in-plane direction", True, book)
        off_mm = float(np.linalg.norm(np.array(plane.centre_lps_mm) - tip))
        book.close("scan_planes[3].centre_lps_mm is off the tip by", off_mm, 0.0, LENGTH_TOL_MM)


def _check_holds(
    claim: str, plane: ScanPlaneRecord, entry: FloatArray, tip: FloatArray, book: Ledger
) -> None:
    centre, normal = np.array(plane.centre_lps_mm), np.array(plane.normal_lps)
    sides = np.array([plane.row_direction_lps, plane.column_direction_lps])
    for name, point in (("entry", entry), ("tip", tip)):
        off_mm = float((point - centre) @ normal)
        book.close(f"{claim} is off the {name} by", off_mm, 0.0, LENGTH_TOL_MM)
        reach = float(np.abs(sides @ (point - centre)).max())
        book.rule(
            f"{claim}.field_of_view_mm shows the {name}",
            plane.field_of_view_mm,
            2 * reach,
            plane.field_of_view_mm >= 2 * reach,
        )
    middle_mm = float(np.linalg.norm(centre - (entry + tip) / 2))
    book.close(f"{claim}.centre_lps_mm is off the needle's middle by", middle_mm, 0, LENGTH_TOL_MM)
    length_mm = float(np.linalg.norm(tip - entry))
    _check_view(claim, plane, length_mm, book)
    along = abs(float(np.dot(plane.readout_direction_lps, (tip - entry) / length_mm)))
    words, is_so = ("across the needle", along <= DIRECTION_TOL)
    if plane.readout_reason.startswith("along"):
        words, is_so = ("along the needle", along >= 1 - DIRECTION_TOL)
    _check_reason(claim, plane, words, is_so, book)
    readout = abs(float(np.dot(plane.readout_direction_lps, normal)))
    book.close(f"{claim}.readout_direction_lps is out of the plane by", readout, 0.0, DIRECTION_TOL)


def _check_view(claim: str, plane: ScanPlaneRecord, shown_mm: float, book: Ledger) -> None:
    """The field of view shows what it must with its margin, and not much more."""
    least_mm = shown_mm + 2 * VIEW_MARGIN_MM
    over_mm = plane.field_of_view_mm - least_mm
    is_round = abs(math.remainder(plane.field_of_view_mm, VIEW_STEP_MM)) <= DIRECTION_TOL
    is_right = is_round and -LENGTH_TOL_MM <= over_mm <= VIEW_STEP_MM + LENGTH_TOL_MM
    book.rule(f"{claim}.field_of_view_mm", plane.field_of_view_mm, least_mm, is_right)


def _check_reason(
    claim: str, plane: ScanPlaneRecord, words: str, is_so: bool, book: Ledger
) -> None:
    """The readout runs as its reason says."""
    is_right = is_so and plane.readout_reason.startswith(words)
    book.rule(f"{claim}.readout_reason", plane.readout_reason, words, is_right)


def _text_fits(plane: ScanPlaneRecord) -> bool:
    """Whether two turns from the main plane, as the text says, give the plane's normal."""
    parts = [part.split() for part in plane.orientation.split(">")]
    try:
        normal = np.eye(3)[_AXIS_OF_LETTER[parts[0][0]]]
        for letter, angle in parts[1:]:
            towards = np.eye(3)[_AXIS_OF_LETTER[letter]]
            turn = -math.radians(float(angle))
            # a turn in the plane of the normal and the axis it leans to
            side = towards - (towards @ normal) * normal
            side = side / np.linalg.norm(side)
            normal = math.cos(turn) * normal + math.sin(turn) * side
    except (KeyError, ValueError, IndexError):
        return False
    return abs(float(normal @ np.array(plane.normal_lps))) >= math.cos(math.radians(TEXT_TOL_DEG))
