"""What metal means for one path: zones travelled, shifts met, clearances without the sweep."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Grid, Mask
from planner.geometry.clearance import MaskIndex
from planner.geometry.frames import FloatArray
from planner.geometry.walk import BodyWalker
from planner.model import Finding, Needle, Target, Verdict
from planner.model.mr import GYROMAGNETIC_MHZ_PER_T, Cylinder, MRAcquisition
from planner.model.mr_results import MetalRecord, TargetShift
from planner.physics.acquisition import FAT_SHIFT_PPM
from planner.physics.metal_zones import FAR_SHIFT_MM, MetalZones
from planner.safety.checks import NeedleAxis, check_clearances
from planner.safety.drawn_shift import drawn_shift_mm
from planner.safety.fields import FieldCache
from planner.safety.metal import MR_UNKNOWN, MetalLayer, void_mask
from planner.safety.obstacles import Obstacles

TARGET_SHIFT = "target_shift"
DISTORTED = "mr_distorted"
_SAMPLE_SHARE = 0.25
"""Step along the needle, in voxel edges, at which the shift bound is looked up."""


class CutMetal:
    """Metal at the edge of the image: what goes on beyond has a field too, and nobody knows it."""

    def __init__(self, layer: MetalLayer) -> None:
        faces = np.zeros(layer.grid.shape_kji, np.bool_)
        for axis in range(3):
            for end in (0, -1):
                edge: list[slice | int] = [slice(None)] * 3
                edge[axis] = end
                faces[tuple(edge)] = True
        self._rods = [
            (implant.structure.name, outside, layer.reach_mm(implant))
            for implant in layer.implants
            if len(outside := _outside_points(implant.structure.rods, layer.grid))
        ]
        self._parts = [
            (implant.structure.name, MaskIndex(Mask(grid=layer.grid, inside=cut)), reach)
            for implant in layer.implants
            if (cut := implant.structure.mask.inside & faces).any()
            for reach in [layer.reach_mm(implant)]
        ]

    def findings(self, axis: NeedleAxis) -> tuple[Finding, ...]:
        """UNKNOWN for a path within reach of as much metal again beyond the edge."""
        found = []
        gaps = [
            (
                name,
                float(index.closest_approach(axis.entry_lps_mm, axis.end_lps_mm).distance_mm[0]),
                reach_mm,
            )
            for name, index, reach_mm in self._parts
        ]
        gaps += [(name, _gap_mm(points, axis), reach_mm) for name, points, reach_mm in self._rods]
        for name, gap_mm, reach_mm in gaps:
            if not gap_mm >= reach_mm:
                found.append(
                    Finding(
                        constraint=MR_UNKNOWN,
                        structure=name,
                        measured=round(gap_mm, 2),
                        required=round(reach_mm, 2),
                        unit="mm",
                        verdict=Verdict.UNKNOWN,
                        note="the image cuts this implant, and the field of metal beyond it is not "
                        "known: distance of the path from the cut, and the one from which as "
                        "much metal again would not matter",
                    )
                )
        return tuple(found)


def _outside_points(rods: tuple[Cylinder, ...], grid: Grid) -> FloatArray:
    """Points along the axes of rods that lie outside the image, (n, 3)."""
    along = np.linspace(0.0, 1.0, 101)[:, None]
    lines = [r.start_lps_mm + along * (r.end_lps_mm - r.start_lps_mm) for r in rods]
    points = np.concatenate(lines) if lines else np.zeros((0, 3))
    return np.asarray(points[~grid.contains(points)]) if len(points) else points


def _gap_mm(points: FloatArray, axis: NeedleAxis) -> float:
    """Distance of the needle's axis, throw included, to the nearest of some points."""
    along = axis.end_lps_mm - axis.entry_lps_mm
    offset = points - axis.entry_lps_mm
    place = np.clip(offset @ along / (along @ along), 0.0, 1.0)
    return float(np.linalg.norm(offset - place[:, None] * along, axis=1).min())


class MetalWalks:
    """Walkers through the void and the distorted zone, made once per layer."""

    def __init__(self, layer: MetalLayer) -> None:
        worst = layer.worst
        assert worst is not None
        self.layer = layer
        self.zones: MetalZones = worst
        distorted = np.zeros(layer.grid.shape_kji, np.bool_)
        distorted[worst.block] = (worst.shift_mm >= FAR_SHIFT_MM) & ~worst.is_void
        self.void = BodyWalker(void_mask(layer))
        self.distorted = BodyWalker(Mask(grid=layer.grid, inside=distorted))

    def length_mm(self, walker: BodyWalker, axis: NeedleAxis) -> float:
        """Millimetres of the axis inside a zone, throw included."""
        start = walker.grid.to_axes_mm(axis.entry_lps_mm)[None, :]
        end = walker.grid.to_axes_mm(axis.end_lps_mm)[None, :]
        return float(walker.length_inside_mm(start, end, np.zeros(1, np.int64))[0])

    def largest_shift_mm(self, axis: NeedleAxis) -> float:
        """Greatest bound of the shift met outside the void; 0 far from metal."""
        shifts = np.where(self.zones.is_void, 0.0, self.zones.shift_mm)
        step = _SAMPLE_SHARE * float(self.void.grid.spacing_kji_mm.min())
        length = float(np.linalg.norm(axis.end_lps_mm - axis.entry_lps_mm))
        along = np.linspace(0.0, 1.0, int(np.ceil(length / step)) + 2)[:, None]
        points = axis.entry_lps_mm + along * (axis.end_lps_mm - axis.entry_lps_mm)
        return float(self._at(points, shifts).max())

    def at_mm(self, point_lps_mm: FloatArray) -> tuple[float, float]:
        """By how much what is drawn at a point may lie elsewhere, along readout and slice."""
        found = [
            drawn_shift_mm(point_lps_mm, zones, model, self.layer.grid)
            for zones, model in zip(self.layer.zones, self.layer.models, strict=True)
        ]
        return max(f[0] for f in found), max(f[1] for f in found)

    def _at(self, points_lps_mm: FloatArray, values: NDArray[np.floating]) -> FloatArray:
        kji = np.rint(self.void.grid.to_kji(points_lps_mm)).astype(np.int64) - self.zones.start_kji
        ok = np.all((kji >= 0) & (kji < np.array(values.shape)), axis=1)
        found = np.zeros(len(kji))
        found[ok] = values[tuple(kji[ok].T)]
        return found


def target_shift(
    target: Target,
    acquisition: MRAcquisition | None,
    walks: MetalWalks | None,
    *,
    is_in_bone: bool,
) -> TargetShift:
    """Shift of the target by metal and, in marrow, by the chemical shift of fat."""
    readout, through = (0.0, 0.0) if walks is None else walks.at_mm(target.point_lps_mm)
    fat = fat_shift_mm(acquisition) if is_in_bone and acquisition is not None else 0.0
    return TargetShift(readout_mm=readout, slice_mm=through, fat_mm=fat)


def fat_shift_mm(acquisition: MRAcquisition) -> float:
    """Shift of fat against water along the readout, mm; 0 where it cannot be computed."""
    field_t, bandwidth = acquisition.field_t, acquisition.bandwidth_hz_per_px
    pixel = acquisition.readout_pixel_mm
    if field_t is None or bandwidth is None or pixel is None:
        return 0.0
    return FAT_SHIFT_PPM * GYROMAGNETIC_MHZ_PER_T * field_t / bandwidth * pixel


def shift_findings(shift: TargetShift, target: Target) -> tuple[Finding, ...]:
    """Whether the target's possible shift stays within its tolerance; none without a shift."""
    if shift.total_mm == 0.0:
        return ()
    point = target.point_lps_mm
    verdict = Verdict.FAIL
    if shift.metal_mm <= target.tolerance_mm:
        # marrow moves against all water alike and to a known amount: it can be seen and corrected
        verdict = Verdict.PASS if shift.total_mm <= target.tolerance_mm else Verdict.CAUTION
    return (
        Finding(
            constraint=TARGET_SHIFT,
            structure=None,
            measured=round(shift.total_mm, 2),
            required=target.tolerance_mm,
            unit="mm",
            verdict=verdict,
            where_lps_mm=(float(point[0]), float(point[1]), float(point[2])),
            note=f"the image may show the target up to {shift.readout_mm:.1f} mm off along the "
            f"readout and {shift.slice_mm:.1f} mm along the slice axis by metal, and "
            f"{shift.fat_mm:.1f} mm by the chemical shift of marrow",
        ),
    )


def metal_findings(record: MetalRecord) -> tuple[Finding, ...]:
    """What a person should know of a path beside metal; nothing where it is far from it."""
    distorted_mm = record.zones_mm["distorted"]
    if not distorted_mm > 0.0:
        return ()
    return (
        Finding(
            constraint=DISTORTED,
            structure=None,
            measured=round(distorted_mm, 2),
            required=None,
            unit="mm",
            verdict=Verdict.PASS,
            note=f"of the path where metal shifts the image by up to "
            f"{record.largest_shift_mm:.1f} mm; structures are swept by that bound",
        ),
    )


def metal_record(
    axis: NeedleAxis,
    walks: MetalWalks,
    shift: TargetShift,
    needle: Needle,
    plain: Obstacles,
    plain_cache: FieldCache,
    swept_clearance_mm: Mapping[str, float],
) -> MetalRecord:
    """One path beside metal, with its clearances to the masks as drawn.

    Parameters
    ----------
    plain : Obstacles
        Before the sweep; ``plain_cache`` their own cache.
    swept_clearance_mm : mapping
        Clearances of the path to the swept structures.
    """
    length = float(np.linalg.norm(axis.end_lps_mm - axis.entry_lps_mm))
    void = walks.length_mm(walks.void, axis)
    distorted = walks.length_mm(walks.distorted, axis)
    without, _ = check_clearances(axis, plain, needle, plain_cache)
    margins = {o.name: o.required_mm + o.caution_mm for o in plain.obstacles}
    binding = tuple(
        c.structure
        for c in without
        if swept_clearance_mm.get(c.structure, c.clearance_mm) < c.clearance_mm
        and not swept_clearance_mm[c.structure] >= margins[c.structure]
    )
    return MetalRecord(
        zones_mm={
            "void": round(void, 2),
            "distorted": round(distorted, 2),
            "far": round(max(0.0, length - void - distorted), 2),
        },
        largest_shift_mm=round(walks.largest_shift_mm(axis), 2),
        target_shift=shift,
        clearance_without_sweep_mm={c.structure: c.clearance_mm for c in without},
        binding=binding,
    )
