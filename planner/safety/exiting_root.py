"""The root that leaves at the target: a block must not touch it, so it must be drawn."""

from __future__ import annotations

from planner.anatomy import find_region
from planner.anatomy.kambin import exiting_root
from planner.errors import AnatomyError
from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.model import Finding, Protocol, StructureSet, TargetRegion
from planner.model.region import Side
from planner.safety.reference_region import region_beside
from planner.safety.way_rules import unknown_finding

EXITING_ROOT = "exiting_root"
ROOT_TARGETS = ("foramen", "disc", "s1_foramen")
"""Kinds of targets beside which a root leaves."""

NEAR_MM = 25.0
"""Without a region, some labelled nerve must come this near to the target."""

BESIDE_MM = 10.0
"""A point so near to a foramen or disc is beside that one."""

SIDES: tuple[Side, ...] = ("left", "right")


def root_findings(
    protocol: Protocol, around: TargetRegion | None, structures: StructureSet, point: FloatArray
) -> list[Finding]:
    """Unknown where no labelled nerve can be the root at the target; nothing where one can.

    Any nerve satisfies the rule of the class: only the place tells whether this one was drawn.
    A point beside a foramen, in no region, and a region that was drawn there are asked about
    that foramen's root.
    At a disc, the rules of its triangle tell it for the side that a path comes from.
    """
    if not set(protocol.targets) & set(ROOT_TARGETS):
        return []
    if around is None or around.axes is None:
        around = region_beside(structures, protocol, point, BESIDE_MM)
    if around is not None and around.axes is not None:
        if roots_of(structures, around):
            return []
        note = f"no labelled root leaves at {_told(around)}: the distance to it is not known"
        return [unknown_finding(EXITING_ROOT, note)]
    if _nearest_nerve_mm(structures, point) <= NEAR_MM:
        return []
    note = (
        f"no labelled nerve comes within {NEAR_MM:g} mm of the target: the root beside it is not "
        "drawn, and the distance to it is not known"
    )
    return [unknown_finding(EXITING_ROOT, note)]


def roots_of(structures: StructureSet, region: TargetRegion) -> dict[Side, Mask]:
    """Labelled roots that leave at a disc (by side) or at the foramen of one side.

    Past a disc other roots run farther out: where the labels carry the foramen beside it, its
    root is drawn only if some of it lies there.

    Parameters
    ----------
    region : TargetRegion
        With axes.
    """
    assert region.axes is not None
    is_disc = region.side is None
    found: dict[Side, Mask] = {}
    for side in SIDES if region.side is None else (region.side,):
        root = exiting_root(structures.structures, region.axes, side, is_disc)
        if root is not None and not (is_disc and _is_foramen_empty(structures, region, side)):
            found[side] = root
    return found


def _is_foramen_empty(structures: StructureSet, disc: TargetRegion, side: Side) -> bool:
    """Whether the foramen beside a disc is known and no labelled nerve leaves through it."""
    try:
        foramen = find_region(f"foramen:{disc.level}:{side}", structures)
    except AnatomyError:
        return False
    assert foramen.axes is not None
    return exiting_root(structures.structures, foramen.axes, side, is_disc=False) is None


def _told(region: TargetRegion) -> str:
    if region.level is None:
        return region.name
    kind = "disc" if region.side is None else "foramen"
    return " ".join(part for part in (kind, region.level, region.side) if part)


def _nearest_nerve_mm(structures: StructureSet, point: FloatArray) -> float:
    nerves = [s.mask for s in structures.structures if s.structure_class == "nerve"]
    found = [
        float(MaskIndex(mask).closest_approach(point[None], point[None]).distance_mm[0])
        for mask in nerves
        if mask.n_voxels > 0
    ]
    return min(found, default=float("inf"))
