"""What a header tells of its images: echo-planar, derived, positions, promised counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from planner.geometry import FrameId, Grid, ImageWarning, PatientPosition
from planner.io import inspect_path, load_volume
from tests.dicom_writer import texture, write_series
from tests.grids import ORIENTED_AXES

Put = Callable[[Dataset], None]


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (6, 5, 4), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip


def remarks(folder: Path, code: str) -> list[str]:
    """The warnings of the only volume that carry a code."""
    (volume,) = inspect_path(folder).volumes
    return [str(w) for w in volume.warnings if ImageWarning.code_of(w) == code]


def with_one(folder: Path, grid: Grid, put: Put, **kwargs: object) -> None:
    write_series(folder, grid, edit=lambda ds, k: put(ds), **kwargs)  # type: ignore[arg-type]


def _set(**values: object) -> Put:
    def put(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return put


def _philips(element: int, value: int) -> Put:
    def put(ds: Dataset) -> None:
        block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(element, "SL", value)

    return put


@pytest.mark.parametrize(
    ("put", "sign"),
    [
        (_set(ScanningSequence="EP"), "ScanningSequence EP"),
        (_set(ScanningSequence=["EP", "GR"]), "ScanningSequence EP"),
        (_set(SequenceName="*epfid2d1_64"), r"SequenceName \*epfid2d1_64"),
        (_set(SequenceName="*re_b50t"), r"SequenceName \*re_b50t"),
        (_set(ScanOptions=["FAST_GEMS", "EPI_GEMS"]), "ScanOptions EPI"),
        (_set(ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]), "ImageType ADC DIFFUSION"),
        (_set(ImageType=["DERIVED", "PRIMARY", "CALC_BVAL"]), "ImageType CALC_BVAL"),
        (_set(ImageType=["DERIVED", "PRIMARY", "TRACEW"]), "ImageType TRACEW"),
        (_set(DiffusionBValue=800.0), "diffusion-weighted"),
        (_philips(0x13, 57), "EPI factor 57"),
    ],
)
def test_echo_planar_images_are_told(tmp_path: Path, grid: Grid, put: Put, sign: str) -> None:
    import re

    with_one(tmp_path, grid, put)
    (text,) = remarks(tmp_path, "echo_planar")
    assert re.match(rf"echo-planar images \({sign}.*\): geometrically distorted", text)
    assert "not for needle planning unless checked" in text


@pytest.mark.parametrize(
    "put",
    [
        _set(ScanningSequence="SE", SequenceName="*tse2d1_25"),
        _set(ScanningSequence=["GR", "IR"], SequenceName="*tfl3d1_16"),
        _set(SequenceName="*se2d1", ScanOptions=["PFP", "FS"]),
        _set(DiffusionBValue=0.0),  # Philips writes it into every image
        _set(ImageType=["DERIVED", "PRIMARY", "MPR"]),
        _philips(0x13, 1),
    ],
)
def test_other_images_are_not_called_echo_planar(tmp_path: Path, grid: Grid, put: Put) -> None:
    with_one(tmp_path, grid, put)
    assert remarks(tmp_path, "echo_planar") == []


def test_ct_is_never_echo_planar(tmp_path: Path, grid: Grid) -> None:
    with_one(tmp_path, grid, _set(ScanOptions="EPI"), modality="CT")
    assert remarks(tmp_path, "echo_planar") == []


def test_the_volume_of_b_zero_is_known_by_its_siblings(tmp_path: Path, grid: Grid) -> None:
    for n, b in enumerate((0.0, 400.0)):
        write_series(
            tmp_path, grid, texture(grid) + n, prefix=f"{n}_",
            edit=lambda ds, k, b=b: setattr(ds, "DiffusionBValue", b),
        )  # fmt: skip
    found = inspect_path(tmp_path).volumes
    assert [v.part for v in found] == ["b=0", "b=400"]
    for volume in found:
        assert any(ImageWarning.code_of(w) == "echo_planar" for w in volume.warnings)


@pytest.mark.parametrize(("value", "text"), [("ROW", "along the rows"), ("COL", "the columns")])
def test_the_distorted_axis_is_named(tmp_path: Path, grid: Grid, value: str, text: str) -> None:
    with_one(tmp_path, grid, _set(ScanningSequence="EP", InPlanePhaseEncodingDirection=value))
    assert text in remarks(tmp_path, "echo_planar")[0]


def test_echo_planar_warning_reaches_the_volume(tmp_path: Path, grid: Grid) -> None:
    with_one(tmp_path, grid, _set(ScanningSequence="EP"))
    codes = [ImageWarning.code_of(w) for w in load_volume(tmp_path).source.warnings]
    assert "echo_planar" in codes


def test_projections_are_refused(tmp_path: Path, grid: Grid) -> None:
    with_one(tmp_path, grid, _set(ImageType=["DERIVED", "SECONDARY", "MIP"]))
    (volume,) = inspect_path(tmp_path).volumes
    assert not volume.plannable
    assert "projection images: what they show has no one depth" in (volume.reason or "")
    assert "--series" in (volume.reason or "")


def test_derived_images_are_told(tmp_path: Path, grid: Grid) -> None:
    with_one(tmp_path, grid, _set(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    assert remarks(tmp_path, "derived")[0].startswith("derived images (MPR)")


@pytest.mark.parametrize("code", ["LFP", "LFS", "RFP", "RFS", "AFDR", "PFDL", "SITTING"])
def test_a_position_without_a_known_down_is_unknown_and_told(
    tmp_path: Path, grid: Grid, code: str
) -> None:
    with_one(tmp_path, grid, _set(PatientPosition=code))
    volume = load_volume(tmp_path)
    assert volume.source.patient_position is PatientPosition.UNKNOWN
    assert volume.source.patient_position.down_lps is None
    (text,) = remarks(tmp_path, "patient_position")
    assert f"'{code}'" in text
    assert "--table-side" in text


@pytest.mark.parametrize("code", ["HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"])
def test_known_positions_are_kept_without_a_word(tmp_path: Path, grid: Grid, code: str) -> None:
    with_one(tmp_path, grid, _set(PatientPosition=code))
    assert load_volume(tmp_path).source.patient_position == code
    assert remarks(tmp_path, "patient_position") == []


@pytest.mark.parametrize(
    ("put", "name"),
    [
        (_set(ImagesInAcquisition="8"), "ImagesInAcquisition 8, found 6"),
        (
            lambda ds: ds.private_block(0x0025, "GEMS_SERS_01", create=True).add_new(0x07, "SL", 7),
            "Images in Series 7, found 6",
        ),
        (
            lambda ds: (_philips(0x18, 9)(ds), _philips(0x60, 1)(ds)),
            "Number of Slices MR 9, found 6",
        ),
    ],
)
def test_fewer_images_than_promised_are_told(
    tmp_path: Path, grid: Grid, put: Put, name: str
) -> None:
    with_one(tmp_path, grid, put)
    (volume,) = inspect_path(tmp_path).volumes
    assert volume.plannable
    assert f"({name}): slices may be missing at an end" in remarks(tmp_path, "fewer_images")[0]


def test_private_values_behind_an_open_sequence_are_read(tmp_path: Path, grid: Grid) -> None:
    """GE writes sequences of undefined length in front of its private numbers."""

    def put(ds: Dataset) -> None:
        ds.ReferencedImageSequence = [Dataset()]
        ds["ReferencedImageSequence"].is_undefined_length = True
        ds.private_block(0x0025, "GEMS_SERS_01", create=True).add_new(0x07, "SL", 7)

    with_one(tmp_path, grid, put)
    assert "Images in Series 7, found 6" in remarks(tmp_path, "fewer_images")[0]


@pytest.mark.parametrize(
    "put",
    [
        _set(ImagesInAcquisition="6"),
        _set(ImagesInAcquisition="3"),
        _set(ImagesInAcquisition="0"),
        lambda ds: (_philips(0x18, 9)(ds), _philips(0x60, 3)(ds)),  # nine in three stacks
        lambda ds: ds.private_block(0x0025, "SOMEBODY", create=True).add_new(0x07, "SL", 99),
    ],
)
def test_no_promise_broken_is_no_warning(tmp_path: Path, grid: Grid, put: Put) -> None:
    with_one(tmp_path, grid, put)
    assert remarks(tmp_path, "fewer_images") == []


def test_the_promise_counts_all_parts_of_a_series(tmp_path: Path, grid: Grid) -> None:
    for n, echo in enumerate(("7", "10")):
        write_series(
            tmp_path, grid, texture(grid) + n, prefix=f"{n}_",
            edit=lambda ds, k, te=echo: _set(EchoTime=te, ImagesInAcquisition="12")(ds),
        )  # fmt: skip
    for volume in inspect_path(tmp_path).volumes:
        assert not any("fewer images" in w for w in volume.warnings)
