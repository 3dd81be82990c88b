"""Pixels of multi-frame files: every syntax bit-exact, every bomb refused unopened."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from planner.errors import InputError, PlannerError
from planner.geometry import FrameId, Grid
from planner.io import inspect_path, load_volume, pixel_decoding, pixels
from planner.io.dicom_scan import scan
from planner.io.pixels import read_values
from tests.dicom_writer import save, slice_dataset, texture, write_series
from tests.multiframe_writer import enhanced_dataset

SYNTAXES = [
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
]


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (4, 64, 48), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), None, FrameId("1.2.3", "test")
    )


def _jpeg_lossless(values: np.ndarray, folder: Path) -> list[bytes]:
    """Each slice encoded by SimpleITK, the one encoder at hand."""
    sitk = pytest.importorskip("SimpleITK")
    frames = []
    for plane in values:
        encoded = folder / "encoded.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(encoded))
        writer.Execute(sitk.GetImageFromArray(plane))
        other = pydicom.dcmread(encoded)
        encoded.unlink()
        frames += list(generate_frames(other.PixelData, number_of_frames=1))
    return frames


def _write(file: Path, ds: Dataset, syntax: UID, folder: Path) -> None:
    """Saves in a transfer syntax, whichever way that one needs."""
    if syntax == JPEGLosslessSV1:
        shape = (ds.NumberOfFrames, ds.Rows, ds.Columns)
        kind = "i" if ds.PixelRepresentation else "u"
        values = np.frombuffer(ds.PixelData, f"<{kind}2").reshape(shape)
        ds.PixelData = encapsulate(_jpeg_lossless(values, folder))
        ds["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
        pydicom.dcmwrite(file, ds, little_endian=False, implicit_vr=False)
        return
    elif syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = syntax
    save(ds, file)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_lossless_syntaxes_give_the_same_values(
    tmp_path: Path, grid: Grid, syntax: UID, is_signed: bool
) -> None:
    values = texture(grid).astype(np.int16) - 400 if is_signed else texture(grid)
    volumes = [
        (values + 3 * n, {"MREchoSequence": {"EffectiveEchoTime": 5.0 + n}}) for n in range(2)
    ]
    ds = enhanced_dataset(grid, volumes)
    _write(tmp_path / "e.dcm", ds, syntax, tmp_path)
    for n in range(2):
        volume = load_volume(tmp_path, series=f"4:{n + 1}")
        assert volume.values.dtype == values.dtype
        assert np.array_equal(volume.values, values + 3 * n)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, ImplicitVRLittleEndian])
def test_compressed_frames_are_rescaled_each_by_its_own(
    tmp_path: Path, grid: Grid, syntax: UID
) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})], is_permuted=False)
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        inner = Dataset()
        inner.RescaleSlope, inner.RescaleIntercept = str(2 + n), "-100"
        frame.PixelValueTransformationSequence = [inner]
    _write(tmp_path / "e.dcm", ds, syntax, tmp_path)
    slope = np.arange(2, 6)[:, None, None]
    assert np.array_equal(load_volume(tmp_path).values, texture(grid) * slope - 100.0)


def test_bits_above_bits_stored_are_ignored(tmp_path: Path, grid: Grid) -> None:
    dirty = texture(grid) | 0xA000
    ds = enhanced_dataset(grid, [(dirty, {})])
    ds.BitsStored, ds.HighBit = 12, 11
    save(ds, tmp_path / "e.dcm")
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


@pytest.mark.parametrize("syntax", [RLELossless, ImplicitVRLittleEndian])
def test_odd_frame_sizes_of_eight_bits(tmp_path: Path, syntax: UID) -> None:
    grid = Grid.from_axes((3, 5, 7), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), None, FrameId("1.2"))
    values = texture(grid, dtype=np.uint8, top=250)
    _write(tmp_path / "e.dcm", enhanced_dataset(grid, [(values, {})]), syntax, tmp_path)
    assert np.array_equal(load_volume(tmp_path).values, values)


def test_only_the_frames_of_the_volume_are_decoded_once_each(
    tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = [
        (texture(grid), {"MREchoSequence": {"EffectiveEchoTime": 5.0 + n}}) for n in range(3)
    ]
    _write(tmp_path / "e.dcm", enhanced_dataset(grid, volumes), RLELossless, tmp_path)
    real_read, real_decode, calls = pixel_decoding.read_whole, pixel_decoding._by_pydicom, []
    monkeypatch.setattr(
        pixel_decoding, "read_whole", lambda f, **m: calls.append("file") or real_read(f, **m)
    )
    monkeypatch.setattr(
        pixel_decoding, "_by_pydicom", lambda *a: calls.append("frame") or real_decode(*a)
    )
    load_volume(tmp_path, series="4:2")
    assert calls == ["file"] + ["frame"] * 4


# ------------------------------------------------------------- sizes that are not believed


def refused(path: Path, **limits: int) -> str:
    """What reading says, and that it said so before taking memory for what was claimed."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            load_volume(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limits.get("peak_bytes", 150_000_000)
    return str(caught.value)


def test_an_absurd_size_is_refused_from_the_header(tmp_path: Path, grid: Grid) -> None:
    """60000 x 60000 x 5000 voxels, said to be compressed."""
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.Rows = ds.Columns = 60000
    save(ds, tmp_path / "e.dcm")
    assert "the volume is too large; seen: 4 x 60000 x 60000 voxels, 28.8 GB" in refused(tmp_path)
    (volume,) = inspect_path(tmp_path).volumes
    assert "too large" in (volume.reason or "")
    with pytest.raises(InputError, match="too large"):
        read_values(scan(tmp_path).slices)


def test_an_absurd_size_of_a_classic_series(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.Rows = ds.Columns = 60000

    write_series(tmp_path, grid, edit=edit)
    assert "too large" in refused(tmp_path)


def test_the_limit_is_on_bytes_of_the_values(
    tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(enhanced_dataset(grid, [(texture(grid), {})]), tmp_path / "e.dcm")
    monkeypatch.setattr(pixels, "MAX_VOLUME_BYTES", 4 * 64 * 48 * 2)
    assert load_volume(tmp_path).values.nbytes == 4 * 64 * 48 * 2
    monkeypatch.setattr(pixels, "MAX_VOLUME_BYTES", 4 * 64 * 48 * 2 - 1)
    with pytest.raises(InputError, match="too large"):
        load_volume(tmp_path)


def _replace_frame(ds: Dataset, n: int, frame: bytes) -> None:
    frames = list(generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames))
    frames[n] = frame
    ds.PixelData = encapsulate(frames)


@pytest.mark.parametrize(
    ("syntax", "place"),
    [
        (JPEG2000Lossless, lambda frame: frame.index(b"\xff\x4f\xff\x51") + 8),
        (JPEGLSLossless, lambda frame: frame.index(b"\xff\xf7") + 5),
        (JPEGLosslessSV1, lambda frame: frame.index(b"\xff\xc3") + 5),
    ],
)
def test_a_codestream_of_another_size_is_not_decoded(
    tmp_path: Path, grid: Grid, syntax: UID, place: object
) -> None:
    """A decoder takes the memory that the codestream claims, not what the header does."""
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    _write(tmp_path / "e.dcm", ds, syntax, tmp_path)
    ds = pydicom.dcmread(tmp_path / "e.dcm")
    frames = list(generate_frames(ds.PixelData, number_of_frames=4))
    start = place(frames[1])  # type: ignore[operator]
    code = ">LL" if syntax == JPEG2000Lossless else ">HH"
    claim = struct.pack(code, 60000, 60000)
    _replace_frame(ds, 1, frames[1][:start] + claim + frames[1][start + len(claim) :])
    save(ds, tmp_path / "e.dcm")
    text = refused(tmp_path)
    assert "60000 x 60000 pixels of 1 in the codestream, 64 x 48 in the header" in text


def test_a_codestream_that_states_no_size_is_not_decoded(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    _replace_frame(ds, 2, b"\xff\x4f" * 20)
    save(ds, tmp_path / "e.dcm")
    assert "no size in the codestream" in refused(tmp_path)


def test_a_run_length_bomb_is_not_decoded(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    ds.compress(RLELossless, generate_instance_uid=False)
    segment = b"\x81\x00" * 200_000  # 128 bytes out of 2
    header = struct.pack("<16L", 2, 64, 64 + len(segment), *([0] * 13))
    _replace_frame(ds, 0, header + segment + segment)
    save(ds, tmp_path / "e.dcm")
    assert "a compressed frame of 800064 bytes" in refused(tmp_path)


@pytest.mark.parametrize("n_encoded", [3, 5])
def test_more_or_fewer_compressed_frames_than_stated(
    tmp_path: Path, grid: Grid, n_encoded: int
) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    ds.compress(RLELossless, generate_instance_uid=False)
    frames = list(generate_frames(ds.PixelData, number_of_frames=4))
    ds.PixelData = encapsulate((frames * 2)[:n_encoded])
    save(ds, tmp_path / "e.dcm")
    assert f"{n_encoded} compressed frames where NumberOfFrames is 4" in refused(tmp_path)


def _deflated(file: Path, ds: Dataset, tail: bytes) -> None:
    """Saves deflated, with more behind the data set than its header promises."""
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(ds, file)
    whole = file.read_bytes()
    (length,) = struct.unpack_from("<L", whole, 140)
    start = 144 + length
    data = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    file.write_bytes(whole[:start] + deflater.compress(data + tail) + deflater.flush())


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    _deflated(tmp_path / "e.dcm", ds, bytes(100_000_000))
    assert (tmp_path / "e.dcm").stat().st_size < 500_000
    text = refused(tmp_path, peak_bytes=60_000_000)
    assert "where" in text and "are promised" in text


def test_a_deflated_bomb_in_the_header_is_not_inflated(tmp_path: Path, grid: Grid) -> None:
    """A private element of 100 MB in front of the pixels."""
    ds = slice_dataset(grid, 0, texture(grid)[0])
    ds.private_block(0x0009, "BOMB", create=True).add_new(0x01, "OB", bytes(100_000_000))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(ds, tmp_path / "e.dcm")
    del ds
    assert "no DICOM image found" in refused(tmp_path)


def test_a_deflated_file_with_a_little_more_behind_its_pixels(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {})])
    padding = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<L", 1000) + bytes(1000)
    _deflated(tmp_path / "e.dcm", ds, padding)
    assert np.array_equal(load_volume(tmp_path).values, texture(grid))


def test_deflated_pixels_that_are_cut(tmp_path: Path, grid: Grid) -> None:
    file = tmp_path / "e.dcm"
    _deflated(file, enhanced_dataset(grid, [(texture(grid), {})]), b"")
    file.write_bytes(file.read_bytes()[:-300])
    assert "cannot be decoded" in refused(tmp_path)


@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_file_that_changes_between_check_and_reading(
    tmp_path: Path, grid: Grid, change: str
) -> None:
    file = tmp_path / "e.dcm"
    save(enhanced_dataset(grid, [(texture(grid), {})]), file)
    headers = scan(tmp_path).slices
    if change == "shorter":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.unlink()
    with pytest.raises(InputError, match=r"cannot be decoded.*in: e.dcm, frame"):
        read_values(headers)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_random_damage_anywhere_ends_in_words(
    tmp_path: Path, grid: Grid, rng: np.random.Generator, syntax: UID
) -> None:
    file = tmp_path / "e.dcm"
    _write(file, enhanced_dataset(grid, [(texture(grid), {})]), syntax, tmp_path)
    whole = file.read_bytes()
    n_refused = 0
    for n in range(60):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=1 + n % 12):
            data[place] = int(rng.integers(256))
        file.write_bytes(bytes(data))
        try:
            load_volume(tmp_path)
        except PlannerError as error:
            n_refused += bool(str(error))
    assert n_refused >= 1
