"""Exports, report and comparison that are stopped: killed, ended, out of disk."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import planner.io.atomic
from planner.cli.export_request import FILE_NAMES
from tests.cli.conftest import Ran, call_cli
from tests.dicom_plan import DicomPlan, dicom_plan

DICOM = ("dicom-sr", "dicom-seg", "dicom-images", "rtstruct")
COMMANDS = (*FILE_NAMES, "report", "compare")
OLD = "-" * 128 + "DICM, of an earlier plan. Research use only"
"""A table and a DICOM object alike, as far as it is asked whether this program wrote it."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    return dicom_plan(tmp_path_factory.mktemp("planned"), top=1)


def arguments(planned: DicomPlan, command: str) -> list[object]:
    """A command line that writes to ``out``."""
    if command == "report":
        return ["report", planned.file, "--out", "out/report.html"]
    if command == "compare":
        path = json.loads(planned.file.read_text())["trajectories"][0]
        ends = [",".join(map(str, path[key])) for key in ("entry_lps_mm", "tip_lps_mm")]
        return ["compare", planned.file, "--actual", *ends, "--out", "out"]
    more = ["--image", planned.series] if command in DICOM else []
    return ["export", planned.file, "--to", command, *more, "--out", "out"]


def seen(folder: Path, *, hidden: bool = True) -> list[str]:
    """Files and folders with something in them; a hidden folder hides what is in it."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and (hidden or not any(part.startswith(".") for part in parts)):
            found.append("/".join(parts))
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with results of an earlier plan."""
    (tmp_path / "out").mkdir()
    for name in ("needle_plan.csv", "report.html", "compare.json", "needle_plan_sr.dcm"):
        (tmp_path / "out" / name).write_text(OLD)
    return tmp_path


def untouched(place: Path) -> bool:
    return all((place / name).read_text() == OLD for name in seen(place, hidden=False))


@contextlib.contextmanager
def little_disk(n_bytes: int) -> Iterator[None]:
    """No file grows beyond some bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("command", COMMANDS)
def test_disk_full(planned: DicomPlan, place: Path, command: str) -> None:
    before = seen(place)
    with little_disk(512):
        ran = call_cli(place, *arguments(planned, command))
    assert ran.code == 3, ran.stderr
    assert len(ran.errors) == 1 and "cannot be written" in ran.errors[0]
    assert "Traceback" not in ran.stderr and ".needle-planner" not in ran.stderr
    assert seen(place) == before and untouched(place)


@pytest.mark.parametrize("command", COMMANDS)
def test_asked_to_end_it_takes_away_what_it_began(
    planned: DicomPlan, place: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM while the first file is on its way to the disk."""
    before = seen(place)
    write = planner.io.atomic._write_through

    def ended(path: Path, content: bytes) -> None:
        write(path, content)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(planner.io.atomic, "_write_through", ended)
    if command == "compare":
        monkeypatch.setattr("planner.cli.outputs.OutputFolder.commit", lambda self: ended_here())
    ran = call_cli(place, *arguments(planned, command))
    assert (ran.code, ran.errors) == (130, ["error: interrupted; no result was written"])
    assert seen(place) == before and untouched(place)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def ended_here() -> list[Path]:
    os.kill(os.getpid(), signal.SIGTERM)
    return []


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_before_a_result_takes_its_place(
    planned: DicomPlan, place: Path, command: str
) -> None:
    """SIGKILL at the first rename: nothing of the new plan is to be seen, the old one stays."""
    before = seen(place, hidden=False)

    def kill() -> None:
        Path.replace = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
        call_cli(place, *arguments(planned, command))

    assert ended_by(kill) == signal.SIGKILL
    assert seen(place, hidden=False) == before and untouched(place)


def test_killed_while_files_take_their_places_no_series_is_in_part(
    planned: DicomPlan, place: Path
) -> None:
    """The derived images arrive as a whole folder, in one step."""
    real = Path.replace
    done: list[Path] = []

    def kill() -> None:
        def counted(self: Path, target: Path) -> Path:
            if done and not target.name.startswith("."):
                os.kill(os.getpid(), signal.SIGKILL)
            if ".tmp" not in self.name:
                done.append(target)
            return real(self, target)

        Path.replace = counted  # type: ignore
        call_cli(place, *arguments(planned, "dicom-images"), "--to", "csv")

    assert ended_by(kill) == signal.SIGKILL
    images = [name for name in seen(place, hidden=False) if name.endswith("dcm") and "IM" in name]
    assert len(images) in (0, len(list(planned.series.iterdir())))
    assert images


def ended_by(run: Callable[[], object]) -> int:
    """The signal that ended a copy of this process which ran something; 0 without one."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status)


def test_the_helpers_can_say_no(planned: DicomPlan, place: Path) -> None:
    assert ended_by(lambda: None) == 0
    ran: Ran = call_cli(place, *arguments(planned, "csv"))
    assert ran.code == 0 and not untouched(place)
