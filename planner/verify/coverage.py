"""How far around a path the image and every mask are known, and what a path must say of it."""

from __future__ import annotations

from planner.geometry import Grid
from planner.io.plan_document import TrajectoryRecord
from planner.model import MaskSource, StructureRole
from planner.model.naming import holds_words
from planner.verify.crossings import is_vital, tells_entry_angle
from planner.verify.exact import room_to_faces_mm
from planner.verify.findings import (
    NUMERIC_TOL_MM,
    Recomputed,
    Surroundings,
    check_not_passed,
    length_in_mm,
)
from planner.verify.ledger import Ledger

WHOLE_IMAGE_TOL_MM = 0.02
CROSSED_MM = 0.01
"""Less bone than this on the way may be the rounding of a walk along a voxel's face."""


def check_coverage(
    trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings, book: Ledger
) -> None:
    """Each structure to avoid is known as far as its margin reaches, and none is missing."""
    classes, is_all_seen = _given_classes(around), True
    for structure in around.structures.structures:
        margin_mm = around.margins_mm[structure.name]
        if margin_mm is None:
            continue
        reach_mm = (around.reach_mm(structure.name) or 0.0) + truth.radius_mm
        is_known = _covers(structure.source, around.volume.grid, truth, reach_mm)
        check_not_passed(trajectory, f"mask of '{structure.name}' covers the path", is_known, book)
        if not is_known:
            _check_held(trajectory, "coverage", structure.name, book)
        is_seen = truth.cut_room_mm >= reach_mm - NUMERIC_TOL_MM
        is_all_seen &= is_seen
        check_not_passed(
            trajectory, f"image goes on as far as the margin of '{structure.name}'", is_seen, book
        )
    is_whole = min(truth.cut_room_mm, truth.face_room_mm) >= truth.radius_mm - NUMERIC_TOL_MM
    check_not_passed(trajectory, "needle's whole thickness lies in the image", is_whole, book)
    if not (is_all_seen and is_whole):
        _check_held(trajectory, "coverage", None, book)
    for needed in around.required_mm:
        if needed not in classes:
            _check_held(trajectory, "missing_structure", needed, book)
        check_not_passed(
            trajectory, f"a mask of class '{needed}' is given", needed in classes, book
        )


def check_bone_presence(
    trajectory: TrajectoryRecord, truth: Recomputed, around: Surroundings, book: Ledger
) -> None:
    """What may be crossed and is: the path says by how much, and how it enters bone."""
    is_crossed = False
    for structure in around.structures.with_role(StructureRole.BONE):
        may_be_crossed = around.margins_mm[structure.name] is None
        if may_be_crossed and length_in_mm(structure.mask, truth) > CROSSED_MM:
            _check_held(trajectory, "bone_crossed", structure.name, book)
            is_crossed = True
    if is_crossed and tells_entry_angle(around.protocol):
        _check_held(trajectory, "bone_entry_angle", None, book)
    for structure in around.structures.structures:
        may_be_crossed = is_vital(structure) and around.margins_mm[structure.name] is None
        if may_be_crossed and length_in_mm(structure.mask, truth) > CROSSED_MM:
            _check_held(trajectory, "crossed", structure.name, book)


def _check_held(
    trajectory: TrajectoryRecord, constraint: str, structure: str | None, book: Ledger
) -> None:
    held = sum((f.constraint, f.structure) == (constraint, structure) for f in trajectory.findings)
    about = "" if structure is None else f" of '{structure}'"
    book.rule(f"findings hold '{constraint}'{about}", held, 1, held == 1)


def _given_classes(around: Surroundings) -> set[str]:
    """What the procedure asks for and a structure to avoid is given of: classes and names."""
    given = {"bone"} if around.structures.with_role(StructureRole.BONE) else set()
    protocol = around.protocol
    for structure in around.structures.structures:
        name, kind = structure.name, structure.structure_class
        if structure.role.is_obstacle and protocol is None and kind is not None:
            given.add(kind)
        if not structure.role.is_obstacle or protocol is None:
            continue
        is_opted = protocol.opts_to_cross(name, kind)
        if protocol.may_cross(name, kind) and not is_opted:
            continue
        is_bone = structure.role is StructureRole.BONE
        is_nerve = not holds_words(name, ("foramen", "foramina"))
        for rule in protocol.margins:
            of_bone = rule.structure_class == "bone"
            words = " ".join(rule.name_words)
            may_be_one = rule.structure_class != "nerve" or is_nerve or "foramen" in words
            is_named = not words or holds_words(name, rule.name_words)
            is_of_class = bool(words) or kind == rule.structure_class
            is_meant = bool(words) or not is_opted  # what may be crossed stands for no class
            if is_bone == of_bone and may_be_one and is_named and is_of_class and is_meant:
                given.add(rule.label)
    return given


def _covers(source: MaskSource, image: Grid, truth: Recomputed, reach_mm: float) -> bool:
    """Whether the grid a mask was drawn on holds the path and what is within reach of it.

    A mask whose grid holds the whole image knows all of it; whether that is
    enough is a question of where the image cuts the body.
    """
    corners = image.corners_lps_mm()
    around_image = [room_to_faces_mm(source.grid, c, c).min() for c in corners]
    if min(around_image) >= -WHOLE_IMAGE_TOL_MM:
        return True
    room_mm = float(room_to_faces_mm(source.grid, truth.entry_lps_mm, truth.axis_end_lps_mm).min())
    return room_mm >= reach_mm - NUMERIC_TOL_MM
