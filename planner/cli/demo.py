"""The command demo: three procedures on the sample data."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.console import Console
from planner.cli.outputs import OutputFolder
from planner.cli.plan import write_results
from planner.cli.runner import ExitCode
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.geometry import Volume
    from planner.model import PlanResult, StructureSet

SAMPLE_DATA_VARIABLE = "NEEDLE_PLANNER_SAMPLE_DATA"
VARIANT = "plain"
TOP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    procedure: str
    region: str | None = None
    """A target region by its anatomy; or else"""
    point: str | None = None
    """a key of ``targets_lps_mm`` in truth.json."""


CASES = (
    _Case(procedure="transforaminal_epidural", region="foramen:L4-L5:left:upper"),
    _Case(procedure="si_joint_injection", region="si_joint:left"),
    _Case(procedure="vertebral_biopsy_transpedicular", point="vertebra_L5_lesion"),
)


def run_demo(console: Console, out: Path, *, figures: bool) -> ExitCode:
    """Plans every case and shows a table; NOT_FEASIBLE when one has no path."""
    from planner.io import load_structures, load_volume

    with OutputFolder(out) as folder:
        study = _study()
        targets = _targets(study / "truth.json")
        with console.stage("reading the image"):
            volume = load_volume(study / "dicom")
        with console.stage("reading the structures"):
            structures = load_structures([study / "structures.seg.nrrd"], like=volume)
        results = []
        for case in CASES:
            result = _planned(console, case, targets, volume, structures)
            subfolder = folder.staging / case.procedure
            subfolder.mkdir()
            write_results(console, result, subfolder, figures=figures, top=TOP)
            results.append(result)
        written = folder.commit()
    console.result(_table(results))
    folders = ", ".join(case.procedure for case in CASES)
    console.result(f"\n{len(written)} files written to {out}{os.sep}, in {folders}:")
    console.result("plan.json, plan.mrk.json (3D Slicer), report.md and figures of each.")
    console.result("The image is a made-up phantom. Research use only. Not a medical device.")
    every = all(result.trajectories for result in results)
    return ExitCode.OK if every else ExitCode.NOT_FEASIBLE


def _planned(
    console: Console,
    case: _Case,
    targets_lps_mm: dict[str, list[float]],
    volume: Volume,
    structures: StructureSet,
) -> PlanResult:
    from planner.anatomy import find_region
    from planner.cli.compiling import told_about_compiling
    from planner.search import plan

    with told_about_compiling(console):
        return plan(
            volume,
            target_lps_mm=None if case.point is None else targets_lps_mm[case.point],
            procedure=case.procedure,
            structures=structures,
            region=None if case.region is None else find_region(case.region, structures),
            top=TOP,
            progress=lambda stage, done: console.progress(f"{case.procedure}: {stage}", done),
        )


def _study() -> Path:
    """The study of the sample data: where the variable says, here, or beside the package."""
    named = os.environ.get(SAMPLE_DATA_VARIABLE)
    beside_package = Path(__file__).resolve().parents[2] / "sample_data"
    places = [Path(named)] if named else [Path("sample_data"), beside_package]
    for place in places:
        if (place / VARIANT / "truth.json").is_file():
            return place / VARIANT
    raise InputError(
        "the sample data are not there",
        seen=", ".join(str(place / VARIANT) for place in places),
        fix=f"Run from the folder of the repository, or name the folder in {SAMPLE_DATA_VARIABLE}.",
    )


def _targets(file: Path) -> dict[str, list[float]]:
    try:
        targets = json.loads(file.read_text(encoding="utf-8"))["targets_lps_mm"]
        asked = [case.point for case in CASES if case.point is not None]
        return {key: [float(x) for x in targets[key]] for key in asked}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "the truth of the sample data cannot be used", seen=repr(error), where=str(file)
        ) from error


def _table(results: list[PlanResult]) -> str:
    from planner.report.wording import clearance_text

    rows = [("procedure", "needle", "verdict", "paths", "depth mm", "closest structure", "seconds")]
    for result in results:
        best = result.trajectories[0] if result.trajectories else None
        closest = "-"
        if best is not None and best.binding is not None:
            binding = best.binding
            closest = (
                f"{binding.structure} {clearance_text(binding.clearance_mm, binding.required_mm)}"
            )
        rows.append(
            (
                result.protocol.id,
                result.needle.name,
                str(result.verdict),
                str(len(result.trajectories)),
                "-" if best is None else f"{best.length_mm:.0f}",
                closest,
                f"{sum(result.seconds.values()):.1f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
