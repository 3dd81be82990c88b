"""Gives hostile files to a worker process and says what was wrong with how it took them."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.corpus import MARKS

ROOT = Path(__file__).resolve().parent.parent.parent

LIMIT_S = 10.0
"""No file may keep the planner busy for longer."""

START_S = 120.0
EXTRA_BYTES = 1_500_000_000
"""Address space that a worker may take beyond what it has with everything imported."""

EXTRA_MB = 400
"""Memory really in use beyond that of the good files of the corpus, all under 100 kB."""

ALLOWED = ("ok", "refused", "exit 0", "exit 1", "exit 2", "exit 3")
_FORBIDDEN_TEXT = re.compile(
    r"Traceback|internal error|MemoryError|bad_alloc|[Uu]nable to allocate|not allocate|"
    r"not enough memory"
)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f‪-‮⁦-⁩]")


@dataclass(frozen=True)
class Answer:
    """What became of one file: ``fault`` is None where nothing is wrong with it."""

    outcome: str
    text: str
    fault: str | None


class Guard:
    """One worker; a new one after a crash or a hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[str] | None = None
        self._replies: int = -1
        self._rest = b""
        self._peak_mb = 0.0

    def __enter__(self) -> Guard:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, action: str, path: Path, *, limit_s: float = LIMIT_S) -> Answer:
        """Gives the file to an action of the worker; see `tests.fuzz.worker.Actions`."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        before = self._tree()
        self._process.stdin.write(json.dumps({"action": action, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        reply = self._reply(limit_s)
        if reply is None:
            code = self._exit_code()
            self._stop()
            said = f"no answer in {limit_s:g} s" if code is None else f"crashed with code {code}"
            return Answer("gone", "", said)
        answer = Answer(reply["outcome"], reply["text"], None)
        fault = self._fault(answer, action, reply["peak_mb"])
        if fault is None and action.startswith("plan"):
            fault = self._fault_of_outputs()
        left = self._tree() - before
        if fault is None and left:
            fault = f"files left behind or written outside --out: {sorted(left)[:5]}"
        return Answer(answer.outcome, answer.text, fault)

    def _fault(self, answer: Answer, action: str, peak_mb: float) -> str | None:
        if answer.outcome not in ALLOWED:
            return f"ended with {answer.outcome}"
        found = _FORBIDDEN_TEXT.search(answer.text)
        if found:
            return f"says '{found[0]}'"
        if answer.outcome.startswith("exit") and _CONTROL.search(answer.text):
            return "writes control characters to the terminal"
        named = [mark for mark in MARKS if mark in answer.text]
        if named:
            return f"tells who the patient is: {named}"
        if peak_mb > self._peak_mb + EXTRA_MB:
            grown, self._peak_mb = peak_mb - self._peak_mb, peak_mb
            return f"took {grown:.0f} MB of memory"
        return None

    def _fault_of_outputs(self) -> str | None:
        """Marks or control characters in what the command wrote."""
        for file in (self.folder / "out").rglob("*"):
            text = file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
            named = [mark for mark in MARKS if mark in text]
            if named or (file.suffix == ".md" and _CONTROL.search(text)):
                return f"writes {named or 'control characters'} into {file.name}"
        return None

    def _tree(self) -> set[str]:
        """Files where none may appear: all but the out folder and the corpus."""
        found = set()
        for top, folders, files in os.walk(self.folder):
            if Path(top) == self.folder:
                folders[:] = [f for f in folders if f not in ("out", "corpus", "cases")]
            found |= {os.path.join(top, f) for f in files}  # noqa: PTH118 (walked often)
        return found

    def _start(self) -> None:
        read_fd, write_fd = os.pipe()
        cwd = self.folder / "cwd"
        cwd.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "OPENBLAS_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
        }
        arguments = [str(write_fd), str(self.folder), str(EXTRA_BYTES)]
        with (self.folder / "worker.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=cwd,
                env=environment,
                pass_fds=(write_fd,),
                text=True,
            )
        os.close(write_fd)
        self._replies, self._rest = read_fd, b""
        ready = self._reply(START_S)
        if ready is None:
            self._stop()
            log = (self.folder / "worker.log").read_text(errors="replace")
            raise RuntimeError(f"the worker did not start:\n{log[-3000:]}")
        self._peak_mb = ready["peak_mb"]

    def _exit_code(self) -> int | None:
        """None while it runs; a process that just closed its pipe needs a moment to end."""
        assert self._process is not None
        try:
            return self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None

    def _reply(self, limit_s: float) -> dict | None:
        """One line of the worker; None when it does not come in time, or never."""
        while b"\n" not in self._rest:
            readable, _, _ = select.select([self._replies], [], [], limit_s)
            block = os.read(self._replies, 1 << 16) if readable else b""
            if not block:
                return None
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self._replies)
        self._process = None
