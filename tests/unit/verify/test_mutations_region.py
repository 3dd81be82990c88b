"""Every claim of a plan to a target region, changed one at a time, is caught; none is forgotten.

The fields are those of ``PlanDocument`` itself: a new one that no plan here fills, or that is
filled and not verified, makes a test fail.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from planner.io.plan_document import PlanDocument
from planner.model import PlanResult
from tests.plan_mutations import (
    ALLOWED,
    is_confirmed,
    leaves,
    name_of,
    remembering,
    unnoticed,
)

UNFILLED = {
    "explanation.*": "only without a path: sentences and counts, which every report leaves out",
    "trajectories.*.risk.*": "empty in this version",
    "trajectories.*.susceptibility.binding.*": "test_verify_mr changes it",
    "mr.*problems.*": "only where values are missing: test_verify_mr takes a problem out",
    "mr.*distortion_corrected": "null where the header is silent; changed from null all the same",
}
"""Fields that none of the plans fills, with the reason."""


@pytest.fixture(scope="module", autouse=True)
def _remember() -> Iterator[None]:
    with remembering():
        yield


@pytest.fixture(scope="module", params=["disc:L3-L4", "foramen:L3-L4:left"])
def region_case(
    request: pytest.FixtureRequest,
    region_results: dict[str, PlanResult],
    region_contents: dict[str, dict[str, Any]],
) -> tuple[PlanResult, dict[str, Any]]:
    return region_results[request.param], region_contents[request.param]


Case = tuple[PlanResult, dict[str, Any]]


def test_the_plan_itself_is_confirmed(region_case: Case) -> None:
    result, content = region_case
    assert content["pairs"] and content["target"]["region"]["warnings"]
    assert is_confirmed(result, content)


@pytest.mark.parametrize("group", ["image", "procedure", "target", "pairs", "findings"])
def test_changed_claim_is_caught(region_case: Case, group: str) -> None:
    place = "trajectories.0.findings" if group == "findings" else group
    missed = unnoticed(*region_case, (place,))
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("key", ["pairs", "target.region.warnings", "trajectories.0.findings"])
def test_claim_taken_out_is_caught(region_case: Case, key: str) -> None:
    result, content = region_case
    for number in range(len(_at(content, key))):
        changed = copy.deepcopy(content)
        del _at(changed, key)[number]
        assert not is_confirmed(result, changed), f"{key}.{number}"


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content[int(part) if part.isdigit() else part]
    return content


# --- no field is forgotten ------------------------------------------------------------------------


def fields(kind: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of every value that the type of a plan file can hold; ``*`` for any key."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from fields(field.annotation, (*place, field.alias or name))
    elif origin is Annotated:
        yield from fields(inner[0], place)
    elif origin in (Union, UnionType):
        for one in inner:
            if one is not type(None):
                yield from fields(one, place)
    elif origin is tuple:
        for one in set(inner) - {Ellipsis}:
            yield from fields(one, (*place, "*"))
    elif origin is dict:
        yield from fields(inner[1], (*place, "*"))
    else:
        assert kind in (str, int, float, bool) or origin is Literal or not inner, kind
        yield place


def is_filled(field: tuple[str, ...], filled: set[tuple[str, ...]]) -> bool:
    """Whether a plan holds a value at the place of the field."""
    return any(
        len(field) == len(path) and all(f in ("*", p) for f, p in zip(field, path, strict=True))
        for path in filled
    )


def test_every_field_of_a_plan_is_filled_and_so_changed(
    metal_content: dict[str, Any], region_contents: dict[str, dict[str, Any]]
) -> None:
    contents = [metal_content, *region_contents.values()]
    filled = {tuple(map(str, p)) for c in contents for p, v in leaves(c) if v is not None}
    known = set(fields(PlanDocument))
    assert len(known) > 200
    empty = {".".join(field) for field in known if not is_filled(field, filled)}
    forgotten = {name for name in empty if not any(fnmatch(name, why) for why in UNFILLED)}
    assert not forgotten
    assert [key for key in UNFILLED if not any(fnmatch(name, key) for name in empty)] == []


def test_a_field_that_nobody_fills_would_be_found() -> None:
    class More(PlanDocument):
        sedation: str = ""

    assert ("sedation",) in set(fields(More)) - set(fields(PlanDocument))
    assert not is_filled(("sedation",), {("verdict",)})


def test_every_allowance_is_of_a_leaf(
    metal_content: dict[str, Any], region_contents: dict[str, dict[str, Any]]
) -> None:
    contents = [metal_content, *region_contents.values()]
    names = {name_of(p) for c in contents for p, _ in leaves(c)}
    used = Counter(known for known in ALLOWED for name in names if fnmatch(name, known))
    assert [known for known in ALLOWED if not used[known]] == []
