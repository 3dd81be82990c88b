"""Files for 3D Slicer, without Slicer: what belongs together, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

from planner.errors import OutputError
from planner.exports import slicer
from planner.exports.plan_to_export import plan_to_export
from planner.exports.slicer import plan_sha256_of, write_needles, write_skin, write_slicer
from planner.io import load_structures
from planner.io.mesh_parsing import read_mesh
from planner.io.plan_file import save_plan
from planner.model import PlanResult
from tests.plan_factory import make_result


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result("coronal")


@pytest.fixture
def plan_file(result: PlanResult, tmp_path: Path) -> Path:
    return save_plan(result, tmp_path / "plan.json")


def names(files: tuple[Path, ...]) -> list[str]:
    return [file.name for file in files]


def test_lines_and_needles_need_nothing_else(plan_file: Path, tmp_path: Path) -> None:
    written = write_slicer(plan_to_export(plan_file), tmp_path)
    assert names(written) == ["needle_paths.mrk.json", "needles.vtp"]


def test_no_transform_file(plan_file: Path, tmp_path: Path, result: PlanResult) -> None:
    written = write_slicer(plan_to_export(plan_file), tmp_path, structures=result.structures)
    assert not [name for name in names(written) if name.endswith((".tfm", ".h5", ".txt"))]


def test_models_say_that_they_are_lps(plan_file: Path, tmp_path: Path) -> None:
    plan = plan_to_export(plan_file, ranks=(1,))
    mesh = read_mesh(write_needles(plan, tmp_path / "n.vtp"))
    assert mesh.space == "LPS"


def test_the_skin_of_another_plan_is_left_out(
    plan_file: Path, tmp_path: Path, result: PlanResult
) -> None:
    plan = plan_to_export(plan_file)
    skin = write_skin(result, tmp_path / "skin_risk.vtp", plan_sha256=plan.sha256)
    out = tmp_path / "out"
    out.mkdir()
    assert "skin_risk.vtp" in names(write_slicer(plan, out, skin_file=skin))
    data = json.loads(plan_file.read_text())
    plan_file.write_text(json.dumps({**data, "created_utc": "2026-01-01T00:00:00Z"}))
    other = plan_to_export(plan_file)
    assert "skin_risk.vtp" not in names(write_slicer(other, out, skin_file=skin))


def texts_of(file: Path, name: str) -> list[str]:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(file))
    reader.Update()
    array = reader.GetOutput().GetFieldData().GetAbstractArray(name)
    return [array.GetValue(n) for n in range(array.GetNumberOfValues())]


def test_the_skin_of_what_is_not_verified_says_so(
    plan_file: Path, tmp_path: Path, result: PlanResult
) -> None:
    plan_file.write_text(json.dumps({**json.loads(plan_file.read_text()), "verdict": "unknown"}))
    plan = plan_to_export(plan_file, even_if_unknown=True)
    skin = write_skin(result, tmp_path / "skin_risk.vtp", plan_sha256=plan.sha256)
    assert skin is not None
    out = tmp_path / "out"
    out.mkdir()
    write_slicer(plan, out, skin_file=skin)
    (words,) = texts_of(out / "skin_risk.vtp", "DESCRIPTION")
    assert words.startswith("UNVERIFIED; Skin by what the search found")
    for name in ("REASONS", "SPACE", "PLAN_SHA256"):
        assert texts_of(out / "skin_risk.vtp", name) == texts_of(skin, name)
    assert np.array_equal(read_mesh(out / "skin_risk.vtp").points, read_mesh(skin).points)


@pytest.mark.parametrize("content", [b"", b"no XML", b"<VTKFile></VTKFile>"])
def test_a_damaged_skin_is_nobody_s(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "skin_risk.vtp"
    assert plan_sha256_of(file) is None
    file.write_bytes(content)
    assert plan_sha256_of(file) is None


def test_no_body_no_skin(result: PlanResult, tmp_path: Path) -> None:
    from dataclasses import replace

    path = tmp_path / "s.vtp"
    assert write_skin(replace(result, body=None), path, plan_sha256="0" * 64) is None
    assert not path.exists()


def test_the_segmentation_says_which_plan_it_belongs_to(
    plan_file: Path, tmp_path: Path, result: PlanResult
) -> None:
    plan = plan_to_export(plan_file)
    write_slicer(plan, tmp_path, structures=result.structures)
    values, header = nrrd.read(str(tmp_path / "structures.seg.nrrd"))
    assert header["PLAN_SHA256"] == plan.sha256
    for part in ("frame of reference 1.2.3.4.5", "series 1.2.826", "Research use only", "pass"):
        assert part in header["DESCRIPTION"]
    n_segments = len(result.structures.structures)
    assert f"Segment{n_segments - 1}_Name" in header
    assert f"Segment{n_segments}_Name" not in header
    # The trunk holds the others, so there are layers; every voxel of each mask is in one.
    assert values.ndim == 4
    total = sum(s.mask.n_voxels for s in result.structures.structures)
    assert np.count_nonzero(values) == total


def test_names_of_any_language_are_kept(
    plan_file: Path, tmp_path: Path, result: PlanResult
) -> None:
    """NRRD holds UTF-8, which Slicer reads; the library that writes the file knows ASCII only."""
    given = ["Gefäß", "日本", "a\nb := c", "back\\slash", "name-of-segment-1"]
    found = result.structures.structures
    renamed = tuple(replace(s, name=name) for s, name in zip(found, given, strict=False))
    structures = replace(result.structures, structures=(*renamed, *found[len(given) :]))
    path = tmp_path / "s.seg.nrrd"
    slicer.write_structures(plan_to_export(plan_file), structures, path)
    head = path.read_bytes().partition(b"\n\n")[0].decode("utf-8")
    told = [line.partition(":=")[2] for line in head.split("\n") if "_Name:=" in line]
    assert told[:5] == ["Gefäß", "日本", "a b := c", "back/slash", "name-of-segment-1"]
    read = load_structures([path], like=result.volume)
    assert {"Gefäß", "日本"} <= set(read)
    assert read["日本"].mask.n_voxels == found[1].mask.n_voxels


def test_unverified_is_in_models_and_masks(
    plan_file: Path, tmp_path: Path, result: PlanResult
) -> None:
    data = json.loads(plan_file.read_text())
    plan_file.write_text(json.dumps({**data, "verdict": "unknown"}))
    plan = plan_to_export(plan_file, even_if_unknown=True)
    write_slicer(plan, tmp_path, structures=result.structures)
    header = nrrd.read_header(str(tmp_path / "structures.seg.nrrd"))
    assert header["DESCRIPTION"].startswith("UNVERIFIED")
    assert "UNVERIFIED path 1" in (tmp_path / "needle_paths.mrk.json").read_text()
    texts = field_texts(tmp_path / "needles.vtp")
    assert texts["DESCRIPTION"][0].startswith("UNVERIFIED path 1")
    assert texts["PLAN_SHA256"] == [plan.sha256]


def field_texts(file: Path) -> dict[str, list[str]]:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(file))
    reader.Update()
    data = reader.GetOutput().GetFieldData()
    arrays = [data.GetAbstractArray(n) for n in range(data.GetNumberOfArrays())]
    return {a.GetName(): [a.GetValue(k) for k in range(a.GetNumberOfValues())] for a in arrays}


def test_a_folder_that_is_not_there(plan_file: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write_slicer(plan_to_export(plan_file), tmp_path / "no")


def test_disk_full_while_making_the_segmentation(
    plan_file: Path, tmp_path: Path, result: PlanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicerio

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slicerio, "write_segmentation", full)
    path = tmp_path / "s.seg.nrrd"
    with pytest.raises(OutputError, match="No space left"):
        slicer.write_structures(plan_to_export(plan_file), result.structures, path)
    assert not path.exists()
