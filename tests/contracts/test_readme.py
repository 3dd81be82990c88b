"""What the README shows is what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from planner.cli import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, flags=re.DOTALL)
MAX_PICTURES_BYTES = 600_000


def _commands() -> list[list[str]]:
    lines = [text.replace("\\\n", " ") for kind, text in BLOCKS if not kind]
    return [shlex.split(t) for t in lines if t.startswith("needle-planner")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sample data, away from the repository."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_gives_the_shown_output(folder: Path, capfd: pytest.CaptureFixture[str]):
    plan, verify, *_ = _commands()
    assert main([*plan[1:], "--no-figures", "--quiet"]) == 0
    found = capfd.readouterr().out
    shown = next(text for _, text in BLOCKS if text.startswith("RESEARCH USE ONLY"))
    assert _without_files(found) == _without_files(shown)
    assert main([*verify[1:], "--quiet"]) == 0
    assert capfd.readouterr().out.startswith("VERIFIED")
    assert main([*(a.replace("22G-90", "22G-50") for a in plan[1:-2]), "--quiet"]) == 1
    quoted = re.search(r"\*('length'[^*]+)\*", TEXT)
    assert quoted is not None
    assert _one_line(quoted[1]) in _one_line(capfd.readouterr().out)


def test_the_commands_after_the_plan_run(folder: Path, capfd: pytest.CaptureFixture[str]):
    plan, *_ = _commands()
    assert main([*plan[1:], "--no-figures", "--quiet"]) == 0
    block = next(text for kind, text in BLOCKS if "needle-planner report" in text)
    lines = [shlex.split(line, comments=True)[1:] for line in block.strip().splitlines()]
    report, slicer, *others = lines
    assert main([*(a for a in report if a != "--pdf"), "--quiet"]) == 0
    assert main([*slicer, "--quiet"]) == 0
    assert {line[0] for line in others} == {"export", "compare"}
    assert (folder / "out" / "report.html").is_file()


def _without_files(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if not line.startswith("Written to")]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_python_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]):
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    exec(compile(code, "README.md", "exec"), {})
    assert (folder / "plan.json").is_file()
    assert capsys.readouterr().out.startswith("caution entry")


def test_the_pictures_are_small():
    sizes = [file.stat().st_size for file in (ROOT / "docs" / "pictures").glob("*.png")]
    assert sizes
    assert sum(sizes) < MAX_PICTURES_BYTES


def test_no_machine_is_named():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        assert not re.search(r"/(home|work|root|Users)/", page.read_text(encoding="utf-8")), page
