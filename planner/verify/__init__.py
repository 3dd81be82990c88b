"""Verification of a plan by an independent, slower route.

No distance field and no kernel of the search is used here: the image and the
masks are read again, and every claim is recomputed from entry and tip.
"""

from planner.verify.report import CheckKind, ClaimCheck, VerificationReport
from planner.verify.verifying import structures_as_planned, verify_plan

__all__ = [
    "CheckKind",
    "ClaimCheck",
    "VerificationReport",
    "structures_as_planned",
    "verify_plan",
]
