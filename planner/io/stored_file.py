"""One segmentation file of any kind, before its structures are on the image's grid.

Label maps, DICOM segmentations, contours and meshes differ in how a structure comes onto
the image; what the loader asks of each is the same: its labels, over which part of space it
speaks, what it refers to, and a mask on the grid for a role.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid, Mask
from planner.geometry.lattice import LatticeMap, copy_voxels, lattice_map
from planner.geometry.resample import MaskTransfer, cover_mask, nearest_mask
from planner.model import StructureRole
from planner.model.mr import Cylinder

MeshFrame = Literal["lps", "ras"]

CONTOUR_KIND, MESH_KIND = "RT structure set", "surface mesh"
"""``StoredFile.kind`` of files without voxels of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """What the user said about reading mask files.

    Attributes
    ----------
    accept_frame_mismatch : bool
        Take masks that refer to another frame of reference than the image's.
    fraction_threshold : float or None
        Share of a voxel (0 to 1) from which a fractional segmentation counts as inside;
        None: any share above 0 for obstacles, 0.5 for others.
    mesh_frame : ``"lps"``, ``"ras"`` or None
        Coordinate system of meshes that do not state theirs.
    """

    accept_frame_mismatch: bool = False
    fraction_threshold: float | None = None
    mesh_frame: MeshFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReferences:
    """The image that a file says it belongs to; None and empty where it says nothing."""

    frame_of_reference_uid: str | None = None
    series_instance_uids: frozenset[str] = frozenset()
    sop_instance_uids: frozenset[str] = frozenset()
    study_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """One structure of a file: in a label map the voxels of ``layer`` that have ``value``.

    ``meaning`` is what the file says beside the name (a coded type, an interpreted ROI
    type), asked where the name is not recognised.
    """

    layer: int
    value: int
    name: str | None
    n_voxels: int
    meaning: str | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StoredFile(ABC):
    """One file: where it speaks, its labels, what it refers to.

    Attributes
    ----------
    grid : Grid
        The grid over which the file speaks: outside it nothing is known.
    kind : str
        For messages: ``"label map"``, ``"DICOM segmentation"``, ...
    """

    file: str
    stem: str
    sha256: str
    grid: Grid
    labels: tuple[StoredLabel, ...]
    warnings: tuple[str, ...] = ()
    references: ImageReferences | None = None
    kind: str = "label map"

    def rods_of(self, label: StoredLabel) -> tuple[Cylinder, ...]:
        """The exact cylinders of a structure, where the file gives it as such."""
        return ()

    @abstractmethod
    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """The structure on the image's grid: no voxel of an obstacle is lost, others by centre."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelFile(StoredFile):
    """A file of labelled voxels; each layer is [k, j, i]."""

    layers: tuple[NDArray[np.integer[Any]], ...]
    _turned: dict[int, NDArray[np.integer[Any]]] = field(default_factory=dict)
    """Layers reordered onto the image, kept: a label map is reordered only once."""

    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """Copied where the lattices agree, else covered (obstacles) or sampled (others)."""
        layer = self.layers[label.layer]
        lattice = lattice_map(self.grid, image)
        if lattice is None:
            mask = Mask(grid=self.grid, inside=layer == label.value)
            return cover_mask(mask, image) if role.is_obstacle else nearest_mask(mask, image)
        turned = self._reordered(label.layer, image, lattice)
        mask = Mask(grid=image, inside=turned == label.value)
        return MaskTransfer(
            mask=mask,
            method=lattice.method,
            grown_mm=0.0,
            n_outside=label.n_voxels - mask.n_voxels,
        )

    def _reordered(self, layer: int, image: Grid, lattice: LatticeMap) -> NDArray[np.integer[Any]]:
        if layer not in self._turned:
            self._turned[layer] = copy_voxels(self.layers[layer], image.shape_kji, lattice)
        return self._turned[layer]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
