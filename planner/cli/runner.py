"""Runs one command: its errors become a line and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import FrameType

from typer.exceptions import Abort, Exit, TyperException

from planner.cli.console import Console
from planner.cli.noise import collected_noise
from planner.errors import GeometryError, InputError, PlannerError

DEBUG_VARIABLE = "NEEDLE_PLANNER_DEBUG"


class ExitCode(IntEnum):
    """What the shell is told."""

    OK = 0
    NOT_FEASIBLE = 1
    USAGE = 2
    BAD_INPUT = 3
    INTERNAL = 4
    INTERRUPTED = 130


def run_command(command: Callable[[Console], ExitCode], *, quiet: bool = False) -> int:
    """The exit code of ``command``, after everything there is to say was said."""
    console = Console(quiet=quiet)
    with collected_noise() as noise:
        code, error = _guarded(command, console)
    for message in noise.messages:
        console.note(f"note: {message}")
    if error is not None:
        console.error(error)  # last, where it is looked for
    return int(code)


def _guarded(
    command: Callable[[Console], ExitCode], console: Console
) -> tuple[ExitCode, str | None]:
    """The exit code and the error to show, if any."""
    try:
        with _ended_in_order():
            code = command(console)
    except (TyperException, Exit, Abort, BrokenPipeError):
        raise
    except (InputError, GeometryError) as error:
        _debug_traceback()
        return ExitCode.BAD_INPUT, str(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED, "interrupted; no result was written"
    except MemoryError:
        return ExitCode.INTERNAL, "not enough memory for this volume; nothing was written"
    except Exception as error:
        _debug_traceback()
        what = str(error) if isinstance(error, PlannerError) else f"{type(error).__name__}: {error}"
        return ExitCode.INTERNAL, f"internal error: {what} ({_log_place()})"
    else:
        console.end_progress()
        return code, None
    finally:
        console.drop_progress()


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to end (SIGTERM) is an interrupt: what is half done is taken away first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only there may handlers be set
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _debug_traceback() -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        traceback.print_exc(file=sys.stderr)


def _log_place() -> str:
    """Writes the traceback of the current error to a file; says where."""
    try:
        handle, name = tempfile.mkstemp(prefix="needle-planner-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as log:
            log.write(traceback.format_exc())
    except OSError:
        return f"no log could be written; {DEBUG_VARIABLE}=1 shows the details"
    return f"log: {Path(name)}"
