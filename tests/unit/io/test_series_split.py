"""One series, several volumes: each part whole, labelled and selectable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from planner.errors import InputError, SeriesChoiceError, SeriesGeometryError
from planner.geometry import FrameId, Grid
from planner.io import inspect_path, load_volume
from tests.dicom_writer import texture, write_series
from tests.grids import ORIENTED_AXES

Setter = Callable[[Dataset, int], None]


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (6, 5, 4), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip


def write_repeats(
    folder: Path, grid: Grid, n: int, put: Callable[[Dataset, int, int], None]
) -> None:
    """The stack ``n`` times at the same positions; ``put(ds, repeat, k)`` marks each slice."""
    for repeat in range(n):

        def edit(ds: Dataset, k: int, repeat: int = repeat) -> None:
            put(ds, repeat, k)

        write_series(
            folder, grid, texture(grid) + 1000 * repeat, edit=edit, prefix=f"{(repeat * 5) % 7}_"
        )


def labels(folder: Path) -> list[str | None]:
    found = inspect_path(folder).volumes
    assert all(v.plannable for v in found), [v.reason for v in found]
    return [v.part for v in found]


def _b_value(ds: Dataset, n: int, k: int) -> None:
    ds.DiffusionBValue = (0.0, 400.0, 800.0)[n]


def _siemens_b(ds: Dataset, n: int, k: int) -> None:
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", (0, 400, 800)[n])


def _ge_b(ds: Dataset, n: int, k: int) -> None:
    block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x39, "IS", [(0, 1000000400, 1000000800)[n], 8, 0, 0])


def _philips_b(ds: Dataset, n: int, k: int) -> None:
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x03, "FL", (0.0, 400.0, 800.0)[n])


def _sequence_b(ds: Dataset, n: int, k: int) -> None:
    ds.SequenceName = ("*ep_b0", "*ep_b400t", "*ep_b800t")[n]


@pytest.mark.parametrize("put", [_b_value, _siemens_b, _ge_b, _philips_b, _sequence_b])
def test_b_values(tmp_path: Path, grid: Grid, put: Callable[[Dataset, int, int], None]) -> None:
    write_repeats(tmp_path, grid, 3, put)
    assert labels(tmp_path) == ["b=0", "b=400", "b=800"]


def test_private_b_value_of_another_vendor_does_not_count(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", 100 * n)

    write_repeats(tmp_path, grid, 2, put)
    with pytest.raises(SeriesGeometryError, match="duplicate slices: 6 of 12 images"):
        load_volume(tmp_path)


def test_echoes(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 2, lambda ds, n, k: setattr(ds, "EchoTime", ("10", "7.001")[n]))
    assert labels(tmp_path) == ["TE=7.0 ms", "TE=10.0 ms"]


def test_near_echoes_get_enough_decimals(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 2, lambda ds, n, k: setattr(ds, "EchoTime", ("1.23", "1.24")[n]))
    assert labels(tmp_path) == ["TE=1.23 ms", "TE=1.24 ms"]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([["M_FFE", "M", "FFE"], ["PHASE MAP", "P", "FFE"]], ["magnitude", "phase"]),
        ([["M", "ND", "NORM"], ["M", "ND"]], ["without NORM", "NORM"]),
        ([["WATER"], ["FAT"]], ["fat", "water"]),
        ([["ADC"], ["TRACEW"]], ["ADC", "trace"]),
    ],
)
def test_image_types(
    tmp_path: Path, grid: Grid, types: list[list[str]], expected: list[str]
) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", *types[n]]

    write_repeats(tmp_path, grid, 2, put)
    assert labels(tmp_path) == expected


def test_ge_phase_images(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", n)

    write_repeats(tmp_path, grid, 2, put)
    assert labels(tmp_path) == ["magnitude", "phase"]
    assert inspect_path(tmp_path).volumes[1].warnings[-1].startswith("phase images")


def test_echo_and_phase_together(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.EchoTime = ("7", "10")[n // 2]
        ds.ImageType = ["ORIGINAL", "PRIMARY", "MP"[n % 2]]

    write_repeats(tmp_path, grid, 4, put)
    assert labels(tmp_path) == [
        "TE=7.0 ms, magnitude",
        "TE=7.0 ms, phase",
        "TE=10.0 ms, magnitude",
        "TE=10.0 ms, phase",
    ]


def test_directions(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.DiffusionBValue = 0.0 if n == 0 else 1000.0
        ds.DiffusionGradientOrientation = np.eye(4)[n][1:].tolist()

    write_repeats(tmp_path, grid, 4, put)
    assert labels(tmp_path)[0] == "b=0"
    assert labels(tmp_path)[1:] == [f"b=1000, direction {n} of 3" for n in (1, 2, 3)]


def test_time_points_by_identifier(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.TemporalPositionIdentifier = n + 1

    write_repeats(tmp_path, grid, 3, put)
    assert labels(tmp_path) == [f"time {n} of 3" for n in (1, 2, 3)]


def test_time_points_by_acquisition_time_of_each_slice(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.AcquisitionDate, ds.AcquisitionTime = "20261101", f"12{n:02d}{k:02d}.5"

    write_repeats(tmp_path, grid, 3, put)
    assert labels(tmp_path) == [f"time {n} of 3" for n in (1, 2, 3)]
    for n in (1, 2, 3):
        volume = load_volume(tmp_path, series=f"4:time {n} of 3")
        assert set(np.unique(volume.values // 1000)) == {n - 1}


def test_what_nothing_tells_apart_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 2, lambda ds, n, k: None)
    with pytest.raises(SeriesGeometryError, match="duplicate slices: 6 of 12 images"):
        load_volume(tmp_path)


def test_times_of_each_slice_do_not_split_a_plain_stack(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, k: int) -> None:
        ds.AcquisitionNumber, ds.EchoTime = k, 5 + k
        ds.AcquisitionTime = f"1200{k:02d}"

    write_series(tmp_path, grid, edit=put)
    (volume,) = inspect_path(tmp_path).volumes
    assert (volume.plannable, volume.part) == (True, None)
    assert any("echo_time_ms" in w for w in volume.warnings)


def test_each_part_has_its_own_values_and_the_whole_stack(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 3, _b_value)
    for n, b in enumerate((0, 400, 800)):
        volume = load_volume(tmp_path, series=f"4:b={b}")
        assert volume.grid.is_close(grid)
        assert np.array_equal(volume.values, texture(grid) + 1000 * n)
        assert volume.source.part == f"b={b}"


@pytest.mark.parametrize("series", ["4:b=400", "4:B=400", "4:2", "#2", "4: b=400"])
def test_a_part_is_chosen_by_text_or_number(tmp_path: Path, grid: Grid, series: str) -> None:
    write_repeats(tmp_path, grid, 3, _b_value)
    assert load_volume(tmp_path, series=series).source.part == "b=400"


def test_every_listed_selector_means_its_volume(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 3, _b_value)
    for volume in inspect_path(tmp_path).volumes:
        assert load_volume(tmp_path, series=volume.select).source.part == volume.part


@pytest.mark.parametrize("series", [4, "4"])
def test_a_split_series_needs_its_part(tmp_path: Path, grid: Grid, series: str | int) -> None:
    write_repeats(tmp_path, grid, 3, _b_value)
    with pytest.raises(SeriesChoiceError, match=r"(?s)3 volumes.*--series '4:2'.*b=400"):
        load_volume(tmp_path, series=series)


def test_unknown_part_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_repeats(tmp_path, grid, 3, _b_value)
    with pytest.raises(SeriesChoiceError, match="no series answers to '4:b=500'"):
        load_volume(tmp_path, series="4:b=500")


def test_a_part_with_fewer_slices_says_so(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: _b_value(ds, 0, k))
    write_series(tmp_path, grid, edit=lambda ds, k: _b_value(ds, 1, k), skip=(5,), prefix="x")
    full, short = inspect_path(tmp_path).volumes
    assert not [w for w in full.warnings if "positions" in w]
    assert "has slices at 5 of the 6 positions of its series" in short.warnings


def test_a_part_with_a_gap_is_refused_alone(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: _b_value(ds, 0, k))
    write_series(tmp_path, grid, edit=lambda ds, k: _b_value(ds, 1, k), skip=(2,), prefix="x")
    assert load_volume(tmp_path).source.part == "b=0"
    with pytest.raises(InputError, match="1 slice missing"):
        load_volume(tmp_path, series="4:b=400")


def _planes(folder: Path, description: str, n_slices: int = 4) -> None:
    for n, name in enumerate(("axial", "sagittal", "coronal")):
        grid = Grid.from_axes(
            (n_slices, 5, 4), (15.0, 0.9, 0.9), (0, 0, 0), ORIENTED_AXES[name],
            FrameId("1.2.3.4", "test"),
        )  # fmt: skip
        write_series(
            folder, grid, prefix=str(n),
            edit=lambda ds, k: setattr(ds, "SeriesDescription", description),
        )  # fmt: skip


def test_three_orientations_are_three_parts(tmp_path: Path) -> None:
    _planes(tmp_path, "disc angled stacks")
    assert labels(tmp_path) == [f"orientation {n} of 3" for n in (1, 2, 3)]


def test_localizer_is_listed_but_not_plannable(tmp_path: Path) -> None:
    _planes(tmp_path, "3-Plane Loc")
    found = inspect_path(tmp_path).volumes
    assert [v.part for v in found] == [f"orientation {n} of 3" for n in (1, 2, 3)]
    assert all("a localizer" in (v.reason or "") and not v.plannable for v in found)


def test_thin_stack_named_survey_stays_plannable(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "SeriesDescription", "survey 3D"))
    assert load_volume(tmp_path).grid.is_close(grid)


def test_ct_scout_beside_its_series_does_not_stop_it(tmp_path: Path, grid: Grid) -> None:
    def scout(ds: Dataset, k: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.99", 1

    write_series(tmp_path, grid, modality="CT")
    write_series(tmp_path / "scout", grid, modality="CT", edit=scout)
    assert load_volume(tmp_path).source.series_number == 4


def test_projections_are_refused(tmp_path: Path, grid: Grid) -> None:
    def mip(ds: Dataset, k: int) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"]

    write_series(tmp_path, grid, edit=mip)
    with pytest.raises(InputError, match="projection images"):
        load_volume(tmp_path)


def test_derived_images_are_plannable_with_a_warning(tmp_path: Path, grid: Grid) -> None:
    def adc(ds: Dataset, k: int) -> None:
        ds.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]

    write_series(tmp_path, grid, edit=adc)
    assert any(w.startswith("derived images (DIFFUSION ADC)") for w in labels_warnings(tmp_path))


def labels_warnings(folder: Path) -> tuple[str, ...]:
    return load_volume(folder).source.warnings


def test_two_studies_with_one_series_uid_stay_apart(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    write_series(tmp_path / "b", grid, edit=lambda ds, k: setattr(ds, "StudyInstanceUID", "1.9"))
    found = inspect_path(tmp_path).volumes
    assert [v.n_files for v in found] == [6, 6]
    assert [v.select for v in found] == ["#1", "#2"]


def test_two_patients_with_one_series_uid_stay_apart(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    write_series(tmp_path / "b", grid, edit=lambda ds, k: setattr(ds, "PatientID", "other"))
    assert [v.n_files for v in inspect_path(tmp_path).volumes] == [6, 6]


def test_series_without_uid_is_grouped_by_folder(tmp_path: Path, grid: Grid) -> None:
    for name in "ab":
        write_series(tmp_path / name, grid, edit=lambda ds, k: setattr(ds, "SeriesInstanceUID", ""))
    found = inspect_path(tmp_path).volumes
    assert [(v.n_files, v.series_instance_uid) for v in found] == [(6, None)] * 2


def test_a_number_of_each_image_does_not_scatter_the_volumes(tmp_path: Path, grid: Grid) -> None:
    def put(ds: Dataset, n: int, k: int) -> None:
        ds.AcquisitionNumber = 100 * n + k
        ds.AcquisitionTime = f"12{n:02d}{k:02d}"

    write_repeats(tmp_path, grid, 2, put)
    assert labels(tmp_path) == ["time 1 of 2", "time 2 of 2"]


def test_stacks_of_two_pixel_spacings_in_one_series_are_refused(tmp_path: Path) -> None:
    for name, spacing_mm in (("axial", 0.9), ("coronal", 0.8)):
        grid = Grid.from_axes(
            (4, 5, 4), (3.0, spacing_mm, spacing_mm), (0, 0, 0), ORIENTED_AXES[name],
            FrameId("1.2.3.4", "test"),
        )  # fmt: skip
        write_series(tmp_path, grid, prefix=name)
    found = inspect_path(tmp_path).volumes
    assert [v.part for v in found] == ["orientation 1 of 2", "orientation 2 of 2"]
    for volume in found:
        assert "mixed pixel spacing: 2 kinds in one series" in (volume.reason or "")


def test_a_localizer_without_frame_stays_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        del ds.FrameOfReferenceUID

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(InputError, match="a localizer"):
        load_volume(tmp_path)
