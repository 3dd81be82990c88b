"""The target as a user gives it: numbers, a markups file, a structure, or anatomy."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from planner.errors import AnatomyError, TargetError
from planner.toml_file import close_match

_MARKUPS = re.compile(r"\.(json|fcsv)(?=#|$)", re.IGNORECASE)
"""The ending of a markups file, with or without the ``#LABEL`` that picks a point."""

_SEPARATOR = re.compile(r"[,;\s]+")
_FORMS = (
    "L,P,S in mm (for example -3.5,12,87), a .mrk.json or .fcsv file, anatomy:REGION (for "
    "example anatomy:si_joint:left), region:NAME, or structure:NAME"
)
_ANATOMY = "anatomy:"
_AIMABLE_CLASSES = (None, "lesion", "joint", "disc", "muscle")

if TYPE_CHECKING:
    from planner.geometry.frames import FloatArray
    from planner.geometry.volume import Mask
    from planner.model import StructureSet, TargetRegion


class TargetKind(StrEnum):
    """How the target is given."""

    NUMBERS = "numbers"
    FILE = "file"
    STRUCTURE = "structure"
    ANATOMY = "anatomy"
    REGION = "region"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRequest:
    """What ``--target`` asks for; ``numbers_mm`` are in the frame the user named."""

    kind: TargetKind
    text: str
    numbers_mm: tuple[float, float, float] | None = None
    frame: str = "lps"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResolvedTarget:
    """The point in LPS mm, and in words where it comes from.

    ``region`` is what was derived from anatomy, the point its preferred tip; None for a
    target that is a point.
    """

    point_lps_mm: FloatArray
    words: str
    structure: str | None = None
    region: TargetRegion | None = None


def parse_target(text: str, frame: str | None) -> TargetRequest:
    """What the text asks for.

    Raises
    ------
    ValueError
        If it has none of the four forms; the message says what is wrong.
    """
    prefix, colon, rest = text.partition(":")
    if colon and prefix in ("structure", "region"):
        name = rest.strip()
        if not name:
            raise ValueError(f"'{prefix}:' needs the name of a structure")
        request = TargetRequest(kind=TargetKind(prefix), text=name)
    elif text.strip().lower().startswith(_ANATOMY):
        from planner.anatomy import parse_region

        parse_region(text)
        request = TargetRequest(kind=TargetKind.ANATOMY, text=text.strip())
    elif _MARKUPS.search(text):
        request = TargetRequest(kind=TargetKind.FILE, text=text)
    else:
        return TargetRequest(
            kind=TargetKind.NUMBERS, text=text, numbers_mm=_numbers(text), frame=frame or "lps"
        )
    if frame is not None:
        raise ValueError(f"--frame is for a target in numbers, not for '{text}'")
    return request


def resolve_target(request: TargetRequest, structures: StructureSet) -> ResolvedTarget:
    """The target point in LPS mm.

    Raises
    ------
    TargetError
        If the structure does not exist or is empty, the file holds no such point, or the
        labels do not carry the anatomy (AnatomyError).
    """
    import numpy as np

    from planner.geometry.frames import lps_from_ras

    if request.kind is TargetKind.NUMBERS:
        numbers = np.array(request.numbers_mm, dtype=np.float64)
        point = lps_from_ras(numbers) if request.frame == "ras" else numbers
        return ResolvedTarget(point_lps_mm=point, words=f"given in {request.frame.upper()}")
    if request.kind is TargetKind.FILE:
        from planner.io import read_target_point

        point, label = read_target_point(request.text)
        return ResolvedTarget(point_lps_mm=point, words=f"point '{label}' of a markups file")
    if request.kind is TargetKind.ANATOMY:
        from planner.anatomy import find_region

        try:
            region = find_region(request.text, structures)
        except AnatomyError as error:
            raise _outside_as_well(error, structures) from error
        return ResolvedTarget(
            point_lps_mm=region.centre_lps_mm, words=region_words(region), region=region
        )
    if request.text not in structures:
        raise TargetError(
            f"there is no structure '{request.text}' to aim at",
            fix=close_match(request.text, structures) or "Give its mask with --structures.",
        )
    mask = structures[request.text].mask
    point, how = point_in(mask)
    if request.kind is TargetKind.REGION:
        from planner.model import TargetRegion

        return ResolvedTarget(
            point_lps_mm=point,
            words=f"anywhere in structure '{request.text}'",
            structure=request.text,
            region=TargetRegion(
                name=f"region:{request.text}",
                mask=mask,
                centre_lps_mm=point,
                words=f"the mask of '{request.text}'",
            ),
        )
    return ResolvedTarget(
        point_lps_mm=point, words=f"{how} of structure '{request.text}'", structure=request.text
    )


def region_words(region: TargetRegion) -> str:
    """Name, origin, measures and warnings of a region, in one line for people."""
    measures = ", ".join(f"{key} {value:.1f}" for key, value in region.measures.items())
    parts = [f"{region.name}: {region.words}", measures, *(f"NOTE {w}" for w in region.warnings)]
    return "; ".join(part for part in parts if part)


def point_in(mask: Mask) -> tuple[FloatArray, str]:
    """A point in LPS mm inside the mask, and which: the centroid, or the deepest point.

    The centroid of the voxels where it lies inside the mask; else (a ring, a
    crescent) the voxel centre farthest from the outside, the first in array order
    of several.
    """
    import numpy as np
    from scipy.ndimage import distance_transform_edt

    bounds = mask.bounds_kji()
    if bounds is None:
        raise TargetError("the target structure has no voxel in the image")
    indices_kji = np.argwhere(mask.inside)
    centroid = mask.grid.to_lps(indices_kji.mean(axis=0))
    if bool(mask.contains(centroid)):
        return centroid, "centroid"
    start, stop = bounds
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inside = np.pad(mask.inside[box], 1)
    depth_mm = distance_transform_edt(inside, sampling=mask.grid.spacing_kji_mm)
    deepest = np.array(np.unravel_index(int(np.argmax(depth_mm)), inside.shape)) - 1 + start
    return mask.grid.to_lps(deepest), "deepest point (the centroid lies outside)"


def _outside_as_well(error: AnatomyError, structures: StructureSet) -> AnatomyError:
    """The refusal of a region, with the structures that have no voxel in the image."""
    lost = [text for text in structures.warnings if "left out, no voxel in the image" in text]
    if not lost:
        return error
    return AnatomyError(
        error.what,
        seen=error.seen,
        needed=error.needed,
        where=error.where,
        fix=f"Some structures lie outside the image ({'; '.join(lost)}): are they of another "
        "patient or another frame of reference?",
    )


def aimed_at(structures: StructureSet, name: str) -> StructureSet:
    """The structures, with ``name`` in the role of the target instead of one to avoid.

    Only a lesion, a joint, a disc, a muscle or a structure of no known class changes:
    aiming at a nerve, a vessel or an organ does not make it harmless, that takes an
    explicit ``--role``.
    """
    from planner.model import StructureRole

    aimed = structures[name]
    if aimed.role is not StructureRole.AVOID or aimed.structure_class not in _AIMABLE_CLASSES:
        return structures
    changed = tuple(
        s.with_role(StructureRole.TARGET, None) if s.name == name else s
        for s in structures.structures
    )
    return replace(structures, structures=changed)


def spaced_target(arguments: Sequence[str]) -> str | None:
    """What to write for a ``--target`` whose numbers stand apart, as in ``--target 1 2 3``.

    The shell hands them over as three words, of which the option takes the first.
    None when that is not what happened.
    """
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name != "--target":
            continue
        words = [value] if value else []
        for word in arguments[place + 1 :]:
            if not all(_is_number(part) for part in _SEPARATOR.split(word) if part):
                break
            words.append(word)
        parts = [part for word in words for part in _SEPARATOR.split(word) if part]
        if len(words) > 1 and len(parts) == 3 and all(_is_number(part) for part in parts):
            return (
                "the three numbers of --target are one word, with commas and no spaces: "
                f"--target {','.join(parts)}"
            )
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(text: str) -> tuple[float, float, float]:
    parts = [part for part in _SEPARATOR.split(text.strip()) if part]
    odd = [part for part in parts if not _is_number(part)]
    if odd or not parts:
        what = f"'{odd[0]}' is not a number; " if odd and len(odd) < len(parts) else ""
        raise ValueError(f"'{text}' is not a target: {what}give {_FORMS}")
    if len(parts) != 3:
        point = "; decimals take a point, not a comma" if len(parts) == 6 else ""
        raise ValueError(
            f"'{text}' is not a target: it has {len(parts)} number{'s' * (len(parts) > 1)}, "
            f"and a point has three{point}; give {_FORMS}"
        )
    numbers = [float(part) for part in parts]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"'{text}' is not a target: the numbers must be finite")
    return numbers[0], numbers[1], numbers[2]
