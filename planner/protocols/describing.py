"""A procedure in words, every number with its evidence tag."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from planner.model import BoneRule, Evidenced, LevelApproach, MarginRule, OptIn, Protocol
from planner.protocols.loading import ProtocolRecord

EVIDENCE_LEGEND = (
    "Evidence: L seen in the source; M general knowledge, not checked; C computed; "
    "E engineering default, not a clinical limit."
)
WIDTH = 96
_NAME_WIDTH = 28
_CORRIDOR_TITLES = {
    "pedicle": "through the pedicle, bone on both sides of the needle",
    "joint_plane": "along the plane of the joint",
    "kambin": "the Kambin triangle",
    "foramen": "through the foramen",
}
_UNITS = {"_mm2": "mm2", "_mm": "mm", "_deg": "degrees"}


def describe_protocol(protocol: Protocol, parents: Sequence[str] = ()) -> str:
    """The procedure as text for people, one number per line with its evidence.

    Parameters
    ----------
    protocol : Protocol
    parents : sequence of str
        Ids of the procedures whose files it inherits from.
    """
    lines = [
        f"{protocol.title} ({protocol.id})",
        "Research use only. Starting points, to be edited and signed off by the clinician.",
        *_wrapped(EVIDENCE_LEGEND, 0),
        *_target_lines(protocol),
        *_needle_lines(protocol),
        *_approach_lines(protocol),
        *_bone_lines(protocol),
        *_margin_lines(protocol),
        *_terminal_lines(protocol),
        *_opt_in_lines(protocol.opt_ins),
        *_ranking_lines(protocol),
    ]
    for title, texts in (
        ("Not checked by this program", protocol.not_checked),
        ("Sources", protocol.sources),
    ):
        if texts:
            lines += ["", title, *(line for text in texts for line in _wrapped(text, 2))]
    if parents:
        lines.append(f"  inherits from {', then '.join(parents)}")
    return "\n".join([*lines, f"  content SHA-256 {protocol.sha256}"])


def procedure_list(records: Sequence[ProtocolRecord]) -> str:
    """All procedures by family, one a line; those of no family last."""
    width = max(len(record.content.id) for record in records)
    families: dict[str, list[str]] = {}
    for record in sorted(records, key=lambda r: (r.content.family is None, r.content.family or "")):
        family = record.content.family or "without a family"
        row = f"  {record.content.id:<{width}}  {record.content.title}"
        families.setdefault(family, []).append(row)
    return "\n\n".join("\n".join([family.upper(), *rows]) for family, rows in families.items())


def _target_lines(protocol: Protocol) -> list[str]:
    lines = ["", "Target"]
    if protocol.target_definition:
        lines += _wrapped(protocol.target_definition, 2)
    if protocol.targets:
        lines.append(_text("regions that fit", _listed(protocol.targets)))
    lines.append(_line("tolerance", protocol.tolerance, "mm"))
    tip = protocol.tip
    if tip is not None:
        lines += _given(
            (
                ("from the region's border", tip.border, "mm at least"),
                ("depth in the region", tip.preferred_depth_fraction, "of the way through it"),
                ("from its far wall", tip.far_wall, "mm at least, throw included"),
                ("to the side of its middle", tip.lateral, "mm at least"),
                ("off its middle", tip.central_fraction, "of the way to the edge at most"),
            )
        )
        for name, span, unit in (
            ("height in it", tip.height_fraction, "of its height"),
            ("above its lower end", tip.height_mm, "mm"),
        ):
            if span is not None:
                words = f"{span.low:g} to {span.high:g} {unit} [{span.evidence}]"
                lines.append(_text(name, words))
    if protocol.two_needles is not None:
        lines += [
            _line("two tips apart", protocol.two_needles.spacing, "mm at least"),
            _line("two shafts apart", protocol.two_needles.clearance, "mm at least"),
        ]
    return lines


def _needle_lines(protocol: Protocol) -> list[str]:
    lines = ["", "Needle"]
    lines += _wrapped(
        f"{', '.join(protocol.needles)} (the first is the default)", 2 + _NAME_WIDTH, "needles"
    )
    lines += [
        _line("throw past the tip", protocol.throw, "mm"),
        _line("shortest path", protocol.min_length, "mm"),
        _line("longer than the path by", protocol.length_reserve, "mm at least"),
    ]
    depth = protocol.depth_mm
    if depth is not None:
        words = f"{depth.low:g} to {depth.high:g}, typical {depth.typical:g} mm, no limit"
        lines.append(_text("published depth", f"{words} [{depth.evidence}]"))
    return lines


def _approach_lines(protocol: Protocol) -> list[str]:
    lines = ["", "Approach"]
    if protocol.positions:
        lines.append(_text("patient", _listed(protocol.positions)))
    lines.append(_text("side", protocol.approach_side or "any"))
    if protocol.direction is not None:
        how = "must run" if protocol.direction_is_hard else "preferably runs"
        words = f"{how} {protocol.direction.replace('_', ' ')}"
        lines.append(_text("direction", f"{words} [{protocol.direction_evidence}]"))
    lines += [
        _text("axial angle", _angles(protocol.axial_deg, "0 is front to back, either side")),
        _text("craniocaudal angle", _angles(protocol.craniocaudal_deg, "+ with the tip cranial")),
    ]
    if protocol.approach_evidence:
        lines += _wrapped(f"[{protocol.approach_evidence}]", 2 + _NAME_WIDTH, "  of the angles")
    lines += _level_lines(protocol.levels)
    return [*lines, _line("angle to skin normal", protocol.max_skin_angle, "degrees at most")]


def _level_lines(levels: Mapping[str, LevelApproach]) -> list[str]:
    """One line for all levels that say the same."""
    same: dict[LevelApproach, list[str]] = {}
    for name, approach in levels.items():
        same.setdefault(approach, []).append(name)
    lines = []
    for approach, names in same.items():
        parts = [
            f"{what} {_range(values)} degrees"
            for what, values in (
                ("axial", approach.axial_deg),
                ("craniocaudal", approach.craniocaudal_deg),
            )
            if values is not None
        ]
        if approach.entry_lateral_mm is not None:
            low, typical, high = approach.entry_lateral_mm
            parts.append(f"entry {low:g} to {high:g}, typical {typical:g} mm from the midline")
        indent = 4 + _NAME_WIDTH - 2
        words = f"{'; '.join(parts)} [{approach.evidence}]"
        lines += _wrapped(words, indent, f"  at {', '.join(names)}")
    return lines


def _bone_lines(protocol: Protocol) -> list[str]:
    rule = protocol.margin_rule("bone")
    name = "bone *" if rule is not None and rule.required else "bone"
    lines = ["", "Bone and way in (* a mask is required, else unknown)"]
    if protocol.bone is BoneRule.FORBIDDEN:
        lines.append(_line(name, protocol.bone_margin, "mm, not to be touched"))
    elif protocol.bone is BoneRule.THROUGH_PEDICLE:
        lines.append(_text(name, "must be crossed through the pedicle"))
    else:
        lines.append(_text(name, "may be crossed"))
    angle = protocol.cortex_angle_deg
    if angle is not None:
        words = f"{angle.min_deg:g} to {angle.max_deg:g} degrees, 90 is square to it"
        lines.append(_text("angle to the cortex", f"{words} [{angle.evidence}]"))
    if protocol.corridor is not None:
        lines.append(_text("corridor", _CORRIDOR_TITLES[protocol.corridor.kind]))
        for key, number in protocol.corridor.numbers.items():
            ending = next(e for e in _UNITS if key.endswith(e))
            title = key.removesuffix(ending).replace("_", " ")
            lines.append(_line(f"  {title}", number, _UNITS[ending]))
    return lines


def _margin_lines(protocol: Protocol) -> list[str]:
    lines = ["", "Margins (needle surface to structure; * a mask is required, else unknown)"]
    for rule in protocol.margins:
        if rule.structure_class != "bone" or rule.name_words:
            lines += _rule_lines(rule)
    lines += [
        _line("metal", protocol.implant_margin, "mm"),
        _line("anything else to avoid", protocol.default_margin, "mm"),
        _line("caution when met by less", protocol.caution_band, "mm"),
    ]
    if protocol.crossable:
        lines.append(_text("may be crossed", _listed(protocol.crossable)))
    return lines


def _rule_lines(rule: MarginRule) -> list[str]:
    name = rule.label.replace("_", " ") + (" *" if rule.required else "")
    floor = "contact" if rule.floor is None else f"{rule.floor.value:g} mm [{rule.floor.evidence}]"
    unit = "mm" if rule.hard else f"mm, soft: caution below, rejected below {floor}"
    lines = [_line(name, rule.margin, unit)]
    if rule.hard and rule.margin.value == 0.0:
        lines = [_text(name, f"0 mm, not to be touched [{rule.margin.evidence}]")]
    if len(rule.name_words) > 1:
        lines += _wrapped(f"names: {', '.join(rule.name_words)}", 4 + _NAME_WIDTH - 2, "")
    return lines


def _terminal_lines(protocol: Protocol) -> list[str]:
    terminal = protocol.terminal
    if terminal is None:
        return []
    lines = ["", "Near the tip (margins of the last stretch)"]
    lines.append(_line("length of the stretch", terminal.length, "mm"))
    lines += [line for rule in terminal.margins for line in _rule_lines(rule)]
    if terminal.vital_opt_in:
        lines += _wrapped(f"vessels or spinal canal included: {terminal.vital_opt_in}", 2)
    return lines


def _opt_in_lines(opt_ins: Mapping[str, OptIn]) -> list[str]:
    lines = ["", "Only when asked for by name"] if opt_ins else []
    for name, opt_in in opt_ins.items():
        lines += _wrapped(f"{opt_in.words} [{opt_in.evidence}]", 2 + _NAME_WIDTH, name)
        lines += [line for rule in opt_in.margins for line in _rule_lines(rule)]
        if opt_in.crossable:
            lines.append(_text("may be crossed", _listed(opt_in.crossable)))
    return lines


def _ranking_lines(protocol: Protocol) -> list[str]:
    weights = protocol.weights
    return [
        "",
        "Ranking",
        _line("distance costs nothing", protocol.clear_at, "mm and more"),
        _text(
            "weights",
            f"clearance {weights.clearance:g}, length {weights.length:g}, approach "
            f"{weights.approach:g}, skin incidence {weights.skin_incidence:g} [E]",
        ),
    ]


def _given(numbers: Iterable[tuple[str, Evidenced | None, str]]) -> list[str]:
    return [_line(name, number, unit) for name, number, unit in numbers if number is not None]


def _line(name: str, number: Evidenced, unit: str) -> str:
    return _text(name, f"{number.value:g} {unit} [{number.evidence}]")


def _text(name: str, words: str) -> str:
    return f"  {name:<{_NAME_WIDTH}}{words}"


def _wrapped(words: str, indent: int, name: str | None = None) -> list[str]:
    """The words in lines of ``WIDTH``; ``name`` stands before the first of them."""
    first = " " * indent if name is None else f"  {name}".ljust(indent)
    if len(first) > indent:
        return [first, *_wrapped(words, indent)]
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * (indent + (2 if name is None else 0)),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _angles(angles: tuple[float, float, float] | None, meaning: str) -> str:
    return "any" if angles is None else f"{_range(angles)} degrees ({meaning})"


def _range(values: tuple[float, float, float]) -> str:
    low, preferred, high = values
    return f"{low:g} to {high:g}, preferred {preferred:g}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
