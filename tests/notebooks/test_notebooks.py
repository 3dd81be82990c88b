"""The notebooks run from top to bottom on the sample data, and draw something."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
PUBLIC_HOMES = {"planner", "planner.anatomy", "planner.model", "planner.report"}
TOLD = {
    "plan_on_phantom": ("VERDICT: CAUTION", "None of", "VERIFIED", " ms;"),
    "injection": (
        "VERDICT: CAUTION",
        "joint_gap_mm",
        "tip_in_region",
        "mm longer would open a path",
        "FAIL\n- ",
        "no mask of class 'nerve'",
        "the labels do not carry this region",
        "VERIFIED",
        "needle_plan.mrk.json",
    ),
    "biopsy": (
        "pedicle_width_mm",
        "pedicle_wall   pass",
        "The pedicles of L4 are too narrow",
        "None of",
        "VERIFIED",
        "needle_plan_sheet.html",
    ),
    "ablation_access": (
        "cortex_angle     pass",
        "17G-150:steel",
        "readout",
        "mm between the shafts",
        "'thigh_posterior_compartment_left'",
        "VERIFIED",
        "needle_plan.mrk.json",
    ),
}
"""What each notebook must have said: a path, a NO with its reason, and that it was verified."""

TIMEOUT_S = 300


def test_there_is_a_notebook_and_no_committed_output():
    assert NOTEBOOKS
    assert not list((ROOT / "notebooks").glob("*.ipynb")), "outputs are not committed"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_a_notebook_calls_only_the_public_api(file: Path):
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
            assert not any(alias.name.startswith("_") for alias in node.names)
    assert {name for name in imported if name.split(".")[0] == "planner"} <= PUBLIC_HOMES
    assert not {name for name in imported if name.split(".")[0] == "tests"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_a_notebook_runs_and_draws(
    file: Path, tmp_path: Path, sample_data: Path, monkeypatch: pytest.MonkeyPatch
):
    jupytext = pytest.importorskip("jupytext")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    assert (sample_data / "plain" / "truth.json").is_file()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = jupytext.read(file)
    client = nbclient.NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert pictures, "no picture was drawn"
    assert all(len(o["data"]["image/png"]) > 10_000 for o in pictures)
    text = "".join(o.get("text", "") for o in outputs)
    for told in TOLD[file.stem]:
        assert told in text
