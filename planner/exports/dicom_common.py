"""What all DICOM exports share: patient and study of the source, a new series, texts, saving.

DICOM needs the patient module: name, ID and birth date are copied from the source images into
every DICOM export, so the object is filed under the same patient. Nothing else of this program
writes them.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import planner
from planner.errors import InputError, PlannerError
from planner.exports.plan_to_export import PlanToExport
from planner.io.atomic import write_bytes_atomic
from planner.io.plan_document import RESEARCH_USE
from planner.io.slice_header import SliceHeader

if TYPE_CHECKING:
    from planner.exports.dicom_source import SourceImages

MANUFACTURER = "mr-needle-planner (research)"
MODEL = "mr-needle-planner"
SERIAL_NUMBER = "none"
"""Type 1 in some modules; a program has none."""

UNVERIFIED = "UNVERIFIED"

CODING_SCHEME = "99NPLAN"
MAX_LO, MAX_SH, MAX_ST = 64, 16, 1024
"""Bytes of UTF-8 in a Long String, a Short String, a Short Text.

The standard counts characters; receivers and dciodvfy count bytes.
"""
_CUT = "..."
_HEAD_SHARE = 0.6

_REQUIRED_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Type 2: there, empty where the source has none."""

_COPIED = (
    *_REQUIRED_EMPTY,
    "IssuerOfPatientID",
    "PatientBirthTime",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
)
"""Patient, Clinical Trial, General Study and Patient Study modules."""

_FAULTS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, struct.error)
"""What pydicom and highdicom raise for values they cannot encode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOf:
    """Numbers by which the series of one kind of export are told from acquired ones."""

    number: int
    words: str


SR_SERIES = SeriesOf(number=9901, words="Needle plan")
SEG_SERIES = SeriesOf(number=9902, words="Needle plan regions")
IMAGE_SERIES = SeriesOf(number=9903, words="Needle plan drawn in")
RTSTRUCT_SERIES = SeriesOf(number=9904, words="Needle plan contours")


def series_description(plan: PlanToExport, kind: SeriesOf) -> str:
    """What a list of series shows: kind, research use, verdict; UNVERIFIED first where so."""
    words = f"{kind.words}, research use, {plan.worst_verdict} {plan.sha256[:8]}"
    return long_string(f"{UNVERIFIED} {words}" if plan.is_unverified else words)


def statement(plan: PlanToExport) -> str:
    """Research use, approval, worst verdict of what is exported, and plan hash in one text."""
    state = f"{UNVERIFIED}. " if plan.is_unverified else ""
    return short_text(
        f"{state}{RESEARCH_USE} Not approved. Verdict: {plan.worst_verdict}. "
        f"Plan sha256 {plan.sha256}."
    )


def long_string(text: str) -> str:
    """A text as DICOM LO: one line, no backslash, at most 64 bytes."""
    return _shortened(text, MAX_LO)


def short_string(text: str) -> str:
    """A text as DICOM SH: one line, no backslash, at most 16 bytes."""
    return _shortened(text, MAX_SH)


def short_text(text: str) -> str:
    """A text as DICOM ST of one line."""
    return _shortened(text, MAX_ST)


def unique_long_strings(texts: list[str]) -> list[str]:
    """The texts as LO, told apart by a number where shortening made two of them equal."""
    found: list[str] = []
    for text in texts:
        short, n = long_string(text), 2
        while short in found:
            end = f" ({n})"
            short, n = _shortened(text, MAX_LO - len(end)) + end, n + 1
        found.append(short)
    return found


def one_line(text: str) -> str:
    """A text without line breaks, backslashes, control characters and changes of direction."""
    kept = (c if unicodedata.category(c)[0] != "C" else " " for c in text.replace("\\", "/"))
    return " ".join("".join(kept).split())


def _shortened(text: str, most: int) -> str:
    """At most so many bytes, cut in the middle: sides and levels stand at the end."""
    clean = one_line(text)
    whole = clean.encode("utf-8")
    if len(whole) <= most:
        return clean
    room = most - len(_CUT)
    n_head = int(_HEAD_SHARE * room)
    # a character that is cut through is left out
    head = whole[:n_head].decode("utf-8", "ignore").rstrip()
    tail = whole[len(whole) - (room - n_head) :].decode("utf-8", "ignore").lstrip()
    return f"{head}{_CUT}{tail}"


def new_uid() -> str:
    """A new UID made of random bits (2.25)."""
    from pydicom.uid import generate_uid

    return str(generate_uid(prefix=None))


def new_object(
    plan: PlanToExport, source: SourceImages, kind: SeriesOf, *, sop_class_uid: str, modality: str
) -> Any:
    """A data set with patient, study, series, equipment and frame of reference, to be filled."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.MediaStorageSOPInstanceUID = new_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = new_uid()
    dataset.SeriesNumber, dataset.InstanceNumber = kind.number, 1
    dataset.Modality = modality
    dataset.SeriesDescription = series_description(plan, kind)
    dataset.FrameOfReferenceUID = source.frame_of_reference_uid
    dataset.PositionReferenceIndicator = source.header.get("PositionReferenceIndicator") or ""
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MODEL
    dataset.SoftwareVersions = long_string(planner.__version__)
    dataset.DeviceSerialNumber = SERIAL_NUMBER
    now = datetime.now()
    dataset.InstanceCreationDate = f"{now:%Y%m%d}"
    dataset.InstanceCreationTime = f"{now:%H%M%S}"
    copy_patient_and_study(dataset, source)
    return dataset


def copy_patient_and_study(dataset: Any, source: SourceImages) -> None:
    """Puts patient and study of the source into a data set, in UTF-8."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _COPIED:
        if keyword in source.header:
            setattr(dataset, keyword, source.header[keyword].value)
        elif keyword in _REQUIRED_EMPTY:
            setattr(dataset, keyword, None)


def bare_images(source: SourceImages) -> list[Any]:
    """The slices as single images with identity and geometry only, in the order of k.

    For highdicom: it takes geometry and references from them. Patient and study are left
    empty here and are copied by :func:`copy_patient_and_study` as they are, unjudged.
    Frames of one instance get UIDs of their own; :func:`restore_references` undoes that.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import CTImageStorage, MRImageStorage

    found = []
    n_of_instance = {h.sop_instance_uid: 0 for h in source.slices}
    for header in source.slices:
        n_of_instance[header.sop_instance_uid] += 1
    for k, header in enumerate(source.slices):
        image = Dataset()
        is_shared = n_of_instance[header.sop_instance_uid] > 1 or header.frame is not None
        image.SOPInstanceUID = f"2.25.{k}" if is_shared else header.sop_instance_uid
        modality = source.volume.source.modality
        image.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        image.StudyInstanceUID = source.header.StudyInstanceUID
        image.SeriesInstanceUID = header.series_instance_uid
        image.FrameOfReferenceUID = source.frame_of_reference_uid
        image.Modality = modality
        image.Rows, image.Columns = source.volume.grid.shape_kji[1:]
        place_image(image, header, source)
        for keyword in _REQUIRED_EMPTY:
            setattr(image, keyword, None)
        found.append(image)
    return found


def place_image(image: Any, header: SliceHeader, source: SourceImages) -> None:
    """Position, orientation and pixel spacing of a slice, as its own header says them."""
    position, axes, spacing = (
        header.position_lps_mm,
        header.row_column_axes_lps,
        header.pixel_spacing_ji_mm,
    )
    if position is None or axes is None or spacing is None:  # a plannable volume has them
        raise InputError("a source image has no place in the patient", where=header.name)
    image.ImagePositionPatient = decimal_strings(position)
    image.ImageOrientationPatient = decimal_strings(axes)
    image.PixelSpacing = decimal_strings(spacing)
    step_mm = float(source.volume.grid.spacing_kji_mm[0])
    thickness = header.mr.get("slice_thickness_mm") or source.header.get("SliceThickness")
    image.SliceThickness = decimal_strings([thickness or step_mm])[0]
    image.SpacingBetweenSlices = decimal_strings([step_mm])[0]


def decimal_strings(numbers: Any) -> list[str]:
    """Numbers as DS, at most 16 characters each."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(v)) for v in numbers]


def restore_references(dataset: Any, source: SourceImages) -> None:
    """Writes true instances and frame numbers where :func:`bare_images` put stand-ins."""
    true = {f"2.25.{k}": h for k, h in enumerate(source.slices)}
    for item in _items(dataset):
        header = true.get(str(item.get("ReferencedSOPInstanceUID", "")))
        if header is None:
            continue
        item.ReferencedSOPClassUID = header.sop_class_uid
        item.ReferencedSOPInstanceUID = header.sop_instance_uid
        number = source.frame_number(header)
        if number is not None:
            item.ReferencedFrameNumber = number
    _without_repeats(dataset)


def _without_repeats(dataset: Any) -> None:
    """An instance is listed once in a series, without frames, however many are used."""
    for owner in list(_items(dataset)):
        for series in owner.get("ReferencedSeriesSequence") or []:
            for keyword in ("ReferencedInstanceSequence", "ReferencedSOPSequence"):
                once: dict[str, Any] = {}
                for item in series.get(keyword) or []:
                    if "ReferencedFrameNumber" in item:
                        del item.ReferencedFrameNumber
                    once.setdefault(item.ReferencedSOPInstanceUID, item)
                if once:
                    setattr(series, keyword, list(once.values()))


def _items(dataset: Any) -> Iterator[Any]:
    """The data set and every item of every sequence in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def source_references(source: SourceImages) -> list[Any]:
    """One reference (class and instance) to each file of the source."""
    return [reference_to(header) for header in source.files]


def reference_to(header: SliceHeader, frame_number: int | None = None) -> Any:
    """A reference to an instance, or to one frame of it."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = header.sop_class_uid
    item.ReferencedSOPInstanceUID = header.sop_instance_uid
    if frame_number is not None:
        item.ReferencedFrameNumber = frame_number
    return item


@contextmanager
def building(what: str) -> Iterator[None]:
    """Turns any fault of a DICOM library into one error; its own words may quote a header."""
    from planner.io.dicom_values import quiet_pydicom

    try:
        with quiet_pydicom():
            yield
    except PlannerError:
        raise
    except _FAULTS as error:
        raise InputError(
            f"the {what} cannot be made from this plan and these images",
            seen=type(error).__name__,
            fix="The header of the source images lacks or holds something a DICOM object must not.",
        ) from error


def file_bytes(dataset: Any) -> bytes:
    """A data set as the bytes of a DICOM file."""
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write_object(path: str | Path, what: str, build: Callable[[], Any]) -> tuple[Path, ...]:
    """The file in which the data set that ``build`` makes was written whole.

    Raises
    ------
    InputError
        If it cannot be built from these images.
    OutputError
        If it cannot be written.
    """
    with building(what):
        content = file_bytes(build())
    return (write_bytes_atomic(path, content),)
