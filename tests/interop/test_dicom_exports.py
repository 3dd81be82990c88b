"""DICOM exports before programs of others: checkers, readers, archives, and receivers that fail."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pydicom
import pytest

import planner
from planner.errors import ConfigError, InputError, PlannerError
from planner.exports.dicom import FORMATS, SourceImages, source_images
from planner.exports.dicom_regions import derived_regions
from planner.exports.dicom_send import ANSWER_SHARE, CONNECTING_SHARE, send_files
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.geometry import Volume
from planner.io.pacs.query import PacsError, PacsSource
from planner.model import PlanResult
from tests.dcm2niix import converted, position_off_mm, same_voxels
from tests.dicom_plan import DicomPlan, dicom_plan
from tests.interop.conftest import PASSWORD, USER, Orthanc, free_port
from tests.plan_factory import make_result

GOLDEN_TOL_MM = 0.01
MOST_S = 10.0
"""No receiver may hold the program up for longer; the tests give it a fifth of that."""

QUIRK = re.compile(r"^Warning - Different information entities for attribute")
"""dicom3tools files the accession number under the series for images, the study for others."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    """An oblique, anisotropic series of a prone patient, and a plan of the real search on it."""
    return dicom_plan(tmp_path_factory.mktemp("planned"))


@pytest.fixture(scope="module")
def exported(planned: DicomPlan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("exported")
    plan, source = planned.opened()
    return {n: list(write(plan, source, folder / n)) for n, write in FORMATS.items()}


def run(program: str, *arguments: object) -> tuple[int, str]:
    """Exit code and everything said by a program; skips where it is not installed."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def dciodvfy_errors(file: Path) -> list[str]:
    _, said = run("dciodvfy", file)
    return [line for line in said.splitlines() if line.startswith("Error")]


# --- checkers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_dciodvfy_finds_no_error(exported, name):
    files = exported[name]
    for file in (files[0], files[len(files) // 2]):
        assert dciodvfy_errors(file) == []


def test_dsrdump_reads_the_report_without_a_fault(exported):
    code, said = run("dsrdump", "-Ec", *exported["dicom-sr"])
    assert code == 0
    assert not [line for line in said.splitlines() if line.startswith("E:")]


def test_dcentvfy_finds_one_patient_one_study_one_frame(planned, exported):
    files = [*planned.series.iterdir(), *(f for files in exported.values() for f in files)]
    _, said = run("dcentvfy", *files)
    assert [line for line in said.splitlines() if line and not QUIRK.match(line)] == []


REAL = {
    "Siemens, oblique T2": ("prostatex_0000_pelvis_mr", 4),
    "Siemens, b = 400 of three": ("prostatex_0000_pelvis_mr", "6:2"),
    "Siemens, decubitus": ("dcmqa_decubitus_HFS", 3),
    "Philips, one echo of two": ("dcmqa_table_ge_philips", "1301:1"),
    "GE CT": ("dcmqi_ct_seg_nrrd", 2),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_headers_give_objects_without_an_error(shared_data, tmp_path, name):
    """The headers of scanners; the path is made up and runs through the middle of the images."""
    folder, series = REAL[name]
    volume = planner.load_volume(shared_data / folder, series)
    plan, source = made_up_plan(volume, shared_data / folder, tmp_path)
    files = {n: write(plan, source, tmp_path / n) for n, write in FORMATS.items()}
    for written in files.values():
        assert dciodvfy_errors(written[0]) == []
    some = [*(h.file for h in source.files[:2]), *(f for w in files.values() for f in w[:2])]
    _, said = run("dcentvfy", *some)
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    read = planner.load_volume(tmp_path / "dicom-images")
    np.testing.assert_array_equal(read.grid.lps_from_kji, volume.grid.lps_from_kji)
    step = float(np.ptp(volume.values)) / 60000
    assert np.mean(np.abs(read.values.astype(float) - volume.values) <= step) > 0.99


@functools.cache
def phantom_result() -> PlanResult:
    return make_result("oblique", n_trajectories=1)


def made_up_plan(volume: Volume, image: Path, folder: Path) -> tuple[PlanToExport, SourceImages]:
    """A plan with one path whose numbers are those of the phantom, in the middle of a volume."""
    result = phantom_result()
    size = np.array(volume.grid.shape_kji)
    entry, tip = volume.grid.to_lps(0.15 * size), volume.grid.to_lps(0.55 * size)
    path = replace(
        result.trajectories[0],
        entry_lps_mm=entry,
        tip_lps_mm=tip,
        throw_end_lps_mm=tip,
        length_mm=float(np.linalg.norm(tip - entry)),
    )
    result = replace(result, volume=volume, trajectories=(path,))
    plan = plan_to_export(planner.save_plan(result, folder / "plan.json"))
    return plan, source_images(plan, image)


def test_the_checkers_can_say_no(planned, exported, tmp_path):
    """dciodvfy and dsrdump complement each other; dcentvfy looks across files."""
    (report,) = exported["dicom-sr"]
    without_flag = pydicom.dcmread(report)
    del without_flag.CompletionFlag
    without_flag.save_as(tmp_path / "flag.dcm")
    assert dciodvfy_errors(tmp_path / "flag.dcm")

    without_frame = pydicom.dcmread(report)
    for item in without_frame.iterall():
        if item.keyword == "ReferencedFrameOfReferenceUID":
            item.value = ""
    without_frame.save_as(tmp_path / "frame.dcm")
    assert run("dsrdump", tmp_path / "frame.dcm")[0] != 0

    other_name = pydicom.dcmread(exported["rtstruct"][0])
    other_name.PatientID = "4712"
    other_name.save_as(tmp_path / "name.dcm")
    _, said = run("dcentvfy", next(planned.series.iterdir()), tmp_path / "name.dcm")
    assert "PatientID" in said or "Error" in said


# --- readers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["dsrdump", "dcsrdump"])
def test_golden_entry_and_tip_of_an_oblique_prone_series(planned, exported, program):
    """DICOM series -> plan -> report -> dcmtk and dicom3tools: the same two points."""
    options, pattern = {
        "dsrdump": (["+Pl"], r"POLYLINE,,([^)]*)\)"),
        "dcsrdump": ([], r"POLYLINE \{([^}]*)\}"),
    }[program]
    _, said = run(program, *options, *exported["dicom-sr"])
    found = [
        np.reshape([float(v) for v in re.split("[/,]", points)], (-1, 3))
        for points in re.findall(pattern, said)
    ]
    trajectories = planned.result.trajectories
    assert len(found) == len(trajectories) == 2
    for points, path in zip(found, trajectories, strict=True):
        expected = [path.entry_lps_mm, path.tip_lps_mm]
        np.testing.assert_allclose(points, expected, rtol=0, atol=GOLDEN_TOL_MM)
    assert planned.result.volume.source.patient_position == "HFP"
    axes = planned.result.volume.grid.axes_lps_from_kji
    assert np.abs(axes).max(axis=0).max() < 0.999  # oblique


def test_tid1500reader_reads_every_group(planned, exported, tmp_path):
    out = tmp_path / "out.json"
    code, said = run(
        "tid1500reader", "--inputDICOM", exported["dicom-sr"][0], "--outputMetadata", out
    )
    assert code == 0, said
    groups = json.loads(out.read_text())["Measurements"]
    trajectories = planned.result.trajectories
    assert [g["TrackingIdentifier"] for g in groups] == ["path 1", "path 2"]
    for group, path in zip(groups, trajectories, strict=True):
        values = {m["quantity"]["CodeMeaning"]: m["value"] for m in group["measurementItems"]}
        assert abs(float(values["Length"]) - path.length_mm) < GOLDEN_TOL_MM
        for clearance in path.clearances:
            said_mm = float(values[f"Clearance to {clearance.structure}"])
            assert said_mm <= clearance.clearance_mm
            assert clearance.clearance_mm - said_mm < GOLDEN_TOL_MM
        said_codes = {
            q["conceptCode"]["CodeValue"]: q["conceptValue"].get("CodeValue")
            for q in group["qualitativeEvaluations"]
            if isinstance(q["conceptValue"], dict)
        }
        assert said_codes["PLANSTAT"] == "NOTAPPR" and said_codes["VERDICT"] == "PASS"


def test_segimage2itkimage_gives_the_same_voxels(planned, exported, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    code, said = run(
        "segimage2itkimage", "--inputDICOM", exported["dicom-seg"][0],
        "--outputDirectory", tmp_path, "--outputType", "nrrd",
    )  # fmt: skip
    assert code == 0, said
    plan, source = planned.opened()
    regions = derived_regions(plan, source)
    grid = source.volume.grid
    for number, region in enumerate(regions, start=1):
        image = sitk.ReadImage(str(tmp_path / f"{number}.nrrd"))
        kji = np.argwhere(sitk.GetArrayFromImage(image))
        to_lps = image.TransformContinuousIndexToPhysicalPoint
        lps = [to_lps([float(n) for n in reversed(v)]) for v in kji]
        index = grid.to_kji(lps)
        assert np.abs(index - np.rint(index)).max() < 1e-3
        seen = np.zeros(grid.shape_kji, bool)
        seen[tuple(np.rint(index).astype(int).T)] = True
        np.testing.assert_array_equal(seen, region.mask.inside)


def test_dcm2niix_stacks_the_derived_series_where_we_do(exported):
    folder = exported["dicom-images"][0].parent
    volume = planner.load_volume(folder)
    (other,) = converted(folder)
    assert position_off_mm(volume, other) < 1e-3
    assert same_voxels(volume, other)


def test_plastimatch_and_dcmtk_read_the_structure_set(planned, exported, tmp_path):
    """plastimatch lists the regions; dcmtk gives the points."""
    (file,) = exported["rtstruct"]
    cxt = tmp_path / "out.cxt"
    code, said = run("plastimatch", "convert", "--input", file, "--output-cxt", cxt)
    assert code == 0, said
    names = [line.split("|")[2] for line in cxt.read_text().splitlines() if line.count("|") == 2]
    assert {"path 1", "path 2", "target"} <= set(names)
    _, said = run("dcmdump", "+L", "+P", "3006,0050", file)
    lines = [re.search(r"\[(.*)\]", line) for line in said.splitlines()]
    points = [[float(v) for v in line[1].split("\\")] for line in lines if line]
    pairs = [np.reshape(p, (2, 3)) for p in points if len(p) == 6]
    for pair, path in zip(pairs, planned.result.trajectories, strict=True):
        np.testing.assert_allclose(pair, [path.entry_lps_mm, path.tip_lps_mm], atol=1e-6)


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
