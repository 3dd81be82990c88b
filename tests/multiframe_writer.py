"""Writes enhanced multi-frame objects and Siemens mosaics by hand (pydicom and struct)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from planner.geometry import Grid
from tests.dicom_writer import SERIES_UID, ds_texts, slice_dataset

Macros = Mapping[str, Mapping[str, Any]]
"""Macro sequence keyword, then attribute keyword and value; a dict as value nests a sequence."""

PERMUTATION_SEED = 11


def item(attributes: Mapping[str, Any]) -> Dataset:
    """A sequence item; dictionaries in it become sequences of one item."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, [item(value)] if isinstance(value, Mapping) else value)
    return ds


def geometry_macros(grid: Grid, *, has_true_step: bool = False) -> dict[str, dict[str, Any]]:
    """Orientation and pixel measures of a grid; its slice spacing is wrong unless asked for."""
    step = ds_texts(grid.spacing_kji_mm[:1])[0] if has_true_step else "77"
    axes = grid.axes_lps_from_kji
    return {
        "PlaneOrientationSequence": {
            "ImageOrientationPatient": ds_texts(np.concatenate([axes[:, 2], axes[:, 1]]))
        },
        "PixelMeasuresSequence": {
            "PixelSpacing": ds_texts(grid.spacing_kji_mm[1:]),
            "SliceThickness": step,
            "SpacingBetweenSlices": step,
        },
    }


def enhanced_dataset(
    grid: Grid,
    volumes: Sequence[tuple[np.ndarray, Macros]],
    *,
    constants: str = "shared",
    shared: Macros | None = None,
    modality: str = "MR",
    is_permuted: bool = True,
    has_true_step: bool = False,
) -> Dataset:
    """One enhanced object with every slice of every volume as a frame, in shuffled order.

    Parameters
    ----------
    volumes : sequence of (ndarray [k, j, i], macros)
        Voxels, and what each of its frames says besides its position.
    constants : {"shared", "per_frame", "top"}
        Where orientation and pixel measures are stated.
    """
    places = [(n, k) for n in range(len(volumes)) for k in range(grid.shape_kji[0])]
    if is_permuted:
        order = np.random.default_rng(PERMUTATION_SEED).permutation(len(places))
        places = [places[p] for p in order]
    ds = slice_dataset(grid, 0, volumes[0][0][0], modality=modality)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
    ):
        delattr(ds, keyword)
    constant = geometry_macros(grid, has_true_step=has_true_step)
    common: dict[str, Mapping[str, Any]] = dict(shared or {})
    if constants == "shared":
        common |= constant
    elif constants == "top":
        for attributes in constant.values():
            ds.update(item(attributes))
    if common:
        ds.SharedFunctionalGroupsSequence = [item(common)]
    frames = []
    for place, (n, k) in enumerate(places):
        own: dict[str, Mapping[str, Any]] = {
            "FrameContentSequence": {"StackID": "1", "InStackPositionNumber": k + 1},
            "PlanePositionSequence": {"ImagePositionPatient": ds_texts(grid.to_lps([k, 0, 0]))},
        }
        if constants == "per_frame":
            own |= constant
        for keyword, attributes in volumes[n][1].items():
            own[keyword] = {**own.get(keyword, {}), **attributes}
        frames.append(item(own))
        frames[-1].FrameContentSequence[0].DimensionIndexValues = [1, place + 1]
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.NumberOfFrames = len(places)
    ds.PixelData = b"".join(np.ascontiguousarray(volumes[n][0][k]).tobytes() for n, k in places)
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    return ds


def use_undefined_lengths(ds: Dataset) -> None:
    """Writes every sequence and item with a delimiter instead of its length."""
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for inner in element.value:
                inner.is_undefined_length_sequence_item = True
                use_undefined_lengths(inner)


def csa_header(tags: Mapping[str, tuple[str, Sequence[str]]]) -> bytes:
    """A CSA header of the second kind: name, then value representation and texts."""
    data = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, (vr, texts) in tags.items():
        data += struct.pack("<64si4s3i", name.encode(), len(texts), vr.encode(), 0, len(texts), 77)
        for text in texts:
            raw = text.encode("latin-1") + b"\0"
            data += struct.pack("<4i", len(raw), len(raw), 77, len(raw))
            data += raw + bytes(-len(raw) % 4)
    return data


def image_csa(n_images: int | None, normal_lps: np.ndarray | None, **more: str) -> bytes:
    """The CSA image header of a mosaic."""
    tags: dict[str, tuple[str, Sequence[str]]] = {}
    if n_images is not None:
        tags["NumberOfImagesInMosaic"] = ("US", [str(n_images)])
    if normal_lps is not None:
        tags["SliceNormalVector"] = ("FD", [f"{v:.8f}" for v in normal_lps])
    tags |= {name: ("IS", [text]) for name, text in more.items()}
    return csa_header(tags or {"Nothing": ("IS", ["1"])})


def series_csa(centres_lps_mm: np.ndarray) -> bytes:
    """The CSA series header of a mosaic; a zero component is left out, as scanners do."""
    lines = ["### ASCCONV BEGIN ###"]
    for n, centre in enumerate(centres_lps_mm):
        lines += [
            f"sSliceArray.asSlice[{n}].sPosition.d{axis}\t = \t{value:.9g}"
            for axis, value in zip(("Sag", "Cor", "Tra"), centre, strict=True)
            if value
        ]
    lines += [f"sSliceArray.lSize\t = \t{len(centres_lps_mm)}", "### ASCCONV END ###"]
    return csa_header({"MrPhoenixProtocol": ("UN", ["\n".join(lines)])})


def mosaic_dataset(grid: Grid, values: np.ndarray, *, number: int = 1) -> Dataset:
    """A mosaic without its CSA headers; tile order is the order of k, whichever way that goes."""
    n, rows, columns = grid.shape_kji
    per_side = math.ceil(math.sqrt(n))
    picture = np.zeros((per_side * rows, per_side * columns), values.dtype)
    for k in range(n):
        down, across = divmod(k, per_side)
        picture[down * rows : (down + 1) * rows, across * columns : (across + 1) * columns] = (
            values[k]
        )
    ds = slice_dataset(grid, 0, picture)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    ds.Manufacturer = "SIEMENS"
    ds.SeriesInstanceUID = SERIES_UID
    # the corner of the big picture, centred where the first slice is
    surplus_kji = np.array([0, -(per_side - 1) * rows / 2, -(per_side - 1) * columns / 2])
    ds.ImagePositionPatient = ds_texts(grid.to_lps(surplus_kji))
    ds.SpacingBetweenSlices = ds_texts(grid.spacing_kji_mm[:1])[0]
    ds.InstanceNumber = ds.AcquisitionNumber = number
    return ds


def add_csa(ds: Dataset, image: bytes | None = None, series: bytes | None = None) -> None:
    """Adds the private CSA elements with their creator."""
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    for offset, data in ((0x10, image), (0x20, series)):
        if data is not None:
            block.add_new(offset, "OB", data + bytes(len(data) % 2))


def slice_centres(grid: Grid) -> np.ndarray:
    """Slice centres as the protocol counts them: half the field of view from the corner."""
    n, rows, columns = grid.shape_kji
    return np.array([grid.to_lps([k, rows / 2, columns / 2]) for k in range(n)])
