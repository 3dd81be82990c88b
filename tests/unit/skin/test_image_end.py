"""No entry where the image ends and not the body: padding, cuts, corners, circles."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Grid, Mask
from planner.skin import BodyMask, SkinEntries, find_body, imaged_around, skin_entries
from planner.skin.image_end import AIR_RUN_MM, at_image_end, end_guard_mm
from planner.skin.padding import imaged_region
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import (
    TRUNK,
    Cylinder,
    ct_signal,
    mr_signal,
    mr_volume,
    padded,
    points_of,
    rician,
    trunk_grid,
    with_strays,
)

CENTRE_LP_MM = (30.0, -20.0)
"""Of the scene: the image cuts the trunk behind and on both sides, and sees the front."""

FALSE_SKIN_VOX = 1.6
"""Entries lie on faces of voxels whose centres are within one voxel of the skin."""


@pytest.fixture(scope="module")
def grid() -> Grid:
    return trunk_grid(extent_kji_mm=(60.0, 220.0, 240.0), centre_lps_mm=(*CENTRE_LP_MM, 40.0))


@pytest.fixture(scope="module")
def points(grid: Grid) -> np.ndarray:
    return points_of(grid)


@pytest.fixture(scope="module")
def mr(points: np.ndarray) -> np.ndarray:
    return rician(mr_signal(points), 12.0)


@pytest.fixture(scope="module")
def ct(points: np.ndarray) -> np.ndarray:
    return ct_signal(points)


def without(shape_kji: tuple[int, ...], face: str, depth: int) -> np.ndarray:
    """All but the outermost planes of a face."""
    seen = np.ones(shape_kji, dtype=bool)
    planes = np.moveaxis(seen, "kji".index(face[0]), 0)
    planes[slice(0, depth) if face[1] == "0" else slice(-depth, None)] = False
    return seen


def false_skin_mm(entries: SkinEntries, grid: Grid) -> np.ndarray:
    """How far entries lie from the true skin, of those beyond what voxels explain."""
    gap_mm = np.abs(TRUNK.distance_mm(entries.entry_lps_mm))
    voxel_mm = np.abs(TRUNK.normal(entries.entry_lps_mm) @ grid.axes_lps_from_kji)
    return gap_mm[gap_mm > FALSE_SKIN_VOX * (voxel_mm @ grid.spacing_kji_mm)]


def assert_no_false_skin(found: BodyMask, *, at_least: int = 300) -> None:
    entries = skin_entries(found)
    assert false_skin_mm(entries, found.mask.grid).size == 0
    assert len(entries) >= at_least, "the true skin in view has entries"


@pytest.mark.parametrize("face", ["i0", "i1", "j0", "j1", "k0", "k1"])
@pytest.mark.parametrize("depth", [1, 5])
def test_zeros_beside_the_image_are_no_air(
    grid: Grid, mr: np.ndarray, face: str, depth: int
) -> None:
    seen = without(grid.shape_kji, face, depth)
    assert_no_false_skin(find_body(mr_volume(grid, padded(mr, seen, 0.0, soft=False))))


@pytest.mark.parametrize("face", ["i0", "j1"])
@pytest.mark.parametrize("depth", [3, 8, 16])
def test_a_soft_edge_and_stray_values_do_not_make_padding_skin(
    grid: Grid, mr: np.ndarray, face: str, depth: int
) -> None:
    seen = without(grid.shape_kji, face, depth)
    values = with_strays(padded(mr, seen, 0.0, soft=True), seen)
    assert_no_false_skin(find_body(mr_volume(grid, values)))


@pytest.mark.parametrize("fill", [-50.0, 5.0, 40.0])
def test_mr_padding_of_any_value_is_no_air(grid: Grid, mr: np.ndarray, fill: float) -> None:
    seen = without(grid.shape_kji, "i0", 12)
    assert_no_false_skin(find_body(mr_volume(grid, padded(mr, seen, fill, soft=True))))


def test_mr_padding_far_below_the_image_gives_no_entry(grid: Grid, mr: np.ndarray) -> None:
    seen = without(grid.shape_kji, "j1", 12)
    found = find_body(mr_volume(grid, padded(mr, seen, -1024.0, soft=True)))
    assert_no_false_skin(found, at_least=0)


@pytest.mark.parametrize("fill", [0.0, -1000.0, -1024.0, -2000.0, -3024.0])
@pytest.mark.parametrize("face", ["i0", "k0"])
def test_ct_padding_of_any_value_is_no_air(
    grid: Grid, ct: np.ndarray, fill: float, face: str
) -> None:
    seen = without(grid.shape_kji, face, 4 if face == "k0" else 12)
    assert_no_false_skin(find_body(mr_volume(grid, padded(ct, seen, fill, soft=True), "CT")))


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("radius_mm", [108.0, 125.0])
def test_a_masked_circle_is_no_skin(
    grid: Grid, points: np.ndarray, mr: np.ndarray, ct: np.ndarray, modality: str, radius_mm: float
) -> None:
    seen = np.linalg.norm(points[..., :2] - CENTRE_LP_MM, axis=-1) < radius_mm
    values, fill = (mr, 0.0) if modality == "MR" else (ct, -1024.0)
    assert_no_false_skin(
        find_body(mr_volume(grid, padded(values, seen, fill, soft=True), modality))
    )


@pytest.mark.parametrize("power", [4, 8, 20])
def test_corners_cut_by_distortion_correction_are_no_skin(
    grid: Grid, points: np.ndarray, mr: np.ndarray, power: int
) -> None:
    right, down = (np.abs(points[..., a] - CENTRE_LP_MM[a]) for a in (0, 1))
    seen = (right / 125.0) ** power + (down / 112.0) ** power < 1.0
    values = with_strays(padded(mr, seen, 0.0, soft=True), seen)
    assert_no_false_skin(find_body(mr_volume(grid, values)))


def turned(points: np.ndarray, degrees: float, axes: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Coordinates about the scene's middle along two axes, turned."""
    middle = np.array([*CENTRE_LP_MM, 40.0])
    a, b = (points[..., n] - middle[n] for n in axes)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return a * cos + b * sin, b * cos - a * sin


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("degrees", [5.0, 18.0, 40.0])
def test_the_corners_of_an_oblique_reformat_are_no_skin(
    grid: Grid, points: np.ndarray, mr: np.ndarray, ct: np.ndarray, modality: str, degrees: float
) -> None:
    right, down = turned(points, degrees, (0, 1))
    seen = (np.abs(right) < 95.0) & (np.abs(down) < 85.0)
    values, fill = (mr, 0.0) if modality == "MR" else (ct, -1024.0)
    assert_no_false_skin(
        find_body(mr_volume(grid, padded(values, seen, fill, soft=True), modality))
    )


@pytest.mark.parametrize("degrees", [5.0, 18.0, 40.0])
def test_slices_that_a_tilted_reformat_leaves_empty_are_no_skin_nor_open_the_bowel(
    grid: Grid, points: np.ndarray, mr: np.ndarray, degrees: float
) -> None:
    across, _ = turned(points, degrees, (2, 1))
    found = find_body(mr_volume(grid, padded(mr, np.abs(across) < 22.0, 0.0, soft=True)))
    assert_no_false_skin(found, at_least=100)


@pytest.mark.parametrize(("face", "depth"), [("i0", 2), ("i1", 5), ("j1", 12), ("i0", 30)])
def test_where_the_background_was_set_to_zero_a_plane_is_still_no_skin(
    grid: Grid, points: np.ndarray, mr: np.ndarray, face: str, depth: int
) -> None:
    removed = np.where(TRUNK.distance_mm(points) > 0.8, 0.0, mr)
    seen = without(grid.shape_kji, face, depth)
    found = find_body(mr_volume(grid, padded(removed, seen, 0.0, soft=True)))
    assert_no_false_skin(found)


def test_a_background_set_to_zero_is_told(grid: Grid, points: np.ndarray, mr: np.ndarray) -> None:
    removed = np.where(TRUNK.distance_mm(points) > 0.8, 0.0, mr)
    text = "one constant value"
    assert any(text in w for w in find_body(mr_volume(grid, removed)).warnings)
    assert not any(text in w for w in find_body(mr_volume(grid, mr)).warnings)


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
def test_padding_is_found_on_grids_of_any_orientation(name: str) -> None:
    extents = {"sagittal": (240.0, 60.0, 220.0), "coronal": (220.0, 60.0, 240.0)}
    extent = extents.get(name, (60.0, 220.0, 240.0))
    extent = extent if "oblique" not in name else (120.0, 220.0, 240.0)
    spacing = (2.5, 1.7, 1.7)
    grid = trunk_grid(ORIENTED_AXES[name], spacing, extent, (*CENTRE_LP_MM, 40.0))
    values = rician(mr_signal(points_of(grid)), 12.0)
    for face in ("i1", "j0", "k0"):
        seen = without(grid.shape_kji, face, 10)
        found = find_body(mr_volume(grid, padded(values, seen, 0.0, soft=False)))
        entries = skin_entries(found)
        # Steps between oblique voxels leave corners a voxel's diagonal off.
        gap_mm = np.abs(TRUNK.distance_mm(entries.entry_lps_mm))
        assert np.count_nonzero(gap_mm > 1.2 * np.linalg.norm(grid.spacing_kji_mm)) == 0


def test_a_given_body_that_stops_at_padding_has_no_entry_there(
    grid: Grid, points: np.ndarray, mr: np.ndarray
) -> None:
    seen = without(grid.shape_kji, "i0", 12)
    volume = mr_volume(grid, padded(mr, seen, 0.0, soft=False))
    body = Mask(grid=grid, inside=(TRUNK.distance_mm(points) < 0) & seen)
    alone = skin_entries(body)
    known = skin_entries(body, imaged=imaged_around(volume, body))
    assert false_skin_mm(alone, grid).size > 100
    assert false_skin_mm(known, grid).size == 0
    assert len(known) > 300


def test_an_image_without_values_takes_nothing_from_a_given_body(grid: Grid) -> None:
    body = Mask(grid=grid, inside=TRUNK.distance_mm(points_of(grid)) < 0)
    blank = mr_volume(grid, np.zeros(grid.shape_kji))
    assert imaged_around(blank, body).inside.all()


def test_a_strip_of_padding_with_stray_values_was_not_imaged(grid: Grid, mr: np.ndarray) -> None:
    for face in ("i0", "i1", "j1"):
        seen = without(grid.shape_kji, face, 4)
        values = with_strays(padded(mr, seen, 0.0, soft=False), seen)
        region = imaged_region(values.astype(np.float32), grid.spacing_kji_mm).region
        assert not region[~seen].any(), face
        assert region[without(grid.shape_kji, face, 7)].mean() > 0.99, face
    assert imaged_region(mr.astype(np.float32), grid.spacing_kji_mm).region.all()


# ---------------------------------------------------------------- the guard itself

SHAPE, SPACING = np.array([10, 60, 60]), np.array([4.0, 1.0, 1.0])


def ends(
    entry_ji_mm: tuple[float, float], normal_ji: tuple[float, float], **kwargs: object
) -> bool:
    entry = np.array([[20.0, *entry_ji_mm]])
    normal = np.array([[0.0, *normal_ji]])
    imaged = kwargs.get("imaged")
    return bool(at_image_end(entry, normal, SHAPE, SPACING, 0, imaged)[0])  # type: ignore[arg-type]


def test_an_entry_keeps_off_the_side_of_the_volume() -> None:
    guard = end_guard_mm(SPACING)
    assert guard == 5.0
    assert ends((30.0, guard - 0.5 - 0.01), (1.0, 0.0))
    assert not ends((30.0, guard - 0.5 + 0.01), (1.0, 0.0))
    assert end_guard_mm(np.array([4.0, 3.0, 3.0])) == 7.5


def test_before_an_entry_lies_measured_air() -> None:
    far = AIR_RUN_MM - 0.5  # the volume begins half a voxel before its first centre
    assert ends((far - 0.01, 30.0), (-1.0, 0.0))
    assert not ends((far + 0.01, 30.0), (-1.0, 0.0))
    assert not ends((far - 0.01, 30.0), (1.0, 0.0)), "only the side it looks to counts"
    imaged = np.ones(tuple(SHAPE), dtype=bool)
    imaged[:, :20] = False
    assert ends((27.0, 30.0), (-1.0, 0.0), imaged=imaged)
    assert not ends((29.0, 30.0), (-1.0, 0.0), imaged=imaged)


def test_an_entry_keeps_off_what_was_not_imaged_beside_it() -> None:
    imaged = np.ones(tuple(SHAPE), dtype=bool)
    imaged[:, :, 40:] = False
    assert ends((30.0, 35.0), (-1.0, 0.0), imaged=imaged)
    assert not ends((30.0, 34.0), (-1.0, 0.0), imaged=imaged)


def test_a_stack_that_ends_head_or_footwards_keeps_its_skin() -> None:
    entry, normal = np.array([[0.0, 30.0, 30.0]]), np.array([[-0.6, -0.8, 0.0]])
    assert not at_image_end(entry, normal, SHAPE, SPACING, 0, None)[0]
    assert at_image_end(entry, normal, SHAPE, SPACING, 1, None)[0], "not so at a side"


def test_marked_ends_and_skin_make_up_the_outline(grid: Grid, mr: np.ndarray) -> None:
    found = find_body(
        mr_volume(grid, padded(mr, without(grid.shape_kji, "i0", 12), 0.0, soft=False))
    )
    everything = skin_entries(found, with_image_ends=True)
    skin = skin_entries(found)
    assert everything.is_image_end.any()
    assert not skin.is_image_end.any()
    assert np.array_equal(everything.voxel_kji[~everything.is_image_end], skin.voxel_kji)
    thinned = skin_entries(found, spacing_mm=9.0, with_image_ends=True)
    apart = skin_entries(found, spacing_mm=9.0)
    assert np.array_equal(thinned.voxel_kji[~thinned.is_image_end], apart.voxel_kji)


def test_a_sphere_of_air_around_a_whole_body_ends_nowhere() -> None:
    grid = trunk_grid()
    body = Cylinder((0.0, 0.0), (100.0, 70.0))
    found = find_body(mr_volume(grid, rician(mr_signal(points_of(grid), trunk=body), 12.0)))
    assert not skin_entries(found, with_image_ends=True).is_image_end.any()
