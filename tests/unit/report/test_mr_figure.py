"""The picture beside metal: lines where the map says, arrows as the axes lie, nothing clipped."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from planner.geometry import Mask
from planner.geometry.frames import unit
from planner.report import write_figures
from planner.report.mr_facts import SMALL_IN_PLANE, shift_axes
from planner.report.mr_figure import HEIGHT_PX, WIDTH_PX, metal_figure, metal_pictures
from planner.report.mr_needle import ARTEFACT_LABEL, artefact_outline
from planner.report.mr_overlay import SHIFT_LEVELS_MM, VOID_GID, FieldScale, shift_gid
from planner.report.mr_zones import MetalSweep, metal_on_plane
from planner.report.panel import panel_figure
from planner.report.panel_view import panel_scene
from planner.report.style import BANNER
from planner.report.views import across_views, along_views
from planner.safety import metal as search_metal
from tests.metal_plan import metal_scene
from tests.mr_scene import (
    ARTEFACT,
    READOUT_LPS,
    SHIFT_AT_TIP_MM,
    SLICE_LPS,
    SLOPE_PER_MM,
    UPHILL_LPS,
    VOID_FROM_MM,
    acquisition,
    shift_at_mm,
    with_mr,
)

ASPECT, COLUMNS = 755 / 690, 755


def picture_of(result):
    return metal_figure(metal_pictures(panel_scene(result)), result.trajectories[0])


def views_of(result):
    return along_views(result.trajectories[0], aspect=ASPECT, columns=COLUMNS)


@pytest.fixture(scope="module")
def beside_metal(plan_result):
    return with_mr(plan_result)


@pytest.fixture(scope="module")
def figure(beside_metal):
    found = picture_of(beside_metal)
    found.canvas.draw()
    return found


def vertices_lps_mm(axes, plane, gid):
    """Points of the lines of that name, in the patient."""
    paths = [p for c in axes.collections if c.get_gid() == gid for p in c.get_paths()]
    x, y = np.concatenate([p.vertices for p in paths]).T
    return plane.centre_lps_mm + x[:, None] * plane.right_lps + y[:, None] * plane.down_lps


@pytest.mark.parametrize("level_mm", [0.5, *SHIFT_LEVELS_MM])
def test_lines_lie_where_the_map_has_that_shift(beside_metal, figure, level_mm):
    """To 0.05 mm, a quarter of a pixel: the shift of the map is linear in space."""
    tip, grid = beside_metal.target.point_lps_mm, beside_metal.metal.grid
    last = np.array(grid.shape_kji) - 2
    n_points = 0
    for axes, view in zip(figure.axes[:2], views_of(beside_metal), strict=True):
        if not any(c.get_gid() == shift_gid(level_mm) for c in axes.collections):
            continue
        points = vertices_lps_mm(axes, view.plane, shift_gid(level_mm))
        kji = grid.to_kji(points)
        points = points[np.all((kji >= 1) & (kji <= last), axis=1)]
        off_mm = (shift_at_mm(points, tip) - level_mm) / SLOPE_PER_MM
        assert np.abs(off_mm).max() < 0.05
        n_points += len(points)
    assert n_points > 50


def test_the_void_is_hatched_where_the_map_has_it(beside_metal, figure):
    """By the voxel's box: within half a voxel's diagonal (2.2 mm) of the made-up border."""
    tip = beside_metal.target.point_lps_mm
    found = 0
    for axes, view in zip(figure.axes[:2], views_of(beside_metal), strict=True):
        if not any(c.get_gid() == VOID_GID for c in axes.collections):
            continue
        points = vertices_lps_mm(axes, view.plane, VOID_GID)
        beyond_mm = (points - tip) @ UPHILL_LPS - (VOID_FROM_MM - SHIFT_AT_TIP_MM) / SLOPE_PER_MM
        assert beyond_mm.min() > -2.3
        assert np.abs(beyond_mm).min() < 1.0, "the outline begins at the border"
        found += 1
    assert found


@pytest.mark.parametrize("grid_axes", ["axial", "sagittal", "coronal", "oblique"])
def test_values_on_a_plane_do_not_depend_on_how_the_array_is_stored(plan_of, grid_axes):
    result = with_mr(plan_of(grid_axes))
    plane = views_of(result)[0].plane
    zone = metal_on_plane(result.metal, plane)
    points = plane.points_lps_mm()
    inside = result.metal.grid.to_kji(points)
    last = np.array(result.metal.grid.shape_kji) - 1
    is_deep = np.all((inside >= 0) & (inside <= last), axis=-1)
    truth = shift_at_mm(points, result.target.point_lps_mm)
    is_linear = is_deep & (truth > 1.0)  # above the cut at zero
    assert is_linear.sum() > 10_000
    np.testing.assert_allclose(zone.shift_mm[is_linear], truth[is_linear], atol=1e-4)
    nearest = np.floor(inside[is_deep] + 0.5).astype(int)
    np.testing.assert_array_equal(zone.is_void[is_deep], result.metal.is_void[tuple(nearest.T)])
    assert not np.any(zone.is_distorted & zone.is_void)


def test_outside_the_map_nothing_is_claimed(beside_metal):
    plane = replace(views_of(beside_metal)[0].plane, width_mm=900.0, height_mm=900.0, pixel_mm=9.0)
    zone = metal_on_plane(beside_metal.metal, plane)
    assert zone.shift_mm[0, 0] == 0.0 and np.isnan(zone.field_hz[0, 0])
    assert not zone.is_void[0, 0]


def test_levels_are_labelled_where_nothing_else_is(figure):
    shown = [t.get_text() for axes in figure.axes[:2] for t in axes.texts]
    for level in (1, 2, 5):
        assert shown.count(f"{level} mm") >= 1
    for axes in figure.axes[:2]:
        drawn = {c.get_gid() for c in axes.collections}
        for level in SHIFT_LEVELS_MM:
            if f"{level:g} mm" in [t.get_text() for t in axes.texts]:
                assert shift_gid(level) in drawn


def covered(text):
    return (text.get_bbox_patch() or text).get_window_extent()


def test_no_text_covers_another_or_leaves_the_picture(beside_metal, figure):
    path = beside_metal.trajectories[1]
    long = tuple(replace(c, structure="nerve_with_quite_a_long_name_left") for c in path.clearances)
    implants = tuple(replace(use, name="M" * 300) for use in beside_metal.implants * 3)
    odd = replace(path, clearances=long, metal=replace(path.metal, binding=("a long name",) * 30))
    guiding = acquisition(readout_axis_lps=[-0.55, -0.6, 0.58], slice_axis_lps=[0.6, -0.55, 0.58])
    turned = {name: unit(getattr(guiding, name)) for name in ("readout_axis_lps", "slice_axis_lps")}
    both = (acquisition(), replace(guiding, **turned))
    crowded = replace(beside_metal, trajectories=(odd,), implants=implants, acquisitions=both)
    assert len(shift_axes(both)) == 4
    for drawn in (figure, picture_of(crowded)):
        drawn.canvas.draw()
        every = [*drawn.texts]
        for axes in drawn.axes:
            every += [*axes.texts, axes._left_title, axes._right_title, *axes.get_xticklabels()]
        boxes = [(t.get_text(), covered(t)) for t in every if t.get_text()]
        boxes.append(("legend", drawn.legends[0].get_window_extent()))
        boxes += [("picture", axes.get_window_extent()) for axes in drawn.axes[:2]]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            inside_picture = "picture" in (one, two) and any(
                t.get_text() in (one, two) for axes in drawn.axes[:2] for t in axes.texts
            )
            if not inside_picture:
                assert not a.shrunk(0.96, 0.9).overlaps(b.shrunk(0.96, 0.9)), (one, two)
        for text, box in boxes:
            assert box.x0 >= 0 and box.x1 <= WIDTH_PX and box.y0 >= 0 and box.y1 <= HEIGHT_PX, text


def test_it_carries_banner_verdict_and_numbers(beside_metal, figure):
    found = [t.get_text() for t in figure.texts]
    found += [t.get_text() for axes in figure.axes for t in axes.texts]
    text = " ".join(" ".join(found).split())
    assert BANNER in found and f" {beside_metal.trajectories[0].verdict.upper()} " in found
    assert "31.4 mm distorted" in text
    assert "may be larger than the metal" in text
    assert "Hz" in figure.axes[4].get_title(loc="left")
    assert "ppm" in figure.axes[4].get_title(loc="left")
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert len(labels) == len(set(labels))
    assert labels.count(ARTEFACT_LABEL) == 1


def arrows(axes):
    return [t for t in axes.texts if getattr(t, "arrow_patch", None) is not None]


def test_arrows_lie_as_the_axes_do_in_the_picture_and_have_two_heads(beside_metal, figure):
    """Up in the arrow's axes is up in the picture."""
    checked = 0
    for axes, view in zip(figure.axes[2:4], views_of(beside_metal), strict=True):
        drawn = arrows(axes)
        for axis in (READOUT_LPS, SLICE_LPS):
            step = np.array([axis @ view.plane.right_lps, -(axis @ view.plane.down_lps)])
            if np.linalg.norm(step) < SMALL_IN_PLANE:
                continue
            arrow = drawn.pop(0)
            shown = np.subtract(arrow.xy, arrow.xyann)
            assert abs(shown @ step) / np.linalg.norm(shown) / np.linalg.norm(
                step
            ) == pytest.approx(1.0)
            assert arrow.arrowprops["arrowstyle"].startswith("<|-|>")
            checked += 1
        assert not drawn
    assert checked >= 2
    assert any("readout" in t.get_text() for t in figure.axes[2].texts)


def test_every_shift_axis_is_drawn_once():
    planning = acquisition()
    same = shift_axes((planning, acquisition(readout_axis_lps=-READOUT_LPS)))
    assert [name for name, *_ in same] == ["readout", "slice axis"]
    turned = shift_axes((planning, acquisition(readout_axis_lps=SLICE_LPS, acquisition="3D")))
    assert [name for name, *_ in turned] == ["readout", "slice axis", "guiding readout"]
    ((name, axis, _),) = shift_axes((acquisition(is_isotropic_readout=True, acquisition="3D"),))
    assert name == "readout" and axis is None


def test_colours_are_signed_and_clear_without_field():
    scale = FieldScale.of(acquisition())
    assert scale.limit_hz == 500.0  # 2 mm: 357 Hz at 250 Hz per 1.4 mm
    up, none, down, lost = scale.rgba(np.array([400.0, 0.0, -400.0, np.nan]))
    assert up[0] > up[2] and down[2] > down[0]
    assert none[3] == lost[3] == 0.0
    assert 0.3 < up[3] == down[3] < 0.9


def test_the_void_has_no_colour_and_the_rest_the_sign_of_its_field(beside_metal, figure):
    for axes, view in zip(figure.axes[:2], views_of(beside_metal), strict=True):
        (rgba,) = [i.get_array() for i in axes.images if i.get_array().ndim == 3]
        zone = metal_on_plane(beside_metal.metal, view.plane)
        assert not rgba[zone.is_void, 3].any()
        positive = (zone.field_hz > 50.0) & ~zone.is_void
        assert positive.any() and np.all(rgba[positive, 0] > rgba[positive, 2])
        assert rgba[positive, 3].min() > 0.1


def test_no_picture_without_a_map_or_far_from_metal(plan_result):
    assert metal_pictures(panel_scene(plan_result)) is None
    assert picture_of(with_mr(plan_result, far=True)) is None


def test_a_second_file_for_each_path_beside_metal(beside_metal, plan_result, monkeypatch, tmp_path):
    for name in ("skin_figures", "panel_figure"):
        monkeypatch.setattr(f"planner.report.figures.{name}", lambda *_, **__: {})
    monkeypatch.setattr("planner.report.figures.write_png", lambda _, path: path)
    written = write_figures(beside_metal, tmp_path / "metal", top=1)
    assert [path.name for path in written] == ["path_01.png", "path_01_mr.png"]
    written = write_figures(plan_result, tmp_path / "plain", top=1)
    assert [path.name for path in written] == ["path_01.png"]


class TestSweep:
    def test_one_voxel_moves_by_the_bound_along_the_readout_only(self, plan_result):
        """3 mm along rows of 1.2 mm voxels: three voxels to either side, from off the corner."""
        result = with_mr(plan_result)
        grid, metal = result.volume.grid, result.metal
        bound = np.full_like(metal.readout_mm, 3.0)
        metal = replace(metal, readout_mm=bound, slice_mm=np.zeros_like(bound))
        along_rows = grid.axes_lps_from_kji[:, 2]
        inside = np.zeros(grid.shape_kji, bool)
        inside[20, 70, 80] = True
        sweep = MetalSweep(metal, (acquisition(readout_axis_lps=along_rows),))
        found = np.argwhere(sweep.swept(Mask(grid=grid, inside=inside)).inside)
        np.testing.assert_array_equal(found, [[20, 70, i] for i in range(77, 84)])

    def test_it_is_the_sweep_of_the_search(self):
        _, structures = metal_scene("oblique")
        layer = search_metal.metal_layer(structures, (acquisition(),), {"rod": "cobalt-chrome"})
        nerve = structures["nerve"].mask
        searched = search_metal.sweep_mask(nerve, layer.field, search_metal.sweep_widths(layer))
        drawn = MetalSweep(search_metal.metal_map(layer), layer.acquisitions).swept(nerve)
        assert searched.inside.sum() > nerve.inside.sum()
        np.testing.assert_array_equal(drawn.inside, searched.inside)


class TestNeedleArtefact:
    def test_outline_has_the_greatest_width_and_reach(self):
        outline = artefact_outline([1.0, 2.0], [31.0, 42.0], ARTEFACT)  # 50 mm long
        along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
        offset = outline - [1.0, 2.0]
        assert np.ptp(offset @ across) == pytest.approx(ARTEFACT.width_max_mm)
        assert (offset @ along).min() == pytest.approx(0.0, abs=1e-9)
        assert (offset @ along).max() == pytest.approx(50.0 + ARTEFACT.tip_max_mm)

    def test_panels_show_it_where_it_is_known_and_name_it_once(self, beside_metal, plan_result):
        for result, n_legend, n_views in ((beside_metal, 1, 3), (plan_result, 0, 0)):
            figure = panel_figure(panel_scene(result), result.trajectories[0])
            labels = [t.get_text() for t in figure.legends[0].get_texts()]
            assert labels.count(ARTEFACT_LABEL) == n_legend
            drawn = [any(p.get_label() == ARTEFACT_LABEL for p in a.patches) for a in figure.axes]
            assert sum(drawn) >= n_views and (n_views or not any(drawn))

    def test_across_the_needle_it_ends_beyond_the_tip(self, beside_metal):
        from matplotlib.figure import Figure

        from planner.report.mr_needle import draw_artefact

        path = beside_metal.trajectories[0]
        ahead = (path.tip_lps_mm - path.entry_lps_mm) / path.length_mm
        view = across_views(path, beside_metal.needle, aspect=1.0, columns=100)[0]
        half_mm = ARTEFACT.width_max_mm / 2
        for depth_mm, radius_mm in (
            (-20.0, half_mm),
            (0.0, half_mm),
            (0.6 * ARTEFACT.tip_max_mm, 0.8 * half_mm),
            (1.01 * ARTEFACT.tip_max_mm, None),
        ):
            plane = replace(view.plane, centre_lps_mm=path.tip_lps_mm + depth_mm * ahead)
            axes = Figure().add_axes((0, 0, 1, 1))
            draw_artefact(axes, plane, path, is_along=False)
            assert bool(axes.patches) is (radius_mm is not None)
            if radius_mm is not None:
                edge = np.linalg.norm(axes.patches[0].get_xy(), axis=1)
                np.testing.assert_allclose(edge, radius_mm, atol=1e-6)
