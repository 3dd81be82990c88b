"""The HTML report printed to PDF by a headless Chromium, without any network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from planner.errors import OutputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_VARIABLE = "NEEDLE_PLANNER_CHROMIUM"
TIMEOUT_S = 60.0
"""For a browser that works: on a busy machine a print takes some seconds."""

IDLE_S = 8.0
"""A browser that uses no processor time for so long hangs."""

POLL_S = 0.05
_PDF_BEGIN, _PDF_END = b"%PDF-", b"%%EOF"


def find_browser() -> str:
    """The program that prints: of the environment variable, or the first known one on PATH.

    Raises
    ------
    OutputError
        If there is none.
    """
    wanted = os.environ.get(BROWSER_VARIABLE)
    names = (wanted,) if wanted else BROWSERS
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise OutputError(
        "no Chromium was found, and the PDF is printed by it",
        seen=f"none of {', '.join(names)} on PATH",
        fix=f"Install it (Debian: apt install chromium), name it in {BROWSER_VARIABLE}, or leave "
        "--pdf out and print the HTML from any browser.",
    )


def print_pdf(
    html: str, browser: str, *, timeout_s: float = TIMEOUT_S, idle_s: float = IDLE_S
) -> bytes:
    """The bytes of the PDF, A4, of an HTML report.

    The browser gets a profile folder of its own that is thrown away, no network and no
    extension; a script would be refused by the policy that the report itself states. One
    that does nothing for ``idle_s`` hangs and is ended, with all that it started; one that
    works is given ``timeout_s``.

    Raises
    ------
    OutputError
        If the browser fails, hangs or writes no PDF.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix="needle-planner-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            page, target = folder / "report.html", folder / "report.pdf"
            page.write_text(html, encoding="utf-8")
            command = [browser, *_options(folder), f"--print-to-pdf={target}", page.as_uri()]
            code, said = _ran(browser, command, folder / "said", timeout_s, idle_s)
            content = target.read_bytes() if target.is_file() else b""
    except OSError as error:
        raise _failed(browser, error.strerror or type(error).__name__) from error
    is_begun = content.startswith(_PDF_BEGIN)
    is_whole = is_begun and content.rstrip().endswith(_PDF_END)
    if code != 0 or not is_whole:
        cut = f", {len(content)} bytes of a PDF without its end" if is_begun else ""
        raise _failed(browser, f"exit code {code}{cut}" + (f", {said}" if said else ""))
    return content


def _ran(
    browser: str, command: list[str], log: Path, timeout_s: float, idle_s: float
) -> tuple[int, str]:
    """Exit code and last line of what the browser said, when it has ended."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
            start_new_session=True,
        )
        began_s = worked_s = time.monotonic()
        spent = 0.0
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                now_s, now = time.monotonic(), cpu_seconds(process.pid)
                if now is None or now > spent:
                    spent, worked_s = now or 0.0, now_s
                if now_s - worked_s > idle_s:
                    raise _failed(browser, f"it has done nothing for {idle_s:g} s")
                if now_s - began_s > timeout_s:
                    raise _failed(browser, f"no answer within {timeout_s:g} s")
        finally:
            _end(process)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return process.returncode, lines[-1] if lines else ""


def cpu_seconds(session: int) -> float | None:
    """Processor time of all processes of a session; None where the system does not tell.

    References
    ----------
    proc(5): /proc/PID/stat, fields 6 (session), 14 and 15 (utime, stime) in clock ticks.
    """
    if not Path("/proc/self/stat").is_file():
        return None
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the browser and whatever it started, where that still runs."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _options(folder: Path) -> list[str]:
    options = [
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        # Every name fails to resolve and every proxy is a closed door: nothing leaves.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--proxy-server=127.0.0.1:9",
        "--no-pdf-header-footer",
        f"--user-data-dir={folder / 'profile'}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium refuses to run as root with it
    return options


def _failed(browser: str, reason: str) -> OutputError:
    return OutputError(
        "the PDF could not be printed",
        seen=reason,
        where=browser,
        fix="Leave --pdf out and print the HTML from any browser.",
    )
