"""What a procedure file may hold.

Evidence tags, kept beside every number:
L seen in the source itself; M general knowledge of the field, not checked against
the source; C computed; E engineering default, not a published clinical limit.
A tag may name its source: ``"L: Ra & Min 2015"``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from planner.model.naming import words_of
from planner.model.protocol_rules import STRUCTURE_CLASSES, CorridorKind, Direction, StructureClass

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Evidence = Annotated[str, Field(pattern=r"^[LMCE](: \S.*)?$")]
Family = Literal["injection", "biopsy", "ablation", "drainage", "bone and disc"]
Position = Literal["prone", "supine", "lateral", "prone_oblique", "any"]
TargetKind = Literal[
    "si_joint",
    "foramen",
    "disc",
    "pedicle",
    "facet",
    "piriformis",
    "s1_foramen",
    "vertebra",
    "hip",
    "shoulder",
    "sympathetic",
    "coeliac",
    "sacral_ala",
    "medial_branch",
    "lesion",
]
LevelName = Annotated[
    str, Field(pattern=r"^([CTLS]\d{1,2}(-[CTLS]\d{1,2})?|left|right|hip|shoulder)$")
]

VITAL_CLASSES = {"vessel", "spinal_canal"}
"""Their margins do not shrink near the tip, unless the file says why."""
NEVER_CROSSED = {"nerve", "vessel", "spinal_canal", "bowel", "kidney", "pleura_lung", "organ"}
"""Classes that a procedure may not simply let a path cross; an opt-in may, by name."""
_VITAL_WORDS = {"nerve", "root", "plexus", "cord", "thecal", "dura", "canal"}
_VITAL_WORDS |= {"artery", "vein", "vessel", "aorta", "cava", "lung", "pleura", "bowel", "colon"}
_VITAL_WORDS |= {"rectum", "kidney", "ureter", "liver", "spleen", "bladder"}
_CORRIDOR_NUMBERS: dict[str, tuple[set[str], set[str]]] = {
    "pedicle": ({"gap_mm"}, {"gap_mm"}),
    "joint_plane": ({"max_plane_angle_deg"}, {"max_plane_angle_deg", "max_depth_mm"}),
    "kambin": ({"gap_mm"}, {"gap_mm", "max_disc_obliquity_deg", "max_cannula_mm"}),
    "foramen": (set(), {"least_triangle_area_mm2", "max_depth_mm", "gap_mm"}),
}
"""Of each kind of corridor: the numbers it needs, and those it may have."""


class Table(BaseModel):
    """A table of a file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidencedEntry(Table):
    """``{value = 3.0, evidence = "E"}``; not negative."""

    value: Annotated[Number, Field(ge=0.0)]
    evidence: Evidence


class AngleEntry(Table):
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


class RangeEntry(Table):
    """Lengths in mm: low, typical, high."""

    min: Annotated[Number, Field(ge=0.0)]
    typical: Number
    max: Number
    evidence: Evidence

    @model_validator(mode="after")
    def _ordered(self) -> RangeEntry:
        if not (self.min <= self.typical <= self.max):
            raise ValueError("min, typical and max must not decrease")
        return self


class CortexAngleEntry(Table):
    """Angle to the cortex in degrees; 90 is perpendicular."""

    min: Annotated[Number, Field(ge=0.0)]
    max: Annotated[Number, Field(le=90.0)]
    evidence: Evidence

    @model_validator(mode="after")
    def _ordered(self) -> CortexAngleEntry:
        if not (self.min <= self.max):
            raise ValueError("min must not be above max")
        return self


class FractionEntry(EvidencedEntry):
    """A fraction, 0 to 1."""

    value: Annotated[Number, Field(ge=0.0, le=1.0)]


class MarginEntry(EvidencedEntry):
    """Margin in mm to one class of structure."""

    value: Annotated[Number, Field(ge=0.0, le=100.0)]
    required: bool = False
    hard: bool = True
    floor: EvidencedEntry | None = None

    @model_validator(mode="after")
    def _floor_below(self) -> MarginEntry:
        if self.floor is not None and (self.hard or not (self.floor.value <= self.value)):
            raise ValueError("a floor is for a soft margin (hard = false), and below it")
        return self


class NamedMarginEntry(MarginEntry):
    """Margin in mm to the structures whose name holds one of the words or phrases."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    class_: Annotated[StructureClass | Literal["bone"], Field(alias="class")]

    @field_validator("names")
    @classmethod
    def _worded(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not words_of(name):
                raise ValueError(f"'{name}' holds no word")
        return names


class BoneEntry(Table):
    """Whether bone may be touched, and the margin to it where it may not."""

    rule: Literal["forbidden", "allowed", "through_pedicle"]
    margin_mm: EvidencedEntry
    required: bool = False
    cortex_angle_deg: CortexAngleEntry | None = None

    @model_validator(mode="after")
    def _crossed(self) -> BoneEntry:
        if self.rule == "forbidden" and self.cortex_angle_deg is not None:
            raise ValueError("an angle to the cortex makes sense only where bone may be crossed")
        return self


class DirectionEntry(Table):
    """How the needle runs across the body."""

    runs: Direction
    hard: bool = False
    evidence: Evidence


class LevelEntry(Table):
    """What one level (or side) has of its own."""

    axial_deg: AngleEntry | None = None
    craniocaudal_deg: AngleEntry | None = None
    entry_lateral_mm: RangeEntry | None = None

    @field_validator("axial_deg")
    @classmethod
    def _unsigned(cls, angle: AngleEntry | None) -> AngleEntry | None:
        return _unsigned_angle(angle)


class ApproachEntry(Table):
    """Where the needle may come from."""

    side: Literal["posterior", "anterior"] | None = None
    direction: DirectionEntry | None = None
    axial_deg: AngleEntry | None = None
    craniocaudal_deg: AngleEntry | None = None
    max_skin_angle_deg: EvidencedEntry
    levels: dict[LevelName, LevelEntry] = {}

    @field_validator("axial_deg")
    @classmethod
    def _unsigned(cls, angle: AngleEntry | None) -> AngleEntry | None:
        return _unsigned_angle(angle)

    @field_validator("max_skin_angle_deg")
    @classmethod
    def _acute(cls, angle: EvidencedEntry) -> EvidencedEntry:
        if angle.value > 90.0:
            raise ValueError("an angle to the skin normal is at most 90 degrees")
        return angle


def _unsigned_angle(angle: AngleEntry | None) -> AngleEntry | None:
    if angle is not None and angle.min < 0:
        raise ValueError("axial angles are unsigned (0 to 90): left and right count alike")
    return angle


class TerminalEntry(Table):
    """The last stretch before the tip, with its own margins."""

    length_mm: EvidencedEntry
    margins_mm: Annotated[dict[StructureClass, MarginEntry], Field(min_length=1)]
    named_margins_mm: dict[str, NamedMarginEntry] = {}
    vital_opt_in: str = ""

    @model_validator(mode="after")
    def _spares_what_is_vital(self) -> TerminalEntry:
        named = {entry.class_ for entry in self.named_margins_mm.values()}
        vital = sorted(VITAL_CLASSES & {*self.margins_mm, *named})
        if vital and not self.vital_opt_in.strip():
            raise ValueError(
                f"the margin to {' and '.join(vital)} may shrink near the tip only with a reason "
                "in 'vital_opt_in'"
            )
        if not (0.0 < self.length_mm.value <= 30.0):
            raise ValueError("the last stretch is above 0 and at most 30 mm long")
        return self


class SpanEntry(Table):
    """``{min = 10.0, max = 20.0, evidence = "L"}``; not negative."""

    min: Annotated[Number, Field(ge=0.0)]
    max: Number
    evidence: Evidence

    @model_validator(mode="after")
    def _ordered(self) -> SpanEntry:
        if not (self.min < self.max):
            raise ValueError("min must be below max")
        return self


class FractionSpanEntry(SpanEntry):
    """Two fractions, 0 to 1."""

    max: Annotated[Number, Field(le=1.0)]


class TipEntry(Table):
    """Where in its region the tip may lie."""

    border_mm: EvidencedEntry | None = None
    preferred_depth_fraction: FractionEntry | None = None
    far_wall_mm: EvidencedEntry | None = None
    height_fraction: FractionSpanEntry | None = None
    height_mm: SpanEntry | None = None
    lateral_mm: EvidencedEntry | None = None
    central_fraction: FractionEntry | None = None


class CorridorEntry(Table):
    """The way in near the target, and its numbers."""

    kind: CorridorKind
    numbers: dict[str, EvidencedEntry] = {}

    @model_validator(mode="after")
    def _has_its_numbers(self) -> CorridorEntry:
        needed, known = _CORRIDOR_NUMBERS[self.kind]
        given = set(self.numbers)
        if given - known:
            raise ValueError(f"a {self.kind} corridor has no {', '.join(sorted(given - known))}")
        if needed - given:
            raise ValueError(f"a {self.kind} corridor needs {', '.join(sorted(needed - given))}")
        return self


class TwoNeedlesEntry(Table):
    """Distance of two tips and of two shafts."""

    spacing_mm: EvidencedEntry
    clearance_mm: EvidencedEntry


class OptInEntry(Table):
    """What a user may ask for on purpose, by name."""

    words: Annotated[str, Field(min_length=1)]
    evidence: Evidence
    crossable: tuple[str, ...] = ()
    margins_mm: dict[StructureClass, MarginEntry] = {}
    named_margins_mm: dict[str, NamedMarginEntry] = {}


class WeightsEntry(Table):
    """Weights of the soft costs: a choice of ours, hence always E."""

    clearance: Annotated[Number, Field(ge=0.0)]
    length: Annotated[Number, Field(ge=0.0)]
    approach: Annotated[Number, Field(ge=0.0)]
    skin_incidence: Annotated[Number, Field(ge=0.0)]
    evidence: Literal["E"]


class ProtocolFile(Table):
    """One procedure file, merged with those that it inherits from."""

    schema_: Annotated[Literal["needle-protocol/1"], Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Annotated[str, Field(min_length=1)]
    family: Family | None = None
    positions: tuple[Position, ...] = ()
    targets: tuple[TargetKind, ...] = ()
    target_definition: str = ""
    needles: Annotated[tuple[str, ...], Field(min_length=1)]
    target_tolerance_mm: EvidencedEntry
    throw_mm: EvidencedEntry
    min_length_mm: EvidencedEntry
    length_reserve_mm: EvidencedEntry | None = None
    depth_mm: RangeEntry | None = None
    clear_at_mm: EvidencedEntry
    caution_band_mm: EvidencedEntry
    default_margin_mm: EvidencedEntry
    implant_margin_mm: EvidencedEntry
    crossable: tuple[str, ...] = ()
    bone: BoneEntry
    approach: ApproachEntry
    margins_mm: dict[StructureClass, MarginEntry]
    named_margins_mm: dict[str, NamedMarginEntry] = {}
    terminal: TerminalEntry | None = None
    tip: TipEntry | None = None
    corridor: CorridorEntry | None = None
    two_needles: TwoNeedlesEntry | None = None
    opt_ins: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], OptInEntry] = {}
    weights: WeightsEntry
    not_checked: tuple[str, ...] = ()
    sources: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("crossable")
    @classmethod
    def _not_vital(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            is_vital = name in NEVER_CROSSED or bool(_VITAL_WORDS & set(words_of(name)))
            if is_vital or not words_of(name):
                raise ValueError(f"'{name}' is not for a path to cross (an opt-in may allow it)")
        return names

    @field_validator("margins_mm")
    @classmethod
    def _canal_is_hard(cls, margins: dict[str, MarginEntry]) -> dict[str, MarginEntry]:
        canal = margins.get("spinal_canal")
        if canal is not None and not canal.hard:
            raise ValueError("the margin to the spinal canal is always hard")
        return margins

    @model_validator(mode="after")
    def _agrees(self) -> ProtocolFile:
        both = sorted(set(self.crossable) & set(self.margins_mm) & STRUCTURE_CLASSES)
        if both:
            raise ValueError(f"{', '.join(both)} has a margin and may be crossed: say one")
        through_pedicle = self.bone.rule == "through_pedicle"
        if through_pedicle != (self.corridor is not None and self.corridor.kind == "pedicle"):
            raise ValueError("bone rule 'through_pedicle' and corridor 'pedicle' go together")
        for name, entry in ({} if self.terminal is None else self.terminal.margins_mm).items():
            whole = self.margins_mm.get(name, self.default_margin_mm).value
            if not (entry.value <= whole):
                raise ValueError(
                    f"the margin to {name} near the tip ({entry.value:g} mm) is wider than that "
                    f"of the whole path ({whole:g} mm)"
                )
        return self
