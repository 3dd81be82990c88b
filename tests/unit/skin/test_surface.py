"""skin_entries on masks whose surface is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from planner.errors import ConfigError, GridMismatchError
from planner.geometry import FrameId, Grid, Mask
from planner.skin import skin_entries
from planner.skin.surface import INSET_MM
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import TRUNK, Cylinder, points_of, trunk_grid

EXTENTS = {
    "axial": (100.0, 250.0, 360.0),
    "flipped": (100.0, 250.0, 360.0),
    "sagittal": (360.0, 100.0, 250.0),
    "coronal": (250.0, 100.0, 360.0),
    "oblique": (140.0, 300.0, 380.0),
    "oblique_flipped": (300.0, 150.0, 380.0),
}


def cylinder_mask(grid: Grid, body: Cylinder = TRUNK) -> Mask:
    return Mask(grid=grid, inside=body.distance_mm(points_of(grid)) < 0)


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
@pytest.mark.parametrize("spacing", [(4.0, 1.7, 1.7), (1.8, 1.5, 1.5), (4.0, 0.9, 0.9)])
def test_normals_point_out_of_the_analytic_surface(
    name: str, spacing: tuple[float, float, float]
) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], spacing, tuple(0.5 * e for e in EXTENTS[name]))
    body = Cylinder(half_axes_mm=(70.0, 45.0))
    entries = skin_entries(cylinder_mask(grid, body))
    cosine = np.sum(entries.outward_normal_lps * body.normal(entries.entry_lps_mm), axis=1)
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    # Slices of 4 mm across the surface leave terraces as wide as the smoothing.
    limit_deg = 4.0 if name in ("axial", "flipped") or spacing[0] < 2 else 15.0
    assert np.percentile(angle_deg, 95) < limit_deg
    assert np.percentile(angle_deg, 99) < 1.5 * limit_deg
    np.testing.assert_allclose(np.linalg.norm(entries.outward_normal_lps, axis=1), 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
def test_every_entry_lies_in_its_surface_voxel_once(name: str) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], extent_kji_mm=EXTENTS[name])
    mask = cylinder_mask(grid)
    entries = skin_entries(mask)
    assert len(entries) > 1000
    assert mask.contains(entries.entry_lps_mm).all()
    assert np.array_equal(np.floor(grid.to_kji(entries.entry_lps_mm) + 0.5), entries.voxel_kji)
    assert len(np.unique(entries.voxel_kji, axis=0)) == len(entries)
    # Just outside the face is air.
    step = np.abs(grid.to_kji(entries.entry_lps_mm) - entries.voxel_kji)
    face = np.argmax(step * grid.spacing_kji_mm / (grid.spacing_kji_mm / 2), axis=1)
    rows = np.arange(len(entries))
    sign = np.sign((grid.to_kji(entries.entry_lps_mm) - entries.voxel_kji)[rows, face])
    beyond = entries.voxel_kji.copy()
    beyond[rows, face] += sign.astype(int)
    assert not mask.inside[tuple(beyond.T)].any()
    out = entries.entry_lps_mm + entries.outward_normal_lps * 3 * INSET_MM
    assert np.mean(mask.contains(out)) < 0.5


def test_every_exposed_voxel_is_an_entry_by_default() -> None:
    grid = trunk_grid()
    mask = cylinder_mask(grid)
    entries = skin_entries(mask)
    inside = np.pad(mask.inside, 1, constant_values=True)  # a volume face never counts
    exposed = np.zeros_like(inside)
    for axis in range(3):
        for step in (-1, 1):
            exposed |= inside & ~np.roll(inside, step, axis)
    expected = np.argwhere(exposed[1:-1, 1:-1, 1:-1])
    assert np.array_equal(entries.voxel_kji, expected)  # and in (k, j, i) order


def test_normals_at_a_cut_slice_do_not_tilt_out_of_it() -> None:
    entries = skin_entries(cylinder_mask(trunk_grid()))
    last = np.isin(entries.voxel_kji[:, 0], [0, 24])
    assert last.sum() > 100
    assert np.abs(entries.outward_normal_lps[last, 2]).max() < 0.02


def test_a_volume_face_is_never_skin() -> None:
    grid = trunk_grid(extent_kji_mm=(100.0, 250.0, 200.0), centre_lps_mm=(0.0, 0.0, 40.0))
    entries = skin_entries(cylinder_mask(grid))
    assert len(entries) > 500
    assert np.abs(entries.outward_normal_lps[:, 0]).max() < 0.7  # both sides are cut
    full = Mask(grid=grid, inside=np.ones(grid.shape_kji, dtype=bool))
    assert len(skin_entries(full)) == 0
    empty = Mask(grid=grid, inside=np.zeros(grid.shape_kji, dtype=bool))
    assert len(skin_entries(empty)) == 0


def test_holes_in_the_mask_give_no_entries_even_where_a_cut_slice_opens_them() -> None:
    grid = trunk_grid()
    solid = cylinder_mask(grid)
    hollow = solid.inside & (Cylinder((30.0, 20.0), (40.0, 30.0)).distance_mm(points_of(grid)) > 0)
    expected = skin_entries(solid)
    found = skin_entries(Mask(grid=grid, inside=hollow))
    assert np.array_equal(found.voxel_kji, expected.voxel_kji)


@pytest.mark.parametrize(("width_mm", "is_reached"), [(3.4, False), (12.0, True)])
def test_the_depth_of_a_narrow_cleft_is_no_entry(width_mm: float, is_reached: bool) -> None:
    grid = trunk_grid(spacing_kji_mm=(4.0, 1.7, 1.7))
    at = points_of(grid)
    cleft = (np.abs(at[..., 0] - 0.4) < width_mm / 2) & (at[..., 1] > 55.0)
    mask = Mask(grid=grid, inside=(TRUNK.distance_mm(at) < 0) & ~cleft)
    entries = skin_entries(mask)
    deep = TRUNK.distance_mm(entries.entry_lps_mm) < -10.0
    assert deep.any() == is_reached
    beside = np.abs(entries.entry_lps_mm[:, 0]) > 20.0
    assert np.count_nonzero(beside) > 1000


def test_an_imaged_region_makes_cuts_of_what_lies_beyond() -> None:
    grid = trunk_grid()
    at = points_of(grid)
    seen = at[..., 1] < 40.0
    mask = Mask(grid=grid, inside=(TRUNK.distance_mm(at) < 0) & seen)
    alone = skin_entries(mask)
    cut = skin_entries(mask, imaged=Mask(grid=grid, inside=seen))
    flat = alone.entry_lps_mm[:, 1] > 37.0
    assert np.mean(alone.outward_normal_lps[flat, 1] > 0.9) > 0.5
    assert not np.any(cut.outward_normal_lps[:, 1] > 0.9)
    assert 0 < len(cut) < len(alone)


def test_entries_within_reach_are_those_of_the_whole_surface() -> None:
    grid = trunk_grid(ORIENTED_AXES["oblique"], extent_kji_mm=EXTENTS["oblique"])
    mask = cylinder_mask(grid)
    everywhere = skin_entries(mask)
    centre = np.array([60.0, 30.0, 40.0])
    near = skin_entries(mask, within=(centre, 90.0))
    keep = np.linalg.norm(everywhere.entry_lps_mm - centre, axis=1) <= 90.0
    assert 0 < keep.sum() < len(everywhere)
    assert np.array_equal(near.voxel_kji, everywhere.voxel_kji[keep])
    np.testing.assert_allclose(near.entry_lps_mm, everywhere.entry_lps_mm[keep], atol=1e-9)
    np.testing.assert_allclose(
        near.outward_normal_lps, everywhere.outward_normal_lps[keep], atol=0.05
    )
    assert len(skin_entries(mask, within=((900.0, 0.0, 0.0), 50.0))) == 0


@pytest.mark.parametrize("spacing_mm", [3.0, 7.5, 25.0])
def test_thinned_entries_are_apart_and_leave_no_gap(spacing_mm: float) -> None:
    mask = cylinder_mask(trunk_grid())
    everywhere, thin = skin_entries(mask), skin_entries(mask, spacing_mm=spacing_mm)
    assert pdist(thin.entry_lps_mm).min() >= spacing_mm
    distance, _ = cKDTree(thin.entry_lps_mm).query(everywhere.entry_lps_mm)
    assert distance.max() < spacing_mm  # greedy: everything dropped is near something kept
    again = skin_entries(mask, spacing_mm=spacing_mm)
    assert np.array_equal(again.voxel_kji, thin.voxel_kji)
    assert np.array_equal(np.lexsort(thin.voxel_kji.T[::-1]), np.arange(len(thin)))


@pytest.mark.parametrize("flips", [(1, 0, 0), (0, 1, 1)])
def test_flipping_the_axes_gives_the_same_entries_in_the_world(flips: tuple[int, ...]) -> None:
    grid = trunk_grid()
    mask = cylinder_mask(grid)
    matrix, inside = np.array(grid.lps_from_kji), mask.inside
    for axis, flip in enumerate(flips):
        if flip:
            matrix[:3, 3] += matrix[:3, axis] * (inside.shape[axis] - 1)
            matrix[:3, axis] *= -1
            inside = np.flip(inside, axis)
    moved = Mask(
        grid=Grid(shape_kji=inside.shape, lps_from_kji=matrix, frame=FrameId("1", "t")),
        inside=inside,
    )
    first, second = skin_entries(mask), skin_entries(moved)
    distance, at = cKDTree(second.entry_lps_mm).query(first.entry_lps_mm)
    assert len(first) == len(second)
    assert np.mean(distance < 1e-6) > 0.98  # where two faces tie, either may be chosen
    same = distance < 1e-6
    cosine = np.sum(first.outward_normal_lps[same] * second.outward_normal_lps[at[same]], axis=1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 8.0


def test_arrays_are_read_only() -> None:
    entries = skin_entries(cylinder_mask(trunk_grid()))
    with pytest.raises(ValueError, match="read-only"):
        entries.entry_lps_mm[0] = 0.0


@pytest.mark.parametrize("spacing_mm", [0.0, -1.0, float("nan"), float("inf")])
def test_a_spacing_that_is_no_length_is_refused(spacing_mm: float) -> None:
    with pytest.raises(ConfigError, match="spacing of skin entries"):
        skin_entries(cylinder_mask(trunk_grid()), spacing_mm=spacing_mm)


@pytest.mark.parametrize(
    "within", [((0.0, 0.0), 10.0), ((0.0, 0.0, np.nan), 10.0), ((0.0, 0.0, 0.0), 0.0)]
)
def test_a_reach_that_is_none_is_refused(within: tuple) -> None:
    with pytest.raises(ConfigError, match="reach of skin entries"):
        skin_entries(cylinder_mask(trunk_grid()), within=within)


def test_an_imaged_region_on_another_grid_is_refused() -> None:
    mask = cylinder_mask(trunk_grid())
    other = cylinder_mask(trunk_grid(centre_lps_mm=(5.0, 0.0, 40.0)))
    with pytest.raises(GridMismatchError, match="imaged region"):
        skin_entries(mask, imaged=other)
