"""Mesh files: every format, the coordinate system, units, open surfaces, damaged files."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest

from planner.errors import InputError, MaskError
from planner.geometry import Volume
from planner.geometry.mesh_cover import TriangleMesh
from planner.io import load_structures, mesh_parsing
from planner.io.mesh_file import read_mesh_file
from planner.io.stored_file import MaskOptions
from planner.model import StructureRole
from tests.mesh_files import binary_stl, write_mesh
from tests.meshes import box, cylinder, joined, moved, oblique_grid, sphere

AVOID, TARGET, BODY = StructureRole.AVOID, StructureRole.TARGET, StructureRole.BODY
GRID = oblique_grid()
IMAGE = Volume(grid=GRID, values=np.zeros(GRID.shape_kji, np.int16))
CENTRE = GRID.centre_lps_mm
BALL = sphere(CENTRE, 6.0, n=10)
TUBE = cylinder(CENTRE - [0, 0, 9.0], CENTRE + [0, 0, 9.0], 6.0, capped=False)
KINDS = ("rod.stl", "rod.ascii.stl", "rod.obj", "rod.ply", "rod.vtp", "rod.vtk")


def read(path, image=IMAGE, **options):
    return read_mesh_file(path, image, MaskOptions(**options))


def mask_of(stored, role=AVOID):
    return stored.on_grid(stored.labels[0], GRID, role).mask


def in_ras(mesh):
    return TriangleMesh(mesh.points_lps_mm * [-1.0, -1.0, 1.0], mesh.triangles)


@pytest.mark.parametrize("name", KINDS)
class TestFormats:
    def test_the_same_surface_from_every_format(self, tmp_path, name):
        path = write_mesh(tmp_path / name, BALL)
        stored = read(path, mesh_frame="lps")
        assert stored.n_open_edges == 0 and stored.warnings == ()
        assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert stored.kind == "surface mesh" and stored.grid is GRID
        assert mask_of(stored).contains(BALL.points_lps_mm).all()
        assert mask_of(stored, TARGET).volume_mm3 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.2)

    @pytest.mark.parametrize(("space", "mesh"), [("LPS", BALL), ("RAS", in_ras(BALL))])
    def test_the_coordinate_system_that_slicer_states(self, tmp_path, name, space, mesh):
        stored = read(write_mesh(tmp_path / name, mesh, space=space))
        assert mask_of(stored).contains(CENTRE)


class TestCoordinateSystem:
    def test_it_is_never_guessed(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", BALL)
        with pytest.raises(
            MaskError, match="does not say in which coordinate system.*--mesh-frame"
        ):
            read(path)

    def test_the_user_says_it(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", in_ras(BALL))
        assert mask_of(read(path, mesh_frame="ras")).contains(CENTRE)
        assert not mask_of(read(path, mesh_frame="lps")).contains(CENTRE)

    def test_a_contradiction_is_refused(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", BALL, space="LPS")
        assert mask_of(read(path, mesh_frame="lps")).contains(CENTRE)
        with pytest.raises(
            MaskError, match="another coordinate system than --mesh-frame.*SPACE=LPS"
        ):
            read(path, mesh_frame="ras")

    def test_another_system_is_refused(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", BALL, space="LAS")
        with pytest.raises(MaskError, match="not read; seen: SPACE=LAS"):
            read(path, mesh_frame="lps")

    def test_two_statements_are_refused(self, tmp_path):
        path = write_mesh(tmp_path / "rod.vtp", BALL, space="RAS")
        text = path.read_bytes().replace(b"<VTKFile", b"<!-- SPACE=LPS --><VTKFile", 1)
        path.write_bytes(text)
        with pytest.raises(MaskError, match="two coordinate systems; seen: LPS and RAS"):
            read(path)

    def test_another_word_that_ends_alike_is_no_statement(self, tmp_path):
        path = write_mesh(tmp_path / "rod.obj", BALL)
        path.write_text("# COLORSPACE=RGB\n" + path.read_text())
        with pytest.raises(MaskError, match="does not say"):
            read(path)


class TestUnits:
    @pytest.mark.parametrize("factor", [0.001, 1000.0, 1e29])
    def test_metres_and_micrometres_are_refused(self, tmp_path, factor):
        mesh = TriangleMesh(BALL.points_lps_mm * factor, BALL.triangles)
        with pytest.raises(
            MaskError, match="cannot be in millimetres; seen: .*needed: 0.5 to 5000"
        ):
            read(write_mesh(tmp_path / "rod.stl", mesh), mesh_frame="lps")

    def test_a_small_mesh_is_asked_about(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", sphere(CENTRE, 1.2))
        assert "only 2.4 mm across" in read(path, mesh_frame="lps").warnings[0]

    @pytest.mark.parametrize("far", [1e6, 1e30])
    def test_points_of_no_triangle_do_not_count(self, tmp_path, far):
        points = np.concatenate([BALL.points_lps_mm, [[far, 0, 0]]])
        path = write_mesh(tmp_path / "rod.ply", TriangleMesh(points, BALL.triangles))
        assert mask_of(read(path, mesh_frame="lps")).contains(CENTRE)


class TestSurfaces:
    def test_an_open_one_is_told_and_no_target(self, tmp_path):
        stored = read(write_mesh(tmp_path / "tube.stl", TUBE), mesh_frame="lps")
        assert "not closed (40 open edges)" in stored.warnings[0]
        assert mask_of(stored).contains(CENTRE + [5.9, 0.0, 0.0])
        for role in (TARGET, BODY, StructureRole.ALLOWED):
            with pytest.raises(MaskError, match=f"no inside to be a {role}; seen: 40 open edges"):
                stored.on_grid(stored.labels[0], GRID, role)

    def test_several_parts(self, tmp_path):
        two = joined(sphere(CENTRE - [7, 0, 0], 3.0), sphere(CENTRE + [7, 0, 0], 3.0))
        mask = mask_of(read(write_mesh(tmp_path / "screws.stl", two), mesh_frame="lps"))
        assert mask.contains(CENTRE - [7, 0, 0]) and mask.contains(CENTRE + [7, 0, 0])

    def test_partly_outside_is_told(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", sphere(GRID.to_lps([0, 17, 13]), 8.0))
        assert "of the surface is outside the image" in read(path, mesh_frame="lps").warnings[0]

    def test_lines_are_no_surface(self, tmp_path):
        text = "v 0 0 0\nv 9 0 0\nv 0 9 0\nl 1 2\nl 2 3\n"
        (tmp_path / "path.obj").write_text(text)
        with pytest.raises(MaskError, match="has no triangle; seen: 2 lines and points"):
            read(tmp_path / "path.obj", mesh_frame="lps")

    def test_polygons_are_cut_into_triangles(self, tmp_path):
        mesh = box(CENTRE - 5.0, CENTRE + 5.0)
        faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
        lines = [f"v {x} {y} {z}" for x, y, z in mesh.points_lps_mm.tolist()]
        lines += ["f " + " ".join(str(n + 1) for n in face) for face in faces]
        (tmp_path / "box.obj").write_text("\n".join(lines) + "\n")
        stored = read(tmp_path / "box.obj", mesh_frame="lps")
        assert stored.n_open_edges == 0 and len(stored.mesh.triangles) == 12
        assert mask_of(stored).contains(CENTRE)


class TestAsStructures:
    def test_named_by_the_file_with_its_role(self, tmp_path):
        path = write_mesh(tmp_path / "left rod.stl", BALL)
        structures = load_structures(path, IMAGE, roles={"left rod": "implant:5"}, mesh_frame="lps")
        rod = structures["left rod"]
        assert (rod.role, rod.margin_mm) == (StructureRole.IMPLANT, 5.0)
        assert rod.source.grown_mm == pytest.approx(np.linalg.norm(GRID.spacing_kji_mm))

    def test_a_folder_of_meshes(self, tmp_path):
        for n, name in enumerate(("a.stl", "b.vtp")):
            write_mesh(tmp_path / name, moved(BALL, [n, 0, 0]), space="LPS")
        assert set(load_structures(tmp_path, IMAGE)) == {"a", "b"}

    def test_far_from_the_image_is_refused(self, tmp_path):
        path = write_mesh(tmp_path / "rod.stl", moved(BALL, [900, 0, 0]))
        with pytest.raises(MaskError, match="no voxel of the mask lies in the image"):
            load_structures(path, IMAGE, mesh_frame="lps")


def stl_with_count(n):
    content = binary_stl(BALL)
    return content[:80] + struct.pack("<I", n) + content[84:]


class TestDamaged:
    @pytest.mark.parametrize("n", [0, 3, 4_000_000_000])
    def test_an_stl_header_that_lies_about_its_triangles(self, tmp_path, n):
        (tmp_path / "rod.stl").write_bytes(stl_with_count(n))
        with pytest.raises(MaskError, match=f"does not hold the triangles.*needed: {n} triangles"):
            read(tmp_path / "rod.stl", mesh_frame="lps")

    @pytest.mark.parametrize("content", [b"", b"solid\0x", b"so", b"\x89PNG" * 40])
    def test_bytes_that_are_no_stl(self, tmp_path, content):
        (tmp_path / "rod.stl").write_bytes(content)
        with pytest.raises(MaskError):
            read(tmp_path / "rod.stl", mesh_frame="lps")

    def test_a_number_that_is_none(self, tmp_path):
        points = BALL.points_lps_mm.copy()
        points[7, 1] = np.nan
        hostile = object.__new__(TriangleMesh)
        object.__setattr__(hostile, "points_lps_mm", points)
        object.__setattr__(hostile, "triangles", BALL.triangles)
        with pytest.raises(MaskError, match="not a finite number.*rod.stl"):
            read(write_mesh(tmp_path / "rod.stl", hostile), mesh_frame="lps")

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 4000000000\nproperty float x\n"
                      b"property float y\nproperty float z\nelement face 9\n"
                      b"property list uchar int vertex_indices\nend_header\n0 0 0\n"),
            ("a.ply", b"ply\n"),
            ("a.vtk", b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n"
                      b"POINTS 999999999999 float\n0 0 0\n"),
            ("a.vtk", b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n"
                      b"0 0 0 1 0 0 0 1 0\nPOLYGONS 1 4\n3 0 1 77\n"),
            ("a.vtk", b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET STRUCTURED_POINTS\n"),
            ("a.vtp", b"<VTKFile type='PolyData'><PolyData><Piece NumberOfPoints='99999999999' "
                      b"NumberOfPolys='9'></Piece></PolyData></VTKFile>"),
            ("a.vtp", b"no xml"),
            ("a.obj", b"f 1 2 3\n"),
            ("a.stl", b"solid x\nfacet normal 0 0 1\nouter loop\nvertex 1 2\n"),
        ],
    )  # fmt: skip
    def test_hostile_files_end_in_a_message(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read(tmp_path / name, mesh_frame="lps")

    @pytest.mark.parametrize(
        ("limit", "value", "message"),
        [("MAX_FILE_BYTES", 10, "too large"), ("MAX_TRIANGLES", 10, "too many triangles")],
    )
    def test_limits(self, tmp_path, monkeypatch, limit, value, message):
        path = write_mesh(tmp_path / "rod.stl", BALL)
        monkeypatch.setattr(mesh_parsing, limit, value)
        with pytest.raises(MaskError, match=message):
            read(path, mesh_frame="lps")

    def test_a_reader_that_does_not_end_is_stopped(self, tmp_path, monkeypatch):
        path = write_mesh(tmp_path / "rod.obj", BALL)
        monkeypatch.setattr(mesh_parsing, "READING_SECONDS", 0.01)
        with pytest.raises(MaskError, match="not done after 0.01 s"):
            read(path, mesh_frame="lps")
