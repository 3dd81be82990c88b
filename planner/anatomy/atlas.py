"""The anatomical labels of a structure set: which masks carry a part, a level and a side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.anatomy.names import Label, Part, label_of
from planner.errors import AnatomyError
from planner.geometry import Grid
from planner.model import Structure, StructureSet
from planner.model.region import Side

T = TypeVar("T")
_MEMO = "planner.anatomy.atlas"

SACRAL = ("S1", "S2", "S3", "S4", "S5")
_MIDLINE = (Part.CANAL, Part.SAC, Part.CORD, Part.SACRUM, Part.SPINOUS)
_WHOLE = (Part.BODY, Part.ARCH, Part.SPINOUS, Part.TRANSVERSE, Part.PEDICLE)
_WHOLE_ARTICULAR = (Part.SUPERIOR_ARTICULAR, Part.INFERIOR_ARTICULAR)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """Voxels of a part, [k, j, i] bool on the image grid, and the labels they are from."""

    inside: NDArray[np.bool_]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Atlas:
    """Structures whose names are understood anatomically."""

    grid: Grid
    labels: tuple[tuple[Label, Structure], ...]
    all_names: tuple[str, ...]
    obstacles: tuple[Structure, ...] = ()
    """Structures that a needle must not be in, whatever their names mean."""
    structures: tuple[Structure, ...] = ()
    """All of them."""
    _derived: dict[tuple[str, ...], Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, structures: StructureSet) -> Atlas:
        """The labels of a structure set, read once; names that mean nothing here are left out."""
        if _MEMO not in structures.memo:
            known = [(label_of(s.name), s) for s in structures.structures]
            structures.memo[_MEMO] = cls(
                grid=structures.grid,
                labels=tuple((label, s) for label, s in known if label is not None),
                all_names=tuple(structures),
                obstacles=tuple(s for s in structures.structures if s.role.is_obstacle),
                structures=structures.structures,
            )
        return structures.memo[_MEMO]  # type: ignore[no-any-return]

    def once(self, key: tuple[str, ...], derive: Callable[[], T]) -> T:
        """What ``derive`` gives, derived the first time only; its refusal is kept as well."""
        if key not in self._derived:
            try:
                self._derived[key] = derive()
            except AnatomyError as error:
                self._derived[key] = error
        found: T | AnatomyError = self._derived[key]
        if isinstance(found, AnatomyError):
            raise found.with_traceback(None)
        return found

    def find(self, part: Part, level: str | None = None, side: Side | None = None) -> Found | None:
        """The voxels of a part; None where no label carries it.

        A sub-region that is labelled for all vertebrae together (``Arcus_Vertebrae``) is cut
        to the vertebra of the level. A label with no side answers for both sides only where
        no side is asked for.
        """
        exact = self._union(part, level, side)
        if exact is not None:
            self._check_side(exact, part, level, side)
            return exact
        if level is None:
            return None
        general = self._union(part, None, side)
        vertebra = self._vertebra(level) if part is not Part.VERTEBRA else None
        if general is None or vertebra is None:
            return None
        self._check_side(general, part, None, side)
        cut = general.inside & vertebra.inside
        return Found(inside=cut, names=(*general.names, *vertebra.names)) if cut.any() else None

    def need(self, part: Part, level: str | None = None, side: Side | None = None) -> Found:
        """As `find`.

        Raises
        ------
        AnatomyError
            If no label carries it; says which are missing and which were there.
        """
        found = self.find(part, level, side)
        if found is None:
            raise self.missing([described(part, level, side)])
        return found

    def vertebra(self, level: str) -> Found:
        """All bone of one vertebra, from its own label or from its sub-regions.

        Raises
        ------
        AnatomyError
            If no label carries it.
        """
        found = self._vertebra(level)
        if found is None:
            raise self.missing([described(Part.VERTEBRA, level, None)])
        return found

    def sacrum(self) -> Found:
        """All sacral bone: the sacrum's own label, its sub-regions, and S1 to S5.

        Raises
        ------
        AnatomyError
            If no label carries it.
        """
        pieces = [self._union(p, None, None) for p in (Part.SACRUM, Part.SACRAL_ALA)]
        pieces += [self._union(Part.VERTEBRA, level, None) for level in SACRAL]
        found = _joined(pieces)
        if found is None:
            raise self.missing([Part.SACRUM.value])
        return found

    def canal(self) -> Found | None:
        """The spinal canal; where it is not labelled, the sac or the cord inside it."""
        found = (self._union(part, None, None) for part in (Part.CANAL, Part.SAC, Part.CORD))
        return next((f for f in found if f is not None), None)

    def missing(self, wanted: Iterable[str]) -> AnatomyError:
        """The error for labels that are not there."""
        there = sorted({s.name for _, s in self.labels})
        shown = ", ".join(there[:40]) + (f" and {len(there) - 40} more" if len(there) > 40 else "")
        return AnatomyError(
            "the labels do not carry this region: no " + ", no ".join(wanted),
            seen=shown or f"no anatomical name among {len(self.all_names)} structures",
            needed=", ".join(wanted),
            fix="Give the missing masks with --structures (a label map of numbers also needs "
            "--label-table), or give the target as a point.",
        )

    def _check_side(self, found: Found, part: Part, level: str | None, side: Side | None) -> None:
        """Left is where x is larger: than of the other side's label, else than of the midline."""
        if side is None:
            return
        other = self._union(part, level, "right" if side == "left" else "left")
        middles = (self._union(p, None, None) for p in _MIDLINE)
        against = other or next((m for m in middles if m is not None), None)
        if against is None:
            return
        offset_mm = self._mean_x_mm(found) - self._mean_x_mm(against)
        if not (offset_mm if side == "left" else -offset_mm) > 0.0:
            raise AnatomyError(
                f"the label of the {described(part, level, side)} lies on the other side of the "
                "patient",
                seen=f"{offset_mm:+.0f} mm to the left of {', '.join(against.names)}",
                where=", ".join(found.names),
                fix="The labels are mirrored, or left and right are those of the screen.",
            )

    def _mean_x_mm(self, found: Found) -> float:
        return float(self.grid.to_lps(np.argwhere(found.inside).mean(axis=0))[0])

    def _vertebra(self, level: str) -> Found | None:
        whole = self._union(Part.VERTEBRA, level, None)
        pieces = [self._union(part, level, None) for part in (*_WHOLE, *_WHOLE_ARTICULAR)]
        return whole if whole is not None else _joined(pieces)

    def _union(self, part: Part, level: str | None, side: Side | None) -> Found | None:
        matches = [
            s
            for label, s in self.labels
            if label.part is part
            and label.level == level
            and (side is None or label.side == side)
            and s.mask.n_voxels > 0
        ]
        return _joined([Found(inside=s.mask.inside, names=(s.name,)) for s in matches])


def described(part: Part, level: str | None, side: Side | None) -> str:
    """``"left superior articular process of L5"``."""
    text = f"{side} {part.value}" if side else part.value
    if level is None:
        return text
    return f"{text} {level}" if part is Part.VERTEBRA else f"{text} of {level}"


def _joined(pieces: Iterable[Found | None]) -> Found | None:
    found = [p for p in pieces if p is not None]
    if not found:
        return None
    inside = found[0].inside
    for piece in found[1:]:
        inside = inside | piece.inside
    names = tuple(dict.fromkeys(name for p in found for name in p.names))
    return Found(inside=inside, names=names)
