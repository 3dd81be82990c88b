"""What a procedure asks of the way to its target, derived a second time.

Target regions and pedicles are derived anew from the labels; everything measured on a path is
in ``way_findings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from planner.anatomy import find_region
from planner.anatomy.names import Part, below, label_of
from planner.errors import ConfigError, PlannerError
from planner.geometry import Grid, Mask
from planner.geometry.digest import mask_sha256
from planner.geometry.frames import FloatArray
from planner.io.plan_document import PlanDocument
from planner.model import BoneRule, Protocol, StructureRole, StructureSet, TargetRegion
from planner.verify.exact import VoxelBoxes
from planner.verify.ledger import Ledger
from planner.verify.way_doubts import doubts_expected, turned_at
from planner.verify.way_kambin import KambinTruth

REGION_PREFIX = "region:"
PLACE_TOL_MM = 1e-6
WALL_REACH_MM = 20.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pedicle:
    """One pedicle: the bone to cross, and what is beside it."""

    inside: Mask
    wall: VoxelBoxes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WayTruth:
    """The procedure at the plan's target.

    ``expected`` are the findings that every path must have; ``bones`` is the union of all
    bone, None without any.
    """

    protocol: Protocol | None
    region: TargetRegion | None
    midline_l_mm: float | None
    pedicles: tuple[Pedicle, ...] = ()
    bones: Mask | None = None
    region_border: VoxelBoxes | None = None
    is_point: bool = False
    """The target is a point, judged by the region that it lies in."""
    is_outside: bool = False
    """A point that lies in the whole anatomy, but not in the region itself."""
    others: Mask | None = None
    """Vertebrae that a path through a pedicle must not touch."""
    kambin: KambinTruth | None = None
    expected: Mapping[str, bool] = field(default_factory=dict)
    """By constraint: whether it can be measured; what cannot is unknown on every path."""
    turned_deg: float | None = None
    """How far the target's vertebra is turned in the scanner; None where not known."""


def protocol_as_planned(
    plan: PlanDocument, protocol: Protocol | None, book: Ledger
) -> Protocol | None:
    """The procedure with the plan's opt-ins; None where it has no such opt-in."""
    if protocol is None:
        return None
    try:
        for name in plan.procedure.opt_ins:
            protocol = protocol.with_opt_in(name)
    except ConfigError:
        book.same("procedure.opt_ins", list(plan.procedure.opt_ins), None)
        return None
    return protocol


def way_truth(
    plan: PlanDocument, structures: StructureSet, protocol: Protocol | None, book: Ledger
) -> WayTruth:
    """Region, pedicles and the rules that follow from the procedure."""
    region = _region(plan, structures, book)
    is_point = plan.target.region is None
    if is_point and protocol is not None and _asks_for_region(protocol):
        region = _region_of_point(plan, structures, protocol)
    turned_deg, doubts = None, {}
    if protocol is not None:
        point = np.array(plan.target.point_lps_mm)
        turned_deg = turned_at(protocol, region, structures, point)
        doubts = doubts_expected(protocol, region, structures, point, turned_deg)
    if protocol is not None and region is not None:
        protocol = protocol.at_level(region.level, region.side)
    bones = [s.mask.inside for s in structures.with_role(StructureRole.BONE)]
    pedicles = _pedicles(plan, structures, protocol, region)
    return WayTruth(
        protocol=protocol,
        region=region,
        midline_l_mm=plan.target.midline_l_mm,
        pedicles=pedicles,
        bones=None if not bones else Mask(grid=structures.grid, inside=np.any(bones, axis=0)),
        is_point=is_point,
        is_outside=is_point
        and region is not None
        and not bool(region.mask.contains(np.array(plan.target.point_lps_mm))),
        others=None if protocol is None else _other_vertebrae(plan, structures, protocol, region),
        kambin=None
        if not _is_kambin(protocol) or region is None or region.axes is None
        else KambinTruth.of(structures, region),
        region_border=None if region is None else VoxelBoxes.of(_complement(region.mask)),
        expected=_expected(protocol, region, plan, bool(bones), bool(pedicles))
        | _expected_of_bone(plan, structures, protocol, region)
        | doubts,
        turned_deg=turned_deg,
    )


def _region(plan: PlanDocument, structures: StructureSet, book: Ledger) -> TargetRegion | None:
    record = plan.target.region
    if record is None:
        return None
    try:
        if record.name.startswith(REGION_PREFIX):
            name = record.name.removeprefix(REGION_PREFIX)
            region = TargetRegion(
                name=record.name,
                mask=structures[name].mask,
                centre_lps_mm=np.array(plan.target.point_lps_mm),
            )
        else:
            region = find_region(record.name, structures)
    except (PlannerError, KeyError):
        book.same("target.region", record.name, None, note="it cannot be derived again")
        return None
    book.same("target.region.sha256", record.sha256, mask_sha256(region.mask))
    book.same("target.region.voxels", record.voxels, int(np.count_nonzero(region.mask.inside)))
    for key in ("level", "side"):
        book.same(f"target.region.{key}", getattr(record, key), getattr(region, key))
    off = np.linalg.norm(region.centre_lps_mm - np.array(plan.target.point_lps_mm))
    book.close("target.point_lps_mm is off the region's centre by", float(off), 0.0, 1e-3)
    for key in ("axis_lps", "plane_normal_lps"):
        told, found = getattr(record, key), getattr(region, key)
        same = (told is None) == (found is None) and (
            told is None or bool(np.allclose(told, found, atol=PLACE_TOL_MM))
        )
        book.rule(f"target.region.{key}", told, None if found is None else found.tolist(), same)
    same = record.measures.keys() == region.measures.keys() and all(
        abs(record.measures[k] - v) <= PLACE_TOL_MM for k, v in region.measures.items()
    )
    book.rule("target.region.measures", dict(record.measures), dict(region.measures), same)
    return region


def _expected(
    protocol: Protocol | None,
    region: TargetRegion | None,
    plan: PlanDocument,
    has_bone: bool,
    has_pedicles: bool,
) -> dict[str, bool]:
    if protocol is None:
        return {}
    numbers = {} if protocol.corridor is None else protocol.corridor.numbers
    expected = {}
    if protocol.direction is not None:
        expected["direction"] = plan.target.midline_l_mm is not None
    if protocol.depth_mm is not None:
        expected["depth"] = True
    if protocol.cortex_angle_deg is not None:
        expected["cortex_angle"] = has_bone
    if protocol.bone is BoneRule.THROUGH_PEDICLE:
        expected["pedicle"] = has_pedicles
        if has_pedicles:
            expected["pedicle_wall"] = True
    if _is_kambin(protocol):
        expected["kambin"] = region is not None and region.axes is not None
        if expected["kambin"]:
            expected["below_root"] = True
    if region is not None:
        told = {"max_disc_obliquity_deg": "disc_obliquity"}
        told["least_triangle_area_mm2"] = "safe_triangle_area"
        expected |= {name: True for key, name in told.items() if key in numbers}
    if "max_cannula_mm" in numbers:
        expected["cannula"] = True
    if region is None:
        if _asks_for_region(protocol) and not (
            protocol.corridor is not None
            and protocol.corridor.kind == "foramen"
            and "max_depth_mm" in numbers
        ):
            expected["target_region"] = False
        if protocol.corridor is not None and protocol.corridor.kind == "foramen":
            expected |= {"depth_in_target": False} if "max_depth_mm" in numbers else {}
        return expected
    is_point = plan.target.region is None
    is_joint = (
        not is_point and protocol.corridor is not None and protocol.corridor.kind == "joint_plane"
    )
    if is_joint and "joint_gap_mm" in region.measures:
        expected["joint_gap"] = True
    if not is_point:
        expected["tip_in_region"] = True
    expected |= dict.fromkeys(places_asked(protocol), region.axes is not None)
    if protocol.tip is not None and protocol.tip.far_wall is not None:
        expected["far_wall"] = True
    has_plane = region.plane_normal_lps is not None
    is_drawn_joint = protocol.corridor is not None and protocol.corridor.kind == "joint_plane"
    if "max_plane_angle_deg" in numbers and (has_plane or (is_drawn_joint and not is_point)):
        expected["joint_plane"] = has_plane
    if "max_depth_mm" in numbers:
        expected["depth_in_target"] = True
    return expected


def places_asked(protocol: Protocol) -> tuple[str, ...]:
    """Rules of the procedure about the tip's place in the whole anatomy."""
    tip = protocol.tip
    if tip is None:
        return ()
    rules = {
        "tip_height": tip.height_fraction,
        "tip_above": tip.height_mm,
        "tip_lateral": tip.lateral,
        "tip_central": tip.central_fraction,
    }
    return tuple(name for name, rule in rules.items() if rule is not None)


def _is_kambin(protocol: Protocol | None) -> bool:
    rule = None if protocol is None else protocol.corridor
    return rule is not None and rule.kind == "kambin"


def _asks_for_region(protocol: Protocol) -> bool:
    tip = protocol.tip
    if tip is not None and not (tip.far_wall is None and tip.border is None):
        return True
    if _is_kambin(protocol) or places_asked(protocol):
        return True
    numbers = () if protocol.corridor is None else tuple(protocol.corridor.numbers)
    return "max_plane_angle_deg" in numbers or "max_depth_mm" in numbers


def _region_of_point(
    plan: PlanDocument, structures: StructureSet, protocol: Protocol
) -> TargetRegion | None:
    """Of all regions of the procedure's kinds, the first that the point is in.

    Else, of those whose whole anatomy holds it, the one with the nearest centre.
    """
    beside: list[TargetRegion] = []
    point = np.array(plan.target.point_lps_mm)
    levels = _levels_by_distance(structures, point)
    for kind in protocol.targets:
        for place in ("", *levels, *(f"{a}-{below(a)}" for a in levels)):
            for side in ("", "left", "right"):
                text = ":".join(part for part in (kind, place, side) if part)
                try:
                    region = find_region(text, structures)
                except PlannerError:
                    continue
                if bool(region.mask.contains(point)):
                    return region
                if region.wall is not None and bool(region.wall.contains(point)):
                    beside.append(region)
    return min(beside, key=lambda r: float(((r.centre_lps_mm - point) ** 2).sum()), default=None)


def _levels_by_distance(structures: StructureSet, point: FloatArray) -> list[str]:
    away: dict[str, float] = {}
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.level is None or label.part is not Part.VERTEBRA:
            continue
        if structure.mask.n_voxels > 0:
            off = _lps(structure.mask.grid, np.argwhere(structure.mask.inside)) - point
            away[label.level] = float((off**2).sum(axis=1).min())
    return sorted(away, key=lambda level: away[level])


def _vertebra_of(
    plan: PlanDocument, structures: StructureSet, region: TargetRegion | None
) -> str | None:
    if region is not None and region.level is not None:
        return region.level
    point = np.array(plan.target.point_lps_mm)
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.part not in (Part.VERTEBRA, Part.BODY) or label.level is None:
            continue
        if bool(structure.mask.contains(point)):
            return label.level
    return None


def _other_vertebrae(
    plan: PlanDocument, structures: StructureSet, protocol: Protocol, region: TargetRegion | None
) -> Mask | None:
    level = _vertebra_of(plan, structures, region)
    if protocol.bone is not BoneRule.THROUGH_PEDICLE or level is None:
        return None
    inside = np.zeros(structures.grid.shape_kji, dtype=bool)
    for structure in structures.with_role(StructureRole.BONE):
        label = label_of(structure.name)
        if label is None or label.part not in (Part.VERTEBRA, Part.BODY, Part.ARCH):
            continue
        if label.level is not None and label.level != level:
            inside |= structure.mask.inside
    return Mask(grid=structures.grid, inside=inside) if inside.any() else None


def _expected_of_bone(
    plan: PlanDocument,
    structures: StructureSet,
    protocol: Protocol | None,
    region: TargetRegion | None,
) -> dict[str, bool]:
    others = None if protocol is None else _other_vertebrae(plan, structures, protocol, region)
    return {} if others is None else {"other_vertebra": True}


def wall_gap_mm(protocol: Protocol) -> float | None:
    """Bone to leave on each side in the pedicle."""
    gap = None if protocol.corridor is None else protocol.corridor.numbers.get("gap_mm")
    gap = protocol.pedicle_wall_gap if gap is None else gap
    return None if gap is None else gap.value


def _pedicles(
    plan: PlanDocument,
    structures: StructureSet,
    protocol: Protocol | None,
    region: TargetRegion | None,
) -> tuple[Pedicle, ...]:
    if protocol is None or protocol.bone is not BoneRule.THROUGH_PEDICLE:
        return ()
    level = _vertebra_of(plan, structures, region)
    if level is None or wall_gap_mm(protocol) is None:
        return ()
    found = []
    for side in ("left", "right"):
        try:
            one = find_region(f"pedicle:{level}:{side}", structures)
        except PlannerError:
            continue
        found.append(Pedicle(inside=one.mask, wall=VoxelBoxes.of(_wall(one))))
    return tuple(found)


def _wall(pedicle: TargetRegion) -> Mask:
    """Every voxel beside the pedicle between the planes of its two ends."""
    grid = pedicle.mask.grid
    axis, centre = np.array(pedicle.axis_lps), np.array(pedicle.centre_lps_mm)
    bone_kji = np.argwhere(pedicle.mask.inside)
    ends = np.abs((_lps(grid, bone_kji) - centre) @ axis).max()
    every = np.argwhere(~pedicle.mask.inside)
    offset = _lps(grid, every) - centre
    near = (offset**2).sum(axis=1) <= ends**2 + WALL_REACH_MM**2 + 1e-9
    every, offset = every[near], offset[near]
    along = offset @ axis
    aside = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0.0))
    keep = every[(np.abs(along) <= ends) & (aside <= WALL_REACH_MM)]
    inside = np.zeros(grid.shape_kji, dtype=bool)
    inside[tuple(keep.T)] = True
    return Mask(grid=grid, inside=inside)


def _lps(grid: Grid, kji: np.ndarray) -> FloatArray:
    return np.asarray(kji @ grid.lps_from_kji[:3, :3].T + grid.lps_from_kji[:3, 3])


def _complement(mask: Mask) -> Mask:
    """What lies around a mask, one voxel deep; the image's edge counts as nothing."""
    from scipy import ndimage

    around = ndimage.binary_dilation(mask.inside, np.ones((3, 3, 3), bool)) & ~mask.inside
    return Mask(grid=mask.grid, inside=around)
