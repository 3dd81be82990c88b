"""Which of the masks that a procedure requires nobody gave."""

from __future__ import annotations

from planner.model.naming import holds_words
from planner.model.protocol import Protocol
from planner.model.protocol_rules import OPENINGS, MarginRule
from planner.model.structures import Structure, StructureRole, StructureSet


def missing_rules(protocol: Protocol, structures: StructureSet) -> tuple[MarginRule, ...]:
    """The required rules for which no structure to be avoided is there."""
    return tuple(
        r for r in protocol.margins if r.required and not _is_given(r, structures, protocol)
    )


def _is_given(rule: MarginRule, structures: StructureSet, protocol: Protocol) -> bool:
    if rule.structure_class == "bone" and not rule.name_words:
        return bool(structures.with_role(StructureRole.BONE))
    return any(_satisfies(rule, s, protocol) for s in structures.structures if s.role.is_obstacle)


def _satisfies(rule: MarginRule, structure: Structure, protocol: Protocol) -> bool:
    """Whether avoiding the structure is avoiding what the rule is about.

    What the user opted in to cross by name is not avoided, but it is given.
    """
    if (structure.role is StructureRole.BONE) != (rule.structure_class == "bone"):
        return False
    is_opted = bool(rule.name_words) and protocol.opts_to_cross(
        structure.name, structure.structure_class
    )
    if protocol.may_cross(structure.name, structure.structure_class) and not is_opted:
        return False
    is_opening = holds_words(structure.name, OPENINGS)
    if (
        rule.structure_class == "nerve"
        and is_opening
        and "foramen" not in " ".join(rule.name_words)
    ):
        return False
    if rule.name_words:
        return holds_words(structure.name, rule.name_words)
    return structure.structure_class == rule.structure_class
