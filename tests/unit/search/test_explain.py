"""Why nothing is feasible: the target in or beside a structure, wrong frames, counts in words."""

from __future__ import annotations

import numpy as np
import pytest

import planner
from planner.errors import OutsideVolumeError, TargetError
from planner.model import Angles, StructureRole, StructureSet, Verdict
from planner.search.target_fault import CHECK_FRAME
from planner.search.words import entry_words
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk


@pytest.fixture(scope="module")
def scene():
    return trunk("axial")


def _plan(volume, structures, target=TARGET_LPS_MM, **options):
    options = {
        "procedure": simple_protocol(),
        "table_side": "none",
        "entry_spacing_mm": 3.0,
    } | options
    return planner.plan(volume, target, structures=structures, **options)


def _changed(structures, drop, add):
    kept = tuple(s for s in structures.structures if s.name != drop)
    return StructureSet(grid=structures.grid, structures=(*kept, add))


def messages(result) -> list[str]:
    return [e.message for e in result.explanation]


def test_a_target_inside_a_structure_is_said_first_with_its_role(scene):
    result = _plan(*scene, target=(-10.0, -14.0, 0.0))
    assert result.verdict is Verdict.FAIL
    first, hint = result.explanation[:2]
    assert (first.code, hint.code) == ("target_inside", CHECK_FRAME)
    assert first.message == "The target lies inside 'aorta' (avoid)."
    assert "LPS (10.0, 14.0, 0.0) mm, inside the body and outside 'aorta'." in hint.message


def test_a_vessel_is_not_proposed_as_a_target_but_a_lesion_or_a_bone_is(scene):
    volume, structures = scene
    inside = structures["aorta"].mask.inside
    for role, structure_class, is_proposed in (
        (StructureRole.AVOID, "vessel", False),
        (StructureRole.AVOID, "nerve", False),
        (StructureRole.AVOID, None, True),
        (StructureRole.AVOID, "lesion", True),
        (StructureRole.BONE, "bone", True),
    ):
        odd = structure("odd one", inside, volume.grid, role, structure_class)
        result = _plan(volume, _changed(structures, "aorta", add=odd), target=(-10.0, -14.0, 0.0))
        said = " ".join(messages(result))
        assert f"inside 'odd one' ({role.value})" in said
        assert ("--role 'odd one=target' (or =allowed)" in said) is is_proposed


def test_a_target_too_near_to_a_structure_gives_the_numbers(scene):
    volume, structures = scene
    nerve = structures["nerve"].mask
    at = nerve.grid.to_lps(np.argwhere(nerve.inside).mean(axis=0))
    wide = structures["nerve"].with_role(StructureRole.AVOID, 20.0)
    changed = _changed(structures, "nerve", add=wide)
    target = at + np.array([0.0, -12.0, 0.0])
    assert not bool(nerve.contains(target))
    result = _plan(volume, changed, target=target)
    near = [e for e in result.explanation if e.code == "target_too_near"]
    assert len(near) == 1
    box = np.argwhere(nerve.inside)
    half = 0.5
    axes = nerve.grid.to_kji(target)
    gap = np.abs(np.clip(axes, box - half, box + half) - axes) * nerve.grid.spacing_kji_mm
    exact = np.linalg.norm(gap, axis=1).min()
    assert f"lies {exact:.2f} mm from 'nerve'" in near[0].message
    assert "20 mm are needed" in near[0].message


def test_a_target_with_room_blames_no_structure(scene):
    result = _plan(*scene, needle=planner.parse_needle("22G-50"))
    codes = {e.code for e in result.explanation}
    assert not codes & {"target_inside", "target_too_near", CHECK_FRAME}


def test_a_target_outside_the_image_says_what_the_other_frame_would_give(scene):
    with pytest.raises(OutsideVolumeError, match="LPS or RAS: --frame.*outside the image as well"):
        _plan(*scene, target=(-500.0, 0.0, 0.0))


def test_a_target_in_the_air_says_whether_the_other_frame_is_in_the_body(scene):
    volume, structures = scene
    body = structures.with_role(StructureRole.BODY)[0]
    points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
    left = body.mask.inside & (points[..., 0] > -10.0)
    half = structure(body.name, left, volume.grid, StructureRole.BODY, None)
    with pytest.raises(TargetError, match=r"LPS or RAS: --frame.*inside the body\.$"):
        _plan(volume, _changed(structures, body.name, half), target=(-30.0, 0.0, 1.0))
    with pytest.raises(TargetError, match="outside the body"):
        _plan(volume, _changed(structures, body.name, half), target=(-78.0, 60.0, 1.0))


def test_numbers_of_one_are_singular():
    def words(axial_deg, tilt_deg, middle="midline"):
        angles = Angles(axial_deg=axial_deg, craniocaudal_deg=tilt_deg, skin_normal_deg=0.0)
        return entry_words(np.array([50.0, 0.0, 0.0]), angles, 40.0, (0.0, middle))

    assert "1 degree towards midline, 1 degree cranial" in words(-1.2, 0.8)
    assert "2 degrees towards midline, 11 degrees caudal" in words(-1.6, -11.0)
    said = words(-20.0, 0.0, "the scanner's centre line")
    assert "50 mm left of the scanner's centre line, 20 degrees towards it" in said
    assert "towards midline" in words(-20.0, 0.0, "midline (thecal_sac)")


def test_a_wall_around_a_target_with_room_is_not_the_targets_fault(scene):
    volume, structures = scene
    points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
    away_mm = np.linalg.norm((points - TARGET_LPS_MM)[..., :2], axis=-1)
    ring = (away_mm > 30.0) & (away_mm < 35.0)
    wall = structure("wall", ring, volume.grid, StructureRole.AVOID, None)
    result = _plan(volume, _changed(structures, "", add=wall))
    assert result.verdict is Verdict.FAIL
    removed = next(e for e in result.explanation if e.constraint == "clearance:wall")
    assert removed.n_removed == len(result.candidates)
    assert not {e.code for e in result.explanation} & {"target_inside", "target_too_near"}
