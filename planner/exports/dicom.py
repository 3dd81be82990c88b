"""The DICOM exports by the names of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from planner.exports.dicom_burned_in import write_burned_in
from planner.exports.dicom_rtstruct import write_rtstruct
from planner.exports.dicom_seg import write_dicom_seg
from planner.exports.dicom_send import send_files
from planner.exports.dicom_source import SourceImages, source_images, with_structures
from planner.exports.dicom_sr import write_dicom_sr
from planner.exports.plan_to_export import PlanToExport

__all__ = [
    "FORMATS",
    "SourceImages",
    "send_files",
    "source_images",
    "with_structures",
    "write_burned_in",
    "write_dicom_seg",
    "write_dicom_sr",
    "write_rtstruct",
]

Writer = Callable[[PlanToExport, SourceImages, Path], tuple[Path, ...]]

FORMATS: Mapping[str, Writer] = {
    "dicom-sr": write_dicom_sr,
    "dicom-seg": write_dicom_seg,
    "dicom-images": write_burned_in,
    "rtstruct": write_rtstruct,
}
"""Each writes to a path (``dicom-images``: makes a folder) and returns the files it wrote."""
