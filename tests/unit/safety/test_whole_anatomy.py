"""The far wall is that of the whole bone: for regions, and for points near the cortex."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.errors import GridMismatchError
from planner.geometry import Mask
from planner.model import Needle, StructureSet, Target, Verdict
from planner.protocols import load_protocol
from planner.safety.checks import NeedleAxis
from planner.safety.reference_region import region_at
from planner.search.way import way_to
from planner.verify.way import WayTruth
from planner.verify.way_numbers import PathWay
from tests import phantom_scenes as scenes

NEEDLE = Needle(name="13G-100", outer_diameter_mm=0.7, length_mm=100.0)
BONES = {"sacroplasty": ("pelvis", "sacral_ala:left", "sacrum"),
         "vertebral_biopsy_parapedicular": ("lumbar", "vertebra:L4", "vertebrae_L4")}  # fmt: skip


@lru_cache(maxsize=2)
def structures_of(view):
    make = {"lumbar": scenes.lumbar_scene, "pelvis": scenes.pelvis_scene}[view]
    return scenes.scene_structures(make(scenes.LUMBAR, scenes.SCAN))


def edge_path(bone: Mask, centre, before_mm):
    """From behind to the front through the region's centre, the tip so far before the cortex."""
    front = np.array([0.0, -1.0, 0.0])
    steps = np.arange(0.0, 80.0, 0.05)
    inside = bone.contains(centre + steps[:, None] * front)
    to_cortex = steps[np.argmin(inside)]
    tip = centre + (to_cortex - before_mm) * front
    return NeedleAxis(entry_lps_mm=tip - 60.0 * front, tip_lps_mm=tip, end_lps_mm=tip)


@pytest.mark.parametrize("procedure", list(BONES))
@pytest.mark.parametrize("before_mm", [1.0, 2.5])
def test_a_point_just_behind_the_far_cortex_fails(procedure, before_mm):
    view, name, bone = BONES[procedure]
    structures = structures_of(view)
    region = find_region(name, structures)
    axis = edge_path(structures[bone].mask, region.centre_lps_mm, before_mm)
    assert not region.mask.contains(axis.tip_lps_mm)
    target = Target(point_lps_mm=axis.tip_lps_mm, tolerance_mm=3.0)
    protocol = load_protocol(procedure)
    way = way_to(target, protocol, NEEDLE, structures, None)
    found = {f.constraint: f for f in way.path_findings(axis)}
    assert found["far_wall"].verdict is Verdict.FAIL
    assert before_mm - 1.5 <= found["far_wall"].measured <= before_mm + 0.01
    assert found["target_region"].verdict is Verdict.CAUTION
    assert "border" in found["target_region"].note
    around = region_at(structures, protocol, axis.tip_lps_mm)
    assert (around.level, around.side) == (region.level, region.side)


@pytest.mark.parametrize("procedure", list(BONES))
def test_the_rim_of_a_region_does_not_count_twice(procedure):
    view, name, bone = BONES[procedure]
    structures = structures_of(view)
    region = find_region(name, structures)
    axis = edge_path(structures[bone].mask, region.centre_lps_mm, 9.0)
    protocol = load_protocol(procedure)
    target = Target(point_lps_mm=axis.tip_lps_mm, tolerance_mm=3.0, region=region)
    way = way_to(target, protocol, NEEDLE, structures, None)
    rule = next(r for r in way.rules if r.constraint == "far_wall")
    ours = rule.measure(axis.entry_lps_mm[None], axis.tip_lps_mm[None], axis.end_lps_mm[None])[0]
    assert 6.0 < ours <= 9.1
    path = type("P", (), {"entry_lps_mm": axis.entry_lps_mm, "tip_lps_mm": axis.tip_lps_mm,
                          "throw_end_lps_mm": axis.end_lps_mm})  # fmt: skip
    truth = PathWay(WayTruth(protocol=protocol, region=region, midline_l_mm=None), path, 0.35)
    assert truth.value("far_wall") == pytest.approx(ours, abs=0.01)


def test_a_point_in_bone_whose_region_cannot_be_derived_is_unknown():
    structures = structures_of("lumbar")
    centre = find_region("vertebra:L4", structures).centre_lps_mm
    sole = StructureSet(  # one vertebra and no canal: neither axes nor body can be told
        grid=structures.grid,
        structures=(replace(structures["vertebrae_L4"], mask=slab(structures, centre)),),
    )
    target = Target(point_lps_mm=centre, tolerance_mm=3.0)
    protocol = load_protocol("vertebral_biopsy_parapedicular")
    told = {f.constraint: f.verdict for f in way_to(target, protocol, NEEDLE, sole, None).findings}
    assert told["far_wall"] is Verdict.UNKNOWN


def slab(structures, centre):
    """The front of a vertebra: no ring, so no canal is seen in it."""
    mask = structures["vertebrae_L4"].mask
    lps = mask.grid.to_lps(np.moveaxis(np.indices(mask.grid.shape_kji), 0, -1))
    return Mask(grid=mask.grid, inside=mask.inside & (lps[..., 1] < centre[1] + 3.0))


def test_a_wall_on_another_grid_is_refused():
    region = find_region("vertebra:L4", structures_of("lumbar"))
    grid = region.mask.grid.cropped((0, 0, 0), (4, 4, 4))
    other = Mask(grid=grid, inside=np.ones((4, 4, 4), bool))
    with pytest.raises(GridMismatchError, match="wall"):
        replace(region, wall=other)
