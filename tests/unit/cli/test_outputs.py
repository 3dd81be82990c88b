from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from planner.cli.outputs import OutputFolder
from planner.errors import OutputError


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_nothing_is_there_before_the_commit_and_everything_after(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "a" / "out") as out:
        (out.staging / "plan.json").write_text("{}")
        (out.staging / "figures").mkdir()
        (out.staging / "figures" / "1.png").write_text("x")
        assert not (tmp_path / "a").exists()
        moved = out.commit()
    assert tree(tmp_path) == [
        "a",
        "a/out",
        "a/out/figures",
        "a/out/figures/1.png",
        "a/out/plan.json",
    ]
    assert [p.name for p in moved] == ["1.png", "plan.json"]


def test_leaving_without_a_commit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), OutputFolder(tmp_path / "a" / "out") as out:
        (out.staging / "plan.json").write_text("{}")
        raise KeyError
    assert tree(tmp_path) == []


def test_an_existing_folder_keeps_other_files_and_loses_stale_ones(tmp_path: Path) -> None:
    figures = tmp_path / "out" / "figures"
    figures.mkdir(parents=True)
    for name in ("1.png", "2.png", "notes.txt"):
        (figures / name).write_text("old")
    (tmp_path / "out" / "plan.json").write_text("old")
    (tmp_path / "out" / "target_region.seg.nrrd").write_text("of another target")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with OutputFolder(tmp_path / "out") as out:
        (out.staging / "plan.json").write_text("new")
        (out.staging / "figures").mkdir()
        (out.staging / "figures" / "1.png").write_text("new")
        out.commit()
    assert tree(tmp_path) == [
        "out", "out/figures", "out/figures/1.png", "out/figures/notes.txt", "out/mine.txt",
        "out/plan.json",
    ]  # fmt: skip
    assert (figures / "1.png").read_text() == "new"
    assert (tmp_path / "out" / "plan.json").read_text() == "new"


def test_a_folder_that_holds_no_plan_loses_no_picture(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "holiday.png").write_text("mine")
    with OutputFolder(tmp_path) as out:
        (out.staging / "plan.json").write_text("new")
        out.commit()
    assert (tmp_path / "figures" / "holiday.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["file", "file/out", "file/a/b"])
def test_a_file_in_the_way_is_refused_on_entering(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(OutputError, match=r"cannot be written.*not a folder"),
        OutputFolder(tmp_path / name),
    ):
        raise AssertionError("the block must not be entered")
    assert tree(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_on_entering(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="cannot be written"), OutputFolder(tmp_path / "out"):
        raise AssertionError("the block must not be entered")


def test_a_result_that_cannot_take_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out" / "report.md").mkdir(parents=True)
    (tmp_path / "out" / "report.md" / "x").write_text("in the way")
    with OutputFolder(tmp_path / "out") as out:
        (out.staging / "report.md").write_text("new")
        (out.staging / "plan.json").write_text("new")
        with pytest.raises(OutputError, match="cannot be written"):
            out.commit()
    # plan.json comes last: without it the folder is visibly incomplete
    assert not (tmp_path / "out" / "plan.json").exists()
    assert not list(tmp_path.glob(".needle-planner-*"))
