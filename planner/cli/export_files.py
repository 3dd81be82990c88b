"""The files of an export: made beside their place, moved there together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.console import Console
from planner.cli.export_request import FILE_NAMES, SLICER, ExportRequest
from planner.cli.outputs import PLAN_FILE
from planner.errors import OutputError, UnsupportedObjectError

if TYPE_CHECKING:
    from planner.exports.plan_to_export import PlanToExport


def place(request: ExportRequest, names: list[str]) -> tuple[Path, str | None]:
    """The folder, and the file's name where the user gave one."""
    out = request.out
    if out is None:
        return request.plan_file.parent, None
    is_file = len(names) == 1 and Path(FILE_NAMES[names[0]]).suffix and out.suffix
    if is_file and not out.is_dir():
        return out.parent, out.name
    return out, None


_SUFFIXES = {
    "csv": (".csv",),
    "sheet": (".html", ".htm"),
    "markups": (".mrk.json",),
    "dicom-sr": (".dcm",),
    "dicom-seg": (".dcm",),
    "rtstruct": (".dcm",),
}
_SAYS = b"Research use only"
"""In every export, whatever its kind."""
_MOST_SNIFFED_BYTES = 50_000_000


def require_own(path: Path, name: str) -> None:
    """A file is called what it is, and takes the place of nothing but an export of its kind.

    Raises
    ------
    typer.BadParameter
        If the ending is that of another kind.
    OutputError
        If a file is there that is no earlier export in this format.
    """
    endings = _SUFFIXES.get(name)
    if endings is None:
        return
    if not path.name.lower().endswith(endings):
        raise typer.BadParameter(
            f"'{path.name}' does not end in {' or '.join(endings)}, as {name} does",
            param_hint="--out",
        )
    if path.is_file() and not _is_export(path, name):
        raise OutputError(
            f"there is a file already, and it is no {name} that this program wrote",
            where=str(path),
            fix="Give another --out, or remove it.",
        )


def _is_export(path: Path, name: str) -> bool:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_SNIFFED_BYTES)
    except OSError:
        return False
    start = content.lstrip(b"\xef\xbb\xbf \r\n")[:200].lower()
    is_kind = {
        "csv": not start.startswith((b"{", b"<", b"nrrd", b"%")),
        "sheet": start.startswith((b"<!doctype html", b"<html")),
        "markups": start.startswith(b"{") and b'"markups"' in content,
    }.get(name, content[128:132] == b"DICM")
    return is_kind and _SAYS in content


def require_new(path: Path) -> None:
    """A folder of an earlier export stays as it is: files of two plans must not mix."""
    if not path.suffix and path.is_dir() and any(path.iterdir()):
        raise OutputError(
            "there are files of an earlier export",
            seen=str(path),
            needed="a folder that is empty or not there",
            fix="Remove it, or give another --out.",
        )


def require_harmless(path: Path, request: ExportRequest) -> None:
    """No export may take the place of what it was made from."""
    target = path.resolve()
    image = None if request.image is None else request.image.resolve()
    if target == request.plan_file.resolve() or path.name == PLAN_FILE:
        what = "an export may not take the place of a plan"
    elif image is not None and target.is_relative_to(image):
        what = "an export may not be written among the images of the plan"
    elif target in [file.resolve() for file in request.structures]:
        what = "an export may not take the place of a mask"
    else:
        return
    raise OutputError(what, where=str(path), fix="Give another --out.")


def require_image(console: Console, request: ExportRequest, plan: PlanToExport) -> None:
    """Whatever image and masks were given are those of the plan, though a format needs none.

    DICOM, and structures for 3D Slicer, are checked where they are read.

    Raises
    ------
    InputError
        If they are not.
    """
    from planner.cli.plan_scene import plan_scene, planned_image

    files = list(request.structures)
    if request.image is None or request.dicom or (files and SLICER in request.formats):
        return
    if files:
        plan_scene(console, plan.document, request.plan_file, request.image, files, request.reading)
    else:
        planned_image(console, plan.document, request.image)


def written(
    console: Console,
    request: ExportRequest,
    plan: PlanToExport,
    folder: Path,
    only_name: str | None = None,
) -> list[Path]:
    """The DICOM files among those written to a folder."""
    from planner.exports.markups import write_markups
    from planner.exports.sheet import write_sheet
    from planner.exports.table import write_csv

    plain: dict[str, Callable[[PlanToExport, Path], tuple[Path, ...]]] = {
        "csv": write_csv,
        "sheet": write_sheet,
        "markups": write_markups,
    }
    for name, write in plain.items():
        if name in request.formats:
            write(plan, folder / (only_name or FILE_NAMES[name]))
    if SLICER in request.formats:
        _write_slicer(console, request, plan, folder / FILE_NAMES[SLICER])
    return _write_dicom(console, request, plan, folder, only_name)


def _write_slicer(
    console: Console, request: ExportRequest, plan: PlanToExport, folder: Path
) -> None:
    from planner.cli.plan_scene import plan_scene
    from planner.exports.slicer import SKIN_FILE, write_slicer

    files = list(request.structures)
    image = request.image if files else None
    scene = plan_scene(console, plan.document, request.plan_file, image, files, request.reading)
    with console.stage("writing for 3D Slicer"):
        folder.mkdir(parents=True, exist_ok=True)
        write_slicer(
            plan,
            folder,
            structures=None if scene is None else scene.structures,
            skin_file=request.plan_file.parent / SKIN_FILE,
        )


def _write_dicom(
    console: Console,
    request: ExportRequest,
    plan: PlanToExport,
    folder: Path,
    only_name: str | None,
) -> list[Path]:
    if not request.dicom or request.image is None:
        return []
    try:
        from planner.exports import dicom
    except ModuleNotFoundError as error:
        raise UnsupportedObjectError(
            "this installation cannot write DICOM", seen=str(error), needed="highdicom"
        ) from error
    with console.stage("reading the images of the plan"):
        source = dicom.source_images(
            plan,
            request.image,
            request.structures,
            label_names=request.reading.label_names,
            label_table=request.reading.label_table,
            mesh_frame=request.reading.mesh_frame,
            fraction_threshold=request.reading.seg_threshold,
        )
    written: list[Path] = []
    for name in request.dicom:
        with console.stage(f"writing {name}"):
            written += dicom.FORMATS[name](plan, source, folder / (only_name or FILE_NAMES[name]))
    return written
