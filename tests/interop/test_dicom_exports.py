"""DICOM exports before programs of others: checkers, readers, archives, and receivers that fail."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import planner
from planner.exports.dicom import FORMATS, SourceImages, source_images
from planner.exports.dicom_regions import derived_regions
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.geometry import Volume
from planner.model import PlanResult
from tests.dcm2niix import converted, position_off_mm, same_voxels
from tests.dicom_plan import dicom_plan, turned
from tests.plan_factory import make_result
from tests.trunk import trunk

GOLDEN_TOL_MM = 0.01

QUIRK = re.compile(r"^Warning - Different information entities for attribute")
"""dicom3tools files the accession number under the series for images, the study for others."""


def run(program: str, *arguments: object) -> tuple[int, str]:
    """Exit code and everything said by a program; skips where it is not installed."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def dciodvfy_errors(file: Path) -> list[str]:
    _, said = run("dciodvfy", file)
    return [line for line in said.splitlines() if line.startswith("Error")]


# --- checkers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_dciodvfy_finds_no_error(exported, name):
    files = exported[name]
    for file in (files[0], files[len(files) // 2]):
        assert dciodvfy_errors(file) == []


@pytest.fixture(scope="module")
def named_abroad(tmp_path_factory):
    """Long names of many bytes, and one that turns the text around."""
    names = {"nerve": "神経根" * 25, "aorta": "große Körperschlagader " * 4 + "\u202elinks"}
    volume, structures = turned(*trunk(), "HFP")
    renamed = tuple(replace(s, name=names.get(s.name, s.name)) for s in structures.structures)
    scene = (volume, replace(structures, structures=renamed))
    return dicom_plan(tmp_path_factory.mktemp("names"), scene=scene)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_dciodvfy_finds_no_error_in_names_of_any_language(named_abroad, tmp_path, name):
    plan, source = named_abroad.opened()
    files = FORMATS[name](plan, source, tmp_path / "out")
    assert dciodvfy_errors(files[0]) == []
    assert "\u202e" not in str(pydicom.dcmread(files[0], stop_before_pixels=True))


def test_dsrdump_reads_the_report_without_a_fault(exported):
    code, said = run("dsrdump", "-Ec", *exported["dicom-sr"])
    assert code == 0
    assert not [line for line in said.splitlines() if line.startswith("E:")]


def test_dcentvfy_finds_one_patient_one_study_one_frame(planned, exported):
    files = [*planned.series.iterdir(), *(f for files in exported.values() for f in files)]
    _, said = run("dcentvfy", *files)
    assert [line for line in said.splitlines() if line and not QUIRK.match(line)] == []


REAL = {
    "Siemens, oblique T2": ("prostatex_0000_pelvis_mr", 4),
    "Siemens, b = 400 of three": ("prostatex_0000_pelvis_mr", "6:2"),
    "Siemens, decubitus": ("dcmqa_decubitus_HFS", 3),
    "Philips, one echo of two": ("dcmqa_table_ge_philips", "1301:1"),
    "GE CT": ("dcmqi_ct_seg_nrrd", 2),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_headers_give_objects_without_an_error(shared_data, tmp_path, name):
    """The headers of scanners; the path is made up and runs through the middle of the images."""
    folder, series = REAL[name]
    volume = planner.load_volume(shared_data / folder, series)
    plan, source = made_up_plan(volume, shared_data / folder, tmp_path)
    files = {n: write(plan, source, tmp_path / n) for n, write in FORMATS.items()}
    for written in files.values():
        assert dciodvfy_errors(written[0]) == []
    some = [*(h.file for h in source.files[:2]), *(f for w in files.values() for f in w[:2])]
    _, said = run("dcentvfy", *some)
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    read = planner.load_volume(tmp_path / "dicom-images")
    np.testing.assert_array_equal(read.grid.lps_from_kji, volume.grid.lps_from_kji)
    step = float(np.ptp(volume.values)) / 60000
    assert np.mean(np.abs(read.values.astype(float) - volume.values) <= step) > 0.99


@functools.cache
def phantom_result() -> PlanResult:
    return make_result("oblique", n_trajectories=1)


def made_up_plan(volume: Volume, image: Path, folder: Path) -> tuple[PlanToExport, SourceImages]:
    """A plan with one path whose numbers are those of the phantom, in the middle of a volume."""
    result = phantom_result()
    size = np.array(volume.grid.shape_kji)
    entry, tip = volume.grid.to_lps(0.15 * size), volume.grid.to_lps(0.55 * size)
    path = replace(
        result.trajectories[0],
        entry_lps_mm=entry,
        tip_lps_mm=tip,
        throw_end_lps_mm=tip,
        length_mm=float(np.linalg.norm(tip - entry)),
    )
    result = replace(result, volume=volume, trajectories=(path,))
    plan = plan_to_export(planner.save_plan(result, folder / "plan.json"))
    return plan, source_images(plan, image)


def test_the_checkers_can_say_no(planned, exported, tmp_path):
    """dciodvfy and dsrdump complement each other; dcentvfy looks across files."""
    (report,) = exported["dicom-sr"]
    without_flag = pydicom.dcmread(report)
    del without_flag.CompletionFlag
    without_flag.save_as(tmp_path / "flag.dcm")
    assert dciodvfy_errors(tmp_path / "flag.dcm")

    without_frame = pydicom.dcmread(report)
    for item in without_frame.iterall():
        if item.keyword == "ReferencedFrameOfReferenceUID":
            item.value = ""
    without_frame.save_as(tmp_path / "frame.dcm")
    assert run("dsrdump", tmp_path / "frame.dcm")[0] != 0

    other_name = pydicom.dcmread(exported["rtstruct"][0])
    other_name.PatientID = "4712"
    other_name.save_as(tmp_path / "name.dcm")
    _, said = run("dcentvfy", next(planned.series.iterdir()), tmp_path / "name.dcm")
    assert "PatientID" in said or "Error" in said


# --- readers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["dsrdump", "dcsrdump"])
def test_golden_entry_and_tip_of_an_oblique_prone_series(planned, exported, program):
    """DICOM series -> plan -> report -> dcmtk and dicom3tools: the same two points."""
    options, pattern = {
        "dsrdump": (["+Pl"], r"POLYLINE,,([^)]*)\)"),
        "dcsrdump": ([], r"POLYLINE \{([^}]*)\}"),
    }[program]
    _, said = run(program, *options, *exported["dicom-sr"])
    found = [
        np.reshape([float(v) for v in re.split("[/,]", points)], (-1, 3))
        for points in re.findall(pattern, said)
    ]
    trajectories = planned.result.trajectories
    assert len(found) == len(trajectories) == 2
    for points, path in zip(found, trajectories, strict=True):
        expected = [path.entry_lps_mm, path.tip_lps_mm]
        np.testing.assert_allclose(points, expected, rtol=0, atol=GOLDEN_TOL_MM)
    assert planned.result.volume.source.patient_position == "HFP"
    axes = planned.result.volume.grid.axes_lps_from_kji
    assert np.abs(axes).max(axis=0).max() < 0.999  # oblique


def test_tid1500reader_reads_every_group(planned, exported, tmp_path):
    out = tmp_path / "out.json"
    code, said = run(
        "tid1500reader", "--inputDICOM", exported["dicom-sr"][0], "--outputMetadata", out
    )
    assert code == 0, said
    groups = json.loads(out.read_text())["Measurements"]
    trajectories = planned.result.trajectories
    assert [g["TrackingIdentifier"] for g in groups] == ["path 1", "path 2"]
    for group, path in zip(groups, trajectories, strict=True):
        values = {m["quantity"]["CodeMeaning"]: m["value"] for m in group["measurementItems"]}
        assert abs(float(values["Length"]) - path.length_mm) < GOLDEN_TOL_MM
        for clearance in path.clearances:
            said_mm = float(values[f"Clearance to {clearance.structure}"])
            assert said_mm <= clearance.clearance_mm
            assert clearance.clearance_mm - said_mm < GOLDEN_TOL_MM
        said_codes = {
            q["conceptCode"]["CodeValue"]: q["conceptValue"].get("CodeValue")
            for q in group["qualitativeEvaluations"]
            if isinstance(q["conceptValue"], dict)
        }
        assert said_codes["PLANSTAT"] == "NOTAPPR" and said_codes["VERDICT"] == "PASS"


def test_segimage2itkimage_gives_the_same_voxels(planned, exported, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    code, said = run(
        "segimage2itkimage", "--inputDICOM", exported["dicom-seg"][0],
        "--outputDirectory", tmp_path, "--outputType", "nrrd",
    )  # fmt: skip
    assert code == 0, said
    plan, source = planned.opened()
    regions = derived_regions(plan, source)
    grid = source.volume.grid
    for number, region in enumerate(regions, start=1):
        image = sitk.ReadImage(str(tmp_path / f"{number}.nrrd"))
        kji = np.argwhere(sitk.GetArrayFromImage(image))
        to_lps = image.TransformContinuousIndexToPhysicalPoint
        lps = [to_lps([float(n) for n in reversed(v)]) for v in kji]
        index = grid.to_kji(lps)
        assert np.abs(index - np.rint(index)).max() < 1e-3
        seen = np.zeros(grid.shape_kji, bool)
        seen[tuple(np.rint(index).astype(int).T)] = True
        np.testing.assert_array_equal(seen, region.mask.inside)


def test_dcm2niix_stacks_the_derived_series_where_we_do(exported):
    folder = exported["dicom-images"][0].parent
    volume = planner.load_volume(folder)
    (other,) = converted(folder)
    assert position_off_mm(volume, other) < 1e-3
    assert same_voxels(volume, other)


def test_plastimatch_and_dcmtk_read_the_structure_set(planned, exported, tmp_path):
    """plastimatch lists the regions; dcmtk gives the points."""
    (file,) = exported["rtstruct"]
    cxt = tmp_path / "out.cxt"
    code, said = run("plastimatch", "convert", "--input", file, "--output-cxt", cxt)
    assert code == 0, said
    names = [line.split("|")[2] for line in cxt.read_text().splitlines() if line.count("|") == 2]
    assert {"path 1", "path 2", "target"} <= set(names)
    _, said = run("dcmdump", "+L", "+P", "3006,0050", file)
    lines = [re.search(r"\[(.*)\]", line) for line in said.splitlines()]
    points = [[float(v) for v in line[1].split("\\")] for line in lines if line]
    pairs = [np.reshape(p, (2, 3)) for p in points if len(p) == 6]
    for pair, path in zip(pairs, planned.result.trajectories, strict=True):
        np.testing.assert_allclose(pair, [path.entry_lps_mm, path.tip_lps_mm], atol=1e-6)
