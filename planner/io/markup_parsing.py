"""3D Slicer's point and line files, parsed: points with the frame their file states.

Used for a target (:mod:`planner.io.markups`) and for needles of others
(:mod:`planner.io.markup_lines`).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from planner.errors import InputError
from planner.geometry.frames import FloatArray, lps_from_ras

MAX_MARKUPS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkupPoint:
    """A point as the file has it; ``group`` is the name of its markup."""

    label: str
    group: str
    position: Sequence[object]
    coordinate_system: object

    @property
    def full_label(self) -> str:
        """The label that tells it from a point of another markup."""
        return f"{self.group}/{self.label}" if self.group else self.label


def read_markup_text(file: Path) -> str:
    """The text of a file.

    Raises
    ------
    InputError
        If it cannot be read, is over ``MAX_MARKUPS_BYTES`` or is no UTF-8.
    """
    try:
        size = file.stat().st_size
        if size > MAX_MARKUPS_BYTES:
            raise InputError(
                "the file is too large for points and lines",
                seen=f"{size / 1e6:.0f} MB",
                needed=f"at most {MAX_MARKUPS_BYTES / 1e6:.0f} MB",
                where=file.name,
            )
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "the markups file cannot be read", seen=error.strerror or str(error), where=str(file)
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("the markups file is not a text file", where=file.name) from error


def point_lps_mm(
    point: MarkupPoint, name: str, frame: Literal["lps", "ras"] | None = None
) -> FloatArray:
    """The point in LPS mm, shape (3,); ``frame`` is what the user says of a file that says none.

    Raises
    ------
    InputError
        If a coordinate is no finite number, or neither file nor user says LPS or RAS, or
        the two disagree.
    """
    try:
        numbers = [float(str(v)) for v in point.position]
    except ValueError as error:
        raise InputError(
            f"a coordinate of point '{point.label}' is not a number",
            seen=list(point.position),
            where=name,
        ) from error
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"point '{point.label}' does not have three finite coordinates",
            seen=list(point.position),
            where=name,
        )
    if _frame(point, name, frame) == "ras":
        return lps_from_ras(numbers)
    return np.array(numbers)


def _frame(point: MarkupPoint, name: str, asked: str | None) -> str:
    is_stated = point.coordinate_system is not None
    # Slicer's numbers for the frames: 0 is RAS, 1 is LPS, 2 is IJK.
    known = {"LPS": "lps", "1": "lps", "RAS": "ras", "0": "ras"}
    stated = known.get(str(point.coordinate_system).strip().upper())
    if stated is None and is_stated:
        what = "the markups file is in an unknown coordinate system"
    elif stated is None and asked is None:
        what = "the markups file does not state its coordinate system"
    elif stated is not None and asked is not None and stated != asked:
        raise InputError(
            "the markups file states another coordinate system than was given",
            seen=f"{stated.upper()} in the file, {asked.upper()} given",
            where=name,
            fix="Leave --frame out, or say what the file says.",
        )
    else:
        return stated or str(asked)
    raise InputError(
        what,
        seen=point.coordinate_system,
        needed="LPS or RAS",
        where=name,
        fix="A wrong guess would mirror the point to the other side of the patient. "
        "Save the file again in 3D Slicer, or give the coordinates with their frame.",
    )


def markups_of_json(text: str, name: str) -> list[dict[str, Any]]:
    """The markups of a ``.mrk.json``, of whatever type.

    Raises
    ------
    InputError
        If the text is not JSON or holds no list of markups.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:  # 5,000 digits are no JSONDecodeError
        raise InputError(
            "the markups file is not valid JSON", seen=str(error), where=name
        ) from None
    markups = data.get("markups") if isinstance(data, dict) else None
    if not isinstance(markups, list) or not all(isinstance(m, dict) for m in markups):
        raise InputError("the file holds no 3D Slicer markups", where=name)
    return markups


def points_of_markup(markup: dict[str, Any], name: str) -> list[MarkupPoint]:
    """The placed points of one markup.

    Raises
    ------
    InputError
        If it is not in millimetres or its control points are no list of objects.
    """
    unit = markup.get("coordinateUnits", "mm")
    # Newer Slicer writes a list: code, scheme, meaning.
    if (unit[:1] if isinstance(unit, list) else [unit]) != ["mm"]:
        raise InputError("the markups are not in millimetres", seen=unit, needed="mm", where=name)
    controls = markup.get("controlPoints") or []
    if not isinstance(controls, list) or not all(isinstance(c, dict) for c in controls):
        raise InputError("the markups have no usable list of control points", where=name)
    group = str(markup.get("name") or "")
    points = []
    for number, control in enumerate(controls, start=1):
        # Slicer keeps points that are not placed yet; they have no position.
        if control.get("positionStatus", "defined") != "defined":
            continue
        position = control.get("position")
        label = str(control.get("label") or f"{group}-{number}".lstrip("-"))
        points.append(
            MarkupPoint(
                label=label,
                group=group,
                position=position if isinstance(position, list) else (),
                coordinate_system=markup.get("coordinateSystem"),
            )
        )
    return points


_SLICER3_COLUMNS = ["label", "x", "y", "z", "sel", "vis"]


def points_of_fcsv(text: str, name: str) -> list[MarkupPoint]:
    """The points of a ``.fcsv`` of Slicer 4 or 5, or of a Slicer 3 list, which is RAS.

    Raises
    ------
    InputError
        If it does not start like one or does not name its columns.
    """
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    is_slicer3 = bool(comments) and comments[0].startswith("Fiducial List file")
    stated = dict(_key_value(line) for line in comments if "=" in line)
    if not is_slicer3 and not any(c.startswith("Markups fiducial file") for c in comments):
        raise InputError(
            "the file does not start like a fiducial file of 3D Slicer",
            seen=text[:60],
            needed="'# Markups fiducial file version = ...' or '# Fiducial List file ...'",
            where=name,
        )
    if "columns" not in stated:
        raise InputError("the fiducial file does not name its columns", where=name)
    columns = [c.strip() for c in stated["columns"].split(",")]
    if not {"x", "y", "z"} <= set(columns):
        raise InputError("the fiducial file has no x, y, z", seen=columns, where=name)
    frame: str | None = stated.get("CoordinateSystem")
    if is_slicer3 and frame is None and columns == _SLICER3_COLUMNS:
        frame = "RAS"  # Slicer 3 knew no other frame.
    points = []
    for number, cells in enumerate(csv.reader(rows, skipinitialspace=True), start=1):
        row = dict(zip(columns, cells, strict=False))
        points.append(
            MarkupPoint(
                label=row.get("label") or row.get("id") or f"point {number}",
                group="",
                position=tuple(row.get(axis, "") for axis in "xyz"),
                coordinate_system=frame,
            )
        )
    return points


def _key_value(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip()
