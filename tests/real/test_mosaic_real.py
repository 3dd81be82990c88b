"""A real Siemens mosaic: its tiles lie where its protocol says the slices were."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from planner.io import inspect_path, load_volume
from tests.dcm2niix import converted

FOLDER = "dicom2nifti_multivendor/siemens/fmri/001"
N_SLICES = 50
PROTOCOL_TOL_MM = 0.001
"""The protocol writes ten digits, the step is a header value of its own."""


def _protocol_centres_lps_mm(file: Path) -> np.ndarray:
    """Read by a regular expression of our own from the raw bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = pydicom.dcmread(file)[0x00291020].value.decode("latin-1")
    found = np.zeros((N_SLICES, 3))
    for n, axis, value in re.findall(r"asSlice\[(\d+)\]\.sPosition\.d(\w+)\s*=\s*(\S+)", text):
        found[int(n), ("Sag", "Cor", "Tra").index(axis)] = float(value)
    return found


def test_tiles_lie_where_the_protocol_has_its_slices(shared_data: Path) -> None:
    """Numbered from head to foot: the first tile is the protocol's last slice."""
    folder = shared_data / FOLDER
    volume = load_volume(folder, series="15:acquisition 1")
    assert volume.values.shape == (N_SLICES, 80, 80)
    assert np.allclose(volume.grid.spacing_kji_mm, (3.08, 2.5, 2.5), atol=1e-4)
    centres = np.array([volume.grid.to_lps([k, 40, 40]) for k in range(N_SLICES)])
    expected = _protocol_centres_lps_mm(folder / "IM-0001-0001.dcm")
    assert np.abs(centres - expected).max() <= PROTOCOL_TOL_MM
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = pydicom.dcmread(folder / "IM-0001-0001.dcm").pixel_array
    # k ascends along row x column, from foot to head; tiles go the other way
    assert np.array_equal(volume.values[N_SLICES - 1], picture[:80, :80])
    assert np.array_equal(volume.values[N_SLICES - 2], picture[:80, 80:160])
    assert np.array_equal(volume.values[0], picture[480:560, 80:160])


def test_first_tile_agrees_with_dcm2niix(shared_data: Path) -> None:
    """Where the first tile lies; not which way the others go.

    The image header was stripped from these files. Then dcm2niix guesses 64 slices and
    stacks them towards the head, 194 mm past the protocol's last slice (it warns).
    """
    volume = load_volume(shared_data / FOLDER, series="15:acquisition 1")
    other = converted(shared_data / FOLDER)[0]
    assert other.values.shape == (80, 80, 64)
    first = volume.grid.to_lps([N_SLICES - 1, 0, 0])
    corner_index = np.linalg.inv(other.lps_from_index) @ [*first, 1]
    assert corner_index[:3] == pytest.approx([0, 79, 0], abs=0.004)


def test_without_frame_of_reference_it_is_read_with_a_warning(shared_data: Path) -> None:
    found = inspect_path(shared_data / FOLDER)
    assert [v.n_files for v in found.volumes] == [1, 1]
    assert all(v.plannable for v in found.volumes)
    assert all(any("no frame of reference" in w for w in v.warnings) for v in found.volumes)
