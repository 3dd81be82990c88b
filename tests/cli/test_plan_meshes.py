"""A mesh and contours on the command line: on which side, and does the plan keep off?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import ORIGIN_LPS_MM, SPACING_KJI_MM, TARGET_LPS_MM, Cli, Ran, Scene
from tests.mesh_files import write_mesh
from tests.meshes import TriangleMesh, cylinder
from tests.rtstruct_writer import Roi, write_rtstruct

ROD = cylinder([-25.0, 30.0, -60.0], [-25.0, 30.0, 60.0], 3.0)
"""On the patient's right, behind the target: LPS."""


def in_ras(mesh: TriangleMesh) -> TriangleMesh:
    return TriangleMesh(mesh.points_lps_mm * [-1.0, -1.0, 1.0], mesh.triangles)


def planned(cli: Cli, scene: Scene, *more: object) -> Ran:
    return cli(*scene.plan("--role", "rod=implant:5", "--no-figures", "--json", "--top", 3, *more))


def test_a_rod_written_in_either_system_is_the_same_obstacle(
    cli: Cli, scene: Scene, tmp_path: Path
) -> None:
    rods = []
    for folder, mesh, space, frame in (
        ("a", ROD, None, "lps"),
        ("b", in_ras(ROD), None, "ras"),
        ("c", in_ras(ROD), "RAS", None),
    ):
        (tmp_path / folder).mkdir()
        path = write_mesh(tmp_path / folder / "rod.stl", mesh, space=space)
        ran = planned(cli, scene, "--structures", path, *(["--mesh-frame", frame] if frame else []))
        assert ran.code == 0, ran.stderr
        plan = json.loads(ran.stdout)
        assert plan["options"]["settings"]["mesh_frame"] == frame
        rods.append((next(s for s in plan["structures"] if s["name"] == "rod"), plan))
    masks = {record["sha256"] for record, _ in rods}
    assert len(masks) == 1
    record, plan = rods[0]
    assert (record["role"], record["margin_mm"], record["hard"]) == ("implant", 5.0, True)
    for path in plan["trajectories"]:
        ends = np.array([path["entry_lps_mm"], path["tip_lps_mm"]])
        along = ends[0] + np.linspace(0, 1, 400)[:, None] * (ends[1] - ends[0])
        off = np.hypot(along[:, 0] + 25.0, along[:, 1] - 30.0).min() - 3.0
        assert path["clearance_mm"]["rod"] >= 5.0
        assert path["clearance_mm"]["rod"] <= off


def test_a_mesh_of_no_stated_system_is_refused(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "rod.stl", ROD)
    ran = planned(cli, scene, "--structures", path)
    assert ran.code == 3
    assert len(ran.errors) == 1 and "--mesh-frame lps or --mesh-frame ras" in ran.errors[0]
    wrong = planned(cli, scene, "--structures", path, "--mesh-frame", "ijk")
    assert wrong.code == 2


@pytest.mark.parametrize("target", ["structure:spot", None])
def test_plans_from_contours_and_meshes_verify(
    cli: Cli, scene: Scene, tmp_path: Path, target: str | None
) -> None:
    """The spot is a target by the user's role, or by being aimed at: two ways onto the grid."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    levels = ORIGIN_LPS_MM[2] + SPACING_KJI_MM[0] * np.arange(18, 23)
    lesion = [
        np.column_stack([5 + 8 * np.cos(angle), 10 + 8 * np.sin(angle), np.full(40, z)])
        for z in levels
    ]
    contours = write_rtstruct(
        tmp_path / "rt.dcm", [Roi("spot", lesion, frame_uid=None)], frame_uid=None
    )
    rod = write_mesh(tmp_path / "rod.stl", ROD)
    files = [scene.masks[name] for name in ("body", "nerve", "vessel", "bone")]
    given: list[object] = [
        word for path in (*files, contours, rod) for word in ("--structures", path)
    ]
    roles = ["body=body", "nerve=avoid", "vessel=avoid", "bone=bone", "rod=implant"]
    point = ",".join(str(x) for x in TARGET_LPS_MM)
    if target is None:
        roles.append("spot=target")
    frame = ["--mesh-frame", "lps"]
    ran = cli(
        "plan", scene.image, "--procedure", "soft_tissue_biopsy", "--target", target or point,
        *given, *frame, *(word for role in roles for word in ("--role", role)),
        "--no-figures", "--out", "out", "--top", 2,
    )  # fmt: skip
    assert ran.code == 0, ran.stderr
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    record = next(s for s in plan["structures"] if s["name"] == "spot")
    assert record["role"] == "target"
    assert record["method"] == ("nearest" if target is None else "conservative cover")
    verified = cli("verify", "out/plan.json", "--image", scene.image, *given, *frame)
    assert verified.code == 0, verified.stdout
