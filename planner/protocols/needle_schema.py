"""What the needle catalogue and a user's needle file may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.protocols.schema import Evidence, Number, Table

ToolName = Annotated[str, Field(pattern=r"^[a-z]+-[0-9A-Z.]+-[0-9]+$")]
"""``KIND-SIZE-LENGTH_MM``: ``cryo-17G-175``, ``drill-4.5-150``."""


class GaugeEntry(Table):
    """One gauge of the catalogue."""

    outer_diameter_mm: Annotated[Number, Field(gt=0.0)]
    lengths_mm: Annotated[tuple[int, ...], Field(min_length=1)]
    note: str = ""


class ToolEntry(Table):
    """One tool that is known by its own name."""

    outer_diameter_mm: Annotated[Number, Field(ge=0.1, le=15.0)]
    length_mm: Annotated[Number, Field(ge=10.0, le=400.0)]
    material: str = "unknown"
    evidence: Evidence
    note: str = ""


class NeedleCatalogue(Table):
    """Gauges to outer diameters, and tools by name."""

    schema_: Annotated[Literal["needle-catalogue/1"], Field(alias="schema")]
    evidence: Evidence
    material: str
    material_evidence: Evidence
    mr_conditional: str
    gauges: dict[Annotated[str, Field(pattern=r"^[0-9]{1,2}G$")], GaugeEntry]
    tools: dict[ToolName, ToolEntry]


class OwnNeedleEntry(Table):
    """One needle of a user's file."""

    outer_diameter_mm: Annotated[Number, Field(ge=0.1, le=15.0)]
    inner_diameter_mm: Annotated[Number, Field(ge=0.0)] = 0.0
    length_mm: Annotated[Number, Field(ge=10.0, le=400.0)]
    throw_mm: Annotated[Number, Field(ge=0.0, le=50.0)] = 0.0
    material: str = "unknown"
    mr_conditional: str = ""
    evidence: Evidence = "M: user's own needle file"

    @model_validator(mode="after")
    def _hollow(self) -> OwnNeedleEntry:
        if not (self.inner_diameter_mm < self.outer_diameter_mm):
            raise ValueError("inner_diameter_mm must be below outer_diameter_mm")
        return self


class OwnNeedles(Table):
    """A user's own needles: ``[needles."Name"]`` tables."""

    schema_: Annotated[Literal["needles/1"], Field(alias="schema")]
    needles: dict[str, OwnNeedleEntry]
