"""Void and reach near metal: nothing that counts lies beyond the block."""

from dataclasses import replace

import numpy as np
import pytest

from planner.model.mr import Cylinder, MetalReduction, SequenceFamily
from planner.physics.metal_share import share_of_cylinders
from planner.physics.metal_zones import MetalBody, metal_field, reach_mm, zones_of
from planner.physics.shifts import missing_for_metal, shift_model
from tests.metal_truths import acquisition, grid_of, points_lps_mm

VOXEL = np.array([1.0, 1.0, 3.0])


def sphere(grid, centre, radius, chi):
    distance = np.linalg.norm(points_lps_mm(grid) - centre, axis=-1)
    share = np.clip(radius - distance + 0.5, 0.0, 1.0)
    return MetalBody(share=share, delta_chi_ppm=chi, nominal_ppm=chi)


@pytest.mark.parametrize("orientation", ["oblique", "flipped"])
def test_slopes_of_two_bodies_add_up(orientation):
    # halfway between two equal bodies |f1| + |f2| is flat across, each slope is not
    grid = grid_of(orientation, (24, 60, 60), (2.0, 1.0, 1.0))
    one = acquisition(grid, sequence=SequenceFamily.GRE, echo_time_ms=15.0)
    model = shift_model(one)
    along = grid.axes_lps_from_kji[:, 2]
    bodies = [sphere(grid, sign * 14.0 * along, 4.0, 1300.0) for sign in (-1, 1)]
    both = zones_of(metal_field(bodies, [model], grid, np.array([0.0, 0, 1])), model, VOXEL)
    for body in bodies:
        alone = zones_of(metal_field([body], [model], grid, np.array([0.0, 0, 1])), model, VOXEL)
        whole = np.zeros(grid.shape_kji, bool)
        whole[both.block] = both.is_void
        part = np.zeros(grid.shape_kji, bool)
        part[alone.block] = alone.is_void
        assert not (part & ~whole).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": SequenceFamily.BSSFP, "repetition_time_ms": 8.0, "echo_time_ms": 4.0},
        {"sequence": SequenceFamily.GRE, "echo_time_ms": 40.0, "bandwidth_hz_per_px": 2000.0},
        {"sequence": SequenceFamily.TSE, "metal_reduction": MetalReduction.MAVRIC},
        {"sequence": SequenceFamily.TSE, "metal_reduction": MetalReduction.VAT},
    ],
)
def test_the_block_holds_all_that_is_lost(changes):
    grid = grid_of("oblique", (60, 150, 150), (3.0, 1.4, 1.4))
    one = acquisition(grid, **changes)
    model = shift_model(one)
    body = sphere(grid, np.zeros(3), 3.0, 2000.0)
    field = metal_field([body], [model], grid, np.array([0.0, 0, 1]))
    everywhere = replace(model, plain_mm_per_hz=1e3)  # a block as large as the image
    wide = metal_field([body], [everywhere], grid, np.array([0.0, 0, 1]))
    assert np.all(wide.stop_kji - wide.start_kji == grid.shape_kji)
    lost = np.argwhere(zones_of(wide, model, VOXEL).is_void)
    assert len(lost)
    assert np.all(lost >= field.start_kji) and np.all(lost < field.stop_kji)
    assert not np.all(field.stop_kji - field.start_kji == grid.shape_kji)


def test_reach_grows_with_what_the_sequence_is_sensitive_to():
    grid = grid_of("oblique", (20, 20, 20), (3.0, 1.0, 1.0))
    plain = shift_model(acquisition(grid))
    banded = replace(plain, band_hz=20.0)
    late = replace(plain, echo_time_ms=60.0)
    assert reach_mm(1e6, banded) > reach_mm(1e6, plain) < reach_mm(1e6, late)


def test_multispectral_imaging_without_refocusing_is_a_contradiction():
    grid = grid_of("oblique", (20, 20, 20), (3.0, 1.0, 1.0))
    one = acquisition(grid, sequence=SequenceFamily.GRE, metal_reduction=MetalReduction.SEMAC)
    assert "metal_reduction" in [m.name for m in missing_for_metal(one)]


def test_a_partition_of_a_gradient_echo_needs_its_thickness():
    grid = grid_of("oblique", (20, 20, 20), (3.0, 1.0, 1.0))
    one = acquisition(grid, sequence=SequenceFamily.GRE, acquisition="3D", slice_thickness_mm=None)
    assert [m.name for m in missing_for_metal(one)] == ["slice_thickness_mm"]
    assert not missing_for_metal(replace(one, sequence=SequenceFamily.TSE))


@pytest.mark.parametrize("diameter_mm", [0.5, 0.8, 1.6, 5.5])
@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (1.0, 5.0, 0.7)])
def test_a_thin_wire_keeps_its_volume(diameter_mm, spacing):
    grid = grid_of("oblique", (24, 30, 40), spacing)
    low, high = np.array([-5.0, -4.0, -3.0]), np.array([5.0, 4.0, 3.5])
    wire = Cylinder(start_lps_mm=low, end_lps_mm=high, diameter_mm=diameter_mm)
    volume = share_of_cylinders((wire,), grid).sum() * grid.voxel_volume_mm3
    truth = np.pi / 4 * diameter_mm**2 * np.linalg.norm(high - low)
    assert volume == pytest.approx(truth, rel=0.06)
