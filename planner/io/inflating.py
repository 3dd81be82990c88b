"""Unpacks a stream piece by piece, so that who reads it can stop at any size."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal, Protocol

Packing = Literal["gzip", "zlib", "deflate", "bzip2"]

MAX_MEMBERS = 100_000
"""Packed parts in one file; block-wise gzip has one for each 64 kB."""

_BLOCK_BYTES, _PACKED_BLOCK_BYTES = 2**22, 2**16
_MEMBER_STARTS = {"gzip": b"\x1f\x8b", "bzip2": b"BZh"}
_LONGEST_START = max(map(len, _MEMBER_STARTS.values()))
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS, "deflate": -zlib.MAX_WBITS}


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _inflater(packing: Packing) -> _Inflater:
    if packing == "bzip2":
        return bz2.BZ2Decompressor()
    return zlib.decompressobj(_WINDOW_BITS[packing])


def inflated_blocks(packing: Packing, stream: BinaryIO) -> Iterator[bytes]:
    """What comes out, in pieces of a few megabytes; all members of a file of several.

    Raises
    ------
    EOFError
        If the packed data have no end.
    zlib.error, OSError
        If they are damaged, or have more than ``MAX_MEMBERS`` members.
    """
    inflater = _inflater(packing)
    packed, is_end, n_members = b"", False, 1
    while True:
        if not packed and not is_end and getattr(inflater, "needs_input", True):
            packed = stream.read(_PACKED_BLOCK_BYTES)
            is_end = not packed
        block = inflater.decompress(packed, _BLOCK_BYTES)
        if block:
            yield block
        if not inflater.eof:
            packed = getattr(inflater, "unconsumed_tail", b"")
            if is_end and not block:
                raise EOFError("the packed data have no end")
            continue
        packed = inflater.unused_data
        while len(packed) < _LONGEST_START and (more := stream.read(_PACKED_BLOCK_BYTES)):
            packed += more
        start = _MEMBER_STARTS.get(packing)
        if start is None or not packed.startswith(start):
            return
        n_members += 1
        if n_members > MAX_MEMBERS:
            raise zlib.error(f"more than {MAX_MEMBERS} packed parts")
        inflater = _inflater(packing)
