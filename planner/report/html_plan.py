"""A plan file as the plan result that the texts and pictures of a report read.

A plan.json holds every number of a plan, but neither its image nor its masks. The texts of
this room ask a ``PlanResult``; here one is made from the file, so that what was written once
is worded once. Where the image and the masks are not given, stand-ins of one voxel take
their place: they have the names and roles, and nothing is measured on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.errors import ConfigError, InputError
from planner.geometry import FrameId, Grid, ImageSource, Mask, PatientPosition, Volume
from planner.io.plan_document import (
    AcquisitionRecord,
    NeedleArtefactRecord,
    PlanDocument,
    ScanPlaneRecord,
    StructureRecord,
    SusceptibilityRecord,
    TrajectoryRecord,
)
from planner.model import (
    Angles,
    BoneRule,
    Candidates,
    Clearance,
    CostWeights,
    Evidenced,
    Explanation,
    Finding,
    MarginRule,
    MaskSource,
    Needle,
    NeedlePair,
    PlanResult,
    PlanWarning,
    Protocol,
    Structure,
    StructureSet,
    StructureUse,
    Target,
    Trajectory,
)
from planner.model.mr import (
    Material,
    MetalReduction,
    MRAcquisition,
    Provenance,
    SequenceFamily,
    ValueSource,
)
from planner.model.mr_results import (
    AdviceRow,
    Bore,
    ImplantUse,
    MetalRecord,
    NeedleArtefact,
    ScanPlane,
    TargetShift,
)
from planner.report.html_region import region_of

_IN_FILE = "E: as the plan file says"
MOST_CANDIDATES = 20_000_000
_BORE_AXIS_LPS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FileResult(PlanResult):
    """A plan of which the candidates are only counted."""

    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_counts(self) -> dict[str, int]:
        """How many candidates each hard constraint removed first, as the file says."""
        return dict(self.rejected)


def as_result(
    plan: PlanDocument,
    *,
    protocol: Protocol | None = None,
    volume: Volume | None = None,
    structures: StructureSet | None = None,
) -> FileResult:
    """The plan of a file as a ``PlanResult``, for texts and pictures only.

    Parameters
    ----------
    plan : PlanDocument
    protocol : Protocol, optional
        The procedure of the plan. Without it only what the file tells of it is there.
    volume, structures : Volume, StructureSet, optional
        The image and the masks of the plan, read again. Without them, pictures cannot be
        drawn from the result.

    Returns
    -------
    FileResult
        Its candidates are counts without places. Not to be planned or verified with.
    """
    is_whole = volume is not None and structures is not None
    if volume is None or structures is None:
        volume = _stand_in_volume(plan)
        structures = _stand_in_structures(plan, volume.grid)
    acquisitions = [] if plan.mr is None else [_acquisition(plan.mr)]
    if plan.mr is not None and plan.mr.guidance is not None:
        acquisitions.append(_acquisition(plan.mr.guidance))
    needle = plan.needle
    return FileResult(
        volume=volume,
        structures=structures,
        protocol=protocol or _stand_in_protocol(plan),
        needle=Needle(
            name=needle.name,
            outer_diameter_mm=needle.outer_diameter_mm,
            length_mm=needle.length_mm,
            throw_mm=needle.throw_mm,
            material=needle.material,
            inner_diameter_mm=needle.inner_diameter_mm,
        ),
        target=Target(
            point_lps_mm=np.array(plan.target.point_lps_mm),
            tolerance_mm=plan.target.tolerance_mm,
            name=plan.target.name,
            region=region_of(plan, structures if is_whole else None),
        ),
        uses=tuple(
            StructureUse(
                name=s.name,
                role=str(s.role),
                margin_mm=s.margin_mm,
                hard=s.hard,
                evidence=s.evidence,
            )
            for s in plan.structures
        ),
        candidates=_counts(plan),
        trajectories=tuple(_trajectory(t) for t in plan.trajectories),
        verdict=plan.worst_verdict,
        explanation=tuple(Explanation(**dict(e)) for e in plan.explanation),
        warnings=tuple(PlanWarning(**dict(w)) for w in plan.warnings),
        pairs=tuple(NeedlePair(**dict(pair)) for pair in plan.pairs),
        seconds=dict(plan.search.seconds),
        options=dict(plan.options),
        acquisitions=tuple(acquisitions),
        implants=tuple(
            ImplantUse(
                name=i.name,
                materials=tuple(
                    Material(
                        name=m.name,
                        delta_chi_ppm=Evidenced(value=m.delta_chi_ppm, evidence=m.evidence),
                        low_ppm=m.low_ppm,
                        high_ppm=m.high_ppm,
                    )
                    for m in i.materials
                ),
                shape=i.shape,
            )
            for i in plan.implants
        ),
        bore=None if plan.bore is None else Bore(**dict(plan.bore)),
        body_source=plan.body.source,
        rejected=dict(plan.search.rejected),
    )


def procedure_of(plan: PlanDocument, given: str | None = None) -> Protocol | None:
    """The procedure that a plan was made with: this very content, or None.

    Parameters
    ----------
    plan : PlanDocument
    given : str, optional
        File of the user's own procedure; without it the one that ships under that id.

    Raises
    ------
    ConfigError
        If ``given`` cannot be read or is not the procedure of the plan.
    """
    from planner.protocols import load_protocol

    if given is not None:
        protocol = load_protocol(given)
        found = procedure_as_planned(plan, protocol)
        if found is None:
            raise ConfigError(
                "this is not the procedure that the plan was made with",
                seen=f"SHA-256 {protocol.sha256[:16]}...",
                needed=f"{plan.procedure.sha256[:16]}...",
                where=given,
                fix="Give the file as it was when the plan was made, or leave the option out.",
            )
        return found
    try:
        return procedure_as_planned(plan, load_protocol(plan.procedure.id))
    except ConfigError:
        return None


def procedure_as_planned(plan: PlanDocument, protocol: Protocol) -> Protocol | None:
    """A procedure with the opt-ins of a plan; None where it is not the one of the plan."""
    if protocol.sha256 == plan.procedure.sha256:
        return protocol
    try:
        for name in plan.procedure.opt_ins:
            protocol = protocol.with_opt_in(name)
    except ConfigError:
        return None
    return protocol if protocol.sha256 == plan.procedure.sha256 else None


def _trajectory(record: TrajectoryRecord) -> Trajectory:
    beside = record.susceptibility
    metal = beside if isinstance(beside, SusceptibilityRecord) else None
    return Trajectory(
        rank=record.rank,
        entry_lps_mm=np.array(record.entry_lps_mm),
        tip_lps_mm=np.array(record.tip_lps_mm),
        throw_end_lps_mm=np.array(record.throw_end_lps_mm),
        skin_normal_lps=np.array(record.skin_normal_lps),
        length_mm=record.length_mm,
        verdict=record.worst_verdict,
        cost=record.cost,
        cost_terms=dict(record.cost_terms),
        angles=Angles(**dict(record.angles)),
        clearances=tuple(
            Clearance(
                structure=c.structure,
                clearance_mm=c.clearance_mm,
                required_mm=float("nan") if c.required_mm is None else c.required_mm,
                on_needle_lps_mm=np.array(c.on_needle_lps_mm),
                on_structure_lps_mm=np.array(c.on_structure_lps_mm),
            )
            for c in record.clearances
        ),
        findings=tuple(Finding(**dict(f)) for f in record.findings),
        is_pareto_optimal=record.is_pareto_optimal,
        words=record.words,
        candidate=record.candidate,
        artefact=_artefact(record),
        scan_planes=tuple(_plane(plane) for plane in record.scan_planes),
        metal=None if metal is None else _metal(metal),
        bore_room_mm=record.bore_room_mm,
        advice=() if metal is None else tuple(AdviceRow(**dict(row)) for row in metal.advice),
    )


def _plane(record: ScanPlaneRecord) -> ScanPlane:
    values: dict[str, Any] = {
        key: np.array(value) if isinstance(value, tuple) else value
        for key, value in dict(record).items()
    }
    return ScanPlane(**values)


def _artefact(record: TrajectoryRecord) -> NeedleArtefact | None:
    artefact = record.needle_artefact
    if not isinstance(artefact, NeedleArtefactRecord):
        return None
    return NeedleArtefact(**dict(artefact))


def _metal(record: SusceptibilityRecord) -> MetalRecord:
    shift = record.target_shift
    return MetalRecord(
        zones_mm={str(zone): value for zone, value in record.zones_mm.items()},
        largest_shift_mm=record.largest_shift_mm,
        target_shift=TargetShift(
            readout_mm=shift.readout_mm, slice_mm=shift.slice_mm, fat_mm=shift.fat_mm
        ),
        clearance_without_sweep_mm=dict(record.clearance_without_sweep_mm),
        binding=record.binding,
    )


def _acquisition(record: AcquisitionRecord) -> MRAcquisition:
    def axis(values: tuple[float, float, float] | None) -> np.ndarray | None:
        return None if values is None else np.array(values)

    known_families = {str(family) for family in SequenceFamily}
    known_reductions = {str(reduction) for reduction in MetalReduction}
    sources = {}
    for name, text in record.sources.items():
        kind, _, detail = text.partition(": ")
        if kind in {str(source) for source in ValueSource}:
            sources[name] = Provenance(source=ValueSource(kind), detail=detail)
    b0 = axis(record.b0_direction_lps)
    return MRAcquisition(
        field_t=record.field_t,
        b0_direction_lps=_BORE_AXIS_LPS if b0 is None else b0,
        bandwidth_hz_per_px=record.bandwidth_hz_per_px,
        readout_pixel_mm=record.readout_pixel_mm,
        phase_pixel_mm=record.phase_pixel_mm,
        readout_axis_lps=axis(record.readout_axis_lps),
        slice_axis_lps=axis(record.slice_axis_lps),
        slice_thickness_mm=record.slice_thickness_mm,
        rf_bandwidth_hz=float("nan") if record.rf_bandwidth_hz is None else record.rf_bandwidth_hz,
        acquisition=record.acquisition,
        sequence=SequenceFamily(record.sequence)
        if record.sequence in known_families
        else SequenceFamily.UNKNOWN,
        echo_time_ms=record.echo_time_ms,
        repetition_time_ms=record.repetition_time_ms,
        is_isotropic_readout=record.is_isotropic_readout,
        metal_reduction=MetalReduction(record.metal_reduction)
        if record.metal_reduction in known_reductions
        else MetalReduction.NONE,
        metal_reduction_hint=record.metal_reduction_hint,
        distortion_corrected=record.distortion_corrected,
        sources=sources,
        problems=dict(record.problems),
    )


# --- stand-ins ---------------------------------------------------------------------------------


def _stand_in_volume(plan: PlanDocument) -> Volume:
    image = plan.image
    grid = Grid(
        shape_kji=(1, 1, 1),
        lps_from_kji=np.array(image.lps_from_kji),
        frame=FrameId(plan.frame.frame_of_reference_uid, plan.frame.label),
    )
    positions = {str(position) for position in PatientPosition}
    return Volume(
        grid=grid,
        values=np.zeros((1, 1, 1), np.int16),
        source=ImageSource(
            modality=image.modality,
            study_instance_uid=image.study_instance_uid,
            series_instance_uid=image.series_instance_uid,
            series_number=image.series_number,
            part=image.part,
            patient_position=PatientPosition(image.patient_position)
            if image.patient_position in positions
            else PatientPosition.UNKNOWN,
        ),
    )


def _stand_in_structures(plan: PlanDocument, grid: Grid) -> StructureSet:
    one_voxel = Mask(grid=grid, inside=np.ones((1, 1, 1), np.bool_))
    return StructureSet(
        grid=grid,
        structures=tuple(_stand_in_structure(s, one_voxel) for s in plan.structures),
    )


def _stand_in_structure(record: StructureRecord, mask: Mask) -> Structure:
    return Structure(
        name=record.name,
        role=record.role,
        mask=mask,
        source=MaskSource(
            file=record.source,
            grid=mask.grid,
            sha256=record.file_sha256,
            method=record.method,
            role_from=record.role_from or "default",
        ),
        structure_class=record.structure_class,
    )


def _stand_in_protocol(plan: PlanDocument) -> Protocol:
    """What the plan file tells of its procedure; its list of what it leaves out is not in it."""
    record = plan.procedure

    def told(value: float | None) -> Evidenced:
        return Evidenced(value=float("nan") if value is None else value, evidence=_IN_FILE)

    unknown = told(None)
    return Protocol(
        id=record.id,
        title=record.title or record.id,
        needles=(plan.needle.name,),
        tolerance=told(plan.target.tolerance_mm),
        throw=told(plan.needle.throw_mm),
        bone=BoneRule.FORBIDDEN,
        bone_margin=unknown,
        default_margin=unknown,
        implant_margin=unknown,
        margins=tuple(
            MarginRule(structure_class=name, margin=unknown, required=True)
            for name in record.required_classes
        ),
        max_skin_angle=told(record.max_skin_angle_deg),
        min_length=told(record.min_length_mm),
        clear_at=unknown,
        caution_band=told(record.caution_band_mm),
        weights=CostWeights(),
        not_checked=(
            "what this procedure leaves to the physician: its list is not in the plan file, and "
            "the procedure itself is not known here (give its file: --procedure FILE)",
        ),
        sha256=record.sha256,
    )


def _counts(plan: PlanDocument) -> Candidates:
    """As many candidates as were tried; their places are not in the file."""
    search = plan.search
    n = search.candidates
    if not search.feasible <= n <= MOST_CANDIDATES:
        raise InputError(
            "the plan file states a number of candidates that no search has tried",
            seen=f"{search.feasible} feasible of {n}",
            needed=f"at most {MOST_CANDIDATES:,}, and no more feasible than tried",
            fix="It was changed by hand or is damaged: plan again.",
        )
    nowhere = np.broadcast_to(np.full(3, np.nan), (n, 3))
    unknown = np.broadcast_to(np.nan, (n,))
    return Candidates(
        entry_lps_mm=nowhere,
        tip_lps_mm=nowhere,
        skin_normal_lps=nowhere,
        feasible=np.arange(n) < search.feasible,
        rejected_by=np.broadcast_to(np.array("", dtype=np.str_), (n,)),
        cost=unknown,
        clearance_bound_mm=unknown,
    )
