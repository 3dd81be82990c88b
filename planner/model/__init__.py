"""Value objects of the domain. No file access, no search."""

from planner.model.needle import Needle, Target
from planner.model.plan import (
    Angles,
    Candidates,
    Clearance,
    Explanation,
    NeedlePair,
    PlanResult,
    PlanWarning,
    StructureUse,
    Trajectory,
)
from planner.model.protocol import CostWeights, Protocol
from planner.model.protocol_rules import (
    BoneRule,
    CorridorRule,
    CortexAngle,
    Evidenced,
    LevelApproach,
    MarginRule,
    OptIn,
    Span,
    TerminalRule,
    TipRule,
    Triple,
    TwoNeedleRule,
)
from planner.model.region import RegionAxes, TargetRegion
from planner.model.structures import MaskSource, Structure, StructureRole, StructureSet
from planner.model.verdict import Finding, Verdict, verdict_of_margin

__all__ = [
    "Angles",
    "BoneRule",
    "Candidates",
    "Clearance",
    "CorridorRule",
    "CortexAngle",
    "CostWeights",
    "Evidenced",
    "Explanation",
    "Finding",
    "LevelApproach",
    "MarginRule",
    "MaskSource",
    "Needle",
    "NeedlePair",
    "OptIn",
    "PlanResult",
    "PlanWarning",
    "Protocol",
    "RegionAxes",
    "Span",
    "Structure",
    "StructureRole",
    "StructureSet",
    "StructureUse",
    "Target",
    "TargetRegion",
    "TerminalRule",
    "TipRule",
    "Trajectory",
    "Triple",
    "TwoNeedleRule",
    "Verdict",
    "verdict_of_margin",
]
