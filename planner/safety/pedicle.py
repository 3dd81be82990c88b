"""The pedicle as the only way in: through it, and off its walls by a gap on each side.

The wall of a pedicle is everything beside it in the slab that it fills: a path that crosses
the slab in the pedicle keeps the gap from that, whether bone goes on there or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.anatomy import find_region
from planner.anatomy.names import Part, label_of
from planner.errors import AnatomyError
from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.geometry.walk import BodyWalker
from planner.model import Explanation, Needle, StructureRole, StructureSet, TargetRegion
from planner.safety.target_rules import length_inside_mm
from planner.safety.way_rules import WayRule

WALL_REACH_MM = 20.0
"""The slab beside a pedicle reaches this far from its axis: a path that misses the pedicle
by more goes another way, and is refused for that."""

LEAST_CROSSED_MM = 1.0
"""A path shorter than this in the pedicle only touches it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pedicles:
    """The pedicles of one vertebra that the labels carry, and why others are not there."""

    level: str
    regions: tuple[TargetRegion, ...]
    reasons: tuple[str, ...]


def level_at(structures: StructureSet, point_lps_mm: FloatArray) -> str | None:
    """The vertebra whose label holds a point, None where none does."""
    for structure in structures.structures:
        label = label_of(structure.name)
        is_vertebra = label is not None and label.part in (Part.VERTEBRA, Part.BODY)
        if not is_vertebra or label is None or label.level is None:
            continue
        if bool(structure.mask.contains(point_lps_mm)):
            return label.level
    return None


def other_vertebrae(structures: StructureSet, level: str) -> list[Mask]:
    """Bone labelled as a vertebra of another level."""
    found = []
    for structure in structures.with_role(StructureRole.BONE):
        label = label_of(structure.name)
        is_one = label is not None and label.part in (Part.VERTEBRA, Part.BODY, Part.ARCH)
        if label is not None and is_one and label.level not in (None, level):
            found.append(structure.mask)
    return found


def pedicles_of(structures: StructureSet, level: str) -> Pedicles:
    """Both pedicles of a vertebra, as far as its labels carry them."""
    found, reasons = [], []
    for side in ("left", "right"):
        try:
            found.append(find_region(f"pedicle:{level}:{side}", structures))
        except AnatomyError as error:
            reasons.append(f"{side}: {error.what}")
    return Pedicles(level=level, regions=tuple(found), reasons=tuple(reasons))


def wall_of(region: TargetRegion) -> Mask:
    """All voxels beside the corridor in the slab that it fills."""
    assert region.corridor is not None and region.axis_lps is not None
    grid = region.corridor.grid
    bone = grid.to_lps(np.argwhere(region.corridor.inside)) - region.centre_lps_mm
    half_mm = float(np.abs(bone @ region.axis_lps).max())
    reach = (WALL_REACH_MM + half_mm) / grid.spacing_kji_mm
    centre = grid.to_kji(region.centre_lps_mm)
    start = np.maximum(np.floor(centre - reach).astype(int), 0)
    stop = np.minimum(np.ceil(centre + reach).astype(int) + 1, np.array(grid.shape_kji))
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    block = grid.cropped(start, stop)
    places = np.moveaxis(np.indices(block.shape_kji), 0, -1)
    offset = block.to_lps(places.reshape(-1, 3)).reshape(*block.shape_kji, 3) - region.centre_lps_mm
    along = offset @ region.axis_lps
    across = np.linalg.norm(offset - along[..., None] * region.axis_lps, axis=-1)
    slab = (np.abs(along) <= half_mm) & (across <= WALL_REACH_MM)
    return Mask(grid=block, inside=slab & ~region.corridor.inside[box])


def pedicle_rules(
    pedicles: Pedicles,
    needle: Needle,
    gap_mm: float,
    evidence: str,
    sizes: Sequence[Needle] = (),
) -> list[WayRule]:
    """Through one of the pedicles, and its wall kept off by the gap.

    Parameters
    ----------
    sizes : sequence of Needle
        That the procedure offers: in an explanation, only one of them that fits is named.
    """
    walkers = [(BodyWalker(r.mask), r.mask) for r in pedicles.regions]
    walls = [MaskIndex(wall_of(r)) for r in pedicles.regions]

    def lengths(entries: FloatArray, ends: FloatArray) -> FloatArray:
        return np.stack([length_inside_mm(w, m, entries, ends) for w, m in walkers])

    def crossed(entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        return np.asarray(lengths(entries, ends).max(axis=0))

    def gap(entries: FloatArray, tips: FloatArray, ends: FloatArray) -> FloatArray:
        nearest = np.stack([w.closest_approach(entries, ends).distance_mm for w in walls])
        own = lengths(entries, ends).argmax(axis=0)  # the wall of the pedicle that is crossed
        return np.asarray(nearest[own, np.arange(len(entries))] - needle.radius_mm)

    return [
        WayRule(
            constraint="pedicle",
            words=f"length of the path in a pedicle of {pedicles.level}",
            unit="mm",
            measure=crossed,
            low=LEAST_CROSSED_MM,
            evidence="E: bone is entered through the pedicle",
            is_quick=False,
            opens="",
        ),
        WayRule(
            constraint="pedicle_wall",
            words=f"bone between the needle and the wall of the pedicle of {pedicles.level}",
            unit="mm",
            measure=gap,
            low=gap_mm,
            evidence=evidence,
            is_quick=False,
            opens="the best lacks {least} of bone beside the needle; "
            f"{_widths(pedicles, needle, gap_mm)}{_thinner(pedicles, needle, gap_mm, sizes)}",
        ),
    ]


def too_narrow(
    pedicles: Pedicles, needle: Needle, gap_mm: float, sizes: Sequence[Needle] = ()
) -> Explanation | None:
    """Why no pedicle takes the needle, with the numbers; None where one may."""
    if _widest_mm(pedicles) >= needle.outer_diameter_mm + 2 * gap_mm:
        return None
    message = (
        f"The pedicles of {pedicles.level} are too narrow: {_widths(pedicles, needle, gap_mm)}"
        f"{_thinner(pedicles, needle, gap_mm, sizes)}. A path beside the pedicle may help."
    )
    return Explanation(code="pedicle_too_narrow", message=message, constraint="pedicle_wall")


def _widest_mm(pedicles: Pedicles) -> float:
    return max(r.measures.get("pedicle_width_mm", 0.0) for r in pedicles.regions)


def _widths(pedicles: Pedicles, needle: Needle, gap_mm: float) -> str:
    """What was measured, and what the needle needs."""
    widths = ((r.side, r.measures.get("pedicle_width_mm", 0.0)) for r in pedicles.regions)
    told = ", ".join(f"{side} {width:.1f} mm" for side, width in widths)
    needed = needle.outer_diameter_mm + 2 * gap_mm
    return (
        f"measured are {told} wide, and {needle.name} of {needle.outer_diameter_mm:g} mm with "
        f"{gap_mm:g} mm of bone on each side needs {needed:.1f} mm"
    )


def _thinner(pedicles: Pedicles, needle: Needle, gap_mm: float, sizes: Sequence[Needle]) -> str:
    """The thickest needle on offer that is thinner and fits the widest pedicle, if there is one."""
    room_mm = _widest_mm(pedicles) - 2 * gap_mm
    fitting = [
        size
        for size in sizes
        if size.outer_diameter_mm < needle.outer_diameter_mm and size.outer_diameter_mm <= room_mm
    ]
    if not fitting:
        return ""
    best = max(fitting, key=lambda size: size.outer_diameter_mm)
    return f"; {best.name} of {best.outer_diameter_mm:g} mm would fit the widest"
