"""The image and the masks of a plan, read again and known to be the same."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.commands import VerifyRequest, series_of, structures_of
from planner.cli.console import Console
from planner.cli.options import MaskReading
from planner.errors import InputError, MixedFrameError

if TYPE_CHECKING:
    from planner.geometry import Mask, Volume
    from planner.io.plan_document import PlanDocument
    from planner.model import StructureSet


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlanScene:
    """Image and masks with the hashes of the plan, in the roles they had in it."""

    volume: Volume
    structures: StructureSet


def plan_scene(
    console: Console,
    plan: PlanDocument,
    plan_file: Path,
    image: Path | None,
    files: list[Path],
    reading: MaskReading | None = None,
) -> PlanScene | None:
    """The image and the masks of a plan; None where neither was given.

    Raises
    ------
    MixedFrameError
        If the image has another frame of reference than the plan.
    InputError
        If the image or a mask is not the one that the plan was made from.
    typer.BadParameter
        If masks are given without their image.
    """
    from planner.geometry.digest import mask_sha256
    from planner.verify import structures_as_planned

    if image is None:
        if files:
            raise typer.BadParameter("masks need the image they lie on", param_hint="--image")
        return None
    volume = planned_image(console, plan, image)
    reading = reading or MaskReading()
    request = VerifyRequest(
        plan_file=plan_file,
        image=image,
        structures=tuple(files),
        label_names=reading.label_names,
        label_table=reading.label_table,
        mesh_frame=reading.mesh_frame,
        accept_frame_mismatch=False,
        seg_threshold=reading.seg_threshold,
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


def planned_image(console: Console, plan: PlanDocument, image: Path) -> Volume:
    """The image of a plan, read again: its frame, study, series and content are the plan's.

    Raises
    ------
    MixedFrameError
        If it has another frame of reference than the plan.
    InputError
        If it is not the one that the plan was made on.
    """
    from planner.geometry.digest import volume_sha256
    from planner.io import load_volume

    with console.stage("reading the image"):
        volume = load_volume(image, series=series_of(plan, image))
    _require_same_place(plan, volume, image)
    if volume_sha256(volume) != plan.image.sha256:
        raise _another("the image is not the one that the plan was made on", str(image))
    return volume


def body_of(console: Console, plan: PlanDocument, scene: PlanScene) -> Mask | None:
    """The body of a plan, read or found again; None where it is not the one of the plan."""
    from planner.errors import PlannerError
    from planner.geometry import Mask
    from planner.geometry.digest import mask_sha256
    from planner.model import StructureRole
    from planner.skin import find_body

    given = [s.mask.inside for s in scene.structures.with_role(StructureRole.BODY)]
    if given:
        inside = functools.reduce(operator.or_, given)
        body = Mask(grid=scene.structures.grid, inside=inside)
    else:
        try:
            with console.stage("finding the body"):
                body = find_body(scene.volume).mask
        except PlannerError:
            return None
    return body if mask_sha256(body) == plan.body.sha256 else None


def _require_same_place(plan: PlanDocument, volume: Volume, image: Path) -> None:
    """Equal voxels are not enough: an anonymised copy or another study has another room."""
    seen = volume.grid.frame.uid
    if seen != plan.frame.frame_of_reference_uid:
        raise MixedFrameError(
            "the image is not the one that the plan was made on: another frame of reference",
            seen=seen or "none in the image",
            needed=plan.frame.frame_of_reference_uid or "an image that states none",
            where=str(image),
            fix="Give the image that the plan was made on.",
        )
    for what, found, needed in (
        ("study", volume.source.study_instance_uid, plan.image.study_instance_uid),
        ("series", volume.source.series_instance_uid, plan.image.series_instance_uid),
    ):
        if needed is not None and found != needed:
            raise InputError(
                f"the image is not the one that the plan was made on: another {what}",
                seen=found or "none in the image",
                needed=needed,
                where=str(image),
                fix="Give the image that the plan was made on.",
            )


def _another(what: str, where: str) -> InputError:
    return InputError(
        what,
        seen="another SHA-256",
        where=where,
        fix="Give the files that the plan was made from.",
    )
