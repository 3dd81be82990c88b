"""Which structures a path must stay clear of, by how much, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from planner.geometry import Mask
from planner.model import (
    BoneRule,
    Evidenced,
    Finding,
    Protocol,
    Structure,
    StructureRole,
    StructureSet,
    StructureUse,
    Verdict,
)

CONTACT_MM = 0.01
"""Least margin of any obstacle: touching is contact, and reports resolve 0.01 mm."""

_ROOM_OVER_MARGIN_MM = 3.0
"""Where a margin reaches the distance from which clearance costs nothing, the cost
falls to zero over this much more, so that more room is still preferred."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Obstacle:
    """A structure with the margin that a needle's surface must keep from it.

    ``constraint`` is the id reported when it rejects: ``"clearance:NAME"``, or
    ``"bone"`` for bone that the procedure forbids. ``clear_mm`` is the
    clearance from which more room is worth nothing.
    """

    structure: Structure
    constraint: str
    required_mm: float
    clear_mm: float
    caution_mm: float
    evidence: str
    drawn: Mask | None = None
    """The mask as drawn, where metal made the structure's own one larger."""

    @property
    def name(self) -> str:
        """Name of the structure."""
        return self.structure.name


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Obstacles:
    """All obstacles of a plan, what each structure was used for, and what is missing."""

    obstacles: tuple[Obstacle, ...]
    crossable_bone: tuple[Structure, ...]
    uses: tuple[StructureUse, ...]
    missing: tuple[Finding, ...]
    doubts: tuple[Finding, ...] = ()
    """What is doubtful about the masks, for every path."""


def resolve_obstacles(
    structures: StructureSet, protocol: Protocol, *, allow_bone: bool | None = None
) -> Obstacles:
    """Margins for every structure, from the user first and the procedure second.

    Parameters
    ----------
    structures : StructureSet
    protocol : Protocol
    allow_bone : bool, optional
        Overrides the protocol's bone rule. A bone to which the user gave a
        margin stays an obstacle either way.
    """
    bone_allowed = protocol.bone is BoneRule.ALLOWED if allow_bone is None else allow_bone
    obstacles: list[Obstacle] = []
    crossable: list[Structure] = []
    uses: list[StructureUse] = []
    for structure in structures.structures:
        margin = _margin(structure, protocol, bone_allowed)
        if margin is not None:
            obstacles.append(_obstacle(structure, margin, protocol))
        elif structure.role is StructureRole.BONE:
            crossable.append(structure)
        uses.append(
            StructureUse(
                name=structure.name,
                role=structure.role.value,
                margin_mm=None if margin is None else max(margin.value, CONTACT_MM),
                hard=margin is not None,
                evidence="" if margin is None else margin.evidence,
            )
        )
    return Obstacles(
        obstacles=tuple(obstacles),
        crossable_bone=tuple(crossable),
        uses=tuple(uses),
        missing=_missing_classes(structures, protocol),
        doubts=structures.findings,
    )


def _margin(structure: Structure, protocol: Protocol, bone_allowed: bool) -> Evidenced | None:
    if not structure.role.is_obstacle:
        return None
    if structure.margin_mm is not None:
        return Evidenced(value=structure.margin_mm, evidence="user")
    if structure.role is StructureRole.BONE:
        return None if bone_allowed else protocol.bone_margin
    if structure.role is StructureRole.IMPLANT:
        return protocol.implant_margin
    rule = protocol.margin_rule(structure.structure_class)
    return protocol.default_margin if rule is None else rule.margin


def _obstacle(structure: Structure, margin: Evidenced, protocol: Protocol) -> Obstacle:
    required = max(margin.value, CONTACT_MM)
    is_bone = structure.role is StructureRole.BONE
    return Obstacle(
        structure=structure,
        constraint="bone" if is_bone else f"clearance:{structure.name}",
        required_mm=required,
        clear_mm=max(protocol.clear_at.value, required + _ROOM_OVER_MARGIN_MM),
        caution_mm=protocol.caution_band.value,
        evidence=margin.evidence,
    )


def _missing_classes(structures: StructureSet, protocol: Protocol) -> tuple[Finding, ...]:
    """One UNKNOWN finding per class that the procedure needs and nobody gave."""
    given = {s.structure_class for s in structures.structures if s.role.is_obstacle}
    given |= {"bone"} if structures.with_role(StructureRole.BONE) else set()
    return tuple(
        Finding(
            constraint="missing_structure",
            structure=rule.structure_class,
            measured=None,
            required=rule.margin.value,
            unit="mm",
            verdict=Verdict.UNKNOWN,
            note=(
                f"no mask of class '{rule.structure_class}' is to be avoided: "
                f"the distance to it is not known ({protocol.id} requires it)"
            ),
        )
        for rule in protocol.margins
        if rule.required and rule.structure_class not in given
    )
