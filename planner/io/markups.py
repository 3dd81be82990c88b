"""3D Slicer markups: planned needles out, a target point in.

Written in LPS. Read in LPS or RAS as the file states; a file that states no
frame is refused, since a wrong guess mirrors the target to the other side.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry.frames import FloatArray
from planner.io.atomic import write_text_atomic
from planner.io.markup_parsing import (
    MarkupPoint,
    markups_of_json,
    point_lps_mm,
    points_of_fcsv,
    points_of_markup,
    read_markup_text,
)
from planner.io.plan_document import RESEARCH_USE, PlanDocument, Point, TrajectoryRecord
from planner.io.plan_file import plan_document
from planner.model import PlanResult, Verdict

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)

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


# --- writing -----------------------------------------------------------------------------------


def save_markups(result: PlanResult | PlanDocument, path: str | os.PathLike[str]) -> Path:
    """The path of a ``.mrk.json``, after it was written in one step.

    One locked Line per trajectory, from the entry to the tip, in LPS mm, named
    ``"1 si_joint_injection pass"`` (rank, procedure, verdict), with UNVERIFIED
    before it where the verdict is neither pass nor caution, and coloured by its
    verdict. A plan without a trajectory gives a file without a line, so that lines
    of an earlier plan cannot be taken for this one's.

    Raises
    ------
    OutputError
        If the file cannot be written, with the reason.
    """
    document = result if isinstance(result, PlanDocument) else plan_document(result)
    lines = [
        markup_line(
            name=_name(t, document),
            description=_description(t, document),
            verdict=t.verdict,
            entry_lps_mm=t.entry_lps_mm,
            tip_lps_mm=t.tip_lps_mm,
        )
        for t in document.trajectories
    ]
    return write_lines(lines, path)


def write_lines(lines: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> Path:
    """The path of a ``.mrk.json`` with these markups, after it was written in one step.

    Raises
    ------
    OutputError
        If the file cannot be written, with the reason.
    """
    content = {"@schema": MARKUPS_SCHEMA, "markups": list(lines)}
    return write_text_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def markup_line(
    *, name: str, description: str, verdict: Verdict, entry_lps_mm: Point, tip_lps_mm: Point
) -> dict[str, Any]:
    """A locked Line of 3D Slicer, coloured by its verdict."""
    colour = _COLOUR[verdict]
    return {
        "type": "Line",
        "name": name,
        "description": description,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": True,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 2,
        "controlPoints": [
            _control_point("1", "entry", entry_lps_mm, description),
            _control_point("2", "tip", tip_lps_mm, description),
        ],
        "display": {"visibility": True, "color": colour, "selectedColor": colour, "opacity": 1.0},
    }


def _name(trajectory: TrajectoryRecord, plan: PlanDocument) -> str:
    name = f"{trajectory.rank} {plan.procedure.id} {trajectory.verdict}"
    is_verified = trajectory.verdict in (Verdict.PASS, Verdict.CAUTION)
    return name if is_verified else f"UNVERIFIED {name}"


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
    parts += [
        f"frame of reference {plan.frame.frame_of_reference_uid or 'not stated'}",
        f"series {plan.image.series_instance_uid or 'not stated'}",
        RESEARCH_USE,
    ]
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
    text = read_markup_text(file)
    if lower.endswith(".json"):
        points = _points_of_json(text, name)
    elif lower.endswith(".fcsv"):
        points = points_of_fcsv(text, name)
    else:
        raise UnsupportedObjectError(
            "a target is read from 3D Slicer markups only",
            seen=name,
            needed=".mrk.json or .fcsv",
            fix="Save the point in 3D Slicer as .mrk.json, or give its coordinates.",
        )
    chosen = _choose(points, wanted, name)
    return TargetPoint(point_lps_mm(chosen, name), chosen.label)


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


def _choose(points: list[MarkupPoint], wanted: str | None, name: str) -> MarkupPoint:
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


def _points_of_json(text: str, name: str) -> list[MarkupPoint]:
    markups = markups_of_json(text, name)
    usable = [m for m in markups if m.get("type") in ("Fiducial", "Line")]
    if markups and not usable:
        raise UnsupportedObjectError(
            "the markups are of a kind that holds no target point",
            seen=", ".join(sorted({str(m.get("type")) for m in markups})),
            needed="Fiducial or Line",
            where=name,
        )
    return [point for markup in usable for point in points_of_markup(markup, name)]
