"""What a target leaves doubtful for every path, found a second time.

The root that leaves at the target, angles that were not published for its level, a patient who
lies turned in the scanner, and bone whose far wall cannot be told.
"""

from __future__ import annotations

import numpy as np

from planner.anatomy import find_region
from planner.anatomy.atlas import Atlas
from planner.anatomy.names import LEVELS, Part, below, label_of
from planner.anatomy.vertebra import vertebra_of
from planner.errors import AnatomyError, PlannerError
from planner.geometry.frames import FloatArray
from planner.model import Protocol, StructureSet, TargetRegion
from planner.verify.exact import VoxelBoxes
from planner.verify.way_kambin import roots_by_side

ROOT_WITHIN_MM = 25.0
BESIDE_MM = 10.0
STRAIGHT_DEG = 7.0
VERTEBRAE_WITHIN_MM = 60.0
NO_BONE_OF_SPINE = (
    Part.DISC,
    Part.CANAL,
    Part.SAC,
    Part.CORD,
    Part.HIP,
    Part.SI_JOINT,
    Part.FACET,
    Part.FEMUR,
    Part.HUMERUS,
    Part.SCAPULA,
    Part.PIRIFORMIS,
    Part.AORTA,
)


def doubts_expected(
    protocol: Protocol,
    region: TargetRegion | None,
    structures: StructureSet,
    point: FloatArray,
    turned_deg: float | None,
) -> dict[str, bool]:
    """By constraint, as ``WayTruth.expected``; of the procedure as it is for all levels."""
    expected = {}
    if turned_deg is not None and turned_deg > STRAIGHT_DEG:
        expected["patient_rotated"] = True
    if _lacks_root(protocol, region, structures, point):
        expected["exiting_root"] = False
    if _lacks_angles(protocol, region):
        expected["level_angles"] = False
    has_wall = protocol.tip is not None and protocol.tip.far_wall is not None
    if region is None and has_wall and _is_in_spine(structures, point):
        expected["far_wall"] = False
    return expected


def turned_at(
    protocol: Protocol, region: TargetRegion | None, structures: StructureSet, point: FloatArray
) -> float | None:
    """The larger of turn and tilt of the vertebra at the target, degrees; None where unknown."""
    if not (protocol.axial_deg or protocol.craniocaudal_deg or protocol.direction):
        return None
    own = "" if region is None or region.level is None else region.level.partition("-")[0]
    for level in ([own] if own in LEVELS else []) + _nearest_levels(structures, point):
        try:
            left = vertebra_of(Atlas.of(structures), level).frame.left_lps
        except AnatomyError:
            continue
        in_plane = np.array([left[0], left[1], 0.0]) / np.hypot(left[0], left[1])
        turn = float(np.degrees(np.arccos(np.clip(in_plane[0], -1.0, 1.0))))
        tilt = float(np.degrees(np.arcsin(np.clip(abs(left[2]), 0.0, 1.0))))
        return max(turn, tilt)
    return None


def _nearest_levels(structures: StructureSet, point: FloatArray) -> list[str]:
    """Levels whose vertebra is near a point, by the middle of its box."""
    away = {}
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.part is not Part.VERTEBRA or label.level is None:
            continue
        kji = np.argwhere(structure.mask.inside)
        if len(kji):
            middle = structure.mask.grid.to_lps((kji.min(axis=0) + kji.max(axis=0)) / 2.0)
            away[label.level] = float(np.sqrt(((middle - point) ** 2).sum()))
    return sorted((x for x in away if away[x] <= VERTEBRAE_WITHIN_MM), key=lambda x: away[x])


def _lacks_root(
    protocol: Protocol, region: TargetRegion | None, structures: StructureSet, point: FloatArray
) -> bool:
    """Whether no labelled nerve can be the root that leaves at the target."""
    if not any(kind in ("foramen", "disc", "s1_foramen") for kind in protocol.targets):
        return False
    nerves = [s.mask for s in structures.structures if s.structure_class == "nerve"]
    if region is None or region.axes is None:
        region = _region_beside(protocol, structures, point)
    if region is None or region.axes is None:
        gaps = (VoxelBoxes.of(m).nearest_to_segment(point, point).distance_mm for m in nerves)
        return not any(gap <= ROOT_WITHIN_MM for gap in gaps)
    return not roots_by_side(region, structures)


def _region_beside(
    protocol: Protocol, structures: StructureSet, point: FloatArray
) -> TargetRegion | None:
    """The foramen or disc with the voxel nearest to a point that is in none."""
    near: list[tuple[float, TargetRegion]] = []
    for level in _nearest_levels(structures, point):
        for upper in (above for above in LEVELS if level in (above, below(above))):
            for kind in protocol.targets:
                for side in ("", "left", "right"):
                    text = ":".join(p for p in (kind, f"{upper}-{below(upper)}", side) if p)
                    try:
                        region = find_region(text, structures)
                    except PlannerError:
                        continue
                    lps = region.mask.grid.to_lps(np.argwhere(region.mask.inside))
                    near.append((float(np.sqrt(((lps - point) ** 2).sum(axis=1).min())), region))
    near = [pair for pair in near if pair[0] <= BESIDE_MM]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _lacks_angles(protocol: Protocol, region: TargetRegion | None) -> bool:
    """Whether angles are given by level, and none for the target's."""
    if protocol.axial_deg is None and protocol.craniocaudal_deg is None:
        return False
    told = [name.upper() for name in protocol.levels]
    levels = [name for name in told if name.partition("-")[0] in LEVELS]
    level = None if region is None or region.level is None else region.level.upper()
    return bool(levels) and level not in told


def _is_in_spine(structures: StructureSet, point: FloatArray) -> bool:
    for structure in structures.structures:
        label = label_of(structure.name)
        if label is None or label.part in NO_BONE_OF_SPINE:
            continue
        if bool(structure.mask.contains(point)):
            return True
    return False
