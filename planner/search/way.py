"""What a procedure asks of the way to one target: rules, levels, preferences, doubts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.frames import FloatArray
from planner.geometry.rays import run_inside_mm
from planner.geometry.walk import BodyWalker
from planner.model import (
    BoneRule,
    CorridorRule,
    Explanation,
    Finding,
    Needle,
    Protocol,
    StructureRole,
    StructureSet,
    Target,
    TargetRegion,
    Verdict,
)
from planner.protocols import parse_needle
from planner.safety.checks import NeedleAxis
from planner.safety.cortex import cortex_rule
from planner.safety.entry_rules import DIRECTION, entry_rules
from planner.safety.exiting_root import root_findings
from planner.safety.kambin import cannula_rules, kambin_rules, triangle_too_small
from planner.safety.patient_axes import rotated_findings
from planner.safety.pedicle import (
    level_at,
    other_vertebrae,
    pedicle_rules,
    pedicles_of,
    too_narrow,
)
from planner.safety.reference_region import region_at
from planner.safety.region_doubts import level_findings, point_findings, region_findings
from planner.safety.target_rules import FARTHEST_MM, length_inside_mm, target_rules
from planner.safety.tip_place import TIP_RULES, asked_places
from planner.safety.way_rules import WayRule, directions_lps, doubt, unknown_finding
from planner.search.batch import AxisBatch
from planner.search.gates import Gate, measured, rule_gates

TIP_PLACE = "tip_place"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Way:
    """The procedure at one target.

    Attributes
    ----------
    protocol : Protocol
        At the target's level.
    rules : tuple of WayRule
    findings : tuple of Finding
        What every path inherits: rules that cannot be asked, and doubts of the region.
    explanation : tuple of Explanation
        What is known to be impossible before any path is tried.
    """

    protocol: Protocol
    rules: tuple[WayRule, ...]
    findings: tuple[Finding, ...]
    region: TargetRegion | None
    explanation: tuple[Explanation, ...] = ()
    reach_mm: float = 0.0
    """Of the region: its farthest voxel from its centre."""

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The rules that are asked last."""
        return rule_gates(self.rules)

    def path_findings(self, axis: NeedleAxis) -> tuple[Finding, ...]:
        """What the rules say of one path."""
        return (*(rule.finding(axis) for rule in self.rules), *self.findings)

    def cost_terms(self, batch: AxisBatch, active: NDArray[np.int64]) -> dict[str, FloatArray]:
        """Preferences of the procedure, 0..1 for each active path."""
        terms = {}
        soft = next((r for r in self.rules if r.constraint == DIRECTION and not r.is_hard), None)
        if soft is not None:
            terms[DIRECTION] = np.where(soft.ok(measured(soft, batch, active)), 0.0, 1.0)
        if self.region is not None:
            entries = batch.entry_lps_mm[active]
            tips = np.ascontiguousarray(batch.tip_lps_mm[active])
            terms[TIP_PLACE] = tip_place(self.protocol, self.region, entries, tips, self.reach_mm)
        return terms


def way_to(
    target: Target,
    protocol: Protocol,
    needle: Needle,
    structures: StructureSet,
    midline_l_mm: float | None,
) -> Way:
    """The rules of a procedure for one target.

    Parameters
    ----------
    midline_l_mm : float or None
        The patient's middle at the target, None where it is not known.
    """
    region = target.region
    around = region
    if region is None and _asks_for_region(protocol):
        # a point is judged by the region that it lies in, but stays where it is
        around = region_at(structures, protocol, target.point_lps_mm)
    findings = [
        *level_findings(protocol, around),
        *root_findings(protocol, around, structures, target.point_lps_mm),
        *rotated_findings(protocol, around, structures, target.point_lps_mm),
    ]
    if around is not None:
        protocol = protocol.at_level(around.level, around.side)
    rules = [*entry_rules(protocol, midline_l_mm)]
    explanation: tuple[Explanation, ...] = ()
    if protocol.direction is not None and midline_l_mm is None:
        note = "the patient's midline is not known: which way the needle runs cannot be told"
        is_hard = protocol.direction_is_hard
        findings.append(unknown_finding(DIRECTION, note) if is_hard else doubt(DIRECTION, note))
    if region is not None:
        rules += target_rules(protocol, region, needle.radius_mm)
        findings += region_findings(protocol, region, needle)
    elif _asks_for_region(protocol):
        if around is not None:
            of_region = target_rules(protocol, around, needle.radius_mm)
            rules += [r for r in of_region if r.constraint != "tip_in_region"]
        findings += point_findings(protocol, around, structures, target.point_lps_mm)
    if protocol.corridor is not None and protocol.corridor.kind == "kambin":
        kambin, unknown, explanation = _kambin(protocol.corridor, around, needle, structures)
        rules += kambin
        findings += unknown
    if protocol.cortex_angle_deg is not None:
        bones = [s.mask for s in structures.with_role(StructureRole.BONE)]
        if bones:
            rules.append(cortex_rule(bones, protocol.cortex_angle_deg))
        else:
            note = "no bone mask is given: the angle to the cortex cannot be told"
            findings.append(unknown_finding("cortex_angle", note))
    if protocol.bone is BoneRule.THROUGH_PEDICLE:
        rules += _other_vertebrae(target, around, structures)
        pedicle, unknown, explanation = _pedicle(target, protocol, needle, structures)
        rules += pedicle
        findings += unknown
    return Way(
        protocol=protocol,
        rules=tuple(rules),
        findings=tuple(findings),
        region=region,
        explanation=explanation,
        reach_mm=0.0 if region is None else _reach_mm(region),
    )


def _reach_mm(region: TargetRegion) -> float:
    bounds = region.mask.bounds_kji()
    assert bounds is not None, "a region is never empty"
    box = tuple(slice(int(a), int(b)) for a, b in zip(*bounds, strict=True))
    places = np.argwhere(region.mask.inside[box]) + bounds[0]
    off = region.mask.grid.to_lps(places) - region.centre_lps_mm
    return float(np.sqrt(np.einsum("ij,ij->i", off, off).max()))


SHIFTED = (
    "pedicle",
    "pedicle_wall",
    "far_wall",
    "tip_in_region",
    "depth_in_target",
    "kambin",
    "below_root",
    *TIP_RULES,
)
"""Findings about masks as they are drawn, which metal may displace. Those that are parts of a
length have less room than their number in millimetres: they are unknown sooner."""

ACROSS = ("kambin",)
"""Of these, the numbers from wall to wall: they change by twice a displacement."""


def beside_metal(findings: tuple[Finding, ...], shift_mm: float) -> tuple[Finding, ...]:
    """Findings with less room than metal may displace the image along the path: unknown."""
    told = []
    for finding in findings:
        measured, required = finding.measured, finding.required
        if finding.constraint in SHIFTED and measured is not None and required is not None:
            room_mm = abs(measured - required) / (2.0 if finding.constraint in ACROSS else 1.0)
            is_sure = room_mm >= shift_mm
            if finding.verdict is Verdict.PASS and not is_sure:
                note = (
                    f"{finding.note}; metal may displace what is drawn by up to {shift_mm:.1f} mm"
                )
                finding = replace(finding, verdict=Verdict.UNKNOWN, note=note)
        told.append(finding)
    return tuple(told)


def tip_place(
    protocol: Protocol,
    region: TargetRegion,
    entries: FloatArray,
    tips: FloatArray,
    reach_mm: float,
) -> FloatArray:
    """How far tips are from the preferred place in a region, 0..1, (n,).

    By depth along the path where the procedure prefers one, else by distance from the centre.
    """
    preferred = None if protocol.tip is None else protocol.tip.preferred_depth_fraction
    if preferred is None:
        off = np.linalg.norm(tips - region.centre_lps_mm, axis=1)
        return np.asarray(np.clip(off / max(reach_mm, 1e-9), 0.0, 1.0))
    along = directions_lps(entries, tips)
    ahead = run_inside_mm(region.mask, tips, along, FARTHEST_MM)
    behind = run_inside_mm(region.mask, tips, -along, FARTHEST_MM)
    fraction = behind / np.maximum(ahead + behind, 1e-9)
    p = preferred.value
    return np.asarray(np.clip(np.abs(fraction - p) / max(p, 1.0 - p), 0.0, 1.0))


def _pedicle(
    target: Target, protocol: Protocol, needle: Needle, structures: StructureSet
) -> tuple[list[WayRule], list[Finding], tuple[Explanation, ...]]:
    level = _vertebra(target, target.region, structures)
    if level is None:
        what = "middle of the target region" if target.region is not None else "target"
        note = f"the {what} lies in no labelled vertebra: the pedicle cannot be told"
        return [], [unknown_finding("pedicle", note)], ()
    pedicles = pedicles_of(structures, level)
    gap = None if protocol.corridor is None else protocol.corridor.numbers.get("gap_mm")
    if gap is None:
        gap = protocol.pedicle_wall_gap
    if not pedicles.regions or gap is None:
        why = "; ".join(pedicles.reasons) or "the procedure gives no gap to its wall"
        return [], [unknown_finding("pedicle", f"no pedicle of {level} is known: {why}")], ()
    sizes = [parse_needle(name) for name in protocol.needles]
    narrow = too_narrow(pedicles, needle, gap.value, sizes)
    rules = pedicle_rules(pedicles, needle, gap.value, gap.evidence, sizes)
    return rules, [], () if narrow is None else (narrow,)


def _vertebra(target: Target, region: TargetRegion | None, structures: StructureSet) -> str | None:
    """The target's vertebra: of a region that names none, the one that its middle lies in."""
    if region is not None and region.level is not None:
        return region.level
    return level_at(structures, target.point_lps_mm)


def _kambin(
    corridor: CorridorRule, around: TargetRegion | None, needle: Needle, structures: StructureSet
) -> tuple[list[WayRule], list[Finding], tuple[Explanation, ...]]:
    """The Kambin triangle at the target; unknown where no label tells what it leads to."""
    rules = cannula_rules(corridor, needle)
    if around is None or around.axes is None:
        note = "no label tells the disc or foramen: the width of the Kambin triangle is not known"
        return rules, [unknown_finding("kambin", note)], ()
    small = triangle_too_small(around, corridor, needle)
    rules += kambin_rules(structures, around, corridor, needle)
    return rules, [], () if small is None else (small,)


def _asks_for_region(protocol: Protocol) -> bool:
    """Whether rules of the procedure are about the region that the tip lies in."""
    tip, corridor = protocol.tip, protocol.corridor
    has_tip = tip is not None and (tip.far_wall is not None or tip.border is not None)
    has_tip = has_tip or bool(asked_places(protocol))
    numbers = {} if corridor is None else corridor.numbers
    has_tip = has_tip or (corridor is not None and corridor.kind == "kambin")
    return has_tip or "max_plane_angle_deg" in numbers or "max_depth_mm" in numbers


def _other_vertebrae(
    target: Target, region: TargetRegion | None, structures: StructureSet
) -> list[WayRule]:
    """Through no vertebra but the target's own."""
    level = _vertebra(target, region, structures)
    masks = [] if level is None else other_vertebrae(structures, level)
    if not masks:
        return []
    inside = np.logical_or.reduce([mask.inside for mask in masks])
    mask = Mask(grid=masks[0].grid, inside=inside)
    walker = BodyWalker(mask)
    return [
        WayRule(
            constraint="other_vertebra",
            words="length of the path in another vertebra",
            unit="mm",
            measure=lambda entries, tips, ends: length_inside_mm(walker, mask, entries, ends),
            high=0.0,
            evidence="by definition: through the pedicle of the target's own vertebra",
            is_quick=False,
            opens="",
        )
    ]
