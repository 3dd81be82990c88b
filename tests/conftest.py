"""Fixtures shared by every test: real data, phantom, grids of every orientation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from planner.geometry import FrameId, Grid
from tests.grids import ORIENTED_AXES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real test data; the test skips where it is absent."""
    folder = Path(os.environ.get("NEEDLE_PLANNER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real test data not found (NEEDLE_PLANNER_DATA or {folder.name})")
    return folder


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder of the committed phantom."""
    return ROOT / "sample_data"


@pytest.fixture(params=sorted(ORIENTED_AXES))
def oriented_grid(request: pytest.FixtureRequest) -> Grid:
    """Axial, sagittal, coronal, oblique and flipped; anisotropic, non-cubic, off-centre."""
    return Grid.from_axes(
        (9, 14, 11),
        (4.0, 0.7, 0.5),
        (-31.5, 12.25, 107.0),
        ORIENTED_AXES[request.param],
        FrameId("1.2.3.4", "test"),
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)
