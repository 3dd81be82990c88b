"""Which candidates are shown: the best, apart from each other; and which are Pareto-optimal."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray

_EQUAL_COST = 1e-9


def pick_diverse(
    order: NDArray[np.int64], entry_lps_mm: FloatArray, top: int, min_separation_mm: float
) -> list[int]:
    """The first ``top`` of ``order`` whose entries keep ``min_separation_mm`` from each other."""
    return [int(n) for n in _pick(order, entry_lps_mm, top, float(min_separation_mm))]


def is_pareto_optimal(terms: FloatArray, all_terms: FloatArray) -> bool:
    """Whether no row of ``all_terms`` (n, m) is at least as good in all terms and better in one.

    ``terms`` has shape (m,); smaller is better.
    """
    return not _is_dominated(np.ascontiguousarray(terms), np.ascontiguousarray(all_terms))


@nb.njit(cache=True, nogil=True)
def _pick(order, points, top, min_separation):  # type: ignore[no-untyped-def]
    picked = np.empty(top, np.int64)
    n_picked = 0
    for candidate in order:
        is_far = True
        for p in range(n_picked):
            squared = 0.0
            for axis in range(3):
                squared += (points[candidate, axis] - points[picked[p], axis]) ** 2
            if not squared >= min_separation * min_separation:
                is_far = False
                break
        if is_far:
            picked[n_picked] = candidate
            n_picked += 1
            if n_picked == top:
                break
    return picked[:n_picked]


@nb.njit(cache=True, nogil=True)
def _is_dominated(terms, all_terms):  # type: ignore[no-untyped-def]
    for row in range(all_terms.shape[0]):
        no_worse = True
        better = False
        for column in range(terms.shape[0]):
            gap = all_terms[row, column] - terms[column]
            if gap > _EQUAL_COST:
                no_worse = False
                break
            better |= gap < -_EQUAL_COST
        if no_worse and better:
            return True
    return False
