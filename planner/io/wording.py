"""How counts are put into words."""

from __future__ import annotations

from collections.abc import Sequence


def counted(n: int, noun: str) -> str:
    """``"1 volume"``, ``"2 volumes"``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
