"""Plans of the real search are confirmed, and a search that is off by a little is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.geometry import Mask
from planner.io.plan_file import load_plan, save_plan
from planner.model import PlanResult, StructureRole, StructureSet, Verdict
from planner.verify import verify_plan
from tests import plan_factory
from tests.unit.verify.phantom_plan import TARGET_LPS_MM, make_protocol, make_result


def search(axes: str, *, throw_mm: float = 0.0) -> PlanResult:
    given = make_result(axes)
    return planner.plan(
        given.volume,
        TARGET_LPS_MM,
        make_protocol(),
        given.structures,
        needle=replace(given.needle, throw_mm=throw_mm),
        top=5,
        min_separation_mm=4.0,
        table_side="none",
    )


@pytest.mark.parametrize("axes", ["axial", "oblique", "oblique_flipped"])
@pytest.mark.parametrize("throw_mm", [0.0, 2.0])
def test_plan_of_the_search_is_confirmed_from_its_file(
    axes: str, throw_mm: float, tmp_path: Path
) -> None:
    result = search(axes, throw_mm=throw_mm)
    assert len(result.trajectories) == 5
    assert any(t.verdict in (Verdict.PASS, Verdict.CAUTION) for t in result.trajectories)
    document = load_plan(save_plan(result, tmp_path / "plan.json"))
    report = verify_plan(document, result.volume, result.structures, protocol=result.protocol)
    assert report.ok, report.to_text()


def test_plan_with_a_body_found_automatically_is_confirmed(tmp_path: Path) -> None:
    """On the lumbar phantom, with a procedure that ships with the package."""
    grid = plan_factory.make_grid("axial")
    every = plan_factory.make_structures(grid)
    volume = plan_factory.make_volume(grid, every)
    rest = tuple(s for s in every.structures if s.role is not StructureRole.BODY)
    structures = StructureSet(grid=grid, structures=rest)
    result = planner.plan(
        volume, plan_factory.TARGET_LPS_MM, "soft_tissue_biopsy", structures, top=3
    )
    assert result.body_source == "automatic"
    assert result.trajectories
    document = load_plan(save_plan(result, tmp_path / "plan.json"))
    assert document.body.source == "automatic"
    report = verify_plan(document, volume, structures)
    assert report.ok, report.to_text()


def test_search_on_masks_shifted_by_one_voxel_is_not_confirmed() -> None:
    """The hashes tell, and so do the numbers where the hashes are not looked at."""
    result = search("axial")

    def shifted(mask: Mask) -> Mask:
        return Mask(grid=mask.grid, inside=np.roll(mask.inside, 1, axis=2))

    moved = tuple(
        replace(s, mask=shifted(s.mask)) if s.role is StructureRole.AVOID else s
        for s in result.structures.structures
    )
    structures = StructureSet(grid=result.structures.grid, structures=moved)
    report = verify_plan(result, result.volume, structures)
    assert report.inputs_differ
    wrong = [c for c in report.failures if c.claim.startswith("clearance_mm[L5 root]")]
    assert wrong
