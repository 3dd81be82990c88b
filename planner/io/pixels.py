"""The values of a stack of planes: each file opened once, rescaled where its header says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, UnsupportedObjectError
from planner.io.dicom_values import uid_name
from planner.io.pixel_decoding import (
    READABLE_SYNTAXES,
    planes_of_file,
    stored_type,
)
from planner.io.slice_header import PixelLayout, SliceHeader

MAX_VOLUME_BYTES = 8_000_000_000
"""Largest volume that is read. A 512 x 512 series of 2,000 slices takes 1 GB (2 as float32)."""

_LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.81"}
_LOSSY_OR_NOT = {"1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"}
"""JPEG 2000 syntaxes for both: an encoder that forgot to say which gets no benefit of doubt."""


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
    elif layout.transfer_syntax_uid not in READABLE_SYNTAXES:
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
    elif any(p.transfer_syntax_uid in _LOSSY_OR_NOT for p in layouts):
        found.append("maybe lossy compressed pixels: fine structures may be altered")
    if any(p.photometric == "MONOCHROME1" for p in layouts):
        found.append("MONOCHROME1: meant to be shown inverted; values are kept as stored")
    return found


def too_large(slices: Sequence[SliceHeader]) -> InputError | None:
    """Why a volume cannot be held in memory, from its headers alone; None when it can."""
    layouts = [h.layout for h in slices if h.layout is not None]
    if not layouts:
        return None
    rows, columns = (max(n) for n in zip(*((p.rows, p.columns) for p in layouts), strict=True))
    n_bytes = len(layouts) * rows * columns * _value_type(layouts).itemsize
    if n_bytes <= MAX_VOLUME_BYTES:
        return None
    return InputError(
        "the volume is too large",
        seen=f"{len(layouts)} x {rows} x {columns} voxels, {n_bytes / 1e9:.1f} GB",
        needed=f"at most {MAX_VOLUME_BYTES / 1e9:g} GB",
        where=slices[0].name,
        fix="The header is damaged, or the volume must be cropped or resampled first.",
    )


def read_values(slices: Sequence[SliceHeader]) -> NDArray[np.generic]:
    """The values of a stack, shape (k, j, i), one plane for each header in the given order.

    Returns
    -------
    ndarray
        The stored integer type when no plane rescales, else float32 with slope
        and intercept of each plane applied.

    Raises
    ------
    InputError
        If a file cannot be read or decoded, its pixels do not fit its header, or
        the volume would take more than ``MAX_VOLUME_BYTES``.
    """
    layouts = [h.layout for h in slices if h.layout is not None]
    if len(layouts) != len(slices) or len({(p.rows, p.columns) for p in layouts}) != 1:
        raise InputError("the slices are not images of one size", seen=f"{len(slices)} slices")
    problem = too_large(slices)
    if problem is not None:
        raise problem
    shape = (len(slices), layouts[0].rows, layouts[0].columns)
    values = np.empty(shape, _value_type(layouts))
    is_rescaled = _is_rescaled(layouts)
    of_file: dict[Path, list[int]] = {}
    for k, header in enumerate(slices):
        of_file.setdefault(header.file, []).append(k)
    for ks in of_file.values():
        targets = [None if is_rescaled else values[k] for k in ks]
        planes = planes_of_file([slices[k] for k in ks], targets)
        for k, plane in zip(ks, planes, strict=True):
            if is_rescaled:
                layout = layouts[k]
                values[k] = plane.astype(np.float64) * layout.slope + layout.intercept
            elif plane.base is not values:
                values[k] = plane
    return values


def _is_rescaled(layouts: Sequence[PixelLayout]) -> bool:
    return any(p.slope != 1.0 or p.intercept != 0.0 for p in layouts)


def _value_type(layouts: Sequence[PixelLayout]) -> np.dtype[np.generic]:
    if _is_rescaled(layouts):
        return np.dtype(np.float32)
    return np.result_type(*{stored_type(p) for p in layouts})
