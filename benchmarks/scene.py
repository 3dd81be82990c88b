"""The benchmark scene: a trunk of 320 x 320 x 160 voxels with four structures to avoid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from planner.geometry import FrameId, Grid, ImageSource, Mask, PatientPosition, Volume
from planner.model import MaskSource, Structure, StructureRole, StructureSet

SHAPE_KJI = (160, 320, 320)
SPACING_KJI_MM = (1.2, 0.8, 0.8)


@dataclass(frozen=True)
class BenchScene:
    """Volume, structures and a target in the middle of the trunk."""

    volume: Volume
    structures: StructureSet
    target_lps_mm: np.ndarray

    def obstacle(self, name: str) -> Mask:
        """The mask of a structure."""
        return self.structures[name].mask


def blobs(shape: tuple[int, int, int] = SHAPE_KJI, fraction: float = 0.07) -> np.ndarray:
    """Random smooth blobs that fill a fraction of the voxels: the distance-field workload."""
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, (4, 6, 6))
    return noise > np.quantile(noise, 1 - fraction)


def make_scene() -> BenchScene:
    """An elliptic trunk with a vessel, a spine, nerve roots and bowel around the target."""
    grid = Grid.from_axes(
        SHAPE_KJI, SPACING_KJI_MM, (-127.6, -127.6, -95.4), frame=FrameId("1.2.3", "bench")
    )
    z, y, x = (
        axis[:, None, None] if n == 0 else axis[None, :, None] if n == 1 else axis[None, None, :]
        for n, axis in enumerate(
            np.arange(count) * step + start
            for count, step, start in zip(
                SHAPE_KJI, SPACING_KJI_MM, (-95.4, -127.6, -127.6), strict=True
            )
        )
    )
    everywhere = np.ones(SHAPE_KJI, dtype=bool)
    masks = {
        "trunk": ((x / 122) ** 2 + (y / 118) ** 2 < 1) & everywhere,
        "vessel": ((x - 12) ** 2 + (y + 30) ** 2 < 9**2) & everywhere,
        "spine": (x**2 + (y - 20) ** 2 < 20**2) & (np.abs(z % 36 - 18) < 14),
        "root": ((x - 25 - 0.4 * z) ** 2 + (y - 12) ** 2 < 3**2) & everywhere,
        "bowel": ((x + 40) ** 2 + (y + 55) ** 2 < 28**2) & everywhere,
    }
    roles = {
        "trunk": (StructureRole.BODY, "skin_body", None),
        "vessel": (StructureRole.AVOID, "vessel", 5.0),
        "spine": (StructureRole.BONE, "bone", 1.0),
        "root": (StructureRole.AVOID, "nerve", 3.0),
        "bowel": (StructureRole.AVOID, "bowel", 10.0),
    }
    structures = tuple(
        Structure(
            name=name,
            role=role,
            mask=Mask(grid=grid, inside=masks[name]),
            source=MaskSource(file="bench", grid=grid),
            margin_mm=margin,
            structure_class=kind,
        )
        for name, (role, kind, margin) in roles.items()
    )
    values = np.where(masks["trunk"], 300, 5).astype(np.int16)
    return BenchScene(
        volume=Volume(
            grid=grid, values=values, source=ImageSource(patient_position=PatientPosition.HFP)
        ),
        structures=StructureSet(grid=grid, structures=structures),
        target_lps_mm=np.array([36.0, 4.0, 3.0]),
    )
