"""The report as one HTML file that needs nothing else: no network, no script, no folder.

What a radiologist asks first stands first: may I, where, how deep, how near to what. Every
sentence is one of the texts that the other reports use, every picture is in the file.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.io.plan_document import PlanDocument
from planner.model import PlanResult, Protocol, Trajectory, Verdict
from planner.report.html_figure import LEAST_PATHS, trade_off
from planner.report.html_inputs import input_sections
from planner.report.html_parts import (
    Html,
    Picture,
    bullets,
    element,
    facts,
    figure,
    joined,
    page,
    table,
    tag,
)
from planner.report.html_paths import (
    clearance_table,
    matrix,
    mr_section,
    path_numbers,
    paths_table,
    planes_section,
)
from planner.report.html_plan import as_result
from planner.report.html_style import style_sheet
from planner.report.reasons import reasons
from planner.report.region import PAIR_COLUMNS, PAIRS_TITLE, pair_rows, region_rows
from planner.report.style import BANNER
from planner.report.text import (
    approach_rows,
    explanation_texts,
    needle_text,
    not_checked_texts,
    open_texts,
    target_text,
    unknown_texts,
    verdict_meaning,
    warning_texts,
)
from planner.report.wording import counted

PATHS_WITH_PICTURES = 3
_TRADE_OFF = (
    "The number is the path. A ring: no other path is better in everything (Pareto-optimal). "
    "Below the red line a margin is broken."
)
_TREAT = {
    Verdict.UNKNOWN: "Do not use this path as if it were safe. What is not known:",
    Verdict.FAIL: "Do not use. What is broken:",
    Verdict.CAUTION: "Met, but only just:",
}


def report_html(
    plan: PlanDocument,
    pictures: Sequence[Picture],
    *,
    plan_sha256: str,
    protocol: Protocol | None,
) -> str:
    """The report of a plan file.

    Parameters
    ----------
    plan : PlanDocument
    pictures : sequence of Picture
        Of the plan: ``path_01``, ``path_01_mr``, ..., ``skin_clearance``,
        ``skin_rejection``; others are not shown.
    plan_sha256 : str
        Of the bytes of plan.json, by which the paper is tied to the file.
    protocol : Protocol or None
        The procedure of the plan (``html_plan.procedure_of``); None: not known here.

    Returns
    -------
    str
        One file of HTML. It holds no patient name, no birth date, no institution, and of
        files no more than their last name.

    Raises
    ------
    InputError
        If the plan states what no search can have found.
    """
    result = as_result(plan, protocol=protocol)
    known = {picture.name: picture for picture in pictures}
    body: list[str] = [element("div", BANNER, cls="banner")]
    body += _title(plan, result)
    body += _verdict(result)
    body += _asked(plan, result)
    if result.trajectories:
        body += _best(result, known)
        body += _alternatives(result, known)
    else:
        body += _limits(result)
    body += input_sections(plan, result, protocol, plan_sha256)
    body += [_signature(), element("div", BANNER, cls="note")]
    return page(f"Needle plan: {result.protocol.title}", style_sheet(plan_sha256), body)


def _title(plan: PlanDocument, result: PlanResult) -> list[str]:
    image = plan.image
    series = image.series_instance_uid or "unknown"
    return [
        element("h1", f"Needle plan: {result.protocol.title}"),
        element(
            "p",
            f"Made {plan.created_utc.replace('T', ' ').replace('Z', '')} UTC on {image.modality} "
            f"series {series}. No name of a patient is in this file: check the series.",
            cls="meta",
        ),
    ]


def _verdict(result: PlanResult) -> list[str]:
    verdict = result.verdict
    # Who reads only this page learns that there is more to read before a needle moves.
    told = [f"{counted(len(not_checked_texts(result)), 'thing')} not checked"]
    if result.warnings:
        told.append(counted(len(result.warnings), "warning"))
    more = f"{' and '.join(told)}: see below"
    if result.trajectories:
        more = f"Path 1 of {counted(len(result.trajectories), 'path')} shown. {more}"
    band = element(
        "div",
        element("div", verdict.upper(), cls="word"),
        element(
            "div",
            element("div", _sentence(verdict_meaning(result)), cls="meaning"),
            element("div", more, cls="more"),
        ),
        cls=f"verdict v-{verdict}",
    )
    parts: list[str] = [band]
    unknown = unknown_texts(result)
    if unknown:
        parts.append(_alarm(Verdict.UNKNOWN, unknown))
    if not result.trajectories:
        parts.append(_alarm(Verdict.FAIL, explanation_texts(result), "No path was found."))
        region = result.target.region
        if region is not None and region.warnings:  # paths carry them as findings
            parts.append(_alarm(Verdict.CAUTION, region.warnings, "Look at the target region:"))
        return parts
    for wanted in (Verdict.FAIL, Verdict.CAUTION):
        texts = [r.text for r in reasons(result.trajectories[:1]) if r.verdict is wanted]
        if texts:
            parts.append(_alarm(wanted, texts))
    return parts


def _alarm(verdict: Verdict, texts: Sequence[str], words: str | None = None) -> Html:
    told = element("b", f"{verdict.upper()}. {words or _TREAT[verdict]}", cls=f"c-{verdict}")
    return element("div", told, bullets(texts), cls=f"alarm b-{verdict}")


def _asked(plan: PlanDocument, result: PlanResult) -> list[str]:
    search = plan.search
    shown = len(result.trajectories)
    tried = (
        f"{counted(search.candidates, 'candidate')}, {search.feasible:,} feasible, {shown} shown"
    )
    if search.feasible > shown:
        tried += "; the others rank lower or are too similar"
    rows = [
        ("Procedure", f"{result.protocol.title} ({result.protocol.id})"),
        ("Target", target_text(result)),
        *region_rows(result),
        *approach_rows(result),
        ("Needle", needle_text(result)),
        ("Patient position", f"{plan.image.patient_position} as in the image"),
        ("Searched", tried),
    ]
    return [element("h2", "What was asked"), facts(rows)]


def _best(result: PlanResult, known: dict[str, Picture]) -> list[str]:
    best = result.trajectories[0]
    parts: list[str] = [
        _path_head(best),
        element("p", best.words, cls="words"),
        path_numbers(result, best),
        element("h3", "Clearances, least room first"),
        clearance_table(result, best),
        *_limits(result),  # before the pictures: who stops at the first page has read them
        _pictures(best, known),
    ]
    still_open = open_texts(best)
    if still_open:
        parts += [element("h3", "Findings that are not pass"), bullets(still_open)]
    parts += mr_section(result, best)
    parts += planes_section(best)
    return parts


def _path_head(path: Trajectory) -> Html:
    return element("h2", joined([f"Path {path.rank}", tag(path.verdict)], " &nbsp; "))


def _pictures(path: Trajectory, known: dict[str, Picture]) -> Html:
    shown = []
    for name, caption in (
        (f"path_{path.rank:02d}", f"Path {path.rank}: along the needle, and across it."),
        (
            f"path_{path.rank:02d}_mr",
            f"Path {path.rank} beside metal: where the image is shifted or has no signal.",
        ),
    ):
        if name in known:
            shown.append(figure(known[name], caption, cls="tall"))
    if not shown:
        return element("p", f"No picture of path {path.rank} is at hand.", cls="note")
    return joined(shown)


def _alternatives(result: PlanResult, known: dict[str, Picture]) -> list[str]:
    paths = result.trajectories
    parts: list[str] = []
    if len(paths) >= LEAST_PATHS:
        parts += [element("h2", "Alternatives side by side"), paths_table(result)]
        plot = trade_off(result)
        plotted = Html("") if plot is None else figure(plot, _TRADE_OFF)
        parts.append(element("div", matrix(result), plotted, cls="columns block"))
    if result.pairs:
        pairs = table(PAIR_COLUMNS, pair_rows(result), numeric=(2, 4))
        parts += [element("h2", PAIRS_TITLE), pairs]
    skin = [
        figure(known[name], caption)
        for name, caption in (
            ("skin_clearance", "The skin: smallest clearance of the best path from each place."),
            ("skin_rejection", "The skin: the first limit that a path from each place breaks."),
        )
        if name in known
    ]
    if skin:
        parts += [element("h2", "Where else one could enter"), element("div", *skin, cls="pair")]
    for path in paths[1:PATHS_WITH_PICTURES]:
        parts += [
            _path_head(path),
            element("p", path.words, cls="words"),
            path_numbers(result, path),
            bullets(open_texts(path)),
            _pictures(path, known),
            *mr_section(result, path),
            *planes_section(path),
        ]
    if len(paths) > PATHS_WITH_PICTURES:
        parts.append(
            element(
                "p",
                f"Paths {PATHS_WITH_PICTURES + 1} to {len(paths)} are in the tables above and, "
                "with all their numbers, in the plan file.",
                cls="note",
            )
        )
    return parts


def _limits(result: PlanResult) -> list[str]:
    parts: list[str] = [element("h2", "What was NOT checked"), bullets(not_checked_texts(result))]
    if result.warnings:
        parts += [element("h2", "Warnings"), bullets(warning_texts(result))]
    return parts


def _signature() -> Html:
    fields = ("Looked at by (name, signature)", "Agreed with the images in the room", "Date")
    return element("div", *(element("div", text) for text in fields), cls="sign")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
