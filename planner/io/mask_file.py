"""One segmentation file as labelled arrays on its own grid, with the names it carries.

Read here: NIfTI, NRRD and .seg.nrrd, MetaImage (.mha). Positions become LPS, the
arrays [k, j, i]. Nothing is resampled and nothing is guessed: a file without a
position, with fractional values or with too many voxels is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import GeometryError, InputError, MaskError, UnsupportedObjectError
from planner.geometry import FrameId, Grid
from planner.io.mask_formats import RawMask, read_metaimage, read_nifti, read_nrrd

MAX_LABELS = 300
"""More different values than this make an image, not a label map."""

MAX_NAMELESS_LABELS = 150
"""The same for a file that names none of them: an 8-bit image has up to 255.

The largest known maps, TotalSegmentator total and TPTBox vertebrae, have under 120.
"""

MAX_COORDINATE_MM = 1e5
"""Larger numbers in a position are damage, or not millimetres."""

_LATER = {
    ".dcm": "a DICOM object",
    ".stl": "a surface mesh",
    ".obj": "a surface mesh",
    ".ply": "a surface mesh",
    ".vtk": "a VTK file",
    ".vtp": "a surface mesh",
    ".mrb": "a Slicer scene",
    ".mhd": "a MetaImage header with a separate data file",
    ".nhdr": "an NRRD header with a separate data file",
    ".img": "an Analyze / two-file NIfTI image",
    ".hdr": "an Analyze / two-file NIfTI image",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """One structure of a file: voxels of ``layer`` that have ``value``."""

    layer: int
    value: int
    name: str | None
    n_voxels: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MaskFile:
    """One file: its grid, its layers of label values, and what they are called."""

    file: str
    stem: str
    sha256: str
    grid: Grid
    layers: tuple[NDArray[np.integer[Any]], ...]
    labels: tuple[StoredLabel, ...]
    warnings: tuple[str, ...] = ()


def mask_stem(path: Path) -> str:
    """The file name without folder and without its (double) suffix.

    Examples
    --------
    >>> mask_stem(Path("a/L5 root.nii.gz")), mask_stem(Path("seg.v2.seg.nrrd"))
    ('L5 root', 'seg.v2')
    """
    name = path.name
    for suffix in (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".mha"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem


def is_mask_file(path: Path) -> bool:
    """Whether the name is that of a format read here."""
    return path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha"))


def read_mask_file(path: Path, frame: FrameId) -> MaskFile:
    """The content of a segmentation file.

    Parameters
    ----------
    path : Path
    frame : FrameId
        Frame given to the grid. These formats carry no frame UID, so the caller
        must compare the position with the image's (see ``mask_placing``).

    Raises
    ------
    MaskError
        If the file cannot be read, has no usable position, more than
        2e9 voxels or ``MAX_LABELS`` labels, or values that are
        negative or fractional.
    UnsupportedObjectError
        If it is of another kind.
    """
    reader = _reader_for(path)
    try:
        raw = reader(path)
        digest = _sha256(path)
    except InputError:
        raise
    except Exception as error:  # every library here has its own way to fail on bad bytes
        raise MaskError(
            "the mask file cannot be read",
            seen=f"{type(error).__name__}: {error}",
            where=path.name,
        ) from error
    layers = tuple(_label_values(layer, path.name) for layer in raw.layers)
    labels, warnings = _labels_of(layers, raw, path.name)
    return MaskFile(
        file=path.name,
        stem=mask_stem(path),
        sha256=digest,
        grid=_grid(raw, frame, path.name),
        layers=layers,
        labels=labels,
        warnings=(*raw.warnings, *warnings),
    )


def _reader_for(path: Path) -> Callable[[Path], RawMask]:
    if not path.is_file():
        raise MaskError("the mask file does not exist", where=str(path))
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return read_nifti
    if name.endswith(".nrrd"):
        return read_nrrd
    if name.endswith(".mha"):
        return read_metaimage
    with path.open("rb") as stream:
        is_dicom = stream.read(132)[128:] == b"DICM"
    kind = "a DICOM object" if is_dicom else _LATER.get(path.suffix.lower())
    raise UnsupportedObjectError(
        f"a mask file of this kind is not read: {kind or 'unknown kind'}",
        needed=".nii, .nii.gz, .nrrd, .seg.nrrd or .mha",
        where=path.name,
        fix="Export the segmentation in one of these formats.",
    )


def _grid(raw: RawMask, frame: FrameId, file: str) -> Grid:
    shape = raw.layers[0].shape
    if np.abs(raw.lps_from_kji).max() > MAX_COORDINATE_MM:
        raise MaskError(
            "the position in the mask header cannot be used: not in a scanner room",
            seen=f"{np.abs(raw.lps_from_kji).max():g} mm",
            needed=f"<= {MAX_COORDINATE_MM:g} mm",
            where=file,
        )
    try:
        return Grid(
            shape_kji=(shape[0], shape[1], shape[2]), lps_from_kji=raw.lps_from_kji, frame=frame
        )
    except GeometryError as error:
        raise MaskError(
            f"the position in the mask header cannot be used: {error.what}",
            seen=error.seen,
            needed=error.needed,
            where=file,
            fix=error.fix,
        ) from error


def _label_values(values: NDArray[np.generic], file: str) -> NDArray[np.integer[Any]]:
    """The values as non-negative integers of a small type."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise MaskError("the mask does not hold numbers", seen=str(values.dtype), where=file)
    if values.dtype.kind == "f":
        for slab in values:
            if not np.all(np.isfinite(slab)) or np.any(slab != np.rint(slab)):
                raise MaskError(
                    "the mask has values that are not whole numbers",
                    seen=_first_odd(slab),
                    where=file,
                    fix="Threshold a probability map first; low, for a structure to avoid.",
                )
    low, high = values.min(), values.max()
    if low < 0:
        raise MaskError("the mask has a negative label", seen=f"{low:g}", needed=">= 0", where=file)
    if high > np.iinfo(np.int32).max:
        raise MaskError("the mask has a label that is too large", seen=f"{high:g}", where=file)
    kind = np.uint8 if high <= 255 else np.uint16 if high <= 65535 else np.int32
    return np.asarray(values.astype(kind, copy=False))


def _first_odd(slab: NDArray[np.generic]) -> str:
    odd = slab[~np.isfinite(slab) | (slab != np.rint(slab))]
    return f"{odd[0]:g}"


def _count_labels(layer: NDArray[np.integer[Any]], limit: int, file: str) -> dict[int, int]:
    """Number of voxels of every value but zero; at most ``limit`` values."""
    counts: dict[int, int] = {}
    for slab in layer:
        if slab.dtype.itemsize <= 2:
            numbers = np.bincount(slab.ravel(order="K"))
            values = np.flatnonzero(numbers)
            numbers = numbers[values]
        else:
            values, numbers = np.unique(slab, return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            if value:
                counts[value] = counts.get(value, 0) + number
        if len(counts) > limit:
            raise MaskError(
                "the file has too many different values to be a label map",
                seen=f"more than {limit}",
                where=file,
                fix="Is it an image? Give the segmentation.",
            )
    return dict(sorted(counts.items()))


def _labels_of(
    layers: tuple[NDArray[np.integer[Any]], ...], raw: RawMask, file: str
) -> tuple[tuple[StoredLabel, ...], list[str]]:
    labels, nameless = [], []
    limit = MAX_LABELS if raw.names else MAX_NAMELESS_LABELS
    for n, layer in enumerate(layers):
        counts = _count_labels(layer, limit, file)
        if raw.all_named:
            for place in raw.names:
                if place[0] == n:
                    counts.setdefault(place[1], 0)
        for value, n_voxels in sorted(counts.items()):
            name = raw.names.get((n, value), "").strip() or None
            if name is None and raw.names:
                nameless.append(value)
            labels.append(StoredLabel(layer=n, value=value, name=name, n_voxels=n_voxels))
    warnings = []
    if nameless:
        values = ", ".join(str(v) for v in nameless)
        warnings.append(f"{file}: label values without a name in the file's own table: {values}")
    return tuple(labels), warnings


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
