"""A derived image series with the paths drawn in, for consoles that import only images.

The patient's name, ID and birth date are copied from the source images, as DICOM demands.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, OutputError
from planner.exports.capsule_voxels import capsule_voxels
from planner.exports.dicom_common import (
    IMAGE_SERIES,
    building,
    decimal_strings,
    file_bytes,
    new_object,
    new_uid,
    place_image,
    reference_to,
    short_text,
    statement,
)
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport
from planner.io.atomic import write_bytes_atomic

DASH_MM = 2.0
"""Length of the strokes and gaps in which the throw beyond the tip is drawn."""

BRIGHTER_FRAC = 0.1
"""The needle is brighter than the brightest voxel by this share of the range of values."""

_ACQUISITION = (
    "BodyPartExamined",
    "Laterality",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "EchoTrainLength",
    "MagneticFieldStrength",
    "ImagingFrequency",
    "ImagedNucleus",
    "PixelBandwidth",
    "FlipAngle",
    "InPlanePhaseEncodingDirection",
    "KVP",
    "AcquisitionNumber",
    "PatientPosition",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "WindowCenter",
    "WindowWidth",
)
"""Of the source image, as far as it has them."""

_EMPTY_OF_MR = ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength")
_EMPTY_OF_CT = ("KVP", "AcquisitionNumber")
"""Type 2 of the image modules."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """Values with the needle in them as DICOM stores them: real = slope * stored + intercept."""

    stored: NDArray[np.integer[Any]]
    slope: float
    intercept: float

    @property
    def is_plain(self) -> bool:
        return self.slope == 1.0 and self.intercept == 0.0


def write_burned_in(plan: PlanToExport, source: SourceImages, path: str | Path) -> tuple[Path, ...]:
    """The files of the derived series, in the order of k, after they were written.

    A new secondary series in the frame of reference, study and geometry of the source. Every
    voxel that a needle touches (its radius around its axis, entry to tip) has a value above
    all others; the throw beyond the tip is dashed, its end drawn. Other voxels keep their
    values; where these do not fit 16 bits they are scaled, with slope and intercept.

    Parameters
    ----------
    plan, source
    path : str or Path
        Folder to make: ``IM0001.dcm`` ... It must not exist, or be empty.

    Raises
    ------
    InputError
        A path lies outside the images, or the images cannot be built.
    OutputError
        The folder holds something, or cannot be written; then nothing is left of it.
    """
    inside = _needle_voxels(plan, source)
    return _write_folder(Path(path), _images(plan, source, inside))


def _needle_voxels(plan: PlanToExport, source: SourceImages) -> NDArray[np.bool_]:
    grid = source.volume.grid
    radius_mm = plan.document.needle.outer_diameter_mm / 2
    inside = np.zeros(grid.shape_kji, np.bool_)
    for path in plan.paths:
        entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
        needle = capsule_voxels(grid, entry, tip, radius_mm)
        if not needle.any():
            raise InputError("the path lies outside the images", where=plan.name_of(path))
        inside |= needle
        for start, end in _dashes(tip, np.array(path.throw_end_lps_mm)):
            inside |= capsule_voxels(grid, start, end, radius_mm)
    return inside


def _dashes(
    tip_lps_mm: NDArray[np.float64], end_lps_mm: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Strokes from the end back towards the tip, a gap after each; none without a throw."""
    length_mm = float(np.linalg.norm(end_lps_mm - tip_lps_mm))
    if not length_mm > 0.0:
        return []
    back = (tip_lps_mm - end_lps_mm) / length_mm
    starts_mm = np.arange(0.0, length_mm, 2 * DASH_MM)
    return [
        (end_lps_mm + back * s, end_lps_mm + back * min(s + DASH_MM, length_mm)) for s in starts_mm
    ]


def _images(
    plan: PlanToExport, source: SourceImages, inside: NDArray[np.bool_]
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
    from pydicom.uid import CTImageStorage, MRImageStorage

    modality = source.volume.source.modality
    is_ct = modality == "CT"
    pixels = _drawn(np.asarray(source.volume.values), inside)
    storage = CTImageStorage if is_ct else MRImageStorage
    with building("derived series"):
        first = new_object(plan, source, IMAGE_SERIES, sop_class_uid=storage, modality=modality)
        _describe(first, plan, source, is_ct=is_ct)
        _add_pixel_description(first, pixels, is_ct=is_ct)
        for k in range(len(source.slices)):
            yield f"IM{k + 1:04d}.dcm", file_bytes(_slice(first, k, source, pixels))


def _describe(image: Any, plan: PlanToExport, source: SourceImages, *, is_ct: bool) -> None:
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if is_ct else "OTHER"]
    image.BurnedInAnnotation = "YES"
    drawn = ", ".join(plan.name_of(path) for path in plan.paths)
    image.DerivationDescription = short_text(f"Drawn in: {drawn}. {statement(plan)}")
    image.ImageComments = short_text(f"{drawn}. {statement(plan)}")
    for keyword in _ACQUISITION:
        if keyword in source.header:
            setattr(image, keyword, source.header[keyword].value)
    if image.get("BodyPartExamined") and not image.get("Laterality"):
        image.pop("Laterality", None)  # of a paired part alone
    elif "Laterality" not in image:
        image.Laterality = None
    for keyword in _EMPTY_OF_CT if is_ct else _EMPTY_OF_MR:
        if keyword not in image:
            setattr(image, keyword, None)
    if not is_ct:
        # Type 1; "research mode" where an enhanced or damaged header says nothing.
        image.ScanningSequence = image.get("ScanningSequence") or "RM"
        image.SequenceVariant = image.get("SequenceVariant") or "NONE"


def _add_pixel_description(image: Any, pixels: _Pixels, *, is_ct: bool) -> None:
    image.Rows, image.Columns = pixels.stored.shape[1:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = int(pixels.stored.dtype.kind == "i")
    if is_ct or not pixels.is_plain:
        image.RescaleSlope, image.RescaleIntercept = decimal_strings(
            [pixels.slope, pixels.intercept]
        )
        image.RescaleType = "HU" if is_ct else "US"


def _slice(first: Any, k: int, source: SourceImages, pixels: _Pixels) -> Any:
    image = deepcopy(first)
    header = source.slices[k]
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = new_uid()
    image.InstanceNumber = k + 1
    place_image(image, header, source)
    image.SourceImageSequence = [reference_to(header, source.frame_number(header))]
    image.PixelData = pixels.stored[k].astype("<" + pixels.stored.dtype.str[1:]).tobytes()
    return image


def _drawn(values: NDArray[Any], inside: NDArray[np.bool_]) -> _Pixels:
    """The values with the needle brighter than all of them, as 16-bit integers.

    Integers that fit are kept as they are.
    """
    low, high = float(values.min()), float(values.max())
    bright = high + max(np.ceil(BRIGHTER_FRAC * (high - low)), 1.0)
    if values.dtype.kind in "iu":
        for dtype in (np.uint16, np.int16):
            limits = np.iinfo(dtype)
            if limits.min <= low and bright <= limits.max:
                stored = values.astype(dtype)
                stored[inside] = int(bright)
                return _Pixels(stored, 1.0, 0.0)
    bright = high + max(BRIGHTER_FRAC * (high - low), abs(high) * 1e-3, 1e-6)
    # What is written is what is counted with: the slope has at most 16 characters as DS.
    slope = float(decimal_strings([(bright - low) / np.iinfo(np.uint16).max])[0])
    intercept = float(decimal_strings([low])[0])
    real = np.where(inside, bright, values.astype(np.float64))
    steps = np.rint((real - intercept) / slope)
    return _Pixels(np.clip(steps, 0, np.iinfo(np.uint16).max).astype(np.uint16), slope, intercept)


def _write_folder(folder: Path, contents: Iterable[tuple[str, bytes]]) -> tuple[Path, ...]:
    """The files of a folder that was made with them in one step; or nothing is left."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "the series cannot be written: there is something at its path",
            seen="a folder that is not empty" if folder.is_dir() else "a file",
            needed="a folder that is not there yet, or is empty",
            where=str(folder),
            fix="Choose another folder.",
        )
    temporary = folder.parent / f".{folder.name[:24]}.{secrets.token_hex(6)}.tmp"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        names = [write_bytes_atomic(temporary / name, data).name for name, data in contents]
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
        return tuple(folder / name for name in names)
    except OSError as error:
        raise OutputError(
            "the series cannot be written",
            seen=error.strerror or type(error).__name__,
            where=str(folder),
            fix="Nothing was changed. Choose a folder that can be written to.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary, ignore_errors=True)
