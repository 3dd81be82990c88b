"""Volume and Mask: arrays that know where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.errors import GridMismatchError
from planner.geometry.frames import PatientPosition
from planner.geometry.grid import Grid


class ImageWarning(str):
    """A remark on an image: reads as its text, and carries a stable code for programs."""

    code: str

    def __new__(cls, text: str, *, code: str) -> ImageWarning:
        """A remark with its code, e.g. ``"frame_unknown"``."""
        warning = super().__new__(cls, text)
        warning.code = code
        return warning

    @staticmethod
    def code_of(text: str) -> str:
        """The code of a remark; ``"image"`` for a plain text."""
        return text.code if isinstance(text, ImageWarning) else "image"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ImageSource:
    """Where a volume came from. Never a patient's name, birth date or institution."""

    modality: str = "unknown"
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    series_number: int | None = None
    description: str = ""
    part: str | None = None
    patient_position: PatientPosition = PatientPosition.UNKNOWN
    mr: Mapping[str, object] = field(default_factory=dict)
    """Acquisition values read from the header, keys with unit suffix."""
    files: tuple[str, ...] = ()
    sop_instance_uids: frozenset[str] = frozenset()
    """Of the DICOM instances, for masks that refer to them."""
    warnings: tuple[str, ...] = ()
    """Texts for people; an ``ImageWarning`` among them has a code of its own."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Volume:
    """Image values on a grid; values are [k, j, i] and read-only."""

    grid: Grid
    values: NDArray[np.generic]
    source: ImageSource = field(default_factory=ImageSource)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _read_only(self.values, self.grid))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Mask:
    """Which voxels of a grid belong to something; ``inside`` is [k, j, i] bool, read-only."""

    grid: Grid
    inside: NDArray[np.bool_]

    def __post_init__(self) -> None:
        inside = np.ascontiguousarray(self.inside, dtype=np.bool_)
        object.__setattr__(self, "inside", _read_only(inside, self.grid))

    @property
    def n_voxels(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.inside))

    @property
    def volume_mm3(self) -> float:
        """Volume inside, as a sum of voxels."""
        return self.n_voxels * self.grid.voxel_volume_mm3

    def bounds_kji(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Smallest ``start, stop`` that hold every voxel inside; None when empty."""
        start, stop = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            hit = np.flatnonzero(self.inside.any(axis=others))
            if hit.size == 0:
                return None
            start[axis], stop[axis] = hit[0], hit[-1] + 1
        return start, stop

    def contains(self, points_lps_mm: np.ndarray) -> NDArray[np.bool_]:
        """Whether points, shape (..., 3) LPS mm, lie in a voxel that is inside."""
        kji = np.floor(self.grid.to_kji(points_lps_mm) + 0.5)
        shape = np.array(self.grid.shape_kji)
        with np.errstate(invalid="ignore"):
            ok = np.all((kji >= 0) & (kji < shape), axis=-1)
        index = np.where(ok[..., None], kji, 0).astype(np.int64)
        found = self.inside[index[..., 0], index[..., 1], index[..., 2]]
        return np.asarray(found & ok)


def read_only_bytes(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A mask as bytes for the compiled kernels, always read-only.

    One type for all callers: a kernel is compiled again for every other one.
    """
    view = np.ascontiguousarray(inside).view(np.uint8)
    view.setflags(write=False)
    return view


def _read_only(array: NDArray[np.generic], grid: Grid) -> NDArray[np.generic]:
    if array.shape != grid.shape_kji:
        raise GridMismatchError(
            "the array does not have the shape of its grid",
            seen=array.shape,
            needed=grid.shape_kji,
        )
    view = array.view()
    view.setflags(write=False)
    return view
