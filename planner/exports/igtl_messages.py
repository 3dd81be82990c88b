"""OpenIGTLink messages as bytes, protocol version 1: what a plan needs of it.

Own code because the library on PyPI knows no TRAJ, cuts names silently and does not check the
CRC of what it receives. All numbers are big-endian; coordinates are RAS mm, as 32-bit floats.

References
----------
OpenIGTLink protocol, https://openigtlink.org/developers/spec; the messages of the reference
implementation are what the tests compare with.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planner.errors import InputError, OutputError
from planner.geometry.frames import FloatArray

HEADER = struct.Struct(">H12s20sQQQ")
"""Version, type, device name, time stamp, body size, CRC-64 of the body: 58 bytes."""

VERSION = 1
"""Version 2 adds metadata that receivers of version 1 take for damage."""

MAX_BODY_BYTES = 16 * 1024 * 1024
STATUS_OK = 1

_TRAJECTORY = struct.Struct(">64s32sBx4B3f3ff20s")
_POINT = struct.Struct(">64s32s4B3ff20s")
_POLYDATA = struct.Struct(">10I")
_STATUS = struct.Struct(">Hq20s")
_ENTRY_AND_TARGET = 3
_US_ASCII, _UTF_8 = 3, 106
"""Numbers of the encodings, as IANA lists them."""

_POLYNOMIAL = 0x42F0E1EBA9EA3693
_MASK = 0xFFFFFFFFFFFFFFFF


class Header(NamedTuple):
    """A message's header."""

    kind: str
    device: str
    body_size: int
    crc: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Line:
    """A needle as a message has it: points RAS mm, colour 0 to 255 with opacity."""

    name: str
    group: str
    rgba: tuple[int, int, int, int]
    entry_ras_mm: FloatArray
    tip_ras_mm: FloatArray
    thickness_mm: float
    owner: str


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 56
        for _ in range(8):
            value = ((value << 1) ^ (_POLYNOMIAL if value >> 63 else 0)) & _MASK
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc64(content: bytes) -> int:
    """CRC-64 of ECMA-182, starting at 0."""
    value = 0
    for byte in content:
        value = _TABLE[(value >> 56) ^ byte] ^ ((value << 8) & _MASK)
    return value


def message(kind: str, device: str, body: bytes, *, time_s: float = 0.0) -> bytes:
    """A whole message; ``time_s`` counts from 1970, UTC.

    Raises
    ------
    OutputError
        If the device name has more than 20 ASCII characters.
    """
    seconds = int(time_s)
    stamp = seconds << 32 | int((time_s - seconds) * 2**32)
    name = _fixed(device, 20, "device name", ends_with_zero=False)
    head = HEADER.pack(VERSION, kind.encode("ascii"), name, stamp, len(body), crc64(body))
    return head + body


def trajectory_body(lines: Iterable[Line]) -> bytes:
    """Body of TRAJ: one element of 150 bytes per line.

    The last number is named diameter by the protocol's page and radius by the reference
    implementation: ``thickness_mm`` says what the receiver is to read there, 0 for nothing.
    """
    return b"".join(
        _TRAJECTORY.pack(
            _fixed(line.name, 64, "name"),
            _fixed(line.group, 32, "group"),
            _ENTRY_AND_TARGET,
            *line.rgba,
            *map(float, line.entry_ras_mm),
            *map(float, line.tip_ras_mm),
            line.thickness_mm,
            _fixed(line.owner, 20, "owner"),
        )
        for line in lines
    )


def points_body(line: Line) -> bytes:
    """Body of POINT: the entry and the tip, 136 bytes each."""
    ends = ((f"{line.name} entry", line.entry_ras_mm), (f"{line.name} tip", line.tip_ras_mm))
    return b"".join(
        _POINT.pack(
            _fixed(name, 64, "name"),
            _fixed(line.group, 32, "group"),
            *line.rgba,
            *map(float, point_ras_mm),
            0.0,
            _fixed(line.owner, 20, "owner"),
        )
        for name, point_ras_mm in ends
    )


def transform_body(ras_from_needle: FloatArray) -> bytes:
    """Body of TRANSFORM: the columns of a (4, 4) rigid matrix, axes then origin."""
    return struct.pack(">12f", *np.asarray(ras_from_needle)[:3].T.ravel())


def polyline_body(points_ras_mm: FloatArray) -> bytes:
    """Body of POLYDATA: one line through points, shape (n, 3)."""
    n = len(points_ras_mm)
    cell = struct.pack(f">{n + 1}I", n, *range(n))
    head = _POLYDATA.pack(n, 0, 0, 1, len(cell), 0, 0, 0, 0, 0)
    return head + np.asarray(points_ras_mm, dtype=">f4").tobytes() + cell


def string_body(text: str) -> bytes:
    """Body of STRING: US-ASCII where the text allows, UTF-8 otherwise.

    Raises
    ------
    OutputError
        If the text has more than 65,535 bytes.
    """
    encoding = _US_ASCII if text.isascii() else _UTF_8
    content = text.encode("utf-8")
    if len(content) > 0xFFFF:
        raise OutputError("a text is too long for a message", seen=len(content), needed=0xFFFF)
    return struct.pack(">HH", encoding, len(content)) + content


def status_body(code: int, name: str, text: str) -> bytes:
    """Body of STATUS."""
    return _STATUS.pack(code, 0, _fixed(name, 20, "status")) + text.encode("ascii") + b"\0"


def read_header(content: bytes) -> Header:
    """The header in 58 bytes.

    Raises
    ------
    InputError
        If it is of no known version, or the body would be over ``MAX_BODY_BYTES``.
    """
    version, kind, device, _, body_size, crc = HEADER.unpack(content)
    if not 1 <= version <= 3 or not body_size <= MAX_BODY_BYTES:
        raise InputError(
            "what came is no OpenIGTLink message",
            seen=f"version {version}, {body_size} bytes",
            needed=f"version 1 to 3, at most {MAX_BODY_BYTES} bytes",
        )
    return Header(_text(kind), _text(device), body_size, crc)


def read_status(body: bytes) -> tuple[int, str]:
    """Code and words of a STATUS; code 1 is OK.

    Raises
    ------
    InputError
        If the body is too short.
    """
    if len(body) < _STATUS.size:
        raise InputError(
            "a STATUS message is too short", seen=len(body), needed=f"{_STATUS.size} bytes or more"
        )
    code, _, name = _STATUS.unpack_from(body)
    words = [_text(name), _text(body[_STATUS.size :])]
    return code, ": ".join(word for word in words if word)


def check_body(header: Header, body: bytes) -> None:
    """Raise where the CRC of a body is not the one its header gives.

    Raises
    ------
    InputError
    """
    found = crc64(body)
    if found != header.crc:
        raise InputError(
            f"a {header.kind} message is damaged: its CRC is wrong",
            seen=f"{found:016x}",
            needed=f"{header.crc:016x}",
        )


def _text(content: bytes) -> str:
    text = content.split(b"\0", 1)[0].decode("ascii", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _fixed(text: str, size: int, what: str, *, ends_with_zero: bool = True) -> bytes:
    """The text in a field of fixed size; too long a text is refused: a cut name misleads."""
    content = text.encode("ascii", "replace")
    most = size - 1 if ends_with_zero else size
    if len(content) > most:
        raise OutputError(
            f"the {what} is too long for an OpenIGTLink message",
            seen=text,
            needed=f"at most {most} characters",
        )
    return content
