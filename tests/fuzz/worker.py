"""A process that opens hostile files one after the other, so that a crash or hang costs only it.

``python -m tests.fuzz.worker REPLY_FD FOLDER EXTRA_BYTES``: writes the corpus to
``FOLDER/corpus``, then answers each line ``{"action": ..., "path": ...}`` on stdin with a line
of JSON on the file descriptor. Its address space may grow by EXTRA_BYTES and no further.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planner
from planner.cli import main
from planner.errors import PlannerError
from planner.geometry import Volume
from tests.fuzz.corpus import TARGET_LPS_MM, write_corpus

STACK_LINES = 12


class Actions:
    """What a file is given to: the public functions, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self._image: Volume | None = None

    @property
    def image(self) -> Volume:
        """The corpus's image, for masks."""
        if self._image is None:
            self._image = planner.load_volume(self.folder / "corpus" / "classic")
        return self._image

    def load_volume(self, path: Path) -> None:
        planner.load_volume(path)

    def load_structures(self, path: Path) -> None:
        planner.load_structures([path], like=self.image)

    def label_names(self, path: Path) -> None:
        mask = self.folder / "corpus" / "packed_mask.nrrd"
        planner.load_structures([mask], like=self.image, label_names=path)

    def read_target(self, path: Path) -> None:
        from planner.io import read_target_point

        read_target_point(path)

    def load_config(self, path: Path) -> None:
        from planner.config import load_config

        load_config(path)

    def load_protocol(self, path: Path) -> None:
        planner.load_protocol(path)

    def load_plan(self, path: Path) -> None:
        planner.load_plan(path)

    def inspect(self, path: Path) -> tuple[int, str]:
        return self.command("inspect", path, "--json")

    def plan_image(self, path: Path) -> tuple[int, str]:
        return self._plan(path, ",".join(str(x) for x in TARGET_LPS_MM))

    def plan_target(self, path: Path) -> tuple[int, str]:
        return self._plan(self.folder / "corpus" / "classic", path)

    def plan_config(self, path: Path) -> tuple[int, str]:
        image = self.folder / "corpus" / "classic"
        return self.command("plan", image, "--config", path, "--out", self.out)

    def show_protocol(self, path: Path) -> tuple[int, str]:
        return self.command("procedures", path)

    def verify(self, path: Path) -> tuple[int, str]:
        image = self.folder / "corpus" / "classic"
        mask = self.folder / "corpus" / "mask.nrrd"
        return self.command("verify", path, "--image", image, "--structures", mask)

    def _plan(self, image: Path, target: object) -> tuple[int, str]:
        more = ("--procedure", "soft_tissue_biopsy", "--out", self.out, "--no-figures")
        return self.command("plan", image, "--target", target, *more)

    def command(self, *arguments: object) -> tuple[int, str]:
        """Exit code, and everything that was said."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([str(a) for a in arguments])
        return code, said.getvalue()


class Misdeeds(Actions):
    """What a planner must not do, for the test of the guard itself."""

    def misbehave_memory(self, path: Path) -> None:
        bytearray(50_000_000_000)

    def misbehave_fill(self, path: Path) -> None:
        bytearray(b"x") * 700_000_000

    def misbehave_hang(self, path: Path) -> None:
        time.sleep(600.0)

    def misbehave_raise(self, path: Path) -> None:
        raise ZeroDivisionError

    def misbehave_write(self, path: Path) -> None:
        (self.folder / "cwd" / "stray").write_text("x")

    def misbehave_tell(self, path: Path) -> tuple[int, str]:
        return 3, "error: the patient ZQNAME"

    def misbehave_steer(self, path: Path) -> tuple[int, str]:
        return 3, "error: \x1b[2J"

    def misbehave_crash(self, path: Path) -> None:
        os.abort()


def answered(action: Callable[[Path], tuple[int, str] | None], path: Path) -> dict[str, Any]:
    """What became of one file: ok, refused, or the error that should not have come out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ended = action(path)
    except PlannerError as error:
        return {"outcome": "refused", "text": str(error)}
    except BaseException as error:  # SystemExit and MemoryError too: none may come out
        lines = traceback.format_exception(error)
        return {"outcome": type(error).__name__, "text": "".join(lines[-STACK_LINES:])}
    if ended is None:
        return {"outcome": "ok", "text": ""}
    code, text = ended
    return {"outcome": f"exit {code}", "text": text}


def peak_mb() -> float:
    """The most memory this process ever had in use; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def limit_memory(extra_bytes: int) -> None:
    """The soft limit alone: a child with a limit of its own may set it."""
    status = Path("/proc/self/statm").read_text()
    now = int(status.split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, hard))


def serve(reply_fd: int, folder: Path, extra_bytes: int) -> None:
    """Answers until stdin ends."""
    actions = Misdeeds(folder)
    if not (folder / "corpus").exists():
        write_corpus(folder / "corpus")
    for name in ("seg.dcm", "mask.nrrd", "mask.nii", "mask.mha"):
        actions.load_structures(folder / "corpus" / name)  # imports what it needs
    actions.plan_target(folder / "corpus" / "target.mrk.json")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(extra_bytes)
    with os.fdopen(reply_fd, "w", buffering=1) as replies:
        replies.write(json.dumps({"outcome": "ready", "text": "", "peak_mb": peak_mb()}) + "\n")
        for line in sys.stdin:
            asked = json.loads(line)
            found = answered(getattr(actions, asked["action"]), Path(asked["path"]))
            replies.write(json.dumps({**found, "peak_mb": peak_mb()}) + "\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
