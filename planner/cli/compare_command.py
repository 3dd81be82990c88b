"""The command compare: a needle as it lies against its plan."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from planner.cli.console import Console
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
from planner.cli.runner import ExitCode, run_command
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.cli.plan_scene import PlanScene
    from planner.compare import ActualNeedle, Comparison
    from planner.geometry.frames import FloatArray
    from planner.io.plan_document import PlanDocument, TrajectoryRecord

JSON_FILE, PICTURE_FILE = "compare.json", "compare.png"
_FORMS = "L,P,S L,P,S (entry, tip) in mm, or a file of 3D Slicer (.mrk.json, .fcsv, .acsv)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What is compared with what; ``actual`` is a file, or entry and tip in numbers."""

    plan_file: Path
    actual: tuple[str, ...]
    frame: Literal["lps", "ras"] | None
    rank: int
    image: Path | None
    structures: tuple[Path, ...]
    out: Path | None
    reading: MaskReading = field(default_factory=MaskReading)
    procedure: str | None = None


def compare(
    plan_file: PlanFile,
    tip: Annotated[
        str | None,
        typer.Argument(metavar="[L,P,S]", help="The tip, where --actual is an entry in numbers."),
    ] = None,
    actual: Annotated[
        str,
        typer.Option(
            metavar="L,P,S L,P,S|FILE",
            help="The needle as it lies: entry and tip in mm, or a line that 3D Slicer saved.",
        ),
    ] = "",
    frame: Annotated[
        Literal["lps", "ras"] | None,
        typer.Option(
            help="Of points in numbers (default lps), or of a file that does not state it.",
            case_sensitive=False,
        ),
    ] = None,
    path: Annotated[int, typer.Option(metavar="N", min=1, help="The path that was followed.")] = 1,
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
        Path | None, typer.Option(metavar="DIR", help="Write compare.json and a picture.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Compare a needle as it lies with its plan."""
    request = CompareRequest(
        plan_file=plan_file,
        actual=tuple(text for text in (actual, tip) if text),
        frame=frame,
        rank=path,
        image=image,
        structures=tuple(structures or ()),
        out=out,
        reading=MaskReading(
            label_names=label_names,
            label_table=label_table,
            mesh_frame=mesh_frame,
            seg_threshold=seg_threshold,
        ),
        procedure=procedure,
    )
    return run_command(lambda console: run_compare(console, request, as_json=as_json), quiet=quiet)


def run_compare(console: Console, request: CompareRequest, *, as_json: bool) -> ExitCode:
    """NOT_FEASIBLE when the tip misses its target, or a clearance is under its margin."""
    from planner.cli.plan_scene import body_of, plan_scene
    from planner.compare import compare_needle
    from planner.compare.texts import comparison_json, comparison_text
    from planner.exports.plan_to_export import require_consistent
    from planner.io import load_plan
    from planner.report.html_plan import procedure_of

    plan = load_plan(request.plan_file)
    require_consistent(plan, str(request.plan_file))
    protocol = procedure_of(plan, request.procedure)
    planned = next((t for t in plan.trajectories if t.rank == request.rank), None)
    if planned is None:
        n = len(plan.trajectories)
        raise InputError(
            "the plan has no such path",
            seen=f"--path {request.rank}",
            needed=f"1 to {n}" if n else "a plan with paths",
            where=str(request.plan_file),
        )
    actual = actual_needle(request, planned)
    scene = plan_scene(
        console,
        plan,
        request.plan_file,
        request.image,
        list(request.structures),
        request.reading,
    )
    comparison = compare_needle(
        plan,
        actual,
        rank=request.rank,
        structures=None if scene is None else scene.structures,
        image_grid=None if scene is None else scene.volume.grid,
        body=None if scene is None else body_of(console, plan, scene),
        protocol=protocol,
    )
    content = comparison_json(plan, comparison)
    if request.out is not None:
        _write(console, request.out, plan, comparison, scene, content)
    if as_json:
        console.result(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))
    else:
        console.result(comparison_text(plan, comparison))
    is_wrong = comparison.is_under_margin or comparison.is_on_target is False
    return ExitCode.NOT_FEASIBLE if is_wrong else ExitCode.OK


def actual_needle(request: CompareRequest, planned: TrajectoryRecord) -> ActualNeedle:
    """The needle of the command line, in LPS, with its tip known.

    Raises
    ------
    typer.BadParameter
        If it is neither two points nor one file.
    InputError
        If the file holds no line, or more than one.
    """
    from planner.compare import ActualNeedle, oriented
    from planner.io.markup_lines import read_lines

    if len(request.actual) == 2:
        entry, tip = (_point(text, request.frame or "lps") for text in request.actual)
        words = f"entry and tip given in {(request.frame or 'lps').upper()}"
        return ActualNeedle(entry_lps_mm=entry, tip_lps_mm=tip, name="needle", words=words)
    if len(request.actual) != 1:
        raise typer.BadParameter(f"give {_FORMS}", param_hint="--actual")
    (name,) = request.actual
    if _numbers(name) is not None:
        raise typer.BadParameter(
            f"'{name}' is one point; a needle has two: give {_FORMS}", param_hint="--actual"
        )
    lines = read_lines(name, request.frame)
    if len(lines) != 1:
        raise InputError(
            "the file holds several lines, and which one is the needle is not known",
            seen=", ".join(line.name for line in lines[:10]),
            needed="one line",
            where=name,
            fix="Save the needle to a file of its own.",
        )
    line = lines[0]
    return oriented(
        planned,
        line.entry_lps_mm,
        line.tip_lps_mm,
        name=line.name,
        is_labelled=line.is_labelled,
    )


def _point(text: str, frame: str) -> FloatArray:
    import numpy as np

    from planner.geometry.frames import lps_from_ras

    numbers = _numbers(text)
    if numbers is None:
        raise typer.BadParameter(
            f"'{text}' is not a point of three finite numbers: give {_FORMS}",
            param_hint="--actual",
        )
    point = np.array(numbers, dtype=np.float64)
    return lps_from_ras(point) if frame == "ras" else point


def _numbers(text: str) -> tuple[float, ...] | None:
    """Three finite numbers with commas between, or None."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None
    return numbers if len(numbers) == 3 and all(map(math.isfinite, numbers)) else None


def _write(
    console: Console,
    folder: Path,
    plan: PlanDocument,
    comparison: Comparison,
    scene: PlanScene | None,
    content: dict[str, object],
) -> None:
    from planner.cli.outputs import OutputFolder
    from planner.compare.picture import comparison_figure
    from planner.io.atomic import write_text_atomic
    from planner.report.files import write_png
    from planner.report.html_plan import as_result

    result = as_result(
        plan,
        volume=None if scene is None else scene.volume,
        structures=None if scene is None else scene.structures,
    )
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    with OutputFolder(folder) as output:  # picture and numbers are of one needle, or neither
        with console.stage("drawing"):
            figure = comparison_figure(result, comparison, is_image_known=scene is not None)
        write_png(figure, output.staging / PICTURE_FILE)
        write_text_atomic(output.staging / JSON_FILE, text + "\n")
        output.commit()
