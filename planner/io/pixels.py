"""Decodes the pixels of a stack: each file once, rescaled where its header says so."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, UnsupportedObjectError
from planner.io.dicom_values import quiet_pydicom, uid_name
from planner.io.slice_header import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    PixelLayout,
    SliceHeader,
)

_JPEG_2000_OR_LOSSY = "1.2.840.10008.1.2.4.91"
_BY_PYDICOM = {
    EXPLICIT_BE: "big-endian",
    DEFLATED: "deflated",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    _JPEG_2000_OR_LOSSY: "JPEG 2000",
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

_LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.81"}


def unreadable_pixels(header: SliceHeader) -> InputError | None:
    """Why the pixels of a file cannot be used, from its header alone; None when they can."""
    layout = header.layout
    what, seen, needed = "", "", ""
    if layout is None:
        what, seen, needed = "no image", "neither Rows nor Columns", "an image"
    elif header.faults:
        what, seen, needed = "the file is damaged", "; ".join(header.faults), "an intact file"
    elif layout.samples_per_pixel != 1 or layout.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        what, needed = "a colour image", "one grey value per pixel"
        seen = f"{layout.photometric or 'unknown'}, {layout.samples_per_pixel} samples per pixel"
    elif layout.bits_allocated not in (8, 16, 32) or not (
        0 < layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated
    ):
        what, needed = "the pixel format cannot be used", "8, 16 or 32 bits allocated"
        seen = (
            f"{layout.bits_allocated} bits allocated, {layout.bits_stored} stored, "
            f"high bit {layout.high_bit}"
        )
    elif layout.has_lut:
        what, seen, needed = "values behind a look-up table", "ModalityLUTSequence", "RescaleSlope"
    elif layout.transfer_syntax_uid not in {IMPLICIT_LE, EXPLICIT_LE, *_BY_PYDICOM, *_BY_SIMPLEITK}:
        what, needed = "this compression is not read", "a lossless transfer syntax"
        seen = uid_name(layout.transfer_syntax_uid)
    if not what:
        return None
    fix = "Export the series again, uncompressed, as original MR or CT images."
    return UnsupportedObjectError(what, seen=seen, needed=needed, where=header.name, fix=fix)


def pixel_warnings(slices: Sequence[SliceHeader]) -> list[str]:
    """Harmless but notable: lossy compression, inverted display."""
    found: list[str] = []
    layouts = [h.layout for h in slices if h.layout is not None]
    if any(p.is_lossy or p.transfer_syntax_uid in _LOSSY for p in layouts):
        found.append("lossy compressed pixels: fine structures may be altered")
    if any(p.photometric == "MONOCHROME1" for p in layouts):
        found.append("MONOCHROME1: meant to be shown inverted; values are kept as stored")
    return found


def read_values(slices: Sequence[SliceHeader]) -> NDArray[np.generic]:
    """The values of a stack, shape (k, j, i), one slice per file in the given order.

    Returns
    -------
    ndarray
        The stored integer type when no file rescales, else float32 with slope
        and intercept of each file applied.

    Raises
    ------
    InputError
        If a file cannot be read or decoded, or its pixels do not fit its header.
    """
    layouts = [h.layout for h in slices if h.layout is not None]
    if len(layouts) != len(slices) or len({(p.rows, p.columns) for p in layouts}) != 1:
        raise InputError("the slices are not images of one size", seen=f"{len(slices)} files")
    is_rescaled = any(p.slope != 1.0 or p.intercept != 0.0 for p in layouts)
    stored = np.result_type(*{_stored_type(p) for p in layouts})
    shape = (len(slices), layouts[0].rows, layouts[0].columns)
    values = np.empty(shape, np.float32 if is_rescaled else stored)
    for k, (header, layout) in enumerate(zip(slices, layouts, strict=True)):
        if not is_rescaled and _reads_into(values[k], layout):
            _read_native(header, layout, values[k])
            _without_unused_bits(values[k], layout)
            continue
        pixels = _decoded(header, layout)
        if is_rescaled:
            values[k] = pixels.astype(np.float64) * layout.slope + layout.intercept
        else:
            values[k] = pixels
    return values


def _stored_type(layout: PixelLayout) -> np.dtype[np.generic]:
    return np.dtype(f"{'i' if layout.is_signed else 'u'}{layout.bits_allocated // 8}")


def _reads_into(target: NDArray[np.generic], layout: PixelLayout) -> bool:
    native = layout.offset is not None and np.little_endian
    return bool(native and target.dtype == _stored_type(layout))


def _decoded(header: SliceHeader, layout: PixelLayout) -> NDArray[np.generic]:
    if layout.offset is not None:
        pixels = np.empty((layout.rows, layout.columns), _stored_type(layout).newbyteorder("<"))
        _read_native(header, layout, pixels)
    elif layout.transfer_syntax_uid in _BY_SIMPLEITK:
        pixels = _by_simpleitk(header)
    else:
        pixels = _by_pydicom(header)
    if pixels.shape != (layout.rows, layout.columns):
        raise InputError(
            "the decoded pixels do not have the size in the header",
            seen=pixels.shape,
            needed=(layout.rows, layout.columns),
            where=header.name,
        )
    pixels = np.array(pixels, dtype=_stored_type(layout))
    _without_unused_bits(pixels, layout)
    return pixels


def _read_native(header: SliceHeader, layout: PixelLayout, target: NDArray[np.generic]) -> None:
    """Reads uncompressed little-endian pixels straight into their place."""
    try:
        with header.file.open("rb", buffering=0) as stream:
            stream.seek(layout.offset or 0)
            n_read = stream.readinto(target.data.cast("B"))
    except OSError as error:
        raise _undecodable(header, error.strerror or "input/output error") from error
    if n_read != layout.n_bytes:
        raise _undecodable(header, f"{n_read} bytes of {layout.n_bytes}")


def _without_unused_bits(pixels: NDArray[np.generic], layout: PixelLayout) -> None:
    """Clears the bits above Bits Stored (old overlays live there) and extends the sign."""
    if layout.bits_stored == layout.bits_allocated:
        return
    up = layout.bits_allocated - 1 - layout.high_bit
    down = layout.bits_allocated - layout.bits_stored
    if layout.is_signed or layout.high_bit >= layout.bits_stored:
        np.left_shift(pixels, up, out=pixels)
        np.right_shift(pixels, down, out=pixels)
    else:
        np.bitwise_and(pixels, (1 << layout.bits_stored) - 1, out=pixels)


def _by_pydicom(header: SliceHeader) -> NDArray[np.generic]:
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    try:
        with quiet_pydicom():
            # from the data set, not the path: pydicom inflates a deflated one only on that way
            return np.asarray(pixel_array(dcmread(header.file), raw=True))
    except Exception as error:  # decoders raise what they like; their text may quote the header
        raise _undecodable(header, type(error).__name__) from error


def _by_simpleitk(header: SliceHeader) -> NDArray[np.generic]:
    """Decodes through SimpleITK, from a copy that holds the image pixel module alone.

    On the file itself SimpleITK would apply (or, for MR, not apply) the rescale
    slope by rules of its own, and stumble over an empty SOP Class UID.
    """
    import pydicom
    import SimpleITK as sitk  # noqa: N813
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    try:
        with quiet_pydicom(), tempfile.TemporaryDirectory() as folder:
            source = pydicom.dcmread(header.file)
            bare = source.group_dataset(0x0028)
            for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
                if keyword in bare:
                    del bare[keyword]
            bare.SOPClassUID, bare.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
            bare.add_new(0x7FE00010, "OB", source.PixelData)
            bare["PixelData"].is_undefined_length = True
            bare.file_meta = pydicom.dataset.FileMetaDataset()
            bare.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
            copy = Path(folder, "pixels.dcm")
            bare.save_as(copy, enforce_file_format=True)
            pixels: NDArray[np.generic] = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))[0]
            return pixels
    except Exception as error:
        raise _undecodable(header, type(error).__name__) from error


def _undecodable(header: SliceHeader, seen: str) -> InputError:
    layout = header.layout
    return InputError(
        "the pixels cannot be decoded",
        seen=seen,
        needed=uid_name(layout.transfer_syntax_uid) if layout else None,
        where=header.name,
        fix="Copy or export the file again.",
    )
