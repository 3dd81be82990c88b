"""Which of the masks that a procedure requires nobody gave."""

from __future__ import annotations

from planner.model.naming import holds_words
from planner.model.protocol import Protocol
from planner.model.protocol_rules import MarginRule
from planner.model.structures import StructureRole, StructureSet


def missing_rules(protocol: Protocol, structures: StructureSet) -> tuple[MarginRule, ...]:
    """The required rules for which no structure to be avoided is there."""
    return tuple(r for r in protocol.margins if r.required and not _is_given(r, structures))


def _is_given(rule: MarginRule, structures: StructureSet) -> bool:
    avoided = [s for s in structures.structures if s.role.is_obstacle]
    if rule.name_words:
        return any(holds_words(s.name, rule.name_words) for s in avoided)
    if rule.structure_class == "bone":
        return bool(structures.with_role(StructureRole.BONE))
    return any(s.structure_class == rule.structure_class for s in avoided)
