"""The needle's artefact and the bore, by formulas written a second time."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np

import planner
from planner.io.plan_document import (
    AcquisitionRecord,
    NeedleArtefactRecord,
    PlanDocument,
    TrajectoryRecord,
)
from planner.model import Verdict
from planner.verify.ledger import Ledger
from planner.verify.metal import HZ_PER_PPM_T, MAY_BE_BALANCED, REFOCUSING, dark_band_hz

SIZE_TOL_MM = 1e-6
ROUNDING = 0.005 + 1e-6
MATERIALS_FILE = Path(planner.__file__).parent / "physics" / "materials.toml"
_SINC_CYCLES = 0.4419
_ASTM = 1.35
_STEEP_DEG, _BLOOM_DEG = 30.0, 20.0
_ALONG = 0.1


def materials_of(name: str) -> dict[str, dict[str, float]]:
    """Susceptibilities (ppm) of a material by name, or of all that an unknown one may be."""
    table = tomllib.loads(MATERIALS_FILE.read_text(encoding="utf-8"))
    wanted = " ".join(name.lower().split())
    if wanted == "unknown":
        return {n: table["materials"][n] for n in table["unknown_metal"]}
    return {
        key: entry
        for key, entry in table["materials"].items()
        if wanted == key or wanted in entry.get("names", ())
    }


def lacks_for_needle(mr: AcquisitionRecord) -> bool:
    """Whether the artefact cannot be known."""
    needed = [mr.field_t, mr.bandwidth_hz_per_px, mr.readout_pixel_mm]
    if mr.sequence not in REFOCUSING:
        needed.append(mr.echo_time_ms)
    if mr.acquisition != "3D":
        needed.append(mr.slice_thickness_mm)
    if mr.sequence in MAY_BE_BALANCED:
        needed.append(mr.repetition_time_ms)
    names = {"field_t", "bandwidth_hz_per_px", "readout_pixel_mm"}
    names |= set() if mr.sequence in REFOCUSING else {"echo_time_ms"}
    names |= set() if mr.acquisition == "3D" else {"slice_thickness_mm"}
    names |= {"repetition_time_ms"} if mr.sequence in MAY_BE_BALANCED else set()
    is_doubtful = bool(names & set(mr.problems))
    return mr.sequence == "EPI" or is_doubtful or any(value is None for value in needed)


def guiding(plan: PlanDocument) -> AcquisitionRecord | None:
    """The acquisition in which the needle is watched; None where its artefact is not known."""
    if plan.mr is None:
        return None
    mr = plan.mr.guidance or plan.mr
    return None if lacks_for_needle(mr) else mr


def check_artefact(
    plan: PlanDocument, trajectory: TrajectoryRecord, b0_deg: float | None, book: Ledger
) -> None:
    """Width and overshoot, nominal and to count with."""
    claimed = trajectory.needle_artefact
    mr = guiding(plan)
    if mr is None or b0_deg is None:
        is_empty = not isinstance(claimed, NeedleArtefactRecord)
        book.rule("needle_artefact is of a known acquisition", not is_empty, False, is_empty)
        return
    if not isinstance(claimed, NeedleArtefactRecord):
        book.rule("needle_artefact is given", False, True, False)
        return
    along = np.subtract(trajectory.tip_lps_mm, trajectory.entry_lps_mm)
    exact = artefact_numbers(plan, mr, b0_deg, along / np.sqrt(along @ along))
    for key, value in exact.items():
        book.close(f"needle_artefact.{key}", getattr(claimed, key), value, SIZE_TOL_MM)
    is_seen, blooms = exact["pixels_wide"] >= 1.5, b0_deg < _BLOOM_DEG
    for key, value in (("is_visible", is_seen), ("blooms", blooms)):
        told = getattr(claimed, key)
        book.rule(f"needle_artefact.{key}", told, value, told is bool(value))
    about = [f for f in trajectory.findings if f.constraint == "needle_artefact"]
    notes = [f for f in about if f.required is None]
    needed = int(blooms) + int(not is_seen)
    book.rule("findings hold what the artefact hides", len(notes), needed, len(notes) == needed)


def artefact_numbers(
    plan: PlanDocument, mr: AcquisitionRecord, b0_deg: float, direction: np.ndarray
) -> dict[str, float]:
    """The artefact's numbers from the plan's needle and acquisition."""
    found = list(materials_of(plan.needle.material).values())
    nominal = max(abs(m["delta_chi_ppm"]) for m in found)
    worst = max(max(abs(m["low_ppm"]), abs(m["high_ppm"])) for m in found)
    pixel = mr.readout_pixel_mm or 0.0
    diameter = plan.needle.outer_diameter_mm
    area = (diameter**2 - plan.needle.inner_diameter_mm**2) / 4.0
    angle = math.radians(b0_deg)

    def sizes(ppm: float) -> tuple[float, float]:
        hz_mm2 = HZ_PER_PPM_T * (mr.field_t or 0.0) * ppm * area
        return _width(mr, hz_mm2 * math.sin(angle) ** 2, direction), tip_mm(
            mr, hz_mm2 * math.cos(angle), direction
        )

    (width, tip), (wide, far) = sizes(nominal), sizes(worst)
    is_gradient = mr.sequence not in REFOCUSING
    if is_gradient and b0_deg < _STEEP_DEG:
        far *= 2.0
    wide *= 1.0 if is_gradient else _ASTM
    width = max(width, diameter)
    return {
        "width_mm": width,
        "width_max_mm": max(wide, diameter) + 1.5 * pixel,
        "tip_overshoot_mm": tip,
        "tip_max_mm": far + 2.0 * pixel,
        "b0_angle_deg": b0_deg,
        "pixels_wide": width / pixel,
    }


def tip_cost(plan: PlanDocument, b0_deg: float | None) -> float | None:
    """The cost term of the tip's overshoot; None where it is not known."""
    mr = guiding(plan)
    if mr is None or b0_deg is None:
        return None
    nominal = max(abs(m["delta_chi_ppm"]) for m in materials_of(plan.needle.material).values())
    area = (plan.needle.outer_diameter_mm**2 - plan.needle.inner_diameter_mm**2) / 4.0
    hz_mm2 = HZ_PER_PPM_T * (mr.field_t or 0.0) * nominal * area
    return tip_mm(mr, hz_mm2 * math.cos(math.radians(b0_deg)), None) / plan.target.tolerance_mm


def tip_mm(mr: AcquisitionRecord, hz_mm2: float, direction: np.ndarray | None) -> float:
    """Overshoot by shift and by dephasing, the larger."""
    kappa = max(_kappa(mr, direction, along=True), _through(mr))
    banded = math.sqrt(hz_mm2 * _per_band_hz(mr) / 4.0)
    return float(max(np.cbrt(hz_mm2 * kappa / 4.0), np.cbrt(hz_mm2 * _dephasing(mr) / 2.0), banded))


def _width(mr: AcquisitionRecord, hz_mm2: float, direction: np.ndarray) -> float:
    kappa = max(_kappa(mr, direction, along=False), _through(mr))
    banded = math.sqrt(hz_mm2 * _per_band_hz(mr) / 2.0)
    return float(2.0 * max(np.cbrt(hz_mm2 * kappa / 2.0), np.cbrt(hz_mm2 * _dephasing(mr)), banded))


def _kappa(mr: AcquisitionRecord, direction: np.ndarray | None, *, along: bool) -> float:
    """Millimetres per hertz along the readout, 0 where the readout does not reach."""
    mm_per_hz = (mr.readout_pixel_mm or 0.0) / (mr.bandwidth_hz_per_px or math.inf)
    if direction is None or mr.readout_axis_lps is None or mr.is_isotropic_readout:
        return mm_per_hz
    share = abs(float(np.dot(mr.readout_axis_lps, direction)))
    part = share if along else math.sqrt(max(0.0, 1.0 - share**2))
    return mm_per_hz if part > _ALONG else 0.0


def _through(mr: AcquisitionRecord) -> float:
    if mr.acquisition == "3D":
        return 0.0
    return (mr.slice_thickness_mm or 0.0) / (mr.rf_bandwidth_hz or 1000.0)


def _per_band_hz(mr: AcquisitionRecord) -> float:
    """Seconds: one over a quarter of the pitch of balanced SSFP's dark bands; 0 without bands."""
    return 2.0 / dark_band_hz(mr)


def _dephasing(mr: AcquisitionRecord) -> float:
    if mr.sequence in REFOCUSING:
        return 0.0
    return (mr.readout_pixel_mm or 0.0) * (mr.echo_time_ms or 0.0) * 1e-3 / _SINC_CYCLES


def check_bore(plan: PlanDocument, trajectory: TrajectoryRecord, book: Ledger) -> None:
    """The room of hub and handle, and the finding that follows."""
    held = [f for f in trajectory.findings if f.constraint == "bore"]
    n_needed = 0 if plan.bore is None else 1
    book.rule("findings hold 'bore'", len(held), n_needed, len(held) == n_needed)
    if plan.bore is None:
        book.close("bore_room_mm", trajectory.bore_room_mm, None, 0.0)
        return
    room = None
    wanted = Verdict.UNKNOWN
    if plan.bore.centre_lp_mm is not None:
        entry = np.array(trajectory.entry_lps_mm)
        inward = np.array(trajectory.tip_lps_mm) - entry
        length = float(np.sqrt(inward @ inward))
        centre = np.array(plan.bore.centre_lp_mm)
        outs = [plan.needle.length_mm, plan.needle.length_mm - length]
        ends = [entry - inward / length * (o + plan.bore.handle_mm) for o in outs]
        farthest = max(math.hypot(*(e[:2] - centre)) for e in ends)
        room = plan.bore.radius_mm - plan.bore.clearance_mm - farthest
        wanted = Verdict.PASS if room >= 0.0 else Verdict.FAIL
    book.close("bore_room_mm", trajectory.bore_room_mm, room, SIZE_TOL_MM)
    for finding in held:
        book.close("bore: measured", finding.measured, room, ROUNDING)
        book.rule("bore: verdict", str(finding.verdict), str(wanted), finding.verdict is wanted)
