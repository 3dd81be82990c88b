"""Whether labels named left and right lie on the patient's left and right, all together."""

from __future__ import annotations

import re

from planner.anatomy.atlas import Atlas
from planner.anatomy.names import Part, side_named
from planner.errors import AnatomyError
from planner.geometry import Mask
from planner.model.region import Side

CLEAR_MM = 5.0
"""Two labels nearer to one another across the patient tell nothing."""

_MIDLINE = (Part.CANAL, Part.SAC, Part.CORD, Part.SACRUM, Part.SPINOUS, Part.VERTEBRA, Part.BODY)


def refuse_mirrored(atlas: Atlas) -> None:
    """Refuse labels of which at least as many lie on the wrong side as on the right one.

    Each label with a side in its name is held against its counterpart of the other side, or,
    without one, against the canal, the sacrum or the vertebrae.

    Raises
    ------
    AnatomyError
        If they are mirrored: no region of a side can be told from them.
    """
    atlas.once(("sides",), lambda: _check(atlas))


def _check(atlas: Atlas) -> None:
    wrong, right = [], 0
    for name, offset_mm in _offsets_mm(atlas):
        if offset_mm <= -CLEAR_MM:
            wrong.append(name)
        elif offset_mm >= CLEAR_MM:
            right += 1
    if wrong and len(wrong) >= right:
        shown = ", ".join(wrong[:6]) + (f" and {len(wrong) - 6} more" if len(wrong) > 6 else "")
        raise AnatomyError(
            "the labels of left and right lie on the other side of the patient",
            seen=f"{len(wrong)} on the wrong side, {right} on their own",
            needed="left where L of LPS is larger",
            where=shown,
            fix="The labels are mirrored, or left and right are those of the screen.",
        )


def _offsets_mm(atlas: Atlas) -> list[tuple[str, float]]:
    """Of each pair, or single label, how far it lies on its own side; one entry per pair."""
    sided: dict[str, dict[Side, tuple[str, float]]] = {}
    for structure in atlas.structures:
        key, side = _key_and_side(structure.name)
        if side is not None and structure.mask.n_voxels > 0:
            sided.setdefault(key, {})[side] = (structure.name, _middle_l_mm(structure.mask))
    midline_mm = _midline_l_mm(atlas)
    found = []
    for pair in sided.values():
        if len(pair) == 2:
            found.append((pair["left"][0], pair["left"][1] - pair["right"][1]))
        elif midline_mm is not None:
            ((side, (name, middle_mm)),) = pair.items()
            off_mm = middle_mm - midline_mm
            found.append((name, off_mm if side == "left" else -off_mm))
    return found


def _key_and_side(name: str) -> tuple[str, Side | None]:
    """The name without its side, and the side; None where it has none, or both."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    sides = [side for word in words if (side := side_named(word)) is not None]
    rest = "_".join(word for word in words if side_named(word) is None)
    return rest, sides[0] if len(sides) == 1 else None


def _midline_l_mm(atlas: Atlas) -> float | None:
    """L of the middle of what is not paired: canal, sacrum or vertebrae; None without any."""
    for part in _MIDLINE:
        middles = [
            _middle_l_mm(s.mask)
            for label, s in atlas.labels
            if label.part is part and label.side is None and s.mask.n_voxels > 0
        ]
        if middles:
            return sum(middles) / len(middles)
    return None


def _middle_l_mm(mask: Mask) -> float:
    bounds = mask.bounds_kji()
    assert bounds is not None, "asked of masks with voxels only"
    return float(mask.grid.to_lps((bounds[0] + bounds[1] - 1) / 2.0)[0])
