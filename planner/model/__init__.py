"""Value objects of the domain. No file access, no search."""

from planner.model.needle import Needle, Target
from planner.model.plan import (
    Angles,
    Candidates,
    Clearance,
    Explanation,
    PlanResult,
    PlanWarning,
    StructureUse,
    Trajectory,
)
from planner.model.protocol import BoneRule, CostWeights, Evidenced, MarginRule, Protocol
from planner.model.structures import MaskSource, Structure, StructureRole, StructureSet
from planner.model.verdict import Finding, Verdict, verdict_of_margin

__all__ = [
    "Angles",
    "BoneRule",
    "Candidates",
    "Clearance",
    "CostWeights",
    "Evidenced",
    "Explanation",
    "Finding",
    "MarginRule",
    "MaskSource",
    "Needle",
    "PlanResult",
    "PlanWarning",
    "Protocol",
    "Structure",
    "StructureRole",
    "StructureSet",
    "StructureUse",
    "Target",
    "Trajectory",
    "Verdict",
    "verdict_of_margin",
]
