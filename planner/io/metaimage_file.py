"""The header of a MetaImage file (.mha, .mhd), and where its voxels are.

Read here and not by SimpleITK, whose reader believes the header of a damaged file: it takes
the memory that is claimed, or does not return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry.frames import FloatArray
from planner.io.nrrd_file import file_beside
from planner.io.voxel_data import Encoding, VoxelData

MAX_HEADER_BYTES = 65536

MAX_SIZE = 2**31
"""Of one axis; also what keeps the product a number that can be written."""

_POSITION = ("Offset", "Position", "Origin")
_AXES = ("TransformMatrix", "Rotation", "Orientation")
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetaImageFile:
    """A header that was read; ``sizes`` along the axes i, j, k of the file.

    ``lps_from_kji`` is None where the header does not say where the volume lies.
    """

    name: str
    sizes: tuple[int, ...]
    n_components: int
    lps_from_kji: FloatArray | None
    missing: str
    data: VoxelData


def read_metaimage_header(path: Path) -> MetaImageFile:
    """The header of a MetaImage file.

    Raises
    ------
    InputError
        If a field that is needed is missing or cannot be read.
    UnsupportedObjectError
        If the voxels are of a type that is not read.
    """
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
    fields, end = _fields(head, path.name)
    header = _Header(fields, path.name)
    n = header.integer("NDims")
    if not (1 <= n <= 8):
        raise header.bad("NDims", str(n), "1 to 8")
    sizes = tuple(int(v) for v in header.numbers("DimSize", n))
    if max(sizes) > MAX_SIZE:
        raise header.bad("DimSize", f"{max(sizes):g}", f"<= {MAX_SIZE}")
    n_components = header.integer("ElementNumberOfChannels", 1)
    code = _TYPES.get(header.text("ElementType").upper().removesuffix("_ARRAY"))
    if code is None:
        raise UnsupportedObjectError(
            "the MetaImage file has voxels of a type that is not read",
            seen=header.text("ElementType")[:40],
            needed=", ".join(_TYPES),
            where=path.name,
        )
    is_big = header.flag("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    own_file = header.text("ElementDataFile")
    is_local = own_file.upper() == "LOCAL"
    missing = [names[0] for names in (_AXES, _POSITION) if not any(k in fields for k in names)]
    return MetaImageFile(
        name=path.name,
        sizes=sizes,
        n_components=n_components,
        lps_from_kji=None if missing else _matrix(header, n),
        missing=missing[0] if missing else "",
        data=VoxelData(
            path=path if is_local else file_beside(path, own_file),
            name=path.name,
            start=end if is_local else _header_size(header),
            shape=(*sizes[::-1], *([n_components] if n_components != 1 else [])),
            dtype=np.dtype((">" if is_big else "<") + code),
            encoding=_encoding(header),
        ),
    )


def _encoding(header: _Header) -> Encoding:
    if not header.flag("BinaryData", default=True):
        return "text"
    return "zlib" if header.flag("CompressedData") else "raw"


def _header_size(header: _Header) -> int:
    size = header.integer("HeaderSize", 0)
    if size < -1:
        raise header.bad("HeaderSize", str(size), ">= -1")
    return size


def _matrix(header: _Header, n: int) -> FloatArray | None:
    """From array indices [k, j, i] to LPS; the rows of TransformMatrix are the axes i, j, k."""
    if n < 3:
        return None
    key = next(k for k in _AXES if k in header.fields)
    axes = np.array(header.numbers(key, n * n)).reshape(n, n)[:3, :3]
    spacing = np.array(header.numbers("ElementSpacing", n))[:3]
    position = header.numbers(next(k for k in _POSITION if k in header.fields), n)[:3]
    matrix = np.eye(4)
    matrix[:3, :3] = (axes.T * spacing)[:, ::-1]
    matrix[:3, 3] = position
    return matrix


class _Header:
    """The fields of a header as numbers, or a refusal that names the field."""

    def __init__(self, fields: Mapping[str, str], name: str) -> None:
        self.fields = fields
        self._name = name

    def text(self, key: str) -> str:
        if key not in self.fields:
            raise self.bad(key, "no such field", None)
        return self.fields[key]

    def numbers(self, key: str, n: int) -> list[float]:
        words = self.text(key).split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != n or not np.all(np.isfinite(values)):
            raise self.bad(key, self.text(key)[:80], f"{n} finite numbers")
        return values

    def integer(self, key: str, default: int | None = None) -> int:
        if default is not None and key not in self.fields:
            return default
        (value,) = self.numbers(key, 1)
        if value != int(value):
            raise self.bad(key, self.text(key)[:80], "a whole number")
        return int(value)

    def flag(self, *keys: str, default: bool = False) -> bool:
        for key in keys:
            if key in self.fields:
                found = _BOOLEANS.get(self.fields[key].lower())
                if found is None:
                    raise self.bad(key, self.fields[key][:40], "True or False")
                return found
        return default

    def bad(self, key: str, seen: str, needed: str | None) -> InputError:
        return InputError(
            f"the MetaImage header has no usable field '{key}'",
            seen=seen,
            needed=needed,
            where=self._name,
            fix="Copy or convert it again.",
        )


def _fields(head: bytes, name: str) -> tuple[dict[str, str], int]:
    """The lines ``key = value`` up to ElementDataFile, and where the voxels begin."""
    fields: dict[str, Any] = {}
    at = 0
    while at < len(head):
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        key, equals, value = head[at:end].decode("latin-1").partition("=")
        at = end + 1
        key = key.strip()
        if key in fields:
            raise InputError(f"the MetaImage header has the field '{key}' twice", where=name)
        if equals:
            fields[key] = value.strip()
        if key == "ElementDataFile":
            return fields, at
    raise InputError(
        "the MetaImage file cannot be read",
        seen="no field 'ElementDataFile'",
        where=name,
        fix="Copy or convert it again.",
    )
