"""Decodes the planes of one file: opened once, and only the frames that are asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.io.codestream import JPEG_2000_SYNTAXES, JPEG_SYNTAXES, frame_size, is_ended
from planner.io.dicom_stream import deflated_part, inflated, read_whole
from planner.io.dicom_values import quiet_pydicom, uid_name
from planner.io.slice_header import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    PixelLayout,
    SliceHeader,
)

if TYPE_CHECKING:
    import pydicom

_BY_PYDICOM = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000, lossless or lossy",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 lossless (RPCL)",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
}
_BY_SIMPLEITK = {
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.57": "JPEG lossless (process 14)",
    "1.2.840.10008.1.2.4.70": "JPEG lossless (process 14, selection value 1)",
}
"""No decoder with a permissive licence exists for these in pydicom; SimpleITK has one."""

READABLE_SYNTAXES = frozenset(
    (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED, *_BY_PYDICOM, *_BY_SIMPLEITK)
)

_AS_STORED = {"correct_unused_bits": False}
"""pydicom takes the unused bits to be the highest ones, whatever High Bit says; we do not."""

INFLATED_SLACK_BYTES = 16 * 2**20
"""A deflated file may hold so much behind its pixels (overlays, padding), no more."""

MAX_FILE_BYTES = 8_000_000_000
"""Of a file with compressed pixels."""

ENCODED_SLACK_BYTES = 2**16
"""Besides twice its pixels, a compressed frame takes no more than this (tables, comments)."""


def planes_of_file(
    slices: Sequence[SliceHeader], targets: Sequence[NDArray[np.generic] | None]
) -> Iterator[NDArray[np.generic]]:
    """The stored values of planes that lie in one file, [j, i] each, in the given order.

    Parameters
    ----------
    slices : sequence of SliceHeader
        Planes of the same file.
    targets : sequence of (ndarray or None)
        For each plane an array to read into where nothing has to be converted.

    Raises
    ------
    InputError
        If the file cannot be read or decoded, or its pixels do not fit its header.
    """
    header = slices[0]
    layout = header.layout
    if layout is None:
        raise _undecodable(header, "no image")
    if layout.tiles_per_side > 1:
        (picture,) = _frames(slices[:1], [None])
        for tile in slices:
            yield _tile(picture, tile)
    else:
        yield from _frames(slices, targets)


def stored_type(layout: PixelLayout) -> np.dtype[np.generic]:
    """The integer type in which the pixels are stored."""
    return np.dtype(f"{'i' if layout.is_signed else 'u'}{layout.bits_allocated // 8}")


def _tile(picture: NDArray[np.generic], header: SliceHeader) -> NDArray[np.generic]:
    """One tile of a mosaic; tiles are counted along the rows of the picture."""
    layout = header.layout
    if layout is None or header.frame is None:
        raise _undecodable(header, "no tile")
    down, across = divmod(header.frame, layout.tiles_per_side)
    top, left = down * layout.rows, across * layout.columns
    return picture[top : top + layout.rows, left : left + layout.columns]


def _frames(
    slices: Sequence[SliceHeader], targets: Sequence[NDArray[np.generic] | None]
) -> Iterator[NDArray[np.generic]]:
    """Whole frames of one file."""
    layout = _layout_of(slices[0])
    if layout.transfer_syntax_uid == DEFLATED:
        yield from _inflated_frames(slices)
    elif layout.offset is not None:
        yield from _native_frames(slices, targets)
    else:
        for header, pixels in zip(slices, _decoded_frames(slices), strict=True):
            if pixels.shape != layout.frame_shape:
                raise InputError(
                    "the decoded pixels do not have the size in the header",
                    seen=pixels.shape,
                    needed=layout.frame_shape,
                    where=header.name,
                )
            yield _without_unused_bits(np.array(pixels, dtype=stored_type(layout)), layout)


def _layout_of(header: SliceHeader) -> PixelLayout:
    if header.layout is None:
        raise _undecodable(header, "no image")
    return header.layout


def _frame_number(header: SliceHeader) -> int:
    """Which frame of the file holds the plane."""
    is_tile = _layout_of(header).tiles_per_side > 1
    return 0 if is_tile or header.frame is None else header.frame


def _native_frames(
    slices: Sequence[SliceHeader], targets: Sequence[NDArray[np.generic] | None]
) -> Iterator[NDArray[np.generic]]:
    """Uncompressed little-endian frames, read straight into their place where there is one."""
    header = slices[0]
    try:
        with header.file.open("rb", buffering=0) as stream:
            for header, target in zip(slices, targets, strict=True):
                yield _native_frame(stream, header, target)
    except OSError as error:
        raise _undecodable(header, error.strerror or "input/output error") from error


def _native_frame(
    stream: BinaryIO, header: SliceHeader, target: NDArray[np.generic] | None
) -> NDArray[np.generic]:
    layout = _layout_of(header)
    stored = stored_type(layout)
    pixels = target
    if pixels is None or pixels.dtype != stored or not np.little_endian:
        pixels = np.empty(layout.frame_shape, stored.newbyteorder("<"))
    stream.seek((layout.offset or 0) + _frame_number(header) * layout.frame_bytes)
    n_read = stream.readinto(pixels.data.cast("B"))  # type: ignore[attr-defined]
    if n_read != layout.frame_bytes:
        raise _undecodable(header, f"{n_read} bytes of {layout.frame_bytes}")
    return _without_unused_bits(pixels.astype(stored, copy=False), layout)


def _inflated_frames(slices: Sequence[SliceHeader]) -> Iterator[NDArray[np.generic]]:
    """Frames of a deflated file, inflated no further than its header promises."""
    header = slices[0]
    layout = _layout_of(header)
    offset = layout.offset or 0
    end = offset + layout.frame_bytes * layout.n_frames
    try:
        with header.file.open("rb") as stream:
            zipped = deflated_part(stream, header.name)
        data, is_whole = inflated(zipped, end + INFLATED_SLACK_BYTES)
    except Exception as error:  # zlib.error and what a file changed meanwhile can raise
        raise _undecodable(header, type(error).__name__) from error
    if not is_whole:
        raise _undecodable(header, f"more than {len(data)} bytes where {end} are promised")
    if len(data) < end:
        raise _undecodable(header, f"{len(data)} bytes of {end}")
    stored = stored_type(layout)
    for header in slices:
        start = offset + _frame_number(header) * layout.frame_bytes
        raw = np.frombuffer(data, np.uint8, layout.frame_bytes, start)
        pixels = raw.view(stored.newbyteorder("<")).reshape(layout.frame_shape)
        yield _without_unused_bits(pixels.astype(stored), layout)


def _without_unused_bits(pixels: NDArray[np.generic], layout: PixelLayout) -> NDArray[np.generic]:
    """Clears the bits above Bits Stored (old overlays live there) and extends the sign."""
    if layout.bits_stored == layout.bits_allocated:
        return pixels
    up = layout.bits_allocated - 1 - layout.high_bit
    down = layout.bits_allocated - layout.bits_stored
    if layout.is_signed or layout.high_bit >= layout.bits_stored:
        np.left_shift(pixels, up, out=pixels)
        np.right_shift(pixels, down, out=pixels)
    else:
        np.bitwise_and(pixels, (1 << layout.bits_stored) - 1, out=pixels)
    return pixels


def _decoded_frames(slices: Sequence[SliceHeader]) -> Iterator[NDArray[np.generic]]:
    """Compressed or big-endian frames."""
    header = slices[0]
    layout = _layout_of(header)
    try:
        with quiet_pydicom():
            source = read_whole(header.file, max_bytes=MAX_FILE_BYTES)
            if layout.transfer_syntax_uid == EXPLICIT_BE:
                yield from _big_endian_frames(source, slices)
                return
            encoded = _encoded_frames(source, layout)
            for header in slices:
                frame = encoded[_frame_number(header)]
                _check_frame(frame, layout)
                is_pydicom = layout.transfer_syntax_uid in _BY_PYDICOM
                yield _by_pydicom(frame, layout) if is_pydicom else _by_simpleitk(frame, layout)
    except _WrongFrameError as error:
        raise _undecodable(header, str(error)) from error
    except Exception as error:  # decoders raise what they like; their text may quote the header
        raise _undecodable(header, type(error).__name__) from error


class _WrongFrameError(Exception):
    """What is wrong with an encoded frame, in words that may be shown."""


def _big_endian_frames(
    source: pydicom.Dataset, slices: Sequence[SliceHeader]
) -> Iterator[NDArray[np.generic]]:
    from pydicom.pixels import iter_pixels

    yield from iter_pixels(
        source, raw=True, indices=[_frame_number(h) for h in slices], **_AS_STORED
    )


def _encoded_frames(source: pydicom.Dataset, layout: PixelLayout) -> list[bytes]:
    from pydicom.encaps import generate_frames

    offsets = None
    if "ExtendedOffsetTable" in source:
        offsets = source.ExtendedOffsetTable, source.ExtendedOffsetTableLengths
    n = layout.n_frames
    frames = list(generate_frames(source.PixelData, number_of_frames=n, extended_offsets=offsets))
    if len(frames) != n:
        raise _WrongFrameError(f"{len(frames)} compressed frames where NumberOfFrames is {n}")
    return frames


def _check_frame(frame: bytes, layout: PixelLayout) -> None:
    """Refuses a frame that would decode to more than the header promises."""
    most = 2 * layout.frame_bytes + ENCODED_SLACK_BYTES
    if len(frame) > most:
        raise _WrongFrameError(f"a compressed frame of {len(frame)} bytes, over {most}")
    if layout.transfer_syntax_uid in JPEG_2000_SYNTAXES | JPEG_SYNTAXES:
        size = frame_size(frame, layout.transfer_syntax_uid)
        if size != (*layout.frame_shape, layout.samples_per_pixel):
            seen = "no size" if size is None else "{} x {} pixels of {}".format(*size)
            rows, columns = layout.frame_shape
            raise _WrongFrameError(f"{seen} in the codestream, {rows} x {columns} in the header")
        if not is_ended(frame):
            raise _WrongFrameError("a compressed frame without an end")


def _by_pydicom(frame: bytes, layout: PixelLayout) -> NDArray[np.generic]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    decoder = get_decoder(layout.transfer_syntax_uid)
    rows, columns = layout.frame_shape
    pixels, _ = decoder.as_array(
        encapsulate([frame], has_bot=False),
        raw=True,
        rows=rows,
        columns=columns,
        number_of_frames=1,
        samples_per_pixel=layout.samples_per_pixel,
        photometric_interpretation=layout.photometric,
        pixel_representation=int(layout.is_signed),
        bits_allocated=layout.bits_allocated,
        bits_stored=layout.bits_stored,
        pixel_keyword="PixelData",
        **_AS_STORED,
    )
    return np.asarray(pixels)


def _by_simpleitk(frame: bytes, layout: PixelLayout) -> NDArray[np.generic]:
    """Decodes through SimpleITK, from a file that holds this frame and its pixel module alone.

    On the file itself SimpleITK would apply (or, for MR, not apply) the rescale
    slope by rules of its own, order frames by rules of its own, and stumble over
    an empty SOP Class UID.
    """
    import pydicom
    import SimpleITK as sitk  # noqa: N813
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    bare = pydicom.Dataset()
    bare.SOPClassUID, bare.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    bare.Rows, bare.Columns = layout.frame_shape
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, layout.photometric
    bare.BitsAllocated, bare.BitsStored = layout.bits_allocated, layout.bits_stored
    bare.HighBit, bare.PixelRepresentation = layout.high_bit, int(layout.is_signed)
    bare.add_new(0x7FE00010, "OB", encapsulate([frame]))
    bare["PixelData"].is_undefined_length = True
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = pydicom.uid.UID(layout.transfer_syntax_uid)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "pixels.dcm")
        bare.save_as(copy, enforce_file_format=True)
        pixels: NDArray[np.generic] = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
    return pixels.reshape(pixels.shape[-2:])


def _undecodable(header: SliceHeader, seen: str) -> InputError:
    layout = header.layout
    return InputError(
        "the pixels cannot be decoded",
        seen=seen,
        needed=uid_name(layout.transfer_syntax_uid) if layout else None,
        where=header.name,
        fix="Copy or export the file again.",
    )
