"""How a long stage tells that it is still alive. No printing here."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, float], None]
"""Called with the name of the stage and how much of it is done, 0..1."""


def no_progress(stage: str, fraction: float) -> None:
    """Nothing: the callback of a caller who does not want to know."""
