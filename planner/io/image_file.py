"""Reads a volume from one NIfTI, NRRD or MetaImage file.

NIfTI is RAS and is turned to LPS once, here; NRRD and MetaImage come in LPS from
SimpleITK. The voxels are never resampled: the array keeps the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable
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

NIFTI_SUFFIXES = (".nii", ".nii.gz")
SIMPLEITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")

MIN_VOXELS_PER_AXIS = 2
"""One voxel along an axis is a picture, not a volume."""

FORM_TOL_MM = 0.05
"""qform and sform that place a corner farther apart than this disagree."""

_KNOWN_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior"}
"""Spaces of NRRD that name the sides of the patient; SimpleITK turns them to LPS."""

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
    return path.name.lower().endswith((*NIFTI_SUFFIXES, *SIMPLEITK_SUFFIXES))


def open_image_file(path: Path) -> ImageFile:
    """Geometry of a volume file, checked; the values are not read yet.

    Raises
    ------
    UnsupportedObjectError
        More than three dimensions, several values per voxel, or no volume.
    SeriesGeometryError
        The file does not say where the voxels lie in the patient, or shears them.
    InputError
        The file cannot be read.
    """
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return _open_nifti(path)
    return _open_simpleitk(path)


def _open_nifti(path: Path) -> ImageFile:
    import nibabel as nib

    try:
        image: Any = nib.load(path)
    except Exception as error:  # nibabel, gzip and zlib each raise their own kinds
        raise _damaged(path, error) from error
    if not isinstance(image, (nib.Nifti1Image, nib.Nifti2Image)):
        raise UnsupportedObjectError("not a NIfTI file", seen=type(image).__name__, where=path.name)
    shape = _shape_3d(image.shape, path)
    stored = image.header.get_data_dtype()
    if stored.kind not in "iuf":
        raise UnsupportedObjectError(
            "more than one number per voxel",
            seen=str(stored),
            needed="one integer or real number",
            where=path.name,
            fix="Convert it to a grey-value volume.",
        )
    lps_from_ijk, found = _nifti_affine(image, path)
    grid = _grid(shape, lps_from_ijk, path)
    if not np.any(grid.origin_lps_mm):
        found.append("the origin is exactly (0, 0, 0): the scanner position may have been lost")

    def values() -> NDArray[np.generic]:
        try:
            raw = np.asarray(image.dataobj.get_unscaled()).reshape(shape)
        except Exception as error:
            raise _damaged(path, error) from error
        slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
        return _plain(raw.T, slope, intercept)

    return ImageFile(path=path, grid=grid, warnings=tuple(found), read_values=values)


def _nifti_affine(image: Any, path: Path) -> tuple[FloatArray, list[str]]:
    """LPS from file index (i, j, k), and what was odd about it."""
    header = image.header
    qform, q_code = header.get_qform(coded=True)
    sform, s_code = header.get_sform(coded=True)
    if not q_code and not s_code:
        raise SeriesGeometryError(
            "the file does not say where it lies in the patient",
            seen="qform_code 0 and sform_code 0",
            needed="at least one of them set",
            where=path.name,
            fix="Convert the DICOM series again with a tool that keeps the orientation.",
        )
    unit = header.get_xyzt_units()[0]
    if unit not in ("mm", "unknown"):
        raise SeriesGeometryError(
            "the spatial unit is not the millimetre", seen=unit, needed="mm", where=path.name
        )
    found: list[str] = []
    ras_from_ijk = np.array(sform if s_code else qform, dtype=np.float64)
    if q_code and s_code:
        shape = np.array(image.shape[:3])
        pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1) * (shape[:, None] - 1)
        corners = np.vstack([pick, np.ones(8)])
        apart_mm = float(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max())
        if not apart_mm <= FORM_TOL_MM:
            found.append(
                f"qform and sform disagree by up to {apart_mm:.2f} mm; the sform is used "
                f"(codes {int(q_code)} and {int(s_code)})"
            )
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras_from_ijk, found


def _open_simpleitk(path: Path) -> ImageFile:
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _damaged(path, error) from error
    sizes = reader.GetSize()
    n_components = reader.GetNumberOfComponents()
    if n_components != 1:
        raise UnsupportedObjectError(
            "more than one number per voxel",
            seen=f"{n_components} components",
            needed="one integer or real number",
            where=path.name,
            fix="Extract one component, or convert it to a grey-value volume.",
        )
    shape = _shape_3d(sizes, path)
    _check_says_where(reader, path)
    n = reader.GetDimension()
    axes = np.reshape(reader.GetDirection(), (n, n))[:3, :3]
    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, :3] = axes * np.array(reader.GetSpacing()[:3])
    lps_from_ijk[:3, 3] = reader.GetOrigin()[:3]
    grid = _grid(shape, lps_from_ijk, path)
    found = []
    if any(key.startswith("Segment0_") for key in reader.GetMetaDataKeys()):
        found.append("the file is a segmentation; its values are labels, not an image")

    def values() -> NDArray[np.generic]:
        try:
            array = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise _damaged(path, error) from error
        return _plain(array.reshape(grid.shape_kji), 1.0, 0.0)

    return ImageFile(path=path, grid=grid, warnings=tuple(found), read_values=values)


def _check_says_where(reader: Any, path: Path) -> None:
    """Refuses files for which SimpleITK would invent an orientation."""
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        keys = reader.GetMetaDataKeys()
        space = reader.GetMetaData("NRRD_space") if "NRRD_space" in keys else "none"
        if space.lower() not in _KNOWN_SPACES:
            raise SeriesGeometryError(
                "the file does not say where it lies in the patient",
                seen=f"NRRD space: {space}",
                needed=" or ".join(sorted(_KNOWN_SPACES)),
                where=path.name,
                fix="Save it again with its orientation, e.g. from 3D Slicer.",
            )
        return
    with path.open("rb") as stream:
        head = stream.read(4096).decode("latin-1").lower()
    names = {line.split("=")[0].strip() for line in head.splitlines() if "=" in line}
    if not names & {"transformmatrix", "rotation", "orientation"}:
        raise SeriesGeometryError(
            "the file does not say where it lies in the patient",
            seen="no TransformMatrix",
            needed="TransformMatrix and Offset",
            where=path.name,
            fix="Save it again with its orientation, e.g. with SimpleITK.",
        )


def _shape_3d(sizes_ijk: tuple[int, ...], path: Path) -> tuple[int, int, int]:
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


def _grid(shape_ijk: tuple[int, int, int], lps_from_ijk: FloatArray, path: Path) -> Grid:
    try:
        return Grid(
            shape_kji=shape_ijk[::-1],
            lps_from_kji=lps_from_ijk @ _AXIS_ORDER,
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
