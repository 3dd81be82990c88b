"""Recognises a DICOMDIR, the index of a DICOM disc."""

from __future__ import annotations

from pathlib import Path

_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


def is_dicomdir(path: Path) -> bool:
    """Whether a path is a DICOMDIR file, whatever its name; False for what cannot be read."""
    if not path.is_file():
        return False
    from pydicom.filereader import read_file_meta_info

    from planner.io.dicom_values import quiet_pydicom

    try:
        with quiet_pydicom():
            # pydicom converts a value when it is asked for, and complains only then
            media_class = str(read_file_meta_info(path).get("MediaStorageSOPClassUID", ""))
    except Exception:  # any file may be given, and any damage raises its own error
        return False
    return media_class == _MEDIA_STORAGE_DIRECTORY
