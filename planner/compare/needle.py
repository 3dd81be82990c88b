"""One needle as it lies: its errors, and how near it is to every structure of the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.compare.doubts import doubts_of, unknowns_of
from planner.compare.errors_mm import PlacementErrors, placement_errors, require_in_reach
from planner.compare.margins import KeptMargins, known_protocol, margins_of
from planner.compare.shaft import shaft_start_lps_mm
from planner.errors import InputError, PlannerError
from planner.geometry import Grid, Mask
from planner.geometry.clearance import MaskIndex, floor_to_hundredth, throw_end_lps_mm
from planner.geometry.frames import FloatArray
from planner.io.plan_document import PlanDocument, StructureRecord, TrajectoryRecord
from planner.model import (
    Protocol,
    Structure,
    StructureSet,
    Verdict,
    verdict_of_margin,
)
from planner.report.html_region import region_mask

NO_MASKS = "not measured: the image and the masks were not given"
MARGINS_NOTE = (
    "the procedure of the plan is not at hand: whether it asks more of the shaft, or softly, is "
    "not known (--procedure)"
)
COVER_NOTE = "the needle or its margin reaches beyond the mask or the image"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ActualNeedle:
    """A needle as it lies; ``words`` says where the two ends are from, and which is the tip."""

    entry_lps_mm: FloatArray
    tip_lps_mm: FloatArray
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualClearance:
    """Clearance of the needle as it lies to one structure that the plan kept clear of.

    ``clearance_mm`` is rounded down to 0.01 mm and None where it could not be measured. Less
    than ``soft_mm`` is a caution. ``part`` names a part of the needle; empty for the whole.
    """

    structure: str
    planned_mm: float | None
    clearance_mm: float | None
    required_mm: float
    verdict: Verdict
    where_lps_mm: tuple[float, float, float] | None = None
    note: str = ""
    soft_mm: float | None = None
    part: str = ""

    @property
    def wanted_mm(self) -> float:
        """What is needed for more than a caution, the band beside a margin left out."""
        return max(self.required_mm, self.soft_mm or 0.0)

    @property
    def title(self) -> str:
        """The structure, and the part of the needle."""
        return f"{self.structure} ({self.part})" if self.part else self.structure


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparison:
    """What was compared, the errors, and the clearances with the least room first.

    ``is_on_target`` tells whether the tip keeps the tolerance of the plan, or lies in the region
    that the plan aims at; None where that region cannot be derived again. ``shaft_lps_mm`` is
    where the axis begins that the clearances are of, and ``prolonged_mm`` how far behind the
    marked entry that is.
    """

    rank: int
    planned: TrajectoryRecord
    actual: ActualNeedle
    errors: PlacementErrors
    clearances: tuple[ActualClearance, ...]
    shaft_lps_mm: FloatArray
    prolonged_mm: float
    is_on_target: bool | None
    needle_length_mm: float
    """Of the needle of the plan."""
    tolerance_mm: float | None
    """Of the target point; None for a region."""
    unknowns: tuple[str, ...] = ()
    """What the plan did not know of this path, and nothing measured here settles."""

    @property
    def is_longer(self) -> bool:
        """Whether the needle was marked longer than that of the plan is."""
        return not self.errors.actual_depth_mm <= self.needle_length_mm

    @property
    def is_under_margin(self) -> bool:
        """Whether a measured clearance is under its margin."""
        return any(c.verdict is Verdict.FAIL for c in self.clearances)

    @property
    def verdict(self) -> Verdict:
        """The worst clearance; unknown where there is none, or where the plan knew no better."""
        unknown = [Verdict.UNKNOWN] * bool(self.unknowns)
        return Verdict.worst([*unknown, *(c.verdict for c in self.clearances)])


def oriented(
    planned: TrajectoryRecord,
    one_lps_mm: FloatArray,
    other_lps_mm: FloatArray,
    *,
    name: str,
    is_labelled: bool,
) -> ActualNeedle:
    """The needle of a line: its labels say which end is the tip, else the planned tip does.

    Parameters
    ----------
    planned : TrajectoryRecord
    one_lps_mm, other_lps_mm : ndarray, shape (3,)
        With labels: entry and tip. Without: in any order.
    name : str
    is_labelled : bool
    """
    if is_labelled:
        words = "the labels say which end is the tip"
        return ActualNeedle(
            entry_lps_mm=one_lps_mm, tip_lps_mm=other_lps_mm, name=name, words=words
        )
    for value in (*one_lps_mm, *other_lps_mm):
        require_in_reach(float(value), "coordinate of an end of the needle")
    tip = np.array(planned.tip_lps_mm)
    gaps_mm = [float(np.linalg.norm(end - tip)) for end in (one_lps_mm, other_lps_mm)]
    is_turned = gaps_mm[0] < gaps_mm[1]
    ends = (other_lps_mm, one_lps_mm) if is_turned else (one_lps_mm, other_lps_mm)
    place = "first" if is_turned else "second"
    words = f"the tip was taken to be the {place} end, nearer to the planned tip: no label says"
    return ActualNeedle(entry_lps_mm=ends[0], tip_lps_mm=ends[1], name=name, words=words)


def compare_needle(
    plan: PlanDocument,
    actual: ActualNeedle,
    *,
    rank: int = 1,
    structures: StructureSet | None = None,
    image_grid: Grid | None = None,
    body: Mask | None = None,
    protocol: Protocol | None = None,
) -> Comparison:
    """A needle as it lies against a path of a plan.

    Parameters
    ----------
    plan : PlanDocument
    actual : ActualNeedle
        In the frame of reference of the plan.
    rank : int
        Of the path that was followed.
    structures, image_grid : StructureSet, Grid, optional
        The masks of the plan and the grid of its image, read again. Without them every
        clearance is unknown.
    body : Mask, optional
        Of the plan. Behind the marked entry the shaft counts as far as it lies in the body;
        without it, for the whole length of the needle.
    protocol : Protocol, optional
        The procedure of the plan. Without it, or where it has another hash, soft margins and
        those of the shaft are not known, and only a margin of the user's own can be kept.

    Raises
    ------
    InputError
        If the plan has no path of that rank.
    DegenerateGeometryError
        If the needle has no length, or a point or length is beyond any patient.

    Notes
    -----
    A clearance is that of DESIGN: from the axis, the throw of the procedure and the shaft in
    the body behind the marked entry included, to the nearest voxel box, less the needle's outer
    radius, against the margin of the plan and the soft one of its procedure. Where the
    procedure lets the needle come nearer at its tip, all but that last stretch has a row of its
    own. It is never PASS where a part of the margin lies beyond the mask or the image, nor
    beside an implant unless the image is CT: the masks as drawn are not where the anatomy is.
    Nor for a needle more than 90 degrees off the plan, nor for one that was marked longer than
    the needle of the plan, nor where the plan did not know something of this path.
    """
    planned = next((t for t in plan.trajectories if t.rank == rank), None)
    if planned is None:
        raise InputError(
            "the plan has no such path",
            seen=f"path {rank}",
            needed=f"1 to {len(plan.trajectories)}" if plan.trajectories else "a plan with paths",
        )
    require_in_reach(plan.needle.length_mm, "length of the plan's needle")
    require_in_reach(plan.needle.throw_mm, "throw of the plan's needle")
    errors = placement_errors(
        planned.entry_lps_mm,
        planned.tip_lps_mm,
        actual.entry_lps_mm,
        actual.tip_lps_mm,
        target_lps_mm=plan.target.point_lps_mm,
    )
    start = shaft_start_lps_mm(actual.entry_lps_mm, actual.tip_lps_mm, plan.needle.length_mm, body)
    scene = _Scene(
        plan=plan,
        planned=planned,
        actual=actual,
        start_lps_mm=start,
        structures=structures,
        image_grid=image_grid,
        doubts=doubts_of(plan, errors),
    )
    protocol = known_protocol(plan, protocol)
    found = [row for record in plan.structures for row in _clearances(scene, record, protocol)]
    found += [
        ActualClearance(
            structure=name,
            planned_mm=None,
            clearance_mm=None,
            required_mm=0.0,
            verdict=Verdict.UNKNOWN,
            note="no mask was given to the plan, though its procedure requires one",
        )
        for name in _missing(planned)
    ]
    return Comparison(
        rank=rank,
        planned=planned,
        actual=actual,
        errors=errors,
        clearances=tuple(sorted(found, key=_room_mm)),
        shaft_lps_mm=start,
        prolonged_mm=float(np.linalg.norm(start - actual.entry_lps_mm)),
        is_on_target=errors.tip_to_target_mm <= plan.target.tolerance_mm
        if plan.target.region is None
        else _is_in_region(plan, actual, structures),
        needle_length_mm=plan.needle.length_mm,
        tolerance_mm=plan.target.tolerance_mm if plan.target.region is None else None,
        unknowns=unknowns_of(plan, planned),
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Scene:
    """What every clearance of a needle is measured with."""

    plan: PlanDocument
    planned: TrajectoryRecord
    actual: ActualNeedle
    start_lps_mm: FloatArray
    structures: StructureSet | None
    image_grid: Grid | None
    doubts: tuple[str, ...]

    def axis_lps_mm(self, short_of_tip_mm: float | None) -> FloatArray:
        """Both ends (2, 3): with the throw, or without the last stretch before the tip."""
        entry, tip = self.actual.entry_lps_mm, self.actual.tip_lps_mm
        if short_of_tip_mm is None:
            end = throw_end_lps_mm(entry, tip, self.plan.needle.throw_mm)
            return np.stack([self.start_lps_mm, end])
        length_mm = float(np.linalg.norm(tip - self.start_lps_mm))
        share = max(0.0, 1.0 - short_of_tip_mm / length_mm)
        return np.stack([self.start_lps_mm, self.start_lps_mm + share * (tip - self.start_lps_mm)])


def _is_in_region(
    plan: PlanDocument, actual: ActualNeedle, structures: StructureSet | None
) -> bool | None:
    """Whether the tip lies in the region of the plan; None where the masks do not give it."""
    if structures is None:
        return None
    try:
        return bool(region_mask(plan, structures).contains(actual.tip_lps_mm))
    except PlannerError:
        return None


def _clearances(
    scene: _Scene, record: StructureRecord, protocol: Protocol | None
) -> list[ActualClearance]:
    """The whole needle's clearance, and that of all but its last stretch where it counts."""
    known = {} if scene.structures is None else dict(scene.structures.items())
    structure = known.get(record.name)
    margins = margins_of(scene.plan, record, structure, protocol)
    if margins is None:
        return []
    planned_mm = scene.planned.clearance_mm.get(record.name)
    if structure is None or scene.image_grid is None:
        return [
            ActualClearance(
                structure=record.name,
                planned_mm=planned_mm,
                clearance_mm=None,
                required_mm=margins.required_mm,
                verdict=Verdict.UNKNOWN,
                note=NO_MASKS,
            )
        ]
    found = [_clearance(scene, structure, margins, planned_mm)]
    if margins.shaft_mm is not None:
        found.append(
            _clearance(
                scene,
                structure,
                margins.of_shaft(),
                _planned_shaft_mm(scene.planned, record.name),
                short_of_tip_mm=margins.last_mm,
            )
        )
    return found


def _clearance(
    scene: _Scene,
    structure: Structure,
    margins: KeptMargins,
    planned_mm: float | None,
    *,
    short_of_tip_mm: float | None = None,
) -> ActualClearance:
    plan, grid = scene.plan, scene.image_grid
    axis = scene.axis_lps_mm(short_of_tip_mm)
    closest = MaskIndex(structure.mask).closest_approach(axis[:1], axis[1:])
    radius_mm = plan.needle.outer_diameter_mm / 2
    exact_mm = float(closest.distance_mm[0]) - radius_mm
    soft_mm = margins.soft_mm if short_of_tip_mm is None else None
    band_mm = max(plan.procedure.caution_band_mm, (soft_mm or 0.0) - margins.required_mm)
    verdict = verdict_of_margin(exact_mm, margins.required_mm, caution_band=band_mm)
    doubts = list(scene.doubts)
    if grid is None or not _is_covered(structure, grid, axis, margins.widest_mm + radius_mm):
        doubts.append(COVER_NOTE)
    if not margins.is_known:
        doubts.append(MARGINS_NOTE)
    if doubts and verdict is not Verdict.FAIL:
        verdict = Verdict.UNKNOWN
    x, y, z = (float(v) for v in closest.on_axis_lps_mm[0])
    return ActualClearance(
        structure=structure.name,
        planned_mm=planned_mm,
        clearance_mm=float(floor_to_hundredth(exact_mm)),
        required_mm=margins.required_mm,
        verdict=verdict,
        where_lps_mm=(x, y, z),
        note="; ".join(doubts),
        soft_mm=soft_mm,
        part="" if short_of_tip_mm is None else f"all but the last {short_of_tip_mm:g} mm",
    )


def _planned_shaft_mm(planned: TrajectoryRecord, name: str) -> float | None:
    told = (f for f in planned.findings if f.constraint == "shaft_clearance")
    return next((f.measured for f in told if f.structure == name), None)


def _is_covered(
    structure: Structure, image_grid: Grid, axis_lps_mm: FloatArray, reach_mm: float
) -> bool:
    """Whether mask and image hold all that lies within reach of the needle."""
    return all(
        _room_to_faces_mm(grid, axis_lps_mm) >= reach_mm
        for grid in (image_grid, structure.source.grid)
    )


def _room_to_faces_mm(grid: Grid, points_lps_mm: FloatArray) -> float:
    """Least distance of points to the faces of a grid's box, negative outside."""
    kji = grid.to_kji(points_lps_mm)
    last = np.array(grid.shape_kji) - 0.5
    return float((np.minimum(kji + 0.5, last - kji) * grid.spacing_kji_mm).min())


def _missing(planned: TrajectoryRecord) -> list[str]:
    return [
        f.structure or "?"
        for f in planned.findings
        if f.constraint == "missing_structure" and f.verdict is Verdict.UNKNOWN
    ]


def _room_mm(item: ActualClearance) -> tuple[float, str]:
    """What is not measured comes first: it is not known to be far."""
    if item.clearance_mm is None:
        return -np.inf, item.structure
    return item.clearance_mm - item.wanted_mm, item.title
