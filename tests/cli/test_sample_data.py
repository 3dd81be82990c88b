"""inspect and demo on the committed phantom."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tests.cli.conftest import Cli, Ran, run_cli

VOLUME_KEYS = {
    "series_instance_uid",
    "series_number",
    "description",
    "modality",
    "part",
    "plannable",
    "reason",
    "shape_kji",
    "spacing_kji_mm",
    "lps_from_kji",
    "patient_position",
    "frame_of_reference_uid",
    "n_files",
    "mr",
    "warnings",
}


def test_inspect_lists_the_volume_with_every_key(
    cli: Cli, sample_data: Path, tmp_path: Path
) -> None:
    ran = run_cli(tmp_path, "inspect", sample_data / "plain", "--json")
    report = json.loads(ran.stdout)
    assert ran.code == 0
    assert len(report["volumes"]) == 1
    volume = report["volumes"][0]
    assert set(volume) >= VOLUME_KEYS
    assert volume["plannable"] is True
    truth = json.loads((sample_data / "plain" / "truth.json").read_text(encoding="utf-8"))
    assert volume["shape_kji"] == truth["grid"]["shape_kji"]
    skipped = {Path(entry["file"]).name for entry in report["skipped"]}
    assert skipped == {"structures.seg.nrrd", "truth.json"}
    text = cli("inspect", sample_data / "plain")
    assert text.code == 0
    assert volume["description"] in text.stdout


def test_inspect_of_a_folder_without_a_volume_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    ran = cli("inspect", "notes", "--json")
    assert ran.code == 1
    assert json.loads(ran.stdout)["volumes"] == []


def test_the_demo_plans_three_procedures(sample_data: Path, tmp_path: Path) -> None:
    environment = {"NEEDLE_PLANNER_SAMPLE_DATA": str(sample_data)}
    ran: Ran = run_cli(tmp_path, "demo", "--out", "here", "--no-figures", env=environment)
    assert ran.code == 0, ran.stderr
    truth = json.loads((sample_data / "plain" / "truth.json").read_text(encoding="utf-8"))
    targets = truth["targets_lps_mm"]
    for procedure, target, off_mm in (
        ("transforaminal_epidural", "foramen_L4_L5_left", 10.0),  # derived: its upper half
        ("si_joint_injection", "si_joint_left", 8.0),
        ("vertebral_biopsy_transpedicular", "vertebra_L5_lesion", 0.0),
    ):
        assert procedure in ran.stdout
        plan = json.loads((tmp_path / "here" / procedure / "plan.json").read_text())
        assert plan["verdict"] in ("pass", "caution")
        assert math.dist(plan["target"]["point_lps_mm"], targets[target]) <= off_mm
        assert plan["trajectories"]
    assert not list(tmp_path.glob(".needle-planner-*"))


def test_the_demo_without_sample_data_says_where_it_looked(cli: Cli, tmp_path: Path) -> None:
    ran = cli("demo", env={"NEEDLE_PLANNER_SAMPLE_DATA": str(tmp_path / "nowhere")})
    assert ran.code == 3
    assert len(ran.errors) == 1
    assert "nowhere" in ran.errors[0]
    assert list(tmp_path.iterdir()) == []
