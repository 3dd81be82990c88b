"""The rules that a protocol is made of. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, get_args

from planner.errors import ConfigError

StructureClass = Literal[
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
"""Classes of structures a margin can be given for; bone and implants have their own rules."""

STRUCTURE_CLASSES: frozenset[str] = frozenset(get_args(StructureClass))

VITAL_CLASSES = ("nerve", "vessel", "spinal_canal", "bowel", "kidney", "pleura_lung", "organ")
"""A path crosses these only where the procedure gives leave for the whole class, or where the
user opted in to one by name; what else a name mentions gives no leave."""

OPENINGS = ("foramen", "foramina")
"""What a nerve leaves through is kept off like one, but it is not the nerve."""

CorridorKind = Literal["pedicle", "joint_plane", "kambin", "foramen"]
Direction = Literal["lateral_to_medial", "medial_to_lateral"]
"""How the needle runs from skin to tip; the midline is that of the patient."""


class BoneRule(StrEnum):
    """Whether a path may touch or cross bone."""

    FORBIDDEN = "forbidden"
    ALLOWED = "allowed"
    THROUGH_PEDICLE = "through_pedicle"
    """Bone may be crossed, and the way in must be the pedicle."""

    @property
    def may_be_crossed(self) -> bool:
        """Whether bone without a margin of its own is no obstacle."""
        return self in (BoneRule.ALLOWED, BoneRule.THROUGH_PEDICLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidenced:
    """A number with the tag that says how sure it is (L, M, C or E)."""

    value: float
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """A range with a typical value and its evidence tag; ``low <= typical <= high``."""

    low: float
    typical: float
    high: float
    evidence: str

    def __post_init__(self) -> None:
        if not (self.low <= self.typical <= self.high):
            raise ConfigError(
                "a range must not decrease",
                seen=f"{self.low:g}, {self.typical:g}, {self.high:g}",
                needed="low <= typical <= high",
            )

    @property
    def values(self) -> tuple[float, float, float]:
        """Low, typical, high."""
        return self.low, self.typical, self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range with its evidence tag, ends included."""

    low: float
    high: float
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRule:
    """The margin a procedure keeps to one class of structure, or to structures by name.

    Attributes
    ----------
    structure_class : str
        For a rule by name, what is meant, for people; the name alone decides.
    margin : Evidenced
        Millimetres from the needle's surface.
    required : bool
        Whether a mask must be given; without one the verdict is unknown.
    hard : bool
        A path nearer than a hard margin is rejected. Nearer than a soft one it
        is a caution; contact is rejected either way.
    floor : Evidenced or None
        Of a soft margin: what rejects all the same (mm); contact where None.
    name_words : tuple of str
        Words or phrases (``"aorta"``, ``"growth plate"``) of which a structure's
        name holds at least one, word by word. Empty for the rule of a class.
    """

    structure_class: str
    margin: Evidenced
    required: bool = False
    hard: bool = True
    floor: Evidenced | None = None
    name_words: tuple[str, ...] = ()

    @property
    def rejects_below_mm(self) -> float:
        """The margin itself where it is hard, the floor of a soft one, or 0 for contact."""
        if self.hard:
            return self.margin.value
        return 0.0 if self.floor is None else self.floor.value

    @property
    def label(self) -> str:
        """What the rule is about: the class, or the first of the names."""
        return self.name_words[0] if self.name_words else self.structure_class

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """Rules with the same key replace one another."""
        return (self.structure_class, self.name_words) if self.name_words else (self.label, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelApproach:
    """The approach at one level; None where the procedure's own angle holds.

    Attributes
    ----------
    axial_deg, craniocaudal_deg : (min, preferred, max) or None
        As in ``Protocol``.
    entry_lateral_mm : (min, preferred, max) or None
        Distance of the skin entry from the midline: information, never a limit.
    evidence : str
        Of all of them.
    """

    axial_deg: tuple[float, float, float] | None = None
    craniocaudal_deg: tuple[float, float, float] | None = None
    entry_lateral_mm: tuple[float, float, float] | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalRule:
    """The last stretch before the tip, where the procedure's own tip margins hold.

    ``vital_opt_in`` is the reason why a margin to a vessel or to the spinal canal
    may shrink there; empty where none does.
    """

    length: Evidenced
    margins: tuple[MarginRule, ...]
    vital_opt_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TipRule:
    """Where in its target region the tip may lie; None where nothing is asked.

    Attributes
    ----------
    border : Evidenced or None
        Least distance (mm) of the tip from the region's border.
    preferred_depth_fraction : Evidenced or None
        0 at the near wall of the region along the path, 1 at the far wall.
    far_wall : Evidenced or None
        How far (mm) the tip with its throw stays from the region's far wall.
    height_fraction : Span or None
        Of the height of the whole anatomy, 0 at its lower end, 1 at its upper.
    height_mm : Span or None
        Above the lower end of the whole anatomy.
    lateral : Evidenced or None
        Least distance (mm) of the tip to the side of the anatomy's middle.
    central_fraction : Evidenced or None
        Of the way from the middle to the edge, at most, to either side and to front and back.
    """

    border: Evidenced | None = None
    preferred_depth_fraction: Evidenced | None = None
    far_wall: Evidenced | None = None
    height_fraction: Span | None = None
    height_mm: Span | None = None
    lateral: Evidenced | None = None
    central_fraction: Evidenced | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorridorRule:
    """The way that a path must take near its target.

    ``numbers`` by kind: ``pedicle``: ``gap_mm`` to the wall on each side.
    ``joint_plane``: ``max_plane_angle_deg`` between needle and joint plane,
    ``max_depth_mm`` into the joint. ``kambin``: ``gap_mm`` between needle and each wall of
    the triangle, ``max_cannula_mm``, ``max_disc_obliquity_deg``. ``foramen``:
    ``least_triangle_area_mm2``, ``max_depth_mm`` below the dorsal opening. Only what the
    file gives is there.
    """

    kind: CorridorKind
    numbers: Mapping[str, Evidenced] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CortexAngle:
    """Allowed angle to the cortex at the first crossing, degrees; 90 is perpendicular."""

    min_deg: float
    max_deg: float
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoNeedleRule:
    """Two needles in one target: distance of the tips, and of the shafts, mm."""

    spacing: Evidenced
    clearance: Evidenced


@dataclass(frozen=True, slots=True, kw_only=True)
class OptIn:
    """What a user may ask for beyond the procedure, by name and on purpose.

    ``margins`` replace those of the same class or names; ``crossable`` is added to
    the procedure's.
    """

    words: str
    evidence: str
    margins: tuple[MarginRule, ...] = ()
    crossable: tuple[str, ...] = ()
