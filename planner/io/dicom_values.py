"""Decodes single DICOM values straight from their stored bytes.

pydicom finds the elements; the few values needed of every slice are decoded
here, because its own conversion of all of them costs more than reading the file.
"""

from __future__ import annotations

import logging
import math
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_TEXT_BYTES = 1024
"""Free text is read no further; the standard allows 64 characters."""

_BLANKS = " " + "".join(chr(n) for n in range(32))
_UID = re.compile(r"[0-9.]{1,64}")


class DicomTag(IntEnum):
    """The attributes read from every file, by DICOM keyword; private ones say the vendor."""

    SpecificCharacterSet = 0x00080005
    ImageType = 0x00080008
    SOPClassUID = 0x00080016
    SOPInstanceUID = 0x00080018
    AcquisitionDate = 0x00080022
    AcquisitionTime = 0x00080032
    Modality = 0x00080060
    SeriesDescription = 0x0008103E
    ComplexImageComponent = 0x00089208
    PatientName = 0x00100010
    PatientID = 0x00100020
    PatientBirthDate = 0x00100030
    DiffusionBValue = 0x00189087
    DiffusionGradientOrientation = 0x00189089
    TriggerTime = 0x00181060
    GantryDetectorTilt = 0x00181120
    PatientPosition = 0x00185100
    SiemensCreator = 0x00190010
    SiemensBValue = 0x0019100C
    SiemensGradientDirection = 0x0019100E
    SiemensDwellTime = 0x00191018
    StudyInstanceUID = 0x0020000D
    SeriesInstanceUID = 0x0020000E
    SeriesNumber = 0x00200011
    AcquisitionNumber = 0x00200012
    InstanceNumber = 0x00200013
    ImagePositionPatient = 0x00200032
    ImageOrientationPatient = 0x00200037
    FrameOfReferenceUID = 0x00200052
    ImagesInAcquisition = 0x00201002
    TemporalPositionIdentifier = 0x00200100
    SamplesPerPixel = 0x00280002
    PhotometricInterpretation = 0x00280004
    NumberOfFrames = 0x00280008
    Rows = 0x00280010
    Columns = 0x00280011
    PixelSpacing = 0x00280030
    BitsAllocated = 0x00280100
    BitsStored = 0x00280101
    HighBit = 0x00280102
    PixelRepresentation = 0x00280103
    RescaleIntercept = 0x00281052
    RescaleSlope = 0x00281053
    LossyImageCompression = 0x00282110
    ModalityLUTSequence = 0x00283000
    PhilipsCreator = 0x20010010
    PhilipsBValue = 0x20011003
    PhilipsEPIFactor = 0x20011013
    PhilipsSlicesPerStack = 0x20011018
    PhilipsWaterFatShift = 0x20011022
    PhilipsStacks = 0x20011060
    GECreator = 0x00430010
    GESeriesCreator = 0x00250010
    GEImagesInSeries = 0x00251007
    GEImageKind = 0x0043102F
    GEBValue = 0x00431039
    ScanningSequence = 0x00180020
    SequenceVariant = 0x00180021
    ScanOptions = 0x00180022
    MRAcquisitionType = 0x00180023
    SequenceName = 0x00180024
    SliceThickness = 0x00180050
    RepetitionTime = 0x00180080
    EchoTime = 0x00180081
    InversionTime = 0x00180082
    NumberOfAverages = 0x00180083
    ImagingFrequency = 0x00180084
    EchoNumbers = 0x00180086
    MagneticFieldStrength = 0x00180087
    SpacingBetweenSlices = 0x00180088
    EchoTrainLength = 0x00180091
    PercentSampling = 0x00180093
    PercentPhaseFieldOfView = 0x00180094
    PixelBandwidth = 0x00180095
    ProtocolName = 0x00181030
    AcquisitionMatrix = 0x00181310
    InPlanePhaseEncodingDirection = 0x00181312
    FlipAngle = 0x00181314
    Manufacturer = 0x00080070
    ManufacturerModelName = 0x00081090


PRIVATE_CREATORS: dict[int, tuple[DicomTag, bytes]] = {
    DicomTag.SiemensBValue: (DicomTag.SiemensCreator, b"SIEMENS MR HEADER"),
    DicomTag.SiemensGradientDirection: (DicomTag.SiemensCreator, b"SIEMENS MR HEADER"),
    DicomTag.SiemensDwellTime: (DicomTag.SiemensCreator, b"SIEMENS MR HEADER"),
    DicomTag.PhilipsBValue: (DicomTag.PhilipsCreator, b"Philips Imaging DD 001"),
    DicomTag.PhilipsWaterFatShift: (DicomTag.PhilipsCreator, b"Philips Imaging DD 001"),
    DicomTag.PhilipsEPIFactor: (DicomTag.PhilipsCreator, b"Philips Imaging DD 001"),
    DicomTag.PhilipsSlicesPerStack: (DicomTag.PhilipsCreator, b"Philips Imaging DD 001"),
    DicomTag.PhilipsStacks: (DicomTag.PhilipsCreator, b"Philips Imaging DD 001"),
    DicomTag.GEImagesInSeries: (DicomTag.GESeriesCreator, b"GEMS_SERS_01"),
    DicomTag.GEBValue: (DicomTag.GECreator, b"GEMS_PARM_01"),
    DicomTag.GEImageKind: (DicomTag.GECreator, b"GEMS_PARM_01"),
}
"""A private element counts only where its block was reserved by the vendor meant."""


@dataclass(frozen=True, slots=True)
class RawElements:
    """The undecoded values of one file, by tag."""

    by_tag: Mapping[int, bytes]
    is_little_endian: bool

    @classmethod
    def of(cls, dataset: Dataset) -> RawElements:
        """The elements of a data set that were read as bytes; sequences count as present."""
        found: dict[int, bytes] = {}
        for element in dataset.values():
            value = element.value
            if isinstance(value, bytes):
                found[int(element.tag)] = value
            elif element.tag == DicomTag.SpecificCharacterSet and value:
                # the one value that pydicom has decoded already
                names = [value] if isinstance(value, str) else value
                found[int(element.tag)] = "\\".join(names).encode("latin-1", "replace")
            elif value is not None and not isinstance(value, str) and len(value):
                found[int(element.tag)] = b"\1"
        _, is_little_endian = dataset.original_encoding
        return cls(without_foreign_private(found), bool(is_little_endian))

    def text(self, tag: int) -> str:
        """The value as one line of text, ``""`` when absent; ASCII only.

        Up to the first NUL byte: a value whose length is damaged goes on into the next
        elements, such as the patient's name, and no element lacks a NUL.
        """
        found = self.by_tag.get(tag, b"").lstrip(b" \0").partition(b"\0")[0]
        return found.decode("latin-1").strip(_BLANKS)

    def texts(self, tag: DicomTag) -> tuple[str, ...]:
        """The values of a multi-valued attribute, ``()`` when absent."""
        text = self.text(tag)
        return tuple(part.strip(" ") for part in text.split("\\")) if text else ()

    def decoded(self, tag: DicomTag) -> str:
        """Free text in the character set of the file; control characters become blanks."""
        from pydicom.charset import convert_encodings, decode_bytes

        raw = self.by_tag.get(tag, b"").partition(b"\0")[0][:MAX_TEXT_BYTES]
        charset = list(self.texts(DicomTag.SpecificCharacterSet))
        try:
            text = decode_bytes(raw, convert_encodings(charset or None), set())
        except (LookupError, ValueError):
            text = raw.decode("latin-1")
        return "".join(c if c.isprintable() else " " for c in text).strip()

    def numbers(self, tag: DicomTag, n: int | None = None) -> tuple[float, ...] | None:
        """Finite numbers of a DS or IS attribute; None when absent or empty.

        Raises
        ------
        ValueError
            If a value is not a finite number, or there are not ``n`` of them.
        """
        texts = self.texts(tag)
        if not texts:
            return None
        try:
            values = [float(t) for t in texts]
        except ValueError:  # its words would quote what a damaged length made part of the value
            raise ValueError("a value is not a number") from None
        return _checked(values, n)

    def number(self, tag: DicomTag) -> float | None:
        """The first number of a DS or IS attribute; None when absent."""
        values = self.numbers(tag)
        return values[0] if values else None

    def integer(self, tag: DicomTag) -> int | None:
        """An IS attribute as int; None when absent."""
        value = self.number(tag)
        if value is None:
            return None
        if value != int(value):
            raise ValueError(f"{value} is not a whole number")
        return int(value)

    def shorts(self, tag: int, *, is_signed: bool = False) -> tuple[int, ...] | None:
        """The values of a US (or SS) attribute; None when absent."""
        return self._unpacked(tag, "h" if is_signed else "H")

    def short(self, tag: DicomTag) -> int | None:
        """The first value of a US attribute; None when absent."""
        values = self.shorts(tag)
        return values[0] if values else None

    def long(self, tag: DicomTag) -> int | None:
        """The first value of an SL attribute; None when absent."""
        values = self._unpacked(tag, "l")
        return values[0] if values else None

    def longs(self, tag: int) -> tuple[int, ...] | None:
        """The values of a UL attribute; None when absent."""
        return self._unpacked(tag, "L")

    def floats(self, tag: int, code: str) -> tuple[float, ...] | None:
        """The values of an FL (``"f"``) or FD (``"d"``) attribute; None when absent."""
        values = self._unpacked(tag, code)
        return _checked(values, None) if values else None

    def _unpacked(self, tag: int, code: str) -> tuple[int, ...] | None:
        raw = self.by_tag.get(tag)
        if not raw:
            return None
        size = struct.calcsize(f"={code}")
        n = len(raw) // size
        if n == 0 or len(raw) != n * size:
            raise ValueError(f"{len(raw)} bytes where a multiple of {size} is needed")
        return struct.unpack(f"{'<' if self.is_little_endian else '>'}{n}{code}", raw)


def without_foreign_private(found: dict[int, bytes]) -> dict[int, bytes]:
    """The same elements without the private ones whose block is not the vendor's meant."""
    for tag, (creator_tag, creator) in PRIVATE_CREATORS.items():
        if tag in found and found.get(creator_tag, b"").strip(b" \0") != creator:
            del found[tag]
    return found


def uid_name(uid: str) -> str:
    """The registered name of a UID, the UID itself when it has none.

    What is no UID is not repeated: its damaged length may have made it the next elements too.
    """
    from pydicom.uid import UID_dictionary

    entry = UID_dictionary.get(uid)
    if entry:
        return str(entry[0])
    return repr(uid) if _UID.fullmatch(uid) else "a damaged UID"


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keeps pydicom's remarks off the screen: they quote header values, a patient's name too.

    What matters in a header is checked by us, and said in our own words.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


def _checked(values: Iterable[float], n: int | None) -> tuple[float, ...]:
    result = tuple(values)
    if not all(math.isfinite(v) for v in result):
        raise ValueError("a value is not finite")
    if n is not None and len(result) != n:
        raise ValueError(f"{len(result)} values where {n} are needed")
    return result
