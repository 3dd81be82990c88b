"""The plan of ``tests.plan_factory`` as if metal lay beside its paths, with known numbers.

The bound of the shift grows linearly along one direction, which trilinear interpolation
keeps exactly: every line of equal shift is a straight line at a known place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.geometry.frames import unit
from planner.model import Evidenced, PlanResult, Verdict
from planner.model.mr import Material, MRAcquisition, Provenance, SequenceFamily, ValueSource
from planner.model.mr_results import (
    AdviceRow,
    ImplantUse,
    MetalMap,
    MetalRecord,
    NeedleArtefact,
    ScanPlane,
    TargetShift,
)

SLOPE_PER_MM = 0.12
SHIFT_AT_TIP_MM = 1.4
VOID_FROM_MM = 6.5
"""Shift bound from which the made-up map has its void."""

READOUT_LPS = unit([0.8, -0.6, 0.0])
SLICE_LPS = np.array([0.0, 0.0, 1.0])
UPHILL_LPS = unit([-0.9, 0.3, 0.25])
"""Direction in which the shift grows: away from the needle, to the patient's right."""

TITANIUM = Material(
    name="titanium",
    delta_chi_ppm=Evidenced(value=191.0, evidence="M: somewhere"),
    low_ppm=187.0,
    high_ppm=195.0,
)
COBALT = replace(TITANIUM, name="cobalt-chrome", low_ppm=859.0, high_ppm=1309.0)

ARTEFACT = NeedleArtefact(
    width_mm=3.31,
    width_max_mm=6.72,
    tip_overshoot_mm=0.43,
    tip_max_mm=2.84,
    b0_angle_deg=77.0,
    pixels_wide=2.4,
    material="titanium alloy",
    is_visible=True,
    blooms=False,
)


def acquisition(**changes: object) -> MRAcquisition:
    """A 2-D turbo spin echo of 1.5 T of which everything is known."""
    tag = Provenance(source=ValueSource.TAG, detail="MagneticFieldStrength (0018,0087)")
    given = Provenance(source=ValueSource.USER, detail="given by the user")
    known = MRAcquisition(
        field_t=1.5,
        b0_direction_lps=np.array([0.0, 0.0, 1.0]),
        bandwidth_hz_per_px=250.0,
        readout_pixel_mm=1.4,
        phase_pixel_mm=None,
        readout_axis_lps=READOUT_LPS,
        slice_axis_lps=SLICE_LPS,
        slice_thickness_mm=3.0,
        rf_bandwidth_hz=1000.0,
        acquisition="2D",
        sequence=SequenceFamily.TSE,
        echo_time_ms=95.0,
        repetition_time_ms=None,
        sources={"field_t": tag, "sequence": given},
        problems={"repetition_time_ms": "RepetitionTime (0018,0080) is missing"},
    )
    return replace(known, **changes)


def shift_at_mm(points_lps_mm: np.ndarray, tip_lps_mm: np.ndarray) -> np.ndarray:
    """The made-up bound of the shift, mm; it is cut off at 0."""
    along = (points_lps_mm - tip_lps_mm) @ UPHILL_LPS
    return np.maximum(0.0, SHIFT_AT_TIP_MM + SLOPE_PER_MM * along)


def metal_map(result: PlanResult, start=(2, 5, 7), stop=(36, 147, 150)) -> MetalMap:
    """The made-up map on a block of the image grid that begins off its corner."""
    grid = result.volume.grid.cropped(np.array(start), np.array(stop))
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    shift = shift_at_mm(points, result.target.point_lps_mm)
    side = (points - result.target.point_lps_mm) @ UPHILL_LPS
    return MetalMap(
        grid=grid,
        readout_mm=shift.astype(np.float32),
        slice_mm=np.zeros_like(shift, np.float32),
        is_void=shift >= VOID_FROM_MM,
        field_hz=(3.0 * side).astype(np.float32),
    )


def with_mr(result: PlanResult, *, far: bool = False) -> PlanResult:
    """The same plan beside metal; with ``far``, metal whose shift is felt nowhere."""
    metal = metal_map(result)
    if far:
        nothing = np.zeros_like(metal.readout_mm)
        metal = replace(metal, readout_mm=nothing, is_void=nothing > 0)
    planes = tuple(_plane(name) for name in ("along needle 1", "along needle 2", "across"))
    paths = []
    for path in result.trajectories:
        drawn = {c.structure: c.clearance_mm + 4.75 for c in path.clearances[:2]}
        drawn |= {c.structure: c.clearance_mm for c in path.clearances[2:]}
        record = MetalRecord(
            zones_mm={"void": 0.0, "distorted": 31.4, "far": 12.7},
            largest_shift_mm=2.63,
            target_shift=TargetShift(readout_mm=1.12, slice_mm=0.94, fat_mm=0.81),
            clearance_without_sweep_mm=drawn,
            binding=(path.clearances[0].structure,),
        )
        paths.append(
            replace(path, metal=record, artefact=ARTEFACT, scan_planes=planes, advice=_advice())
        )
    rods = ImplantUse(name="rods", materials=(TITANIUM,), shape="rods")
    screw = ImplantUse(name="pedicle_screw_right", materials=(TITANIUM, COBALT), shape="mask")
    return replace(
        result,
        trajectories=tuple(paths),
        acquisitions=(acquisition(),),
        implants=(rods, screw),
        metal=metal,
    )


def _advice() -> tuple[AdviceRow, ...]:
    return (
        AdviceRow(
            change="as it is",
            verdict=Verdict.CAUTION,
            room_mm=0.37,
            structure="nerve_root_L4_left",
            void_mm=5.55,
            target_shift_mm=1.89,
        ),
        AdviceRow(
            change="bandwidth 500 Hz per pixel",
            verdict=Verdict.PASS,
            room_mm=None,
            structure=None,
            void_mm=None,
            target_shift_mm=0.96,
        ),
    )


def _plane(name: str) -> ScanPlane:
    return ScanPlane(
        name=name,
        centre_lps_mm=np.array([1.25, -2.5, 3.0]),
        normal_lps=np.array([0.0, -1e-9, 1.0]),
        row_direction_lps=np.array([1.0, 0.0, 0.0]),
        column_direction_lps=np.array([0.0, 1.0, 0.0]),
        orientation="T > C 12.3 > S -4.5",
        field_of_view_mm=130.0,
        readout_direction_lps=np.array([1.0, 0.0, 0.0]),
        readout_rotation_deg=0.0,
        readout_reason="across the needle",
    )
