"""Which volume is meant: the only plannable one, or the one that ``series`` names.

``series`` is a Series Instance UID or a series number, and for a series of
several parts the part after a colon, as its text or its number in the list:
``6``, ``"6"``, ``"1.2.840...4"``, ``"6:b=400"``, ``"6:2"``. ``"#3"`` is the third
volume of the list, for series without UID and number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.errors import InputError, SeriesChoiceError
from planner.io.catalogue import Catalogue, CatalogueEntry
from planner.io.wording import counted

_CHOOSE = "Choose one with --series (series=... in Python)."


def existing_path(path: str | Path) -> Path:
    """The path, after checking that there is something at it.

    Raises
    ------
    InputError
        There is nothing at the path, or a folder without any file.
    """
    where = Path(path).expanduser()
    try:
        is_there = where.exists()
        is_empty = where.is_dir() and not any(where.iterdir())
    except OSError as error:
        raise InputError(
            "the path cannot be opened",
            seen=error.strerror or "input/output error",
            needed="a folder or file that may be read",
            where=str(path),
            fix="Check its permissions.",
        ) from error
    if not is_there:
        raise InputError(
            "there is no file or folder at this path",
            seen="nothing",
            needed="a DICOM folder, or a NIfTI, NRRD or MetaImage file",
            where=str(path),
            fix="Check the spelling and that the disk is mounted.",
        )
    if is_empty:
        raise InputError(
            "the folder is empty",
            seen="0 files",
            needed="DICOM images",
            where=str(path),
            fix="Give the folder that holds the study.",
        )
    return where


def choose(catalogue: Catalogue, series: str | int | None, where: Path) -> CatalogueEntry:
    """The entry meant by ``series``; it may still be one that is not plannable.

    Raises
    ------
    SeriesChoiceError
        Several volumes answer to ``series``, or none; the message lists them.
    InputError
        There is no image at all.
    """
    entries = catalogue.entries
    if not entries:
        raise InputError(
            "no DICOM image found",
            seen=_skipped_text(catalogue),
            needed="MR or CT images",
            where=str(where),
            fix="Give the folder that holds the images of the study.",
        )
    named = entries if series is None else _named(entries, str(series).strip())
    if not named:
        raise SeriesChoiceError(
            f"no series answers to '{series}'",
            seen=_listed(entries, entries),
            needed="a series number or SeriesInstanceUID of the list, with :PART where shown",
            where=str(where),
            fix=_CHOOSE,
        )
    usable = [e for e in named if e.is_plannable]
    candidates = usable or named
    if len(candidates) == 1:
        return candidates[0]
    n = len(usable)
    raise SeriesChoiceError(
        f"{n} volumes can be planned on" if n else f"none of {len(named)} volumes is plannable",
        seen=_listed(named, entries),
        needed="one volume",
        where=str(where),
        fix=_CHOOSE if n else "Export the study again, or choose another one.",
    )


def selectors(entries: Sequence[CatalogueEntry]) -> list[str]:
    """For each entry the shortest ``series`` text that means it alone."""
    return [_selector(n, entries) for n in range(len(entries))]


def _selector(n: int, entries: Sequence[CatalogueEntry]) -> str:
    entry = entries[n]
    first = entry.first
    number = str(first.series_number) if first.series_number is not None else ""
    if number:
        of_series = _named(entries, number)
        if len(of_series) == 1:
            return number
        owners = {
            (e.first.patient_key, e.first.study_instance_uid, e.first.series_instance_uid)
            for e in of_series
        }
        if len(owners) == 1:
            return f"{number}:{1 + next(r for r, e in enumerate(of_series) if e is entry)}"
    return f"#{n + 1}"


def _named(entries: Sequence[CatalogueEntry], text: str) -> list[CatalogueEntry]:
    if text.startswith("#"):
        wanted = text[1:]
        return [e for n, e in enumerate(entries, 1) if str(n) == wanted]
    series, _, part = text.partition(":")
    of_series = [
        e for e in entries if series in (e.first.series_instance_uid, str(e.first.series_number))
    ]
    part = part.strip().lower()
    if not part:
        return of_series
    exact = [e for e in of_series if (e.part or "").lower() == part]
    return exact or [e for n, e in enumerate(of_series, 1) if str(n) == part]


def _listed(named: Sequence[CatalogueEntry], entries: Sequence[CatalogueEntry]) -> str:
    names = dict(zip((id(e) for e in entries), selectors(entries), strict=True))
    lines = []
    for entry in named:
        first = entry.first
        shape = " x ".join(str(n) for n in entry.grid.shape_kji) if entry.grid else "no grid"
        state = "" if entry.is_plannable else f"; not plannable: {entry.problems[0].what}"
        lines.append(
            f"\n  --series '{names[id(entry)]}'  {first.modality} '{first.description}'"
            f"{f' [{entry.part}]' if entry.part else ''} ({shape}){state}"
        )
    return "".join(lines) + "\n"


def _skipped_text(catalogue: Catalogue) -> str:
    skipped = catalogue.skipped
    shown = "; ".join(f"{s.file}: {s.reason}" for s in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"{counted(len(skipped), 'file')} ({shown}{more})" if skipped else "0 files"
