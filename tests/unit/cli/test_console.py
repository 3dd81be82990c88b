"""What reaches a terminal: nothing that steers it, and a word when it takes long."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.cli.compiling import NOTE, told_about_compiling
from planner.cli.console import Console, terminal_text

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\u001b[31mred\\u001b]0;title\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("a\r\x08b\tc", "a\\u000d\\u0008b\\u0009c"),
        ("line\nline", "line\nline"),
        ("L5 Wurzel 神经根 21° Ø", "L5 Wurzel 神经根 21° Ø"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\udb40\\udc01"),
    ],
)
def test_what_could_steer_a_terminal_is_an_escape(text: str, shown: str) -> None:
    assert terminal_text(text) == shown


@given(ANY_TEXT)
def test_nothing_that_steers_is_left_and_json_keeps_its_meaning(text: str) -> None:
    shown = terminal_text(text)
    assert not any(unicodedata.category(c)[0] == "C" for c in shown if c != "\n")
    document = json.dumps({"name": text}, ensure_ascii=False, indent=1)
    back = json.loads(terminal_text(document))["name"]
    assert back.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_results_notes_and_errors_go_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.result("name \x1b[2J")
    console.note("name \x1b[2J")
    console.error("name \x1b[2J\nerror: forged")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert err.count("\n") == 2


def compile_something() -> None:
    import numba as nb

    @nb.njit
    def one(x):  # type: ignore[no-untyped-def]
        return x + 1

    assert one(1) == 2
    assert one(1.5) == 2.5


def test_compiling_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with told_about_compiling(Console()):
        compile_something()
    compile_something()
    assert capsys.readouterr().err == NOTE + "\n"


def test_nothing_is_told_where_nothing_is_compiled_or_all_is_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with told_about_compiling(Console()):
        pass
    with told_about_compiling(Console(quiet=True)):
        compile_something()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_note_stands_on_a_line_of_its_own_and_names_are_harmless() -> None:
    code = """
from planner.cli.console import Console
console = Console()
console.progress("finding [red]the skin[/red] \\x1b[2J", 0.2)
console.note("compiling")
console.progress("finding the skin", 0.6)
console.error("no")
console.end_progress()
"""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=theirs, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed: all was read
        pass
    os.close(ours)
    text = shown.decode()
    assert done.returncode == 0
    assert "compiling\r\n" in text
    assert "error: no\r\n" in text
    assert "[red]" in text, "a name is shown as it is, not read as a colour"
    assert "\x1b[2J" not in text
