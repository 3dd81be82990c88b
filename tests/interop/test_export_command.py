"""``needle-planner export`` of DICOM, from the command line into a real Orthanc."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, call_cli
from tests.dicom_plan import DicomPlan, dicom_plan
from tests.interop.conftest import PASSWORD, USER, Orthanc, free_port


def export(planned: DicomPlan, folder: Path, *more: object, **options: dict[str, str]) -> Ran:
    return call_cli(
        folder, "export", planned.file, "--image", planned.series, "--json", *more, **options
    )


def test_written_and_stored_by_both_ways(
    planned: DicomPlan, tmp_path: Path, orthanc: Orthanc
) -> None:
    ran = export(planned, tmp_path, "--to", "dicom-sr", "--send", orthanc.node)
    assert ran.code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["written"] == []
    assert told["sent"] == [{"to": orthanc.node, "files": 1}]
    assert not list(tmp_path.iterdir())
    ran = export(
        planned,
        tmp_path,
        *("--to", "rtstruct", "--out", "o/", "--stow", orthanc.dicomweb, "--user", USER),
        env={"NEEDLE_PLANNER_DICOMWEB_PASSWORD": PASSWORD},
    )
    assert ran.code == 0, ran.stderr
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["needle_plan_rtstruct.dcm"]
    stored = [
        json.loads(orthanc.rest(f"/instances/{name}/simplified-tags"))
        for name in json.loads(orthanc.rest("/instances"))
    ]
    mine = [tags for tags in stored if "mr-needle-planner" in tags.get("Manufacturer", "")]
    assert {tags["Modality"] for tags in mine} >= {"SR", "RTSTRUCT"}


@pytest.mark.parametrize("way", ["--send", "--stow"])
def test_an_archive_that_is_not_there(planned: DicomPlan, tmp_path: Path, way: str) -> None:
    port = free_port()
    where = f"A@127.0.0.1:{port}" if way == "--send" else f"http://127.0.0.1:{port}/dicom-web"
    ran = export(planned, tmp_path, "--to", "rtstruct", way, where)
    assert ran.code == 3
    assert len(ran.errors) == 1
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_wrong_address_is_told_before_anything_is_written(
    planned: DicomPlan, tmp_path: Path
) -> None:
    ran = export(planned, tmp_path, "--to", "rtstruct", "--out", "o/", "--send", "nonsense")
    assert ran.code == 3
    assert not list(tmp_path.iterdir())


def test_the_images_of_another_study_are_refused(planned: DicomPlan, tmp_path: Path) -> None:
    other = dicom_plan(tmp_path / "other", "axial")
    ran = call_cli(
        tmp_path,
        *("export", planned.file, "--to", "dicom-sr", "--image", other.series, "--out", "o/"),
    )
    assert ran.code == 3
    assert "not those of the plan" in ran.errors[0]
    assert not (tmp_path / "o").exists()
