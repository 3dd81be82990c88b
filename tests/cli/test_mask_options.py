"""Options on how masks are read reach the reader from every command that reads a plan's masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import planner.io
from planner.errors import MaskError
from tests.cli.conftest import call_cli
from tests.dicom_plan import DicomPlan, dicom_plan

GIVEN = ["--label-names", "names.json", "--label-table", "TotalSegmentator/total",
         "--mesh-frame", "ras", "--seg-threshold", "0.3"]  # fmt: skip
COMMANDS = ("report", "compare", "slicer", "dicom-seg", "verify")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    return dicom_plan(tmp_path_factory.mktemp("planned"), top=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the reader of masks was asked; it reads none."""
    found: list[dict[str, Any]] = []

    def ask(files: list[Path], **options: Any) -> None:
        found.append({"files": [str(file) for file in files], **options})
        raise MaskError("no mask is read here")

    monkeypatch.setattr(planner.io, "load_structures", ask)
    return found


def arguments(planned: DicomPlan, command: str) -> list[object]:
    if command in ("report", "verify"):
        return [command, planned.file]
    if command == "compare":
        path = json.loads(planned.file.read_text())["trajectories"][0]
        ends = [",".join(map(str, path[key])) for key in ("entry_lps_mm", "tip_lps_mm")]
        return ["compare", planned.file, "--actual", *ends]
    return ["export", planned.file, "--to", command, "--out", "out"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_reaches_the_reader(
    planned: DicomPlan, asked: list[dict[str, Any]], tmp_path: Path, command: str
) -> None:
    (tmp_path / "names.json").write_text("{}")
    more = ["--image", planned.series, "--structures", "mask.nrrd"]
    ran = call_cli(tmp_path, *arguments(planned, command), *more, *GIVEN)
    assert ran.code == 3 and "no mask is read here" in ran.errors[0]
    (told,) = asked[-1:]
    assert told["files"] == ["mask.nrrd"]
    assert str(told["label_names"]) == "names.json"
    assert told["label_table"] == "TotalSegmentator/total"
    assert told["mesh_frame"] == "ras"
    assert told["fraction_threshold"] == 0.3


@pytest.mark.parametrize("command", COMMANDS)
def test_without_options_nothing_is_assumed(
    planned: DicomPlan, asked: list[dict[str, Any]], tmp_path: Path, command: str
) -> None:
    more = ["--image", planned.series, "--structures", "mask.nrrd"]
    call_cli(tmp_path, *arguments(planned, command), *more)
    keys = ("label_names", "label_table", "mesh_frame", "fraction_threshold")
    assert [asked[-1][key] for key in keys] == [None] * 4
