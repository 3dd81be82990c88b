"""The last stretch before the tip, where a procedure's own margins may be smaller.

A nerve block must end beside its nerve. So the whole needle keeps the tip's margin, and all
but the last stretch keeps the procedure's usual one. A margin that the user gave holds
everywhere.
"""

from __future__ import annotations

from dataclasses import replace

from planner.model import MarginRule, Protocol, Structure, StructureRole, TerminalRule
from planner.model.naming import holds_words
from planner.safety.obstacles import CONTACT_MM, Obstacle, Obstacles


def with_terminal(obstacles: Obstacles, protocol: Protocol) -> Obstacles:
    """Obstacles with the smaller margin at the tip, where the procedure has one."""
    rule = protocol.terminal
    if rule is None:
        return obstacles
    changed = tuple(_with_tip_margin(obstacle, rule, protocol) for obstacle in obstacles.obstacles)
    by_name = {o.name: o for o in changed if o.shaft_mm is not None}
    uses = tuple(
        use
        if use.name not in by_name
        else replace(
            use, margin_mm=by_name[use.name].required_mm, evidence=by_name[use.name].evidence
        )
        for use in obstacles.uses
    )
    return replace(obstacles, obstacles=changed, uses=uses)


def tip_margin_rule(
    rule: TerminalRule, structure: Structure, protocol: Protocol
) -> MarginRule | None:
    """The tip's margin to a structure: by its name first, then by its class, or None.

    What the procedure names with a hard margin of its own does not shrink with its class.
    """
    if structure.margin_mm is not None or structure.role is not StructureRole.AVOID:
        return None
    named = [m for m in rule.margins if m.name_words and holds_words(structure.name, m.name_words)]
    if named:
        return max(named, key=lambda m: m.margin.value)
    own = protocol.named_rule(structure.name)
    if own is not None and own.hard:
        return None
    by_class = (m for m in rule.margins if not m.name_words)
    return next((m for m in by_class if m.structure_class == structure.structure_class), None)


def _with_tip_margin(obstacle: Obstacle, rule: TerminalRule, protocol: Protocol) -> Obstacle:
    at_tip = tip_margin_rule(rule, obstacle.structure, protocol)
    if at_tip is None:
        return obstacle
    tip_mm = max(at_tip.margin.value, CONTACT_MM)
    if not tip_mm < obstacle.required_mm:
        return obstacle
    evidence = (
        f"{obstacle.required_mm:g} mm ({obstacle.evidence}); over the last "
        f"{rule.length.value:g} mm ({rule.length.evidence}) {tip_mm:g} mm: "
        f"{at_tip.margin.evidence}"
    )
    return replace(
        obstacle,
        required_mm=tip_mm,
        shaft_mm=obstacle.required_mm,
        terminal_mm=rule.length.value,
        evidence=evidence,
    )
