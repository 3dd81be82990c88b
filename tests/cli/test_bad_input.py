"""Bad input: exit code 3, one clear message, no traceback, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli, Ran, Scene

PLAN = ["--procedure", "soft_tissue_biopsy", "--target", "5,10,2"]


def assert_refused(ran: Ran, *says: str, folder: Path | None = None) -> None:
    assert ran.code == 3, ran.stderr
    assert "Traceback" not in ran.stderr + ran.stdout
    assert len(ran.errors) == 1, ran.stderr
    for text in says:
        assert text in ran.errors[0]
    assert ran.stdout == ""
    if folder is not None:
        assert not (folder / "out").exists()
        assert not list(folder.glob(".needle-planner-*"))


@pytest.mark.parametrize("command", ["plan", "inspect"])
def test_a_folder_that_does_not_exist(cli: Cli, tmp_path: Path, command: str) -> None:
    more = [*PLAN, "--out", "out"] if command == "plan" else []
    assert_refused(cli(command, tmp_path / "nowhere", *more), "nowhere", folder=tmp_path)


def test_an_empty_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(cli("plan", "empty", *PLAN, "--out", "out"), "empty", folder=tmp_path)


def test_a_folder_with_other_files(cli: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("not an image")
    (other / "zeros.dcm").write_bytes(bytes(2000))
    assert_refused(cli("plan", "other", *PLAN, "--out", "out"), folder=tmp_path)


@pytest.mark.parametrize("name", ["trunk.mha", "trunk.nii.gz", "trunk.nrrd", "trunk.dcm"])
def test_a_file_that_is_noise_or_cut_off(cli: Cli, scene: Scene, tmp_path: Path, name: str) -> None:
    content = scene.image.read_bytes()
    keep = 3000 if name.endswith(".mha") else 0
    (tmp_path / name).write_bytes(content[:keep] or b"\x89garbage" * 100)
    assert_refused(cli("plan", name, *PLAN, "--out", "out"), name, folder=tmp_path)


@pytest.mark.parametrize(
    ("target", "says"),
    [("500,0,0", "outside"), ("-70,-58,0", ""), ("structure:spleen", "spleen")],
)
def test_a_target_where_no_tip_can_be(
    cli: Cli, scene: Scene, tmp_path: Path, target: str, says: str
) -> None:
    ran = cli(*scene.plan("--target", target, "--out", "out"))
    assert_refused(ran, says, folder=tmp_path)


def test_a_target_file_that_is_no_markups_file(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "t.mrk.json").write_text("{}")
    ran = cli(*scene.plan("--target", "t.mrk.json", "--out", "out"))
    assert_refused(ran, "t.mrk.json", folder=tmp_path)
    assert_refused(cli(*scene.plan("--target", "none.fcsv")), "none.fcsv")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--needle", "7G-90"], "7G"),
        (["--needle", "22G"], "GAUGE-LENGTH_MM"),
        (["--role", "nerve=avoidd"], "avoid"),
        (["--role", "nerve=avoid:thick"], "nerve"),
        (["--role", "nerve=avoid:-3"], "nerve"),
        (["--role", "nervv=avoid"], "nervv"),
        (["--config", "none.toml"], "none.toml"),
        (["--label-table", "NoSuchTool"], "NoSuchTool"),
        (["--forbid-entry", "spleen"], "spleen"),
    ],
)
def test_a_setting_that_names_nothing(
    cli: Cli, scene: Scene, tmp_path: Path, more: list[str], says: str
) -> None:
    assert_refused(cli(*scene.plan(*more, "--out", "out")), says, folder=tmp_path)


def test_a_series_that_does_not_exist(cli: Cli, sample_data: Path, tmp_path: Path) -> None:
    ran = cli("plan", sample_data / "plain" / "dicom", *PLAN, "--series", "99", "--out", "out")
    assert_refused(ran, "'99'", "--series", folder=tmp_path)


def test_a_dicom_file_that_is_cut_off(cli: Cli, sample_data: Path, tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    files = sorted((sample_data / "plain" / "dicom").rglob("*.dcm"))[:8]
    for file in files:
        content = file.read_bytes()
        (tmp_path / "dicom" / file.name).write_bytes(content[: len(content) // 2])
    assert_refused(cli("plan", "dicom", *PLAN, "--out", "out"), files[0].name, folder=tmp_path)


def test_a_procedure_that_does_not_exist(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    ran = cli("plan", scene.image, "--target", "1,2,3", "--procedure", "soft_biopsy")
    assert_refused(ran, "Did you mean 'soft_tissue_biopsy'?", folder=tmp_path)


def test_a_config_key_that_does_not_exist(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("neddle = '22G-90'\n")
    ran = cli(*scene.plan("--config", "mine.toml"))
    assert_refused(ran, "unknown key 'neddle'", "mine.toml", "Did you mean 'needle'?")


def test_a_mask_that_does_not_exist_or_is_noise(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    assert_refused(cli(*scene.plan("--structures", "none.nrrd")), "none.nrrd")
    (tmp_path / "noise.nrrd").write_bytes(b"NRRD0004\ntype: unsigned char\n\n" + bytes(50))
    ran = cli(*scene.plan("--structures", "noise.nrrd", "--out", "out"))
    assert_refused(ran, "noise.nrrd", folder=tmp_path)


def test_a_mask_that_lies_elsewhere(cli: Cli, scene: Scene, tmp_path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ones((5, 5, 5), np.uint8))
    image.SetOrigin((4000.0, 4000.0, 4000.0))
    sitk.WriteImage(image, str(tmp_path / "far.nrrd"))
    ran = cli(*scene.plan("--structures", "far.nrrd", "--role", "far=avoid", "--out", "out"))
    assert_refused(ran, "far", folder=tmp_path)


def test_an_out_folder_that_cannot_be_made_is_refused_before_anything_is_read(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in ("file", "file/out", "file/a/b"):
        # The image does not exist either: that would be said first if it were read first.
        ran = cli("plan", "nowhere", *PLAN, "--out", out)
        assert_refused(ran, "cannot be written", "file")
    assert (tmp_path / "file").read_text() == "in the way"
    assert_refused(cli("demo", "--out", "file/out"), "cannot be written")


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"schema": "needle-plan/99"}', "{" * 999])
def test_verify_refuses_what_is_no_plan(cli: Cli, tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    assert_refused(cli("verify", "plan.json"), "plan.json")
    assert_refused(cli("verify", "none.json"), "none.json")


def test_the_debug_variable_shows_the_traceback(cli: Cli) -> None:
    ran = cli("procedures", "nothing", env={"NEEDLE_PLANNER_DEBUG": "1"})
    assert ran.code == 3
    assert "Traceback" in ran.stderr
    assert ran.errors[0].startswith("error: there is no procedure 'nothing'")
