"""The hazard log and the other pages name only tests and files that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "docs" / "HAZARDS.md"
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
COLUMNS = 6
TEST = re.compile(r"\btests/[\w/]+\.py(?:::\w+)+")
TEST_FILE = re.compile(r"\btests/[\w/]+\.py\b")
MODULE = re.compile(r"`((?:io|geometry|safety|search|skin|verify|report|cli|model|protocols)/\w+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
NONE = "none"


@cache
def _tests_in(file: Path) -> frozenset[str]:
    """Every test of a file as ``test_x`` or ``TestClass::test_x``."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def missing_tests(text: str) -> list[str]:
    """References to tests that do not exist."""
    missing = [r for r in TEST_FILE.findall(text) if not (ROOT / r).is_file()]
    for reference in TEST.findall(text):
        name, test = reference.split("::", 1)
        if (ROOT / name).is_file() and test not in _tests_in(ROOT / name):
            missing.append(reference)
    return missing


def _rows() -> list[list[str]]:
    lines = [line for line in LOG.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_named_test_exists(page: Path):
    assert missing_tests(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_linked_file_exists(page: Path):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_check_can_say_no():
    here = "tests/contracts/test_hazard_log.py"
    assert missing_tests(f"`{here}::test_the_check_can_say_no`") == []
    assert missing_tests(f"`{here}::test_that_nobody_wrote`")
    assert missing_tests("`tests/contracts/" + "no_such_file.py::test_x`")
    assert missing_tests(f"`{here}::TestNothing::test_the_check_can_say_no`")


def test_ids_run_without_a_gap():
    ids = [row[0] for row in _rows()]
    assert ids == [f"H{n}" for n in range(1, len(ids) + 1)]
    assert len(ids) >= 25


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_each_hazard_is_complete_and_honest(row: list[str]):
    assert len(row) == COLUMNS
    assert all(row)
    *_, control, test, residual = row
    status = re.match(r"[CPN]\b", residual)
    assert status, "the status is C, P or N"
    if status[0] == "C":
        assert TEST.search(test), "controlled without a test"
    if test == NONE:
        assert status[0] == "N"
    if control.startswith(NONE):
        assert status[0] == "N", "no control, yet not said"
    for module in MODULE.findall(control):
        assert (ROOT / "planner" / f"{module}.py").is_file(), module


def test_the_summary_lists_what_is_not_controlled():
    summary = LOG.read_text(encoding="utf-8").split("## Not controlled, in short")[1]
    named = set(re.findall(r"H\d+", summary))
    assert named == {row[0] for row in _rows() if row[-1].startswith("N")}
