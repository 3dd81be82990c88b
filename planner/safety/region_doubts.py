"""What is doubtful about a target for every path: what was not measured or cannot be asked."""

from __future__ import annotations

from planner.anatomy.names import Part, label_of
from planner.geometry.frames import FloatArray
from planner.model import Finding, Needle, Protocol, StructureSet, TargetRegion, Verdict
from planner.safety.tip_place import asked_places
from planner.safety.way_rules import doubt, unknown_finding

LEVEL_ANGLES = "level_angles"
SPINE = (
    Part.VERTEBRA,
    Part.BODY,
    Part.ARCH,
    Part.PEDICLE,
    Part.SPINOUS,
    Part.TRANSVERSE,
    Part.SUPERIOR_ARTICULAR,
    Part.INFERIOR_ARTICULAR,
    Part.SACRUM,
    Part.SACRAL_ALA,
)
"""Bone whose far wall a procedure may ask for."""

_LIMITED = {
    "max_disc_obliquity_deg": ("disc_obliquity_deg", False),
    "least_triangle_area_mm2": ("safe_triangle_area_mm2", True),
}
"""Numbers of a corridor about the anatomy itself: its measure, and whether it is a least one."""

_LACKS = {
    "disc_obliquity_deg": "the region is no disc derived from labels",
    "safe_triangle_area_mm2": "no root is labelled in the foramen, or the region is drawn",
}


def region_findings(protocol: Protocol, region: TargetRegion, needle: Needle) -> list[Finding]:
    """All that a region itself, as the target, leaves doubtful."""
    return [
        *(doubt("target_region", text) for text in region.warnings),
        *measure_findings(protocol, region),
        *_joint(protocol, region, needle),
        *_places_unknown(protocol, region),
    ]


def measure_findings(protocol: Protocol, region: TargetRegion) -> list[Finding]:
    """Anatomy that makes the way hard, or that was not measured: cautions, the same for all."""
    found = []
    numbers = {} if protocol.corridor is None else protocol.corridor.numbers
    for key, (measure, is_least) in _LIMITED.items():
        limit = numbers.get(key)
        value = region.measures.get(measure)
        if limit is None:
            continue
        name, unit = measure.rsplit("_", 1)
        if value is None:
            note = f"{name.replace('_', ' ')} is not measured: {_LACKS[measure]}"
            found.append(doubt(name, note))
            continue
        is_kept = value >= limit.value if is_least else value <= limit.value
        found.append(
            Finding(
                constraint=name,
                structure=None,
                measured=round(value, 2),
                required=limit.value,
                unit={"deg": "degrees"}.get(unit, unit),
                verdict=Verdict.PASS if is_kept else Verdict.CAUTION,
                note=f"{'at least' if is_least else 'at most'}; evidence: {limit.evidence}",
            )
        )
    return found


def point_findings(
    protocol: Protocol, around: TargetRegion | None, structures: StructureSet, point: FloatArray
) -> list[Finding]:
    """What a point leaves doubtful, in the region or the bone that it lies in, or in none."""
    if around is not None:
        found = measure_findings(protocol, around)
        if not bool(around.mask.contains(point)):
            note = (
                f"the target lies in the bone about {around.name}, but outside the border of that "
                "region: nearer to the cortex than the region goes"
            )
            found.append(doubt("target_region", note))
        return found
    found = []
    if _needs_depth(protocol):
        note = "no label tells the foramen: how deep in it the tip lies cannot be told"
        found.append(unknown_finding("depth_in_target", note))
    else:
        note = (
            "the target is a point in no region that the labels tell: where in its target the tip "
            "lies, and how the needle runs to it, are not checked"
        )
        found.append(doubt("target_region", note))
    bone = _spine_at(structures, point)
    if bone is not None and protocol.tip is not None and protocol.tip.far_wall is not None:
        note = f"the target lies in {bone}, whose region cannot be derived: its far wall is unknown"
        found.append(unknown_finding("far_wall", note))
    return found


def level_findings(protocol: Protocol, around: TargetRegion | None) -> list[Finding]:
    """A caution where a procedure gives its angles by level, and none for the target's.

    Parameters
    ----------
    protocol : Protocol
        As it is for all levels.
    """
    by_level = [name for name in protocol.levels if label_of(name.split("-")[0]) is not None]
    if not by_level or (protocol.axial_deg is None and protocol.craniocaudal_deg is None):
        return []
    level = None if around is None else around.level
    known = {name.casefold() for name in protocol.levels}
    if level is not None and level.casefold() in known:
        return []
    where = "the level of the target is not known" if level is None else f"none at {level}"
    note = f"no published angles at this level ({where}): those of all levels together hold"
    return [doubt(LEVEL_ANGLES, f"{note}; published: {', '.join(by_level)}")]


def _spine_at(structures: StructureSet, point: FloatArray) -> str | None:
    """The label of vertebra or sacrum that holds a point; None without one."""
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is not None and label.part in SPINE and bool(structure.mask.contains(point)):
            return structure.name
    return None


def _needs_depth(protocol: Protocol) -> bool:
    """Whether the procedure bounds how deep the tip goes into a foramen that opens beyond."""
    rule = protocol.corridor
    return rule is not None and rule.kind == "foramen" and "max_depth_mm" in rule.numbers


def _places_unknown(protocol: Protocol, region: TargetRegion) -> list[Finding]:
    """Rules about the tip's place that a region without axes leaves unasked: cautions."""
    if region.axes is not None:
        return []
    note = "the region was drawn: where in the whole anatomy its tip lies is not checked"
    return [doubt(constraint, note) for constraint in asked_places(protocol)]


def _joint(protocol: Protocol, region: TargetRegion, needle: Needle) -> list[Finding]:
    """Whether the joint is wide enough for the needle, and its plane known; unknown where not."""
    rule = protocol.corridor
    if rule is None or rule.kind != "joint_plane":
        return []
    found = []
    if "max_plane_angle_deg" in rule.numbers and region.plane_normal_lps is None:
        note = "the region has no plane (it was drawn): the angle to the joint is not checked"
        found.append(doubt("joint_plane", note))
    gap_mm = region.measures.get("joint_gap_mm")
    if gap_mm is None:
        return found
    is_open = gap_mm >= needle.outer_diameter_mm
    note = "width of the joint as labelled, against the needle's diameter"
    gap = Finding(
        constraint="joint_gap",
        structure=None,
        measured=round(gap_mm, 2),
        required=needle.outer_diameter_mm,
        unit="mm",
        verdict=Verdict.PASS if is_open else Verdict.UNKNOWN,
        note=note if is_open else f"{note}: fused, or finer than the labels",
    )
    return [*found, gap]
