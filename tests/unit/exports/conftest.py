"""A phantom's plan on disk, made once; each test may change its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.io.plan_file import plan_document
from tests.plan_factory import make_result

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
