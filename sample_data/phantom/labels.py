"""Rasterise an Anatomy on any grid: overlapping label layers and a tissue map."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sample_data.phantom.anatomy import Anatomy
from sample_data.phantom.parameters import PhantomGrid
from sample_data.phantom.part import Part
from sample_data.phantom.tissues import Tissue

# structures that overlap the exclusive anatomy of layer 1
_LAYER_OF = {
    "body": 0,
    "spinal_canal": 2,
    "abscess": 2,
    "paraspinal_cyst": 2,
    "bone_lesion": 2,
    "nidus": 2,
    "bone_cyst": 2,
    "osteochondral_lesion": 2,
    "soft_tissue_tumour": 2,
    "physeal_bar": 2,
    "rods": 3,
    "screws": 3,
    "spinal_cord": 3,
}

_VOXELS_AT_ONCE = 30_000
"""Small slices are painted together: each part of the anatomy is a call of its own."""


def layer_of(structure: str) -> int:
    """Layer index: 0 body, 1 anatomy (no overlaps), 2 canal and lesions, 3 metal and cord."""
    return 2 if structure.startswith("lesion_") else _LAYER_OF.get(structure, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMaps:
    """Label layers (n_layers, k, j, i) uint8 and tissues (k, j, i) uint8 on one grid."""

    grid: PhantomGrid
    layers: np.ndarray
    tissue: np.ndarray
    values: dict[str, int]
    layer_numbers: dict[str, int]

    def mask(self, structure: str) -> np.ndarray:
        """Boolean (k, j, i) of voxels whose centre lies in the structure."""
        return self.layers[self.layer_numbers[structure]] == self.values[structure]

    @property
    def names(self) -> tuple[str, ...]:
        """Structures that have at least one voxel, in painting order."""
        return tuple(name for name in self.values if self.mask(name).any())


def rasterise(anatomy: Anatomy, grid: PhantomGrid) -> LabelMaps:
    """Labels by voxel centre, some slices at a time."""
    values = {name: n + 1 for n, name in enumerate(anatomy.structure_names)}
    n_layers = 1 + max(layer_of(name) for name in values)
    layers = np.zeros((n_layers, *grid.shape_kji), np.uint8)
    tissue = np.zeros(grid.shape_kji, np.uint8)
    n_slices, n_rows, n_columns = grid.shape_kji
    step = max(1, _VOXELS_AT_ONCE // (n_rows * n_columns))
    for first in range(0, n_slices, step):
        k = np.arange(first, min(first + step, n_slices), dtype=float)
        chosen = slice(first, first + len(k))
        SlicePlane(anatomy, grid, k).paint(tissue[chosen], layers[:, chosen], values)
    return LabelMaps(
        grid=grid,
        layers=layers,
        tissue=tissue,
        values=values,
        layer_numbers={name: layer_of(name) for name in values},
    )


def redrawn(maps: LabelMaps, masks: Mapping[str, np.ndarray]) -> LabelMaps:
    """Other masks of the same structures, which may overlap.

    A mask keeps its usual layer where it overlaps nothing there; else it goes to the first
    layer behind the usual ones that has room.
    """
    layers = [np.zeros_like(layer) for layer in maps.layers]
    numbers = dict(maps.layer_numbers)
    for name, inside in masks.items():
        tried = (layer_of(name), *range(len(maps.layers), len(layers)))
        free = (n for n in tried if not layers[n][inside].any())
        numbers[name] = next(free, len(layers))
        if numbers[name] == len(layers):
            layers.append(np.zeros_like(maps.layers[0]))
        layers[numbers[name]][inside] = maps.values[name]
    return replace(maps, layers=np.stack(layers), layer_numbers=numbers)


class SlicePlane:
    """Anatomy coordinates of a (possibly fractional) slice of a grid, painted part by part.

    With several ``k``, shape (n,), of so many slices: all arrays then are [k, j, i].
    """

    def __init__(
        self, anatomy: Anatomy, grid: PhantomGrid, k: float | np.ndarray, dtype=np.float64
    ) -> None:
        rows, columns = np.arange(grid.shape_kji[1]), np.arange(grid.shape_kji[2])
        affine, parameters = grid.lps_from_kji, anatomy.parameters
        slices = np.asarray(k, float)[..., None, None]
        self.parts = anatomy.parts
        # one axis at a time, and a broadcast sum: three arrays of the size of the slices
        self.xyz_mm = np.stack(
            [
                ((offset + along_k * slices + along_j * rows[:, None] + along_i * columns) - origin)
                / parameters.scale
                for (along_k, along_j, along_i, offset), origin in zip(
                    affine[:3], parameters.origin_lps_mm, strict=True
                )
            ]
        ).astype(dtype)
        self._low_mm, self._high_mm = (
            f(self.xyz_mm, axis=tuple(range(1, self.xyz_mm.ndim))) for f in (np.min, np.max)
        )

    def paint(
        self,
        tissue: np.ndarray,
        layers: np.ndarray | None = None,
        values: dict[str, int] | None = None,
    ) -> None:
        """Write every part into the tissues (j, i) and, when given, the label layers."""
        for part in self.parts:
            window = self._window(part)
            if window is None:
                continue
            x, y, z = (axis[window] for axis in self.xyz_mm)
            distance = part.distance(x, y, z)
            for paint in part.paints:
                inside = distance < paint.offset_mm
                if paint.tissue is not None:
                    tissue[window][inside] = paint.tissue
                if layers is None or paint.structure == "":
                    continue
                if paint.structure is None:
                    layers[1][window][inside] = 0
                else:
                    layers[layer_of(paint.structure)][window][inside] = values[paint.structure]

    def _window(self, part: Part) -> tuple[slice, ...] | None:
        """Smallest index box that can meet the part, or None."""
        if np.any(self._low_mm > part.high_mm) or np.any(self._high_mm < part.low_mm):
            return None
        inside = np.ones(self.xyz_mm.shape[1:], bool)
        for axis, low, high in zip(self.xyz_mm, part.low_mm, part.high_mm, strict=True):
            inside &= (axis >= low) & (axis <= high)
        box = []
        for n in range(inside.ndim):
            met = np.flatnonzero(inside.any(axis=tuple(m for m in range(inside.ndim) if m != n)))
            if met.size == 0:
                return None
            box.append(slice(met[0], met[-1] + 1))
        return tuple(box)


def bone_names() -> tuple[str, ...]:
    """Structures that a soft-tissue path may not cross."""
    return "L3", "L4", "L5", "sacrum", "ilium_left", "ilium_right"


def tissue_mask(maps: LabelMaps, tissue: Tissue) -> np.ndarray:
    """Boolean (k, j, i) of one tissue."""
    return maps.tissue == tissue
