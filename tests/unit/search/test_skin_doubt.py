"""Fat that the sequence suppresses: the skin may lie farther out than it was found."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import planner
from planner.geometry import Volume
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import StructureSet, Verdict
from planner.verify import verify_plan
from tests.trunk import HALF_AXES_MM, TARGET_LPS_MM, simple_protocol, trunk

FAT_MM = 16.0
OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 6.0, "top": 2}


def suppressed(kind: str) -> tuple[Volume, StructureSet]:
    """A trunk whose outer 16 mm are nearly as dark as air, and no body mask."""
    volume, structures = trunk(kind)
    grid = volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    x, y = points[..., 0], points[..., 1]
    inner = HALF_AXES_MM - FAT_MM
    muscle = (x / inner[0]) ** 2 + (y / inner[1]) ** 2 < 1
    body = structures["trunk"].mask.inside
    rng = np.random.default_rng(2)
    values = np.where(muscle, 300.0, np.where(body, 24.0, 6.0)) + rng.rayleigh(2.0, grid.shape_kji)
    kept = tuple(s for s in structures.structures if s.name != "trunk")
    return (
        replace(volume, values=values.astype(np.int16)),
        StructureSet(grid=grid, structures=kept),
    )


@pytest.fixture(scope="module", params=["thick", "oblique"])
def scene(request):
    return suppressed(request.param)


def test_no_path_passes_and_each_says_by_how_much(scene):
    """Unknown where the layer shows itself, a caution where it was counted as body at a guess."""
    volume, structures = scene
    result = planner.plan(volume, TARGET_LPS_MM, simple_protocol(), structures, **OPTIONS)
    for path in result.trajectories:
        (finding,) = [f for f in path.findings if f.constraint == "skin_unsure"]
        assert finding.verdict in (Verdict.UNKNOWN, Verdict.CAUTION)
        assert path.verdict is not Verdict.PASS
        assert 0.5 * FAT_MM < finding.measured < 1.5 * FAT_MM


def test_verification_knows_and_misses_it_when_dropped(scene):
    volume, structures = scene
    protocol = simple_protocol()
    result = planner.plan(volume, TARGET_LPS_MM, protocol, structures, **OPTIONS)
    content = json.loads(plan_document(result).to_json())

    def failures():
        plan = PlanDocument.model_validate_json(json.dumps(content))
        found = verify_plan(plan, volume, structures, protocol=protocol)
        return [check.claim for check in found.failures]

    assert failures() == []
    for path in content["trajectories"]:
        path["findings"] = [f for f in path["findings"] if f["constraint"] != "skin_unsure"]
        path["verdict"] = content["verdict"] = "pass"
    assert any("skin_unsure" in claim for claim in failures())


def test_a_given_body_takes_the_doubt_away(scene):
    volume, structures = scene
    body = trunk("thick" if np.allclose(volume.grid.axes_lps_from_kji[2, 0], 1) else "oblique")[1]
    whole = StructureSet(grid=structures.grid, structures=(*structures.structures, body["trunk"]))
    result = planner.plan(volume, TARGET_LPS_MM, simple_protocol(), whole, **OPTIONS)
    assert result.trajectories
    for path in result.trajectories:
        assert not [f for f in path.findings if f.constraint == "skin_unsure"]
