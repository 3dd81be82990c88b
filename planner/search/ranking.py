"""From feasible candidates to ranked trajectories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.model import Candidates, Trajectory
from planner.safety.checks import covered
from planner.search.batch import AxisBatch
from planner.search.cost import NEEDLE_ARTEFACT, axis_cost_terms, total_cost
from planner.search.detail import DetailContext, detailed_trajectory
from planner.search.evaluate import Evaluation
from planner.search.options import SearchOptions
from planner.search.pairs import companion
from planner.search.select import is_pareto_optimal, pick_diverse


def survivor_cost_terms(
    context: DetailContext, batch: AxisBatch, found: Evaluation
) -> dict[str, FloatArray]:
    """Cost terms of the feasible candidates; clearance from certified lower bounds."""
    terms = axis_cost_terms(batch, context.protocol, context.needle, found.survivors)
    terms["clearance"] = found.clearance_cost
    artefact = context.physics.artefact_cost(
        batch.direction_lps[found.survivors], context.target.tolerance_mm
    )
    terms |= context.way.cost_terms(batch, found.survivors)
    return terms if artefact is None else {**terms, NEEDLE_ARTEFACT: artefact}


def ranked_trajectories(
    context: DetailContext,
    batch: AxisBatch,
    found: Evaluation,
    terms: dict[str, FloatArray],
    options: SearchOptions,
) -> tuple[Trajectory, ...]:
    """The best candidates, apart from each other, with exact numbers; worse verdicts last."""
    survivors = found.survivors
    if survivors.size == 0:
        return ()
    cost = total_cost(terms, context.protocol)
    severity = _expected_severity(context, batch, found)
    order = np.lexsort((survivors, cost, severity))
    picked = pick_diverse(
        order, batch.entry_lps_mm[survivors], options.top, options.min_separation_mm
    )
    picked += _second_needle(context, batch, survivors, order, picked)
    rows = np.stack(list(terms.values()), axis=1)
    detailed = [
        detailed_trajectory(
            context, batch, int(survivors[place]), pareto=is_pareto_optimal(rows[place], rows)
        )
        for place in picked
    ]
    detailed.sort(key=lambda t: (t.verdict.severity, t.cost, t.candidate))
    return tuple(replace(t, rank=rank) for rank, t in enumerate(detailed, start=1))


def _second_needle(
    context: DetailContext,
    batch: AxisBatch,
    survivors: NDArray[np.int64],
    order: NDArray[np.int64],
    picked: list[int],
) -> list[int]:
    """The best path that may lie beside the first, unless it is shown already."""
    rule = context.protocol.two_needles
    if rule is None or not picked:
        return []
    other = companion(batch, survivors, order, picked[0], rule, context.needle)
    return [] if other is None or other in picked else [other]


def candidates_of(batch: AxisBatch, found: Evaluation, cost: FloatArray) -> Candidates:
    """The arrays over all candidates that a result keeps."""
    n = len(batch)
    all_cost = np.full(n, np.nan)
    all_cost[found.survivors] = cost
    bound = np.full(n, np.nan)
    bound[found.survivors] = found.least_clearance_mm
    return Candidates(
        entry_lps_mm=batch.entry_lps_mm,
        tip_lps_mm=batch.tip_lps_mm,
        skin_normal_lps=batch.normal_lps,
        feasible=found.feasible,
        rejected_by=found.rejected_by,
        cost=all_cost,
        clearance_bound_mm=bound,
    )


def _expected_severity(
    context: DetailContext, batch: AxisBatch, found: Evaluation
) -> NDArray[np.int64]:
    """0 where all is known with room to spare, 1 where a margin is just met, 2 where unknown."""
    survivors = found.survivors
    radius = context.needle.radius_mm
    severity = found.is_tight.astype(np.int64)
    entries, ends = batch.entry_lps_mm[survivors], batch.end_lps_mm[survivors]
    obstacles = context.obstacles.obstacles
    widest = max((obstacle.reach_mm for obstacle in obstacles), default=0.0) + radius
    faces = context.cut_faces
    to_cut, to_face = faces.rooms_mm(entries, ends)
    is_seen = (to_cut >= widest) & (to_face >= radius)
    severity[~is_seen] = 2
    for obstacle in obstacles:
        severity[~covered(entries, ends, obstacle, radius)] = 2
    return severity
