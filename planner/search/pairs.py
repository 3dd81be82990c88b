"""Two needles for one target: apart at the tips, and never touching each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.model import Needle, NeedlePair, PlanWarning, Protocol, Trajectory, TwoNeedleRule
from planner.search.batch import AxisBatch
from planner.search.limits import HANDLE_MM


def companion(
    batch: AxisBatch,
    survivors: NDArray[np.int64],
    order: NDArray[np.int64],
    first: int,
    rule: TwoNeedleRule,
    needle: Needle,
) -> int | None:
    """Place (in ``survivors``) of the best path that may lie beside the first; None without one.

    Parameters
    ----------
    order : (m,)
        Places of the survivors, the best first.
    first : int
        Place of the first needle's path.
    """
    one = survivors[first]
    numbers = survivors[order]
    spacing = np.linalg.norm(batch.tip_lps_mm[numbers] - batch.tip_lps_mm[one], axis=1)
    wide = np.flatnonzero(spacing >= rule.spacing.value)
    if wide.size == 0:
        return None
    gap = segment_gaps_mm(
        *_whole(batch.entry_lps_mm[one], batch.tip_lps_mm[one], batch.end_lps_mm[one], needle),
        *_whole(
            batch.entry_lps_mm[numbers[wide]],
            batch.tip_lps_mm[numbers[wide]],
            batch.end_lps_mm[numbers[wide]],
            needle,
        ),
    )
    free = wide[gap - 2 * needle.radius_mm >= rule.clearance.value]
    return int(order[free[0]]) if free.size else None


def pairs_of(
    trajectories: Sequence[Trajectory], rule: TwoNeedleRule | None, needle: Needle
) -> tuple[NeedlePair, ...]:
    """All pairs of the shown paths that keep the rule, the lowest ranks first."""
    if rule is None:
        return ()
    found = []
    for i, one in enumerate(trajectories):
        for other in trajectories[i + 1 :]:
            spacing = float(np.linalg.norm(one.tip_lps_mm - other.tip_lps_mm))
            gap = float(
                segment_gaps_mm(
                    *_whole(one.entry_lps_mm, one.tip_lps_mm, one.throw_end_lps_mm, needle),
                    *_whole(
                        other.entry_lps_mm[None],
                        other.tip_lps_mm[None],
                        other.throw_end_lps_mm[None],
                        needle,
                    ),
                )[0]
            )
            clearance = gap - 2 * needle.radius_mm
            if spacing >= rule.spacing.value and clearance >= rule.clearance.value:
                found.append(
                    NeedlePair(
                        first_rank=one.rank,
                        second_rank=other.rank,
                        tip_spacing_mm=spacing,
                        clearance_mm=clearance,
                    )
                )
    return tuple(sorted(found, key=lambda p: (p.first_rank + p.second_rank, p.first_rank)))


def _whole(
    entry: FloatArray, tip: FloatArray, end: FloatArray, needle: Needle
) -> tuple[FloatArray, FloatArray]:
    """The whole needle, hub and handle outside the skin included: (..., 3) twice."""
    along = tip - entry
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    outside = np.maximum(needle.length_mm - length, 0.0) + HANDLE_MM
    return entry - along / np.maximum(length, 1e-12) * outside, end


def segment_gaps_mm(
    start: FloatArray, end: FloatArray, starts: FloatArray, ends: FloatArray
) -> FloatArray:
    """Distances of one segment to others, (n,): the least over inner pairs and end points."""
    d1, d2, r = end - start, ends - starts, start - starts
    a, e = float(d1 @ d1), np.einsum("ij,ij->i", d2, d2)
    b, c, f = d2 @ d1, r @ d1, np.einsum("ij,ij->i", d2, r)
    denominator = np.maximum(a * e - b * b, 1e-12)
    s = np.clip((b * f - c * e) / denominator, 0.0, 1.0)
    best = np.full(len(starts), np.inf)
    for s_try in (s, np.zeros_like(s), np.ones_like(s)):
        t = np.clip((b * s_try + f) / np.maximum(e, 1e-12), 0.0, 1.0)
        s_best = np.clip((b * t - c) / max(a, 1e-12), 0.0, 1.0)
        apart = r + s_best[:, None] * d1 - t[:, None] * d2
        best = np.minimum(best, np.sqrt(np.einsum("ij,ij->i", apart, apart)))
    return best


def two_needle_warning(
    protocol: Protocol, trajectories: Sequence[Trajectory], pairs: Sequence[NeedlePair]
) -> tuple[PlanWarning, ...]:
    """That no two of the paths found may be taken together, for a procedure with two needles."""
    rule = protocol.two_needles
    if rule is None or not trajectories or pairs:
        return ()
    message = (
        f"No second needle fits beside the shown paths: tips {rule.spacing.value:g} mm apart and "
        f"{rule.clearance.value:g} mm between the shafts are needed."
    )
    return (PlanWarning(code="no_second_needle", message=message),)
