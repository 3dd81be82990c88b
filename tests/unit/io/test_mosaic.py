"""Siemens mosaics: every tile lands where the slice was, or the mosaic is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from planner.geometry import FrameId, Grid
from planner.io import inspect_path, load_volume
from tests.dcm2niix import converted, position_off_mm, same_voxels
from tests.dicom_writer import save, texture, write_series
from tests.grids import ORIENTED_AXES
from tests.multiframe_writer import (
    add_csa,
    csa_header,
    image_csa,
    mosaic_dataset,
    series_csa,
    slice_centres,
)

POSITION_TOL_MM = 1e-6
"""Positions are written with 16 characters."""

DCM2NIIX_TOL_MM = 0.01
FMRI = "dicom2nifti_multivendor/siemens/fmri/001"


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (7, 6, 8),
        (3.3, 0.8, 0.6),
        (-20.0, 35.0, 60.0),
        ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )


def k_axis(grid: Grid) -> np.ndarray:
    return grid.axes_lps_from_kji[:, 0]


def with_csa(grid: Grid, *, number: int = 1, has_protocol: bool = True) -> Dataset:
    ds = mosaic_dataset(grid, texture(grid) + number, number=number)
    protocol = series_csa(slice_centres(grid)) if has_protocol else None
    add_csa(ds, image_csa(grid.shape_kji[0], k_axis(grid)), protocol)
    return ds


def reason(path: Path) -> str:
    (volume,) = inspect_path(path).volumes
    assert not volume.plannable
    return volume.reason or ""


@pytest.mark.parametrize("has_protocol", [False, True])
def test_a_mosaic_gives_the_volume_of_the_slices(
    tmp_path: Path, oriented_grid: Grid, has_protocol: bool
) -> None:
    """Flipped grids have their slices against row x column: the tiles must follow."""
    write_series(tmp_path / "classic", oriented_grid, texture(oriented_grid) + 1)
    classic = load_volume(tmp_path / "classic")
    file = tmp_path / "mosaic.dcm"
    save(with_csa(oriented_grid, has_protocol=has_protocol), file)
    volume = load_volume(file)
    assert np.array_equal(volume.values, classic.values)
    off_mm = np.abs(volume.grid.lps_from_kji - classic.grid.lps_from_kji).max()
    assert off_mm <= POSITION_TOL_MM
    assert volume.grid.frame.uid == classic.grid.frame.uid
    assert volume.source.files == (str(file),)
    assert any("mosaic of 9 slices" in w for w in volume.source.warnings)
    assert inspect_path(file).volumes[0].n_files == 1


def test_the_protocol_alone_tells_the_direction(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path / "classic", oriented_grid, texture(oriented_grid))
    classic = load_volume(tmp_path / "classic")
    ds = mosaic_dataset(oriented_grid, texture(oriented_grid))
    # the protocol lists its slices the other way round than the tiles
    add_csa(ds, None, series_csa(slice_centres(oriented_grid)[::-1]))
    save(ds, tmp_path / "mosaic.dcm")
    volume = load_volume(tmp_path / "mosaic.dcm")
    assert np.array_equal(volume.values, classic.values)
    assert np.allclose(volume.grid.lps_from_kji, classic.grid.lps_from_kji, atol=POSITION_TOL_MM)


@pytest.mark.parametrize("n_slices", [1, 2, 4, 5, 9, 10])
def test_any_number_of_tiles(tmp_path: Path, n_slices: int) -> None:
    grid = Grid.from_axes(
        (n_slices, 4, 6), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), None, FrameId("1.2", "test")
    )
    save(with_csa(grid, has_protocol=False), tmp_path / "m.dcm")
    if n_slices == 1:
        assert "only one slice" in reason(tmp_path)
        return
    volume = load_volume(tmp_path)
    assert np.array_equal(volume.values, texture(grid) + 1)
    assert np.allclose(volume.grid.lps_from_kji, grid.lps_from_kji, atol=POSITION_TOL_MM)


def test_each_file_is_a_time_point(tmp_path: Path, grid: Grid) -> None:
    for number in (1, 2, 3):
        save(with_csa(grid, number=number), tmp_path / f"{number}.dcm")
    found = inspect_path(tmp_path)
    assert [v.part for v in found.volumes] == ["acquisition 1", "acquisition 2", "acquisition 3"]
    assert all(v.plannable and v.n_files == 1 for v in found.volumes)
    volume = load_volume(tmp_path, series="4:acquisition 2")
    assert np.array_equal(volume.values, texture(grid) + 2)


def test_each_file_is_a_b_value(tmp_path: Path, grid: Grid) -> None:
    for number, b_value in enumerate((0, 500, 1000), 1):
        ds = mosaic_dataset(grid, texture(grid) + number)
        add_csa(ds, image_csa(7, k_axis(grid), B_value=str(b_value)))
        save(ds, tmp_path / f"{number}.dcm")
    assert [v.part for v in inspect_path(tmp_path).volumes] == ["b=0", "b=500", "b=1000"]
    assert np.array_equal(load_volume(tmp_path, series="4:b=500").values, texture(grid) + 2)


def test_compressed_mosaic_and_rescale(tmp_path: Path, grid: Grid) -> None:
    ds = with_csa(grid)
    ds.RescaleSlope, ds.RescaleIntercept = "2", "-5"
    ds.compress(RLELossless, generate_instance_uid=False)
    save(ds, tmp_path / "m.dcm")
    assert np.array_equal(load_volume(tmp_path).values, (texture(grid) + 1) * 2.0 - 5)


def test_a_header_whose_creator_was_stripped_counts_by_its_signature(
    tmp_path: Path, grid: Grid
) -> None:
    ds = with_csa(grid)
    del ds[0x00290010]
    save(ds, tmp_path / "m.dcm")
    assert load_volume(tmp_path).values.shape == (7, 6, 8)


def test_a_protocol_of_another_place_is_not_used(tmp_path: Path, grid: Grid) -> None:
    """A volume that was moved after the scan was set up: the normal alone tells."""
    ds = mosaic_dataset(grid, texture(grid))
    add_csa(ds, image_csa(7, k_axis(grid)), series_csa(slice_centres(grid) + 1.4 * k_axis(grid)))
    save(ds, tmp_path / "m.dcm")
    volume = load_volume(tmp_path)
    assert np.allclose(volume.grid.lps_from_kji, grid.lps_from_kji, atol=POSITION_TOL_MM)
    (warning,) = [w for w in volume.source.warnings if "mosaic" in w]
    assert "protocol" not in warning


def _no_csa(ds: Dataset, grid: Grid) -> None:
    pass


def _only_number(ds: Dataset, grid: Grid) -> None:
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 7)


def _wrong_number(ds: Dataset, grid: Grid) -> None:
    _only_number(ds, grid)
    add_csa(ds, image_csa(8, k_axis(grid)))


def _protocol_of_more_slices(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, k_axis(grid)), series_csa(slice_centres(grid)[:6]))


def _turned_normal(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, grid.axes_lps_from_kji[:, 1]))


def _opposite(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, -k_axis(grid)), series_csa(slice_centres(grid)))


def _other_step(ds: Dataset, grid: Grid) -> None:
    ds.SpacingBetweenSlices = "3.0"
    add_csa(ds, image_csa(7, k_axis(grid)), series_csa(slice_centres(grid)))


def _no_step(ds: Dataset, grid: Grid) -> None:
    del ds.SpacingBetweenSlices
    add_csa(ds, image_csa(7, k_axis(grid)))


def _zero_step(ds: Dataset, grid: Grid) -> None:
    ds.SpacingBetweenSlices = "0"
    add_csa(ds, image_csa(7, k_axis(grid)))


def _uneven(ds: Dataset, grid: Grid) -> None:
    centres = slice_centres(grid)
    centres[3] += 0.5 * k_axis(grid)
    add_csa(ds, image_csa(7, k_axis(grid)), series_csa(centres))


def _does_not_divide(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(20, k_axis(grid)))


def _absurd_number(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(60000, k_axis(grid)))


def _no_position(ds: Dataset, grid: Grid) -> None:
    del ds.ImagePositionPatient
    add_csa(ds, image_csa(7, k_axis(grid)))


def _several_frames(ds: Dataset, grid: Grid) -> None:
    ds.NumberOfFrames, ds.PixelData = 2, ds.PixelData * 2
    add_csa(ds, image_csa(7, k_axis(grid)))


def _damaged(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, k_axis(grid))[:200])


def _not_finite(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, np.array([np.nan, np.nan, 1.0])))


def _foreign(ds: Dataset, grid: Grid) -> None:
    """The same bytes in the block of someone else."""
    block = ds.private_block(0x0029, "SOMEONE ELSE", create=True)
    block.add_new(0x10, "OB", image_csa(7, k_axis(grid)))


def _without_signature(ds: Dataset, grid: Grid) -> None:
    add_csa(ds, image_csa(7, k_axis(grid))[8:])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_no_csa, "the CSA header is missing or damaged"),
        (_only_number, "direction of its slices is not stated"),
        (_wrong_number, r"contradicts itself.*8 by CSA NumberOfImagesInMosaic, 7 by \(0019,100A\)"),
        (_protocol_of_more_slices, "7 by CSA NumberOfImagesInMosaic, 6 by protocol"),
        (_turned_normal, "not at right angles"),
        (_opposite, "opposite directions"),
        (_other_step, "SpacingBetweenSlices is 3.000 mm, the protocol's slices are 3.300 mm apart"),
        (_no_step, "distance between its slices is not stated"),
        (_zero_step, "distance between its slices is not stated"),
        (_uneven, "unevenly spaced: 2.800 to 3.800 mm"),
        (_does_not_divide, "18 x 24 pixels do not divide into 5 x 5 tiles for 20 slices"),
        (_absurd_number, "60000 slices are stated"),
        (_no_position, "position, orientation or pixel spacing is missing"),
        (_several_frames, "2 frames in one file"),
        (_damaged, "the CSA header is missing or damaged"),
        (_not_finite, "direction of its slices is not stated"),
        (_foreign, "the CSA header is missing or damaged"),
        (_without_signature, "the CSA header is missing or damaged"),
    ],
)
def test_a_mosaic_that_is_not_certain_is_refused(
    tmp_path: Path, grid: Grid, change: object, text: str
) -> None:
    ds = mosaic_dataset(grid, texture(grid))
    change(ds, grid)  # type: ignore[operator]
    save(ds, tmp_path / "m.dcm")
    found = reason(tmp_path)
    assert re.search(f"Siemens mosaic: .*{text}", found), found


def test_random_damage_to_the_csa_header_never_ends_the_scan(
    tmp_path: Path, grid: Grid, rng: np.random.Generator
) -> None:
    save(with_csa(grid), tmp_path / "m.dcm")
    whole = (tmp_path / "m.dcm").read_bytes()
    start, end = whole.index(b"SV10"), whole.rindex(b"\xe0\x7f\x10\x00")
    for n in range(100):
        data = bytearray(whole)
        for place in rng.integers(start, end, 1 + n % 8):
            data[place] = int(rng.integers(256))
        (tmp_path / "m.dcm").write_bytes(bytes(data))
        assert inspect_path(tmp_path).volumes


def test_an_endless_protocol_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = mosaic_dataset(grid, texture(grid))
    text = "sSliceArray.lSize = 99999999999999999999"
    add_csa(ds, image_csa(7, None), csa_header({"MrPhoenixProtocol": ("UN", [text])}))
    save(ds, tmp_path / "m.dcm")
    assert "direction of its slices is not stated" in reason(tmp_path)


def test_synthetic_mosaic_equals_dcm2niix(tmp_path: Path, oriented_grid: Grid) -> None:
    ds = with_csa(oriented_grid, has_protocol=False)
    ds.EchoTime, ds.RepetitionTime = "30", "2000"
    save(ds, tmp_path / "m.dcm")
    volume = load_volume(tmp_path)
    (other,) = converted(tmp_path)
    assert same_voxels(volume, other)
    assert position_off_mm(volume, other) <= DCM2NIIX_TOL_MM
