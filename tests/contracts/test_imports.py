"""The arrows of the architecture: which room may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "planner"

LEVEL = {
    "errors": 0,
    "progress": 0,
    "toml_file": 1,
    "geometry": 1,
    "model": 2,
    "physics": 3,
    "anatomy": 3,
    "protocols": 4,
    "io": 4,
    "safety": 4,
    "skin": 4,
    "verify": 5,
    "search": 5,
    "config": 5,
    "report": 6,
    "compare": 6,
    "exports": 6,
    "cli": 7,
    "__main__": 8,
}
FORBIDDEN = {
    ("io", "safety"),
    ("safety", "io"),
    ("verify", "safety"),
    ("verify", "search"),
    ("verify", "physics"),
    ("physics", "io"),
}
KERNELS = {"clearance", "distance", "trace", "segments", "walk"}
"""What an independent check must not share with the search."""


def _modules() -> list[tuple[str, Path]]:
    files = [p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py"]
    return [(p.relative_to(ROOT).with_suffix("").parts[0], p) for p in files]


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
    return [name for name in names if name.split(".")[0] == "planner"]


def wrong_arrows(modules: list[tuple[str, Path]]) -> list[str]:
    """Imports that point against the flow of data."""
    wrong = []
    for room, path in modules:
        for name in _imports(path):
            parts = name.split(".")
            if len(parts) == 1:
                continue
            other = parts[1]
            if other == room:
                continue
            if LEVEL[other] > LEVEL[room] or (
                LEVEL[other] == LEVEL[room] and {other, room} & {"io", "safety"}
            ):
                wrong.append(f"{path.name}: {room} -> {other}")
            if (room, other) in FORBIDDEN:
                wrong.append(f"{path.name}: {room} -> {other}")
            if room == "verify" and len(parts) > 2 and parts[2] in KERNELS:
                wrong.append(f"{path.name}: verify -> {name}")
    return wrong


def test_every_room_has_a_level():
    assert {room for room, _ in _modules()} <= set(LEVEL)


def test_no_arrow_points_backwards():
    assert wrong_arrows(_modules()) == []


def test_the_check_itself_can_say_no(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("from planner.search import plan\nfrom planner.safety import FieldCache\n")
    assert len(wrong_arrows([("geometry", bad)])) == 2
    assert wrong_arrows([("io", bad)]) != []


@pytest.mark.parametrize("heavy", ["numpy", "pydicom", "SimpleITK", "vtk", "numba", "highdicom"])
def test_importing_the_package_is_light(heavy):
    code = f"import planner, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_is_light():
    code = (
        "import sys; from planner.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'pydicom', 'SimpleITK', 'vtk', 'numba')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modules_stay_readable():
    long = {p.name: n for _, p in _modules() if (n := len(p.read_text().splitlines())) > 450}
    assert long == {}


def test_every_public_name_resolves():
    import planner

    for name in planner.__all__:
        assert getattr(planner, name) is not None
