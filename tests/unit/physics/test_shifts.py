"""Displacement per hertz against hand calculations, and every missing value."""

from dataclasses import replace

import numpy as np
import pytest

from planner.model.mr import MetalReduction, MRAcquisition, SequenceFamily
from planner.physics.shifts import missing_for_metal, shift_model


def acquisition(**changes):
    known = MRAcquisition(
        field_t=1.5,
        b0_direction_lps=np.array([0, 0, 1.0]),
        bandwidth_hz_per_px=200.0,
        readout_pixel_mm=1.0,
        phase_pixel_mm=1.0,
        readout_axis_lps=np.array([1.0, 0, 0]),
        slice_axis_lps=np.array([0, 0, 1.0]),
        slice_thickness_mm=3.0,
        rf_bandwidth_hz=1000.0,
        acquisition="2D",
        sequence=SequenceFamily.TSE,
        echo_time_ms=10.0,
        repetition_time_ms=500.0,
    )
    return replace(known, **changes)


def test_readout_and_slice_shift_of_a_kilohertz():
    readout, through = shift_model(acquisition()).bounds_mm(np.array([-1000.0, 1000.0, 0.0]))
    np.testing.assert_allclose(readout, [5.0, 5.0, 0.0])
    np.testing.assert_allclose(through, [3.0, 3.0, 0.0])


def test_fat_shift_of_the_real_header_with_an_interpolated_image():
    # A6 P1: 484 * 0.7231 / 256 = 1.367 mm acquired, BW 250: 0.00547 mm/Hz, 1.18 mm fat shift
    model = shift_model(acquisition(readout_pixel_mm=484 * 0.7231 / 256, bandwidth_hz_per_px=250.0))
    assert model.readout_mm_per_hz == pytest.approx(0.00547, abs=5e-6)
    assert 3.4 * model.hz_per_ppm * model.readout_mm_per_hz == pytest.approx(1.18, abs=0.01)


def test_no_slice_shift_in_3d():
    _, through = shift_model(acquisition(acquisition="3D")).bounds_mm(np.array([5000.0]))
    assert through == 0.0


def test_gradient_echo_and_unknown_sequences_dephase():
    assert shift_model(acquisition(sequence=SequenceFamily.GRE)).echo_time_ms == 10.0
    assert shift_model(acquisition(sequence=SequenceFamily.UNKNOWN)).echo_time_ms == 10.0
    assert shift_model(acquisition(sequence=SequenceFamily.TSE)).echo_time_ms is None
    assert shift_model(acquisition(sequence=SequenceFamily.SE)).echo_time_ms is None


def test_metal_reduction_counts_only_for_what_it_corrects():
    offset = np.array([4000.0])
    vat = shift_model(acquisition(metal_reduction=MetalReduction.VAT)).bounds_mm(offset)
    semac = shift_model(acquisition(metal_reduction=MetalReduction.SEMAC)).bounds_mm(offset)
    assert vat[0] == 1.0 and vat[1] == 12.0
    assert semac[0] == 1.0 and semac[1] == 1.0
    assert shift_model(acquisition(metal_reduction=MetalReduction.MAVRIC)).coverage_hz == 12_000.0


def test_a_hint_is_no_confirmation():
    hinted = acquisition(metal_reduction_hint="SEMAC")
    assert shift_model(hinted).bounds_mm(np.array([4000.0]))[0] == 20.0


def test_first_dark_band_of_balanced_imaging():
    fast = acquisition(sequence=SequenceFamily.BSSFP, repetition_time_ms=5.0)
    assert shift_model(fast).band_hz == pytest.approx(100.0)


def test_an_unknown_sequence_counts_as_both_gradient_echo_and_balanced():
    fast = acquisition(sequence=SequenceFamily.UNKNOWN, repetition_time_ms=5.0)
    slow = acquisition(sequence=SequenceFamily.UNKNOWN, repetition_time_ms=500.0)
    plain = acquisition(sequence=SequenceFamily.GRE, repetition_time_ms=5.0)
    assert shift_model(fast).band_hz == pytest.approx(100.0)
    assert shift_model(slow).band_hz is None
    assert shift_model(plain).band_hz is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"sequence": SequenceFamily.UNKNOWN, "repetition_time_ms": None}, "repetition_time_ms"),
        ({"field_t": None}, "field_t"),
        ({"bandwidth_hz_per_px": None}, "bandwidth_hz_per_px"),
        ({"readout_pixel_mm": None}, "readout_pixel_mm"),
        ({"readout_axis_lps": None}, "readout_axis_lps"),
        ({"slice_axis_lps": None}, "slice_axis_lps"),
        ({"slice_thickness_mm": None}, "slice_thickness_mm"),
        ({"acquisition": None}, "acquisition"),
        ({"sequence": SequenceFamily.GRE, "echo_time_ms": None}, "echo_time_ms"),
        ({"sequence": SequenceFamily.UNKNOWN, "echo_time_ms": None}, "echo_time_ms"),
        ({"sequence": SequenceFamily.BSSFP, "repetition_time_ms": None}, "repetition_time_ms"),
        ({"sequence": SequenceFamily.EPI}, "sequence"),
        ({"problems": {"field_t": "3 T against 63.9 MHz"}}, "field_t"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_computed(changes, name):
    lacking = acquisition(**changes)
    assert name in [m.name for m in missing_for_metal(lacking)]
    with pytest.raises(ValueError, match=name):
        shift_model(lacking)


def test_nothing_is_missing_that_is_not_needed():
    spin_echo = acquisition(echo_time_ms=None, repetition_time_ms=None)
    assert missing_for_metal(spin_echo) == ()
    volume = acquisition(acquisition="3D", slice_thickness_mm=None, slice_axis_lps=None)
    assert missing_for_metal(volume) == ()
    radial = acquisition(readout_axis_lps=None, is_isotropic_readout=True)
    assert missing_for_metal(radial) == ()
