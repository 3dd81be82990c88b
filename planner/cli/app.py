"""The commands and their options. What they do is in the modules they call."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import planner
from planner.cli.export_commands import register_export_commands
from planner.cli.options import (
    AcceptFrameMismatch,
    AsJson,
    MeshFrame,
    Quiet,
    SegThreshold,
    Structures,
)
from planner.cli.report_commands import register_report_commands
from planner.cli.runner import run_command

RESEARCH_USE = "Research use only. Not a medical device."

app = typer.Typer(
    name="needle-planner",
    help=f"Plans straight needle paths for MR-guided procedures. {RESEARCH_USE}",
    epilog="Exit codes: 0 ok, 1 nothing feasible or verification failed, 2 usage, "
    "3 bad input, 4 internal error.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: a third of the start-up time, and readable in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _millimetres(low: float, high: float) -> Callable[[str], float]:
    """Reads a length; NaN is out of every range, and is told that it is no length."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise typer.BadParameter(f"'{text}' is not a number of mm from {low:g} to {high:g}")
        return value

    return read


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"needle-planner {planner.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    """Common options."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = Path(
        "demo_out"
    ),
    figures: Annotated[bool, typer.Option(help="Draw figures.")] = True,
    quiet: Quiet = False,
) -> int:
    """Plan three procedures on the sample data."""
    from planner.cli.demo import run_demo

    return run_command(lambda console: run_demo(console, out, figures=figures), quiet=quiet)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder or file.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """List the volumes found, and what is wrong with them."""
    from planner.cli.commands import run_inspect

    return run_command(lambda console: run_inspect(console, path, as_json=as_json), quiet=quiet)


@app.command()
def plan(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="DICOM folder, multi-frame file, or a NIfTI, NRRD or MHA volume."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="L,P,S in mm; FILE.mrk.json or FILE.fcsv, with #LABEL if it holds several "
            "points; structure:NAME (its centroid, or its deepest point where the centroid "
            "lies outside); region:NAME (anywhere in it); or anatomy:REGION, for example "
            "anatomy:si_joint:left, derived from the labels.",
        ),
    ] = None,
    procedure: Annotated[
        str | None,
        typer.Option(metavar="ID", help="See 'needle-planner procedures'; or a TOML file."),
    ] = None,
    opt_in: Annotated[
        list[str] | None,
        typer.Option(
            "--opt-in",
            metavar="NAME",
            help="What the procedure offers on request, such as transaortic. Repeatable.",
        ),
    ] = None,
    frame: Annotated[
        Literal["lps", "ras"] | None,
        typer.Option(help="Of a target in numbers; default lps.", case_sensitive=False),
    ] = None,
    series: Annotated[
        str | None, typer.Option(metavar="UID|NUMBER", help="Which series, if several.")
    ] = None,
    structures: Structures = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ROLE[:MARGIN_MM]",
            help="Role of a structure: avoid, bone, implant, body, target, allowed. Repeatable.",
        ),
    ] = None,
    label_names: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the label values of a mask.")
    ] = None,
    label_table: Annotated[
        str | None, typer.Option(metavar="NAME", help="Table of a known segmenter's labels.")
    ] = None,
    mesh_frame: MeshFrame = None,
    accept_frame_mismatch: AcceptFrameMismatch = False,
    seg_threshold: SegThreshold = None,
    mr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A value of the MR acquisition that the header lacks or has wrong, for example "
            "bandwidth_hz_per_px=250 or b0=anterior-posterior. Repeatable.",
        ),
    ] = None,
    implant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MATERIAL",
            help="Metal of a structure: titanium, cobalt-chrome, stainless steel, ... or "
            "unknown. Repeatable.",
        ),
    ] = None,
    bore: Annotated[
        str | None,
        typer.Option(
            metavar="RADIUS@L,P",
            help="Check that the handle fits the bore: its radius and where its axis runs, mm, "
            "for example 350@0,-40.",
        ),
    ] = None,
    needle: Annotated[
        str | None,
        typer.Option(
            metavar="GAUGE-LENGTH",
            help="For example 22G-90 or 22G-90:steel; or FILE.toml#NAME, a needle of your own.",
        ),
    ] = None,
    throw_mm: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            parser=_millimetres(0.0, 50.0),
            help="How far the needle fires past its tip, 0 to 50.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many paths to keep; default 10.")
    ] = None,
    min_separation_mm: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            parser=_millimetres(0.0, 200.0),
            help="Least distance between kept entries, 0 to 200; default 10.",
        ),
    ] = None,
    entry_spacing_mm: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            parser=_millimetres(0.1, 50.0),
            help="Distance between skin entries tried, 0.1 to 50.",
        ),
    ] = None,
    table_side: Annotated[
        Literal["auto", "none", "posterior", "anterior", "left", "right"] | None,
        typer.Option(
            help="Side of the patient that lies on the table; default auto.",
            case_sensitive=False,
        ),
    ] = None,
    forbid_entry: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Structure whose skin is no entry. Repeatable."),
    ] = None,
    allow_bone: Annotated[
        bool | None, typer.Option(help="Override the bone rule of the procedure.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings; options given here win over it."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Threads of the search.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write plan.json, markups, figures and a report. Default: nothing."
        ),
    ] = None,
    figures: Annotated[bool | None, typer.Option(help="Draw figures; default yes.")] = None,
    require_pass: Annotated[
        bool | None,
        typer.Option("--require-pass", help="Exit 1 unless the best path is pass or caution."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Find needle paths from the skin to a target."""
    from planner.cli.plan import run_plan
    from planner.cli.requests import NamedTexts

    overrides: dict[str, Any] = {
        "target": target,
        "procedure": procedure,
        "frame": frame,
        "opt_in": opt_in,
        "series": series,
        "structures": structures,
        "label_names": label_names,
        "label_table": label_table,
        "mesh_frame": mesh_frame,
        "accept_frame_mismatch": accept_frame_mismatch or None,
        "seg_threshold": seg_threshold,
        "bore": bore,
        "needle": needle,
        "throw_mm": throw_mm,
        "top": top,
        "min_separation_mm": min_separation_mm,
        "entry_spacing_mm": entry_spacing_mm,
        "table_side": table_side,
        "forbid_entry": forbid_entry,
        "allow_bone": allow_bone,
        "threads": threads,
        "figures": figures,
        "require_pass": require_pass,
    }
    return run_command(
        lambda console: run_plan(
            console,
            path,
            overrides=overrides,
            texts=NamedTexts(
                roles=tuple(role or ()), mr=tuple(mr or ()), implants=tuple(implant or ())
            ),
            config=config,
            out=out,
            as_json=as_json,
        ),
        quiet=quiet,
    )


@app.command()
def verify(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json.")],
    image: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The image the plan was made on.")
    ] = None,
    structures: Structures = None,
    label_names: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of the label values of a mask.")
    ] = None,
    label_table: Annotated[
        str | None, typer.Option(metavar="NAME", help="Table of a known segmenter's labels.")
    ] = None,
    mesh_frame: MeshFrame = None,
    accept_frame_mismatch: AcceptFrameMismatch = False,
    seg_threshold: SegThreshold = None,
    procedure: Annotated[
        str | None,
        typer.Option(metavar="FILE.toml", help="Your own procedure, if the plan used one."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Recompute every claim of a plan by another route."""
    from planner.cli.commands import VerifyRequest, run_verify

    request = VerifyRequest(
        plan_file=plan_file,
        image=image,
        structures=tuple(structures or ()),
        label_names=label_names,
        label_table=label_table,
        mesh_frame=mesh_frame,
        accept_frame_mismatch=accept_frame_mismatch,
        seg_threshold=seg_threshold,
        procedure=procedure,
    )
    return run_command(lambda console: run_verify(console, request, as_json=as_json), quiet=quiet)


@app.command()
def fetch(
    node: Annotated[
        str | None,
        typer.Option("--from", metavar="AET@HOST:PORT", help="A PACS node (C-FIND, C-GET)."),
    ] = None,
    dicomweb: Annotated[
        str | None, typer.Option(metavar="URL", help="Root of a DICOMweb service.")
    ] = None,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")] = "",
    patient_id: Annotated[str, typer.Option(metavar="ID", help="Patient ID, in full.")] = "",
    accession: Annotated[str, typer.Option(metavar="NUMBER", help="Accession number.")] = "",
    study_date: Annotated[
        str, typer.Option(metavar="YYYYMMDD[-YYYYMMDD]", help="Date or range of dates.")
    ] = "",
    modality: Annotated[str, typer.Option(metavar="MR", help="Modality in the study.")] = "",
    series: Annotated[
        list[str] | None,
        typer.Option(metavar="UID|NUMBER", help="Only this series. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files; without it, list.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List, fetch nothing.")] = False,
    method: Annotated[
        Literal["get", "move"], typer.Option(help="C-GET, or C-MOVE to our own receiver.")
    ] = "get",
    aet: Annotated[str, typer.Option(metavar="AET", help="Our own title.")] = "NEEDLEPLAN",
    move_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where our receiver for C-MOVE listens.")
    ] = "127.0.0.1",
    move_port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535)] = 11113,
    user: Annotated[
        str | None,
        typer.Option(help="For DICOMweb; the password is in NEEDLE_PLANNER_DICOMWEB_PASSWORD."),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="For each answer.")] = 10.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Find a study in a PACS and fetch it into a folder."""
    from planner.cli.fetch import FetchRequest, run_fetch

    request = FetchRequest(
        node=node,
        dicomweb=dicomweb,
        user=user,
        own_aet=aet,
        method=method,
        move_host=move_host,
        move_port=move_port,
        timeout_s=timeout,
        patient_id=patient_id,
        study=study,
        accession=accession,
        study_date=study_date,
        modality=modality,
        series=tuple(series or ()),
        out=out,
        only_list=only_list,
    )
    return run_command(lambda console: run_fetch(console, request, as_json=as_json), quiet=quiet)


@app.command()
def procedures(
    procedure: Annotated[str | None, typer.Argument(metavar="ID", help="One procedure.")] = None,
    as_json: AsJson = False,
    procedure_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with your own procedure files.")
    ] = None,
) -> int:
    """List the procedures, or show one with its evidence."""
    from planner.cli.commands import run_procedures

    return run_command(
        lambda console: run_procedures(console, procedure, procedure_dir, as_json=as_json)
    )


register_report_commands(app)
register_export_commands(app)
