"""Protocol: what one procedure asks of a path. Values only; files are read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BoneRule(StrEnum):
    """Whether a path may touch or cross bone."""

    FORBIDDEN = "forbidden"
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidenced:
    """A number with the tag that says how sure it is (L, M, C or E)."""

    value: float
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRule:
    """The margin a procedure keeps to one class of structure."""

    structure_class: str
    margin: Evidenced
    required: bool = False
    """Whether a mask of this class must be given; without one the verdict is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostWeights:
    """Weights of the soft costs; each cost is normalised to 0..1."""

    clearance: float = 1.0
    length: float = 0.5
    approach: float = 0.5
    skin_incidence: float = 0.25
    needle_artefact: float = 0.25
    """Tip overshoot over the target's tolerance; counts where the acquisition is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One procedure.

    Attributes
    ----------
    axial_deg : (min, preferred, max) or None
        Unsigned angle of the needle to the mid-sagittal plane in the axial
        plane; outside min..max a candidate is rejected (``"approach"``).
    craniocaudal_deg : (min, preferred, max) or None
        Elevation out of the axial plane, positive with the tip cranial.
    approach_side : ``"posterior"``, ``"anterior"`` or None
        The side the needle must come from.
    max_skin_angle : Evidenced
        Largest angle between the needle and the skin normal, degrees.
    default_margin : Evidenced
        Margin (mm) to a structure to avoid of no listed class.
    bone_margin : Evidenced
        Margin (mm) to bone when ``bone`` is FORBIDDEN.
    clear_at : Evidenced
        Clearance (mm) from which distance costs nothing.
    caution_band : Evidenced
        A margin met by less than this (mm) is a caution.
    """

    id: str
    title: str
    needles: tuple[str, ...]
    tolerance: Evidenced
    throw: Evidenced
    bone: BoneRule
    bone_margin: Evidenced
    default_margin: Evidenced
    implant_margin: Evidenced
    margins: tuple[MarginRule, ...]
    max_skin_angle: Evidenced
    min_length: Evidenced
    clear_at: Evidenced
    caution_band: Evidenced
    weights: CostWeights
    axial_deg: tuple[float, float, float] | None = None
    craniocaudal_deg: tuple[float, float, float] | None = None
    approach_side: str | None = None
    approach_evidence: str = ""
    sources: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    """What the procedure asks for that the search does not check."""
    sha256: str = ""

    def margin_rule(self, structure_class: str | None) -> MarginRule | None:
        """The rule for a class of structures, or None."""
        for rule in self.margins:
            if rule.structure_class == structure_class:
                return rule
        return None
