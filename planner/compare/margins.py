"""The margins that a procedure keeps to a structure: whole needle, shaft, and soft ones.

The record of a plan holds one number for the whole needle. Beside it a procedure may want more
of all but the last stretch before the tip, or want more softly, so that less is a caution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from planner.io.plan_document import PlanDocument, StructureRecord
from planner.model import Protocol, Structure
from planner.report.html_plan import procedure_as_planned
from planner.verify.inputs import asked_margin_mm, shaft_margin_mm, soft_margin_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMargins:
    """What is needed of a needle beside one structure, mm.

    Attributes
    ----------
    required_mm : float
        Of the whole needle: less is a failure.
    soft_mm : float or None
        More than that: less is a caution.
    shaft_mm, last_mm : float or None
        Of all but the last ``last_mm`` before the tip: less is a failure.
    is_known : bool
        False where only the procedure could tell soft margin and shaft's, and it is not there.
    """

    required_mm: float
    soft_mm: float | None = None
    shaft_mm: float | None = None
    last_mm: float = 0.0
    is_known: bool = True

    @property
    def widest_mm(self) -> float:
        """The largest of the margins: how far around the needle must be seen."""
        return max(self.required_mm, self.soft_mm or 0.0, self.shaft_mm or 0.0)

    def of_shaft(self) -> KeptMargins:
        """Those of all but the last stretch."""
        return replace(self, required_mm=self.shaft_mm or self.required_mm)


def margins_of(
    plan: PlanDocument,
    record: StructureRecord,
    structure: Structure | None,
    protocol: Protocol | None,
) -> KeptMargins | None:
    """The margins to a structure of the plan; None where the needle may touch it.

    Parameters
    ----------
    plan : PlanDocument
    record : StructureRecord
        The structure as the plan states it.
    structure : Structure or None
        The same, read again.
    protocol : Protocol or None
        The procedure of the plan, known by its hash.

    Notes
    -----
    Of the record's margin and that of the procedure the larger is needed. A margin that the
    user gave holds for the whole needle and is never soft.
    """
    if not record.role.is_obstacle:
        return None
    if structure is None or protocol is None:
        if record.margin_mm is None:
            return None
        is_own = record.own_margin_mm is not None and record.margin_mm >= record.own_margin_mm
        return KeptMargins(required_mm=record.margin_mm, is_known=is_own)
    allow_bone = plan.options.get("allow_bone")
    asked_mm = asked_margin_mm(structure, protocol, allow_bone)
    known = [mm for mm in (record.margin_mm, asked_mm) if mm is not None]
    if not known:
        return None
    shaft = shaft_margin_mm(structure, protocol, allow_bone)
    return KeptMargins(
        required_mm=max(known),
        soft_mm=soft_margin_mm(structure, protocol, allow_bone),
        shaft_mm=None if shaft is None else shaft[0],
        last_mm=0.0 if shaft is None else shaft[1],
    )


def known_protocol(plan: PlanDocument, protocol: Protocol | None) -> Protocol | None:
    """The procedure with the plan's opt-ins, if it has the plan's hash; else None."""
    return None if protocol is None else procedure_as_planned(plan, protocol)
