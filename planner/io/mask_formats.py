"""The header and voxels of one mask file, format by format: NIfTI, NRRD, MetaImage.

Each reader looks at the header before it reads voxels. RAS stops here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from planner.errors import MaskError
from planner.io.metaimage_file import read_metaimage_header
from planner.io.nifti_file import NiftiFile, read_nifti_header
from planner.io.nrrd_file import NrrdFile, lps_from_kji_of, read_nrrd_header

MAX_VOXELS = 2_000_000_000
"""Voxels (layers included) up to which a file is read."""

MAX_SEGMENTS = 300
"""Segments that a .seg.nrrd names; the largest known maps have under 120."""

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_NO_POSITION_FIX = "Save it again from a tool that writes the position of the scan."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawMask:
    """What a format reader hands over: array axes are [k, j, i], one array per layer.

    ``names`` maps (layer, value) to the name in the file; ``all_named`` says that
    the file is meant to name every segment (a .seg.nrrd), even an empty one.
    """

    lps_from_kji: NDArray[np.float64]
    layers: tuple[NDArray[np.generic], ...]
    names: Mapping[tuple[int, int], str]
    all_named: bool = False
    warnings: tuple[str, ...] = ()


def require_voxel_count(sizes: NDArray[np.generic] | tuple[int, ...], file: str) -> None:
    """Refuse a header that promises no voxels or more than ``MAX_VOXELS``."""
    n_voxels = 1
    for size in sizes:
        n_voxels *= int(size)
    if min(int(size) for size in sizes) < 1:
        raise MaskError(
            "the mask header has an empty axis", seen=[int(n) for n in sizes], where=file
        )
    if n_voxels > MAX_VOXELS:
        raise MaskError(
            "the mask is too large to be read",
            seen=f"{n_voxels:.2e} voxels",
            needed=f"<= {MAX_VOXELS:.0e}",
            where=file,
            fix="Crop it, or resample it to the image.",
        )


# ---------------------------------------------------------------- NIfTI


def read_nifti(path: Path) -> RawMask:
    """A NIfTI label map; names from a Caret label table in the header (TotalSegmentator)."""
    file = read_nifti_header(path)
    shape = file.shape_ijk
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise MaskError(
            "a mask must have three axes",
            seen=shape,
            where=path.name,
            fix="Save each volume of a series as a file of its own.",
        )
    require_voxel_count(shape, path.name)
    if file.data.dtype.fields is not None:
        raise MaskError("the mask holds colours, not labels", where=path.name)
    names, warnings = _nifti_names(file.header, path.name)
    lps_from_ijk = _LPS_FROM_RAS @ _nifti_affine(file, path.name)
    array = file.data.read().reshape(shape[::-1])
    if (file.slope, file.intercept) != (1.0, 0.0):
        array = array * file.slope + file.intercept
    return RawMask(
        lps_from_kji=lps_from_ijk[:, [2, 1, 0, 3]],
        layers=(array,),
        names={(0, value): name for value, name in names.items()},
        warnings=tuple(warnings),
    )


def _nifti_affine(file: NiftiFile, name: str) -> NDArray[np.float64]:
    """The index-to-RAS matrix; the sform where both forms are there and agree."""
    if file.unit not in ("mm", "unknown"):
        raise MaskError("the NIfTI header is not in millimetres", seen=file.unit, where=name)
    qform, sform = file.ras_from_ijk()
    if qform is not None and sform is not None:
        shape = np.array([*file.shape_ijk[:3], 1.0])
        corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], [1])).reshape(4, -1).T * shape
        gap_mm = np.linalg.norm((corners @ (qform - sform).T)[:, :3], axis=1).max()
        voxel_mm = float(np.linalg.norm(sform[:3, :3], axis=0).min())
        if not (gap_mm <= 0.5 * voxel_mm):
            raise MaskError(
                "the NIfTI header gives two positions (qform and sform) that disagree",
                seen=f"{gap_mm:.2f} mm apart",
                needed=f"within half a voxel ({0.5 * voxel_mm:.2f} mm)",
                where=name,
                fix="Keep the right one: set the other to it or its code to 0.",
            )
    found = qform if sform is None else sform
    if found is None:
        raise MaskError(
            "the NIfTI header has no position (qform and sform codes are 0)",
            where=name,
            fix=_NO_POSITION_FIX,
        )
    return found


def _nifti_names(header: Any, file: str) -> tuple[dict[int, str], list[str]]:
    for extension in header.extensions:
        content = extension.get_content()
        text = content if isinstance(content, bytes) else str(content).encode()
        if b"<LabelTable>" not in text:
            continue
        try:
            if b"<!" in text.replace(b"<![CDATA[", b""):
                raise ValueError("declarations are not read")  # entities can be bombs
            root = ElementTree.fromstring(text.rstrip(b"\0 \n"))
            labels = [(int(e.get("Key", "")), (e.text or "").strip()) for e in root.iter("Label")]
        except (ElementTree.ParseError, ValueError) as error:
            return {}, [f"{file}: the label table in the header is unreadable ({error})"]
        return {value: name for value, name in labels if value and name}, []
    return {}, []


# ---------------------------------------------------------------- NRRD


def read_nrrd(path: Path) -> RawMask:
    """An NRRD label map or a 3D Slicer segmentation (.seg.nrrd), with all its layers."""
    file = read_nrrd_header(path, MaskError)
    require_voxel_count(file.sizes, path.name)
    if file.is_detached:
        raise MaskError("the NRRD file keeps its voxels in another file", where=path.name)
    _require_axes(file)
    lps_from_kji = lps_from_kji_of(file)
    _refuse_fractional(file)
    segments = _segments(file)
    values = file.data().read()
    if file.list_axis is None:
        layers = [values]
    else:
        layers = list(np.moveaxis(values, values.ndim - 1 - file.list_axis, 0))
    names: dict[tuple[int, int], str] = {}
    for segment in segments:
        place = (segment.layer, segment.value)
        if segment.layer >= len(layers):
            raise MaskError(
                f"segment '{segment.name}' is in a layer that the file does not have",
                seen=segment.layer,
                needed=f"< {len(layers)}",
                where=path.name,
            )
        if place in names:
            raise MaskError(
                "two segments claim the same voxels (layer and label value)",
                seen=f"'{names[place]}' and '{segment.name}'",
                where=path.name,
            )
        names[place] = segment.name
    return RawMask(
        lps_from_kji=lps_from_kji, layers=tuple(layers), names=names, all_named=bool(segments)
    )


def _require_axes(file: NrrdFile) -> None:
    """Three axes, or three and a list of layers."""
    kinds = [str(kind) for kind in file.fields.get("kinds", ["?"] * len(file.sizes))]
    if len(file.sizes) == 3:
        return
    if file.list_axis is None or kinds[file.list_axis].lower() not in ("list", "vector"):
        raise MaskError(
            "an NRRD mask must have three axes, or three and a list of layers",
            seen=f"sizes {list(file.sizes)[:20]}, kinds {kinds[:20]}",
            where=file.name,
        )


@dataclass(frozen=True, slots=True)
class _Segment:
    """Layer, label value and name of one ``SegmentN_`` block."""

    layer: int
    value: int
    name: str


def _segments(file: NrrdFile) -> list[_Segment]:
    """The segments of a Slicer header; older files have one layer per segment, value 1."""
    keys = [re.fullmatch(r"Segment(\d{1,6})_(?:ID|Name)", key) for key in file.fields]
    numbers = sorted({int(m[1]) for m in keys if m})
    if len(numbers) > MAX_SEGMENTS:
        raise MaskError(
            "too many segments", seen=len(numbers), needed=f"<= {MAX_SEGMENTS}", where=file.name
        )
    is_4d = len(file.sizes) == 4
    found = []
    for n in numbers:
        identifier = file.text(f"Segment{n}_ID", f"Segment_{n + 1}")
        name = file.text(f"Segment{n}_Name").strip() or identifier
        layer = file.text(f"Segment{n}_Layer", str(n if is_4d else 0))
        value = file.text(f"Segment{n}_LabelValue", "1")
        try:
            found.append(_Segment(int(layer), int(value), name))
        except ValueError as error:
            raise MaskError(
                f"segment '{name}' has no usable layer or label value",
                seen=f"layer {layer[:40]!r}, label value {value[:40]!r}",
                where=file.name,
            ) from error
    bad = [s.name for s in found if s.layer < 0 or s.value <= 0]
    if bad:
        raise MaskError(
            "a segment has a layer or label value that cannot be",
            seen=", ".join(bad[:20]),
            where=file.name,
        )
    return found


def _refuse_fractional(file: NrrdFile) -> None:
    for key in ("Segmentation_MasterRepresentation", "Segmentation_SourceRepresentation"):
        if "fractional" in file.text(key).lower():
            raise MaskError(
                "the segmentation is stored as fractions, not as labels",
                seen=file.text(key)[:80],
                where=file.name,
                fix="Export it as a binary label map.",
            )


# ---------------------------------------------------------------- MetaImage


def read_metaimage(path: Path) -> RawMask:
    """A MetaImage label map (.mha); it carries no names."""
    file = read_metaimage_header(path)
    if file.lps_from_kji is None:
        raise MaskError(
            "the MetaImage header has no position in the patient",
            seen=f"no field '{file.missing}'" if file.missing else "under three axes",
            where=path.name,
            fix=_NO_POSITION_FIX,
        )
    if len(file.sizes) != 3 or file.n_components != 1:
        raise MaskError(
            "a mask must have three axes and one value per voxel",
            seen=f"size {file.sizes}, {file.n_components} values",
            where=path.name,
        )
    require_voxel_count(file.sizes, path.name)
    return RawMask(lps_from_kji=file.lps_from_kji, layers=(file.data.read(),), names={})
