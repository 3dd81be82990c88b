"""find_body against bodies whose skin is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from planner.errors import MaskError
from planner.geometry import FrameId, Grid, ImageSource, Volume
from planner.skin import BodyMask, find_body, skin_entries
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import (
    LEFT_ARM,
    TOUCHING_ARM,
    TRUNK,
    Cylinder,
    cover,
    mr_signal,
    mr_volume,
    points_of,
    rician,
    trunk_grid,
)

SHARE = 0.99
"""Of the surface that must lie within one voxel of the truth."""

EXTENTS = {
    "axial": (100.0, 250.0, 360.0),
    "flipped": (100.0, 250.0, 360.0),
    "sagittal": (360.0, 100.0, 250.0),
    "coronal": (250.0, 100.0, 360.0),
    "oblique": (140.0, 300.0, 380.0),
    "oblique_flipped": (300.0, 150.0, 380.0),
}


def skin_gap_mm(found: BodyMask, truth: Cylinder) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each surface voxel's centre from the true skin, and a voxel's width there."""
    entries = skin_entries(found)
    grid = found.mask.grid
    centre_lps_mm = grid.to_lps(entries.voxel_kji)
    along = np.abs(truth.normal(centre_lps_mm) @ grid.axes_lps_from_kji)
    return truth.distance_mm(centre_lps_mm), along @ grid.spacing_kji_mm


def assert_skin_is_true(found: BodyMask, truth: Cylinder = TRUNK) -> None:
    gap_mm, voxel_mm = skin_gap_mm(found, truth)
    assert len(gap_mm) > 500
    assert np.mean(np.abs(gap_mm) <= voxel_mm) >= SHARE
    assert np.mean(gap_mm < -voxel_mm) <= 1 - SHARE  # understated depth is the worse error


def covered_share(found: BodyMask, truth: Cylinder, *, where: slice = slice(None)) -> float:
    """Share of the true skin in view that has an entry within a voxel's diagonal."""
    entries = skin_entries(found)
    grid = found.mask.grid
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)[where]
    middle = grid.centre_lps_mm[2]
    ring = np.stack(
        [
            truth.centre_lp_mm[0] + truth.half_axes_mm[0] * np.cos(angle),
            truth.centre_lp_mm[1] + truth.half_axes_mm[1] * np.sin(angle),
            np.full(angle.shape, middle),
        ],
        axis=-1,
    )
    ring = ring[grid.contains(ring, inset_mm=12.0)]
    assert len(ring) > 50
    distance, _ = cKDTree(entries.entry_lps_mm).query(ring)
    return float(np.mean(distance <= np.linalg.norm(grid.spacing_kji_mm)))


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
def test_skin_is_found_on_grids_of_any_orientation(name: str) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], extent_kji_mm=EXTENTS[name])
    found = find_body(mr_volume(grid, rician(mr_signal(points_of(grid)), 15.0)))
    assert_skin_is_true(found)
    assert covered_share(found, TRUNK) >= SHARE


@pytest.mark.parametrize("spacing", [(4.0, 0.9, 0.9), (1.5, 1.5, 1.5), (7.0, 1.2, 1.2)])
def test_skin_is_found_at_any_voxel_size(spacing: tuple[float, float, float]) -> None:
    grid = trunk_grid(spacing_kji_mm=spacing, extent_kji_mm=(45.0, 250.0, 360.0))
    signal = mr_signal(points_of(grid), width_mm=spacing[2])
    found = find_body(mr_volume(grid, rician(signal, 15.0)))
    assert_skin_is_true(found)
    assert covered_share(found, TRUNK) >= SHARE


@pytest.fixture(scope="module")
def grid() -> Grid:
    return trunk_grid()


@pytest.fixture(scope="module")
def points(grid: Grid) -> np.ndarray:
    return points_of(grid)


@pytest.fixture(scope="module")
def signal(points: np.ndarray) -> np.ndarray:
    return mr_signal(points)


def shading(points: np.ndarray, factor: float) -> np.ndarray:
    """Coil sensitivity that falls by ``factor`` from back to front."""
    depth = np.clip((95.0 - points[..., 1]) / 190.0, 0.0, 1.0)
    return np.asarray(factor ** (-depth))


@pytest.mark.parametrize(
    ("factor", "sigma"),
    [(10.0, 8.0), (4.0, 30.0), (1.0, 110.0)],
    ids=["shading 10", "shading 4 at SNR 8 in front", "SNR 8"],
)
def test_shading_and_noise(
    grid: Grid, points: np.ndarray, signal: np.ndarray, factor: float, sigma: float
) -> None:
    found = find_body(mr_volume(grid, rician(signal * shading(points, factor), sigma)))
    assert_skin_is_true(found)
    assert covered_share(found, TRUNK) >= SHARE


def test_ghosts_do_not_become_body(grid: Grid, signal: np.ndarray) -> None:
    ghost = np.roll(signal, signal.shape[1] // 2, axis=1) * 0.07
    found = find_body(mr_volume(grid, rician(signal + ghost, 12.0)))
    assert_skin_is_true(found)


@pytest.mark.parametrize("offset", [-400.0, 500.0])
def test_an_added_offset_changes_nothing(grid: Grid, signal: np.ndarray, offset: float) -> None:
    values = rician(signal, 12.0)
    plain, shifted = find_body(mr_volume(grid, values)), find_body(mr_volume(grid, values + offset))
    assert_skin_is_true(shifted)
    differ = np.count_nonzero(plain.mask.inside != shifted.mask.inside)
    assert differ <= 1e-3 * len(skin_entries(plain.mask))
    assert shifted.air_level == pytest.approx(plain.air_level + offset, abs=2.0)


def test_a_scaled_float_image_gives_the_same_body(grid: Grid, signal: np.ndarray) -> None:
    values = rician(signal, 12.0)
    plain = find_body(Volume(grid=grid, values=values.astype(np.float32)))
    scaled = find_body(Volume(grid=grid, values=values.astype(np.float64) * 1e-3))
    assert np.count_nonzero(plain.mask.inside != scaled.mask.inside) <= 50


def test_an_inverted_image_is_turned_over(grid: Grid, signal: np.ndarray) -> None:
    found = find_body(mr_volume(grid, 1500.0 - rician(signal, 12.0)))
    assert any("inverted" in text for text in found.warnings)
    assert_skin_is_true(found)


def test_air_inside_is_body_even_where_the_end_slices_open_it(
    grid: Grid, points: np.ndarray, signal: np.ndarray
) -> None:
    found = find_body(mr_volume(grid, rician(signal, 12.0)))
    deep = TRUNK.distance_mm(points) < -5.0
    assert found.mask.inside[deep].all()


def test_a_separate_arm_is_left_out(grid: Grid, points: np.ndarray, signal: np.ndarray) -> None:
    wide = trunk_grid(extent_kji_mm=(100.0, 250.0, 520.0))
    at = points_of(wide)
    values = mr_signal(at) + 800.0 * cover(LEFT_ARM, at, 1.7)
    found = find_body(mr_volume(wide, rician(values, 12.0)))
    assert_skin_is_true(found)
    assert not found.mask.inside[LEFT_ARM.distance_mm(at) < 0].any()


def test_a_touching_arm_may_be_body_and_the_rest_of_the_skin_stays_true() -> None:
    wide = trunk_grid(extent_kji_mm=(100.0, 250.0, 520.0))
    at = points_of(wide)
    values = np.maximum(mr_signal(at), 800.0 * cover(TOUCHING_ARM, at, 1.7))
    found = find_body(mr_volume(wide, rician(values, 12.0)))
    entries = skin_entries(found)
    gap_mm = np.minimum(
        TRUNK.distance_mm(entries.entry_lps_mm), TOUCHING_ARM.distance_mm(entries.entry_lps_mm)
    )
    assert np.mean(np.abs(gap_mm) <= 3.4) >= 0.97  # the closed fold between them takes the rest


def test_a_thin_sheet_off_the_skin_is_not_skin(
    grid: Grid, points: np.ndarray, signal: np.ndarray
) -> None:
    gap_mm, sheet_mm = 3.5, 2.0
    fine = trunk_grid(spacing_kji_mm=(4.0, 0.9, 0.9), extent_kji_mm=(48.0, 250.0, 360.0))
    at = points_of(fine)
    distance = TRUNK.distance_mm(at)
    sheet = (distance > gap_mm) & (distance < gap_mm + sheet_mm) & (at[..., 1] > 20.0)
    found = find_body(mr_volume(fine, rician(mr_signal(at, width_mm=0.9) + 300.0 * sheet, 12.0)))
    assert_skin_is_true(found)


def test_folds_of_cloth_are_left_out(points: np.ndarray) -> None:
    fine = trunk_grid(spacing_kji_mm=(4.0, 0.9, 0.9), extent_kji_mm=(48.0, 260.0, 380.0))
    at = points_of(fine)
    distance = TRUNK.distance_mm(at)
    angle = np.arctan2(at[..., 1], at[..., 0])
    wave_mm = 8.0 + 5.0 * np.sin(25.0 * angle)
    fold = (np.abs(distance - wave_mm) < 1.2) & (np.abs(angle - 1.2) < 0.6)
    signal = mr_signal(at, width_mm=0.9) + 350.0 * fold
    found = find_body(mr_volume(fine, rician(signal, 12.0)))
    gap_mm, voxel_mm = skin_gap_mm(found, TRUNK)
    # Where a fold comes within two voxels of the skin, the pocket beside it is closed off.
    assert np.mean(np.abs(gap_mm) <= voxel_mm) >= 0.93
    assert gap_mm.min() > -0.9
    assert gap_mm.max() < 6.0


def test_no_entry_where_the_volume_cuts_the_body(signal: np.ndarray) -> None:
    cut = trunk_grid(extent_kji_mm=(100.0, 250.0, 240.0), centre_lps_mm=(50.0, 0.0, 40.0))
    found = find_body(mr_volume(cut, rician(mr_signal(points_of(cut)), 12.0)))
    assert found.cut_faces == ("k0", "k1", "i0")
    assert any("cuts the body" in text for text in found.warnings)
    assert_skin_is_true(found)
    entries = skin_entries(found)
    # Nothing looks out of the cut side or the end slices.
    assert np.all(entries.outward_normal_lps[:, 0] > -0.75)
    assert np.abs(entries.outward_normal_lps[:, 2]).max() < 0.2


@pytest.mark.parametrize("side", ["j0", "j1", "i0"])
def test_no_entry_where_a_filled_rectangle_cuts_the_body(
    grid: Grid, signal: np.ndarray, side: str
) -> None:
    values = rician(signal, 12.0)
    n = 45 if side[0] == "j" else 60
    fill = {
        "j0": np.s_[:, :n, :],
        "j1": np.s_[:, -n:, :],
        "i0": np.s_[:, :, :n],
    }[side]
    values[fill] = 0.0
    found = find_body(mr_volume(grid, values))
    assert side in found.cut_faces
    assert_skin_is_true(found)


def test_a_faded_or_filled_rim_at_the_border_gives_no_skin(
    grid: Grid, points: np.ndarray, signal: np.ndarray
) -> None:
    cut = trunk_grid(extent_kji_mm=(60.0, 170.0, 240.0), centre_lps_mm=(0.0, -30.0, 40.0))
    values = rician(mr_signal(points_of(cut)), 12.0)
    n_j, n_i = values.shape[1:]
    i = np.arange(n_i)
    rim = 1 + np.round(2.0 * ((i - n_i / 2) / (n_i / 2)) ** 2).astype(int)
    values[:, np.arange(n_j)[:, None] >= (n_j - rim)[None, :]] = 0.0
    values[:, :, -3:] = 0.0
    found = find_body(mr_volume(cut, values))
    assert_skin_is_true(found)
    assert {"k0", "k1", "j1", "i0", "i1"} <= set(found.cut_faces)


def same_body_by_world_position(first: BodyMask, second: BodyMask) -> float:
    """Share of the surface voxels at which two masks on reordered grids differ."""
    points = first.mask.grid.to_lps(np.argwhere(first.mask.inside))
    missing = np.count_nonzero(~second.mask.contains(points))
    extra = second.mask.n_voxels - (len(points) - missing)
    return (missing + extra) / len(skin_entries(first.mask))


@pytest.fixture(scope="module")
def coarse() -> tuple[Grid, np.ndarray, BodyMask]:
    """Image and body before axes are flipped or permuted."""
    grid = trunk_grid(spacing_kji_mm=(4.0, 2.0, 2.0), extent_kji_mm=(64.0, 248.0, 352.0))
    values = rician(mr_signal(points_of(grid)), 12.0)
    return grid, values, find_body(mr_volume(grid, values))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_flipped_or_permuted_axes_give_the_same_body(
    coarse: tuple[Grid, np.ndarray, BodyMask],
    order: tuple[int, int, int],
    flips: tuple[int, int, int],
) -> None:
    base, values, first = coarse
    matrix = np.array(base.lps_from_kji)
    for axis, flip in enumerate(flips):
        if flip < 0:
            matrix[:3, 3] += matrix[:3, axis] * (values.shape[axis] - 1)
            matrix[:3, axis] *= -1
            values = np.flip(values, axis)
    matrix[:3, :3] = matrix[:3, list(order)]
    values = np.transpose(values, order)
    moved = Grid(shape_kji=values.shape, lps_from_kji=matrix, frame=FrameId("1", "t"))
    second = find_body(mr_volume(moved, values))
    assert same_body_by_world_position(first, second) < 2e-3


def test_a_plain_box_on_an_empty_background_is_a_body() -> None:
    grid = trunk_grid()
    at = points_of(grid)
    box = (np.abs(at[..., 0]) < 120.0) & (np.abs(at[..., 1]) < 80.0)
    found = find_body(mr_volume(grid, 800.0 * box))
    differ = np.count_nonzero(found.mask.inside != box)
    assert differ < 0.02 * len(skin_entries(found))  # the four long edges are rounded
    assert found.cut_faces == ("k0", "k1")


# ---------------------------------------------------------------- CT


def ct_values(points: np.ndarray, grid: Grid) -> np.ndarray:
    """A trunk on a curved table with a foam mattress, under a blanket."""
    rng = np.random.default_rng(5)
    hu = -1000.0 + 900.0 * cover(TRUNK, points, 1.2)
    hu += 150.0 * cover(TRUNK.shrunk(20.0), points, 1.2)
    hu -= 1040.0 * cover(Cylinder((40.0, -30.0), (25.0, 20.0)), points, 1.2)
    table = np.hypot(points[..., 0], points[..., 1] + 250.0)
    shell = (np.abs(table - 362.0) < 1.5) | (np.abs(table - 390.0) < 1.5)
    hu = np.where(shell, -150.0, hu)
    hu = np.where((table > 346.5) & (table < 360.0) & (hu < -900), -920.0, hu)
    blanket = np.abs(TRUNK.distance_mm(points) - 6.0) < 1.2
    hu = np.where(blanket & (points[..., 1] < 0) & (hu < -800), -250.0, hu)
    return hu + 15.0 * rng.standard_normal(hu.shape)


@pytest.mark.parametrize("modality", ["CT", "unknown"])
@pytest.mark.parametrize("fill", [None, -1024.0, -2000.0])
def test_ct_without_table_blanket_and_fill(modality: str, fill: float | None) -> None:
    grid = trunk_grid(spacing_kji_mm=(3.0, 1.2, 1.2), extent_kji_mm=(45.0, 400.0, 400.0))
    at = points_of(grid)
    values = np.maximum(ct_values(at, grid), -1024.0)
    if fill is not None:
        values[np.hypot(at[..., 0], at[..., 1]) > 200.0] = fill
    found = find_body(mr_volume(grid, values, modality))
    assert found.method == "CT threshold"
    assert_skin_is_true(found)
    assert found.mask.inside[TRUNK.distance_mm(at) < -5.0].all()


def test_ct_arm_cut_by_the_reconstruction_circle_has_no_entry_at_the_cut() -> None:
    grid = trunk_grid(spacing_kji_mm=(3.0, 1.2, 1.2), extent_kji_mm=(45.0, 400.0, 400.0))
    at = points_of(grid)
    big = Cylinder((80.0, 0.0), (150.0, 95.0))
    values = -1000.0 + 950.0 * cover(big, at, 1.2)
    values += 15.0 * np.random.default_rng(1).standard_normal(values.shape)
    radius = np.hypot(at[..., 0], at[..., 1])
    values[radius > 200.0] = -1024.0
    found = find_body(mr_volume(grid, values, "CT"))
    assert_skin_is_true(found, big)


# ---------------------------------------------------------------- must say no


def test_a_constant_image_is_refused() -> None:
    grid = trunk_grid()
    with pytest.raises(MaskError, match="constant"):
        find_body(mr_volume(grid, np.full(grid.shape_kji, 7.0)))


@pytest.mark.parametrize("sigma", [5.0, 300.0])
def test_noise_is_refused(sigma: float) -> None:
    grid = trunk_grid()
    with pytest.raises(MaskError, match="noise or flat"):
        find_body(mr_volume(grid, rician(np.zeros(grid.shape_kji), sigma)))


def test_an_image_of_nan_is_refused() -> None:
    grid = trunk_grid()
    with pytest.raises(MaskError, match="no finite value"):
        find_body(Volume(grid=grid, values=np.full(grid.shape_kji, np.nan, np.float32)))


def test_ct_of_air_is_refused() -> None:
    grid = trunk_grid()
    noise = np.random.default_rng(0).normal(-1000.0, 10.0, grid.shape_kji)
    with pytest.raises(MaskError, match="no body was found"):
        find_body(mr_volume(grid, noise, "CT"))


def test_scattered_nan_are_background() -> None:
    grid = trunk_grid()
    values = rician(mr_signal(points_of(grid)), 12.0).astype(np.float32)
    values[:, :5, :5] = np.nan
    assert_skin_is_true(find_body(Volume(grid=grid, values=values)))


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_body_that_fills_the_image_warns_and_has_no_skin(modality: str) -> None:
    grid = trunk_grid(extent_kji_mm=(60.0, 90.0, 150.0))
    values = rician(mr_signal(points_of(grid)), 20.0)
    if modality == "CT":
        values = values / 10.0 - 80.0
    found = find_body(Volume(grid=grid, values=values, source=ImageSource(modality=modality)))
    assert found.method == "no air in view"
    assert found.mask.inside.all()
    assert any("no skin is in view" in text for text in found.warnings)
    assert len(skin_entries(found)) == 0
    # The neighbour that says yes: the same body with air in view.
    wide = trunk_grid(extent_kji_mm=(60.0, 250.0, 360.0))
    yes = find_body(mr_volume(wide, rician(mr_signal(points_of(wide)), 20.0)))
    assert len(skin_entries(yes.mask)) > 1000


def test_result_is_deterministic(grid: Grid, signal: np.ndarray) -> None:
    volume = mr_volume(grid, rician(signal, 12.0))
    assert np.array_equal(find_body(volume).mask.inside, find_body(volume).mask.inside)


def test_quality_numbers_have_their_meaning(grid: Grid, signal: np.ndarray) -> None:
    found = find_body(mr_volume(grid, rician(signal, 12.0)))
    assert found.contrast > 20.0
    assert found.air_level == pytest.approx(15.0, abs=4.0)  # Rayleigh mean of sigma 12
    assert 350.0 < found.body_level < 950.0  # muscle to fat
    assert found.body_frac == pytest.approx(found.mask.inside.mean())
    assert found.imaged.inside.all()
