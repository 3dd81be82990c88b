from __future__ import annotations

import pytest

from planner.anatomy import KINDS, find_region, parse_region
from planner.errors import AnatomyError, TargetError
from planner.model import StructureSet


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_form_that_is_shown_is_understood(kind: str) -> None:
    form = KINDS[kind].form.split("[")[0]
    name, asked = parse_region(f"anatomy:{form}")
    assert name == kind
    assert asked.name == f"anatomy:{form}"


def test_options_and_spelling() -> None:
    _, asked = parse_region(" Piriformis:RIGHT:medial:superficial")
    assert asked.side == "right"
    assert asked.options == ("medial", "superficial")
    _, asked = parse_region("disc:th12-l1")
    assert (asked.level, asked.lower) == ("T12", "L1")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("anatomy:", "is no region"),
        ("forman:L4-L5:left", "Did you mean 'foramen:L4-L5:right.:upper"),
        ("foramen:L4-L5", "a side is missing"),
        ("foramen:left", "is not two levels"),
        ("foramen:L4-S1:left", "S1 is not the level under L4"),
        ("foramen:L5-L4:left", "L4 is not the level under L5"),
        ("foramen:L5-L6:left", "is not two levels"),
        ("pedicle:left", "is not a level"),
        ("pedicle:S1:left", "part of the sacrum"),
        ("disc:L4-L5:left", "'left' means nothing here"),
        ("si_joint:links", "a side is missing"),
        ("si_joint:left:deep", "'deep' means nothing here"),
    ],
)
def test_what_cannot_be_asked_for(text: str, match: str) -> None:
    with pytest.raises(AnatomyError, match=match):
        parse_region(text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_without_labels_every_kind_is_refused_with_what_is_missing(
    kind: str, oriented_grid
) -> None:
    with pytest.raises(TargetError, match="the labels do not carry this region: no ") as caught:
        find_region(KINDS[kind].form.split("[")[0], StructureSet(grid=oriented_grid))
    assert f"anatomy:{kind}" in str(caught.value)
    assert "no anatomical name among 0 structures" in str(caught.value)
    assert "--structures" in str(caught.value)
