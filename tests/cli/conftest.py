"""The command line as a user runs it: its exit code, stdout and stderr.

`run_cli` starts a process. `call_cli` and the fixture ``cli`` run the same command line in the
process of the tests, with its own file descriptors 1 and 2, folder and environment: a second
sooner, which counts where there are many. Every command is started as a process somewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import numpy as np
import pytest

from planner.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 300.0

SHAPE_KJI = (40, 50, 60)
SPACING_KJI_MM = (4.0, 2.5, 2.5)
ORIGIN_LPS_MM = (-73.75, -61.25, -78.0)
TARGET_LPS_MM = (5.0, 10.0, 2.0)


@dataclass(frozen=True)
class Ran:
    code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


Cli = Callable[..., Ran]


def _environment(more: dict[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environment.pop("NEEDLE_PLANNER_DEBUG", None)
    return {**environment, **(more or {})}


def run_cli(folder: Path, *arguments: object, env: dict[str, str] | None = None) -> Ran:
    """Runs ``python -m planner ARGUMENTS`` in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "planner", *(str(a) for a in arguments)],
        cwd=folder,
        env=_environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def call_cli(folder: Path, *arguments: object, env: dict[str, str] | None = None) -> Ran:
    """What `run_cli` tells, without the start of a process."""
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        mock.patch.dict(os.environ, _environment(env), clear=True),
        chdir(folder),
    ):
        with lent(1, "stdout", out), lent(2, "stderr", err):
            code = _code_of([str(a) for a in arguments])
        return Ran(code, text_in(out), text_in(err))


def _code_of(arguments: list[str]) -> int:
    """The exit code that the interpreter would end with."""
    try:
        return main(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except Exception:
        traceback.print_exc()
        return 1


@contextmanager
def lent(descriptor: int, name: str, file: BinaryIO) -> Iterator[None]:
    """Lends a file descriptor and its stream in ``sys`` to a file, for C and C++ code too."""
    before = getattr(sys, name)
    before.flush()
    saved = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    errors = "strict" if descriptor == 1 else "backslashreplace"
    try:
        with open(descriptor, "w", encoding="utf-8", errors=errors, closefd=False) as stream:
            setattr(sys, name, stream)
            yield
    finally:
        setattr(sys, name, before)
        os.dup2(saved, descriptor)
        os.close(saved)


def text_in(file: BinaryIO) -> str:
    """All that was written into a file."""
    file.seek(0)
    return file.read().decode("utf-8")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Calls a command line in ``tmp_path``."""
    return lambda *arguments, env=None: call_cli(tmp_path, *arguments, env=env)


@dataclass(frozen=True)
class Scene:
    """A warm elliptic trunk with a lesion, a nerve, a vessel and a bone; MHA and NRRD files."""

    image: Path
    masks: dict[str, Path]

    def plan(self, *more: object) -> list[object]:
        """Arguments of a plan that has every mask and finds paths."""
        arguments: list[object] = ["plan", self.image, "--procedure", "soft_tissue_biopsy"]
        for mask in self.masks.values():
            arguments += ["--structures", mask]
        roles = ["body=body", "nerve=avoid", "vessel=avoid", "bone=bone", "lesion=target"]
        for role in roles:
            arguments += ["--role", role]
        if "--target" not in more:
            arguments += ["--target", ",".join(str(x) for x in TARGET_LPS_MM)]
        return [*arguments, *more]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    import SimpleITK as sitk

    folder = tmp_path_factory.mktemp("scene")
    k, j, i = np.meshgrid(*(np.arange(n) for n in SHAPE_KJI), indexing="ij")
    x = ORIGIN_LPS_MM[0] + SPACING_KJI_MM[2] * i
    y = ORIGIN_LPS_MM[1] + SPACING_KJI_MM[1] * j
    z = ORIGIN_LPS_MM[2] + SPACING_KJI_MM[0] * k

    def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
        squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
        return np.asarray(squared <= radius_mm**2)

    def rod(centre_xy: tuple[float, float], radius_mm: float) -> np.ndarray:
        return np.asarray((x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 <= radius_mm**2)

    inside = {
        "body": (x / 65.0) ** 2 + (y / 50.0) ** 2 <= 1.0,
        "lesion": ball(TARGET_LPS_MM, 9.0),
        "nerve": rod((-30.0, 10.0), 5.0),
        "vessel": rod((5.0, -35.0), 6.0),
        "bone": ball((40.0, 25.0, 0.0), 8.0),
    }
    rng = np.random.default_rng(7)
    values = np.where(inside["body"], 400.0, 0.0) + rng.uniform(0.0, 12.0, SHAPE_KJI)

    def write(array: np.ndarray, name: str) -> Path:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(tuple(reversed(SPACING_KJI_MM)))
        image.SetOrigin(ORIGIN_LPS_MM)
        path = folder / name
        sitk.WriteImage(image, str(path))
        return path

    masks = {name: write(mask.astype(np.uint8), f"{name}.nrrd") for name, mask in inside.items()}
    return Scene(write(values.astype(np.int16), "trunk.mha"), masks)
