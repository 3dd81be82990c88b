"""Soft costs: each normalised to 0..1, weighted by the protocol, reported one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.geometry.frames import FloatArray
from planner.model import Needle, Protocol
from planner.safety.obstacles import Obstacle
from planner.search.batch import AxisBatch
from planner.search.limits import approach_deviation_deg, skin_angle_deg

APPROACH_FULL_COST_DEG = 45.0
"""Deviation from the preferred approach that costs as much as it can (evidence E)."""

NEEDLE_ARTEFACT = "needle_artefact"
"""The term that is there only where the acquisition tells the artefact."""


def clearance_cost(clearance_mm: ArrayLike, obstacle: Obstacle) -> FloatArray:
    """1 at the margin, falling linearly to 0 at the obstacle's clear distance."""
    room = np.asarray(clearance_mm, dtype=np.float64) - obstacle.required_mm
    return np.asarray(np.clip(1.0 - room / (obstacle.clear_mm - obstacle.required_mm), 0.0, 1.0))


def axis_cost_terms(
    batch: AxisBatch, protocol: Protocol, needle: Needle, active: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """Every cost term except clearance, for the candidates ``active``."""
    deviation = approach_deviation_deg(batch, protocol, active)
    approach = np.zeros(active.size) if deviation is None else deviation / APPROACH_FULL_COST_DEG
    skin_angle = skin_angle_deg(batch, active)
    return {
        "length": np.clip(batch.length_mm[active] / needle.length_mm, 0.0, 1.0),
        "approach": np.clip(approach, 0.0, 1.0),
        "skin_incidence": np.clip(skin_angle / protocol.max_skin_angle.value, 0.0, 1.0),
    }


def total_cost(terms: Mapping[str, FloatArray], protocol: Protocol) -> FloatArray:
    """Weighted mean of the terms that are known, 0..1."""
    weight = asdict(protocol.weights)
    total = sum(weight[name] for name in terms)
    parts = [weight[name] * values for name, values in terms.items()]
    return np.asarray(np.sum(parts, axis=0) / total if total > 0 else np.zeros_like(parts[0]))
