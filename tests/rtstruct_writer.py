"""Small RT Structure Sets, written with pydicom alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
FRAME_UID = "1.2.3.4"


@dataclass
class Roi:
    """``contours`` are (n, 3) LPS arrays, or the raw text of ContourData."""

    name: str | None
    contours: Sequence[np.ndarray | str] = ()
    kind: str | Sequence[str] = "CLOSED_PLANAR"
    number: int | None = None
    frame_uid: str | None = FRAME_UID
    interpreted_type: str | None = ""
    images: Sequence[str] = field(default_factory=tuple)


def write_rtstruct(
    path: Path,
    rois: Sequence[Roi],
    *,
    frame_uid: str | None = FRAME_UID,
    series_uid: str | None = None,
    sop_uids: Sequence[str] = (),
    syntax: str = ExplicitVRLittleEndian,
    digits: int = 4,
) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTSTRUCT_CLASS
    meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    meta.TransferSyntaxUID = syntax
    out = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID, out.SOPInstanceUID, out.Modality = RTSTRUCT_CLASS, "1.2.3.4.5", "RTSTRUCT"
    out.PatientName = "Doe^Jane"
    if frame_uid is not None:
        out.ReferencedFrameOfReferenceSequence = [_frame(frame_uid, series_uid, sop_uids)]
    out.StructureSetROISequence, out.ROIContourSequence = [], []
    out.RTROIObservationsSequence = []
    for n, roi in enumerate(rois, start=1):
        number = n if roi.number is None else roi.number
        if roi.name is not None:
            named = Dataset()
            named.ROINumber, named.ROIName = number, roi.name
            if roi.frame_uid is not None:
                named.ReferencedFrameOfReferenceUID = roi.frame_uid
            out.StructureSetROISequence.append(named)
        out.ROIContourSequence.append(_contours(roi, number, digits))
        if roi.interpreted_type is not None:
            seen = Dataset()
            seen.ObservationNumber, seen.ReferencedROINumber = n, number
            seen.RTROIInterpretedType = roi.interpreted_type
            out.RTROIObservationsSequence.append(seen)
    pydicom.dcmwrite(path, out, enforce_file_format=True)
    return path


def _contours(roi: Roi, number: int, digits: int) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    kinds = [roi.kind] * len(roi.contours) if isinstance(roi.kind, str) else roi.kind
    contours = []
    for points, kind in zip(roi.contours, kinds, strict=True):
        contour = Dataset()
        if kind:
            contour.ContourGeometricType = kind
        text = points
        if not isinstance(points, str):
            text = "\\".join(f"{v:.{digits}f}" for v in np.asarray(points).ravel())
            contour.NumberOfContourPoints = len(points)
        contour[0x30060050] = pydicom.DataElement(0x30060050, "DS", "0")
        contour[0x30060050]._value = _Text(text)
        if roi.images:
            contour.ContourImageSequence = [_image(uid) for uid in roi.images]
        contours.append(contour)
    item.ContourSequence = contours
    return item


class _Text(str):
    """Written as it is, whatever pydicom thinks of it as a decimal string."""

    original_string: str

    def __init__(self, text: str) -> None:
        self.original_string = text


def _image(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    item.ReferencedSOPInstanceUID = uid
    return item


def _frame(frame_uid: str, series_uid: str | None, sop_uids: Sequence[str]) -> Dataset:
    frame = Dataset()
    frame.FrameOfReferenceUID = frame_uid
    if series_uid is not None:
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ContourImageSequence = [_image(uid) for uid in sop_uids]
        study = Dataset()
        study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
        study.ReferencedSOPInstanceUID = "1.2.9"
        study.RTReferencedSeriesSequence = [series]
        frame.RTReferencedStudySequence = [study]
    return frame


__all__ = ["FRAME_UID", "ImplicitVRLittleEndian", "Roi", "write_rtstruct"]
