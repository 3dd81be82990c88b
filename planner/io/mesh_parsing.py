"""Surface meshes from files: STL, OBJ, PLY, VTP and VTK polydata.

Binary STL, the common kind, is read here; the others by VTK, in a process of its own with
limits on time and memory (`_mesh_program`).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.geometry.frames import FloatArray

MAX_FILE_BYTES = 1_500_000_000
"""Five million triangles are 250 MB as binary and 1.3 GB as text."""

MAX_TRIANGLES = 20_000_000
READING_SECONDS = 120
"""At most; a small file that takes longer than `_SECONDS` is damaged."""

_SECONDS, _BYTES_PER_SECOND = 8.0, 12_500_000
_MIN_MEMORY, _MEMORY_PER_BYTE = 3_000_000_000, 12

_STL_HEAD = 84
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEAD_BYTES = 4096
_SPACE = re.compile(rb"\bSPACE\s*=\s*([A-Za-z-]+)")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawMesh:
    """The content of a mesh file, in the file's own coordinates.

    ``space`` is the coordinate system that the file states (``"LPS"``, ``"RAS"``), None when
    it states none. ``n_other`` counts lines and single points, which are no surface.
    """

    points: FloatArray
    triangles: NDArray[np.int64]
    space: str | None
    n_other: int = 0


def read_mesh(path: Path) -> RawMesh:
    """The triangles of a mesh file; polygons are cut into triangles.

    Raises
    ------
    MaskError
        If the file cannot be read, is larger than ``MAX_FILE_BYTES``, a binary STL's own
        number of triangles disagrees with its size, or it states two coordinate systems.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise MaskError(
            "the mesh file is too large",
            seen=f"{size / 1e6:.0f} MB",
            needed=f"<= {MAX_FILE_BYTES / 1e6:.0f} MB",
            where=path.name,
            fix="Simplify the mesh.",
        )
    kind = path.suffix.lower()
    if kind == ".stl" and _is_binary_stl(path, size):
        mesh = _binary_stl(path)
    else:
        mesh = _by_vtk(path, kind, size)
    if len(mesh.triangles) > MAX_TRIANGLES:
        raise MaskError(
            "the mesh has too many triangles",
            seen=len(mesh.triangles),
            needed=f"<= {MAX_TRIANGLES}",
            where=path.name,
            fix="Simplify the mesh.",
        )
    return mesh


def _is_binary_stl(path: Path, size: int) -> bool:
    """By size, not by the word "solid", with which binary files begin as well.

    Raises
    ------
    MaskError
        If the file is neither text nor as long as it says.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    n_said = int.from_bytes(head[80:84], "little")
    if len(head) >= _STL_HEAD and size == _STL_HEAD + n_said * _STL_TRIANGLE.itemsize:
        return True
    if head.lstrip()[:5].lower() == b"solid" and b"\0" not in head:
        return False
    raise MaskError(
        "the binary STL file does not hold the triangles that its header announces",
        seen=f"{size} bytes, room for {max(0, size - _STL_HEAD) // _STL_TRIANGLE.itemsize}",
        needed=f"{n_said} triangles, {_STL_HEAD + n_said * _STL_TRIANGLE.itemsize} bytes",
        where=path.name,
        fix="The file is cut off or damaged: export it again.",
    )


def _binary_stl(path: Path) -> RawMesh:
    with path.open("rb") as stream:
        space = _stated_space(stream.read(80), path.name)
        stream.seek(_STL_HEAD)
        triangles = np.fromfile(stream, dtype=_STL_TRIANGLE)
    points = triangles["corners"].reshape(-1, 3).astype(np.float64)
    numbers = np.arange(len(points), dtype=np.int64).reshape(-1, 3)
    return RawMesh(points=points, triangles=numbers, space=space)


def _by_vtk(path: Path, kind: str, size: int) -> RawMesh:
    program = Path(__file__).with_name("_mesh_program.py")
    memory = max(_MIN_MEMORY, _MEMORY_PER_BYTE * size)
    seconds = min(READING_SECONDS, _SECONDS + size / _BYTES_PER_SECOND)
    with tempfile.TemporaryDirectory(prefix="needle-planner-") as folder:
        result = Path(folder) / "mesh.npz"
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-P",
                    str(program),
                    kind,
                    str(path.resolve()),
                    str(result),
                    str(memory),
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _unreadable(path, f"not done after {seconds:.3g} s") from error
        if done.returncode != 0 or not result.is_file():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            ended = f"the reader broke down (code {done.returncode})"
            raise _unreadable(path, lines[-1][:200] if lines else ended)
        with np.load(result, allow_pickle=False) as found:
            points, triangles = found["points"], found["triangles"]
            n_other, in_data = int(found["n_other"]), str(found["space"])
    with path.open("rb") as stream:
        in_head = _stated_space(stream.read(_HEAD_BYTES), path.name)
    spaces = {s.upper() for s in (in_head, in_data) if s}
    if len(spaces) > 1:
        raise _two_spaces(path.name, spaces)
    return RawMesh(
        points=points, triangles=triangles, space=spaces.pop() if spaces else None, n_other=n_other
    )


def _stated_space(head: bytes, file: str) -> str | None:
    """3D Slicer writes ``SPACE=LPS`` or ``SPACE=RAS`` into the header or a comment."""
    found = {match.decode("ascii").upper() for match in _SPACE.findall(head)}
    if len(found) > 1:
        raise _two_spaces(file, found)
    return found.pop() if found else None


def _two_spaces(file: str, spaces: set[str]) -> MaskError:
    return MaskError(
        "the mesh file states two coordinate systems",
        seen=" and ".join(sorted(spaces)),
        where=file,
        fix="Export it again from the program that made it.",
    )


def _unreadable(path: Path, why: str) -> MaskError:
    return MaskError(
        "the mesh file cannot be read",
        seen=why,
        where=path.name,
        fix="It is cut off or damaged: export it again, as binary STL if you can.",
    )
