"""Findings about the way, their numbers measured again, and the verdicts that follow."""

from __future__ import annotations

import numpy as np

from planner.io.plan_document import FindingRecord, SusceptibilityRecord, TrajectoryRecord
from planner.model import Protocol, Span, Verdict
from planner.verify.exact import VoxelBoxes
from planner.verify.ledger import Ledger
from planner.verify.way import WayTruth, wall_gap_mm
from planner.verify.way_doubts import STRAIGHT_DEG
from planner.verify.way_numbers import PathWay, run_mm

ROUNDING = 0.005 + 1e-6
WALK_TOL_MM = 0.01
CORTEX_TOL_DEG = 15.0
"""Two ways to smooth a surface of voxels agree to this where it curves."""

TIP_PLACES = ("tip_height", "tip_above", "tip_lateral", "tip_central")
SHIFTED = (
    "pedicle",
    "pedicle_wall",
    "far_wall",
    "tip_in_region",
    "depth_in_target",
    "kambin",
    "below_root",
    *TIP_PLACES,
)
ACROSS = {"kambin": 2.0}
"""Numbers from wall to wall change by twice a displacement."""

CORTEX_SLACK_DEG = 8.0
"""By how much the claimed angle may be the better of the two."""

PREFERENCE_COSTS = ("direction", "tip_place")
REGION_FINDINGS = ("target_region", "disc_obliquity", "safe_triangle_area")
WAY_FINDINGS = (
    "direction",
    "depth",
    "joint_plane",
    "depth_in_target",
    "tip_in_region",
    "far_wall",
    "cortex_angle",
    "pedicle",
    "pedicle_wall",
    "joint_gap",
    "other_vertebra",
    "kambin",
    "below_root",
    "cannula",
    "exiting_root",
    "level_angles",
    "patient_rotated",
    *TIP_PLACES,
    *REGION_FINDINGS,
)


def check_way_presence(path: TrajectoryRecord, way: WayTruth, book: Ledger) -> None:
    """Every rule of the procedure has its finding on every path."""
    for constraint in way.expected:
        held = [f for f in path.findings if f.constraint == constraint]
        book.rule(f"findings hold '{constraint}' once", len(held), 1, len(held) == 1)
    if way.region is not None:
        held = [f for f in path.findings if f.constraint == "target_region"]
        needed = int(way.is_outside) if way.is_point else len(way.region.warnings)
        book.rule("findings hold the region's warnings", len(held), needed, len(held) == needed)


def check_way_finding(
    claim: str,
    finding: FindingRecord,
    path: TrajectoryRecord,
    way: WayTruth,
    radius_mm: float,
    book: Ledger,
) -> None:
    """Its number, and a verdict that is no better than the number."""
    name = finding.constraint
    if name == "target_region":
        is_kept = finding.verdict is Verdict.CAUTION
        book.rule(f"{claim}.verdict", str(finding.verdict), "caution", is_kept)
        return
    if way.protocol is None or (name in REGION_FINDINGS and way.region is None):
        book.rule(f"{claim} can be measured", finding.measured, None, False)
        return
    if name not in REGION_FINDINGS and not way.expected.get(name, False):
        is_soft = name == "direction" and not way.protocol.direction_is_hard
        is_soft = is_soft or name in (*TIP_PLACES, "joint_plane", "level_angles")
        wanted = Verdict.CAUTION if is_soft else Verdict.UNKNOWN
        is_kept = name in way.expected and finding.verdict is wanted and finding.measured is None
        book.rule(f"{claim}.verdict", str(finding.verdict), str(wanted), is_kept)
        return
    if name == "joint_gap":
        gap_mm = way.region.measures["joint_gap_mm"]  # type: ignore[union-attr]
        book.close(f"{claim}.measured", finding.measured, gap_mm, ROUNDING)
        book.close(f"{claim}.required", finding.required, 2 * radius_mm, 1e-9)
        wanted = Verdict.PASS if gap_mm >= 2 * radius_mm else Verdict.UNKNOWN
        book.rule(f"{claim}.verdict", str(finding.verdict), str(wanted), finding.verdict is wanted)
        return
    value = PathWay(way, path, radius_mm).value(name)
    if name in REGION_FINDINGS and value is None:
        is_kept = finding.verdict is Verdict.CAUTION and finding.measured is None
        book.rule(f"{claim}.verdict", str(finding.verdict), "caution", is_kept)
        return
    tolerance = CORTEX_TOL_DEG if name == "cortex_angle" else WALK_TOL_MM
    book.close(f"{claim}.measured", finding.measured, value, tolerance)
    decisive = value
    if name == "cortex_angle" and value is not None and finding.measured is not None:
        # what the surface's smoothing leaves open is decided by the claimed number
        decisive = min(max(finding.measured, value - CORTEX_SLACK_DEG), value + CORTEX_SLACK_DEG)
    wanted = _verdict(name, decisive, way.protocol, radius_mm)
    if wanted is Verdict.PASS and name in SHIFTED and _is_moved(finding, path):
        is_kept = finding.verdict is Verdict.UNKNOWN
        book.rule(f"{claim}.verdict beside metal", str(finding.verdict), "unknown", is_kept)
        return
    near = any(
        finding.verdict
        is _verdict(name, None if decisive is None else decisive + d, way.protocol, radius_mm)
        for d in (-ROUNDING, 0.0, ROUNDING)
    )
    book.rule(f"{claim}.verdict", str(finding.verdict), str(wanted), near)


def _is_moved(finding: FindingRecord, path: TrajectoryRecord) -> bool:
    """Whether metal may displace the image by more than the room that is told."""
    metal = path.susceptibility
    if not isinstance(metal, SusceptibilityRecord):
        return False
    if finding.measured is None or finding.required is None:
        return False
    room_mm = abs(finding.measured - finding.required) / ACROSS.get(finding.constraint, 1.0)
    return room_mm < metal.largest_shift_mm


def preference_costs(path: TrajectoryRecord, way: WayTruth) -> dict[str, float]:
    """Cost terms of the procedure's preferences, by name; only those that apply."""
    protocol, found = way.protocol, {}
    if protocol is None:
        return {}
    measured = PathWay(way, path, 0.0)
    is_soft = protocol.direction is not None and not protocol.direction_is_hard
    if is_soft and way.expected.get("direction", False):
        kept = _verdict("direction", measured.value("direction"), protocol) is Verdict.PASS
        found["direction"] = 0.0 if kept else 1.0
    if way.region is not None and not way.is_point:
        found["tip_place"] = _tip_place(way, measured)
    return found


def _tip_place(way: WayTruth, measured: PathWay) -> float:
    assert way.region is not None and way.protocol is not None
    mask, tip = way.region.mask, way.protocol.tip
    if tip is None or tip.preferred_depth_fraction is None:
        matrix = mask.grid.lps_from_kji
        places = np.argwhere(mask.inside) @ matrix[:3, :3].T + matrix[:3, 3]
        reach = np.sqrt(((places - way.region.centre_lps_mm) ** 2).sum(axis=1)).max()
        off = np.sqrt(((measured.tip - way.region.centre_lps_mm) ** 2).sum())
        return float(min(off / max(reach, 1e-9), 1.0))
    ahead = run_mm(mask, measured.tip, measured.along)
    behind = run_mm(mask, measured.tip, -measured.along)
    wanted = tip.preferred_depth_fraction.value
    share = behind / max(ahead + behind, 1e-9)
    return float(min(abs(share - wanted) / max(wanted, 1.0 - wanted), 1.0))


def limits_of(name: str, protocol: Protocol, radius_mm: float = 0.0) -> tuple[float, float, bool]:
    """Least, most, and whether a path beyond is refused."""
    tip = protocol.tip
    numbers = {} if protocol.corridor is None else protocol.corridor.numbers

    def number(key: str, other: float) -> float:
        return numbers[key].value if key in numbers else other

    def least(key: str, other: float = 0.0) -> float:
        given = None if tip is None else getattr(tip, key)
        return other if given is None else float(given.value)

    runs_in = protocol.direction == "lateral_to_medial"
    depth, cortex = protocol.depth_mm, protocol.cortex_angle_deg
    table: dict[str, tuple[float, float, bool]] = {
        "direction": (0.0, np.inf, protocol.direction_is_hard)
        if runs_in
        else (-np.inf, 0.0, protocol.direction_is_hard),
        "depth": (-np.inf, np.inf, False) if depth is None else (depth.low, depth.high, False),
        "joint_plane": (-np.inf, number("max_plane_angle_deg", np.inf), True),
        "depth_in_target": (-np.inf, number("max_depth_mm", np.inf), True),
        "tip_in_region": (least("border"), np.inf, True),
        "far_wall": (least("far_wall"), np.inf, True),
        "cortex_angle": (-np.inf, np.inf, True)
        if cortex is None
        else (cortex.min_deg, cortex.max_deg, True),
        "other_vertebra": (-np.inf, 0.0, True),
        "pedicle": (1.0, np.inf, True),
        "pedicle_wall": (wall_gap_mm(protocol) or 0.0, np.inf, True),
        "tip_lateral": (least("lateral"), np.inf, True),
        "tip_central": (-np.inf, least("central_fraction", 1.0), True),
        "tip_height": _span(None if tip is None else tip.height_fraction, 1.0),
        "tip_above": _span(None if tip is None else tip.height_mm, np.inf),
        "kambin": (2.0 * (radius_mm + number("gap_mm", 0.0)), np.inf, True),
        "below_root": (0.0, np.inf, True),
        "cannula": (-np.inf, number("max_cannula_mm", np.inf), True),
        "patient_rotated": (-np.inf, STRAIGHT_DEG, False),
        "disc_obliquity": (-np.inf, number("max_disc_obliquity_deg", np.inf), False),
        "safe_triangle_area": (number("least_triangle_area_mm2", -np.inf), np.inf, False),
    }
    return table[name]


def _span(span: Span | None, top: float) -> tuple[float, float, bool]:
    """Least and most; an end of the anatomy itself is no limit."""
    if span is None:
        return (-np.inf, np.inf, True)
    low = span.low if span.low > 0.0 or top > 1.0 else -np.inf
    return (low, span.high if span.high < top else np.inf, True)


def _verdict(name: str, value: float | None, protocol: Protocol, radius_mm: float = 0.0) -> Verdict:
    low, high, is_hard = limits_of(name, protocol, radius_mm)
    if value is None:
        absent = {
            "direction": Verdict.PASS,
            "cortex_angle": Verdict.UNKNOWN,
            "kambin": Verdict.UNKNOWN,
            "below_root": Verdict.UNKNOWN,
        }
        return absent.get(name, Verdict.FAIL)
    if low - 1e-9 <= value <= high + 1e-9:
        return Verdict.PASS
    return Verdict.FAIL if is_hard else Verdict.CAUTION


def check_shaft(
    claim: str,
    finding: FindingRecord,
    path: TrajectoryRecord,
    boxes: VoxelBoxes,
    asked: tuple[float, float] | None,
    radius_mm: float,
    band_mm: float,
    book: Ledger,
    *,
    is_displaced: bool,
) -> None:
    """The usual margin, kept by all but the last stretch before the tip.

    Of a structure that metal may displace the plan tells the clearance from all places where
    it may be: never more than from the mask as drawn.
    """
    if asked is None:
        book.rule(f"{claim} is a rule of the procedure", finding.structure, None, False)
        return
    needed_mm, last_mm = asked
    entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
    length = float(np.sqrt(((tip - entry) ** 2).sum()))
    end = entry + max(0.0, length - last_mm) * (tip - entry) / length
    exact_mm = boxes.nearest_to_segment(entry, end).distance_mm - radius_mm
    book.close(f"{claim}.required", finding.required, needed_mm, 1e-9)
    told = finding.measured
    least_mm = -np.inf if is_displaced else exact_mm - 0.0101
    is_close = told is not None and least_mm <= told <= exact_mm + 1e-6
    book.rule(f"{claim}.measured", told, exact_mm, is_close)
    if is_displaced and is_close and told is not None:
        exact_mm = told
    wanted = {
        Verdict.PASS if room >= band_mm else Verdict.CAUTION if room >= 0.0 else Verdict.FAIL
        for room in (exact_mm - needed_mm - 1e-6, exact_mm - needed_mm + 1e-6)
    }
    is_kept = finding.verdict in wanted
    book.rule(f"{claim}.verdict", str(finding.verdict), sorted(map(str, wanted)), is_kept)
