"""What 3D Slicer's own code reads from an export, compared in RAS."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
import pytest

from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.exports.slicer import write_skin, write_slicer
from planner.io.plan_file import save_plan
from planner.model import PlanResult
from tests.dicom_plan import dicom_plan
from tests.plan_factory import make_result
from tests.slicer_python import slicer_python

RAS_FROM_LPS = np.array([-1.0, -1.0, 1.0])
TOL_MM = 0.001
"""VTK and Slicer keep points as 32-bit floats in places."""

SCRIPT = r"""
import json, sys
import numpy as np
import slicer, vtk
from vtk.util.numpy_support import vtk_to_numpy
from pathlib import Path
folder = Path(sys.argv[1])
scene = slicer.vtkMRMLScene()
scene.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())
found = {"lines": [], "models": {}, "segments": {}}
store = scene.AddNewNodeByClass("vtkMRMLMarkupsJsonStorageNode")
n_lines = len(json.loads((folder / "needle_paths.mrk.json").read_text())["markups"])
for index in range(n_lines):
    node = store.AddNewMarkupsNodeFromFile(str(folder / "needle_paths.mrk.json"), "", index)
    ends = [[0, 0, 0], [0, 0, 0]]
    for end in (0, 1):
        node.GetNthControlPointPosition(end, ends[end])
    found["lines"].append({
        "class": node.GetClassName(), "name": node.GetName(), "ends_ras": ends,
        "labels": [node.GetNthControlPointLabel(k) for k in (0, 1)],
        "locked": bool(node.GetLocked()),
        "description": node.GetNthControlPointDescription(1),
    })
for name in ("needles", "skin_risk"):
    file = folder / (name + ".vtp")
    if not file.exists():
        continue
    node = scene.AddNewNodeByClass("vtkMRMLModelNode")
    store = scene.AddNewNodeByClass("vtkMRMLModelStorageNode")
    store.SetFileName(str(file))
    assert store.ReadData(node)
    data = node.GetPolyData()
    arrays = data.GetPointData()
    names = [arrays.GetArrayName(k) for k in range(arrays.GetNumberOfArrays())]
    found["models"][name] = {
        "points_ras": vtk_to_numpy(data.GetPoints().GetData()).astype(float).tolist(),
        "n_cells": data.GetNumberOfPolys() + data.GetNumberOfStrips(),
        "arrays": {n: vtk_to_numpy(arrays.GetArray(n)).astype(float).tolist() for n in names
                   if n not in ("Normals", "TubeNormals")},
        "active": arrays.GetScalars().GetName() if arrays.GetScalars() else None,
    }
file = folder / "structures.seg.nrrd"
if file.exists():
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    store = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    store.SetFileName(str(file))
    assert store.ReadData(node)
    segmentation = node.GetSegmentation()
    for k in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(k)
        segment = segmentation.GetNthSegment(k)
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segment_id, image)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        inside = vtk_to_numpy(image.GetPointData().GetScalars()) > 0
        extent = image.GetExtent()
        dims = [extent[2 * a + 1] - extent[2 * a] + 1 for a in range(3)]
        kji = np.argwhere(inside.reshape(dims[::-1]))
        ijk = kji[:, ::-1] + [extent[0], extent[2], extent[4]]
        affine = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        centres = ijk @ affine[:3, :3].T + affine[:3, 3]
        found["segments"][segment.GetName()] = {
            "n": int(inside.sum()), "mean_ras": centres.mean(axis=0).tolist(),
            "low_ras": centres.min(axis=0).tolist(), "high_ras": centres.max(axis=0).tolist(),
        }
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["phantom", "prone series"])
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PlanResult:
    """A made-up plan with a throw; one of the real search on an oblique prone DICOM series."""
    if request.param == "phantom":
        return make_result("oblique", throw_mm=10.0)
    return dicom_plan(tmp_path_factory.mktemp("series"), "oblique").result


@pytest.fixture(scope="module")
def exported(
    result: PlanResult, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PlanToExport, dict[str, Any]]:
    python = slicer_python()
    folder = tmp_path_factory.mktemp("slicer")
    plan = plan_to_export(save_plan(result, folder / "plan.json"))
    write_skin(result, folder / "beside.vtp", plan_sha256=plan.sha256)
    out = folder / "out"
    out.mkdir()
    write_slicer(plan, out, structures=result.structures, skin_file=folder / "beside.vtp")
    done = subprocess.run(
        [python, "-c", SCRIPT, str(out)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return plan, json.loads((out / "found.json").read_text())


def test_lines(exported: tuple[PlanToExport, dict[str, Any]]) -> None:
    plan, found = exported
    assert len(found["lines"]) == len(plan.paths)
    for path, line in zip(plan.paths, found["lines"], strict=True):
        assert line["class"] == "vtkMRMLMarkupsLineNode"
        assert line["name"] == plan.name_of(path)
        assert line["labels"] == ["entry", "tip"]
        assert line["locked"]
        assert line["description"] == plan.description_of(path)
        ends_lps_mm = np.array([path.entry_lps_mm, path.tip_lps_mm])
        np.testing.assert_allclose(line["ends_ras"], ends_lps_mm * RAS_FROM_LPS, atol=1e-9)


def test_needles(exported: tuple[PlanToExport, dict[str, Any]]) -> None:
    plan, found = exported
    model = found["models"]["needles"]
    points_lps_mm = np.array(model["points_ras"]) * RAS_FROM_LPS
    rank, is_throw = np.array(model["arrays"]["rank"]), np.array(model["arrays"]["is_throw"])
    assert model["active"] == "colour"
    assert model["n_cells"] > 0
    radius_mm = plan.document.needle.outer_diameter_mm / 2
    for path in plan.paths:
        entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
        along = (tip - entry) / path.length_mm
        for part, low_mm, high_mm in ((0, 0, path.length_mm), (1, path.length_mm, None)):
            mine = points_lps_mm[(rank == path.rank) & (is_throw == part)] - entry
            if part == 1 and plan.document.needle.throw_mm == 0:
                assert not len(mine)
                continue
            depth_mm = mine @ along
            aside_mm = np.linalg.norm(mine - depth_mm[:, None] * along, axis=1)
            assert depth_mm.min() == pytest.approx(low_mm, abs=TOL_MM)
            end_mm = path.length_mm + 10.0 if high_mm is None else high_mm
            assert depth_mm.max() == pytest.approx(end_mm, abs=TOL_MM)
            assert aside_mm.max() == pytest.approx(radius_mm, abs=TOL_MM)


def test_skin(exported: tuple[PlanToExport, dict[str, Any]], result: PlanResult) -> None:
    _, found = exported
    model = found["models"]["skin_risk"]
    points_lps_mm = np.array(model["points_ras"]) * RAS_FROM_LPS
    feasible = np.array(model["arrays"]["feasible"]) > 0
    clearance_mm = np.array(model["arrays"]["clearance_mm"])
    assert model["active"] == "colour"
    assert feasible.any() and not feasible.all()
    assert np.isfinite(clearance_mm[feasible]).all()
    assert np.isnan(clearance_mm[~feasible]).all()
    # The entry of the best path lies on a part of the skin that is shown as feasible.
    entry = result.trajectories[0].entry_lps_mm
    nearest = np.argmin(np.linalg.norm(points_lps_mm - entry, axis=1))
    assert np.linalg.norm(points_lps_mm[nearest] - entry) < 5.0
    assert feasible[nearest]


def test_structures(exported: tuple[PlanToExport, dict[str, Any]], result: PlanResult) -> None:
    _, found = exported
    assert set(found["segments"]) == {s.name for s in result.structures.structures}
    for structure in result.structures.structures:
        segment = found["segments"][structure.name]
        mask = structure.mask
        centres = mask.grid.to_lps(np.argwhere(mask.inside)) * RAS_FROM_LPS
        assert segment["n"] == mask.n_voxels
        np.testing.assert_allclose(segment["mean_ras"], centres.mean(axis=0), atol=0.01)
        np.testing.assert_allclose(segment["low_ras"], centres.min(axis=0), atol=0.01)
        np.testing.assert_allclose(segment["high_ras"], centres.max(axis=0), atol=0.01)
