"""3D Slicer markups: needles out, a target point in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planner.errors import InputError, OutputError, UnsupportedObjectError
from planner.io import markup_parsing, markups
from planner.io.markups import read_target_point, save_markups
from planner.io.plan_file import plan_document
from planner.model import PlanResult
from tests.slicer_python import slicer_python
from tests.unit.verify.phantom_plan import make_result


@pytest.fixture(scope="module")
def result() -> PlanResult:
    return make_result()


# --- writing -----------------------------------------------------------------------------------


def test_one_locked_line_per_path_in_lps(result: PlanResult, tmp_path: Path) -> None:
    data = json.loads(save_markups(result, tmp_path / "plan.mrk.json").read_text())
    assert "markups-schema-v1.0.3.json#" in data["@schema"]
    assert [m["name"] for m in data["markups"]] == [
        "1 phantom_injection caution",
        "2 phantom_injection caution",
        "UNVERIFIED 3 phantom_injection fail",
    ]
    for line, path in zip(data["markups"], result.trajectories, strict=True):
        assert line["type"] == "Line"
        assert line["coordinateSystem"] == "LPS"
        assert line["coordinateUnits"] == "mm"
        assert line["locked"] is True
        entry, tip = line["controlPoints"]
        assert (entry["label"], tip["label"]) == ("entry", "tip")
        assert entry["position"] == path.entry_lps_mm.tolist()
        assert tip["position"] == path.tip_lps_mm.tolist()
        assert entry["positionStatus"] == tip["positionStatus"] == "defined"
        text = tip["description"]
        assert "Research use only" in text
        assert f"{path.length_mm:.1f} mm from skin to tip" in text
        assert path.binding is not None
        assert f"tightest {path.binding.structure}: {path.binding.clearance_mm:.2f} mm" in text


def test_colours_tell_verdicts_apart(result: PlanResult, tmp_path: Path) -> None:
    data = json.loads(save_markups(result, tmp_path / "plan.mrk.json").read_text())
    caution, again, fail = (m["display"]["color"] for m in data["markups"])
    assert caution == again != fail


def test_plan_without_a_path_takes_the_lines_of_an_earlier_one_away(
    result: PlanResult, tmp_path: Path
) -> None:
    path = save_markups(result, tmp_path / "plan.mrk.json")
    save_markups(make_result(feasible=False), path)
    assert json.loads(path.read_text())["markups"] == []


def test_document_and_result_give_the_same_file(result: PlanResult, tmp_path: Path) -> None:
    one = save_markups(result, tmp_path / "a.mrk.json").read_bytes()
    assert save_markups(plan_document(result), tmp_path / "b.mrk.json").read_bytes() == one


def test_throw_is_told(tmp_path: Path) -> None:
    text = save_markups(make_result(throw_mm=2.0), tmp_path / "a.mrk.json").read_text()
    assert "fires 2 mm past the tip" in text


def test_missing_folder_is_told(result: PlanResult, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"):
        save_markups(result, tmp_path / "none" / "a.mrk.json")


def test_own_lines_are_read_back(result: PlanResult, tmp_path: Path) -> None:
    path = save_markups(result, tmp_path / "plan.mrk.json")
    point, label = read_target_point(f"{path}#2 phantom_injection caution/entry")
    assert label == "entry"
    assert point == pytest.approx(result.trajectories[1].entry_lps_mm)
    with pytest.raises(InputError, match="several points 'tip'"):
        read_target_point(f"{path}#tip")


def test_slicer_itself_reads_the_lines(result: PlanResult, tmp_path: Path) -> None:
    """3D Slicer's own code, where ``slicer-core`` is installed in an environment of its own."""
    python = slicer_python()
    path = save_markups(result, tmp_path / "plan.mrk.json")
    script = (
        "import slicer, json, sys\n"
        "s = slicer.vtkMRMLScene(); found = []\n"
        "s.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())\n"
        "st = s.AddNewNodeByClass('vtkMRMLMarkupsJsonStorageNode')\n"
        "for index in range(3):\n"
        "    n = st.AddNewMarkupsNodeFromFile(sys.argv[1], '', index)\n"
        "    p = [0, 0, 0]; q = [0, 0, 0]\n"
        "    n.GetNthControlPointPosition(0, p); n.GetNthControlPointPosition(1, q)\n"
        "    found.append([p, q, bool(n.GetLocked()), n.GetClassName(), n.GetName(),"
        " n.GetNthControlPointDescription(1)])\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [python, "-c", script, str(path)], capture_output=True, text=True, timeout=300, check=True
    )
    lines = json.loads(done.stdout.splitlines()[-1])
    ras = np.array([-1.0, -1.0, 1.0])
    for planned, line in zip(result.trajectories, lines, strict=True):
        entry_ras, tip_ras, locked, kind, name, description = line
        assert np.array(entry_ras) * ras == pytest.approx(planned.entry_lps_mm)
        assert np.array(tip_ras) * ras == pytest.approx(planned.tip_lps_mm)
        assert locked
        assert kind == "vtkMRMLMarkupsLineNode"
        assert name.endswith(f"{planned.rank} phantom_injection {planned.verdict}")
        assert "Research use only" in description


# --- reading .mrk.json -------------------------------------------------------------------------


def point(label: str, position: object, **more: object) -> dict[str, Any]:
    return {"id": "1", "label": label, "position": position, **more}


def markup(*points: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": list(points),
        **more,
    }


def write(path: Path, *found: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"@schema": markups.MARKUPS_SCHEMA, "markups": list(found)}))
    return path


@pytest.mark.parametrize(
    ("system", "expected"),
    [("LPS", [1.5, -2.0, 3.0]), ("RAS", [-1.5, 2.0, 3.0]), ("ras", [-1.5, 2.0, 3.0])],
)
def test_frame_is_the_one_the_file_states(
    tmp_path: Path, system: str, expected: list[float]
) -> None:
    path = write(
        tmp_path / "t.mrk.json", markup(point("F-1", [1.5, -2.0, 3.0]), coordinateSystem=system)
    )
    found = read_target_point(path)
    assert found.label == "F-1"
    assert found.point_lps_mm.tolist() == expected


def test_points_that_are_not_placed_are_passed_over(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.mrk.json",
        markup(
            point("F-1", None, positionStatus="undefined"),
            point("F-2", [1, 2, 3], positionStatus="defined"),
            point("F-3", [7, 8, 9], positionStatus="preview"),
        ),
    )
    assert read_target_point(path).label == "F-2"


def test_label_picks_one_of_several_points(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.mrk.json",
        markup(point("joint", [1, 2, 3]), point("nerve", [4, 5, 6])),
    )
    assert read_target_point(f"{path}#nerve").point_lps_mm.tolist() == [4, 5, 6]
    with pytest.raises(
        InputError, match=r"several points; seen: 2: 'joint', 'nerve'.*t.mrk.json#j"
    ):
        read_target_point(path)
    with pytest.raises(InputError, match="no point 'bone'; seen: 'joint', 'nerve'"):
        read_target_point(f"{path}#bone")


def test_same_label_in_two_markups_needs_the_markup_s_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.mrk.json",
        markup(point("tip", [1, 2, 3]), name="left"),
        markup(point("tip", [4, 5, 6]), name="right"),
    )
    with pytest.raises(InputError, match="several points 'tip'; seen: 'left/tip', 'right/tip'"):
        read_target_point(f"{path}#tip")
    assert read_target_point(f"{path}#right/tip").point_lps_mm.tolist() == [4, 5, 6]


def test_many_points_are_named_briefly(tmp_path: Path) -> None:
    path = write(tmp_path / "t.mrk.json", markup(*(point(f"F-{n}", [n, 0, 0]) for n in range(40))))
    with pytest.raises(InputError, match=r"'F-11' and 28 more"):
        read_target_point(path)


def test_hash_in_a_file_s_own_name_is_no_label(tmp_path: Path) -> None:
    path = write(tmp_path / "patient #3.mrk.json", markup(point("F-1", [1, 2, 3])))
    assert read_target_point(path).label == "F-1"
    assert read_target_point(f"{path}#F-1").label == "F-1"


def test_label_may_hold_a_hash_and_the_folder_too(tmp_path: Path) -> None:
    folder = tmp_path / "a.json#b"
    folder.mkdir()
    path = write(folder / "t.mrk.json", markup(point("F#1", [1, 2, 3]), point("x", [1, 2, 4])))
    assert read_target_point(f"{path}#F#1").point_lps_mm.tolist() == [1, 2, 3]


@pytest.mark.parametrize("missing", [{}, {"coordinateSystem": None}])
def test_file_without_a_frame_is_refused(tmp_path: Path, missing: dict[str, Any]) -> None:
    bare = {k: v for k, v in markup(point("F", [1, 2, 3])).items() if k != "coordinateSystem"}
    with pytest.raises(InputError, match="does not state its coordinate system.*mirror"):
        read_target_point(write(tmp_path / "t.mrk.json", {**bare, **missing}))


@pytest.mark.parametrize("system", ["IJK", "2", "scanner", ""])
def test_other_frames_are_refused(tmp_path: Path, system: str) -> None:
    path = write(tmp_path / "t.mrk.json", markup(point("F", [1, 2, 3]), coordinateSystem=system))
    with pytest.raises(InputError, match="unknown coordinate system"):
        read_target_point(path)


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ([1, 2], "three finite"),
        ([1, 2, 3, 4], "three finite"),
        ([1, 2, float("nan")], "three finite"),
        ([1, 2, "1e999"], "three finite"),
        (None, "three finite"),
        ("1 2 3", "three finite"),
        ([1, 2, "x"], "not a number"),
        ([1, 2, None], "not a number"),
        ([1, 2, [3]], "not a number"),
    ],
)
def test_unusable_positions_are_refused(tmp_path: Path, position: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_target_point(write(tmp_path / "t.mrk.json", markup(point("F", position))))


@pytest.mark.parametrize("unit", ["m", "um", ["cm"], 5])
def test_other_units_are_refused(tmp_path: Path, unit: object) -> None:
    path = write(tmp_path / "t.mrk.json", markup(point("F", [1, 2, 3]), coordinateUnits=unit))
    with pytest.raises(InputError, match="not in millimetres"):
        read_target_point(path)


def test_coded_millimetres_are_millimetres(tmp_path: Path) -> None:
    """Newer Slicer writes the unit as code, scheme and meaning."""
    unit = ["mm", "UCUM", "millimeter"]
    path = write(tmp_path / "t.mrk.json", markup(point("F", [1, 2, 3]), coordinateUnits=unit))
    assert read_target_point(path).label == "F"


def test_regions_and_planes_hold_no_target(tmp_path: Path) -> None:
    path = write(tmp_path / "t.mrk.json", markup(point("R", [1, 2, 3]), type="ROI"))
    with pytest.raises(UnsupportedObjectError, match="ROI.*Fiducial or Line"):
        read_target_point(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 200_000, "not valid JSON"),
        ("[]", "no 3D Slicer markups"),
        ('{"markups": 3}', "no 3D Slicer markups"),
        ('{"markups": [3]}', "no 3D Slicer markups"),
        ('{"markups": []}', "holds no point"),
        ('{"markups": [{"type": "Fiducial", "controlPoints": 3}]}', "no usable list"),
        ('{"markups": [{"type": "Fiducial", "controlPoints": [3]}]}', "no usable list"),
        ('{"markups": [{"type": "Fiducial"}]}', "holds no point"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "t.mrk.json"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_target_point(path)


# --- reading .fcsv -----------------------------------------------------------------------------

HEADER = "# Markups fiducial file version = {version}\n# CoordinateSystem = {system}\n"
COLUMNS = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
ROW = "vtkMRMLMarkupsFiducialNode_0,{xyz},0,0,0,1,1,1,0,{label},,\n"


def fcsv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("system", "sign"), [("LPS", 1), ("RAS", -1), ("0", -1), ("1", 1), ("ras", -1)]
)
def test_fcsv_frames_by_name_and_by_number(tmp_path: Path, system: str, sign: int) -> None:
    """Slicer 4.10 and older wrote 0 for RAS and 1 for LPS, newer ones the name."""
    text = HEADER.format(version="5.0", system=system) + COLUMNS
    text += ROW.format(xyz="10.5,-20,30", label="target")
    found = read_target_point(fcsv(tmp_path / "t.fcsv", text))
    assert found.label == "target"
    assert found.point_lps_mm.tolist() == [sign * 10.5, sign * -20, 30]


def test_fcsv_label_may_hold_a_comma(tmp_path: Path) -> None:
    text = HEADER.format(version="5.0", system="LPS") + COLUMNS
    text += ROW.format(xyz="1,2,3", label='"left, lower"') + ROW.format(xyz="4,5,6", label="b")
    path = fcsv(tmp_path / "t.fcsv", text)
    assert read_target_point(f"{path}#left, lower").point_lps_mm.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not start like a fiducial file"),
        ("x,y,z\n1,2,3\n", "does not start like a fiducial file"),
        ("# Markups fiducial file version = 5.0\n" + COLUMNS, "holds no point"),
        (HEADER.format(version="5", system="LPS") + "a,1,2,3\n", "does not name its columns"),
        (
            HEADER.format(version="5", system="LPS") + "# columns = id,label\na,b\n",
            "has no x, y, z",
        ),
        (
            "# Markups fiducial file version = 5.0\n"
            + COLUMNS
            + ROW.format(xyz="1,2,3", label="a"),
            "does not state its coordinate system",
        ),
        (
            HEADER.format(version="5", system="2") + COLUMNS + ROW.format(xyz="1,2,3", label="a"),
            "unknown coordinate system",
        ),
        (
            HEADER.format(version="5", system="LPS") + COLUMNS + "id,1,2\n",
            "not a number",
        ),
        (
            HEADER.format(version="5", system="LPS")
            + COLUMNS
            + ROW.format(xyz="1,2,nan", label="a"),
            "three finite",
        ),
        (
            "# Fiducial List file x\n# columns = label,x,y,z,sel,vis,more\na,1,2,3,1,1,1\n",
            "does not state its coordinate system",
        ),
    ],
)
def test_unusable_fcsv_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_target_point(fcsv(tmp_path / "t.fcsv", text))


# --- files -------------------------------------------------------------------------------------


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedObjectError, match=r"\.mrk\.json or \.fcsv"):
        read_target_point(fcsv(tmp_path / "t.acsv", "point|1|2|3|1|1"))
    with pytest.raises(InputError, match="not a text file"):
        path = tmp_path / "t.fcsv"
        path.write_bytes(b"\xff\xfe\xff")
        read_target_point(path)
    with pytest.raises(InputError, match="No such file"):
        read_target_point(tmp_path / "none.fcsv")


def test_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup_parsing, "MAX_MARKUPS_BYTES", 10)
    with pytest.raises(InputError, match="too large"):
        read_target_point(write(tmp_path / "t.mrk.json", markup(point("F", [1, 2, 3]))))
