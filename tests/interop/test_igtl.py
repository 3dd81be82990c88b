"""OpenIGTLink against the reference implementation: Debian's library and its unmodified examples.

Needs ``libopenigtlink-dev``, ``openigtlink-examples`` and ``g++``; skips without them.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from planner.exports import igtl_messages as igtl
from planner.exports.igtl_link import send_messages
from planner.exports.igtl_plan import Thickness, plan_messages
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from tests.dicom_plan import dicom_plan
from tests.igtl_reference import running, wait_for, wait_for_port
from tests.interop.conftest import free_port


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the real search, on an oblique DICOM series scanned prone."""
    return dicom_plan(tmp_path_factory.mktemp("plan"), "oblique").file


@pytest.fixture(scope="module")
def plan(plan_file: Path) -> PlanToExport:
    return plan_to_export(plan_file, ranks=(1,))


# --- byte for byte -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["TRAJ", "POINT", "TRANSFORM", "POLYDATA", "STRING"])
def test_every_message_is_the_library_s_byte_for_byte(
    plan: PlanToExport, compiled: Callable[[str], Path], kind: str
) -> None:
    (ours,) = plan_messages(plan, thickness=Thickness.DIAMETER, time_s=1234567890.0)[kind]
    path = plan.paths[0]
    flip = np.array([-1.0, -1.0, 1.0])
    entry, tip = flip * path.entry_lps_mm, flip * path.tip_lps_mm
    columns = (
        np.array(struct.unpack_from(">12f", ours, 58)) if kind == "TRANSFORM" else np.zeros(12)
    )
    numbers = [0, 158, 115, 255, *entry, *tip, plan.document.needle.outer_diameter_mm]
    numbers += list(columns.reshape(4, 3).T.ravel())
    device = "NeedlePlan" if kind == "TRAJ" else "NeedlePath1"
    texts = [kind, device, "path 1", "Trajectory", f"plan {plan.sha256[:12]}"]
    texts.append(plan.description_of(path))
    told = "\n".join([*texts, " ".join(f"{v:.9g}" for v in numbers)])
    done = subprocess.run(
        [str(compiled("Reference"))], input=told.encode(), capture_output=True, check=True
    )
    assert len(done.stdout) == len(ours)
    assert done.stdout == ours


def c_bytes(header: Path) -> bytes:
    """The array of bytes in a C header."""
    body = header.read_text().split("[] = {", 1)[1].split("};", 1)[0]
    return bytes(int(h, 16) for h in re.findall(r"0[xX]([0-9a-fA-F]{2})", body))


@pytest.mark.parametrize("kind", ["transform", "position", "point", "string", "status"])
def test_crc_and_header_of_the_reference_vectors(shared_data: Path, kind: str) -> None:
    content = c_bytes(shared_data / "openigtlink_vectors" / f"igtl_test_data_{kind}.h")
    header = igtl.read_header(content[:58])
    body = content[58:]
    assert (header.kind, header.device) == (kind.upper(), "DeviceName")
    assert len(body) == header.body_size
    igtl.check_body(header, body)
    assert igtl.message(header.kind, header.device, body, time_s=0x499602D4 / 2**32) == content


def test_bodies_of_the_reference_vectors(shared_data: Path) -> None:
    def body(kind: str) -> bytes:
        return c_bytes(shared_data / "openigtlink_vectors" / f"igtl_test_data_{kind}.h")[58:]

    assert igtl.string_body("Welcome to OpenIGTLink") == body("string")
    assert igtl.read_status(body("status")) == (15, "ACTUATOR_DISABLED: Actuator A is disabled.")
    matrix = np.eye(4)
    matrix[:3] = np.array(struct.unpack(">12f", body("transform"))).reshape(4, 3).T
    assert igtl.transform_body(matrix) == body("transform")


# --- unmodified examples as consoles -----------------------------------------------------------


def shown(values: object) -> str:
    return re.escape("( " + ", ".join(f"{float(v):.6f}" for v in np.float32(values)) + " )")


def test_unmodified_receive_server_prints_our_path(
    plan: PlanToExport, compiled: Callable[[str], Path], tmp_path: Path
) -> None:
    path, port = plan.paths[0], free_port()
    flip = np.array([-1.0, -1.0, 1.0])
    messages = [m for found in plan_messages(plan).values() for m in found]
    with running([str(compiled("ReceiveServer")), str(port)], tmp_path / "log") as printed:
        wait_for_port(port)
        # It serves one connection after the other: the plan twice, as after a reconnect.
        for _ in range(2):
            delivery = send_messages(messages, "127.0.0.1", port)
            assert delivery.acknowledged_by == "close"
        text = wait_for(printed, "Receiving : POLYDATA", times=2)
    for pattern in (
        r"Name      : path 1\s",
        rf"Owner     : plan {plan.sha256[:12]}\s",
        r"RGBA      : \( 0, 158, 115, 255 \)",
        f"Entry Pt  : {shown(flip * path.entry_lps_mm)}",
        f"Target Pt : {shown(flip * path.tip_lps_mm)}",
        r"Radius    : 0\.000000",
        f"Position  : {shown(flip * path.entry_lps_mm)}",
        f"Position  : {shown(flip * path.tip_lps_mm)}",
        re.escape(f"Encoding: 3; String: {plan.description_of(path)}"),
        "Receiving TRANSFORM data type",
    ):
        assert len(re.findall(pattern, text)) >= 2, pattern


def test_unmodified_receive_client_is_served_and_served_again(
    plan: PlanToExport, plan_file: Path, compiled: Callable[[str], Path], tmp_path: Path
) -> None:
    path, port = plan.paths[0], free_port()
    flip = np.array([-1.0, -1.0, 1.0])
    serve = [sys.executable, "-m", "planner", "serve", str(plan_file)]
    serve += ["--igtl", str(port), "--path", "1"]
    client = [str(compiled("ReceiveClient")), "127.0.0.1", str(port)]
    with running(serve, tmp_path / "server") as served:
        wait_for(served, "Serving path 1")
        for attempt in range(2):
            with running(client, tmp_path / f"client{attempt}") as printed:
                text = wait_for(printed, "Receiving : POLYDATA|Receiving POLYDATA")
            assert re.search(r"Name      : path 1\s", text)
            assert re.search(f"Entry Pt  : {shown(flip * path.entry_lps_mm)}", text)
            assert re.search(f"Target Pt : {shown(flip * path.tip_lps_mm)}", text)
