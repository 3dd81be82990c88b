"""Where real 3D Slicer code runs: ``slicer-core`` in an environment of its own.

It pins another VTK than the planner, so it is never installed beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

VARIABLE = "NEEDLE_PLANNER_SLICER_PYTHON"
"""A Python that can ``import slicer``; otherwise one is made in the cache folder."""

_TIMEOUT_S = 300.0


def slicer_python() -> str:
    """The Python to run Slicer's code with; the test skips where there is none."""
    given = os.environ.get(VARIABLE)
    if given:
        if not _has_slicer(given):
            pytest.fail(f"{VARIABLE} names a Python that cannot import slicer")
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "needle-planner-slicer" / f"py{sys.version_info[0]}{sys.version_info[1]}"
    python = folder / "bin" / "python"
    if not python.is_file() or not _has_slicer(str(python)):
        try:
            _make(folder, python)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"slicer-core cannot be installed ({type(error).__name__})")
        if not _has_slicer(str(python)):
            pytest.skip("slicer-core was installed but cannot be imported")
    return str(python)


def _make(folder: Path, python: Path) -> None:
    """Beside its place first: another process may be making the same one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    install = [str(making / python.relative_to(folder)), "-m", "pip", "install", "-q"]
    try:
        for command in ([sys.executable, "-m", "venv", str(making)], [*install, "slicer-core"]):
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _has_slicer(python: str) -> bool:
    try:
        done = subprocess.run(
            [python, "-c", "import slicer"], check=False, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


if __name__ == "__main__":  # so that continuous integration can make it beforehand
    try:
        print(slicer_python())
    except pytest.skip.Exception as reason:
        print(f"the tests with 3D Slicer will skip: {reason}", file=sys.stderr)
