"""Structures of the anatomy: a mask, a role, where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from planner.errors import ConfigError, GridMismatchError, MaskError
from planner.geometry import Grid, Mask
from planner.model.mr import Cylinder
from planner.model.verdict import Finding


class StructureRole(StrEnum):
    """What a structure means to the needle."""

    AVOID = "avoid"
    BONE = "bone"
    IMPLANT = "implant"
    BODY = "body"
    TARGET = "target"
    ALLOWED = "allowed"

    @property
    def is_obstacle(self) -> bool:
        """Whether losing a voxel of it would be unsafe."""
        return self in (StructureRole.AVOID, StructureRole.BONE, StructureRole.IMPLANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSource:
    """Where a mask came from and what was done to bring it onto the image grid.

    Attributes
    ----------
    file : str
        File name without folder.
    tool, label_value, segment_name
        As far as the file tells.
    grid : Grid
        The grid the mask was stored on: outside it nothing is known.
    method : str
        ``"same grid"``, ``"reordered axes"``, ``"conservative cover"`` or ``"nearest"``.
    grown_mm : float
        Bound on how far the mask may have grown on its way to the image grid.
    sha256 : str
        Of the file.
    frame_mismatch : str or None
        What does not agree between the file's frame of reference and the image's, where the
        user accepted that.
    role_from : str
        Who decided the role: ``"user"``, ``"table TotalSegmentator/total"``, ``"default"``.
    kind : str
        Of file: ``"label map"``, ``"surface mesh"``, ``"rods"``, ...
    """

    file: str
    grid: Grid
    tool: str | None = None
    label_value: int | None = None
    segment_name: str | None = None
    method: str = "same grid"
    grown_mm: float = 0.0
    sha256: str = ""
    frame_mismatch: str | None = None
    role_from: str = "default"
    kind: str = "label map"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Structure:
    """One named structure on the image grid.

    ``margin_mm`` is None when the user gave none: the procedure decides.
    ``structure_class`` is the anatomical class a procedure may require
    (``"nerve"``, ``"vessel"``, ...), None when the name is not recognised. ``rods`` is
    the exact shape of metal that was given as cylinders.
    """

    name: str
    role: StructureRole
    mask: Mask
    source: MaskSource
    margin_mm: float | None = None
    structure_class: str | None = None
    rods: tuple[Cylinder, ...] = ()

    def __post_init__(self) -> None:
        margin = self.margin_mm
        if margin is not None and not (0.0 <= margin <= 100.0):
            raise ConfigError(
                f"margin of structure '{self.name}' is out of range",
                seen=f"{margin} mm",
                needed="0 to 100 mm",
            )
        if self.role.is_obstacle and self.mask.n_voxels == 0:
            raise MaskError(
                f"structure '{self.name}' ({self.role}) has no voxel in the image",
                where=self.source.file,
                fix="An empty mask would protect nothing: leave it out or give the right mask.",
            )

    def with_role(self, role: StructureRole, margin_mm: float | None) -> Structure:
        """The same structure in another role, decided by the user."""
        source = replace(self.source, role_from="user")
        return replace(self, role=role, margin_mm=margin_mm, source=source)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StructureSet(Mapping[str, Structure]):
    """Structures with unique names, all on the image's grid.

    ``findings`` hold for every path planned with them: a frame mismatch that the user
    accepted, a name that contradicts the position.
    """

    grid: Grid
    structures: tuple[Structure, ...] = ()
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was derived from the set once, by who derived it; no part of its value."""

    def __post_init__(self) -> None:
        names = [s.name for s in self.structures]
        double = sorted({n for n in names if names.count(n) > 1})
        if double:
            raise MaskError(
                "two structures have the same name",
                seen=", ".join(double),
                fix="Rename one of them in its file, or leave one file out.",
            )
        for structure in self.structures:
            if not structure.mask.grid.is_close(self.grid):
                raise GridMismatchError(
                    f"structure '{structure.name}' is not on the image grid",
                    seen=structure.mask.grid.shape_kji,
                    needed=self.grid.shape_kji,
                )

    def __getitem__(self, name: str) -> Structure:
        for structure in self.structures:
            if structure.name == name:
                return structure
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (s.name for s in self.structures)

    def __len__(self) -> int:
        return len(self.structures)

    def with_role(self, *roles: StructureRole) -> tuple[Structure, ...]:
        """The structures that have one of the roles, in their order."""
        return tuple(s for s in self.structures if s.role in roles)
