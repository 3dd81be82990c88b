"""The panel of a trajectory: true sizes, orientation, nothing hidden or overlapping."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from planner.geometry import Mask, Volume
from planner.model import Finding, Verdict
from planner.report.panel import HEIGHT_PX, WIDTH_PX, panel_figure
from planner.report.panel_view import capsule_outline, grey_window, panel_scene
from planner.report.style import BANNER, BODY_OUTLINE, OUTSIDE_COLOUR, VERDICT_COLOUR
from planner.report.views import along_views
from tests.grids import ORIENTED_AXES

N_VIEWS = 4


def picture(figure) -> np.ndarray:
    """Rows from the top, columns, RGB as 0..255."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def texts(figure) -> list[str]:
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        found += [axes.get_title(loc=loc) for loc in ("left", "right")]
    return found


def first_panel(result):
    return panel_figure(panel_scene(result), result.trajectories[0])


@pytest.fixture(scope="module")
def figure(plan_result):
    return first_panel(plan_result)


def test_size_and_all_four_views(figure):
    assert picture(figure).shape == (HEIGHT_PX, WIDTH_PX, 3)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:N_VIEWS]]
    assert [title[0] for title in titles] == ["A", "B", "C", "D"]
    assert all("seen from hub" in axes.get_title(loc="right") for axes in figure.axes[2:N_VIEWS])


def test_physical_aspect_is_one_to_one(figure):
    for axes in figure.axes[:N_VIEWS]:
        box = axes.get_window_extent()
        mm_per_px = np.abs(np.diff(axes.get_xlim()))[0] / box.width
        assert np.abs(np.diff(axes.get_ylim()))[0] / box.height == pytest.approx(
            mm_per_px, rel=0.01
        )


@pytest.mark.parametrize("diameter_mm", [0.72, 2.1, 4.2])
def test_needle_is_drawn_at_its_true_width(plan_result, diameter_mm):
    """White pixels across the shaft on a black image, in both planes along the needle."""
    black = Volume(
        grid=plan_result.volume.grid, values=np.zeros(plan_result.volume.grid.shape_kji, np.int16)
    )
    needle = replace(plan_result.needle, outer_diameter_mm=diameter_mm)
    # No structure: nothing but the needle is drawn near the middle of its shaft.
    path = replace(plan_result.trajectories[0], clearances=())
    bare = replace(plan_result.structures, structures=())
    result = replace(plan_result, volume=black, needle=needle, structures=bare, body=None)
    figure = panel_figure(panel_scene(result), path)
    image = picture(figure)
    for axes in figure.axes[:2]:
        px_per_mm = axes.get_window_extent().width / np.ptp(axes.get_xlim())
        entry, tip = (line.get_xydata()[0] for line in needle_ends(axes))
        middle = axes.transData.transform(entry + 0.4 * (tip - entry))
        along = axes.transData.transform(tip) - axes.transData.transform(entry)
        across = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        steps = np.arange(-40, 40, 0.1)
        x, y = (middle + steps[:, None] * across).T
        profile = image[np.floor(HEIGHT_PX - y).astype(int), np.floor(x).astype(int), 1]
        width_px = 0.1 * np.count_nonzero(profile > 127)
        assert width_px == pytest.approx(diameter_mm * px_per_mm, abs=1.1)


def needle_ends(axes):
    """The ring at the entry and the diamond at the tip."""
    for marker in ("o", "D"):
        yield next(
            line
            for line in axes.lines
            if line.get_marker() == marker
            and line.get_markersize() == 8
            and len(line.get_xdata()) == 1
        )


def test_capsule_outline_is_the_needle_and_its_round_ends():
    outline = capsule_outline([1.0, 2.0], [7.0, 10.0], 0.9)  # 10 mm long
    axis, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    offset = outline - [1.0, 2.0]
    assert np.ptp(offset @ across) == pytest.approx(1.8, abs=1e-9)
    assert np.ptp(offset @ axis) == pytest.approx(11.8, abs=0.02)
    circle = capsule_outline([3.0, 3.0], [3.0, 3.0], 2.0)
    np.testing.assert_allclose(np.linalg.norm(circle - 3.0, axis=1), 2.0)


@pytest.mark.parametrize("grid_axes", sorted(ORIENTED_AXES))
def test_letters_do_not_depend_on_how_the_array_is_stored(plan_of, grid_axes):
    result = plan_of(grid_axes)
    axes = first_panel(result).axes[0]
    letters = [t.get_text() for t in axes.texts if t.get_fontsize() == 17]
    assert letters == ["R", "L", "A", "P"]


@pytest.mark.parametrize("grid_axes", sorted(ORIENTED_AXES))
def test_anatomy_lies_on_the_side_that_the_letters_say(plan_of, grid_axes):
    """The thecal sac lies to the patient's right of the target: left of the tip in view A."""
    result = plan_of(grid_axes)
    only_sac = replace(result.structures, structures=(result.structures["thecal_sac"],))
    figure = first_panel(replace(result, structures=only_sac, body=None))
    axes = figure.axes[0]
    (_, tip) = needle_ends(axes)
    outlines = [path.vertices for contour in axes.collections for path in contour.get_paths()]
    assert outlines, "the thecal sac is not in the picture"
    assert np.concatenate(outlines)[:, 0].max() < tip.get_xdata()[0] - 10.0


def covered(text):
    """What a text hides, without the leader line of an annotation."""
    return (text.get_bbox_patch() or text).get_window_extent()


@pytest.mark.parametrize("grid_axes", ["axial", "coronal", "oblique"])
def test_no_text_covers_another(plan_of, grid_axes):
    result = plan_of(grid_axes, unknown=True, throw_mm=10.0)
    scene = panel_scene(result)
    for path in result.trajectories:
        figure = panel_figure(scene, path)
        figure.canvas.draw()
        every = [*figure.texts]
        for axes in figure.axes:
            every += [*axes.texts, axes._left_title, axes._right_title]
        boxes = [(t.get_text(), covered(t)) for t in every if t.get_text()]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            assert not a.shrunk(0.96, 0.9).overlaps(b.shrunk(0.96, 0.9)), (one, two)
        for text, box in boxes:
            assert box.x0 >= 0 and box.x1 <= WIDTH_PX and box.y0 >= 0 and box.y1 <= HEIGHT_PX, text


def test_outside_the_volume_is_not_black(figure):
    """The oblique volume leaves a corner of view A without image."""
    image = picture(figure)
    dark_blue = np.round(np.array(to_rgb(OUTSIDE_COLOUR)) * 255)
    assert np.count_nonzero(np.all(np.abs(image - dark_blue) <= 2, axis=-1)) > 2000


def test_closest_approach_is_named_with_distance_and_limit(plan_result, figure):
    binding = plan_result.trajectories[0].binding
    label = f"{binding.clearance_mm:.2f} mm (needs {binding.required_mm:g})"
    with_label = [a for a in figure.axes[:N_VIEWS] if any(label in t.get_text() for t in a.texts)]
    assert figure.axes[0] in with_label and figure.axes[1] in with_label
    assert figure.axes[3] in with_label


def test_closest_point_off_the_plane_is_hollow_and_says_so(plan_result, figure):
    binding = plan_result.trajectories[0].binding
    axes = figure.axes[1]  # the needle runs in the axial plane, the nerve lies beside this one
    (label,) = [t.get_text() for t in axes.texts if binding.structure in t.get_text()]
    assert "off this plane" in label
    hollow = [ln for ln in axes.lines if ln.get_marker() == "o" and ln.get_markersize() == 9]
    assert [ln.get_markerfacecolor() for ln in hollow] == ["none"]
    solid = [ln for ln in figure.axes[3].lines if ln.get_markersize() == 9]
    assert "white" in [ln.get_markerfacecolor() for ln in solid]


def test_banner_verdict_and_series_are_on_every_panel(plan_result, figure):
    found = texts(figure)
    assert BANNER in found
    assert " PASS " in found
    assert any(plan_result.volume.source.series_instance_uid in text for text in found)


def test_unknown_is_shouted(unknown_result):
    figure = first_panel(unknown_result)
    found = texts(figure)
    assert " UNKNOWN " in found
    assert any("NOT safe" in text for text in found)
    assert "UNKNOWN: no mask to avoid was given for: bowel" in " ".join(found)
    badge = next(t for t in figure.texts if t.get_text() == " UNKNOWN ")
    assert badge.get_bbox_patch().get_facecolor()[:3] == pytest.approx(
        to_rgb(VERDICT_COLOUR[Verdict.UNKNOWN])
    )


def test_failed_clearance_is_marked_in_the_table(plan_result):
    path = plan_result.trajectories[0]
    first, *others = path.clearances
    close = replace(first, clearance_mm=-0.25, required_mm=3.0)
    bad = replace(path, clearances=(close, *others), verdict=Verdict.FAIL)
    found = texts(panel_figure(panel_scene(plan_result), bad))
    row = next(text for text in found if text.startswith(first.structure) and text.endswith("FAIL"))
    assert "-0.25" in row


def test_a_path_without_clearances_says_unknown(plan_result):
    bare = replace(plan_result.trajectories[0], clearances=())
    found = texts(panel_figure(panel_scene(plan_result), bare))
    assert "UNKNOWN: no clearance was measured, no structure to avoid" in " ".join(found)
    assert not any(text.startswith("clearance to") for text in found)


def finding(verdict, constraint="clearance", structure="aorta", note="", **numbers):
    return Finding(
        constraint=constraint,
        structure=structure,
        measured=numbers.get("measured"),
        required=numbers.get("required"),
        unit="mm",
        verdict=verdict,
        note=note,
    )


def column(result, path):
    """The rows of the text column from the top."""
    figure = panel_figure(panel_scene(result), path)
    figure.canvas.draw()
    found = [t for t in figure.axes[N_VIEWS].texts if t.get_text()]
    return figure, sorted(found, key=lambda t: -t.get_window_extent().y1)


def many_findings(n):
    """A path past dozens of masks that end too early, nerves only just passed, no nerve mask."""
    names = [f"structure_with_quite_a_long_name_{number}" for number in range(n)]
    found = [finding(Verdict.CAUTION, structure=x, measured=3.2, required=3.0) for x in names]
    found += [finding(Verdict.UNKNOWN, "coverage", x, "its mask ends") for x in names]
    found.append(finding(Verdict.UNKNOWN, "missing_structure", "nerve", "no mask"))
    found.append(finding(Verdict.FAIL, "length", None, "too long", measured=95.0, required=90.0))
    return tuple(found)


def test_what_is_not_known_comes_first_and_is_never_left_out(plan_result):
    path = replace(plan_result.trajectories[0], findings=many_findings(40))
    _, rows = column(plan_result, path)
    text = " ".join(t.get_text() for t in rows)
    first = [text.index(word) for word in ("UNKNOWN:", "FAIL:", "CAUTION:")]
    assert first == sorted(first)
    assert "no mask to avoid was given for: nerve" in text
    assert "does not cover the path" in text
    assert "and 37 more" in text
    assert text.index("CAUTION:") < text.index("clearance to")


@pytest.mark.parametrize("n_kinds", [3, 12, 60])
def test_a_reason_is_shown_whole_or_counted(plan_result, n_kinds):
    notes = [
        f"reason {number}: " + "some words about it " * 4 + f"END{number}"
        for number in range(n_kinds)
    ]
    found = tuple(
        finding(Verdict.UNKNOWN, f"kind{number}", None, note) for number, note in enumerate(notes)
    )
    path = replace(plan_result.trajectories[0], findings=found, words="a long word about it " * 40)
    _, rows = column(plan_result, path)
    text = " ".join(t.get_text() for t in rows)
    shown = [number for number in range(n_kinds) if f"reason {number}:" in text]
    assert shown and all(f"END{number}" in text for number in shown)
    if len(shown) < n_kinds:
        assert f"UNKNOWN: {n_kinds - len(shown)} more reason" in text, "the verdict is told too"
    assert plan_result.trajectories[0].binding.structure[:10] in text, "no room for the clearances"


@pytest.mark.parametrize("words", ["W" * 300, "WM " * 100, "word " * 60])
def test_the_column_keeps_to_its_rectangle(plan_result, words):
    names = tuple(replace(c, structure=words) for c in plan_result.trajectories[0].clearances)
    path = replace(
        plan_result.trajectories[0],
        findings=many_findings(3),
        words=words,
        clearances=names,
    )
    figure, rows = column(plan_result, path)
    box = figure.axes[N_VIEWS].get_window_extent()
    for text in rows:
        extent = text.get_window_extent()
        assert extent.x1 <= box.x1 + 6 and extent.y0 >= box.y0 - 1, text.get_text()


def test_a_limit_of_a_hundredth_is_not_shown_as_zero(plan_result):
    path = plan_result.trajectories[0]
    clearances = tuple(replace(c, clearance_mm=0.22, required_mm=0.01) for c in path.clearances)
    found = texts(panel_figure(panel_scene(plan_result), replace(path, clearances=clearances)))
    assert any("0.22 mm (needs 0.01)" in text for text in found)
    assert not any("0.0)" in text or text.endswith("0.0  ok") for text in found)


@pytest.mark.parametrize("name", ["$L5_root$ ^{x}", "神经根 L5", "root\x1b[31m\nL5", "n" * 120])
def test_any_structure_name_can_be_drawn(plan_result, name):
    path = plan_result.trajectories[0]
    renamed = tuple(replace(c, structure=name) for c in path.clearances)
    odd = replace(path, clearances=renamed, words=name)
    image = picture(panel_figure(panel_scene(plan_result), odd))
    assert image.shape == (HEIGHT_PX, WIDTH_PX, 3)


def test_a_callers_matplotlib_settings_neither_matter_nor_change(plan_result):
    reference = picture(first_panel(plan_result))
    with mpl.rc_context({"font.family": "serif", "axes.facecolor": "red", "image.cmap": "jet"}):
        before = dict(mpl.rcParams)
        image = picture(first_panel(plan_result))
        assert dict(mpl.rcParams) == before
    np.testing.assert_array_equal(image, reference)


def test_window_is_robust_against_bright_outliers(plan_result):
    values = plan_result.volume.values.astype(np.int32)
    values.ravel()[::4001] = 1_000_000
    spiked = replace(plan_result, volume=Volume(grid=plan_result.volume.grid, values=values))
    low, high = grey_window(plan_result)
    assert grey_window(spiked) == pytest.approx((low, high), rel=0.1)


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_constant_image_still_has_a_window(plan_result, value):
    values = np.full(plan_result.volume.grid.shape_kji, value, dtype=np.float32)
    flat = replace(plan_result, volume=Volume(grid=plan_result.volume.grid, values=values))
    low, high = grey_window(flat)
    assert high > low


@pytest.mark.parametrize("grid_axes", ["axial", "oblique"])
def test_no_letter_lies_under_the_needle(plan_of, grid_axes):
    """The needle comes straight from the right side of view B."""
    result = plan_of(grid_axes)
    path = result.trajectories[0]
    level = replace(path, entry_lps_mm=path.tip_lps_mm + np.array([0.0, 60.0, 0.0]), clearances=())
    figure = panel_figure(panel_scene(result), level)
    figure.canvas.draw()
    axes = figure.axes[1]
    body = next(
        p for p in axes.patches if p.get_facecolor()[:3] == pytest.approx(to_rgb("#b9c6e0"))
    )
    hub = body.get_window_extent()
    letters = [t for t in axes.texts if t.get_fontsize() == 17]
    assert len(letters) == 4
    for letter in letters:
        box = letter.get_window_extent()
        assert box.y1 < hub.y0 or box.y0 > hub.y1 or box.x1 < hub.x0 or box.x0 > hub.x1


def test_the_legend_names_the_margin_only_where_it_is_drawn(plan_result):
    path = plan_result.trajectories[0]
    for required_mm, is_drawn in ((3.0, True), (0.01, False)):
        clearances = tuple(replace(c, required_mm=required_mm) for c in path.clearances)
        figure = panel_figure(panel_scene(plan_result), replace(path, clearances=clearances))
        labels = [t.get_text() for t in figure.legends[0].get_texts()]
        assert ("required margin" in labels) is is_drawn
        assert "closest point" in labels


def test_how_many_paths_are_shown_of_how_many(plan_result):
    feasible = int(plan_result.candidates.feasible.sum())
    found = texts(first_panel(plan_result))
    n = len(plan_result.trajectories)
    assert any(text.startswith(f"Path 1 of {n} shown ({feasible:,} feasible)") for text in found)


@pytest.fixture(scope="module")
def half_seen(plan_of):
    """The plan on an axial grid of which the columns on one side of the tip were not imaged."""
    result = plan_of("axial")
    grid = result.volume.grid
    tip = result.trajectories[0].tip_lps_mm
    column = round(grid.to_kji(tip)[2]) + 12
    seen = np.ones(grid.shape_kji, dtype=bool)
    seen[:, :, column:] = False
    return replace(result, imaged=Mask(grid=grid, inside=seen)), column


def test_what_was_not_imaged_is_hatched_and_dimmed_though_the_array_has_values(half_seen):
    cut, column = half_seen
    whole = replace(cut, imaged=None)
    axes, plain = (first_panel(result).axes[0] for result in (cut, whole))
    opacity = axes.images[0].get_alpha()
    assert plain.images[0].get_alpha() is None
    plane = along_views(cut.trajectories[0], aspect=755 / 590, columns=755)[0].plane
    at = cut.volume.grid.to_kji(plane.points_lps_mm())
    inside = cut.volume.grid.contains(plane.points_lps_mm())
    unseen = inside & (at[..., 2] > column)
    assert np.count_nonzero(unseen) > 1000
    assert (opacity[unseen] < 0.6).all()
    assert (opacity[inside & (at[..., 2] < column - 1)] == 1.0).all()


def body_outline(axes) -> np.ndarray:
    """Points of the body's outline in a view, shape (n, 2) mm."""
    cyan = np.array(to_rgb(BODY_OUTLINE.colour))
    lines = [c for c in axes.collections if np.allclose(c.get_edgecolor()[0][:3], cyan)]
    return np.concatenate([path.vertices for line in lines for path in line.get_paths()])


def test_the_end_of_what_was_imaged_is_not_outlined_as_skin(half_seen):
    cut, column = half_seen
    inside = np.array(cut.body.inside)
    inside[:, :, column:] = False
    stops_there = replace(
        cut,
        body=Mask(grid=cut.volume.grid, inside=inside),
        structures=replace(
            cut.structures,
            structures=tuple(s for s in cut.structures.structures if s.name != "trunk"),
        ),
    )
    for result, is_drawn in ((stops_there, False), (replace(stops_there, imaged=None), True)):
        view = along_views(result.trajectories[0], aspect=755 / 590, columns=755)[0]
        points = body_outline(first_panel(result).axes[0])
        place = view.plane.centre_lps_mm + points @ np.stack(
            [view.plane.right_lps, view.plane.down_lps]
        )
        at_cut = np.abs(cut.volume.grid.to_kji(place)[:, 2] - (column - 0.5)) < 0.4
        assert (np.count_nonzero(at_cut) > 50) == is_drawn
