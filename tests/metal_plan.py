"""The trunk of ``tests.trunk`` with a rod beside the target and an MR acquisition."""

from __future__ import annotations

import numpy as np

import planner
from planner.geometry import Volume
from planner.model import Evidenced, MaskSource, StructureRole, StructureSet
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk

KNOWN = {
    "field_t": 1.5,
    "bandwidth_hz_per_px": 300.0,
    "readout_pixel_mm": 1.2,
    "readout": "row",
    "slice_axis": "slice",
    "slice_thickness_mm": 2.0,
    "acquisition": "2D",
    "sequence": "TSE",
    "echo_time_ms": 40.0,
    "repetition_time_ms": 2500.0,
}
OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 4.0, "top": 3}
ROD_Y_MM, ROD_Z_MM = 26.0, 18.0


def metal_scene(kind: str = "oblique") -> tuple[Volume, StructureSet]:
    """A short rod along L, 24 mm behind and 17 mm above the target, in the trunk."""
    volume, structures = trunk(kind)
    grid = volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    rod = (np.hypot(y - ROD_Y_MM, z - ROD_Z_MM) <= 2.75) & (np.abs(x + 6) < 12.0)
    source = MaskSource(file="rod.nrrd", grid=grid)
    metal = structure("rod", rod, grid, StructureRole.IMPLANT, None, source=source)
    kept = tuple(s for s in structures.structures if s.name != "spine")
    return volume, StructureSet(grid=grid, structures=(*kept, metal))


def metal_plan(
    material: str = "titanium",
    kind: str = "oblique",
    mr: dict[str, object] | None = None,
    scene: tuple[Volume, StructureSet] | None = None,
    tolerance_mm: float = 3.0,
    **options: object,
):
    volume, structures = metal_scene(kind) if scene is None else scene
    return planner.plan(
        volume,
        TARGET_LPS_MM,
        simple_protocol(tolerance=Evidenced(value=tolerance_mm, evidence="E")),
        structures,
        mr=KNOWN if mr is None else mr,
        implants={"rod": material},
        **{**OPTIONS, **options},
    )
