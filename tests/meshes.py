"""Closed surfaces with a known inside, and grids to lay them on."""

from __future__ import annotations

import numpy as np

from planner.geometry import FrameId, Grid
from planner.geometry.mesh_cover import TriangleMesh
from tests.grids import ORIENTED_AXES


def oblique_grid(shape=(19, 34, 27), spacing=(2.2, 0.9, 1.1), centre=(12.0, -7.0, 30.0)) -> Grid:
    """Not axis-aligned, not cubic, not square; ``centre`` is the middle of the volume."""
    axes = ORIENTED_AXES["oblique_flipped"]
    middle = axes @ ((np.array(shape) - 1) / 2 * spacing)
    return Grid.from_axes(shape, spacing, np.array(centre) - middle, axes, FrameId("1.2", "test"))


def _patch(f, n_u, n_v, *, wrap_u=True, wrap_v=True):
    """Triangles of a parametric surface f(u, v), u and v in 0..1; wrapped edges are joined."""
    u = np.arange(n_u + (not wrap_u)) / n_u
    v = np.arange(n_v + (not wrap_v)) / n_v
    points = f(*np.meshgrid(u, v, indexing="ij")).reshape(-1, 3)
    rows, columns = len(u), len(v)
    faces = []
    for a in range(n_u):
        for b in range(n_v):
            p, q = (a % rows) * columns, ((a + 1) % rows) * columns
            c, d = b % columns, (b + 1) % columns
            faces += [(p + c, q + c, q + d), (p + c, q + d, p + d)]
    return TriangleMesh(points, np.array(faces))


def sphere(centre, radius, n=24) -> TriangleMesh:
    """Inscribed: every point of the mesh is at most ``radius`` from the centre."""

    def at(u, v):
        a, b = 2 * np.pi * u, np.pi * v
        ring = radius * np.sin(b)
        return np.stack([ring * np.cos(a), ring * np.sin(a), radius * np.cos(b)], -1) + centre

    return _patch(at, n, n, wrap_v=False)


def torus(centre, ring, tube, n=28) -> TriangleMesh:
    def at(u, v):
        a, b = 2 * np.pi * u, 2 * np.pi * v
        out = ring + tube * np.cos(b)
        return np.stack([out * np.cos(a), tube * np.sin(b), out * np.sin(a)], -1) + centre

    return _patch(at, n, n)


def cylinder(start, end, radius, n=20, *, capped=True) -> TriangleMesh:
    start, end = np.array(start, float), np.array(end, float)
    along = (end - start) / np.linalg.norm(end - start)
    one = np.cross(along, [0.3, -0.5, 0.81])
    one /= np.linalg.norm(one)
    other = np.cross(along, one)
    angles = 2 * np.pi * np.arange(n) / n
    ring = radius * (np.cos(angles)[:, None] * one + np.sin(angles)[:, None] * other)
    points = np.concatenate([start + ring, end + ring, [start], [end]])
    m = np.arange(n)
    following = (m + 1) % n
    faces = [
        np.stack([m, following, n + following], 1),
        np.stack([m, n + following, n + m], 1),
    ]
    if capped:
        faces.append(np.stack([np.full(n, 2 * n), following, m], 1))
        faces.append(np.stack([np.full(n, 2 * n + 1), n + m, n + following], 1))
    return TriangleMesh(points, np.concatenate(faces))


def box(low, high) -> TriangleMesh:
    low, high = np.array(low, float), np.array(high, float)
    pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    faces = np.array(
        [
            [0, 1, 3],
            [0, 3, 2],
            [4, 6, 7],
            [4, 7, 5],
            [0, 4, 5],
            [0, 5, 1],
            [2, 3, 7],
            [2, 7, 6],
            [0, 2, 6],
            [0, 6, 4],
            [1, 5, 7],
            [1, 7, 3],
        ]
    )
    return TriangleMesh(np.where(pick == 0, low, high), faces)


def joined(*meshes: TriangleMesh) -> TriangleMesh:
    offsets = np.cumsum([0, *(len(m.points_lps_mm) for m in meshes[:-1])])
    return TriangleMesh(
        np.concatenate([m.points_lps_mm for m in meshes]),
        np.concatenate([m.triangles + o for m, o in zip(meshes, offsets, strict=True)]),
    )


def moved(mesh: TriangleMesh, shift) -> TriangleMesh:
    return TriangleMesh(mesh.points_lps_mm + shift, mesh.triangles)


def is_inside(mesh: TriangleMesh, points_lps_mm: np.ndarray) -> np.ndarray:
    """By the solid angle of the surface (van Oosterom and Strackee 1983): no rays, no voxels."""
    corners = mesh.points_lps_mm[mesh.triangles]
    total = np.zeros(len(points_lps_mm))
    for n, point in enumerate(points_lps_mm):
        a, b, c = (corners - point).transpose(1, 0, 2)
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        below = (
            la * lb * lc
            + np.einsum("ij,ij->i", a, b) * lc
            + np.einsum("ij,ij->i", b, c) * la
            + np.einsum("ij,ij->i", c, a) * lb
        )
        total[n] = 2 * np.arctan2(volume, below).sum()
    return np.abs(total) > 2 * np.pi
