"""A call that is given up after a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


def in_time(call: Callable[[], Any], limit_s: float) -> Any:
    """What a call returns or raises; TimeoutError after the limit.

    For what has no limit of its own (a name service), or has it for each piece that comes: a
    web service that trickles would win time without end. The call is left behind in its
    thread, which ends with the program.
    """
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except Exception as error:  # raised again where the result is asked for
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(timeout=limit_s)
