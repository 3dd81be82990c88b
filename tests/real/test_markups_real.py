"""Point files written by 3D Slicer 3 and 4 themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import InputError, UnsupportedObjectError
from planner.io.markups import read_target_point


def test_slicer4_fcsv_is_ras(shared_data: Path) -> None:
    path = shared_data / "slicer_markups_old" / "slicer4.4_L1.fcsv"
    point, label = read_target_point(f"{path}#L1-P2")
    assert label == "L1-P2"
    assert point == pytest.approx([-49.8834, 4.33769, 0.0])
    with pytest.raises(InputError, match="several points; seen: 2: 'L1-P1', 'L1-P2'"):
        read_target_point(path)


def test_slicer3_fiducial_list_is_ras(shared_data: Path) -> None:
    path = shared_data / "slicer_markups_old" / "slicer3_midsag.fcsv"
    point, label = read_target_point(f"{path}#midsag5")
    assert label == "midsag5"
    assert point == pytest.approx([-9.5, 83.5, -22.5])
    with pytest.raises(InputError, match=r"several points; seen: \d+: .* more"):
        read_target_point(path)


def test_annotation_files_are_refused(shared_data: Path) -> None:
    with pytest.raises(UnsupportedObjectError, match=r"slicer4\.acsv.*\.mrk\.json or \.fcsv"):
        read_target_point(shared_data / "slicer_markups_old" / "slicer4.acsv")
