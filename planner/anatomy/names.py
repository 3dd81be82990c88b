"""What the structure names of several tools mean anatomically: part, level and side.

The one place that knows how TotalSegmentator (``vertebrae_L4``, ``hip_left``), TotalSpineSeg
(``disc_L4_L5``, ``disc_L5_S``), SPINEPS / TPTBox (``Arcus_Vertebrae``, ``L4``, ``L4_ivd``,
``Superior_Articular_Left``) and hand-made labels (``ilium_left``) call the same thing. A name
that is not understood means nothing here: a region is never guessed from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from planner.model.region import Side

LEVELS = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
    *(f"S{n}" for n in range(1, 6)),
)
"""From the head down. A 13th thoracic or 6th lumbar vertebra fits between no two of them."""

_LEVEL = re.compile(r"(?:th|[ctl])(?:[1-9]|1[0-2])|s[1-5]?")


class Part(StrEnum):
    """An anatomical part that a name can stand for."""

    VERTEBRA = "vertebra"
    BODY = "vertebral body"
    ARCH = "vertebral arch"
    PEDICLE = "pedicle"
    SPINOUS = "spinous process"
    TRANSVERSE = "transverse process"
    SUPERIOR_ARTICULAR = "superior articular process"
    INFERIOR_ARTICULAR = "inferior articular process"
    DISC = "disc"
    SACRUM = "sacrum"
    SACRAL_ALA = "sacral ala"
    CANAL = "spinal canal"
    SAC = "thecal sac"
    CORD = "spinal cord"
    HIP = "hip bone"
    SI_JOINT = "sacroiliac joint"
    FACET = "facet joint"
    FEMUR = "femur"
    HUMERUS = "humerus"
    SCAPULA = "scapula"
    PIRIFORMIS = "piriformis"
    AORTA = "aorta"


_WORDS: tuple[tuple[Part, str], ...] = (
    (Part.BODY, r"vertebra_corpus(_border)?|vertebrae?_body|corpus|body"),
    (Part.ARCH, r"arcus(_vertebrae)?|(vertebral_)?arch"),
    (Part.PEDICLE, r"pedicle"),
    (Part.SPINOUS, r"spino(us|sus)(_process)?"),
    (Part.TRANSVERSE, r"(costal|transverse)(_process)?"),
    (Part.SUPERIOR_ARTICULAR, r"superior_articular(_process)?"),
    (Part.INFERIOR_ARTICULAR, r"inferior_articular(_process)?"),
    (Part.DISC, r"dis[ck]s?|ivd|vertebra_disc|intervertebral_dis[ck]s?"),
    (Part.SACRAL_ALA, r"sacrum_sacral_ala|sacral_ala"),
    (Part.SACRUM, r"sacrum(_posterior_sacral_elements|_body)?"),
    (Part.CANAL, r"(spinal|vertebral)_canal"),
    (Part.SAC, r"thecal_sac|dural_sac|cauda_equina"),
    (Part.CORD, r"spinal_cord|cord"),
    (Part.SI_JOINT, r"si_joint|sij|sacroiliac_joint"),
    (Part.FACET, r"facet(_joint)?|zygapophys(e|i)al_joint"),
    (Part.HIP, r"hip(_bone)?|ilium|iliac_bone|innominate(_bone)?"),
    (Part.FEMUR, r"femur"),
    (Part.HUMERUS, r"humerus"),
    (Part.SCAPULA, r"scapula"),
    (Part.PIRIFORMIS, r"piriformis(_muscle)?"),
    (Part.AORTA, r"(abdominal_)?aorta"),
    (Part.VERTEBRA, r"vertebrae?(_full)?|"),
)
_NEEDS_A_LEVEL = {"body", "", "pedicle", "corpus"}
"""Words that mean something else, or nothing, without a vertebral level beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What one structure name stands for.

    ``level`` is that of the vertebra; of a disc, the vertebra above it. None means the name
    gives no level (``Arcus_Vertebrae`` holds the arches of all vertebrae).
    """

    part: Part
    level: str | None = None
    side: Side | None = None


def label_of(name: str) -> Label | None:
    """The anatomical meaning of a structure's name; None when it is not understood.

    Examples
    --------
    >>> label_of("vertebrae_L4").level, label_of("L4_ivd").part.value, label_of("disc_L5_S").level
    ('L4', 'disc', 'L5')
    >>> label_of("Superior_Articular_Left").side, label_of("vertebra_5"), label_of("body")
    ('left', None, None)
    """
    tokens = [t for t in re.split(r"[^a-z0-9]+", name.strip().lower()) if t]
    levels = [level_named(t) for t in tokens if _LEVEL.fullmatch(t)]
    sides: list[Side] = [side for t in tokens if (side := side_named(t)) is not None]
    words = [t for t in tokens if not _LEVEL.fullmatch(t) and side_named(t) is None]
    word = "_".join(words)
    part = next((p for p, pattern in _WORDS if re.fullmatch(pattern, word)), None)
    if part is None or len(sides) > 1 or len(levels) > (2 if part in _BETWEEN else 1):
        return None
    if not levels and word in _NEEDS_A_LEVEL:
        return None
    if len(levels) == 2 and below(levels[0]) != levels[1]:
        return None
    return Label(part=part, level=levels[0] if levels else None, side=sides[0] if sides else None)


_BETWEEN = {Part.DISC, Part.FACET}


def level_named(text: str) -> str:
    """``"L4"`` for ``"l4"``, ``"T12"`` for ``"th12"``, ``"S1"`` for ``"s"`` (TotalSpineSeg)."""
    upper = text.upper().replace("TH", "T")
    return "S1" if upper == "S" else upper


def below(level: str) -> str | None:
    """The level under this one; None under the last."""
    place = LEVELS.index(level) + 1 if level in LEVELS else len(LEVELS)
    return LEVELS[place] if place < len(LEVELS) else None


def side_named(token: str) -> Side | None:
    """The side that one lower-case word of a name tells; None for any other word."""
    if token in ("left", "l"):
        return "left"
    return "right" if token in ("right", "r") else None
