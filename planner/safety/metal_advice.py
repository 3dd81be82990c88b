"""What another sequence would change for one path beside metal: computed again, not looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask
from planner.geometry.clearance import MaskIndex, floor_to_hundredth
from planner.model import Needle, StructureRole, Target, Verdict, verdict_of_margin
from planner.model.mr import MRAcquisition, SequenceFamily
from planner.model.mr_results import AdviceRow
from planner.physics.metal_zones import MetalField, cropped_field
from planner.physics.shifts import missing_for_metal
from planner.safety.checks import NeedleAxis
from planner.safety.drawn_shift import drawn_shift_mm
from planner.safety.metal import MetalLayer, SweepWidths, sweep_widths, void_mask, with_acquisition
from planner.safety.metal_findings import fat_shift_mm
from planner.safety.obstacles import CONTACT_MM, Obstacle, Obstacles

TARGET_ROOM_MM = 60.0
"""Around the target: what is drawn at it may come from as far (``MAX_REACH_MM``)."""

NEIGHBOURHOOD_MM = 30.0
"""Structures farther from the path than this are not looked at again."""


def alternatives(acquisition: MRAcquisition) -> tuple[tuple[str, MRAcquisition], ...]:
    """The changes worth asking about, as acquisitions; only those that apply."""
    found: list[tuple[str, MRAcquisition]] = []
    readout, through = acquisition.readout_axis_lps, acquisition.slice_axis_lps
    if readout is not None and through is not None:
        swapped = replace(
            acquisition,
            readout_axis_lps=np.cross(through, readout),
            readout_pixel_mm=acquisition.phase_pixel_mm or acquisition.readout_pixel_mm,
            phase_pixel_mm=acquisition.readout_pixel_mm,
        )
        found.append(("readout and phase swapped", swapped))
    if acquisition.bandwidth_hz_per_px is not None:
        doubled = acquisition.bandwidth_hz_per_px * 2
        wide = replace(acquisition, bandwidth_hz_per_px=doubled)
        found.append((f"bandwidth {doubled:g} Hz per pixel", wide))
    if not acquisition.sequence.refocuses:
        turbo = replace(acquisition, sequence=SequenceFamily.TSE)
        found.append(("turbo spin echo instead of gradient echo", turbo))
    if acquisition.field_t is not None and acquisition.field_t > 2.0:
        found.append(("1.5 T instead of 3 T", replace(acquisition, field_t=1.5)))
    if acquisition.acquisition == "2D" and acquisition.slice_thickness_mm is not None:
        half = acquisition.slice_thickness_mm / 2
        thin = replace(acquisition, slice_thickness_mm=half)
        found.append((f"slices of {half:g} mm", thin))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOutlook:
    """The target under one alternative."""

    change: str
    is_in_void: bool
    shift_mm: float


def target_outlooks(
    layer: MetalLayer, target: Target, *, is_in_bone: bool
) -> tuple[TargetOutlook, ...]:
    """Whether the target lies in the void and how far it may be shifted, as is and otherwise."""
    if layer.field is None:
        return ()
    point = target.point_lps_mm
    near = replace(layer, field=cropped_field(layer.field, point[None, :], TARGET_ROOM_MM))
    found = []
    first = layer.acquisitions[0]
    for change, acquisition in [("as it is", first), *alternatives(first)]:
        if missing_for_metal(acquisition):
            continue
        one = with_acquisition(near, acquisition)
        found.append(
            TargetOutlook(
                change=change,
                is_in_void=bool(void_mask(one).contains(point)),
                shift_mm=_target_shift_mm(one, target, is_in_bone),
            )
        )
    return tuple(found)


def advice(
    axis: NeedleAxis,
    layer: MetalLayer,
    plain: Obstacles,
    needle: Needle,
    target: Target,
    plain_clearance_mm: Mapping[str, float],
    *,
    is_in_bone: bool,
) -> tuple[AdviceRow, ...]:
    """The path under the sequence as it is, and under each alternative to it.

    Parameters
    ----------
    plain : Obstacles
        Before the sweep.
    plain_clearance_mm : mapping
        Clearances of the path to the structures as drawn.
    """
    if layer.field is None:
        return ()
    near = replace(layer, field=_near(layer.field, axis))
    current = layer.acquisitions[0]
    rows = [("as it is", current), *alternatives(current)]
    return tuple(
        _row(
            change,
            with_acquisition(near, one),
            axis,
            plain,
            needle,
            target,
            plain_clearance_mm,
            is_in_bone,
        )
        for change, one in rows
        if not missing_for_metal(one)
    )


def _near(field: MetalField, axis: NeedleAxis) -> MetalField:
    ends = np.stack([axis.entry_lps_mm, axis.end_lps_mm])
    return cropped_field(field, ends, NEIGHBOURHOOD_MM)


def _row(
    change: str,
    layer: MetalLayer,
    axis: NeedleAxis,
    plain: Obstacles,
    needle: Needle,
    target: Target,
    plain_clearance_mm: Mapping[str, float],
    is_in_bone: bool,
) -> AdviceRow:
    zones, widths = layer.zones[0], sweep_widths(layer)
    verdicts = [Verdict.PASS]
    room, structure = None, None
    for obstacle in plain.obstacles:
        clearance = plain_clearance_mm[obstacle.name]
        in_block = _clearance_mm(obstacle, layer, widths, axis, needle)
        if in_block is not None:
            clearance = min(clearance, in_block)
        verdicts.append(
            verdict_of_margin(clearance, obstacle.required_mm, caution_band=obstacle.caution_mm)
        )
        slack = clearance - obstacle.required_mm
        if room is None or slack < room:
            room, structure = slack, obstacle.name
    void_mm = _distance_mm(zones.is_void, layer, axis, needle)
    if void_mm is not None:
        verdicts.append(verdict_of_margin(void_mm, CONTACT_MM))
    shift = _target_shift_mm(layer, target, is_in_bone)
    verdicts.append(verdict_of_margin(target.tolerance_mm - shift, 0.0))
    return AdviceRow(
        change=change,
        verdict=Verdict.worst(verdicts),
        room_mm=None if room is None else float(floor_to_hundredth(room)),
        structure=structure,
        void_mm=None if void_mm is None else float(floor_to_hundredth(void_mm)),
        target_shift_mm=round(shift, 2),
    )


def _clearance_mm(
    obstacle: Obstacle,
    layer: MetalLayer,
    widths: SweepWidths,
    axis: NeedleAxis,
    needle: Needle,
) -> float | None:
    inside = obstacle.structure.mask.inside[layer.zones[0].block]
    is_metal = obstacle.structure.role is StructureRole.IMPLANT
    return _distance_mm(inside if is_metal else widths.swept(inside), layer, axis, needle)


def _distance_mm(
    inside: NDArray[np.bool_], layer: MetalLayer, axis: NeedleAxis, needle: Needle
) -> float | None:
    """Clearance to what lies in the block; None where nothing does."""
    if not inside.any():
        return None
    zones = layer.zones[0]
    block = Mask(grid=layer.grid.cropped(zones.start_kji, zones.stop_kji), inside=inside)
    found = MaskIndex(block).closest_approach(axis.entry_lps_mm, axis.end_lps_mm)
    return float(found.distance_mm[0]) - needle.radius_mm


def _target_shift_mm(layer: MetalLayer, target: Target, is_in_bone: bool) -> float:
    readout, through = drawn_shift_mm(
        target.point_lps_mm, layer.zones[0], layer.models[0], layer.grid
    )
    if is_in_bone:
        readout += fat_shift_mm(layer.acquisitions[0])
    return float(np.hypot(readout, through))
