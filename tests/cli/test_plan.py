"""The main job from the command line: plan, its files, its exit codes, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TARGET_LPS_MM, Cli, Ran, Scene, call_cli, run_cli

FILES = ["plan.json", "plan.mrk.json", "report.html", "report.md"]
CHANGING = ("created_utc", "search", "options")


def claims(text: str) -> dict[str, Any]:
    """A plan without what differs between two equal runs, or says how the options were given."""
    plan: dict[str, Any] = json.loads(text)
    return {key: value for key, value in plan.items() if key not in CHANGING}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def planned(scene: Scene, folder: Path) -> Ran:
    """One plan of a process of its own, written to ``folder/out`` without figures."""
    return run_cli(folder, *scene.plan("--out", "out", "--no-figures", "--json", "--top", 3))


def test_a_plan_is_shown_and_written(planned: Ran, folder: Path) -> None:
    assert planned.code == 0, planned.stderr
    assert sorted(p.name for p in (folder / "out").iterdir()) == FILES
    assert not list(folder.glob(".needle-planner-*"))
    assert planned.stdout == (folder / "out" / "plan.json").read_text(encoding="utf-8")
    plan = json.loads(planned.stdout)
    assert plan["schema"] == "needle-plan/1"
    assert plan["procedure"]["id"] == "soft_tissue_biopsy"
    assert plan["needle"]["throw_mm"] == 20.0
    assert 1 <= len(plan["trajectories"]) <= 3
    assert plan["target"]["point_lps_mm"] == pytest.approx(TARGET_LPS_MM)


def test_stderr_holds_no_result_and_stdout_no_progress(planned: Ran) -> None:
    assert "trajectories" not in planned.stderr
    assert "Traceback" not in planned.stderr
    json.loads(planned.stdout)


def test_the_resolved_settings_are_in_the_plan_without_folders(planned: Ran, scene: Scene) -> None:
    settings = json.loads(planned.stdout)["options"]["settings"]
    assert settings["top"] == 3
    assert settings["min_separation_mm"] == 10.0
    assert settings["structures"] == [path.name for path in scene.masks.values()]
    assert settings["roles"]["nerve"] == "avoid"
    assert str(scene.image.parent) not in planned.stdout


def test_one_thread_gives_the_same_plan(cli: Cli, scene: Scene, planned: Ran) -> None:
    ran = cli(*scene.plan("--json", "--top", 3, "--threads", 1, "--quiet"))
    assert claims(ran.stdout) == claims(planned.stdout)
    assert ran.stderr == ""


def test_a_target_in_ras_is_the_same_place(cli: Cli, scene: Scene, planned: Ran) -> None:
    ras = f"{-TARGET_LPS_MM[0]},{-TARGET_LPS_MM[1]},{TARGET_LPS_MM[2]}"
    ran = cli(*scene.plan("--target", ras, "--frame", "ras", "--json", "--top", 3))
    assert claims(ran.stdout) == claims(planned.stdout)


def test_a_target_from_a_markups_file(cli: Cli, scene: Scene, planned: Ran, tmp_path: Path) -> None:
    point = {"label": "here", "position": [-TARGET_LPS_MM[0], -TARGET_LPS_MM[1], TARGET_LPS_MM[2]]}
    markup = {"type": "Fiducial", "coordinateSystem": "RAS", "controlPoints": [point]}
    (tmp_path / "t.mrk.json").write_text(json.dumps({"markups": [markup]}))
    ran = cli(*scene.plan("--target", "t.mrk.json", "--json", "--top", 3))
    assert claims(ran.stdout) == claims(planned.stdout)
    assert "point 'here' of a markups file" in ran.stderr


def test_a_target_in_a_structure_may_be_entered_without_a_role(cli: Cli, scene: Scene) -> None:
    arguments = scene.plan("--target", "structure:lesion", "--json")
    place = arguments.index("lesion=target")
    del arguments[place - 1 : place + 1]
    ran = cli(*arguments)
    plan = json.loads(ran.stdout)
    assert ran.code == 0
    assert "centroid of structure 'lesion'" in ran.stderr
    assert {s["name"]: s["role"] for s in plan["structures"]}["lesion"] == "target"
    assert plan["target"]["point_lps_mm"] == pytest.approx(TARGET_LPS_MM, abs=1.5)


def test_aiming_at_a_nerve_does_not_make_it_harmless(cli: Cli, scene: Scene) -> None:
    arguments = scene.plan("--target", "structure:nerve", "--json")
    place = arguments.index("nerve=avoid")
    del arguments[place - 1 : place + 1]
    ran = cli(*arguments)
    plan = json.loads(ran.stdout)
    assert ran.code == 1
    assert {s["name"]: s["role"] for s in plan["structures"]}["nerve"] == "avoid"


def test_options_win_over_the_file(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("top = 2\nthrow_mm = 15.0\nneedle = '16G-150'\n")
    ran = cli(*scene.plan("--config", "mine.toml", "--needle", "18G-100", "--json"))
    plan = json.loads(ran.stdout)
    assert plan["needle"]["name"] == "18G-100"
    assert plan["needle"]["throw_mm"] == 15.0
    assert len(plan["trajectories"]) == 2


def test_a_needle_named_on_the_command_line_keeps_the_procedures_throw(
    cli: Cli, scene: Scene, planned: Ran
) -> None:
    usual = json.loads(planned.stdout)
    named = json.loads(cli(*scene.plan("--needle", usual["needle"]["name"], "--json")).stdout)
    assert named["needle"] == usual["needle"]
    assert named["search"]["feasible"] == usual["search"]["feasible"]


def test_nothing_feasible_is_a_result_with_its_reason(
    cli: Cli, scene: Scene, tmp_path: Path
) -> None:
    more = ["--role", "nerve=avoid:60", "--out", "out", "--no-figures"]
    ran = cli(*scene.plan(*more))
    assert ran.code == 1
    assert "NO PATH FOUND" in ran.stdout
    plan = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    assert plan["trajectories"] == []
    assert plan["search"]["feasible"] == 0
    assert plan["search"]["rejected"]["clearance:nerve"] > 0
    assert plan["explanation"]
    assert json.loads((tmp_path / "out" / "plan.mrk.json").read_text())["markups"] == []


def test_a_needle_that_cannot_reach_is_a_result_too(cli: Cli, scene: Scene) -> None:
    ran = cli(*scene.plan("--needle", "18G-10"))
    assert ran.code == 1
    assert "beyond the reach of the needle" in ran.stdout


def test_a_missing_required_mask_is_unknown_and_require_pass_says_no(
    cli: Cli, scene: Scene
) -> None:
    arguments = scene.plan("--json")
    for text in (scene.masks["vessel"], "vessel=avoid"):
        place = arguments.index(text)
        del arguments[place - 1 : place + 1]
    ran = cli(*arguments)
    assert ran.code == 0
    assert json.loads(ran.stdout)["verdict"] == "unknown"
    strict = cli(*arguments, "--require-pass")
    assert strict.code == 1
    assert "--require-pass: the best verdict is unknown" in strict.stderr
    assert cli(*scene.plan("--json", "--require-pass")).code == 0


def test_text_without_out_writes_nothing(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    ran = cli(*scene.plan("--top", 1))
    assert ran.code == 0
    assert "RESEARCH USE ONLY" in ran.stdout
    assert "Nothing was written" in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_figures_are_written_and_named_in_the_report(
    cli: Cli, scene: Scene, tmp_path: Path
) -> None:
    ran = cli(*scene.plan("--top", 1, "--out", "out"))
    assert ran.code == 0, ran.stderr
    figures = sorted(p.name for p in (tmp_path / "out" / "figures").iterdir())
    assert "path_01.png" in figures
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    for name in figures:
        assert f"figures/{name}" in report


def verify(scene: Scene, plan: str, *more: object) -> list[object]:
    masks = [part for mask in scene.masks.values() for part in ("--structures", mask)]
    return ["verify", plan, "--image", scene.image, *masks, *more]


def test_verify_confirms_a_plan(scene: Scene, planned: Ran, folder: Path) -> None:
    assert planned.code == 0
    ran = run_cli(folder, *verify(scene, "out/plan.json", "--json"))
    report = json.loads(ran.stdout)
    assert [c for c in report["checks"] if not c["ok"]] == []
    assert (ran.code, report["ok"]) == (0, True)


def test_verify_finds_a_changed_number(scene: Scene, planned: Ran, folder: Path) -> None:
    plan = json.loads(planned.stdout)
    clearance = plan["trajectories"][0]["clearances"][0]
    clearance["clearance_mm"] += 0.05
    (folder / "changed.json").write_text(json.dumps(plan), encoding="utf-8")
    ran = call_cli(folder, *verify(scene, "changed.json"))
    assert ran.code == 1
    assert "NOT VERIFIED" in ran.stdout
    assert clearance["structure"] in ran.stdout


def test_verify_without_a_mask_or_an_image_confirms_nothing(
    scene: Scene, planned: Ran, folder: Path
) -> None:
    assert planned.code == 0
    ran = call_cli(folder, "verify", "out/plan.json", "--image", scene.image)
    assert ran.code == 3 and "--structures" in ran.stderr
    without_image = call_cli(folder, "verify", "out/plan.json")
    assert without_image.code == 2
    assert "--image" in without_image.stderr
