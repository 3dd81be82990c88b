"""The derived series: geometry, values and what its headers say."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pydicom
import pytest

import planner
from planner.errors import OutputError
from planner.exports.capsule_voxels import capsule_voxels
from planner.exports.dicom_burned_in import write_burned_in
from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport

FLOAT32_TOL_MM = 1e-4
"""SCOORD3D holds 32-bit floats."""

Opened = tuple[PlanToExport, SourceImages]


def test_the_derived_series_has_the_same_geometry_and_only_the_needle_differs(opened, tmp_path):
    plan, source = opened
    write_burned_in(plan, source, tmp_path / "im")
    read = planner.load_volume(tmp_path / "im")
    np.testing.assert_array_equal(read.grid.lps_from_kji, source.volume.grid.lps_from_kji)
    assert read.grid.frame.same_as(source.volume.grid.frame)
    assert read.source.patient_position == source.volume.source.patient_position
    changed = read.values != source.volume.values
    needle = np.zeros_like(changed)
    whole = np.zeros_like(changed)
    for path in plan.paths:
        needle |= capsule_voxels(read.grid, path.entry_lps_mm, path.tip_lps_mm, 0.36)
        whole |= capsule_voxels(read.grid, path.entry_lps_mm, path.throw_end_lps_mm, 0.36)
    assert changed[needle].all() and not changed[~whole].any()
    assert (read.values[changed] > source.volume.values.max()).all()
    for path in plan.paths:  # where the needle ends when it is fired
        end = np.floor(read.grid.to_kji(path.throw_end_lps_mm) + 0.5).astype(int)
        assert changed[tuple(end)]


def test_the_images_say_that_they_are_derived(opened, tmp_path):
    plan, source = opened
    files = write_burned_in(plan, source, tmp_path / "im")
    datasets = [pydicom.dcmread(f) for f in files]
    assert len({ds.SOPInstanceUID for ds in datasets}) == len(source.slices)
    for ds, header in zip(datasets, source.slices, strict=True):
        assert list(ds.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert ds.BurnedInAnnotation == "YES"
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        (reference,) = ds.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == header.sop_instance_uid


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.int16, -1), (np.uint8, 1), (np.uint16, 65), (np.float32, 0.01)]
)
def test_values_that_do_not_fit_are_scaled(opened, tmp_path, dtype, scale):
    plan, source = opened
    values = (np.clip(source.volume.values.astype(float), 0, 1000) * scale).clip(
        -30000, 255 if dtype is np.uint8 else 65535
    )
    values = values.astype(dtype)
    values[0, 0, 0] = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 9.5
    changed = replace(source, volume=replace(source.volume, values=values))
    write_burned_in(plan, changed, tmp_path / "im")
    read = planner.load_volume(tmp_path / "im")
    plain = read.values <= values.max()
    step = (float(values.max()) - float(values.min())) / 60000
    np.testing.assert_allclose(read.values[plain], values[plain], atol=step)
    assert (~plain).sum() > 50


def test_laterality_is_only_there_where_it_belongs(opened, tmp_path):
    plan, source = opened
    for n, (part, side, expected) in enumerate(
        [("LSPINE", "", None), ("KNEE", "L", "L"), (None, None, "")]
    ):
        header = deepcopy(source.header)
        header.BodyPartExamined, header.Laterality = part, side
        files = write_burned_in(plan, replace(source, header=header), tmp_path / str(n))
        found = pydicom.dcmread(files[0])
        assert (found.Laterality or "" if "Laterality" in found else None) == expected


def test_a_folder_that_holds_something_is_left_alone(opened, tmp_path):
    plan, source = opened
    (tmp_path / "im").mkdir()
    (tmp_path / "im" / "mine").write_text("x")
    with pytest.raises(OutputError, match="there is something at its path"):
        write_burned_in(plan, source, tmp_path / "im")
    assert [p.name for p in (tmp_path / "im").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert write_burned_in(plan, source, tmp_path / "empty")
