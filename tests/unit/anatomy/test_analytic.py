"""Regions of shapes of known size, on grids of every orientation, anisotropic and off centre."""

from __future__ import annotations

import numpy as np
import pytest

from planner.anatomy import find_region
from planner.errors import AnatomyError
from tests import anatomy_shapes as shapes
from tests.grids import ORIENTED_AXES

VOXEL_MM = 2.4
"""The longest edge of a voxel of these grids: nothing can be placed better than about this."""


SIDES = {"left": 1.0, "right": -1.0}


@pytest.fixture(scope="module")
def grid():
    """The hardest of the grids: oblique, flipped, anisotropic."""
    return shapes.grid_about(ORIENTED_AXES["oblique_flipped"])


@pytest.fixture(params=sorted(ORIENTED_AXES), scope="module")
def orientation(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def spine(orientation: str):
    grid = shapes.grid_about(ORIENTED_AXES[orientation])
    return shapes.structures_of(grid, shapes.spine_masks(grid))


@pytest.fixture
def side(orientation: str) -> str:
    """Each side on half of the grids."""
    return "left" if sorted(ORIENTED_AXES).index(orientation) % 2 else "right"


def angle_deg(one, other) -> float:
    return float(np.degrees(np.arccos(np.clip(abs(one @ other), 0.0, 1.0))))


def points_of(region) -> np.ndarray:
    return region.mask.grid.to_lps(np.argwhere(region.mask.inside))


@pytest.mark.parametrize(("level", "middle"), [("L3", 18.5), ("L4", -18.5)])
def test_the_body(spine, level: str, middle: float) -> None:
    region = find_region(f"vertebra:{level}", spine)
    np.testing.assert_allclose(region.centre_lps_mm, shapes.lps_of((0, 0, middle)), atol=VOXEL_MM)
    assert angle_deg(region.plane_normal_lps, shapes.POSE[:, 2]) < 3.0
    local = (points_of(region) - shapes.CENTRE_LPS_MM) @ shapes.POSE
    assert np.abs(local[:, 0]).max() < shapes.BODY_HALF_MM[0] - 1.5
    assert np.abs(local[:, 1]).max() < shapes.BODY_HALF_MM[1] - 1.5
    assert np.abs(local[:, 2] - middle).max() < shapes.BODY_HALF_MM[2] - 1.5


def test_the_pedicle_errs_small(spine, side: str) -> None:
    sign = SIDES[side]
    region = find_region(f"pedicle:L4:{side}", spine)
    assert region.side == side
    truth = shapes.lps_of((sign * shapes.PEDICLE_X_MM, 20.0, -18.5 + shapes.PEDICLE_H_MM))
    off = (region.centre_lps_mm - truth) @ shapes.POSE
    assert abs(off[0]) < 1.5
    assert abs(off[1]) < 4.0  # along the pedicle any place is as narrow
    assert abs(off[2]) < 4.0  # it is taller than wide
    assert angle_deg(region.axis_lps, shapes.POSE[:, 1]) < 12.0
    assert region.axis_lps @ shapes.POSE[:, 1] < 0.0
    width = region.measures["pedicle_width_mm"]
    assert width <= shapes.PEDICLE_WIDTH_MM
    assert width >= shapes.PEDICLE_WIDTH_MM - 2.2 * region.measures["resolution_mm"]
    assert region.measures["pedicle_height_mm"] <= shapes.PEDICLE_HEIGHT_MM
    bone = spine["vertebrae_L4"].mask.inside
    assert not (region.corridor.inside & ~bone).any()
    local = (points_of(region) - shapes.CENTRE_LPS_MM) @ shapes.POSE
    assert (sign * local[:, 0] > 5.0).all()


def test_a_pedicle_without_bone_is_refused(grid) -> None:
    masks = shapes.spine_masks(grid)
    local = shapes.local_of(grid)
    bridge = (local[..., 0] > 0.0) & (local[..., 1] > 15.5) & (local[..., 1] < 26.0)
    masks["vertebrae_L4"] = masks["vertebrae_L4"] & ~bridge
    cut = shapes.structures_of(grid, masks)
    assert find_region("pedicle:L4:right", cut).side == "right"
    with pytest.raises(AnatomyError, match="no left pedicle of L4 is to be seen"):
        find_region("pedicle:L4:left", cut)


def test_a_label_half_a_voxel_too_thick_makes_no_pedicle_wider_than_it_is() -> None:
    grid = shapes.grid_about(ORIENTED_AXES["oblique_flipped"], (1.6, 1.6, 1.6))
    structures = shapes.structures_of(grid, shapes.spine_masks(grid, grown_mm=0.8))
    measures = find_region("pedicle:L4:left", structures).measures
    seen_mm = measures["pedicle_width_mm"] + measures["resolution_mm"]
    assert seen_mm > shapes.PEDICLE_WIDTH_MM >= measures["pedicle_width_mm"]


def test_a_corridor_is_nowhere_in_the_canal(grid) -> None:
    masks = shapes.spine_masks(grid)
    x, a, _ = np.moveaxis(shapes.local_of(grid), -1, 0)
    masks["spinal_canal"] |= np.hypot(x, a - shapes.CANAL_A_MM) <= shapes.CANAL_RADIUS_MM + 4.0
    assert (masks["spinal_canal"] & masks["vertebrae_L4"]).any()
    region = find_region("pedicle:L4:left", shapes.structures_of(grid, masks))
    assert not (region.corridor.inside & masks["spinal_canal"]).any()


def test_a_narrower_pedicle_is_never_wider(grid) -> None:
    masks = shapes.spine_masks(grid)
    local = shapes.local_of(grid)
    shaved = (local[..., 1] > 15.0) & (local[..., 1] < 27.0) & (np.abs(local[..., 0]) > 16.5)
    before = find_region("pedicle:L4:left", shapes.structures_of(grid, masks))
    masks["vertebrae_L4"] = masks["vertebrae_L4"] & ~shaved
    after = find_region("pedicle:L4:left", shapes.structures_of(grid, masks))
    assert after.measures["pedicle_width_mm"] <= before.measures["pedicle_width_mm"]
    assert after.measures["pedicle_width_mm"] <= 5.5


def test_the_disc_as_the_gap_between_two_bodies(spine) -> None:
    region = find_region("disc:L3-L4", spine)
    np.testing.assert_allclose(region.centre_lps_mm, shapes.lps_of((0, 0, 0)), atol=VOXEL_MM)
    assert angle_deg(region.plane_normal_lps, shapes.POSE[:, 2]) < 2.5
    tilt = np.degrees(np.arccos(shapes.POSE[2, 2]))
    assert region.measures["disc_obliquity_deg"] == pytest.approx(tilt, abs=2.5)
    assert 11.0 - 2 * VOXEL_MM <= region.measures["disc_height_mm"] <= 11.0
    assert "no label" in region.warnings[0]
    for name in ("vertebrae_L3", "vertebrae_L4", "spinal_canal"):
        assert not (region.mask.inside & spine[name].mask.inside).any()


def test_the_disc_by_its_label(grid) -> None:
    masks = shapes.spine_masks(grid)
    x, a, h = np.moveaxis(shapes.local_of(grid), -1, 0)
    masks["disc_L3_L4"] = (np.hypot(x / 22.0, a / 14.0) <= 1.0) & (np.abs(h) <= 5.0)
    region = find_region("disc:L3-L4", shapes.structures_of(grid, masks))
    assert np.array_equal(region.mask.inside, masks["disc_L3_L4"])
    np.testing.assert_allclose(region.centre_lps_mm, shapes.lps_of((0, 0, 0)), atol=VOXEL_MM)
    assert angle_deg(region.plane_normal_lps, shapes.POSE[:, 2]) < 2.5
    assert region.measures["disc_height_mm"] <= 10.0
    assert region.warnings == ()


def test_the_foramen_lies_between_the_pedicles(spine, side: str) -> None:
    sign = SIDES[side]
    region = find_region(f"foramen:L3-L4:{side}", spine)
    top = shapes.PITCH_MM / 2 + shapes.PEDICLE_H_MM - shapes.PEDICLE_HEIGHT_MM / 2
    bottom = -shapes.PITCH_MM / 2 + shapes.PEDICLE_H_MM + shapes.PEDICLE_HEIGHT_MM / 2
    truth = shapes.lps_of((sign * shapes.PEDICLE_X_MM, 21.0, (top + bottom) / 2))
    off = (region.centre_lps_mm - truth) @ shapes.POSE
    assert abs(off[0]) < 2.5
    assert abs(off[1]) < 4.0
    assert abs(off[2]) < 3.0
    assert top - bottom - 2.2 * VOXEL_MM * 1.5 <= region.measures["foramen_height_mm"]
    assert region.measures["foramen_height_mm"] <= top - bottom
    assert region.axis_lps @ shapes.POSE[:, 0] * -sign > np.cos(np.radians(10.0))
    for name in spine:
        assert not (region.mask.inside & spine[name].mask.inside).any()
    local = (points_of(region) - shapes.CENTRE_LPS_MM) @ shapes.POSE
    assert (sign * local[:, 0] > 5.0).all()


def test_labels_turned_back_to_front_are_refused(grid) -> None:
    masks = shapes.spine_masks(grid)
    local = shapes.local_of(grid) * (1.0, -1.0, 1.0)  # a mirror: the canal in front
    turned = {"spinal_canal": shapes.canal(local)}
    for level, middle in (("L3", shapes.PITCH_MM / 2), ("L4", -shapes.PITCH_MM / 2)):
        parts = shapes.vertebra_parts(local, middle)
        turned[f"vertebrae_{level}"] = parts["body"] | parts["pedicle"] | parts["arch"]
    assert set(turned) == set(masks)
    with pytest.raises(AnatomyError):
        find_region("vertebra:L4", shapes.structures_of(grid, turned))


@pytest.mark.parametrize("axes", sorted(ORIENTED_AXES))
@pytest.mark.parametrize(("side", "angle"), [("left", 15.0), ("right", 30.0), ("left", 30.0)])
def test_the_sacroiliac_joint(axes: str, side: str, angle: float) -> None:
    grid, sign = shapes.grid_about(ORIENTED_AXES[axes]), SIDES[side]
    masks = shapes.plates(grid, 3.0, angle)
    structures = shapes.structures_of(grid, masks)
    region = find_region(f"si_joint:{side}", structures)
    slope = np.radians(angle)
    normal = shapes.POSE @ (sign * np.cos(slope), np.sin(slope), 0.0)
    assert angle_deg(region.plane_normal_lps, normal) < 4.0
    local = (points_of(region) - shapes.CENTRE_LPS_MM) @ shapes.POSE
    assert (local[:, 2] <= -30.0 + 20.0 + 6.0).all()  # the lower third, of patient height
    assert (local[:, 1] >= -6.0).all()  # the posterior half
    assert (sign * local[:, 0] > 0.0).all()
    assert region.measures["joint_gap_mm"] <= 3.0
    assert region.measures["joint_height_mm"] == pytest.approx(60.0, abs=12.0)
    into = shapes.POSE.T @ region.axis_lps
    assert into[1] < -0.8
    assert not (region.mask.inside & masks["sacrum"]).any()


def test_a_joint_finer_than_the_voxels_says_so(grid) -> None:
    structures = shapes.structures_of(grid, shapes.plates(grid, 0.2, 25.0))
    region = find_region("si_joint:left", structures)
    assert region.measures["touching_frac"] > 0.5
    assert "labels of the bones touch" in region.warnings[0]


def test_bones_far_apart_are_no_joint(grid) -> None:
    structures = shapes.structures_of(grid, shapes.plates(grid, 12.0, 20.0))
    with pytest.raises(AnatomyError, match="do not face each other closely"):
        find_region("si_joint:left", structures)


def test_left_and_right_of_the_labels_are_the_patients(grid) -> None:
    masks = shapes.plates(grid, 3.0, 20.0)
    swapped = {**masks, "hip_left": masks["hip_right"], "hip_right": masks["hip_left"]}
    with pytest.raises(AnatomyError, match="on the other side of the patient"):
        find_region("si_joint:left", shapes.structures_of(grid, swapped))
    alone = {"sacrum": masks["sacrum"], "hip_left": masks["hip_right"]}
    with pytest.raises(AnatomyError, match="on the other side of the patient"):
        find_region("si_joint:left", shapes.structures_of(grid, alone))


def test_vertebrae_that_touch_nowhere_have_no_facet_joint(grid) -> None:
    structures = shapes.structures_of(grid, shapes.spine_masks(grid))
    with pytest.raises(AnatomyError, match="do not face each other in the labels"):
        find_region("facet:L3-L4:left", structures)


class TestDirectionOfAWidePedicle:
    """A straight pedicle 16 mm wide takes a cannula in many directions."""

    def region(self, monkeypatch, level: str, width_mm: float = 16.0):
        monkeypatch.setattr(shapes, "PEDICLE_WIDTH_MM", width_mm)
        monkeypatch.setattr(shapes, "PEDICLE_X_MM", 9.0 + width_mm / 2)
        grid = shapes.grid_about(ORIENTED_AXES["oblique_flipped"], (1.3, 1.1, 1.2))
        masks = shapes.spine_masks(grid)
        named = {f"vertebrae_{level}": masks["vertebrae_L4"], "spinal_canal": masks["spinal_canal"]}
        return find_region(f"pedicle:{level}:left", shapes.structures_of(grid, named))

    @pytest.mark.parametrize(("level", "published"), [("L5", 30.0), ("L4", 18.0), ("L1", 11.0)])
    def test_the_published_one_is_taken_and_leaves_room(self, monkeypatch, level, published):
        region = self.region(monkeypatch, level)
        yaw = np.degrees(np.arcsin(-region.axis_lps @ shapes.POSE[:, 0]))
        assert yaw == pytest.approx(published, abs=6.0)
        assert region.measures["pedicle_width_mm"] >= 6.0

    def test_of_a_level_without_one_the_middle_is_taken(self, monkeypatch):
        region = self.region(monkeypatch, "T9")
        yaw = np.degrees(np.arcsin(-region.axis_lps @ shapes.POSE[:, 0]))
        assert 0.0 <= yaw <= 25.0

    def test_a_narrow_one_keeps_its_own(self, monkeypatch):
        region = self.region(monkeypatch, "L5", 7.0)
        yaw = np.degrees(np.arcsin(-region.axis_lps @ shapes.POSE[:, 0]))
        assert abs(yaw) <= 9.0
