"""MR physics of a plan in words and rows, shared by the report, the terminal and the pictures.

Plain text: whoever writes Markdown escapes it. Nothing is said where nothing is known of
metal, artefact or bore; what should have been known is UNKNOWN and told by its finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.geometry.frames import FloatArray
from planner.model import Clearance, PlanResult, StructureRole, Trajectory
from planner.model.mr import Material, MetalReduction, MRAcquisition
from planner.model.mr_results import ImplantUse
from planner.report.style import plain
from planner.report.wording import number

Row = tuple[str, ...]

ACQUISITION_COLUMNS: Row = ("Value", "Is", "Source")
IMPLANT_COLUMNS: Row = ("Implant", "Material", "Against tissue ppm", "Evidence", "Shape")
ADVICE_COLUMNS: Row = (
    "Sequence",
    "Verdict",
    "Least room mm",
    "Where",
    "To the void mm",
    "Target shift mm",
)
PLANE_COLUMNS: Row = (
    "Scan plane",
    "Orientation",
    "Centre LPS mm",
    "Normal LPS",
    "Field of view mm",
    "Readout",
)

SHAPE_WORDS = {
    "mask": "drawn as a mask: may be larger than the metal",
    "surface mesh": "geometry: surface mesh",
    "rods": "geometry: rods",
}
"""How sure it is that the shape is the metal's own, and not that of its artefact."""

_UNITS = {
    "field_t": ("Field B0", "T", 3),
    "echo_time_ms": ("Echo time", "ms", 2),
    "repetition_time_ms": ("Repetition time", "ms", 1),
    "bandwidth_hz_per_px": ("Bandwidth per acquired pixel", "Hz", 1),
    "readout_pixel_mm": ("Acquired pixel along the readout", "mm", 3),
    "phase_pixel_mm": ("Acquired pixel along the phase", "mm", 3),
    "slice_thickness_mm": ("Slice thickness", "mm", 2),
    "rf_bandwidth_hz": ("RF bandwidth", "Hz", 0),
}
_DIRECTIONS = {
    "b0_direction_lps": "Direction of B0 (LPS)",
    "readout_axis_lps": "Readout axis (LPS, either way)",
    "slice_axis_lps": "Slice axis (LPS, either way)",
}
_NO_SOURCE = {"metal_reduction": "default: nothing confirmed"}
_NOTHING_NEAR = "none near"


def plane_rows(path: Trajectory) -> list[Row]:
    """The scan planes of a path as numbers that a technologist types."""
    return [
        (
            plane.name,
            plane.orientation,
            _vector(plane.centre_lps_mm, 1),
            _vector(plane.normal_lps, 4),
            number(plane.field_of_view_mm, 0),
            f"{number(plane.readout_rotation_deg, 0)}° from the row; {plane.readout_reason}",
        )
        for plane in path.scan_planes
    ]


def artefact_text(path: Trajectory) -> str | None:
    """How the needle looks in the guiding sequence; None where it is not known."""
    artefact = path.artefact
    if artefact is None:
        return None
    return (
        f"shaft {number(artefact.width_mm, 1)} mm wide (count with "
        f"{number(artefact.width_max_mm, 1)}), tip seen {number(artefact.tip_overshoot_mm, 1)} mm "
        f"too far (count with {number(artefact.tip_max_mm, 1)}), {plain(artefact.material)} at "
        f"{number(artefact.b0_angle_deg, 0)}° to B0"
    )


def zones_text(path: Trajectory) -> str | None:
    """Where the path runs beside metal, and the largest shift; None without a field."""
    if path.metal is None:
        return None
    zones = path.metal.zones_mm
    parts = ", ".join(
        f"{number(zones.get(zone), 1)} mm {words}"
        for zone, words in (
            ("void", "in the void"),
            ("distorted", "distorted"),
            ("far", "far from metal"),
        )
    )
    shift = number(path.metal.largest_shift_mm, 1)
    return f"{parts}; image shift on the way up to {shift} mm"


def target_shift_text(path: Trajectory, tolerance_mm: float) -> str | None:
    """By how much the image may show the target elsewhere; None without a field."""
    if path.metal is None:
        return None
    shift = path.metal.target_shift
    fat = f", fat against water {number(shift.fat_mm, 1)}" if shift.fat_mm > 0.0 else ""
    return (
        f"image may show it up to {number(shift.total_mm, 2)} mm off (readout "
        f"{number(shift.readout_mm, 1)}, slice {number(shift.slice_mm, 1)}{fat}), "
        f"tolerance {tolerance_mm:g} mm"
    )


def binding_text(path: Trajectory) -> str | None:
    """Which structures the metal made binding; None without a field."""
    if path.metal is None:
        return None
    names = [plain(name) for name in path.metal.binding]
    if not names:
        return "no structure became binding by the image shift"
    return f"binding only by the image shift: {', '.join(names)}"


def drawn_text(path: Trajectory, item: Clearance) -> str:
    """The clearance to the mask as drawn, beside the one to the swept mask."""
    drawn = None if path.metal is None else path.metal.clearance_without_sweep_mm
    if drawn is None or item.structure not in drawn:
        return ""
    value = drawn[item.structure]
    return "same" if value == item.clearance_mm else number(value, 2)


def distance_note(path: Trajectory) -> str:
    """What the clearances of a path are measured to: the foot of its pictures."""
    note = "distances in mm from the needle's surface to the voxels of the masks given"
    return note if path.metal is None else f"{note}, swept by the image shift beside metal"


def advice_rows(path: Trajectory) -> list[Row]:
    """What another sequence would change for this path, each evaluated again."""
    return [
        (
            plain(row.change),
            row.verdict.upper(),
            _NOTHING_NEAR if row.room_mm is None else number(row.room_mm, 2),
            plain(row.structure or ""),
            _NOTHING_NEAR if row.void_mm is None else number(row.void_mm, 2),
            number(row.target_shift_mm, 2),
        )
        for row in path.advice
    ]


def bore_text(result: PlanResult, path: Trajectory) -> str | None:
    """Room of hub and handle in the bore; None where no bore was given."""
    if path.bore_room_mm is not None:
        return f"{number(path.bore_room_mm, 1)} mm for hub and handle"
    if result.bore is not None:
        return "UNKNOWN: where its axis runs in the patient is not known"
    return None


def path_facts(result: PlanResult, path: Trajectory) -> list[tuple[str, str]]:
    """What MR physics says of one path, as (label, sentence); only what is known."""
    facts = (
        ("Metal", zones_text(path)),
        ("Target", target_shift_text(path, result.target.tolerance_mm)),
        ("Sweep", binding_text(path)),
        ("Needle artefact", artefact_text(path)),
        ("Bore", bore_text(result, path)),
    )
    return [(label, text) for label, text in facts if text is not None]


def summary_facts(result: PlanResult, path: Trajectory) -> list[tuple[str, str]]:
    """The same for a terminal: at most three short lines."""
    facts = []
    if path.metal is not None:
        zones, shift = path.metal.zones_mm, path.metal
        facts.append(
            (
                "Metal",
                f"{number(zones.get('distorted'), 1)} mm distorted, "
                f"{number(zones.get('void'), 1)} mm void; shift up to "
                f"{number(shift.largest_shift_mm, 1)} mm, at the target "
                f"{number(shift.target_shift.total_mm, 2)} mm",
            )
        )
    artefact = path.artefact
    if artefact is not None:
        facts.append(
            (
                "Artefact",
                f"needle {number(artefact.width_mm, 1)} to {number(artefact.width_max_mm, 1)} mm "
                f"wide, tip {number(artefact.tip_overshoot_mm, 1)} to "
                f"{number(artefact.tip_max_mm, 1)} mm too far, "
                f"{number(artefact.b0_angle_deg, 0)}° to B0",
            )
        )
    if result.acquisitions and path.scan_planes:
        planes = "; ".join(plane.orientation for plane in path.scan_planes)
        facts.append(("Planes", planes))
    return facts


def not_checked_mr(result: PlanResult) -> list[str]:
    """What of MR physics this plan does not answer for."""
    texts, paths = [], result.trajectories
    if not result.structures.with_role(StructureRole.IMPLANT):
        texts.append("MR distortion near metal: no implant was given")
    elif result.metal is None and not any(path.metal for path in paths):
        texts.append("MR distortion near metal: the field of the implants is not known")
    if not paths or any(path.artefact is None for path in paths):
        texts.append("the needle's own artefact in the MR image")
    return texts


def acquisition_title(index: int) -> str:
    """What the acquisition of that place in ``PlanResult.acquisitions`` is."""
    return "MR acquisition" if index == 0 else "MR acquisition that guides the needle"


def acquisition_rows(acquisition: MRAcquisition) -> list[Row]:
    """Each value of an acquisition with where it is from, or why it is not known."""
    rows = [("Sequence family", acquisition.sequence.value, _source(acquisition, "sequence"))]
    dimension = acquisition.acquisition or "unknown"
    rows.append(("2D or 3D", dimension, _source(acquisition, "acquisition")))
    for name, (label, unit, decimals) in _UNITS.items():
        value = getattr(acquisition, name)
        text = "unknown" if value is None else f"{_trimmed(value, decimals)} {unit}"
        rows.append((label, text, _source(acquisition, name)))
    for name, label in _DIRECTIONS.items():
        axis = getattr(acquisition, name)
        if axis is not None:
            text = _vector(axis, 3)
        elif name == "readout_axis_lps" and acquisition.is_isotropic_readout:
            text = "every direction"
        else:
            text = "unknown"
        rows.append((label, text, _source(acquisition, name)))
    rows.append(
        ("Metal reduction", _reduction(acquisition), _source(acquisition, "metal_reduction"))
    )
    corrected = {True: "yes", False: "no", None: "unknown"}[acquisition.distortion_corrected]
    source = _source(acquisition, "distortion_corrected")
    return [*rows, ("Gradient distortion corrected", corrected, source)]


def problem_texts(acquisition: MRAcquisition) -> list[str]:
    """Values that are missing or contradictory and have no row of their own."""
    shown = {"sequence", "acquisition", "metal_reduction", "distortion_corrected"}
    shown |= {*_UNITS, *_DIRECTIONS}
    return [
        f"{plain(name).replace('_', ' ')}: {plain(reason)}"
        for name, reason in acquisition.problems.items()
        if name not in shown
    ]


def implant_rows(implants: Sequence[ImplantUse]) -> list[Row]:
    """How each implant entered the field."""
    return [
        (
            plain(use.name),
            _materials(use.materials),
            "; ".join(_ppm(m) for m in use.materials),
            "; ".join(dict.fromkeys(plain(m.delta_chi_ppm.evidence) for m in use.materials)),
            SHAPE_WORDS[use.shape],
        )
        for use in implants
    ]


def _materials(materials: Sequence[Material]) -> str:
    names = " or ".join(plain(m.name) for m in materials)
    return names if len(materials) == 1 else f"not known: {names}, the worst counts"


def _ppm(material: Material) -> str:
    nominal = f"{material.delta_chi_ppm.value:g}"
    return f"{nominal} ({material.low_ppm:g} to {material.high_ppm:g})"


def _reduction(acquisition: MRAcquisition) -> str:
    confirmed, hint = acquisition.metal_reduction, plain(acquisition.metal_reduction_hint)
    if confirmed is MetalReduction.NONE and hint:
        return f"none confirmed (the names suggest {hint}: --mr metal_reduction=...)"
    return str(confirmed.value)


def _source(acquisition: MRAcquisition, name: str) -> str:
    """Kind and words of where a value is from, and what is wrong with it."""
    found = acquisition.sources.get(name)
    parts = [] if found is None else [f"{found.source.value}: {plain(found.detail)}"]
    if name in acquisition.problems:
        parts.append(f"PROBLEM: {plain(acquisition.problems[name])}")
    if parts:
        return "; ".join(parts)
    value = getattr(acquisition, name)
    is_known = value is not None and value is not MetalReduction.NONE
    return "not recorded" if is_known else _NO_SOURCE.get(name, "not in the header")


def _trimmed(value: float, decimals: int) -> str:
    text = number(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _vector(vector: FloatArray, decimals: int) -> str:
    return "(" + ", ".join(number(round(float(v), decimals) + 0.0, decimals) for v in vector) + ")"
