"""Warm search: certified clearance of one structure for all paths, against other methods.

All methods get the same 200,000 paths and the same structure. The rivals answer
less: map_coordinates samples a field every 0.5 mm (no bound between samples,
clearance to voxel centres), the trees only say whether a line of no width hits
the surface.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from benchmarks.scene import BenchScene, make_scene
from benchmarks.table import Row, print_table, seconds
from planner.geometry.distance import distance_field, distance_to_mask_mm
from planner.geometry.threads import use_threads
from planner.geometry.trace import SHARE_MM, TraceTarget
from planner.search.batch import coherent_order
from planner.skin import skin_entries

N_PATHS = 200_000
STRUCTURE = "vessel"
RADIUS_MM = 0.635
REQUIRED_MM = 5.0 + RADIUS_MM
CLEAR_MM = 10.0 + RADIUS_MM


def paths(scene: BenchScene, n: int) -> np.ndarray:
    """Entries on the skin, LPS mm, (n, 3), in the search's order; repeated if need be."""
    entries = skin_entries(scene.obstacle("trunk")).entry_lps_mm
    entries = entries[coherent_order(scene.volume.grid.to_axes_mm(entries))]
    index = np.linspace(0, len(entries), n, endpoint=False).astype(int)
    return entries[index]


def run() -> list[Row]:
    scene = make_scene()
    mask = scene.obstacle(STRUCTURE)
    grid = mask.grid
    entries = paths(scene, N_PATHS)
    target = TraceTarget(mask, distance_field(mask, CLEAR_MM + SHARE_MM))
    entry_mm = np.ascontiguousarray(grid.to_axes_mm(entries))
    tip_mm = np.broadcast_to(grid.to_axes_mm(scene.target_lps_mm), entry_mm.shape).copy()

    def ours(n: int) -> None:
        target.trace(tip_mm, entry_mm, REQUIRED_MM, CLEAR_MM, np.arange(n))

    with use_threads(2):
        warm = seconds(lambda: ours(N_PATHS))
    rate = N_PATHS / warm
    rows = [
        Row(
            "search",
            "ours: certified clearance, 2 threads",
            _rate(rate),
            "",
            ">= 3 M/s",
            rate >= 3e6,
        )
    ]
    rivals = [
        ("scipy map_coordinates, 0.5 mm steps", _map_coordinates(scene, entries[:4000]), 60.0),
        ("vtkOBBTree, hit or not", _obb_tree(scene, entries[:20_000]), None),
        ("Embree (trimesh + embreex), hit or not", _embree(scene, entries), 1.0),
    ]
    for name, other, goal in rivals:
        ratio = rate / other
        rows.append(
            Row(
                "search",
                name,
                _rate(other),
                f"{ratio:.1f} x",
                "" if goal is None else f">= {goal:g} x",
                None if goal is None else ratio >= goal,
            )
        )
    return rows


def _rate(per_second: float) -> str:
    return f"{per_second / 1e6:.2f} M/s" if per_second >= 1e5 else f"{per_second / 1e3:.1f} k/s"


def _map_coordinates(scene: BenchScene, entries: np.ndarray) -> float:
    mask = scene.obstacle(STRUCTURE)
    grid = mask.grid
    field = distance_to_mask_mm(mask.inside, grid.spacing_kji_mm, 20.0)
    longest = np.linalg.norm(entries - scene.target_lps_mm, axis=1).max()
    t = np.linspace(0, 1, int(longest / 0.5))[:, None, None]

    def job() -> None:
        points = scene.target_lps_mm + t * (entries - scene.target_lps_mm)
        ndimage.map_coordinates(field, grid.to_kji(points).transpose(2, 0, 1), order=1).min(0)

    return len(entries) / seconds(job, 1)


def _surface(scene: BenchScene):
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    mask = scene.obstacle(STRUCTURE)
    nk, nj, ni = mask.grid.shape_kji
    sk, sj, si = mask.grid.spacing_kji_mm
    image = vtk.vtkImageData()
    image.SetDimensions(ni, nj, nk)
    image.SetSpacing(si, sj, sk)
    image.SetOrigin(*mask.grid.origin_lps_mm)
    scalars = numpy_to_vtk(mask.inside.ravel().astype(np.uint8), deep=True)
    image.GetPointData().SetScalars(scalars)
    surface = vtk.vtkFlyingEdges3D()
    surface.SetInputData(image)
    surface.SetValue(0, 0.5)
    surface.Update()
    return surface.GetOutput()


def _obb_tree(scene: BenchScene, entries: np.ndarray) -> float:
    import vtk

    tree = vtk.vtkOBBTree()
    tree.SetDataSet(_surface(scene))
    tree.BuildLocator()
    target = tuple(scene.target_lps_mm)
    ends = [tuple(e) for e in entries]

    def job() -> None:
        for end in ends:
            tree.IntersectWithLine(target, end, None, None)

    return len(entries) / seconds(job, 1)


def _embree(scene: BenchScene, entries: np.ndarray) -> float:
    import trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector
    from vtk.util.numpy_support import vtk_to_numpy

    surface = _surface(scene)
    mesh = trimesh.Trimesh(
        vtk_to_numpy(surface.GetPoints().GetData()),
        vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3),
        process=False,
    )
    rays = RayMeshIntersector(mesh)
    origins = np.broadcast_to(scene.target_lps_mm, entries.shape).copy()
    directions = entries - scene.target_lps_mm
    return len(entries) / seconds(lambda: rays.intersects_any(origins, directions), 3)


if __name__ == "__main__":
    print_table(run())
