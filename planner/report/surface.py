"""The body mask as a smooth triangle surface. For pictures only; needs no OpenGL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from planner.geometry import Mask
from planner.geometry.frames import FloatArray

PICTURE_VOXEL_MM = 1.8
"""Voxels are averaged up to about this size before the surface is drawn."""

SMOOTHING_MM = 1.5
"""Standard deviation of the smoothing; the surface moves by less than a voxel."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surface:
    """Triangles in the patient; ``triangles`` indexes ``vertices_lps_mm``."""

    vertices_lps_mm: FloatArray
    triangles: NDArray[np.int64]


def mask_surface(mask: Mask) -> Surface:
    """The smoothed outer surface of a mask, closed where the volume cuts it.

    Two vertices and more per ``PICTURE_VOXEL_MM``; empty for an empty mask.
    """
    bounds = mask.bounds_kji()
    if bounds is None:
        return Surface(vertices_lps_mm=np.zeros((0, 3)), triangles=np.zeros((0, 3), np.int64))
    start, stop = bounds
    spacing = mask.grid.spacing_kji_mm
    block = np.maximum(1, np.floor(PICTURE_VOXEL_MM / spacing)).astype(np.int64)
    inside = mask.inside[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    share = _block_mean(inside, block)
    share = np.pad(share, 2)
    share = ndimage.gaussian_filter(share, SMOOTHING_MM / (spacing * block), mode="constant")
    vertices_kji, triangles = _contour(share)
    # Centre of coarse voxel c is fine index c * block + (block - 1) / 2; two were padded.
    fine_kji = (vertices_kji - 2) * block + (block - 1) / 2 + start
    return Surface(vertices_lps_mm=mask.grid.to_lps(fine_kji), triangles=triangles)


def _block_mean(inside: NDArray[np.bool_], block: NDArray[np.int64]) -> NDArray[np.float32]:
    """Share of each block that is inside; what lies past the end is not."""
    size = -(-np.array(inside.shape) // block)
    missing = size * block - np.array(inside.shape)
    padded = np.pad(inside, [(0, int(n)) for n in missing])
    k, j, i = (int(n) for n in size)
    split = padded.reshape(k, int(block[0]), j, int(block[1]), i, int(block[2]))
    return np.asarray(split.mean(axis=(1, 3, 5), dtype=np.float32))


def _contour(share: NDArray[np.float32]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Vertices (continuous kji) and triangles of the 0.5 level."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    image = vtkImageData()
    image.SetDimensions(*share.shape[::-1])  # VTK counts i, j, k with i fastest
    image.GetPointData().SetScalars(numpy_to_vtk(share.ravel(), deep=True))
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    edges.Update()
    found = edges.GetOutput()
    if found.GetNumberOfPoints() == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    vertices_ijk = vtk_to_numpy(found.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return vertices_ijk[:, ::-1].copy(), triangles.astype(np.int64)
