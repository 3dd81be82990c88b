"""The body that a plan was made with."""

from __future__ import annotations

import numpy as np

from planner.geometry import Mask
from planner.model import PlanResult, StructureRole


def body_of(result: PlanResult) -> Mask | None:
    """The body the search used, else the given structures of role body, else None."""
    if result.body is not None:
        return result.body
    given = result.structures.with_role(StructureRole.BODY)
    if not given:
        return None
    inside = np.logical_or.reduce([s.mask.inside for s in given])
    return Mask(grid=result.structures.grid, inside=inside)
