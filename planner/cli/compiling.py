"""Says why a first run takes long: loops are compiled for this computer, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from planner.cli.console import Console

NOTE = (
    "compiling for this computer: about half a minute, on the first run only "
    "(or after an update); please wait"
)


@contextmanager
def told_about_compiling(console: Console) -> Iterator[None]:
    """Within the block, one note when the first loop is compiled rather than found compiled."""
    from numba.core import event

    class Teller(event.Listener):  # type: ignore[misc]
        is_told = False

        def on_start(self, event: Any) -> None:
            if not self.is_told:
                self.is_told = True
                console.note(NOTE)

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Teller()):
        yield
