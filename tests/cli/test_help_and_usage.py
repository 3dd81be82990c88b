from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Cli, Scene, call_cli, lent, run_cli, text_in

HEAVY = {"numpy", "scipy", "pydicom", "SimpleITK", "numba", "matplotlib", "vtk", "highdicom"}


def test_help_is_printed_and_lists_the_commands(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.code == 0
    for command in ("demo", "inspect", "plan", "verify", "procedures"):
        assert f"\n  {command} " in ran.stdout
    assert "Research use only" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.parametrize("command", ["demo", "inspect", "plan", "verify", "procedures"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    ran = run_cli(tmp_path, command, "--help")
    assert ran.code == 0
    assert f"needle-planner {command}" in ran.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; from planner.cli import main; main({arguments!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


def test_the_version(cli: Cli) -> None:
    import planner

    ran = cli("--version")
    assert (ran.code, ran.stdout) == (0, f"needle-planner {planner.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], ""),
        (["fly"], "fly"),
        (["plan"], "PATH"),
        (["plan", "x", "--target", "1,2,3"], "--procedure"),
        (["plan", "x", "--procedure", "si_joint_injection"], "--target"),
        (["plan", "x", "--target", "1,2", "--procedure", "si_joint_injection"], "L,P,S"),
        (["plan", "x", "--target", "1,2,nan", "--procedure", "si_joint_injection"], "finite"),
        (["plan", "x", "--target", "structure:", "--procedure", "si_joint_injection"], "name"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--implant", "a"], "NAME=MATERIAL"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--mr", "b"], "KEY=VALUE"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--bore", "35"], "RADIUS@L,P"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--role", "nerve"], "ROLE"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--throw-mm", "-1"], "--throw-mm"),
        (
            ["plan", "x", "--target", "1,2,3", "--procedure", "p", "--throw-mm", "nan"],
            "'nan' is not a number of mm from 0 to 50",
        ),
        (
            ["plan", "x", "--target", "1,2,3", "--procedure", "p", "--entry-spacing-mm", "inf"],
            "'inf' is not a number of mm from 0.1 to 50",
        ),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--top", "0"], "--top"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--frame", "ijk"], "--frame"),
        (["plan", "x", "--target", "1,2,3", "--procedure", "p", "--table-side", "up"], "--table"),
        (
            ["plan", "x", "--target", "structure:a", "--frame", "ras", "--procedure", "p"],
            "--frame is for a target in numbers",
        ),
        (["verify"], "PLAN"),
        (["inspect"], "PATH"),
    ],
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: list[str], says: str) -> None:
    ran = cli(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.stderr
    assert says in ran.stderr
    if arguments:
        assert ran.stdout == ""


def test_procedures_are_listed_for_people_and_for_programs(cli: Cli, tmp_path: Path) -> None:
    text = run_cli(tmp_path, "procedures")
    listed = json.loads(cli("procedures", "--json").stdout)["procedures"]
    assert text.code == 0
    for row in listed:
        assert row["id"] in text.stdout
        assert len(row["sha256"]) == 64
    assert "si_joint_injection" in [row["id"] for row in listed]


def test_one_procedure_shows_its_evidence(cli: Cli) -> None:
    text = cli("procedures", "si_joint_injection").stdout
    content = json.loads(cli("procedures", "si_joint_injection", "--json").stdout)
    nerve = {"value": 10.0, "evidence": "E", "required": True, "hard": True}
    assert content["margins_mm"]["nerve"] == nerve
    assert "10 mm [E]" in text
    assert "Not checked by this program" in text


def test_an_unknown_procedure_is_bad_input(cli: Cli) -> None:
    ran = cli("procedures", "si_joint")
    assert (ran.code, ran.stdout) == (3, "")
    assert ran.errors == [
        "error: there is no procedure 'si_joint'. Did you mean 'si_joint_injection'?"
    ]


def test_an_own_procedure_is_shown_from_its_file(cli: Cli, tmp_path: Path) -> None:
    source = ROOT / "planner" / "protocols" / "data" / "si_joint_injection.toml"
    text = source.read_text(encoding="utf-8").replace("si_joint_injection", "mine")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert "(mine)" in cli("procedures", "mine.toml").stdout
    assert "mine " in cli("procedures", "--procedure-dir", ".").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["plan", "x", "--procedure", "si_joint_injection"],
        ["procedures", "si_joint", "--json"],
        ["procedures", "si_joint_injection"],
        ["inspect", "noise.nii.gz"],
        ["inspect", "cut.mha", "--json"],
    ],
)
def test_a_call_tells_what_a_process_tells(scene: Scene, tmp_path: Path, arguments) -> None:
    """The tests' own way to run a command line against the real one."""
    (tmp_path / "noise.nii.gz").write_bytes(b"\x89garbage" * 100)
    (tmp_path / "cut.mha").write_bytes(scene.image.read_bytes()[:3000])
    assert call_cli(tmp_path, *arguments) == run_cli(tmp_path, *arguments)


def test_a_call_reads_what_c_code_writes_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    before = sys.stderr, Path.cwd(), dict(os.environ)
    with tempfile.TemporaryFile() as file:
        with lent(2, "stderr", file):
            os.write(2, b"from a library\n")
            sys.stderr.write("from Python\n")
        assert text_in(file) == "from a library\nfrom Python\n"
    debug = {"NEEDLE_PLANNER_DEBUG": "1"}
    assert "Traceback" in call_cli(tmp_path, "procedures", "nothing", env=debug).stderr
    assert (sys.stderr, Path.cwd(), dict(os.environ)) == before
