"""Small segmentation files of every kind, written with the formats' own libraries."""

from __future__ import annotations

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import SimpleITK
import slicerio
from numpy.typing import ArrayLike, NDArray

from planner.geometry import Grid, Volume
from planner.model import StructureSet

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")
"""Kinds of file that `write_mask` writes."""


def image_on(grid: Grid) -> Volume:
    return Volume(grid=grid, values=np.zeros(grid.shape_kji, np.int16))


def lps_from_ijk(grid: Grid) -> NDArray[np.float64]:
    return np.array(grid.lps_from_kji)[:, [2, 1, 0, 3]]


def write_nifti(
    path: Path,
    labels: NDArray[np.generic],
    grid: Grid,
    names: dict[int, str] | None = None,
    codes: tuple[int, int] = (0, 2),
) -> Path:
    """``codes`` are the qform and sform codes."""
    image = nibabel.Nifti1Image(labels.T, _RAS_FROM_LPS @ lps_from_ijk(grid))
    image.header.set_xyzt_units("mm")
    image.set_qform(image.affine, codes[0])
    image.set_sform(image.affine, codes[1])
    if names is not None:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, label_table_xml(names)))
    nibabel.save(image, path)
    return path


def label_table_xml(names: dict[int, str]) -> bytes:
    rows = "".join(
        f'<Label Key="{n}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{name}]]></Label>\n'
        for n, name in names.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0">'
        f"<LabelTable>\n{rows}</LabelTable></VolumeInformation></CaretExtension>    "
    ).encode()


def nrrd_header(grid: Grid, **more: object) -> dict[str, object]:
    matrix = lps_from_ijk(grid)
    header: dict[str, object] = {
        "space": "left-posterior-superior",
        "space directions": matrix[:3, :3].T,
        "space origin": matrix[:3, 3],
        "kinds": ["domain"] * 3,
    }
    return header | more


def write_nrrd(path: Path, labels: NDArray[np.generic], header: dict[str, object]) -> Path:
    nrrd.write(str(path), labels.T, header, index_order="F")
    return path


def write_slicer(
    path: Path, layers: list[NDArray[np.generic]], grid: Grid, segments: list[tuple[str, int, int]]
) -> Path:
    """``segments`` are (name, layer, label value)."""
    voxels = layers[0].T if len(layers) == 1 else np.stack([a.T for a in layers])
    content = {
        "voxels": voxels,
        "ijkToLPS": lps_from_ijk(grid),
        "encoding": "gzip",
        "segments": [
            {"id": f"Segment_{n}", "name": name, "layer": layer, "labelValue": value}
            for n, (name, layer, value) in enumerate(segments)
        ],
    }
    slicerio.write_segmentation(str(path), content)
    return path


def write_metaimage(path: Path, labels: NDArray[np.generic], grid: Grid) -> Path:
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing_kji_mm[::-1].tolist())
    image.SetOrigin(grid.origin_lps_mm.tolist())
    image.SetDirection(grid.axes_lps_from_kji[:, ::-1].ravel().tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def write_mask(path: Path, labels: NDArray[np.generic], grid: Grid) -> Path:
    """The kind that the suffix names."""
    if path.name.endswith((".nii", ".nii.gz")):
        return write_nifti(path, labels, grid)
    if path.name.endswith(".mha"):
        return write_metaimage(path, labels, grid)
    return write_nrrd(path, labels, nrrd_header(grid))


def moved_grid(grid: Grid, by_lps_mm: ArrayLike) -> Grid:
    """The same grid somewhere else."""
    return Grid.from_axes(
        grid.shape_kji,
        grid.spacing_kji_mm,
        grid.origin_lps_mm + np.asarray(by_lps_mm),
        grid.axes_lps_from_kji,
        grid.frame,
    )


def reading_notes(structures: StructureSet) -> tuple[str, ...]:
    """What was told of reading the files, without what was told of the masks themselves."""
    of_masks = ("cut by the edge of the image", "specks apart from the rest")
    return tuple(w for w in structures.warnings if not w.startswith(of_masks))
