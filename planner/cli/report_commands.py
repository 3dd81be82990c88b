"""The command report, and where it and compare join the program."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.compare_command import compare
from planner.cli.console import Console
from planner.cli.options import (
    Image,
    LabelNames,
    LabelTable,
    MaskReading,
    MeshFrame,
    PlanFile,
    Quiet,
    SegThreshold,
    Structures,
)
from planner.cli.runner import ExitCode, run_command
from planner.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from planner.cli.plan_scene import PlanScene
    from planner.io.plan_document import PlanDocument
    from planner.model import Protocol
    from planner.report.html_parts import Picture

MAX_PICTURE_BYTES = 30_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


def register_report_commands(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    app.command()(report)
    # A tip such as -12,40,5 is no option.
    app.command(context_settings={"ignore_unknown_options": True})(compare)


def report(
    plan_file: PlanFile,
    image: Image = None,
    structures: Structures = None,
    label_names: LabelNames = None,
    label_table: LabelTable = None,
    mesh_frame: MeshFrame = None,
    seg_threshold: SegThreshold = None,
    procedure: Annotated[
        str | None,
        typer.Option(metavar="FILE.toml", help="Your own procedure, if the plan used one."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Default: report.html beside the plan."),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it to PDF too (needs Chromium).")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Write a plan as one HTML file (and PDF) that needs nothing else."""
    return run_command(
        lambda console: run_report(
            console,
            plan_file,
            image=image,
            structures=list(structures or ()),
            reading=MaskReading(
                label_names=label_names,
                label_table=label_table,
                mesh_frame=mesh_frame,
                seg_threshold=seg_threshold,
            ),
            procedure=procedure,
            out=out,
            pdf=pdf,
        ),
        quiet=quiet,
    )


def run_report(
    console: Console,
    plan_file: Path,
    *,
    image: Path | None,
    structures: list[Path],
    reading: MaskReading,
    procedure: str | None,
    out: Path | None,
    pdf: bool,
) -> ExitCode:
    """Writes the report; the pictures are those beside the plan, or drawn again."""
    from planner.cli.plan import HTML_FILE
    from planner.cli.plan_scene import plan_scene
    from planner.io import load_plan
    from planner.io.atomic import write_bytes_atomic
    from planner.report.html_pdf import find_browser
    from planner.report.html_plan import procedure_of
    from planner.report.html_report import report_html

    target = plan_file.parent / HTML_FILE if out is None else out
    if target.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"'{target.name}' does not end in .html", param_hint="--out")
    browser = find_browser() if pdf else None
    plan = load_plan(plan_file)
    protocol = procedure_of(plan, procedure)
    pictures = pictures_beside(plan_file)
    scene = plan_scene(console, plan, plan_file, image, structures, reading)
    if scene is not None:
        pictures = [*pictures, *_drawn(console, plan, protocol, scene, pictures)]
    html = report_html(plan, pictures, plan_sha256=_sha256(plan_file), protocol=protocol)
    written = [write_bytes_atomic(target, html.encode("utf-8"))]
    if browser is not None:
        written.append(_printed(console, html, browser, target))
    console.result(f"VERDICT: {plan.worst_verdict.upper()}")
    console.result(f"Written: {', '.join(str(path) for path in written)}")
    return ExitCode.OK


def pictures_beside(plan_file: Path) -> list[Picture]:
    """The PNG files in the folder of figures beside a plan.

    Raises
    ------
    InputError
        If one cannot be read, is no PNG or is far too large.
    """
    from planner.cli.outputs import FIGURE_FOLDER
    from planner.report.html_parts import Picture

    found = []
    for path in sorted((plan_file.parent / FIGURE_FOLDER).glob("*.png")):
        try:
            is_small = path.stat().st_size <= MAX_PICTURE_BYTES
            content = path.read_bytes() if is_small else b""
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InputError(
                "a picture beside the plan cannot be read", seen=reason, where=str(path)
            ) from error
        if not content.startswith(_PNG):
            raise InputError(
                "a picture beside the plan is not one of ours",
                seen="no PNG" if is_small else f"more than {MAX_PICTURE_BYTES // 1_000_000} MB",
                where=str(path),
                fix="Remove it, or copy plan.json to a folder of its own.",
            )
        found.append(Picture(name=path.stem, content=content))
    return found


def _drawn(
    console: Console,
    plan: PlanDocument,
    protocol: Protocol | None,
    scene: PlanScene,
    known: Sequence[Picture],
) -> list[Picture]:
    """Pictures of the first paths that are not beside the plan."""
    from planner.report.figures import path_pictures
    from planner.report.html_plan import as_result
    from planner.report.html_report import PATHS_WITH_PICTURES

    result = as_result(plan, protocol=protocol, volume=scene.volume, structures=scene.structures)
    have = {picture.name for picture in known}
    with console.stage("drawing"):
        return path_pictures(result, top=PATHS_WITH_PICTURES, without=have)


def _printed(console: Console, html: str, browser: str, page: Path) -> Path:
    """The PDF beside the page; where it cannot be made, one of an earlier report is told old."""
    from planner.io.atomic import write_bytes_atomic
    from planner.report.html_pdf import print_pdf

    file = page.with_suffix(".pdf")
    try:
        with console.stage("printing"):
            content = print_pdf(html, browser)
        return write_bytes_atomic(file, content)
    except OutputError as error:
        old = f" {file} is OF AN EARLIER REPORT, not of this one." if file.is_file() else ""
        raise OutputError(
            error.what,
            seen=error.seen,
            needed=error.needed,
            where=error.where,
            fix=f"{page} was written. {error.fix or ''}{old}",
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
