"""Findings about one trajectory, every number from the exact kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from planner.geometry import Grid, Mask
from planner.geometry.clearance import MaskIndex, floor_to_hundredth
from planner.geometry.frames import FloatArray
from planner.geometry.walk import BodyWalker
from planner.model import Clearance, Finding, Needle, Protocol, Verdict, verdict_of_margin
from planner.safety.fields import FieldCache
from planner.safety.obstacles import Obstacle, Obstacles

WHOLE_IMAGE_TOL_MM = 0.02
"""Two headers of one grid agree to this: both round their numbers."""


SHAFT_CLEARANCE = "shaft_clearance"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NeedleAxis:
    """One needle axis, LPS mm: entry, tip, and the end of the throw."""

    entry_lps_mm: FloatArray
    tip_lps_mm: FloatArray
    end_lps_mm: FloatArray

    @property
    def length_mm(self) -> float:
        """Entry to tip."""
        return float(np.linalg.norm(self.tip_lps_mm - self.entry_lps_mm))


def check_clearances(
    axis: NeedleAxis, obstacles: Obstacles, needle: Needle, cache: FieldCache
) -> tuple[tuple[Clearance, ...], tuple[Finding, ...]]:
    """Exact clearance to every obstacle, and the finding that follows from it."""
    clearances: list[Clearance] = []
    findings: list[Finding] = []
    for obstacle in obstacles.obstacles:
        clearance, finding = _clearance(axis, obstacle, needle, cache)
        clearances.append(clearance)
        findings.append(finding)
        if obstacle.shaft_mm is not None:
            findings.append(_shaft_finding(axis, obstacle, needle, cache))
    return tuple(clearances), tuple(findings)


def _clearance(
    axis: NeedleAxis, obstacle: Obstacle, needle: Needle, cache: FieldCache
) -> tuple[Clearance, Finding]:
    index = cache.index(obstacle.name, obstacle.structure.mask)
    found = index.closest_approach(axis.entry_lps_mm, axis.end_lps_mm)
    exact_mm = float(found.distance_mm[0]) - needle.radius_mm
    reported_mm = float(floor_to_hundredth(exact_mm))
    verdict = verdict_of_margin(exact_mm, obstacle.required_mm, caution_band=obstacle.caution_mm)
    on_needle = found.on_axis_lps_mm[0]
    clearance = Clearance(
        structure=obstacle.name,
        clearance_mm=reported_mm,
        required_mm=obstacle.required_mm,
        on_needle_lps_mm=on_needle,
        on_structure_lps_mm=found.on_mask_lps_mm[0],
    )
    finding = Finding(
        constraint=obstacle.constraint.split(":")[0],
        structure=obstacle.name,
        measured=reported_mm,
        required=obstacle.required_mm,
        unit="mm",
        verdict=verdict,
        where_lps_mm=(float(on_needle[0]), float(on_needle[1]), float(on_needle[2])),
        note=f"margin evidence: {obstacle.evidence}",
        wanted=obstacle.soft_mm,
    )
    return clearance, finding


def _shaft_finding(
    axis: NeedleAxis, obstacle: Obstacle, needle: Needle, cache: FieldCache
) -> Finding:
    """The usual margin, kept by all but the last stretch before the tip."""
    needed_mm = obstacle.shaft_mm or 0.0
    share = max(0.0, 1.0 - obstacle.terminal_mm / axis.length_mm)
    end = axis.entry_lps_mm + share * (axis.tip_lps_mm - axis.entry_lps_mm)
    index = cache.index(obstacle.name, obstacle.structure.mask)
    found = index.closest_approach(axis.entry_lps_mm, end)
    exact_mm = float(found.distance_mm[0]) - needle.radius_mm
    where = found.on_axis_lps_mm[0]
    return Finding(
        constraint=SHAFT_CLEARANCE,
        structure=obstacle.name,
        measured=float(floor_to_hundredth(exact_mm)),
        required=needed_mm,
        unit="mm",
        verdict=verdict_of_margin(exact_mm, needed_mm, caution_band=obstacle.caution_mm),
        where_lps_mm=(float(where[0]), float(where[1]), float(where[2])),
        note=f"of the needle up to {obstacle.terminal_mm:g} mm before its tip",
    )


def check_axis(
    axis: NeedleAxis, needle: Needle, protocol: Protocol, skin_angle_deg: float
) -> tuple[Finding, ...]:
    """Length and skin angle against their limits."""
    length = axis.length_mm
    reach = needle.length_mm - protocol.length_reserve.value - length
    return (
        Finding(
            constraint="length",
            structure=None,
            measured=round(length, 2),
            required=needle.length_mm - protocol.length_reserve.value,
            unit="mm",
            verdict=Verdict.worst(
                [
                    verdict_of_margin(reach, 0.0),
                    verdict_of_margin(length, protocol.min_length.value),
                ]
            ),
            note=f"at least {protocol.min_length.value:g} mm, at most the needle's length"
            f" less {protocol.length_reserve.value:g} mm; evidence: "
            f"{protocol.length_reserve.evidence}",
        ),
        Finding(
            constraint="skin_angle",
            structure=None,
            measured=round(skin_angle_deg, 2),
            required=protocol.max_skin_angle.value,
            unit="degrees",
            verdict=verdict_of_margin(protocol.max_skin_angle.value - skin_angle_deg, 0.0),
            note=f"to the skin normal, at most; evidence: {protocol.max_skin_angle.evidence}",
        ),
    )


def check_inside_body(axis: NeedleAxis, grid: Grid, body: BodyWalker) -> Finding:
    """The path, throw included, lies in the imaged body from the skin on."""
    inward = (axis.tip_lps_mm - axis.entry_lps_mm) / axis.length_mm
    start = axis.entry_lps_mm + min(skin_slack_mm(grid), axis.length_mm) * inward
    ends = grid.to_axes_mm(axis.end_lps_mm)[None, :]
    starts = grid.to_axes_mm(start)[None, :]
    inside = bool(body.stays_inside(ends, starts, np.zeros(1, np.int64))[0])
    return Finding(
        constraint="outside_body",
        structure=None,
        measured=None,
        required=None,
        unit="",
        verdict=Verdict.PASS if inside else Verdict.FAIL,
        note="inside the imaged body from entry to end" if inside else "leaves the imaged body",
    )


def check_coverage(
    axis: NeedleAxis,
    obstacles: Obstacles,
    needle: Needle,
    cut_faces: CutFaces,
) -> tuple[Finding, ...]:
    """UNKNOWN where a structure could lie unseen, within its margin of the path."""
    ends = np.stack([axis.entry_lps_mm, axis.end_lps_mm])
    findings = []
    for obstacle in obstacles.obstacles:
        if not bool(covered(ends[:1], ends[1:], obstacle, needle.radius_mm)[0]):
            findings.append(
                Finding(
                    constraint="coverage",
                    structure=obstacle.name,
                    measured=None,
                    required=obstacle.reach_mm,
                    unit="mm",
                    verdict=Verdict.UNKNOWN,
                    note="its mask was drawn on an image that does not cover the path "
                    "and the margin around it",
                )
            )
    to_cut, to_faces = cut_faces.rooms_mm(ends[:1], ends[1:])
    room, to_face = max(float(to_cut[0]), 0.0), float(to_faces[0])
    is_whole = to_face >= needle.radius_mm
    short = [o for o in obstacles.obstacles if not (room >= o.reach_mm + needle.radius_mm)]
    if short or not is_whole or not (room >= needle.radius_mm):
        names = ", ".join(o.name for o in short)
        hidden = f"; beyond it could lie: {names}" if names else ""
        findings.append(
            Finding(
                constraint="coverage",
                structure=None,
                measured=round(room if is_whole else max(min(room, to_face), 0.0), 2),
                required=max((o.reach_mm for o in short), default=0.0),
                unit="mm",
                verdict=Verdict.UNKNOWN,
                note=f"the image ends this near to the path{hidden}",
            )
        )
    return tuple(findings)


def covered(
    entries_lps_mm: FloatArray, ends_lps_mm: FloatArray, obstacle: Obstacle, radius_mm: float
) -> np.ndarray:
    """Whether the mask's own grid holds each path with its margin around it, shape (n,).

    A mask whose grid holds the whole image covers it; there the image's cut
    faces decide. A grid is convex: both ends inside means the path inside.
    """
    source, image = obstacle.structure.source.grid, obstacle.structure.mask.grid
    if bool(source.contains(image.corners_lps_mm(), inset_mm=-WHOLE_IMAGE_TOL_MM).all()):
        return np.ones(entries_lps_mm.shape[0], dtype=bool)
    inset = obstacle.reach_mm + radius_mm
    return np.asarray(
        source.contains(entries_lps_mm, inset_mm=inset)
        & source.contains(ends_lps_mm, inset_mm=inset)
    )


def skin_slack_mm(grid: Grid) -> float:
    """How near the entry a path may graze air: the skin is known to one voxel."""
    return float(np.linalg.norm(grid.spacing_kji_mm))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CutFaces:
    """Faces of the image volume that cut the body: beyond them anatomy goes on unseen."""

    grid: Grid
    is_cut: np.ndarray
    """Shape (3, 2) bool: low and high face of k, j, i."""
    unseen: MaskIndex | None = None
    """What was not imaged in and beside the body; None where all was."""

    @classmethod
    def of(cls, body: Mask, imaged: Mask | None = None) -> CutFaces:
        """The faces on which body voxels lie, and what of the body ``imaged`` leaves out."""
        is_cut = np.zeros((3, 2), dtype=bool)
        for axis in range(3):
            is_cut[axis, 0] = np.take(body.inside, 0, axis=axis).any()
            is_cut[axis, 1] = np.take(body.inside, -1, axis=axis).any()
        unseen = None
        if imaged is not None and not imaged.inside.all():
            beside = binary_dilation(body.inside) & ~imaged.inside
            if beside.any():
                unseen = MaskIndex(Mask(grid=body.grid, inside=beside))
        return cls(grid=body.grid, is_cut=is_cut, unseen=unseen)

    def rooms_mm(
        self, starts_lps_mm: FloatArray, ends_lps_mm: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """How far paths stay from where the image ends, (n,) each.

        First to what lies unseen in or beside the body (cut faces included; inf without),
        then to the nearest face, whether it cuts the body or not. A path is straight, so its
        nearest point to a plane is one of its ends.
        """
        to_cut = np.full(len(starts_lps_mm), np.inf)
        to_face = to_cut.copy()
        spacing = self.grid.spacing_kji_mm
        starts, ends = self.grid.to_axes_mm(starts_lps_mm), self.grid.to_axes_mm(ends_lps_mm)
        for axis in range(3):
            least = np.minimum(starts[:, axis], ends[:, axis])
            most = np.maximum(starts[:, axis], ends[:, axis])
            low = least + 0.5 * spacing[axis]
            high = (self.grid.shape_kji[axis] - 0.5) * spacing[axis] - most
            for room, is_cut in zip((low, high), self.is_cut[axis], strict=True):
                np.minimum(to_face, room, out=to_face)
                if is_cut:
                    np.minimum(to_cut, room, out=to_cut)
        if self.unseen is not None and len(to_cut):
            found = self.unseen.closest_approach(starts_lps_mm, ends_lps_mm)
            np.minimum(to_cut, found.distance_mm, out=to_cut)
        return to_cut, to_face
