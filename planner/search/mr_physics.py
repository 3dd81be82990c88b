"""What MR physics adds to a session: metal, the needle's artefact, scan planes, the bore.

The acquisition of the planning image comes from its header and from what the user says;
the sequence that guides the needle may be another one (``guidance.`` keys). Obstacles are
swept once; a target then asks for its shift, a path for its zones, artefact and planes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.geometry import Mask, Volume
from planner.geometry.frames import FloatArray
from planner.model import (
    Clearance,
    Explanation,
    Finding,
    Needle,
    PlanWarning,
    StructureRole,
    StructureSet,
    Target,
    Verdict,
)
from planner.model.mr import Material, MRAcquisition
from planner.model.mr_results import (
    AdviceRow,
    Bore,
    ImplantUse,
    MetalMap,
    MetalRecord,
    NeedleArtefact,
    ScanPlane,
    TargetShift,
)
from planner.physics.acquisition import acquisition_of
from planner.physics.acquisition_overrides import split_guidance
from planner.physics.bore import bore_room_mm
from planner.physics.guidance import guiding_acquisition
from planner.physics.materials import candidate_materials
from planner.physics.needle_artefact import missing_for_needle, needle_artefact, tip_overshoots_mm
from planner.physics.scan_planes import scan_planes
from planner.safety.checks import NeedleAxis
from planner.safety.fields import FieldCache
from planner.safety.metal import MR_VOID, MetalLayer, metal_layer, metal_map, with_metal
from planner.safety.metal_advice import TargetOutlook, advice, target_outlooks
from planner.safety.metal_findings import (
    CutMetal,
    MetalWalks,
    metal_findings,
    metal_record,
    shift_findings,
    target_shift,
)
from planner.safety.obstacles import Obstacles
from planner.search.limits import BORE

ARTEFACT = "needle_artefact"
UNCORRECTED_REACH_MM = 150.0
"""From the isocentre: farther off, an image without distortion correction is warned of (M)."""
WATCHED = ("nerve", "vessel", "spinal_canal")
"""Classes whose distance to the needle a person wants to see on the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPhysics:
    """What MR physics says of one path; None or empty where nothing is known."""

    metal: MetalRecord | None
    artefact: NeedleArtefact | None
    planes: tuple[ScanPlane, ...]
    bore_room_mm: float | None
    advice: tuple[AdviceRow, ...]
    findings: tuple[Finding, ...]


def known_acquisitions(
    volume: Volume, given: MRAcquisition | Mapping[str, object] | None
) -> tuple[MRAcquisition, ...]:
    """The planning acquisition and, where the user describes one, the guiding one.

    Empty for an image that is no MR when nothing is given.
    """
    if isinstance(given, MRAcquisition):
        return (given,)
    planning, guidance = split_guidance(given or {})
    header = {**volume.source.mr, "series_description": volume.source.description}
    if not volume.source.mr and not planning and not guidance:
        return ()
    first = acquisition_of(header, volume.grid, planning)
    if not guidance:
        return (first,)
    return first, guiding_acquisition(header, volume.grid, planning, guidance)


class MrPhysics:
    """The MR physics of one session."""

    def __init__(
        self,
        volume: Volume,
        structures: StructureSet,
        plain: Obstacles,
        needle: Needle,
        acquisitions: tuple[MRAcquisition, ...],
        implants: Mapping[str, str],
        bore: Bore | None,
    ) -> None:
        self.acquisitions = acquisitions
        self.layer: MetalLayer | None = metal_layer(structures, acquisitions, implants)
        self.plain = plain
        self.obstacles = with_metal(plain, self.layer)
        self.bore = bore
        self._needle = needle
        self._materials: tuple[Material, ...] = candidate_materials(needle.material)
        self._plain_cache = FieldCache()
        has_field = self.layer is not None and self.layer.field is not None
        self._walks = MetalWalks(self.layer) if self.layer is not None and has_field else None
        self._cut = None if self.layer is None or not has_field else CutMetal(self.layer)
        self._bones = [
            s.mask
            for s in structures.structures
            if s.role is StructureRole.BONE or s.structure_class == "bone"
        ]
        self._targets = structures.with_role(StructureRole.TARGET)
        self._watched = {s.name for s in structures.structures if s.structure_class in WATCHED}

    @property
    def implants(self) -> tuple[ImplantUse, ...]:
        """How each implant entered the field."""
        return () if self.layer is None else tuple(i.use for i in self.layer.implants)

    @property
    def map(self) -> MetalMap | None:
        """The zones, for pictures; None where no metal's field is known."""
        return None if self.layer is None else metal_map(self.layer)

    @property
    def guiding(self) -> MRAcquisition | None:
        """The acquisition in which the needle is watched."""
        return self.acquisitions[-1] if self.acquisitions else None

    @property
    def b0_direction_lps(self) -> FloatArray | None:
        """Direction of the main field, None where no acquisition is known."""
        return None if self.guiding is None else self.guiding.b0_direction_lps

    @property
    def shows_needle(self) -> bool:
        """Whether the needle's artefact can be computed."""
        return self.guiding is not None and not missing_for_needle(self.guiding)

    def artefact_cost(self, directions_lps: FloatArray, tolerance_mm: float) -> FloatArray | None:
        """Tip overshoot over the target's tolerance, 0..1, (n,); None where not known."""
        if self.guiding is None or not self.shows_needle:
            return None
        cosine = np.abs(directions_lps @ self.guiding.b0_direction_lps)
        overshoot = tip_overshoots_mm(
            self._needle.outer_diameter_mm,
            self._materials,
            self.guiding,
            np.clip(cosine, 0.0, 1.0),
            inner_diameter_mm=self._needle.inner_diameter_mm,
        )
        return np.clip(overshoot / tolerance_mm, 0.0, 1.0)

    def target_shift(self, target: Target) -> TargetShift:
        """By how much the image may show the target elsewhere."""
        first = self.acquisitions[0] if self.acquisitions else None
        return target_shift(target, first, self._walks, is_in_bone=self.is_in_bone(target))

    def is_in_bone(self, target: Target) -> bool:
        """Whether the target lies in a bone mask: marrow shifts against water."""
        return any(bool(mask.contains(target.point_lps_mm)) for mask in self._bones)

    def path(
        self,
        axis: NeedleAxis,
        target: Target,
        clearances: Sequence[Clearance],
        b0_deg: float | None,
    ) -> PathPhysics:
        """Zones, artefact, planes and findings of one path."""
        findings: list[Finding] = list(() if self.layer is None else self.layer.unknown)
        shift = self.target_shift(target)
        findings += shift_findings(shift, target)
        if self._cut is not None:
            findings += self._cut.findings(axis)
        record = None
        if self._walks is not None:
            record = metal_record(
                axis,
                self._walks,
                shift,
                self._needle,
                self.plain,
                self._plain_cache,
                {c.structure: c.clearance_mm for c in clearances},
            )
            findings += metal_findings(record)
        artefact = None
        if self.guiding is not None and self.shows_needle and b0_deg is not None:
            artefact = needle_artefact(
                self._needle.outer_diameter_mm,
                self._materials,
                self.guiding,
                b0_deg,
                direction_lps=axis.tip_lps_mm - axis.entry_lps_mm,
                inner_diameter_mm=self._needle.inner_diameter_mm,
            )
            findings += self._artefact_findings(artefact, target, clearances)
        room, bore_findings = self._bore(axis)
        return PathPhysics(
            metal=record,
            artefact=artefact,
            planes=scan_planes(axis.entry_lps_mm, axis.tip_lps_mm),
            bore_room_mm=room,
            advice=()
            if record is None
            else self._advice(axis, target, record.clearance_without_sweep_mm),
            findings=(*findings, *bore_findings),
        )

    def warnings(self, target: Target) -> tuple[PlanWarning, ...]:
        """What is not known for this image, whatever the path."""
        found = []
        guiding = self.guiding
        off_centre_mm = float(np.linalg.norm(target.point_lps_mm))
        is_plain = bool(self.acquisitions) and self.acquisitions[0].distortion_corrected is False
        if is_plain and not off_centre_mm <= UNCORRECTED_REACH_MM:
            message = (
                "The image is not corrected for the gradients' distortion, and the target lies "
                f"{off_centre_mm:.0f} mm from the frame's origin (the isocentre, where the scanner "
                f"puts it there): beyond {UNCORRECTED_REACH_MM:g} mm the image may show it "
                "millimetres elsewhere."
            )
            found.append(PlanWarning(code="gradient_distortion", message=message))
        if guiding is not None and not self.shows_needle:
            named = ", ".join(m.name for m in missing_for_needle(guiding))
            message = f"The needle's artefact is not known: {named} is missing (--mr {named}=...)."
            found.append(PlanWarning(code="needle_artefact_unknown", message=message))
        if self.bore is None:
            message = (
                "Whether hub and handle fit the bore is not checked: no bore is given (--bore)."
            )
            found.append(PlanWarning(code="bore_not_checked", message=message))
        return tuple(found)

    def what_would_free(self, target: Target) -> tuple[Explanation, ...]:
        """Sequences in which metal would leave the target usable, where it does not now."""
        if self.layer is None:
            return ()
        outlooks = target_outlooks(self.layer, target, is_in_bone=self.is_in_bone(target))
        if not outlooks or _is_usable(outlooks[0], target):
            return ()
        better = [o for o in outlooks[1:] if _is_usable(o, target)]
        message = "No single change of the sequence would make the target usable beside the metal."
        if better:
            named = ", ".join(f"{o.change} (shift up to {o.shift_mm:.1f} mm)" for o in better)
            message = f"The target would be usable beside the metal with: {named}."
        return (Explanation(code="mr_advice", message=message, constraint=MR_VOID),)

    def _advice(
        self, axis: NeedleAxis, target: Target, clearances: Mapping[str, float]
    ) -> tuple[AdviceRow, ...]:
        if self.layer is None:
            return ()
        return advice(
            axis,
            self.layer,
            self.plain,
            self._needle,
            target,
            clearances,
            is_in_bone=self.is_in_bone(target),
        )

    def _bore(self, axis: NeedleAxis) -> tuple[float | None, tuple[Finding, ...]]:
        """Room of hub and handle in the bore, and the finding that follows."""
        if self.bore is None:
            return None, ()
        room, verdict = None, Verdict.UNKNOWN
        note = "where the axis of the bore runs in the patient is not known: --bore RADIUS@L,P"
        if self.bore.centre_lp_mm is not None:
            length = self._needle.length_mm
            room = float(bore_room_mm(self.bore, axis.entry_lps_mm, axis.tip_lps_mm, length))
            verdict = Verdict.PASS if room >= 0.0 else Verdict.FAIL
            note = "room between handle and bore while the needle goes in, clearance taken off"
        return room, (
            Finding(
                constraint=BORE,
                structure=None,
                measured=None if room is None else round(room, 2),
                required=0.0,
                unit="mm",
                verdict=verdict,
                note=note,
            ),
        )

    def _artefact_findings(
        self, artefact: NeedleArtefact, target: Target, clearances: Sequence[Clearance]
    ) -> list[Finding]:
        found = self._hidden_target(artefact, target)
        if artefact.blooms:
            note = f"{artefact.b0_angle_deg:.0f} degrees to B0: the tip blooms, the shaft is faint"
            found.append(_finding(artefact.tip_max_mm, None, Verdict.CAUTION, note))
        if not artefact.is_visible:
            note = f"{artefact.pixels_wide:.1f} pixels wide: the shaft may be too thin to be seen"
            found.append(_finding(artefact.width_mm, None, Verdict.CAUTION, note))
        beyond_mm = artefact.width_max_mm / 2 - self._needle.radius_mm
        note = "the needle's artefact may hide it, so MR cannot show how near the needle is"
        found += [
            _finding(c.clearance_mm, beyond_mm, Verdict.CAUTION, note, c.structure)
            for c in clearances
            if c.structure in self._watched and not c.clearance_mm >= beyond_mm
        ]
        return found

    def _hidden_target(self, artefact: NeedleArtefact, target: Target) -> list[Finding]:
        """Whether the artefact may cover the target structure; a caution where it is a lesion."""
        for structure in self._targets:
            if not bool(structure.mask.contains(target.point_lps_mm)):
                continue
            size_mm = inscribed_diameter_mm(structure.mask)
            needed_mm = artefact.width_max_mm / 2 + 2 * artefact.tip_max_mm
            is_hidden = not size_mm >= needed_mm
            is_lesion = structure.structure_class == "lesion"
            note = "diameter of the target against half the needle's artefact and twice its tip"
            note += ": the artefact may hide the target" if is_hidden else ""
            verdict = Verdict.CAUTION if is_hidden and is_lesion else Verdict.PASS
            return [_finding(size_mm, needed_mm, verdict, note)]
        return []


def _is_usable(outlook: TargetOutlook, target: Target) -> bool:
    return not outlook.is_in_void and outlook.shift_mm <= target.tolerance_mm


def inscribed_diameter_mm(mask: Mask) -> float:
    """Twice the largest distance from a voxel inside to the outside (voxel centres)."""
    from scipy import ndimage

    bounds = mask.bounds_kji()
    if bounds is None:
        return 0.0
    block = tuple(slice(a, b) for a, b in zip(*(b.tolist() for b in bounds), strict=True))
    inside: NDArray[np.bool_] = np.pad(mask.inside[block], 1)
    depth = ndimage.distance_transform_edt(inside, sampling=mask.grid.spacing_kji_mm)
    # the surface runs half a voxel before the first centre outside
    return float(2.0 * (depth.max() - 0.5 * mask.grid.spacing_kji_mm.min()))


def _finding(
    measured: float,
    required: float | None,
    verdict: Verdict,
    note: str,
    structure: str | None = None,
) -> Finding:
    return Finding(
        constraint=ARTEFACT,
        structure=structure,
        measured=round(measured, 2),
        required=None if required is None else round(required, 2),
        unit="mm",
        verdict=verdict,
        note=note,
    )
