"""MR physics in words: each number once, with its source; silent where there is no metal."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from planner.model import Finding, Verdict
from planner.model.mr import MetalReduction
from planner.model.mr_results import Bore
from planner.report import report_markdown, summary_text
from planner.report.mr_text import (
    acquisition_rows,
    artefact_text,
    bore_text,
    implant_rows,
    problem_texts,
    summary_facts,
)
from planner.report.reasons import reasons
from tests.mr_scene import acquisition, with_mr

MR_WORDS = ("Metal:", "Sweep:", "Needle artefact", "MR acquisition", "## Implants", "as drawn")


@pytest.fixture(scope="module")
def beside_metal(plan_result):
    return with_mr(plan_result)


def one_path(result):
    """The report's section of path 1."""
    report = report_markdown(result, []).replace("\\", "")
    return report[report.index("### Path 1") : report.index("### Path 2")]


def first(result, **changes):
    path = replace(result.trajectories[0], **changes)
    return replace(result, trajectories=(path, *result.trajectories[1:]))


@pytest.mark.parametrize(
    "shown",
    ["31.4", "12.7", "2.6 mm", "1.1,", "slice 0.9", "water 0.8", "2.15", "3.3", "6.7", "0.4 mm"]
    + ["2.8", "77°", "0.37", "5.55", "1.89", "0.96", "bandwidth 500 Hz"],
)
def test_each_number_of_a_path_is_told_once(beside_metal, shown):
    section = one_path(beside_metal)
    section = section[section.index("**Metal:**") :]
    assert len(re.findall(rf"(?<![\d.]){re.escape(shown)}", section)) == 1


def test_the_clearance_to_the_mask_as_drawn_stands_beside_the_swept_one(beside_metal):
    path = beside_metal.trajectories[0]
    swept, unchanged = path.clearances[0], path.clearances[-1]
    section = one_path(beside_metal)
    row = next(r for r in section.splitlines() if r.startswith(f"| {swept.structure} |"))
    assert f"| {swept.clearance_mm:.2f} |" in row
    assert row.endswith(f"| {swept.clearance_mm + 4.75:.2f} |")
    row = next(r for r in section.splitlines() if r.startswith(f"| {unchanged.structure} |"))
    assert row.endswith("| same |")
    assert f"binding only by the image shift: {swept.structure}" in section


def test_every_value_of_the_acquisition_has_its_source_or_its_problem():
    rows = {name: (value, source) for name, value, source in acquisition_rows(acquisition())}
    assert rows["Field B0"] == ("1.5 T", "tag: MagneticFieldStrength (0018,0087)")
    assert rows["Sequence family"] == ("TSE", "user: given by the user")
    value, source = rows["Repetition time"]
    assert value == "unknown" and "PROBLEM: RepetitionTime (0018,0080) is missing" in source
    assert rows["Acquired pixel along the phase"] == ("unknown", "not in the header")
    assert rows["Readout axis (LPS, either way)"][0] == "(0.800, -0.600, 0.000)"
    assert all(value and source for value, source in rows.values())


def test_a_contradiction_is_told_beside_the_value_it_is_about():
    odd = acquisition(problems={"field_t": "1.5 T but 123 MHz", "header": "no MR tags at all"})
    rows = {name: source for name, _, source in acquisition_rows(odd)}
    assert "PROBLEM: 1.5 T but 123 MHz" in rows["Field B0"]
    assert problem_texts(odd) == ["header: no MR tags at all"]


def test_a_readout_in_every_direction_is_not_unknown():
    rows = acquisition_rows(acquisition(is_isotropic_readout=True, readout_axis_lps=None))
    assert "every direction" in dict(row[:2] for row in rows)["Readout axis (LPS, either way)"]
    rows = acquisition_rows(acquisition(readout_axis_lps=None))
    assert dict(row[:2] for row in rows)["Readout axis (LPS, either way)"] == "unknown"


def test_a_metal_reduction_that_is_only_suggested_does_not_count():
    rows = acquisition_rows(acquisition(metal_reduction_hint="SEMAC"))
    assert "none confirmed" in dict(row[:2] for row in rows)["Metal reduction"]
    rows = acquisition_rows(acquisition(metal_reduction=MetalReduction.SEMAC))
    assert dict(row[:2] for row in rows)["Metal reduction"] == "SEMAC"


def test_both_acquisitions_are_told_apart(beside_metal):
    two = replace(beside_metal, acquisitions=(acquisition(), acquisition(field_t=3.0)))
    report = report_markdown(two, [])
    planning, guiding = report.split("## MR acquisition that guides the needle")
    assert "| Field B0 | 1.5 T |" in planning
    assert "| Field B0 | 3 T |" in guiding


def test_implants_say_metal_range_and_whether_the_shape_is_the_metals_own(beside_metal):
    rods, screw = implant_rows(beside_metal.implants)
    assert rods[1:3] == ("titanium", "191 (187 to 195)")
    assert rods[4] == "geometry: rods"
    assert screw[1] == "not known: titanium or cobalt-chrome, the worst counts"
    assert "859 to 1309" in screw[2]
    assert screw[4] == "drawn as a mask: may be larger than the metal"
    report = report_markdown(beside_metal, []).replace("\\", "")
    assert "| pedicle_screw_right |" in report[report.index("## Implants") :]


def test_nothing_is_said_without_metal(plan_result):
    for text in (report_markdown(plan_result, []), summary_text(plan_result)):
        for word in MR_WORDS:
            assert word not in text
    assert summary_facts(plan_result, plan_result.trajectories[0]) == []


def test_no_value_that_is_missing_is_shown_as_such(beside_metal):
    path = beside_metal.trajectories[0]
    lost = replace(
        path.metal, largest_shift_mm=float("nan"), zones_mm={"void": float("nan")}, binding=()
    )
    odd = first(beside_metal, metal=lost)
    for text in (report_markdown(odd, []), summary_text(odd)):
        assert not re.search(r"\b(nan|None|inf)\b", text)
        assert "unknown mm" in text or "unknown" in text
        assert "-0.0000" not in text
    assert "| bandwidth 500 Hz per pixel | PASS | none near |  | none near | 0.96 |" in one_path(
        odd
    )


def test_the_terminal_gets_three_short_lines(beside_metal):
    path = beside_metal.trajectories[0]
    facts = summary_facts(beside_metal, path)
    assert [label for label, _ in facts] == ["Metal", "Artefact", "Planes"]
    text = summary_text(beside_metal)
    for _, words in facts:
        assert text.count(words) == 1 and len(words) <= 88
    assert "T > C 12.3 > S -4.5" in text


@pytest.mark.parametrize("text_of", [summary_text, lambda r: report_markdown(r, [])])
def test_not_checked_says_only_what_was_not(plan_result, beside_metal, text_of):
    assert "MR distortion" not in text_of(beside_metal)
    assert "needle's own artefact" not in text_of(beside_metal)
    text = " ".join(text_of(plan_result).split())
    assert "the field of the implants is not known" in text
    assert "the needle's own artefact" in text
    no_metal = tuple(s for s in plan_result.structures.structures if s.role != "implant")
    bare = replace(plan_result, structures=replace(plan_result.structures, structures=no_metal))
    assert "MR distortion near metal: no implant was given" in " ".join(text_of(bare).split())


def test_one_path_without_artefact_is_enough_to_say_so(beside_metal):
    odd = first(beside_metal, artefact=None)
    assert artefact_text(odd.trajectories[0]) is None
    assert "the needle's own artefact in the MR image" in summary_text(odd)
    assert "Needle artefact" not in one_path(odd)


def test_bore_room_or_why_it_is_not_known(beside_metal):
    path = beside_metal.trajectories[0]
    assert bore_text(beside_metal, path) is None
    assert "**Bore:** 41.5 mm" in one_path(first(beside_metal, bore_room_mm=41.52))
    unplaced = replace(beside_metal, bore=Bore(radius_mm=350.0, centre_lp_mm=None))
    assert "UNKNOWN" in bore_text(unplaced, path)


def test_distances_to_the_artefact_are_not_told_as_clearances():
    """4.1 mm to a nerve is no bare clearance of a limit of 4.3 mm."""
    near = Finding(
        constraint="needle_artefact",
        structure="root",
        measured=4.1,
        required=4.3,
        unit="mm",
        verdict=Verdict.CAUTION,
        note="",
    )
    bare = replace(near, constraint="clearance", structure="aorta")
    cut = replace(near, constraint="mr_unknown", structure="screws", verdict=Verdict.UNKNOWN)

    class Path:
        rank = 1
        findings = (near, replace(near, structure="sac", measured=3.9), bare, cut)

    unknown, *cautions = [reason.text for reason in reasons([Path])]
    assert unknown.startswith("the image cuts metal") and "screws 4.10 mm" in unknown
    artefact = next(text for text in cautions if "artefact" in text)
    assert "sac 3.90 mm (needs 4.3)" in artefact and "root" in artefact
    assert "only just clear of aorta 4.10 mm (needs 4.3)" in cautions


def test_names_from_files_stay_plain(beside_metal):
    evil = "a|b <script>x</script>\x1b[31m"
    path = beside_metal.trajectories[0]
    odd = first(beside_metal, metal=replace(path.metal, binding=(evil,)))
    implants = (replace(beside_metal.implants[0], name=evil),)
    report = report_markdown(replace(odd, implants=implants), [])
    assert "<script" not in report and "\x1b" not in report
    row = next(r for r in report.splitlines() if r.startswith("| a") and "geometry" in r)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_a_direction_is_never_minus_zero(beside_metal):
    assert np.signbit(beside_metal.trajectories[0].scan_planes[0].normal_lps[1])
    assert "(0.0000, 0.0000, 1.0000)" in one_path(beside_metal)
