"""Protocol: what one procedure asks of a path. Values only; files are read elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from planner.errors import ConfigError
from planner.model.naming import holds_words, is_named_just
from planner.model.protocol_rules import (
    OPENINGS,
    STRUCTURE_CLASSES,
    VITAL_CLASSES,
    BoneRule,
    CorridorRule,
    CortexAngle,
    Direction,
    Evidenced,
    LevelApproach,
    MarginRule,
    OptIn,
    TerminalRule,
    TipRule,
    Triple,
    TwoNeedleRule,
)

NO_RESERVE = Evidenced(value=0.0, evidence="E: the needle may be as long as the path")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostWeights:
    """Weights of the soft costs; each cost is normalised to 0..1."""

    clearance: float = 1.0
    length: float = 0.5
    approach: float = 0.5
    skin_incidence: float = 0.25
    needle_artefact: float = 0.25
    """Tip overshoot over the target's tolerance; counts where the acquisition is known."""
    tip_place: float = 0.5
    """Where in a target region the tip lies; counts where the target is one."""
    direction: float = 0.25
    """1 against the preferred direction across the patient, where the procedure has one."""


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
    direction : ``"lateral_to_medial"``, ``"medial_to_lateral"`` or None
        Which way the needle runs; only preferred unless ``direction_is_hard``.
    levels : Mapping of str to LevelApproach
        By ``"L4"``, ``"L4-L5"``, ``"hip"``, and ``"left"`` or ``"right"`` where
        the sides differ; see ``at_level``.
    targets : tuple of str
        Kinds of anatomy that fit: ``"si_joint"``, ``"foramen"``, ``"disc"``, ...
    max_skin_angle : Evidenced
        Largest angle between the needle and the skin normal, degrees.
    default_margin : Evidenced
        Margin (mm) to a structure to avoid of no listed class or name.
    bone_margin : Evidenced
        Margin (mm) to bone when ``bone`` is FORBIDDEN.
    clear_at : Evidenced
        Clearance (mm) from which distance costs nothing.
    caution_band : Evidenced
        A hard margin met by less than this (mm) is a caution.
    depth_mm : Triple or None
        Published distance from skin to target: information and a caution, never a limit.
    crossable : tuple of str
        Classes of structures, or names (as in ``MarginRule.name_words``), that a path
        may cross unless the user gave them a margin.
    cortex_angle_deg : CortexAngle or None
        At the first crossing of bone.
    pedicle_wall_gap : Evidenced or None
        Bone (mm) to leave on each side of the needle in the pedicle.
    length_reserve : Evidenced
        Millimetres by which the needle must be longer than the path.
    opted_in : tuple of str
        Names of ``opt_ins`` that the user asked for and that hold already.
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
    family: str = ""
    positions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    target_definition: str = ""
    direction: Direction | None = None
    direction_is_hard: bool = False
    direction_evidence: str = ""
    levels: Mapping[str, LevelApproach] = field(default_factory=dict)
    depth_mm: Triple | None = None
    crossable: tuple[str, ...] = ()
    cortex_angle_deg: CortexAngle | None = None
    pedicle_wall_gap: Evidenced | None = None
    terminal: TerminalRule | None = None
    tip: TipRule | None = None
    corridor: CorridorRule | None = None
    length_reserve: Evidenced = NO_RESERVE
    two_needles: TwoNeedleRule | None = None
    opt_ins: Mapping[str, OptIn] = field(default_factory=dict)
    opted_in: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", MappingProxyType(dict(self.levels)))
        object.__setattr__(self, "opt_ins", MappingProxyType(dict(self.opt_ins)))

    def margin_rule(self, structure_class: str | None) -> MarginRule | None:
        """The rule for a class of structures, or None."""
        for rule in self.margins:
            if not rule.name_words and rule.structure_class == structure_class:
                return rule
        return None

    def rule_for(self, name: str, structure_class: str | None) -> MarginRule | None:
        """The rule for one structure: by its name first, then by its class, or None.

        Of several rules whose words the name holds, the one of the largest margin
        counts, a hard one before a soft one.
        """
        named = self.named_rule(name)
        return self.margin_rule(structure_class) if named is None else named

    def named_rule(self, name: str) -> MarginRule | None:
        """The rule whose words the name of a structure holds, or None; see ``rule_for``."""
        named = [r for r in self.margins if r.name_words and holds_words(name, r.name_words)]
        return max(named, key=lambda rule: (rule.hard, rule.margin.value), default=None)

    def may_cross(self, name: str, structure_class: str | None) -> bool:
        """Whether the procedure lets a path cross this structure.

        A rule for the structure's own name outweighs leave for its class; leave by
        name outweighs both. ``"disc"`` is a class, and gives no leave to a nerve
        called ``"root behind the disc"``. Leave by name holds for a nerve, a vessel, the
        canal or an organ only by opt-in, and for an opening (``"dorsal foramen"``) by
        just its name.
        """
        names = [c for c in self.crossable if c not in STRUCTURE_CLASSES]
        if structure_class not in VITAL_CLASSES:
            is_given = holds_words(name, names)
        else:
            openings = [c for c in names if holds_words(c, OPENINGS)]
            is_given = self.opts_to_cross(name, structure_class) or is_named_just(name, openings)
        if is_given:
            return True
        return structure_class in self.crossable and self.named_rule(name) is None

    def opts_to_cross(self, name: str, structure_class: str | None) -> bool:
        """Whether the user opted in to crossing what is called so.

        A nerve called ``"plexus on the aorta"`` is not the vessel that the procedure's rule
        for ``"aorta"`` is about.
        """
        words = [c for opt_in in self.opted_in for c in self.opt_ins[opt_in].crossable]
        rule = self.named_rule(name)
        if rule is not None and rule.structure_class != structure_class:
            return False
        return holds_words(name, (c for c in words if c not in STRUCTURE_CLASSES))

    def at_level(self, level: str | None, side: str | None = None) -> Protocol:
        """The procedure at one level, with that level's angles; unchanged if not listed.

        Parameters
        ----------
        level : str or None
            ``"L4"``, ``"L4-L5"``, ``"hip"``; upper or lower case.
        side : ``"left"``, ``"right"`` or None
            Applied after the level, where the procedure tells the sides apart.

        Examples
        --------
        >>> from planner.protocols import load_protocol
        >>> load_protocol("vertebral_biopsy_transpedicular").at_level("l5").axial_deg
        (20.0, 30.0, 37.0)
        """
        by_name = {name.casefold(): approach for name, approach in self.levels.items()}
        changed = self
        for name in (level, side):
            approach = None if name is None else by_name.get(name.casefold())
            if approach is not None:
                changed = changed._with_approach(str(name), approach)
        return changed

    def with_opt_in(self, name: str) -> Protocol:
        """The procedure with one of its opt-ins; title and SHA-256 tell it apart.

        Raises
        ------
        ConfigError
            If the procedure has no opt-in of this name.
        """
        if name not in self.opt_ins:
            raise ConfigError(
                f"procedure '{self.id}' has no opt-in '{name}'",
                needed=", ".join(self.opt_ins) or "no opt-in: it has none",
            )
        if name in self.opted_in:
            return self
        chosen = self.opt_ins[name]
        return replace(
            self,
            title=f"{self.title} (opt-in: {name})",
            margins=_replaced(self.margins, chosen.margins),
            crossable=(*self.crossable, *(c for c in chosen.crossable if c not in self.crossable)),
            opted_in=(*self.opted_in, name),
            sha256=hashlib.sha256(f"{self.sha256}+{name}".encode()).hexdigest(),
        )

    def _with_approach(self, name: str, approach: LevelApproach) -> Protocol:
        is_whole = approach.axial_deg is not None and approach.craniocaudal_deg is not None
        rest = "" if is_whole or not self.approach_evidence else f"; else {self.approach_evidence}"
        evidence = f"at {name}: {approach.evidence}{rest}"
        return replace(
            self,
            axial_deg=approach.axial_deg or self.axial_deg,
            craniocaudal_deg=approach.craniocaudal_deg or self.craniocaudal_deg,
            approach_evidence=evidence,
        )


def _replaced(rules: Iterable[MarginRule], new: Iterable[MarginRule]) -> tuple[MarginRule, ...]:
    by_key = {rule.key: rule for rule in rules}
    by_key.update({rule.key: rule for rule in new})
    return tuple(by_key.values())
