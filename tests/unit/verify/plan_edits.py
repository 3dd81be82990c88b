"""A plan changed as its file, and what verification says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import PlanResult, Structure, StructureSet
from planner.verify import (
    VerificationReport,
    verify_plan,
)


def edited(result: PlanResult, change: Callable[[dict[str, Any]], None]) -> PlanDocument:
    content = plan_document(result).to_json_dict()
    change(content)
    return PlanDocument.model_validate_json(json.dumps(content))


def verified(result: PlanResult, plan: PlanDocument | PlanResult) -> VerificationReport:
    return verify_plan(plan, result.volume, result.structures, protocol=result.protocol)


def failed_claims(report: VerificationReport) -> set[str]:
    return {check.claim for check in report.failures}


def with_structures(result: PlanResult, *structures: Structure) -> StructureSet:
    return StructureSet(grid=result.structures.grid, structures=structures)
