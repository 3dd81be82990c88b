"""The files that write_figures leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.image
import pytest

from planner.errors import OutputError, PlannerWarning
from planner.report import skin_view, write_figures


@pytest.fixture
def no_opengl(monkeypatch, tmp_path):
    """A renderer that dies, as on a machine without OpenGL libraries."""
    dying = tmp_path / "dying.py"
    dying.write_text("raise SystemExit(139)\n")
    monkeypatch.setattr(skin_view._offscreen, "__file__", str(dying))


def test_panels_of_the_top_paths_and_both_skins(plan_result, tmp_path):
    steps = []
    try:
        written = write_figures(
            plan_result, tmp_path / "new" / "figures", top=2, progress=lambda *s: steps.append(s)
        )
    except PlannerWarning as warning:  # pytest turns warnings into errors
        pytest.skip(str(warning))
    names = ["path_01.png", "path_02.png", "skin_clearance.png", "skin_rejection.png"]
    assert [path.name for path in written] == names
    assert sorted(p.name for p in (tmp_path / "new" / "figures").iterdir()) == names
    sizes = [matplotlib.image.imread(path).shape[:2] for path in written]
    assert sizes == [(1400, 1600)] * 2 + [(1200, 1600)] * 2
    fractions = [fraction for _, fraction in steps]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0


@pytest.mark.usefixtures("no_opengl")
def test_without_opengl_the_panels_are_still_written(plan_result, tmp_path):
    with pytest.warns(PlannerWarning, match="libegl1"):
        written = write_figures(plan_result, tmp_path, top=1)
    assert [path.name for path in written] == ["path_01.png"]


@pytest.mark.usefixtures("no_opengl")
def test_same_plan_same_bytes(plan_result, tmp_path):
    for folder in ("one", "two"):
        with pytest.warns(PlannerWarning):
            write_figures(plan_result, tmp_path / folder, top=1)
    one, two = ((tmp_path / f / "path_01.png").read_bytes() for f in ("one", "two"))
    assert one == two


@pytest.mark.usefixtures("no_opengl")
def test_a_plan_without_path_has_no_panel(hopeless_result, tmp_path):
    with pytest.warns(PlannerWarning):
        assert write_figures(hopeless_result, tmp_path, top=5) == []


def test_folder_that_cannot_be_made_is_refused(plan_result, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="folder for the figures cannot be made"):
        write_figures(plan_result, tmp_path / "file" / "figures", top=1)


def test_pyplot_is_not_used(plan_result):
    """Its global figures would leak into notebooks."""
    for name in ("panel", "panel_view", "panel_marks", "skin_view", "skin_figure", "files"):
        module = sys.modules[f"planner.report.{name}"]
        assert not hasattr(module, "plt")
        assert "pyplot" not in Path(module.__file__).read_text(encoding="utf-8").split('"""', 2)[2]
