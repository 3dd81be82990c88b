"""The MR part of a plan as records of the plan file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from planner.io.plan_document import (
    AcquisitionRecord,
    AdviceRecord,
    EmptyRecord,
    ImplantRecord,
    MaterialRecord,
    MrRecord,
    NeedleArtefactRecord,
    Point,
    ScanPlaneRecord,
    SusceptibilityRecord,
    TargetShiftRecord,
)
from planner.model import Trajectory
from planner.model.mr import MRAcquisition
from planner.model.mr_results import ImplantUse, NeedleArtefact, ScanPlane

ZONES: tuple[Literal["void", "distorted", "far"], ...] = ("void", "distorted", "far")


def mr_record(acquisitions: Sequence[MRAcquisition]) -> MrRecord | None:
    """The acquisition of the image and the guiding one; None for an image that is no MR."""
    if not acquisitions:
        return None
    first, *others = (_acquisition(a) for a in acquisitions)
    return MrRecord(**dict(first), guidance=others[0] if others else None)


def implant_record(implant: ImplantUse) -> ImplantRecord:
    """An implant with its candidate metals."""
    return ImplantRecord(
        name=implant.name,
        materials=tuple(
            MaterialRecord(
                name=m.name,
                delta_chi_ppm=float(m.delta_chi_ppm.value),
                low_ppm=float(m.low_ppm),
                high_ppm=float(m.high_ppm),
                evidence=m.delta_chi_ppm.evidence,
            )
            for m in implant.materials
        ),
        shape=implant.shape,
    )


def susceptibility_record(path: Trajectory) -> SusceptibilityRecord | EmptyRecord:
    """One path beside metal."""
    metal = path.metal
    if metal is None:
        return EmptyRecord()
    shift = metal.target_shift
    return SusceptibilityRecord(
        zones_mm={zone: float(metal.zones_mm[zone]) for zone in ZONES},
        largest_shift_mm=float(metal.largest_shift_mm),
        target_shift=TargetShiftRecord(
            readout_mm=shift.readout_mm,
            slice_mm=shift.slice_mm,
            fat_mm=shift.fat_mm,
            total_mm=shift.total_mm,
        ),
        clearance_without_sweep_mm=_floats(metal.clearance_without_sweep_mm),
        binding=metal.binding,
        advice=tuple(AdviceRecord(**asdict(row)) for row in path.advice),
    )


def artefact_record(artefact: NeedleArtefact | None) -> NeedleArtefactRecord | EmptyRecord:
    """The needle's artefact."""
    return EmptyRecord() if artefact is None else NeedleArtefactRecord(**asdict(artefact))


def plane_record(plane: ScanPlane) -> ScanPlaneRecord:
    """One scan plane."""
    return ScanPlaneRecord(
        name=plane.name,
        centre_lps_mm=_point(plane.centre_lps_mm),
        normal_lps=_point(plane.normal_lps),
        row_direction_lps=_point(plane.row_direction_lps),
        column_direction_lps=_point(plane.column_direction_lps),
        orientation=plane.orientation,
        field_of_view_mm=float(plane.field_of_view_mm),
        readout_direction_lps=_point(plane.readout_direction_lps),
        readout_rotation_deg=float(plane.readout_rotation_deg),
        readout_reason=plane.readout_reason,
    )


def _acquisition(known: MRAcquisition) -> AcquisitionRecord:
    return AcquisitionRecord(
        field_t=known.field_t,
        b0_direction_lps=_point(known.b0_direction_lps),
        bandwidth_hz_per_px=known.bandwidth_hz_per_px,
        readout_axis_lps=_direction(known.readout_axis_lps),
        readout_pixel_mm=known.readout_pixel_mm,
        phase_pixel_mm=known.phase_pixel_mm,
        slice_axis_lps=_direction(known.slice_axis_lps),
        slice_thickness_mm=known.slice_thickness_mm,
        acquisition=known.acquisition,
        sequence=str(known.sequence),
        echo_time_ms=known.echo_time_ms,
        repetition_time_ms=known.repetition_time_ms,
        rf_bandwidth_hz=known.rf_bandwidth_hz,
        is_isotropic_readout=known.is_isotropic_readout,
        metal_reduction=str(known.metal_reduction),
        metal_reduction_hint=known.metal_reduction_hint,
        distortion_corrected=known.distortion_corrected,
        sources={name: f"{p.source}: {p.detail}" for name, p in known.sources.items()},
        problems=dict(known.problems),
    )


def _direction(values: Iterable[float] | None) -> Point | None:
    return None if values is None else _point(values)


def _point(values: Iterable[float]) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _floats(values: Mapping[str, float]) -> dict[str, Any]:
    return {name: float(value) for name, value in values.items()}
