"""OpenIGTLink connections: a plan sent to a console, or kept ready for those that ask.

Sending is confirmed only by a STATUS message. Many receivers send none and close the connection
once they saw our end of it: that is told as closed and not confirmed, for who reads nothing
closes it as well. A receiver that does neither, or closes before all was sent, is an error.
"""

from __future__ import annotations

import functools
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from planner.errors import InputError, OutputError
from planner.exports.igtl_messages import (
    HEADER,
    STATUS_OK,
    Header,
    check_body,
    read_header,
    read_status,
)
from planner.exports.in_time import in_time

DEFAULT_PORT = 18944
TIMEOUT_S = 8.0
"""With the time to start, a receiver that hangs is told within ten seconds."""
TRIES = 3
"""Connections tried where one breaks while sending; a message sent twice replaces itself."""

MORE_STATUS_S = 0.5
"""How long to listen for a second STATUS: a refusal may follow an OK."""

MAX_CLIENTS = 16
EARLY_CLOSE_S = 0.1
"""How long to look, before our end, for a receiver that closes without having seen it."""

PATIENCE_S = 24 * 3600.0
"""How long a client that has asked for something may stay connected."""
IDLE_S = 15 * 60.0
"""How long one may stay that never sent anything: it would keep others out."""
KEEPALIVE_S = 30
"""A silent client is asked so often whether it is still there; after three times it is lost."""

_BROKEN = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
_GET = re.compile(r"GET_(TRAJ|POINT|TRANS(?:FORM)?|POLYDATA|STRING)$")
_ADDRESS = re.compile(
    r"igtl://(?:\[(?P<v6>[0-9a-fA-F:.%]+)\]|(?P<host>[^:/\[\]\s]+))(?::(?P<port>\d{1,5}))?/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How sending ended: with a STATUS that says OK, or only with the connection closed in order.

    ``n_bytes`` were sent. That they were read is known only when ``is_confirmed``.
    """

    n_messages: int
    n_bytes: int
    acknowledged_by: Literal["status", "close"]

    @property
    def is_confirmed(self) -> bool:
        """Whether the receiver said that it took the plan."""
        return self.acknowledged_by == "status"


def igtl_address(text: str) -> tuple[str, int]:
    """Host and port of ``igtl://HOST:PORT``; without a port, 18944.

    Raises
    ------
    InputError
        If the text is no such address.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise InputError(
            "the address of the receiver is not usable",
            seen=text,
            needed="igtl://HOST:PORT, for example igtl://127.0.0.1:18944",
        )
    return match["v6"] or match["host"], port


def send_messages(
    messages: Sequence[bytes], host: str, port: int, *, timeout_s: float = TIMEOUT_S
) -> Delivery:
    """How the messages were taken by a receiver that listens.

    Parameters
    ----------
    messages : sequence of bytes
    host, port
    timeout_s : float
        For everything together.

    Raises
    ------
    OutputError
        If nobody listens, the receiver refuses, does not answer in time, closes before all
        was sent, breaks the connection every time, or is no OpenIGTLink receiver.
    """
    content = b"".join(messages)
    where = f"{host}:{port}"
    deadline = _Deadline(timeout_s)
    tries = 0
    while True:
        tries += 1
        try:
            with _connected(host, port, deadline) as link:
                by = _deliver(link, content, deadline)
        except _BROKEN as error:
            if tries < TRIES:
                continue
            raise _not_known(
                "the receiver breaks the connection", f"{_words(error)}, {tries} times", where
            ) from error
        except TimeoutError as error:
            raise _not_known(
                "the receiver did not confirm that it took the plan",
                f"nothing within {timeout_s:g} s",
                where,
            ) from error
        except OSError as error:
            raise _not_known(
                "the connection to the receiver was lost", _words(error), where
            ) from error
        except OutputError:  # never reached: then nothing arrived
            raise
        except InputError as error:
            raise _not_known(error.what, error.seen, where) from error
        return Delivery(n_messages=len(messages), n_bytes=len(content), acknowledged_by=by)


def _connected(host: str, port: int, deadline: _Deadline) -> socket.socket:
    left_s = deadline.left_s()
    try:  # the name service has no limit of its own
        connect = functools.partial(socket.create_connection, (host, port), timeout=left_s)
        return cast(socket.socket, in_time(connect, left_s))
    except _BROKEN:  # it was there
        raise
    except (OSError, UnicodeError) as error:  # the second: a name that is no host name
        raise OutputError(
            "the receiver cannot be reached",
            seen=_words(error),
            where=f"{host}:{port}",
            fix="Start the receiver, or give its address and port.",
        ) from error


def _not_known(what: str, seen: object, where: str) -> OutputError:
    return OutputError(
        what,
        seen=seen,
        needed="a STATUS that says OK, or the end of the connection after ours",
        where=where,
        fix="Whether the plan arrived is not known: look at the receiver.",
    )


def _words(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _deliver(
    link: socket.socket, content: bytes, deadline: _Deadline
) -> Literal["status", "close"]:
    link.settimeout(deadline.left_s())
    link.sendall(content)
    _require_open(link)
    link.shutdown(socket.SHUT_WR)
    is_confirmed = False
    try:
        for header, body in _received(link, deadline):
            if header.kind != "STATUS":
                continue
            code, words = read_status(body)
            if code != STATUS_OK:
                raise InputError(
                    "the receiver refused the plan", seen=f"status {code} {words}".strip()
                )
            is_confirmed = True
            deadline.shorten(MORE_STATUS_S)
    except TimeoutError:
        if not is_confirmed:
            raise
    return "status" if is_confirmed else "close"


def _require_open(link: socket.socket) -> None:
    """A receiver that closes before our end came cannot have read to it."""
    link.settimeout(EARLY_CLOSE_S)
    try:
        is_closed = link.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return
    if is_closed:
        raise InputError(
            "the receiver closed the connection before it had the whole plan",
            seen="its end before ours, and no STATUS",
        )


class _Deadline:
    """A moment by which all must be done."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left_s(self) -> float:
        """Seconds left, more than 0: a socket takes 0 for something else."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def shorten(self, seconds: float) -> None:
        """No later than in so many seconds."""
        self._end = min(self._end, time.monotonic() + seconds)


def _received(link: socket.socket, deadline: _Deadline) -> Iterator[tuple[Header, bytes]]:
    """The messages that come until the other side closes, their CRC checked."""
    while head := _exactly(link, HEADER.size, deadline, may_end=True):
        header = read_header(head)
        body = _exactly(link, header.body_size, deadline)
        check_body(header, body)
        yield header, body


def _exactly(
    link: socket.socket, n_bytes: int, deadline: _Deadline, *, may_end: bool = False
) -> bytes:
    content = bytearray()
    while len(content) < n_bytes:
        link.settimeout(deadline.left_s())
        part = link.recv(min(n_bytes - len(content), 1 << 16))
        if not part:
            if may_end and not content:
                break
            raise InputError("an answer broke off", seen=f"{len(content)} of {n_bytes} bytes")
        content += part
    return bytes(content)


# --- serving -----------------------------------------------------------------------------------


class PlanServer(socketserver.ThreadingTCPServer):
    """Gives every client that connects the whole plan, and again what it asks for (``GET_...``).

    Use as a context; ``serve_forever`` blocks, ``shutdown`` from another thread ends it.

    Parameters
    ----------
    messages : mapping of str to sequence of bytes
        Whole messages by kind.
    host, port
        Where to listen; port 0 takes any that is free, ``port`` says which.
    note : function of str
        Told who came and what went wrong.

    Raises
    ------
    OutputError
        If it cannot listen there.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(
        self,
        messages: Mapping[str, Sequence[bytes]],
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.messages = {kind: b"".join(found) for kind, found in messages.items()}
        self.note = note
        self._room = threading.BoundedSemaphore(MAX_CLIENTS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Client)
        except (OSError, UnicodeError, OverflowError) as error:
            raise OutputError(
                "cannot wait for receivers there",
                seen=getattr(error, "strerror", None) or str(error),
                where=f"{host}:{port}",
                fix="Give another --igtl PORT; ports under 1024 need rights.",
            ) from error

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self.server_address[1])

    def process_request(self, request: object, client_address: object) -> None:
        """Serve one more client in a thread of its own, if there is room."""
        if not self._room.acquire(blocking=False):
            self.note(f"turned {client_address} away: {MAX_CLIENTS} are connected")
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve one client, then make room."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say that a client was lost; the others stay."""
        self.note(f"lost {client_address}")


class _Client(socketserver.BaseRequestHandler):
    server: PlanServer

    def handle(self) -> None:
        name = "{}:{}".format(*self.client_address[:2])
        link: socket.socket = self.request
        everything = b"".join(self.server.messages.values())
        try:
            self._send(link, everything)
            self.server.note(f"sent the plan to {name}")
            _keep_alive(link)
            link.settimeout(IDLE_S)
            has_spoken = link.recv(1, socket.MSG_PEEK) != b""
            requests = _received(link, _Deadline(PATIENCE_S)) if has_spoken else ()
            for header, _ in requests:
                wanted = _GET.match(header.kind)
                if wanted:
                    kind = "TRANSFORM" if wanted[1].startswith("TRANS") else wanted[1]
                    self._send(link, self.server.messages.get(kind, b""))
        except InputError as error:
            self.server.note(f"closed {name}: {error.what}")
        except TimeoutError:
            self.server.note(f"closed {name}: it neither reads nor asks")
        except OSError as error:
            self.server.note(f"lost {name}: {error.strerror or error}")

    @staticmethod
    def _send(link: socket.socket, content: bytes) -> None:
        link.settimeout(TIMEOUT_S)
        link.sendall(content)


def _keep_alive(link: socket.socket) -> None:
    """A peer whose machine or cable is gone is noticed, where the system can do it."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_S),
        ("TCP_KEEPCNT", 3),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
