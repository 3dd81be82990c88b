"""``load_volume``: from a path to the one volume to plan on."""

from __future__ import annotations

from pathlib import Path

from planner.errors import InputError, SeriesChoiceError, UnsupportedObjectError
from planner.geometry import ImageSource, Volume
from planner.io.catalogue import Catalogue, CatalogueEntry, read_catalogue
from planner.io.dicomdir import is_dicomdir
from planner.io.image_file import is_image_file, open_image_file
from planner.io.pixels import read_values
from planner.io.volume_choice import choose, existing_path


def load_volume(path: str | Path, series: str | int | None = None) -> Volume:
    """The volume at a path: a DICOM folder or file, or a NIfTI, NRRD or MetaImage file.

    Parameters
    ----------
    path : str or Path
        A folder is searched recursively for MR and CT images: classic slices, enhanced
        multi-frame objects, Siemens mosaics. A multi-frame file may be given itself.
    series : str or int, optional
        Needed when more than one volume can be planned on: a SeriesInstanceUID
        or series number, with the part after a colon where a series holds
        several, e.g. ``6``, ``"6:b=400"``, ``"6:2"`` (``inspect`` lists them).

    Returns
    -------
    Volume
        ``values`` [k, j, i] in the stored integer type, or float32 where a
        rescale slope or intercept applies. The grid of a DICOM volume is
        right-handed, k along row direction x column direction, and its frame is
        the FrameOfReferenceUID. Other files, and series from which that was
        stripped, have an unknown frame, which equals no other one.

    Raises
    ------
    InputError
        There is nothing at the path, or no image, or a file cannot be read.
    SeriesChoiceError
        No or more than one volume answers to ``series``; the message lists them.
    SeriesGeometryError, DicomTagError, MixedFrameError, UnsupportedObjectError
        The volume asked for (or the only one) must not be planned on.

    Notes
    -----
    Geometry comes from the positions of all slices (``planner.io.stack_problems``
    for the limits). Gradient distortion and wrong header values that agree with
    each other cannot be seen.
    """
    where = existing_path(path)
    if where.is_file() and is_image_file(where):
        if series is not None:
            raise SeriesChoiceError(
                "this file holds one volume: no series can be chosen from it",
                seen=f"series {series}",
                where=where.name,
                fix="Leave the series out, or give the folder.",
            )
        return open_image_file(where).to_volume()
    catalogue = read_catalogue(where)
    if where.is_file() and not is_dicomdir(where):
        _check_file(where, catalogue)
    entry = choose(catalogue, series, where)
    if not entry.is_plannable:
        raise _refusal(entry)
    return _volume_of(entry, catalogue.notes)


def _check_file(path: Path, catalogue: Catalogue) -> None:
    """Refuses one file that holds no image, or a single classic slice."""
    if not catalogue.entries:
        raise UnsupportedObjectError(
            "this file holds no volume",
            seen=catalogue.skipped[0].reason if catalogue.skipped else path.suffix,
            needed="a DICOM folder or multi-frame file, or a NIfTI, NRRD or MetaImage file",
            where=path.name,
        )
    entry = catalogue.entries[0]
    if entry.is_classic and entry.first.frame is None:
        raise InputError(
            "one DICOM slice is not a volume",
            seen="a single-frame file",
            needed="the folder with all slices of the series",
            where=path.name,
            fix="Give the folder it lies in.",
        )


def _refusal(entry: CatalogueEntry) -> InputError:
    """The worst problem as the error to raise, naming the others."""
    first, *others = entry.problems
    if not others:
        return first
    also = "; ".join(p.what for p in others)
    return type(first)(
        f"{first.what} (also: {also})",
        seen=first.seen,
        needed=first.needed,
        where=first.where,
        fix=first.fix,
    )


def _volume_of(entry: CatalogueEntry, notes: tuple[str, ...]) -> Volume:
    first = entry.first
    if entry.grid is None:
        raise _refusal(entry)
    source = ImageSource(
        modality=first.modality or "unknown",
        study_instance_uid=first.study_instance_uid or None,
        series_instance_uid=first.series_instance_uid or None,
        series_number=first.series_number,
        description=first.description,
        part=entry.part,
        patient_position=entry.patient_position,
        mr=dict(entry.mr),
        files=tuple(dict.fromkeys(str(h.file) for h in entry.slices)),
        sop_instance_uids=frozenset(h.sop_instance_uid for h in entry.slices) - {""},
        warnings=(*entry.warnings, *notes),
    )
    return Volume(grid=entry.grid, values=read_values(entry.slices), source=source)
