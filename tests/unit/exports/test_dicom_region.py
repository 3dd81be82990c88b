"""A target region that the plan derived from labels, in every export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

import planner
from planner.errors import InputError
from planner.exports.dicom_seg import write_dicom_seg
from planner.exports.dicom_source import SourceImages, source_images, with_structures
from planner.exports.dicom_sr import write_dicom_sr
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.exports.sheet import sheet_html
from planner.exports.slicer import write_slicer
from planner.geometry import Mask
from planner.model import PlanResult
from tests.dicom_plan import on_dicom
from tests.region_plan import region_plan, region_scene

NAME = "foramen:L3-L4:left"
LOOK = "less than half of the back wall is bone"

Opened = tuple[PlanResult, PlanToExport, SourceImages]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = tmp_path_factory.mktemp("region")
    volume, structures = on_dicom(folder / "series", *region_scene("oblique"))
    result = region_plan(NAME, scene=(volume, structures))
    plan = plan_to_export(planner.save_plan(result, folder / "plan.json"))
    source = source_images(plan, folder / "series")
    return result, plan, with_structures(source, plan, structures)


def texts_of(item: pydicom.Dataset) -> str:
    return "\n".join(
        str(e.value) for e in item.iterall() if e.VR in ("UT", "LO", "ST", "LT") and e.value
    )


def test_the_segmentation_has_the_region_voxel_by_voxel(opened: Opened, tmp_path: Path) -> None:
    result, plan, source = opened
    (file,) = write_dicom_seg(plan, source, tmp_path / "seg.dcm")
    segments = {str(s.SegmentLabel): s for s in pydicom.dcmread(file).SegmentSequence}
    assert f"target anatomy:{NAME}" in segments
    assert not [name for name in segments if name.startswith("tolerance")]  # the tip is anywhere
    assert LOOK in segments[f"target anatomy:{NAME}"].SegmentDescription
    read = planner.load_structures([file], like=source.volume, roles={})
    region = result.target.region
    assert region is not None
    mask = next(read[name].mask for name in read if name.endswith(NAME))
    np.testing.assert_array_equal(mask.inside, region.mask.inside)


def test_without_its_masks_no_segmentation_lacks_the_region(opened: Opened, tmp_path: Path) -> None:
    _, plan, source = opened
    bare = SourceImages(volume=source.volume, slices=source.slices, header=source.header)
    with pytest.raises(InputError, match="derived from its masks"):
        write_dicom_seg(plan, bare, tmp_path / "seg.dcm")
    assert not list(tmp_path.iterdir())


def test_another_region_is_refused(opened: Opened, tmp_path: Path) -> None:
    """Masks are held to their hashes before; the region has its own."""
    _, plan, source = opened
    region = plan.document.target.region
    assert region is not None
    other = region.model_copy(update={"sha256": "0" * 64})
    target = plan.document.target.model_copy(update={"region": other})
    changed = PlanToExport(
        document=plan.document.model_copy(update={"target": target}),
        sha256=plan.sha256,
        paths=plan.paths,
        is_unverified=False,
    )
    with pytest.raises(InputError, match="not the one of the plan"):
        write_dicom_seg(changed, source, tmp_path / "seg.dcm")


def test_report_and_sheet_say_region_and_what_to_look_at(opened: Opened, tmp_path: Path) -> None:
    _, plan, source = opened
    report = pydicom.dcmread(write_dicom_sr(plan, source, tmp_path / "sr.dcm")[0])
    for said in (texts_of(report), sheet_html(plan)):
        assert NAME in said and f"LOOK AT IT: {LOOK}" in said
        assert "may lie anywhere in it" in said
        assert "Distance of the tip from the target" not in said


def test_slicer_gets_the_region_as_a_segment(opened: Opened, tmp_path: Path) -> None:
    import slicerio

    result, plan, source = opened
    write_slicer(plan, tmp_path, structures=source.structures)
    read = slicerio.read_segmentation(str(tmp_path / "structures.seg.nrrd"))
    names = [segment["name"] for segment in read["segments"]]
    assert names.count(f"target anatomy:{NAME}") == 1
    found = planner.load_structures([tmp_path / "structures.seg.nrrd"], like=source.volume)
    region = result.target.region
    assert region is not None
    mask: Mask = found[f"target anatomy:{NAME}"].mask
    np.testing.assert_array_equal(mask.inside, region.mask.inside)
