"""SliceHeader: what one DICOM file says about itself, read once, without its pixels."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeVar

from planner.errors import UnsupportedObjectError
from planner.io.dicom_values import DicomTag, RawElements
from planner.io.mr_header import MR_TAGS, MrValue, b_value_s_per_mm2, mr_values

T = TypeVar("T")

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"

_PREAMBLE_BYTES = 128
_LONG_LENGTH_VRS = (b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN")
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How the pixels of one file are stored.

    ``offset`` is the position of the first pixel byte in the file; None when
    the pixels are compressed, deflated or big-endian.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    samples_per_pixel: int
    photometric: str
    is_lossy: bool
    slope: float
    intercept: float
    has_lut: bool
    offset: int | None

    @property
    def n_bytes(self) -> int:
        """Bytes that the uncompressed pixels take."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceHeader:
    """One image file: identity, geometry, what may tell it from its siblings, pixels.

    Attributes
    ----------
    file : Path
    name : str
        Path relative to the scanned folder, with forward slashes.
    patient_key : str
        Hash of the Patient ID; only for telling patients apart.
    position_lps_mm, row_column_axes_lps, pixel_spacing_ji_mm
        Image Position, Image Orientation (row direction, then column direction)
        and Pixel Spacing (between rows, between columns); None when absent.
    layout : PixelLayout or None
        None when the file holds no image.
    faults : tuple of str
        What keeps this slice from being used.
    """

    file: Path
    name: str
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    patient_key: str
    modality: str
    series_number: int | None
    description: str
    image_type: tuple[str, ...]
    patient_position: str
    n_frames: int
    position_lps_mm: tuple[float, ...] | None
    row_column_axes_lps: tuple[float, ...] | None
    pixel_spacing_ji_mm: tuple[float, ...] | None
    gantry_tilt_deg: float | None
    b_value_s_per_mm2: float | None
    gradient_direction: tuple[float, ...] | None
    echo_time_ms: float | None
    echo_number: int | None
    inversion_time_ms: float | None
    flip_angle_deg: float | None
    image_kind: str
    temporal_position: int | None
    trigger_time_ms: float | None
    acquisition_number: int | None
    acquisition_time: str
    mr: Mapping[str, MrValue]
    layout: PixelLayout | None
    faults: tuple[str, ...]


class HeaderReader:
    """Reads headers of many files; values repeated in every slice are kept once."""

    def __init__(self, root: Path) -> None:
        from pydicom.tag import Tag

        self._root = root
        self._tags = [Tag(int(tag)) for tag in DicomTag]
        self._mr_cache: dict[tuple[bytes, ...], Mapping[str, MrValue]] = {}

    def read(self, file: Path) -> SliceHeader:
        """The header of one DICOM file.

        Raises
        ------
        UnsupportedObjectError
            If the file is not DICOM; any error of a damaged file comes as it is.
        """
        import pydicom

        with file.open("rb") as stream:
            has_preamble = _looks_like_dicom(stream, file)
            dataset = pydicom.dcmread(
                stream,
                stop_before_pixels=True,
                specific_tags=self._tags,
                force=not has_preamble,
            )
            raw = RawElements.of(dataset)
            meta = dataset.file_meta
            syntax = str(meta.get("TransferSyntaxUID", ""))
            if not syntax:
                is_implicit, _ = dataset.original_encoding
                syntax = IMPLICIT_LE if is_implicit else EXPLICIT_LE
            sop_class = raw.text(DicomTag.SOPClassUID) or str(
                meta.get("MediaStorageSOPClassUID", "")
            )
            if not sop_class and not raw.text(DicomTag.Modality):
                raise _not_dicom(file)
            return self._header(file, raw, sop_class, syntax, stream)

    def _header(
        self, file: Path, raw: RawElements, sop_class: str, syntax: str, stream: BinaryIO
    ) -> SliceHeader:
        faults: list[str] = []

        def get(keyword: str, read: Callable[[], T | None]) -> T | None:
            try:
                return read()
            except ValueError as error:
                faults.append(f"{keyword} cannot be read: {error}")
                return None

        return SliceHeader(
            file=file,
            name=file.relative_to(self._root).as_posix(),
            sop_class_uid=sop_class,
            sop_instance_uid=raw.text(DicomTag.SOPInstanceUID),
            study_instance_uid=raw.text(DicomTag.StudyInstanceUID),
            series_instance_uid=raw.text(DicomTag.SeriesInstanceUID),
            frame_of_reference_uid=raw.text(DicomTag.FrameOfReferenceUID),
            patient_key=_hashed(raw.by_tag.get(DicomTag.PatientID, b"")),
            modality=raw.text(DicomTag.Modality),
            series_number=_or_none(lambda: raw.integer(DicomTag.SeriesNumber)),
            description=raw.decoded(DicomTag.SeriesDescription),
            image_type=raw.texts(DicomTag.ImageType),
            patient_position=raw.text(DicomTag.PatientPosition),
            n_frames=get("NumberOfFrames", lambda: raw.integer(DicomTag.NumberOfFrames)) or 1,
            position_lps_mm=get(
                "ImagePositionPatient", lambda: raw.numbers(DicomTag.ImagePositionPatient, 3)
            ),
            row_column_axes_lps=get(
                "ImageOrientationPatient", lambda: raw.numbers(DicomTag.ImageOrientationPatient, 6)
            ),
            pixel_spacing_ji_mm=get("PixelSpacing", lambda: raw.numbers(DicomTag.PixelSpacing, 2)),
            gantry_tilt_deg=_or_none(lambda: raw.number(DicomTag.GantryDetectorTilt)),
            b_value_s_per_mm2=b_value_s_per_mm2(raw),
            gradient_direction=_gradient_direction(raw),
            echo_time_ms=_or_none(lambda: raw.number(DicomTag.EchoTime)),
            echo_number=_or_none(lambda: raw.integer(DicomTag.EchoNumbers)),
            inversion_time_ms=_or_none(lambda: raw.number(DicomTag.InversionTime)),
            flip_angle_deg=_or_none(lambda: raw.number(DicomTag.FlipAngle)),
            image_kind=_image_kind(raw),
            temporal_position=_or_none(lambda: raw.integer(DicomTag.TemporalPositionIdentifier)),
            trigger_time_ms=_or_none(lambda: raw.number(DicomTag.TriggerTime)),
            acquisition_number=_or_none(lambda: raw.integer(DicomTag.AcquisitionNumber)),
            acquisition_time=raw.text(DicomTag.AcquisitionDate)
            + raw.text(DicomTag.AcquisitionTime),
            mr=self._mr_of(raw),
            layout=_layout(raw, syntax, stream, get, faults),
            faults=tuple(faults),
        )

    def _mr_of(self, raw: RawElements) -> Mapping[str, MrValue]:
        key = tuple(raw.by_tag.get(tag, b"") for tag in MR_TAGS)
        if key not in self._mr_cache:
            self._mr_cache[key] = mr_values(raw)
        return self._mr_cache[key]


def _looks_like_dicom(stream: BinaryIO, file: Path) -> bool:
    """Whether there is a preamble; files of old nodes start with group 0002 or 0008 at once."""
    start = stream.read(_PREAMBLE_BYTES + 4)
    stream.seek(0)
    if start[_PREAMBLE_BYTES:] == b"DICM":
        return True
    if len(start) > 8 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00":
        return False
    raise _not_dicom(file)


def _not_dicom(file: Path) -> UnsupportedObjectError:
    return UnsupportedObjectError("not a DICOM file", where=file.name)


@lru_cache(maxsize=256)
def _hashed(patient_id: bytes) -> str:
    return hashlib.sha256(patient_id.strip(b" \0")).hexdigest()[:16]


def _or_none(read: Callable[[], T | None]) -> T | None:
    """A value used only to tell images apart: one that cannot be read tells nothing."""
    try:
        return read()
    except ValueError:
        return None


def _gradient_direction(raw: RawElements) -> tuple[float, ...] | None:
    for tag in (DicomTag.DiffusionGradientOrientation, DicomTag.SiemensGradientDirection):
        values = _or_none(lambda tag=tag: raw.floats(tag, "d"))  # type: ignore[misc]
        if values:
            return tuple(round(v, 4) + 0.0 for v in values)
    return None


def _image_kind(raw: RawElements) -> str:
    """Magnitude, phase, real or imaginary where an attribute says so, else ``""``."""
    kind = raw.text(DicomTag.ComplexImageComponent).lower()
    if kind:
        return kind
    codes = _or_none(lambda: raw.shorts(DicomTag.GEImageKind, is_signed=True))
    names = ("magnitude", "phase", "real", "imaginary")
    return names[codes[0]] if codes and 0 <= codes[0] < len(names) else ""


def _layout(
    raw: RawElements,
    syntax: str,
    stream: BinaryIO,
    get: Callable[[str, Callable[[], float | None]], float | None],
    faults: list[str],
) -> PixelLayout | None:
    rows, columns = raw.short(DicomTag.Rows), raw.short(DicomTag.Columns)
    if not rows or not columns:
        return None
    bits_allocated = raw.short(DicomTag.BitsAllocated) or 0
    bits_stored = raw.short(DicomTag.BitsStored) or bits_allocated
    high_bit = raw.short(DicomTag.HighBit)
    slope = get("RescaleSlope", lambda: raw.number(DicomTag.RescaleSlope))
    intercept = get("RescaleIntercept", lambda: raw.number(DicomTag.RescaleIntercept))
    if slope == 0:
        faults.append("RescaleSlope is 0: the values are lost")
    layout = PixelLayout(
        transfer_syntax_uid=syntax,
        rows=rows,
        columns=columns,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        is_signed=raw.short(DicomTag.PixelRepresentation) == 1,
        samples_per_pixel=raw.short(DicomTag.SamplesPerPixel) or 1,
        photometric=raw.text(DicomTag.PhotometricInterpretation),
        is_lossy=raw.text(DicomTag.LossyImageCompression) == "01",
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        has_lut=DicomTag.ModalityLUTSequence in raw.by_tag,
        offset=None,
    )
    n_frames = _or_none(lambda: raw.integer(DicomTag.NumberOfFrames)) or 1
    needed_bytes = layout.n_bytes * n_frames
    return _with_offset(layout, needed_bytes, stream, faults)


def _with_offset(
    layout: PixelLayout, needed_bytes: int, stream: BinaryIO, faults: list[str]
) -> PixelLayout:
    """Adds where the pixels start; the stream stands at the Pixel Data element."""
    if layout.transfer_syntax_uid == DEFLATED:
        return layout
    head = stream.read(12)
    order = ">" if layout.transfer_syntax_uid == EXPLICIT_BE else "<"
    group, element = struct.unpack(f"{order}HH", head[:4]) if len(head) == 12 else (0, 0)
    if (group << 16 | element) != _PIXEL_DATA:
        faults.append("the file ends before its pixel data")
        return layout
    if layout.transfer_syntax_uid not in (IMPLICIT_LE, EXPLICIT_LE):
        return layout
    is_long = layout.transfer_syntax_uid == EXPLICIT_LE and head[4:6] in _LONG_LENGTH_VRS
    size = 12 if is_long else 8
    (length,) = struct.unpack("<L", head[size - 4 : size])
    offset = stream.tell() - 12 + size
    available = min(length, os.fstat(stream.fileno()).st_size - offset)
    if length == _UNDEFINED_LENGTH or available < needed_bytes:
        faults.append(f"pixel data is cut: {available} bytes where {needed_bytes} are needed")
    return replace(layout, offset=offset)
