"""What a compressed frame says about its own size, looked at before it is decoded.

A decoder allocates what the codestream claims, whatever the DICOM header says.
"""

from __future__ import annotations

import struct

JPEG_2000_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
JPEG_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 57, 70, 80, 81))

_CODESTREAM_START = b"\xff\x4f\xff\x51"
_BOX_BYTES = 4096
"""Where the codestream starts at the latest; some writers wrap it in a JP2 file."""

_END = b"\xff\xd9"
_PADDING_BYTES = 64
"""How far before the end of a frame its end marker may stand."""

_JPEG_FRAME_MARKERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
"""Start of frame of all JPEG processes, and of JPEG-LS."""


def frame_size(frame: bytes, transfer_syntax_uid: str) -> tuple[int, int, int] | None:
    """Rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 frame.

    None when the frame does not say.
    """
    if transfer_syntax_uid in JPEG_2000_SYNTAXES:
        return _jpeg_2000_size(frame)
    return _jpeg_size(frame)


def is_ended(frame: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 frame has its end marker, padding aside.

    Of a frame that is cut off one decoder returns half a picture, and another never returns.
    """
    return _END in frame[-_PADDING_BYTES:]


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int] | None:
    start = frame.find(_CODESTREAM_START, 0, _BOX_BYTES)
    size = struct.Struct(">LLLL16xH")
    if start < 0 or len(frame) < start + 8 + size.size:
        return None
    x_end, y_end, x_start, y_start, components = size.unpack_from(frame, start + 8)
    return y_end - y_start, x_end - x_start, components


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    pos = 2
    while pos + 10 <= len(frame):
        if frame[pos] != 0xFF:
            return None
        marker = frame[pos + 1]
        if marker == 0xFF:  # a fill byte
            pos += 1
        elif marker in _JPEG_FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">HHB", frame, pos + 5)
            return rows, columns, components
        else:
            (length,) = struct.unpack_from(">H", frame, pos + 2)
            pos += 2 + max(length, 2)
    return None
