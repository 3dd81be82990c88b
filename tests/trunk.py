"""A small trunk with a nerve, a vessel and a bone around a target, on a grid of any orientation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from planner.geometry import FrameId, Grid, ImageSource, Mask, PatientPosition, Volume
from planner.model import (
    BoneRule,
    CostWeights,
    Evidenced,
    MarginRule,
    MaskSource,
    Protocol,
    Structure,
    StructureRole,
    StructureSet,
)

TARGET_LPS_MM = np.array([4.0, 2.0, 1.0])
HALF_AXES_MM = np.array([70.0, 55.0])


def trunk_grid(kind: str = "axial") -> Grid:
    """About 160 x 130 x 72 mm; ``"thick"`` is 0.9 x 0.9 x 4 mm, ``"oblique"`` tilted, flipped."""
    axes = np.eye(3)[:, ::-1]
    frame = FrameId("1.2.3.4", "trunk")
    if kind == "axial":
        shape, spacing = (36, 110, 134), np.array([2.0, 1.2, 1.2])
    elif kind == "thick":
        shape, spacing = (18, 146, 178), np.array([4.0, 0.9, 0.9])
    else:
        shape, spacing = (36, 110, 134), np.array([2.0, 1.2, 1.2])
        tilt = Rotation.from_euler("xyz", [11.0, -6.0, 4.0], degrees=True).as_matrix()
        axes = tilt @ axes @ np.diag([-1.0, 1.0, -1.0])
    middle = axes @ ((np.array(shape) - 1) / 2 * spacing)
    return Grid.from_axes(shape, spacing, -middle, axes, frame)


def trunk(
    kind: str = "axial", position: PatientPosition = PatientPosition.HFP
) -> tuple[Volume, StructureSet]:
    """The image and its structures: body, nerve (3 mm), aorta (5 mm), spine (bone)."""
    grid = trunk_grid(kind)
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    body = (x / HALF_AXES_MM[0]) ** 2 + (y / HALF_AXES_MM[1]) ** 2 < 1
    nerve = (x - 14 - 0.2 * z) ** 2 + (y - 9) ** 2 < 2.5**2
    aorta = (x + 10) ** 2 + (y + 14) ** 2 < 8**2
    spine = (np.abs(x + 6) < 12) & (np.abs(y - 26) < 8)
    noise = np.random.default_rng(5).integers(0, 12, grid.shape_kji)
    values = (np.where(body, 300, 8) + noise).astype(np.int16)
    structures = (
        structure("trunk", body, grid, StructureRole.BODY, "skin_body"),
        structure("nerve", nerve, grid, StructureRole.AVOID, "nerve", 3.0),
        structure("aorta", aorta, grid, StructureRole.AVOID, "vessel", 5.0),
        structure("spine", spine, grid, StructureRole.BONE, "bone"),
    )
    source = ImageSource(modality="MR", series_instance_uid="1.2.9", patient_position=position)
    return (
        Volume(grid=grid, values=values, source=source),
        StructureSet(grid=grid, structures=structures),
    )


def structure(
    name: str,
    inside: np.ndarray,
    grid: Grid,
    role: StructureRole,
    kind: str | None,
    margin_mm: float | None = None,
    source: MaskSource | None = None,
) -> Structure:
    return Structure(
        name=name,
        role=role,
        mask=Mask(grid=grid, inside=inside),
        source=source or MaskSource(file=f"{name}.nrrd", grid=grid),
        margin_mm=margin_mm,
        structure_class=kind,
    )


def simple_protocol(**changes: object) -> Protocol:
    """A protocol without preferences: nerve and vessel required, bone forbidden."""

    def number(value: float) -> Evidenced:
        return Evidenced(value=value, evidence="E")

    protocol = Protocol(
        id="test_procedure",
        title="Test",
        needles=("22G-90",),
        tolerance=number(3.0),
        throw=number(0.0),
        bone=BoneRule.FORBIDDEN,
        bone_margin=number(1.0),
        default_margin=number(4.0),
        implant_margin=number(5.0),
        margins=(
            MarginRule(structure_class="nerve", margin=number(3.0), required=True),
            MarginRule(structure_class="vessel", margin=number(5.0), required=True),
        ),
        max_skin_angle=number(70.0),
        min_length=number(10.0),
        clear_at=number(10.0),
        caution_band=number(1.0),
        weights=CostWeights(),
    )
    return replace(protocol, **changes)
