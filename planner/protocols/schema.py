"""What a procedure file and the needle catalogue may hold.

Evidence tags, kept beside every number:
L seen in the source itself; M general knowledge of the field, not checked against
the source; C computed; E engineering default, not a published clinical limit.
A tag may name its source: ``"L: Ra & Min 2015"``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Evidence = Annotated[str, Field(pattern=r"^[LMCE](: \S.*)?$")]
MarginClass = Literal[
    "nerve",
    "vessel",
    "spinal_canal",
    "disc",
    "bowel",
    "kidney",
    "pleura_lung",
    "organ",
    "muscle",
    "joint",
    "skin_body",
    "lesion",
]
"""Classes of structures a margin can be given for; bone and implants have their own tables."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidencedEntry(_Table):
    """``{value = 3.0, evidence = "E"}``; not negative."""

    value: Annotated[Number, Field(ge=0.0)]
    evidence: Evidence


class AngleEntry(_Table):
    """Angles in degrees, rejected outside min..max."""

    min: Annotated[Number, Field(ge=-90.0)]
    preferred: Number
    max: Annotated[Number, Field(le=90.0)]
    evidence: Evidence

    @model_validator(mode="after")
    def _ordered(self) -> AngleEntry:
        if not (self.min <= self.preferred <= self.max):
            raise ValueError("min, preferred and max must not decrease")
        return self


class MarginEntry(EvidencedEntry):
    """Margin in mm to one class of structure."""

    value: Annotated[Number, Field(ge=0.0, le=100.0)]
    required: bool = False


class BoneEntry(_Table):
    """Whether bone may be touched, and the margin to it where it may not."""

    rule: Literal["forbidden", "allowed"]
    margin_mm: EvidencedEntry
    required: bool = False


class ApproachEntry(_Table):
    """Where the needle may come from."""

    side: Literal["posterior", "anterior"] | None = None
    axial_deg: AngleEntry | None = None
    craniocaudal_deg: AngleEntry | None = None
    max_skin_angle_deg: EvidencedEntry

    @field_validator("axial_deg")
    @classmethod
    def _unsigned(cls, angle: AngleEntry | None) -> AngleEntry | None:
        if angle is not None and angle.min < 0:
            raise ValueError("axial angles are unsigned (0 to 90): left and right count alike")
        return angle

    @field_validator("max_skin_angle_deg")
    @classmethod
    def _acute(cls, angle: EvidencedEntry) -> EvidencedEntry:
        if angle.value > 90.0:
            raise ValueError("an angle to the skin normal is at most 90 degrees")
        return angle


class WeightsEntry(_Table):
    """Weights of the soft costs: a choice of ours, hence always E."""

    clearance: Annotated[Number, Field(ge=0.0)]
    length: Annotated[Number, Field(ge=0.0)]
    approach: Annotated[Number, Field(ge=0.0)]
    skin_incidence: Annotated[Number, Field(ge=0.0)]
    evidence: Literal["E"]


class ProtocolFile(_Table):
    """One procedure file."""

    schema_: Annotated[Literal["needle-protocol/1"], Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Annotated[str, Field(min_length=1)]
    needles: Annotated[tuple[str, ...], Field(min_length=1)]
    target_tolerance_mm: EvidencedEntry
    throw_mm: EvidencedEntry
    min_length_mm: EvidencedEntry
    clear_at_mm: EvidencedEntry
    caution_band_mm: EvidencedEntry
    default_margin_mm: EvidencedEntry
    implant_margin_mm: EvidencedEntry
    bone: BoneEntry
    approach: ApproachEntry
    margins_mm: dict[MarginClass, MarginEntry]
    weights: WeightsEntry
    not_checked: tuple[str, ...] = ()
    sources: Annotated[tuple[str, ...], Field(min_length=1)]


class GaugeEntry(_Table):
    """One gauge of the catalogue."""

    outer_diameter_mm: Annotated[Number, Field(gt=0.0)]
    lengths_mm: Annotated[tuple[int, ...], Field(min_length=1)]
    note: str = ""


class NeedleCatalogue(_Table):
    """Gauges to outer diameters."""

    schema_: Annotated[Literal["needle-catalogue/1"], Field(alias="schema")]
    evidence: Evidence
    material: str
    material_evidence: Evidence
    mr_conditional: str
    gauges: dict[Annotated[str, Field(pattern=r"^[0-9]{1,2}G$")], GaugeEntry]


class OwnNeedleEntry(_Table):
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


class OwnNeedles(_Table):
    """A user's own needles: ``[needles."Name"]`` tables."""

    schema_: Annotated[Literal["needles/1"], Field(alias="schema")]
    needles: dict[str, OwnNeedleEntry]
