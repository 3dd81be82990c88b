"""DICOM exports of plans made on an enhanced object, a mosaic, and CT."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import planner
from planner.exports.dicom import FORMATS, SourceImages
from planner.exports.dicom_source import source_images
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.geometry import FrameId, Grid
from tests.dicom_plan import clean_header
from tests.dicom_writer import save, texture, write_series
from tests.grids import ORIENTED_AXES
from tests.multiframe_writer import add_csa, enhanced_dataset, image_csa, mosaic_dataset
from tests.plan_factory import make_result

SHAPE = (9, 60, 50)


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Oblique, anisotropic, about the target of ``tests.plan_factory``."""
    frame = FrameId("1.2.3.4.5", "phantom")
    axes = ORIENTED_AXES["oblique"]
    loose = Grid.from_axes(SHAPE, (8.0, 3.0, 3.2), (0.0, 0.0, 0.0), axes, frame)
    origin = np.array([0.0, 40.0, -205.0]) - loose.centre_lps_mm
    return Grid.from_axes(SHAPE, (8.0, 3.0, 3.2), origin, axes, frame)


@pytest.fixture(scope="module")
def phantom():
    return make_result("oblique", n_trajectories=1)


def opened(phantom, image: Path, folder: Path, series=None) -> tuple[PlanToExport, SourceImages]:
    """The plan of the phantom as if it had been made on these images."""
    result = replace(phantom, volume=planner.load_volume(image, series))
    file = planner.save_plan(result, folder / "plan.json")
    plan = plan_to_export(file)
    return plan, source_images(plan, image)


def references(item: pydicom.Dataset) -> list[tuple[str, int | None]]:
    return [
        (d.ReferencedSOPInstanceUID, d.get("ReferencedFrameNumber"))
        for d in every_item(item)
        if "ReferencedSOPInstanceUID" in d
    ]


def every_item(item: pydicom.Dataset):
    yield item
    for element in item:
        if element.VR == "SQ":
            for child in element.value:
                yield from every_item(child)


def errors_of(file: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        return []
    done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_frames_of_an_enhanced_object_are_referred_to_by_number(phantom, grid, tmp_path, name):
    """Two b-values in one object, frames shuffled: the plan is on the second volume."""
    volumes = [
        (texture(grid) + n, {"MRDiffusionSequence": {"DiffusionBValue": float(400 * n)}})
        for n in range(2)
    ]
    ds = enhanced_dataset(grid, volumes)
    clean_header(ds)
    image = tmp_path / "enhanced.dcm"
    save(ds, image)
    plan, source = opened(phantom, image, tmp_path, series="4:b=400")
    frames = [source.frame_number(header) for header in source.slices]
    at = [ds.PerFrameFunctionalGroupsSequence[n - 1] for n in frames]
    for k, frame in enumerate(at):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(position, grid.to_lps([k, 0, 0]), atol=1e-6)
        assert frame.MRDiffusionSequence[0].DiffusionBValue == 400.0
    files = FORMATS[name](plan, source, tmp_path / "out")
    found = [reference for f in files for reference in references(pydicom.dcmread(f))]
    own = {ds.StudyInstanceUID}
    assert {uid for uid, _ in found} - own == {ds.SOPInstanceUID}
    numbers = {number for _, number in found if number is not None}
    assert numbers <= set(frames)
    assert numbers or name == "rtstruct"
    for file in files[:2]:
        assert errors_of(file) == []
    if name == "dicom-images":
        read = planner.load_volume(tmp_path / "out")
        np.testing.assert_allclose(read.grid.lps_from_kji, grid.lps_from_kji, atol=1e-6)
        assert np.mean(read.values == source.volume.values) > 0.99


def test_evidence_lists_an_enhanced_object_once(phantom, grid, tmp_path):
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    clean_header(ds)
    save(ds, tmp_path / "enhanced.dcm")
    plan, source = opened(phantom, tmp_path / "enhanced.dcm", tmp_path)
    (file,) = FORMATS["dicom-sr"](plan, source, tmp_path / "sr.dcm")
    (study,) = pydicom.dcmread(file).CurrentRequestedProcedureEvidenceSequence
    assert references(study) == [(ds.SOPInstanceUID, None)]
    (file,) = FORMATS["dicom-seg"](plan, source, tmp_path / "seg.dcm")
    (series,) = pydicom.dcmread(file).ReferencedSeriesSequence
    assert references(series) == [(ds.SOPInstanceUID, None)]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_mosaic_is_one_instance(phantom, grid, tmp_path, name):
    ds = mosaic_dataset(grid, texture(grid))
    clean_header(ds)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    add_csa(ds, image=image_csa(SHAPE[0], grid.axes_lps_from_kji[:, 0]))
    (tmp_path / "series").mkdir()
    save(ds, tmp_path / "series" / "mosaic.dcm")
    plan, source = opened(phantom, tmp_path / "series", tmp_path)
    files = FORMATS[name](plan, source, tmp_path / "out")
    found = [reference for f in files for reference in references(pydicom.dcmread(f))]
    assert set(found) - {(ds.StudyInstanceUID, None)} == {(ds.SOPInstanceUID, None)}
    for file in files[:2]:
        assert errors_of(file) == []


def test_a_ct_plan_gives_ct_images_with_their_values(phantom, grid, tmp_path):
    def edit(ds: pydicom.Dataset, k: int) -> None:
        clean_header(ds, k)
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
        ds.KVP, ds.AcquisitionNumber = "120", 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]

    write_series(tmp_path / "series", grid, edit=edit, modality="CT")
    plan, source = opened(phantom, tmp_path / "series", tmp_path)
    files = FORMATS["dicom-images"](plan, source, tmp_path / "out")
    assert pydicom.dcmread(files[0]).SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert errors_of(files[0]) == []
    read = planner.load_volume(tmp_path / "out")
    same = read.values <= source.volume.values.max()
    step = float(np.ptp(source.volume.values)) / 60000
    np.testing.assert_allclose(read.values[same], source.volume.values[same], atol=step)
    assert 0.99 < same.mean() < 1.0
    (file,) = FORMATS["dicom-sr"](plan, source, tmp_path / "sr.dcm")
    assert "Computed tomography" in json.dumps(pydicom.dcmread(file).to_json_dict())
