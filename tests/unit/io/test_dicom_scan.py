"""Scanning a folder: everything found is used or listed with its reason."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, ImplicitVRLittleEndian

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry import Grid
from planner.io import header_reader, inspect_path, load_volume
from planner.io.dicom_scan import scan
from tests.dicom_writer import edit_file, save, slice_dataset, texture, write_series

SECONDARY_CAPTURE = UID("1.2.840.10008.5.1.4.1.1.7")
ENHANCED_MR = UID("1.2.840.10008.5.1.4.1.1.4.1")
SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.4")


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes((4, 6, 5), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0))


def skipped(folder: Path) -> dict[str, str]:
    return {s.file: s.reason for s in inspect_path(folder).skipped}


def test_other_files_are_listed_and_the_volume_is_read(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path / "a" / "b", grid)
    (tmp_path / "readme.txt").write_text("x" * 300)
    (tmp_path / "a" / "empty.dcm").write_bytes(b"")
    (tmp_path / "a" / "mask.nii.gz").write_bytes(b"\x1f\x8b")
    found = skipped(tmp_path)
    assert found["readme.txt"] == found["a/empty.dcm"] == "not a DICOM file"
    assert "a volume file" in found["a/mask.nii.gz"]
    assert load_volume(tmp_path).grid.shape_kji == (4, 6, 5)


@pytest.mark.parametrize("n_bytes", [133, 150, 200, 333, 400, 600])
def test_a_cut_header_is_listed_not_fatal(tmp_path: Path, grid: Grid, n_bytes: int) -> None:
    files = write_series(tmp_path, grid)
    cut = tmp_path / "zz_cut"
    cut.write_bytes(files[0].read_bytes()[:n_bytes])
    found = inspect_path(tmp_path)
    text = found.to_text()
    assert "zz_cut" in text
    assert sum(v.plannable for v in found.volumes) == 1


def test_random_damage_never_ends_the_scan(
    tmp_path: Path, grid: Grid, rng: np.random.Generator
) -> None:
    whole = write_series(tmp_path / "good", grid)[0].read_bytes()
    for n in range(60):
        data = bytearray(whole)
        for place in rng.integers(132, len(data), 12):
            data[place] = int(rng.integers(256))
        (tmp_path / f"bad{n}").write_bytes(bytes(data))
    found = inspect_path(tmp_path)
    assert found.to_text()
    assert sum(v.n_files for v in found.volumes) + len(found.skipped) == 60 + grid.shape_kji[0]
    assert inspect_path(tmp_path / "good").n_plannable == 1


@pytest.mark.parametrize(
    "error", [struct.error("x"), KeyError("x"), RecursionError("x"), MemoryError("x")]
)
def test_any_error_of_the_parser_is_one_skipped_file(
    tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    files = write_series(tmp_path, grid)
    real = header_reader.open_header

    def flaky(stream, *arguments):
        if stream.name == str(files[0]):
            raise error
        return real(stream, *arguments)

    monkeypatch.setattr(header_reader, "open_header", flaky)
    found = scan(tmp_path)
    assert [s.reason for s in found.skipped] == [f"damaged DICOM file ({type(error).__name__})"]
    assert len(found.slices) == 3


def test_a_damaged_file_beside_a_series_is_told_in_its_warnings(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    whole = next(tmp_path.iterdir()).read_bytes()
    (tmp_path / "zz_bad").write_bytes(whole[: whole.index(b"\x20\x00\x0d\x00UI")])
    assert skipped(tmp_path) == {"zz_bad": "damaged DICOM file (no Rows and Columns)"}
    (volume,) = inspect_path(tmp_path).volumes
    assert volume.plannable
    assert volume.warnings[-1] == (
        "1 unreadable file beside these may belong to the series: zz_bad"
    )


def test_cut_pixels_refuse_the_series(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    files[1].write_bytes(files[1].read_bytes()[:-10])
    with pytest.raises(
        InputError,
        match=r"damaged \(1 of 4 images\); seen: pixel data is cut: 50 bytes where 60 are needed",
    ):
        load_volume(tmp_path)


def test_a_slice_without_pixels_refuses_the_series(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    edit_file(files[1], lambda ds: ds.__delattr__("PixelData"))
    with pytest.raises(InputError, match="the file ends before its pixel data"):
        load_volume(tmp_path)


def test_a_broken_number_refuses_the_series(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    data = files[1].read_bytes()
    place = data.index(b"\x28\x00\x30\x00DS") + 8
    files[1].write_bytes(data[:place] + b"a" + data[place + 1 :])
    with pytest.raises(InputError, match=r"PixelSpacing.*in 1 of 4 images"):
        load_volume(tmp_path)


def test_files_without_preamble_are_read(tmp_path: Path, grid: Grid) -> None:
    for n in range(4):
        ds = slice_dataset(grid, n, texture(grid)[n])
        del ds.file_meta.TransferSyntaxUID
        pydicom.dcmwrite(
            tmp_path / f"{n}", pydicom.Dataset(ds), implicit_vr=True, little_endian=True
        )
    assert (tmp_path / "0").read_bytes()[128:132] != b"DICM"
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


def test_implicit_syntax_is_read(tmp_path: Path, grid: Grid) -> None:
    def implicit(ds, k):
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    write_series(tmp_path, grid, edit=implicit)
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


def test_empty_class_in_the_data_set_is_taken_from_the_file_header(
    tmp_path: Path, grid: Grid
) -> None:
    for file in write_series(tmp_path, grid):
        ds = pydicom.dcmread(file)
        ds.SOPClassUID = ""
        ds.save_as(file, enforce_file_format=False)
    assert load_volume(tmp_path).grid.shape_kji == (4, 6, 5)


def _as_class(uid: UID, **values: object):
    def edit(ds, k):
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def test_secondary_capture_is_listed_as_not_plannable(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=_as_class(SECONDARY_CAPTURE))
    (volume,) = inspect_path(tmp_path).volumes
    assert not volume.plannable
    assert "Secondary Capture Image Storage is not a cross-sectional" in (volume.reason or "")


def test_enhanced_multi_frame_without_places_is_listed_as_not_plannable(
    tmp_path: Path, grid: Grid
) -> None:
    ds = slice_dataset(grid, 0, np.concatenate(list(texture(grid))))
    _as_class(ENHANCED_MR, NumberOfFrames=4, Rows=6)(ds, 0)
    save(ds, tmp_path / "emr.dcm")
    for path in (tmp_path, tmp_path / "emr.dcm"):
        with pytest.raises(UnsupportedObjectError, match="4 of 4 frames have no ImagePosition"):
            load_volume(path)


def test_multi_frame_in_a_classic_class_is_not_stacked(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "NumberOfFrames", 2))
    with pytest.raises(UnsupportedObjectError, match=r"multi-frame image \(2 frames\)"):
        load_volume(tmp_path)


def test_mosaic_without_private_header_is_never_stacked(tmp_path: Path, grid: Grid) -> None:
    def mosaic(ds, k):
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    write_series(tmp_path, grid, edit=mosaic)
    with pytest.raises(UnsupportedObjectError, match="Siemens mosaic"):
        load_volume(tmp_path)


def test_mosaic_beside_a_volume_is_listed(tmp_path: Path, grid: Grid) -> None:
    def mosaic(ds, k):
        ds.ImageType, ds.SeriesNumber = ["ORIGINAL", "PRIMARY", "MOSAIC"], 3
        ds.SeriesInstanceUID = "1.2.9"

    write_series(tmp_path, grid)
    write_series(tmp_path / "m", grid, edit=mosaic)
    assert [v.plannable for v in inspect_path(tmp_path).volumes] == [False, True]
    assert load_volume(tmp_path).values.shape == (4, 6, 5)


def test_segmentation_and_directory_are_skipped_with_a_reason(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    for name, uid in (("seg", SEGMENTATION), ("DICOMDIR", UID("1.2.840.10008.1.3.10"))):
        ds = slice_dataset(grid, 0, texture(grid)[0])
        _as_class(uid)(ds, 0)
        save(ds, tmp_path / name)
    found = skipped(tmp_path)
    assert "DICOM SEG" in found["seg"]
    assert "DICOMDIR index" in found["DICOMDIR"]


def test_odd_directory_entries_do_no_harm(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path / "a", grid)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = skipped(tmp_path)
    assert set(found) == {"pipe", "dead", "loop"}
    assert "not followed" in found["loop"]
    assert load_volume(tmp_path).values.shape == (4, 6, 5)


def test_hash_of_the_patient_is_not_the_patient(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    assert "4711" not in repr(scan(tmp_path))
