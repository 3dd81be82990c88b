"""The HTML report printed to PDF by a headless Chromium, without any network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from planner.errors import OutputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_VARIABLE = "NEEDLE_PLANNER_CHROMIUM"
TIMEOUT_S = 60.0
_PDF_MAGIC = b"%PDF-"


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


def print_pdf(html: str, browser: str, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """The bytes of the PDF, A4, of an HTML report.

    The browser gets a profile folder of its own that is thrown away, no network and no
    extension; a script would be refused by the policy that the report itself states.

    Raises
    ------
    OutputError
        If the browser fails, hangs or writes no PDF.
    """
    with tempfile.TemporaryDirectory(prefix="needle-planner-") as name:
        folder = Path(name)
        (folder / "report.html").write_text(html, encoding="utf-8")
        target = folder / "report.pdf"
        command = [browser, *_options(folder), f"--print-to-pdf={target}",
                   (folder / "report.html").as_uri()]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(browser, f"no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise _failed(browser, error.strerror or type(error).__name__) from error
        content = target.read_bytes() if target.is_file() else b""
    if done.returncode != 0 or not content.startswith(_PDF_MAGIC):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise _failed(browser, f"exit code {done.returncode}" + (f", {last[0]}" if last else ""))
    return content


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
