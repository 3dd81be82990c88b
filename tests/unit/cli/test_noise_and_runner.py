from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from planner.cli.console import Console
from planner.cli.noise import Noise, collected_noise
from planner.cli.runner import ExitCode, run_command
from planner.errors import OutsideVolumeError, PlannerError, TargetError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (TargetError("no target"), 3, "error: no target\n"),
        (OutsideVolumeError("outside"), 3, "error: outside\n"),
        (PlannerError("odd"), 4, "error: internal error: odd (log: "),
        (ZeroDivisionError("by zero"), 4, "error: internal error: ZeroDivisionError: by zero (log"),
        (KeyboardInterrupt(), 130, "error: interrupted; no result was written\n"),
        (MemoryError(), 4, "error: not enough memory"),
    ],
)
def test_every_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("NEEDLE_PLANNER_DEBUG", raising=False)

    def fails(console: Console) -> ExitCode:
        raise error

    assert run_command(fails) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1
    logs = list(tmp_path.glob("needle-planner-*.log"))
    assert len(logs) == (1 if "log" in line else 0)
    if logs:
        assert str(logs[0]) in err
        assert "Traceback" in logs[0].read_text()


def test_a_message_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    Console().error("one\n  two\n\nthree")
    assert capsys.readouterr().err == "error: one two three\n"


def test_warnings_and_logs_are_kept_once_each_in_one_line() -> None:
    with collected_noise() as noise:
        for _ in range(3):
            warnings.warn("a value\nis odd", UserWarning, stacklevel=1)
            logging.getLogger("pydicom.reader").warning("odd file")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.getLogger("pydicom").info("chatter")
    assert sorted(noise.messages) == ["a value is odd", "pydicom: odd file"]


def test_quiet_says_nothing_but_errors(capsys: pytest.CaptureFixture[str]) -> None:
    def warns(console: Console) -> ExitCode:
        warnings.warn("odd", UserWarning, stacklevel=1)
        console.note("by the way")
        console.result("the result")
        return ExitCode.OK

    assert run_command(warns, quiet=True) == 0
    assert capsys.readouterr() == ("the result\n", "")
    assert run_command(warns) == 0
    assert capsys.readouterr() == ("the result\n", "by the way\nnote: odd\n")


def test_the_name_in_a_complaint_of_pydicom_is_left_out() -> None:
    noise = Noise()
    noise.add("Invalid value for VR PN: 'DOE^JOHN'")
    noise.add('The value length exceeds the maximum for VR PN: "DOE^JOHN".')
    assert not any("DOE" in message for message in noise.messages)


def test_what_c_code_writes_to_stderr_is_collected() -> None:
    code = """
import os, sys
from planner.cli.console import Console
from planner.cli.runner import ExitCode, run_command
def command(console):
    os.write(2, b"WARNING: In /a/b.cxx, line 3\\nReader (0x7f): odd spacing\\n\\nplain text\\n")
    console.note("shown at once")
    sys.stderr.flush()
    os.write(2, b"WARNING: In /a/b.cxx, line 3\\nReader (0x8f): odd spacing\\n\\n")
    return ExitCode.OK
sys.exit(run_command(command))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines() == [
        "shown at once",
        "note: Reader: odd spacing",
        "note: plain text",
    ]


def test_only_a_slow_stage_is_worth_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console()
    for stage, seconds in (("fast", 0.2), ("slow", 2.5)):
        console.progress(stage, 0.0)
        now[0] += seconds
        console.progress(stage, 1.0)
    console.end_progress()
    assert capsys.readouterr().err == "slow: 2.5 s\n"


def test_a_stage_that_ended_in_an_error_is_not_told_after_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def fails(console: Console) -> ExitCode:
        console.progress("finding the body", 0.0)
        now[0] += 5.0
        warnings.warn("odd", UserWarning, stacklevel=1)
        raise TargetError("in the air")

    assert run_command(fails) == 3
    assert capsys.readouterr().err == "note: odd\nerror: in the air\n"


def test_a_stage_in_which_a_block_fails_is_not_told_as_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console()
    with pytest.raises(TargetError), console.stage("reading"):
        raise TargetError("no")
    console.drop_progress()
    assert capsys.readouterr().err == ""
