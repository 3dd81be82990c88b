"""Which reader a segmentation file needs, and label maps: NIfTI, NRRD, .seg.nrrd, MetaImage.

Positions become LPS, arrays [k, j, i]. Nothing is resampled and nothing is guessed: a label
map without a position, with fractional values or with too many voxels is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import GeometryError, InputError, MaskError, UnsupportedObjectError
from planner.geometry import FrameId, Grid, Volume
from planner.io.dicom_stream import open_header
from planner.io.dicom_values import DicomTag, RawElements, quiet_pydicom, uid_name
from planner.io.mask_formats import RawMask, read_metaimage, read_nifti, read_nrrd
from planner.io.stored_file import (
    MaskOptions,
    StoredFile,
    StoredLabel,
    VoxelFile,
    sha256_of,
)

MAX_LABELS = 300
"""More different values than this make an image, not a label map."""

MAX_NAMELESS_LABELS = 150
"""The same for a file that names none of them: an 8-bit image has up to 255.

The largest known maps, TotalSegmentator total and TPTBox vertebrae, have under 120.
"""

MAX_COORDINATE_MM = 1e5
"""Larger numbers in a position are damage, or not millimetres."""

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes: Segmentation Storage, Label Map Segmentation Storage."""

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

ROD_SUFFIX = ".toml"
MESH_SUFFIXES = (".stl", ".obj", ".ply", ".vtp", ".vtk")
_VOXEL_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
READ_HERE = (
    ".nii, .nii.gz, .nrrd, .seg.nrrd, .mha, DICOM SEG, RT structure set, "
    ".stl, .obj, .ply, .vtp or .vtk, .toml (rods)"
)

_LATER = {
    ".mrb": "a Slicer scene",
    ".mhd": "a MetaImage header with a separate data file",
    ".nhdr": "an NRRD header with a separate data file",
    ".img": "an Analyze / two-file NIfTI image",
    ".hdr": "an Analyze / two-file NIfTI image",
}


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
    """Whether a file in a folder is to be read: by its name, or as a DICOM object by its bytes."""
    name = path.name.lower()
    return name.endswith((*_VOXEL_SUFFIXES, *MESH_SUFFIXES)) or _dicom_class(path) in (
        *SEGMENTATIONS,
        RT_STRUCTURE_SET,
    )


def read_stored_file(path: Path, image: Volume, options: MaskOptions) -> StoredFile:
    """The content of a segmentation file of any kind that is read.

    Parameters
    ----------
    path : Path
    image : Volume
        The image that the structures are for. Formats without a frame of reference get
        its frame; the caller must compare the position (``mask_placing``).
    options : MaskOptions

    Raises
    ------
    MaskError
        If the file cannot be read or used.
    UnsupportedObjectError
        If it is of another kind.
    """
    if not path.is_file():
        raise MaskError("the mask file does not exist", where=str(path))
    name = path.name.lower()
    try:
        if name.endswith(_VOXEL_SUFFIXES):
            return _read_voxels(path, image.grid.frame)
        if name.endswith(MESH_SUFFIXES):
            from planner.io.mesh_file import read_mesh_file

            return read_mesh_file(path, image, options)
        if name.endswith(ROD_SUFFIX):
            from planner.io.rod_file import read_rod_file

            return read_rod_file(path, image)
        sop_class = _dicom_class(path)
        if sop_class in SEGMENTATIONS:
            from planner.io.dicom_seg import read_seg_file

            return read_seg_file(path, image, options)
        if sop_class == RT_STRUCTURE_SET:
            from planner.io.rtstruct import read_contour_file

            return read_contour_file(path, image, options)
    except InputError:
        raise
    except Exception as error:  # every library here has its own way to fail on bad bytes
        raise MaskError(
            "the mask file cannot be read",
            seen=type(error).__name__,  # its words may quote the header of a DICOM object
            where=path.name,
        ) from error
    kind = _LATER.get(path.suffix.lower(), "unknown kind")
    if sop_class is not None:
        kind = f"a DICOM object that is no segmentation ({uid_name(sop_class)})"
    if sop_class == "":
        kind = "a DICOM object that cannot be read"
    raise UnsupportedObjectError(
        f"a mask file of this kind is not read: {kind}",
        needed=READ_HERE,
        where=path.name,
        fix="Export the segmentation in one of these formats.",
    )


def _read_voxels(path: Path, frame: FrameId) -> VoxelFile:
    try:
        raw = _voxel_reader(path.name.lower())(path)
    except (MaskError, UnsupportedObjectError):
        raise
    except InputError as error:  # of the header and voxel readers, which images share
        raise MaskError(
            error.what, seen=error.seen, needed=error.needed, where=error.where, fix=error.fix
        ) from error
    layers = tuple(_label_values(layer, path.name) for layer in raw.layers)
    labels, warnings = _labels_of(layers, raw, path.name)
    return VoxelFile(
        file=path.name,
        stem=mask_stem(path),
        sha256=sha256_of(path),
        grid=_grid(raw, frame, path.name),
        layers=layers,
        labels=labels,
        warnings=(*raw.warnings, *warnings),
    )


def _voxel_reader(name: str) -> Callable[[Path], RawMask]:
    if name.endswith((".nii", ".nii.gz")):
        return read_nifti
    return read_nrrd if name.endswith(".nrrd") else read_metaimage


def _dicom_class(path: Path) -> str | None:
    """SOP class of a DICOM file, ``""`` where it cannot be read; None for any other file."""
    from pydicom.tag import Tag

    tags = [Tag(int(DicomTag.SOPClassUID))]
    is_dicom = False
    try:
        with path.open("rb") as stream, quiet_pydicom():
            is_dicom = stream.read(132)[128:] == b"DICM"
            if not is_dicom:
                return None
            stream.seek(0)
            opened = open_header(stream, path.name, tags, is_short=True)
            return RawElements.of(opened.dataset).text(tags[0]) or opened.media_class_uid
    except Exception:  # what cannot be read is told by the reader that is asked for it
        return "" if is_dicom else None


def _grid(raw: RawMask, frame: FrameId, file: str) -> Grid:
    shape = raw.layers[0].shape
    if not (np.abs(raw.lps_from_kji).max() <= MAX_COORDINATE_MM):
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
