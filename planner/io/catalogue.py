"""Every volume a folder holds, each with its grid or the reasons why it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry import Grid, ImageWarning, PatientPosition
from planner.io.copies import Copies, name_under, without_copies
from planner.io.dicom_scan import ScannedFolder, SkippedFile, scan
from planner.io.dicomdir import is_dicomdir
from planner.io.image_content import (
    content_warnings,
    count_warnings,
    mr_of,
    unfit_for_planning,
)
from planner.io.mr_header import MrValue
from planner.io.pixels import pixel_warnings, too_large, unreadable_pixels
from planner.io.series_split import SeriesPart, group_by_series, split_series
from planner.io.slice_header import SliceHeader
from planner.io.stack_geometry import check_stack
from planner.io.wording import counted

INDEX_NOTE = "PATH is a DICOMDIR index: every file in the folder it lies in was looked at instead"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One volume found on disk, plannable or not.

    ``slices`` are in the order of k where there is a grid. ``problems`` refuse
    the volume, the worst first.
    """

    slices: tuple[SliceHeader, ...]
    part: str | None
    grid: Grid | None
    problems: tuple[InputError, ...]
    warnings: tuple[str, ...]
    mr: Mapping[str, MrValue]
    is_classic: bool
    """Whether it was stacked from planes of MR or CT images, classic or multi-frame."""

    @property
    def first(self) -> SliceHeader:
        """The header that speaks for the series."""
        return self.slices[0]

    @property
    def is_plannable(self) -> bool:
        """Whether a needle may be planned on it."""
        return not self.problems

    @property
    def n_files(self) -> int:
        """Number of files its slices come from."""
        return len({h.file for h in self.slices})

    @property
    def patient_position(self) -> PatientPosition:
        """Patient position; UNKNOWN where the slices disagree."""
        codes = {h.patient_position for h in self.slices}
        return PatientPosition.from_dicom(codes.pop() if len(codes) == 1 else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What was found under one path, in a fixed order."""

    root: Path
    entries: tuple[CatalogueEntry, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...] = ()
    """What was done with the path itself."""


def read_catalogue(path: Path) -> Catalogue:
    """All volumes in the DICOM files under a folder (or in one file), each checked.

    For a DICOMDIR index the folder it lies in is read: a copy of a disc often lacks
    files that its index names, or has others.
    """
    is_index = is_dicomdir(path)
    notes = (INDEX_NOTE,) if is_index else ()
    found = scan(path.parent if is_index else path)
    entries: list[CatalogueEntry] = []
    skipped = list(found.skipped)
    for series in group_by_series(found.slices):
        copies = without_copies(series)
        parts = split_series(copies.kept)
        entries += [_entry(part, copies, n_parts=len(parts), found=found) for part in parts]
        skipped += _copies_skipped(copies, found.root)
    entries += _other_entries(found)
    entries.sort(key=_order)
    skipped.sort(key=lambda s: s.file)
    return Catalogue(root=found.root, entries=tuple(entries), skipped=tuple(skipped), notes=notes)


def _copies_skipped(copies: Copies, root: Path) -> list[SkippedFile]:
    return [
        SkippedFile(file=name_under(copy, root), reason="an exact copy of a file in its series")
        for copy in copies.copy_of
    ]


def _order(entry: CatalogueEntry) -> tuple[object, ...]:
    first = entry.first
    number = first.series_number
    return (first.study_instance_uid, number is None, number or 0, first.series_instance_uid)


def _entry(
    part: SeriesPart, copies: Copies, *, n_parts: int, found: ScannedFolder
) -> CatalogueEntry:
    geometry = check_stack(part.slices)
    slices = geometry.slices
    problems = [*part.problems, *geometry.problems]
    bad = [p for p in (unreadable_pixels(h) for h in slices) if p is not None]
    if bad:
        problems.append(_of_many(bad, len(slices)))
    elif (large := too_large(slices)) is not None:
        problems.append(large)
    step_mm = float(geometry.grid.spacing_kji_mm[0]) if geometry.grid else 0.0
    unfit = unfit_for_planning(slices[0], step_mm, is_split=n_parts > 1)
    if unfit is not None:
        problems.append(unfit)
    mr, mixed = mr_of(slices)
    warnings = [*geometry.warnings, *part.warnings, *pixel_warnings(slices)]
    warnings += [*content_warnings(slices, copies.kept), *mixed]
    warnings += count_warnings(slices, copies.kept)
    warnings += copies.warnings_for(slices, found.root)
    warnings += _neighbour_warnings(slices, found)
    return CatalogueEntry(
        slices=slices,
        part=part.label,
        grid=geometry.grid,
        problems=tuple(problems),
        warnings=tuple(warnings),
        mr=mr,
        is_classic=True,
    )


def _of_many(bad: Sequence[InputError], n_slices: int) -> InputError:
    """The first error, saying how many images share such a fault."""
    first = bad[0]
    return type(first)(
        f"{first.what} ({len(bad)} of {n_slices} images)",
        seen=first.seen,
        needed=first.needed,
        where=first.where,
        fix=first.fix,
    )


def _neighbour_warnings(slices: Sequence[SliceHeader], found: ScannedFolder) -> list[ImageWarning]:
    """Damaged files in the same folders may be slices of this series."""
    folders = {PurePosixPath(h.name).parent for h in slices}
    near = [name for name in found.damaged if PurePosixPath(name).parent in folders]
    if not near:
        return []
    n = counted(len(near), "unreadable file")
    text = f"{n} beside these may belong to the series: {near[0]}"
    return [ImageWarning(text, code="unreadable_neighbour")]


def _other_entries(found: ScannedFolder) -> list[CatalogueEntry]:
    """Images that give no planes of MR or CT, by series and reason, never plannable."""
    reasons = {header.name: reason for header, reason in found.other_images}
    entries: list[CatalogueEntry] = []
    for series in group_by_series([header for header, _ in found.other_images]):
        for reason, n_files in sorted(Counter(reasons[h.name] for h in series).items()):
            slices = tuple(h for h in series if reasons[h.name] == reason)
            problem = UnsupportedObjectError(
                reason,
                seen=counted(n_files, "file"),
                where=slices[0].name,
                fix="Choose a series of MR or CT images.",
            )
            entries.append(
                CatalogueEntry(
                    slices=slices,
                    part=None,
                    grid=None,
                    problems=(problem,),
                    warnings=(),
                    mr=slices[0].mr if slices[0].modality == "MR" else {},
                    is_classic=False,
                )
            )
    return entries
