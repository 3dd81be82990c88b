"""DICOM Segmentation objects: binary, fractional and label map, through highdicom.

Each segment keeps all its voxels, overlapping or not. Frames are placed by their own
positions, so empty slices may be left out. Where the object refers to the image and has its
lattice, left-out slices are empty; else nothing is known outside its own frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, MaskError, UnsupportedObjectError
from planner.geometry import Grid, Volume
from planner.geometry.lattice import copy_voxels, lattice_map
from planner.geometry.resample import MaskTransfer
from planner.io.dicom_stream import open_header, read_whole
from planner.io.dicom_values import DicomTag, RawElements, quiet_pydicom
from planner.io.functional_groups import MAX_GROUPS_BYTES
from planner.io.mask_formats import require_voxel_count
from planner.io.references import refers_to
from planner.io.seg_frames import SegFrames, seg_frames
from planner.io.stored_file import (
    ImageReferences,
    MaskOptions,
    StoredFile,
    StoredLabel,
    VoxelFile,
    sha256_of,
)
from planner.model import StructureRole

KIND = "DICOM segmentation"
MAX_SEGMENTS = 300
OTHER_THRESHOLD = 0.5
"""Share of a voxel from which it is inside a structure that is no obstacle."""

_TILED = 0x00480007
"""TotalPixelMatrixRows."""

_MAX_BYTES_PER_VOXEL = 2
"""A label map has up to 16 bits; compressed frames that are larger than that are damaged."""

_LEVELS = 255
_SAYS_NOTHING = re.compile(r"\s*(segment|seg|label|structure|roi|mask|auto)?[\s_#-]*\d*\s*", re.I)
"""Segment labels that name nothing: the coded type names the segment then."""

_TEXT_LIMIT = 64


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FractionFile(StoredFile):
    """Segments with a share or probability per voxel, 0 to 255 of 255."""

    shares: tuple[NDArray[np.uint8], ...]
    threshold: float | None

    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """Voxels at or above the threshold; any share above 0 for an obstacle without one."""
        share = self.shares[label.layer]
        if self.threshold is not None:
            inside = share >= max(1, int(np.ceil(self.threshold * _LEVELS)))
        elif role.is_obstacle:
            inside = share > 0
        else:
            inside = share >= int(np.ceil(OTHER_THRESHOLD * _LEVELS))
        one = StoredLabel(layer=0, value=1, name=label.name, n_voxels=int(inside.sum()))
        file = VoxelFile(
            file=self.file,
            stem=self.stem,
            sha256=self.sha256,
            grid=self.grid,
            labels=(one,),
            layers=(inside.astype(np.uint8),),
        )
        return file.on_grid(one, image, role)


def read_seg_file(path: Path, image: Volume, options: MaskOptions) -> StoredFile:
    """The segments of a DICOM SEG file.

    Parameters
    ----------
    path : Path
    image : Volume
        To tell whether the object speaks for all of it.
    options : MaskOptions
        ``fraction_threshold`` for fractional objects.

    Raises
    ------
    MaskError
        If the file is damaged, too large, or its frames form no regular volume.
    UnsupportedObjectError
        If it is a tiled (microscopy) object.
    """
    with quiet_pydicom():
        dataset = _opened(path)
        references = _references(dataset)
        kind = str(dataset.get("SegmentationType", "BINARY"))
        names, warnings = _names(dataset, path.name)
        frames = seg_frames(dataset, image.grid, path.name)
        numbers = sorted(names)
        place = _Placement(frames.grid, image, references)
        common: dict[str, Any] = {
            "file": path.name,
            "stem": path.stem,
            "sha256": sha256_of(path),
            "grid": place.grid,
            "references": references,
            "kind": KIND,
        }
        if kind == "FRACTIONAL":
            shares = tuple(place.placed(_share(dataset, frames, n, path.name)) for n in numbers)
            notes = _fraction_notes(dataset, shares, names, options.fraction_threshold, path.name)
            labels = _labels(names, ((s, 0, 1) for s in shares), per_layer=True)
            return FractionFile(
                **common,
                labels=labels,
                warnings=(*warnings, *notes, *_empty_notes(labels, path.name)),
                shares=shares,
                threshold=options.fraction_threshold,
            )
        layers, homes = _packed(dataset, frames, numbers, path.name)
        layers = [place.placed(layer) for layer in layers]
    labels = _labels(names, ((layers[at], at, n) for n, at in homes.items()), per_layer=False)
    return VoxelFile(
        **common,
        labels=labels,
        warnings=(*warnings, *_empty_notes(labels, path.name)),
        layers=tuple(layers),
    )


def _opened(path: Path) -> Any:
    """The object, after its header was found to be of a size that can be read."""
    from highdicom.seg import Segmentation

    try:
        header = _header(path)
        frames = header.integer(DicomTag.NumberOfFrames) or 1
        rows, columns = header.short(DicomTag.Rows) or 0, header.short(DicomTag.Columns) or 0
    except Exception as error:
        raise _damaged(path.name, error) from error
    if _TILED in header.by_tag:
        raise UnsupportedObjectError(
            "a tiled segmentation (microscopy) has no place in the patient", where=path.name
        )
    require_voxel_count((frames, rows, columns), path.name)
    most = MAX_GROUPS_BYTES + _MAX_BYTES_PER_VOXEL * frames * rows * columns
    try:
        dataset = read_whole(path, max_bytes=most, refusal=MaskError)
        return Segmentation.from_dataset(dataset, copy=False)
    except InputError:
        raise
    except Exception as error:
        raise _damaged(path.name, error) from error


def _header(path: Path) -> RawElements:
    """The few attributes that say how large the object is."""
    from pydicom.tag import Tag

    tags = (DicomTag.NumberOfFrames, DicomTag.Rows, DicomTag.Columns, _TILED)
    with path.open("rb") as stream:
        opened = open_header(stream, path.name, [Tag(int(tag)) for tag in tags], is_short=True)
        return RawElements.of(opened.dataset)


def _damaged(file: str, error: Exception) -> MaskError:
    """Without the error's own words: they may quote the header, the patient's name too."""
    return MaskError(
        "the DICOM segmentation cannot be read",
        seen=type(error).__name__,
        where=file,
        fix="Export it again from the program that made it.",
    )


def _references(dataset: Any) -> ImageReferences:
    series: set[str] = set()
    instances: set[str] = set()
    for item in dataset.get("ReferencedSeriesSequence", []):
        series.add(_text(item, "SeriesInstanceUID"))
        for instance in item.get("ReferencedInstanceSequence", []):
            instances.add(_text(instance, "ReferencedSOPInstanceUID"))
    frame = _text(dataset, "FrameOfReferenceUID") or None
    return ImageReferences(
        frame_of_reference_uid=frame,
        series_instance_uids=frozenset(series - {""}),
        sop_instance_uids=frozenset(instances - {""}),
        study_instance_uid=_text(dataset, "StudyInstanceUID") or None,
    )


def _names(dataset: Any, file: str) -> tuple[dict[int, tuple[str, str | None]], list[str]]:
    """Name and coded meaning of each segment by number; names made unique within the file."""
    found: dict[int, tuple[str, str | None]] = {}
    items = list(dataset.get("SegmentSequence", []))
    if not items:
        raise MaskError("the DICOM segmentation has no segment", where=file)
    if len(items) > MAX_SEGMENTS:
        raise MaskError(
            "too many segments", seen=len(items), needed=f"<= {MAX_SEGMENTS}", where=file
        )
    warnings = []
    for item in items:
        number = int(item.get("SegmentNumber", 0))
        label = _text(item, "SegmentLabel")
        meaning = _meaning(item)
        name = label
        if _SAYS_NOTHING.fullmatch(label) and meaning is not None:
            name = meaning
        if number == 0 and not label and meaning is None:
            continue
        found[number] = (name or f"segment {number}", meaning)
    background = [n for n, (name, _) in found.items() if n == 0 and name.lower() == "background"]
    for number in background:
        del found[number]
    names = [name for name, _ in found.values()]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        warnings.append(
            f"{file}: segments of one name, told apart by their number: {', '.join(double)}"
        )
        found = {
            n: (f"{name} ({n})" if name in double else name, meaning)
            for n, (name, meaning) in found.items()
        }
    return found, warnings


def _meaning(item: Any) -> str | None:
    """Coded meaning of a segment with its side, such as ``"Kidney, Left"``."""
    for code in item.get("SegmentedPropertyTypeCodeSequence", []):
        text = _text(code, "CodeMeaning")
        for modifier in code.get("SegmentedPropertyTypeModifierCodeSequence", []):
            text += f", {_text(modifier, 'CodeMeaning')}"
        if text:
            return text[:_TEXT_LIMIT]
    return None


def _text(item: Any, keyword: str) -> str:
    """Up to a NUL: a value whose length is damaged goes on into the next elements."""
    return str(item.get(keyword, "")).partition("\0")[0].strip()[:_TEXT_LIMIT]


def _pixels(dataset: Any, frames: SegFrames, number: int | None, file: str) -> NDArray[Any]:
    """Stored values of one segment (or of a label map) on the object's lattice."""
    out: NDArray[Any] = np.zeros(frames.grid.shape_kji, np.uint16 if number is None else np.uint8)
    chosen = np.arange(frames.slices.size)
    if frames.segments is not None:
        chosen = np.flatnonzero(frames.segments == number)
    for at in chosen.tolist():
        try:
            frame = dataset.get_stored_frame(at + 1)
        except Exception as error:
            raise _damaged(file, error) from error
        k = int(frames.slices[at])
        np.maximum(out[k], frame, out=out[k], casting="unsafe")
    return out


def _share(dataset: Any, frames: SegFrames, number: int, file: str) -> NDArray[np.uint8]:
    """Share of one fractional segment in 255ths; any share above 0 stays above 0."""
    stored = _pixels(dataset, frames, number, file)
    top = int(dataset.get("MaximumFractionalValue", 0))
    if not (0 < top <= _LEVELS):
        raise MaskError(
            "MaximumFractionalValue cannot be used", seen=top, needed="1 to 255", where=file
        )
    levels = np.ceil(np.minimum(stored, top) * (_LEVELS / top) - 1e-6)
    return np.asarray(levels, dtype=np.uint8)


def _packed(
    dataset: Any, frames: SegFrames, numbers: list[int], file: str
) -> tuple[list[NDArray[np.integer[Any]]], dict[int, int]]:
    """Segments in as few layers as overlap allows; the layer of each segment number."""
    if frames.segments is None:
        return [_pixels(dataset, frames, None, file)], dict.fromkeys(numbers, 0)
    dtype = np.uint8 if max(numbers) <= 255 else np.uint16
    layers: list[NDArray[np.integer[Any]]] = []
    homes: dict[int, int] = {}
    for number in numbers:
        inside = _pixels(dataset, frames, number, file) != 0
        free = [n for n, layer in enumerate(layers) if not layer[inside].any()]
        at = free[0] if free else len(layers)
        if at == len(layers):
            require_voxel_count((len(layers) + 1, *inside.shape), file)
            layers.append(np.zeros(inside.shape, dtype))
        layers[at][inside] = number
        homes[number] = at
    return layers, homes


class _Placement:
    """The object's own lattice, or the image's where the object speaks for all of the image."""

    def __init__(self, grid: Grid, image: Volume, references: ImageReferences) -> None:
        self._image = image.grid
        self._lattice = lattice_map(grid, image.grid) if refers_to(references, image) else None
        self.grid = grid if self._lattice is None else image.grid

    def placed(self, layer: NDArray[Any]) -> NDArray[Any]:
        if self._lattice is None:
            return layer
        return copy_voxels(layer, self._image.shape_kji, self._lattice)


def _labels(
    names: dict[int, tuple[str, str | None]],
    places: Iterator[tuple[NDArray[Any], int, int]],
    *,
    per_layer: bool,
) -> tuple[StoredLabel, ...]:
    labels = []
    for at, ((number, (name, meaning)), (layer, home, value)) in enumerate(
        zip(names.items(), places, strict=True)
    ):
        n_voxels = np.count_nonzero(layer) if per_layer else np.count_nonzero(layer == number)
        labels.append(
            StoredLabel(
                layer=at if per_layer else home,
                value=value,
                name=name,
                n_voxels=int(n_voxels),
                meaning=meaning,
            )
        )
    return tuple(labels)


def _empty_notes(labels: tuple[StoredLabel, ...], file: str) -> list[str]:
    empty = [str(label.name) for label in labels if label.n_voxels == 0]
    return [f"{file}: segments without a voxel: {', '.join(empty)}"] if empty else []


def _fraction_notes(
    dataset: Any,
    shares: tuple[NDArray[np.uint8], ...],
    names: dict[int, tuple[str, str | None]],
    threshold: float | None,
    file: str,
) -> list[str]:
    """Kind, threshold, and how many voxels hang on it."""
    kind = (_text(dataset, "SegmentationFractionalType") or "unknown kind").lower()
    half = int(np.ceil(OTHER_THRESHOLD * _LEVELS))
    if threshold is None:
        said = "any share above 0 counts for structures to avoid, 0.5 for others"
        low = 1
    else:
        said = f"{threshold:g} counts as inside, as asked for"
        low = max(1, int(np.ceil(threshold * _LEVELS)))
    between = [
        f"{name} {abs(int((s >= low).sum()) - int((s >= half).sum()))}"
        for s, (name, _) in zip(shares, names.values(), strict=True)
    ]
    return [
        f"{file}: fractional ({kind}); {said} (--seg-threshold); voxels between that and 0.5: "
        + ", ".join(between[:20])
    ]


def require_threshold(value: float | None) -> None:
    """Refuse a threshold that is no share.

    Raises
    ------
    InputError
        If it is not above 0 and at most 1.
    """
    if value is not None and not (0.0 < value <= 1.0):
        raise InputError(
            "the threshold of fractional segmentations is a share",
            seen=value,
            needed="above 0, at most 1",
            where="--seg-threshold",
        )
