"""Opens a DICOM file up to its pixels, bounded in what it may make of the disk's bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from planner.errors import UnsupportedObjectError
from planner.io.functional_groups import GROUPS_TAGS, PIXEL_TAGS
from planner.io.slice_header import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_INFLATED_HEADER_BYTES = 64 * 2**20
"""A deflated header is inflated no further; real ones stay under 1 MB."""

_FIRST_INFLATED_BYTES = 4 * 2**20
_PREAMBLE_BYTES = 128
_META_BYTES = 4096
_TRANSFER_SYNTAX_UID = 0x00020010
_SOP_CLASS_UID = 0x00020002
_PIXEL_DATA = b"\xe0\x7f\x10\x00O"
_LONG_LENGTH_VRS = (b"OB", b"UN", b"UT", b"OW", b"SQ")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A header that was read; the stream stands at the functional groups or the pixel data.

    For a deflated file the stream is the inflated data set.
    """

    dataset: Dataset
    stream: BinaryIO
    transfer_syntax_uid: str
    media_class_uid: str

    @property
    def is_implicit(self) -> bool:
        """Whether elements carry no value representation."""
        return bool(self.dataset.original_encoding[0])

    @property
    def is_little_endian(self) -> bool:
        """Byte order of the data set."""
        return bool(self.dataset.original_encoding[1])


def open_header(stream: BinaryIO, name: str, tags: Sequence[BaseTag]) -> OpenedFile:
    """Reads the top level of a DICOM file, the given attributes alone.

    Raises
    ------
    UnsupportedObjectError
        If the file is not DICOM; any error of a damaged file comes as it is.
    """
    from pydicom.filereader import read_dataset

    meta, data_at = _file_meta(stream, name)
    syntax = meta.get(_TRANSFER_SYNTAX_UID, "")
    media_class = meta.get(_SOP_CLASS_UID, "")
    stream.seek(data_at)
    if syntax == DEFLATED:
        return OpenedFile(*_opened_deflated(stream.read(), tags), syntax, media_class)
    is_little_endian = syntax != EXPLICIT_BE
    is_implicit = syntax == IMPLICIT_LE
    if not syntax:
        is_implicit, is_little_endian = _guessed_encoding(stream.read(6))
        stream.seek(data_at)
    # pydicom looks at the first element once more and mends a wrong claim about the encoding
    dataset = read_dataset(
        stream, is_implicit, is_little_endian, stop_when=_is_stop, specific_tags=list(tags)
    )
    if not syntax:
        syntax = IMPLICIT_LE if dataset.original_encoding[0] else EXPLICIT_LE
    return OpenedFile(dataset, stream, syntax, media_class)


def _opened_deflated(zipped: bytes, tags: Sequence[BaseTag]) -> tuple[Dataset, BinaryIO]:
    """The top level of a deflated data set, inflated no further than its pixels need."""
    from pydicom.filereader import read_dataset

    for limit in (_FIRST_INFLATED_BYTES, MAX_INFLATED_HEADER_BYTES):
        data, is_whole = inflated(zipped, limit)
        stream = io.BytesIO(data)
        try:
            dataset = read_dataset(
                stream, False, True, stop_when=_is_stop, specific_tags=list(tags)
            )
        except Exception:
            # what pydicom raises at the end of the inflated part, whatever that is
            if is_whole or limit == MAX_INFLATED_HEADER_BYTES:
                raise
            continue
        if is_whole or data.find(_PIXEL_DATA, stream.tell()) >= 0:
            break
    return dataset, stream


def _guessed_encoding(start: bytes) -> tuple[bool, bool]:
    """Whether a data set without file meta information is implicit, and little-endian."""
    if not start[4:6].isalpha():
        return True, True
    # groups are small numbers, and look large in the wrong byte order
    return False, int.from_bytes(start[:2], "little") < 0x400


def inflated(zipped: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """At most so many inflated bytes of a deflated data set, and whether that is all of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(zipped, max_bytes)
    return data, inflater.eof


def deflated_part(stream: BinaryIO, name: str) -> bytes:
    """The bytes of a deflated file behind its file meta information."""
    _, data_at = _file_meta(stream, name)
    stream.seek(data_at)
    return stream.read()


def not_dicom(name: str) -> UnsupportedObjectError:
    """The refusal of a file that is none of DICOM's."""
    return UnsupportedObjectError("not a DICOM file", where=name)


def _is_stop(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in PIXEL_TAGS or tag in GROUPS_TAGS


def _file_meta(stream: BinaryIO, name: str) -> tuple[dict[int, str], int]:
    """Class and transfer syntax of the file, and where its data set begins.

    Files of old nodes start with group 0002 or 0008 at once.
    """
    start = stream.read(_META_BYTES)
    pos = _PREAMBLE_BYTES + 4
    if start[_PREAMBLE_BYTES:pos] != b"DICM":
        is_old = start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00"
        if not is_old or len(start) <= 8:
            raise not_dicom(name)
        pos = 0
    found: dict[int, str] = {}
    while start[pos : pos + 2] == b"\x02\x00" and pos + 12 <= len(start):
        element, vr, length = struct.unpack_from("<H2sH", start, pos + 2)
        value = pos + 8
        if not vr.isalpha():
            (length,) = struct.unpack_from("<L", start, pos + 4)
        elif vr in _LONG_LENGTH_VRS:
            (length,) = struct.unpack_from("<L", start, pos + 8)
            value = pos + 12
        pos = value + length
        if pos + 12 > len(start):
            # a long private value: the rest of the group lies behind it
            stream.seek(0)
            start = stream.read(max(2 * len(start), pos + _META_BYTES))
        tag = 0x00020000 | element
        if tag in (_TRANSFER_SYNTAX_UID, _SOP_CLASS_UID):
            found[tag] = start[value:pos].decode("latin-1").strip(" \0")
    return found, pos
