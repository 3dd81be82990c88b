"""Reads a volume from one NIfTI, NRRD or MetaImage file.

NIfTI is RAS and is turned to LPS once, here; NRRD and MetaImage come in LPS from their
headers. The voxels are never resampled: the array keeps the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import (
    DegenerateGeometryError,
    InputError,
    SeriesGeometryError,
    UnsupportedObjectError,
)
from planner.geometry import FrameId, Grid, ImageSource, Volume
from planner.geometry.frames import FloatArray
from planner.io.metaimage_file import read_metaimage_header
from planner.io.nifti_file import NiftiFile, read_nifti_header
from planner.io.nrrd_file import lps_from_kji_of, read_nrrd_header, require_space
from planner.io.voxel_data import VoxelData

NIFTI_SUFFIXES = (".nii", ".nii.gz")
OTHER_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")

MIN_VOXELS_PER_AXIS = 2
"""One voxel along an axis is a picture, not a volume."""

FORM_TOL_MM = 0.05
"""qform and sform that place a corner farther apart than this disagree."""

_AXIS_ORDER = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An opened volume file: its geometry, and its values when asked for."""

    path: Path
    grid: Grid
    warnings: tuple[str, ...]
    read_values: Callable[[], NDArray[np.generic]]

    def to_volume(self) -> Volume:
        """The volume; integer values as stored, others as float32."""
        values = self.read_values()
        found = list(self.warnings)
        n_bad = 0
        if values.dtype.kind == "f":
            n_bad = values.size - int(np.count_nonzero(np.isfinite(values)))
        if n_bad:
            found.append(f"{n_bad} of {values.size} voxels are not finite numbers")
        source = ImageSource(
            description=self.path.name, files=(str(self.path),), warnings=tuple(found)
        )
        return Volume(grid=self.grid, values=values, source=source)


def is_image_file(path: Path) -> bool:
    """Whether the name is that of a NIfTI, NRRD or MetaImage volume."""
    return path.name.lower().endswith((*NIFTI_SUFFIXES, *OTHER_SUFFIXES))


def open_image_file(path: Path) -> ImageFile:
    """Geometry of a volume file, checked; the values are not read yet.

    Raises
    ------
    UnsupportedObjectError
        More than three dimensions, several values per voxel, or no volume.
    SeriesGeometryError
        The file does not say where the voxels lie in the patient, or shears them.
    InputError
        The file cannot be read, or is larger than ``voxel_data.MAX_DATA_BYTES``.
    """
    name = path.name.lower()
    try:
        if name.endswith(NIFTI_SUFFIXES):
            return _open_nifti(path)
        if name.endswith((".nrrd", ".nhdr")):
            return _open_nrrd(path)
        return _open_metaimage(path)
    except OSError as error:
        raise _damaged(path, error) from error


def _open_nifti(path: Path) -> ImageFile:
    file = read_nifti_header(path)
    shape = _shape_3d(file.shape_ijk, path)
    if file.data.dtype.kind not in "iuf":
        raise _several_numbers(str(file.data.dtype), path)
    lps_from_ijk, found = _nifti_affine(file)
    grid = _grid(shape, lps_from_ijk @ _AXIS_ORDER, path)
    if not np.any(grid.origin_lps_mm):
        found.append("the origin is exactly (0, 0, 0): the scanner position may have been lost")
    return _image_file(path, grid, file.data, found, file.slope, file.intercept)


def _nifti_affine(file: NiftiFile) -> tuple[FloatArray, list[str]]:
    """LPS from file index (i, j, k), and what was odd about it."""
    qform, sform = file.ras_from_ijk()
    ras_from_ijk = qform if sform is None else sform
    if ras_from_ijk is None:
        raise SeriesGeometryError(
            "the file does not say where it lies in the patient",
            seen="qform_code 0 and sform_code 0",
            needed="at least one of them set",
            where=file.name,
            fix="Convert the DICOM series again with a tool that keeps the orientation.",
        )
    if file.unit not in ("mm", "unknown"):
        raise SeriesGeometryError(
            "the spatial unit is not the millimetre", seen=file.unit, needed="mm", where=file.name
        )
    found: list[str] = []
    if qform is not None and sform is not None:
        shape = np.array(file.shape_ijk[:3])
        pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1) * (shape[:, None] - 1)
        corners = np.vstack([pick, np.ones(8)])
        apart_mm = float(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max())
        if not apart_mm <= FORM_TOL_MM:
            codes = int(file.header["qform_code"]), int(file.header["sform_code"])
            found.append(
                f"qform and sform disagree by up to {apart_mm:.2f} mm; the sform is used "
                f"(codes {codes[0]} and {codes[1]})"
            )
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras_from_ijk, found


def _open_nrrd(path: Path) -> ImageFile:
    file = read_nrrd_header(path)
    sizes = [n for axis, n in enumerate(file.sizes) if axis != file.list_axis]
    if file.list_axis is not None and file.sizes[file.list_axis] != 1:
        raise _several_numbers(f"{file.sizes[file.list_axis]} components", path)
    shape = _shape_3d(sizes, path)
    require_space(file)
    grid = _grid(shape, lps_from_kji_of(file, SeriesGeometryError), path)
    found = []
    if any(key.startswith("Segment0_") for key in file.fields):
        found.append("the file is a segmentation; its values are labels, not an image")
    return _image_file(path, grid, file.data(), found)


def _open_metaimage(path: Path) -> ImageFile:
    file = read_metaimage_header(path)
    if file.n_components != 1:
        raise _several_numbers(f"{file.n_components} components", path)
    shape = _shape_3d(file.sizes, path)
    if file.lps_from_kji is None:
        raise SeriesGeometryError(
            "the file does not say where it lies in the patient",
            seen=f"no {file.missing}",
            needed="TransformMatrix and Offset",
            where=path.name,
            fix="Save it again with its orientation, e.g. with SimpleITK.",
        )
    return _image_file(path, _grid(shape, file.lps_from_kji, path), file.data, [])


def _image_file(
    path: Path,
    grid: Grid,
    data: VoxelData,
    found: list[str],
    slope: float = 1.0,
    intercept: float = 0.0,
) -> ImageFile:
    data.require_possible()

    def values() -> NDArray[np.generic]:
        try:
            stored = data.read().reshape(grid.shape_kji)
        except OSError as error:
            raise _damaged(path, error) from error
        return _plain(stored, slope, intercept)

    return ImageFile(path=path, grid=grid, warnings=tuple(found), read_values=values)


def _several_numbers(seen: str, path: Path) -> UnsupportedObjectError:
    return UnsupportedObjectError(
        "more than one number per voxel",
        seen=seen,
        needed="one integer or real number",
        where=path.name,
        fix="Extract one component, or convert it to a grey-value volume.",
    )


def _shape_3d(sizes_ijk: Sequence[int], path: Path) -> tuple[int, int, int]:
    """Sizes along file axes i, j, k; trailing axes of one are dropped."""
    sizes = tuple(int(n) for n in sizes_ijk)
    if len(sizes) < 3 or max(sizes[3:], default=1) > 1 or min(sizes[:3]) < MIN_VOXELS_PER_AXIS:
        raise UnsupportedObjectError(
            "not one 3-D volume",
            seen=" x ".join(str(n) for n in sizes) + f" ({len(sizes)}-D)",
            needed=f"three axes of at least {MIN_VOXELS_PER_AXIS} voxels",
            where=path.name,
            fix="Extract one volume (one time point, echo or b-value) into its own file.",
        )
    return sizes[0], sizes[1], sizes[2]


def _grid(shape_ijk: tuple[int, int, int], lps_from_kji: FloatArray, path: Path) -> Grid:
    try:
        return Grid(
            shape_kji=shape_ijk[::-1],
            lps_from_kji=lps_from_kji,
            frame=FrameId(None, path.name),
        )
    except DegenerateGeometryError as error:
        raise SeriesGeometryError(
            error.what, seen=error.seen, needed=error.needed, where=path.name, fix=error.fix
        ) from error


def _plain(array: NDArray[Any], slope: float, intercept: float) -> NDArray[np.generic]:
    """Native byte order, contiguous [k, j, i]; integers as stored unless rescaled."""
    if slope != 1.0 or intercept != 0.0:
        array = array * slope + intercept
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float32)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _damaged(path: Path, error: Exception) -> InputError:
    first_line = next((t for t in str(error).splitlines() if t.strip()), "no text")
    return InputError(
        "the file cannot be read",
        seen=f"{type(error).__name__}: {first_line.strip()[:200]}",
        where=path.name,
        fix="Copy or convert it again.",
    )
