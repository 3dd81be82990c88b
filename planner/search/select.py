"""Which candidates are shown: the best, apart from each other; and which are Pareto-optimal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray

_EQUAL_COST = 1e-9


def pick_diverse(
    order: NDArray[np.int64], entry_lps_mm: FloatArray, top: int, min_separation_mm: float
) -> list[int]:
    """The first ``top`` of ``order`` whose entries keep ``min_separation_mm`` from each other."""
    picked: list[int] = []
    remaining = np.asarray(order)
    while remaining.size and len(picked) < top:
        best = int(remaining[0])
        picked.append(best)
        gap = np.linalg.norm(entry_lps_mm[remaining] - entry_lps_mm[best], axis=1)
        far = gap >= min_separation_mm
        far[0] = False
        remaining = remaining[far]
    return picked


def is_pareto_optimal(terms: FloatArray, all_terms: FloatArray) -> bool:
    """Whether no row of ``all_terms`` (n, m) is at least as good in all terms and better in one.

    ``terms`` has shape (m,); smaller is better.
    """
    no_worse = np.all(all_terms <= terms + _EQUAL_COST, axis=1)
    better = np.any(all_terms < terms - _EQUAL_COST, axis=1)
    return not bool(np.any(no_worse & better))
