"""Ways to break a file: of any bytes, of text, and of DICOM elements found by walking them.

A step is (operation, place, number): place is 0..1 through the file, number picks the details.
The same steps on the same bytes give the same file.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Sequence

Step = tuple[str, float, int]

HEAD_POWER = 3
"""Places crowd towards the start of the file, where headers are."""

EXTREME_INTEGERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
EXTREME_FLOATS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, 0.0, -1.0)
EXTREME_TEXTS = (
    b"nan",
    b"inf",
    b"-inf",
    b"1e308",
    b"-1e308",
    b"1e-320",
    b"-1",
    b"0",
    b"",
    b"60000",
    b"99999999999999999999",
    b"9" * 5000,
    b"1" + b"0" * 400,
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"x"',
    b"0x10",
    b"1,5",
)
HOSTILE_TEXTS = (
    b"\x00",
    b"\x1b[2J",
    "‮".encode(),
    b"\xff\xfe",
    b"\n\n",
    b"../../x",
    b"/etc/passwd",
    b"$(touch x)",
    b"<script>",
    b"%s%n",
    b"\\ud800",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"a." * 3000,
    b"x" * 20000,
)
VRS = (b"SQ", b"UN", b"OB", b"OW", b"DS", b"IS", b"US", b"FD", b"PN", b"LO", b"UT", b"AT", b"??")
LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN"))

_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SPAN_LIMIT = 4096


def _at(data: bytes, place: float) -> int:
    return min(int(place**HEAD_POWER * len(data)), max(0, len(data) - 1))


def _flip(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    return data[:at] + bytes([data[at] ^ (number % 255 + 1)]) + data[at + 1 :] if data else data


def _cut(data: bytes, place: float, number: int) -> bytes:
    return data[: int(place * len(data))]


def _delete(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    return data[:at] + data[at + 1 + number % _SPAN_LIMIT :]


def _repeat(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    end = at + 1 + number % _SPAN_LIMIT
    return data[:end] + data[at:end] + data[end:]


def _integer(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    at -= at % 2
    value = EXTREME_INTEGERS[number % len(EXTREME_INTEGERS)]
    form = ("<H", ">H", "<I", ">I")[number // 16 % 4]
    raw = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return data[:at] + raw + data[at + len(raw) :]


def _float(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    at -= at % 4
    value = EXTREME_FLOATS[number % len(EXTREME_FLOATS)]
    form = ("<f", ">f", "<d", ">d")[number // 16 % 4]
    if form[1] == "f" and abs(value) > 1e38 and abs(value) != float("inf"):
        value = 3e38 if value > 0 else -3e38
    raw = struct.pack(form, value)
    return data[:at] + raw + data[at + len(raw) :]


def _number(data: bytes, place: float, number: int) -> bytes:
    """One number written as text becomes another text."""
    found = list(_NUMBER.finditer(data[:200_000]))
    if not found:
        return _integer(data, place, number)
    match = found[min(int(place * len(found)), len(found) - 1)]
    text = EXTREME_TEXTS[number % len(EXTREME_TEXTS)]
    return data[: match.start()] + text + data[match.end() :]


def _text(data: bytes, place: float, number: int) -> bytes:
    at = _at(data, place)
    return data[:at] + HOSTILE_TEXTS[number % len(HOSTILE_TEXTS)] + data[at:]


def _line(data: bytes, place: float, number: int) -> bytes:
    """A line is dropped, doubled, or swapped with another one."""
    lines = data.split(b"\n")
    at, other = int(place * (len(lines) - 1)), number % len(lines)
    if number % 3 == 0:
        del lines[at]
    elif number % 3 == 1:
        lines.insert(at, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


# ---------------------------------------------------------------- DICOM


class Element:
    """Where one element of an explicit little-endian data set lies in its file."""

    __slots__ = ("at", "length", "value_at", "vr")

    def __init__(self, at: int, vr: bytes, value_at: int, length: int) -> None:
        self.at, self.vr, self.value_at, self.length = at, vr, value_at, length

    @property
    def end(self) -> int:
        """Behind the value; behind the head, for a sequence."""
        return self.value_at if self.vr == b"SQ" else self.value_at + self.length


def elements(data: bytes) -> list[Element]:
    """Every element of a file, those inside sequences too; items are stepped into."""
    found: list[Element] = []
    at = 132 if data[128:132] == b"DICM" else 0
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"):
            at += 8
            continue
        vr = data[at + 4 : at + 6]
        if not vr.isalpha():
            break
        if vr in LONG_VRS:
            value_at = at + 12
            length = int.from_bytes(data[at + 8 : at + 12], "little")
        else:
            value_at = at + 8
            length = int.from_bytes(data[at + 6 : at + 8], "little")
        if length == 0xFFFFFFFF or value_at + length > len(data):
            length = 0
        found.append(Element(at, vr, value_at, length))
        at = found[-1].end
    return found


def _element(data: bytes, place: float) -> Element | None:
    found = elements(data)
    return found[min(int(place * len(found)), len(found) - 1)] if found else None


def _drop_element(data: bytes, place: float, number: int) -> bytes:
    one = _element(data, place)
    return data if one is None else data[: one.at] + data[one.end :]


def _double_element(data: bytes, place: float, number: int) -> bytes:
    one = _element(data, place)
    return data if one is None else data[: one.end] + data[one.at : one.end] + data[one.end :]


def _vr(data: bytes, place: float, number: int) -> bytes:
    one = _element(data, place)
    vr = VRS[number % len(VRS)]
    return data if one is None else data[: one.at + 4] + vr + data[one.at + 6 :]


def _length(data: bytes, place: float, number: int) -> bytes:
    one = _element(data, place)
    if one is None:
        return data
    size = 4 if one.vr in LONG_VRS else 2
    value = EXTREME_INTEGERS[number % len(EXTREME_INTEGERS)] & (256**size - 1)
    at = one.value_at - size
    return data[:at] + value.to_bytes(size, "little") + data[one.value_at :]


def _value(data: bytes, place: float, number: int) -> bytes:
    """A value of extreme text or bits; of the old length, so that all else stays readable."""
    one = _element(data, place)
    if one is None or one.length == 0 or one.vr == b"SQ":
        return data
    texts = (*EXTREME_TEXTS, *HOSTILE_TEXTS, b"nan\\nan\\nan", b"1\\2\\3\\4\\5\\6\\7", b"\xff" * 8)
    if one.length in (2, 4, 8) and number % 2:
        raw = struct.pack("<Q", EXTREME_INTEGERS[number // 2 % len(EXTREME_INTEGERS)])
        if one.length == 8 and number % 4 == 3:
            raw = struct.pack("<d", EXTREME_FLOATS[number // 4 % len(EXTREME_FLOATS)])
    else:
        raw = texts[number // 2 % len(texts)].ljust(one.length, b" ")
    return data[: one.value_at] + raw[: one.length] + data[one.value_at + one.length :]


def _nest(data: bytes, place: float, number: int) -> bytes:
    """A sequence in a sequence, some thousand times, before an element."""
    one = _element(data, place)
    if one is None:
        return data
    depth = 10 ** (number % 4) * 3
    tag = data[one.at : one.at + 4] if number % 2 else b"\x40\x00\x75\x02"
    return data[: one.at] + nested_sequences(depth, tag) + data[one.at :]


def nested_sequences(depth: int, tag: bytes = b"\x40\x00\x75\x02") -> bytes:
    """So many sequences of undefined length, one in the other."""
    opening = tag + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opening * depth + closing * depth


_OPERATIONS: dict[str, Callable[[bytes, float, int], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "delete": _delete,
    "repeat": _repeat,
    "integer": _integer,
    "float": _float,
    "number": _number,
    "text": _text,
    "line": _line,
    "drop_element": _drop_element,
    "double_element": _double_element,
    "vr": _vr,
    "length": _length,
    "value": _value,
    "nest": _nest,
}
_DICOM_LIKE = {"number": "value", "text": "length", "line": "drop_element"}
"""Operations on text, and what suits a data set instead."""

_BINARY = ("flip", "cut", "delete", "repeat", "integer", "float")
_OF_TEXT = ("number", "text", "line")
_OF_DICOM = ("drop_element", "double_element", "vr", "length", "value", "nest")

OPERATIONS = {
    "text": (*_OF_TEXT, "number", "text", "flip", "cut", "delete", "repeat"),
    "mixed": (*_BINARY, *_OF_TEXT),
    "dicom": (*_BINARY, *_OF_DICOM, "value", "drop_element"),
}
"""Operations that suit a kind of file; those that say more stand twice."""


def mutated(
    data: bytes, steps: Sequence[Step], *, is_gzip: bool = False, is_deflated: bool = False
) -> bytes:
    """The bytes after all steps; of a packed file the content changes, and is packed again.

    Half of the deflated files are changed as they are, bytes of the packing itself.
    """
    if is_deflated and not any(name == "cut" or number % 2 for name, _, number in steps[:1]):
        return _changed_within_deflated(data, steps)
    if is_gzip and not any(name == "cut" for name, _, _ in steps):
        return gzip.compress(mutated(gzip.decompress(data), steps), compresslevel=1, mtime=0)
    for name, place, number in steps:
        data = _OPERATIONS[name](data, place, number)
    return data


def _changed_within_deflated(data: bytes, steps: Sequence[Step]) -> bytes:
    """A deflated DICOM file whose inflated elements change, its file meta information not."""
    length = int.from_bytes(data[140:144], "little")  # FileMetaInformationGroupLength
    data_at = 144 + length
    plain = zlib.decompress(data[data_at:], -zlib.MAX_WBITS)
    steps = [(_DICOM_LIKE.get(name, name), place, number) for name, place, number in steps]
    plain = mutated(plain, steps)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:data_at] + packer.compress(plain) + packer.flush()
