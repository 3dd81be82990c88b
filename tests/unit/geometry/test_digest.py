"""Fingerprints: the same for the same content, different for any change."""

from __future__ import annotations

import numpy as np

from planner.geometry import Grid, Mask, Volume
from planner.geometry.digest import mask_sha256, volume_sha256


def test_same_content_has_the_same_fingerprint_in_any_memory_layout(oriented_grid: Grid) -> None:
    values = np.arange(np.prod(oriented_grid.shape_kji), dtype=np.int16)
    values = values.reshape(oriented_grid.shape_kji)
    first = volume_sha256(Volume(grid=oriented_grid, values=values))
    assert len(first) == 64
    assert volume_sha256(Volume(grid=oriented_grid, values=np.asfortranarray(values))) == first
    assert volume_sha256(Volume(grid=oriented_grid, values=values.astype(">i2"))) == first


def test_any_change_changes_the_fingerprint(oriented_grid: Grid) -> None:
    values = np.zeros(oriented_grid.shape_kji, np.int16)
    first = volume_sha256(Volume(grid=oriented_grid, values=values))
    other = np.array(values)
    other[-1, -1, -1] = 1
    assert volume_sha256(Volume(grid=oriented_grid, values=other)) != first
    assert volume_sha256(Volume(grid=oriented_grid, values=values.astype(np.int32))) != first
    moved = np.array(oriented_grid.lps_from_kji)
    moved[0, 3] += 1e-9
    shifted = Grid(shape_kji=oriented_grid.shape_kji, lps_from_kji=moved, frame=oriented_grid.frame)
    assert volume_sha256(Volume(grid=shifted, values=values)) != first


def test_mask_fingerprint_sees_each_voxel_and_the_grid(
    oriented_grid: Grid, rng: np.random.Generator
) -> None:
    inside = rng.random(oriented_grid.shape_kji) < 0.3
    first = mask_sha256(Mask(grid=oriented_grid, inside=inside))
    assert mask_sha256(Mask(grid=oriented_grid, inside=np.asfortranarray(inside))) == first
    seen = {first}
    for flat in rng.choice(inside.size, 20, replace=False):
        other = np.array(inside)
        other.flat[flat] = not other.flat[flat]
        seen.add(mask_sha256(Mask(grid=oriented_grid, inside=other)))
    assert len(seen) == 21
    # Two shapes with the same bits are two masks.
    a, b = (
        Grid.from_axes((1, 2, 4), (1, 1, 1), (0, 0, 0)),
        Grid.from_axes((1, 4, 2), (1, 1, 1), (0, 0, 0)),
    )
    full = [mask_sha256(Mask(grid=g, inside=np.ones(g.shape_kji, bool))) for g in (a, b)]
    assert full[0] != full[1]


def test_negative_zero_in_the_matrix_is_zero() -> None:
    matrix = np.array(Grid.from_axes((2, 2, 2), (1, 1, 1), (0, 0, 0)).lps_from_kji)
    negative = matrix.copy()
    negative[matrix == 0] = -0.0
    negative[3] = matrix[3]
    grids = [
        Grid(
            shape_kji=(2, 2, 2),
            lps_from_kji=m,
            frame=Grid.from_axes((1, 1, 1), (1, 1, 1), (0, 0, 0)).frame,
        )
        for m in (matrix, negative)
    ]
    inside = np.ones((2, 2, 2), bool)
    assert len({mask_sha256(Mask(grid=g, inside=inside)) for g in grids}) == 1
