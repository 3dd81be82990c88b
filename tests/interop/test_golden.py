"""From DICOM files to a foreign reader, by the command line alone: the same two points.

An oblique, anisotropic series of a patient head first prone. The target that is typed in is the
tip that dcmtk, 3D Slicer and an OpenIGTLink receiver read.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.cli.conftest import run_cli
from tests.dicom_plan import on_dicom, turned
from tests.igtl_reference import running, wait_for, wait_for_port
from tests.interop.conftest import free_port
from tests.mask_files import write_mask
from tests.slicer_python import slicer_python
from tests.trunk import TARGET_LPS_MM, trunk

TOL_MM = 0.01
RAS_FROM_LPS = np.array([-1.0, -1.0, 1.0])
ROLES = ("trunk=body", "nerve=avoid:3", "aorta=avoid:5", "spine=bone")

LINE_SCRIPT = """
import json, sys
import slicer
scene = slicer.vtkMRMLScene()
scene.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())
store = scene.AddNewNodeByClass("vtkMRMLMarkupsJsonStorageNode")
node = store.AddNewMarkupsNodeFromFile(sys.argv[1], "", 0)
ends = [[0, 0, 0], [0, 0, 0]]
for end in (0, 1):
    node.GetNthControlPointPosition(end, ends[end])
print(json.dumps(ends))
"""


@dataclass(frozen=True)
class Golden:
    """A folder with a plan that the command line made on a DICOM series."""

    folder: Path
    series: Path
    ends_lps_mm: np.ndarray

    def export(self, *more: object) -> None:
        ran = run_cli(self.folder, "export", "out/plan.json", "--path", 1, *more)
        assert ran.code == 0, ran.stderr


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    folder = tmp_path_factory.mktemp("golden")
    _, structures = on_dicom(folder / "series", *turned(*trunk("oblique"), "HFP"))
    masks: list[object] = []
    for structure in structures.structures:
        file = folder / f"{structure.name}.nrrd"
        write_mask(file, structure.mask.inside.astype(np.uint8), structure.mask.grid)
        masks += ["--structures", file]
    roles = [word for role in ROLES for word in ("--role", role)]
    ran = run_cli(
        folder, "plan", "series", *masks, *roles, "--procedure", "soft_tissue_biopsy",
        "--target", ",".join(map(str, TARGET_LPS_MM)), "--needle", "18G-100", "--top", 1,
        "--out", "out",
    )  # fmt: skip
    assert ran.code == 0, ran.stderr
    (path,) = json.loads((folder / "out" / "plan.json").read_text())["trajectories"][:1]
    ends = np.array([path["entry_lps_mm"], path["tip_lps_mm"]])
    return Golden(folder, folder / "series", ends)


def test_the_series_is_oblique_and_prone_and_the_tip_is_the_target(golden: Golden) -> None:
    """By the headers alone."""
    header = pydicom.dcmread(next(golden.series.iterdir()))
    row, column = np.reshape([float(v) for v in header.ImageOrientationPatient], (2, 3))
    axes = np.stack([row, column, np.cross(row, column)])
    assert header.PatientPosition == "HFP"
    assert np.abs(axes).max(axis=1).max() < 0.999
    assert float(header.SpacingBetweenSlices) > 1.5 * float(header.PixelSpacing[0])
    np.testing.assert_allclose(golden.ends_lps_mm[1], TARGET_LPS_MM, atol=TOL_MM)


def test_structured_report_read_by_dcmtk(golden: Golden) -> None:
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("dsrdump (dcmtk) is not installed")
    golden.export("--to", "dicom-sr", "--image", "series", "--out", "sr.dcm")
    said = subprocess.run(
        [program, "+Pl", str(golden.folder / "sr.dcm")], capture_output=True, text=True, check=True
    ).stdout
    lines = re.findall(r"POLYLINE,,([^)]*)\)", said)  # the path, then its throw
    points = np.reshape([float(v) for v in re.split("[/,]", lines[0])], (-1, 3))
    np.testing.assert_allclose(points, golden.ends_lps_mm, rtol=0, atol=TOL_MM)


def test_markups_read_by_slicer(golden: Golden) -> None:
    python = slicer_python()
    golden.export("--to", "markups", "--out", "line.mrk.json")
    said = subprocess.run(
        [python, "-c", LINE_SCRIPT, str(golden.folder / "line.mrk.json")],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    ends_ras_mm = np.array(json.loads(said.strip().splitlines()[-1]))
    np.testing.assert_allclose(ends_ras_mm, golden.ends_lps_mm * RAS_FROM_LPS, rtol=0, atol=TOL_MM)


def test_messages_read_by_an_openigtlink_receiver(
    golden: Golden, compiled: Callable[[str], Path], tmp_path: Path
) -> None:
    port = free_port()
    with running([str(compiled("ReceiveServer")), str(port)], tmp_path / "log") as printed:
        wait_for_port(port)
        golden.export("--to", f"igtl://127.0.0.1:{port}")
        text = wait_for(printed, "Receiving : POLYDATA")
    found = [
        [float(v) for v in re.search(rf"{what} Pt\s*: \( (.*) \)", text)[1].split(",")]  # type: ignore
        for what in ("Entry", "Target")
    ]
    np.testing.assert_allclose(found, golden.ends_lps_mm * RAS_FROM_LPS, rtol=0, atol=TOL_MM)
