"""Masks that contradict themselves, each other, or their names."""

import json

import nibabel
import numpy as np
import pytest

import planner
from planner.geometry import Mask
from planner.io.structure_checks import LEFT_RIGHT, check_structures, side_of_name
from planner.model import MaskSource, Structure, StructureRole, StructureSet, Verdict
from tests.metal_truths import grid_of, points_lps_mm
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

ORIENTATIONS = ["axial", "sagittal", "oblique", "flipped", "oblique_flipped"]


def structure(name, grid, inside, role=StructureRole.AVOID, cls=None):
    return Structure(
        name=name,
        role=role,
        mask=Mask(grid=grid, inside=inside),
        source=MaskSource(file="m.nii.gz", grid=grid),
        structure_class=cls,
    )


class Room:
    """A grid, and balls and boxes in it by patient coordinates."""

    def __init__(self, orientation="oblique"):
        self.grid = grid_of(orientation, (30, 40, 44), (3.0, 2.0, 1.8))
        self.points = points_lps_mm(self.grid)

    def ball(self, centre, radius=6.0):
        return np.linalg.norm(self.points - np.array(centre), axis=-1) <= radius

    def of(self, name, centre, radius=6.0, role=StructureRole.AVOID, cls=None):
        return structure(name, self.grid, self.ball(centre, radius), role, cls)


@pytest.fixture(params=ORIENTATIONS)
def room(request):
    return Room(request.param)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("kidney_left", "left"),
        ("Kidney, right", "right"),
        ("kidneyLeft", "left"),
        ("L_kidney", "left"),
        ("nerve R", "right"),
        ("N. ischiadicus links", "left"),
        ("rein droit", "right"),
        ("L5", None),
        ("L5 root", None),
        ("vertebrae_L5", None),
        ("L 5 root", None),
        ("R5_left", "left"),
        ("left and right roots", None),
        ("bright spot", None),
        ("leftover", None),
        ("liver", None),
    ],
)
def test_side_of_a_name(name, side):
    assert side_of_name(name) == side


def test_left_on_the_right_of_its_twin(room):
    swapped = [room.of("kidney_left", (-25, 0, 0)), room.of("kidney_right", (25, 0, 0))]
    warnings, findings = check_structures(swapped)
    assert {f.structure for f in findings} == {"kidney_left", "kidney_right"}
    assert all(f.verdict is Verdict.CAUTION and f.constraint == LEFT_RIGHT for f in findings)
    assert any("LEFT AND RIGHT" in w and "kidney_right" in w for w in warnings)
    right_way = [room.of("kidney_left", (25, 0, 0)), room.of("kidney_right", (-25, 0, 0))]
    assert check_structures(right_way)[1] == []


def test_twins_may_both_lie_on_one_side_of_the_image(room):
    both = [room.of("hip_left", (28, 0, 0)), room.of("hip_right", (10, 0, 0))]
    assert check_structures(both)[1] == []


def test_alone_against_the_spine_of_its_level(room):
    spine = room.of("spinal_cord", (12, 0, 0), 4.0, cls="spinal_canal")
    wrong = room.of("kidney_left", (-6, 0, 0))
    (finding,) = check_structures([spine, wrong])[1]
    assert "spinal_cord" in finding.note and finding.measured == pytest.approx(18, abs=1.5)
    right = room.of("kidney_left", (26, 0, 0))
    assert check_structures([spine, right])[1] == []


def test_alone_against_the_image(room):
    (finding,) = check_structures([room.of("kidney_left", (-25, 0, 0))])[1]
    assert "middle of the image" in finding.note
    assert check_structures([room.of("kidney_left", (25, 0, 0))])[1] == []
    # across the middle: nothing to say
    assert check_structures([room.of("nerve_left", (-1, 0, 0))])[1] == []


def test_one_limb_has_structures_of_its_side_on_both_sides_of_its_middle(room):
    """An artery medial in the left thigh, a muscle lateral: the limb's middle parts no patient."""
    skin = room.of("skin", (0, 0, 0), 28.0, StructureRole.BODY)
    artery, muscle = room.of("artery_left", (-16, 0, 0)), room.of("muscle_left", (15, 0, 0))
    assert check_structures([skin, artery, muscle])[1] == []
    # mirrored, all of them lie on the wrong side
    other = room.of("muscle_left", (-8, 12, 0))
    found = {f.structure for f in check_structures([skin, artery, other])[1]}
    assert found == {"artery_left", "muscle_left"}
    # a name of the other side, or the spine, tells that the image holds more than one limb
    vein = room.of("vein_right", (-15, -14, 0))
    found = {f.structure for f in check_structures([skin, artery, muscle, vein])[1]}
    assert found == {"artery_left"}
    spine = room.of("spinal_cord", (3, 0, 0), 4.0, cls="spinal_canal")
    found = {f.structure for f in check_structures([skin, artery, muscle, spine])[1]}
    assert found == {"artery_left"}


def test_level_names_are_no_sides(room):
    assert check_structures([room.of("L5 root", (-25, 0, 0))])[1] == []


def test_specks_are_told_and_kept(room):
    inside = room.ball((0, 0, 0), 12.0)
    inside[2, 3, 4] = True
    nerve = structure("nerve", room.grid, inside)
    target = structure("lesion", room.grid, inside, StructureRole.TARGET)
    (text,) = [w for w in check_structures([nerve])[0] if "specks" in w]
    assert "nerve (1 speck, 1 voxel)" in text and inside[2, 3, 4]
    (text,) = [w for w in check_structures([target])[0] if "specks" in w]
    assert "centroid" in text


def test_two_equal_parts_are_no_specks(room):
    inside = room.ball((20, 0, 0)) | room.ball((-20, 0, 0))
    warnings, _ = check_structures([structure("nerves", room.grid, inside)])
    assert not any("specks" in w for w in warnings)


def test_cut_by_the_image(room):
    inside = np.zeros(room.grid.shape_kji, bool)
    inside[0, 10:14, 10:14] = True
    (text,) = [
        w for w in check_structures([structure("aorta", room.grid, inside)])[0] if "cut by" in w
    ]
    assert "aorta" in text
    body = structure("skin", room.grid, inside, StructureRole.BODY)
    assert not any("cut by" in w for w in check_structures([body])[0])
    assert not any("cut by" in w for w in check_structures([room.of("aorta", (0, 0, 0))])[0])


def test_a_target_within_what_is_to_be_avoided(room):
    lesion = room.of("lesion", (0, 0, 0), role=StructureRole.TARGET)
    nerve = room.of("nerve", (6, 0, 0))
    (text,) = [w for w in check_structures([lesion, nerve])[0] if "overlaps" in w]
    n = np.count_nonzero(lesion.mask.inside & nerve.mask.inside)
    assert f"in {n} voxels" in text and "lesion" in text and "nerve" in text
    apart = room.of("nerve", (25, 0, 0))
    assert not any("overlaps" in w for w in check_structures([lesion, apart])[0])


def test_allowed_within_avoided_says_who_wins(room):
    fat = room.of("fat", (0, 0, 0), role=StructureRole.ALLOWED)
    text = " ".join(check_structures([fat, room.of("nerve", (5, 0, 0))])[0])
    assert "avoided there: fat and nerve (" in text


def test_one_file_under_two_names(room):
    twins = [room.of("aorta", (0, 0, 0)), room.of("vena cava", (0, 0, 0))]
    assert any("same voxels" in w for w in check_structures(twins)[0])
    apart = [room.of("aorta", (0, 0, 0)), room.of("vena cava", (4, 0, 0))]
    assert not any("same voxels" in w for w in check_structures(apart)[0])


def test_a_mismatch_reaches_every_path_and_verify(tmp_path):
    """From a file to the plan: caution, told, and not to be taken out of the plan."""
    volume, given = trunk()
    points = points_lps_mm(volume.grid)
    inside = np.linalg.norm(points - (TARGET_LPS_MM + [-50, 0, 0]), axis=-1) <= 6
    ras = np.diag([-1.0, -1, 1, 1]) @ volume.grid.lps_from_kji[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.ascontiguousarray(inside.astype(np.uint8).T), ras)
    image.set_qform(ras, 1)
    image.set_sform(ras, 1)
    nibabel.save(image, tmp_path / "kidney_left.nii.gz")
    read = planner.load_structures([tmp_path / "kidney_left.nii.gz"], like=volume)
    assert read.findings
    masks = StructureSet(
        grid=volume.grid,
        structures=(*given.structures, *read.structures),
        findings=read.findings,
    )
    result = planner.plan(volume, TARGET_LPS_MM, simple_protocol(), masks, top=2)
    assert result.trajectories
    for path in result.trajectories:
        assert any(f.constraint == LEFT_RIGHT for f in path.findings)
        assert path.verdict is not Verdict.PASS
    file = tmp_path / "plan.json"
    planner.save_plan(result, file)
    plan = json.loads(file.read_text())
    claims = [c.claim for c in planner.verify_plan(planner.load_plan(file), volume, masks).failures]
    assert not any(LEFT_RIGHT in claim for claim in claims)
    for path in plan["trajectories"]:
        path["findings"] = [f for f in path["findings"] if f["constraint"] != LEFT_RIGHT]
    file.write_text(json.dumps(plan))
    report = planner.verify_plan(planner.load_plan(file), volume, masks)
    assert any(LEFT_RIGHT in c.claim for c in report.failures)


@pytest.mark.parametrize("role", [StructureRole.ALLOWED, StructureRole.BODY])
def test_faults_of_what_may_be_crossed_are_not_told(room, role):
    inside = room.ball((0, 0, 0), 12.0)
    inside[0, 0, 0] = True
    assert check_structures([structure("muscle", room.grid, inside, role)])[0] == []
