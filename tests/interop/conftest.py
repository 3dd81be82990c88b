"""A real Orthanc on loopback, started for the tests and stopped by its process id."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from planner.exports.dicom import FORMATS
from tests.dicom_plan import DicomPlan, dicom_plan
from tests.igtl_reference import compiler

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AET, OWN_AET = "ORTHANC", "NEEDLEPLAN"
USER, PASSWORD = "planner", "not-a-secret"


@dataclass(frozen=True)
class Orthanc:
    dicom_port: int
    http_port: int
    move_port: int

    @property
    def node(self) -> str:
        return f"{AET}@127.0.0.1:{self.dicom_port}"

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def rest(self, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data)
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    def upload(self, files: list[Path]) -> None:
        for file in files:
            self.rest("/instances", file.read_bytes())


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    """An oblique, anisotropic series of a prone patient, and a plan of the real search on it."""
    return dicom_plan(tmp_path_factory.mktemp("planned"))


@pytest.fixture(scope="session")
def exported(planned: DicomPlan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Its files in every DICOM format."""
    folder = tmp_path_factory.mktemp("exported")
    plan, source = planned.opened()
    return {n: list(write(plan, source, folder / n)) for n, write in FORMATS.items()}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles one program with Debian's OpenIGTLink library; each only once."""
    return compiler(tmp_path_factory.mktemp("igtl"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc")
    if program is None or not DICOMWEB_PLUGIN.exists():
        pytest.skip("Orthanc and its DICOMweb plugin are not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    here = Orthanc(dicom_port=free_port(), http_port=free_port(), move_port=free_port())
    config = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": AET,
        "DicomPort": here.dicom_port,
        "HttpPort": here.http_port,
        "HttpServerEnabled": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"us": [OWN_AET, "127.0.0.1", here.move_port]},
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(config))
    log = (folder / "log").open("w")
    process = subprocess.Popen([program, str(file)], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, here, folder)
        yield here
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def _wait(process: subprocess.Popen[bytes], here: Orthanc, folder: Path) -> None:
    for _ in range(150):
        if process.poll() is not None:
            break
        try:
            here.rest("/system")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Orthanc did not start: {(folder / 'log').read_text()[-800:]}")
