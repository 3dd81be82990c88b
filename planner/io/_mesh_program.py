"""Reads a surface mesh with VTK; run as a program of its own.

``python _mesh_program.py KIND MESH_FILE RESULT.npz MAX_BYTES``. VTK's readers believe what a
file says of its own size, and a damaged file can end the process (no exception can be
caught), so the planner never reads meshes with VTK in its own process. Imports nothing of
the planner. On failure one line on stderr says why.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def main(kind: str, mesh_file: str, result_file: str, max_bytes: int) -> None:
    """Write points (n, 3), triangles (m, 3), how many other cells there are, and the space."""
    _limit_memory(max_bytes)
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkLogger
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    errors: list[str] = []
    reader = _reader(kind)
    reader.AddObserver("ErrorEvent", lambda *_: errors.append("the VTK reader reports an error"))
    reader.SetFileName(mesh_file)
    reader.Update()
    if errors:
        raise ValueError(errors[0])
    data = reader.GetOutput()
    if data is None or not data.IsA("vtkPolyData"):
        raise ValueError("not a polygonal surface (polydata)")
    n_other = data.GetNumberOfVerts() + data.GetNumberOfLines()
    _check_point_numbers(data, vtk_to_numpy)
    surface = vtkTriangleFilter()
    surface.SetInputData(data)
    surface.PassVertsOff()
    surface.PassLinesOff()
    surface.Update()
    out = surface.GetOutput()
    points = np.zeros((0, 3))
    if out.GetNumberOfPoints():
        points = vtk_to_numpy(out.GetPoints().GetData()).astype(np.float64)
    triangles = np.zeros((0, 3), np.int64)
    if out.GetNumberOfPolys():
        triangles = vtk_to_numpy(out.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    np.savez(
        result_file,
        points=points,
        triangles=triangles.astype(np.int64),
        n_other=n_other,
        space=_space(data),
    )


def _limit_memory(max_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the limits on the file's size remain
        return
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _reader(kind: str) -> Any:
    if kind == ".stl":
        from vtkmodules.vtkIOGeometry import vtkSTLReader

        return vtkSTLReader()
    if kind == ".obj":
        from vtkmodules.vtkIOGeometry import vtkOBJReader

        return vtkOBJReader()
    if kind == ".ply":
        from vtkmodules.vtkIOPLY import vtkPLYReader

        return vtkPLYReader()
    if kind == ".vtp":
        from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

        return vtkXMLPolyDataReader()
    from vtkmodules.vtkIOLegacy import vtkPolyDataReader

    return vtkPolyDataReader()


def _check_point_numbers(data: Any, vtk_to_numpy: Any) -> None:
    """The triangle filter looks points up without asking whether they are there."""
    for cells in (data.GetPolys(), data.GetStrips()):
        if cells.GetNumberOfCells() == 0:
            continue
        numbers = vtk_to_numpy(cells.GetConnectivityArray())
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < data.GetNumberOfPoints()):
            raise ValueError("a polygon names a point that is not there")


def _space(data: Any) -> str:
    """What 3D Slicer writes into the field data: the name of the coordinate system."""
    array = data.GetFieldData().GetAbstractArray("SPACE")
    if array is None or not array.IsA("vtkStringArray") or array.GetNumberOfValues() != 1:
        return ""
    return str(array.GetValue(0))


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    except Exception as error:  # the caller shows the last line
        sys.exit(f"{type(error).__name__}: {error}")
