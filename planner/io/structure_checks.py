"""Masks that contradict themselves, each other, or their names.

Nothing is mended here: an obstacle's stray voxels stay obstacles. What is found is told, and
a name that contradicts its position makes every path at least a caution.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray, orientation_letters
from planner.io.wording import counted
from planner.model import Finding, Structure, StructureRole, Verdict

LEFT_RIGHT = "left_right_mismatch"

SPECK_SHARE = 0.01
"""Parts with at most this share of the largest part's voxels are specks (E)."""

WRONG_SIDE_MM = 5.0
"""How far beyond the middle a structure's centroid must be to contradict its name (E)."""

WRONG_SIDE_SHARE = 0.95
"""Share of its voxels that must lie on the other side (E)."""

_MIDLINE_CLASSES = ("spinal_canal",)
_MIDLINE_NAMES = re.compile(r"vertebra|sacrum|spinal|spine|\bdisc\b|intervertebral|coccyx", re.I)
_SIDES = {
    "left": {"left", "l", "lt", "links", "gauche", "sin", "sinister", "sinistra", "izquierdo"},
    "right": {
        "right",
        "r",
        "rt",
        "rechts",
        "droit",
        "droite",
        "dex",
        "dexter",
        "destra",
        "derecho",
    },
}
_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Extent:
    """Where a structure is: bounding block, centroid and spread along patient L."""

    structure: Structure
    block: tuple[slice, slice, slice]
    inside: NDArray[np.bool_]
    centroid_lps_mm: FloatArray
    left_mm: FloatArray
    """LPS x of every voxel of the structure."""
    heights_mm: tuple[float, float]


def check_structures(structures: Sequence[Structure]) -> tuple[list[str], list[Finding]]:
    """Warnings about the masks, and the findings that hold for every path.

    Parameters
    ----------
    structures : sequence of Structure
        All on one grid.
    """
    extents = [e for e in map(_extent, structures) if e is not None]
    warnings = [*_cut_by_the_image(extents), *_specks(extents), *_overlaps(extents)]
    warnings += _copies(extents)
    findings = list(_wrong_sides(extents))
    warnings += [f"LEFT AND RIGHT: {f.note}" for f in findings]
    return warnings, findings


def side_of_name(name: str) -> str | None:
    """``"left"`` or ``"right"`` where a name says so, None where it does not or says both.

    Examples
    --------
    >>> side_of_name("kidney_left"), side_of_name("R iliac artery"), side_of_name("nerveLt")
    ('left', 'right', 'left')
    >>> side_of_name("L5 root"), side_of_name("L 5"), side_of_name("left-right shunt")
    (None, None, None)
    """
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [w.lower() for w in _WORD.findall(split)]
    found = set()
    for n, word in enumerate(words):
        for side, names in _SIDES.items():
            is_level = len(word) == 1 and n + 1 < len(words) and words[n + 1].isdigit()
            if word in names and not is_level:
                found.add(side)
    return found.pop() if len(found) == 1 else None


def _extent(structure: Structure) -> _Extent | None:
    bounds = structure.mask.bounds_kji()
    if bounds is None:
        return None
    start, stop = bounds
    block = (
        slice(int(start[0]), int(stop[0])),
        slice(int(start[1]), int(stop[1])),
        slice(int(start[2]), int(stop[2])),
    )
    inside = structure.mask.inside[block]
    grid = structure.mask.grid
    left_mm = _coordinate(grid, block, 0)[inside]
    height_mm = _coordinate(grid, block, 2)[inside]
    depth_mm = float(_coordinate(grid, block, 1)[inside].mean())
    centroid = np.array([float(left_mm.mean()), depth_mm, float(height_mm.mean())])
    return _Extent(
        structure=structure,
        block=block,
        inside=inside,
        centroid_lps_mm=centroid,
        left_mm=left_mm,
        heights_mm=(float(height_mm.min()), float(height_mm.max())),
    )


def _coordinate(grid: Grid, block: tuple[slice, slice, slice], axis: int) -> FloatArray:
    """One patient coordinate of every voxel of a block, mm."""
    row = grid.lps_from_kji[axis]
    k, j, i = (np.arange(s.start, s.stop) for s in block)
    return np.asarray(
        row[0] * k[:, None, None] + row[1] * j[None, :, None] + row[2] * i + row[3],
        dtype=np.float32,
    )


def _cut_by_the_image(extents: Sequence[_Extent]) -> Iterator[str]:
    """Structures on a face of the image: they may go on where nothing was imaged."""
    cut = []
    for extent in extents:
        if not _matters(extent.structure):
            continue
        grid = extent.structure.mask.grid
        faces = []
        for axis in range(3):
            letters = orientation_letters(grid.axes_lps_from_kji[:, axis])
            opposite = orientation_letters(-grid.axes_lps_from_kji[:, axis])
            if extent.block[axis].start == 0:
                faces.append(opposite)
            if extent.block[axis].stop == grid.shape_kji[axis]:
                faces.append(letters)
        if faces:
            cut.append(f"{extent.structure.name} ({', '.join(faces)})")
    if cut:
        yield (
            f"cut by the edge of the image, may go on unseen beyond it: {_listed(cut)} "
            "(letters: the side of the patient)"
        )


def _matters(structure: Structure) -> bool:
    """Whether a fault of its mask would matter: not of the body, nor of what may be crossed."""
    return structure.role.is_obstacle or structure.role is StructureRole.TARGET


def _specks(extents: Sequence[_Extent]) -> Iterator[str]:
    """Parts so much smaller than the largest that they may be slips of the drawing."""
    from scipy import ndimage

    found = []
    for extent in extents:
        if not _matters(extent.structure):
            continue
        labels, n = ndimage.label(extent.inside, np.ones((3, 3, 3)))
        if n < 2:
            continue
        sizes = np.bincount(labels.ravel())[1:]
        is_speck = sizes <= SPECK_SHARE * sizes.max()
        if not is_speck.any():
            continue
        n_voxels = int(sizes[is_speck].sum())
        voxels = counted(n_voxels, "voxel")
        text = f"{extent.structure.name} ({counted(int(is_speck.sum()), 'speck')}, {voxels})"
        if extent.structure.role is StructureRole.TARGET:
            main = np.isin(labels, 1 + np.flatnonzero(~is_speck))
            moved = _centroid(extent, main) - extent.centroid_lps_mm
            text += f", which move the target's centroid by {float(np.linalg.norm(moved)):.1f} mm"
        found.append(text)
    if found:
        yield f"specks apart from the rest, kept as they are: {_listed(found)}"


def _centroid(extent: _Extent, inside: NDArray[np.bool_]) -> FloatArray:
    grid = extent.structure.mask.grid
    index = np.argwhere(inside).mean(axis=0) + [s.start for s in extent.block]
    return grid.to_lps(index)


def _overlaps(extents: Sequence[_Extent]) -> Iterator[str]:
    """Targets within obstacles, and allowed structures within structures to avoid."""
    harmless = []
    for one in extents:
        role = one.structure.role
        if role not in (StructureRole.TARGET, StructureRole.ALLOWED):
            continue
        for other in extents:
            against = other.structure.role
            if not against.is_obstacle or (
                role is StructureRole.ALLOWED and against is not StructureRole.AVOID
            ):
                continue
            n = _shared(one.structure.mask, other)
            if n == 0:
                continue
            volume = n * one.structure.mask.grid.voxel_volume_mm3
            if role is StructureRole.ALLOWED:
                harmless.append(
                    f"{one.structure.name} and {other.structure.name} ({volume:.0f} mm3)"
                )
                continue
            yield (
                f"'{one.structure.name}' ({role}) overlaps '{other.structure.name}' ({against}) "
                f"in {counted(n, 'voxel')}, {volume:.0f} mm3"
            )
    if harmless:
        yield f"allowed, but also to avoid, and avoided there: {_listed(harmless)}"


def _shared(mask: Mask, other: _Extent) -> int:
    return int(np.count_nonzero(mask.inside[other.block] & other.inside))


def _copies(extents: Sequence[_Extent]) -> Iterator[str]:
    """Two names for the same voxels: one of two structures may have been lost."""
    seen: dict[tuple[object, bytes], str] = {}
    for extent in extents:
        if not extent.structure.role.is_obstacle:
            continue
        place = tuple((s.start, s.stop) for s in extent.block)
        key = (place, hashlib.sha256(np.packbits(extent.inside).tobytes()).digest())
        name = extent.structure.name
        if key in seen:
            yield f"'{seen[key]}' and '{name}' are the same voxels: was one file copied?"
        seen.setdefault(key, name)


def _wrong_sides(extents: Sequence[_Extent]) -> Iterator[Finding]:
    """Structures called left that lie on the right, and the other way round."""
    by_name = {e.structure.name.lower(): e for e in extents}
    for extent in extents:
        side = side_of_name(extent.structure.name)
        if side is None or extent.structure.role is StructureRole.BODY:
            continue
        x = float(extent.centroid_lps_mm[0])
        twin = by_name.get(_twin_name(extent.structure.name.lower(), side))
        if twin is not None:
            gap = x - float(twin.centroid_lps_mm[0])
            if (gap if side == "left" else -gap) < 0.0:
                yield _mismatch(
                    extent, side, abs(gap), f"it lies {_other(side)} of '{twin.structure.name}'"
                )
            continue
        if _is_one_limb(extents, side):
            continue
        middle, how = _middle(extent, extents)
        beyond = (middle - x) if side == "left" else (x - middle)
        on_wrong = extent.left_mm < middle if side == "left" else extent.left_mm > middle
        if beyond > WRONG_SIDE_MM and float(on_wrong.mean()) >= WRONG_SIDE_SHARE:
            yield _mismatch(extent, side, beyond, f"it lies {_other(side)} of {how}")


def _is_one_limb(extents: Sequence[_Extent], side: str) -> bool:
    """Whether nothing tells the patient's middle: all names are of one side, on both sides of it.

    In an image of one limb the middle of the body is that of the limb, and what is called left
    lies to both sides of it. Of mirrored labels all lie on the wrong side.
    """
    if any(_is_midline(e.structure) for e in extents):
        return False
    named = [(e, side_of_name(e.structure.name)) for e in extents]
    if any(other is not None and other != side for _, other in named):
        return False
    for extent, own in named:
        if own is None or extent.structure.role is StructureRole.BODY:
            continue
        beyond = float(extent.centroid_lps_mm[0]) - _middle(extent, extents)[0]
        if (beyond if side == "left" else -beyond) > WRONG_SIDE_MM:
            return True
    return False


def _middle(extent: _Extent, extents: Sequence[_Extent]) -> tuple[float, str]:
    """LPS x that parts left from right at the structure's level, and what says so."""
    low, high = extent.heights_mm
    midline = [e for e in extents if _is_midline(e.structure)]
    near = [e for e in midline if e.heights_mm[0] <= high and e.heights_mm[1] >= low] or midline
    if near:
        names = _listed([f"'{e.structure.name}'" for e in near][:2])
        return float(np.mean([e.centroid_lps_mm[0] for e in near])), names
    body = [e for e in extents if e.structure.role is StructureRole.BODY]
    if body:
        return float(body[0].centroid_lps_mm[0]), "the middle of the body"
    centre = extent.structure.mask.grid.centre_lps_mm
    return float(centre[0]), "the middle of the image (which need not be the patient's)"


def _is_midline(structure: Structure) -> bool:
    if side_of_name(structure.name) is not None:
        return False
    return structure.structure_class in _MIDLINE_CLASSES or bool(
        _MIDLINE_NAMES.search(structure.name)
    )


def _mismatch(extent: _Extent, side: str, by_mm: float, why: str) -> Finding:
    x, y, z = (float(v) for v in extent.centroid_lps_mm)
    return Finding(
        constraint=LEFT_RIGHT,
        structure=extent.structure.name,
        measured=round(by_mm, 1),
        required=None,
        unit="mm",
        verdict=Verdict.CAUTION,
        note=f"'{extent.structure.name}' is called {side}, but {why}, by {by_mm:.0f} mm "
        f"(centroid LPS {x:.0f}, {y:.0f}, {z:.0f}): a swapped name, or a mirrored mask or image",
    )


def _twin_name(name: str, side: str) -> str:
    """The same name for the other side; the name itself where that cannot be made."""
    for mine, other in (("left", "right"), ("lt", "rt"), ("l", "r"), ("links", "rechts")):
        one, two = (mine, other) if side == "left" else (other, mine)
        changed = re.sub(rf"(?<![a-z]){one}(?![a-z])", two, name)
        if changed != name:
            return changed
    return ""


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
