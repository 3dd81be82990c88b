"""Sending DICOM: stored by a real archive, and receivers that are not there, hang or refuse."""

from __future__ import annotations

import contextlib
import inspect
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pydicom
import pytest

from planner.errors import ConfigError, InputError, PlannerError
from planner.exports import dicom_send
from planner.exports.dicom_send import ANSWER_SHARE, CONNECTING_SHARE, send_files
from planner.io.pacs.query import PacsError, PacsSource
from tests.interop.conftest import PASSWORD, USER, Orthanc, free_port

MOST_S = 10.0
"""No receiver may hold the program up for longer; the tests give it a fifth of that."""


# --- archives ---------------------------------------------------------------------------------


def stored_file(orthanc: Orthanc, instance_uid: str) -> pydicom.Dataset:
    found = json.loads(orthanc.rest("/tools/lookup", instance_uid.encode()))
    (instance,) = [f["ID"] for f in found if f["Type"] == "Instance"]
    content = orthanc.rest(f"/instances/{instance}/file")
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))


def delete(orthanc: Orthanc, files: list[Path]) -> None:
    import base64
    import urllib.request

    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for file in files:
        uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
        for found in json.loads(orthanc.rest("/tools/lookup", uid.encode())):
            request = urllib.request.Request(
                f"http://127.0.0.1:{orthanc.http_port}/instances/{found['ID']}", method="DELETE"
            )
            request.add_header("Authorization", f"Basic {login}")
            urllib.request.urlopen(request, timeout=10).close()


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_sent_to_orthanc_and_fetched_back_equal(orthanc, exported, way):
    files = [f for files in exported.values() for f in files]
    where = (
        orthanc.node
        if way == "C-STORE"
        else PacsSource(url=orthanc.dicomweb, user=USER, password=PASSWORD)
    )
    try:
        assert send_files(files, where) == len(files)
        for file in files:
            sent = pydicom.dcmread(file)
            assert stored_file(orthanc, sent.SOPInstanceUID) == sent
    finally:
        delete(orthanc, files)


def test_orthanc_refuses_another_title_or_no_password(orthanc, exported):
    with pytest.raises(PacsError, match="refuses the association"):
        send_files(exported["dicom-sr"], f"WRONG@127.0.0.1:{orthanc.dicom_port}")
    with pytest.raises(PacsError, match="HTTP 401"):
        send_files(exported["dicom-sr"], orthanc.dicomweb)


# --- receivers that fail ----------------------------------------------------------------------


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < MOST_S


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts a connection and never says a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


@contextlib.contextmanager
def receiver(answer, *contexts: str) -> Iterator[str]:
    """A C-STORE receiver of pynetdicom that answers as told; its node."""
    from pynetdicom import AE, evt

    entity = AE(ae_title="RECV")
    for uid in contexts:
        entity.add_supported_context(uid)
    port = free_port()
    handlers = [(evt.EVT_C_STORE, lambda event: answer())]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield f"RECV@127.0.0.1:{port}"
    finally:
        server.shutdown()


MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.mark.parametrize("form", ["X@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_a_closed_port(exported, form):
    with in_time(), pytest.raises(PacsError, match="does not answer"):
        send_files(exported["dicom-sr"], form.format(free_port()))


@pytest.mark.parametrize("form", ["X@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_a_receiver_that_hangs_is_given_up_in_time(exported, form):
    with silent_port() as port, in_time(), pytest.raises(PacsError, match="does not answer"):
        send_files(exported["dicom-sr"], form.format(port), timeout_s=MOST_S / 5)


def test_the_limit_leaves_time_to_connect_and_to_hang_up():
    assert 2 * CONNECTING_SHARE <= ANSWER_SHARE < 1
    assert inspect.signature(send_files).parameters["timeout_s"].default == MOST_S


def test_a_receiver_that_hangs_while_it_stores(exported):
    done = threading.Event()

    def wait() -> int:
        done.wait(30)
        return 0

    with receiver(wait, MR) as node:
        try:
            with in_time(), pytest.raises(PacsError, match=r"no answer within.*0 of 36 files"):
                send_files(exported["dicom-images"], node, timeout_s=MOST_S / 5)
        finally:
            done.set()


def test_a_receiver_that_stops_reading_in_the_middle(exported, tmp_path):
    """An object that fills every buffer on the way: the library alone would send for ever."""
    from pynetdicom import AE, evt

    done = threading.Event()
    entity = AE(ae_title="RECV")
    entity.add_supported_context(MR)
    p_data = 4

    def stop(event) -> None:
        if event.data[0] == p_data:
            done.wait(30)

    port = free_port()
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_DATA_RECV, stop)]
    )
    large = pydicom.dcmread(exported["dicom-images"][0])
    large.Rows = large.Columns = 4096
    large.PixelData = bytes(2 * 4096 * 4096)
    large.save_as(tmp_path / "large.dcm")
    try:
        with in_time(), pytest.raises(PacsError, match=r"no answer within.*0 of 1 files"):
            send_files([tmp_path / "large.dcm"], f"RECV@127.0.0.1:{port}", timeout_s=MOST_S / 5)
    finally:
        done.set()
        server.shutdown()


def test_a_receiver_that_fills_up_says_how_many_it_has(exported):
    answers = iter([0x0000, 0xB000, 0xA700])
    with (
        receiver(lambda: next(answers), MR) as node,
        pytest.raises(PacsError, match=r"0xA700: it is out of resources; 2 of 36 files stored"),
    ):
        send_files(exported["dicom-images"], node, timeout_s=5)


def test_a_receiver_that_does_not_take_reports(exported):
    with (
        receiver(lambda: 0, MR) as node,
        pytest.raises(PacsError, match=r"does not take this kind.*Comprehensive 3D SR"),
    ):
        send_files(exported["dicom-sr"], node, timeout_s=5)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", "<html>sign in</html>"),
        ("application/dicom+json", "{}"),
        (
            "application/dicom+json",
            '{"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}',
        ),
    ],
    ids=["a page", "no instance", "a failed instance"],
)
def test_a_service_that_does_not_confirm(exported, kind, body):
    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(PacsError, match=r"0 of 1 files stored"):
            send_files(exported["dicom-sr"], f"http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()


def test_a_service_that_trickles_wins_no_time(exported):
    """Each byte comes in time, the answer never does."""
    over = threading.Event()

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not over.wait(0.1):
                    self.wfile.write(b" ")
                    self.wfile.flush()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with in_time(), pytest.raises(PacsError, match=r"no whole answer within 1 s; 0 of 1"):
            send_files(exported["dicom-sr"], f"http://127.0.0.1:{server.server_port}/", 1.0)
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_no_file_is_not_sent_with_success():
    with pytest.raises(InputError, match="no file to send"):
        send_files([], "http://user:secret@127.0.0.1:9/")


def test_a_password_in_an_address_is_not_said(exported):
    with pytest.raises(PacsError, match=r"in: http://127\.0\.0\.1") as caught:
        send_files(exported["dicom-sr"], f"http://user:secret@127.0.0.1:{free_port()}/")
    assert "secret" not in str(caught.value)


def test_nothing_is_sent_when_a_file_is_no_dicom(exported, tmp_path):
    asked = []
    (tmp_path / "text").write_text("x" * 500)
    with receiver(lambda: asked.append(1) or 0, MR) as node:
        for wrong in (tmp_path / "text", tmp_path / "missing"):
            with pytest.raises(InputError, match="the file to send"):
                send_files([*exported["dicom-images"], wrong], node)
    assert asked == []


@pytest.mark.parametrize("where", ["nonsense", "A@h", "A@h:99999", "ftp://x", ""])
def test_a_destination_that_is_none(exported, where):
    with pytest.raises(ConfigError):
        send_files(exported["dicom-sr"], where)


def test_a_host_without_an_address(exported):
    with in_time(), pytest.raises(PlannerError, match="does not answer"):
        send_files(exported["dicom-sr"], "X@no-such-host.invalid:104")


def test_a_name_service_that_hangs(exported, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(dicom_send.socket, "getaddrinfo", lambda *a, **k: over.wait(30))
    try:
        with in_time(), pytest.raises(PacsError, match="does not answer"):
            send_files(exported["dicom-sr"], "X@pacs.example:104", timeout_s=MOST_S / 5)
    finally:
        over.set()
