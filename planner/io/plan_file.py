"""Plan file: a plan result as plan.json and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePath, PureWindowsPath

import numpy as np
from pydantic import JsonValue, ValidationError

import planner
from planner.errors import OutputError
from planner.geometry import Grid
from planner.geometry.digest import mask_sha256, volume_sha256
from planner.io.atomic import write_text_atomic
from planner.io.plan_document import (
    SCHEMA_ID,
    AnglesRecord,
    BodyRecord,
    BoreRecord,
    ClearanceRecord,
    CoverageRecord,
    ExplanationRecord,
    FindingRecord,
    FrameRecord,
    ImageRecord,
    Matrix,
    NeedleRecord,
    PairRecord,
    PlanDocument,
    Point,
    ProcedureRecord,
    RegionRecord,
    SearchRecord,
    Software,
    StructureRecord,
    TargetRecord,
    TrajectoryRecord,
    WarningRecord,
)
from planner.io.plan_mr_records import (
    artefact_record,
    implant_record,
    mr_record,
    plane_record,
    susceptibility_record,
)
from planner.io.plan_reading import describe, load_plan
from planner.model import PlanResult, Structure, StructureUse, TargetRegion, Trajectory

__all__ = ["load_plan", "plan_document", "save_plan"]


def plan_document(result: PlanResult, *, created_utc: datetime | None = None) -> PlanDocument:
    """The plan as it is written to plan.json.

    Parameters
    ----------
    result : PlanResult
    created_utc : datetime, optional
        Now when not given.

    Raises
    ------
    OutputError
        If the result holds a number that is not finite.
    """
    try:
        return PlanDocument(
            schema=SCHEMA_ID,
            created_utc=_timestamp(created_utc),
            software=Software(name="mr-needle-planner", version=planner.__version__),
            frame=_frame(result),
            image=_image(result),
            procedure=_procedure(result),
            needle=NeedleRecord(
                name=result.needle.name,
                outer_diameter_mm=float(result.needle.outer_diameter_mm),
                length_mm=float(result.needle.length_mm),
                throw_mm=float(result.needle.throw_mm),
                material=result.needle.material,
                inner_diameter_mm=float(result.needle.inner_diameter_mm),
            ),
            target=TargetRecord(
                point_lps_mm=_point(result.target.point_lps_mm),
                tolerance_mm=float(result.target.tolerance_mm),
                name=result.target.name,
                region=_region(result.target.region),
                midline_l_mm=_number(result.midline_l_mm),
            ),
            structures=_structures(result),
            body=_body(result),
            mr=mr_record(result.acquisitions),
            implants=tuple(implant_record(implant) for implant in result.implants),
            bore=None if result.bore is None else BoreRecord(**asdict(result.bore)),
            pairs=tuple(PairRecord(**asdict(pair)) for pair in result.pairs),
            search=SearchRecord(
                candidates=len(result.candidates),
                feasible=int(np.count_nonzero(result.candidates.feasible)),
                rejected=result.rejected_counts,
                seconds={str(k): float(v) for k, v in result.seconds.items()},
            ),
            verdict=result.verdict,
            trajectories=tuple(_trajectory(t, result) for t in result.trajectories),
            explanation=tuple(
                ExplanationRecord(
                    code=e.code,
                    message=e.message,
                    constraint=e.constraint,
                    n_removed=int(e.n_removed),
                    n_only_this=int(e.n_only_this),
                    current=_number(e.current),
                    opens_at=_number(e.opens_at),
                    unit=e.unit,
                )
                for e in result.explanation
            ),
            warnings=tuple(WarningRecord(code=w.code, message=w.message) for w in result.warnings),
            options={str(k): _json_value(v) for k, v in result.options.items()},
        )
    except ValidationError as error:
        raise OutputError(
            "the plan holds a value that a plan file cannot",
            seen=describe(error),
            fix="This is a fault of the planner: please report it.",
        ) from error


def save_plan(result: PlanResult | PlanDocument, path: str | os.PathLike[str]) -> Path:
    """The path of plan.json, after it was written in one step.

    Raises
    ------
    OutputError
        If the file cannot be written (the old file, if any, is kept), with the reason.
    """
    document = result if isinstance(result, PlanDocument) else plan_document(result)
    return write_text_atomic(path, document.to_json())


# --- building ----------------------------------------------------------------------------------


def _frame(result: PlanResult) -> FrameRecord:
    frame = result.volume.grid.frame
    return FrameRecord(
        coordinate_system="LPS", unit="mm", frame_of_reference_uid=frame.uid, label=frame.label
    )


def _image(result: PlanResult) -> ImageRecord:
    source, grid = result.volume.source, result.volume.grid
    return ImageRecord(
        modality=source.modality,
        study_instance_uid=source.study_instance_uid,
        series_instance_uid=source.series_instance_uid,
        series_number=source.series_number,
        part=source.part,
        patient_position=str(source.patient_position),
        shape_kji=grid.shape_kji,
        spacing_kji_mm=_point(grid.spacing_kji_mm),
        lps_from_kji=_matrix(grid),
        sha256=volume_sha256(result.volume),
        n_files=len(source.files),
    )


def _procedure(result: PlanResult) -> ProcedureRecord:
    protocol = result.protocol
    return ProcedureRecord(
        id=protocol.id,
        sha256=protocol.sha256,
        title=protocol.title,
        caution_band_mm=float(protocol.caution_band.value),
        max_skin_angle_deg=float(protocol.max_skin_angle.value),
        min_length_mm=float(protocol.min_length.value),
        length_reserve_mm=float(protocol.length_reserve.value),
        opt_ins=protocol.opted_in,
        required_classes=tuple(r.label for r in protocol.margins if r.required),
    )


def _region(region: TargetRegion | None) -> RegionRecord | None:
    if region is None:
        return None
    return RegionRecord(
        name=region.name,
        voxels=region.mask.n_voxels,
        sha256=mask_sha256(region.mask),
        level=region.level,
        side=region.side,
        axis_lps=None if region.axis_lps is None else _point(region.axis_lps),
        plane_normal_lps=None
        if region.plane_normal_lps is None
        else _point(region.plane_normal_lps),
        measures={key: float(value) for key, value in region.measures.items()},
        words=region.words,
        warnings=tuple(region.warnings),
    )


def _structures(result: PlanResult) -> tuple[StructureRecord, ...]:
    uses = {use.name: use for use in result.uses}
    return tuple(_structure(s, uses.get(s.name)) for s in result.structures.structures)


def _structure(structure: Structure, use: StructureUse | None) -> StructureRecord:
    source = structure.source
    return StructureRecord(
        name=structure.name,
        role=structure.role,
        margin_mm=None if use is None else _number(use.margin_mm),
        hard=use is not None and use.hard,
        voxels=structure.mask.n_voxels,
        volume_mm3=structure.mask.volume_mm3,
        source=_file_name(source.file),
        sha256=mask_sha256(structure.mask),
        own_margin_mm=_number(structure.margin_mm),
        structure_class=structure.structure_class,
        evidence="" if use is None else use.evidence,
        method=source.method,
        grown_mm=float(source.grown_mm),
        role_from=source.role_from,
        frame_mismatch=source.frame_mismatch,
        tool=source.tool,
        label_value=source.label_value,
        segment_name=source.segment_name,
        file_sha256=source.sha256,
        coverage=CoverageRecord(shape_kji=source.grid.shape_kji, lps_from_kji=_matrix(source.grid)),
    )


def _body(result: PlanResult) -> BodyRecord:
    body = result.body
    return BodyRecord(
        source=result.body_source,
        sha256=None if body is None else mask_sha256(body),
        voxels=None if body is None else body.n_voxels,
    )


def _trajectory(trajectory: Trajectory, result: PlanResult) -> TrajectoryRecord:
    angles = trajectory.angles
    miss_mm = np.linalg.norm(trajectory.tip_lps_mm - result.target.point_lps_mm)
    return TrajectoryRecord(
        rank=int(trajectory.rank),
        entry_lps_mm=_point(trajectory.entry_lps_mm),
        tip_lps_mm=_point(trajectory.tip_lps_mm),
        throw_end_lps_mm=_point(trajectory.throw_end_lps_mm),
        skin_normal_lps=_point(trajectory.skin_normal_lps),
        length_mm=float(trajectory.length_mm),
        tip_to_target_mm=float(miss_mm),
        verdict=trajectory.verdict,
        cost=float(trajectory.cost),
        cost_terms={str(k): float(v) for k, v in trajectory.cost_terms.items()},
        angles=AnglesRecord(
            axial_deg=float(angles.axial_deg),
            craniocaudal_deg=float(angles.craniocaudal_deg),
            skin_normal_deg=float(angles.skin_normal_deg),
            b0_deg=_number(angles.b0_deg),
        ),
        clearance_mm={c.structure: float(c.clearance_mm) for c in trajectory.clearances},
        clearances=tuple(
            ClearanceRecord(
                structure=c.structure,
                clearance_mm=float(c.clearance_mm),
                required_mm=_number(c.required_mm),
                on_needle_lps_mm=_point(c.on_needle_lps_mm),
                on_structure_lps_mm=_point(c.on_structure_lps_mm),
            )
            for c in trajectory.clearances
        ),
        findings=tuple(
            FindingRecord(
                constraint=f.constraint,
                structure=f.structure,
                measured=_number(f.measured),
                required=_number(f.required),
                unit=f.unit,
                verdict=f.verdict,
                where_lps_mm=None if f.where_lps_mm is None else _point(f.where_lps_mm),
                note=f.note,
            )
            for f in trajectory.findings
        ),
        is_pareto_optimal=bool(trajectory.is_pareto_optimal),
        words=trajectory.words,
        candidate=None if trajectory.candidate is None else int(trajectory.candidate),
        susceptibility=susceptibility_record(trajectory),
        needle_artefact=artefact_record(trajectory.artefact),
        bore_room_mm=_number(trajectory.bore_room_mm),
        scan_planes=tuple(plane_record(plane) for plane in trajectory.scan_planes),
    )


def _timestamp(moment: datetime | None) -> str:
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _point(values: Iterable[float]) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _matrix(grid: Grid) -> Matrix:
    a, b, c, d = ((float(w), float(x), float(y), float(z)) for w, x, y, z in grid.lps_from_kji)
    return a, b, c, d


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _file_name(text: str) -> str:
    """The last part of a path of either system: a folder may hold a patient's name."""
    return PureWindowsPath(text).name or text


def _json_value(value: object) -> JsonValue:
    """An option as JSON; folders are cut from paths, other objects named by their type."""
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, str):
        is_absolute = PureWindowsPath(value).is_absolute() or value.startswith("/")
        return _file_name(value) if is_absolute else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return _json_value(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): _json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(v) for v in value]
    return f"<{type(value).__name__}>"
