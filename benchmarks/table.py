"""Rows of the benchmark table: what was measured, beside what, against which goal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One line; ``goal`` is text such as ``">= 6 x"`` and ``met`` whether it was reached."""

    group: str
    name: str
    value: str
    ratio: str = ""
    goal: str = ""
    met: bool | None = None


def seconds(job: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of a job after one warm-up."""
    job()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def print_table(rows: list[Row]) -> None:
    """All rows in one table on stdout."""
    print(f"{'group':10} {'what':46} {'measured':>14} {'ratio':>10} {'goal':>12}  met")
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.met]
        print(f"{row.group:10} {row.name:46} {row.value:>14} {row.ratio:>10} {row.goal:>12}  {met}")
