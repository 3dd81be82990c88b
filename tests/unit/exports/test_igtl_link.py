"""Connections: confirmed or an error, never a hang; many clients, and clients that come back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from planner.errors import InputError, OutputError
from planner.exports import igtl_link
from planner.exports.igtl_link import PlanServer, igtl_address, send_messages
from planner.exports.igtl_messages import message, status_body, string_body
from tests.igtl_peer import read_all, receiver, reset, taken_apart

MESSAGES = {
    "TRAJ": [message("TRAJ", "NeedlePlan", b"t" * 150)],
    "STRING": [message("STRING", "NeedlePath1", string_body("path 1"))],
}
ALL = [m for found in MESSAGES.values() for m in found]
HOST = "127.0.0.1"


def status(code: int, text: str = "") -> bytes:
    return message("STATUS", "console", status_body(code, "OK" if code == 1 else "ERROR", text))


# --- sending -----------------------------------------------------------------------------------


def test_a_receiver_that_reads_all_and_closes() -> None:
    got = []
    with receiver(lambda link: got.append(read_all(link))) as port:
        delivery = send_messages(ALL, HOST, port, timeout_s=5)
    assert got == [b"".join(ALL)]
    assert (delivery.acknowledged_by, delivery.n_messages) == ("close", 2)
    assert delivery.n_bytes == len(got[0])
    assert not delivery.is_confirmed


def test_a_receiver_that_ends_without_reading_is_an_error() -> None:
    """Closed at once, or after one message: its end comes before ours."""
    over = threading.Event()

    def read_nothing(link: socket.socket) -> None:
        link.shutdown(socket.SHUT_WR)
        over.wait(10)

    with receiver(read_nothing) as port:
        with pytest.raises(OutputError, match="closed the connection before.*is not known"):
            send_messages(ALL, HOST, port, timeout_s=5)
        over.set()


def test_a_connection_lost_after_it_stood_is_not_told_as_never_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(igtl_link, "_deliver", fail)
    with (
        receiver(lambda link: None) as port,
        pytest.raises(OutputError, match="was lost; seen: No route to host.*is not known"),
    ):
        send_messages(ALL, HOST, port, timeout_s=5)


def test_a_receiver_that_answers_and_stays() -> None:
    stay = threading.Event()

    def behave(link: socket.socket) -> None:
        read_all(link)
        link.sendall(status(1))
        stay.wait(10)

    with receiver(behave) as port:
        delivery = send_messages(ALL, HOST, port, timeout_s=8)
        stay.set()
    assert delivery.acknowledged_by == "status"
    assert delivery.is_confirmed


@pytest.mark.parametrize("before", [b"", status(1)])
def test_a_refusal_is_an_error_even_after_an_ok(before: bytes) -> None:
    def behave(link: socket.socket) -> None:
        read_all(link)
        link.sendall(before + status(13, "no room"))

    with (
        receiver(behave) as port,
        pytest.raises(OutputError, match=r"refused the plan; seen: status 13 ERROR: no room"),
    ):
        send_messages(ALL, HOST, port, timeout_s=5)


def test_a_receiver_that_hangs_is_an_error() -> None:
    over = threading.Event()

    def behave(link: socket.socket) -> None:
        over.wait(10)

    with receiver(behave) as port:
        with pytest.raises(OutputError, match="did not confirm.*within 0.5 s.*is not known"):
            send_messages(ALL, HOST, port, timeout_s=0.5)
        over.set()


def test_a_receiver_that_trickles_does_not_win_time() -> None:
    over = threading.Event()

    def behave(link: socket.socket) -> None:
        for byte in status(1):
            if over.wait(0.2):
                return
            link.sendall(bytes([byte]))

    with receiver(behave) as port:
        with pytest.raises(OutputError, match="did not confirm"):
            send_messages(ALL, HOST, port, timeout_s=0.7)
        over.set()


def test_a_receiver_that_reads_nothing_of_much_is_an_error() -> None:
    over = threading.Event()
    with receiver(lambda link: over.wait(10) and None) as port:
        with pytest.raises(OutputError, match="did not confirm"):
            send_messages([b"x" * 30_000_000], HOST, port, timeout_s=0.5)
        over.set()


def test_a_broken_connection_is_tried_again() -> None:
    got = []
    with receiver(reset, reset, lambda link: got.append(read_all(link))) as port:
        assert send_messages(ALL, HOST, port, timeout_s=5).acknowledged_by == "close"
    assert got == [b"".join(ALL)]


def test_a_connection_that_always_breaks_is_an_error() -> None:
    with (
        receiver(*[reset] * igtl_link.TRIES) as port,
        pytest.raises(OutputError, match="breaks the connection.*3 times"),
    ):
        send_messages(ALL, HOST, port, timeout_s=5)


def test_a_receiver_of_another_protocol_is_an_error() -> None:
    def behave(link: socket.socket) -> None:
        read_all(link)
        link.sendall(b"HTTP/1.1 400 Bad Request\r\n".ljust(80))

    with receiver(behave) as port, pytest.raises(OutputError, match="no OpenIGTLink message"):
        send_messages(ALL, HOST, port, timeout_s=5)


def test_a_damaged_answer_confirms_nothing() -> None:
    def behave(link: socket.socket) -> None:
        read_all(link)
        link.sendall(status(1)[:-1] + b"x")

    with receiver(behave) as port, pytest.raises(OutputError, match="STATUS message is damaged"):
        send_messages(ALL, HOST, port, timeout_s=5)


def test_a_closed_port_is_an_error() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OutputError, match="cannot be reached; seen: Connection refused.*Start the"):
        send_messages(ALL, HOST, port, timeout_s=5)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70, "a..b"])
def test_a_host_that_is_none_is_an_error(host: str) -> None:
    with pytest.raises(OutputError, match="cannot be reached"):
        send_messages(ALL, host, 18944, timeout_s=5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("igtl://127.0.0.1:18945", ("127.0.0.1", 18945)),
        ("igtl://console/", ("console", 18944)),
        ("igtl://[::1]:7", ("::1", 7)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert igtl_address(text) == expected


@pytest.mark.parametrize(
    "text", ["igtl://", "igtl://:5", "igtl://h:0", "igtl://h:65536", "igtl://h:x", "http://h:1", ""]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="igtl://HOST:PORT"):
        igtl_address(text)


# --- serving -----------------------------------------------------------------------------------


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def port(notes: list[str]) -> Iterator[int]:
    with PlanServer(MESSAGES, port=0, note=notes.append) as server:
        worker = threading.Thread(target=server.serve_forever, args=(0.01,))
        worker.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            worker.join(10)
    assert not worker.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=10)


def read_exactly(link: socket.socket, n_bytes: int) -> bytes:
    content = b""
    while len(content) < n_bytes:
        part = link.recv(n_bytes - len(content))
        assert part
        content += part
    return content


def test_every_client_gets_the_whole_plan_and_again_when_it_comes_back(port: int) -> None:
    n_bytes = len(b"".join(ALL))
    with connect(port) as first, connect(port) as second:
        assert read_exactly(second, n_bytes) == read_exactly(first, n_bytes) == b"".join(ALL)
    with connect(port) as again:
        assert read_exactly(again, n_bytes) == b"".join(ALL)


def test_a_client_may_ask_for_one_kind(port: int) -> None:
    with connect(port) as link:
        read_exactly(link, len(b"".join(ALL)))
        link.sendall(message("CAPABILITY", "x", b"") + message("GET_STRING", "x", b""))
        ((header, _),) = taken_apart(read_exactly(link, len(MESSAGES["STRING"][0])))
        assert header.kind == "STRING"


def test_a_client_that_sends_rubbish_is_closed_and_the_others_stay(
    port: int, notes: list[str]
) -> None:
    n_bytes = len(b"".join(ALL))
    with connect(port) as good, connect(port) as bad:
        read_exactly(good, n_bytes)
        read_exactly(bad, n_bytes)
        bad.sendall(b"x" * 58)
        assert bad.recv(10) == b""
        good.sendall(message("GET_TRAJ", "x", b""))
        assert read_exactly(good, len(MESSAGES["TRAJ"][0])) == MESSAGES["TRAJ"][0]
    assert any("no OpenIGTLink message" in note for note in notes)


def test_a_client_that_breaks_off_harms_nobody(port: int) -> None:
    for _ in range(3):
        reset(connect(port))
    with connect(port) as link:
        assert read_exactly(link, len(b"".join(ALL))) == b"".join(ALL)


def test_more_clients_than_there_is_room_for_are_turned_away(port: int, notes: list[str]) -> None:
    n_bytes = len(b"".join(ALL))
    links = [connect(port) for _ in range(igtl_link.MAX_CLIENTS)]
    try:
        for link in links:
            read_exactly(link, n_bytes)
        with connect(port) as surplus:
            assert surplus.recv(10) == b""
    finally:
        for link in links:
            link.close()
    assert any("turned" in note for note in notes)
    for _ in range(200):  # until the threads of the closed ones have ended
        with connect(port) as link:
            if link.recv(10):
                return
        time.sleep(0.02)
    raise AssertionError("no room was made")


def test_clients_that_never_ask_make_room(
    port: int, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that asked once stays; those that never do are let go after a while."""
    monkeypatch.setattr(igtl_link, "IDLE_S", 0.3)
    n_bytes = len(b"".join(ALL))
    with connect(port) as silent, connect(port) as asking:
        read_exactly(silent, n_bytes)
        read_exactly(asking, n_bytes)
        asking.sendall(message("GET_TRAJ", "x", b""))
        read_exactly(asking, len(MESSAGES["TRAJ"][0]))
        assert silent.recv(10) == b""
        asking.sendall(message("GET_TRAJ", "x", b""))
        assert read_exactly(asking, len(MESSAGES["TRAJ"][0])) == MESSAGES["TRAJ"][0]
    assert any("neither reads nor asks" in note for note in notes)


def test_a_silent_client_is_asked_whether_it_lives() -> None:
    with (
        socket.create_server((HOST, 0)) as server,
        socket.create_connection(server.getsockname()) as link,
    ):
        igtl_link._keep_alive(link)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0


def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        socket.create_server((HOST, 0)) as taken,
        pytest.raises(OutputError, match="cannot wait for receivers.*in use"),
    ):
        PlanServer(MESSAGES, port=taken.getsockname()[1])
