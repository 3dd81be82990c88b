"""A slanted biopsy of a flat bone: a lesion in the wing of the ilium, which no scene draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import planner
from planner.geometry import Mask
from planner.model import Structure, StructureRole, StructureSet, Verdict
from planner.verify import verify_plan
from tests.phantom_expectations import EXPECTATIONS
from tests.phantom_planning import CASES, OPTIONS

GOOD = (Verdict.PASS, Verdict.CAUTION)
RADIUS_MM = 4.0
CORTEX_DEG = (30.0, 60.0)


def scene_with_lesion(case: str) -> tuple[planner.Volume, StructureSet, np.ndarray]:
    """The pelvis with a small lesion where the left ilium is thickest behind; its middle."""
    expectation = EXPECTATIONS["sacroplasty"]
    sizes, scan = CASES[case]
    scene = expectation.scene(scan, **sizes)
    structures = expectation.structures(scene)
    bone = structures["hip_left"]
    grid = bone.mask.grid
    depth = ndimage.distance_transform_edt(bone.mask.inside, sampling=grid.spacing_kji_mm)
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    behind = points[..., 1] >= np.percentile(points[bone.mask.inside][:, 1], 75)
    middle = points[np.unravel_index(np.argmax(np.where(behind, depth, 0.0)), depth.shape)]
    inside = bone.mask.inside & (np.linalg.norm(points - middle, axis=-1) <= RADIUS_MM)
    lesion = Structure(
        name="lesion",
        role=StructureRole.TARGET,
        mask=Mask(grid=grid, inside=inside),
        source=bone.source,
        structure_class="lesion",
    )
    return scene.volume, replace(structures, structures=(*structures.structures, lesion)), middle


def planned(volume, structures, middle, **options):
    return planner.plan(volume, middle, "bone_biopsy_flat", structures, **{**OPTIONS, **options})


@pytest.mark.parametrize("case", ["large", "small"])
def test_the_path_is_slanted_to_the_cortex_from_behind(case):
    volume, structures, middle = scene_with_lesion(case)
    result = planned(volume, structures, middle)
    assert result.verdict in GOOD
    for path in result.trajectories:
        if path.verdict not in GOOD:
            continue
        (angle,) = [f for f in path.findings if f.constraint == "cortex_angle"]
        assert CORTEX_DEG[0] <= angle.measured <= CORTEX_DEG[1]
        assert path.entry_lps_mm[1] > middle[1] and 20.0 <= path.length_mm <= 110.0
    assert verify_plan(result, volume, structures, protocol=result.protocol).ok


def test_no_through_vessels_all_around():
    volume, structures, middle = scene_with_lesion("large")
    grid, bone = structures.grid, structures["hip_left"]
    away = np.linalg.norm(
        grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - middle, axis=-1
    )
    shell = Structure(
        name="gluteal_varix",
        role=StructureRole.AVOID,
        mask=Mask(grid=grid, inside=(away >= 22.0) & (away <= 27.0) & ~bone.mask.inside),
        source=bone.source,
        structure_class="vessel",
    )
    result = planned(
        volume, replace(structures, structures=(*structures.structures, shell)), middle
    )
    assert result.verdict not in GOOD
    assert any("gluteal_varix" in found.message for found in result.explanation)


def test_unknown_without_bone():
    volume, structures, middle = scene_with_lesion("large")
    kept = tuple(s for s in structures.structures if s.role is not StructureRole.BONE)
    result = planned(volume, replace(structures, structures=kept), middle)
    assert result.verdict not in GOOD
