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
    """Labels by voxel centre, slice by slice."""
    values = {name: n + 1 for n, name in enumerate(anatomy.structure_names)}
    n_layers = 1 + max(layer_of(name) for name in values)
    layers = np.zeros((n_layers, *grid.shape_kji), np.uint8)
    tissue = np.zeros(grid.shape_kji, np.uint8)
    for k in range(grid.shape_kji[0]):
        plane = SlicePlane(anatomy, grid, float(k))
        plane.paint(tissue[k], layers[:, k], values)
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
    """Anatomy coordinates of one (possibly fractional) slice of a grid, painted part by part."""

    def __init__(self, anatomy: Anatomy, grid: PhantomGrid, k: float, dtype=np.float64) -> None:
        rows, columns = np.arange(grid.shape_kji[1]), np.arange(grid.shape_kji[2])
        affine, parameters = grid.lps_from_kji, anatomy.parameters
        start = affine[:3, 3] + affine[:3, 0] * k
        self.parts = anatomy.parts
        # (3, j, 1) + (3, 1, i): broadcast sum, so one plane costs three arrays
        lps = (
            start[:, None, None]
            + affine[:3, 1, None, None] * rows[:, None]
            + affine[:3, 2, None, None] * columns
        )
        origin = np.asarray(parameters.origin_lps_mm)[:, None, None]
        self.xyz_mm = ((lps - origin) / parameters.scale).astype(dtype)

    def paint(
        self,
        tissue: np.ndarray,
        layers: np.ndarray | None = None,
        values: dict[str, int] | None = None,
    ) -> None:
        """Write every part into a tissue plane (j, i) and, when given, the label planes."""
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

    def _window(self, part: Part):
        """Smallest index box of the plane that can meet the part, or None."""
        inside = np.ones(self.xyz_mm.shape[1:], bool)
        for axis, low, high in zip(self.xyz_mm, part.low_mm, part.high_mm, strict=True):
            inside &= (axis >= low) & (axis <= high)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size == 0:
            return None
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def bone_names() -> tuple[str, ...]:
    """Structures that a soft-tissue path may not cross."""
    return "L3", "L4", "L5", "sacrum", "ilium_left", "ilium_right"


def tissue_mask(maps: LabelMaps, tissue: Tissue) -> np.ndarray:
    """Boolean (k, j, i) of one tissue."""
    return maps.tissue == tissue
