"""Every volume a folder holds, each with its grid or the reasons why it has none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from planner.errors import InputError, UnsupportedObjectError
from planner.geometry import Grid, PatientPosition
from planner.io.dicom_scan import ScannedFolder, SkippedFile, scan
from planner.io.mr_header import MrValue
from planner.io.pixels import pixel_warnings, too_large, unreadable_pixels
from planner.io.series_split import SeriesPart, group_by_series, split_series
from planner.io.slice_header import SliceHeader
from planner.io.stack_geometry import check_stack

LOCALIZER_STEP_MM = 5.0
"""A series named a localizer with slices farther apart than this is one.

The name alone does not decide: some sites call a thin 3-D survey a localizer.
"""

_LOCALIZER_NAME = re.compile(r"locali[sz]er|scout|survey|\b3[ _-]?(pl|plane)\b", re.IGNORECASE)
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MNIP", "MIN IP"}
_PHASE_KINDS = {"P", "PHASE", "PHASE MAP"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One volume found on disk, plannable or not.

    ``slices`` are in the order of k where there is a grid. ``problems`` refuse
    the volume; ``frame_problem`` is set when it names no frame of reference.
    """

    slices: tuple[SliceHeader, ...]
    part: str | None
    grid: Grid | None
    problems: tuple[InputError, ...]
    frame_problem: InputError | None
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
        return not self.problems and self.frame_problem is None

    @property
    def all_problems(self) -> tuple[InputError, ...]:
        """Every reason against the volume, the worst first."""
        frame = (self.frame_problem,) if self.frame_problem else ()
        return (*self.problems, *frame)

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


def read_catalogue(path: Path) -> Catalogue:
    """All volumes in the DICOM files under a folder (or in one file), each checked."""
    found = scan(path)
    entries: list[CatalogueEntry] = []
    for series in group_by_series(found.slices):
        parts = split_series(series)
        entries += [_entry(part, n_parts=len(parts), found=found) for part in parts]
    entries += _other_entries(found)
    entries.sort(key=_order)
    return Catalogue(root=found.root, entries=tuple(entries), skipped=found.skipped)


def _order(entry: CatalogueEntry) -> tuple[object, ...]:
    first = entry.first
    number = first.series_number
    return (first.study_instance_uid, number is None, number or 0, first.series_instance_uid)


def _entry(part: SeriesPart, *, n_parts: int, found: ScannedFolder) -> CatalogueEntry:
    geometry = check_stack(part.slices)
    slices = geometry.slices
    problems = [*part.problems, *geometry.problems]
    bad = [p for p in (unreadable_pixels(h) for h in slices) if p is not None]
    if bad:
        problems.append(_of_many(bad, len(slices)))
    elif (large := too_large(slices)) is not None:
        problems.append(large)
    step_mm = float(geometry.grid.spacing_kji_mm[0]) if geometry.grid else 0.0
    unfit = _unfit_for_planning(slices[0], step_mm, is_split=n_parts > 1)
    if unfit is not None:
        problems.append(unfit)
    mr, mixed = _mr_of(slices)
    warnings = [*part.warnings, *geometry.warnings, *pixel_warnings(slices)]
    warnings += [*_content_warnings(slices), *mixed, *_neighbour_warnings(slices, found)]
    return CatalogueEntry(
        slices=slices,
        part=part.label,
        grid=geometry.grid,
        problems=tuple(problems),
        frame_problem=geometry.frame_problem,
        warnings=tuple(warnings),
        mr=mr,
        is_classic=True,
    )


def _of_many(bad: Sequence[InputError], n_slices: int) -> InputError:
    """The first error, saying how many files share such a fault."""
    first = bad[0]
    return type(first)(
        f"{first.what} ({len(bad)} of {n_slices} files)",
        seen=first.seen,
        needed=first.needed,
        where=first.where,
        fix=first.fix,
    )


def _unfit_for_planning(
    header: SliceHeader, step_mm: float, *, is_split: bool
) -> UnsupportedObjectError | None:
    tokens = {t.upper() for t in header.image_type}
    named = bool(_LOCALIZER_NAME.search(header.description))
    is_coarse = step_mm > LOCALIZER_STEP_MM
    if "LOCALIZER" in tokens or (named and (is_split or is_coarse)):
        return UnsupportedObjectError(
            "a localizer, not a planning image",
            seen=f"'{header.description}', slices {step_mm:.1f} mm apart",
            needed="a diagnostic series",
            where=header.name,
            fix="Choose the series that was acquired for planning.",
        )
    if tokens & _PROJECTIONS:
        return UnsupportedObjectError(
            "projection images: what they show has no one depth",
            seen="\\".join(header.image_type),
            needed="cross-sectional images",
            where=header.name,
            fix="Choose the series the projections were made from.",
        )
    return None


def _content_warnings(slices: Sequence[SliceHeader]) -> list[str]:
    first = slices[0]
    found = list(dict.fromkeys(note for h in slices for note in h.notes))
    if first.image_type and first.image_type[0].upper() == "DERIVED":
        kind = " ".join(first.image_type[2:]) or "kind not given"
        found.append(f"derived images ({kind}): computed from other images, not acquired")
    if first.image_kind == "phase" or _PHASE_KINDS & {t.upper() for t in first.image_type[2:]}:
        found.append("phase images: grey values do not show anatomy")
    if len({h.patient_position for h in slices}) > 1:
        found.append("patient position differs between slices and is taken as unknown")
    return found


def _mr_of(slices: Sequence[SliceHeader]) -> tuple[Mapping[str, MrValue], list[str]]:
    """Acquisition values of the middle slice; a warning names those that differ in others."""
    middle = slices[len(slices) // 2]
    if middle.modality != "MR":
        return {}, []
    kinds = list({id(h.mr): h.mr for h in slices}.values())
    keys = sorted({key for mr in kinds for key in mr})
    differing = [k for k in keys if any(mr.get(k) != middle.mr.get(k) for mr in kinds)]
    if not differing:
        return middle.mr, []
    text = f"differs between slices, value of the middle slice taken: {', '.join(differing)}"
    return middle.mr, [text]


def _neighbour_warnings(slices: Sequence[SliceHeader], found: ScannedFolder) -> list[str]:
    """Damaged files in the same folders may be slices of this series."""
    folders = {PurePosixPath(h.name).parent for h in slices}
    near = [name for name in found.damaged if PurePosixPath(name).parent in folders]
    if not near:
        return []
    return [f"{len(near)} unreadable file(s) beside these may belong to the series: {near[0]}"]


def _other_entries(found: ScannedFolder) -> list[CatalogueEntry]:
    """Images that give no planes of MR or CT, by series and reason, never plannable."""
    reasons = {header.name: reason for header, reason in found.other_images}
    entries: list[CatalogueEntry] = []
    for series in group_by_series([header for header, _ in found.other_images]):
        for reason, n_files in sorted(Counter(reasons[h.name] for h in series).items()):
            slices = tuple(h for h in series if reasons[h.name] == reason)
            problem = UnsupportedObjectError(
                reason,
                seen=f"{n_files} file{'s' if n_files > 1 else ''}",
                where=slices[0].name,
                fix="Choose a series of MR or CT images.",
            )
            entries.append(
                CatalogueEntry(
                    slices=slices,
                    part=None,
                    grid=None,
                    problems=(problem,),
                    frame_problem=None,
                    warnings=(),
                    mr=slices[0].mr if slices[0].modality == "MR" else {},
                    is_classic=False,
                )
            )
    return entries
