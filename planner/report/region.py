"""Target regions and needle pairs of a plan: in words for every report, as masks for pictures."""

from __future__ import annotations

from collections.abc import Mapping

from planner.geometry import Mask
from planner.model import BoneRule, PlanResult
from planner.model.region import UNITS
from planner.report.style import plain
from planner.report.wording import compared, counted, limit_text, number

PAIRS_SHOWN = 5
PAIR_COLUMNS = ("Paths", "Verdicts", "Between the tips mm", "Required mm", "Between the shafts mm",
                "Required mm")  # fmt: skip
PAIRS_TITLE = "Two needles at once"

_UNIT_WORDS = {"mm2": " mm²", "mm3": " mm³", "deg": "°", "frac": "", "count": ""}
_LOOK = "LOOK AT IT"


def region_rows(result: PlanResult) -> list[tuple[str, str]]:
    """Names and values that tell of the target region; nothing for a target that is a point.

    What a person should look at stands last, a row for each warning of the region.
    """
    region = result.target.region
    if region is None:
        return []
    words = plain(region.words) or "the whole of that structure"
    rows = [("Region", f"{words}; the tip may lie anywhere in it")]
    if region.measures:
        rows.append(("Measured", ", ".join(measure_texts(region.measures))))
    return rows + [(_LOOK, plain(text)) for text in region.warnings]


def measure_texts(measures: Mapping[str, float]) -> list[str]:
    """Measures in words: ``"joint gap 2.3 mm"`` of ``{"joint_gap_mm": 2.31}``."""
    texts = []
    for key, value in measures.items():
        words, _, unit = key.rpartition("_")
        if unit not in UNITS:
            words, unit = key, ""
        decimals = 0 if unit in ("mm3", "count") else 2 if unit == "frac" else 1
        shown = number(value, decimals) + _UNIT_WORDS.get(unit, f" {unit}" if unit else "")
        texts.append(f"{plain(words.replace('_', ' '))} {shown}")
    return texts


def pair_rows(result: PlanResult) -> list[tuple[str, ...]]:
    """A row under ``PAIR_COLUMNS`` for each pair of paths that two needles may take together."""
    rule = result.protocol.two_needles
    verdict = {path.rank: path.verdict.upper() for path in result.trajectories}
    rows = []
    for pair in result.pairs:
        ranks = (pair.first_rank, pair.second_rank)
        needed = (None, None) if rule is None else (rule.spacing, rule.clearance)
        cells = []
        for measured, limit in zip((pair.tip_spacing_mm, pair.clearance_mm), needed, strict=True):
            if limit is None:
                cells += [number(measured, 2), "unknown"]
                continue
            evidence = f" ({plain(limit.evidence)})" if limit.evidence else ""
            cells += [compared(measured, limit.value)[0], limit_text(limit.value) + evidence]
        verdicts = ", ".join(verdict.get(rank, "not shown") for rank in ranks)
        rows.append((f"{ranks[0]} and {ranks[1]}", verdicts, *cells))
    return rows


def pair_texts(result: PlanResult) -> list[str]:
    """The first pairs in sentences, and how many more there are."""
    rows = pair_rows(result)
    texts = [
        f"paths {paths} ({verdicts}): tips {tips} mm apart, required {tips_needed}; "
        f"{shafts} mm between the shafts, required {shafts_needed}"
        for paths, verdicts, tips, tips_needed, shafts, shafts_needed in rows[:PAIRS_SHOWN]
    ]
    if len(rows) > PAIRS_SHOWN:
        texts.append(f"{counted(len(rows) - PAIRS_SHOWN, 'more pair')}, see the report")
    return texts


def corridor_masks(result: PlanResult) -> list[Mask]:
    """What a path must go through: the pedicles that the procedure asked about, else none.

    They are derived again from the labels, as the search did.
    """
    region = result.target.region
    if result.protocol.bone is BoneRule.THROUGH_PEDICLE:
        from planner.safety.pedicle import level_at, pedicles_of

        at = result.target.point_lps_mm
        level = level_at(result.structures, at) if region is None else region.level
        if level is not None:
            return [pedicle.mask for pedicle in pedicles_of(result.structures, level).regions]
    if region is None or region.corridor is None:
        return []
    return [region.corridor]
