"""The target region and the pairs of needles: told in every report, drawn where they truly are."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from planner.errors import InputError
from planner.geometry import Mask, Volume
from planner.io.plan_file import plan_document
from planner.model import (
    BoneRule,
    Evidenced,
    Finding,
    NeedlePair,
    StructureSet,
    TargetRegion,
    TwoNeedleRule,
    Verdict,
)
from planner.report import panel, report_markdown, style, summary_text
from planner.report.html_plan import as_result
from planner.report.html_report import report_html
from planner.report.panel import HEIGHT_PX, WIDTH_PX, panel_figure
from planner.report.panel_view import panel_scene, second_path
from planner.report.region import corridor_masks, measure_texts, pair_texts, region_rows
from planner.report.style import CORRIDOR_OUTLINE, REGION_OUTLINE, SECOND_NEEDLE_COLOUR
from planner.report.text import not_checked_texts
from tests.mr_scene import with_mr
from tests.phantom_scenes import lumbar_scene, scene_structures
from tests.plan_factory import TARGET_LPS_MM
from tests.unit.report.test_html_report import HOSTILE, assert_harmless, words

NOTE = "the label ends at the image's border: look at it"
VOXEL_REACH_MM = 2.6
"""Half the diagonal of a voxel of 4 x 1.2 x 1.2 mm, and a little."""


def with_region(result, *, name="anatomy:foramen:L4-L5:left", mask=None, **more):
    """The plan with the foramen as a region; every path carries the region's warning."""
    chosen = mask or result.structures["foramen"].mask
    told = {
        "words": "left foramen L4-L5 from vertebra_L4",
        "measures": {"foramen_height_mm": 15.52, "safe_triangle_area_mm2": 88.04},
        "warnings": (NOTE,),
        **more,
    }
    centre = chosen.grid.to_lps(np.argwhere(chosen.inside)[0])
    at = TARGET_LPS_MM if bool(chosen.contains(TARGET_LPS_MM)) else centre
    region = TargetRegion(name=name, mask=chosen, centre_lps_mm=at, **told)
    doubt = [
        Finding(
            constraint="target_region",
            structure=None,
            measured=None,
            required=None,
            unit="",
            verdict=Verdict.CAUTION,
            note=text,
        )
        for text in region.warnings
    ]
    return replace(
        result,
        target=replace(result.target, name=name, point_lps_mm=at, region=region),
        trajectories=tuple(replace(t, findings=(*t.findings, *doubt)) for t in result.trajectories),
    )


def with_pairs(result, n=1, *, has_rule=True):
    rule = TwoNeedleRule(
        spacing=Evidenced(value=10.0, evidence="E: spacing"),
        clearance=Evidenced(value=2.0, evidence="E"),
    )
    pairs = tuple(
        NeedlePair(first_rank=1, second_rank=2, tip_spacing_mm=11.114, clearance_mm=9.456)
        for _ in range(n)
    )
    protocol = replace(result.protocol, two_needles=rule if has_rule else None)
    return replace(result, pairs=pairs, protocol=protocol)


@pytest.fixture(scope="module")
def region_result(plan_result):
    return with_region(plan_result)


@pytest.fixture(scope="module")
def pair_result(plan_result):
    return with_pairs(plan_result)


def html_of(result):
    return report_html(plan_document(result), (), plan_sha256="0" * 64, protocol=result.protocol)


def test_a_point_has_no_region_to_tell_of(plan_result):
    assert region_rows(plan_result) == [] and corridor_masks(plan_result) == []
    for text in (summary_text(plan_result), report_markdown(plan_result, [])):
        assert "anywhere in it" not in text and "Two needles" not in text
    assert "point asked for" in words(html_of(plan_result))


def test_every_report_tells_origin_measures_and_warning(region_result):
    plain_text = " ".join(summary_text(region_result).split())
    for text in (plain_text, report_markdown(region_result, []), words(html_of(region_result))):
        assert "anatomy:foramen:L4-L5:left, its middle at LPS" in text
        assert "left foramen L4-L5 from" in text and "the tip may lie anywhere in it" in text
        assert "foramen height 15.5 mm, safe triangle area 88.0 mm²" in text
        assert f"LOOK AT IT {NOTE}" in text.replace("| ", "")
    assert "preferred point of the region" in words(html_of(region_result))


def test_the_warning_is_told_where_no_path_was_found(hopeless_result):
    result = with_region(hopeless_result)
    for text in (summary_text(result), report_markdown(result, [])):
        assert NOTE in " ".join(text.split())


def test_a_measure_without_a_unit_is_not_given_one():
    measures = {"touching_frac": 0.128, "n_count": 2.0, "volume_mm3": 812.4, "odd": 1.0}
    assert measure_texts(measures) == ["touching 0.13", "n 2", "volume 812 mm³", "odd 1.0"]
    assert measure_texts({"joint_gap_mm": float("nan")}) == ["joint gap unknown mm"]


def test_hostile_words_of_a_region_stay_words(plan_result):
    result = with_region(plan_result, name=HOSTILE, words=HOSTILE, warnings=(HOSTILE,))
    html = html_of(result)
    assert_harmless(html)
    assert "alert(1)" in words(html)
    assert "<script" not in report_markdown(result, [])


def test_every_report_tells_the_pairs_with_what_they_need(pair_result):
    texts = (
        " ".join(summary_text(pair_result).split()),
        report_markdown(pair_result, []).replace("|", ""),
        words(html_of(pair_result)),
    )
    for text in texts:
        assert "Two needles at once" in text
        for told in ("1 and 2", "11.11", "10 (E: spacing)", "9.46", "2 (E)"):
            assert told in text.replace("  ", " "), told
        assert "artefact of one hides the tip of the other" in text


def test_a_pair_whose_rule_is_not_known_says_so(plan_result):
    result = with_pairs(plan_result, has_rule=False)
    (text,) = pair_texts(result)
    assert text.count("unknown") == 2
    assert "required unknown" in text


def test_pairs_beyond_the_first_are_counted(plan_result):
    texts = pair_texts(with_pairs(plan_result, n=9))
    assert len(texts) == 6 and texts[-1].startswith("4 more pairs")
    assert not any("tip of the other" in text for text in not_checked_texts(plan_result))


# --- pictures ----------------------------------------------------------------------------------


def outlines(figure, n_axes, colour):
    """Vertices (plane mm) of the contours of a colour in the first views."""
    found = []
    for axes in figure.axes[:n_axes]:
        for contour in axes.collections:
            edge = contour.get_edgecolor()
            if len(edge) and np.allclose(edge[0][:3], to_rgb(colour)):
                found += [path.vertices for path in contour.get_paths() if len(path.vertices)]
    return found


def legend_words(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("grid_axes", ["oblique", "sagittal"])
def test_the_region_is_drawn_around_the_target(plan_of, grid_axes):
    result = with_region(plan_of(grid_axes))
    path = result.trajectories[0]
    figure = panel_figure(panel_scene(result), path)
    assert REGION_OUTLINE.label in legend_words(figure)
    across = np.concatenate(outlines(figure, 1, REGION_OUTLINE.colour))
    tip = next(line for line in figure.axes[0].lines if line.get_marker() == "D")
    away = np.linalg.norm(across - tip.get_xydata()[0], axis=1)
    off_mm = float(np.linalg.norm(path.tip_lps_mm - TARGET_LPS_MM))
    assert away.max() <= 3.0 + VOXEL_REACH_MM + off_mm, "it is a ball of 3 mm"


def test_no_region_no_word_in_the_legend(plan_result):
    figure = panel_figure(panel_scene(plan_result), plan_result.trajectories[0])
    shown = legend_words(figure)
    assert REGION_OUTLINE.label not in shown and CORRIDOR_OUTLINE.label not in shown
    assert not any("projected" in word for word in shown)
    assert not outlines(figure, 4, REGION_OUTLINE.colour)


def test_the_corridor_of_a_region_is_drawn(plan_result):
    vertebra = plan_result.structures["vertebra_L4"].mask
    result = with_region(plan_result, corridor=vertebra)
    assert corridor_masks(result) == [vertebra]
    figure = panel_figure(panel_scene(result), result.trajectories[0])
    assert CORRIDOR_OUTLINE.label in legend_words(figure)
    assert outlines(figure, 4, CORRIDOR_OUTLINE.colour)


def test_both_pedicles_are_the_corridor_of_a_transpedicular_procedure(plan_result):
    scene = lumbar_scene()
    structures = scene_structures(scene)
    protocol = replace(plan_result.protocol, bone=BoneRule.THROUGH_PEDICLE)
    at = scene.truth.targets["vertebra:L4"].centre_lps_mm
    target = replace(plan_result.target, point_lps_mm=at)
    result = replace(plan_result, structures=structures, protocol=protocol, target=target)
    centres = [
        mask.grid.to_lps(np.argwhere(mask.inside)).mean(axis=0) for mask in corridor_masks(result)
    ]
    true = [scene.truth.targets[f"pedicle:L4:{side}"].centre_lps_mm for side in ("left", "right")]
    np.testing.assert_allclose(centres, true, atol=4.0)
    outside = replace(target, point_lps_mm=at + np.array([0.0, -150.0, 0.0]))
    assert corridor_masks(replace(result, target=outside)) == []


def test_the_second_needle_is_drawn_and_named(pair_result):
    first, second = pair_result.trajectories[:2]
    assert second_path(pair_result, first) is second and second_path(pair_result, second) is first
    figure = panel_figure(panel_scene(pair_result), first)
    assert "needle of path 2, projected" in legend_words(figure)
    for axes in figure.axes[:2]:
        assert len(marks_of_second(axes)) == 1
    others = pair_result.trajectories[2:]
    assert all(second_path(pair_result, other) is None for other in others)


def marks_of_second(axes):
    """Middles (plane mm) of what is drawn of the second needle."""
    return [
        patch.get_xy()[:-1].mean(axis=0)
        for patch in axes.patches
        if np.allclose(patch.get_edgecolor()[:3], to_rgb(SECOND_NEEDLE_COLOUR))
    ]


@pytest.mark.parametrize(("reach", "is_met"), [(1.0, True), (0.05, False)])
def test_across_the_second_needle_is_where_it_comes_through(pair_result, reach, is_met):
    """A second needle 8 mm beside the first; where it ends before the plane it has no mark."""
    first, second = pair_result.trajectories[:2]
    aside = np.cross(first.tip_lps_mm - first.entry_lps_mm, [0.0, 0.0, 1.0])
    entry = first.entry_lps_mm + 8.0 * aside / np.linalg.norm(aside)
    tip = entry + reach * (first.tip_lps_mm - first.entry_lps_mm)
    beside = replace(second, entry_lps_mm=entry, tip_lps_mm=tip, throw_end_lps_mm=tip)
    result = replace(pair_result, trajectories=(first, beside, *pair_result.trajectories[2:]))
    axes = panel_figure(panel_scene(result), first).axes[3]
    drawn = marks_of_second(axes)
    assert len(drawn) == is_met
    if is_met:
        assert np.linalg.norm(drawn[0]) == pytest.approx(8.0, abs=0.1)


def test_the_fullest_legend_stays_in_the_picture(pair_result):
    """Every kind of outline at once, a margin, a second needle and the needle's artefact."""
    path = with_mr(pair_result).trajectories[0]
    kinds = [*style._BY_CLASS.values(), *style._BY_ROLE.values(), REGION_OUTLINE, CORRIDOR_OUTLINE]
    figure = Figure(figsize=(WIDTH_PX / style.DPI, HEIGHT_PX / style.DPI), dpi=style.DPI)
    FigureCanvasAgg(figure)
    with mpl.rc_context(style.MATPLOTLIB_STYLE):
        panel._draw_footer(figure, pair_result, kinds, path)
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert len(legend_words(figure)) > len(kinds) + 4
    assert box.x0 >= 0 and box.x1 <= WIDTH_PX and box.y0 >= 24 and box.y1 <= 118


# --- the plan file -----------------------------------------------------------------------------


def from_masks(result, name):
    """The plan of ``result`` with one of its structures as region, read from its file."""
    mask = result.structures[name].mask
    told = with_region(result, name=f"region:{name}", mask=mask, warnings=())
    return plan_document(told), told


def test_the_region_of_a_file_is_the_same_voxels(plan_result):
    plan, told = from_masks(plan_result, "foramen")
    again = as_result(plan, volume=told.volume, structures=told.structures)
    assert np.array_equal(again.target.region.mask.inside, told.target.region.mask.inside)
    assert region_rows(again) == region_rows(told)
    alone = as_result(plan)
    assert alone.target.region.mask.n_voxels == 1, "a stand-in"
    assert region_rows(alone) == region_rows(told)


def test_another_region_than_that_of_the_plan_is_not_drawn(plan_result):
    plan, told = from_masks(plan_result, "foramen")
    inside = told.target.region.mask.inside.copy()
    inside[tuple(np.argwhere(inside)[0])] = False
    other = tuple(
        replace(s, mask=Mask(grid=s.mask.grid, inside=inside)) if s.name == "foramen" else s
        for s in told.structures.structures
    )
    moved = StructureSet(grid=told.structures.grid, structures=other)
    with pytest.raises(InputError, match="not the one of the plan"):
        as_result(plan, volume=told.volume, structures=moved)


def test_pairs_of_a_file_are_those_of_the_plan(pair_result):
    assert as_result(plan_document(pair_result)).pairs == pair_result.pairs


def test_a_region_off_the_image_is_no_crash(plan_result):
    """A picture whose image is all zero, and a region that no view meets."""
    body = plan_result.structures["trunk"].mask
    corner = np.zeros(body.inside.shape, bool)
    corner[-1, -1, -1] = True
    far = with_region(plan_result, mask=Mask(grid=body.grid, inside=corner))
    black = Volume(grid=far.volume.grid, values=np.zeros(far.volume.grid.shape_kji, np.int16))
    figure = panel_figure(panel_scene(replace(far, volume=black)), far.trajectories[0])
    assert REGION_OUTLINE.label not in legend_words(figure), "the legend names what is drawn"


def test_without_a_path_the_region_s_warnings_are_told_all_the_same(hopeless_result):
    """No path carries them as a finding: they come from the plan file, and stand first."""
    lost = with_region(hopeless_result)
    assert not lost.trajectories
    plan = plan_document(lost)
    assert plan.target.region is not None and plan.target.region.warnings == (NOTE,)
    told = words(report_html(plan, [], plan_sha256="0" * 64, protocol=lost.protocol))
    assert told.index("Look at the target region") < told.index("What was asked")
    for text in (told, report_markdown(lost, figures=[]), summary_text(lost)):
        assert NOTE in text
