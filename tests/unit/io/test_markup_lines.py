"""Needles of other programs: which end, which frame, and files that hold none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, UnsupportedObjectError
from planner.io.markup_lines import read_lines

A, B = [10.5, -20.25, 30.0], [-4.0, 8.0, -61.5]
FLIP = np.array([-1.0, -1.0, 1.0])
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v{version}.json#"
)


def point(position: object, label: str = "", status: str = "defined") -> dict[str, Any]:
    return {"id": "1", "label": label, "position": position, "positionStatus": status}


def line(*points: dict[str, Any], system: str | None = "LPS", **more: Any) -> dict[str, Any]:
    found = {"type": "Line", "name": "needle", "controlPoints": list(points), **more}
    return found if system is None else {**found, "coordinateSystem": system}


def write(path: Path, *markups: dict[str, Any], version: str = "1.0.3") -> Path:
    path.write_text(
        json.dumps({"@schema": SCHEMA.format(version=version), "markups": list(markups)})
    )
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "needle.mrk.json"


# --- markups -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4"])
@pytest.mark.parametrize(("system", "flip"), [("LPS", FLIP**2), ("RAS", FLIP), ("0", FLIP)])
def test_a_line_of_every_schema_in_the_frame_it_states(
    file: Path, version: str, system: str, flip: np.ndarray
) -> None:
    (found,) = read_lines(write(file, line(point(A), point(B), system=system), version=version))
    np.testing.assert_array_equal(found.entry_lps_mm, A * flip)
    np.testing.assert_array_equal(found.tip_lps_mm, B * flip)
    assert found.name == "needle" and not found.is_labelled


@pytest.mark.parametrize(
    ("labels", "tip", "is_labelled"),
    [
        (("entry", "tip"), B, True),
        (("tip", "entry"), A, True),
        (("needle-target", "needle-skin"), A, True),
        (("F-1", "Target"), B, True),
        (("Tip", "F-2"), A, True),
        (("L-1", "L-2"), B, False),
        (("tip 1", "tip 2"), B, False),
        (("entry to tip", "x"), B, False),
        (("tipping", "subtarget"), B, False),
    ],
)
def test_labels_say_which_end_is_the_tip(
    file: Path, labels: tuple[str, str], tip: list[float], is_labelled: bool
) -> None:
    (found,) = read_lines(write(file, line(point(A, labels[0]), point(B, labels[1]))))
    assert found.tip_lps_mm.tolist() == tip
    assert found.is_labelled is is_labelled


def test_every_line_and_no_fiducial_beside_lines(file: Path) -> None:
    two = {**line(point(A), point(B)), "type": "Fiducial", "name": "marks"}
    write(file, line(point(A), point(B)), two, line(point(B), point(A), name="second"))
    assert [found.name for found in read_lines(file)] == ["needle", "second"]
    write(file, two)
    assert [found.name for found in read_lines(file)] == ["marks"]


def test_a_line_not_placed_yet_is_left_out(file: Path) -> None:
    unplaced = line(point([0, 0, 0], status="undefined"), point([0, 0, 0], status="preview"))
    assert len(read_lines(write(file, unplaced, line(point(A), point(B))))) == 1
    with pytest.raises(InputError, match="holds no line"):
        read_lines(write(file, unplaced))


@pytest.mark.parametrize("n", [1, 3])
def test_a_line_with_another_number_of_points_is_refused(file: Path, n: int) -> None:
    with pytest.raises(InputError, match=f"'needle' is no line; seen: {n} placed"):
        read_lines(write(file, line(*[point([1, 2, 3 + k]) for k in range(n)])))


def test_one_place_twice_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match="are one place"):
        read_lines(write(file, line(point(A), point(A))))


def test_a_file_that_states_no_frame_asks_for_it(file: Path) -> None:
    write(file, line(point(A), point(B), system=None))
    with pytest.raises(InputError, match="does not state its coordinate system.*--frame ras"):
        read_lines(file)
    assert read_lines(file, "lps")[0].tip_lps_mm.tolist() == B
    assert read_lines(file, "ras")[0].tip_lps_mm.tolist() == (B * FLIP).tolist()


def test_a_frame_against_the_file_s_is_refused(file: Path) -> None:
    write(file, line(point(A), point(B)))
    assert len(read_lines(file, "lps")) == 1
    with pytest.raises(InputError, match="another coordinate system.*LPS in the file, RAS given"):
        read_lines(file, "ras")


def test_an_unknown_frame_is_not_overruled(file: Path) -> None:
    with pytest.raises(InputError, match="unknown coordinate system"):
        read_lines(write(file, line(point(A), point(B), system="IJK")), "lps")


@pytest.mark.parametrize("kind", ["ROI", "Plane", "Curve", "Angle", None])
def test_other_markups_are_no_line(file: Path, kind: str | None) -> None:
    with pytest.raises(InputError, match="holds no line"):
        read_lines(write(file, {**line(point(A), point(B)), "type": kind}))


@pytest.mark.parametrize("bad", [[1, 2], [1, 2, float("nan")], [1, 2, "x"], None])
def test_unusable_coordinates_are_refused(file: Path, bad: object) -> None:
    with pytest.raises(InputError, match=r"three finite|not a number"):
        read_lines(write(file, line(point(A), point(bad))))


# --- fcsv --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "sign"), [("0", -1), ("RAS", -1), ("LPS", 1), ("1", 1)])
def test_two_points_of_a_fcsv(tmp_path: Path, system: str, sign: int) -> None:
    file = tmp_path / "n.fcsv"
    file.write_text(
        f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "a,1,2,3,0,0,0,1,1,1,0,tip,,\nb,4,5,66,0,0,0,1,1,1,0,entry,,\n"
    )
    (found,) = read_lines(file)
    assert found.tip_lps_mm.tolist() == [sign * 1, sign * 2, 3]
    assert found.name == "n"


# --- rulers ------------------------------------------------------------------------------------

RULER = """# Annotation file /x/M.acsv
# Name = M
# pointColumns = type|x|y|z|sel|vis
point|173.5|158.5|1|1|1
point|172.5|27|-2|1|1
# lineColumns = type|startPointID|endPointID|sel|vis
line|0|1|1|1
# rulerColumns = type|line1ID|sel|vis
ruler|0|0|1
"""


def test_a_ruler_asks_for_its_frame(tmp_path: Path) -> None:
    file = tmp_path / "M.acsv"
    file.write_text(RULER)
    with pytest.raises(InputError, match="does not state its coordinate system"):
        read_lines(file)
    (found,) = read_lines(file, "ras")
    assert found.entry_lps_mm.tolist() == [-173.5, -158.5, 1]
    assert found.tip_lps_mm.tolist() == [-172.5, -27, -2]
    assert found.name == "M"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RULER.replace("ruler|0|0|1\n", ""), "no ruler"),  # what a region looks like
        (RULER.replace("point|172.5|27|-2|1|1\n", ""), "1 placed points"),
        (RULER.replace("type|x|y|z", "type|y|x|z"), "does not name its columns"),
        (RULER.replace("|158.5|", "|nan|"), "three finite"),
        ("", "does not start like an annotation"),
    ],
)
def test_other_annotations_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "M.acsv"
    file.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_lines(file, "ras")


SCENE = (
    '<MRML><AnnotationRuler name="M" {more} ctrlPtsCoord="{points}"></AnnotationRuler>'
    '<AnnotationROI name="R" ctrlPtsCoord="1 2 3|4 5 6"></AnnotationROI></MRML>'
)


def test_the_rulers_of_a_scene(tmp_path: Path) -> None:
    file = tmp_path / "s.mrml"
    file.write_text(SCENE.format(more="", points="1 2 3|4 5 66"))
    (found,) = read_lines(file, "ras")
    assert found.entry_lps_mm.tolist() == [-1, -2, 3]
    assert found.tip_lps_mm.tolist() == [-4, -5, 66]


def test_an_old_view_of_the_scene_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "s.mrml"
    scene = SCENE.format(more="", points="1 2 3|4 5 66")
    old = scene.replace("1 2 3", "7 7 7").replace("<MRML>", "<SceneView>")
    file.write_text(scene.replace("</MRML>", old.replace("</MRML>", "</SceneView></MRML>")))
    (found,) = read_lines(file, "ras")
    assert found.entry_lps_mm.tolist() == [-1, -2, 3]


@pytest.mark.parametrize(
    "more", ['transformNodeRef="vtkMRMLLinearTransformNode1"', 'references="transform:a;"']
)
def test_a_ruler_under_a_transform_is_refused(tmp_path: Path, more: str) -> None:
    file = tmp_path / "s.mrml"
    file.write_text(SCENE.format(more=more, points="1 2 3|4 5 66"))
    with pytest.raises(UnsupportedObjectError, match="under a transform"):
        read_lines(file, "ras")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<MRML>", "not valid XML"),
        ("<MRML></MRML>", "holds no ruler"),
        (SCENE.format(more="", points="1 2 3"), "1 placed points"),
        (SCENE.format(more="", points="1 2|3 4"), "three finite"),
    ],
)
def test_unusable_scenes_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "s.mrml"
    file.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_lines(file, "ras")


# --- files -------------------------------------------------------------------------------------


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "needle.txt"
    file.write_text("1 2 3")
    with pytest.raises(UnsupportedObjectError, match=r"\.mrk\.json, \.fcsv"):
        read_lines(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "none.mrk.json")


@given(text=st.text(max_size=200), kind=st.sampled_from([".mrk.json", ".fcsv", ".acsv", ".mrml"]))
def test_no_text_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, kind: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzz{kind}"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(InputError):
        read_lines(file, "ras")
