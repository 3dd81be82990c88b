from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from planner.errors import OutputError
from planner.geometry import Grid, Mask, Volume
from planner.io import load_structures
from planner.io.region_file import save_region
from planner.model import TargetRegion


@pytest.fixture
def region(oriented_grid: Grid) -> TargetRegion:
    inside = np.zeros(oriented_grid.shape_kji, np.bool_)
    inside[2:5, 3:8, 1:4] = True
    inside[4, 7, 3] = False
    return TargetRegion(
        name="anatomy:disc:L4-L5",
        mask=Mask(grid=oriented_grid, inside=inside),
        centre_lps_mm=oriented_grid.to_lps((3, 5, 2)),
        measures={"disc_height_mm": 9.5},
        words="from\nits label",
    )


def test_our_reader_finds_the_same_voxels(region: TargetRegion, tmp_path) -> None:
    path = save_region(region, tmp_path / "target_region.seg.nrrd")
    grid = region.mask.grid
    image = Volume(grid=grid, values=np.zeros(grid.shape_kji, np.uint8))
    (structure,) = load_structures(path, image).structures
    assert structure.name == "anatomy:disc:L4-L5"
    assert np.array_equal(structure.mask.inside, region.mask.inside)


def test_another_reader_finds_it_in_the_same_place(region: TargetRegion, tmp_path) -> None:
    image = SimpleITK.ReadImage(save_region(region, tmp_path / "target_region.seg.nrrd"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image) > 0, region.mask.inside)
    for kji in ((0, 0, 0), (8, 13, 10), (3, 5, 2)):
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(kji[::-1]), region.mask.grid.to_lps(kji), atol=1e-9
        )
    assert image.GetMetaData("Segment0_Extent") == "1 3 3 7 2 4"
    assert image.GetMetaData("target_region_words") == "from its label"
    assert image.GetMetaData("target_region_disc_height_mm") == "9.500"


def test_the_same_region_gives_the_same_bytes(region: TargetRegion, tmp_path) -> None:
    one = save_region(region, tmp_path / "a.seg.nrrd").read_bytes()
    assert one == save_region(region, tmp_path / "b.seg.nrrd").read_bytes()


def test_a_folder_that_is_not_there_is_an_output_error(region: TargetRegion, tmp_path) -> None:
    with pytest.raises(OutputError):
        save_region(region, tmp_path / "none" / "a.seg.nrrd")
