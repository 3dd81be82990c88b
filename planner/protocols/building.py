"""From the checked content of a procedure file to a Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

from planner.model import (
    BoneRule,
    CorridorRule,
    CortexAngle,
    CostWeights,
    Evidenced,
    LevelApproach,
    MarginRule,
    OptIn,
    Protocol,
    Span,
    TerminalRule,
    TipRule,
    Triple,
    TwoNeedleRule,
)
from planner.model.protocol import NO_RESERVE
from planner.model.protocol_rules import StructureClass
from planner.protocols.schema import (
    AngleEntry,
    ApproachEntry,
    EvidencedEntry,
    LevelEntry,
    MarginEntry,
    NamedMarginEntry,
    ProtocolFile,
    RangeEntry,
    SpanEntry,
    TerminalEntry,
    TipEntry,
    TwoNeedlesEntry,
)


def protocol_of(content: ProtocolFile, sha256: str) -> Protocol:
    """The protocol that a file describes."""
    approach = content.approach
    direction = approach.direction
    bone_margin = _evidenced(content.bone.margin_mm)
    bone = MarginRule(structure_class="bone", margin=bone_margin, required=content.bone.required)
    reserve = content.length_reserve_mm
    return Protocol(
        id=content.id,
        title=content.title,
        family=content.family or "",
        positions=content.positions,
        targets=content.targets,
        target_definition=content.target_definition,
        needles=content.needles,
        tolerance=_evidenced(content.target_tolerance_mm),
        throw=_evidenced(content.throw_mm),
        bone=BoneRule(content.bone.rule),
        bone_margin=bone_margin,
        default_margin=_evidenced(content.default_margin_mm),
        implant_margin=_evidenced(content.implant_margin_mm),
        margins=(
            *_class_rules(content.margins_mm),
            bone,
            *_named_rules(content.named_margins_mm),
        ),
        crossable=content.crossable,
        max_skin_angle=_evidenced(approach.max_skin_angle_deg),
        min_length=_evidenced(content.min_length_mm),
        length_reserve=NO_RESERVE if reserve is None else _evidenced(reserve),
        depth_mm=_range(content.depth_mm),
        clear_at=_evidenced(content.clear_at_mm),
        caution_band=_evidenced(content.caution_band_mm),
        weights=_weights(content),
        axial_deg=_triple(approach.axial_deg),
        craniocaudal_deg=_triple(approach.craniocaudal_deg),
        approach_side=approach.side,
        approach_evidence=_approach_evidence(approach),
        direction=None if direction is None else direction.runs,
        direction_is_hard=direction is not None and direction.hard,
        direction_evidence="" if direction is None else direction.evidence,
        levels={name: _level(entry) for name, entry in approach.levels.items()},
        cortex_angle_deg=_cortex_angle(content),
        pedicle_wall_gap=_pedicle_wall_gap(content),
        terminal=_terminal(content.terminal),
        tip=_tip(content.tip),
        corridor=_corridor(content),
        two_needles=_two_needles(content.two_needles),
        opt_ins=_opt_ins(content),
        sources=content.sources,
        not_checked=content.not_checked,
        sha256=sha256,
    )


@overload
def _evidenced(entry: EvidencedEntry) -> Evidenced: ...
@overload
def _evidenced(entry: EvidencedEntry | None) -> Evidenced | None: ...
def _evidenced(entry: EvidencedEntry | None) -> Evidenced | None:
    return None if entry is None else Evidenced(value=entry.value, evidence=entry.evidence)


def _triple(angle: AngleEntry | None) -> tuple[float, float, float] | None:
    return None if angle is None else (angle.min, angle.preferred, angle.max)


def _range(entry: RangeEntry | None) -> Triple | None:
    if entry is None:
        return None
    return Triple(low=entry.min, typical=entry.typical, high=entry.max, evidence=entry.evidence)


def _approach_evidence(entry: ApproachEntry | LevelEntry) -> str:
    """What each number rests on; numbers that rest on the same are told together."""
    numbers: dict[str, AngleEntry | RangeEntry | None] = {
        "axial": entry.axial_deg,
        "craniocaudal": entry.craniocaudal_deg,
        "entry": entry.entry_lateral_mm if isinstance(entry, LevelEntry) else None,
    }
    names: dict[str, list[str]] = {}
    for name, number in numbers.items():
        if number is not None:
            names.setdefault(number.evidence, []).append(name)
    return "; ".join(f"{', '.join(of)} {evidence}" for evidence, of in names.items())


def _level(entry: LevelEntry) -> LevelApproach:
    entry_range = _range(entry.entry_lateral_mm)
    return LevelApproach(
        axial_deg=_triple(entry.axial_deg),
        craniocaudal_deg=_triple(entry.craniocaudal_deg),
        entry_lateral_mm=None if entry_range is None else entry_range.values,
        evidence=_approach_evidence(entry),
    )


def _class_rules(entries: Mapping[StructureClass, MarginEntry]) -> tuple[MarginRule, ...]:
    return tuple(
        MarginRule(
            structure_class=name,
            margin=_evidenced(entry),
            required=entry.required,
            hard=entry.hard,
            floor=_evidenced(entry.floor),
        )
        for name, entry in entries.items()
    )


def _named_rules(entries: Mapping[str, NamedMarginEntry]) -> tuple[MarginRule, ...]:
    return tuple(
        MarginRule(
            structure_class=entry.class_,
            margin=_evidenced(entry),
            required=entry.required,
            hard=entry.hard,
            floor=_evidenced(entry.floor),
            name_words=entry.names,
        )
        for entry in entries.values()
    )


def _weights(content: ProtocolFile) -> CostWeights:
    given = content.weights.model_dump(exclude={"evidence"})
    return CostWeights(**given)


def _cortex_angle(content: ProtocolFile) -> CortexAngle | None:
    entry = content.bone.cortex_angle_deg
    if entry is None:
        return None
    return CortexAngle(min_deg=entry.min, max_deg=entry.max, evidence=entry.evidence)


def _pedicle_wall_gap(content: ProtocolFile) -> Evidenced | None:
    corridor = content.corridor
    if corridor is None or corridor.kind != "pedicle":
        return None
    return _evidenced(corridor.numbers["gap_mm"])


def _terminal(entry: TerminalEntry | None) -> TerminalRule | None:
    if entry is None:
        return None
    return TerminalRule(
        length=_evidenced(entry.length_mm),
        margins=(*_class_rules(entry.margins_mm), *_named_rules(entry.named_margins_mm)),
        vital_opt_in=entry.vital_opt_in,
    )


def _tip(entry: TipEntry | None) -> TipRule | None:
    if entry is None:
        return None
    return TipRule(
        border=_evidenced(entry.border_mm),
        preferred_depth_fraction=_evidenced(entry.preferred_depth_fraction),
        far_wall=_evidenced(entry.far_wall_mm),
        height_fraction=_span(entry.height_fraction),
        height_mm=_span(entry.height_mm),
        lateral=_evidenced(entry.lateral_mm),
        central_fraction=_evidenced(entry.central_fraction),
    )


def _span(entry: SpanEntry | None) -> Span | None:
    return None if entry is None else Span(low=entry.min, high=entry.max, evidence=entry.evidence)


def _corridor(content: ProtocolFile) -> CorridorRule | None:
    entry = content.corridor
    if entry is None:
        return None
    numbers = {name: _evidenced(number) for name, number in entry.numbers.items()}
    return CorridorRule(kind=entry.kind, numbers=numbers)


def _two_needles(entry: TwoNeedlesEntry | None) -> TwoNeedleRule | None:
    if entry is None:
        return None
    return TwoNeedleRule(
        spacing=_evidenced(entry.spacing_mm), clearance=_evidenced(entry.clearance_mm)
    )


def _opt_ins(content: ProtocolFile) -> dict[str, OptIn]:
    return {
        name: OptIn(
            words=entry.words,
            evidence=entry.evidence,
            margins=(*_class_rules(entry.margins_mm), *_named_rules(entry.named_margins_mm)),
            crossable=entry.crossable,
        )
        for name, entry in content.opt_ins.items()
    }
