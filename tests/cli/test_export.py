"""``needle-planner export`` and ``serve`` as a user runs them."""

from __future__ import annotations

import csv
import html
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from planner.exports.igtl_link import Delivery, send_messages
from planner.io.markups import read_target_point
from planner.io.plan_file import plan_document
from planner.io.plan_reading import load_plan
from tests.cli.conftest import ROOT, Cli
from tests.dicom_writer import write_series
from tests.igtl_peer import read_all, receiver, reset, taken_apart
from tests.plan_factory import make_result

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def phantom() -> dict[str, Any]:
    return plan_document(make_result("oblique")).to_json_dict()


@pytest.fixture
def plan_file(phantom: dict[str, Any], tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(phantom))
    return file


@pytest.fixture
def unknown_plan(phantom: dict[str, Any], tmp_path: Path) -> Path:
    file = tmp_path / "unknown.json"
    file.write_text(json.dumps({**phantom, "verdict": "unknown"}))
    return file


def others(folder: Path, *known: Path) -> list[str]:
    """What a failed export left behind, hidden files too."""
    return sorted(p.name for p in folder.rglob("*") if p not in known)


# --- files -------------------------------------------------------------------------------------


def test_csv_has_both_frames_and_the_plan_s_identity(cli: Cli, plan_file: Path) -> None:
    ran = cli("export", plan_file, "--to", "csv", "--path", 2, "--out", "p.csv")
    assert (ran.code, ran.errors) == (0, [])
    (row,) = csv.DictReader((plan_file.parent / "p.csv").read_text().splitlines())
    path = load_plan(plan_file).trajectories[1]
    lps = [float(row[f"tip_lps_{axis}_mm"]) for axis in "xyz"]
    assert lps == pytest.approx(path.tip_lps_mm, abs=0.001)
    ras = [float(row[f"tip_ras_{axis}_mm"]) for axis in "xyz"]
    assert ras == pytest.approx([-lps[0], -lps[1], lps[2]])
    assert (row["name"], row["verdict"], row["plan_verdict"]) == ("path 2", "pass", "pass")
    assert row["frame_of_reference_uid"] == "1.2.3.4.5"
    assert len(row["plan_sha256"]) == 64
    assert "Research use only" in row["research_use"]


def test_sheet_says_the_numbers_out_loud(cli: Cli, plan_file: Path) -> None:
    ran = cli("export", plan_file, "--to", "sheet", "--path", 1)
    assert ran.code == 0
    page = html.unescape((plan_file.parent / "needle_plan_sheet.html").read_text())
    x, y, z = load_plan(plan_file).trajectories[0].entry_lps_mm
    assert f"{x:.1f}, {y:.1f}, {z:.1f}" in page
    assert f"{-x:.1f}, {-y:.1f}, {z:.1f}" in page
    assert re.search(rf"{abs(x):.1f} left, {abs(y):.1f} posterior, {abs(z):.1f} inferior", page)
    assert "Research use only" in page
    assert "UNVERIFIED" not in page
    assert "http" not in page  # loads nothing


def test_several_formats_in_a_new_folder(cli: Cli, plan_file: Path) -> None:
    ran = cli(
        *("export", plan_file, "--to", "csv", "--to", "markups", "--to", "slicer"),
        *("--out", "new/folder", "--json"),
    )
    assert ran.code == 0
    told = json.loads(ran.stdout)
    written = sorted(Path(p).relative_to("new/folder").as_posix() for p in told["written"])
    assert written == [
        "needle_plan.csv",
        "needle_plan.mrk.json",
        "needle_plan_slicer/needle_paths.mrk.json",
        "needle_plan_slicer/needles.vtp",
    ]
    assert [p["name"] for p in told["paths"]] == ["path 1", "path 2", "path 3"]
    assert told["is_unverified"] is False
    tip = read_target_point(f"{plan_file.parent}/new/folder/needle_plan.mrk.json#path 1/tip")
    assert tip.point_lps_mm == pytest.approx(load_plan(plan_file).trajectories[0].tip_lps_mm)


def test_what_is_not_verified_stays_unless_asked_for(cli: Cli, unknown_plan: Path) -> None:
    ran = cli("export", unknown_plan, "--to", "csv", "--out", "p.csv")
    assert ran.code == 3
    assert "not exported" in ran.errors[0] and "--even-if-unknown" in ran.errors[0]
    assert others(unknown_plan.parent, unknown_plan) == []


def test_paths_left_out_are_named(cli: Cli, phantom: dict[str, Any], plan_file: Path) -> None:
    data = json.loads(json.dumps(phantom))
    data["trajectories"][1]["verdict"] = "unknown"
    plan_file.write_text(json.dumps(data))
    ran = cli("export", plan_file, "--to", "csv", "--json")
    assert ran.code == 0
    assert "NOT EXPORTED" in ran.stderr and "path 2 (unknown)" in ran.stderr
    assert json.loads(ran.stdout)["left_out"] == [{"rank": 2, "verdict": "unknown"}]


def test_no_export_takes_the_place_of_a_plan_or_an_image(cli: Cli, plan_file: Path) -> None:
    folder = plan_file.parent
    (folder / "images").mkdir()
    image = folder / "images" / "1.dcm"
    image.write_text("image")
    (folder / "mask.nrrd").write_text("mask")
    content = plan_file.read_bytes()
    for out in ("plan.json", "./images/../plan.json", "other/plan.json", "images/1.dcm",
                "images/new.csv", "mask.nrrd"):  # fmt: skip
        ran = cli("export", plan_file, "--to", "csv", "--out", out, "--image", "images",
                  "--structures", "mask.nrrd")  # fmt: skip
        assert ran.code == 3, out
        assert "an export may not" in ran.errors[0]
    assert plan_file.read_bytes() == content
    assert image.read_text() == "image"
    assert others(folder, plan_file) == ["1.dcm", "images", "mask.nrrd"]


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("csv", "target_region.seg.nrrd"),
        ("sheet", "plan.mrk.json"),
        ("markups", "needle.json"),
        ("markups", "needle.csv"),
        ("csv", "needle.html"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_is_called_what_it_is(
    cli: Cli, plan_file: Path, name: str, out: str, is_there: bool
) -> None:
    file = plan_file.parent / out
    if is_there:
        file.write_text("mine")
    ran = cli("export", plan_file, "--to", name, "--out", out)
    assert ran.code == 2
    assert "does not end in" in ran.stderr
    assert file.is_file() is is_there
    assert not is_there or file.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "out", "content"),
    [
        ("markups", "target.mrk.json", '{"markups": [{"type": "Fiducial"}]}'),
        ("csv", "table.csv", "a,b\n1,2\n"),
        ("csv", "table.csv", '{"research_use": "Research use only."}'),
        ("sheet", "page.html", "<html>mine</html>"),
    ],
)
def test_a_file_of_somebody_else_stays(
    cli: Cli, plan_file: Path, name: str, out: str, content: str
) -> None:
    file = plan_file.parent / out
    file.write_text(content)
    ran = cli("export", plan_file, "--to", name, "--out", out)
    assert ran.code == 3
    assert "no " + name + " that this program wrote" in ran.errors[0]
    assert file.read_text() == content
    file.unlink()
    for _ in range(2):  # and an export of its own is replaced
        assert cli("export", plan_file, "--to", name, "--out", out).code == 0


@pytest.mark.parametrize("name", ["csv", "sheet", "markups", "slicer", "igtl://127.0.0.1:9"])
def test_an_image_that_is_given_is_looked_at(
    cli: Cli, plan_file: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """The plan is of another series: that the format needs no image is no excuse."""
    other = tmp_path_factory.mktemp("other")
    volume = make_result("axial").volume
    write_series(other / "series", volume.grid, volume.values)
    for image in ("series", "nothing"):
        ran = cli("export", plan_file, "--to", name, "--image", other / image, "--out", "out/")
        assert ran.code == 3
    assert "Traceback" not in ran.stderr
    assert others(plan_file.parent, plan_file) == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--send", "nonsense"], "in: --send"),
        (["--stow", "ftp://user:secret@host/x"], "in: --stow"),
    ],
)
def test_a_bad_archive_names_its_option_and_no_password(
    cli: Cli, plan_file: Path, more: list[str], reason: str
) -> None:
    ran = cli("export", plan_file, "--to", "dicom-sr", "--image", plan_file.parent, *more)
    assert ran.code == 3
    assert reason in ran.errors[0]
    assert "secret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["csv", "sheet", "markups", "slicer"])
def test_unverified_is_written_into_every_format(cli: Cli, unknown_plan: Path, name: str) -> None:
    ran = cli("export", unknown_plan, "--to", name, "--even-if-unknown", "--out", "out/")
    assert ran.code == 0
    assert "UNVERIFIED" in ran.stderr and "UNVERIFIED" in ran.stdout
    written = [p for p in (unknown_plan.parent / "out").rglob("*") if p.is_file()]
    assert written
    for file in written:
        if file.suffix != ".vtp":  # compressed; see the tests with Slicer
            assert "UNVERIFIED path 1" in file.read_text()


def test_a_cell_of_another_s_file_is_no_formula(
    cli: Cli, phantom: dict[str, Any], plan_file: Path
) -> None:
    data = json.loads(json.dumps(phantom))
    data["trajectories"][0]["words"] = '=HYPERLINK("x")'
    path = data["trajectories"][0]
    path["clearance_mm"] = {"<script>x</script>": 1.0}
    path["clearances"] = [
        {**path["clearances"][0], "structure": "<script>x</script>", "clearance_mm": 1.0}
    ]
    plan_file.write_text(json.dumps(data))
    assert cli("export", plan_file, "--to", "csv", "--to", "sheet", "--out", "o/").code == 0
    folder = plan_file.parent / "o"
    row = next(csv.DictReader((folder / "needle_plan.csv").read_text().splitlines()))
    assert row["words"].startswith("'=")
    assert "<script>" not in (folder / "needle_plan_sheet.html").read_text()


# --- usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--to", "pdf"], "is none of"),
        (["--to", "csv", "--send", "A@h:1"], "only DICOM"),
        (["--to", "csv", "--stow", "http://h"], "only DICOM"),
        (["--to", "dicom-sr"], "needs the DICOM images"),
        (["--to", "dicom-sr", "--image", "x", "--send", "A@h:1", "--stow", "u"], "one of"),
        (["--to", "slicer", "--structures", "x.nrrd"], "masks need the image"),
        ([], "--to"),
    ],
)
def test_usage(cli: Cli, plan_file: Path, more: list[str], reason: str) -> None:
    ran = cli("export", plan_file, *more)
    assert ran.code == 2
    assert reason in ran.stderr
    assert others(plan_file.parent, plan_file) == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--to", "csv", "--path", "9"], "does not have the path"),
        (["--to", "csv", "--to", "igtl://h:99999"], "igtl://HOST:PORT"),
        (["--to", "csv", "--out", "plan.json/x/"], "cannot be written"),
    ],
)
def test_bad_input_writes_nothing(cli: Cli, plan_file: Path, more: list[str], reason: str) -> None:
    ran = cli("export", plan_file, *more)
    assert ran.code == 3
    assert reason in ran.errors[0]
    assert "Traceback" not in ran.stderr
    assert others(plan_file.parent, plan_file) == []


def test_a_file_that_is_no_plan(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = cli("export", "x.json", "--to", "csv")
    assert (ran.code, len(ran.errors)) == (3, 1)


def test_files_of_two_plans_do_not_mix(cli: Cli, plan_file: Path) -> None:
    assert cli("export", plan_file, "--to", "slicer", "--out", "o/").code == 0
    before = others(plan_file.parent)
    ran = cli("export", plan_file, "--to", "csv", "--to", "slicer", "--out", "o/")
    assert ran.code == 3
    assert "earlier export" in ran.errors[0]
    assert others(plan_file.parent) == before


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


# --- OpenIGTLink -------------------------------------------------------------------------------


def test_sent_to_a_console(cli: Cli, plan_file: Path) -> None:
    got = []
    with receiver(lambda link: got.append(read_all(link))) as port:
        address = f"igtl://127.0.0.1:{port}"
        ran = cli("export", plan_file, "--to", address, "--path", 1, "--json")
    assert ran.code == 0
    (sent,) = json.loads(ran.stdout)["sent"]
    assert sent["to"] == address
    assert (sent["acknowledged_by"], sent["is_confirmed"]) == ("close", False)
    kinds = [header.kind for header, _ in taken_apart(got[0])]
    assert kinds == ["TRAJ", "STRING", "TRANSFORM", "POINT", "POLYDATA"]
    assert others(plan_file.parent, plan_file) == []


def test_a_closed_port(cli: Cli, plan_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ran = cli("export", plan_file, "--to", f"igtl://127.0.0.1:{port}")
    assert ran.code == 3
    assert "cannot be reached" in ran.errors[0]
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_done_before_an_error_is_told(cli: Cli, plan_file: Path, as_json: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"igtl://127.0.0.1:{server.getsockname()[1]}"
    with receiver(read_all) as port:
        opened = f"igtl://127.0.0.1:{port}"
        ran = cli("export", plan_file, "--to", "csv", "--to", opened, "--to", closed,
                  *(["--json"] if as_json else []))  # fmt: skip
    assert ran.code == 3
    assert "cannot be reached" in ran.errors[0]
    file = str(plan_file.parent / "needle_plan.csv")
    if as_json:
        told = json.loads(ran.stdout)
        assert told["written"] == [file] and told["not_sent"] == [closed]
        assert [sent["to"] for sent in told["sent"]] == [opened]
        assert "cannot be reached" in told["error"]
    else:
        for said in (ran.stdout, ran.stderr):
            assert file in said and f"Sent to {opened}" in said and f"Not sent to {closed}" in said


def test_all_consoles_together_are_given_ten_seconds(
    cli: Cli, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has what the first left."""
    given = []

    def send(messages: object, host: str, port: int, *, timeout_s: float) -> Delivery:
        given.append(timeout_s)
        now[0] += 5.0
        return Delivery(n_messages=1, n_bytes=1, acknowledged_by="status")

    now = [100.0]
    monkeypatch.setattr("planner.exports.igtl_link.send_messages", send)
    monkeypatch.setattr("planner.cli.export.time.monotonic", lambda: now[0])
    addresses = [a for port in (9, 10, 11) for a in ("--to", f"igtl://127.0.0.1:{port}")]
    assert cli("export", plan_file, *addresses).code == 0
    assert given[0] <= 8.0 and given[1] == pytest.approx(given[0] - 5.0) and given[2] <= 0.2


def test_a_console_that_breaks_the_connection(cli: Cli, plan_file: Path) -> None:
    with receiver(reset, reset, reset) as port:
        ran = cli("export", plan_file, "--to", f"igtl://127.0.0.1:{port}")
    assert ran.code == 3
    assert "breaks the connection" in ran.errors[0]


def test_a_console_that_hangs_is_given_ten_seconds(cli: Cli, plan_file: Path) -> None:
    assert inspect.signature(send_messages).parameters["timeout_s"].default <= 10.0
    over = threading.Event()
    with receiver(lambda link: over.wait(60) and None) as port:
        began_s = time.monotonic()
        ran = cli("export", plan_file, "--to", f"igtl://127.0.0.1:{port}")
        assert time.monotonic() - began_s < 60  # it would wait for ever
        over.set()
    assert ran.code == 3
    assert "did not confirm" in ran.errors[0]


def test_interrupted_while_sending_says_that_a_part_may_be_there(
    cli: Cli, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("planner.exports.igtl_link.send_messages", interrupted)
    ran = cli("export", plan_file, "--to", "igtl://127.0.0.1:9")
    assert ran.code == 130
    assert "it may keep a part" in ran.stderr


@contextmanager
def serving(plan_file: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    command = [sys.executable, "-m", "planner", "serve", str(plan_file), "--igtl", "0", *more]
    process = subprocess.Popen(
        command,
        env=environment(),
        cwd=plan_file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background hands down that it ignores the interrupt
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"at 127\.0\.0\.1:(\d+)", line)
        assert match, (line, process.stderr and process.stderr.read())
        yield process, int(match[1]), line
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_serve_until_interrupted(plan_file: Path) -> None:
    with serving(plan_file, "--path", "2") as (process, port, line):
        assert line.startswith("Serving path 2 ")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            link.shutdown(socket.SHUT_WR)
            kinds = {header.kind for header, _ in taken_apart(read_all(link))}
        assert kinds == {"TRAJ", "STRING", "TRANSFORM", "POINT", "POLYDATA"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_serve_refuses_what_is_not_verified(cli: Cli, unknown_plan: Path) -> None:
    ran = cli("serve", unknown_plan, "--igtl", 0)
    assert ran.code == 3
    assert "not exported" in ran.errors[0]


def test_serve_at_a_port_that_is_taken(cli: Cli, plan_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli("serve", plan_file, "--igtl", taken.getsockname()[1])
    assert ran.code == 3
    assert "cannot wait for receivers" in ran.errors[0]
