"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from planner.errors import OutputError
from planner.io import atomic
from planner.io.atomic import write_bytes_atomic, write_text_atomic


def only(folder: Path, *names: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_writes_and_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert write_text_atomic(path, "grün\n") == path
    assert path.read_bytes() == "grün\n".encode()
    write_bytes_atomic(str(path), b"new")
    assert path.read_bytes() == b"new"
    only(tmp_path, "plan.json")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """A temporary file of mode 0600 would hide a plan from the colleague at the console."""
    old = os.umask(0o022)
    try:
        path = write_text_atomic(tmp_path / "plan.json", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "no permission to write there"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_failure_at_any_step_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, reason: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    if step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OutputError, match=reason):
        write_text_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    only(tmp_path, "plan.json")


def test_full_disk_in_the_middle_of_the_content_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    class HalfFull:
        def __init__(self, handle: int, mode: str) -> None:
            self.handle = handle

        def __enter__(self) -> HalfFull:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self.handle)

        def write(self, content: bytes) -> int:
            os.write(self.handle, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", HalfFull)
    with pytest.raises(OutputError, match="the disk is full"):
        write_text_atomic(path, "new content")
    assert path.read_text() == "old"
    only(tmp_path, "plan.json")


def test_a_write_interrupted_by_the_user_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text_atomic(tmp_path / "plan.json", "new")
    only(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    script = (
        "import os, signal, sys\n"
        "from planner.io.atomic import write_text_atomic\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_text_atomic(sys.argv[1], 'new' * 100000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr.decode()
    assert path.read_text() == "old"
    write_text_atomic(path, "next")
    assert path.read_text() == "next"


def test_missing_folder_and_file_for_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"):
        write_text_atomic(tmp_path / "none" / "plan.json", "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="a part of its path is a file"):
        write_text_atomic(tmp_path / "file" / "plan.json", "x")
    with pytest.raises(OutputError, match="its path is a folder"):
        write_text_atomic(tmp_path, "x")
    with pytest.raises(OutputError, match="the name is too long"):
        write_text_atomic(tmp_path / ("x" * 300), "x")


def test_folder_that_cannot_be_flushed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def only_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(atomic.os, "fsync", only_files)
    assert write_text_atomic(tmp_path / "plan.json", "new").read_text() == "new"
