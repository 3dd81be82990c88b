"""One surface mesh as a structure.

A mesh file has one structure, named by the file. Where it is in the patient depends on the
coordinate system its numbers are in: 3D Slicer writes it into the file; for others the user
says it (``--mesh-frame``). It is never guessed: a mesh taken in the wrong one lies mirrored
left to right and front to back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.errors import GeometryError, MaskError
from planner.geometry import Grid, Volume
from planner.geometry.frames import lps_from_ras
from planner.geometry.mesh_cover import TriangleMesh, centres_in_mesh, cover_mesh, part_outside
from planner.geometry.resample import MaskTransfer
from planner.io.mesh_parsing import RawMesh, read_mesh
from planner.io.stored_file import MESH_KIND, MaskOptions, StoredFile, StoredLabel, sha256_of
from planner.model import StructureRole

MAX_EXTENT_MM, MIN_EXTENT_MM = 5000.0, 0.5
"""A mesh larger or smaller than this is not in millimetres, or damaged."""

SMALL_EXTENT_MM = 5.0
"""Under this the unit is asked about: five centimetres written as 5."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MeshFile(StoredFile):
    """A surface and whether it is closed."""

    mesh: TriangleMesh
    n_open_edges: int

    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """Every voxel that the solid reaches, for obstacles; voxel centres inside, for others.

        Raises
        ------
        MaskError
            If the surface is open and the role is none of an obstacle: it has no inside.
        """
        if role.is_obstacle:
            return cover_mesh(self.mesh, image, is_closed=self.n_open_edges == 0)
        if self.n_open_edges:
            raise MaskError(
                f"the surface of '{self.stem}' is not closed, so it has no inside to be a {role}",
                seen=f"{self.n_open_edges} open edges",
                needed="a closed surface",
                where=self.file,
                fix="Close it in the program that made it, or give the structure as a mask.",
            )
        return centres_in_mesh(self.mesh, image)


def read_mesh_file(path: Path, image: Volume, options: MaskOptions) -> MeshFile:
    """A mesh in the image's patient coordinates.

    Raises
    ------
    MaskError
        If the file cannot be read, has no triangle, a coordinate that is no number, an
        extent that cannot be millimetres, or no stated coordinate system and none in
        ``options.mesh_frame``, or another one than that.
    """
    raw = read_mesh(path)
    frame = _frame(raw, options.mesh_frame, path.name)
    if len(raw.triangles) == 0:
        raise MaskError(
            "the mesh has no triangle",
            seen=f"{raw.n_other} lines and points" if raw.n_other else None,
            where=path.name,
            fix="An empty surface would protect nothing: leave it out or give the right one.",
        )
    points = lps_from_ras(raw.points) if frame == "ras" else raw.points
    try:
        mesh = TriangleMesh(points, raw.triangles)
    except GeometryError as error:
        raise MaskError(
            error.what, seen=error.seen, needed=error.needed, where=path.name
        ) from error
    n_open = mesh.n_open_edges()
    return MeshFile(
        file=path.name,
        stem=path.stem,
        sha256=sha256_of(path),
        grid=image.grid,
        labels=(StoredLabel(layer=0, value=1, name=None, n_voxels=len(raw.triangles)),),
        warnings=tuple(_warnings(raw, mesh, n_open, image.grid, path.name)),
        references=None,
        kind=MESH_KIND,
        mesh=mesh,
        n_open_edges=n_open,
    )


def _frame(raw: RawMesh, asked: str | None, file: str) -> str:
    stated = None if raw.space is None else raw.space.lower()
    if stated not in (None, "lps", "ras"):
        raise MaskError(
            "the mesh is in a coordinate system that is not read",
            seen=f"SPACE={raw.space}",
            needed="LPS or RAS",
            where=file,
        )
    if stated and asked and stated != asked:
        raise MaskError(
            "the mesh file states another coordinate system than --mesh-frame",
            seen=f"SPACE={raw.space} in the file",
            needed=f"--mesh-frame {asked}",
            where=file,
            fix="Leave the option out to believe the file.",
        )
    frame = stated or asked
    if frame is None:
        raise MaskError(
            "the mesh file does not say in which coordinate system its points are",
            needed="--mesh-frame lps or --mesh-frame ras (mesh_frame=...)",
            where=file,
            fix="A wrong answer mirrors the structure to the other side: look it up in the program "
            "that made it. 3D Slicer 5 writes LPS, Slicer before 4.11 wrote RAS.",
        )
    return frame


def _warnings(raw: RawMesh, mesh: TriangleMesh, n_open: int, grid: Grid, file: str) -> list[str]:
    notes = []
    size_mm = _extent_mm(mesh, file)
    if size_mm < SMALL_EXTENT_MM:
        notes.append(
            f"{file}: the mesh is only {size_mm:.2g} mm across, if its unit is the millimetre; "
            f"in centimetres it were {10 * size_mm:.2g} mm"
        )
    if raw.n_other:
        notes.append(f"{file}: {raw.n_other} lines and single points are no surface: left out")
    if n_open:
        notes.append(
            f"{file}: the surface is not closed ({n_open} open edges); to avoid it, its shell "
            "counts and what it encloses on the image's voxels: its inside may be unprotected"
        )
    outside = part_outside(mesh, grid)
    if outside > 0.0:
        notes.append(
            f"{file}: {max(outside, 0.001):.1%} of the surface is outside the image volume"
        )
    return notes


def _extent_mm(mesh: TriangleMesh, file: str) -> float:
    is_used = np.zeros(len(mesh.points_lps_mm), bool)
    is_used[mesh.triangles.ravel()] = True
    size_mm = max(float(np.ptp(mesh.points_lps_mm[is_used, n])) for n in range(3))
    if not (MIN_EXTENT_MM <= size_mm <= MAX_EXTENT_MM):
        raise MaskError(
            "the size of the mesh cannot be in millimetres",
            seen=f"{size_mm:.3g} mm",
            needed=f"{MIN_EXTENT_MM:g} to {MAX_EXTENT_MM:g} mm",
            where=file,
            fix="Are its points in metres or micrometres? Scale them to millimetres.",
        )
    return size_mm
