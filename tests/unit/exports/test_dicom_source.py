"""Which images a DICOM export accepts: those of the plan, and no others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from planner.errors import InputError, MaskError, MixedFrameError, UnsupportedObjectError
from planner.exports.dicom_source import source_images, with_structures
from planner.exports.plan_to_export import plan_to_export
from planner.geometry import Mask
from planner.model import StructureSet
from tests.dicom_plan import DicomPlan, dicom_plan
from tests.dicom_writer import edit_file


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    return dicom_plan(tmp_path_factory.mktemp("planned"), top=1)


@pytest.fixture
def series(planned: DicomPlan, tmp_path: Path) -> Path:
    """A copy of the series that a test may change."""
    return Path(shutil.copytree(planned.series, tmp_path / "series"))


def edit_all(series: Path, **values: str) -> None:
    def edit(ds: pydicom.Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    for file in series.iterdir():
        edit_file(file, edit)


def test_the_slices_are_in_the_order_of_k(planned):
    plan = plan_to_export(planned.file)
    source = source_images(plan, planned.series)
    grid = source.volume.grid
    for k, header in enumerate(source.slices):
        np.testing.assert_allclose(header.position_lps_mm, grid.to_lps([k, 0, 0]), atol=1e-6)
        assert source.frame_number(header) is None
    assert [h.sop_instance_uid for h in source.files] == [h.sop_instance_uid for h in source.slices]
    assert source.frame_of_reference_uid == "1.2.3.4"


def test_another_frame_of_reference_is_refused(planned, series):
    edit_all(series, FrameOfReferenceUID="1.2.3.999")
    with pytest.raises(MixedFrameError, match=r"different frames of reference.*1\.2\.3\.999"):
        source_images(plan_to_export(planned.file), series)


def test_images_without_a_frame_are_refused(planned, series):
    for file in series.iterdir():
        edit_file(file, lambda ds: ds.__delattr__("FrameOfReferenceUID"))
    with pytest.raises(MixedFrameError, match="none in the images"):
        source_images(plan_to_export(planned.file), series)


def test_a_plan_without_a_frame_is_refused(planned, tmp_path):
    file = planned.changed(
        tmp_path / "plan.json", lambda d: d["frame"].update(frame_of_reference_uid=None)
    )
    with pytest.raises(MixedFrameError, match="has no frame of reference"):
        source_images(plan_to_export(file), planned.series)


def test_a_plan_on_a_volume_file_is_refused(planned, tmp_path):
    file = planned.changed(
        tmp_path / "plan.json", lambda d: d["image"].update(series_instance_uid=None)
    )
    with pytest.raises(InputError, match="not made on a DICOM series"):
        source_images(plan_to_export(file), planned.series)


def test_another_series_is_refused(planned, series):
    edit_all(series, SeriesInstanceUID="1.2.3.4.5")
    with pytest.raises(InputError, match=r"another series; seen: 1\.2\.3\.4\.5"):
        source_images(plan_to_export(planned.file), series)


def test_another_study_is_refused(planned, series):
    edit_all(series, StudyInstanceUID="1.2.3.4.6")
    with pytest.raises(InputError, match=r"another study; seen: 1\.2\.3\.4\.6"):
        source_images(plan_to_export(planned.file), series)


def test_one_other_grey_value_is_refused(planned, series):
    def edit(ds: pydicom.Dataset) -> None:
        ds.PixelData = ds.PixelData[:-2] + b"\1\2"

    edit_file(sorted(series.iterdir())[7], edit)
    with pytest.raises(InputError, match="their content is another"):
        source_images(plan_to_export(planned.file), series)


def test_a_lost_slice_is_refused(planned, series):
    files = sorted(series.iterdir(), key=lambda f: pydicom.dcmread(f).InstanceNumber)
    files[-1].unlink()
    with pytest.raises(InputError, match="their content is another"):
        source_images(plan_to_export(planned.file), series)


def test_a_volume_file_is_refused(planned, tmp_path):
    file = tmp_path / "image.nii.gz"
    file.write_bytes(b"x")
    with pytest.raises(UnsupportedObjectError, match="needs the DICOM images"):
        source_images(plan_to_export(planned.file), file)


def test_other_series_beside_it_do_no_harm(planned, series):
    for file in list(series.iterdir()):
        ds = pydicom.dcmread(file)
        ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.77", 9
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.7"
        ds.save_as(series / f"other{file.name}", enforce_file_format=True)
    source = source_images(plan_to_export(planned.file), series)
    assert {h.series_instance_uid for h in source.slices} == {
        planned.result.volume.source.series_instance_uid
    }


def test_structures_are_those_of_the_plan(planned):
    plan = plan_to_export(planned.file)
    source = source_images(plan, planned.series)
    given = planned.result.structures
    assert with_structures(source, plan, given).structures is not None
    fewer = StructureSet(grid=given.grid, structures=given.structures[:-1])
    with pytest.raises(MaskError, match=r"not in the files.*needed: spine"):
        with_structures(source, plan, fewer)
    inside = np.array(given["nerve"].mask.inside)
    inside[3, 3, 3] = True
    other = replace(given["nerve"], mask=Mask(grid=given.grid, inside=inside))
    changed = tuple(other if s.name == "nerve" else s for s in given.structures)
    with pytest.raises(MaskError, match="not the one the plan was made with"):
        with_structures(source, plan, StructureSet(grid=given.grid, structures=changed))
