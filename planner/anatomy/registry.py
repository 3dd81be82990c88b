"""Every region that can be asked for by name, and how it is derived."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from planner.anatomy.atlas import SACRAL, Atlas
from planner.anatomy.disc import disc_region
from planner.anatomy.facet import facet_region
from planner.anatomy.foramen import HALVES, foramen_region
from planner.anatomy.limb import hip_region, shoulder_region
from planner.anatomy.medial_branch import medial_branch_region
from planner.anatomy.names import LEVELS, below, level_named
from planner.anatomy.pedicle import pedicle_region
from planner.anatomy.sacroiliac import si_joint_region
from planner.anatomy.sacrum import s1_foramen_region, sacral_ala_region
from planner.anatomy.sides import refuse_mirrored
from planner.anatomy.soft_targets import (
    THIRDS,
    coeliac_region,
    piriformis_region,
    sympathetic_region,
    vertebra_region,
)
from planner.errors import AnatomyError
from planner.model import StructureSet, TargetRegion
from planner.model.region import Side

PREFIX = "anatomy:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parts of a request; what a kind does not take is empty."""

    name: str
    level: str = ""
    lower: str = ""
    side: Side | None = None
    options: tuple[str, ...] = ()

    @property
    def one_side(self) -> Side:
        """The side; only for kinds that need one, for which parsing saw to it."""
        if self.side is None:
            raise AnatomyError("a side is missing: left or right", where=self.name)
        return self.side


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A family of regions: how it is asked for, and what derives it.

    ``levels`` is how many levels the request names: 0, 1, or 2 for what lies between them.
    """

    form: str
    derive: Callable[[Atlas, Asked], TargetRegion]
    levels: int = 0
    needs_side: bool = True
    takes_side: bool = True
    options: tuple[str, ...] = ()


def _piriformis(atlas: Atlas, asked: Asked) -> TargetRegion:
    third = next((o for o in asked.options if o in THIRDS), "middle")
    superficial = "superficial" in asked.options
    return piriformis_region(atlas, asked.name, asked.one_side, third, superficial)


KINDS: dict[str, Kind] = {
    "si_joint": Kind(
        form="si_joint:left",
        derive=lambda atlas, q: si_joint_region(atlas, q.name, q.one_side),
    ),
    "foramen": Kind(
        form="foramen:L4-L5:right[:upper|lower]",
        levels=2,
        options=HALVES,
        derive=lambda atlas, q: foramen_region(
            atlas, q.name, q.level, q.lower, q.one_side, q.options[0] if q.options else ""
        ),
    ),
    "disc": Kind(
        form="disc:L5-S1",
        levels=2,
        needs_side=False,
        takes_side=False,
        derive=lambda atlas, q: disc_region(atlas, q.name, q.level, q.lower),
    ),
    "pedicle": Kind(
        form="pedicle:L4:left",
        levels=1,
        derive=lambda atlas, q: pedicle_region(atlas, q.name, q.level, q.one_side),
    ),
    "facet": Kind(
        form="facet:L4-L5:left",
        levels=2,
        derive=lambda atlas, q: facet_region(atlas, q.name, q.level, q.lower, q.one_side),
    ),
    "piriformis": Kind(
        form="piriformis:right[:medial|middle|lateral][:superficial]",
        options=(*THIRDS, "superficial"),
        derive=_piriformis,
    ),
    "s1_foramen": Kind(
        form="s1_foramen:left",
        derive=lambda atlas, q: s1_foramen_region(atlas, q.name, q.one_side),
    ),
    "vertebra": Kind(
        form="vertebra:L3",
        levels=1,
        needs_side=False,
        takes_side=False,
        derive=lambda atlas, q: vertebra_region(atlas, q.name, q.level),
    ),
    "hip": Kind(form="hip:left", derive=lambda atlas, q: hip_region(atlas, q.name, q.one_side)),
    "shoulder": Kind(
        form="shoulder:right", derive=lambda atlas, q: shoulder_region(atlas, q.name, q.one_side)
    ),
    "sympathetic": Kind(
        form="sympathetic:L3:left",
        levels=1,
        derive=lambda atlas, q: sympathetic_region(atlas, q.name, q.level, q.one_side),
    ),
    "coeliac": Kind(
        form="coeliac[:left|right]",
        needs_side=False,
        derive=lambda atlas, q: coeliac_region(atlas, q.name, q.side),
    ),
    "sacral_ala": Kind(
        form="sacral_ala:left",
        derive=lambda atlas, q: sacral_ala_region(atlas, q.name, q.one_side),
    ),
    "medial_branch": Kind(
        form="medial_branch:L4:left",
        levels=1,
        derive=lambda atlas, q: medial_branch_region(atlas, q.name, q.level, q.one_side),
    ),
}
"""By the first word of a request."""


def find_region(text: str, structures: StructureSet) -> TargetRegion:
    """The region a text asks for, derived from the anatomical labels that are there.

    Parameters
    ----------
    text : str
        For example ``"si_joint:left"``, ``"foramen:L4-L5:right"``, ``"disc:L5-S1"``; the
        prefix ``"anatomy:"`` may stand before it. Left and right are the patient's.
    structures : StructureSet
        With names of TotalSegmentator, TotalSpineSeg, SPINEPS / TPTBox, or plain ones.

    Returns
    -------
    TargetRegion
        On the structures' grid; points and directions in LPS mm.

    Raises
    ------
    AnatomyError
        If the text asks for nothing known, or the labels do not carry the region: says what
        is missing and what was there. For a region of one side also if the labels of left and
        right are mirrored.

    Notes
    -----
    Method and limits of each region: docs/anatomy_targets.md. A region is a proposal for a
    person to look at; its ``words`` and ``warnings`` say where it is from.
    """
    kind, asked = parse_region(text)
    atlas = Atlas.of(structures)
    try:
        if asked.side is not None:
            refuse_mirrored(atlas)
        return KINDS[kind].derive(atlas, asked)
    except AnatomyError as error:
        raise AnatomyError(
            f"{asked.name}: {error.what}",
            seen=error.seen,
            needed=error.needed,
            where=error.where,
            fix=error.fix,
        ) from error


def parse_region(text: str) -> tuple[str, Asked]:
    """The kind and the parts of a request.

    Raises
    ------
    AnatomyError
        If the kind is unknown, or level and side are not as the kind needs them.

    Examples
    --------
    >>> kind, asked = parse_region("anatomy:foramen:l4-l5:right")
    >>> kind, asked.level, asked.lower, asked.side
    ('foramen', 'L4', 'L5', 'right')
    """
    words = text.strip().removeprefix(PREFIX).split(":")
    name = words[0].strip().lower().replace("-", "_")
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.5)
        raise AnatomyError(
            f"'{words[0]}' is no region of the anatomy",
            needed="one of " + ", ".join(KINDS),
            fix=f"Did you mean '{KINDS[near[0]].form}'?" if near else None,
        )
    rest = [word.strip() for word in words[1:]]
    levels: tuple[str, ...] = ()
    if kind.levels:
        levels = _levels(rest.pop(0) if rest else "", kind, text)
    side: Side | None = None
    if kind.takes_side and rest and rest[0].lower() in ("left", "right"):
        side = "left" if rest.pop(0).lower() == "left" else "right"
    if kind.needs_side and side is None:
        raise _not_the_form(text, kind, "a side is missing: left or right, of the patient")
    options = tuple(word.lower() for word in rest)
    odd = [word for word in options if word not in kind.options]
    if odd:
        raise _not_the_form(text, kind, f"'{odd[0]}' means nothing here")
    shown = ":".join((name, *(("-".join(levels),) if levels else ()), *((side,) if side else ())))
    return name, Asked(
        name=PREFIX + ":".join((shown, *options)),
        level=levels[0] if levels else "",
        lower=levels[1] if len(levels) > 1 else "",
        side=side,
        options=options,
    )


def _levels(word: str, kind: Kind, text: str) -> tuple[str, ...]:
    levels = tuple(level_named(part.strip()) for part in word.split("-"))
    unknown = [level for level in levels if level not in LEVELS]
    if unknown or len(levels) != kind.levels:
        raise _not_the_form(
            text, kind, f"'{word}' is not {('', 'a level', 'two levels')[kind.levels]}"
        )
    if len(levels) == 2 and below(levels[0]) != levels[1]:
        raise _not_the_form(text, kind, f"{levels[1]} is not the level under {levels[0]}")
    if levels[0] in SACRAL:
        raise _not_the_form(text, kind, f"{levels[0]} is part of the sacrum")
    return levels


def _not_the_form(text: str, kind: Kind, why: str) -> AnatomyError:
    return AnatomyError(f"'{text}' cannot be looked for: {why}", needed=f"{PREFIX}{kind.form}")
