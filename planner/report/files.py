"""Figures written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl

from planner.errors import OutputError
from planner.io.atomic import write_bytes_atomic
from planner.report.style import BANNER, MATPLOTLIB_STYLE


def write_png(figure: Any, path: Path) -> Path:
    """The path, after a matplotlib figure was written there as PNG, at its own size.

    Raises
    ------
    OutputError
        If the folder cannot be made or the file cannot be written.
    """
    content = png_bytes(figure)
    make_folder(path.parent)
    return write_bytes_atomic(path, content)


def png_bytes(figure: Any) -> bytes:
    """A matplotlib figure as PNG, at its own size."""
    stream = io.BytesIO()
    with mpl.rc_context(MATPLOTLIB_STYLE):
        figure.savefig(
            stream,
            format="png",
            dpi=figure.dpi,
            metadata={"Software": "needle-planner", "Comment": BANNER},
        )
    return stream.getvalue()


def make_folder(folder: Path) -> None:
    """Make a folder for results, with its parents, where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "the folder for the figures cannot be made",
            seen=error.strerror or type(error).__name__,
            where=str(folder),
            fix="Choose a folder that exists and can be written to.",
        ) from error
