"""``plan --out`` writes the skin for 3D Slicer, and the export takes it along."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.cli.console import Console
from planner.cli.export import ExportRequest, run_export
from planner.cli.plan import write_results
from planner.cli.runner import ExitCode
from planner.model import PlanResult
from tests.plan_factory import make_result


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result("axial")


@pytest.mark.parametrize("figures", [True, False])
def test_the_skin_goes_with_its_plan(
    result: PlanResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: bool
) -> None:
    monkeypatch.setattr("planner.report.write_figures", lambda *_, **__: [])
    console = Console(quiet=True)
    write_results(console, result, tmp_path, figures=figures, top=1)
    assert (tmp_path / "skin_risk.vtp").exists() is figures
    request = ExportRequest(
        plan_file=tmp_path / "plan.json", formats=("slicer",), out=tmp_path / "out"
    )
    assert run_export(console, request, as_json=True) is ExitCode.OK
    written = {p.name for p in (tmp_path / "out" / "needle_plan_slicer").iterdir()}
    assert ("skin_risk.vtp" in written) is figures
    assert {"needle_paths.mrk.json", "needles.vtp"} <= written
