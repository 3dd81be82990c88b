"""The contours of a DICOM RT Structure Set, as the file states them: nothing is judged here.

Only what is needed is decoded. Coordinates are read from their text in one go, so a file
with millions of points takes seconds, and one that claims more is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputError, MaskError, UnsupportedObjectError
from planner.geometry.frames import FloatArray
from planner.io.dicom_stream import read_whole
from planner.io.dicom_values import uid_name

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"

MAX_FILE_BYTES = 400_000_000
"""A larger file, on disk or inflated, is refused; clinical ones stay under 100 MB."""

MAX_ROIS = 500
MAX_CONTOURS = 100_000
MAX_POINTS = 5_000_000
MAX_COORDINATE_MM = 1e5
"""Larger numbers in a coordinate are damage, or not millimetres."""

MAX_TEXT = 256
"""Characters of a name that are read; the standard allows 64."""

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_OPEN = ("OPEN_PLANAR", "OPEN_NONPLANAR", "POINT")
_LEAST_POINTS = 3


@dataclass(slots=True, kw_only=True)
class RoiContours:
    """One region of interest; points are LPS, mm.

    ``closed`` and ``lines`` have one (n, 3) array for each contour; ``closed_numbers`` are
    the places of the closed ones among the contours of the ROI, from 1.
    """

    number: int
    name: str | None
    frame_uid: str | None = None
    interpreted_type: str = ""
    closed: list[FloatArray] = field(default_factory=list)
    closed_numbers: list[int] = field(default_factory=list)
    lines: list[FloatArray] = field(default_factory=list)
    n_points_only: int = 0

    @property
    def label(self) -> str:
        """The name for messages."""
        return f"ROI '{self.name}'" if self.name else f"ROI number {self.number}"

    @property
    def n_contours(self) -> int:
        """Closed and open ones."""
        return len(self.closed) + len(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtStructures:
    """The content of a file: its ROIs, and the images it says they were drawn on."""

    rois: tuple[RoiContours, ...]
    frame_uids: tuple[str, ...]
    series_uids: tuple[str, ...]
    sop_uids: tuple[str, ...]
    warnings: tuple[str, ...]


def parse_rtstruct(path: Path) -> RtStructures:
    """The ROIs of an RT Structure Set.

    Raises
    ------
    UnsupportedObjectError
        If the DICOM object is of another kind.
    MaskError
        If the file cannot be read, is too large, or a contour's data are damaged; the
        message names the ROI and the contour.
    """
    with warnings.catch_warnings():
        # pydicom warns of every value that breaks a rule of its type; what matters is checked.
        warnings.simplefilter("ignore")
        try:
            dataset = read_whole(path, max_bytes=MAX_FILE_BYTES, refusal=MaskError)
            return _parsed(dataset, path.name)
        except InputError:
            raise
        except Exception as error:  # damaged DICOM fails in every way there is
            raise MaskError(
                "the RT structure set cannot be read",
                seen=type(error).__name__,  # its words may quote the header, the patient's name too
                where=path.name,
                fix="Export it again from the program that made it.",
            ) from error


def _parsed(dataset: Dataset, file: str) -> RtStructures:
    kind = _text(dataset, "SOPClassUID")
    if kind != RTSTRUCT_CLASS and _text(dataset, "Modality") != "RTSTRUCT":
        raise UnsupportedObjectError(
            "the DICOM object is not an RT structure set",
            seen=uid_name(kind) if kind else "no class",
            needed=RTSTRUCT_CLASS,
            where=file,
        )
    rois = _named_rois(dataset, file)
    notes: list[str] = []
    budget = _Budget(file)
    for item in _items(dataset, "ROIContourSequence"):
        number = _number(item, "ReferencedROINumber", file)
        if number not in rois:
            rois[number] = RoiContours(number=number, name=None)
            notes.append(
                f"{file}: contours refer to ROI number {number}, which the file does not name"
            )
        _add_contours(rois[number], item, budget)
    for item in _items(dataset, "RTROIObservationsSequence"):
        roi = rois.get(_number(item, "ReferencedROINumber", file))
        if roi is None:
            notes.append(f"{file}: an observation refers to an ROI that the file does not have")
        elif not roi.interpreted_type:
            roi.interpreted_type = _text(item, "RTROIInterpretedType").upper()
    frames, series, sops = _references(dataset)
    return RtStructures(
        rois=tuple(rois.values()),
        frame_uids=tuple(
            dict.fromkeys([*(r.frame_uid for r in rois.values() if r.frame_uid), *frames])
        ),
        series_uids=tuple(series),
        sop_uids=tuple(u for u in dict.fromkeys([*sops, *budget.sop_uids]) if u),
        warnings=tuple(notes),
    )


def _named_rois(dataset: Dataset, file: str) -> dict[int, RoiContours]:
    rois: dict[int, RoiContours] = {}
    for item in _items(dataset, "StructureSetROISequence"):
        number = _number(item, "ROINumber", file)
        if number in rois:
            raise MaskError(
                f"two structures of the RT structure set have the number {number}",
                seen=f"'{rois[number].name}' and '{_text(item, 'ROIName')}'",
                where=file,
                fix="It cannot be told whose contours are whose: export it again.",
            )
        rois[number] = RoiContours(
            number=number,
            name=_text(item, "ROIName") or None,
            frame_uid=_text(item, "ReferencedFrameOfReferenceUID") or None,
        )
        if len(rois) > MAX_ROIS:
            raise _too_much("structures", f"more than {MAX_ROIS}", MAX_ROIS, file)
    return rois


class _Budget:
    """What has been read so far, against the limits; and the images named on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.n_contours = self.n_points = 0
        self.sop_uids: dict[str, None] = {}

    def add(self, n_points: int) -> None:
        self.n_contours += 1
        self.n_points += n_points
        if self.n_contours > MAX_CONTOURS:
            raise _too_much("contours", f"more than {MAX_CONTOURS}", MAX_CONTOURS, self.file)
        if self.n_points > MAX_POINTS:
            raise _too_much("contour points", f"more than {MAX_POINTS}", MAX_POINTS, self.file)


def _add_contours(roi: RoiContours, item: Dataset, budget: _Budget) -> None:
    for n, contour in enumerate(_items(item, "ContourSequence"), start=roi.n_contours + 1):
        where = f"{roi.label}, contour {n} in {budget.file}"
        kind = _text(contour, "ContourGeometricType").upper()
        points = _points(contour, where)
        budget.add(len(points))
        for image in _items(contour, "ContourImageSequence"):
            budget.sop_uids[_text(image, "ReferencedSOPInstanceUID")] = None
        if kind in _CLOSED:
            if len(points) < _LEAST_POINTS:
                raise MaskError(
                    "a closed contour has too few points",
                    seen=len(points),
                    needed=f">= {_LEAST_POINTS}",
                    where=where,
                    fix="Delete the contour, or draw it as a point.",
                )
            roi.closed.append(points)
            roi.closed_numbers.append(n)
        elif kind in _OPEN and len(points):
            roi.lines.append(points)
            roi.n_points_only += kind == "POINT"
        else:
            raise MaskError(
                "a contour is of a kind that is not known" if len(points) else "a contour is empty",
                seen=kind or "no ContourGeometricType",
                needed=", ".join((*_CLOSED, *_OPEN)),
                where=where,
            )


def _points(contour: Dataset, where: str) -> FloatArray:
    """ContourData as (n, 3); taken as text, since 1e6 decimal objects take a minute."""
    element = contour.get_item("ContourData")
    raw = None if element is None else element.value
    try:
        if isinstance(raw, bytes):
            values = np.array(raw.strip(b" \0").split(b"\\"), dtype=np.float64) if raw else None
        else:
            values = None if raw is None else np.array(raw, dtype=np.float64).ravel()
    except ValueError as error:
        raise MaskError("the coordinates of a contour are not numbers", where=where) from error
    if values is None or values.size == 0:
        return np.zeros((0, 3))
    if values.size % 3:
        raise MaskError(
            "the coordinates of a contour are not whole points",
            seen=f"{values.size} numbers",
            needed="a multiple of 3",
            where=where,
        )
    largest = np.abs(values).max()
    if not (largest <= MAX_COORDINATE_MM):
        raise MaskError(
            "a coordinate of a contour cannot be used",
            seen=f"{largest:g} mm",
            needed=f"a number up to {MAX_COORDINATE_MM:g} mm",
            where=where,
        )
    return values.reshape(-1, 3)


def _references(dataset: Dataset) -> tuple[list[str], list[str], list[str]]:
    """Frames, series and images that the file refers to as a whole."""
    frames, series, sops = [], [], []
    for frame in _items(dataset, "ReferencedFrameOfReferenceSequence"):
        frames.append(_text(frame, "FrameOfReferenceUID"))
        for study in _items(frame, "RTReferencedStudySequence"):
            for one in _items(study, "RTReferencedSeriesSequence"):
                series.append(_text(one, "SeriesInstanceUID"))
                for image in _items(one, "ContourImageSequence"):
                    sops.append(_text(image, "ReferencedSOPInstanceUID"))
    return ([u for u in frames if u], [u for u in series if u], [u for u in sops if u])


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    value: Any = dataset.get(keyword)
    if value is None:
        return
    yield from value


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    # up to a NUL: a value whose length is damaged goes on into the next elements
    return "" if value is None else str(value).partition("\0")[0].strip()[:MAX_TEXT]


def _number(dataset: Dataset, keyword: str, file: str) -> int:
    value = dataset.get(keyword)
    try:
        return int(str(value))
    except ValueError as error:
        raise MaskError(
            f"an entry of the RT structure set has no usable {keyword}", seen=value, where=file
        ) from error


def _too_much(what: str, seen: object, limit: int, file: str) -> MaskError:
    return MaskError(
        f"the RT structure set has too many {what}",
        seen=seen,
        needed=f"<= {limit}",
        where=file,
        fix="Export only the structures near the path.",
    )
