"""Needles planned or seen by others, as 3D Slicer saved them: lines, point pairs, rulers.

Markups of type Line, a pair of fiducials, and the rulers of Slicer 4 (``.acsv``, or a scene
``.mrml``). The coordinate system is the one the file states. Rulers do not state theirs
(Slicer wrote them in RAS): there it is asked for, never guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry.frames import FloatArray
from planner.io.markup_parsing import (
    MarkupPoint,
    markups_of_json,
    point_lps_mm,
    points_of_fcsv,
    points_of_markup,
    read_markup_text,
)

MIN_LENGTH_MM = 0.1
"""Two points nearer than this have no direction."""

_TIP = re.compile(r"\b(tip|target)\b", re.IGNORECASE)
_ENTRY = re.compile(r"\b(entry|skin)\b", re.IGNORECASE)

Frame = Literal["lps", "ras"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ForeignLine:
    """A straight needle of another program.

    Attributes
    ----------
    entry_lps_mm, tip_lps_mm : ndarray, shape (3,)
    name : str
        Of the markup, the ruler or the file.
    is_labelled : bool
        Whether the labels of the points say which is the tip; otherwise the file's
        first point was taken for the entry.
    """

    entry_lps_mm: FloatArray
    tip_lps_mm: FloatArray
    name: str
    is_labelled: bool = False


def read_lines(path: str | os.PathLike[str], frame: Frame | None = None) -> tuple[ForeignLine, ...]:
    """The lines in a file of 3D Slicer, in LPS mm; at least one.

    Parameters
    ----------
    path : path
        ``.mrk.json`` (its Lines; without any, its pairs of fiducials), ``.fcsv`` with
        two points, a ruler ``.acsv``, or a scene ``.mrml`` with rulers.
    frame : "lps" or "ras", optional
        For a file that does not state its coordinate system.

    Raises
    ------
    InputError
        If the file cannot be read, holds no line, a line without two distinct points at
        finite coordinates, or states neither LPS nor RAS and ``frame`` is not given, or
        states another one than ``frame``.
    UnsupportedObjectError
        If the file is of another kind, or a ruler of a scene stands under a transform.
    """
    file = Path(path)
    text = read_markup_text(file)
    name, lower = file.name, file.name.lower()
    if lower.endswith(".json"):
        pairs = _pairs_of_json(text, name)
    elif lower.endswith(".fcsv"):
        pairs = [_pair(file.stem, points_of_fcsv(text, name), name)]
    elif lower.endswith(".acsv"):
        pairs = [_pair_of_acsv(text, file)]
    elif lower.endswith(".mrml"):
        pairs = _pairs_of_scene(text, name)
    else:
        raise UnsupportedObjectError(
            "a needle is read from files of 3D Slicer only",
            seen=name,
            needed=".mrk.json, .fcsv, or a ruler in .acsv or .mrml",
            fix="Save the line in 3D Slicer as .mrk.json, or give its two points.",
        )
    return tuple(_line(pair, name, frame) for pair in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    name: str
    first: MarkupPoint
    second: MarkupPoint


def _pair(line_name: str, points: list[MarkupPoint], where: str) -> _Pair:
    if len(points) != 2:
        raise InputError(
            f"'{line_name}' is no line",
            seen=f"{len(points)} placed points",
            needed="two: entry and tip",
            where=where,
        )
    return _Pair(name=line_name, first=points[0], second=points[1])


def _line(pair: _Pair, where: str, frame: Frame | None) -> ForeignLine:
    if frame is None and pair.first.coordinate_system is None:
        raise InputError(
            "the file does not state its coordinate system",
            needed="LPS or RAS",
            where=where,
            fix="Say it: --frame ras (frame='ras') or lps. 3D Slicer wrote its rulers in RAS; a "
            "wrong guess would mirror the needle to the other side of the patient.",
        )
    first, second = (point_lps_mm(p, where, frame) for p in (pair.first, pair.second))
    length_mm = float(np.linalg.norm(second - first))
    is_line = length_mm >= MIN_LENGTH_MM
    if not is_line:
        raise InputError(
            f"the two points of '{pair.name}' are one place",
            seen=f"{length_mm:.3f} mm apart",
            needed=f"at least {MIN_LENGTH_MM:g} mm",
            where=where,
        )
    is_turned = _names_ends(pair.second, pair.first)
    return ForeignLine(
        entry_lps_mm=second if is_turned else first,
        tip_lps_mm=first if is_turned else second,
        name=pair.name,
        is_labelled=is_turned or _names_ends(pair.first, pair.second),
    )


def _names_ends(entry: MarkupPoint, tip: MarkupPoint) -> bool:
    """Whether the labels say so, and neither says the contrary."""
    is_entry, is_tip = bool(_ENTRY.search(entry.label)), bool(_TIP.search(tip.label))
    contrary = bool(_TIP.search(entry.label)) or bool(_ENTRY.search(tip.label))
    return (is_entry or is_tip) and not contrary


def _pairs_of_json(text: str, where: str) -> list[_Pair]:
    markups = markups_of_json(text, where)
    placed = [
        (str(m.get("name") or f"{m.get('type')} {n}"), m.get("type"), points_of_markup(m, where))
        for n, m in enumerate(markups, start=1)
        if m.get("type") in ("Line", "Fiducial")
    ]
    # Slicer keeps lines of which no point is placed yet.
    lines = [(name, points) for name, kind, points in placed if kind == "Line" and points]
    pairs = [(name, points) for name, kind, points in placed if kind == "Fiducial" and points]
    found = lines or pairs
    if not found:
        raise InputError(
            "the file holds no line",
            seen=", ".join(sorted({str(m.get("type")) for m in markups})) or "no markup",
            needed="a markup of type Line, or two fiducials",
            where=where,
        )
    return [_pair(name, points, where) for name, points in found]


def _pair_of_acsv(text: str, file: Path) -> _Pair:
    """A ruler; a region (ROI) has two points and a line too, but no row ``ruler``."""
    rows = [line.split("|") for line in text.splitlines() if line and not line.startswith("#")]
    kinds = {row[0] for row in rows}
    comments = [line[1:].partition("=") for line in text.splitlines() if line.startswith("#")]
    stated = {key.strip(): value.strip() for key, _, value in comments}
    if not text.startswith("# Annotation file"):
        raise InputError(
            "the file does not start like an annotation of 3D Slicer",
            seen=text[:60],
            needed="'# Annotation file ...'",
            where=file.name,
        )
    if "ruler" not in kinds:
        raise UnsupportedObjectError(
            "the annotation is no ruler",
            seen=", ".join(sorted(kinds)) or "no row",
            needed="a row 'ruler'",
            where=file.name,
            fix="Points and regions (ROI) hold no needle.",
        )
    if stated.get("pointColumns", "").split("|")[:4] != ["type", "x", "y", "z"]:
        raise InputError(
            "the ruler does not name its columns",
            seen=stated.get("pointColumns"),
            needed="pointColumns = type|x|y|z|...",
            where=file.name,
        )
    name = stated.get("Name") or file.stem
    points = [row[1:4] for row in rows if row[0] == "point"]
    return _pair(name, _ruler_points(name, points, stated.get("CoordinateSystem")), file.name)


def _pairs_of_scene(text: str, where: str) -> list[_Pair]:
    try:
        scene = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError("the scene is not valid XML", seen=str(error), where=where) from error
    # Not those in a SceneView: that is how the scene once was.
    rulers = scene.findall("AnnotationRuler")
    if not rulers:
        raise InputError(
            "the scene holds no ruler",
            needed="an AnnotationRuler",
            where=where,
            fix="Lines of newer scenes are in files of their own: give the .mrk.json.",
        )
    pairs = []
    for number, ruler in enumerate(rulers, start=1):
        name = ruler.get("name") or f"ruler {number}"
        if ruler.get("transformNodeRef") or "transform:" in (ruler.get("references") or ""):
            raise UnsupportedObjectError(
                f"the ruler '{name}' stands under a transform, so its place is not in the file",
                where=where,
                fix="Harden the transform in 3D Slicer and save again.",
            )
        points = [point.split() for point in (ruler.get("ctrlPtsCoord") or "").split("|")]
        pairs.append(_pair(name, _ruler_points(name, points, None), where))
    return pairs


def _ruler_points(
    name: str, positions: Iterable[list[str]], stated: str | None
) -> list[MarkupPoint]:
    return [
        MarkupPoint(
            label=f"{name}-{n}", group=name, position=tuple(position), coordinate_system=stated
        )
        for n, position in enumerate(positions, start=1)
        if position
    ]
