"""What the tests of OpenIGTLink share: messages taken apart, and receivers of every temper."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from planner.exports.igtl_messages import HEADER, Header, check_body, read_header

Behaviour = Callable[[socket.socket], None]


def taken_apart(content: bytes) -> list[tuple[Header, bytes]]:
    """The messages in a run of bytes, their CRC checked."""
    found = []
    at = 0
    while at < len(content):
        header = read_header(content[at : at + HEADER.size])
        at += HEADER.size
        body = content[at : at + header.body_size]
        assert len(body) == header.body_size
        check_body(header, body)
        found.append((header, body))
        at += header.body_size
    return found


def read_all(link: socket.socket) -> bytes:
    """Until the other side has said all."""
    content = b""
    while part := link.recv(65536):
        content += part
    return content


def reset(link: socket.socket) -> None:
    """Close without reading, so that the other side sees a reset."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


@contextmanager
def receiver(*behaviours: Behaviour) -> Iterator[int]:
    """A listener on loopback; each connection gets the next behaviour. Gives the port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(20)

    def run() -> None:
        for behave in behaviours:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                behave(link)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()
        worker.join(20)
        assert not worker.is_alive()
