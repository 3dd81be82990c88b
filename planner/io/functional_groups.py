"""Reads the functional groups of an enhanced multi-frame object: what is said frame by frame.

Written for speed: pydicom needs five seconds for the 200,000 elements that describe
4,000 frames, this needs a fraction of one. It keeps only the attributes it knows, and
everything that a damaged or hostile file can claim is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, TypeAlias

from planner.io.dicom_values import DicomTag, without_foreign_private

MAX_GROUPS_BYTES = 256 * 2**20
"""Largest functional groups read; 4,000 frames with all that vendors add take under 150 MB."""

MAX_ITEMS = 2_000_000
"""Most sequence items in one file; 4,000 frames with 20 macros each have 100,000."""

MAX_DEPTH = 12
"""Deepest nesting followed; the groups that are read go three deep."""

_FIRST_READ_BYTES = 4 * 2**20
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_LENGTH_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


class GroupTag(IntEnum):
    """Attributes of enhanced objects that classic ones do not have, by DICOM keyword."""

    SharedFunctionalGroupsSequence = 0x52009229
    PerFrameFunctionalGroupsSequence = 0x52009230
    FloatPixelData = 0x7FE00008
    DoubleFloatPixelData = 0x7FE00009
    PixelData = 0x7FE00010
    FrameType = 0x00089007
    VolumetricProperties = 0x00089206
    VolumeBasedCalculationTechnique = 0x00089207
    AcquisitionDateTime = 0x0008002A
    PulseSequenceName = 0x00189005
    EchoPulseSequence = 0x00189008
    InversionRecovery = 0x00189009
    EchoPlanarPulseSequence = 0x00189018
    GeometryOfKSpaceTraversal = 0x00189032
    MRAcquisitionFrequencyEncodingSteps = 0x00189058
    FrameAcquisitionDateTime = 0x00189074
    InversionTimes = 0x00189079
    EffectiveEchoTime = 0x00189082
    TransmitterFrequency = 0x00189098
    FrameReferenceDateTime = 0x00189151
    MRAcquisitionPhaseEncodingStepsInPlane = 0x00189231
    RFEchoTrainLength = 0x00189240
    StackID = 0x00209056
    TemporalPositionIndex = 0x00209128
    NominalCardiacTriggerDelayTime = 0x00209153
    FrameAcquisitionNumber = 0x00209156


PIXEL_TAGS = frozenset(
    int(t) for t in (GroupTag.FloatPixelData, GroupTag.DoubleFloatPixelData, GroupTag.PixelData)
)
GROUPS_TAGS = frozenset(
    (
        int(GroupTag.SharedFunctionalGroupsSequence),
        int(GroupTag.PerFrameFunctionalGroupsSequence),
    )
)

_GEOMETRY: tuple[int, ...] = (
    DicomTag.ImagePositionPatient,
    DicomTag.ImageOrientationPatient,
    DicomTag.PixelSpacing,
)
_NOT_CONVERTED = {
    DicomTag.SpecificCharacterSet,
    DicomTag.SOPClassUID,
    DicomTag.SOPInstanceUID,
    DicomTag.StudyInstanceUID,
    DicomTag.SeriesInstanceUID,
    DicomTag.FrameOfReferenceUID,
    DicomTag.PatientName,
    DicomTag.PatientID,
    DicomTag.PatientBirthDate,
    DicomTag.Rows,
    DicomTag.Columns,
    DicomTag.NumberOfFrames,
    DicomTag.ModalityLUTSequence,
    *_GEOMETRY,
}
"""What may not be overridden from the attributes that a converter found no place for."""

_UNASSIGNED: tuple[int, ...] = tuple(int(t) for t in DicomTag if t not in _NOT_CONVERTED)

_FRAME_KIND = (
    GroupTag.FrameType,
    GroupTag.VolumetricProperties,
    GroupTag.VolumeBasedCalculationTechnique,
)

_MACROS: dict[int, tuple[int, ...]] = {
    # the last ones win: what a converter left unassigned counts least
    0x00209170: _UNASSIGNED,
    0x00209171: _UNASSIGNED,
    0x2005140F: (DicomTag.PhilipsCreator, DicomTag.PhilipsBValue),
    0x00209111: (
        GroupTag.FrameAcquisitionDateTime,
        GroupTag.FrameReferenceDateTime,
        GroupTag.StackID,
        GroupTag.TemporalPositionIndex,
        GroupTag.FrameAcquisitionNumber,
    ),
    0x00209113: (DicomTag.ImagePositionPatient,),
    0x00209116: (DicomTag.ImageOrientationPatient,),
    0x00289110: (
        DicomTag.PixelSpacing,
        DicomTag.SliceThickness,
        DicomTag.SpacingBetweenSlices,
    ),
    0x00289145: (DicomTag.RescaleIntercept, DicomTag.RescaleSlope),
    0x00189226: (*_FRAME_KIND, DicomTag.ComplexImageComponent),  # MR Image Frame Type
    0x00189329: _FRAME_KIND,  # CT Image Frame Type
    0x00189118: (GroupTag.NominalCardiacTriggerDelayTime,),
    0x00189112: (  # MR Timing and Related Parameters
        DicomTag.RepetitionTime,
        DicomTag.FlipAngle,
        DicomTag.EchoTrainLength,
        GroupTag.RFEchoTrainLength,
    ),
    0x00189125: (  # MR FOV/Geometry
        DicomTag.InPlanePhaseEncodingDirection,
        DicomTag.PercentSampling,
        DicomTag.PercentPhaseFieldOfView,
        GroupTag.MRAcquisitionFrequencyEncodingSteps,
        GroupTag.MRAcquisitionPhaseEncodingStepsInPlane,
    ),
    0x00189114: (GroupTag.EffectiveEchoTime,),
    0x00189115: (GroupTag.InversionTimes, GroupTag.InversionRecovery),  # MR Modifier
    0x00189006: (DicomTag.PixelBandwidth, GroupTag.TransmitterFrequency),
    0x00189119: (DicomTag.NumberOfAverages,),
    0x00189117: (DicomTag.DiffusionBValue,),
    0x00189076: (DicomTag.DiffusionGradientOrientation,),  # nested in the one before
    0x00189304: (DicomTag.GantryDetectorTilt,),
}
_WITH_PRIVATE = frozenset(
    leaves for leaves in _MACROS.values() if any(tag >> 16 & 1 for tag in leaves)
)
_NESTED = {0x00189076: 0x00189117}
_SEQUENCES = frozenset((*GROUPS_TAGS, *_MACROS))
_LEAVES = frozenset(
    (
        *(int(tag) for leaves in _MACROS.values() for tag in leaves),
        *(int(tag) for tag in _GEOMETRY),
    )
)

Item: TypeAlias = "dict[int, bytes | list[Item]]"


class _EndOfBufferError(Exception):
    """The buffer ends before the sequence does."""


@dataclass(frozen=True, slots=True)
class FunctionalGroups:
    """The values of the shared groups, and those of each frame, still undecoded, by tag."""

    shared: Mapping[int, bytes]
    per_frame: tuple[Mapping[int, bytes], ...]


def read_groups(stream: BinaryIO, *, is_implicit: bool, is_little_endian: bool) -> FunctionalGroups:
    """The functional groups from where the stream stands; it is left at the pixel data.

    Raises
    ------
    ValueError
        If they are damaged, or claim more than the limits of this module.
    """
    start = stream.tell()
    size = _FIRST_READ_BYTES
    while True:
        stream.seek(start)
        data = stream.read(size)
        parser = _Parser(data, is_implicit=is_implicit, is_little_endian=is_little_endian)
        try:
            groups, end = parser.groups()
            break
        except (_EndOfBufferError, struct.error):
            if len(data) < size:
                raise ValueError("the file ends within its functional groups") from None
        if size >= MAX_GROUPS_BYTES:
            raise ValueError(f"the functional groups take more than {MAX_GROUPS_BYTES} bytes")
        size = min(4 * size, MAX_GROUPS_BYTES)
    stream.seek(start + end)
    shared = groups.get(GroupTag.SharedFunctionalGroupsSequence, [])
    if len(shared) > 1:
        raise ValueError(f"{len(shared)} shared functional groups where one is allowed")
    frames = groups.get(GroupTag.PerFrameFunctionalGroupsSequence, [])
    return FunctionalGroups(
        _flattened(shared[0]) if shared else {}, tuple(_flattened(frame) for frame in frames)
    )


def _flattened(item: Item) -> dict[int, bytes]:
    """The values in the macros of one item; a macro holds exactly one item of its own."""
    found: dict[int, bytes] = {}
    for sequence, leaves in _MACROS.items():
        outer = _NESTED.get(sequence)
        holder = item if outer is None else _only(item.get(outer), outer)
        inner = _only(holder.get(sequence), sequence)
        if inner:
            found.update(_values(inner, leaves))
    if not all(tag in found for tag in _GEOMETRY):
        # some converters leave the macro out and write the attribute itself
        found = _values(item, _GEOMETRY) | found
    return found


def _only(items: bytes | list[Item] | None, tag: int) -> Item:
    if not items or isinstance(items, bytes):
        return {}
    if len(items) > 1:
        raise ValueError(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has {len(items)} items where one is allowed"
        )
    return items[0]


def _values(item: Item, leaves: tuple[int, ...]) -> dict[int, bytes]:
    found = {tag: value for tag in leaves if isinstance(value := item.get(tag), bytes) and value}
    return without_foreign_private(found) if leaves in _WITH_PRIVATE else found


class _Parser:
    """Walks encoded elements; positions are offsets into the buffer."""

    def __init__(self, data: bytes, *, is_implicit: bool, is_little_endian: bool) -> None:
        order = "<" if is_little_endian else ">"
        self._data = data
        self._is_implicit = is_implicit
        self._tag_and_length = struct.Struct(f"{order}HHL").unpack_from
        self._explicit = struct.Struct(f"{order}HH2sH").unpack_from
        self._long = struct.Struct(f"{order}L").unpack_from
        self._known: dict[bytes, Item] = {}
        self._n_items = 0

    def groups(self) -> tuple[dict[int, list[Item]], int]:
        """The two group sequences, and where the pixel data element begins."""
        found: dict[int, list[Item]] = {}
        pos = 0
        while pos < len(self._data):
            tag, length, value = self._element(pos, self._is_implicit)
            if tag in PIXEL_TAGS:
                break
            if tag in GROUPS_TAGS or length == _UNDEFINED_LENGTH:
                end = None if length == _UNDEFINED_LENGTH else value + length
                items, pos = self._items(value, end, 0, self._is_implicit)
                if tag in GROUPS_TAGS:
                    found[tag] = items
            else:
                pos = value + length
        return found, pos

    def _element(self, pos: int, is_implicit: bool) -> tuple[int, int, int]:
        """Tag, length and position of the value."""
        if is_implicit:
            group, element, length = self._tag_and_length(self._data, pos)
            return group << 16 | element, length, pos + 8
        group, element, vr, length = self._explicit(self._data, pos)
        tag = group << 16 | element
        if group == 0xFFFE:  # delimiters have no VR
            return tag, self._long(self._data, pos + 4)[0], pos + 8
        if vr in LONG_LENGTH_VRS:
            return tag, self._long(self._data, pos + 8)[0], pos + 12
        return tag, length, pos + 8

    def _items(
        self, pos: int, end: int | None, depth: int, is_implicit: bool
    ) -> tuple[list[Item], int]:
        """The items of one sequence up to ``end``, or up to its delimiter where that is None."""
        if depth > MAX_DEPTH:
            raise ValueError(f"sequences nested more than {MAX_DEPTH} deep")
        if end is not None and end > len(self._data):
            raise _EndOfBufferError
        items: list[Item] = []
        while end is None or pos < end:
            group, element, length = self._tag_and_length(self._data, pos)
            tag = group << 16 | element
            if tag == _SEQUENCE_END and end is None:
                return items, pos + 8
            if tag != _ITEM:
                raise ValueError("a sequence holds something that is no item")
            self._n_items += 1
            if self._n_items > MAX_ITEMS:
                raise ValueError(f"more than {MAX_ITEMS} sequence items")
            pos += 8
            if length == _UNDEFINED_LENGTH:
                item, pos = self._item(pos, None, depth, is_implicit)
            else:
                item, pos = self._known_item(pos, pos + length, depth, is_implicit)
            if end is not None and pos > end:
                raise ValueError("an item is longer than its sequence")
            items.append(item)
        return items, pos

    def _known_item(self, pos: int, end: int, depth: int, is_implicit: bool) -> tuple[Item, int]:
        """An item of given length; equal macros repeat in frame after frame and are kept."""
        if end > len(self._data):
            raise _EndOfBufferError
        if depth == 0:
            return self._item(pos, end, depth, is_implicit)
        encoded = self._data[pos:end]
        item = self._known.get(encoded)
        if item is None:
            item, _ = self._item(pos, end, depth, is_implicit)
            self._known[encoded] = item
        return item, end

    def _item(self, pos: int, end: int | None, depth: int, is_implicit: bool) -> tuple[Item, int]:
        item: Item = {}
        while end is None or pos < end:
            tag, length, value = self._element(pos, is_implicit)
            if tag == _ITEM_END and end is None:
                return item, value
            if length == _UNDEFINED_LENGTH:
                # of unknown VR: implicit inside, whatever the file is (PS3.5 6.2.2)
                is_unknown = not is_implicit and self._data[pos + 4 : pos + 6] == b"UN"
                items, pos = self._items(value, None, depth + 1, is_implicit or is_unknown)
                if tag in _SEQUENCES:
                    item[tag] = items
                continue
            pos = value + length
            if pos > len(self._data):
                raise _EndOfBufferError
            if tag in _SEQUENCES:
                item[tag], _ = self._items(value, pos, depth + 1, is_implicit)
            elif tag in _LEAVES:
                item[tag] = self._data[value:pos]
        if pos != end:
            raise ValueError("an element is longer than its item")
        return item, pos
