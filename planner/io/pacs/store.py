"""Received instances as files: named by their UIDs alone, whole or not at all, never replaced."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from planner.errors import OutputError
from planner.io.atomic import write_bytes_atomic
from planner.io.dicom_values import quiet_pydicom
from planner.io.pacs.query import PacsError, is_uid


class InstanceStore:
    """A folder with one folder per series and one file per instance.

    ``received`` and ``kept`` hold the SOP Instance UIDs written now and those that were
    there already, byte for byte.
    """

    def __init__(self, folder: Path, study_uid: str) -> None:
        self._folder = folder
        self._study_uid = study_uid
        self.received: set[str] = set()
        self.kept: set[str] = set()

    def has(self, series_uid: str, instance_uid: str) -> bool:
        """Whether an instance is there from an earlier run."""
        return self._path(series_uid, instance_uid).is_file()

    def keep(self, content: bytes) -> None:
        """Write one instance.

        Raises
        ------
        PacsError
            If the bytes are no DICOM instance of the study, or another one of the same UID
            is there already.
        OutputError
            If the file cannot be written.
        """
        series_uid, instance_uid = self._identity(content)
        path = self._path(series_uid, instance_uid)
        if path.is_file():
            if path.read_bytes() != content:
                raise PacsError(
                    "a file of this instance is there already, with other content",
                    where=path.name,
                    fix="Fetch into an empty folder.",
                )
            self.kept.add(instance_uid)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                "the folder cannot be made", seen=error.strerror, where=str(path.parent)
            ) from error
        write_bytes_atomic(path, content)
        self.received.add(instance_uid)

    def _identity(self, content: bytes) -> tuple[str, str]:
        import pydicom

        tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        try:
            with quiet_pydicom():
                header = pydicom.dcmread(
                    BytesIO(content), stop_before_pixels=True, specific_tags=tags
                )
            study, series, instance = (str(header[tag].value) for tag in tags)
        except Exception as error:
            raise PacsError(
                "the PACS sent something that is no DICOM instance", seen=type(error).__name__
            ) from error
        if not (is_uid(series) and is_uid(instance)):
            raise PacsError("the PACS sent an instance whose UIDs are none", seen=instance[:80])
        if study != self._study_uid:
            raise PacsError(
                "the PACS sent an instance of another study",
                seen=study[:80],
                needed=self._study_uid,
            )
        return series, instance

    def _path(self, series_uid: str, instance_uid: str) -> Path:
        return self._folder / series_uid / f"{instance_uid}.dcm"
