"""Fetching from a real Orthanc: C-GET, C-MOVE, DICOMweb, and everything that can go wrong."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

import planner
from planner.geometry import FrameId, Grid
from tests.cli.conftest import call_cli, run_cli
from tests.dicom_writer import STUDY_UID, write_series
from tests.grids import ORIENTED_AXES
from tests.interop.conftest import OWN_AET, PASSWORD, USER, Orthanc
from tests.seg_writer import description, write_seg

OTHER_STUDY = "1.2.826.0.1.3680043.8.498.555"
SHAPE = (6, 20, 16)


@pytest.fixture(scope="module")
def study(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oblique series, the same compressed, its segmentation, and another study; uploaded."""
    folder = tmp_path_factory.mktemp("study")
    grid = Grid.from_axes(
        SHAPE, (3.0, 0.8, 1.1), (-10.0, 5.0, 7.0), ORIENTED_AXES["oblique"], FrameId("1.2.3")
    )
    plain = write_series(folder / "plain", grid)

    def second(ds: pydicom.Dataset, k: int) -> None:
        ds.SeriesInstanceUID, ds.SeriesNumber = "1.2.826.0.1.3680043.8.498.3", 5

    def elsewhere(ds: pydicom.Dataset, k: int) -> None:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = OTHER_STUDY, OTHER_STUDY + ".1"
        ds.AccessionNumber = "A2"

    packed = write_series(folder / "rle", grid, edit=second)
    for file in packed:
        dataset = pydicom.dcmread(file)
        dataset.compress(RLELossless)
        dataset.save_as(file)
    mask = np.zeros((*SHAPE, 1), bool)
    mask[2:4, 5:9, 4:8] = True
    seg = write_seg(folder / "seg.dcm", plain, grid, mask, [description(1, "aorta")])
    other = write_series(folder / "other", grid, edit=elsewhere)
    orthanc.upload([*plain, *packed, seg, *other])
    return folder


def digest(file: Path) -> str:
    return hashlib.sha256(pydicom.dcmread(file).PixelData).hexdigest()


def arguments(orthanc: Orthanc, way: str) -> list[object]:
    if way == "web":
        return ["--dicomweb", orthanc.dicomweb, "--user", USER]
    more = ["--method", way, "--aet", OWN_AET, "--move-port", orthanc.move_port]
    return ["--from", orthanc.node, *more]


ENV = {"NEEDLE_PLANNER_DICOMWEB_PASSWORD": PASSWORD}


@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_a_study_arrives_whole_and_bit_for_bit(orthanc, study, tmp_path, way):
    where = arguments(orthanc, way)
    done = run_cli(
        tmp_path, "fetch", *where, "--study", STUDY_UID, "--out", "got", "--json", env=ENV
    )
    assert done.code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["complete"] and len(result["series"]) == 3
    assert [s["received"] for s in result["series"]].count(SHAPE[0]) == 2
    sent = {pydicom.dcmread(f).SOPInstanceUID: f for f in study.rglob("*") if f.is_file()}
    got = list((tmp_path / "got").rglob("*.dcm"))
    assert len(got) == 2 * SHAPE[0] + 1
    for file in got:
        source = pydicom.dcmread(sent[file.stem])
        arrived = pydicom.dcmread(file)
        assert arrived.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
        assert digest(file) == digest(sent[file.stem])
        assert file.parent.name == source.SeriesInstanceUID
    one = planner.load_volume(tmp_path / "got", series=4)
    other = planner.load_volume(study / "plain")
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_allclose(one.grid.lps_from_kji, other.grid.lps_from_kji)
    assert not list((tmp_path / "got").rglob(".*"))


def test_a_second_run_completes_a_broken_one(orthanc, study, tmp_path):
    command = ["fetch", *arguments(orthanc, "get"), "--study", STUDY_UID, "--out", "got", "--json"]
    assert call_cli(tmp_path, *command).code == 0
    lost = sorted((tmp_path / "got").rglob("*.dcm"))[3]
    content = lost.read_bytes()
    lost.unlink()
    again = call_cli(tmp_path, *command)
    assert again.code == 0, again.stderr
    assert lost.read_bytes() == content
    assert sum(s["received"] for s in json.loads(again.stdout)["series"]) == 1


def test_a_file_of_other_content_is_never_replaced(orthanc, study, tmp_path):
    command = ["fetch", *arguments(orthanc, "get"), "--study", STUDY_UID, "--out", "got"]
    assert call_cli(tmp_path, *command).code == 0
    files = sorted((tmp_path / "got").rglob("*.dcm"))
    series = files[0].parent
    changed, gone = sorted(series.glob("*.dcm"))[0], sorted(series.glob("*.dcm"))[-1]
    changed.write_bytes(changed.read_bytes() + b"\0\0")
    if gone != changed:
        gone.unlink()
    kept = changed.read_bytes()
    again = call_cli(tmp_path, *command)
    assert changed.read_bytes() == kept
    assert again.code in (0, 3) and "Traceback" not in again.stderr


@pytest.mark.parametrize("way", ["get", "web"])
def test_listing_shows_series_and_no_person(orthanc, study, tmp_path, way):
    where = arguments(orthanc, way)
    done = call_cli(
        tmp_path, "fetch", *where, "--patient-id", "4711", "--study", STUDY_UID, env=ENV
    )
    assert done.code == 0, done.stderr
    assert "--series 4" in done.stdout and f"({SHAPE[0]} instances)" in done.stdout
    everything = done.stdout + done.stderr
    for secret in ("DOE", "19700101", "HOSPITAL", "Phantom", PASSWORD):
        assert secret not in everything


def test_one_series_by_number(orthanc, study, tmp_path):
    where = arguments(orthanc, "get")
    done = call_cli(tmp_path, "fetch", *where, "--study", STUDY_UID, "--series", 5, "--out", "g")
    assert done.code == 0, done.stderr
    assert len(list((tmp_path / "g").rglob("*.dcm"))) == SHAPE[0]
    wrong = call_cli(tmp_path, "fetch", *where, "--study", STUDY_UID, "--series", 77, "--out", "g")
    assert wrong.code == 3 and "no such series" in wrong.stderr


def test_several_studies_are_listed_and_none_is_fetched(orthanc, study, tmp_path):
    where = arguments(orthanc, "get")
    done = call_cli(tmp_path, "fetch", *where, "--patient-id", "4711", "--out", "g")
    assert done.code == 3 and "2 studies" in done.stdout and "--study" in done.stderr
    assert not (tmp_path / "g").exists()


def test_nothing_found_is_exit_1(orthanc, study, tmp_path):
    for way in ("get", "web"):
        done = call_cli(tmp_path, "fetch", *arguments(orthanc, way), "--study", "1.2.99", env=ENV)
        assert done.code == 1 and "no study" in done.stdout


def test_wrong_titles_ports_and_hosts_end_in_words(orthanc, study, tmp_path):
    port = orthanc.dicom_port
    cases = [
        (["--from", f"WRONG@127.0.0.1:{port}"], "refuses"),
        (["--from", "ORTHANC@127.0.0.1:1"], "does not answer"),
        (["--from", "ORTHANC@no-such-host.invalid:104"], "does not answer"),
        (["--dicomweb", "http://127.0.0.1:1/dicom-web"], "does not answer"),
        (["--dicomweb", orthanc.dicomweb], "HTTP 401"),
        (["--dicomweb", orthanc.dicomweb + "/nothing", "--user", USER], "HTTP 404"),
    ]
    for where, words in cases:
        done = call_cli(tmp_path, "fetch", *where, "--study", STUDY_UID, "--timeout", 3, env=ENV)
        assert done.code == 3, (where, done.stdout, done.stderr)
        assert words in done.stderr and "Traceback" not in done.stderr


def test_move_to_an_unknown_destination(orthanc, study, tmp_path):
    where = ["--from", orthanc.node, "--method", "move", "--aet", "STRANGER"]
    done = call_cli(tmp_path, "fetch", *where, "--study", STUDY_UID, "--out", "g", "--timeout", 5)
    assert done.code == 3 and "C-MOVE" in done.stderr and "--move-port" in done.stderr


def test_a_node_that_accepts_and_stays_silent(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        for where in (
            ["--from", f"X@127.0.0.1:{port}"],
            ["--dicomweb", f"http://127.0.0.1:{port}/"],
        ):
            done = call_cli(tmp_path, "fetch", *where, "--study", "1.2.3", "--timeout", 2)
            assert done.code == 3 and "does not answer" in done.stderr


def test_a_page_instead_of_json(tmp_path):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>sign in</html>")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        where = ["--dicomweb", f"http://127.0.0.1:{server.server_port}/"]
        done = call_cli(tmp_path, "fetch", *where, "--study", "1.2.3", "--timeout", 3)
    finally:
        server.shutdown()
        server.server_close()
    assert done.code == 3 and "cannot be read" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--from", "nonsense"],
        ["--from", "A@h:99999"],
        ["--from", "A@h:104", "--dicomweb", "http://x"],
        ["--dicomweb", "ftp://x"],
        ["--dicomweb", "http://x", "--user", "me"],
    ],
)
def test_usage(tmp_path, wrong):
    done = call_cli(tmp_path, "fetch", *wrong, "--study", "1.2.3")
    assert done.code in (2, 3) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["--study", "../../etc"],
        ["--study-date", "yesterday"],
        ["--patient-id", "*"],
        ["--patient-id", "a\\b"],
    ],
)
def test_keys_are_checked_before_anything_is_asked(tmp_path, keys):
    done = call_cli(tmp_path, "fetch", "--from", "A@127.0.0.1:1", *keys)
    assert done.code == 3 and "does not answer" not in done.stderr


def test_an_out_folder_that_cannot_be_written(orthanc, study, tmp_path):
    (tmp_path / "file").write_text("x")
    where = arguments(orthanc, "get")
    done = call_cli(tmp_path, "fetch", *where, "--study", STUDY_UID, "--out", "file/inner")
    assert done.code == 3 and "Traceback" not in done.stderr
