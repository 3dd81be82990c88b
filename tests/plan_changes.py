"""plan.json after a change, with the numbers that follow from it brought into line."""

from __future__ import annotations

import math
from typing import Any


def agree(plan: dict[str, Any]) -> None:
    """Writes again what a plan tells twice: the clearances in short, the tip to the target."""
    for path in plan["trajectories"]:
        path["clearance_mm"] = {c["structure"]: c["clearance_mm"] for c in path["clearances"]}
        path["tip_to_target_mm"] = math.dist(path["tip_lps_mm"], plan["target"]["point_lps_mm"])
