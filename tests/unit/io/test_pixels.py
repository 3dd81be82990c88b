"""Pixel values: types, rescale, compression, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry import Grid
from planner.io import load_volume
from planner.io.dicom_scan import scan
from planner.io.pixels import read_values
from tests.dicom_writer import slice_dataset, texture, write_series


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes((4, 64, 48), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_stored_type_is_kept(tmp_path: Path, grid: Grid, dtype: type) -> None:
    values = texture(grid).astype(np.int64) % 200 - (90 if np.dtype(dtype).kind == "i" else 0)
    write_series(tmp_path, grid, values.astype(dtype))
    volume = load_volume(tmp_path)
    assert volume.values.dtype == dtype
    assert np.array_equal(volume.values, values.astype(dtype))


def test_values_are_read_only(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid)
    with pytest.raises(ValueError, match="read-only"):
        load_volume(tmp_path).values[0, 0, 0] = 1


def test_rescale_of_each_slice(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = str(1.5 + k), str(-1024 + k)

    write_series(tmp_path, grid, edit=edit, modality="CT")
    volume = load_volume(tmp_path)
    k = np.arange(4)[:, None, None]
    assert volume.values.dtype == np.float32
    assert np.allclose(volume.values, texture(grid) * (1.5 + k) - 1024 + k, rtol=1e-6)


def test_rescale_of_one_slice_applies_to_it_alone(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        if k == 2:
            ds.RescaleSlope, ds.RescaleIntercept = "2", "0"

    write_series(tmp_path, grid, edit=edit)
    expected = texture(grid).astype(np.float32)
    expected[2] *= 2
    assert np.array_equal(load_volume(tmp_path).values, expected)


def test_identity_rescale_keeps_integers(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = "1.0", "0"

    write_series(tmp_path, grid, edit=edit)
    assert load_volume(tmp_path).values.dtype == np.uint16


def test_zero_slope_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "RescaleSlope", "0"))
    with pytest.raises(InputError, match="RescaleSlope is 0"):
        load_volume(tmp_path)


def test_signed_and_unsigned_slices_mix_without_wrapping(tmp_path: Path, grid: Grid) -> None:
    values = texture(grid).astype(np.int64) * 70
    values[1] -= 30000

    def edit(ds: Dataset, k: int) -> None:
        ds.PixelRepresentation = int(k == 1)
        ds.PixelData = values[k].astype(np.int16 if k == 1 else np.uint16).tobytes()

    values[1] = values[1].clip(-30000, 30000)
    write_series(tmp_path, grid, edit=edit)
    assert np.array_equal(load_volume(tmp_path).values, values)


@pytest.mark.parametrize("is_signed", [False, True])
def test_bits_above_bits_stored_are_ignored(tmp_path: Path, grid: Grid, is_signed: bool) -> None:
    values = texture(grid).astype(np.int16) - (400 if is_signed else 0)
    dirty = (values.view(np.uint16) & 0x0FFF) | 0xA000

    def edit(ds: Dataset, k: int) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, int(is_signed)

    write_series(tmp_path, grid, dirty, edit=edit)
    assert np.array_equal(load_volume(tmp_path).values, values)


def test_pixels_in_the_high_bits(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.BitsStored, ds.HighBit = 12, 15

    write_series(tmp_path, grid, texture(grid) << 4, edit=edit)
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
def test_lossless_syntaxes_give_the_same_values(
    tmp_path: Path, grid: Grid, syntax: UID, is_signed: bool
) -> None:
    values = texture(grid).astype(np.int16) - 400 if is_signed else texture(grid)

    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = "2", "-10"
        if syntax.is_compressed and syntax.is_encapsulated:
            ds.compress(syntax, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax

    write_series(tmp_path, grid, values, edit=edit)
    volume = load_volume(tmp_path)
    assert np.array_equal(volume.values, values * 2.0 - 10)
    assert not [w for w in volume.source.warnings if "lossy" in w]


def test_big_endian(tmp_path: Path, grid: Grid) -> None:
    for k in range(4):
        ds = slice_dataset(grid, k, texture(grid)[k])
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = texture(grid)[k].astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
        pydicom.dcmwrite(tmp_path / f"{k}", ds, little_endian=False, implicit_vr=False)
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


@pytest.mark.parametrize(("syntax", "options"), [
    (JPEG2000, {"j2k_cr": [2]}), (JPEGLSNearLossless, {"jls_error": 2}),
])  # fmt: skip
def test_lossy_pixels_are_told(
    tmp_path: Path, grid: Grid, syntax: UID, options: dict[str, object]
) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.compress(syntax, generate_instance_uid=False, **options)
        ds.LossyImageCompression = "01"

    write_series(tmp_path, grid, edit=edit)
    assert "lossy compressed pixels" in " ".join(load_volume(tmp_path).source.warnings)


def _claim(syntax: UID):
    def edit(ds: Dataset, k: int) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = syntax

    return edit


def test_lossy_12_bit_jpeg_is_refused(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=_claim(JPEGExtended12Bit))
    with pytest.raises(UnsupportedObjectError, match=r"compression is not read.*JPEG Extended"):
        load_volume(tmp_path)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"])
def test_pixels_that_do_not_decode_are_refused(tmp_path: Path, grid: Grid, uid: str) -> None:
    write_series(tmp_path, grid, edit=_claim(UID(uid)))
    with pytest.raises(InputError, match=r"the pixels cannot be decoded.*in: IM0"):
        load_volume(tmp_path)


def test_colour_is_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelData = 7, bytes(64 * 48 * 3)

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(
        UnsupportedObjectError, match=r"colour image \(4 of 4 images\); seen: RGB, 3"
    ):
        load_volume(tmp_path)


def test_palette_colour_is_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.PhotometricInterpretation = "PALETTE COLOR"

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(UnsupportedObjectError, match="seen: PALETTE COLOR, 1 samples"):
        load_volume(tmp_path)


def test_look_up_table_is_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [2, 0, 16], b"\0\0\1\0"
        item["LUTDescriptor"].VR = "US"
        item["LUTData"].VR = "OW"
        ds.ModalityLUTSequence = [item]

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(UnsupportedObjectError, match="look-up table"):
        load_volume(tmp_path)


def test_one_bit_pixels_are_refused(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0

    write_series(tmp_path, grid, edit=edit)
    with pytest.raises(UnsupportedObjectError, match="seen: 1 bits allocated"):
        load_volume(tmp_path)


def test_inverted_display_is_told(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path, grid, edit=edit)
    volume = load_volume(tmp_path)
    assert np.array_equal(volume.values, texture(grid))
    assert any("MONOCHROME1" in w for w in volume.source.warnings)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_jpeg_lossless_is_decoded_and_rescaled_once(
    tmp_path: Path, grid: Grid, dtype: type
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    values = texture(grid).astype(dtype) - (400 if dtype is np.int16 else 0)

    def edit(ds: Dataset, k: int) -> None:
        encoded = tmp_path / "encoded.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(encoded))
        writer.Execute(sitk.GetImageFromArray(values[k]))
        other = pydicom.dcmread(encoded)
        encoded.unlink()
        assert other.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds.PixelData = other.PixelData
        ds.RescaleSlope, ds.RescaleIntercept = "2", "-1024"

    write_series(tmp_path / "series", grid, values, edit=edit, modality="CT")
    assert np.array_equal(load_volume(tmp_path / "series").values, values * 2.0 - 1024)


@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_file_that_changes_between_check_and_reading_is_refused(
    tmp_path: Path, grid: Grid, change: str
) -> None:
    files = write_series(tmp_path, grid)
    headers = scan(tmp_path).slices
    if change == "shorter":
        files[2].write_bytes(files[2].read_bytes()[:-9])
    else:
        files[2].unlink()
    with pytest.raises(InputError, match=rf"cannot be decoded.*in: {files[2].name}"):
        read_values(headers)
