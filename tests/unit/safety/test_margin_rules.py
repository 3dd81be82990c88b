"""Margins by name, soft margins and what may be crossed: in the search and in the verification."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.geometry import Grid
from planner.io.plan_file import load_plan, save_plan
from planner.model import (
    BoneRule,
    Evidenced,
    MarginRule,
    MaskSource,
    OptIn,
    PlanResult,
    Protocol,
    StructureRole,
    StructureSet,
    Verdict,
)
from planner.report.reasons import reasons
from planner.safety.obstacles import CONTACT_MM, Obstacle, resolve_obstacles
from planner.verify import verify_plan
from planner.verify.inputs import asked_margin_mm, soft_margin_mm
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk, trunk_grid


def number(value: float, evidence: str = "E") -> Evidenced:
    return Evidenced(value=value, evidence=evidence)


def rule(kind: str, mm: float, *names: str, **more: object) -> MarginRule:
    return MarginRule(structure_class=kind, margin=number(mm), name_words=names, **more)


def protocol_with(*rules: MarginRule, **changes: object) -> Protocol:
    base = (rule("nerve", 3.0), rule("vessel", 5.0))
    return simple_protocol(margins=(*base, *rules), **changes)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return trunk_grid("oblique")


def only(
    grid: Grid,
    name: str,
    kind: str | None,
    role: StructureRole = StructureRole.AVOID,
    margin_mm: float | None = None,
    role_from: str = "default",
) -> StructureSet:
    inside = np.zeros(grid.shape_kji, dtype=bool)
    inside[3:5, 4:9, 5:8] = True
    source = MaskSource(file="a.nrrd", grid=grid, role_from=role_from)
    one = structure(name, inside, grid, role, kind, margin_mm, source=source)
    return StructureSet(grid=grid, structures=(one,))


def obstacle_of(structures: StructureSet, protocol: Protocol, **more: bool) -> Obstacle | None:
    found = resolve_obstacles(structures, protocol, **more).obstacles
    return found[0] if found else None


class TestByName:
    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("aorta_abdominal", 8.0),
            ("AortaAbdominal", 8.0),
            ("paraaortic node", 5.0),
            ("inferior vena cava", 6.0),
            ("vena portalis", 5.0),
        ],
    )
    def test_the_name_goes_before_the_class_word_by_word(self, grid, name, wanted):
        named = (rule("vessel", 8.0, "aorta"), rule("vessel", 6.0, "vena cava", "ivc"))
        found = obstacle_of(only(grid, name, "vessel"), protocol_with(*named))
        assert found is not None and found.required_mm == wanted

    def test_of_two_names_the_stricter_counts(self, grid):
        soft = rule("vessel", 20.0, "aorta", hard=False)
        hard = rule("vessel", 4.0, "wall")
        found = obstacle_of(only(grid, "aorta wall", "vessel"), protocol_with(soft, hard))
        assert found is not None and found.required_mm == 4.0 and found.soft_mm is None
        wider = rule("vessel", 7.0, "aorta")
        found = obstacle_of(only(grid, "aorta wall", "vessel"), protocol_with(hard, wider))
        assert found is not None and found.required_mm == 7.0

    def test_the_user_goes_before_both(self, grid):
        named = protocol_with(rule("vessel", 8.0, "aorta", hard=False), crossable=("aorta",))
        found = obstacle_of(only(grid, "aorta", "vessel", margin_mm=2.0), named)
        assert found is not None and (found.required_mm, found.evidence) == (2.0, "user")

    def test_named_bone_is_kept_off_where_other_bone_may_be_crossed(self, grid):
        allowed = protocol_with(rule("bone", 6.0, "rib"), bone=BoneRule.ALLOWED)
        rib = only(grid, "rib left 12", "bone", StructureRole.BONE)
        found = obstacle_of(rib, allowed)
        assert found is not None and (found.constraint, found.required_mm) == ("bone", 6.0)
        assert obstacle_of(rib, allowed, allow_bone=True) is None
        other = only(grid, "sacrum", "bone", StructureRole.BONE)
        assert obstacle_of(other, allowed) is None
        assert obstacle_of(other, replace(allowed, bone=BoneRule.THROUGH_PEDICLE)) is None
        forbidden = obstacle_of(other, replace(allowed, bone=BoneRule.FORBIDDEN))
        assert forbidden is not None and forbidden.required_mm == 1.0

    def test_a_required_name_is_missing_until_a_mask_of_it_is_avoided(self, grid):
        asks = protocol_with(rule("joint", 2.0, "growth plate", required=True))
        missing = resolve_obstacles(only(grid, "nerve", "nerve"), asks).missing
        assert [f.structure for f in missing] == ["growth plate"]
        assert missing[0].verdict is Verdict.UNKNOWN
        assert "name 'growth plate'" in missing[0].note
        allowed = only(grid, "growth plate", None, StructureRole.ALLOWED)
        assert resolve_obstacles(allowed, asks).missing
        given = only(grid, "distal growth plate", None)
        assert not resolve_obstacles(given, asks).missing


class TestSoft:
    def test_contact_rejects_and_the_margin_cautions(self, grid):
        soft = protocol_with(rule("organ", 6.0, "liver", hard=False))
        found = obstacle_of(only(grid, "liver", "organ"), soft)
        assert found is not None
        assert found.required_mm == CONTACT_MM
        assert found.required_mm + found.caution_mm == 6.0
        assert found.reach_mm == 6.0
        assert "soft, a caution below 6 mm: E" in found.evidence

    def test_a_floor_rejects(self, grid):
        floor = number(3.0, "M: floor")
        soft = protocol_with(rule("organ", 6.0, "liver", hard=False, floor=floor))
        found = obstacle_of(only(grid, "liver", "organ"), soft)
        assert found is not None
        assert (found.required_mm, found.required_mm + found.caution_mm) == (3.0, 6.0)
        assert found.evidence.startswith("M: floor; soft")

    def test_the_band_of_caution_is_never_narrower_than_the_procedures(self, grid):
        soft = protocol_with(rule("organ", 0.5, "liver", hard=False))
        found = obstacle_of(only(grid, "liver", "organ"), soft)
        assert found is not None and found.caution_mm == 1.0


class TestCrossable:
    def test_a_class_or_a_name_may_be_crossed(self, grid):
        leave = protocol_with(crossable=("disc", "dorsal foramen"))
        assert obstacle_of(only(grid, "L4L5 disc", "disc"), leave) is None
        assert obstacle_of(only(grid, "dorsal foramen S1", "nerve"), leave) is None
        assert obstacle_of(only(grid, "foramen S1", "nerve"), leave) is not None
        assert obstacle_of(only(grid, "L4L5 disc", "disc"), protocol_with()) is not None

    def test_the_word_for_a_class_gives_no_leave_to_other_classes(self, grid):
        leave = protocol_with(crossable=("disc",))
        root = obstacle_of(only(grid, "root behind the disc", "nerve"), leave)
        assert root is not None and root.required_mm == 3.0

    def test_a_rule_for_the_name_outweighs_leave_for_the_class(self, grid):
        leave = protocol_with(rule("muscle", 0.0, "uninvolved"), crossable=("muscle",))
        assert obstacle_of(only(grid, "psoas", "muscle"), leave) is None
        spared = obstacle_of(only(grid, "uninvolved vastus", "muscle"), leave)
        assert spared is not None and spared.required_mm == CONTACT_MM

    def test_what_the_user_says_to_avoid_is_avoided(self, grid):
        leave = protocol_with(crossable=("muscle",))
        avoided = only(grid, "psoas", "muscle", role_from="user")
        found = obstacle_of(avoided, leave)
        assert found is not None and found.required_mm == 4.0

    @pytest.mark.parametrize("role", [StructureRole.IMPLANT, StructureRole.BONE])
    def test_neither_metal_nor_forbidden_bone_is_ever_crossable(self, grid, role):
        leave = protocol_with(crossable=("disc", "cage"))
        assert obstacle_of(only(grid, "disc cage", "disc", role), leave) is not None

    def test_an_opt_in_replaces_its_margins_and_adds_its_leave(self, grid):
        through = OptIn(
            words="Through the aorta.",
            evidence="L: text",
            margins=(rule("nerve", 1.0),),
            crossable=("aorta",),
        )
        plain = protocol_with(rule("vessel", 3.0, "aorta"), opt_ins={"transaortic": through})
        aorta, nerve = only(grid, "aorta", "vessel"), only(grid, "nerve", "nerve")
        before = obstacle_of(aorta, plain)
        assert before is not None and before.required_mm == 3.0
        asked = plain.with_opt_in("transaortic")
        assert obstacle_of(aorta, asked) is None
        after = obstacle_of(nerve, asked)
        assert after is not None and after.required_mm == 1.0
        cava = obstacle_of(only(grid, "vena cava", "vessel"), asked)
        assert cava is not None and cava.required_mm == 5.0


# ---------------------------------------------------------------- a whole plan, and its check


def searched(protocol: Protocol, *, kind: str = "axial") -> PlanResult:
    """Trunk, nerve, aorta and spine, with the margins of the procedure."""
    volume, structures = trunk(kind)
    bare = tuple(replace(s, margin_mm=None) for s in structures.structures)
    return planner.plan(
        volume,
        TARGET_LPS_MM,
        protocol,
        StructureSet(grid=structures.grid, structures=bare),
        table_side="none",
        entry_spacing_mm=3.0,
        top=4,
    )


SOFT = (rule("nerve", 9.0, "nerve", hard=False, floor=number(2.0)), rule("vessel", 5.0, "aorta"))


@pytest.mark.parametrize("kind", ["axial", "oblique"])
def test_a_plan_below_a_soft_margin_is_a_caution_and_confirmed(kind: str, tmp_path: Path) -> None:
    protocol = protocol_with(*SOFT)
    result = searched(protocol, kind=kind)
    findings = [
        f for t in result.trajectories for f in t.findings if f.structure == "nerve" and f.measured
    ]
    below = [f for f in findings if f.measured is not None and f.measured < 9.0]
    assert below, "the nerve is 10 mm from the target: no path keeps 9 mm"
    assert all(f.verdict is Verdict.CAUTION for f in below)
    assert all(t.verdict is not Verdict.PASS for t in result.trajectories)
    document = load_plan(save_plan(result, tmp_path / "plan.json"))
    report = verify_plan(document, result.volume, result.structures, protocol=protocol)
    assert report.ok, report.to_text()


def test_a_plan_through_what_may_be_crossed_is_confirmed(tmp_path: Path) -> None:
    protocol = protocol_with(crossable=("vessel",), approach_side="anterior")
    result = searched(protocol)
    assert "aorta" not in {c.structure for t in result.trajectories for c in t.clearances}
    document = load_plan(save_plan(result, tmp_path / "plan.json"))
    report = verify_plan(document, result.volume, result.structures, protocol=protocol)
    assert report.ok, report.to_text()


@pytest.mark.parametrize(
    ("planned", "checked", "claim"),
    [
        # what the plan was made with, and what the procedure really asks
        (protocol_with(*SOFT), protocol_with(rule("nerve", 9.0, "nerve")), "margin"),
        (protocol_with(crossable=("vessel",)), protocol_with(), "margin"),
        (protocol_with(), protocol_with(rule("nerve", 12.0, "nerve", hard=False)), "soft margin"),
        (protocol_with(), protocol_with(rule("joint", 1.0, "cartilage", required=True)), "class"),
    ],
    ids=["hard said soft", "crossed", "soft left out", "required name left out"],
)
def test_a_plan_that_reads_the_rules_too_kindly_is_not_confirmed(
    planned: Protocol, checked: Protocol, claim: str
) -> None:
    result = searched(planned)
    assert result.trajectories
    report = verify_plan(result, result.volume, result.structures, protocol=checked)
    assert not report.ok
    assert any(claim in line for line in report.to_text().splitlines()), report.to_text()


def test_what_lies_unseen_within_a_soft_margin_is_unknown() -> None:
    protocol = protocol_with(rule("nerve", 60.0, "nerve", hard=False), rule("vessel", 5.0, "aorta"))
    result = searched(protocol)
    assert result.trajectories
    assert all(t.verdict is Verdict.UNKNOWN for t in result.trajectories)
    assert verify_plan(result, result.volume, result.structures, protocol=protocol).ok, (
        "the image ends within 60 mm of every path"
    )


def test_a_plan_with_a_required_name_is_confirmed() -> None:
    protocol = protocol_with(rule("nerve", 3.0, "plexus", "nerve", required=True))
    result = searched(protocol)
    assert any(t.verdict is not Verdict.UNKNOWN for t in result.trajectories)
    report = verify_plan(result, result.volume, result.structures, protocol=protocol)
    assert report.ok, report.to_text()


def test_a_path_that_hides_what_it_cannot_see_is_not_confirmed() -> None:
    """The image ends inside the soft margin; the plan is made to say it does not matter."""
    protocol = protocol_with(rule("nerve", 60.0, "nerve", hard=False), rule("vessel", 5.0, "aorta"))
    result = searched(protocol)
    silent = tuple(
        replace(
            t,
            findings=tuple(f for f in t.findings if f.constraint != "coverage"),
            verdict=Verdict.CAUTION,
        )
        for t in result.trajectories
    )
    report = verify_plan(
        replace(result, trajectories=silent), result.volume, result.structures, protocol=protocol
    )
    refused = [line for line in report.to_text().splitlines() if "as far as the margin" in line]
    assert refused, report.to_text()


NAMES = ["aorta wall", "L4L5 disc", "rib 12", "growth plate", "psoas", "root of the disc"]
RULES = protocol_with(
    rule("vessel", 8.0, "aorta", hard=False, floor=number(2.0)),
    rule("bone", 6.0, "rib"),
    rule("joint", 0.0, "growth plate"),
    crossable=("disc", "muscle", "wall of cyst"),
)


@pytest.mark.parametrize("role_from", ["default", "user"])
@pytest.mark.parametrize("role", [StructureRole.AVOID, StructureRole.BONE, StructureRole.IMPLANT])
@pytest.mark.parametrize("kind", ["vessel", "disc", "bone", "muscle", "nerve", None])
@pytest.mark.parametrize("name", NAMES)
def test_search_and_verification_read_the_rules_alike(grid, name, kind, role, role_from) -> None:
    """Two readings of one text, for every kind of structure and every bone rule."""
    structures = only(grid, name, kind, role, role_from=role_from)
    for bone in BoneRule:
        for allow in (None, True, False):
            protocol = replace(RULES, bone=bone)
            found = obstacle_of(structures, protocol, allow_bone=allow)
            asked = asked_margin_mm(structures[name], protocol, allow)
            assert asked == (None if found is None else found.required_mm)
            soft = soft_margin_mm(structures[name], protocol, allow)
            assert soft == (None if found is None else found.soft_mm)


def test_the_report_tells_a_soft_margin_from_one_that_is_just_met() -> None:
    result = searched(protocol_with(*SOFT))
    told = [r.text for r in reasons(result.trajectories) if r.verdict is Verdict.CAUTION]
    soft = [text for text in told if text.startswith("nearer than the soft margin to nerve")]
    assert len(soft) == 1
    assert "(needs 2), 9 wanted" in soft[0]
    assert not any("only just clear of nerve" in text for text in told)
