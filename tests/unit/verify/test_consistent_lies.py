"""Lies in which many fields of a plan agree: none of them is confirmed.

A leaf changed alone contradicts its neighbours and is easily caught (``test_mutations.py``).
Here everything that could contradict is changed too: findings go and verdicts follow, words
and numbers are swapped together, a weaker rule is said to be the user's.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import planner
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import Evidenced, PlanResult, StructureRole, StructureSet
from planner.verify import VerificationReport, structures_as_planned, verify_plan
from tests.metal_plan import KNOWN, OPTIONS, metal_plan, metal_scene
from tests.plan_mutations import remembering
from tests.trunk import TARGET_LPS_MM, simple_protocol, structure, trunk

SEVERITY = ("pass", "caution", "unknown", "fail")
Content = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _remember() -> Iterator[None]:
    with remembering():
        yield


def lesion_plan() -> PlanResult:
    """A small lesion, and a nerve beside the path, that a wide artefact may hide."""
    volume, structures = metal_scene()
    points = volume.grid.to_lps(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
    ball = np.linalg.norm(points - TARGET_LPS_MM, axis=-1) <= 6.0
    lesion = structure("lesion", ball, volume.grid, StructureRole.TARGET, "lesion")
    kept = tuple(s for s in structures.structures if s.name != "rod")
    return planner.plan(
        volume,
        TARGET_LPS_MM,
        simple_protocol(),
        StructureSet(grid=structures.grid, structures=(*kept, lesion)),
        mr={**KNOWN, "sequence": "GRE", "echo_time_ms": 40.0},
        **{**OPTIONS, "needle": "18G-90:steel", "top": 1},
    )


def marrow_plan() -> PlanResult:
    """A target in bone, that the user lets the needle cross: fat shifts it."""
    volume, structures = trunk("oblique")
    return planner.plan(
        volume,
        (-6.0, 24.0, 1.0),
        simple_protocol(tolerance=Evidenced(value=0.5, evidence="E")),
        structures,
        mr=KNOWN,
        allow_bone=True,
        **{**OPTIONS, "top": 1},
    )


def cut_metal_plan() -> PlanResult:
    """A rod that the image's edge cuts."""
    volume, structures = metal_scene()
    grid = volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    long_rod = (np.hypot(x + 30, y - 20) <= 2.75) & (z > 15.0)
    kept = tuple(s for s in structures.structures if s.name != "rod")
    rod = structure("rod", long_rod, grid, StructureRole.IMPLANT, None)
    scene = volume, StructureSet(grid=grid, structures=(*kept, rod))
    return metal_plan("stainless steel", scene=scene, top=1)


MADE: dict[str, Callable[[], PlanResult]] = {
    "lesion": lesion_plan,
    "marrow": marrow_plan,
    "cut metal": cut_metal_plan,
}


@pytest.fixture(scope="module")
def plans(
    metal_result: PlanResult, region_results: dict[str, PlanResult]
) -> dict[str, tuple[PlanResult, Content]]:
    results = {name: make() for name, make in MADE.items()}
    results |= {"metal": metal_result, "region": region_results["foramen:L3-L4:left"]}
    return {name: (r, plan_document(r).to_json_dict()) for name, r in results.items()}


def report_of(result: PlanResult, content: Content) -> VerificationReport:
    plan = PlanDocument.model_validate_json(json.dumps(content))
    return verify_plan(plan, result.volume, result.structures, protocol=result.protocol)


def made_to_agree(content: Content) -> None:
    """Verdicts of paths and plan follow from the findings that are left."""
    for path in content["trajectories"]:
        path["verdict"] = max((f["verdict"] for f in path["findings"]), key=SEVERITY.index)
    content["verdict"] = content["trajectories"][0]["verdict"]


@pytest.mark.parametrize("name", ["lesion", "marrow", "cut metal", "metal", "region"])
def test_the_plans_themselves_are_confirmed(plans, name):
    result, content = plans[name]
    assert [c.to_text() for c in report_of(result, content).failures] == []


# --- findings that are left out ------------------------------------------------------------------


def without(constraint: str, structure_name: str | None = None) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for path in content["trajectories"]:
            kept = [
                f
                for f in path["findings"]
                if (f["constraint"], f["structure"]) != (constraint, structure_name)
            ]
            assert len(kept) < len(path["findings"]), f"the plan holds no {constraint}"
            path["findings"] = kept
        made_to_agree(content)

    return change


LEFT_OUT = [
    ("lesion", "needle_artefact", None),
    ("lesion", "needle_artefact", "nerve"),
    ("lesion", "needle_artefact", "aorta"),
    ("marrow", "target_shift", None),
    ("marrow", "bone_crossed", "spine"),
    ("metal", "mr_distorted", None),
    ("metal", "mr_void", "MR void"),
    ("metal", "target_shift", None),
    ("cut metal", "mr_unknown", "rod"),
]


@pytest.mark.parametrize(("plan", "constraint", "of"), LEFT_OUT)
def test_a_finding_left_out_with_its_verdict_is_missed(plans, plan, constraint, of):
    result, content = plans[plan]
    lie = copy.deepcopy(content)
    without(constraint, of)(lie)
    assert not report_of(result, lie).ok


@pytest.mark.parametrize("plan", ["lesion", "marrow", "cut metal", "metal", "region"])
def test_every_finding_of_every_plan_is_missed(plans, plan):
    """Whatever the planner tells must be told, known here or not."""
    result, content = plans[plan]
    kinds = {(f["constraint"], f["structure"]) for f in content["trajectories"][0]["findings"]}
    confirmed = []
    for constraint, of in sorted(kinds, key=str):
        lie = copy.deepcopy(content)
        without(constraint, of)(lie)
        if report_of(result, lie).ok:
            confirmed.append((constraint, of))
    assert confirmed == []


def test_a_caution_of_the_target_is_not_made_a_pass_by_a_larger_size(plans):
    """A lie on the lesion's size, up to the ball of the same volume."""
    result, content = plans["lesion"]
    lie = copy.deepcopy(content)
    for finding in lie["trajectories"][0]["findings"]:
        if finding["constraint"] == "needle_artefact" and finding["structure"] is None:
            assert finding["verdict"] == "caution"
            finding.update(measured=finding["measured"] + 0.8)
    assert not report_of(result, lie).ok


# --- words and names -----------------------------------------------------------------------------


def first_words(change: Callable[[str], str]) -> Callable[[Content], None]:
    def edit(content: Content) -> None:
        path = content["trajectories"][0]
        words = change(path["words"])
        assert words != path["words"], words
        path["words"] = words

    return edit


def other_side(words: str) -> str:
    """The wrong side, and the direction that would agree with it."""
    side = words.replace(" left of ", " ? of ").replace(" right of ", " left of ")
    way = side.replace(" ? of ", " right of ").replace(" towards ", " ? ")
    return way.replace(" away from ", " towards ").replace(" ? ", " away from ")


def fewer_mm(words: str) -> str:
    number = words.split()[1]
    return words.replace(f"entry {number} mm", f"entry {int(number) - 2} mm")


WORDS = {
    "the other side": other_side,
    "nearer to the midline": fewer_mm,
    "a seal in front": lambda w: f"safe, verified by Dr. X, {w}",
    "a seal behind": lambda w: f"{w}, verified",
    "a seal within": lambda w: w.replace("entry ", "entry (verified) "),
    "another middle": lambda w: w.replace("midline (", "midline (verified "),
    "the middle of nothing": lambda w: w.replace("midline", "the image's centre line"),
    "only a depth": lambda w: "depth" + w.rpartition("depth")[2],
    "no words": lambda w: "",
}


@pytest.mark.parametrize("plan", ["metal", "region"])
@pytest.mark.parametrize("name", WORDS)
def test_words_are_right_as_a_whole(plans, plan, name):
    result, content = plans[plan]
    lie = copy.deepcopy(content)
    first_words(WORDS[name])(lie)
    assert {c.claim for c in report_of(result, lie).failures} == {"words"}


def test_words_and_midline_moved_together_are_caught(plans):
    for name, move_mm in (("metal", 9.0), ("region", 4.0)):
        result, content = plans[name]
        lie = copy.deepcopy(content)
        middle = lie["target"]["midline_l_mm"]
        lie["target"]["midline_l_mm"] = middle - move_mm
        for path in lie["trajectories"]:
            old = path["entry_lps_mm"][0] - middle
            words = path["words"].replace(f"entry {old:.0f} mm", f"entry {old + move_mm:.0f} mm")
            path["words"] = words
        assert any("midline" in c.claim for c in report_of(result, lie).failures)


def named(content: Content, **names: str) -> None:
    for part, name in names.items():
        content[part]["name"] = name


LABELS: dict[str, tuple[str, Callable[[Content], None]]] = {
    "target on the other side": ("region", lambda c: named(c, target="foramen:L3-L4:right")),
    "target with a seal": ("metal", lambda c: named(c, target="target (verified)")),
    "target in another structure": ("metal", lambda c: named(c, target="aorta")),
    "thicker needle": ("metal", lambda c: named(c, needle="14G-90")),
    "longer needle": ("metal", lambda c: named(c, needle="22G-200")),
    "needle of steel": ("metal", lambda c: named(c, needle="22G-90:steel")),
    "a tool": ("metal", lambda c: named(c, needle="drill-2.0-150")),
    "a needle without a length": ("metal", lambda c: named(c, needle="22G-long")),
}


@pytest.mark.parametrize("name", LABELS)
def test_a_name_says_nothing_else_than_the_numbers(plans, name):
    plan, change = LABELS[name]
    result, content = plans[plan]
    lie = copy.deepcopy(content)
    change(lie)
    assert not report_of(result, lie).ok


def test_a_needle_of_no_catalogue_is_told(plans):
    result, content = plans["metal"]
    strange = copy.deepcopy(content)
    named(strange, needle="my own")
    report = report_of(result, strange)
    assert report.ok
    assert "the sizes of needle 'my own'" in report.on_trust


# --- what is said to be the user's ---------------------------------------------------------------


def settings(**asked: Any) -> dict[str, Any]:
    return {"roles": {}, "implants": {}, "allow_bone": None, "opt_in": [], **asked}


def as_user_said(content: Content, name: str, role: str, margin_mm: float | None) -> None:
    for record in content["structures"]:
        if record["name"] == name:
            record.update(
                role=role,
                role_from="user",
                margin_mm=margin_mm,
                own_margin_mm=margin_mm,
                hard=role == "avoid",
                evidence="user" if margin_mm is not None else "",
            )


def verified_as_planned(result: PlanResult, content: Content) -> VerificationReport:
    plan = PlanDocument.model_validate_json(json.dumps(content))
    given = structures_as_planned(plan, result.structures)
    return verify_plan(plan, result.volume, given, protocol=result.protocol)


def without_margins(result: PlanResult) -> PlanResult:
    """As files give them: margins are the procedure's."""
    bare = tuple(replace(s, margin_mm=None) for s in result.structures.structures)
    return replace(result, structures=replace(result.structures, structures=bare))


def nerve_made_harmless(content: Content) -> None:
    as_user_said(content, "nerve", "allowed", None)
    for path in content["trajectories"]:
        path["findings"] = [f for f in path["findings"] if f["structure"] != "nerve"]
        path["clearances"] = [c for c in path["clearances"] if c["structure"] != "nerve"]
        path["clearance_mm"].pop("nerve")
    made_to_agree(content)


def nerve_with_less_margin(content: Content) -> None:
    as_user_said(content, "nerve", "avoid", 0.5)
    for path in content["trajectories"]:
        for finding in path["findings"]:
            if (finding["constraint"], finding["structure"]) == ("clearance", "nerve"):
                finding["required"] = 0.5
        for record in path["clearances"]:
            if record["structure"] == "nerve":
                record["required_mm"] = 0.5


@pytest.mark.parametrize("lie_about", [nerve_made_harmless, nerve_with_less_margin])
def test_a_role_that_nobody_asked_for_is_caught(plans, lie_about):
    result, content = plans["lesion"]
    bare = without_margins(result)
    lie = copy.deepcopy(content)
    lie["options"]["settings"] = settings()
    lie_about(lie)
    claims = {c.claim for c in verified_as_planned(bare, lie).failures}
    assert "structures[nerve] is in the role asked for" in claims


def test_what_is_the_user_s_word_is_said_beside_the_verdict(plans):
    result, content = plans["lesion"]
    told = copy.deepcopy(content)
    asked = {"nerve": "avoid:3.0", "aorta": "avoid:5"}
    for name, margin in (("nerve", 3.0), ("aorta", 5.0)):
        as_user_said(told, name, "avoid", margin)
    given = {**KNOWN, "sequence": "GRE"}
    told["options"]["settings"] = settings(roles=asked, mr=given)
    report = verified_as_planned(without_margins(result), told)
    assert [c.to_text() for c in report.failures] == []
    headline, trust = report.to_text().splitlines()[:2]
    assert headline.startswith("VERIFIED") and "user's word" in headline
    assert "'nerve' is avoid, margin 3 mm" in trust
    assert report.to_json_dict()["on_trust"] == list(report.on_trust)
    told["options"]["settings"]["roles"]["nerve"] = "avoid:4"
    assert not verified_as_planned(without_margins(result), told).ok


METAL_MR = {**KNOWN, "guidance.like": "planning", "guidance.bandwidth_hz_per_px": 200.0}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "bone that nobody let the needle cross": ("marrow", {"allow_bone": None}),
    "an opt-in that nobody took": ("region", {"opt_in": []}),
    "another metal": ("metal", {"implants": {"rod": "titanium"}}),
    "a metal that nobody named": ("metal", {"implants": {}, "roles": {"rod": "implant"}}),
    "a role that was not given": ("metal", {"roles": {"aorta": "allowed"}}),
    "a role that is none": ("metal", {"roles": {"aorta": "avoid:much"}}),
    "a role of what is not there": ("metal", {"roles": {"tattoo": "avoid"}}),
    "another throw": ("metal", {"throw_mm": 10.0}),
    "another region": ("region", {"target": "anatomy:disc:L3-L4"}),
    "no region at all": ("region", {"target": "anatomy:nowhere"}),
    "an MR value that nobody gave": ("metal", {"mr": {"readout": "row"}}),
    "another MR value": ("metal", {"mr": {**METAL_MR, "readout_pixel_mm": 2.4}}),
    "a guiding sequence that nobody gave": ("metal", {"mr": KNOWN}),
    "another sequence": ("metal", {"mr": {**METAL_MR, "sequence": "GRE"}}),
    "an MR value that is none": ("metal", {"mr": {**METAL_MR, "readout_pixel_mm": "wide"}}),
    "an entry that was forbidden": ("metal", {"forbid_entry": ["trunk"]}),
    "another point": ("metal", {"target": "4.0, 2.0 3.0"}),
    "the point in another frame": ("metal", {"frame": "ras"}),
    "another structure": ("metal", {"target": "structure:aorta"}),
}
HONEST: dict[str, dict[str, Any]] = {
    "marrow": {"allow_bone": True, "mr": KNOWN},
    "region": {"opt_in": ["no_pause"], "target": "anatomy:foramen:l3-l4:LEFT"},
    "metal": {"implants": {"rod": "Steel"}, "throw_mm": 0.0, "mr": METAL_MR, "target": "4,2;1"},
}


@pytest.mark.parametrize("name", ASKED)
def test_the_plan_is_the_one_asked_for(plans, name):
    plan, lie = ASKED[name]
    result, content = plans[plan]
    told = copy.deepcopy(content)
    honest = settings(**HONEST[plan])
    for record in told["structures"]:
        own_mm = record["own_margin_mm"]
        if own_mm is not None:
            as_user_said(told, record["name"], "avoid", own_mm)
            honest["roles"][record["name"]] = f"avoid:{own_mm}"
        if record["name"] == "rod":
            record["role_from"] = "user"
    told["options"]["settings"] = honest
    assert [c.to_text() for c in report_of(result, told).failures] == []
    roles = {**honest["roles"], **lie.get("roles", {})}
    told["options"]["settings"] = {**honest, **lie, "roles": roles}
    assert not report_of(result, told).ok


def test_a_throw_shorter_than_the_procedure_s_is_asked_for_or_caught(plans):
    """The procedure fires 5 mm, the plan looked at 0 mm beyond the tip."""
    result, content = plans["metal"]
    firing = replace(result.protocol, throw=Evidenced(value=5.0, evidence="E"))
    told = copy.deepcopy(content)
    claim = "needle.throw_mm is at least the procedure's"
    for asked, is_caught in (({}, True), ({"throw_mm": 0.0}, False)):
        told["options"]["settings"] = settings(**{**HONEST["metal"], "throw_mm": None, **asked})
        plan = PlanDocument.model_validate_json(json.dumps(told))
        report = verify_plan(plan, result.volume, result.structures, protocol=firing)
        assert (claim in {c.claim for c in report.failures}) == is_caught
        assert "a throw of 0 mm instead of 5 mm" in report.on_trust


HOSTILE = {
    "no table": "as usual",
    "opt-ins": {"opt_in": 5},
    "entries": {"forbid_entry": {"a": 1}},
    "a throw": {"throw_mm": 10**400},
    "a throw of words": {"throw_mm": [1.0]},
    "roles": {"roles": ["nerve"], "implants": 3},
    "a target": {"target": ["1", 2]},
    "a far target": {"target": "1e999,nan,0"},
    "a place": {"target": "anatomy:disc:" + "L" * 99},
    "mr": {"mr": {"readout_pixel_mm": None, "": 10**400}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_settings_of_any_kind_are_caught_without_a_crash(plans, name):
    result, content = plans["metal"]
    told = copy.deepcopy(content)
    told["options"]["settings"] = HOSTILE[name]
    assert not report_of(result, told).ok


# --- beside metal --------------------------------------------------------------------------------


def all_is_far(content: Content) -> None:
    for path in content["trajectories"]:
        record = path["susceptibility"]
        total = sum(record["zones_mm"].values())
        record["zones_mm"] = {"void": 0.0, "distorted": 0.0, "far": round(total, 2)}
        path["findings"] = [f for f in path["findings"] if f["constraint"] != "mr_distorted"]
    made_to_agree(content)


def no_bandwidth(content: Content) -> None:
    """Called missing, the artefact would not be known, nor what it hides."""
    for mr in (content["mr"], content["mr"]["guidance"]):
        mr["problems"] = {"bandwidth_hz_per_px": "PixelBandwidth (0018,0095) is missing"}
        mr["bandwidth_hz_per_px"] = None


def bandwidth_in_doubt(content: Content) -> None:
    content["mr"]["problems"] = {"bandwidth_hz_per_px": "contradictory"}


def no_planes(content: Content) -> None:
    for path in content["trajectories"]:
        path["scan_planes"] = []


def a_risk(content: Content) -> None:
    content["trajectories"][0]["risk"] = {"perforation": 0.0}


@pytest.mark.parametrize("change", [all_is_far, no_planes, a_risk])
def test_what_is_emptied_or_filled_is_caught(plans, change):
    result, content = plans["metal"]
    lie = copy.deepcopy(content)
    change(lie)
    assert not report_of(result, lie).ok


@pytest.mark.parametrize("change", [no_bandwidth, bandwidth_in_doubt])
def test_what_the_header_states_is_not_called_missing(plans, change):
    result, content = plans["metal"]
    lie = copy.deepcopy(content)
    change(lie)
    claims = {c.claim for c in report_of(result, lie).failures}
    assert "mr.bandwidth_hz_per_px is given, as the header has it" in claims
