"""The bounds against an independent forward model: no true voxel of any structure is lost.

Structures are drawn where spins land; swept by the planner they must hold where the spins
truly are, void or not, for every polarity.
"""

from functools import cache
from itertools import product

import numpy as np
import pytest

from planner.geometry import FrameId, Grid
from planner.model.mr import MRAcquisition, SequenceFamily
from planner.physics.metal_zones import SWEEP_SHIFT_MM, MetalBody, metal_field, zones_of
from planner.physics.shifts import shift_model
from planner.physics.sweep import half_widths_kji, swept
from sample_data.phantom.spins import (
    SpinSequence,
    add_shown,
    dipole_field,
    packets_of,
    signal_kept,
)

SPACING = np.array([3.0, 1.0, 1.0])
FACTORS = (4, 2, 2)
FINE = SPACING / FACTORS
SHAPE = (14, 48, 52)
THICKNESS = 3.0
DRAWN_SHARE, TRUE_SHARE = 0.2, 0.5
"""A voxel half full is drawn while it keeps a fifth: unswept shifts are below 0.25 of a pixel."""
PIXEL = 1.0


def grid():
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]]).T * SPACING
    return Grid(shape_kji=SHAPE, lps_from_kji=matrix, frame=FrameId(None))


def fine_points():
    axes = [
        ((np.arange(n * f) + 0.5) / f - 0.5) * d
        for n, f, d in zip(SHAPE, FACTORS, SPACING, strict=True)
    ]
    return np.meshgrid(*axes, indexing="ij")


Z, Y, X = fine_points()
ROD = (np.hypot(Y - 24.0, Z - 19.5) <= 2.75) & (X > 10.0) & (X < 42.0)
STRUCTURES = {
    "nerve": np.hypot(Y - 35.0, Z - 23.0) <= 2.5,
    "plate": (np.abs(X - 26.0) <= 10.0) & (np.abs(Y - 13.0) <= 2.0) & (np.abs(Z - 18.0) <= 9.0),
    "vessel": np.hypot(X - 26.0, Y - 33.0) <= 3.0,
}


def coarse_share(fine):
    k, j, i = SHAPE
    return fine.reshape(k, FACTORS[0], j, FACTORS[1], i, FACTORS[2]).mean(axis=(1, 3, 5))


def sequence_pair(field_t, family, readout_axis, signs):
    spin = SpinSequence(
        field_t=field_t,
        bandwidth_hz_per_px=300.0,
        readout_pixel_mm=PIXEL,
        readout_axis=readout_axis,
        slice_thickness_mm=THICKNESS,
        rf_bandwidth_hz=1000.0,
        echo_time_ms=5.0,
        is_gradient_echo=family is SequenceFamily.GRE,
        readout_sign=signs[0],
        slice_sign=signs[1],
    )
    acquisition = MRAcquisition(
        field_t=field_t,
        b0_direction_lps=np.array([0, 0, 1.0]),
        bandwidth_hz_per_px=300.0,
        readout_pixel_mm=PIXEL,
        phase_pixel_mm=PIXEL,
        readout_axis_lps=np.array([0, 1.0, 0]) if readout_axis == 1 else np.array([1.0, 0, 0]),
        slice_axis_lps=np.array([0, 0, 1.0]),
        slice_thickness_mm=THICKNESS,
        rf_bandwidth_hz=1000.0,
        acquisition="2D",
        sequence=family,
        echo_time_ms=5.0,
        repetition_time_ms=500.0,
    )
    return spin, acquisition


@cache
def packets_beside_rod(metal, direction):
    """The forward model's field, for packets of spins."""
    return packets_of(dipole_field(np.where(ROD, CHI[metal], 0.0), FINE, B0[direction]), FACTORS)


@cache
def planner_field(metal, direction):
    """The planner's field, wide enough for every sequence asked about."""
    _, strongest = sequence_pair(3.0, SequenceFamily.GRE, 1, (1, 1))
    body = MetalBody(share=coarse_share(ROD), delta_chi_ppm=CHI[metal], nominal_ppm=CHI[metal])
    return metal_field([body], [shift_model(strongest)], grid(), B0[direction][::-1])


def shown(fine, packets, spin):
    """The image of spins of equal signal where ``fine`` is set."""
    image = np.zeros(SHAPE)
    kept = signal_kept(packets, SPACING, spin)
    add_shown(image, fine.astype(np.float32) * kept, packets, SPACING, spin)
    return image


def zones_and_widths(field_t, family, readout_axis, metal, direction):
    """The planner's zones, and the half widths of its sweep."""
    _, acquisition = sequence_pair(field_t, family, readout_axis, (1, 1))
    model = shift_model(acquisition)
    field = planner_field(metal, direction)
    zones = zones_of(field, model, np.array([PIXEL, PIXEL, THICKNESS]))
    is_still = ~(zones.shift_mm >= SWEEP_SHIFT_MM)
    half = half_widths_kji(
        np.where(is_still, 0, zones.readout_mm),
        np.where(is_still, 0, zones.slice_mm),
        model,
        grid(),
    )
    return zones, half


B0 = {"bore": np.array([1.0, 0.0, 0.0]), "oblique": np.array([0.6, 0.48, 0.64])}
CHI = {"titanium": 191.0, "cobalt-chrome": 909.0}


@pytest.mark.parametrize("metal", CHI)
@pytest.mark.parametrize("direction", B0)
@pytest.mark.parametrize("readout_axis", [1, 2])
@pytest.mark.parametrize("family", [SequenceFamily.TSE, SequenceFamily.GRE])
@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_every_true_voxel_is_swept_or_void(field_t, family, readout_axis, direction, metal):
    zones, half = zones_and_widths(field_t, family, readout_axis, metal, direction)
    packets = packets_beside_rod(metal, direction)
    for signs, (name, fine) in product(product((1, -1), repeat=2), STRUCTURES.items()):
        spin, _ = sequence_pair(field_t, family, readout_axis, signs)
        tissue = fine & ~ROD
        drawn = shown(tissue, packets, spin) > DRAWN_SHARE
        true = coarse_share(tissue) > TRUE_SHARE
        found = np.array(drawn)
        found[zones.block] = swept(drawn[zones.block], half) | zones.is_void
        lost = true & ~found
        assert not lost.any(), (name, signs, np.argwhere(lost)[:5])


def test_without_the_sweep_voxels_are_lost():
    """The check itself can say no."""
    spin, _ = sequence_pair(3.0, SequenceFamily.TSE, 1, (1, 1))
    packets = packets_beside_rod("cobalt-chrome", "bore")
    drawn = shown(STRUCTURES["nerve"], packets, spin) > DRAWN_SHARE
    true = coarse_share(STRUCTURES["nerve"]) > TRUE_SHARE
    assert np.count_nonzero(true & ~drawn) > 100


@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_the_bound_is_not_vacuous(field_t):
    """Voxels added by the sweep: at most three times what some polarity of the model needs."""
    zones, half = zones_and_widths(field_t, SequenceFamily.TSE, 1, "titanium", "bore")
    field_ppm = packets_beside_rod("titanium", "bore").field_ppm
    drawn = coarse_share(STRUCTURES["nerve"]) > 0
    needed = np.array(drawn)
    for signs in product((1, -1), repeat=2):
        spin, _ = sequence_pair(field_t, SequenceFamily.TSE, 1, signs)
        # where spins are that would be shown in the drawn voxels: move the whole volume back
        needed |= coarse_share(lands_in(drawn, field_ppm, spin) & ~ROD) > 0
    outside_void = np.ones(SHAPE, bool)
    outside_void[zones.block] = ~zones.is_void
    result = np.array(drawn)
    result[zones.block] = swept(drawn[zones.block], half)
    assert np.count_nonzero(result & outside_void) <= 3 * np.count_nonzero(needed & outside_void)


def lands_in(drawn, field_ppm, spin):
    """Which fine packets are shown in a drawn voxel."""
    at = [
        (a + 0.5) / f - 0.5
        for a, f in zip(np.indices(field_ppm.shape, np.float32), FACTORS, strict=True)
    ]
    read = spin.readout_axis
    at[read] = at[read] + spin.readout_mm_per_ppm * field_ppm / SPACING[read]
    at[0] = at[0] + spin.slice_mm_per_ppm * field_ppm / SPACING[0]
    index = [
        np.clip(np.floor(a + 0.5).astype(int), 0, n - 1) for a, n in zip(at, SHAPE, strict=True)
    ]
    return drawn[tuple(index)]
