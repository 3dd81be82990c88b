"""The phantom's metal in its own field: what the image shows, and what a person would draw.

The field is that of the exact rods and screws, anti-aliased. Beside the metal it is computed on
small packets of spins, in the rest of the image on one packet per voxel.
"""

from dataclasses import dataclass

import numpy as np

from sample_data.phantom import implants
from sample_data.phantom.anatomy import Anatomy
from sample_data.phantom.labels import LabelMaps
from sample_data.phantom.parameters import PhantomGrid, cropped, refined
from sample_data.phantom.spins import (
    Packets,
    SpinSequence,
    add_shown,
    dipole_field,
    packets_of,
    signal_kept,
)

METAL_STRUCTURES = ("rods", "screws")
B0_LPS = (0.0, 0.0, 1.0)
"""Along the bore: patient S. The slices are tilted, so B0 is oblique to the grid."""

NEAR_MARGIN_MM = 20.0
NEAR_FACTORS = (6, 2, 2)
FAR_FIELD_FACTORS = (2, 1, 1)
LOST_SHARE = 0.3
"""A voxel with less than this of its spins shows nothing to draw."""

DRAWN_SHARE = 0.4
"""A structure is drawn from this share of a voxel on: moved by half a voxel, it stays drawn."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MetalScene:
    """Metal in an image grid: blocks of packets that tile it, each with its share of metal.

    Independent of the sequence: any can be asked about without computing the field again.
    """

    grid: PhantomGrid
    blocks: tuple[Packets, ...]
    metal_share: tuple[np.ndarray, ...]

    def shown(self, signals, sequence: SpinSequence) -> np.ndarray:
        """Image (k, j, i) float64 of one array of packet signals per block."""
        image = np.zeros(self.grid.shape_kji)
        for packets, signal in zip(self.blocks, signals, strict=True):
            add_shown(image, signal, packets, self.grid.spacing_kji_mm, sequence)
        return image

    def spins(self, sequence: SpinSequence) -> list[np.ndarray]:
        """Share of each packet that is no metal and still has signal at the echo, per block."""
        return [
            (np.float32(1.0) - share) * signal_kept(packets, self.grid.spacing_kji_mm, sequence)
            for packets, share in zip(self.blocks, self.metal_share, strict=True)
        ]

    def drawn(
        self, maps: LabelMaps, sequence: SpinSequence, from_share: float = DRAWN_SHARE
    ) -> dict[str, np.ndarray]:
        """What a person would draw on the image, name to (k, j, i) bool.

        A structure is drawn in voxels of which its spins fill ``from_share`` or more; of a thin
        voxel, that share of what it shows. Where signal is lost, a person draws what is
        likely: the true voxels. The metal is drawn where it truly is.
        """
        spins = self.spins(sequence)
        of_all = self.shown(spins, sequence)
        is_lost, enough = of_all < LOST_SHARE, from_share * np.minimum(of_all, 1.0)
        drawn = {}
        for name in maps.names:
            true = maps.mask(name)
            if name in METAL_STRUCTURES:
                drawn[name] = true
                continue
            shown = np.zeros(self.grid.shape_kji)
            for packets, kept in zip(self.blocks, spins, strict=True):
                part, where = packets.around(true)
                signal = part.repeated(true) * kept[where]
                add_shown(shown, signal, part, self.grid.spacing_kji_mm, sequence)
            drawn[name] = np.where(is_lost, true, (shown >= enough) & (shown > 0.0))
        return drawn


def metal_scene(
    anatomy: Anatomy,
    grid: PhantomGrid,
    b0_lps=B0_LPS,
    near_factors=NEAR_FACTORS,
    near_margin_mm: float = NEAR_MARGIN_MM,
) -> MetalScene:
    """The scene of a study: small packets around the metal, one per voxel elsewhere."""
    start, stop = near_block(anatomy, grid, near_margin_mm)
    near = cropped(grid, [slice(a, b) for a, b in zip(start, stop, strict=True)])
    b0_kji = (grid.lps_from_kji[:3, :3] / grid.spacing_kji_mm).T @ np.asarray(b0_lps)
    share = metal_share(anatomy, near, near_factors)
    field = dipole_field(
        share * np.float32(implants.DELTA_CHI_PPM), near.spacing_kji_mm / near_factors, b0_kji
    )
    fine = packets_of(field, near_factors, start)
    if near.shape_kji == grid.shape_kji:
        return MetalScene(grid=grid, blocks=(fine,), metal_share=(share,))
    far = _far_packets(fine, share, grid, b0_kji)
    # the far block holds the whole image; spins of the near one are counted there
    covered = np.zeros(grid.shape_kji, np.float32)
    covered[fine.block] = 1.0
    return MetalScene(grid=grid, blocks=(fine, far), metal_share=(share, covered))


def metal_share(anatomy: Anatomy, grid: PhantomGrid, factors) -> np.ndarray:
    """Share of metal in each packet of a whole grid, from the analytic distance."""
    fine = refined(grid, factors)
    width_mm = np.float32(np.mean(fine.spacing_kji_mm))
    share = np.empty(fine.shape_kji, np.float32)
    j, i = np.meshgrid(*(np.arange(n) for n in fine.shape_kji[1:]), indexing="ij")
    for k in range(fine.shape_kji[0]):
        lps_mm = fine.lps_from_index(np.stack([np.full(j.shape, k), j, i], axis=-1))
        share[k] = 0.5 - metal_distance_mm(anatomy, lps_mm) / width_mm
    return np.clip(share, 0.0, 1.0)


def metal_distance_mm(anatomy: Anatomy, points_lps_mm) -> np.ndarray:
    """Distance to the nearest metal, negative inside."""
    return np.minimum.reduce([anatomy.distance_mm(n, points_lps_mm) for n in METAL_STRUCTURES])


def near_block(anatomy: Anatomy, grid: PhantomGrid, margin_mm: float):
    """First and last + 1 voxel of the box that holds all metal and a margin."""
    left = implants.left_axis_points(anatomy.spine)
    both_mm = anatomy.parameters.lps_from_anatomy(np.concatenate([left, left * (-1, 1, 1)]))
    kji = grid.kji_from_lps(both_mm)
    reach = (margin_mm + anatomy.parameters.scale * implants.HEAD_RADIUS_MM) / grid.spacing_kji_mm
    start = np.maximum(np.floor(kji.min(axis=0) - reach), 0).astype(int)
    stop = np.minimum(np.ceil(kji.max(axis=0) + reach) + 1, grid.shape_kji).astype(int)
    return tuple(start.tolist()), tuple(stop.tolist())


def _far_packets(fine: Packets, share, grid: PhantomGrid, b0_kji) -> Packets:
    """One packet per voxel of the whole image, from a coarser map of the same metal."""
    coarser = tuple(a // b for a, b in zip(fine.factors, FAR_FIELD_FACTORS, strict=True))
    start = [a * f for a, f in zip(fine.start_kji, FAR_FIELD_FACTORS, strict=True)]
    chi = np.zeros(np.array(grid.shape_kji) * FAR_FIELD_FACTORS, np.float32)
    part = Packets(start_kji=tuple(start), factors=coarser, edge_ppm=fine.edge_ppm)
    chi[part.block] = part.share(share) * implants.DELTA_CHI_PPM
    field = dipole_field(chi, grid.spacing_kji_mm / FAR_FIELD_FACTORS, b0_kji)
    edges = packets_of(field, FAR_FIELD_FACTORS).edge_ppm[:: FAR_FIELD_FACTORS[0]]
    return Packets(start_kji=(0, 0, 0), factors=(1, 1, 1), edge_ppm=np.ascontiguousarray(edges))
