"""The image and the masks of a plan, read again and known to be the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.commands import VerifyRequest, series_of, structures_of
from planner.cli.console import Console
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.geometry import Volume
    from planner.io.plan_document import PlanDocument
    from planner.model import StructureSet


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlanScene:
    """Image and masks with the hashes of the plan, in the roles they had in it."""

    volume: Volume
    structures: StructureSet


def plan_scene(
    console: Console, plan: PlanDocument, plan_file: Path, image: Path | None, files: list[Path]
) -> PlanScene | None:
    """The image and the masks of a plan; None where neither was given.

    Raises
    ------
    InputError
        If the image or a mask is not the one that the plan was made from.
    typer.BadParameter
        If masks are given without their image.
    """
    from planner.geometry.digest import mask_sha256, volume_sha256
    from planner.io import load_volume
    from planner.verify import structures_as_planned

    if image is None:
        if files:
            raise typer.BadParameter("masks need the image they lie on", param_hint="--image")
        return None
    with console.stage("reading the image"):
        volume = load_volume(image, series=series_of(plan, image))
    if volume_sha256(volume) != plan.image.sha256:
        raise _another("the image is not the one that the plan was made on", str(image))
    request = VerifyRequest(
        plan_file=plan_file,
        image=image,
        structures=tuple(files),
        label_names=None,
        label_table=None,
        mesh_frame=None,
        accept_frame_mismatch=False,
        seg_threshold=None,
        procedure=None,
    )
    with console.stage("reading the structures"):
        structures = structures_as_planned(plan, structures_of(request, plan, volume))
    for record in plan.structures:
        if record.name not in structures:
            raise _another(f"the files hold no structure '{record.name}'", "--structures")
        if mask_sha256(structures[record.name].mask) != record.sha256:
            raise _another(
                f"the mask of '{record.name}' is not the one that the plan was made with",
                "--structures",
            )
    return PlanScene(volume=volume, structures=structures)


def _another(what: str, where: str) -> InputError:
    return InputError(
        what,
        seen="another SHA-256",
        where=where,
        fix="Give the files that the plan was made from.",
    )
