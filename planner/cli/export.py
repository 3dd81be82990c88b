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
from planner.cli.export_files import place, require_harmless, require_new, written
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

if TYPE_CHECKING:
    from planner.exports.plan_to_export import PlanToExport
    from planner.io.pacs import PacsSource


@dataclass(slots=True, kw_only=True)
class _Done:
    written: list[Path] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)


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
    done = _Done()
    _write_files(console, request, plan, pacs, done)
    for address in receivers:
        _send_igtl(console, plan, address, request.thickness, done)
    console.result(_json(plan, done) if as_json else _text(plan, done))
    return ExitCode.OK


def note_left_out(console: Console, plan: PlanToExport) -> None:
    """Names the paths that stay behind for their verdict."""
    from planner.exports.plan_to_export import verdict_of

    if plan.left_out:
        told = ", ".join(f"path {path.rank} ({verdict_of(path)})" for path in plan.left_out)
        console.note(f"NOT EXPORTED, neither pass nor caution: {told}")


def _write_files(
    console: Console,
    request: ExportRequest,
    plan: PlanToExport,
    pacs: PacsSource | None,
    done: _Done,
) -> None:
    """All files or none: they are made beside their place and moved together."""
    names = [name for name in dict.fromkeys(request.formats) if name in FILE_NAMES]
    if not names:
        return
    if pacs is not None and request.out is None and set(names) == set(request.dicom):
        with tempfile.TemporaryDirectory(prefix="needle-planner-") as passing:
            files = written(console, request, plan, Path(passing))
            _send_dicom(console, files, pacs, done)
        return
    folder, only_name = place(request, names)
    for name in names:
        require_new(folder / FILE_NAMES[name])
        require_harmless(folder / (only_name or FILE_NAMES[name]), request)
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
    console: Console, plan: PlanToExport, address: tuple[str, int], thickness: str, done: _Done
) -> None:
    from planner.exports.igtl_link import send_messages
    from planner.exports.igtl_plan import Thickness, plan_messages

    host, port = address
    by_kind = plan_messages(plan, thickness=Thickness(thickness), time_s=time.time())
    messages = [message for found in by_kind.values() for message in found]
    where = f"{host}:{port}"
    with console.stage(f"sending to {where}"), _said_if_broken_off(console, where):
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
