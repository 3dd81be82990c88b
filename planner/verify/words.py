"""The entry in words, made a second time, and the patient's middle that it is told from.

What people read first is "29 mm left of midline, 14 degrees away from it": a sentence is right
as a whole or not at all.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from planner.geometry import Mask
from planner.io.plan_document import PlanDocument, TrajectoryRecord
from planner.model import Structure, StructureRole, StructureSet
from planner.verify.findings import Recomputed, Surroundings
from planner.verify.ledger import Ledger

NEAR_MM = (15.0, 30.0)
"""Anatomy is taken this far above and below the level, the nearer first."""

ANATOMY_TOL_MM = 2.0
"""The plan takes some of a mask's voxels, here all of them are taken."""

TRUNK_TOL_MM = 6.0
"""The plan looks at the trunk with coarse voxels."""

TRUNK_HALF_MM = 10.0
OF_IMAGE = "the image's centre line"
OF_BODY = "midline (middle of the body)"

_UNPAIRED = re.compile(r"vertebra|sacrum|coccyx|spine|(?:^|[^a-z0-9])[ctls]\d{1,2}$", re.I)
_PAIRED = re.compile(r"(?:^|[^a-z])(?:left|right|l|r)(?:[^a-z0-9]|$)", re.I)
_ROUND_OFF = (-1e-6, 0.0, 1e-6)
"""A number in the middle between two whole ones may be rounded to either."""


def check_midline(
    plan: PlanDocument, structures: StructureSet, body: Mask | None, book: Ledger
) -> None:
    """The plan's middle against that of the anatomy at the level, or of the trunk."""
    told = plan.target.midline_l_mm
    level_mm = plan.target.point_lps_mm[2]
    claim = "target.midline_l_mm is off the {} by"
    for window_mm in NEAR_MM:
        for structure in _in_the_middle(structures):
            middle = _middle_of(structure, level_mm, window_mm)
            if middle is not None:
                off = np.inf if told is None else abs(told - middle)
                name = f"middle of '{structure.name}'"
                book.close(claim.format(name), off, 0.0, ANATOMY_TOL_MM)
                return
    if told is not None:
        middle = None if body is None else _trunk_middle_mm(body, level_mm)
        off = np.inf if middle is None else abs(told - middle)
        book.close(claim.format("middle of the body"), off, 0.0, TRUNK_TOL_MM)


def check_words(
    trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings, book: Ledger
) -> None:
    """The whole sentence is one that entry and tip give, from a middle that is there."""
    right = [
        sentence
        for middle_l_mm, name in around.middles
        for sentence in _sentences(truth, middle_l_mm, name)
    ]
    words = trajectory.words
    wanted = right[len(right) // 2] if right else None
    book.rule("words", words, wanted, words in right, f"right would be: {wanted}")


def middles_told(
    plan: PlanDocument, structures: StructureSet, body: Mask | None
) -> tuple[tuple[float, str], ...]:
    """Every line that the words may be told from: its L (mm) and its name."""
    told, level_mm = plan.target.midline_l_mm, plan.target.point_lps_mm[2]
    if told is None:
        corners = None if body is None else body.grid.corners_lps_mm()
        return () if corners is None else ((float(corners[:, 0].mean()), OF_IMAGE),)
    anatomy = tuple(
        (told, f"midline ({structure.name})")
        for structure in _in_the_middle(structures)
        if _middle_of(structure, level_mm, NEAR_MM[1]) is not None
    )
    return anatomy or ((told, OF_BODY),)


def _sentences(truth: Recomputed, middle_l_mm: float, name: str) -> Iterator[str]:
    lateral_mm = float(truth.entry_lps_mm[0]) - middle_l_mm
    for d_entry, d_axial, d_tilt, d_depth in itertools.product(_ROUND_OFF, repeat=4):
        yield ", ".join(
            (
                _entry(lateral_mm + d_entry, name),
                _axial(lateral_mm + d_entry, truth.axial_deg + d_axial, name),
                _tilt(truth.craniocaudal_deg + d_tilt),
                f"depth {truth.length_mm + d_depth:.0f} mm",
            )
        )


def _entry(lateral_mm: float, name: str) -> str:
    if abs(lateral_mm) < 0.5:
        return f"entry on {name}"
    return f"entry {abs(lateral_mm):.0f} mm {'left' if lateral_mm > 0 else 'right'} of {name}"


def _axial(lateral_mm: float, axial_deg: float, name: str) -> str:
    if abs(axial_deg) < 0.5:
        return "straight in the axial plane"
    angle, to_left = _degrees(axial_deg), axial_deg > 0
    if abs(lateral_mm) < 0.5:
        return f"{angle} to the {'left' if to_left else 'right'}"
    way = "away from" if to_left == (lateral_mm > 0) else "towards"
    return f"{angle} {way} {'it' if name == OF_IMAGE else 'midline'}"


def _tilt(tilt_deg: float) -> str:
    if abs(tilt_deg) < 0.5:
        return "no cranial or caudal tilt"
    return f"{_degrees(tilt_deg)} {'cranial' if tilt_deg > 0 else 'caudal'}"


def _degrees(angle_deg: float) -> str:
    number = f"{abs(angle_deg):.0f}"
    return f"{number} degree" if number == "1" else f"{number} degrees"


# --- the patient's middle ------------------------------------------------------------------------


def _in_the_middle(structures: StructureSet) -> list[Structure]:
    """Spinal canal, unpaired bone, discs, in this order, where the image holds both their sides."""
    found: list[list[Structure]] = [[], [], []]
    for structure in structures.structures:
        is_bone = structure.role is StructureRole.BONE or structure.structure_class == "bone"
        is_paired = bool(_PAIRED.search(structure.name))
        kinds = (
            structure.structure_class == "spinal_canal",
            is_bone and not is_paired and bool(_UNPAIRED.search(structure.name)),
            structure.structure_class == "disc" and not is_paired,
        )
        for of_kind, is_one in zip(found, kinds, strict=True):
            if is_one and not _is_cut_at_a_side(structure.mask):
                of_kind.append(structure)
    return [structure for of_kind in found for structure in of_kind]


def _is_cut_at_a_side(mask: Mask) -> bool:
    """Whether there is nothing of it, or it reaches a face of its grid that looks left or right."""
    sideways = int(np.argmax(np.abs(mask.grid.lps_from_kji[0, :3] / mask.grid.spacing_kji_mm)))
    faces = np.moveaxis(mask.inside, sideways, 0)[[0, -1]]
    return bool(faces.any()) or not bool(mask.inside.any())


def _middle_of(structure: Structure, level_mm: float, window_mm: float) -> float | None:
    matrix = structure.mask.grid.lps_from_kji
    places = np.argwhere(structure.mask.inside) @ matrix[:3, :3].T + matrix[:3, 3]
    near = places[np.abs(places[:, 2] - level_mm) <= window_mm, 0]
    return float(near.mean()) if near.size else None


def _trunk_middle_mm(body: Mask, level_mm: float) -> float | None:
    """Between the leftmost and the rightmost of the largest part of the body at a level."""
    grid = body.grid
    climbs = grid.lps_from_kji[2, :3]
    upright = int(np.argmax(np.abs(climbs / grid.spacing_kji_mm)))
    half_mm = max(TRUNK_HALF_MM, 0.6 * float(grid.spacing_kji_mm[upright]))
    along = [c * np.arange(n) for c, n in zip(climbs, grid.shape_kji, strict=True)]
    # only the voxels along the upright axis that some voxel of the level may lie at
    leans_mm = sum(float(np.ptp(a)) for axis, a in enumerate(along) if axis != upright)
    base_mm = float(grid.lps_from_kji[2, 3]) - level_mm
    base_mm += sum(float(a.min()) for axis, a in enumerate(along) if axis != upright)
    above_mm = base_mm + along[upright]
    kept = np.flatnonzero((above_mm <= half_mm) & (above_mm + leans_mm >= -half_mm))
    if kept.size == 0:
        return None
    slab = [slice(None)] * 3
    slab[upright] = slice(int(kept[0]), int(kept[-1]) + 1)
    k, j, i = (a[part] for a, part in zip(along, slab, strict=True))
    heights_mm = k[:, None, None] + j[None, :, None] + i[None, None, :]
    off_mm = np.abs(heights_mm + float(grid.lps_from_kji[2, 3]) - level_mm)
    inside = body.inside[tuple(slab)] & (off_mm <= half_mm)
    parts, n_parts = ndimage.label(inside)
    if n_parts == 0:
        return None
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    places = np.argwhere(parts == largest) + [part.start or 0 for part in slab]
    across = places @ grid.lps_from_kji[0, :3] + grid.lps_from_kji[0, 3]
    return float(across.min() + across.max()) / 2
