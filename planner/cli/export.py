"""``needle-planner export``: a plan to files, consoles and archives."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.console import Console
from planner.cli.export_files import (
    place,
    require_harmless,
    require_image,
    require_new,
    require_own,
    written,
)
from planner.cli.export_request import (
    FILE_NAMES,
    IGTL,
    ExportRequest,
    addresses,
    archive,
    check_usage,
)
from planner.cli.outputs import OutputFolder
from planner.cli.runner import ExitCode
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.exports.plan_to_export import PlanToExport
    from planner.io.pacs import PacsSource


SENDING_S = 8.0
"""For all OpenIGTLink receivers together: with the start, one that hangs is told in ten seconds."""
LEAST_S = 0.2

Place = tuple[Path, str | None]


@dataclass(slots=True, kw_only=True)
class _Done:
    written: list[Path] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    not_sent: list[str] = field(default_factory=list)


def run_export(console: Console, request: ExportRequest, *, as_json: bool) -> ExitCode:
    """OK when everything asked for was written, and taken by those it was sent to."""
    from planner.exports.plan_to_export import plan_to_export

    check_usage(request)
    plan = plan_to_export(
        request.plan_file, ranks=request.ranks, even_if_unknown=request.even_if_unknown
    )
    receivers = addresses(request)
    pacs = archive(request)
    if plan.is_unverified:
        console.note("UNVERIFIED: the planner could not confirm every check of what is exported")
    note_left_out(console, plan)
    place = _checked_place(request, pacs)
    require_image(console, request, plan)
    done = _Done(not_sent=[f"{IGTL}{host}:{port}" for host, port in receivers])
    try:
        _write_files(console, request, plan, pacs, place, done)
        give_up_s = time.monotonic() + SENDING_S
        for address in receivers:
            left_s = max(give_up_s - time.monotonic(), LEAST_S)
            _send_igtl(console, plan, address, request.thickness, left_s, done)
    except (PlannerError, KeyboardInterrupt) as error:
        _tell_before(console, plan, done, error, as_json=as_json)
        raise
    console.result(_json(plan, done) if as_json else _text(plan, done))
    return ExitCode.OK


def _tell_before(
    console: Console, plan: PlanToExport, done: _Done, error: BaseException, *, as_json: bool
) -> None:
    """What is out already stays out: it is told with the error that follows."""
    if not (done.written or done.sent):
        return
    if as_json:
        words = str(error) or "interrupted"
        console.result(_json(plan, done, error=words))
        return
    not_sent = f" Not sent to {', '.join(done.not_sent)}." if done.not_sent else ""
    told = "; ".join(_done_lines(done))
    console.result(f"BEFORE IT FAILED: {told}.{not_sent}")
    console.note(f"done before the error: {told}.{not_sent}")


def note_left_out(console: Console, plan: PlanToExport) -> None:
    """Names the paths that stay behind for their verdict."""
    from planner.exports.plan_to_export import verdict_of

    if plan.left_out:
        told = ", ".join(f"path {path.rank} ({verdict_of(path)})" for path in plan.left_out)
        console.note(f"NOT EXPORTED, neither pass nor caution: {told}")


def _file_formats(request: ExportRequest) -> list[str]:
    return [name for name in dict.fromkeys(request.formats) if name in FILE_NAMES]


def _checked_place(request: ExportRequest, pacs: PacsSource | None) -> Place | None:
    """Folder and file name that nothing speaks against; None where nothing is kept."""
    names = _file_formats(request)
    if not names or (pacs is not None and request.out is None and set(names) == set(request.dicom)):
        return None
    folder, only_name = place(request, names)
    for name in names:
        file = folder / (only_name or FILE_NAMES[name])
        require_new(folder / FILE_NAMES[name])
        require_harmless(file, request)
        require_own(file, name)
    return folder, only_name


def _write_files(
    console: Console,
    request: ExportRequest,
    plan: PlanToExport,
    pacs: PacsSource | None,
    at: Place | None,
    done: _Done,
) -> None:
    """All files or none: they are made beside their place and moved together."""
    if not _file_formats(request):
        return
    if at is None and pacs is not None:
        with tempfile.TemporaryDirectory(prefix="needle-planner-") as passing:
            files = written(console, request, plan, Path(passing))
            _send_dicom(console, files, pacs, done)
        return
    folder, only_name = at or (request.plan_file.parent, None)
    with OutputFolder(folder) as output:
        staged = written(console, request, plan, output.staging, only_name)
        # whatever they are called: what is told to be stored is what was written as DICOM
        dicom = [folder / path.relative_to(output.staging) for path in staged]
        done.written += output.commit()
    if pacs is not None:
        _send_dicom(console, dicom, pacs, done)


def _send_dicom(console: Console, files: list[Path], archive: PacsSource, done: _Done) -> None:
    from planner.exports.dicom import send_files

    with console.stage(f"sending to {archive.name}"), _said_if_broken_off(console, archive.name):
        n_stored = send_files(files, archive)
    done.sent.append({"to": archive.name, "files": n_stored})


@contextmanager
def _said_if_broken_off(console: Console, where: str) -> Iterator[None]:
    """Whoever interrupts is told that what has gone out is out."""
    try:
        yield
    except KeyboardInterrupt:
        console.note(f"interrupted while sending to {where}: it may keep a part, look at it")
        raise


def _send_igtl(
    console: Console,
    plan: PlanToExport,
    address: tuple[str, int],
    thickness: str,
    left_s: float,
    done: _Done,
) -> None:
    from planner.exports.igtl_link import send_messages
    from planner.exports.igtl_plan import Thickness, plan_messages

    host, port = address
    by_kind = plan_messages(plan, thickness=Thickness(thickness), time_s=time.time())
    messages = [message for found in by_kind.values() for message in found]
    where = f"{host}:{port}"
    with console.stage(f"sending to {where}"), _said_if_broken_off(console, where):
        delivery = send_messages(messages, host, port, timeout_s=left_s)
    done.not_sent.remove(f"{IGTL}{where}")
    done.sent.append(
        {
            "to": f"{IGTL}{host}:{port}",
            "messages": delivery.n_messages,
            "bytes": delivery.n_bytes,
            "acknowledged_by": delivery.acknowledged_by,
            "is_confirmed": delivery.is_confirmed,
        }
    )


def _text(plan: PlanToExport, done: _Done) -> str:
    return "\n".join([*(plan.description_of(path) for path in plan.paths), *_done_lines(done)])


def _done_lines(done: _Done) -> list[str]:
    lines = [f"Written: {', '.join(map(str, done.written))}"] if done.written else []
    return [*lines, *(f"Sent to {sent['to']}: {_how(sent)}" for sent in done.sent)]


def _how(sent: dict[str, Any]) -> str:
    if "files" in sent:
        return f"stored, {sent['files']} of {sent['files']} files"
    return "acknowledged" if sent["is_confirmed"] else "CONNECTION CLOSED, NOT CONFIRMED"


def _json(plan: PlanToExport, done: _Done, *, error: str | None = None) -> str:
    from planner.exports.plan_to_export import verdict_of

    document = plan.document
    content = {
        "plan_sha256": plan.sha256,
        "verdict": str(plan.worst_verdict),
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
        **({} if error is None else {"error": error, "not_sent": done.not_sent}),
        "research_use": document.research_use,
    }
    return json.dumps(content, indent=1)
