"""Which structures a path must stay clear of, by how much, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.geometry import Mask
from planner.model import (
    Finding,
    MarginRule,
    Protocol,
    Structure,
    StructureRole,
    StructureSet,
    StructureUse,
    Verdict,
)
from planner.model.protocol_rules import VITAL_CLASSES
from planner.model.requirements import missing_rules

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
    """A clearance of less than ``required_mm`` and this much more is a caution."""
    evidence: str
    shaft_mm: float | None = None
    """Margin of all but the last ``terminal_mm`` before the tip, where it is the larger one."""
    terminal_mm: float = 0.0
    soft_mm: float | None = None
    """A soft margin: ``required_mm`` is its floor, and less than this is a caution."""
    drawn: Mask | None = None
    """The mask as drawn, where metal made the structure's own one larger."""

    @property
    def name(self) -> str:
        """Name of the structure."""
        return self.structure.name

    @property
    def reach_mm(self) -> float:
        """How far around a path its mask must be known."""
        return max(self.required_mm, self.soft_mm or 0.0, self.shaft_mm or 0.0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Obstacles:
    """All obstacles of a plan, what each structure was used for, and what is missing."""

    obstacles: tuple[Obstacle, ...]
    crossable_bone: tuple[Structure, ...]
    uses: tuple[StructureUse, ...]
    missing: tuple[Finding, ...]
    doubts: tuple[Finding, ...] = ()
    """What is doubtful about the masks, for every path."""
    bone: Mask | None = None
    """All labelled bone as one, where some of it may be crossed."""
    bone_by_user: frozenset[str] = frozenset()
    """Names of bone that only the user lets a path cross: the procedure keeps off it."""
    crossable_vital: tuple[Structure, ...] = ()
    """Nerves, vessels, the canal and organs that a path may cross."""


def resolve_obstacles(
    structures: StructureSet, protocol: Protocol, *, allow_bone: bool | None = None
) -> Obstacles:
    """Margins for every structure, from the user first and the procedure second.

    Parameters
    ----------
    structures : StructureSet
    protocol : Protocol
        Its rules by name go before those by class; a structure it lets a path cross
        is no obstacle.
    allow_bone : bool, optional
        Overrides the protocol's bone rule. A bone to which the user gave a
        margin stays an obstacle either way.
    """
    obstacles: list[Obstacle] = []
    crossable: list[Structure] = []
    by_user: set[str] = set()
    vital: list[Structure] = []
    uses: list[StructureUse] = []
    for structure in structures.structures:
        margin = _margin(structure, protocol, allow_bone)
        obstacle = None if margin is None else _obstacle(structure, margin, protocol)
        if obstacle is not None:
            obstacles.append(obstacle)
        elif structure.role is StructureRole.BONE:
            crossable.append(structure)
            if _bone_margin(structure, protocol, None) is not None:
                by_user.add(structure.name)
        elif structure.role.is_obstacle and structure.structure_class in VITAL_CLASSES:
            vital.append(structure)
        uses.append(
            StructureUse(
                name=structure.name,
                role=structure.role.value,
                margin_mm=None if obstacle is None else obstacle.required_mm,
                hard=obstacle is not None,
                evidence="" if obstacle is None else obstacle.evidence,
            )
        )
    return Obstacles(
        obstacles=tuple(obstacles),
        crossable_bone=tuple(crossable),
        uses=tuple(uses),
        missing=_missing_classes(structures, protocol),
        doubts=structures.findings,
        bone=_all_bone(structures) if crossable else None,
        bone_by_user=frozenset(by_user),
        crossable_vital=tuple(vital),
    )


def _all_bone(structures: StructureSet) -> Mask:
    masks = [s.mask.inside for s in structures.with_role(StructureRole.BONE)]
    return Mask(grid=structures.grid, inside=np.logical_or.reduce(masks))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Margin:
    """What to keep from one structure, and why."""

    mm: float
    evidence: str
    soft_mm: float | None = None

    @classmethod
    def of(cls, rule: MarginRule) -> _Margin:
        """Of a soft rule, the floor rejects and the margin cautions."""
        if rule.hard:
            return cls(mm=rule.margin.value, evidence=rule.margin.evidence)
        floor = "" if rule.floor is None else f"{rule.floor.evidence}; "
        return cls(
            mm=rule.rejects_below_mm,
            evidence=f"{floor}soft, a caution below {rule.margin.value:g} mm: "
            f"{rule.margin.evidence}",
            soft_mm=rule.margin.value,
        )


def _margin(structure: Structure, protocol: Protocol, allow_bone: bool | None) -> _Margin | None:
    """The user's margin, or else the procedure's; None where the needle may pass."""
    if not structure.role.is_obstacle:
        return None
    if structure.margin_mm is not None:
        return _Margin(mm=structure.margin_mm, evidence="user")
    if structure.role is StructureRole.IMPLANT:
        return _Margin(mm=protocol.implant_margin.value, evidence=protocol.implant_margin.evidence)
    if structure.role is StructureRole.BONE:
        return _bone_margin(structure, protocol, allow_bone)
    # Where the user says "avoid", the procedure's leave to cross does not count.
    by_user = structure.source.role_from == "user"
    if not by_user and protocol.may_cross(structure.name, structure.structure_class):
        return None
    rule = protocol.rule_for(structure.name, structure.structure_class)
    if rule is not None:
        return _Margin.of(rule)
    return _Margin(mm=protocol.default_margin.value, evidence=protocol.default_margin.evidence)


def _bone_margin(
    structure: Structure, protocol: Protocol, allow_bone: bool | None
) -> _Margin | None:
    """Bone that the procedure names is kept off even where other bone may be crossed."""
    may_cross = protocol.bone.may_be_crossed if allow_bone is None else allow_bone
    named = protocol.named_rule(structure.name)
    if named is not None and named.structure_class == "bone" and allow_bone is not True:
        return _Margin.of(named)
    if may_cross:
        return None
    return _Margin(mm=protocol.bone_margin.value, evidence=protocol.bone_margin.evidence)


def _obstacle(structure: Structure, margin: _Margin, protocol: Protocol) -> Obstacle:
    required = max(margin.mm, CONTACT_MM)
    caution = protocol.caution_band.value
    if margin.soft_mm is not None:
        caution = max(caution, margin.soft_mm - required)
    is_bone = structure.role is StructureRole.BONE
    return Obstacle(
        structure=structure,
        constraint="bone" if is_bone else f"clearance:{structure.name}",
        required_mm=required,
        clear_mm=max(protocol.clear_at.value, required + _ROOM_OVER_MARGIN_MM),
        caution_mm=caution,
        evidence=margin.evidence,
        soft_mm=margin.soft_mm,
    )


def _missing_classes(structures: StructureSet, protocol: Protocol) -> tuple[Finding, ...]:
    """One UNKNOWN finding per class or name that the procedure needs and nobody gave."""
    return tuple(
        Finding(
            constraint="missing_structure",
            structure=rule.label,
            measured=None,
            required=rule.margin.value,
            unit="mm",
            verdict=Verdict.UNKNOWN,
            note=(
                f"no mask of {'name' if rule.name_words else 'class'} '{rule.label}' is to be "
                f"avoided: the distance to it is not known ({protocol.id} requires it)"
            ),
        )
        for rule in missing_rules(protocol, structures)
    )
