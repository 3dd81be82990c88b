"""The words of a plan: complete, verdict first, nothing hidden, no names of people."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePath
from types import SimpleNamespace

import numpy as np
import pytest

import planner
from planner.geometry.digest import volume_sha256
from planner.model import Evidenced, Explanation, Finding, MarginRule, PlanWarning, Verdict
from planner.report import report_markdown, summary_text
from planner.report.style import BANNER
from planner.report.text import approach_rows

FIGURES = [PurePath("figures/path_01.png"), PurePath("figures/skin_clearance.png")]


def with_failed_finding(result):
    path = result.trajectories[0]
    bad = Finding(
        constraint="clearance",
        structure="aorta",
        measured=1.234,
        required=3.0,
        unit="mm",
        verdict=Verdict.FAIL,
    )
    worse = replace(path, findings=(*path.findings, bad), verdict=Verdict.FAIL)
    return replace(result, trajectories=(worse, *result.trajectories[1:]), verdict=Verdict.FAIL)


@pytest.mark.parametrize("text_of", [summary_text, lambda r: report_markdown(r, FIGURES)])
def test_both_texts_hold_what_a_radiologist_needs(plan_result, text_of):
    text = text_of(plan_result)
    plain = text.replace("\\", "")
    best = plan_result.trajectories[0]
    assert BANNER in text
    assert "VERDICT: PASS" in text.upper()
    assert best.words in text
    assert best.binding.structure in plain
    assert f"{best.binding.clearance_mm:.2f}" in text
    assert plan_result.protocol.title in text
    assert plan_result.needle.name in text
    assert "17.0, 27.0, -205.0" in text
    assert "not checked" in text.lower()
    assert "MR distortion" in text
    assert plan_result.warnings[0].message in plain


@pytest.mark.parametrize("text_of", [summary_text, lambda r: report_markdown(r, FIGURES)])
def test_verdict_comes_before_any_number(plan_result, text_of):
    text = text_of(plan_result).upper()
    assert text.index("VERDICT: PASS") < text.index(" MM")


def test_every_path_is_in_the_table(plan_result):
    report = report_markdown(plan_result, FIGURES)
    for path in plan_result.trajectories:
        assert re.search(rf"^\| {path.rank} \| PASS \| {path.length_mm:.1f} \|", report, re.M)
        assert f"| {path.cost:.3f} |" in report
        for item in path.clearances:
            assert f"| {item.structure} | {item.clearance_mm:.2f} |" in report


def test_input_identity_is_in_the_report(plan_result):
    report = report_markdown(plan_result, FIGURES)
    assert plan_result.volume.source.series_instance_uid in report
    assert plan_result.protocol.sha256 in report
    assert volume_sha256(plan_result.volume) in report
    assert planner.__version__ in report
    assert "38 x 150 x 158" in report


@pytest.mark.parametrize("text_of", [summary_text, lambda r: report_markdown(r, [])])
def test_unknown_is_shouted(unknown_result, text_of):
    text = text_of(unknown_result)
    assert "no mask to avoid was given for: bowel; this procedure requires it" in one_line(text)
    assert "VERDICT: UNKNOWN" in text.upper()
    assert "NOT safe" in text
    assert "never counts as safe" in text
    assert "PASS - every check" not in text


def one_line(text):
    return " ".join(text.split())


def test_unknown_stands_before_the_paths(unknown_result):
    report = report_markdown(unknown_result, [])
    assert report.index("## UNKNOWN because") < report.index("**Path 1:**")
    text = summary_text(unknown_result)
    assert text.index("VERDICT") < text.index("because:") < text.index("Path 1:")
    assert text.count("no mask to avoid was given for: bowel") == 1, "one sentence for all paths"


def test_required_class_without_a_mask_is_unknown_even_without_a_finding(plan_result):
    nerveless = replace(
        plan_result.structures,
        structures=tuple(
            s for s in plan_result.structures.structures if s.structure_class != "nerve"
        ),
    )
    result = replace(plan_result, structures=nerveless)
    for text in (summary_text(result), report_markdown(result, [])):
        assert "no mask to avoid was given for: nerve" in one_line(text)


def test_a_missing_mask_is_told_once_and_not_as_a_warning_too(unknown_result):
    told = PlanWarning(
        code="missing_structure", message="no mask of class 'bowel' is to be avoided"
    )
    text = summary_text(replace(unknown_result, warnings=(told,)))
    assert "Warnings:" not in text


def test_given_bone_is_not_missing(plan_result):
    rule = MarginRule(
        structure_class="bone", margin=Evidenced(value=0.0, evidence="E"), required=True
    )
    protocol = replace(plan_result.protocol, margins=(*plan_result.protocol.margins, rule))
    assert "UNKNOWN" not in summary_text(replace(plan_result, protocol=protocol))


def test_failed_finding_shows_measured_against_required(plan_result):
    bad = with_failed_finding(plan_result)
    assert "FAIL: clearance aorta: measured 1.23, required 3.00 mm" in report_markdown(bad, [])
    assert "FAIL: too near to aorta 1.23 mm (needs 3)" in summary_text(bad)


def test_the_worst_is_told_first(plan_result):
    path = plan_result.trajectories[0]
    caution, unknown = (
        replace(
            with_failed_finding(plan_result).trajectories[0].findings[-1],
            verdict=verdict,
            measured=measured,
            structure=name,
        )
        for verdict, measured, name in (
            (Verdict.CAUTION, 3.1, "cava"),
            (Verdict.UNKNOWN, None, "plexus"),
        )
    )
    failed = with_failed_finding(plan_result).trajectories[0].findings[-1]
    mixed = replace(path, findings=(caution, failed, unknown), verdict=Verdict.FAIL)
    odd = replace(plan_result, trajectories=(mixed,), verdict=Verdict.FAIL)
    for text in (summary_text(odd), report_markdown(odd, [])):
        assert text.index("plexus") < text.index("FAIL: ") < text.index("CAUTION: ")


def test_nothing_feasible_is_explained(hopeless_result):
    for text in (summary_text(hopeless_result), report_markdown(hopeless_result, [])):
        assert hopeless_result.explanation[0].message in one_line(text)
        assert "opens at 6.50 mm, now 28.00 mm" in one_line(text)
        assert "no path meets every limit" in text.lower()
        for reason, count in hopeless_result.rejected_counts.items():
            assert reason in text
            assert f"{count:,}" in text


def test_soft_structures_are_named_as_not_protected(plan_result):
    uses = tuple(replace(u, hard=False) if u.name == "aorta" else u for u in plan_result.uses)
    text = summary_text(replace(plan_result, uses=uses))
    assert "no distance is kept, a path may touch: aorta" in text


def test_bone_that_may_be_crossed_is_told_as_such_and_not_in_a_long_list(plan_result):
    bone = next(u for u in plan_result.uses if u.role == "bone")
    structure = plan_result.structures[bone.name]
    bones = [replace(structure, name=f"rib_{n}") for n in range(20)]
    result = replace(
        plan_result,
        uses=tuple(replace(bone, name=b.name, hard=False, margin_mm=None) for b in bones),
        structures=replace(plan_result.structures, structures=tuple(bones)),
    )
    text = one_line(summary_text(result))
    assert "the distance to bone: this procedure lets the needle cross it (rib_0, rib_1," in text
    assert "and 16 more)" in text
    assert "may touch" not in text


def test_what_opens_nothing_is_one_sentence(hopeless_result):
    idle = [
        Explanation(
            code=f"removed:{name}", message=f"'{name}' removes", constraint=name, n_removed=1234
        )
        for name in ("skin_angle", "table_side")
    ]
    result = replace(hopeless_result, explanation=(*hopeless_result.explanation, *idle))
    text = one_line(summary_text(result))
    assert "opens nothing: skin_angle 1,234, table_side 1,234." in text
    assert "'skin_angle' removes" not in text
    assert "rejected by" not in text


def similar_result(plan_result, n_near, n_far, top=3, apart_mm=10.0):
    """``top`` asked for, one shown; ``n_near`` feasible entries beside it, ``n_far`` not."""
    path = plan_result.trajectories[0]
    candidates = plan_result.candidates
    entries = np.tile(path.entry_lps_mm, (1 + n_near + n_far, 1))
    entries[1 : 1 + n_near, 2] += np.linspace(1.0, apart_mm - 0.5, n_near)
    entries[1 + n_near :, 2] += apart_mm
    n = len(entries)
    candidates = replace(
        candidates,
        entry_lps_mm=entries,
        tip_lps_mm=np.tile(path.tip_lps_mm, (n, 1)),
        skin_normal_lps=np.tile(path.skin_normal_lps, (n, 1)),
        feasible=np.ones(n, dtype=bool),
        rejected_by=np.zeros(n, dtype="<U1"),
        cost=np.zeros(n),
        clearance_bound_mm=np.zeros(n),
    )
    options = {"top": top, "min_separation_mm": apart_mm}
    return replace(plan_result, trajectories=(path,), candidates=candidates, options=options)


def test_paths_left_out_as_too_similar_are_counted(plan_result):
    for text_of in (summary_text, lambda r: report_markdown(r, [])):
        text = one_line(text_of(similar_result(plan_result, n_near=6, n_far=0)))
        assert "7 feasible; 1 shown; 6 left out as too similar (entry under 10 mm" in text
        assert "ranked lower" not in text
        text = one_line(text_of(similar_result(plan_result, n_near=0, n_far=4, top=1)))
        assert "5 feasible; 1 shown; 4 ranked lower (--top)" in text
        assert "similar" not in text
        text = one_line(text_of(similar_result(plan_result, n_near=0, n_far=0)))
        assert "1 feasible; 1 shown" in text


def test_a_needle_of_no_known_material_is_told_in_words(plan_result):
    needle = replace(plan_result.needle, material="unknown")
    text = summary_text(replace(plan_result, needle=needle))
    assert "material not given" in text
    assert ", unknown" not in text


def test_nothing_measured_is_said_in_words(plan_result):
    path = replace(plan_result.trajectories[0], clearances=(), findings=())
    bare = replace(plan_result, trajectories=(path,))
    report = report_markdown(bare, [])
    assert report.count("No clearance was measured: no structure to avoid was given") == 2
    assert "| Structure | Clearance mm |" not in report
    assert "none measured" in summary_text(bare)


def test_a_limit_of_a_hundredth_is_not_zero(plan_result):
    path = plan_result.trajectories[0]
    near = tuple(replace(c, clearance_mm=0.22, required_mm=0.01) for c in path.clearances)
    odd = replace(plan_result, trajectories=(replace(path, clearances=near),))
    assert "0.22 mm (needs 0.01)" in summary_text(odd)
    assert "| 0.22 | 0.01 |" in report_markdown(odd, [])


def test_pictures_are_linked_relative_to_the_report(plan_result):
    report = report_markdown(plan_result, FIGURES)
    assert "![path 01](<figures/path_01.png>)" in report
    moved = report_markdown(plan_result, [PurePath("/somewhere/private/path_01.png")])
    assert "private" not in moved
    assert "(<path_01.png>)" in moved


def test_names_from_files_cannot_become_markup(plan_result):
    path = plan_result.trajectories[0]
    evil = "a|b `c` <script>x</script>\x1b[31m\n# d"
    renamed = tuple(replace(c, structure=evil) for c in path.clearances)
    odd = replace(plan_result, trajectories=(replace(path, clearances=renamed),))
    report = report_markdown(odd, [])
    assert "<script" not in report
    assert "\x1b" not in report and "\x1b" not in summary_text(odd)
    assert "\n# d" not in report
    rows = [line for line in report.splitlines() if line.startswith("|") and "a\\|b" in line]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in (6, 12)


def test_no_file_name_and_no_free_text_option_is_in_the_report(plan_result):
    """One-patient files are often named after the patient."""
    secret = "Mustermann"
    options = {"structures": f"/data/{secret}.nrrd", "top": 3}
    source = replace(
        plan_result.volume.source, files=(f"{secret}.dcm",), description=f"t1 {secret}"
    )
    volume = replace(plan_result.volume, source=source)
    named = tuple(
        replace(s, source=replace(s.source, file=f"{secret}.nrrd", segment_name=secret))
        for s in plan_result.structures.structures
    )
    result = replace(
        plan_result,
        options=options,
        volume=volume,
        structures=replace(plan_result.structures, structures=named),
    )
    for text in (summary_text(result), report_markdown(result, [])):
        assert secret not in text
    assert "| Option top | 3 |" in report_markdown(result, [])


def test_repeated_warnings_are_told_once(plan_result):
    twice = (PlanWarning(code="image", message="slices overlap"),) * 2
    text = summary_text(replace(plan_result, warnings=twice))
    assert text.count("slices overlap") == 1


def test_terminal_lines_stay_readable(unknown_result):
    longest = max(len(line) for line in summary_text(unknown_result).splitlines())
    assert longest <= 120


def test_numbers_that_are_missing_are_words(plan_result):
    path = plan_result.trajectories[0]
    lost = replace(path.clearances[0], clearance_mm=float("nan"))
    odd = replace(plan_result, trajectories=(replace(path, clearances=(lost,)),))
    for text in (summary_text(odd), report_markdown(odd, [])):
        assert "unknown" in text
        assert not re.search(r"\bnan\b", text)


def test_texts_need_neither_matplotlib_nor_vtk():
    """A plan without figures must stay fast."""
    code = (
        "import sys, planner.report as r; r.summary_text; r.report_markdown;"
        "heavy = {'matplotlib', 'vtkmodules', 'SimpleITK'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    root = Path(planner.__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_allowed_approach_is_told_with_its_evidence():
    protocol = SimpleNamespace(
        approach_side="posterior",
        axial_deg=(15.0, 20.0, 30.0),
        craniocaudal_deg=None,
        approach_evidence="L: a study",
    )
    ((label, text),) = approach_rows(SimpleNamespace(protocol=protocol))
    assert label == "Approach"
    assert text == "from behind; axial 15 to 30°, 20° preferred; evidence: L: a study"
    protocol.approach_side = protocol.axial_deg = None
    assert approach_rows(SimpleNamespace(protocol=protocol)) == []
