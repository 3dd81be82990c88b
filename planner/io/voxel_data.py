"""The voxels of one volume file, never more than its header promises and the file holds.

Libraries take the memory that a header claims, and inflate whatever is deflated. Here memory
grows with what really comes out of the file, and ends at what was promised.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.io.inflating import Packing, inflated_blocks

Encoding = Literal["raw", "gzip", "zlib", "bzip2", "text"]

MAX_DATA_BYTES = 8_000_000_000
"""Largest array that is read from one file."""

MAX_TEXT_BYTES = 30_000_000
"""Of voxels that are written as text: as Python objects they take twenty times that."""

MAX_SKIPPED_BYTES = 64 * 2**20
"""Of packed data, before the voxels or (where these come last) in front of them."""

_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelData:
    """Where and how the voxels of a file are stored.

    Attributes
    ----------
    path : Path
    name : str
        For messages.
    start : int
        Byte of the file at which the data begin; negative: they end with the file.
    skip : int
        Bytes before the voxels once the data are inflated; negative: they come last.
    shape : tuple of int
        In C order: the last axis varies fastest.
    """

    path: Path
    name: str
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: Encoding = "raw"
    skip: int = 0

    @property
    def n_bytes(self) -> int:
        """Of the voxels, not packed."""
        n = self.dtype.itemsize
        for size in self.shape:
            n *= int(size)
        return n

    def require_possible(self, max_bytes: int = MAX_DATA_BYTES) -> None:
        """Refuse what cannot be read, before anything is.

        Raises
        ------
        InputError
            If an axis is empty, the voxels are too many, or the file is too short for them.
        """
        if not self.shape or min(self.shape) < 1:
            raise self._unreadable("an axis is empty", str(list(self.shape)), ">= 1")
        if self.n_bytes > max_bytes:
            raise InputError(
                "the volume is too large",
                seen=f"{self.n_bytes / 1e9:.3g} GB",
                needed=f"at most {max_bytes / 1e9:g} GB",
                where=self.name,
                fix="The header is damaged, or the volume must be cropped or resampled first.",
            )
        if self.encoding != "raw" and self.skip > MAX_SKIPPED_BYTES:
            raise self._unreadable("its voxels begin too late", f"byte {self.skip}")
        if self.encoding == "raw":
            here = self._n_file_bytes() - max(0, self.start) - max(0, self.skip)
            if here < self.n_bytes:
                raise self._unreadable(
                    "it is cut off",
                    f"{max(0, here)} bytes",
                    f"{self.n_bytes} bytes",
                )

    def read(self) -> NDArray[Any]:
        """The voxels, in the byte order of the file.

        Raises
        ------
        InputError
            As `require_possible`, or if the packed data are damaged or longer than promised.
        """
        self.require_possible()
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.start))
            if self.encoding == "raw":
                return self._raw(stream)
            if self.encoding == "text":
                return self._from_text(stream)
            try:
                data = self._inflated(stream, self.encoding)
            except (OSError, EOFError, zlib.error) as error:
                raise self._unreadable("its packed voxels are damaged", str(error), None) from error
        return np.frombuffer(data, self.dtype, self.n_bytes // self.dtype.itemsize).reshape(
            self.shape
        )

    def _raw(self, stream: BinaryIO) -> NDArray[Any]:
        if self.start < 0 or self.skip < 0:
            stream.seek(-self.n_bytes, 2)
        else:
            stream.seek(self.skip, 1)
        count = self.n_bytes // self.dtype.itemsize
        return np.fromfile(stream, self.dtype, count).reshape(self.shape)

    def _from_text(self, stream: BinaryIO) -> NDArray[Any]:
        n = self.n_bytes // self.dtype.itemsize
        words = stream.read(MAX_TEXT_BYTES).split() if n <= MAX_TEXT_BYTES else []
        if len(words) != n:
            raise self._unreadable("the number of values is wrong", str(len(words)), str(n))
        try:
            if max(map(len, words)) > _LONGEST_NUMBER:
                raise ValueError("too many digits")
            return np.array(words).astype(self.dtype).reshape(self.shape)
        except ValueError as error:
            raise self._unreadable("a voxel is not a number", None, None) from error

    def _inflated(self, stream: BinaryIO, packing: Packing) -> bytearray:
        promised = max(0, self.skip) + self.n_bytes
        most = promised if self.skip >= 0 else promised + MAX_SKIPPED_BYTES
        out, n_inflated = bytearray(), 0
        for block in inflated_blocks(packing, stream):
            out += block
            n_inflated += len(block)
            del out[: max(0, len(out) - promised)]
            if n_inflated > most:
                raise self._unreadable(
                    "it unpacks to more than its header promises",
                    f"more than {promised} bytes",
                    f"{promised} bytes",
                )
        if len(out) < promised:
            raise self._unreadable(
                "its voxels are cut off",
                f"{len(out)} bytes",
                f"{promised} bytes",
            )
        return out[max(0, self.skip) :] if self.skip > 0 else out

    def _n_file_bytes(self) -> int:
        return self.path.stat().st_size

    def _unreadable(
        self, why: str, seen: str | None = None, needed: str | None = None
    ) -> InputError:
        return InputError(
            f"the file cannot be read: {why}",
            seen=seen,
            needed=needed,
            where=self.name,
            fix="Copy or export it again.",
        )


def first_bytes(path: Path, n: int, *, is_gzip: bool) -> bytes:
    """The first bytes of a file, inflated where it is gzip; at most ``n``.

    Raises
    ------
    zlib.error
        If the gzip data are damaged.
    """
    with path.open("rb") as stream:
        if not is_gzip:
            return stream.read(n)
        found = bytearray()
        for block in inflated_blocks("gzip", stream):
            found += block
            if len(found) >= n:
                break
    return bytes(found[:n])
