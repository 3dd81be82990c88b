"""Finds files that are exact copies of one another, and keeps one of each.

A study that was exported twice into one folder is common. Only files that carry the
same SOP Instance UID, the same header values and the same pixel bytes count as copies;
everything else that lies at one place stays, and the stack check refuses it.
"""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from planner.geometry import ImageWarning
from planner.io.dicom_stream import MAX_INFLATED_HEADER_BYTES, read_whole
from planner.io.dicom_values import quiet_pydicom
from planner.io.slice_header import EXPLICIT_LE, IMPLICIT_LE, PixelLayout, SliceHeader
from planner.io.wording import counted

_SAME_BYTES = {IMPLICIT_LE, EXPLICIT_LE}
"""Transfer syntaxes under which equal pixels are equal bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Images of one series without exact copies.

    ``copy_of`` maps each file left out to the equal one that was kept.
    """

    kept: tuple[SliceHeader, ...]
    copy_of: dict[Path, Path]

    def warnings_for(self, slices: Sequence[SliceHeader], root: Path) -> list[ImageWarning]:
        """What to say of a volume made of some of the kept images."""
        files = {h.file for h in slices}
        mine = sorted(copy for copy, kept in self.copy_of.items() if kept in files)
        if not mine:
            return []
        first = mine[0]
        text = (
            f"{counted(len(mine), 'file')} left out as exact copy, one of each is kept: "
            f"{name_under(first, root)} is that of {name_under(self.copy_of[first], root)}"
        )
        return [ImageWarning(text, code="copies")]


def name_under(file: Path, root: Path) -> str:
    """Name of a file relative to the scanned folder, with forward slashes."""
    return file.relative_to(root).as_posix()


def without_copies(series: Sequence[SliceHeader]) -> Copies:
    """One file for each image of a series; pixels are compared only where headers agree.

    Parameters
    ----------
    series : sequence of SliceHeader
        All images of one series, in a fixed order: the first of equal files is kept.
    """
    by_file: dict[Path, list[SliceHeader]] = {}
    for header in series:
        by_file.setdefault(header.file, []).append(header)
    kept: dict[str, list[Path]] = {}
    copy_of: dict[Path, Path] = {}
    for file, planes in by_file.items():
        uid = planes[0].sop_instance_uid
        if not uid:
            continue
        others = kept.setdefault(uid, [])
        twin = next((o for o in others if _is_copy(by_file[o], planes)), None)
        if twin is None:
            others.append(file)
        else:
            copy_of[file] = twin
    return Copies(kept=tuple(h for h in series if h.file not in copy_of), copy_of=copy_of)


def _is_copy(one: Sequence[SliceHeader], other: Sequence[SliceHeader]) -> bool:
    if [_identity(h) for h in one] != [_identity(h) for h in other]:
        return False
    return _same_pixels(one[0], other[0])


def _identity(header: SliceHeader) -> SliceHeader:
    """The header without what depends on the file it was read from."""
    layout = header.layout
    if layout is not None:
        layout = replace(layout, offset=None, transfer_syntax_uid="")
    return replace(header, file=Path(), name="", layout=layout)


def _same_pixels(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether the files are equal, or hold the same pixel bytes in the same coding."""
    if one.layout is None or other.layout is None:
        return False
    try:
        if filecmp.cmp(one.file, other.file, shallow=False):
            return True
    except OSError:
        return False
    syntaxes = {one.layout.transfer_syntax_uid, other.layout.transfer_syntax_uid}
    if len(syntaxes) > 1 and not syntaxes <= _SAME_BYTES:
        return False
    pixels = [_pixel_bytes(h.file, h.layout) for h in (one, other) if h.layout is not None]
    return pixels[0] is not None and pixels[0] == pixels[1]


def _pixel_bytes(file: Path, layout: PixelLayout) -> bytes | None:
    """Pixel Data as stored; None when it cannot be read, which equals no other file."""
    most = 2 * layout.frame_bytes * layout.n_frames + MAX_INFLATED_HEADER_BYTES
    try:
        with quiet_pydicom():
            value = read_whole(file, max_bytes=most).PixelData
    except Exception:  # a damaged file can raise anything; it is then no copy of another
        return None
    return value if isinstance(value, bytes) else None
