"""A small grid and something on it, for masks; modules about images have grids of their own."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import FrameId, Grid


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (6, 8, 7), (3.0, 1.0, 1.5), (-20.0, 35.0, 110.0), frame=FrameId("1.2", "")
    )


@pytest.fixture
def blob(grid: Grid) -> np.ndarray:
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[2:4, 3:6, 1:5] = 1
    return labels
