"""The header of an NRRD file, attached or detached, and where its voxels are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError, MaskError, SeriesGeometryError, UnsupportedObjectError
from planner.geometry.frames import FloatArray
from planner.io.voxel_data import Encoding, VoxelData

MAX_HEADER_BYTES = 16 * 2**20
"""A header with three hundred segments and all their terms takes under 1 MB."""

MAX_DIMENSION = 16
"""Of the format."""

MAX_SKIPPED_LINES = 1000

_LPS_FROM_SPACE = {
    "left-posterior-superior": np.diag([1.0, 1.0, 1.0]),
    "lps": np.diag([1.0, 1.0, 1.0]),
    "right-anterior-superior": np.diag([-1.0, -1.0, 1.0]),
    "ras": np.diag([-1.0, -1.0, 1.0]),
    "left-anterior-superior": np.diag([1.0, -1.0, 1.0]),
    "las": np.diag([1.0, -1.0, 1.0]),
}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "ascii": "text",
    "text": "text",
    "txt": "text",
}
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        *("longlong", "long long", "long long int", "signed long long"),
        *("signed long long int", "int64", "int64_t"),
    ),
    "u8": (*("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),),
    "f4": ("float",),
    "f8": ("double",),
}
_ORDERS = {"little": "<", "big": ">"}
_ESCAPES = {"\\n": "\n", "\\\\": "\\"}
_FIX = "Save it again from a tool that writes the position of the scan, e.g. from 3D Slicer."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NrrdFile:
    """A header that was read; ``fields`` in the types of pynrrd.

    ``list_axis`` is the axis of the file that counts layers or components, None in a file
    of three axes.
    """

    path: Path
    fields: Mapping[str, Any]
    sizes: tuple[int, ...]
    list_axis: int | None
    data_at: int

    @property
    def name(self) -> str:
        """The file name, for messages."""
        return self.path.name

    def text(self, key: str, default: str = "") -> str:
        r"""A key/value pair, without the escapes ``\n`` and ``\\`` of the format."""
        stored = str(self.fields.get(key, default))
        return re.sub(r"\\[n\\]", lambda found: _ESCAPES[found[0]], stored)

    @property
    def is_detached(self) -> bool:
        """Whether the voxels are in another file."""
        return self._data_file is not None

    @property
    def _data_file(self) -> str | None:
        for key in ("data file", "datafile"):
            if key in self.fields:
                return str(self.fields[key])
        return None

    def data(self) -> VoxelData:
        """Where the voxels are; the axes in reverse order, the last one fastest.

        Raises
        ------
        InputError
            If the type, the encoding or the data file cannot be used.
        """
        encoding = _ENCODINGS.get(str(self.fields.get("encoding", "")).lower())
        if encoding is None:
            raise UnsupportedObjectError(
                "the NRRD file is packed in a way that is not read",
                seen=self.fields.get("encoding"),
                needed=", ".join(sorted(set(_ENCODINGS.values()))),
                where=self.name,
            )
        skip = int(self.fields.get("byte skip", self.fields.get("byteskip", 0)))
        if skip < -1:
            raise InputError("the NRRD file has a byte skip that cannot be", where=self.name)
        path = self.path if self._data_file is None else self._beside(self._data_file)
        return VoxelData(
            path=path,
            name=self.name,
            start=self._start_of(path),
            skip=skip,
            shape=self.sizes[::-1],
            dtype=self._dtype(encoding),
            encoding=encoding,
        )

    def _dtype(self, encoding: Encoding) -> np.dtype[Any]:
        stated = str(self.fields.get("type", "")).strip().lower()
        code = next((c for c, names in _TYPES.items() if stated in names), None)
        order = _ORDERS.get(str(self.fields.get("endian", "")).lower())
        if code is None or (order is None and code[1] != "1" and encoding != "text"):
            raise InputError(
                "the NRRD file has voxels of an unknown type",
                seen=f"type {stated[:40]}, endian {self.fields.get('endian', 'not stated')}",
                needed="an integer or real type, and endian little or big",
                where=self.name,
            )
        return np.dtype((order or "=") + code)

    def _start_of(self, path: Path) -> int:
        start = self.data_at if path == self.path else 0
        n_lines = int(self.fields.get("line skip", self.fields.get("lineskip", 0)))
        if not (0 <= n_lines <= MAX_SKIPPED_LINES):
            raise InputError(
                "the NRRD file has a line skip that cannot be",
                seen=n_lines,
                needed=f"0 to {MAX_SKIPPED_LINES}",
                where=self.name,
            )
        if n_lines:
            with path.open("rb") as stream:
                stream.seek(start)
                start += sum(len(stream.readline()) for _ in range(n_lines))
        return start

    def _beside(self, named: str) -> Path:
        return file_beside(self.path, named)


def file_beside(header: Path, named: str) -> Path:
    """The data file that a header names, which must lie in the header's own folder.

    Raises
    ------
    InputError
        If it names a list, a pattern or a place elsewhere, or there is no such file.
    """
    is_plain = bool(re.fullmatch(r"[^/\\:%\x00-\x1f]+", named)) and named not in (".", "..")
    if not is_plain or named.upper().startswith("LIST") or not (header.parent / named).is_file():
        raise InputError(
            "the data file that the header names cannot be used",
            seen=named[:80],
            needed="the name of one file in the same folder",
            where=header.name,
            fix="Save the volume as one file.",
        )
    return header.parent / named


def read_nrrd_header(path: Path, refusal: type[InputError] = InputError) -> NrrdFile:
    """The header of an NRRD file.

    Raises
    ------
    InputError
        Of the type ``refusal``, if there is no header that can be read.
    """
    import nrrd

    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES)
    end = re.search(rb"\r?\n\r?\n", head)
    # as text: of bytes pynrrd keeps ASCII only, and Slicer writes names in UTF-8
    lines = head[: end.start() if end else None].decode("utf-8", "replace").split("\n")
    try:
        fields = nrrd.read_header(iter(lines))
        sizes = tuple(int(n) for n in fields["sizes"])
        if len(sizes) > MAX_DIMENSION:
            raise ValueError(f"{len(sizes)} axes, more than the format has")
    except Exception as error:  # pynrrd lets out whatever its parsers raise
        raise refusal(
            "the NRRD header cannot be read",
            seen=f"{type(error).__name__}: {str(error)[:200]}",
            where=path.name,
            fix="Copy or convert it again.",
        ) from error
    if len(sizes) != fields.get("dimension"):
        raise refusal(
            "the NRRD header contradicts itself",
            seen=f"dimension {fields.get('dimension')}, sizes {list(sizes)[:20]}",
            where=path.name,
        )
    return NrrdFile(
        path=path,
        fields=fields,
        sizes=sizes,
        list_axis=_list_axis(fields, sizes),
        data_at=end.end() if end else len(head),
    )


def _list_axis(fields: Mapping[str, Any], sizes: tuple[int, ...]) -> int | None:
    """The one axis that is none of space, by its kind or its missing direction."""
    if len(sizes) != 4:
        return None
    kinds = [str(kind).lower() for kind in fields.get("kinds", [])]
    lists = [n for n, kind in enumerate(kinds) if kind not in ("domain", "space", "time", "???")]
    return lists[0] if len(kinds) == 4 and len(lists) == 1 else None


def lps_from_kji_of(file: NrrdFile, refusal: type[InputError] = MaskError) -> FloatArray:
    """Matrix (4, 4) from array indices [k, j, i] to LPS, mm.

    Raises
    ------
    InputError
        Of the type ``refusal``, if the header has no position in the patient in mm.
    """
    fields = file.fields
    missing = [f for f in ("space", "space directions", "space origin") if f not in fields]
    if missing:
        raise refusal(
            "the NRRD header has no position in the patient",
            seen=f"no field '{missing[0]}'",
            where=file.name,
            fix=_FIX,
        )
    space = str(fields["space"]).strip().lower()
    if space not in _LPS_FROM_SPACE:
        raise refusal(
            "the NRRD file is in a space that is not the patient's",
            seen=fields["space"],
            needed="left-posterior-superior, right-anterior-superior or left-anterior-superior",
            where=file.name,
            fix=_FIX,
        )
    units = [str(u).strip('"') for u in fields.get("space units", [])]
    if any(u not in ("", "mm") for u in units):
        raise refusal("the NRRD header is not in millimetres", seen=units, where=file.name)
    directions = [
        np.array(row, dtype=np.float64)
        for n, row in enumerate(fields["space directions"])
        if n != file.list_axis and row is not None
    ]
    origin = np.array(fields["space origin"], dtype=np.float64)
    if len(directions) != 3 or any(d.shape != (3,) for d in directions) or origin.shape != (3,):
        raise refusal(
            "the NRRD header needs three space directions of three numbers",
            seen=str(fields["space directions"])[:200],
            where=file.name,
        )
    lps_from_space = _LPS_FROM_SPACE[space]
    matrix = np.eye(4)
    matrix[:3, :3] = lps_from_space @ np.array(directions).T[:, ::-1]
    matrix[:3, 3] = lps_from_space @ origin
    return matrix


def require_space(file: NrrdFile) -> None:
    """Refuse an image whose header does not say where it lies in the patient.

    Raises
    ------
    SeriesGeometryError
        If it names no space, or one without the sides of the patient.
    """
    space = str(file.fields.get("space", "none")).strip().lower()
    if space not in _LPS_FROM_SPACE:
        raise SeriesGeometryError(
            "the file does not say where it lies in the patient",
            seen=f"NRRD space: {space}",
            needed=" or ".join(sorted(s for s in _LPS_FROM_SPACE if "-" in s)),
            where=file.name,
            fix="Save it again with its orientation, e.g. from 3D Slicer.",
        )
