"""Every claim of a plan file, changed one at a time, is caught."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import PlanResult
from planner.verify import verify_plan
from tests.unit.verify.phantom_plan import make_result

_RESULT = make_result()
# One path holds every kind of claim; fewer paths keep the test short.
_SHORT = replace(_RESULT, trajectories=_RESULT.trajectories[:1])
_PLAN = plan_document(_SHORT).to_json_dict()

NOT_A_CLAIM = {
    "research_use",
    "created_utc",
    "software",
    "options",
    "warnings",
    "explanation",
    "seconds",
    "words",
    "note",
    "title",
    "label",
    "unit",
    "candidate",
    "is_pareto_optimal",
    # Provenance of files and texts; the masks themselves are held by their hashes.
    "source",
    "evidence",
    "role_from",
    "tool",
    "label_value",
    "segment_name",
    "file_sha256",
    "series_number",
    "part",
    "n_files",
    # A needle's name and material, a target's name.
    "needle.name",
    "needle.material",
    "needle.inner_diameter_mm",  # of the artefact, which is not known here
    "target.name",
    # Of the closed vocabulary only one value exists.
    "schema",
    "coordinate_system",
    "susceptibility",
    "needle_artefact",
    "risk",
    "scan_planes",
    "mr",
}

Path = tuple[str | int, ...]


def leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if len(path) > 1 and f"{path[-2]}.{path[-1]}" in NOT_A_CLAIM:
        return
    # "source" and "label" are no claims as keys of a record, but body.source is one.
    if path and path[-1] in NOT_A_CLAIM and path[0] != "body":
        return
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path, node


VERDICTS = ("pass", "caution", "unknown", "fail")
ROLES = ("avoid", "bone", "implant", "body", "target", "allowed")


def wrong_values(path: Path, value: Any) -> list[Any]:
    key = path[-1]
    if key == "verdict":
        return [v for v in VERDICTS if v != value]
    if key == "role":
        return [v for v in ROLES if v != value]
    if key == "sha256":
        return ["0" * 64]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        # 0.05 mm or degrees, well above the rounding of 0.01 mm; both directions.
        return [value + 0.05, value - 0.05] if value >= 0.05 else [value + 0.05]
    if isinstance(value, str):
        return [value + "9"]
    if value is None and key == "margin_mm":
        return [1.0]
    if value is None and key == "structure_class":
        return ["nerve"]
    return []


def set_at(content: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(content)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return changed


MUTATIONS = [
    pytest.param(path, value, id=".".join(map(str, path)) + f"={value!r}"[:30])
    for path, old in leaves(_PLAN)
    for value in wrong_values(path, old)
]


def is_confirmed(content: dict[str, Any]) -> bool:
    plan = PlanDocument.model_validate_json(json.dumps(content))
    result: PlanResult = _SHORT
    return verify_plan(plan, result.volume, result.structures, protocol=result.protocol).ok


def test_the_plan_itself_is_confirmed() -> None:
    assert is_confirmed(_PLAN)


def test_the_mutations_cover_every_part() -> None:
    places = {".".join(s for s in p.values[0] if isinstance(s, str)) for p in MUTATIONS}
    for needed in (
        "image.sha256",
        "structures.name",
        "structures.sha256",
        "structures.margin_mm",
        "structures.hard",
        "verdict",
        "trajectories.entry_lps_mm",
        "trajectories.tip_lps_mm",
        "trajectories.throw_end_lps_mm",
        "trajectories.length_mm",
        "trajectories.cost",
        "trajectories.cost_terms.length",
        "trajectories.angles.axial_deg",
        "trajectories.angles.b0_deg",
        "trajectories.clearance_mm.L5 root",
        "trajectories.clearances.on_structure_lps_mm",
        "trajectories.findings.measured",
        "trajectories.findings.required",
        "trajectories.findings.where_lps_mm",
        "trajectories.findings.verdict",
    ):
        assert needed in places
    assert len(MUTATIONS) > 150


@pytest.mark.parametrize(("path", "value"), MUTATIONS)
def test_changed_claim_is_caught(path: Path, value: Any) -> None:
    assert not is_confirmed(set_at(_PLAN, path, value))


@pytest.mark.parametrize("key", ["clearances", "findings"])
def test_claim_taken_out_is_caught(key: str) -> None:
    """Except findings on the needle itself, which the other claims repeat."""
    for index, record in enumerate(_PLAN["trajectories"][0][key]):
        if record["structure"] is None:
            continue
        content = copy.deepcopy(_PLAN)
        del content["trajectories"][0][key][index]
        assert not is_confirmed(content)


def test_structure_taken_out_is_caught() -> None:
    for index in range(len(_PLAN["structures"])):
        content = copy.deepcopy(_PLAN)
        del content["structures"][index]
        assert not is_confirmed(content)


def test_clearance_rounded_up_is_caught_and_down_is_not() -> None:
    exact = _PLAN["trajectories"][0]["clearance_mm"]["L5 root"]
    up = copy.deepcopy(_PLAN)
    down = copy.deepcopy(_PLAN)
    for content, value in ((up, exact + 0.01), (down, exact)):
        path = content["trajectories"][0]
        path["clearance_mm"]["L5 root"] = value
        path["clearances"][0]["clearance_mm"] = value
        path["findings"][0]["measured"] = value
    assert not is_confirmed(up)
    assert is_confirmed(down)
