"""A phantom's plan on disk, made once; each test may change its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.exports.dicom_source import SourceImages
from planner.exports.plan_to_export import PlanToExport
from planner.io.plan_file import plan_document
from planner.model import Evidenced
from tests.dicom_plan import DicomPlan, dicom_plan
from tests.plan_factory import make_result
from tests.trunk import simple_protocol

Change = Callable[[dict[str, Any]], None]
WritePlan = Callable[..., Path]


@pytest.fixture(scope="session")
def phantom_plan() -> dict[str, Any]:
    """plan.json of an oblique, anisotropic phantom as plain JSON: read it, do not change it."""
    return plan_document(make_result("oblique")).to_json_dict()


@pytest.fixture
def write_plan(phantom_plan: dict[str, Any], tmp_path: Path) -> WritePlan:
    """Writes the phantom's plan, changed by a function, and gives its file."""

    def write(change: Change | None = None) -> Path:
        data = json.loads(json.dumps(phantom_plan))
        if change is not None:
            change(data)
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(data))
        return file

    return write


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    throw = Evidenced(value=9.0, evidence="E")
    return dicom_plan(tmp_path_factory.mktemp("planned"), protocol=simple_protocol(throw=throw))


@pytest.fixture(scope="session")
def opened(planned: DicomPlan) -> tuple[PlanToExport, SourceImages]:
    return planned.opened()


@pytest.fixture(scope="session")
def unverified(
    planned: DicomPlan, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PlanToExport, SourceImages]:
    """The same plan as if something were not known."""

    def change(data: dict) -> None:
        data["verdict"] = data["trajectories"][0]["verdict"] = "unknown"

    file = planned.changed(tmp_path_factory.mktemp("unverified") / "plan.json", change)
    return replace(planned, file=file).opened(even_if_unknown=True)
