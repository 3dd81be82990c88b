from __future__ import annotations

import numpy as np
import pytest

from planner.cli.targets import (
    TargetKind,
    parse_target,
    point_in,
    resolve_target,
    spaced_target,
)
from planner.errors import AnatomyError, TargetError
from planner.geometry import Grid, Mask
from planner.model import MaskSource, Structure, StructureRole, StructureSet
from tests import anatomy_shapes
from tests.grids import ORIENTED_AXES


@pytest.mark.parametrize("text", ["-3.5,2,7", "-3.5, 2, 7", "-3.5 2 7", "-3.5;2;7", "-3.5,2,+7e0"])
def test_three_numbers_in_several_spellings(text: str) -> None:
    request = parse_target(text, None)
    assert request.kind is TargetKind.NUMBERS
    assert request.numbers_mm == (-3.5, 2.0, 7.0)


def test_ras_numbers_are_turned_once(oriented_grid: Grid) -> None:
    empty = StructureSet(grid=oriented_grid)
    point = resolve_target(parse_target("-3.5,2,7", "ras"), empty).point_lps_mm
    np.testing.assert_array_equal(point, [3.5, -2.0, 7.0])
    point = resolve_target(parse_target("-3.5,2,7", "lps"), empty).point_lps_mm
    np.testing.assert_array_equal(point, [-3.5, 2.0, 7.0])


@pytest.mark.parametrize(
    "text", ["a.mrk.json", "A.FCSV", "dir/a.mrk.json#L5 left", "a#1.fcsv", "a.json#b/c"]
)
def test_a_markups_file_with_or_without_a_label(text: str) -> None:
    assert parse_target(text, None).kind is TargetKind.FILE


@pytest.mark.parametrize(
    ("text", "frame", "match"),
    [
        ("1", None, "it has 1 number, and a point has three; give L,P,S"),
        ("31,31", None, "it has 2 numbers, and a point has three; give L,P,S"),
        ("1,2,3,4", None, "it has 4 numbers"),
        ("31,0 31,66 41,99", None, "decimals take a point, not a comma"),
        ("1,2,x", None, "'x' is not a number"),
        ("1.5.2,2,3", None, "'1.5.2' is not a number"),
        ("lesion", None, "or structure:NAME"),
        ("", None, "not a target: give L,P,S"),
        (",,", None, "not a target: give L,P,S"),
        ("1,2,inf", None, "finite"),
        ("structure: ", None, "needs the name"),
        ("structure:lesion", "ras", "--frame is for a target in numbers"),
        ("a.fcsv", "lps", "--frame is for a target in numbers"),
    ],
)
def test_what_is_no_target(text: str, frame: str | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_target(text, frame)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("plan x --target 31.0 31.66 41.99", "--target 31.0,31.66,41.99"),
        ("plan --target -31.0 31.66 -41.99 x", "--target -31.0,31.66,-41.99"),
        ("plan x --target 31.0, 31.66, 41.99 --json", "--target 31.0,31.66,41.99"),
        ("plan x --target=31.0 31.66 41.99", "--target 31.0,31.66,41.99"),
        ("plan x --target 31.0,31.66 41.99", "--target 31.0,31.66,41.99"),
        ("plan x --target 31.0,31.66,41.99", None),
        ("plan x --target 31.0,31.66,41.99 7", None),
        ("plan x --target 31.0 31.66", None),
        ("plan x --target 1 2 3 4", None),
        ("plan x --target a.fcsv b", None),
        ("plan x --target", None),
        ("plan x --series 1 2 3", None),
        ("", None),
    ],
)
def test_numbers_that_stand_apart_are_shown_with_commas(arguments: str, says: str | None) -> None:
    advice = spaced_target(arguments.split())
    assert (advice is None) is (says is None)
    if advice is not None and says is not None:
        assert advice.endswith(says)


def test_a_solid_structure_gives_its_centroid(oriented_grid: Grid) -> None:
    inside = np.zeros(oriented_grid.shape_kji, np.bool_)
    inside[2:5, 3:8, 1:4] = True
    point, how = point_in(Mask(grid=oriented_grid, inside=inside))
    assert how == "centroid"
    np.testing.assert_allclose(point, oriented_grid.to_lps((3.0, 5.0, 2.0)), atol=1e-9)


def test_a_hollow_structure_gives_its_deepest_point_and_says_so(oriented_grid: Grid) -> None:
    inside = np.zeros(oriented_grid.shape_kji, np.bool_)
    inside[1:8, 1:13, 1:10] = True
    inside[2:8, 3:13, 3:8] = False  # an open shell: the centroid falls into the hole
    inside[1:8, 1:6, 1:10] = True
    inside[4:8, 6:13, 1:10] = False
    mask = Mask(grid=oriented_grid, inside=inside)
    hole = np.zeros_like(inside)
    hole[0], hole[8] = True, True  # two far plates: the centroid lies between them
    for tested in (mask, Mask(grid=oriented_grid, inside=hole)):
        point, how = point_in(tested)
        assert bool(tested.contains(point))
        centroid = oriented_grid.to_lps(np.argwhere(tested.inside).mean(axis=0))
        assert how.startswith("deepest") is not bool(tested.contains(centroid))


def test_the_deepest_point_is_deepest_in_millimetres_not_in_voxels() -> None:
    grid = Grid.from_axes((5, 31, 31), (6.0, 0.5, 0.5), (0.0, 0.0, 0.0))
    inside = np.zeros(grid.shape_kji, np.bool_)
    inside[1:4, 2:9, 2:9] = True  # 3.5 mm wide but 18 mm high
    inside[0, 16:31, 2:31] = True  # 7.5 mm wide and 6 mm high: deeper in mm
    point, how = point_in(Mask(grid=grid, inside=inside))
    assert how.startswith("deepest")
    np.testing.assert_array_equal(grid.to_kji(point)[:2], [0.0, 23.0])


def test_a_structure_that_is_not_there_is_named_with_the_closest(oriented_grid: Grid) -> None:
    inside = np.ones(oriented_grid.shape_kji, np.bool_)
    structure = Structure(
        name="lesion",
        role=StructureRole.TARGET,
        mask=Mask(grid=oriented_grid, inside=inside),
        source=MaskSource(file="lesion.nrrd", grid=oriented_grid),
    )
    structures = StructureSet(grid=oriented_grid, structures=(structure,))
    with pytest.raises(TargetError, match=r"no structure 'leson'.*Did you mean 'lesion'\?"):
        resolve_target(parse_target("structure:leson", None), structures)
    resolved = resolve_target(parse_target("structure:lesion", None), structures)
    assert resolved.structure == "lesion"
    assert resolved.words == "centroid of structure 'lesion'"


def test_anatomy_is_asked_for_by_name() -> None:
    request = parse_target("anatomy:foramen:L4-L5:left", None)
    assert request.kind is TargetKind.ANATOMY
    with pytest.raises(ValueError, match="Did you mean 'foramen:L4-L5:right"):
        parse_target("anatomy:forman:L4-L5:left", None)
    with pytest.raises(ValueError, match="a side is missing"):
        parse_target("anatomy:si_joint", None)
    with pytest.raises(ValueError, match="--frame is for a target in numbers"):
        parse_target("anatomy:si_joint:left", "ras")


def test_anatomy_gives_its_region_and_says_where_it_is_from() -> None:
    grid = anatomy_shapes.grid_about(ORIENTED_AXES["oblique_flipped"])
    structures = anatomy_shapes.structures_of(grid, anatomy_shapes.plates(grid, 3.0, 20.0))
    target = resolve_target(parse_target("anatomy:si_joint:left", None), structures)
    assert target.region is not None
    np.testing.assert_array_equal(target.point_lps_mm, target.region.centre_lps_mm)
    assert "anatomy:si_joint:left" in target.words
    assert "sacrum, hip_left" in target.words
    assert "joint_gap_mm" in target.words


def test_anatomy_that_the_labels_do_not_carry_is_refused(oriented_grid: Grid) -> None:
    with pytest.raises(TargetError, match="no sacrum"):
        resolve_target(
            parse_target("anatomy:si_joint:left", None), StructureSet(grid=oriented_grid)
        )


def test_anatomy_of_masks_beside_the_image_asks_for_the_patient(oriented_grid: Grid) -> None:
    lost = "other.nii.gz: left out, no voxel in the image, so nothing of it is protected: L4, L5"
    structures = StructureSet(grid=oriented_grid, warnings=(lost,))
    with pytest.raises(AnatomyError, match=r"L4, L5\): are they of another patient"):
        resolve_target(parse_target("anatomy:disc:L4-L5", None), structures)
