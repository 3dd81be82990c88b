"""``needle-planner export`` and ``serve``: a plan to files, consoles and archives."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from planner.cli.console import Console
from planner.cli.fetch import PASSWORD_VARIABLE, TOKEN_VARIABLE
from planner.cli.options import MaskReading
from planner.cli.outputs import PLAN_FILE, OutputFolder
from planner.cli.runner import ExitCode
from planner.errors import ConfigError, OutputError, UnsupportedObjectError

if TYPE_CHECKING:
    from planner.exports.igtl_plan import Thickness
    from planner.exports.plan_to_export import PlanToExport
    from planner.io.pacs import PacsSource

IGTL = "igtl://"
SLICER = "slicer"
FILE_NAMES = {
    "csv": "needle_plan.csv",
    "sheet": "needle_plan_sheet.html",
    "markups": "needle_plan.mrk.json",
    SLICER: "needle_plan_slicer",
    "dicom-sr": "needle_plan_sr.dcm",
    "dicom-seg": "needle_plan_seg.dcm",
    "dicom-images": "needle_plan_images",
    "rtstruct": "needle_plan_rtstruct.dcm",
}
"""What each format is called in a folder; without a suffix it is a folder itself."""

FORMATS = tuple(FILE_NAMES)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What the command line says."""

    plan_file: Path
    formats: tuple[str, ...]
    out: Path | None = None
    image: Path | None = None
    structures: tuple[Path, ...] = ()
    reading: MaskReading = field(default_factory=MaskReading)
    ranks: tuple[int, ...] | None = None
    even_if_unknown: bool = False
    send: str | None = None
    stow: str | None = None
    user: str | None = None
    own_aet: str = "NEEDLEPLAN"
    thickness: str = "none"

    @property
    def dicom(self) -> tuple[str, ...]:
        """The DICOM formats asked for."""
        return tuple(f for f in self.formats if f.startswith("dicom-") or f == "rtstruct")


@dataclass(slots=True, kw_only=True)
class _Done:
    written: list[Path] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)


def run_export(console: Console, request: ExportRequest, *, as_json: bool) -> ExitCode:
    """OK when everything asked for was written, and taken by those it was sent to."""
    from planner.exports.plan_to_export import plan_to_export

    _check_usage(request)
    plan = plan_to_export(
        request.plan_file, ranks=request.ranks, even_if_unknown=request.even_if_unknown
    )
    addresses = _addresses(request)
    archive = _archive(request)
    if plan.is_unverified:
        console.note("UNVERIFIED: the planner could not confirm every check of what is exported")
    _note_left_out(console, plan)
    done = _Done()
    _write_files(console, request, plan, archive, done)
    for address in addresses:
        _send_igtl(console, plan, address, request.thickness, done)
    console.result(_json(plan, done) if as_json else _text(plan, done))
    return ExitCode.OK


def run_serve(
    console: Console,
    plan_file: Path,
    *,
    port: int,
    host: str,
    ranks: tuple[int, ...] | None,
    even_if_unknown: bool,
    thickness: str,
) -> ExitCode:
    """OK when it was interrupted: it serves until then."""
    from planner.exports.igtl_link import PlanServer
    from planner.exports.igtl_plan import plan_messages
    from planner.exports.plan_to_export import plan_to_export

    plan = plan_to_export(plan_file, ranks=ranks, even_if_unknown=even_if_unknown)
    messages = plan_messages(plan, thickness=_thickness(thickness), time_s=time.time())
    _note_left_out(console, plan)
    if host not in LOOPBACK:
        console.note(f"note: whoever reaches {host} can read the plan: there is no encryption")
    with PlanServer(messages, host, port, note=console.note) as server:
        names = ", ".join(plan.name_of(path) for path in plan.paths)
        console.result(f"Serving {names} with OpenIGTLink at {host}:{server.port}; Ctrl-C ends it")
        # In a thread, so that an interrupt reaches this one and can end it in order.
        worker = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(0.5)
        except KeyboardInterrupt:
            console.note("ended")
        finally:
            server.shutdown()
    return ExitCode.OK


def _note_left_out(console: Console, plan: PlanToExport) -> None:
    from planner.exports.plan_to_export import verdict_of

    if plan.left_out:
        told = ", ".join(f"path {path.rank} ({verdict_of(path)})" for path in plan.left_out)
        console.note(f"NOT EXPORTED, neither pass nor caution: {told}")


# --- usage -------------------------------------------------------------------------------------


def _check_usage(request: ExportRequest) -> None:
    known = ", ".join((*FORMATS, f"{IGTL}HOST:PORT"))
    for name in request.formats:
        if name not in FILE_NAMES and not name.startswith(IGTL):
            raise typer.BadParameter(f"'{name}' is none of: {known}", param_hint="--to")
    if (request.send or request.stow) and not request.dicom:
        raise typer.BadParameter(
            "only DICOM is sent to an archive", param_hint="--send" if request.send else "--stow"
        )
    if request.send and request.stow:
        raise typer.BadParameter("give one of --send and --stow", param_hint="--stow")
    if request.dicom and request.image is None:
        raise typer.BadParameter(
            f"{request.dicom[0]} needs the DICOM images the plan was made on", param_hint="--image"
        )
    if request.structures and request.image is None:
        raise typer.BadParameter("masks need the image they lie on", param_hint="--image")


def _addresses(request: ExportRequest) -> list[tuple[str, int]]:
    """Read before anything is written, so that a wrong address stops all."""
    from planner.exports.igtl_link import igtl_address

    return [igtl_address(name) for name in request.formats if name.startswith(IGTL)]


def _archive(request: ExportRequest) -> PacsSource | None:
    """Where the DICOM is stored, if anywhere."""
    from planner.io.pacs import PacsSource

    if request.send is not None:
        with _named("--from", "--send"):
            return PacsSource.at(request.send, own_aet=request.own_aet)
    if request.stow is None:
        return None
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if request.user and not password:
        raise ConfigError(
            "there is no password for --user",
            needed=f"the environment variable {PASSWORD_VARIABLE}",
        )
    with _named("--dicomweb", "--stow"):
        return PacsSource(
            url=request.stow.rstrip("/"),
            user=request.user or "",
            password=password,
            token=os.environ.get(TOKEN_VARIABLE, ""),
        )


@contextmanager
def _named(there: str, here: str) -> Iterator[None]:
    """An error about the option of another command names the one of this command."""
    try:
        yield
    except ConfigError as error:
        if error.where != there:
            raise
        raise ConfigError(error.what, seen=error.seen, needed=error.needed, where=here) from error


def _thickness(text: str) -> Thickness:
    from planner.exports.igtl_plan import Thickness

    return Thickness(text)


# --- files -------------------------------------------------------------------------------------


def _write_files(
    console: Console,
    request: ExportRequest,
    plan: PlanToExport,
    archive: PacsSource | None,
    done: _Done,
) -> None:
    """All files or none: they are made beside their place and moved together."""
    names = [name for name in dict.fromkeys(request.formats) if name in FILE_NAMES]
    if not names:
        return
    if archive is not None and request.out is None and set(names) == set(request.dicom):
        with tempfile.TemporaryDirectory(prefix="needle-planner-") as passing:
            files = _written(console, request, plan, Path(passing))
            _send_dicom(console, files, archive, done)
        return
    folder, only_name = _place(request, names)
    for name in names:
        _require_new(folder / FILE_NAMES[name])
        _require_harmless(folder / (only_name or FILE_NAMES[name]), request)
    with OutputFolder(folder) as output:
        staged = _written(console, request, plan, output.staging, only_name)
        # whatever they are called: what is told to be stored is what was written as DICOM
        dicom = [folder / path.relative_to(output.staging) for path in staged]
        done.written += output.commit()
    if archive is not None:
        _send_dicom(console, dicom, archive, done)


def _place(request: ExportRequest, names: list[str]) -> tuple[Path, str | None]:
    """The folder, and the file's name where the user gave one."""
    out = request.out
    if out is None:
        return request.plan_file.parent, None
    is_file = len(names) == 1 and Path(FILE_NAMES[names[0]]).suffix and out.suffix
    if is_file and not out.is_dir():
        return out.parent, out.name
    return out, None


def _require_new(path: Path) -> None:
    """A folder of an earlier export stays as it is: files of two plans must not mix."""
    if not path.suffix and path.is_dir() and any(path.iterdir()):
        raise OutputError(
            "there are files of an earlier export",
            seen=str(path),
            needed="a folder that is empty or not there",
            fix="Remove it, or give another --out.",
        )


def _require_harmless(path: Path, request: ExportRequest) -> None:
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


def _written(
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


# --- sending -----------------------------------------------------------------------------------


def _send_dicom(console: Console, files: list[Path], archive: PacsSource, done: _Done) -> None:
    from planner.exports.dicom import send_files

    with console.stage(f"sending to {archive.name}"):
        n_stored = send_files(files, archive)
    done.sent.append({"to": archive.name, "files": n_stored})


def _send_igtl(
    console: Console, plan: PlanToExport, address: tuple[str, int], thickness: str, done: _Done
) -> None:
    from planner.exports.igtl_link import send_messages
    from planner.exports.igtl_plan import plan_messages

    host, port = address
    by_kind = plan_messages(plan, thickness=_thickness(thickness), time_s=time.time())
    messages = [message for found in by_kind.values() for message in found]
    with console.stage(f"sending to {host}:{port}"):
        delivery = send_messages(messages, host, port)
    done.sent.append(
        {
            "to": f"{IGTL}{host}:{port}",
            "messages": delivery.n_messages,
            "bytes": delivery.n_bytes,
            "acknowledged_by": delivery.acknowledged_by,
            "is_confirmed": delivery.is_confirmed,
        }
    )


# --- what is said ------------------------------------------------------------------------------


def _text(plan: PlanToExport, done: _Done) -> str:
    lines = [plan.description_of(path) for path in plan.paths]
    if done.written:
        lines.append(f"Written: {', '.join(map(str, done.written))}")
    for sent in done.sent:
        lines.append(f"Sent to {sent['to']}: {_how(sent)}")
    return "\n".join(lines)


def _how(sent: dict[str, Any]) -> str:
    if "files" in sent:
        return f"stored, {sent['files']} of {sent['files']} files"
    return "acknowledged" if sent["is_confirmed"] else "CONNECTION CLOSED, NOT CONFIRMED"


def _json(plan: PlanToExport, done: _Done) -> str:
    from planner.exports.plan_to_export import verdict_of

    document = plan.document
    content = {
        "plan_sha256": plan.sha256,
        "verdict": str(document.verdict),
        "is_unverified": plan.is_unverified,
        "frame_of_reference_uid": document.frame.frame_of_reference_uid,
        "series_instance_uid": document.image.series_instance_uid,
        "paths": [
            {"rank": p.rank, "name": plan.name_of(p), "verdict": str(verdict_of(p))}
            for p in plan.paths
        ],
        "left_out": [{"rank": p.rank, "verdict": str(verdict_of(p))} for p in plan.left_out],
        "written": [str(path) for path in done.written],
        "sent": done.sent,
        "research_use": document.research_use,
    }
    return json.dumps(content, indent=1)
