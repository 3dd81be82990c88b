"""Writes DICOM SEG objects with highdicom, for images written by ``dicom_writer``."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from planner.geometry import Grid

MAY_BE_EMPTY = (
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)


def description(number: int, label: str, type_code: Code | None = None) -> SegmentDescription:
    """One segment, made by hand."""
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=CodedConcept.from_code(
            type_code or Code("15825003", "SCT", "Aorta")
        ),
        algorithm_type="MANUAL",
    )


def write_seg(
    file: Path,
    sources: list[Path],
    grid: Grid,
    masks: np.ndarray,
    segments: list[SegmentDescription],
    *,
    kind: str = "BINARY",
    fractional: str = "OCCUPANCY",
    omit_empty: bool = True,
    edit=None,
) -> Path:
    """``masks`` is [k, j, i, segment] on ``grid`` (bool, or float shares for FRACTIONAL)."""
    images = [pydicom.dcmread(f) for f in sources]
    for image in images:
        image.PatientName = "Phantom^Test"
        for keyword in [
            "PatientSex",
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
            "StudyID",
            "ReferringPhysicianName",
        ]:
            if keyword not in image:
                setattr(image, keyword, None)
    volume = hd.Volume(
        array=masks,
        affine=grid.lps_from_kji,
        coordinate_system="PATIENT",
        frame_of_reference_uid=images[0].FrameOfReferenceUID,
        channels={"SegmentNumber": list(range(1, masks.shape[3] + 1))},
    )
    more = {"fractional_type": fractional} if kind == "FRACTIONAL" else {}
    seg = Segmentation(
        source_images=images,
        pixel_array=volume,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=100,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=omit_empty,
        **more,
    )
    if edit is not None:
        edit(seg)
    seg.save_as(file)
    return file
