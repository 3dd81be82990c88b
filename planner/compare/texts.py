"""A comparison in words and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from planner.compare.mix_ups import mix_up_text
from planner.compare.needle import ActualClearance, Comparison
from planner.geometry.frames import orientation_letters, unit
from planner.io.plan_document import RESEARCH_USE, PlanDocument
from planner.report.style import BANNER, plain, shortened
from planner.report.wording import compared, number, point_text

SCHEMA = "needle-comparison/1"
_WIDTH = 100
_NAME_WIDTH = 46
_OFF_AXIS_WORDS_MM = 0.05


def error_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """The errors, each with its name."""
    e = comparison.errors
    side = "deep" if e.tip_along_mm > 0 else "shallow"
    longer = "more" if e.depth_mm > 0 else "less"
    off = ""
    if e.tip_off_axis_mm > _OFF_AXIS_WORDS_MM:
        off = f" towards {orientation_letters(unit(e.tip_off_axis_lps))}"
    return [
        ("Tip error", f"{number(e.tip_mm, 2)} mm"),
        ("  along the needle", f"{number(abs(e.tip_along_mm), 2)} mm too {side}"),
        ("  off the axis", f"{number(e.tip_off_axis_mm, 2)} mm{off}"),
        (
            "Entry error",
            f"{number(e.entry_mm, 2)} mm, off the axis {number(e.entry_off_axis_mm, 2)} mm",
        ),
        ("Angle error", f"{number(e.angle_deg, 2)}°"),
        (
            "Depth",
            f"{number(e.actual_depth_mm, 1)} mm, planned {number(e.planned_depth_mm, 1)}: "
            f"{number(abs(e.depth_mm), 2)} mm {longer}",
        ),
        ("Tip to target", f"{number(e.tip_to_target_mm, 2)} mm"),
    ]


def prolonged_text(comparison: Comparison) -> str:
    """How much of the shaft counts that was not marked."""
    return (
        f"The shaft behind the marked entry counts too, {number(comparison.prolonged_mm, 1)} mm "
        "straight back along the needle."
    )


def longer_text(comparison: Comparison) -> str:
    """That the needle cannot be the one of the plan, or was not marked end to end."""
    return (
        f"LONGER THAN THE NEEDLE OF THE PLAN: {number(comparison.errors.actual_depth_mm, 1)} mm "
        f"were marked, the needle has {comparison.needle_length_mm:g} mm. Another needle, or the "
        "marks are not its ends."
    )


def tolerance_text(comparison: Comparison) -> str:
    """Whether the tip is where it was to be."""
    if comparison.tolerance_mm is None:
        place = {True: "the tip lies in it", False: "the tip lies OUTSIDE it"}
        told = "whether the tip lies in it is not known without image and masks"
        found = told if comparison.is_on_target is None else place[comparison.is_on_target]
        return f"to the preferred point of a region: {found}"
    is_met = "kept" if comparison.is_on_target else "NOT KEPT"
    return f"tolerance {comparison.tolerance_mm:g} mm: {is_met}"


def comparison_text(plan: PlanDocument, comparison: Comparison) -> str:
    """The comparison on one screen: the verdict of the clearances first."""
    actual = comparison.actual
    missed = ", TARGET MISSED" if comparison.is_on_target is False else ""
    lines = [BANNER, "", f"NEEDLE AS IT LIES: {comparison.verdict.upper()} (clearances){missed}"]
    lines += _wrapped(
        f"{plain(actual.name)} against path {comparison.rank} of {len(plan.trajectories)}: "
        f"entry LPS {point_text(actual.entry_lps_mm)}, tip LPS {point_text(actual.tip_lps_mm)}; "
        f"{plain(actual.words)}."
    )
    ends = (actual.entry_lps_mm.tolist(), actual.tip_lps_mm.tolist())
    mixed_up = mix_up_text(comparison.planned, ends)
    if mixed_up is not None:
        lines += _wrapped(mixed_up)
    if comparison.prolonged_mm > 0:
        lines += _wrapped(prolonged_text(comparison))
    if comparison.is_longer:
        lines += _wrapped(longer_text(comparison))
    lines.append("")
    lines += [f"{name:<20}{text}" for name, text in error_rows(comparison)]
    lines.append(f"{'':<20}{tolerance_text(comparison)}")
    lines.append("")
    lines += _table(comparison.clearances)
    notes = dict.fromkeys(c.note for c in comparison.clearances if c.note)
    lines += [line for note in notes for line in _wrapped(f"Never PASS: {note}.")]
    if comparison.unknowns:
        lines += ["", "NOT KNOWN to the plan, and not settled by where the needle lies:"]
        for text in comparison.unknowns:
            lines += textwrap.wrap(
                plain(text),
                _WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
    return "\n".join(lines) + "\n"


def _table(clearances: Sequence[ActualClearance]) -> list[str]:
    if not clearances:
        return ["No structure was kept clear of in this plan: no clearance can be told."]
    head = f"{'clearance mm to':<{_NAME_WIDTH + 2}}{'as it lies':>12}{'needed':>13}{'planned':>9}"
    lines = [f"{head}  verdict"]
    for item in clearances:
        measured, needed = needed_texts(item)
        lines.append(
            f"{name_text(item, _NAME_WIDTH):<{_NAME_WIDTH + 2}}{measured:>12}{needed:>13}"
            f"{number(item.planned_mm, 2):>9}  {item.verdict.upper()}"
        )
    return lines


def name_text(item: ActualClearance, width: int) -> str:
    """The structure and the part of the needle; a long name gives way to the part."""
    part = f" ({item.part})" if item.part else ""
    return shortened(plain(item.structure), width - len(part)) + part


def needed_texts(item: ActualClearance) -> tuple[str, str]:
    """The clearance, and what is needed; of a soft margin that less is a caution."""
    is_soft = item.soft_mm is not None and item.soft_mm > item.required_mm
    measured, needed = compared(item.clearance_mm, item.wanted_mm)
    return measured, f"{needed} (soft)" if is_soft else needed


def comparison_json(plan: PlanDocument, comparison: Comparison) -> dict[str, Any]:
    """Plain data; points LPS mm, lengths mm, angles in degrees."""
    e, actual = comparison.errors, comparison.actual
    return {
        "schema": SCHEMA,
        "research_use": RESEARCH_USE,
        "verdict": str(comparison.verdict),
        "path": comparison.rank,
        "frame": plan.frame.model_dump(mode="json"),
        "image": {
            "series_instance_uid": plan.image.series_instance_uid,
            "sha256": plan.image.sha256,
        },
        "actual": {
            "name": actual.name,
            "entry_lps_mm": actual.entry_lps_mm.tolist(),
            "tip_lps_mm": actual.tip_lps_mm.tolist(),
            "ends": actual.words,
            "shaft_from_lps_mm": comparison.shaft_lps_mm.tolist(),
            "prolonged_mm": comparison.prolonged_mm,
        },
        "errors": {
            "tip_mm": e.tip_mm,
            "tip_along_mm": e.tip_along_mm,
            "tip_off_axis_mm": e.tip_off_axis_mm,
            "tip_off_axis_lps_mm": e.tip_off_axis_lps.tolist(),
            "entry_mm": e.entry_mm,
            "entry_off_axis_mm": e.entry_off_axis_mm,
            "angle_deg": e.angle_deg,
            "planned_depth_mm": e.planned_depth_mm,
            "actual_depth_mm": e.actual_depth_mm,
            "depth_mm": e.depth_mm,
            "tip_to_target_mm": e.tip_to_target_mm,
            "tolerance_mm": plan.target.tolerance_mm,
            "is_on_target": comparison.is_on_target,
            "needle_length_mm": comparison.needle_length_mm,
            "is_longer_than_needle": comparison.is_longer,
        },
        "clearances": [
            {
                "structure": c.structure,
                "clearance_mm": c.clearance_mm,
                "part": c.part,
                "required_mm": c.required_mm,
                "soft_mm": c.soft_mm,
                "planned_mm": c.planned_mm,
                "verdict": str(c.verdict),
                "where_lps_mm": None if c.where_lps_mm is None else list(c.where_lps_mm),
                "note": c.note,
            }
            for c in comparison.clearances
        ],
        "unknowns": list(comparison.unknowns),
    }


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
