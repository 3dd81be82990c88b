"""Obstacles that the target itself lies in or too near to: no entry can help there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.clearance import floor_to_hundredth
from planner.geometry.frames import FloatArray
from planner.model import Explanation, StructureRole
from planner.safety.metal import MR_VOID
from planner.safety.obstacles import Obstacle
from planner.search.question import Question
from planner.search.target_place import mixed_up_frames

_MAY_BE_AIMED_AT = ("lesion", "joint", "disc", None)
CHECK_FRAME = "check_frame"
"""Code of the hint that LPS and RAS may be mixed up; idle where the target is a structure."""


def target_at_fault(
    question: Question, fails: dict[str, NDArray[np.bool_]]
) -> tuple[Explanation, ...]:
    """The obstacles that every tip itself would be in, or too near to, whatever the entry."""
    tips = question.tips_lps_mm
    tip = tips[0]
    found = []
    at_fault = [t.obstacle for t in question.traced if bool(fails[t.obstacle.constraint].all())]
    void = [o for o in at_fault if o.constraint == MR_VOID]
    in_void = any(bool(o.structure.mask.contains(tip)) for o in void)
    for obstacle in at_fault:
        if in_void and obstacle.drawn is not None and not bool(obstacle.drawn.contains(tip)):
            continue  # in the void everything may be displaced to anywhere
        if bool(obstacle.structure.mask.contains(tips).all()):
            found += _target_inside(question, obstacle, tip)
        else:
            found += _target_too_near(question, obstacle)
    return tuple(found)


def _target_inside(question: Question, obstacle: Obstacle, tip: FloatArray) -> list[Explanation]:
    structure = obstacle.structure
    if obstacle.constraint == MR_VOID:
        message = (
            "The target lies in the MR void: metal takes the signal there or folds the image, "
            "so no needle can be guided to it in this sequence."
        )
        return [Explanation(code="target_in_void", message=message, constraint=MR_VOID)]
    if obstacle.drawn is not None and not bool(obstacle.drawn.contains(tip)):
        message = (
            f"Metal may displace the image so far that '{structure.name}' truly lies at the "
            "target, though it is not drawn there."
        )
        return [Explanation(code="target_inside", message=message, constraint=obstacle.constraint)]
    message = f"The target lies inside '{structure.name}' ({structure.role.value})."
    if structure.structure_class in _MAY_BE_AIMED_AT or structure.role is StructureRole.BONE:
        message += (
            f" If the needle is meant to enter it, say so: --role '{structure.name}=target' "
            "(or =allowed)."
        )
    hint = f"{mixed_up_frames(tip, question.body_mask, structure)}."
    return [
        Explanation(code="target_inside", message=message, constraint=obstacle.constraint),
        Explanation(code=CHECK_FRAME, message=hint, constraint=obstacle.constraint),
    ]


def _target_too_near(question: Question, obstacle: Obstacle) -> list[Explanation]:
    index = question.cache.index(obstacle.name, obstacle.structure.mask)
    tips = question.tips_lps_mm
    gap_mm = float(index.closest_approach(tips, tips).distance_mm.max())
    room_mm = float(floor_to_hundredth(gap_mm - question.needle.radius_mm))
    if room_mm >= obstacle.required_mm:
        return []
    place = "" if obstacle.drawn is None else " as far as metal may displace it"
    is_one = len(tips) == 1
    where = "The target lies" if is_one else f"All {len(tips)} tips tried in the target lie at most"
    message = (
        f"{where} {gap_mm:.2f} mm from '{obstacle.name}'{place}: a needle of "
        f"{question.needle.outer_diameter_mm:g} mm leaves {room_mm:.2f} mm there, whatever the "
        f"entry, and {obstacle.required_mm:g} mm are needed: no entry can help, another target"
        f"{'' if is_one else ' or a thinner needle'} can."
    )
    # Without the constraint: under its id stands the margin that would open a path.
    return [Explanation(code="target_too_near", message=message)]
