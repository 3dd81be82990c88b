"""The table and the sheet: both frames, words, and nothing that a name could smuggle in."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import OutputError
from planner.exports.plan_to_export import plan_to_export
from planner.exports.sheet import sheet_html, spoken, write_sheet
from planner.exports.table import write_csv
from planner.io.plan_document import SusceptibilityRecord
from planner.io.plan_file import plan_document
from tests.metal_plan import metal_plan
from tests.plan_changes import agree
from tests.plan_factory import make_result


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((12.34, 4.0, -205.06), "12.3 left, 4.0 posterior, 205.1 inferior"),
        ((-12.34, -4.0, 205.06), "12.3 right, 4.0 anterior, 205.1 superior"),
        ((0.0, -0.04, 0.05), "0, 0, 0.1 superior"),
    ],
)
def test_said_out_loud(point: tuple[float, float, float], words: str) -> None:
    assert spoken(point) == words


@given(point=st.tuples(*[st.floats(-500, 500)] * 3))
def test_what_is_said_is_what_is_meant(point: tuple[float, float, float]) -> None:
    sign = {"left": 1, "right": -1, "posterior": 1, "anterior": -1, "superior": 1, "inferior": -1}
    for value, part in zip(point, spoken(point).split(", "), strict=True):
        number, _, word = part.partition(" ")
        assert sign.get(word, 0) * float(number) == pytest.approx(value, abs=0.0501)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_no_minus_zero(write_plan: Any, tmp_path: Path) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan["target"]["point_lps_mm"] = [0.0, -0.00001, 5.0]
        agree(plan)

    plan = plan_to_export(write_plan(change))
    row = read(write_csv(plan, tmp_path / "t.csv")[0])[0]
    assert [row[f"target_ras_{axis}_mm"] for axis in "xyz"] == ["0.0", "0.0", "5.0"]
    assert "-0.0" not in re.sub(r"-0\.0\d*[1-9]", "", sheet_html(plan))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " ="])
def test_no_cell_is_a_formula(write_plan: Any, tmp_path: Path, start: str) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan["needle"]["name"] = f"{start}cmd"
        plan["frame"]["frame_of_reference_uid"] = f"{start}1.2"
        plan["image"]["series_instance_uid"] = f"{start}1.3"
        plan["trajectories"][0]["clearances"][0].update(structure=f"{start}x", clearance_mm=-1.0)
        agree(plan)

    row = read(write_csv(plan_to_export(write_plan(change)), tmp_path / "t.csv")[0])[0]
    names = ("needle", "least_clearance_structure", "frame_of_reference_uid",
             "series_instance_uid")  # fmt: skip
    for name in names:
        assert row[name].startswith("'"), name


def test_no_name_becomes_markup(write_plan: Any) -> None:
    hostile = '<img src=x onerror=alert(1)>"&'

    def change(plan: dict[str, Any]) -> None:
        path = plan["trajectories"][0]
        path["words"] = hostile
        path["clearances"][0]["structure"] = hostile
        path["clearances"][0]["clearance_mm"] = -50.0
        agree(plan)
        plan["procedure"]["title"] = plan["needle"]["name"] = hostile

    page = sheet_html(plan_to_export(write_plan(change)))
    assert "<img" not in page
    assert html.unescape(page).count(hostile) >= 4


def test_the_tightest_structure_is_shown_first(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        found = plan["trajectories"][0]["clearances"]
        found[-1].update(structure="tight", clearance_mm=30.0, required_mm=29.9)
        agree(plan)

    page = sheet_html(plan_to_export(write_plan(change), ranks=(1,)))
    first = re.search(r"required, mm</th></tr><tr><td>(.*?)</td>", page)
    assert first and first[1] == "tight"


def test_unverified_stands_in_both(write_plan: Any, tmp_path: Path) -> None:
    plan = plan_to_export(
        write_plan(lambda plan: plan.update(verdict="unknown")), even_if_unknown=True
    )
    assert read(write_csv(plan, tmp_path / "t.csv")[0])[0]["name"] == "UNVERIFIED path 1"
    page = sheet_html(plan)
    assert '<p class="unverified"><b>UNVERIFIED</b>' in page
    assert "UNVERIFIED path 1: verdict pass" in page


def test_the_sheet_names_what_is_no_pass_and_why(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        finding = plan["trajectories"][0]["findings"][0]
        finding.update(verdict="unknown", measured=None, note="the <mask> does not cover it")

    plan = plan_to_export(write_plan(change), ranks=(1,), even_if_unknown=True)
    page = sheet_html(plan)
    assert "<b>UNKNOWN</b> clearance" in page and "the &lt;mask&gt; does not cover it" in page
    assert "Not a pass" not in sheet_html(plan_to_export(write_plan(all_pass), ranks=(1,)))


def test_the_sheet_says_what_was_not_checked_and_where_the_target_is(write_plan: Any) -> None:
    def change(plan: dict[str, Any]) -> None:
        plan["target"]["name"] = "left <root>"
        plan["warnings"] = [{"code": "skin", "message": "look at the <skin>"}]

    plan = plan_to_export(write_plan(change))
    page = sheet_html(plan)
    first = page.index("<section>")
    assert "<b>NOT checked (" in page[:first] and "<li>" in page[:first]
    assert "<b>Warnings (1):</b>" in page[:first]
    assert "look at the &lt;skin&gt;" in page[:first]
    lps = ", ".join(f"{v:.1f}" for v in plan.document.target.point_lps_mm)
    assert f"<b>Target</b> left &lt;root&gt;: LPS {lps} mm" in page[:first]
    assert f'content: "plan {plan.sha256[:12]}"' in page[:first]


def test_the_sheet_tells_the_shift_of_the_target_beside_metal(tmp_path: Path) -> None:
    known = plan_document(metal_plan(top=1))
    beside = known.trajectories[0].susceptibility
    assert isinstance(beside, SusceptibilityRecord)
    for plan, told in (
        (known, f"image may show it up to {beside.target_shift.total_mm:.2f} mm off"),
        (plan_document(make_result("oblique")), "NOT KNOWN"),
    ):
        file = tmp_path / "plan.json"
        file.write_text(plan.to_json(), encoding="utf-8")
        page = sheet_html(plan_to_export(file, even_if_unknown=True))
        assert re.search(f"<b>Target beside metal</b>: .*{re.escape(told)}", page)


def all_pass(plan: dict[str, Any]) -> None:
    for finding in plan["trajectories"][0]["findings"]:
        finding["verdict"] = "pass"


@pytest.mark.parametrize("write", [write_csv, write_sheet])
def test_a_folder_that_is_not_there(write_plan: Any, tmp_path: Path, write: Any) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        write(plan_to_export(write_plan()), tmp_path / "no" / "file")
