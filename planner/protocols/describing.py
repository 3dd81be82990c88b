"""A procedure in words, every number with its evidence tag."""

from __future__ import annotations

from planner.model import BoneRule, Evidenced, Protocol

EVIDENCE_LEGEND = (
    "Evidence: L seen in the source; M general knowledge, not checked; C computed; "
    "E engineering default, not a clinical limit."
)


def describe_protocol(protocol: Protocol) -> str:
    """The procedure as text for people, one number per line with its evidence."""
    lines = [
        f"{protocol.title} ({protocol.id})",
        "Research use only. Starting points, to be edited and signed off by the clinician.",
        EVIDENCE_LEGEND,
        "",
        f"  needles                   {', '.join(protocol.needles)} (the first is the default)",
        _line("target tolerance", protocol.tolerance, "mm"),
        _line("throw past the tip", protocol.throw, "mm"),
        _line("shortest path", protocol.min_length, "mm"),
        "",
        "Approach",
        f"  side                      {protocol.approach_side or 'any'}",
        _angle_line("axial angle", protocol.axial_deg, "0 is front to back, either side"),
        _angle_line("craniocaudal angle", protocol.craniocaudal_deg, "+ with the tip cranial"),
    ]
    if protocol.approach_evidence:
        lines.append(f"    of the angles           [{protocol.approach_evidence}]")
    lines += [_line("angle to skin normal", protocol.max_skin_angle, "degrees at most"), ""]
    lines += _margin_lines(protocol)
    weights = protocol.weights
    lines += [
        "",
        "Ranking",
        _line("distance costs nothing", protocol.clear_at, "mm and more"),
        f"  weights                   clearance {weights.clearance:g}, length {weights.length:g}, "
        f"approach {weights.approach:g}, skin incidence {weights.skin_incidence:g} [E]",
        "",
        "Sources",
        *(f"  {source}" for source in protocol.sources),
        f"  file SHA-256 {protocol.sha256}",
    ]
    return "\n".join(lines)


def _margin_lines(protocol: Protocol) -> list[str]:
    lines = ["Margins (needle surface to structure); * a mask is required, else unknown"]
    for rule in protocol.margins:
        if rule.structure_class == "bone":
            continue
        name = rule.structure_class.replace("_", " ") + (" *" if rule.required else "")
        lines.append(_line(name, rule.margin, "mm"))
    bone_rule = protocol.margin_rule("bone")
    bone = "bone *" if bone_rule is not None and bone_rule.required else "bone"
    if protocol.bone is BoneRule.ALLOWED:
        lines.append(f"  {bone:<26}may be crossed")
    else:
        lines.append(_line(bone, protocol.bone_margin, "mm, not to be touched"))
    lines += [
        _line("metal", protocol.implant_margin, "mm"),
        _line("anything else to avoid", protocol.default_margin, "mm"),
        _line("caution when met by less", protocol.caution_band, "mm"),
    ]
    return lines


def _line(name: str, number: Evidenced, unit: str) -> str:
    return f"  {name:<26}{number.value:g} {unit} [{number.evidence}]"


def _angle_line(name: str, angles: tuple[float, float, float] | None, meaning: str) -> str:
    if angles is None:
        return f"  {name:<26}any"
    low, preferred, high = angles
    return f"  {name:<26}{low:g} to {high:g}, preferred {preferred:g} degrees ({meaning})"
