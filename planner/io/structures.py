"""Structures from segmentation files, on the image's grid, each with a role.

One file after the other: read (``mask_file``), check that it is about this image
(``mask_placing``), name its labels, look up what the names mean (``label_names``),
bring the masks over. Whatever was decided on the way is in the warnings of the set
and in the ``source`` of each structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from planner.errors import MaskError, UnsupportedObjectError
from planner.geometry import Grid, Volume
from planner.geometry.lattice import TransferMethod
from planner.geometry.resample import MaskTransfer
from planner.io.dicom_seg import require_threshold
from planner.io.label_names import (
    LabelTable,
    NameMeaning,
    label_table_named,
    meaning_of_name,
    tables_for_names,
)
from planner.io.mask_file import READ_HERE, is_mask_file, read_stored_file
from planner.io.mask_naming import LabelName, names_of_labels, read_label_names
from planner.io.mask_placing import require_same_space
from planner.io.references import frame_mismatch, reference_notes
from planner.io.roles import RoleChoice, parse_role, role_and_margin, unknown_name_error
from planner.io.stored_file import (
    CONTOUR_KIND,
    MESH_KIND,
    MaskOptions,
    MeshFrame,
    StoredFile,
    StoredLabel,
)
from planner.io.structure_checks import check_structures
from planner.model import (
    Finding,
    MaskSource,
    Structure,
    StructureRole,
    StructureSet,
    Verdict,
)

__all__ = ["load_structures", "parse_role"]

FRAME_MISMATCH = "frame_mismatch"

MAX_MASK_BYTES = 12_000_000_000
"""Memory for the masks of all structures (one byte per voxel and structure)."""

_DRAWN_KINDS = (CONTOUR_KIND, MESH_KIND)
"""Kinds of file (``StoredFile.kind``) that have no voxels of their own."""

_CLASS_OF_ROLE = {
    StructureRole.BODY: "skin_body",
    StructureRole.BONE: "bone",
    StructureRole.IMPLANT: "implant",
    StructureRole.TARGET: "lesion",
}
"""Class of a structure whose name is not recognised but whose role the user gave."""

PathLike = str | Path
UserRoles = Mapping[str, tuple[StructureRole, float | None]]


def load_structures(
    paths: PathLike | Sequence[PathLike],
    like: Volume,
    roles: Mapping[str, RoleChoice] | None = None,
    label_table: str | None = None,
    *,
    label_names: PathLike | Mapping[int, str] | None = None,
    accept_frame_mismatch: bool = False,
    fraction_threshold: float | None = None,
    mesh_frame: MeshFrame | None = None,
) -> StructureSet:
    """The structures in segmentation files, on the grid of an image.

    Parameters
    ----------
    paths : path or sequence of paths
        NIfTI, NRRD, .seg.nrrd, MetaImage, DICOM SEG, RT structure sets, meshes (STL,
        OBJ, PLY, VTP, VTK), or a folder of such files. A file with
        one label is named by its stem; .seg.nrrd segments and NIfTI label tables
        in the header keep their names.
    like : Volume
        The image. A mask on another grid is brought over: structures that are
        obstacles without losing a voxel, the others by nearest voxel.
    roles : mapping of name to role
        ``"avoid"``, ``"avoid:3"``, ``("avoid", 3.0)``; margin in mm. Without one the
        role comes from the label tables; an unknown name is avoided.
    label_table : str
        ``"TotalSegmentator/total_mr"``, ``"totalspineseg"``, ``"tptbox"`` ...: how the
        numbers of label maps without names are to be read.
    label_names : path or mapping of number to name
        The same, from a JSON file ``{"1": "aorta"}`` or a dict of the user's own;
        asked before ``label_table``. Never looked for on its own.
    accept_frame_mismatch : bool
        Take masks that refer to another frame of reference than the image's; the plan
        and every export say so.
    fraction_threshold : float, optional
        Share (0 to 1) from which a voxel of a fractional DICOM SEG is inside; by default
        any share above 0 for obstacles and 0.5 for others.
    mesh_frame : ``"lps"`` or ``"ras"``, optional
        Coordinate system of meshes that do not state theirs.

    Returns
    -------
    StructureSet
        Its ``warnings`` tell unknown and missing names, masks that grew, voxels
        outside the image, structures left out because they have no voxel in it.

    Raises
    ------
    MaskError
        If a file cannot be used, its header disagrees with the image, it does not
        overlap the image, it has no voxel in it, or two structures share a name.
    ConfigError
        If a role, table or label name is wrong, or a role is for an unknown name.
    UnsupportedObjectError
        If a file is of another kind.
    """
    user = {n: role_and_margin(c, where=f"role of '{n}'") for n, c in (roles or {}).items()}
    table = label_table_named(label_table) if label_table else None
    require_threshold(fraction_threshold)
    options = MaskOptions(
        accept_frame_mismatch=accept_frame_mismatch,
        fraction_threshold=fraction_threshold,
        mesh_frame=mesh_frame,
    )
    loader = _Loader(
        volume=like,
        options=options,
        user=user,
        table=table,
        numbers=read_label_names(label_names),
    )
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    for path in listed:
        loader.add(Path(path))
    return loader.finished()


@dataclass(slots=True, kw_only=True)
class _Loader:
    """What was asked for, and what has been loaded so far."""

    volume: Volume
    options: MaskOptions
    user: UserRoles
    table: LabelTable | None
    numbers: Mapping[int, str]
    structures: dict[str, Structure] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    numbers_used: bool = False

    @property
    def image(self) -> Grid:
        """Grid of the image."""
        return self.volume.grid

    def add(self, path: Path) -> None:
        """Load one file, or every mask file of a folder."""
        if not path.is_dir():
            if self._add_file(path) == 0:
                raise MaskError(
                    "no voxel of the mask lies in the image",
                    where=path.name,
                    fix="An empty mask would protect nothing: leave it out or give the right one.",
                )
            return
        entries = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        files = [p for p in entries if is_mask_file(p)]
        if not files:
            raise UnsupportedObjectError(
                "the folder has no mask file that is read here",
                needed=READ_HERE,
                where=path.name,
            )
        ignored = [p.name for p in entries if p not in files]
        if ignored:
            self.warnings.append(f"{path.name}: files that are no masks: {_listed(ignored)}")
        if sum(self._add_file(p) for p in files) == 0:
            raise MaskError("no mask of the folder has a voxel in the image", where=path.name)

    def _add_file(self, path: Path) -> int:
        """Number of structures that the file added."""
        stored = read_stored_file(path, self.volume, self.options)
        mismatch = frame_mismatch(
            stored, self.volume, is_accepted=self.options.accept_frame_mismatch
        )
        require_same_space(stored.grid, self.image, stored.file)
        if mismatch is None:
            self.warnings.extend(reference_notes(stored, self.volume))
        else:
            self.warnings.append(f"{stored.file}: frame mismatch ACCEPTED by the user: {mismatch}")
        self.warnings.extend(stored.warnings)
        self._require_memory(stored)
        named = names_of_labels(stored, self.numbers, self.table)
        self.numbers_used |= any(n.by_user for _, n in named)
        notes = _Notes()
        n_added = 0
        chosen = [] if self.table is None else [self.table]
        tables = (*chosen, *tables_for_names(n.name for _, n in named))
        for label, name in named:
            structure = self._structure(stored, label, name, tables, notes, mismatch)
            if structure is not None:
                n_added += 1
                self.structures[structure.name] = structure
        self.warnings.extend(notes.lines(stored))
        return n_added

    def _structure(
        self,
        stored: StoredFile,
        label: StoredLabel,
        name: LabelName,
        tables: tuple[LabelTable, ...],
        notes: _Notes,
        mismatch: str | None,
    ) -> Structure | None:
        self._require_new_name(name.name, stored.file)
        if not name.is_known and name.name not in self.user:
            notes.nameless.append(name.name)
        meaning = meaning_of_name(name.name, preferred=tables) if name.is_known else None
        if meaning is None and label.meaning:
            meaning = meaning_of_name(label.meaning, preferred=tables)
        role, margin_mm, role_from = self._role(name.name, meaning)
        moved = stored.on_grid(label, self.image, role)
        if moved.mask.n_voxels == 0:
            self._require_no_role(name.name, stored.file)
            notes.without_voxels.append(name.name)
            return None
        if role_from == "default" and name.is_known:
            notes.unknown.append(name.name)
        notes.add_move(name.name, moved, label.n_voxels)
        return Structure(
            name=name.name,
            role=role,
            mask=moved.mask,
            margin_mm=margin_mm,
            structure_class=_CLASS_OF_ROLE.get(role)
            if meaning is None
            else meaning.structure_class,
            source=MaskSource(
                file=stored.file,
                grid=stored.grid,
                tool=name.tool,
                label_value=label.value,
                segment_name=label.name,
                method=moved.method.value,
                grown_mm=moved.grown_mm,
                sha256=stored.sha256,
                frame_mismatch=mismatch,
                role_from=role_from,
                kind=stored.kind,
            ),
            rods=stored.rods_of(label),
        )

    def _role(
        self, name: str, meaning: NameMeaning | None
    ) -> tuple[StructureRole, float | None, str]:
        if name in self.user:
            return (*self.user[name], "user")
        if meaning is not None:
            return meaning.role, None, meaning.decided_by
        return StructureRole.AVOID, None, "default"

    def _require_new_name(self, name: str, file: str) -> None:
        first = self.structures.get(name)
        if first is not None:
            raise MaskError(
                f"two structures have the same name '{name}'",
                where=f"{first.source.file} and {file}",
                fix="Rename one of them in its file, or leave one file out.",
            )

    def _require_no_role(self, name: str, file: str) -> None:
        if name in self.user:
            raise MaskError(
                f"structure '{name}' ({self.user[name][0]}) has no voxel in the image",
                where=file,
                fix="An empty mask would protect nothing: drop its role or give the right mask.",
            )

    def _require_memory(self, stored: StoredFile) -> None:
        n_masks = len(self.structures) + len(stored.labels)
        n_bytes = n_masks * int(np.prod(self.image.shape_kji, dtype=np.int64))
        if n_bytes > MAX_MASK_BYTES:
            raise MaskError(
                f"{n_masks} masks of the size of the image do not fit in memory",
                seen=f"{n_bytes / 1e9:.0f} GB",
                needed=f"<= {MAX_MASK_BYTES / 1e9:.0f} GB",
                where=stored.file,
                fix="Keep only the structures near the path, or crop the image.",
            )

    def finished(self) -> StructureSet:
        """The set; refuses a role for a structure that is not there."""
        for name in self.user:
            if name not in self.structures:
                raise unknown_name_error(name, self.structures)
        if self.numbers and not self.numbers_used:
            self.warnings.append("the label names given were not used: no label needed one")
        structures = tuple(self.structures.values())
        warnings, findings = check_structures(structures)
        return StructureSet(
            grid=self.image,
            structures=structures,
            warnings=(*self.warnings, *warnings),
            findings=(*_mismatch_findings(structures), *findings),
        )


def _mismatch_findings(structures: Iterable[Structure]) -> Iterator[Finding]:
    """One caution for every path from each accepted frame mismatch."""
    for structure in structures:
        if structure.source.frame_mismatch is not None:
            yield Finding(
                constraint=FRAME_MISMATCH,
                structure=structure.name,
                measured=None,
                required=None,
                unit="",
                verdict=Verdict.CAUTION,
                note=f"accepted by the user: {structure.source.frame_mismatch}",
            )


@dataclass(slots=True)
class _Notes:
    """What one file gave rise to; one warning line for each kind."""

    nameless: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    without_voxels: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    covered: dict[str, float] = field(default_factory=dict)
    sampled: dict[str, float] = field(default_factory=dict)

    def add_move(self, name: str, moved: MaskTransfer, n_voxels: int) -> None:
        if moved.n_outside:
            self.outside.append(f"{name} ({moved.n_outside} of {n_voxels})")
        if moved.method is TransferMethod.COVER and moved.grown_mm > 0:
            self.covered[name] = moved.grown_mm
        if moved.method is TransferMethod.NEAREST:
            self.sampled[name] = moved.grown_mm

    def lines(self, stored: StoredFile) -> Iterator[str]:
        if self.nameless:
            yield (
                f"{stored.file}: labels without a name, avoided with the default margin: "
                f"{_listed(self.nameless)}; name them (--label-names FILE, --label-table NAME)"
            )
        if self.unknown:
            yield (
                f"{stored.file}: names that are not recognised, avoided with the default margin: "
                f"{_listed(self.unknown)}"
            )
        if self.without_voxels:
            yield (
                f"{stored.file}: left out, no voxel in the image, so nothing of it is protected: "
                f"{_listed(self.without_voxels)}"
            )
        if self.outside:
            yield f"{stored.file}: voxels outside the image volume: {_listed(self.outside)}"
        is_drawn = stored.kind in _DRAWN_KINDS
        if self.covered:
            how = (
                f"{stored.kind}, drawn onto the voxels conservatively"
                if is_drawn
                else "on another grid than the image; brought over by conservative cover"
            )
            yield (
                f"{stored.file}: {how}, grown by up to {max(self.covered.values()):.2f} mm: "
                f"{_listed(self.covered)}"
            )
        if self.sampled:
            how = (
                f"{stored.kind}, drawn at voxel centres"
                if is_drawn
                else "on another grid than the image; sampled at voxel centres"
            )
            yield (
                f"{stored.file}: {how}, edges moved by up to "
                f"{max(self.sampled.values()):.2f} mm: {_listed(self.sampled)}"
            )


def _listed(names: Sequence[str] | Mapping[str, float]) -> str:
    shown = list(names)
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
