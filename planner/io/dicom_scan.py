"""Walks a folder and reads the header of every DICOM image in it.

One bad file never ends the scan: what cannot be used is listed with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from planner.errors import UnsupportedObjectError
from planner.io.dicom_values import quiet_pydicom, uid_name
from planner.io.header_reader import HeaderReader
from planner.io.multiframe_header import ENHANCED_CLASSES
from planner.io.slice_header import SliceHeader

Planes = tuple[SliceHeader, ...]

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Names of image files that hold a whole volume, read by ``planner.io.image_file``."""

_SEG = "a segmentation (DICOM SEG), not an image: give it with --structures"

_NOT_AN_IMAGE = {
    "1.2.840.10008.1.3.10": "a DICOMDIR index: the files themselves are read",
    "1.2.840.10008.5.1.4.1.1.66.4": _SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": _SEG,
    "1.2.840.10008.5.1.4.1.1.481.3": "contours (RTSTRUCT), not an image: give it with --structures",
    "1.2.840.10008.5.1.4.1.1.66": "raw data, not an image",
}
_NOT_AN_IMAGE_PREFIXES = {
    "1.2.840.10008.5.1.4.1.1.88.": "a structured report, not an image",
    "1.2.840.10008.5.1.4.1.1.11.": "a presentation state, not an image",
}
_OTHER_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.4.3": "a colour image (Enhanced MR Color): one grey value is needed",
}
_PLANE_CLASSES = {MR_IMAGE_STORAGE, CT_IMAGE_STORAGE, *ENHANCED_CLASSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file that is no part of any volume; ``file`` is relative to the scanned folder."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFolder:
    """Every DICOM image header found, and every file that gave none.

    ``slices`` are planes of MR and CT images: classic files, frames of enhanced
    objects, tiles of mosaics. ``other_images`` pairs an image of another kind with
    the reason why it cannot be planned on. Both sorted by
    name, so nothing depends on the order in which the disk lists its files.
    """

    root: Path
    slices: tuple[SliceHeader, ...]
    other_images: tuple[tuple[SliceHeader, str], ...]
    skipped: tuple[SkippedFile, ...]
    damaged: tuple[str, ...]
    """Names of the skipped files that are DICOM but could not be read."""

    @property
    def n_files(self) -> int:
        """Number of files met."""
        images = {h.file for h in self.slices} | {h.file for h, _ in self.other_images}
        return len(images) + len(self.skipped)


def scan(path: Path) -> ScannedFolder:
    """Headers of every DICOM file under a folder (recursively), or of one file."""
    root = path if path.is_dir() else path.parent
    skipped: list[SkippedFile] = []
    files = sorted(_walk(root, skipped)) if path.is_dir() else [path]
    reader = HeaderReader(root)
    slices: list[SliceHeader] = []
    others: list[tuple[SliceHeader, str]] = []
    damaged: list[str] = []
    with quiet_pydicom():
        for file in files:
            name = file.relative_to(root).as_posix()
            planes, reason, is_damaged = _read(reader, file)
            if planes and reason:
                others += [(header, reason) for header in planes]
            elif planes:
                slices += planes
            else:
                skipped.append(SkippedFile(file=name, reason=reason))
                if is_damaged:
                    damaged.append(name)
    return ScannedFolder(
        root=root,
        slices=tuple(slices),
        other_images=tuple(others),
        skipped=tuple(sorted(skipped, key=lambda s: s.file)),
        damaged=tuple(damaged),
    )


def _walk(root: Path, skipped: list[SkippedFile]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        folder = Path(error.filename or root)
        name = folder.relative_to(root).as_posix()
        skipped.append(SkippedFile(file=name, reason=f"folder cannot be opened: {error.strerror}"))

    for folder, names, files in os.walk(root, onerror=unreadable):
        for name in names:
            link = Path(folder, name)
            if link.is_symlink():
                reason = "a link to a folder is not followed"
                skipped.append(SkippedFile(file=link.relative_to(root).as_posix(), reason=reason))
        for name in files:
            yield Path(folder, name)


def _read(reader: HeaderReader, file: Path) -> tuple[Planes, str, bool]:
    """Planes, reason against them (``""`` when they can be stacked), whether damaged."""
    if file.name.lower().endswith(VOLUME_SUFFIXES):
        return (), "a volume file (NIfTI, NRRD, MetaImage): give this file itself as PATH", False
    if not file.is_file():
        return (), "a broken link, or not a regular file", False
    try:
        planes = reader.read(file)
    except UnsupportedObjectError as error:
        return (), error.what, False
    except OSError as error:
        return (), f"cannot be opened: {error.strerror or 'input/output error'}", True
    except Exception as error:
        # A damaged header can raise anything (struct.error, KeyError, zlib.error ...). Its
        # text may quote the patient, so only the kind of error is told.
        return (), f"damaged DICOM file ({type(error).__name__})", True
    return _classified(planes)


def _classified(planes: Planes) -> tuple[Planes, str, bool]:
    header = planes[0]
    uid = header.sop_class_uid
    reason = _NOT_AN_IMAGE.get(uid, "")
    for prefix, text in _NOT_AN_IMAGE_PREFIXES.items():
        reason = reason or (text if uid.startswith(prefix) else "")
    if reason:
        return (), reason, False
    if header.layout is None:
        if uid in _PLANE_CLASSES:
            return (), "damaged DICOM file (no Rows and Columns)", True
        what = uid_name(uid) if uid else f"modality {header.modality}"
        return (), f"{what} without an image (no Rows and Columns)", False
    return planes, _reason_not_stackable(header), False


def _reason_not_stackable(header: SliceHeader) -> str:
    uid = header.sop_class_uid
    if uid in _OTHER_IMAGES:
        return _OTHER_IMAGES[uid]
    if uid and uid not in _PLANE_CLASSES:
        return f"{uid_name(uid)} is not a cross-sectional MR or CT image"
    if not uid and header.modality not in ("MR", "CT"):
        return f"modality {header.modality or 'unknown'} is not MR or CT"
    if header.refusal:
        return header.refusal
    if header.n_frames > 1 and uid not in ENHANCED_CLASSES:
        return f"a multi-frame image ({header.n_frames} frames) of a single-frame class"
    return ""
