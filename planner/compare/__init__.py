"""A needle as it lies against the one that was planned."""

from planner.compare.errors_mm import PlacementErrors, placement_errors
from planner.compare.needle import (
    ActualClearance,
    ActualNeedle,
    Comparison,
    compare_needle,
    oriented,
)

__all__ = [
    "ActualClearance",
    "ActualNeedle",
    "Comparison",
    "PlacementErrors",
    "compare_needle",
    "oriented",
    "placement_errors",
]
