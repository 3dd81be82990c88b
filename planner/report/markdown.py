"""The report of a plan folder, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import planner
from planner.geometry.digest import volume_sha256
from planner.model import Clearance, PlanResult, StructureRole, Trajectory
from planner.report import mr_text
from planner.report.region import PAIR_COLUMNS, PAIRS_TITLE, pair_rows, region_rows
from planner.report.style import BANNER, plain
from planner.report.text import (
    approach_rows,
    explanation_texts,
    least_room,
    needle_text,
    not_checked_texts,
    open_texts,
    search_text,
    target_text,
    unknown_texts,
    verdict_meaning,
    warning_texts,
)
from planner.report.views import ranked_clearances
from planner.report.wording import (
    angle_texts,
    clearance_verdict,
    compared,
    limit_text,
    number,
    point_text,
    towards,
)

_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "$": "&#36;",
    "@": "&#64;",
    "://": "&#58;//",
    "www.": "www&#46;",
}
"""What a renderer would read as a tag, a formula or a link even behind a backslash."""
_MARKUP = re.compile(r"[\\|`*\[\]~!]|(?<!\w)_|_(?!\w)|(?<!&)#")
_LIST_MARK = re.compile(r"^(\d*)([-+=.)](?=\s|$|[-+=]))")
_CLEARANCE_COLUMNS = ("Structure", "Clearance mm", "Required mm", "Room mm", "Verdict")
_SWEPT_COLUMNS = (*_CLEARANCE_COLUMNS, "To the mask as drawn mm")
_NOTHING_MEASURED = (
    "**No clearance was measured: no structure to avoid was given, so nothing was kept clear of.**"
)
_PATH_COLUMNS = (
    "Rank",
    "Verdict",
    "Depth mm",
    "Axial",
    "Cranio-caudal",
    "To skin normal",
    "To B0",
    "Closest structure",
    "Clearance mm",
    "Required mm",
    "Cost",
)


def report_markdown(result: PlanResult, figures: Sequence[PurePath]) -> str:
    """The report of a plan folder, in Markdown.

    Parameters
    ----------
    result : PlanResult
    figures : sequence of path
        Relative to the folder of the report; an absolute path is shown by its
        file name.

    Returns
    -------
    str
        Holds no patient name, no birth date, no institution, no file name of
        the input.
    """
    parts = [
        f"# Needle plan: {_escaped(result.protocol.title)}",
        f"> **{BANNER}**",
        f"## Verdict: {result.verdict.upper()}",
        f"{_sentence(verdict_meaning(result))}",
    ]
    parts += _unknown_section(result)
    if result.trajectories:
        parts += _best_path(result)
    else:
        parts += _nothing_found(result)
    parts += _region_section(result)
    if result.trajectories:
        parts += ["## Paths", _paths_table(result.trajectories)]
        parts += _pair_section(result)
        parts += _path_sections(result)
    parts += ["## Not checked", _markdown_list(not_checked_texts(result))]
    if result.warnings:
        parts += ["## Warnings", _markdown_list(warning_texts(result))]
    parts += _search_section(result)
    parts += _mr_sections(result)
    parts += _structure_section(result)
    parts += _figure_section(figures)
    parts += _identity_section(result)
    return "\n\n".join(parts) + "\n"


def _best_path(result: PlanResult) -> list[str]:
    best = result.trajectories[0]
    worst = least_room(best)
    closest = _NOTHING_MEASURED
    if worst is not None:
        measured, required = compared(worst.clearance_mm, worst.required_mm)
        closest = (
            f"Least room: {_escaped(worst.structure)}, {measured} mm clear "
            f"({required} mm required)."
        )
    return [f"**Path {best.rank}:** {_escaped(best.words)}.", closest]


def _nothing_found(result: PlanResult) -> list[str]:
    parts = ["**No feasible path was found.**"]
    if result.explanation:
        parts.append(_markdown_list(explanation_texts(result)))
    return parts


def _unknown_section(result: PlanResult) -> list[str]:
    texts = unknown_texts(result)
    if not texts:
        return []
    return ["## UNKNOWN because (never counts as safe)", _markdown_list(texts, bold=True)]


def _paths_table(trajectories: Iterable[Trajectory]) -> str:
    rows = [_PATH_COLUMNS]
    for path in trajectories:
        worst, angles = least_room(path), path.angles
        measured, required = ("none measured", "")
        if worst is not None:
            measured, required = compared(worst.clearance_mm, worst.required_mm)
        rows.append(
            (
                str(path.rank),
                path.verdict.upper(),
                number(path.length_mm, 1),
                towards(angles.axial_deg, "L", "R"),
                towards(angles.craniocaudal_deg, "H", "F"),
                f"{number(angles.skin_normal_deg, 0)}°",
                "unknown" if angles.b0_deg is None else f"{number(angles.b0_deg, 0)}°",
                _escaped(worst.structure) if worst else "none given",
                measured,
                required,
                number(path.cost, 3),
            )
        )
    return _table(rows)


def _region_section(result: PlanResult) -> list[str]:
    """The target region, where the target is one: it must be looked at before it is trusted."""
    rows = [(_escaped(name), _escaped(text)) for name, text in region_rows(result)]
    if not rows:
        return []
    return ["## Target region", _table([("Target", _escaped(target_text(result))), *rows])]


def _pair_section(result: PlanResult) -> list[str]:
    rows = _rows(PAIR_COLUMNS, pair_rows(result))
    return [f"### {PAIRS_TITLE}", *rows] if rows else []


def _path_sections(result: PlanResult) -> list[str]:
    parts = []
    for path in result.trajectories:
        parts.append(f"### Path {path.rank}: {path.verdict.upper()}")
        facts = [
            _escaped(path.words),
            f"entry LPS {point_text(path.entry_lps_mm)} mm",
            f"tip LPS {point_text(path.tip_lps_mm)} mm",
            f"angles: {', '.join(angle_texts(path.angles))}",
        ]
        if result.needle.throw_mm > 0:
            facts.append(f"end of the throw LPS {point_text(path.throw_end_lps_mm)} mm")
        parts.append(_markdown_list(facts, escape=False))
        still_open = open_texts(path)
        if still_open:
            parts += ["Findings that are not pass:", _markdown_list(still_open)]
        else:
            parts.append("No open finding.")
        rows = [_clearance_row(path, item) for item in ranked_clearances(path)]
        columns = _CLEARANCE_COLUMNS if path.metal is None else _SWEPT_COLUMNS
        parts.append(_table([columns, *rows]) if rows else _NOTHING_MEASURED)
        parts += _mr_parts(result, path)
    return parts


def _mr_parts(result: PlanResult, path: Trajectory) -> list[str]:
    """What MR physics says of a path, other sequences, and the scan planes to type in."""
    facts = [f"**{label}:** {_escaped(text)}" for label, text in mr_text.path_facts(result, path)]
    parts = [_markdown_list(facts, escape=False)] if facts else []
    parts += _rows(mr_text.ADVICE_COLUMNS, mr_text.advice_rows(path))
    return parts + _rows(mr_text.PLANE_COLUMNS, mr_text.plane_rows(path))


def _mr_sections(result: PlanResult) -> list[str]:
    """Each acquisition with the source of every value, and how the metal entered."""
    parts = []
    for index, acquisition in enumerate(result.acquisitions):
        parts.append(f"## {mr_text.acquisition_title(index)}")
        parts += _rows(mr_text.ACQUISITION_COLUMNS, mr_text.acquisition_rows(acquisition))
        problems = mr_text.problem_texts(acquisition)
        if problems:
            parts += ["Problems:", _markdown_list(problems)]
    if result.implants:
        parts.append("## Implants")
        parts += _rows(mr_text.IMPLANT_COLUMNS, mr_text.implant_rows(result.implants))
    return parts


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of plain texts, or nothing where there is no row."""
    escaped = [[_escaped(cell) for cell in row] for row in rows]
    return [_table([columns, *escaped])] if rows else []


def _clearance_row(path: Trajectory, item: Clearance) -> tuple[str, ...]:
    measured, required = compared(item.clearance_mm, item.required_mm)
    row = (
        _escaped(item.structure),
        measured,
        required,
        number(item.clearance_mm - item.required_mm, 2),
        clearance_verdict(path, item).upper(),
    )
    return row if path.metal is None else (*row, mr_text.drawn_text(path, item))


def _search_section(result: PlanResult) -> list[str]:
    parts = ["## Search", f"{search_text(result)}."]
    counts = sorted(result.rejected_counts.items(), key=lambda item: (-item[1], item[0]))
    if counts:
        rows = [("Rejected by (first limit broken)", "Candidates")]
        rows += [(_escaped(name), f"{count:,}") for name, count in counts]
        parts.append(_table(rows))
    return parts


def _structure_section(result: PlanResult) -> list[str]:
    rows = [("Structure", "Role", "Margin mm", "Hard", "Evidence", "Volume mm³", "File SHA-256")]
    uses = {use.name: use for use in result.uses}
    for structure in result.structures.structures:
        use = uses.get(structure.name)
        margin_mm = use.margin_mm if use else structure.margin_mm
        rows.append(
            (
                _escaped(structure.name),
                structure.role.value,
                "" if margin_mm is None else limit_text(margin_mm),
                "yes" if use and use.hard else "no",
                _escaped(use.evidence) if use else "",
                f"{structure.mask.volume_mm3:,.0f}",
                _escaped(structure.source.sha256[:16]),
            )
        )
    if len(rows) == 1:
        return ["## Structures", "**None was given: nothing was kept clear of.**"]
    parts = ["## Structures", _table(rows)]
    if not result.structures.with_role(StructureRole.BODY):
        parts.append("No body mask was given: the skin was found in the image automatically.")
    return parts


def _figure_section(figures: Sequence[PurePath]) -> list[str]:
    if not figures:
        return []
    parts = ["## Pictures"]
    for figure in figures:
        place = figure.name if figure.is_absolute() else figure.as_posix()
        parts.append(f"![{_escaped(figure.stem.replace('_', ' '))}](<{place}>)")
    return parts


def _identity_section(result: PlanResult) -> list[str]:
    source, grid = result.volume.source, result.volume.grid
    rows = [
        ("Item", "Value"),
        ("Software", f"needle-planner {planner.__version__}"),
        ("Study instance UID", _escaped(source.study_instance_uid or "unknown")),
        ("Series instance UID", _escaped(source.series_instance_uid or "unknown")),
        ("Frame of reference UID", _escaped(grid.frame.uid or "unknown")),
        ("Modality, patient position", f"{_escaped(source.modality)}, {source.patient_position}"),
        ("Image shape (k, j, i)", " x ".join(str(n) for n in grid.shape_kji)),
        ("Voxel (k, j, i) mm", " x ".join(f"{s:.3f}" for s in grid.spacing_kji_mm)),
        ("Image SHA-256", volume_sha256(result.volume)),
        ("Procedure", _escaped(result.protocol.id)),
        ("Procedure SHA-256", _escaped(result.protocol.sha256 or "unknown")),
        *((label, _escaped(text)) for label, text in approach_rows(result)),
        ("Needle", _escaped(needle_text(result))),
        ("Target", _escaped(target_text(result))),
        ("Coordinates", "DICOM patient coordinates (LPS), mm"),
    ]
    rows += [
        (f"Option {_escaped(str(key))}", _escaped(str(value)))
        for key, value in result.options.items()
        if _is_anonymous(value)
    ]
    return ["## Input", _table(rows)]


def _is_anonymous(value: object) -> bool:
    """Numbers and digests; any other text may be a file name that holds a person's name."""
    if isinstance(value, str):
        return len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value is None or isinstance(value, bool | int | float)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _markdown_list(texts: Iterable[str], *, bold: bool = False, escape: bool = True) -> str:
    rows = [_escaped(text) if escape else text for text in texts]
    return "\n".join(f"- **{row}**" if bold else f"- {row}" for row in rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _escaped(text: str) -> str:
    """Text from files that cannot turn into Markdown, HTML, a formula or a link."""
    clean = plain(text)
    for character, safe in _ENTITIES.items():
        clean = clean.replace(character, safe)
    clean = _MARKUP.sub(r"\\\g<0>", clean)
    return _LIST_MARK.sub(r"\1\\\2", clean)
