"""What people see: results on stdout; errors, notes and progress on stderr."""

from __future__ import annotations

import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_UNUSUAL = re.compile(r"[^\n -~]")
SLOW_STAGE_S = 1.0
"""Without a terminal, only stages longer than this are worth a line."""


def terminal_text(text: str) -> str:
    r"""The text without a character that could steer a terminal or reorder a line.

    Control, format and unassigned characters (escape sequences, right-to-left
    marks, lone surrogates) become ``\uXXXX``, which within JSON still means the same
    character. Only the line feed stays.
    """
    return _UNUSUAL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character)[0] != "C":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))


class Console:
    """Writes for people. Progress is a bar on a terminal, else one line per slow stage."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._stage_began_s = 0.0

    def result(self, text: str) -> None:
        """Text or JSON on stdout; what could steer a terminal is written as an escape."""
        self.end_progress()
        text = terminal_text(text)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """One line on stderr, unless quiet."""
        if not self._quiet:
            self._line(text)

    def error(self, text: str) -> None:
        """One line on stderr, always."""
        self._line(f"error: {text}")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage that cannot tell how far it is."""
        self.progress(name, 0.0)
        yield
        self.progress(name, 1.0)

    def progress(self, stage: str, fraction: float) -> None:
        """How much of a stage is done, 0..1: the ``ProgressCallback`` of the planner."""
        if self._quiet:
            return
        if stage != self._stage:
            self._end_stage()
            self._stage, self._stage_began_s = stage, time.monotonic()
        if self._is_terminal:
            self._show_bar(stage, fraction)
        if fraction >= 1.0:
            self._end_stage()

    def end_progress(self) -> None:
        """Take the bar off the terminal."""
        self._end_stage()
        self._remove_bar()

    def drop_progress(self) -> None:
        """The same after an error: the stage that it ended in is not told as done."""
        self._stage = None
        self._remove_bar()

    def _end_stage(self) -> None:
        stage, self._stage = self._stage, None
        seconds = time.monotonic() - self._stage_began_s
        if stage is not None and not self._is_terminal and seconds > SLOW_STAGE_S:
            self._line(f"{stage}: {seconds:.1f} s")

    def _show_bar(self, stage: str, fraction: float) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import Progress

            self._bar = Progress(console=RichConsole(file=sys.stderr), transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()
        if self._task is not None:
            name = terminal_text(stage).replace("[", "\\[")  # or rich would read it as a colour
            self._bar.update(self._task, description=name, completed=fraction)

    def _line(self, text: str) -> None:
        self._remove_bar()  # or the line would be written into the bar
        sys.stderr.write(terminal_text(" ".join(text.split())) + "\n")
        sys.stderr.flush()

    def _remove_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
