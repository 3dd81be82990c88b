"""Fat as dark as air: the skin lies too deep, and that is told."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Grid
from planner.skin import find_body
from planner.skin.dark_layer import dark_layer_mm
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import (
    TRUNK,
    Cylinder,
    cover,
    mr_signal,
    mr_volume,
    points_of,
    rician,
    trunk_grid,
)

TOLD = "brighter than air"
EXTENTS = {
    "axial": (60.0, 280.0, 400.0),
    "sagittal": (400.0, 60.0, 280.0),
    "oblique": (140.0, 300.0, 400.0),
}


def suppressed(points: np.ndarray, fat: float, muscle: Cylinder) -> np.ndarray:
    """A trunk whose fat, around the muscle, has little signal."""
    return fat * cover(TRUNK, points, 1.7) + (350.0 - fat) * cover(muscle, points, 1.7)


@pytest.mark.parametrize("name", sorted(EXTENTS))
@pytest.mark.parametrize("fat", [10.0, 20.0, 35.0])
def test_suppressed_fat_that_is_taken_for_air_is_told(name: str, fat: float) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], (4.0, 1.7, 1.7), EXTENTS[name])
    values = rician(suppressed(points_of(grid), fat, TRUNK.shrunk(22.0)), 6.0)
    found = find_body(mr_volume(grid, values))
    inside = TRUNK.shrunk(4.0).distance_mm(points_of(grid)) < 0
    assert not found.mask.inside[inside].all(), "the skin is too deep here"
    assert any(TOLD in text for text in found.warnings)


def test_fat_of_uneven_thickness_is_told() -> None:
    grid = trunk_grid(None, (4.0, 1.7, 1.7), EXTENTS["axial"])
    muscle = Cylinder((0.0, -8.0), (128.0, 65.0))  # 14 mm in front, 30 mm behind
    found = find_body(mr_volume(grid, rician(suppressed(points_of(grid), 20.0, muscle), 6.0)))
    assert any(TOLD in text for text in found.warnings)


@pytest.mark.parametrize("sigma", [3.0, 12.0, 40.0])
def test_bright_fat_is_not_told(sigma: float) -> None:
    grid = trunk_grid(None, (4.0, 1.7, 1.7), EXTENTS["axial"])
    found = find_body(mr_volume(grid, rician(mr_signal(points_of(grid)), sigma)))
    assert not any(TOLD in text for text in found.warnings)


def test_ghosts_that_fade_are_not_told() -> None:
    grid = trunk_grid(None, (4.0, 1.7, 1.7), EXTENTS["axial"])
    at = points_of(grid)
    haze = 40.0 * np.exp(-np.maximum(TRUNK.distance_mm(at), 0.0) / 12.0)
    found = find_body(mr_volume(grid, rician(mr_signal(at) + haze, 8.0)))
    assert not any(TOLD in text for text in found.warnings)


# ---------------------------------------------------------------- the measure itself


def around(grid: Grid, layer_mm: float, *, share: float = 1.0) -> float:
    """The layer found before a disc, where a share of the directions has one of that thickness."""
    at = points_of(grid)
    body = Cylinder((0.0, 0.0), (60.0, 60.0))
    gap_mm = np.linalg.norm(at[..., :2], axis=-1) - 60.0
    turn = np.arctan2(at[..., 1], at[..., 0]) / (2 * np.pi) + 0.5
    has_layer = (gap_mm > 0) & (gap_mm < layer_mm) & (turn < share)
    image = np.where(body.distance_mm(at) < 0, 300.0, np.where(has_layer, 20.0, 8.0))
    known = np.ones(grid.shape_kji, dtype=bool)
    return dark_layer_mm(
        image.astype(np.float32), body.distance_mm(at) < 0, known, grid.spacing_kji_mm, (1, 2)
    )


@pytest.mark.parametrize(("layer_mm", "share"), [(14.0, 1.0), (22.0, 1.0), (22.0, 0.4)])
def test_the_layer_has_its_thickness(layer_mm: float, share: float) -> None:
    grid = trunk_grid(None, (5.0, 2.5, 2.5), (40.0, 260.0, 260.0), (0.0, 0.0, 0.0))
    assert around(grid, layer_mm, share=share) == pytest.approx(layer_mm, abs=3.0)


@pytest.mark.parametrize(("layer_mm", "share"), [(0.0, 1.0), (7.0, 1.0), (22.0, 0.1)])
def test_no_layer_or_a_thin_or_a_local_one_is_none(layer_mm: float, share: float) -> None:
    grid = trunk_grid(None, (5.0, 2.5, 2.5), (40.0, 260.0, 260.0), (0.0, 0.0, 0.0))
    assert around(grid, layer_mm, share=share) == 0.0


def test_nothing_known_is_no_layer() -> None:
    image = np.ones((4, 8, 8), dtype=np.float32)
    some = np.zeros(image.shape, dtype=bool)
    assert dark_layer_mm(image, some, some, np.ones(3), (1, 2)) == 0.0
