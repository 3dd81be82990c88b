"""The skin: surface, colours, camera, and what happens without OpenGL."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from planner.errors import PlannerWarning
from planner.geometry import Grid, Mask
from planner.model import Candidates
from planner.report import skin_view
from planner.report.skin_camera import PICTURE_PX, skin_camera
from planner.report.skin_colours import (
    CLEARANCE_MAP,
    FEASIBLE_COLOUR,
    REJECTED_COLOUR,
    clearance_colours,
    clearance_norm,
    label_colours,
    reason_colours,
    rgb,
)
from planner.report.skin_figure import LABEL_GAP_PX, clearance_legend, label_places, skin_figure
from planner.report.skin_values import (
    FEASIBLE,
    IMAGE_ENDS,
    MAX_REASONS,
    NOT_TRIED,
    OTHER,
    skin_values,
)
from planner.report.style import VERDICT_MEANING
from planner.report.surface import mask_surface
from planner.report.wording import counted
from tests.grids import ORIENTED_AXES
from tests.plan_factory import CENTRE_LPS_MM, TRUNK_HALF_LPS_MM

TOL_SURFACE_MM = 2.2
"""Just over half of the 4 mm slice step: a mask cannot be nearer to the true trunk than that."""


@pytest.fixture(scope="module")
def surface(plan_result):
    return mask_surface(plan_result.structures["trunk"].mask)


@pytest.fixture(scope="module")
def values(plan_result, surface):
    return skin_values(plan_result.candidates, surface.vertices_lps_mm, plan_result.volume.grid)


@pytest.fixture(scope="module")
def rendered(plan_result):
    try:
        return skin_view.skin_figures(plan_result, top=3)
    except PlannerWarning as warning:
        pytest.skip(str(warning))


def nearest_vertex(surface, point) -> int:
    return int(cKDTree(surface.vertices_lps_mm).query(point)[1])


def some_candidates(entries, *, feasible, clearance, reasons) -> Candidates:
    entries = np.array(entries, dtype=float)
    return Candidates(
        entry_lps_mm=entries,
        tip_lps_mm=np.zeros_like(entries),
        skin_normal_lps=np.tile([0.0, 1.0, 0.0], (len(entries), 1)),
        feasible=np.array(feasible),
        rejected_by=np.array(reasons),
        cost=np.where(feasible, 1.0, np.nan),
        clearance_bound_mm=np.array(clearance, dtype=float),
    )


BIG_GRID = Grid.from_axes((100, 100, 100), (5.0, 5.0, 5.0), (-250.0, -250.0, -250.0))


@pytest.mark.parametrize("grid_axes", sorted(ORIENTED_AXES))
def test_surface_is_the_trunks(plan_of, grid_axes):
    result = plan_of(grid_axes)
    surface = mask_surface(result.structures["trunk"].mask)
    on_skin = result.volume.grid.contains(surface.vertices_lps_mm, inset_mm=6.0)
    offset = (surface.vertices_lps_mm[on_skin] - CENTRE_LPS_MM)[:, :2]
    level = np.linalg.norm(offset / TRUNK_HALF_LPS_MM, axis=1)
    gap_mm = np.abs(level - 1) * TRUNK_HALF_LPS_MM.min()
    assert np.percentile(gap_mm, 99) < TOL_SURFACE_MM
    assert len(offset) > 2000


def test_surface_is_closed_also_where_the_image_cuts_the_body(surface):
    edges = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    shared = Counter(map(tuple, edges))
    assert set(shared.values()) == {2}


@pytest.mark.parametrize("grid_axes", ["axial", "oblique_flipped"])
def test_surface_of_fine_voxels_is_averaged_but_not_shifted(grid_axes):
    """Blocks of 3 x 4 x 2 voxels; an odd number of voxels remains on every axis."""
    spacing = (0.6, 0.45, 0.9)
    grid = Grid.from_axes((101, 127, 73), spacing, (7.0, -3.0, 50.0), ORIENTED_AXES[grid_axes])
    index = np.moveaxis(np.indices(grid.shape_kji), 0, -1)
    centre = grid.to_lps([49.0, 61.0, 37.0])
    ball = np.linalg.norm(grid.to_lps(index) - centre, axis=-1) <= 22.0
    surface = mask_surface(Mask(grid=grid, inside=ball))
    offset = surface.vertices_lps_mm - centre
    np.testing.assert_allclose(offset.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(offset, axis=1), 22.0, atol=0.6)


def test_empty_mask_has_no_surface():
    nothing = Mask(grid=BIG_GRID, inside=np.zeros(BIG_GRID.shape_kji, bool))
    assert len(mask_surface(nothing).triangles) == 0


def test_vertex_at_a_feasible_entry_shows_its_clearance(plan_result, surface, values):
    candidates = plan_result.candidates
    norm = clearance_norm(values)
    colours = clearance_colours(values, norm)
    for path in plan_result.trajectories:
        vertex = nearest_vertex(surface, path.entry_lps_mm)
        assert values.candidate[vertex] == path.candidate
        clearance = candidates.clearance_bound_mm[path.candidate]
        assert values.clearance_mm[vertex] == clearance
        assert values.labels[values.reason[vertex]] == FEASIBLE
        expected = np.round(np.array(mpl.colormaps[CLEARANCE_MAP](norm(clearance))[:3]) * 255)
        np.testing.assert_array_equal(colours[vertex], expected)
        np.testing.assert_array_equal(reason_colours(values)[vertex], rgb(FEASIBLE_COLOUR))


def test_vertex_at_a_rejected_entry_shows_the_reason_and_no_clearance(plan_result, surface, values):
    candidates = plan_result.candidates
    for reason in plan_result.rejected_counts:
        index = int(np.flatnonzero(candidates.rejected_by == reason)[0])
        vertex = nearest_vertex(surface, candidates.entry_lps_mm[index])
        assert values.candidate[vertex] == index
        assert values.labels[values.reason[vertex]] == reason
        assert np.isnan(values.clearance_mm[vertex])
        shown = clearance_colours(values, clearance_norm(values))[vertex]
        np.testing.assert_array_equal(shown, rgb(REJECTED_COLOUR))


def test_far_from_any_entry_is_not_tried(plan_result, surface, values):
    gap = cKDTree(plan_result.candidates.entry_lps_mm).query(surface.vertices_lps_mm)[0]
    far = (gap > 15.0) & ~values.is_cut
    assert far.any()
    assert {values.labels[n] for n in values.reason[far]} == {NOT_TRIED}
    assert (values.candidate[far] == -1).all()


def test_where_the_image_cuts_the_body_is_not_skin(plan_result, surface, values):
    on_face = ~plan_result.volume.grid.contains(surface.vertices_lps_mm, inset_mm=1.0)
    assert on_face.any()
    assert {values.labels[n] for n in values.reason[on_face]} == {IMAGE_ENDS}


def test_an_entry_beside_the_cut_does_not_colour_the_cut():
    """Rim of the volume: the vertex on the face is no skin, the one beside it is."""
    face_mm = -252.5
    candidates = some_candidates(
        [[0.0, 0.0, face_mm + 3.0]], feasible=[True], clearance=[5.0], reasons=[""]
    )
    vertices = np.array([[0.0, 0.0, face_mm + 0.2], [0.0, 0.0, face_mm + 3.0]])
    values = skin_values(candidates, vertices, BIG_GRID)
    assert values.candidate.tolist() == [-1, 0]
    assert [values.labels[n] for n in values.reason] == [IMAGE_ENDS, FEASIBLE]
    assert np.isnan(values.clearance_mm[0])
    assert not np.array_equal(*clearance_colours(values, clearance_norm(values)))


def test_of_several_tips_from_one_entry_the_best_is_shown():
    candidates = some_candidates(
        [[0, 0, 0]] * 3 + [[30, 0, 0]] * 2,
        feasible=[False, True, True, False, False],
        clearance=[9.0, 2.0, 4.0, 1.0, 3.0],
        reasons=["length", "", "", "bone", "approach"],
    )
    values = skin_values(candidates, np.array([[0.5, 0, 0], [30.0, 0.5, 0]]), BIG_GRID)
    assert values.candidate.tolist() == [2, 4]
    assert values.clearance_mm[0] == 4.0
    assert np.isnan(values.clearance_mm[1])


def test_rare_reasons_share_a_colour_and_every_label_has_one():
    n = MAX_REASONS + 3
    reasons = [f"clearance:s{i}" for i in range(n) for _ in range(n - i)]
    entries = [[10.0 * i, 0, 0] for i in range(len(reasons))]
    candidates = some_candidates(
        entries,
        feasible=[False] * len(reasons),
        clearance=[np.nan] * len(reasons),
        reasons=reasons,
    )
    values = skin_values(candidates, np.array([[0.0, 0, 0]]), BIG_GRID)
    assert values.labels[1] == "clearance:s0"
    assert OTHER in values.labels
    assert sum(values.counts) == len(reasons)
    colours = label_colours(values.labels)
    assert len(set(colours)) == len(values.labels)


def test_no_candidates_at_all_is_all_not_tried():
    nothing = some_candidates(
        np.zeros((0, 3)), feasible=np.zeros(0, bool), clearance=[], reasons=np.zeros(0, "<U4")
    )
    values = skin_values(nothing, np.array([[0.0, 0, 0]]), BIG_GRID)
    assert values.labels[values.reason[0]] == NOT_TRIED


def test_camera_stands_on_the_entry_side_and_sees_every_reachable_entry(plan_result, surface):
    camera = skin_camera(plan_result, surface)
    outward = plan_result.candidates.skin_normal_lps[plan_result.candidates.feasible].mean(axis=0)
    assert camera.towards_viewer_lps @ outward > 0.75
    assert camera.up_lps[2] > 0.8
    assert camera.up_lps @ camera.towards_viewer_lps == pytest.approx(0.0, abs=1e-9)
    pixel = camera.to_pixel(plan_result.candidates.entry_lps_mm)
    assert (pixel > 0).all() and (pixel < PICTURE_PX).all()


def test_camera_of_a_search_without_result_still_looks_from_the_entries(hopeless_result):
    surface = mask_surface(hopeless_result.body)
    camera = skin_camera(hopeless_result, surface)
    assert np.isfinite(camera.height_mm)
    assert camera.towards_viewer_lps @ [0.0, 1.0, 0.0] > 0.5  # the phantom's back


def test_rank_labels_keep_their_distance():
    hubs = [np.array([500.0, 500.0]) + shift for shift in ([0, 0], [3, 1], [-2, 4], [1, -3])]
    places = label_places(hubs, [hub - [20.0, 20.0] for hub in hubs])
    for one in range(4):
        for two in range(one):
            assert np.linalg.norm(places[one] - places[two]) >= LABEL_GAP_PX


def test_rendered_colours_are_where_the_camera_says(plan_result, surface, values):
    """VTK's projection and ours agree: the pixel at an entry has that entry's colour."""
    camera = skin_camera(plan_result, surface)
    scene = skin_view.render_scene(plan_result, surface, [reason_colours(values)], camera, ())
    try:
        (image,) = skin_view.render_offscreen(scene)
    except PlannerWarning as warning:
        pytest.skip(str(warning))
    assert image.shape == (PICTURE_PX[1], PICTURE_PX[0], 3)
    table = np.array([rgb(c) for c in label_colours(values.labels)], dtype=float)
    right = 0
    checked = plan_result.candidates.entry_lps_mm[::7]
    for entry in checked:
        column, row = np.round(camera.to_pixel(entry)).astype(int)
        seen = image[row, column].astype(float)
        hue = seen / max(np.linalg.norm(seen), 1.0)  # shading dims but keeps the hue
        best = int(np.argmax(table @ hue / np.linalg.norm(table, axis=1)))
        right += best == values.reason[nearest_vertex(surface, entry)]
    assert right >= 0.9 * len(checked)


def test_pictures_carry_letters_ranks_scale_and_legend(plan_result, rendered):
    assert set(rendered) == {"skin_clearance", "skin_rejection"}
    for figure in rendered.values():
        words = [t.get_text() for axes in figure.axes for t in axes.texts]
        words += [t.get_text() for t in figure.texts]
        for path in plan_result.trajectories:
            assert str(path.rank) in words
        assert "50 mm" in words
        assert any("RESEARCH USE ONLY" in w for w in words)
        assert {"HA", "FP"} <= set(words)
        assert f" {plan_result.verdict.upper()} " in words
        assert VERDICT_MEANING[plan_result.verdict] in words
    legend = " ".join(t.get_text() for t in rendered["skin_rejection"].texts)
    for reason, count in plan_result.rejected_counts.items():
        assert counted(count, "candidate") in legend, reason


def test_a_plan_without_a_path_says_so_above_the_skin(hopeless_result):
    camera = skin_camera(hopeless_result, mask_surface(hopeless_result.body))
    blank = np.zeros((PICTURE_PX[1], PICTURE_PX[0], 3), np.uint8)
    words = [t.get_text() for t in skin_figure(hopeless_result, blank, camera, ()).texts]
    assert {" FAIL ", "no path meets every limit"} <= set(words)


def test_without_opengl_there_is_a_warning_not_a_crash(plan_result, monkeypatch, tmp_path):
    dying = tmp_path / "dying.py"
    dying.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(skin_view._offscreen, "__file__", str(dying))
    with pytest.raises(PlannerWarning, match="off-screen rendering does not work .*libegl1"):
        skin_view.skin_figures(plan_result, top=1)


def test_renderer_that_hangs_is_given_up(plan_result, monkeypatch, tmp_path):
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(skin_view._offscreen, "__file__", str(hanging))
    monkeypatch.setattr(skin_view, "RENDER_TIMEOUT_S", 0.5)
    with pytest.raises(PlannerWarning, match="rendering failed"):
        skin_view.skin_figures(plan_result, top=1)


def test_without_a_body_there_is_a_warning(plan_result):
    structures = replace(
        plan_result.structures,
        structures=tuple(s for s in plan_result.structures.structures if s.name != "trunk"),
    )
    bodiless = replace(plan_result, structures=structures, body=None)
    with pytest.raises(PlannerWarning, match="no body mask"):
        skin_view.skin_figures(bodiless, top=1)


def test_feasible_without_a_clearance_is_not_shown_as_rejected():
    candidates = some_candidates(
        [[0, 0, 0], [30, 0, 0]],
        feasible=[True, False],
        clearance=[np.inf, np.nan],
        reasons=["", "length"],
    )
    values = skin_values(candidates, candidates.entry_lps_mm, BIG_GRID)
    assert np.isposinf(values.clearance_mm[0])
    colours = clearance_colours(values, clearance_norm(values))
    np.testing.assert_array_equal(colours[0], rgb(FEASIBLE_COLOUR))
    np.testing.assert_array_equal(colours[1], rgb(REJECTED_COLOUR))


@pytest.mark.parametrize(
    ("clearance", "said", "not_said"),
    [
        ([np.inf, np.nan], "CLEARANCE NOT MEASURED", "NO FEASIBLE ENTRY"),
        ([np.nan, np.nan], "NO FEASIBLE ENTRY", "NOT MEASURED"),
        ([4.0, np.nan], "structures given;", "NO FEASIBLE ENTRY"),
    ],
)
def test_the_clearance_legend_says_why_there_is_no_clearance(clearance, said, not_said):
    candidates = some_candidates(
        [[0, 0, 0], [30, 0, 0]],
        feasible=[not np.isnan(c) for c in clearance],
        clearance=clearance,
        reasons=["length" if np.isnan(c) else "" for c in clearance],
    )
    values = skin_values(candidates, candidates.entry_lps_mm, BIG_GRID)
    figure = Figure()
    clearance_legend(figure, values, clearance_norm(values))
    words = " ".join(text.get_text() for text in figure.texts)
    assert said in words
    assert not_said not in words


@pytest.mark.parametrize(("reason", "said"), [("image_end", "NO SKIN"), ("length", "NO FEASIBLE")])
def test_where_no_skin_is_in_reach_the_legend_blames_the_image(reason, said):
    candidates = some_candidates(
        [[0, 0, 0], [30, 0, 0]],
        feasible=[False, False],
        clearance=[np.nan, np.nan],
        reasons=["image_end", reason],
    )
    values = skin_values(candidates, candidates.entry_lps_mm, BIG_GRID)
    figure = Figure()
    clearance_legend(figure, values, clearance_norm(values))
    words = " ".join(text.get_text() for text in figure.texts)
    assert said in words
    assert ("NO FEASIBLE" in words) == (reason == "length")


def test_what_was_not_imaged_is_an_end_of_the_image_all_over():
    """A cut that smoothing moves into the image, or out of it, is one patch of one colour."""
    seen = np.ones(BIG_GRID.shape_kji, dtype=bool)
    seen[:, :20] = False
    imaged = Mask(grid=BIG_GRID, inside=seen)
    face_mm = BIG_GRID.to_lps([0.0, 19.5, 0.0])[1]
    beside = [[0.0, face_mm + off, 0.0] for off in (-2.0, -0.5, 0.5, 2.0)]
    apart = [[0.0, face_mm + 9.0, 0.0]]
    nothing = some_candidates(
        np.zeros((0, 3)), feasible=np.zeros(0, bool), clearance=[], reasons=np.zeros(0, "<U4")
    )
    values = skin_values(nothing, np.array(beside + apart), BIG_GRID, imaged)
    shown = [values.labels[n] for n in values.reason]
    assert shown == [IMAGE_ENDS] * 4 + [NOT_TRIED]


def test_entries_ruled_out_at_the_images_end_are_drawn_as_such_and_counted():
    candidates = some_candidates(
        [[0, 0, 0], [30, 0, 0], [60, 0, 0]],
        feasible=[True, False, False],
        clearance=[4.0, np.nan, np.nan],
        reasons=["", "image_end", "length"],
    )
    values = skin_values(candidates, candidates.entry_lps_mm, BIG_GRID)
    assert [values.labels[n] for n in values.reason] == [FEASIBLE, IMAGE_ENDS, "length"]
    assert "image_end" not in values.labels
    assert values.counts[-1] == 1
    assert sum(values.counts) == 3


def test_the_rim_of_thick_slices_is_one_colour_up_to_their_middle():
    """A drawn surface rounds its rim off by up to half a slice: no colours alternate there."""
    grid = Grid.from_axes((12, 100, 100), (10.0, 1.0, 1.0), (-50.0, -50.0, -55.0))
    end_mm = -60.0
    entries = [[x, 0.0, end_mm + 5.0] for x in np.arange(-20.0, 21.0)]
    candidates = some_candidates(
        entries,
        feasible=[True] * len(entries),
        clearance=[3.0] * len(entries),
        reasons=[""] * len(entries),
    )
    rim = np.array([[x, 0.0, end_mm + x % 4.0] for x in np.arange(-15.0, 16.0)])
    middle = rim * [1.0, 1.0, 0.0] + [0.0, 0.0, end_mm + 5.0]
    for vertices, label in ((rim, IMAGE_ENDS), (middle, FEASIBLE)):
        values = skin_values(candidates, vertices, grid)
        assert {values.labels[n] for n in values.reason} == {label}


def test_entries_of_thick_slices_leave_no_stripes():
    grid = Grid.from_axes((12, 100, 100), (10.0, 1.0, 1.0), (-50.0, -50.0, -55.0))
    entries = [[x, 0.0, z] for x in np.arange(-20.0, 21.0) for z in (-5.0, 5.0)]
    candidates = some_candidates(
        entries,
        feasible=[True] * len(entries),
        clearance=[3.0] * len(entries),
        reasons=[""] * len(entries),
    )
    between = np.array([[x, 0.0, 0.0] for x in np.arange(-15.0, 16.0, 2.5)])
    values = skin_values(candidates, between, grid)
    assert {values.labels[n] for n in values.reason} == {FEASIBLE}
