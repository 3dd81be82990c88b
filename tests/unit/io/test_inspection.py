"""The `inspect` data: exact keys, JSON, text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.geometry import Grid
from planner.io import inspect_path
from tests.dicom_writer import SERIES_UID, write_series

KEYS = [
    "series_instance_uid", "series_number", "description", "modality", "part", "plannable",
    "reason", "shape_kji", "spacing_kji_mm", "lps_from_kji", "patient_position",
    "frame_of_reference_uid", "n_files", "mr", "warnings",
]  # fmt: skip
"""DESIGN.md, section 5."""


def test_json_has_exactly_the_agreed_keys(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid)
    (tmp_path / "note.txt").write_text("x" * 200)
    found = json.loads(json.dumps(inspect_path(tmp_path).to_json_dict(), allow_nan=False))
    assert list(found) == ["volumes", "skipped"]
    assert list(found["volumes"][0]) == KEYS
    assert found["skipped"] == [{"file": "note.txt", "reason": "not a DICOM file"}]


def test_values_of_a_plannable_volume(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid)
    (volume,) = inspect_path(tmp_path).to_json_dict()["volumes"]
    assert volume["series_instance_uid"] == SERIES_UID
    assert (volume["plannable"], volume["reason"], volume["part"]) == (True, None, None)
    assert volume["shape_kji"] == [9, 14, 11]
    assert volume["spacing_kji_mm"] == pytest.approx([4.0, 0.7, 0.5])
    assert volume["frame_of_reference_uid"] == "1.2.3.4"
    assert (volume["patient_position"], volume["n_files"]) == ("HFS", 9)


def test_reason_of_a_broken_volume(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path, oriented_grid, skip=(3,))
    (volume,) = inspect_path(tmp_path).to_json_dict()["volumes"]
    assert volume["plannable"] is False
    assert "1 slice missing" in volume["reason"]
    assert volume["lps_from_kji"] is None


def test_every_problem_is_in_the_reason(tmp_path: Path, oriented_grid: Grid) -> None:
    def edit(ds, k):
        ds.ImageType = ["DERIVED", "SECONDARY", "MIP"]
        ds.PhotometricInterpretation = "PALETTE COLOR"

    write_series(tmp_path, oriented_grid, edit=edit, skip=(3,))
    (volume,) = inspect_path(tmp_path).volumes
    for text in ("1 slice missing", "a colour image", "projection images"):
        assert text in (volume.reason or "")


def test_text_names_the_selector_and_the_reason(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path / "a", oriented_grid)
    write_series(
        tmp_path / "b", oriented_grid, skip=(3,),
        edit=lambda ds, k: (setattr(ds, "SeriesInstanceUID", "1.9"),
                            setattr(ds, "SeriesNumber", 7)),
    )  # fmt: skip
    text = inspect_path(tmp_path).to_text()
    assert text.startswith("2 volumes, 1 plannable\n")
    assert "--series '4'  MR 't2_tse': plannable" in text
    assert "9 x 14 x 11 voxels of 4.000 x 0.700 x 0.500 mm" in text
    assert "--series '7'  MR 't2_tse': NOT plannable" in text
    assert "why not: 1 slice missing" in text


def test_the_order_of_series_is_by_number(tmp_path: Path, oriented_grid: Grid) -> None:
    for number in (11, 2, 30):
        write_series(
            tmp_path / f"x{number}", oriented_grid,
            edit=lambda ds, k, n=number: (setattr(ds, "SeriesNumber", n),
                                          setattr(ds, "SeriesInstanceUID", f"1.{99 - n}")),
        )  # fmt: skip
    assert [v.series_number for v in inspect_path(tmp_path).volumes] == [2, 11, 30]


def test_a_single_file_is_inspected(tmp_path: Path, oriented_grid: Grid) -> None:
    files = write_series(tmp_path, oriented_grid)
    (volume,) = inspect_path(files[0]).volumes
    assert (volume.n_files, volume.plannable) == (1, False)


def test_folder_without_images_is_no_error_for_inspect(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    found = inspect_path(tmp_path)
    assert (found.volumes, found.n_plannable) == ((), 0)
    assert "a.txt: not a DICOM file" in found.to_text()


@pytest.mark.parametrize(("name", "text"), [("", "folder is empty"), ("no", "no file or folder")])
def test_nothing_to_inspect(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        inspect_path(tmp_path / name)


def test_patient_position_that_differs_is_unknown(tmp_path: Path, oriented_grid: Grid) -> None:
    def edit(ds, k):
        ds.PatientPosition = "HFS" if k else "FFS"

    write_series(tmp_path, oriented_grid, edit=edit)
    (volume,) = inspect_path(tmp_path).volumes
    assert volume.patient_position.value == "unknown"
    assert any("patient position differs" in w for w in volume.warnings)


def test_importing_the_reader_imports_nothing_heavy() -> None:
    code = (
        "import sys, planner.io, planner.io.volume_loader, planner.io.inspection;"
        "print(sorted({'pydicom', 'SimpleITK', 'nibabel', 'vtk'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_text_says_the_acquisition_in_words(tmp_path: Path, oriented_grid: Grid) -> None:
    def edit(ds, k):
        ds.MagneticFieldStrength, ds.PixelBandwidth, ds.EchoTime = 1.5, 200, 101.5
        ds.InPlanePhaseEncodingDirection = "COL"

    write_series(tmp_path, oriented_grid, edit=edit)
    expected = (
        "  field 1.5 T, bandwidth 200 Hz per pixel, echo time 101.5 ms, "
        "phase encoding along the columns\n"
    )
    assert expected in inspect_path(tmp_path).to_text()


def test_no_count_is_in_the_wrong_number(tmp_path: Path, oriented_grid: Grid) -> None:
    """One of everything that is counted."""
    write_series(tmp_path, oriented_grid, skip=(3,))
    (tmp_path / "note.txt").write_text("x" * 200)
    text = inspect_path(tmp_path).to_text()
    assert "1 slice missing" in text
    assert "skipped: 1 file\n" in text
    assert not re.search(r"\b1 (files|slices|images|volumes|gaps)\b", text)
