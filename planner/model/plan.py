"""Plan: ranked trajectories with every number that decided them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.geometry.volume import Mask, Volume
from planner.model.mr import MRAcquisition
from planner.model.mr_results import (
    AdviceRow,
    Bore,
    ImplantUse,
    MetalMap,
    MetalRecord,
    NeedleArtefact,
    ScanPlane,
)
from planner.model.needle import Needle, Target
from planner.model.protocol import Protocol
from planner.model.structures import StructureSet
from planner.model.verdict import Finding, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """Angles of the needle, degrees; the direction is entry to tip.

    ``axial_deg``: in the axial plane from the anterior-posterior axis, positive
    when the tip points to the patient's left. ``craniocaudal_deg``: elevation
    out of the axial plane, positive when the tip points cranially.
    ``skin_normal_deg``: to the inward skin normal. ``b0_deg``: to the main
    field, 0..90, None when its direction is not known.
    """

    axial_deg: float
    craniocaudal_deg: float
    skin_normal_deg: float
    b0_deg: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Clearance:
    """Exact clearance of a needle to one structure.

    ``clearance_mm`` is axis-to-voxel-box distance minus the needle radius,
    rounded down to 0.01 mm. ``on_needle_lps_mm`` and ``on_structure_lps_mm``
    are the two closest points.
    """

    structure: str
    clearance_mm: float
    required_mm: float
    on_needle_lps_mm: FloatArray
    on_structure_lps_mm: FloatArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trajectory:
    """One needle path with its exact numbers."""

    rank: int
    entry_lps_mm: FloatArray
    tip_lps_mm: FloatArray
    throw_end_lps_mm: FloatArray
    """End of the axis with the throw; equals the tip when nothing is fired."""
    skin_normal_lps: FloatArray
    """Outward skin normal at the entry."""
    length_mm: float
    verdict: Verdict
    cost: float
    cost_terms: Mapping[str, float]
    angles: Angles
    clearances: tuple[Clearance, ...]
    findings: tuple[Finding, ...]
    is_pareto_optimal: bool
    words: str = ""
    """The entry in words a radiologist uses."""
    candidate: int | None = None
    """Index into the candidates of the search."""
    artefact: NeedleArtefact | None = None
    """The needle's own artefact; None where the acquisition is not known."""
    scan_planes: tuple[ScanPlane, ...] = ()
    """Two planes that hold the needle, one across it at the target."""
    metal: MetalRecord | None = None
    """What metal does to this path; None where no metal's field is known."""
    bore_room_mm: float | None = None
    """Room of hub and handle in the bore; None where it is not known."""
    advice: tuple[AdviceRow, ...] = ()
    """What another sequence would change; empty without metal."""

    @property
    def clearance_mm(self) -> dict[str, float]:
        """Clearance by structure name."""
        return {c.structure: c.clearance_mm for c in self.clearances}

    @property
    def binding(self) -> Clearance | None:
        """The clearance with the least room over its margin."""
        if not self.clearances:
            return None
        return min(self.clearances, key=lambda c: c.clearance_mm - c.required_mm)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidates:
    """Arrays over ALL candidates tried, neighbours on the skin next to each other.

    ``rejected_by`` holds the id of the first hard constraint that failed, in
    the order in which they were tried (docs/search.md), or ``""`` for a
    feasible candidate. ``cost`` is NaN
    where infeasible. ``skin_normal_lps`` is outward.
    """

    entry_lps_mm: FloatArray
    tip_lps_mm: FloatArray
    skin_normal_lps: FloatArray
    feasible: NDArray[np.bool_]
    rejected_by: NDArray[np.str_]
    cost: FloatArray
    clearance_bound_mm: FloatArray
    """Certified lower bound of the smallest clearance (mm), up to the field's cap;
    NaN where it was not traced."""

    def __len__(self) -> int:
        return int(self.feasible.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureUse:
    """How a structure entered the search."""

    name: str
    role: str
    margin_mm: float | None
    hard: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One sentence of why nothing, or little, is feasible, with its numbers."""

    code: str
    message: str
    constraint: str = ""
    n_removed: int = 0
    n_only_this: int = 0
    """Candidates that this constraint alone removed."""
    current: float | None = None
    opens_at: float | None = None
    """Value at which the first path opens when nothing else changes."""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedlePair:
    """Two shown paths that two needles may take together, for one target."""

    first_rank: int
    second_rank: int
    tip_spacing_mm: float
    clearance_mm: float
    """Least distance of the two needles' surfaces, throw included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """A warning with a stable code."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlanResult:
    """Everything one planning run found out."""

    volume: Volume
    structures: StructureSet
    protocol: Protocol
    needle: Needle
    target: Target
    uses: tuple[StructureUse, ...]
    candidates: Candidates
    trajectories: tuple[Trajectory, ...]
    verdict: Verdict
    explanation: tuple[Explanation, ...]
    warnings: tuple[PlanWarning, ...]
    pairs: tuple[NeedlePair, ...] = ()
    """For a procedure with two needles; empty for others."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    body: Mask | None = None
    """The body whose outer surface is the skin."""
    acquisitions: tuple[MRAcquisition, ...] = ()
    """The planning image's, then the one that guides the needle where the user gave it;
    empty for an image that is no MR."""
    implants: tuple[ImplantUse, ...] = ()
    metal: MetalMap | None = None
    bore: Bore | None = None
    midline_l_mm: float | None = None
    """L of the patient's middle at the target; None where it is not known."""
    body_source: str = "automatic"
    """``"automatic"`` or ``"structure:NAME"``."""
    imaged: Mask | None = None
    """Where the image holds measured values; None: everywhere."""

    @property
    def rejected_counts(self) -> dict[str, int]:
        """How many candidates each hard constraint removed first."""
        ids, counts = np.unique(self.candidates.rejected_by, return_counts=True)
        return {str(i): int(c) for i, c in zip(ids, counts, strict=True) if i}
