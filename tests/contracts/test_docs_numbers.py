"""Numbers quoted in the pages are those in the code."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from planner.geometry.distance import distance_field

DOCS = Path(__file__).resolve().parents[2] / "docs"

QUOTED = [
    ("distance_fields", "`cap^2 / 2^29`", "geometry.distance._CAP_UNITS", 2**29),
    ("distance_fields", "30 mm spare", "safety.fields._SPARE_REACH_MM", 30.0),
    ("distance_fields", "needle radius + `SHARE_MM`", "geometry.trace.SHARE_MM", None),
    ("distance_fields", "at most 254 voxels", "geometry.distance._MAX_RUN", 255),
    ("tracing", "1e-4 mm^2", "geometry.trace._ROUNDING_MM2", 1e-4),
    ("tracing", "pieces of 4 mm", "geometry.trace._PIECE_MM", 4.0),
    ("tracing", "More than six", "geometry.trace._MAX_PENDING", 6),
    ("tracing", "`_MIN_STEP_MM`", "geometry.trace._MIN_STEP_MM", None),
    ("tracing", "`_STEP_LOSS_MM`", "geometry.trace._STEP_LOSS_MM", None),
    ("tracing", "`SHARE_MM`", "geometry.trace.SHARE_MM", None),
    ("tracing", "`_SHARE_LOSS_MM`", "geometry.trace._SHARE_LOSS_MM", None),
    ("tracing", "`_RUN`", "geometry.trace._RUN", None),
    ("exact_clearance", "8 x 8 x 8", "geometry.clearance._BLOCK", 8),
    ("frames", "at most 1e-4", "geometry.grid.MAX_AXIS_COSINE", 1e-4),
    ("search", "1.25 times", "search.session._REACH_FACTOR", 1.25),
    ("search", "within 60 degrees", "search.limits.TABLE_FACING_COSINE", 0.5),
    ("search", "handle (60 mm, E)", "search.limits.HANDLE_MM", 60.0),
    ("search", "from 5 mm on", "search.gates.SHAFT_START_MM", 5.0),
    ("search", "about 512", "search.evaluate._PILOT", 512),
    ("search", "45 degrees off", "search.cost.APPROACH_FULL_COST_DEG", 45.0),
    ("search", "margin + 3 mm", "safety.obstacles._ROOM_OVER_MARGIN_MM", 3.0),
    ("search", "under 0.01 mm", "safety.obstacles.CONTACT_MM", 0.01),
    ("search", "at most 2000", "search.explain._EXACT_LOOKS", 2000),
    ("search", "within 15 mm head", "search.midline._WINDOWS_MM", (15.0, 30.0)),
    ("search", "else within 30 mm", "search.midline._WINDOWS_MM", (15.0, 30.0)),
    ("search", "within 10 mm of the level", "search.midline._BODY_WINDOW_MM", 10.0),
    ("search", "at least 4 mm of imaged air", "search.midline._LEAST_AIR_MM", 4.0),
    ("search", "centroid agree to 10 mm", "search.midline._MOST_SKEW_MM", 10.0),
    ("skin", "For 18 thresholds", "skin.air.N_THRESHOLDS", 18),
    ("skin", "(ln 1.9)", "skin.air.MIN_LOG_STEP", 1.9),
    ("skin", "noise-corrected limit of 1.6", "skin.air.MIN_CONTRAST", 1.6),
    ("skin", "within 80 % of the best", "skin.air.NEAR_BEST_FRAC", 0.8),
    ("skin", "a threshold three times higher", "skin.air.UNSURE_FACTOR", 3.0),
    ("skin", "more than 3.5 mm", "skin.mr.UNSURE_MM", 3.5),
    ("skin", "(`air.py`), at 5 mm", "skin.mr.AIR_SEARCH_MM", 5.0),
    ("skin", "(`outline.py`), at 2.5 mm", "skin.image.COARSE_MM", 2.5),
    ("skin", "opening by 6 mm", "skin.outline.THIN_MM", 6.0),
    ("skin", "from 14 mm inside", "skin.refine.BAND_INSIDE_MM", 14.0),
    ("skin", "to 4 mm outside", "skin.refine.BAND_OUTSIDE_MM", 4.0),
    ("skin", "begins at 20 %", "skin.mr.BODY_LEVEL_FRAC", 0.2),
    ("skin", "at least 3.5 noise widths", "skin.mr.NOISE_SIGMAS", 3.5),
    ("skin", "sheets under 4.5 mm", "skin.refine.SHEET_MM", 4.5),
    ("skin", "gaps under 3 mm", "skin.refine.GAP_MM", 3.0),
    ("skin", "steps over 5 mm", "skin.refine.THICK_SLICE_MM", 5.0),
    ("skin", "of 24 directions", "skin.dark_layer.N_SECTORS", 24),
    ("skin", "A quarter of 24", "skin.dark_layer.LEAST_SECTORS_FRAC", 0.25),
    ("skin", "above -350 HU", "skin.ct.CT_THRESHOLD_HU", -350.0),
    ("skin", "edge at -550 HU", "skin.ct.CT_EDGE_HU", -550.0),
    ("skin", "Fill under -1100 HU", "skin.padding.CT_FILL_HU", -1100.0),
    ("skin", "solid block of 2.5 mm", "skin.ends.BLOCK_MM", 2.5),
    ("skin", "more than 500 mm radius", "skin.ends.STRAIGHTEST_RADIUS_MM", 500.0),
    ("skin", "within 5 mm or", "skin.image_end.END_GUARD_MM", 5.0),
    ("skin", "or 2.5 voxels of it", "skin.image_end.END_GUARD_VOX", 2.5),
    ("skin", "less than 8 mm of measured air", "skin.image_end.AIR_RUN_MM", 8.0),
    ("skin", "a ball of 5 mm", "skin.surface.CLEFT_WIDTH_MM", 5.0),
    ("skin", "blurred by 4 mm", "skin.surface.NORMAL_SIGMA_MM", 4.0),
    ("skin", "0.001 mm inside", "skin.surface.INSET_MM", 1e-3),
    ("verify", "46 steps", "verify.exact._STEPS", 46),
    ("verify", "| lengths, end points | 0.001 mm |", "verify.findings.LENGTH_TOL_MM", 1e-3),
    ("verify", "| angles | 0.001 degrees |", "verify.findings.ANGLE_TOL_DEG", 1e-3),
    ("verify", "1e-6 mm for rounding", "verify.findings.NUMERIC_TOL_MM", 1e-6),
    ("verify", "at most 0.01 mm smaller", "verify.findings.CLEARANCE_STEP_MM", 0.01),
    ("verify", "1e-6; clearance term", "verify.needle.COST_TOL", 1e-6),
    ("verify", "skin normal | 45 degrees", "verify.needle.NORMAL_TOL_DEG", 45.0),
    ("verify", "entry on the skin | one voxel", "verify.paths.SKIN_TOL_VOXELS", 1.0),
    ("verify", "grid matrices | 1e-9", "verify.inputs.MATRIX_TOL", 1e-9),
    ("series_reading", "more than 1 degree", "io.series_split.ORIENTATION_SPLIT_DEG", 1.0),
    ("series_reading", "within 0.05 mm show", "io.series_split.SAME_PLACE_TOL_MM", 0.05),
    ("series_reading", "5 decimals", "io.series_split.PIXEL_SPACING_DECIMALS", 5),
    ("series_reading", "2 slices or fewer", "io.series_split.STRAY_MAX", 2),
    ("series_reading", "0.05 mm off the even stack", "io.stack_problems.POSITION_TOL_MM", 0.05),
    ("series_reading", "| 1e-4 |", "io.stack_problems.AXES_TOL_COSINE", 1e-4),
    ("series_reading", "at least 2 places", "io.stack_problems.MIN_SLICES", 2),
    ("series_reading", "above 0.005 mm", "io.stack_geometry.REPORT_RESIDUAL_MM", 0.005),
    ("series_reading", "more than 5 %", "io.stack_geometry.GAP_WARNING_FRAC", 0.05),
    ("series_reading", "over 5 mm apart", "io.image_content.LOCALIZER_STEP_MM", 5.0),
    ("series_reading", "| 8 GB |", "io.pixels.MAX_VOLUME_BYTES", 8_000_000_000),
    ("contours_and_meshes", "Up to 3 missing", "geometry.contour_slabs.MAX_FILLED_PLANES", 3),
    (
        "contours_and_meshes",
        "more than 0.5 mm apart",
        "geometry.contour_slabs.MAX_OUT_OF_PLANE_MM",
        0.5,
    ),
    ("structure_checks", "at most 1 %", "io.structure_checks.SPECK_SHARE", 0.01),
    ("structure_checks", "more than 5 mm", "io.structure_checks.WRONG_SIDE_MM", 5.0),
    ("structure_checks", "at least 95 %", "io.structure_checks.WRONG_SIDE_SHARE", 0.95),
    ("hostile_files", "| 8 GB |", "io.pixels.MAX_VOLUME_BYTES", 8_000_000_000),
    ("hostile_files", "| 8 GB |", "io.voxel_data.MAX_DATA_BYTES", 8_000_000_000),
    ("hostile_files", "| 2e9 |", "io.mask_formats.MAX_VOXELS", 2_000_000_000),
    ("hostile_files", "file | 300 |", "io.mask_formats.MAX_SEGMENTS", 300),
    ("hostile_files", "file | 300 |", "io.dicom_seg.MAX_SEGMENTS", 300),
    ("hostile_files", "16 MiB more", "io.pixel_decoding.INFLATED_SLACK_BYTES", 16 * 2**20),
    ("hostile_files", "| 100,000 |", "io.inflating.MAX_MEMBERS", 100_000),
    ("hostile_files", "| 64 MiB |", "io.dicom_stream.MAX_INFLATED_HEADER_BYTES", 64 * 2**20),
    ("hostile_files", "| 300,000 |", "io.dicom_stream.MAX_ELEMENTS", 300_000),
    ("hostile_files", "| 1,000,000 |", "io.dicom_stream.MAX_PARTS", 1_000_000),
    ("hostile_files", "| 256 MiB, 2", "io.functional_groups.MAX_GROUPS_BYTES", 256 * 2**20),
    ("hostile_files", "2,000,000 items", "io.functional_groups.MAX_ITEMS", 2_000_000),
    ("hostile_files", "12 deep", "io.functional_groups.MAX_DEPTH", 12),
    ("hostile_files", "| 400 MB", "io.rtstruct_parsing.MAX_FILE_BYTES", 400_000_000),
    ("hostile_files", "500 ROIs", "io.rtstruct_parsing.MAX_ROIS", 500),
    ("hostile_files", "100,000 contours", "io.rtstruct_parsing.MAX_CONTOURS", 100_000),
    ("hostile_files", "5 million points", "io.rtstruct_parsing.MAX_POINTS", 5_000_000),
    ("hostile_files", "| 1.5 GB", "io.mesh_parsing.MAX_FILE_BYTES", 1_500_000_000),
    ("hostile_files", "20 million triangles", "io.mesh_parsing.MAX_TRIANGLES", 20_000_000),
    ("hostile_files", "120 s", "io.mesh_parsing.READING_SECONDS", 120),
    ("hostile_files", "NRRD header 16 MiB", "io.nrrd_file.MAX_HEADER_BYTES", 16 * 2**20),
    ("hostile_files", "MetaImage header 64 KiB", "io.metaimage_file.MAX_HEADER_BYTES", 65536),
    ("hostile_files", "extensions 16 MiB", "io.nifti_file.MAX_HEADER_BYTES", 16 * 2**20),
    ("hostile_files", "| 30 MB |", "io.voxel_data.MAX_TEXT_BYTES", 30_000_000),
    ("hostile_files", "plan.json 64 MiB", "io.plan_reading.MAX_PLAN_BYTES", 64 * 1024**2),
    ("hostile_files", "markups 16 MiB", "io.markup_parsing.MAX_MARKUPS_BYTES", 16 * 2**20),
    ("exports", "silence for 8 s", "exports.igtl_link.TIMEOUT_S", 8.0),
    ("exports", "breaks three times", "exports.igtl_link.TRIES", 3),
    ("hostile_files", "label names 1 MB", "io.mask_naming.MAX_NAMES_BYTES", 1_000_000),
    ("hostile_files", "TOML 200 kB", "toml_file.MAX_BYTES", 200_000),
    ("hostile_files", "200 dots", "toml_file.MAX_DOTS", 200),
    ("hostile_files", "(12 GB)", "io.structures.MAX_MASK_BYTES", 12_000_000_000),
    ("plan_file", "over 64 MiB", "io.plan_reading.MAX_PLAN_BYTES", 64 * 1024**2),
]


@pytest.mark.parametrize(("page", "phrase", "name", "value"), QUOTED, ids=lambda v: str(v)[:40])
def test_quoted_numbers_are_those_of_the_code(page: str, phrase: str, name: str, value: object):
    module, constant = f"planner.{name}".rsplit(".", 1)
    found = getattr(importlib.import_module(module), constant)
    assert value is None or found == value
    text = " ".join((DOCS / f"{page}.md").read_text(encoding="utf-8").split())
    assert phrase in text


def test_the_thinnest_dark_layer_that_is_told():
    from planner.skin.dark_layer import BIN_MM, LEAST_BINS

    assert f"even layer of {LEAST_BINS * BIN_MM:g} mm or more" in (DOCS / "skin.md").read_text()


def test_the_sub_sampling_step():
    default = inspect.signature(distance_field).parameters["max_step_mm"].default
    assert f"longer than {default:g} mm" in (DOCS / "distance_fields.md").read_text()


def test_the_defaults_of_the_ranking():
    from planner.search import SearchOptions

    text = " ".join((DOCS / "search.md").read_text(encoding="utf-8").split())
    assert f"`min_separation_mm` ({SearchOptions().min_separation_mm:g})" in text
    assert f"`top` ({SearchOptions().top})" in text
