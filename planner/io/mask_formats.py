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

MAX_VOXELS = 2_000_000_000
"""Voxels (layers included) up to which a file is read."""

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LPS_FROM_NRRD_SPACE = {
    "left-posterior-superior": np.diag([1.0, 1.0, 1.0]),
    "lps": np.diag([1.0, 1.0, 1.0]),
    "right-anterior-superior": np.diag([-1.0, -1.0, 1.0]),
    "ras": np.diag([-1.0, -1.0, 1.0]),
    "left-anterior-superior": np.diag([1.0, -1.0, 1.0]),
    "las": np.diag([1.0, -1.0, 1.0]),
}
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
    import nibabel

    image = nibabel.load(path)
    header = image.header
    shape = tuple(int(n) for n in image.shape)
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
    if header.get_data_dtype().fields is not None:
        raise MaskError("the mask holds colours, not labels", where=path.name)
    names, warnings = _nifti_names(header, path.name)
    lps_from_ijk = _LPS_FROM_RAS @ _nifti_affine(header, path.name)
    # The header loses its scaling on loading; the data proxy keeps it.
    stored = image.dataobj
    values = stored.get_unscaled() if (stored.slope, stored.inter) == (1.0, 0.0) else stored
    array = np.asanyarray(values).reshape(shape)
    return RawMask(
        lps_from_kji=lps_from_ijk[:, [2, 1, 0, 3]],
        layers=(array.T,),
        names={(0, value): name for value, name in names.items()},
        warnings=tuple(warnings),
    )


def _nifti_affine(header: Any, file: str) -> NDArray[np.float64]:
    """The index-to-RAS matrix; the sform where both forms are there and agree."""
    units = header.get_xyzt_units()[0]
    if units not in ("mm", "unknown"):
        raise MaskError("the NIfTI header is not in millimetres", seen=units, where=file)
    qform, q_code = header.get_qform(coded=True)
    sform, s_code = header.get_sform(coded=True)
    if not q_code and not s_code:
        raise MaskError(
            "the NIfTI header has no position (qform and sform codes are 0)",
            where=file,
            fix=_NO_POSITION_FIX,
        )
    if q_code and s_code:
        shape = np.array([*header.get_data_shape()[:3], 1.0])
        corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], [1])).reshape(4, -1).T * shape
        gap_mm = np.linalg.norm((corners @ (qform - sform).T)[:, :3], axis=1).max()
        voxel_mm = float(np.linalg.norm(sform[:3, :3], axis=0).min())
        if not (gap_mm <= 0.5 * voxel_mm):
            raise MaskError(
                "the NIfTI header gives two positions (qform and sform) that disagree",
                seen=f"{gap_mm:.2f} mm apart",
                needed=f"within half a voxel ({0.5 * voxel_mm:.2f} mm)",
                where=file,
                fix="Keep the right one: set the other to it or its code to 0.",
            )
    return np.asarray(sform if s_code else qform, dtype=np.float64)


def _nifti_names(header: Any, file: str) -> tuple[dict[int, str], list[str]]:
    for extension in header.extensions:
        content = extension.get_content()
        text = content if isinstance(content, bytes) else str(content).encode()
        if b"<LabelTable>" not in text:
            continue
        try:
            root = ElementTree.fromstring(text.rstrip(b"\0 \n"))
            labels = [(int(e.get("Key", "")), (e.text or "").strip()) for e in root.iter("Label")]
        except (ElementTree.ParseError, ValueError) as error:
            return {}, [f"{file}: the label table in the header is unreadable ({error})"]
        return {value: name for value, name in labels if value and name}, []
    return {}, []


# ---------------------------------------------------------------- NRRD


def read_nrrd(path: Path) -> RawMask:
    """An NRRD label map or a 3D Slicer segmentation (.seg.nrrd), with all its layers."""
    import nrrd

    with path.open("rb") as stream:
        header = nrrd.read_header(stream)
        require_voxel_count(header["sizes"], path.name)
        if "data file" in header or "datafile" in header:
            raise MaskError("the NRRD file keeps its voxels in another file", where=path.name)
        list_axis = _list_axis(header, path.name)
        lps_from_kji = _nrrd_matrix(header, list_axis, path.name)
        _refuse_fractional(header, path.name)
        segments = _segments(header, path.name)
        values = nrrd.read_data(header, stream, index_order="C")
    if list_axis is None:
        layers = [values]
    else:
        last = values.ndim - 1
        layers = list(np.moveaxis(values, last - list_axis, 0))
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


def _list_axis(header: Mapping[str, Any], file: str) -> int | None:
    """Which NRRD axis counts the layers of a segmentation; None for a 3-D file."""
    n_axes = len(header["sizes"])
    if n_axes == 3:
        return None
    kinds = list(header.get("kinds", ["?"] * n_axes))
    lists = [n for n, kind in enumerate(kinds) if str(kind).lower() in ("list", "vector")]
    if n_axes != 4 or len(lists) != 1:
        raise MaskError(
            "an NRRD mask must have three axes, or three and a list of layers",
            seen=f"sizes {[int(n) for n in header['sizes']]}, kinds {kinds}",
            where=file,
        )
    return lists[0]


def _nrrd_matrix(
    header: Mapping[str, Any], list_axis: int | None, file: str
) -> NDArray[np.float64]:
    space = str(header.get("space", "")).strip().lower()
    missing = [f for f in ("space", "space directions", "space origin") if f not in header]
    if missing:
        raise MaskError(
            "the NRRD header has no position in the patient",
            seen=f"no field '{missing[0]}'",
            where=file,
            fix=_NO_POSITION_FIX,
        )
    if space not in _LPS_FROM_NRRD_SPACE:
        raise MaskError(
            "the NRRD file is in a space that is not the patient's",
            seen=header["space"],
            needed="left-posterior-superior, right-anterior-superior or left-anterior-superior",
            where=file,
            fix=_NO_POSITION_FIX,
        )
    units = [str(u).strip('"') for u in header.get("space units", [])]
    if any(u not in ("", "mm") for u in units):
        raise MaskError("the NRRD header is not in millimetres", seen=units, where=file)
    directions = [
        np.array(row, dtype=np.float64)
        for n, row in enumerate(header["space directions"])
        if n != list_axis and row is not None
    ]
    origin = np.array(header["space origin"], dtype=np.float64)
    if len(directions) != 3 or any(d.shape != (3,) for d in directions) or origin.shape != (3,):
        raise MaskError(
            "the NRRD header needs three space directions of three numbers",
            seen=str(header["space directions"]),
            where=file,
        )
    lps_from_space = _LPS_FROM_NRRD_SPACE[space]
    matrix = np.eye(4)
    matrix[:3, :3] = lps_from_space @ np.array(directions).T[:, ::-1]
    matrix[:3, 3] = lps_from_space @ origin
    return matrix


@dataclass(frozen=True, slots=True)
class _Segment:
    """Layer, label value and name of one ``SegmentN_`` block."""

    layer: int
    value: int
    name: str


def _segments(header: Mapping[str, Any], file: str) -> list[_Segment]:
    """The segments of a Slicer header; older files have one layer per segment, value 1."""
    numbers = {int(m[1]) for key in header if (m := re.fullmatch(r"Segment(\d+)_ID", key))}
    numbers |= {int(m[1]) for key in header if (m := re.fullmatch(r"Segment(\d+)_Name", key))}
    is_4d = len(header["sizes"]) == 4
    found = []
    for n in sorted(numbers):
        identifier = str(header.get(f"Segment{n}_ID", f"Segment_{n + 1}"))
        name = str(header.get(f"Segment{n}_Name", "")).strip() or identifier
        layer = header.get(f"Segment{n}_Layer", n if is_4d else 0)
        value = header.get(f"Segment{n}_LabelValue", 1)
        try:
            found.append(_Segment(int(layer), int(value), name))
        except ValueError as error:
            raise MaskError(
                f"segment '{name}' has no usable layer or label value",
                seen=f"layer {layer!r}, label value {value!r}",
                where=file,
            ) from error
    bad = [s.name for s in found if s.layer < 0 or s.value <= 0]
    if bad:
        raise MaskError(
            "a segment has a layer or label value that cannot be", seen=", ".join(bad), where=file
        )
    return found


def _refuse_fractional(header: Mapping[str, Any], file: str) -> None:
    for key in ("Segmentation_MasterRepresentation", "Segmentation_SourceRepresentation"):
        if "fractional" in str(header.get(key, "")).lower():
            raise MaskError(
                "the segmentation is stored as fractions, not as labels",
                seen=header[key],
                where=file,
                fix="Export it as a binary label map.",
            )


# ---------------------------------------------------------------- MetaImage


def read_metaimage(path: Path) -> RawMask:
    """A MetaImage label map (.mha); it carries no names."""
    import SimpleITK

    _require_meta_position(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("MetaImageIO")
    reader.ReadImageInformation()
    size = reader.GetSize()
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise MaskError(
            "a mask must have three axes and one value per voxel",
            seen=f"size {size}, {reader.GetNumberOfComponents()} values",
            where=path.name,
        )
    require_voxel_count(size, path.name)
    image = reader.Execute()
    matrix = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = (axes * np.array(image.GetSpacing()))[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    values = SimpleITK.GetArrayFromImage(image)
    return RawMask(lps_from_kji=matrix, layers=(values,), names={})


def _require_meta_position(path: Path) -> None:
    with path.open("rb") as stream:
        text = stream.read(65536).split(b"ElementDataFile")[0].decode("latin-1")
    keys = {line.partition("=")[0].strip() for line in text.splitlines()}
    for kinds in (("Offset", "Position", "Origin"), ("TransformMatrix", "Rotation", "Orientation")):
        if not keys.intersection(kinds):
            raise MaskError(
                "the MetaImage header has no position in the patient",
                seen=f"no field '{kinds[0]}'",
                where=path.name,
                fix=_NO_POSITION_FIX,
            )
