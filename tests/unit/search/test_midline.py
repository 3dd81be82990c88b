"""The midline is the patient's, or it is not called so."""

from __future__ import annotations

import numpy as np
import pytest

from planner.geometry import Grid, Mask
from planner.model import Angles, MaskSource, Structure, StructureRole, StructureSet
from planner.search.midline import IMAGE_CENTRE, Midline
from planner.search.words import entry_words
from tests.grids import ORIENTED_AXES
from tests.skin_bodies import LEFT_ARM, TRUNK, Cylinder, points_of, trunk_grid

TOL_MM = 2.0
EXTENTS = {
    "axial": (100.0, 250.0, 360.0),
    "flipped": (100.0, 250.0, 360.0),
    "sagittal": (360.0, 100.0, 250.0),
    "coronal": (250.0, 100.0, 360.0),
    "oblique": (140.0, 300.0, 400.0),
    "oblique_flipped": (300.0, 150.0, 400.0),
}
LEVEL_LPS_MM = np.array([0.0, 0.0, 40.0])
BODY = Cylinder((12.0, 0.0), (120.0, 80.0))
"""The patient lies 12 mm to the left of the scanner's zero."""


def body_of(grid: Grid, body: Cylinder = BODY) -> Mask:
    return Mask(grid=grid, inside=body.distance_mm(points_of(grid)) < 0)


def structure(name: str, inside: np.ndarray, grid: Grid, role: str, kind: str | None) -> Structure:
    mask = Mask(grid=grid, inside=inside)
    source = MaskSource(grid=grid, file="", method="test")
    return Structure(
        name=name, role=StructureRole(role), mask=mask, source=source, structure_class=kind
    )


def anatomy(grid: Grid, *items: tuple[str, str, str | None, Cylinder]) -> StructureSet:
    at = points_of(grid)
    return StructureSet(
        grid=grid,
        structures=tuple(
            structure(name, shape.distance_mm(at) < 0, grid, role, kind)
            for name, role, kind, shape in items
        ),
    )


CANAL = ("thecal_sac", "avoid", "spinal_canal", Cylinder((15.0, 40.0), (9.0, 9.0)))
BONE = ("vertebrae_L4", "bone", "bone", Cylinder((14.0, 30.0), (24.0, 20.0)))
RIB = ("rib_left_9", "bone", "bone", Cylinder((80.0, 30.0), (12.0, 12.0)))


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
def test_the_middle_of_a_whole_body_on_any_grid(name: str) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], (3.0, 2.0, 2.0), EXTENTS[name])
    x_mm, called = Midline(StructureSet(grid=grid), body_of(grid)).at(LEVEL_LPS_MM)
    assert called == "midline (middle of the body)"
    assert x_mm == pytest.approx(12.0, abs=TOL_MM)


@pytest.mark.parametrize("name", sorted(ORIENTED_AXES))
def test_anatomy_comes_before_the_body(name: str) -> None:
    grid = trunk_grid(ORIENTED_AXES[name], (3.0, 2.0, 2.0), EXTENTS[name])
    structures = anatomy(grid, RIB, BONE, CANAL)
    x_mm, called = Midline(structures, body_of(grid)).at(LEVEL_LPS_MM)
    assert called == "midline (thecal_sac)"
    assert x_mm == pytest.approx(15.0, abs=TOL_MM)
    x_mm, called = Midline(anatomy(grid, RIB, BONE), body_of(grid)).at(LEVEL_LPS_MM)
    assert called == "midline (vertebrae_L4)"
    assert x_mm == pytest.approx(14.0, abs=TOL_MM)


@pytest.mark.parametrize("bone", ["rib_left_9", "hip_right", "femur_l", "L5 root"])
def test_what_lies_to_one_side_is_no_midline(bone: str) -> None:
    grid = trunk_grid(spacing_kji_mm=(3.0, 2.0, 2.0))
    structures = anatomy(grid, (bone, *RIB[1:]))
    assert Midline(structures, body_of(grid)).at(LEVEL_LPS_MM)[1] == "midline (middle of the body)"


def cut_grid() -> Grid:
    """An image that cuts the body on the patient's left."""
    return trunk_grid(None, (3.0, 2.0, 2.0), (90.0, 240.0, 180.0), (-20.0, 0.0, 40.0))


def test_a_body_cut_at_a_side_has_no_middle() -> None:
    grid = cut_grid()
    x_mm, called = Midline(StructureSet(grid=grid), body_of(grid)).at(LEVEL_LPS_MM)
    assert called == IMAGE_CENTRE
    assert "midline" not in called
    assert x_mm == pytest.approx(-20.0, abs=1.0)


def test_a_body_cut_by_padding_has_no_middle_but_its_spine_has() -> None:
    grid = trunk_grid(None, (3.0, 2.0, 2.0))
    seen = points_of(grid)[..., 0] < 80.0
    body = Mask(grid=grid, inside=body_of(grid).inside & seen)
    imaged = Mask(grid=grid, inside=seen)
    assert Midline(StructureSet(grid=grid), body, imaged).at(LEVEL_LPS_MM)[1] == IMAGE_CENTRE
    x_mm, called = Midline(anatomy(grid, CANAL), body, imaged).at(LEVEL_LPS_MM)
    assert (called, round(x_mm)) == ("midline (thecal_sac)", 15)


def test_a_mask_that_the_image_cuts_at_a_side_is_not_taken() -> None:
    grid = cut_grid()
    cut = ("sacrum", "bone", "bone", Cylinder((70.0, 30.0), (60.0, 30.0)))
    assert Midline(anatomy(grid, cut), body_of(grid)).at(LEVEL_LPS_MM)[1] == IMAGE_CENTRE


def test_a_body_cut_only_in_front_keeps_its_middle() -> None:
    grid = trunk_grid(None, (3.0, 2.0, 2.0), (90.0, 160.0, 360.0), (0.0, 30.0, 40.0))
    x_mm, called = Midline(StructureSet(grid=grid), body_of(grid)).at(LEVEL_LPS_MM)
    assert called == "midline (middle of the body)"
    assert x_mm == pytest.approx(12.0, abs=TOL_MM)


def test_one_arm_does_not_move_the_middle() -> None:
    grid = trunk_grid(None, (3.0, 2.0, 2.0), (90.0, 240.0, 560.0))
    at = points_of(grid)
    free = Mask(grid=grid, inside=(TRUNK.distance_mm(at) < 0) | (LEFT_ARM.distance_mm(at) < 0))
    x_mm, called = Midline(StructureSet(grid=grid), free).at(LEVEL_LPS_MM)
    assert called == "midline (middle of the body)"
    assert x_mm == pytest.approx(0.0, abs=TOL_MM)
    touching = Cylinder((178.0, 10.0), (60.0, 30.0))
    joined = Mask(grid=grid, inside=(TRUNK.distance_mm(at) < 0) | (touching.distance_mm(at) < 0))
    assert Midline(StructureSet(grid=grid), joined).at(LEVEL_LPS_MM)[1] == IMAGE_CENTRE


def test_anatomy_far_from_the_level_is_not_taken() -> None:
    grid = trunk_grid(None, (3.0, 2.0, 2.0), (200.0, 250.0, 360.0))
    at = points_of(grid)
    inside = (CANAL[3].distance_mm(at) < 0) & (at[..., 2] > 90.0)
    canal = structure("thecal_sac", inside, grid, "avoid", "spinal_canal")
    midline = Midline(StructureSet(grid=grid, structures=(canal,)), body_of(grid))
    assert midline.at(np.array([0.0, 0.0, 30.0]))[1] == "midline (middle of the body)"
    assert midline.at(np.array([0.0, 0.0, 65.0]))[1] == "midline (thecal_sac)"


def words(name: str, axial_deg: float = -24.0) -> str:
    angles = Angles(axial_deg=axial_deg, craniocaudal_deg=0.0, skin_normal_deg=0.0)
    return entry_words(np.array([62.0, 0.0, 0.0]), angles, 91.0, (0.0, name))


def test_words_say_midline_only_of_the_patients() -> None:
    assert words("midline (sacrum)").startswith(
        "entry 62 mm left of midline (sacrum), 24 degrees towards midline"
    )
    text = words(IMAGE_CENTRE)
    assert text.startswith("entry 62 mm left of the image's centre line, 24 degrees towards it")
    assert "midline" not in text
