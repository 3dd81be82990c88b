"""What libraries say on their own: kept off the screen, shown as one line each."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import BinaryIO

MAX_LINE = 300
MAX_NATIVE_BYTES = 200_000
_HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
_ITK_PLACE = re.compile(r"(WARNING|ERROR): In .*, line \d+")
_ADDRESS = re.compile(r"\s*\(0x[0-9a-f]+\)")
_PERSON_NAME = re.compile(r"(VR PN\b.*?)(['\"]).*\2|(VR of PN\b.*?)(['\"]).*\4")


@dataclass(slots=True)
class Noise:
    """Messages of Python warnings, of loggers and of C and C++ code, in their order of arrival."""

    messages: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Keep a message once, as one line, without anything that may be a person's name."""
        line = _PERSON_NAME.sub(r"\1\3<name>", " ".join(text.split()))
        line = line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."
        if line and line not in self.messages:
            self.messages.append(line)


class _Collector(logging.Handler):
    def __init__(self, noise: Noise) -> None:
        super().__init__(logging.WARNING)
        self._noise = noise

    def emit(self, record: logging.LogRecord) -> None:
        self._noise.add(f"{record.name.partition('.')[0]}: {record.getMessage()}")


@contextmanager
def collected_noise() -> Iterator[Noise]:
    """Collects until the block ends; complete only after it."""
    noise = Noise()
    collector = _Collector(noise)
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        with warnings.catch_warnings(record=True) as caught, _native_stderr(noise):
            warnings.simplefilter("default")
            for category in _HIDDEN:
                warnings.simplefilter("ignore", category)
            try:
                yield noise
            finally:
                for warning in caught:
                    noise.add(str(warning.message))
    finally:
        root.removeHandler(collector)


@contextmanager
def _native_stderr(noise: Noise) -> Iterator[None]:
    """Lends file descriptor 2 to a file: Python keeps writing to the real stderr.

    Only when Python's stderr really is descriptor 2; a host program or a test that
    replaced it is left alone.
    """
    try:
        is_real = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not is_real:
        yield
        return
    sys.stderr.flush()
    before, saved = sys.stderr, os.dup(2)
    with tempfile.TemporaryFile() as store:
        stream = TextIOWrapper(
            os.fdopen(saved, "wb", buffering=0, closefd=False),
            encoding=before.encoding,
            errors="backslashreplace",
            write_through=True,
        )
        os.dup2(store.fileno(), 2)
        sys.stderr = stream
        try:
            yield
        finally:
            os.dup2(saved, 2)
            sys.stderr = before
            os.close(saved)
            for message in _native_messages(store):
                noise.add(message)


def _native_messages(store: BinaryIO) -> Iterator[str]:
    """One message per line; ITK's (a place, then text up to a blank line) without the place."""
    store.seek(0)
    text = store.read(MAX_NATIVE_BYTES).decode("utf-8", "replace")
    of_itk: list[str] | None = None
    for line in [*text.splitlines(), ""]:
        if _ITK_PLACE.match(line):
            of_itk = []
        elif of_itk is None:
            yield line
        elif line.strip():
            of_itk.append(_ADDRESS.sub("", line))
        else:
            yield " ".join(of_itk)
            of_itk = None
