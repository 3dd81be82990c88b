"""The commands inspect, verify and procedures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from planner.cli.console import Console
from planner.cli.runner import ExitCode
from planner.errors import ConfigError, InputError


def run_inspect(console: Console, path: Path, *, as_json: bool) -> ExitCode:
    """OK when at least one volume can be planned on."""
    from planner.io import inspect_path

    with console.stage("reading headers"):
        report = inspect_path(path)
    console.result(_json(report.to_json_dict()) if as_json else report.to_text())
    return ExitCode.OK if any(v.plannable for v in report.volumes) else ExitCode.NOT_FEASIBLE


if TYPE_CHECKING:
    from planner.geometry import Volume
    from planner.io.plan_document import PlanDocument
    from planner.io.roles import RoleChoice
    from planner.model import StructureSet


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What is to be verified, and against which files."""

    plan_file: Path
    image: Path | None
    structures: tuple[Path, ...]
    label_names: Path | None
    label_table: str | None
    mesh_frame: Literal["lps", "ras"] | None
    accept_frame_mismatch: bool
    seg_threshold: float | None
    procedure: str | None


def run_verify(console: Console, request: VerifyRequest, *, as_json: bool) -> ExitCode:
    """OK when every claim of the plan is confirmed."""
    from planner.io import load_plan, load_volume
    from planner.protocols import load_protocol
    from planner.verify import structures_as_planned, verify_plan

    document = load_plan(request.plan_file)
    if request.image is None:
        raise typer.BadParameter(
            "the claims of a plan can only be recomputed from the image it was made on",
            param_hint="--image",
        )
    with console.stage("reading the image"):
        volume = load_volume(request.image, series=series_of(document, request.image))
    with console.stage("reading the structures"):
        structures = structures_of(request, document, volume)
    protocol = None if request.procedure is None else load_protocol(request.procedure)
    with console.stage("verifying"):
        report = verify_plan(
            document, volume, structures_as_planned(document, structures), protocol=protocol
        )
    console.result(_json(report.to_json_dict()) if as_json else report.to_text())
    return ExitCode.OK if report.ok else ExitCode.NOT_FEASIBLE


def structures_of(request: VerifyRequest, document: PlanDocument, volume: Volume) -> StructureSet:
    """The structures in the roles that the user gave when the plan was made.

    By its role a contour, a mesh or a mask on another grid is covered or sampled. Where a
    structure of the plan is not in the files, the verification tells that, not the loader.
    A target that is covered became one after loading (``--target structure:NAME``).
    """
    from planner.geometry.lattice import TransferMethod
    from planner.io import load_structures

    if document.structures and not request.structures:
        files = list(dict.fromkeys(record.source for record in document.structures))
        raise InputError(
            "the plan has structures, so their files are needed to verify it",
            seen="no --structures",
            needed=", ".join(files[:10]) + (f" and {len(files) - 10} more" if files[10:] else ""),
            fix="Give the files the plan was made with: --structures FILE for each.",
        )
    chosen = {
        record.name: (record.role, record.own_margin_mm)
        for record in document.structures
        if record.role_from == "user"
        and (record.role.is_obstacle or record.method != TransferMethod.COVER)
    }

    was_accepted = any(record.frame_mismatch for record in document.structures)

    def loaded(roles: Mapping[str, RoleChoice]) -> StructureSet:
        return load_structures(
            list(request.structures),
            like=volume,
            roles=roles,
            label_table=request.label_table,
            label_names=request.label_names,
            mesh_frame=request.mesh_frame,
            accept_frame_mismatch=request.accept_frame_mismatch or was_accepted,
            fraction_threshold=request.seg_threshold,
        )

    try:
        return loaded(chosen)
    except ConfigError:
        return loaded({})


def series_of(document: PlanDocument, image: Path) -> str | None:
    """The series, and the part of it, that a plan was made on; None for a volume file."""
    from planner.io.image_file import is_image_file

    uid, part = document.image.series_instance_uid, document.image.part
    if uid is None or is_image_file(image):
        return None
    return uid if part is None else f"{uid}:{part}"


def run_procedures(
    console: Console, procedure: str | None, folder: Path | None, *, as_json: bool
) -> ExitCode:
    """The list of procedures, or one of them."""
    from planner.protocols import (
        describe_protocol,
        list_protocols,
        load_protocol,
        procedure_list,
        read_protocol,
    )

    if procedure is None:
        records = [read_protocol(name, folder) for name in list_protocols(folder)]
        if as_json:
            rows = [
                {
                    "id": r.content.id,
                    "title": r.content.title,
                    "family": r.content.family,
                    "sha256": r.sha256,
                }
                for r in records
            ]
            console.result(_json({"procedures": rows}))
        else:
            console.result(procedure_list(records))
        return ExitCode.OK
    record = read_protocol(procedure, folder)
    if as_json:
        content = record.content.model_dump(mode="json", by_alias=True, exclude_none=True)
        own = {"parents": list(record.parents), "sha256": record.sha256}
        console.result(_json({**content, **own}))
        return ExitCode.OK
    console.result(describe_protocol(load_protocol(procedure, folder), record.parents))
    return ExitCode.OK


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
