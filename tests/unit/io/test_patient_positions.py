"""Prone, decubitus and feet-first scans: letters, down and the world follow the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.geometry import FrameId, Grid, PatientPosition, Volume
from planner.geometry.frames import orientation_letters
from planner.io import inspect_path, load_volume
from planner.search.options import TableSide
from tests.dicom_writer import texture, write_series
from tests.patient_positions import LPS_FROM_SCANNER, reacquired

POSITIONS = sorted(LPS_FROM_SCANNER)

ON_THE_TABLE = {"S": "P", "P": "A", "DR": "R", "DL": "L"}
"""Supine lies on the back, prone on the front, decubitus on the side that is named."""

SCREEN = {
    # what a radiologist sees at the left edge and the top of an axial slice as scanned
    "HFS": ("R", "A"),
    "HFP": ("L", "P"),
    "HFDR": ("A", "L"),
    "HFDL": ("P", "R"),
    "FFS": ("L", "A"),
    "FFP": ("R", "P"),
    "FFDR": ("P", "L"),
    "FFDL": ("A", "R"),
}


def as_scanned(code: str) -> Volume:
    """Slices across the bore: rows to the right of an observer at its foot end, columns down."""
    scanner = np.stack([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]], axis=1)
    grid = Grid.from_axes(
        (5, 8, 6), (4.0, 0.7, 0.5), (-31.5, 12.25, 107.0), LPS_FROM_SCANNER[code] @ scanner,
        FrameId("1.2.3.4", "test"),
    )  # fmt: skip
    return Volume(grid=grid, values=texture(grid))


@pytest.mark.parametrize("code", POSITIONS)
def test_the_hand_made_axes_are_rotations(code: str) -> None:
    assert np.linalg.det(LPS_FROM_SCANNER[code]) == pytest.approx(1.0)


@pytest.mark.parametrize("code", POSITIONS)
def test_down_is_where_the_columns_of_an_axial_slice_point(tmp_path: Path, code: str) -> None:
    volume = as_scanned(code)
    write_series(
        tmp_path, volume.grid, volume.values,
        edit=lambda ds, k: setattr(ds, "PatientPosition", code),
    )  # fmt: skip
    loaded = load_volume(tmp_path)
    position = loaded.source.patient_position
    assert position == code
    _, column, row = loaded.grid.axes_lps_from_kji.T
    assert np.allclose(position.down_lps, column)
    assert np.allclose(TableSide.AUTO.down_lps(position), column)
    assert orientation_letters(position.down_lps) == ON_THE_TABLE[code[2:]]
    assert (orientation_letters(-row), orientation_letters(-column)) == SCREEN[code]


@pytest.mark.parametrize("after", POSITIONS)
@pytest.mark.parametrize("before", ["HFS", "FFP"])
def test_turning_the_patient_moves_no_voxel(tmp_path: Path, before: str, after: str) -> None:
    first = as_scanned(before)
    second = reacquired(first, before, after)
    assert np.allclose(second.grid.axes_lps_from_kji, as_scanned(after).grid.axes_lps_from_kji)
    write_series(
        tmp_path, second.grid, second.values,
        edit=lambda ds, k: setattr(ds, "PatientPosition", after),
    )  # fmt: skip
    loaded = load_volume(tmp_path)
    index = np.stack(np.meshgrid(*map(np.arange, first.grid.shape_kji), indexing="ij"), axis=-1)
    found = np.rint(loaded.grid.to_kji(first.grid.to_lps(index))).astype(int)
    assert np.allclose(loaded.grid.to_lps(found), first.grid.to_lps(index), atol=1e-6)
    assert np.array_equal(loaded.values[tuple(np.moveaxis(found, -1, 0))], first.values)


@pytest.mark.parametrize("code", ["", "LFS", "RFP", "AFDR", "AFDL", "PFDR", "hfs?", "SUPINE"])
def test_other_positions_have_no_down(code: str) -> None:
    position = PatientPosition.from_dicom(code)
    assert position is PatientPosition.UNKNOWN
    assert position.down_lps is None
    assert TableSide.AUTO.down_lps(position) is None
    assert TableSide.LEFT.down_lps(position) is not None  # the user may still say


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("HFP", "patient HFP (lies on the front)"),
        ("FFDL", "patient FFDL (lies on the left side)"),
        ("LFS", "patient position unknown"),
    ],
)
def test_inspect_says_which_side_is_on_the_table(tmp_path: Path, code: str, text: str) -> None:
    volume = as_scanned("HFS")
    write_series(tmp_path, volume.grid, edit=lambda ds, k: setattr(ds, "PatientPosition", code))
    assert text in inspect_path(tmp_path).to_text()
