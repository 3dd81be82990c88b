"""Every claim of a plan file, changed one at a time, is caught: beside metal.

The plan beside metal, with a guiding sequence and a bore, holds every kind of claim but those of
a target region and of pairs (``test_mutations_region.py``). How leaves are changed, and what may
go unnoticed, is in ``tests/plan_mutations.py``.
"""

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
from tests.plan_mutations import (
    is_confirmed,
    leaves,
    name_of,
    reason_of,
    remembering,
    set_at,
    unnoticed,
)
from tests.unit.verify.phantom_plan import make_result


@pytest.fixture(scope="module", autouse=True)
def _remember() -> Iterator[None]:
    with remembering():
        yield


@pytest.fixture(scope="module")
def result(metal_result: PlanResult) -> PlanResult:
    return metal_result


@pytest.fixture(scope="module")
def content(metal_content: dict[str, Any]) -> dict[str, Any]:
    return metal_content


GROUPS = {
    "identity": ("schema", "research_use", "created", "software", "frame", "image", "procedure"),
    "needle, target, body": ("needle", "target", "body", "bore", "implants", "explanation"),
    "structures": ("structures",),
    "mr": ("mr",),
    "search": ("search", "options", "verdict", "warnings"),
    "ends": tuple(
        f"trajectories.0.{key}"
        for key in ("entry", "tip", "throw", "skin_normal", "length", "rank", "verdict", "words")
    ),
    "cost and angles": tuple(f"trajectories.0.{key}" for key in ("cost", "angles", "bore")),
    "clearances": ("trajectories.0.clearance",),
    "findings": ("trajectories.0.findings",),
    "metal": ("trajectories.0.susceptibility",),
    "artefact": ("trajectories.0.needle_artefact", "trajectories.0.candidate",
                 "trajectories.0.is_pareto", "trajectories.0.risk"),
    "planes": ("trajectories.0.scan_planes",),
}  # fmt: skip


def test_the_plan_itself_is_confirmed(result, content):
    assert is_confirmed(result, content)


def test_every_leaf_is_in_a_group(content):
    prefixes = tuple(prefix for group in GROUPS.values() for prefix in group)
    left = [name_of(p) for p, _ in leaves(content) if not name_of(p).startswith(prefixes)]
    assert left == []


def test_what_decides_is_never_allowed(content):
    """Numbers of the path, verdicts and hashes are not on the list, whatever it says."""
    deciding = {"verdict", "measured", "required", "clearance_mm", "sha256", "entry_lps_mm",
                "tip_lps_mm", "length_mm", "margin_mm", "hard", "role"}  # fmt: skip
    for path, _ in leaves(content):
        if deciding & set(path) and "advice" not in path and path[-1] != "file_sha256":
            assert reason_of(path) is None, name_of(path)


@pytest.mark.parametrize("group", GROUPS)
def test_changed_claim_is_caught(result, content, group):
    missed = unnoticed(result, content, GROUPS[group])
    assert not missed, "\n".join(missed)


# --- claims taken out, and the limits of what is allowed: on the phantom without metal ----------

_RESULT = make_result()
_SHORT = replace(_RESULT, trajectories=_RESULT.trajectories[:1])
_PLAN = plan_document(_SHORT).to_json_dict()


@pytest.mark.parametrize("key", ["clearances", "findings"])
def test_claim_taken_out_is_caught(key: str) -> None:
    """Except findings on the needle itself, which the other claims repeat."""
    for index, record in enumerate(_PLAN["trajectories"][0][key]):
        if record["structure"] is None:
            continue
        content = copy.deepcopy(_PLAN)
        del content["trajectories"][0][key][index]
        assert not is_confirmed(_SHORT, content)


def test_structure_taken_out_is_caught() -> None:
    for index in range(len(_PLAN["structures"])):
        content = copy.deepcopy(_PLAN)
        del content["structures"][index]
        assert not is_confirmed(_SHORT, content)


def test_clearance_rounded_up_is_caught_and_down_is_not() -> None:
    exact = _PLAN["trajectories"][0]["clearance_mm"]["L5 root"]
    up = copy.deepcopy(_PLAN)
    down = copy.deepcopy(_PLAN)
    for content, value in ((up, exact + 0.01), (down, exact)):
        path = content["trajectories"][0]
        path["clearance_mm"]["L5 root"] = value
        path["clearances"][0]["clearance_mm"] = value
        path["findings"][0]["measured"] = value
    assert not is_confirmed(_SHORT, up)
    assert is_confirmed(_SHORT, down)


# --- tampering is not disagreement ----------------------------------------------------------------


def outcome(result: PlanResult, content: dict[str, Any]) -> tuple[bool, bool, bool]:
    plan = PlanDocument.model_validate_json(json.dumps(content))
    report = verify_plan(plan, result.volume, result.structures, protocol=result.protocol)
    return report.ok, report.inputs_differ, report.numbers_differ


def test_another_image_or_mask_is_told_from_another_number() -> None:
    assert outcome(_SHORT, _PLAN) == (True, False, False)
    number = copy.deepcopy(_PLAN)
    number["trajectories"][0]["angles"]["axial_deg"] += 1.0
    assert outcome(_SHORT, number) == (False, False, True)
    for path in (("image", "sha256"), ("structures", 1, "sha256"), ("procedure", "sha256")):
        assert outcome(_SHORT, set_at(_PLAN, path, "0" * 64)) == (False, True, False)


def test_nothing_to_check_confirms_nothing() -> None:
    from planner.verify import VerificationReport

    assert not VerificationReport(checks=()).ok


def test_a_needle_of_an_unknown_metal_is_told_and_not_a_crash(result, content) -> None:
    strange = set_at(content, ("needle", "material"), "unobtainium")
    ok, _, numbers_differ = outcome(result, strange)
    assert (ok, numbers_differ) == (False, True)
