"""Surface meshes as files of every kind; binary STL byte by byte, the others with VTK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOGeometry import vtkOBJWriter, vtkSTLWriter
from vtkmodules.vtkIOLegacy import vtkPolyDataWriter
from vtkmodules.vtkIOPLY import vtkPLYWriter
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from planner.geometry.mesh_cover import TriangleMesh


def binary_stl(mesh: TriangleMesh, header: str = "") -> bytes:
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows = np.zeros(len(mesh.triangles), kind)
    rows["corners"] = mesh.points_lps_mm[mesh.triangles]
    count = np.array([len(rows)], "<u4").tobytes()
    return header.encode().ljust(80, b"\0") + count + rows.tobytes()


def poly_data(mesh: TriangleMesh, space: str | None = None) -> vtkPolyData:
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.points_lps_mm), deep=True))
    cells = vtkCellArray()
    for triangle in mesh.triangles.tolist():
        cells.InsertNextCell(3, triangle)
    out = vtkPolyData()
    out.SetPoints(points)
    out.SetPolys(cells)
    if space is not None:
        text = vtkStringArray()
        text.SetName("SPACE")
        text.InsertNextValue(space)
        out.GetFieldData().AddArray(text)
    return out


def write_mesh(path: Path, mesh: TriangleMesh, *, space: str | None = None) -> Path:
    """As 3D Slicer writes it: the coordinate system in the header, comment or field data."""
    header = "" if space is None else f"3D Slicer output. SPACE={space}"
    kind = path.suffix
    if path.name.endswith(".ascii.stl"):
        writer = vtkSTLWriter()
        writer.SetHeader(header or "solid")
        writer.SetFileTypeToASCII()
    elif kind == ".stl":
        path.write_bytes(binary_stl(mesh, header))
        return path
    elif kind == ".obj":
        writer = vtkOBJWriter()
    elif kind == ".ply":
        writer = vtkPLYWriter()
        if header:
            writer.AddComment(header)
    elif kind == ".vtp":
        writer = vtkXMLPolyDataWriter()
    else:
        writer = vtkPolyDataWriter()
        if header:
            writer.SetHeader(header)
    writer.SetInputData(poly_data(mesh, space if kind == ".vtp" else None))
    writer.SetFileName(str(path))
    assert writer.Write() == 1
    if kind == ".obj" and header:
        path.write_text(f"# {header}\n{path.read_text()}")
    return path
