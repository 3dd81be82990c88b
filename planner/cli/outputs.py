"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from planner.errors import OutputError

PLAN_FILE = "plan.json"
FIGURE_FOLDER = "figures"
REGION_FILE = "target_region.seg.nrrd"


class OutputFolder:
    """A folder to write to: filled beside it first, then moved file by file.

    Use as a context: entering checks that the folder can be written to, before any
    work is spent; ``staging`` is where to write; ``commit`` moves the files. Leaving
    without ``commit`` leaves nothing behind.

    Raises
    ------
    OutputError
        On entering or in ``commit``, with the reason.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._staging: Path | None = None

    @property
    def staging(self) -> Path:
        """Where the results are written before ``commit``."""
        if self._staging is None:
            raise RuntimeError("an output folder is used inside its with block")
        return self._staging

    def __enter__(self) -> OutputFolder:
        try:
            self._staging = _staging_for(self.folder)
        except OSError as error:
            raise _output_error(self.folder, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        staging, self._staging = self._staging, None
        if staging is None:
            return
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OutputError) and (error.where or "").startswith(str(staging)):
            # Where the user wanted it; nobody knows the folder that is gone.
            first = Path(error.where or "").relative_to(staging).parts[:1]
            is_named = not "".join(first).startswith(".")
            place = self.folder.joinpath(*first) if is_named else self.folder
            raise OutputError(
                error.what,
                seen=error.seen,
                needed=error.needed,
                where=str(place),
                fix=error.fix,
            ) from error

    def commit(self) -> list[Path]:
        """The files in their final place, after they were moved there.

        Results of an earlier run that these replace go first: an old ``plan.json``,
        and old figures of which there is no new version, so that no stale number can
        stand beside a new one. ``plan.json`` comes last: where there is one, the
        folder is complete.
        """
        staged = sorted(path for path in self.staging.rglob("*") if path.is_file())
        staged.sort(key=lambda path: path.name == PLAN_FILE)
        moved: list[Path] = []
        whole = [path for path in self.staging.iterdir() if path.is_dir()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in staged:
                if path.name == PLAN_FILE:
                    self._remove_stale(path.parent.relative_to(self.staging))
            for folder in whole:
                # A new folder comes in one step: nobody imports half a series.
                with contextlib.suppress(OSError):  # there is one already: file by file
                    folder.replace(self.folder / folder.name)
            for path in staged:
                final = self.folder / path.relative_to(self.staging)
                if path.exists():
                    final.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(final)
                moved.append(final)
        except OSError as error:
            raise _output_error(self.folder, error) from error
        return sorted(moved)

    def _remove_stale(self, subfolder: Path) -> None:
        old = self.folder / subfolder
        if not (old / PLAN_FILE).is_file():
            return
        (old / PLAN_FILE).unlink()
        if not (self.staging / subfolder / REGION_FILE).is_file():
            (old / REGION_FILE).unlink(missing_ok=True)
        for figure in (old / FIGURE_FOLDER).glob("*.png"):
            if not (self.staging / subfolder / FIGURE_FOLDER / figure.name).is_file():
                figure.unlink()
        with contextlib.suppress(OSError):  # not there, or not empty: it stays
            (old / FIGURE_FOLDER).rmdir()


def _staging_for(folder: Path) -> Path:
    """A new folder on the same disk as ``folder``, beside it where that is allowed."""
    anchor = folder
    while not anchor.exists() and anchor != anchor.parent:
        anchor = anchor.parent
    if not anchor.is_dir():
        raise NotADirectoryError(20, "it is a file, not a folder", str(anchor))
    if anchor != folder:
        return Path(tempfile.mkdtemp(prefix=".needle-planner-", dir=anchor))
    inside = Path(tempfile.mkdtemp(prefix=".needle-planner-", dir=folder))
    try:
        beside = Path(tempfile.mkdtemp(prefix=".needle-planner-", dir=folder.resolve().parent))
    except OSError:
        return inside
    if beside.stat().st_dev == folder.stat().st_dev:
        inside.rmdir()
        return beside
    beside.rmdir()
    return inside


def _output_error(folder: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    at = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
    return OutputError(
        f"the results cannot be written: {reason}{at}",
        where=str(folder),
        fix="Give a folder that can be written to with --out.",
    )
