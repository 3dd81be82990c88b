"""Single-frame pixels, bit for bit, in every transfer syntax and stored format."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from planner.errors import InputError
from planner.geometry import Grid
from planner.io import load_volume
from tests.dicom_writer import save, slice_dataset
from tests.jpeg_lossless import encode

N_SLICES, ROWS, COLUMNS = 2, 35, 45
GRID = Grid.from_axes((N_SLICES, ROWS, COLUMNS), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0))


@dataclass(frozen=True)
class Format:
    """How one pixel is stored."""

    allocated: int
    stored: int
    high_bit: int
    is_signed: bool

    def __str__(self) -> str:
        sign = "signed" if self.is_signed else "unsigned"
        return f"{self.stored}of{self.allocated}-high{self.high_bit}-{sign}"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"{'i' if self.is_signed else 'u'}{self.allocated // 8}")

    def values(self) -> np.ndarray:
        """Every corner of the range among values of all sizes, shape of the grid."""
        low = -(1 << (self.stored - 1)) if self.is_signed else 0
        high = low + (1 << self.stored) - 1
        rng = np.random.default_rng(self.stored + 100 * self.is_signed)
        values = rng.integers(low, high, GRID.shape_kji, endpoint=True)
        values[:, 3:9, 3:12] = low + (np.arange(9) * 7) % 50  # a smooth part as well
        values[:, 0, :4] = low, high, 0, high
        return values.astype(self.dtype)

    def words(self, *, dirt: int = 0) -> np.ndarray:
        """The values as stored: shifted under the high bit, other bits from ``dirt``."""
        unsigned = np.dtype(f"u{self.allocated // 8}")
        mask = (1 << self.stored) - 1
        shift = self.high_bit + 1 - self.stored
        bits = (self.values().astype(np.int64) & mask) << shift
        return (bits | (dirt & ~(mask << shift) & ((1 << self.allocated) - 1))).astype(unsigned)


SMALL_IN_WIDE = Format(16, 8, 7, False)
"""pydicom's RLE encoder cannot write it."""

USUAL = [
    Format(8, 8, 7, False),
    Format(8, 8, 7, True),
    SMALL_IN_WIDE,
    Format(16, 12, 11, False),
    Format(16, 12, 11, True),
    Format(16, 16, 15, False),
    Format(16, 16, 15, True),
]
UNUSUAL = [
    Format(16, 12, 15, False),
    Format(16, 12, 13, True),
    Format(16, 10, 12, False),
    Format(16, 9, 15, True),
]


def dataset(k: int, form: Format, words: np.ndarray) -> pydicom.FileDataset:
    ds = slice_dataset(GRID, k, words[k])
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = form.allocated, form.stored, form.high_bit
    ds.PixelRepresentation = int(form.is_signed)
    ds["PixelData"].VR = "OB" if form.allocated == 8 else "OW"
    return ds


def write_native(folder: Path, form: Format, syntax: UID, words: np.ndarray) -> None:
    for k in range(N_SLICES):
        ds = dataset(k, form, words)
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = words[k].astype(words.dtype.newbyteorder(">")).tobytes()
            ds["PixelData"].VR = "OW"  # bytes of 8-bit pixels then go in pairs, swapped
            if form.allocated == 8:
                ds["PixelData"].VR = "OB"
            pydicom.dcmwrite(folder / f"{k}", ds, little_endian=False, implicit_vr=False)
        else:
            save(ds, folder / f"{k}")


def assert_exact(folder: Path, form: Format) -> None:
    volume = load_volume(folder)
    assert volume.values.dtype == form.dtype
    assert np.array_equal(volume.values, form.values())
    assert not [w for w in volume.source.warnings if "lossy" in w]


@pytest.mark.parametrize("form", USUAL + UNUSUAL, ids=str)
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
    ids=lambda uid: uid.keyword,
)
def test_native_pixels(tmp_path: Path, form: Format, syntax: UID) -> None:
    """Bits outside the stored ones hold dirt, as old overlays do."""
    write_native(tmp_path, form, syntax, form.words(dirt=0xA5A5))
    assert_exact(tmp_path, form)


@pytest.mark.parametrize("form", [f for f in USUAL if f != SMALL_IN_WIDE] + UNUSUAL, ids=str)
def test_run_length_encoding(tmp_path: Path, form: Format) -> None:
    words = form.words(dirt=0x5A5A)
    for k in range(N_SLICES):
        ds = dataset(k, form, words)
        ds.compress(RLELossless, generate_instance_uid=False)
        save(ds, tmp_path / f"{k}")
    assert_exact(tmp_path, form)


@pytest.mark.parametrize("form", USUAL, ids=str)
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_jpeg_ls_and_jpeg_2000(tmp_path: Path, form: Format, syntax: UID) -> None:
    for k in range(N_SLICES):
        ds = dataset(k, form, form.values())
        ds.compress(syntax, generate_instance_uid=False)
        save(ds, tmp_path / f"{k}")
    assert_exact(tmp_path, form)


def write_jpeg_lossless(
    folder: Path, form: Format, *, precision: int, predictor: int, syntax: UID
) -> None:
    for k in range(N_SLICES):
        ds = dataset(k, form, form.words())
        stream = encode(form.words()[k], precision=precision, predictor=predictor)
        ds.PixelData = encapsulate([stream + b"\0" * (len(stream) % 2)])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = syntax
        save(ds, folder / f"{k}")


@pytest.mark.parametrize("form", USUAL, ids=str)
def test_jpeg_lossless_selection_value_1(tmp_path: Path, form: Format) -> None:
    write_jpeg_lossless(tmp_path, form, precision=form.stored, predictor=1, syntax=JPEGLosslessSV1)
    assert_exact(tmp_path, form)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("form", [USUAL[0], USUAL[3], USUAL[6]], ids=str)
def test_jpeg_lossless_process_14(tmp_path: Path, form: Format, predictor: int) -> None:
    write_jpeg_lossless(
        tmp_path, form, precision=form.stored, predictor=predictor, syntax=JPEGLossless
    )
    assert_exact(tmp_path, form)


@pytest.mark.parametrize("form", [USUAL[3], USUAL[4]], ids=str)
def test_jpeg_lossless_with_more_precision_than_stored_bits(tmp_path: Path, form: Format) -> None:
    """Encoders that code the whole word write 16 bits of precision for 12-bit pixels."""
    write_jpeg_lossless(tmp_path, form, precision=16, predictor=1, syntax=JPEGLosslessSV1)
    assert_exact(tmp_path, form)


LOSSY_TOL = 12
"""Grey values of 255 that JPEG of quality 95 may be off a smooth image."""


def smooth() -> np.ndarray:
    j, i = np.mgrid[:ROWS, :COLUMNS]
    return np.stack([20 + 2 * j + 3 * i + 10 * k for k in range(N_SLICES)]).astype(np.uint8)


def jpeg_baseline(ds: Dataset, pixels: np.ndarray) -> None:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    data = stream.getvalue()
    ds.PixelData = encapsulate([data + b"\0" * (len(data) % 2)])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit


@pytest.mark.parametrize("is_flagged", [True, False])
@pytest.mark.parametrize(
    "syntax", [JPEG2000, JPEGLSNearLossless, JPEGBaseline8Bit], ids=lambda uid: uid.keyword
)
def test_lossy_pixels_are_near_and_told(tmp_path: Path, syntax: UID, is_flagged: bool) -> None:
    """The syntax itself tells, where the encoder forgot Lossy Image Compression.

    JPEG 2000 may be either under one syntax: without a flag it counts as lossy.
    """
    form = USUAL[0]
    for k in range(N_SLICES):
        ds = dataset(k, form, smooth())
        if syntax == JPEGBaseline8Bit:
            jpeg_baseline(ds, smooth()[k])
        elif syntax == JPEG2000:
            ds.compress(syntax, generate_instance_uid=False, j2k_cr=[3])
        else:
            ds.compress(syntax, generate_instance_uid=False, jls_error=3)
        if is_flagged:
            ds.LossyImageCompression = "01"
        elif "LossyImageCompression" in ds:
            del ds.LossyImageCompression
        save(ds, tmp_path / f"{k}")
    volume = load_volume(tmp_path)
    off = np.abs(volume.values.astype(int) - smooth())
    assert off.max() <= LOSSY_TOL
    assert "lossy compressed pixels" in " ".join(volume.source.warnings)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_a_frame_that_is_cut_off_is_refused(tmp_path: Path, syntax: UID) -> None:
    """One decoder returns what it has of such a frame, another never returns."""
    if syntax == JPEGLosslessSV1:
        form = USUAL[0]
        write_jpeg_lossless(
            tmp_path, form, precision=form.stored, predictor=1, syntax=JPEGLosslessSV1
        )
    else:
        for k in range(N_SLICES):
            ds = dataset(k, USUAL[0], USUAL[0].values())
            ds.compress(syntax, generate_instance_uid=False)
            save(ds, tmp_path / f"{k}")
    file = tmp_path / "1"
    ds = pydicom.dcmread(file)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    frame = frame[: frame.rindex(b"\xff\xd9")]
    for padding in (0, 2, 60):
        whole = frame + b"\xff\xd9" + b"\0" * padding
        ds.PixelData = encapsulate([whole + b"\0" * (len(whole) % 2)])
        save(ds, file)
        load_volume(tmp_path)
    cut = frame[: len(frame) // 2 * 2 - 20]
    ds.PixelData = encapsulate([cut])
    save(ds, file)
    with pytest.raises(InputError, match="a compressed frame without an end"):
        load_volume(tmp_path)
