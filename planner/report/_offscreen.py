"""Renders a surface with VTK off screen; run as a program of its own.

``python _offscreen.py SCENE.npz PICTURES.npy``. A machine without OpenGL libraries
kills the process that asks VTK for a window (no exception can be caught), so the
planner never renders in its own process. Imports nothing of the planner.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(scene_file: Path, picture_file: Path) -> None:
    """Write pictures, shape (n, rows, columns, 3) uint8, of the scene's n colourings."""
    with np.load(scene_file) as scene:
        arrays = {name: scene[name] for name in scene.files}
    np.save(picture_file, render(arrays))


def render(scene: dict[str, np.ndarray]) -> np.ndarray:
    """One picture per colouring of the same surface.

    Needs ``vertices_mm`` (v, 3), ``triangles`` (t, 3), ``colours`` (n, v, 3) uint8,
    ``tubes_mm`` (m, 2, 3), ``tube_colours`` (m, 3) uint8, ``tube_radius_mm``,
    ``camera_mm`` (3, 3: position, focal point, up), ``height_mm`` of the picture,
    ``size_px`` (columns, rows) and ``background`` (3,) uint8.
    """
    # Registers the OpenGL back end.
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkLogger
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    renderer = vtkRenderer()
    renderer.SetBackground(*(scene["background"] / 255.0))
    surface = _surface(scene["vertices_mm"], scene["triangles"])
    renderer.AddActor(_actor(surface, scalar_colours=True))
    for ends, colour in zip(scene["tubes_mm"], scene["tube_colours"], strict=True):
        renderer.AddActor(_tube(ends, float(scene["tube_radius_mm"]), colour))
    _aim(renderer, scene)
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(8)
    window.SetSize(*(int(n) for n in scene["size_px"]))
    window.AddRenderer(renderer)
    pictures = []
    for colours in scene["colours"]:
        surface.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(colours), deep=True))
        surface.Modified()
        window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows, _ = image.GetDimensions()
        flat = vtk_to_numpy(image.GetPointData().GetScalars())
        pictures.append(flat.reshape(rows, columns, -1)[::-1, :, :3].copy())
    return np.stack(pictures)


def _surface(vertices_mm: np.ndarray, triangles: np.ndarray) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals

    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(vertices_mm, dtype=np.float64), deep=True))
    cells = vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(triangles.astype(np.int64).ravel(), deep=True))
    surface = vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def _actor(data: Any, *, scalar_colours: bool) -> Any:
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

    mapper = vtkPolyDataMapper()
    mapper.SetInputData(data)
    mapper.SetScalarVisibility(scalar_colours)
    mapper.SetColorModeToDirectScalars()
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetAmbient(0.55)
    actor.GetProperty().SetDiffuse(0.5)
    actor.GetProperty().SetSpecular(0.0)
    return actor


def _tube(ends_mm: np.ndarray, radius_mm: float, colour: np.ndarray) -> Any:
    from vtkmodules.vtkFiltersCore import vtkTubeFilter
    from vtkmodules.vtkFiltersSources import vtkLineSource

    line = vtkLineSource()
    line.SetPoint1(*ends_mm[0])
    line.SetPoint2(*ends_mm[1])
    tube = vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(radius_mm)
    tube.SetNumberOfSides(24)
    tube.CappingOn()
    tube.Update()
    actor = _actor(tube.GetOutput(), scalar_colours=False)
    actor.GetProperty().SetColor(*(colour / 255.0))
    return actor


def _aim(renderer: Any, scene: dict[str, np.ndarray]) -> None:
    camera = renderer.GetActiveCamera()
    position, focus, up = scene["camera_mm"]
    camera.ParallelProjectionOn()
    camera.SetPosition(*position)
    camera.SetFocalPoint(*focus)
    camera.SetViewUp(*up)
    camera.SetParallelScale(float(scene["height_mm"]) / 2)
    renderer.ResetCameraClippingRange()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
