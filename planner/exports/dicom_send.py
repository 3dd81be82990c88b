"""Sending exported files: C-STORE to AET@HOST:PORT, or STOW-RS to an http(s) address."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.exports.in_time import in_time
from planner.io.dicom_values import quiet_pydicom
from planner.io.pacs.query import PacsError, PacsSource, plain_text

_SUCCESS = 0x0000
_WARNINGS = (0xB000, 0xB006, 0xB007)
"""Stored, with elements coerced, discarded, or not matching the class."""

_REASONS = {
    0x0122: "it does not take objects of this class",
    0x0124: "it does not allow this",
    0xA700: "it is out of resources",
    0xA701: "it is out of resources",
    0xA702: "it is out of resources",
    0xA900: "it says the object does not match its class",
    0xC000: "it cannot understand the object",
}

CONNECTING_SHARE, ANSWER_SHARE = 0.3, 0.8
"""Parts of the time limit: to connect, to be accepted, and for each answer afterwards.

Together below one, so that the limit also holds for what comes after: an abort, a release.
"""


def send_files(
    paths: Sequence[str | Path], destination: str | PacsSource, timeout_s: float = 10.0
) -> int:
    """How many files the receiver said it stored: all of them.

    Parameters
    ----------
    paths : sequence of path
        DICOM files.
    destination : str or PacsSource
        ``AET@HOST:PORT`` or the root of a DICOMweb service; a PacsSource for another
        calling title, or for user, password or token.
    timeout_s : float
        A receiver that says nothing for so long is given up, and a DICOMweb service that has
        not answered a file in whole. One that is slow but answers file after file is not.

    Raises
    ------
    ConfigError
        The destination cannot be read.
    InputError
        There is no file, or one is missing or no DICOM file; then nothing is sent.
    PacsError
        The receiver does not answer, refuses, or did not store everything; the message says
        how many files it has stored before.
    """
    target = _target(destination, timeout_s)
    files = [Path(path) for path in paths]
    if not files:
        raise InputError("there is no file to send", where=target.name)
    with quiet_pydicom():
        datasets = [_header(file) for file in files]
        if target.url:
            return _stow(files, datasets, target)
        return _store(files, datasets, target)


def _target(destination: str | PacsSource, timeout_s: float) -> PacsSource:
    if isinstance(destination, PacsSource):
        return replace(destination, timeout_s=timeout_s)
    if destination.startswith(("http://", "https://")):
        return PacsSource(url=destination.rstrip("/"), timeout_s=timeout_s)
    return PacsSource.at(destination, timeout_s=timeout_s)


def _header(file: Path) -> Any:
    import pydicom

    tags = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        missing = [tag for tag in tags if tag not in header]
    except OSError as error:
        raise InputError(
            "the file to send cannot be read",
            seen=error.strerror or type(error).__name__,
            where=str(file),
        ) from error
    except Exception as error:
        raise InputError("the file to send is no DICOM file", where=str(file)) from error
    if missing or "TransferSyntaxUID" not in header.file_meta:
        raise InputError("the file to send is no DICOM file", where=str(file))
    return header


def _store(files: list[Path], headers: list[Any], target: PacsSource) -> int:
    import pydicom

    n_stored = 0
    with _associated(headers, target) as association:
        for file, header in zip(files, headers, strict=True):
            _require_context(association, header, target, n_stored)
            try:
                with _cut_off(association, ANSWER_SHARE * target.timeout_s):
                    status = association.send_c_store(pydicom.dcmread(file))
            except (RuntimeError, ValueError) as error:
                raise _failed(target, n_stored, len(files), type(error).__name__) from error
            code = status.get("Status") if status else None
            if code is None:
                raise _failed(
                    target, n_stored, len(files), f"no answer within {target.timeout_s:g} s"
                )
            if code not in (_SUCCESS, *_WARNINGS):
                comment = plain_text(status.get("ErrorComment", ""))
                reason = _REASONS.get(code, comment)
                seen = f"status 0x{code:04X}" + (f": {reason}" if reason else "")
                raise _failed(target, n_stored, len(files), seen)
            n_stored += 1
    return n_stored


@contextmanager
def _associated(headers: list[Any], target: PacsSource) -> Iterator[Any]:
    from pynetdicom import AE, build_context

    entity = AE(ae_title=target.own_aet)
    entity.connection_timeout = entity.acse_timeout = CONNECTING_SHARE * target.timeout_s
    entity.dimse_timeout = entity.network_timeout = ANSWER_SHARE * target.timeout_s
    kinds = dict.fromkeys((h.SOPClassUID, h.file_meta.TransferSyntaxUID) for h in headers)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
    _require_host(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        association = entity.associate(
            target.host, target.port, contexts=contexts, ae_title=target.aet
        )
    if not association.is_established:
        raise _not_connected(association, target)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        else:
            association.abort()


@contextmanager
def _cut_off(association: Any, limit_s: float) -> Iterator[None]:
    """After the limit the connection is cut: a receiver may stop reading in the middle.

    The library sends without a limit of its own, in a thread that its abort waits for.
    """
    connection = getattr(association.dul.socket, "socket", None)

    def cut() -> None:
        if connection is not None:
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _require_host(target: PacsSource) -> None:
    ask = functools.partial(socket.getaddrinfo, target.host, target.port)
    try:
        in_time(ask, CONNECTING_SHARE * target.timeout_s)
    except OSError as error:
        raise PacsError(
            "the receiver does not answer",
            seen=error.strerror or type(error).__name__,
            where=target.name,
            fix="Check the name of the host.",
        ) from error


def _not_connected(association: Any, target: PacsSource) -> PacsError:
    if association.is_rejected:
        return PacsError(
            "the receiver refuses the association",
            seen=f"called {target.aet}, calling {target.own_aet}",
            where=target.name,
            fix="Check both application entity titles, and whether the receiver knows this one.",
        )
    if association.rejected_contexts:
        kinds = {context.abstract_syntax.name for context in association.rejected_contexts}
        return _not_taken(", ".join(sorted(kinds)), target, 0)
    return PacsError(
        "the receiver does not answer",
        seen=f"no association (limit {target.timeout_s:g} s)",
        where=target.name,
        fix="Check host and port, and that the receiver runs.",
    )


def _require_context(association: Any, header: Any, target: PacsSource, n_stored: int) -> None:
    for context in association.accepted_contexts:
        is_syntax = header.file_meta.TransferSyntaxUID in context.transfer_syntax
        if context.abstract_syntax == header.SOPClassUID and is_syntax:
            return
    raise _not_taken(header.SOPClassUID.name, target, n_stored)


def _not_taken(kinds: str, target: PacsSource, n_stored: int) -> PacsError:
    return PacsError(
        "the receiver does not take this kind of object",
        seen=kinds,
        where=target.name,
        fix=f"Choose another export format. {n_stored} files were stored before.",
    )


def _failed(target: PacsSource, n_stored: int, n_files: int, seen: str) -> PacsError:
    return PacsError(
        "the receiver did not store everything",
        seen=f"{seen}; {n_stored} of {n_files} files stored",
        where=target.name,
        fix="Send again when it is ready: what it has stays as it is.",
    )


def _stow(files: list[Path], headers: list[Any], target: PacsSource) -> int:
    import pydicom
    import requests

    client = _web_client(target)
    n_stored = 0
    for file, header in zip(files, headers, strict=True):
        try:
            answer = in_time(
                functools.partial(
                    client.store_instances, [pydicom.dcmread(file)], header.StudyInstanceUID
                ),
                target.timeout_s,
            )
        except TimeoutError as error:
            raise _failed(
                target, n_stored, len(files), f"no whole answer within {target.timeout_s:g} s"
            ) from error
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            raise _failed(target, n_stored, len(files), f"HTTP {status}") from error
        except requests.exceptions.RequestException as error:
            raise PacsError(
                "the DICOMweb service does not answer",
                seen=f"{type(error).__name__}; {n_stored} of {len(files)} files stored",
                where=target.name,
                fix="Check the address, and that the service runs.",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _failed(target, n_stored, len(files), "an answer that is no DICOM") from error
        stored = {i.ReferencedSOPInstanceUID for i in answer.get("ReferencedSOPSequence") or []}
        if header.SOPInstanceUID not in stored:
            raise _failed(target, n_stored, len(files), "the service says it failed")
        n_stored += 1
    return n_stored


def _web_client(target: PacsSource) -> Any:
    from dicomweb_client.api import DICOMwebClient
    from dicomweb_client.session_utils import create_session, create_session_from_user_pass

    session = create_session()
    if target.user:
        session = create_session_from_user_pass(target.user, target.password)
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else None
    client = DICOMwebClient(
        target.url, session=session, headers=headers, timeout=ANSWER_SHARE * target.timeout_s
    )
    client.set_http_retry_params(retry=False)
    return client
