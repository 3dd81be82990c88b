"""The command plan: settings, image and masks in; a plan on screen and on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.console import Console
from planner.cli.outputs import FIGURE_FOLDER, PLAN_FILE, REGION_FILE, OutputFolder
from planner.cli.requests import NamedTexts, PlanRequest, checked_request
from planner.cli.runner import ExitCode
from planner.cli.targets import TargetKind, aimed_at, resolve_target

if TYPE_CHECKING:
    from planner.geometry import Volume
    from planner.io.plan_document import PlanDocument
    from planner.model import PlanResult, StructureSet

MARKUPS_FILE = "plan.mrk.json"
REPORT_FILE = "report.md"
HTML_FILE = "report.html"


def run_plan(
    console: Console,
    path: Path,
    *,
    overrides: Mapping[str, Any],
    texts: NamedTexts,
    config: Path | None,
    out: Path | None,
    as_json: bool,
) -> ExitCode:
    """Plans, writes and shows; NOT_FEASIBLE when there is no path, or none good enough."""
    request = checked_request(overrides, texts, config)
    settings = request.settings
    with ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(out)) if out is not None else None
        result = _planned(console, path, request, None if folder is None else folder.staging)
        written: list[Path] = []
        if folder is None:
            document = _document(result)
        else:
            document = write_results(
                console, result, folder.staging, figures=settings.figures, top=settings.top
            )
            written = folder.commit()
    if as_json:
        console.result(document.to_json())
    else:
        console.result(_summary(result, out, written))
    if not result.trajectories:
        return ExitCode.NOT_FEASIBLE
    if settings.require_pass and not is_good_enough(result):
        console.note(f"--require-pass: the best verdict is {result.verdict}")
        return ExitCode.NOT_FEASIBLE
    return ExitCode.OK


def is_good_enough(result: PlanResult) -> bool:
    """Whether the best path is pass or caution."""
    from planner.model import Verdict

    return any(t.verdict in (Verdict.PASS, Verdict.CAUTION) for t in result.trajectories)


def write_results(
    console: Console, result: PlanResult, folder: Path, *, figures: bool, top: int
) -> PlanDocument:
    """Writes plan.json, markups, figures, skin and report to an existing folder."""
    from planner.exports.slicer import SKIN_FILE, write_skin
    from planner.io import save_markups, save_plan
    from planner.report import report_markdown, write_figures
    from planner.report.html_parts import Picture
    from planner.report.html_report import report_html

    document = _document(result)
    save_plan(document, folder / PLAN_FILE)
    save_markups(document, folder / MARKUPS_FILE)
    drawn: list[Path] = []
    if figures:
        drawn = write_figures(result, folder / FIGURE_FOLDER, top=top, progress=console.progress)
    relative = [path.relative_to(folder) for path in drawn]
    (folder / REPORT_FILE).write_text(report_markdown(result, relative), encoding="utf-8")
    pictures = [Picture(name=path.stem, content=path.read_bytes()) for path in drawn]
    plan_sha256 = hashlib.sha256((folder / PLAN_FILE).read_bytes()).hexdigest()
    html = report_html(document, pictures, plan_sha256=plan_sha256, protocol=result.protocol)
    (folder / HTML_FILE).write_text(html, encoding="utf-8")
    if figures:
        write_skin(result, folder / SKIN_FILE, plan_sha256=plan_sha256)
    return document


def _planned(console: Console, path: Path, request: PlanRequest, folder: Path | None) -> PlanResult:
    """The plan; a region that was derived for it is saved in the folder."""
    from planner.cli.compiling import told_about_compiling
    from planner.io import load_volume
    from planner.io.region_file import save_region
    from planner.search import plan
    from planner.search.target_fault import CHECK_FRAME

    settings = request.settings
    with console.stage("reading the image"):
        volume = load_volume(path, series=settings.series)
    structures = _loaded_structures(console, volume, request)
    target = resolve_target(request.target, structures)
    if target.structure is not None and target.structure not in request.roles:
        structures = aimed_at(structures, target.structure)
    point = ", ".join(f"{x:.2f}" for x in target.point_lps_mm)
    console.note(f"target: LPS {point} mm ({target.words})")
    if folder is not None and target.region is not None:
        save_region(target.region, folder / REGION_FILE)
    with told_about_compiling(console):
        result = plan(
            volume,
            target_lps_mm=target.point_lps_mm if target.region is None else None,
            region=target.region,
            procedure=request.protocol,
            structures=structures,
            needle=request.needle,
            mr=settings.mr or None,
            implants=settings.implants,
            bore=request.bore,
            top=settings.top,
            throw_mm=settings.throw_mm,
            entry_spacing_mm=settings.entry_spacing_mm,
            table_side=settings.table_side,
            forbidden_entry=settings.forbid_entry,
            allow_bone=settings.allow_bone,
            min_separation_mm=settings.min_separation_mm,
            threads=settings.threads,
            progress=console.progress,
        )
    console.end_progress()
    told = {"settings": settings.public(), "target_from": target.words}
    explanation = result.explanation
    if request.target.kind in (TargetKind.STRUCTURE, TargetKind.REGION, TargetKind.ANATOMY):
        # The point lies in a mask of this image: its frame cannot be mixed up.
        explanation = tuple(e for e in explanation if e.code != CHECK_FRAME)
    return replace(result, explanation=explanation, options={**result.options, **told})


def _loaded_structures(console: Console, volume: Volume, request: PlanRequest) -> StructureSet:
    from planner.io import load_structures

    settings = request.settings
    with console.stage("reading the structures"):
        return load_structures(
            list(settings.structures),
            like=volume,
            roles=dict(request.roles),
            label_table=settings.label_table,
            label_names=settings.label_names,
            mesh_frame=settings.mesh_frame,
            accept_frame_mismatch=settings.accept_frame_mismatch,
            fraction_threshold=settings.seg_threshold,
        )


def _document(result: PlanResult) -> PlanDocument:
    from planner.io.plan_file import plan_document

    return plan_document(result)


def _summary(result: PlanResult, out: Path | None, written: list[Path]) -> str:
    from planner.report import summary_text

    text = summary_text(result).rstrip()
    if out is None:
        return f"{text}\n\nNothing was written; --out DIR writes the plan, markups and figures."
    return f"{text}\n\nWritten to {out}: {', '.join(_names(out, written))}"


def _names(out: Path, written: list[Path]) -> list[str]:
    names = [str(path.relative_to(out)) for path in written]
    plain = [name for name in names if not name.startswith(f"{FIGURE_FOLDER}/")]
    figures = len(names) - len(plain)
    return [*plain, f"{FIGURE_FOLDER}/ ({figures} files)"] if figures else plain
