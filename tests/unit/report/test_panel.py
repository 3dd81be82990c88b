"""The panel of a trajectory: true sizes, orientation, nothing hidden or overlapping."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from planner.geometry import Volume
from planner.model import Verdict
from planner.report.panel import HEIGHT_PX, WIDTH_PX, panel_figure
from planner.report.panel_view import capsule_outline, grey_window, panel_scene
from planner.report.style import BANNER, OUTSIDE_COLOUR, VERDICT_COLOUR
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
    label = f"{binding.clearance_mm:.2f} mm (≥ {binding.required_mm:.1f})"
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
    assert any(text.startswith("UNKNOWN: missing structure bowel") for text in found)
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
    assert "UNKNOWN: no clearance was measured" in found


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
