"""What ``export`` says was stored is what was written as DICOM, whatever the files are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli import export
from planner.cli.console import Console
from planner.exports import dicom
from tests.dicom_plan import DicomPlan, dicom_plan


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    return dicom_plan(tmp_path_factory.mktemp("planned"))


@pytest.mark.parametrize("out", ["report.dcm", "report.DCM", "folder", None])
def test_all_that_was_written_is_sent(
    planned: DicomPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str | None,
) -> None:
    sent: list[Path] = []

    def send(files: list[Path], archive: object) -> int:
        assert all(file.is_file() for file in files)
        sent.extend(files)
        return len(files)

    monkeypatch.setattr(dicom, "send_files", send)
    request = export.ExportRequest(
        plan_file=planned.file,
        formats=("dicom-sr",),
        out=None if out is None else tmp_path / out,
        image=planned.series,
        even_if_unknown=True,
        stow="http://user:secret@127.0.0.1:9/dicom-web",
    )
    export.run_export(Console(quiet=True), request, as_json=True)
    said = capsys.readouterr()
    (told,) = json.loads(said.out)["sent"]
    assert told == {"to": "http://127.0.0.1:9/dicom-web", "files": 1}
    assert len(sent) == 1
    assert "secret" not in said.out + said.err
    if out not in (None, "folder"):
        assert sent == [tmp_path / str(out)]
