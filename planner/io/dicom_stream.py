"""Opens a DICOM file up to its pixels, bounded in what it may make of the disk's bytes."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from planner.errors import InputError, UnsupportedObjectError
from planner.io.functional_groups import GROUPS_TAGS, LONG_LENGTH_VRS, PIXEL_TAGS
from planner.io.inflating import inflated_blocks
from planner.io.slice_header import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MAX_INFLATED_HEADER_BYTES = 64 * 2**20
"""A deflated header is inflated no further; real ones stay under 1 MB."""

MAX_PARTS = 1_000_000
"""Elements and items of an object that is parsed whole; each costs pydicom microseconds."""

MAX_ELEMENTS = 300_000
"""Elements and items of a header, those within sequences of undefined length counted."""

MAX_VALUE_BYTES = 64 * 2**20
"""Of an attribute that is read; private headers of Siemens take some hundred kilobytes."""

MAX_META_BYTES = 64 * 2**20
"""File meta information is read no further; it takes some hundred bytes."""

_FIRST_INFLATED_BYTES = 4 * 2**20
_PREAMBLE_BYTES = 128
_META_BYTES = 4096
_TRANSFER_SYNTAX_UID = 0x00020010
_SOP_CLASS_UID = 0x00020002
_PIXEL_DATA_TAG = (0x7FE0, 0x0010)
_PIXEL_DATA = b"\xe0\x7f\x10\x00O"
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_UNDEFINED_LENGTH = 0xFFFFFFFF


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


def open_header(
    stream: BinaryIO, name: str, tags: Sequence[BaseTag], *, is_short: bool = False
) -> OpenedFile:
    """Reads the top level of a DICOM file, the given attributes alone.

    With ``is_short`` reading ends, and the stream stands, behind the last of these attributes.

    Raises
    ------
    UnsupportedObjectError
        If the file is not DICOM; any error of a damaged file comes as it is.
    """
    meta, data_at = _file_meta(stream, name)
    syntax = meta.get(_TRANSFER_SYNTAX_UID, "")
    media_class = meta.get(_SOP_CLASS_UID, "")
    stream.seek(data_at)
    if syntax == DEFLATED:
        return OpenedFile(*_opened_deflated(stream.read(), tags, is_short), syntax, media_class)
    is_little_endian = syntax != EXPLICIT_BE
    is_implicit = syntax == IMPLICIT_LE
    if not syntax:
        is_implicit, is_little_endian = _guessed_encoding(stream.read(6))
        stream.seek(data_at)
    # pydicom looks at the first element once more and mends a wrong claim about the encoding
    dataset = _top_level(stream, is_implicit, is_little_endian, tags, is_short)
    if not syntax:
        syntax = IMPLICIT_LE if dataset.original_encoding[0] else EXPLICIT_LE
    return OpenedFile(dataset, stream, syntax, media_class)


def _opened_deflated(
    zipped: bytes, tags: Sequence[BaseTag], is_short: bool
) -> tuple[Dataset, BinaryIO]:
    """The top level of a deflated data set, inflated no further than its pixels need."""
    for limit in (_FIRST_INFLATED_BYTES, MAX_INFLATED_HEADER_BYTES):
        data, is_whole = inflated(zipped, limit)
        stream = io.BytesIO(data)
        try:
            dataset = _top_level(stream, False, True, tags, is_short)
        except Exception:
            # what pydicom raises at the end of the inflated part, whatever that is
            if is_whole or limit == MAX_INFLATED_HEADER_BYTES:
                raise
            continue
        if is_whole or is_short or data.find(_PIXEL_DATA, stream.tell()) >= 0:
            break
    return dataset, stream


def _top_level(
    stream: BinaryIO,
    is_implicit: bool,
    is_little_endian: bool,
    tags: Sequence[BaseTag],
    is_short: bool,
) -> Dataset:
    """The wanted elements up to the functional groups or the pixels.

    Sequences of undefined length are stepped over here: pydicom would parse each of their
    elements, as deep and as many as they are.
    """
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.filereader import read_dataset

    walk = _Walk(tags, is_short=is_short)
    elements: dict[BaseTag, RawDataElement | DataElement] = {}
    encoding: Any = None
    while True:
        part = read_dataset(
            stream, is_implicit, is_little_endian, stop_when=walk, specific_tags=list(tags)
        )
        if encoding is None:
            is_implicit, is_little_endian = (bool(is_it) for is_it in part.original_encoding)
            encoding = part.original_character_set
        elements.update((element.tag, element) for element in part.values())  # still undecoded
        if walk.sequence is None:
            break
        tag, vr = walk.sequence
        walk.sequence = None
        walk.n_elements += skip_sequence(
            stream, is_implicit=is_implicit, is_little_endian=is_little_endian
        )
        if tag in tags:
            elements[tag] = RawDataElement(tag, vr, 1, b"\1", 0, is_implicit, is_little_endian)
    dataset = Dataset(elements)
    dataset.set_original_encoding(is_implicit, is_little_endian, encoding)
    return dataset


class _Walk:
    """Where pydicom is told to stop; also refuses what claims or repeats too much."""

    def __init__(self, tags: Sequence[BaseTag], *, is_short: bool) -> None:
        self._tags = frozenset(tags)
        self._last = max(tags) if is_short else None
        self.n_elements = 0
        self.sequence: tuple[BaseTag, str | None] | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.n_elements += 1
        if self.n_elements > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_ELEMENTS} elements")
        if tag in PIXEL_TAGS or tag in GROUPS_TAGS:
            return True
        if self._last is not None and tag > self._last:
            return True
        if length == _UNDEFINED_LENGTH:
            self.sequence = tag, vr
            return True
        if length > MAX_VALUE_BYTES and tag in self._tags:
            raise ValueError("a value claims more than any has")
        return False


def skip_sequence(stream: BinaryIO, *, is_implicit: bool, is_little_endian: bool) -> int:
    """Steps over the element of undefined length at which the stream stands.

    Returns
    -------
    int
        How many elements and items it has.

    Raises
    ------
    ValueError
        If it has no end within the file, or more than ``MAX_ELEMENTS`` elements and items.
    """
    order = "<" if is_little_endian else ">"
    tag_of, length_of = struct.Struct(f"{order}HH").unpack, struct.Struct(f"{order}L").unpack
    n_steps = 0
    inside: list[bool] = []  # for each open sequence and item: whether it is implicit
    while n_steps == 0 or inside:
        n_steps += 1
        if n_steps > MAX_ELEMENTS:
            raise ValueError(f"a sequence of more than {MAX_ELEMENTS} elements")
        head = stream.read(8)
        if len(head) < 8:
            raise ValueError("the file ends within a sequence")
        tag = tag_of(head[:4])
        is_plain = inside[-1] if inside else is_implicit
        (length,) = length_of(head[4:])
        if tag in (_ITEM_END, _SEQUENCE_END):
            if inside:
                inside.pop()
            continue
        if tag != _ITEM and not is_plain:
            if head[4:6] in LONG_LENGTH_VRS:
                (length,) = length_of(stream.read(4).ljust(4, b"\0"))
            else:
                (length,) = struct.unpack(f"{order}H", head[6:])
        if length == _UNDEFINED_LENGTH:
            # a sequence whose type is not known is written without types inside
            is_unknown = tag != _ITEM and not is_plain and head[4:6] == b"UN"
            inside.append(is_plain or is_unknown)
        else:
            stream.seek(length, os.SEEK_CUR)
    return n_steps


def _guessed_encoding(start: bytes) -> tuple[bool, bool]:
    """Whether a data set without file meta information is implicit, and little-endian."""
    if not start[4:6].isalpha():
        return True, True
    # groups are small numbers, and look large in the wrong byte order
    return False, int.from_bytes(start[:2], "little") < 0x400


def inflated(zipped: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """At most so many inflated bytes of a deflated data set, and whether that is all of it."""
    data = io.BytesIO()  # handed out without a copy: it can be half a gigabyte
    try:
        for block in inflated_blocks("deflate", io.BytesIO(zipped)):
            data.write(block)
            if data.tell() >= max_bytes:
                data.truncate(max_bytes)
                return data.getvalue(), False
    except EOFError:
        return data.getvalue(), False
    return data.getvalue(), True


class ClippedFile(io.BufferedReader):
    """A file that is never asked for more bytes than it has, whatever an element claims."""

    def __init__(self, path: Path) -> None:
        raw = io.FileIO(path)
        super().__init__(raw)
        self._n_bytes = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, or the rest."""
        left = max(0, self._n_bytes - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def read_whole(path: Path, *, max_bytes: int, refusal: type[InputError] = InputError) -> Dataset:
    """The whole data set of a DICOM file with its transfer syntax, pixels included.

    A deflated file is inflated, and its transfer syntax said to be the plain one.

    Parameters
    ----------
    path : Path
    max_bytes : int
        Size of the data set, inflated where it was deflated.
    refusal : type
        The error to raise.

    Raises
    ------
    InputError
        If the file is larger, or has more than ``MAX_PARTS`` elements and items. Any error of
        a damaged file comes as it is.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.uid import UID

    with ClippedFile(path) as stream:
        meta, data_at = _file_meta(stream, path.name)
        syntax = meta.get(_TRANSFER_SYNTAX_UID, "")
        stream.seek(data_at)
        source: BinaryIO = stream
        if os.fstat(stream.fileno()).st_size > max_bytes:
            raise refusal(**_too_many("bytes", max_bytes, path.name))
        if syntax == DEFLATED:
            data, is_whole = inflated(stream.read(), max_bytes)
            if not is_whole and len(data) >= max_bytes:
                raise refusal(**_too_many("bytes when inflated", max_bytes, path.name))
            source, data_at, syntax = io.BytesIO(data), 0, EXPLICIT_LE
        source.seek(data_at)
        is_implicit, is_little_endian = syntax == IMPLICIT_LE, syntax != EXPLICIT_BE
        if not syntax:
            is_implicit, is_little_endian = _guessed_encoding(source.read(6))
            source.seek(data_at)
        if _n_parts(source, is_little_endian) > MAX_PARTS:
            raise refusal(**_too_many("elements and sequence items", MAX_PARTS, path.name))
        source.seek(data_at)
        dataset = read_dataset(source, is_implicit, is_little_endian)
    if not syntax:
        syntax = IMPLICIT_LE if dataset.original_encoding[0] else EXPLICIT_LE
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def _n_parts(stream: BinaryIO, is_little_endian: bool) -> int:
    """How many elements and items there are up to the pixels, in sequences too.

    Counted up to over `MAX_PARTS`. A value that begins like an item is taken for a sequence.
    """
    order = "<" if is_little_endian else ">"
    tag_of, length_of = struct.Struct(f"{order}HH").unpack, struct.Struct(f"{order}L").unpack
    item = struct.pack(f"{order}HH", *_ITEM)
    n_parts = 0
    while n_parts <= MAX_PARTS:
        head = stream.read(8)
        if len(head) < 8 or tag_of(head[:4]) == _PIXEL_DATA_TAG:
            break
        n_parts += 1
        if head[:2] == item[:2]:
            continue  # an item is gone into, an end has no content
        vr, (length,) = head[4:6], length_of(head[4:])
        if vr.isalpha() and vr.isupper():
            is_long = vr in LONG_LENGTH_VRS
            (length,) = (
                length_of(stream.read(4).ljust(4, b"\0"))
                if is_long
                else struct.unpack(f"{order}H", head[6:])
            )
        if length == _UNDEFINED_LENGTH or vr == b"SQ":
            continue
        at = stream.tell()
        if length < 8 or stream.read(4) != item:
            stream.seek(at + length)
        else:
            stream.seek(at)
    return n_parts


def _too_many(what: str, limit: int, name: str) -> dict[str, str]:
    return {
        "what": f"the DICOM object has too many {what}",
        "seen": f"more than {limit}",
        "needed": f"<= {limit}",
        "where": name,
        "fix": "Export only what is needed near the path.",
    }


def deflated_part(stream: BinaryIO, name: str) -> bytes:
    """The bytes of a deflated file behind its file meta information."""
    _, data_at = _file_meta(stream, name)
    stream.seek(data_at)
    return stream.read()


def not_dicom(name: str) -> UnsupportedObjectError:
    """The refusal of a file that is none of DICOM's."""
    return UnsupportedObjectError("not a DICOM file", where=name)


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
        elif vr in LONG_LENGTH_VRS:
            (length,) = struct.unpack_from("<L", start, pos + 8)
            value = pos + 12
        pos = value + length
        if pos > MAX_META_BYTES:
            raise ValueError("the file meta information has no end")
        if pos + 12 > len(start):
            # a long private value: the rest of the group lies behind it
            stream.seek(0)
            start = stream.read(max(2 * len(start), pos + _META_BYTES))
        tag = 0x00020000 | element
        if tag in (_TRANSFER_SYNTAX_UID, _SOP_CLASS_UID):
            found[tag] = start[value:pos].decode("latin-1").strip(" \0")
    return found, pos
