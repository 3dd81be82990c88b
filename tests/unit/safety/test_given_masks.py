"""What counts as having given a mask that a procedure cannot do without."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Mask
from planner.model import Evidenced, MarginRule, MaskSource, Structure, StructureRole, StructureSet
from planner.model.requirements import missing_rules
from planner.safety.obstacles import resolve_obstacles
from tests.metal_truths import grid_of
from tests.trunk import simple_protocol

GRID = grid_of("oblique", (6, 8, 8), (2.0, 1.0, 1.0))
NERVE = MarginRule(
    structure_class="nerve", margin=Evidenced(value=3.0, evidence="E"), required=True
)
ROOT = MarginRule(
    structure_class="nerve",
    margin=Evidenced(value=3.0, evidence="E"),
    required=True,
    name_words=("root", "roots"),
)


def given(name, kind, role=StructureRole.AVOID):
    inside = np.zeros(GRID.shape_kji, bool)
    inside[2:4, 2:4, 2:4] = True
    mask = Mask(grid=GRID, inside=inside)
    source = MaskSource(file="x.nrrd", grid=GRID)
    one = Structure(name=name, role=role, mask=mask, source=source, structure_class=kind)
    return StructureSet(grid=GRID, structures=(one,))


@pytest.mark.parametrize("rule", [NERVE, ROOT])
def test_the_root_itself_is_enough(rule):
    assert not missing_rules(simple_protocol(margins=(rule,)), given("L5 root left", "nerve"))


@pytest.mark.parametrize(
    "name, kind, role",
    [
        ("S1 foramen right", "nerve", StructureRole.AVOID),
        ("sacral foramina", "nerve", StructureRole.AVOID),
        ("vertebrae_S1", "bone", StructureRole.BONE),
        ("root of the tongue", "nerve", StructureRole.TARGET),
    ],
)
def test_what_only_sounds_like_it_is_not(name, kind, role):
    protocol = simple_protocol(margins=(NERVE, ROOT))
    assert len(missing_rules(protocol, given(name, kind, role))) == 2


def test_what_may_be_crossed_is_not_avoided():
    protocol = simple_protocol(margins=(NERVE,), crossable=("nerve",))
    assert missing_rules(protocol, given("dorsal root", "nerve"))


def test_a_rule_for_nerves_is_none_for_bone_of_that_name():
    from planner.model import BoneRule

    protocol = simple_protocol(margins=(ROOT,), bone=BoneRule.ALLOWED)
    found = resolve_obstacles(given("root", "bone", StructureRole.BONE), protocol)
    assert not found.obstacles and len(found.crossable_bone) == 1
