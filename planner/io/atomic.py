"""Write a file whole or not at all: a reader never sees half a plan."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from planner.errors import OutputError

_REASONS = {
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EISDIR: "its path is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file would be too large for this disk",
}


def write_text_atomic(path: str | os.PathLike[str], text: str) -> Path:
    """The path, after ``text`` was written there as UTF-8; see :func:`write_bytes_atomic`."""
    return write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | os.PathLike[str], content: bytes) -> Path:
    """The path, after ``content`` was written there in one step.

    The bytes go to a temporary name in the same folder, are flushed to the
    disk, and take the final name with one rename. Whatever happens before the
    rename (a full disk, a power cut, a killed process) leaves an existing file
    as it was; only a hidden ``.NAME.*.tmp`` can stay behind after a kill.

    Raises
    ------
    OutputError
        If the file cannot be written, with the reason.
    """
    final = Path(path)
    # Short, so that a name which fits the disk has a temporary name which fits.
    temporary = final.parent / f".{final.name[:24]}.{secrets.token_hex(6)}.tmp"
    try:
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        _write_through(temporary, content)
        temporary.replace(final)
        _flush_folder(final.parent)
    except OSError as error:
        raise _output_error(final, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return final


def _write_through(path: Path, content: bytes) -> None:
    """Create ``path`` (it must be new) and do not return before its bytes are on the disk."""
    # 0o666 less the user's umask, as for any file the user makes.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system allows it."""
    if os.name != "posix":
        return
    # The file is complete under its name already: a folder that cannot be flushed is no failure.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _output_error(path: Path, error: OSError) -> OutputError:
    reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
    return OutputError(
        f"a result cannot be written: {reason}",
        where=str(path),
        fix="Nothing was changed. Choose a folder that exists and can be written to.",
    )
