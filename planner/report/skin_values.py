"""What the search found at each point of the skin. Numbers only, no drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from planner.geometry import Grid, Mask
from planner.geometry.frames import FloatArray
from planner.model import Candidates
from planner.search.limits import IMAGE_END

REACH_MM = (4.0, 12.0)
"""Bounds of how far a candidate's colour spreads over the skin around its entry."""

FEASIBLE, OTHER, NOT_TRIED, IMAGE_ENDS = "feasible", "other limits", "not tried", "image ends"

CUT_MM, CUT_VOX = 1.5, 0.49
"""A vertex nearer to a face of the volume than the larger of the two is where the image cuts the
body, not skin: the drawn surface rounds its rim off by up to half a voxel."""

UNSEEN_MM = 3.0
"""The same for what was not imaged: the drawn surface is smoothed by as much."""

MAX_REASONS = 8
"""Reasons with a colour of their own; rarer ones share one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SkinValues:
    """Values at the vertices of the skin.

    Attributes
    ----------
    candidate : ndarray of int, shape (v,)
        The candidate that a vertex shows; -1 where none was tried.
    clearance_mm : ndarray, shape (v,)
        Smallest clearance of that candidate; NaN unless it is feasible, inf where it is
        and no clearance was measured.
    reason : ndarray of int, shape (v,)
        Index into ``labels``.
    is_cut : ndarray of bool, shape (v,)
        Where the image ends inside the body: not skin.
    labels : tuple of str
        ``"feasible"``, then reasons by how often they occur, then ``"not tried"``
        and ``"image ends"``.
    counts : tuple of int
        Candidates per label; 0 for ``"not tried"``.
    """

    candidate: NDArray[np.int64]
    clearance_mm: FloatArray
    reason: NDArray[np.int64]
    is_cut: NDArray[np.bool_]
    labels: tuple[str, ...]
    counts: tuple[int, ...]


def skin_values(
    candidates: Candidates,
    vertices_lps_mm: FloatArray,
    grid: Grid,
    imaged: Mask | None = None,
) -> SkinValues:
    """What the nearest entry has to say, for every vertex of the skin.

    ``imaged`` says where the image holds measured values; None: everywhere.
    """
    shown = _best_per_entry(candidates)
    candidate = np.full(len(vertices_lps_mm), -1, dtype=np.int64)
    if shown.size and len(vertices_lps_mm):
        entries = candidates.entry_lps_mm[shown]
        tree = cKDTree(entries)
        # A vertex without an entry within reach gets an infinite gap.
        # From one thick slice to the next is half a slice to the nearer.
        reach_mm = max(_reach_mm(tree, entries), 0.6 * float(grid.spacing_kji_mm.max()))
        gap_mm, nearest = tree.query(vertices_lps_mm, distance_upper_bound=reach_mm)
        near = np.isfinite(gap_mm)
        candidate[near] = shown[nearest[near]]
    at_end = np.append(candidates.rejected_by == IMAGE_END, False)
    is_cut = _is_at_face(vertices_lps_mm, grid) | at_end[candidate]
    if imaged is not None:
        is_cut |= _is_beside_unseen(vertices_lps_mm, imaged)
    candidate[is_cut] = -1
    tried = candidate >= 0
    feasible = tried & candidates.feasible[candidate] if len(candidates) else tried
    clearance_mm = np.full(len(candidate), np.nan)
    clearance_mm[feasible] = candidates.clearance_bound_mm[candidate[feasible]]
    labels, counts, of_candidate = _reasons(candidates)
    reason = np.where(is_cut, len(labels) - 1, len(labels) - 2)
    reason[tried] = of_candidate[candidate[tried]]
    return SkinValues(
        candidate=candidate,
        clearance_mm=clearance_mm,
        reason=reason,
        is_cut=is_cut,
        labels=labels,
        counts=counts,
    )


def _is_at_face(vertices_lps_mm: FloatArray, grid: Grid) -> NDArray[np.bool_]:
    """Which vertices lie outside of the volume or at a face of it."""
    at_kji = grid.to_kji(vertices_lps_mm)
    room_vox = np.minimum(at_kji + 0.5, np.array(grid.shape_kji) - 0.5 - at_kji)
    is_within = room_vox >= np.maximum(CUT_MM / grid.spacing_kji_mm, CUT_VOX)
    return np.asarray(~is_within.all(axis=1))


def _is_beside_unseen(vertices_lps_mm: FloatArray, imaged: Mask) -> NDArray[np.bool_]:
    """Which vertices have something not imaged at or next to them."""
    found = ~imaged.contains(vertices_lps_mm)
    for direction in imaged.grid.axes_lps_from_kji.T:
        for far_mm in np.linspace(-UNSEEN_MM, UNSEEN_MM, 7):
            there = vertices_lps_mm + far_mm * direction
            found |= imaged.grid.contains(there) & ~imaged.contains(there)
    return np.asarray(found)


def _best_per_entry(candidates: Candidates) -> NDArray[np.int64]:
    """One candidate per entry point: feasible before not, then the most clearance."""
    if len(candidates) == 0:
        return np.zeros(0, dtype=np.int64)
    clearance = np.nan_to_num(candidates.clearance_bound_mm, nan=-np.inf)
    order = np.lexsort((-clearance, ~candidates.feasible))
    _, first = np.unique(candidates.entry_lps_mm[order], axis=0, return_index=True)
    return np.asarray(np.sort(order[first]))


def _reach_mm(tree: cKDTree, entries_lps_mm: FloatArray) -> float:
    """Half again the usual distance between neighbours, within ``REACH_MM``."""
    if len(entries_lps_mm) < 2:
        return REACH_MM[0]
    step = max(1, len(entries_lps_mm) // 5000)
    gap_mm, _ = tree.query(entries_lps_mm[::step], k=2)
    return float(np.clip(1.5 * np.percentile(gap_mm[:, 1], 95), *REACH_MM))


def _reasons(
    candidates: Candidates,
) -> tuple[tuple[str, ...], tuple[int, ...], NDArray[np.int64]]:
    """Labels, their counts, and the label of every candidate."""
    ids, inverse, counts = np.unique(
        candidates.rejected_by, return_inverse=True, return_counts=True
    )
    order = [int(n) for n in np.argsort(-counts, kind="stable") if ids[n] not in ("", IMAGE_END)]
    own, shared = order[:MAX_REASONS], order[MAX_REASONS:]
    labels = [FEASIBLE, *(str(ids[n]) for n in own)]
    totals = [int(np.count_nonzero(candidates.feasible)), *(int(counts[n]) for n in own)]
    label_of_id = np.zeros(max(len(ids), 1), dtype=np.int64)
    label_of_id[own] = np.arange(1, len(own) + 1)
    if shared:
        label_of_id[shared] = len(labels)
        labels.append(OTHER)
        totals.append(int(counts[shared].sum()))
    labels += [NOT_TRIED, IMAGE_ENDS]
    totals += [0, int(counts[ids == IMAGE_END].sum())]
    label_of_id[ids == IMAGE_END] = len(labels) - 1
    of_candidate = label_of_id[inverse.ravel()]
    return tuple(labels), tuple(totals), of_candidate
