"""3D Slicer markups: planned needles out, a target point in.

Written in LPS. Read in LPS or RAS as the file states; a file that states no
frame is refused, since a wrong guess mirrors the target to the other side.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry.frames import FloatArray, lps_from_ras
from planner.io.atomic import write_text_atomic
from planner.io.plan_document import RESEARCH_USE, PlanDocument, Point, TrajectoryRecord
from planner.io.plan_file import plan_document
from planner.model import PlanResult, Verdict

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
MAX_MARKUPS_BYTES = 16 * 1024 * 1024

_IDENTITY_IN_LPS = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
_COLOUR = {
    Verdict.PASS: [0.0, 0.62, 0.45],
    Verdict.CAUTION: [0.90, 0.62, 0.0],
    Verdict.UNKNOWN: [0.60, 0.60, 0.60],
    Verdict.FAIL: [0.84, 0.15, 0.16],
}
_MAX_NAMES_SHOWN = 12


class TargetPoint(NamedTuple):
    """A point read from a file, in LPS mm, and its label."""

    point_lps_mm: FloatArray
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    label: str
    group: str
    position: Sequence[object]
    coordinate_system: object

    @property
    def full_label(self) -> str:
        return f"{self.group}/{self.label}" if self.group else self.label


# --- writing -----------------------------------------------------------------------------------


def save_markups(result: PlanResult | PlanDocument, path: str | os.PathLike[str]) -> Path:
    """The path of a ``.mrk.json``, after it was written in one step.

    One locked Line per trajectory, from the entry to the tip, in LPS mm, named
    ``"1 si_joint_injection pass"`` (rank, procedure, verdict) and coloured by
    its verdict. A plan without a trajectory gives a file without a line, so
    that lines of an earlier plan cannot be taken for this one's.

    Raises
    ------
    OutputError
        If the file cannot be written, with the reason.
    """
    document = result if isinstance(result, PlanDocument) else plan_document(result)
    content = {
        "@schema": MARKUPS_SCHEMA,
        "markups": [_line(t, document) for t in document.trajectories],
    }
    return write_text_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _line(trajectory: TrajectoryRecord, plan: PlanDocument) -> dict[str, Any]:
    colour = _COLOUR[trajectory.verdict]
    description = _description(trajectory, plan)
    return {
        "type": "Line",
        "name": f"{trajectory.rank} {plan.procedure.id} {trajectory.verdict}",
        "description": description,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 2,
        "controlPoints": [
            _control_point("1", "entry", trajectory.entry_lps_mm, description),
            _control_point("2", "tip", trajectory.tip_lps_mm, description),
        ],
        "display": {"visibility": True, "color": colour, "selectedColor": colour, "opacity": 1.0},
    }


def _control_point(number: str, label: str, point: Point, description: str) -> dict[str, Any]:
    return {
        "id": number,
        "label": label,
        "description": description,
        "associatedNodeID": "",
        "position": list(point),
        "orientation": _IDENTITY_IN_LPS,
        "selected": True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }


def _description(trajectory: TrajectoryRecord, plan: PlanDocument) -> str:
    """The essentials. Slicer drops keys it does not know, but keeps a point's description."""
    parts = [
        f"path {trajectory.rank}, verdict {trajectory.verdict}",
        f"needle {plan.needle.name}, {trajectory.length_mm:.1f} mm from skin to tip",
    ]
    if plan.needle.throw_mm > 0:
        parts.append(f"fires {plan.needle.throw_mm:g} mm past the tip")
    tightest = min(
        (c for c in trajectory.clearances if c.required_mm is not None),
        key=lambda c: c.clearance_mm - (c.required_mm or 0.0),
        default=None,
    )
    if tightest is not None:
        parts.append(
            f"tightest {tightest.structure}: {tightest.clearance_mm:.2f} mm clear, "
            f"{tightest.required_mm:g} mm required"
        )
    if trajectory.words:
        parts.append(trajectory.words)
    parts.append(RESEARCH_USE)
    return "; ".join(parts)


# --- reading -----------------------------------------------------------------------------------


def read_target_point(path: str | os.PathLike[str]) -> TargetPoint:
    """The one point of a ``.mrk.json`` or ``.fcsv`` file, in LPS mm, with its label.

    ``FILE#LABEL`` picks one of several points; where two points share a label,
    ``FILE#MARKUP NAME/LABEL`` tells them apart.

    Parameters
    ----------
    path : path, with ``#LABEL`` or without
        Markups of type Fiducial or Line, Slicer 4 ``.fcsv`` that states its
        CoordinateSystem, or a Slicer 3 ``Fiducial List file``, which is RAS.

    Raises
    ------
    InputError
        If the file cannot be read, does not state LPS or RAS, holds no point,
        several points and no label, or a coordinate that is not a finite number.
    UnsupportedObjectError
        If the file is of another kind.
    """
    file, wanted = _split_label(os.fspath(path))
    name = file.name
    lower = name.lower()
    text = _read_text(file)
    if lower.endswith(".json"):
        points = _points_of_json(text, name)
    elif lower.endswith(".fcsv"):
        points = _points_of_fcsv(text, name)
    else:
        raise UnsupportedObjectError(
            "a target is read from 3D Slicer markups only",
            seen=name,
            needed=".mrk.json or .fcsv",
            fix="Save the point in 3D Slicer as .mrk.json, or give its coordinates.",
        )
    chosen = _choose(points, wanted, name)
    return TargetPoint(_to_lps(chosen, name), chosen.label)


def _split_label(text: str) -> tuple[Path, str | None]:
    """The file and the label; a file or folder may have a ``#`` in its own name."""
    if Path(text).is_file():
        return Path(text), None
    splits = [(text[: m.start()], text[m.end() :]) for m in re.finditer("#", text)]
    for file, label in splits:
        if label and Path(file).is_file():
            return Path(file), label
    for file, label in splits:
        if label and file.lower().endswith((".json", ".fcsv")):
            return Path(file), label
    return Path(text), None


def _read_text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > MAX_MARKUPS_BYTES:
            raise InputError(
                "the file is too large for a target point",
                seen=f"{size / 1e6:.0f} MB",
                needed=f"at most {MAX_MARKUPS_BYTES / 1e6:.0f} MB",
                where=file.name,
            )
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "the target file cannot be read", seen=error.strerror or str(error), where=str(file)
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("the target file is not a text file", where=file.name) from error


def _choose(points: list[_Labelled], wanted: str | None, name: str) -> _Labelled:
    if wanted is None:
        found = points
    else:
        found = [p for p in points if p.full_label == wanted]
        found = found or [p for p in points if p.label == wanted]
    if len(found) == 1:
        return found[0]
    if not points:
        raise InputError("the target file holds no point", where=name)
    labels = [p.label for p in points]
    # The short label is enough where it is the only one of its kind.
    shown = [p.label if labels.count(p.label) == 1 else p.full_label for p in points]
    names = ", ".join(f"'{label}'" for label in shown[:_MAX_NAMES_SHOWN])
    if len(shown) > _MAX_NAMES_SHOWN:
        names += f" and {len(shown) - _MAX_NAMES_SHOWN} more"
    if wanted is None:
        what, seen = "the target file holds several points", f"{len(points)}: {names}"
    elif not found:
        what, seen = f"the target file holds no point '{wanted}'", names
    else:
        what, seen = f"the target file holds several points '{wanted}'", names
    raise InputError(
        what,
        seen=seen,
        needed="one point",
        where=name,
        fix=f"Name the point, for example: {name}#{shown[0]}",
    )


def _to_lps(point: _Labelled, name: str) -> FloatArray:
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
    # Slicer's numbers for the frames: 0 is RAS, 1 is LPS, 2 is IJK.
    frame = str(point.coordinate_system).strip().upper()
    if frame in ("LPS", "1"):
        return np.array(numbers)
    if frame in ("RAS", "0"):
        return lps_from_ras(numbers)
    is_stated = point.coordinate_system is not None
    raise InputError(
        "the target file is in an unknown coordinate system"
        if is_stated
        else "the target file does not state its coordinate system",
        seen=point.coordinate_system,
        needed="LPS or RAS",
        where=name,
        fix="A wrong guess would mirror the target to the other side of the patient. "
        "Save the file again in 3D Slicer, or give the coordinates with their frame.",
    )


def _points_of_json(text: str, name: str) -> list[_Labelled]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:  # 5,000 digits are no JSONDecodeError
        raise InputError("the target file is not valid JSON", seen=str(error), where=name) from None
    markups = data.get("markups") if isinstance(data, dict) else None
    if not isinstance(markups, list) or not all(isinstance(m, dict) for m in markups):
        raise InputError("the file holds no 3D Slicer markups", where=name)
    usable = [m for m in markups if m.get("type") in ("Fiducial", "Line")]
    if markups and not usable:
        raise UnsupportedObjectError(
            "the markups are of a kind that holds no target point",
            seen=", ".join(sorted({str(m.get("type")) for m in markups})),
            needed="Fiducial or Line",
            where=name,
        )
    return [point for markup in usable for point in _points_of_markup(markup, name)]


def _points_of_markup(markup: dict[str, Any], name: str) -> list[_Labelled]:
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
            _Labelled(
                label=label,
                group=group,
                position=position if isinstance(position, list) else (),
                coordinate_system=markup.get("coordinateSystem"),
            )
        )
    return points


_SLICER3_COLUMNS = ["label", "x", "y", "z", "sel", "vis"]


def _points_of_fcsv(text: str, name: str) -> list[_Labelled]:
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
            _Labelled(
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
