"""A needle as it lies against its plan: errors by formula, clearances of simple bodies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from planner.compare import ActualNeedle, compare_needle, oriented, placement_errors
from planner.compare.doubts import METAL_NOTE, TURNED_NOTE
from planner.compare.needle import COVER_NOTE, MARGINS_NOTE, NO_MASKS
from planner.compare.texts import comparison_json, comparison_text
from planner.errors import DegenerateGeometryError, InputError
from planner.geometry.clearance import MaskIndex
from planner.geometry.digest import mask_sha256
from planner.io.plan_document import FindingRecord, RegionRecord
from planner.io.plan_file import plan_document
from planner.model import Evidenced, MarginRule, TerminalRule, Verdict
from tests.mr_scene import with_mr
from tests.plan_factory import make_result

coordinate = st.floats(-200.0, 200.0)
point = st.tuples(coordinate, coordinate, coordinate).map(np.array)


def needle(entry, tip, words="given"):
    return ActualNeedle(
        entry_lps_mm=np.array(entry, float), tip_lps_mm=np.array(tip, float), name="n", words=words
    )


def test_along_and_off_axis_are_told_apart():
    """Planned along -y; the tip 2 mm too deep, 3 mm to the left and 4 mm to the head."""
    e = placement_errors((0, 50, 0), (0, 0, 0), (0, 50, 0), (3, -2, 4), target_lps_mm=(0, 0, 0))
    assert e.tip_along_mm == pytest.approx(2.0)
    assert e.tip_off_axis_mm == pytest.approx(5.0)
    assert e.tip_off_axis_lps == pytest.approx([3.0, 0.0, 4.0])
    assert e.tip_mm == pytest.approx(np.sqrt(29.0))
    assert e.tip_to_target_mm == pytest.approx(np.sqrt(29.0))
    assert e.actual_depth_mm == pytest.approx(np.sqrt(25 + 52**2))
    assert e.depth_mm == pytest.approx(np.sqrt(25 + 52**2) - 50)
    assert e.angle_deg == pytest.approx(np.degrees(np.arctan2(5.0, 52.0)))


def test_depth_error_alone_is_no_off_axis_error():
    e = placement_errors((0, 50, 0), (0, 0, 0), (0, 50, 0), (0, 7, 0), target_lps_mm=(0, 0, 0))
    assert e.tip_along_mm == pytest.approx(-7.0)
    assert e.tip_off_axis_mm == pytest.approx(0.0, abs=1e-12)
    assert e.depth_mm == pytest.approx(-7.0)
    assert e.angle_deg == pytest.approx(0.0, abs=1e-12)


def test_entry_error_across_does_not_depend_on_where_the_shaft_was_marked():
    for up in (0.0, 30.0):
        e = placement_errors(
            (0, 50, 0), (0, 0, 0), (2, 50 + up, 0), (2, 0, 0), target_lps_mm=(0, 0, 0)
        )
        assert e.entry_off_axis_mm == pytest.approx(2.0)
    assert e.entry_mm == pytest.approx(np.hypot(2, 30))


@settings(max_examples=50, deadline=None)
@given(point, point, point, point, st.integers(0, 10**6))
def test_errors_do_not_depend_on_the_frame(a, b, c, d, seed):
    if min(np.linalg.norm(b - a), np.linalg.norm(d - c)) < 1.0:
        return
    turn = Rotation.random(random_state=seed).as_matrix()
    move = np.array([12.0, -40.0, 300.0])
    here = placement_errors(a, b, c, d, target_lps_mm=b)
    there = placement_errors(
        *(turn @ p + move for p in (a, b, c, d)), target_lps_mm=turn @ b + move
    )
    for name in ("tip_mm", "tip_along_mm", "tip_off_axis_mm", "entry_mm", "entry_off_axis_mm",
                 "depth_mm"):  # fmt: skip
        assert getattr(there, name) == pytest.approx(getattr(here, name), abs=1e-8)
    assert there.angle_deg == pytest.approx(here.angle_deg, abs=1e-6)
    assert np.hypot(here.tip_along_mm, here.tip_off_axis_mm) == pytest.approx(here.tip_mm)


@pytest.mark.parametrize("bad", [(0, 0, np.nan), (0, 0, np.inf)])
def test_points_that_are_no_points_are_refused(bad):
    with pytest.raises(DegenerateGeometryError, match="finite"):
        placement_errors((0, 0, 0), (0, 0, 9), (0, 0, 1), bad, target_lps_mm=(0, 0, 0))


def test_a_needle_without_length_is_refused():
    with pytest.raises(DegenerateGeometryError, match="actual needle has no length"):
        placement_errors((0, 0, 0), (0, 0, 9), (1, 1, 1), (1, 1, 1), target_lps_mm=(0, 0, 0))


@pytest.fixture(scope="module")
def planned():
    """Drawn on CT, where metal is where it is; without the class that the phantom lacks."""
    result = make_result("oblique")
    return result, on_ct(plan_document(result))


def on_ct(plan):
    return plan.model_copy(update={"image": plan.image.model_copy(update={"modality": "CT"})})


def compared(planned, actual, **changes):
    result, plan = planned
    return compare_needle(
        changes.pop("plan", plan),
        actual,
        structures=changes.pop("structures", result.structures),
        image_grid=result.volume.grid,
        body=changes.pop("body", result.body),
        protocol=changes.pop("protocol", result.protocol),
        **changes,
    )


def planned_needle(plan, by=(0.0, 0.0, 0.0)):
    path = plan.trajectories[0]
    return needle(np.add(path.entry_lps_mm, by), np.add(path.tip_lps_mm, by))


def test_the_planned_needle_has_no_error_and_the_planned_clearances(planned):
    _, plan = planned
    found = compared(planned, planned_needle(plan))
    assert found.errors.tip_mm == 0.0
    assert found.errors.angle_deg == 0.0
    path = plan.trajectories[0]
    assert {c.structure for c in found.clearances} == set(path.clearance_mm)
    for item in found.clearances:
        # the factory samples the axis: never under the exact distance
        assert item.clearance_mm <= path.clearance_mm[item.structure] + 0.011
        assert item.clearance_mm == pytest.approx(path.clearance_mm[item.structure], abs=0.05)
        assert item.verdict in (Verdict.PASS, Verdict.CAUTION)
    rooms = [c.clearance_mm - c.required_mm for c in found.clearances]
    assert rooms == sorted(rooms)


def test_the_clearance_is_that_of_brute_force(planned):
    """Dense samples of the axis, throw included, against every voxel box."""
    result, plan = planned
    plan = plan.model_copy(update={"needle": plan.needle.model_copy(update={"throw_mm": 6.0})})
    actual = planned_needle(plan, by=(2.0, -1.5, 3.0))
    found = compared(planned, actual, plan=plan)
    along = actual.tip_lps_mm - actual.entry_lps_mm
    along /= np.linalg.norm(along)
    end = actual.tip_lps_mm + 6.0 * along
    samples = actual.entry_lps_mm + np.linspace(0, 1, 600)[:, None] * (end - actual.entry_lps_mm)
    for item in found.clearances[:2]:
        mask = result.structures[item.structure].mask
        half = mask.grid.spacing_kji_mm / 2
        boxes = np.argwhere(mask.inside) * mask.grid.spacing_kji_mm
        least = min(
            np.linalg.norm(np.maximum(np.abs(boxes - p) - half, 0), axis=1).min()
            for p in mask.grid.to_axes_mm(samples)
        )
        exact = least - plan.needle.outer_diameter_mm / 2
        assert exact - 0.011 <= item.clearance_mm + 0.02
        assert item.clearance_mm <= exact


def test_a_needle_in_the_nerve_fails(planned):
    result, plan = planned
    nerve = result.structures["nerve_root_L4_left"].mask
    centre = nerve.grid.to_lps(np.argwhere(nerve.inside).mean(axis=0))
    entry = np.array(plan.trajectories[0].entry_lps_mm)
    found = compared(planned, needle(entry, centre))
    item = next(c for c in found.clearances if c.structure == "nerve_root_L4_left")
    assert item.verdict is Verdict.FAIL
    assert item.clearance_mm == pytest.approx(-plan.needle.outer_diameter_mm / 2, abs=0.011)
    assert found.is_under_margin
    assert found.verdict is Verdict.FAIL


def test_without_masks_every_clearance_is_unknown(planned):
    _, plan = planned
    found = compare_needle(plan, planned_needle(plan))
    assert found.clearances
    assert {c.verdict for c in found.clearances} == {Verdict.UNKNOWN}
    assert {c.note for c in found.clearances} == {NO_MASKS}
    assert found.verdict is Verdict.UNKNOWN
    assert not found.is_under_margin


def test_without_any_structure_the_verdict_is_unknown(planned):
    _, plan = planned
    bare = plan.model_copy(update={"structures": ()})
    assert compare_needle(bare, planned_needle(plan)).verdict is Verdict.UNKNOWN


def test_a_required_class_that_is_missing_stays_unknown():
    result = make_result("axial", unknown=True)
    plan = plan_document(result)
    found = compare_needle(
        plan,
        planned_needle(plan),
        structures=result.structures,
        image_grid=result.volume.grid,
        body=result.body,
        protocol=result.protocol,
    )
    assert found.verdict is Verdict.UNKNOWN
    assert [c.structure for c in found.clearances if c.clearance_mm is None] == ["bowel"]


def test_a_needle_out_of_the_image_is_never_passed(planned):
    _result, plan = planned
    actual = planned_needle(plan)
    along = actual.entry_lps_mm - actual.tip_lps_mm
    far = needle(actual.tip_lps_mm + 40 * along, actual.tip_lps_mm)
    found = compared(planned, far)
    assert all(c.verdict in (Verdict.UNKNOWN, Verdict.FAIL) for c in found.clearances)
    assert any(COVER_NOTE in c.note for c in found.clearances)


def test_a_mask_of_a_smaller_grid_is_never_passed_beyond_it(planned):
    result, plan = planned
    name = "aorta"
    structure = result.structures[name]
    small = structure.mask.grid.cropped(np.array([0, 0, 0]), np.array([6, 20, 20]))
    changed = replace(structure, source=replace(structure.source, grid=small))
    others = tuple(changed if s.name == name else s for s in result.structures.structures)
    structures = replace(result.structures, structures=others)
    found = compare_needle(
        plan,
        planned_needle(plan),
        structures=structures,
        image_grid=result.volume.grid,
        body=result.body,
        protocol=result.protocol,
    )
    verdicts = {c.structure: c.verdict for c in found.clearances}
    assert verdicts.pop(name) is Verdict.UNKNOWN
    assert Verdict.UNKNOWN not in verdicts.values()


def test_beside_metal_masks_as_drawn_are_never_passed(planned):
    result, _ = planned
    plan = plan_document(with_mr(result))
    assert plan.implants
    found = compared(planned, planned_needle(plan), plan=plan)
    assert {c.verdict for c in found.clearances} <= {Verdict.UNKNOWN, Verdict.FAIL}
    assert any(METAL_NOTE in c.note for c in found.clearances)


def test_beside_metal_of_an_unknown_field_nothing_is_passed(planned):
    """No field was given at all: the shift is unknown, not zero. CT draws metal where it is."""
    _, plan = planned
    on_mr = plan.model_copy(update={"image": plan.image.model_copy(update={"modality": "MR"})})
    assert on_mr.mr is None and not on_mr.implants
    found = compared(planned, planned_needle(plan), plan=on_mr)
    assert {c.verdict for c in found.clearances} <= {Verdict.UNKNOWN, Verdict.FAIL}
    assert all(METAL_NOTE in c.note for c in found.clearances)
    assert compared(planned, planned_needle(plan)).verdict in (Verdict.PASS, Verdict.CAUTION)
    without = tuple(s for s in on_mr.structures if s.name != "pedicle_screw_right")
    bare = on_mr.model_copy(update={"structures": without})
    assert compared(planned, planned_needle(plan), plan=bare).verdict is not Verdict.UNKNOWN


def with_findings(plan, *findings, **of_path):
    path = plan.trajectories[0]
    changed = path.model_copy(update={"findings": (*path.findings, *findings), **of_path})
    return plan.model_copy(update={"trajectories": (changed, *plan.trajectories[1:])})


def finding(constraint, verdict="unknown", **values):
    given = {"structure": None, "measured": None, "required": None, "where_lps_mm": None}
    return FindingRecord(
        **{"constraint": constraint, "unit": "", "verdict": Verdict(verdict), **given, **values}
    )


@pytest.mark.parametrize("constraint", ["mr_unknown", "skin_unsure", "something_new"])
def test_what_the_plan_did_not_know_stays_unknown(planned, constraint):
    _, plan = planned
    doubtful = with_findings(plan, finding(constraint, note="nobody knows"))
    found = compared(planned, planned_needle(plan), plan=doubtful)
    assert found.verdict is Verdict.UNKNOWN
    told = comparison_text(doubtful, found)
    assert "NEEDLE AS IT LIES: UNKNOWN" in told
    assert f"{constraint.replace('_', ' ')}: nobody knows" in told
    assert len(comparison_json(doubtful, found)["unknowns"]) == 1


def test_what_is_measured_anew_is_not_carried(planned):
    """Coverage is of the planned path; a caution is no doubt."""
    _, plan = planned
    other = with_findings(plan, finding("coverage"), finding("direction", "caution"))
    assert compared(planned, planned_needle(plan), plan=other).unknowns == ()


def test_a_path_that_is_unknown_without_a_finding_stays_unknown(planned):
    _, plan = planned
    for changed in (
        with_findings(plan, verdict=Verdict.UNKNOWN),
        plan.model_copy(update={"verdict": Verdict.UNKNOWN}),
    ):
        found = compared(planned, planned_needle(plan), plan=changed)
        assert found.verdict is Verdict.UNKNOWN and found.unknowns


NERVE = "nerve_root_L4_left"


def beside_nerve(result, plan, room_mm, *, at_mm=0.0):
    """The planned needle moved so that the nerve is ``room_mm`` from its outside."""
    nerve = MaskIndex(result.structures[NERVE].mask)
    path = plan.trajectories[0]
    entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
    towards = np.array([-1.0, 0.0, 0.0])

    def gap_mm(by):
        ends = entry + by * towards, tip + by * towards
        found = nerve.closest_approach(*(end[None] for end in ends))
        return float(found.distance_mm[0]) - plan.needle.outer_diameter_mm / 2

    by = brentq(lambda by: gap_mm(by) - room_mm, -20.0, 20.0)
    return needle(entry + by * towards, tip + by * towards)


def row(found, name, *, is_shaft=False):
    return next(c for c in found.clearances if c.structure == name and bool(c.part) is is_shaft)


def test_under_a_soft_margin_is_a_caution(planned):
    """The record holds the floor; the procedure wants 5 mm softly."""
    result, plan = planned
    soft = MarginRule(
        structure_class="nerve", margin=Evidenced(value=5.0, evidence="E"), required=True,
        hard=False,
    )  # fmt: skip
    protocol = replace(result.protocol, margins=(soft, result.protocol.margins[1]))
    records = tuple(
        s.model_copy(update={"margin_mm": 0.01}) if s.structure_class == "nerve" else s
        for s in plan.structures
    )
    plan = plan.model_copy(update={"structures": records})
    for room_mm, verdict in ((3.0, Verdict.CAUTION), (4.9, Verdict.CAUTION), (6.0, Verdict.PASS)):
        actual = beside_nerve(result, plan, room_mm)
        found = compared(planned, actual, plan=plan, protocol=protocol)
        assert row(found, NERVE).verdict is verdict
        assert row(found, NERVE).soft_mm == 5.0
        assert "5.00 (soft)" in comparison_text(plan, found)
    assert row(compared(planned, planned_needle(plan), plan=plan, protocol=None), NERVE
               ).verdict is Verdict.UNKNOWN  # fmt: skip


def test_a_procedure_that_is_not_known_passes_nothing_but_margins_of_the_user(planned):
    result, plan = planned
    other = replace(result.protocol, sha256="ef" * 32)
    for protocol in (None, other):
        found = compared(planned, planned_needle(plan), protocol=protocol)
        assert {c.verdict for c in found.clearances} <= {Verdict.UNKNOWN, Verdict.FAIL}
        assert all(MARGINS_NOTE in c.note for c in found.clearances)
    own = tuple(
        s.model_copy(update={"own_margin_mm": s.margin_mm}) if s.role.is_obstacle else s
        for s in plan.structures
    )
    asked = plan.model_copy(update={"structures": own})
    found = compared(planned, planned_needle(plan), plan=asked, protocol=None)
    assert found.verdict in (Verdict.PASS, Verdict.CAUTION)


def test_all_but_the_last_stretch_keeps_the_usual_margin(planned):
    """1 mm is enough at the tip; the shaft 30 mm behind it needs 3 mm and has less."""
    result, plan = planned
    tip_rule = MarginRule(structure_class="nerve", margin=Evidenced(value=1.0, evidence="E"))
    protocol = replace(
        result.protocol,
        terminal=TerminalRule(length=Evidenced(value=10.0, evidence="E"), margins=(tip_rule,)),
    )
    records = tuple(
        s.model_copy(update={"margin_mm": 1.0}) if s.structure_class == "nerve" else s
        for s in plan.structures
    )
    plan = plan.model_copy(update={"structures": records})
    actual = beside_nerve(result, plan, 1.6)
    found = compared(planned, actual, plan=plan, protocol=protocol)
    whole, shaft = row(found, NERVE), row(found, NERVE, is_shaft=True)
    assert whole.required_mm == 1.0 and whole.verdict in (Verdict.PASS, Verdict.CAUTION)
    assert shaft.required_mm == 3.0 and shaft.clearance_mm >= whole.clearance_mm
    # ending where it is nearest, the last 10 mm alone are near: the shaft has more room
    ending = needle(actual.entry_lps_mm, whole.where_lps_mm)
    ended = compared(planned, ending, plan=plan, protocol=protocol)
    short = row(ended, NERVE, is_shaft=True)
    back = ending.entry_lps_mm - ending.tip_lps_mm
    end = ending.tip_lps_mm + 10.0 * back / np.linalg.norm(back)
    gap = MaskIndex(result.structures[NERVE].mask).closest_approach(
        ended.shaft_lps_mm[None], end[None]
    )
    exact_mm = float(gap.distance_mm[0]) - plan.needle.outer_diameter_mm / 2
    assert exact_mm - 0.0101 <= short.clearance_mm <= exact_mm
    assert short.clearance_mm > row(ended, NERVE).clearance_mm + 0.1
    along = (actual.tip_lps_mm - actual.entry_lps_mm) / np.linalg.norm(
        actual.tip_lps_mm - actual.entry_lps_mm
    )
    deeper = needle(actual.entry_lps_mm, actual.tip_lps_mm + 15 * along)
    found = compared(planned, deeper, plan=plan, protocol=protocol)
    assert row(found, NERVE, is_shaft=True).verdict is Verdict.FAIL
    assert found.is_under_margin
    assert "(all but the last 10 mm)" in comparison_text(plan, found)


@pytest.mark.parametrize("far", [1e308, -1e200, 10_001.0])
def test_points_beyond_any_patient_are_refused(planned, far):
    with pytest.raises(DegenerateGeometryError, match="beyond any patient"):
        compared(planned, needle((0, 0, far), (0, 0, 0)))
    long = planned[1].needle.model_copy(update={"length_mm": abs(far)})
    plan = planned[1].model_copy(update={"needle": long})
    with pytest.raises(DegenerateGeometryError, match="beyond any patient"):
        compared(planned, planned_needle(plan), plan=plan)


def test_the_shaft_that_was_not_marked_counts(planned):
    """Only the last 15 mm are marked; further back the needle goes through the nerve."""
    result, plan = planned
    nerve = result.structures["nerve_root_L4_left"].mask
    centre = nerve.grid.to_lps(np.argwhere(nerve.inside).mean(axis=0))
    along = np.subtract(plan.trajectories[0].tip_lps_mm, plan.trajectories[0].entry_lps_mm)
    along /= np.linalg.norm(along)
    marked = needle(centre + 25 * along, centre + 40 * along)
    for body in (result.body, None):
        found = compared(planned, marked, body=body)
        item = next(c for c in found.clearances if c.structure == "nerve_root_L4_left")
        assert item.verdict is Verdict.FAIL
        assert found.is_under_margin
    found = compared(planned, marked)
    assert found.prolonged_mm > 25.0
    # the shaft begins at the skin, within one step of the samples
    step_mm = result.body.grid.spacing_kji_mm.min() / 4
    assert not result.body.contains(found.shaft_lps_mm)
    assert result.body.contains(found.shaft_lps_mm + 1.01 * step_mm * along)
    content, text = comparison_json(plan, found), comparison_text(plan, found)
    assert content["actual"]["prolonged_mm"] == found.prolonged_mm
    assert f"{found.prolonged_mm:.1f} mm straight back" in text


def test_a_short_needle_ends_where_it_is_as_long_as_it_is(planned):
    _, plan = planned
    path = plan.trajectories[0]
    entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
    along = (tip - entry) / np.linalg.norm(tip - entry)
    short = plan.model_copy(update={"needle": plan.needle.model_copy(update={"length_mm": 20.0})})
    found = compared(planned, needle(tip - 12 * along, tip), plan=short)
    assert found.prolonged_mm == pytest.approx(8.0)
    found = compared(planned, needle(tip - 25 * along, tip), plan=short)
    assert found.prolonged_mm == 0.0


def test_without_the_body_the_whole_length_counts(planned):
    _, plan = planned
    found = compared(planned, planned_needle(plan), body=None)
    depth_mm = plan.trajectories[0].length_mm
    assert found.prolonged_mm == pytest.approx(plan.needle.length_mm - depth_mm)


def test_a_needle_against_the_plan_is_never_passed(planned):
    _, plan = planned
    actual = planned_needle(plan)
    turned = needle(actual.tip_lps_mm, actual.entry_lps_mm)
    found = compared(planned, turned)
    assert found.errors.angle_deg == pytest.approx(180.0)
    assert {c.verdict for c in found.clearances} <= {Verdict.UNKNOWN, Verdict.FAIL}
    assert all(TURNED_NOTE in c.note for c in found.clearances)


def test_an_unknown_path_is_refused(planned):
    with pytest.raises(InputError, match="no such path"):
        compared(planned, planned_needle(planned[1]), rank=99)


def test_which_end_is_the_tip(planned):
    path = planned[1].trajectories[0]
    entry, tip = np.array(path.entry_lps_mm), np.array(path.tip_lps_mm)
    for one, other, word in ((entry, tip, "second"), (tip, entry, "first")):
        found = oriented(path, one, other, name="n", is_labelled=False)
        assert np.array_equal(found.tip_lps_mm, tip)
        assert word in found.words
        assert "no label" in found.words
    labelled = oriented(path, tip, entry, name="n", is_labelled=True)
    assert np.array_equal(labelled.tip_lps_mm, entry)
    assert "labels say" in labelled.words


def test_text_and_json_say_the_same(planned):
    _, plan = planned
    actual = planned_needle(plan, by=(1.0, 2.0, 0.5))
    found = compared(planned, actual)
    text, content = comparison_text(plan, found), comparison_json(plan, found)
    assert f"NEEDLE AS IT LIES: {found.verdict.upper()}" in text
    assert content["errors"]["tip_mm"] == pytest.approx(np.sqrt(5.25))
    assert f"{np.sqrt(5.25):.2f} mm" in text
    for item in content["clearances"]:
        assert item["structure"][:20] in text
    assert "kept" in text


def test_a_missed_target_is_the_headline(planned):
    from planner.compare.picture import headline

    _, plan = planned
    good = compared(planned, planned_needle(plan))
    assert good.is_on_target is True
    assert headline(good)[0] is good.verdict
    # back along the needle: every clearance stays, the target does not
    path = plan.trajectories[0]
    along = np.subtract(path.tip_lps_mm, path.entry_lps_mm)
    bad = compared(planned, needle(path.entry_lps_mm, np.add(path.entry_lps_mm, 0.4 * along)))
    assert bad.is_on_target is False
    assert bad.verdict in (Verdict.PASS, Verdict.CAUTION)
    verdict, words = headline(bad)
    assert verdict is Verdict.FAIL
    assert words.startswith("target missed by ")
    text = comparison_text(plan, bad)
    assert "TARGET MISSED" in text and "NOT KEPT" in text
    assert comparison_json(plan, bad)["errors"]["is_on_target"] is False
    assert "MISSED" not in comparison_text(plan, good)


def aimed_at_region(plan, mask, name):
    record = RegionRecord(
        name=name, voxels=mask.n_voxels, sha256=mask_sha256(mask), level=None, side=None,
        axis_lps=None, plane_normal_lps=None, measures={}, words="",
    )  # fmt: skip
    return plan.model_copy(update={"target": plan.target.model_copy(update={"region": record})})


def test_of_a_region_the_distance_is_only_told_and_the_place_decides(planned):
    """The foramen of the phantom as the region: the planned tip lies in it, one beside it not."""
    from planner.compare.picture import headline

    result, plan = planned
    aimed = aimed_at_region(plan, result.structures["foramen"].mask, "region:foramen")
    unknown = compared(planned, planned_needle(plan), plan=aimed, structures=None)
    assert unknown.is_on_target is None
    assert "not known without image and masks" in comparison_text(aimed, unknown)
    inside = compared(planned, planned_needle(plan), plan=aimed)
    assert inside.is_on_target is True and "the tip lies in it" in comparison_text(aimed, inside)
    beside = compared(planned, planned_needle(plan, by=(30.0, 0.0, 0.0)), plan=aimed)
    assert beside.is_on_target is False
    assert "TARGET MISSED" in comparison_text(aimed, beside)
    assert "OUTSIDE" in comparison_text(aimed, beside)
    assert headline(beside)[1].startswith("target region missed")


def test_of_another_region_nothing_is_known(planned):
    result, plan = planned
    aimed = aimed_at_region(plan, result.structures["foramen"].mask, "region:nothing")
    assert compared(planned, planned_needle(plan), plan=aimed).is_on_target is None


def test_a_needle_longer_than_that_of_the_plan_is_told_and_never_passed(planned):
    _, plan = planned
    path = plan.trajectories[0]
    along = np.subtract(path.tip_lps_mm, path.entry_lps_mm) / path.length_mm
    for length_mm, is_longer in ((plan.needle.length_mm - 0.5, False), (96.0, True)):
        entry = np.array(path.tip_lps_mm) - length_mm * along
        found = compared(planned, needle(entry, path.tip_lps_mm))
        assert found.is_longer is is_longer
        told = comparison_text(plan, found)
        assert ("LONGER THAN THE NEEDLE OF THE PLAN" in told) is is_longer
        assert comparison_json(plan, found)["errors"]["is_longer_than_needle"] is is_longer
        is_good = {c.verdict for c in found.clearances} & {Verdict.PASS, Verdict.CAUTION}
        assert not is_longer or not is_good


def test_a_needle_out_of_the_plane_is_called_projected(planned):
    from planner.compare.picture import comparison_figure
    from planner.report.html_plan import as_result

    _, plan = planned
    drawn = []
    for by in ((0.0, 0.0, 0.0), (0.0, 0.0, 9.0)):
        found = compared(planned, planned_needle(plan, by=by))
        figure = comparison_figure(as_result(plan), found, is_image_known=False)
        drawn.append([t.get_text() for axes in figure.axes[:2] for t in axes.texts])
    assert not any("projected" in text for text in drawn[0])
    assert any("projected, up to " in text for text in drawn[1])


def test_the_picture_is_drawn_with_and_without_the_image(planned):
    from planner.compare.picture import comparison_figure
    from planner.report.html_plan import as_result

    result, plan = planned
    found = compared(planned, planned_needle(plan, by=(1.0, 2.0, 0.5)))
    for known in (True, False):
        drawn_from = (
            as_result(plan, volume=result.volume, structures=result.structures)
            if known
            else as_result(plan)
        )
        figure = comparison_figure(drawn_from, found, is_image_known=known)
        assert len(figure.axes) == 4
        assert bool(figure.axes[0].images) is known
