"""The commands export and serve, and their options. What they do is in the module export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from planner.cli.options import (
    AsJson,
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
from planner.cli.runner import run_command

Ranks = Annotated[
    list[int] | None,
    typer.Option("--path", metavar="N", help="Rank of a path; default all. Repeatable."),
]
EvenIfUnknown = Annotated[
    bool,
    typer.Option(
        "--even-if-unknown",
        help="Export what is neither pass nor caution too; it is then named UNVERIFIED.",
    ),
]
Thick = Annotated[
    Literal["none", "diameter", "radius"],
    typer.Option(
        "--igtl-thickness",
        help="What the receiver reads in the last number of TRAJ; see its document. Default none.",
    ),
]


def register_export_commands(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    app.command()(export)
    app.command()(serve)


def export(
    plan_file: PlanFile,
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="csv, sheet, markups, slicer, dicom-sr, dicom-seg, dicom-images, rtstruct or "
            "igtl://HOST:PORT. Repeatable.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE|DIR", help="Default: beside the plan."),
    ] = None,
    image: Image = None,
    structures: Structures = None,
    label_names: LabelNames = None,
    label_table: LabelTable = None,
    mesh_frame: MeshFrame = None,
    seg_threshold: SegThreshold = None,
    ranks: Ranks = None,
    even_if_unknown: EvenIfUnknown = False,
    send: Annotated[
        str | None,
        typer.Option("--send", metavar="AET@HOST:PORT", help="Store the DICOM there (C-STORE)."),
    ] = None,
    stow: Annotated[
        str | None,
        typer.Option("--stow", metavar="URL", help="Store the DICOM there (DICOMweb)."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="For --stow; the password is in NEEDLE_PLANNER_DICOMWEB_PASSWORD."),
    ] = None,
    aet: Annotated[str, typer.Option(metavar="AET", help="Our own title.")] = "NEEDLEPLAN",
    thickness: Thick = "none",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Write or send the paths of a plan for other programs and for people."""
    from planner.cli.export import run_export
    from planner.cli.export_request import ExportRequest

    request = ExportRequest(
        plan_file=plan_file,
        formats=tuple(to),
        out=out,
        image=image,
        structures=tuple(structures or ()),
        reading=MaskReading(
            label_names=label_names,
            label_table=label_table,
            mesh_frame=mesh_frame,
            seg_threshold=seg_threshold,
        ),
        ranks=tuple(ranks) if ranks else None,
        even_if_unknown=even_if_unknown,
        send=send,
        stow=stow,
        user=user,
        own_aet=aet,
        thickness=thickness,
    )
    return run_command(lambda console: run_export(console, request, as_json=as_json), quiet=quiet)


def serve(
    plan_file: PlanFile,
    igtl: Annotated[
        int, typer.Option("--igtl", metavar="PORT", min=0, max=65535, help="0: any free port.")
    ],
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    ranks: Ranks = None,
    even_if_unknown: EvenIfUnknown = False,
    thickness: Thick = "none",
    quiet: Quiet = False,
) -> int:
    """Wait for OpenIGTLink clients and give each the paths of a plan."""
    from planner.cli.serve import run_serve

    return run_command(
        lambda console: run_serve(
            console,
            plan_file,
            port=igtl,
            host=host,
            ranks=tuple(ranks) if ranks else None,
            even_if_unknown=even_if_unknown,
            thickness=thickness,
        ),
        quiet=quiet,
    )
