"""The DICOM segmentation, read back voxel for voxel; void and swept structures beside metal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.errors import GridMismatchError, InputError, MaskError
from planner.exports.capsule_voxels import capsule_voxels
from planner.exports.dicom_seg import write_dicom_seg
from planner.geometry import FrameId, Grid, Mask
from tests.dicom_plan import dicom_plan
from tests.metal_plan import KNOWN, metal_scene


def test_segments_are_read_back_voxel_for_voxel(opened, tmp_path):
    plan, source = opened
    grid = source.volume.grid
    inside = np.zeros(grid.shape_kji, bool)
    inside[4:9, 20:31, 40:44] = True
    region = Mask(grid=grid, inside=inside)
    (file,) = write_dicom_seg(plan, source, tmp_path / "seg.dcm", {"Facette, links": region})
    read = planner.load_structures(file, like=source.volume)
    np.testing.assert_array_equal(read["Facette, links"].mask.inside, inside)
    for path in plan.paths:
        expected = capsule_voxels(grid, path.entry_lps_mm, path.throw_end_lps_mm, 0.36)
        np.testing.assert_array_equal(read[f"path {path.rank}"].mask.inside, expected)
    ball = read["tolerance of target"].mask
    assert ball.contains(np.array(plan.document.target.point_lps_mm))
    assert all(s.source.method == "same grid" for s in read.values())


def test_a_region_of_another_grid_or_none_is_refused(opened, tmp_path):
    plan, source = opened
    grid = source.volume.grid
    frame = FrameId("1.2.3.5")
    other = Grid(shape_kji=grid.shape_kji, lps_from_kji=grid.lps_from_kji, frame=frame)
    inside = np.ones(grid.shape_kji, bool)
    with pytest.raises(GridMismatchError, match="not on the grid"):
        write_dicom_seg(plan, source, tmp_path / "s", {"a": Mask(grid=other, inside=inside)})
    with pytest.raises(MaskError, match="no voxel"):
        write_dicom_seg(plan, source, tmp_path / "s", {"a": Mask(grid=grid, inside=~inside)})
    assert list(tmp_path.iterdir()) == []


def test_beside_metal_the_void_and_swept_structures_are_those_of_the_search(tmp_path):
    planned = dicom_plan(
        tmp_path,
        scene=metal_scene("oblique"),
        mr=KNOWN,
        implants={"rod": "stainless steel"},
        top=1,
    )
    plan, source = planned.opened(even_if_unknown=True)
    with pytest.raises(InputError, match="void of their field cannot be left out"):
        write_dicom_seg(plan, replace(source, structures=None), tmp_path / "seg.dcm")
    (file,) = write_dicom_seg(plan, source, tmp_path / "seg.dcm")
    read = planner.load_structures(file, like=source.volume)
    metal = planned.result.metal
    void = np.zeros(source.volume.grid.shape_kji, bool)
    start = np.rint(source.volume.grid.to_kji(metal.grid.origin_lps_mm)).astype(int)
    stop = start + metal.is_void.shape
    void[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = metal.is_void
    np.testing.assert_array_equal(read["MR void"].mask.inside, void)
    drawn = planned.result.structures
    path = planned.result.trajectories[0]
    grown = [name.removesuffix(" (swept)") for name in read if name.endswith("(swept)")]
    assert sorted(grown) == ["aorta", "nerve"]
    for name in grown:
        mask = read[f"{name} (swept)"].mask
        before = drawn[name].mask.inside
        assert mask.inside[before].all() and mask.n_voxels > before.sum()
        exact = planner.exact_clearance_mm(
            path.entry_lps_mm, path.tip_lps_mm, mask, needle_radius_mm=0.36
        )
        assert abs(np.floor(exact * 100) / 100 - path.clearance_mm[name]) < 0.011


def test_metals_that_are_not_the_tables_are_refused(tmp_path):
    planned = dicom_plan(
        tmp_path, scene=metal_scene("oblique"), mr=KNOWN, implants={"rod": "titanium"}, top=1
    )

    def change(data: dict) -> None:
        data["implants"][0]["materials"][0]["high_ppm"] = 1.0

    file = planned.changed(tmp_path / "changed.json", change)
    plan, source = replace(planned, file=file).opened(even_if_unknown=True)
    with pytest.raises(InputError, match="not those of this version's table"):
        write_dicom_seg(plan, source, tmp_path / "seg.dcm")
