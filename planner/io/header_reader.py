"""Reads one DICOM file into the headers of its image planes, without the pixels."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from planner.io.dicom_stream import OpenedFile, not_dicom, open_header
from planner.io.dicom_values import DicomTag, RawElements
from planner.io.functional_groups import FunctionalGroups, GroupTag, read_groups
from planner.io.mosaic import mosaic_tiles
from planner.io.mr_header import MR_TAGS, MrValue, b_value_s_per_mm2, mr_values
from planner.io.multiframe_header import ENHANCED_CLASSES, Frames, frames_of
from planner.io.slice_header import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    PixelLayout,
    SliceHeader,
)

T = TypeVar("T")

_LONG_LENGTH_VRS = (b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN")
_UNDEFINED_LENGTH = 0xFFFFFFFF


class HeaderReader:
    """Reads headers of many files; values repeated in every slice are kept once."""

    def __init__(self, root: Path) -> None:
        from pydicom.tag import Tag

        self._root = root
        self._tags = [Tag(int(tag)) for tag in DicomTag]
        self._enhanced_tags = [*self._tags, *(Tag(int(tag)) for tag in GroupTag)]
        self._mr_cache: dict[tuple[bytes, ...], Mapping[str, MrValue]] = {}

    def read(self, file: Path) -> tuple[SliceHeader, ...]:
        """The planes of one DICOM file: one for each frame or mosaic tile, else a single one.

        A file whose planes cannot be told for certain gives a single header with a
        ``refusal``.

        Raises
        ------
        UnsupportedObjectError
            If the file is not DICOM; any error of a damaged file comes as it is.
        """
        with file.open("rb") as stream:
            opened = open_header(stream, file.name, self._tags)
            raw = RawElements.of(opened.dataset)
            sop_class = raw.text(DicomTag.SOPClassUID) or opened.media_class_uid
            if not sop_class and not raw.text(DicomTag.Modality):
                raise not_dicom(file.name)
            name = file.relative_to(self._root).as_posix()
            if sop_class in ENHANCED_CLASSES:
                stream.seek(0)
                opened = open_header(stream, file.name, self._enhanced_tags)
                return tuple(self._frames(file, name, sop_class, opened))
            layout, faults = _layout(raw, opened)
            if layout is not None:
                layout = _rescaled(layout, raw, faults)
            header = self._plane(file, name, sop_class, raw, layout, faults)
        if "MOSAIC" in header.image_type:
            return mosaic_tiles(header)
        return (header,)

    def _frames(
        self, file: Path, name: str, sop_class: str, opened: OpenedFile
    ) -> Iterator[SliceHeader]:
        """The planes of an enhanced object."""
        top = RawElements.of(opened.dataset)
        groups: FunctionalGroups | None = None
        refusal = ""
        try:
            groups = read_groups(
                opened.stream,
                is_implicit=opened.is_implicit,
                is_little_endian=opened.is_little_endian,
            )
        except ValueError as error:
            refusal = f"the functional groups cannot be read: {error}"
        layout, faults = _layout(top, opened)
        frames = Frames((), refusal) if refusal else frames_of(top, groups)
        refusal = frames.refusal
        if refusal or layout is None:
            what = ENHANCED_CLASSES[sop_class]
            header = self._plane(file, name, sop_class, top, layout, [])
            yield replace(header, refusal=f"{what}: {refusal}" if refusal else "")
            return
        for n, raw in enumerate(frames.elements):
            frame_faults = list(faults)
            plane = self._plane(
                file,
                f"{name}, frame {n + 1}",
                sop_class,
                raw,
                _rescaled(layout, raw, frame_faults),
                frame_faults,
                frame=n,
                notes=frames.notes,
            )
            yield plane

    def _plane(
        self,
        file: Path,
        name: str,
        sop_class: str,
        raw: RawElements,
        layout: PixelLayout | None,
        faults: list[str],
        *,
        frame: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> SliceHeader:
        def get(keyword: str, read: Callable[[], T | None]) -> T | None:
            return _checked(keyword, read, faults)

        return SliceHeader(
            file=file,
            name=name,
            sop_class_uid=sop_class,
            sop_instance_uid=raw.text(DicomTag.SOPInstanceUID),
            study_instance_uid=raw.text(DicomTag.StudyInstanceUID),
            series_instance_uid=raw.text(DicomTag.SeriesInstanceUID),
            frame_of_reference_uid=raw.text(DicomTag.FrameOfReferenceUID),
            patient_key=_patient_key(raw),
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
            stack_id=raw.text(GroupTag.StackID),
            acquisition_number=_or_none(lambda: raw.integer(DicomTag.AcquisitionNumber)),
            acquisition_time=raw.text(DicomTag.AcquisitionDate)
            + raw.text(DicomTag.AcquisitionTime),
            mr=self._mr_of(raw),
            layout=layout,
            faults=tuple(faults),
            frame=frame,
            notes=notes,
        )

    def _mr_of(self, raw: RawElements) -> Mapping[str, MrValue]:
        key = tuple(raw.by_tag.get(tag, b"") for tag in MR_TAGS)
        if key not in self._mr_cache:
            self._mr_cache[key] = mr_values(raw)
        return self._mr_cache[key]


def _checked(keyword: str, read: Callable[[], T | None], faults: list[str]) -> T | None:
    try:
        return read()
    except ValueError as error:
        faults.append(f"{keyword} cannot be read: {error}")
        return None


def _patient_key(raw: RawElements) -> str:
    """Hash of the Patient ID; of name and birth date where there is no ID."""
    patient_id = raw.by_tag.get(DicomTag.PatientID, b"").strip(b" \0")
    if patient_id:
        return _hashed(patient_id)
    name = raw.by_tag.get(DicomTag.PatientName, b"").strip(b" \0")
    return _hashed(name + b"\0" + raw.by_tag.get(DicomTag.PatientBirthDate, b""))


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


def _layout(raw: RawElements, opened: OpenedFile) -> tuple[PixelLayout | None, list[str]]:
    """How the file stores its frames, and what is wrong with that; None without an image."""
    faults: list[str] = []
    rows, columns = raw.short(DicomTag.Rows), raw.short(DicomTag.Columns)
    if not rows or not columns:
        return None, faults
    bits_allocated = raw.short(DicomTag.BitsAllocated) or 0
    bits_stored = raw.short(DicomTag.BitsStored) or bits_allocated
    high_bit = raw.short(DicomTag.HighBit)
    layout = PixelLayout(
        transfer_syntax_uid=opened.transfer_syntax_uid,
        rows=rows,
        columns=columns,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        is_signed=raw.short(DicomTag.PixelRepresentation) == 1,
        samples_per_pixel=raw.short(DicomTag.SamplesPerPixel) or 1,
        photometric=raw.text(DicomTag.PhotometricInterpretation),
        is_lossy=raw.text(DicomTag.LossyImageCompression) == "01",
        slope=1.0,
        intercept=0.0,
        has_lut=DicomTag.ModalityLUTSequence in raw.by_tag,
        offset=None,
        n_frames=_or_none(lambda: raw.integer(DicomTag.NumberOfFrames)) or 1,
    )
    return _with_offset(layout, opened, faults), faults


def _rescaled(layout: PixelLayout, raw: RawElements, faults: list[str]) -> PixelLayout:
    """The layout with the slope and intercept of one plane."""
    slope = _checked("RescaleSlope", lambda: raw.number(DicomTag.RescaleSlope), faults)
    intercept = _checked("RescaleIntercept", lambda: raw.number(DicomTag.RescaleIntercept), faults)
    if slope == 0:
        faults.append("RescaleSlope is 0: the values are lost")
    if slope in (None, 1.0) and not intercept:
        return layout
    return replace(layout, slope=1.0 if slope is None else slope, intercept=intercept or 0.0)


def _with_offset(layout: PixelLayout, opened: OpenedFile, faults: list[str]) -> PixelLayout:
    """Adds where the pixels start; the stream stands at the Pixel Data element."""
    stream, syntax = opened.stream, layout.transfer_syntax_uid
    head = stream.read(12)
    order = ">" if syntax == EXPLICIT_BE else "<"
    group, element = struct.unpack(f"{order}HH", head[:4]) if len(head) == 12 else (0, 0)
    if (group << 16 | element) != GroupTag.PixelData:
        faults.append("the file ends before its pixel data")
        return layout
    if syntax not in (IMPLICIT_LE, EXPLICIT_LE, DEFLATED):
        return layout
    is_long = syntax != IMPLICIT_LE and head[4:6] in _LONG_LENGTH_VRS
    size = 12 if is_long else 8
    (length,) = struct.unpack("<L", head[size - 4 : size])
    offset = stream.tell() - 12 + size
    needed_bytes = layout.frame_bytes * layout.n_frames
    available = length
    if syntax != DEFLATED:
        available = min(length, os.fstat(stream.fileno()).st_size - offset)
    if length == _UNDEFINED_LENGTH or available < needed_bytes:
        faults.append(f"pixel data is cut: {available} bytes where {needed_bytes} are needed")
    elif layout.n_frames > 1 and length >= needed_bytes + layout.frame_bytes:
        faults.append(
            f"NumberOfFrames is {layout.n_frames}, but there are pixels of "
            f"{length // max(layout.frame_bytes, 1)} frames"
        )
    return replace(layout, offset=offset)
