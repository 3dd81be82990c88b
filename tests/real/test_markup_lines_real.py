"""Rulers and point pairs that 3D Slicer wrote itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import InputError, UnsupportedObjectError
from planner.io.markup_lines import read_lines

FOLDER = "slicer_markups_old"


def test_ruler_file_and_scene_agree(shared_data: Path) -> None:
    folder = shared_data / FOLDER / "AnnotationTest"
    (ruler,) = read_lines(folder / "M.acsv", "ras")
    in_scene = read_lines(folder / "AnnotationFiducialsTest.mrml", "ras")
    assert [line.name for line in in_scene] == ["M", "M_1"]
    assert ruler.entry_lps_mm.tolist() == in_scene[0].entry_lps_mm.tolist()
    assert ruler.entry_lps_mm.tolist() == [-173.431, -158.55, 0]
    assert ruler.tip_lps_mm.tolist() == in_scene[0].tip_lps_mm.tolist()
    assert ruler.tip_lps_mm.tolist() == [-172.89, -27.0563, 0]


@pytest.mark.parametrize("name", ["M.acsv", "M_1.acsv", "AnnotationFiducialsTest.mrml"])
def test_rulers_ask_for_their_frame(shared_data: Path, name: str) -> None:
    with pytest.raises(InputError, match="--frame ras"):
        read_lines(shared_data / FOLDER / "AnnotationTest" / name)


@pytest.mark.parametrize("name", ["R.acsv", "R_1.acsv", "R_2.acsv", "F.acsv"])
def test_regions_and_points_are_no_needles(shared_data: Path, name: str) -> None:
    with pytest.raises(UnsupportedObjectError, match="no ruler"):
        read_lines(shared_data / FOLDER / "AnnotationTest" / name, "ras")


def test_pair_of_fiducials_of_slicer_4(shared_data: Path) -> None:
    (line,) = read_lines(shared_data / FOLDER / "slicer4.4_L1.fcsv")
    assert line.entry_lps_mm.tolist() == [-43.3769, -23.1343, 0]
    assert line.tip_lps_mm.tolist() == [-49.8834, 4.33769, 0]


def test_a_list_of_56_points_is_no_line(shared_data: Path) -> None:
    with pytest.raises(InputError, match="56 placed points"):
        read_lines(shared_data / FOLDER / "slicer3_midsag.fcsv")
