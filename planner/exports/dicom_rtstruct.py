"""RT Structure Set: every path as an OPEN_NONPLANAR contour of two points, the target as a POINT.

The patient's name, ID and birth date are copied from the source images, as DICOM demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from planner.exports.dicom_common import (
    RTSTRUCT_SERIES,
    UNVERIFIED,
    decimal_strings,
    new_object,
    series_description,
    short_string,
    short_text,
    source_references,
    statement,
    unique_long_strings,
    write_object,
)
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport

Point = tuple[float, float, float]

_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: what a referenced study is called since it was retired."""

_COLOURS = ((0, 255, 0), (0, 200, 255), (255, 160, 0), (255, 0, 255), (255, 255, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roi:
    name: str
    words: str
    geometry: str
    points_lps_mm: tuple[Point, ...]


def write_rtstruct(plan: PlanToExport, source: SourceImages, path: str | Path) -> tuple[Path, ...]:
    """The file of the structure set, after it was written.

    Each chosen path is a region of interest with one open, non-planar contour of two points,
    entry then tip (LPS mm, 16 characters a number: better than 1e-9 mm); then its entry and
    the target as points, for readers that draw no open contour.

    Raises
    ------
    InputError
        If it cannot be built from these images.
    OutputError
        If it cannot be written.
    """
    return write_object(path, "structure set", lambda: _structure_set(plan, source))


def _structure_set(plan: PlanToExport, source: SourceImages) -> Any:
    from pydicom.uid import RTStructureSetStorage

    dataset = new_object(
        plan,
        source,
        RTSTRUCT_SERIES,
        sop_class_uid=RTStructureSetStorage,
        modality="RTSTRUCT",
    )
    now = datetime.now()
    dataset.OperatorsName = None
    dataset.StructureSetLabel = UNVERIFIED if plan.is_unverified else "NEEDLE PLAN"
    dataset.StructureSetName = series_description(plan, RTSTRUCT_SERIES)
    dataset.StructureSetDescription = statement(plan)
    dataset.StructureSetDate, dataset.StructureSetTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_frame_reference(source)]
    rois = _rois(plan)
    names = unique_long_strings([roi.name for roi in rois])
    frame = source.frame_of_reference_uid
    dataset.StructureSetROISequence = [
        _roi_item(n, name, roi, frame)
        for n, (name, roi) in enumerate(zip(names, rois, strict=True), start=1)
    ]
    dataset.ROIContourSequence = [_contour_item(n, roi) for n, roi in enumerate(rois, start=1)]
    dataset.RTROIObservationsSequence = [
        _observation(n, name) for n, name in enumerate(names, start=1)
    ]
    return dataset


def _rois(plan: PlanToExport) -> list[_Roi]:
    found = []
    for path in plan.paths:
        name, words = plan.name_of(path), plan.description_of(path)
        line = (path.entry_lps_mm, path.tip_lps_mm)
        found += [
            _Roi(name=name, words=words, geometry="OPEN_NONPLANAR", points_lps_mm=line),
            _Roi(name=f"entry {name}", words=words, geometry="POINT", points_lps_mm=line[:1]),
        ]
    target = plan.document.target
    state = f"{UNVERIFIED} " if plan.is_unverified else ""
    name = f"target {target.name}" if target.name != "target" else "target"
    found.append(
        _Roi(
            name=f"{state}{name}",
            words=statement(plan),
            geometry="POINT",
            points_lps_mm=(target.point_lps_mm,),
        )
    )
    return found


def _frame_reference(source: SourceImages) -> Any:
    from pydicom.dataset import Dataset

    series = Dataset()
    series.SeriesInstanceUID = source.slices[0].series_instance_uid
    series.ContourImageSequence = source_references(source)
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = source.header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = source.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi_item(number: int, name: str, roi: _Roi, frame_uid: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = frame_uid
    item.ROIName = name
    item.ROIDescription = short_text(roi.words)
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    return item


def _contour_item(number: int, roi: _Roi) -> Any:
    from pydicom.dataset import Dataset

    contour = Dataset()
    contour.ContourGeometricType = roi.geometry
    contour.NumberOfContourPoints = len(roi.points_lps_mm)
    contour.ContourData = decimal_strings(_flat(roi.points_lps_mm))
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(_COLOURS[(number - 1) // 2 % len(_COLOURS)])
    item.ContourSequence = [contour]
    return item


def _observation(number: int, name: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.ROIObservationLabel = short_string(name)
    item.RTROIInterpretedType = None
    item.ROIInterpreter = None
    return item


def _flat(points: Sequence[Point]) -> list[float]:
    return [value for point in points for value in point]
