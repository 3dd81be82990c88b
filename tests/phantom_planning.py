"""Plans of the phantom's expectations with the planner itself."""

from __future__ import annotations

from typing import Any

import planner
from planner.anatomy import find_region
from planner.cli.targets import aimed_at, point_in
from planner.errors import AnatomyError
from planner.model import PlanResult, StructureSet, TargetRegion
from sample_data.phantom.scenes import SceneScan
from tests.phantom_expectations import Expectation
from tests.phantom_scenes import Scene

LEVEL = SceneScan(tilt_about_left_deg=9.0, coarser=1.35)
STEEP = SceneScan(tilt_about_left_deg=-14.0, tilt_about_posterior_deg=-5.0, coarser=1.35)
CASES = {
    "large": ({"scale": 1.1, "lordosis_factor": 0.85}, LEVEL),
    "small": ({"scale": 0.93, "lordosis_factor": 1.05}, STEEP),
}
OPTIONS = {"top": 5, "min_separation_mm": 15.0, "entry_spacing_mm": 3.0}
REGIONS = ("bone_cyst", "abscess_drainage", "cyst_aspiration")
"""Procedures whose target is a cavity: the tip may be anywhere in it."""


def planned(
    procedure: str,
    expectation: Expectation,
    scene: Scene,
    *,
    target: str | None = None,
    without: tuple[str, ...] = (),
    **options: Any,
) -> PlanResult | None:
    """The plan of an expectation; None where the labels do not carry its target."""
    structures = expectation.structures(scene, without)
    kind, _, name = (target or expectation.target).partition(":")
    asked: dict[str, Any] = {}
    if kind == "anatomy":
        try:
            asked["region"] = find_region(name, structures)
        except AnatomyError:
            return None
    elif procedure in REGIONS:
        structures, asked["region"] = _cavity(structures, name)
    else:
        structures = aimed_at(structures, name)
        asked["target_lps_mm"] = point_in(structures[name].mask)[0]
    asked.setdefault("target_lps_mm", None)
    return planner.plan(
        scene.volume, procedure=procedure, structures=structures, **asked, **{**OPTIONS, **options}
    )


def _cavity(structures: StructureSet, name: str) -> tuple[StructureSet, TargetRegion]:
    aimed = aimed_at(structures, name)
    mask = aimed[name].mask
    point, _ = point_in(mask)
    region = TargetRegion(name=f"region:{name}", mask=mask, centre_lps_mm=point)
    return aimed, region
