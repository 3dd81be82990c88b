"""The header of a NIfTI file, by nibabel from bounded bytes, and where its voxels are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.geometry.frames import FloatArray
from planner.io.voxel_data import VoxelData, first_bytes

MAX_HEADER_BYTES = 16 * 2**20
"""Header and extensions; a label table of three hundred names takes 100 kB."""

_HEADER_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
_LARGEST_HEADER = max(_HEADER_SIZES)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NiftiFile:
    """A header that was read, of nibabel's type; ``shape_ijk`` along the axes of the file.

    The stored numbers mean ``slope * number + intercept``.
    """

    name: str
    header: Any
    shape_ijk: tuple[int, ...]
    unit: str
    slope: float
    intercept: float
    data: VoxelData

    def ras_from_ijk(self) -> tuple[FloatArray | None, FloatArray | None]:
        """The qform and the sform, (4, 4) each; None where its code is 0.

        Raises
        ------
        InputError
            If the quaternion of the qform cannot be one.
        """
        try:
            qform, sform = self.header.get_qform(coded=True), self.header.get_sform(coded=True)
        except Exception as error:  # nibabel's own error, or numpy's on numbers that are none
            raise InputError(
                "the NIfTI header has a position that cannot be read",
                seen=str(error)[:200],
                where=self.name,
                fix="Copy or convert it again.",
            ) from error
        return tuple(  # type: ignore[return-value]
            np.array(form, dtype=np.float64) if int(code) else None for form, code in (qform, sform)
        )


def read_nifti_header(path: Path) -> NiftiFile:
    """The header of a NIfTI file (.nii, .nii.gz).

    Raises
    ------
    InputError
        If it cannot be read, or is one half of a two-file image.
    """
    import nibabel

    is_gzip = path.name.lower().endswith(".gz")
    try:
        head = first_bytes(path, _LARGEST_HEADER, is_gzip=is_gzip)
        size = min(int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
        if size not in _HEADER_SIZES:
            raise ValueError("it does not start as NIfTI does")
        kind = getattr(nibabel, _HEADER_SIZES[size])
        start = int(kind.from_fileobj(io.BytesIO(head[:size]), check=False).get_data_offset())
        if not (size <= start <= MAX_HEADER_BYTES):
            raise ValueError(f"the voxels cannot begin at byte {start}")
        # the extensions end where the voxels begin; nibabel looks on where that is not said
        header = kind.from_fileobj(io.BytesIO(first_bytes(path, start, is_gzip=is_gzip)))
        if not header.is_single:
            raise ValueError("it is one half of a two-file image")
        slope, intercept = header.get_slope_inter()
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype, unit = header.get_data_dtype(), str(header.get_xyzt_units()[0])
    except Exception as error:  # nibabel, zlib and numpy each raise their own kinds
        raise InputError(
            "the NIfTI file cannot be read",
            seen=f"{type(error).__name__}: {str(error)[:200]}",
            where=path.name,
            fix="Copy or convert it again.",
        ) from error
    return NiftiFile(
        name=path.name,
        header=header,
        shape_ijk=shape,
        unit=unit,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        data=VoxelData(
            path=path,
            name=path.name,
            start=0 if is_gzip else start,
            skip=start if is_gzip else 0,
            shape=shape[::-1],
            dtype=dtype,
            encoding="gzip" if is_gzip else "raw",
        ),
    )
