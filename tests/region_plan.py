"""Plans to a target region derived from labels: the disc, or a foramen, of two vertebrae."""

from __future__ import annotations

import numpy as np

import planner
from planner.anatomy import find_region
from planner.geometry import ImageSource, PatientPosition, Volume
from planner.model import (
    BoneRule,
    Evidenced,
    MaskSource,
    OptIn,
    PlanResult,
    Protocol,
    StructureRole,
    StructureSet,
    TipRule,
    TwoNeedleRule,
)
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES
from tests.trunk import simple_protocol, structure

BODY_RADIUS_MM = 51.0
BODY_CENTRE_LOCAL_MM = (0.0, 7.0, 0.0)


def region_protocol(**changes: object) -> Protocol:
    """Two needles, a tip off the border; bone may be crossed, so that a path is there."""

    def number(value: float) -> Evidenced:
        return Evidenced(value=value, evidence="E")

    calm = OptIn(words="skip the pause", evidence="E")
    protocol = simple_protocol(
        opt_ins={"no_pause": calm},
        bone=BoneRule.ALLOWED,
        tip=TipRule(border=number(1.0)),
        two_needles=TwoNeedleRule(spacing=number(4.0), clearance=number(1.0)),
        margins=(),
        **changes,
    )
    return protocol.with_opt_in("no_pause")


def region_scene(axes: str = "oblique_flipped") -> tuple[Volume, StructureSet]:
    """An oblique, anisotropic image of two vertebrae in a ball of tissue."""
    grid = shapes.grid_about(ORIENTED_AXES[axes], (3.0, 1.6, 1.4), edge_mm=112.0)
    local = shapes.local_of(grid)
    body = np.linalg.norm(local - BODY_CENTRE_LOCAL_MM, axis=-1) <= BODY_RADIUS_MM
    nerve = np.linalg.norm(local - [20.0, 30.0, 20.0], axis=-1) <= 3.0
    source = MaskSource(
        file="nerve.seg.nrrd",
        grid=grid,
        tool="a segmenter",
        label_value=3,
        segment_name="nerve L4",
        frame_mismatch="another frame of reference, accepted",
        kind="label map",
    )
    bones = shapes.structures_of(grid, shapes.spine_masks(grid)).structures
    structures = StructureSet(
        grid=grid,
        structures=(
            *bones,
            structure("trunk", body, grid, StructureRole.BODY, "skin_body"),
            structure("nerve", nerve, grid, StructureRole.AVOID, "nerve", 2.0, source),
        ),
    )
    noise = np.random.default_rng(3).integers(0, 12, grid.shape_kji)
    values = (np.where(body, 300, 8) + noise).astype(np.int16)
    told = ImageSource(
        modality="MR",
        study_instance_uid="1.2.9",
        series_instance_uid="1.2.9.5",
        series_number=5,
        part="echo 1",
        patient_position=PatientPosition.HFP,
    )
    return Volume(grid=grid, values=values, source=told), structures


def region_plan(
    name: str = "disc:L3-L4",
    *,
    scene: tuple[Volume, StructureSet] | None = None,
    **options: object,
) -> PlanResult:
    """The plan of the real search to a region of that name."""
    volume, structures = scene or region_scene()
    region = find_region(name, structures)
    asked = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 6.0, "top": 1}
    return planner.plan(
        volume, None, region_protocol(), structures, region=region, **{**asked, **options}
    )
