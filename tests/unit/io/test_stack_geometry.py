"""Every guard on slice positions: where it must say no, and where it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from planner.errors import DicomTagError, MixedFrameError, SeriesGeometryError
from planner.geometry import FrameId, Grid, ImageWarning
from planner.io import load_volume
from planner.io.stack_problems import AXES_TOL_COSINE, POSITION_TOL_MM
from tests.dicom_writer import Edit, edit_file, write_series
from tests.grids import ORIENTED_AXES

pytestmark = pytest.mark.filterwarnings("error")


def moved(grid: Grid, axis_kji: int, mm: float, only: int | None = None) -> Edit:
    """An edit that shifts slices (or one of them) along a grid axis."""
    step = grid.axes_lps_from_kji[:, axis_kji] * mm

    def edit(ds: Dataset, k: int) -> None:
        if only is None or k == only:
            position = np.array(ds.ImagePositionPatient, float) + step
            ds.ImagePositionPatient = [f"{v:.9f}" for v in position]

    return edit


@pytest.fixture
def grid() -> Grid:
    """Ten oblique slices, 3 mm apart."""
    return Grid.from_axes(
        (10, 6, 5), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip


def test_missing_slice_is_named_with_its_gap(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid, skip=(4,))
    with pytest.raises(
        SeriesGeometryError,
        match=r"1 slice missing; seen: 8\.000 mm between slice \d \(IM\d+\) and slice \d"
        r".*around LPS.*needed: 4\.000 mm",
    ):
        load_volume(tmp_path)


def test_missing_slice_is_placed_in_the_patient(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=(4,))
    x, y, z = grid.to_lps([4, 0, 0])
    place = rf"around LPS \({x:.2f}, {y:.2f}, {z:.2f}\) mm"
    with pytest.raises(SeriesGeometryError, match=place):
        load_volume(tmp_path)


def test_several_missing_slices_are_counted(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=(2, 3, 6))
    with pytest.raises(SeriesGeometryError, match="3 slices missing"):
        load_volume(tmp_path)


def test_series_without_its_last_slices_is_whole(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=(8, 9))
    assert load_volume(tmp_path).grid.shape_kji == (8, 6, 5)


def test_wide_gap_may_be_two_blocks(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=(3, 4, 5, 6))
    text = r"4 slices missing.*--series.*2 separate blocks of slices \(3 \+ 3\), export each"
    with pytest.raises(SeriesGeometryError, match=text):
        load_volume(tmp_path)


@pytest.mark.parametrize("skip", [(4,), (4, 5), (2, 3, 4, 5)])
def test_a_narrow_gap_or_few_slices_are_no_block(
    tmp_path: Path, grid: Grid, skip: tuple[int, ...]
) -> None:
    write_series(tmp_path, grid, skip=skip)
    with pytest.raises(SeriesGeometryError, match="missing") as caught:
        load_volume(tmp_path)
    assert "blocks" not in str(caught.value)


def test_blocks_whose_gap_is_no_multiple_of_the_step(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        moved(grid, 0, 13.7 if k >= 5 else 0.0)(ds, k)

    write_series(tmp_path, grid, edit=edit)
    text = r"uneven slice gaps: 3\.000 to 16\.700 mm.*2 separate blocks of slices \(5 \+ 5\)"
    with pytest.raises(SeriesGeometryError, match=text):
        load_volume(tmp_path)


def test_two_stacks_between_each_other(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: moved(grid, 0, 1.0 * (k % 2))(ds, k))
    text = r"uneven slice gaps: 2\.000 to 4\.000 mm.*two stacks of 5 and 5 slices that lie between"
    with pytest.raises(SeriesGeometryError, match=text):
        load_volume(tmp_path)


def test_uneven_gap_is_refused_with_numbers(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=moved(grid, 0, 1.1, only=4))
    with pytest.raises(SeriesGeometryError, match=r"uneven slice gaps: 1\.900 to 4\.100 mm"):
        load_volume(tmp_path)


def jitter(grid: Grid, axis_kji: int, residual_mm: float) -> Edit:
    """Moves each slice by + - - + of a pattern that no even stack can follow.

    + - - + repeats over eight slices has no mean and no slope, so each slice is off the
    fitted stack by exactly ``residual_mm``.
    """
    signs = (1, -1, -1, 1, 1, -1, -1, 1)

    def edit(ds: Dataset, k: int) -> None:
        moved(grid, axis_kji, signs[k] * residual_mm)(ds, k)

    return edit


@pytest.mark.parametrize(
    ("axis", "text"), [(0, "uneven slice gaps"), (1, "shifted sideways"), (2, "shifted sideways")]
)
def test_jitter_just_over_tolerance_is_refused(
    tmp_path: Path, grid: Grid, axis: int, text: str
) -> None:
    write_series(tmp_path, grid, edit=jitter(grid, axis, 1.02 * POSITION_TOL_MM), skip=(8, 9))
    with pytest.raises(SeriesGeometryError, match=text):
        load_volume(tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_jitter_just_under_tolerance_is_accepted_and_told_in_mm(
    tmp_path: Path, grid: Grid, axis: int
) -> None:
    write_series(tmp_path, grid, edit=jitter(grid, axis, 0.98 * POSITION_TOL_MM), skip=(8, 9))
    volume = load_volume(tmp_path)
    (warning,) = [w for w in volume.source.warnings if "deviate" in w]
    assert warning.startswith("slice positions deviate by up to 0.049 mm from an even stack")
    assert ImageWarning.code_of(warning) == "uneven_slices"
    assert volume.grid.spacing_kji_mm[0] == pytest.approx(3.0, abs=1e-6)


def test_even_stack_has_no_jitter_warning(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    assert not [w for w in load_volume(tmp_path).source.warnings if "deviate" in w]


def test_gaps_that_grow_slowly_are_refused(tmp_path: Path, grid: Grid) -> None:
    def grow(ds: Dataset, k: int) -> None:
        moved(grid, 0, 0.01 * k * k)(ds, k)

    write_series(tmp_path, grid, edit=grow)
    with pytest.raises(SeriesGeometryError, match=r"uneven slice gaps: 3\.010 to 3\.170 mm"):
        load_volume(tmp_path)


@pytest.mark.parametrize("angle_deg", [0.5, 10.0, -20.0])
def test_gantry_tilt_is_refused_with_its_angle(
    tmp_path: Path, grid: Grid, angle_deg: float
) -> None:
    per_slice_mm = 3.0 * np.tan(np.radians(angle_deg))

    def shear(ds: Dataset, k: int) -> None:
        moved(grid, 1, per_slice_mm * k)(ds, k)
        ds.GantryDetectorTilt = str(angle_deg)

    write_series(tmp_path, grid, edit=shear, modality="CT")
    with pytest.raises(
        SeriesGeometryError,
        match=rf"gantry tilt.*seen: {abs(angle_deg):.3f} degrees.*GantryDetectorTilt {angle_deg:g}",
    ):
        load_volume(tmp_path)


def test_slice_shifted_sideways_is_named(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=moved(grid, 2, 1.1, only=4))
    with pytest.raises(
        SeriesGeometryError, match=r"slice \d of 10 is shifted sideways; seen: 1\.100 mm"
    ):
        load_volume(tmp_path)


def turned(grid: Grid, degrees: float, only: int) -> Edit:
    """An edit that turns one slice about its column direction."""
    angle = np.radians(degrees)
    k_axis, j_axis, i_axis = grid.axes_lps_from_kji.T

    def edit(ds: Dataset, k: int) -> None:
        if k == only:
            row = np.cos(angle) * i_axis + np.sin(angle) * k_axis
            ds.ImageOrientationPatient = [f"{v:.10f}" for v in (*row, *j_axis)]

    return edit


@pytest.mark.parametrize("degrees", [0.05, 0.5, 5.0, 90.0])
@pytest.mark.parametrize("only", [0, 4, 9])
def test_a_turned_slice_is_refused_wherever_it_lies(
    tmp_path: Path, grid: Grid, degrees: float, only: int
) -> None:
    write_series(tmp_path, grid, edit=turned(grid, degrees, only))
    with pytest.raises((SeriesGeometryError), match=r"mixed orientation.*degrees") as caught:
        load_volume(tmp_path, series="4:1" if degrees > 1 else None)
    assert f"{degrees:.2f}" in str(caught.value)


def test_a_turn_within_rounding_is_accepted(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=turned(grid, 0.001, 4))
    assert load_volume(tmp_path).grid.shape_kji == grid.shape_kji


def test_axes_not_at_right_angles_are_refused(tmp_path: Path, grid: Grid) -> None:
    _, j_axis, i_axis = grid.axes_lps_from_kji.T

    def edit(ds: Dataset, k: int) -> None:
        skew = j_axis + 20 * AXES_TOL_COSINE * i_axis
        ds.ImageOrientationPatient = [f"{v:.10f}" for v in (*i_axis, *skew)]

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(SeriesGeometryError, match=r"right angles.*cosine between them 2\.00e-03"):
        load_volume(tmp_path)


def test_axes_not_of_unit_length_are_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImageOrientationPatient = [f"{1.01 * v:.10f}" for v in ds.ImageOrientationPatient]

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(SeriesGeometryError, match=r"not unit vectors.*lengths 1\.010000, 1\.010"):
        load_volume(tmp_path)


def test_mixed_pixel_spacing_is_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if k == 9:
            ds.PixelSpacing = ["0.8", "0.7"]

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(
        SeriesGeometryError,
        match=r"mixed pixel spacing.*0\.8 x 0\.6 mm in 9 images; 0\.8 x 0\.7 mm in 1 image",
    ):
        load_volume(tmp_path)


def test_mixed_image_size_is_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if k == 0:
            ds.Rows, ds.PixelData = 5, ds.PixelData[:50]

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(SeriesGeometryError, match=r"mixed image size.*5 x 5 px in 1 image"):
        load_volume(tmp_path)


def test_duplicate_position_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    write_series(tmp_path, grid, prefix="B", skip=tuple(k for k in range(10) if k != 4))
    with pytest.raises(
        SeriesGeometryError, match=r"duplicate slices: 1 of 11 images.*in both BIM\d+ and IM\d+;"
    ):
        load_volume(tmp_path)


def test_all_slices_at_one_place(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        moved(grid, 0, -3.0 * k)(ds, k)
        ds.AcquisitionNumber = k

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(SeriesGeometryError, match="all 10 slices lie at one place"):
        load_volume(tmp_path)


def test_single_slice_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=tuple(range(1, 10)))
    with pytest.raises(
        SeriesGeometryError, match="only one slice; seen: 1 slice; needed: at least"
    ):
        load_volume(tmp_path)


def test_two_slices_are_read_with_a_warning(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, skip=tuple(range(2, 10)))
    volume = load_volume(tmp_path)
    assert volume.grid.shape_kji[0] == 2
    assert any("only two slices, 3.00 mm apart" in w for w in volume.source.warnings)


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_missing_geometry_is_refused(tmp_path: Path, grid: Grid, keyword: str) -> None:
    files = write_series(tmp_path, grid)
    edit_file(files[2], lambda ds: ds.__delattr__(keyword))
    with pytest.raises(DicomTagError, match=rf"{keyword} is missing.*in 1 of 10 images"):
        load_volume(tmp_path)


def test_zero_pixel_spacing_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "PixelSpacing", ["0", "0.8"]))
    with pytest.raises(DicomTagError, match=r"PixelSpacing is not positive; seen: 0 x 0\.8 mm"):
        load_volume(tmp_path)


def _without_frame(ds: Dataset, k: int) -> None:
    del ds.FrameOfReferenceUID


def test_no_frame_of_reference_is_read_with_a_warning_and_equals_no_other(
    tmp_path: Path, grid: Grid
) -> None:
    write_series(tmp_path, grid, edit=_without_frame)
    volume = load_volume(tmp_path)
    assert volume.grid.frame.uid is None
    assert not volume.grid.frame.same_as(volume.grid.frame)
    (warning,) = [w for w in volume.source.warnings if ImageWarning.code_of(w) == "frame_unknown"]
    for text in ("absent in all 10 images", "this series alone", "--target", "--structures"):
        assert text in warning


def test_a_series_with_its_frame_has_no_such_warning(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    codes = {ImageWarning.code_of(w) for w in load_volume(tmp_path).source.warnings}
    assert "frame_unknown" not in codes


def test_an_unknown_frame_excuses_nothing_else(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=_without_frame, skip=(4,))
    with pytest.raises(SeriesGeometryError, match="1 slice missing"):
        load_volume(tmp_path)


def test_frame_of_reference_in_some_files_only_is_refused(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    edit_file(files[2], lambda ds: ds.__delattr__("FrameOfReferenceUID"))
    with pytest.raises(SeriesGeometryError, match=r"no frame of reference.*in 1 of 10 images"):
        load_volume(tmp_path)


def test_a_slice_of_another_frame_is_refused(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    edit_file(files[0], lambda ds: setattr(ds, "FrameOfReferenceUID", "9.9"))
    with pytest.raises(MixedFrameError, match=r"mixes 2 frames of reference.*9 \+ 1 slices"):
        load_volume(tmp_path, series="4:frame 1 of 2")


def test_tissue_between_slices_is_told(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "SliceThickness", "2.4"))
    assert (
        "slices are 2.40 mm thick but 3.00 mm apart: 20 % of the tissue was not imaged"
        in load_volume(tmp_path).source.warnings
    )
