"""MRAcquisition from headers: every pitfall of real ones (P1 to P13)."""

import numpy as np
import pytest

from planner.errors import ConfigError
from planner.model.mr import MetalReduction, SequenceFamily, ValueSource
from planner.physics.acquisition import acquisition_of
from planner.physics.acquisition_overrides import split_guidance
from planner.physics.guidance import guiding_acquisition
from planner.physics.shifts import missing_for_metal
from tests.metal_truths import grid_of

HEADER = {
    "field_t": 1.5,
    "imaging_frequency_mhz": 63.87,
    "bandwidth_hz_per_px": 250.0,
    "echo_time_ms": 90.0,
    "repetition_time_ms": 3000.0,
    "echo_train_length": 15,
    "scanning_sequence": ("SE",),
    "sequence_variant": ("SK", "SP"),
    "acquisition_type": "2D",
    "phase_encoding_direction": "ROW",
    "acquisition_matrix": (0, 200, 160, 0),
    "slice_thickness_mm": 4.0,
    "image_type": ("ORIGINAL", "PRIMARY", "M", "ND"),
}
GRID = grid_of("oblique", (20, 400, 320), (4.8, 0.5, 0.5))


def read(without=(), **changes):
    header = {**HEADER, **changes}
    for key in without:
        del header[key]
    return acquisition_of(header, GRID)


def test_a_good_header():
    found = read()
    assert found.sequence is SequenceFamily.TSE and found.acquisition == "2D"
    assert found.field_t == 1.5 and found.bandwidth_hz_per_px == 250.0
    assert missing_for_metal(found) == ()
    assert found.sources["bandwidth_hz_per_px"].source is ValueSource.TAG
    assert found.sources["b0_direction_lps"].source is ValueSource.DEFAULT
    np.testing.assert_array_equal(found.b0_direction_lps, [0, 0, 1])


def test_p1_pixel_is_the_acquired_one_not_the_interpolated():
    # phase encoding along rows: the readout runs down the columns, 400 pixels of 0.5 mm
    found = read()
    assert found.readout_pixel_mm == pytest.approx(400 * 0.5 / 200)
    np.testing.assert_allclose(found.readout_axis_lps, GRID.axes_lps_from_kji[:, 1])
    other = read(phase_encoding_direction="COL")
    assert other.readout_pixel_mm == pytest.approx(320 * 0.5 / 200)
    np.testing.assert_allclose(other.readout_axis_lps, GRID.axes_lps_from_kji[:, 2])


def test_p1_the_shipped_siemens_header():
    grid = grid_of("axial", (2, 300, 484), (5.0, 0.7231, 0.7231))
    found = acquisition_of(
        {
            **HEADER,
            "phase_encoding_direction": "COL",
            "acquisition_matrix": (256, 0, 0, 134),
            "percent_phase_fov": 75.0,
        },
        grid,
    )
    # 484 x 0.7231 / 256 = 1.367; the sides contradict 75 %: never smaller than that
    assert found.readout_pixel_mm >= 1.367 - 1e-3
    assert "cropped or padded" in found.sources["readout_pixel_mm"].detail


def test_p1_contradicting_sides_take_the_larger_pixel():
    cropped = read(percent_phase_fov=50.0)
    assert cropped.readout_pixel_mm == pytest.approx(320 * 0.5 / 0.5 / 200)


def test_p2_absent_bandwidth_is_derived_or_missing_never_assumed():
    nothing = read(without=["bandwidth_hz_per_px"])
    assert nothing.bandwidth_hz_per_px is None
    assert "0018,0095" in nothing.problems["bandwidth_hz_per_px"]
    assert [m.name for m in missing_for_metal(nothing)] == ["bandwidth_hz_per_px"]
    philips = read(without=["bandwidth_hz_per_px"], philips_water_fat_shift_px=1.0)
    assert philips.bandwidth_hz_per_px == pytest.approx(3.4 * 1.5 * 42.577, rel=1e-3)
    assert philips.sources["bandwidth_hz_per_px"].source is ValueSource.DERIVED


def test_p3_dwell_time_cross_check_takes_the_smaller_bandwidth():
    right = 1e9 / (250.0 * 200 * 2)
    assert read(siemens_dwell_time_ns=right).bandwidth_hz_per_px == 250.0
    slower = read(siemens_dwell_time_ns=right * 1.3)
    assert slower.bandwidth_hz_per_px == pytest.approx(250.0 / 1.3)
    assert "smallest" in slower.sources["bandwidth_hz_per_px"].detail


def test_p4_unknown_phase_encoding_is_missing():
    found = read(phase_encoding_direction="OTHER")
    assert found.readout_axis_lps is None and "OTHER" in found.problems["readout_axis_lps"]
    assert "readout_axis_lps" in [m.name for m in missing_for_metal(found)]


def test_p4_position_in_the_matrix_is_not_trusted_for_the_axis():
    assert read(acquisition_matrix=(200, 0, 0, 160)).readout_pixel_mm == read().readout_pixel_mm


def test_p6_field_from_frequency_gauss_and_contradiction():
    assert read(without=["field_t"]).field_t == pytest.approx(1.5001, abs=1e-3)
    assert read(field_t=15_000.0).field_t == 1.5
    assert read(field_t=1.494).field_t == 1.494
    # Siemens "3 T" at 123.2 MHz is 2.89 T: told, and the larger counts
    siemens = read(field_t=3.0, imaging_frequency_mhz=123.2)
    assert siemens.field_t == 3.0 and "2.89" in siemens.sources["field_t"].detail
    assert "field_t" not in siemens.problems
    wrong = read(field_t=3.0, imaging_frequency_mhz=63.9)
    assert "field_t" in [m.name for m in missing_for_metal(wrong)]
    nothing = read(without=["field_t", "imaging_frequency_mhz"])
    assert nothing.field_t is None and "0018,0087" in nothing.problems["field_t"]


@pytest.mark.parametrize(
    ("changes", "family"),
    [
        ({"scanning_sequence": ("SE",), "echo_train_length": 1}, SequenceFamily.SE),
        ({"scanning_sequence": ("GR",)}, SequenceFamily.GRE),
        ({"scanning_sequence": ("GR", "IR")}, SequenceFamily.GRE),
        ({"scanning_sequence": ("GR",), "protocol_name": "FIESTA ax"}, SequenceFamily.BSSFP),
        ({"scanning_sequence": ("GR",), "protocol_name": "t2_trufi_sag"}, SequenceFamily.BSSFP),
        ({"scanning_sequence": ("EP", "SE")}, SequenceFamily.EPI),
        ({"scanning_sequence": ("RM",)}, SequenceFamily.UNKNOWN),
        ({"scanning_sequence": ()}, SequenceFamily.UNKNOWN),
    ],
)
def test_p8_sequence_families(changes, family):
    assert read(**changes).sequence is family


def test_p8_unknown_is_taken_as_the_worst():
    found = read(scanning_sequence=("RM",))
    assert not found.sequence.refocuses and "worst" in found.sources["sequence"].detail


@pytest.mark.parametrize(
    ("name", "hint"),
    [("t1_tse_WARP", "VAT"), ("MAVRIC SL", "MAVRIC"), ("PD SEMAC", "SEMAC"), ("O-MAR XD", "SEMAC")],
)
def test_p10_metal_reduction_is_a_hint_until_confirmed(name, hint):
    found = read(protocol_name=name)
    assert found.metal_reduction_hint == hint
    assert found.metal_reduction is MetalReduction.NONE
    confirmed = acquisition_of(HEADER, GRID, {"metal_reduction": hint})
    assert confirmed.metal_reduction is MetalReduction(hint)


def test_p11_distortion_correction():
    assert read().distortion_corrected is False
    assert read(image_type=("ORIGINAL", "PRIMARY", "DIS2D")).distortion_corrected is True
    assert read(without=["image_type"]).distortion_corrected is None


def test_p12_vertical_magnet_is_the_users_to_say():
    found = acquisition_of(HEADER, GRID, {"b0": "anterior-posterior"})
    np.testing.assert_array_equal(found.b0_direction_lps, [0, 1, 0])
    assert found.sources["b0_direction_lps"].source is ValueSource.USER


@pytest.mark.parametrize("name", ["t2_blade_tra", "PROPELLER T2", "StarVIBE", "radial_ute"])
def test_p13_rotating_readouts_are_bounded_in_all_directions(name):
    found = read(protocol_name=name)
    assert found.is_isotropic_readout and found.readout_axis_lps is None
    assert missing_for_metal(found) == ()
    assert found.readout_pixel_mm >= 400 * 0.5 / 200 - 1e-9


def test_overrides_win_and_say_so():
    found = acquisition_of(
        {}, GRID, {"field_t": "1.5", "bandwidth_hz_per_px": 300, "readout": "row",
                   "readout_pixel_mm": "0.9", "acquisition": "2d", "sequence": "tse",
                   "slice_thickness_mm": 3, "echo_time_ms": 80},
    )  # fmt: skip
    assert missing_for_metal(found) == ()
    assert found.sequence is SequenceFamily.TSE
    np.testing.assert_allclose(found.readout_axis_lps, GRID.axes_lps_from_kji[:, 2])
    assert found.sources["field_t"].source is ValueSource.USER


@pytest.mark.parametrize(
    "bad",
    [
        {"field": 1.5},
        {"field_t": "strong"},
        {"field_t": -1},
        {"field_t": float("nan")},
        {"sequence": "HASTE2"},
        {"readout": "1,2"},
        {"readout": "0,0,0"},
        {"b0": "up"},
        {"acquisition": "4D"},
    ],
)
def test_wrong_overrides_are_refused(bad):
    with pytest.raises(ConfigError):
        acquisition_of(HEADER, GRID, bad)


def test_nothing_known_is_nothing_claimed():
    empty = acquisition_of({}, GRID)
    assert empty.field_t is None and empty.bandwidth_hz_per_px is None
    assert len(missing_for_metal(empty)) >= 5


def test_guidance_keys_are_split_off():
    planning, guidance = split_guidance({"field_t": 1.5, "guidance.sequence": "GRE"})
    assert planning == {"field_t": 1.5} and guidance == {"sequence": "GRE"}


class TestPhasePixel:
    """The coarsest that anything stated means: spins dephase across it."""

    def test_phase_steps_beat_the_ratio(self):
        # 160 mm along the phase encoding in 40 steps
        assert read(acquisition_matrix=(0, 200, 40, 0)).phase_pixel_mm == pytest.approx(4.0)

    def test_percent_sampling(self):
        found = read(percent_sampling=25.0)
        assert found.phase_pixel_mm == pytest.approx(found.readout_pixel_mm / 0.25)

    def test_never_below_the_shown_pixel(self):
        assert read(acquisition_matrix=(0, 400, 640, 0)).phase_pixel_mm >= 0.5 - 1e-9


def test_two_numbers_of_readout_steps_contradict_each_other_and_the_larger_pixel_counts():
    assert read(acquisition_matrix=(100, 200, 0, 0)).readout_pixel_mm == pytest.approx(2.0)


def test_a_water_fat_shift_that_means_a_smaller_bandwidth_counts():
    found = read(philips_water_fat_shift_px=2.0)
    assert found.bandwidth_hz_per_px == pytest.approx(3.4 * 63.87 / 2.0, rel=0.01)
    assert "water-fat shift" in found.sources["bandwidth_hz_per_px"].detail
    assert read(philips_water_fat_shift_px=0.87).bandwidth_hz_per_px == 250.0


@pytest.mark.parametrize(
    "header",
    [
        {"sequence_name": "ep_b1000", "scanning_sequence": ("EP",)},
        {"sequence_name": "EPI_2D", "scanning_sequence": ("RM",)},
        {"series_description": "ssEPI DWI", "scanning_sequence": ("SE",)},
        {"philips_epi_factor": 47.0},
    ],
)
def test_echo_planar_imaging_is_known_by_any_sign(header):
    found = read(**header)
    assert found.sequence is SequenceFamily.EPI
    assert "sequence" in [m.name for m in missing_for_metal(found)]


@pytest.mark.parametrize("name", ["epiphysis t1", "t2 step", "EPIPHYSE PD"])
def test_what_only_sounds_like_it_is_not(name):
    assert read(series_description=name).sequence is SequenceFamily.TSE


class TestGuidance:
    """Of the planning image only the magnet is the guiding sequence's too."""

    def test_nothing_of_the_planning_sequence_is_taken_over(self):
        found = guiding_acquisition(HEADER, GRID, {}, {"sequence": "GRE"})
        assert found.field_t == 1.5
        missing = [m.name for m in missing_for_metal(found)]
        assert {"bandwidth_hz_per_px", "readout_pixel_mm", "slice_thickness_mm"} <= set(missing)
        assert {"readout_axis_lps", "slice_axis_lps", "echo_time_ms"} <= set(missing)
        assert "guidance.echo_time_ms" in found.problems["echo_time_ms"]

    def test_all_of_it_can_be_said(self):
        said = {
            "sequence": "GRE",
            "bandwidth_hz_per_px": 400.0,
            "readout_pixel_mm": 1.5,
            "readout": "row",
            "slice_axis": "0,0,1",
            "slice_thickness_mm": 5.0,
            "acquisition": "2D",
            "echo_time_ms": 5.0,
            "repetition_time_ms": 12.0,
        }
        assert missing_for_metal(guiding_acquisition(HEADER, GRID, {}, said)) == ()

    def test_it_can_be_like_nothing_else(self):
        with pytest.raises(ConfigError, match="guidance.like"):
            guiding_acquisition(HEADER, GRID, {}, {"like": "plannning"})

    def test_like_planning_takes_over_the_rest(self):
        found = guiding_acquisition(HEADER, GRID, {}, {"like": "planning", "sequence": "GRE"})
        assert found.sequence is SequenceFamily.GRE and found.echo_time_ms == 90.0
        assert missing_for_metal(found) == ()

    def test_the_users_magnet_is_the_same(self):
        found = guiding_acquisition({}, GRID, {"field_t": 1.0, "b0": "0,1,0"}, {"sequence": "GRE"})
        assert found.field_t == 1.0
        np.testing.assert_array_equal(found.b0_direction_lps, [0, 1, 0])
