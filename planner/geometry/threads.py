"""Running a compiled kernel over a range on several threads.

Kernels release the interpreter lock (``nogil``), so plain threads are enough:
nothing is compiled twice, several sessions may run at once, and the result
cannot depend on the number of threads, because chunks never share output.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

_CHUNKS_PER_THREAD = 4
"""More chunks than threads, so that an expensive one does not hold up the rest."""

_n_threads: ContextVar[int | None] = ContextVar("n_threads", default=None)
_pool: ThreadPoolExecutor | None = None


def n_threads() -> int:
    """Threads in use here: what ``use_threads`` says, else one per available core."""
    chosen = _n_threads.get()
    if chosen is not None:
        return chosen
    # Linux tells which cores this process may use; macOS and Windows only how many there are.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def use_threads(n: int | None) -> Iterator[None]:
    """Use ``n`` threads within a block; None leaves it as it is."""
    token = _n_threads.set(n if n is not None else _n_threads.get())
    try:
        yield
    finally:
        _n_threads.reset(token)


def in_chunks(kernel: Callable[[int, int], object], n: int, *, least: int) -> None:
    """Call ``kernel(low, high)`` for ranges that together cover 0..n.

    Parameters
    ----------
    kernel : callable
        Must write only to what belongs to its range.
    n : int
    least : int
        Ranges are not made smaller than this: waking a thread has its price.
    """
    workers = n_threads()
    if workers == 1 or n <= least:
        kernel(0, n)
        return
    size = max(least, -(-n // (workers * _CHUNKS_PER_THREAD)))
    ranges = [(low, min(low + size, n)) for low in range(0, n, size)]
    with _executor(workers) as pool:
        for done in [pool.submit(kernel, low, high) for low, high in ranges]:
            done.result()


@contextmanager
def _executor(workers: int) -> Iterator[ThreadPoolExecutor]:
    """The shared pool where it has the right size, else one for this call."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(workers, thread_name_prefix="planner")
    if _pool._max_workers == workers:
        yield _pool
        return
    with ThreadPoolExecutor(workers) as own:
        yield own
