"""Colours, fonts and wording shared by the pictures and the texts of a report."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from planner.model import Structure, StructureRole, Verdict

BANNER = "RESEARCH USE ONLY - not a medical device, not for clinical decisions"

DPI = 100
"""Of every picture: a point of font size is 100/72 pixels."""

OUTSIDE_COLOUR, OUTSIDE_HATCH_COLOUR = "#16234a", "#33478a"
"""Where there is no image: never black, which would read as air or metal."""

VERDICT_COLOUR = {
    Verdict.PASS: "#1a7f37",
    Verdict.CAUTION: "#b35900",
    Verdict.UNKNOWN: "#8250df",
    Verdict.FAIL: "#cf222e",
}

VERDICT_MEANING = {
    Verdict.PASS: "every check made passed",
    Verdict.CAUTION: "every limit is met, at least one only just",
    Verdict.UNKNOWN: "something required could not be checked: treat as NOT safe",
    Verdict.FAIL: "at least one limit is broken",
}

MATPLOTLIB_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "text.usetex": False,
    "text.color": "black",
    "axes.unicode_minus": True,
    "axes.linewidth": 0.8,
    "savefig.bbox": None,
    "path.simplify": True,
}
"""What a user's own matplotlib settings must not change."""


LONGEST_WORD = 80
"""More than a UID or a digest has."""


@dataclass(frozen=True, slots=True)
class Outline:
    """How structures of one kind are drawn."""

    label: str
    colour: str
    width_pt: float
    fill_opacity: float = 0.0


_BY_CLASS = {
    "nerve": Outline("nerve", "#ffe000", 1.8),
    "vein": Outline("vein", "#5aa9ff", 1.8),
    "vessel": Outline("artery / vessel", "#ff4b4b", 1.8),
    "avoid": Outline("other, to avoid", "#ff9f1c", 1.8),
}
_BY_ROLE = {
    StructureRole.BONE: Outline("bone", "#fffbe6", 1.3),
    StructureRole.IMPLANT: Outline("implant", "#ff4dff", 1.8),
    StructureRole.TARGET: Outline("target", "#3ddc55", 1.8),
    StructureRole.BODY: Outline("body surface", "#39d5e8", 0.9),
    StructureRole.ALLOWED: Outline("allowed", "#b8c4b8", 0.9),
}
REGION_OUTLINE = Outline("target region", "#9dff57", 2.2, fill_opacity=0.2)
CORRIDOR_OUTLINE = Outline("pedicle, the way in", "#9a5cff", 2.4)
SECOND_NEEDLE_COLOUR = "#ffb3c8"
BODY_OUTLINE = _BY_ROLE[StructureRole.BODY]
_NERVE_CLASSES = ("nerve", "root", "plexus", "cord", "thecal", "canal", "cauda")
_VEIN_NAMES = ("vein", "vena", "cava")


def outline_of(structure: Structure) -> Outline:
    """Colour and line of a structure, by role and anatomical class."""
    if structure.role in _BY_ROLE:
        return _BY_ROLE[structure.role]
    kind = (structure.structure_class or "").lower()
    name = structure.name.lower()
    if any(word in kind for word in _NERVE_CLASSES):
        return _BY_CLASS["nerve"]
    if any(word in kind for word in (*_VEIN_NAMES, "vessel", "artery", "vascular", "aorta")):
        return _BY_CLASS["vein" if any(w in kind + name for w in _VEIN_NAMES) else "vessel"]
    return _BY_CLASS["avoid"]


def plain(text: str) -> str:
    """One line without control characters: names in files can hold anything.

    A word of more than 80 characters is shortened: nothing breaks a line inside it.
    """
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(shortened(word, LONGEST_WORD) for word in kept.split())


def drawable(text: str) -> str:
    """``plain`` text in which a character that the font lacks is a question mark."""
    known = _font_characters()
    return "".join(c if ord(c) in known else "?" for c in plain(text))


@lru_cache(maxsize=1)
def _font_characters() -> frozenset[int]:
    from matplotlib import font_manager, ft2font

    path = font_manager.findfont("DejaVu Sans")
    return frozenset(ft2font.FT2Font(path).get_charmap())


def shortened(text: str, n_max: int) -> str:
    """At most ``n_max`` characters, cut in the middle: sides and levels stand at the end."""
    if len(text) <= n_max:
        return text
    tail = (n_max - 1) * 3 // 5
    return f"{text[: n_max - 1 - tail]}…{text[-tail:]}"
