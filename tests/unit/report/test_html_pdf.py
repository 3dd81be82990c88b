"""A browser that hangs, starts others, or cannot write: one error, and nothing left running."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from planner.errors import OutputError
from planner.report import html_pdf
from planner.report.html_parts import element, page
from planner.report.html_pdf import IDLE_S, cpu_seconds, print_pdf
from planner.report.html_style import style_sheet


@pytest.fixture
def browser(tmp_path: Path):
    def made(script: str) -> str:
        file = tmp_path / "browser"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return str(file)

    return made


def is_running(pid_file: Path) -> bool:
    state = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    return state.is_file() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc")
def test_one_that_does_nothing_is_ended_with_all_that_it_started(browser, tmp_path: Path) -> None:
    children = tmp_path / "children"
    hanging = browser(f"sleep 600 & echo $! > {children}; wait")
    with pytest.raises(OutputError, match=r"done nothing for 0\.5 s"):
        print_pdf("<p>", hanging, idle_s=0.5)
    for _ in range(100):  # the kernel takes a moment
        if not is_running(children):
            break
        time.sleep(0.02)
    assert not is_running(children)


def test_no_hang_is_borne_for_ten_seconds() -> None:
    assert IDLE_S < 10.0


def test_one_that_works_without_end_is_ended(browser) -> None:
    with pytest.raises(OutputError, match=r"no answer within 0\.5 s"):
        print_pdf("<p>", browser("while :; do :; done"), timeout_s=0.5)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo it broke >&2; exit 3", "exit code 3, it broke"),
        ("exit 0", "exit code 0"),
        ('for a; do case "$a" in --print-to-pdf=*) echo no > "${a#*=}";; esac; done', "code 0"),
        (
            'for a; do case "$a" in --print-to-pdf=*) echo %PDF-1.4 > "${a#*=}";; esac; done',
            "9 bytes of a PDF without its end",
        ),
    ],
    ids=["fails", "no file", "no PDF", "a PDF cut off"],
)
def test_what_is_no_pdf_is_refused(browser, script: str, reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        print_pdf("<p>", browser(script))


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext on PATH")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")
def test_pages_of_paper_carry_banner_hash_and_number(tmp_path: Path) -> None:
    html = page("t", style_sheet("0123456789abcdef"), [element("p", "x")] * 120)
    file = tmp_path / "r.pdf"
    file.write_bytes(print_pdf(html, "chromium"))
    found = subprocess.run(["pdftotext", file, "-"], capture_output=True, text=True, check=True)
    pages = found.stdout.split("\f")[:-1]
    assert len(pages) > 1
    for number, text in enumerate(pages, start=1):
        assert "RESEARCH USE ONLY" in text and "plan 0123456789ab\n" in text
        assert f"page {number} of {len(pages)}" in text


def test_no_room_for_the_page(browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(html_pdf.tempfile, "TemporaryDirectory", full)
    with pytest.raises(OutputError, match="No space left"):
        print_pdf("<p>", browser("exit 0"))


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc")
def test_processor_time_of_a_session_grows() -> None:
    session = os.getsid(0)
    before = cpu_seconds(session)
    stop_s = time.process_time() + 0.05
    while time.process_time() < stop_s:
        pass
    after = cpu_seconds(session)
    assert before is not None and after is not None and after > before
