"""The planner's sweep and void against the phantom's simulated artefact.

The phantom's own forward model (its field, its spins) moves the structures to where they are
shown. Drawn there and swept by the planner, they must hold where they truly are, or that must
be void; and the sweep must not be much wider than the forward model needs.
"""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

from planner import load_structures, load_volume
from planner.geometry import FrameId, Grid, Mask
from planner.model import MaskSource, Structure, StructureRole, StructureSet
from planner.model.mr import MRAcquisition, SequenceFamily
from planner.physics.acquisition import acquisition_of
from planner.safety.metal import (
    metal_layer,
    sweep_mask,
    sweep_widths,
    void_mask,
    with_acquisition,
)
from sample_data.phantom import (
    AcquisitionParameters,
    PhantomParameters,
    acquisition_grid,
    build_anatomy,
    make,
    metal,
    rasterise,
)
from sample_data.phantom.parameters import cropped
from sample_data.phantom.spins import SpinSequence, add_shown, dipole_field, packets_of
from tests.metal_truths import grid_of, share_of, sphere_field

SIGNS = tuple(product((1, -1), repeat=2))
TITANIUM = dict.fromkeys(metal.METAL_STRUCTURES, "Ti-6Al-4V")
MOST_SWEPT = 3.0
"""Swept volume over what some polarity of the forward model needs (issue 4)."""


def lost_voxels(true, drawn, layer, widths, is_void):
    """True voxels that are neither in the swept mask of the drawn ones nor void."""
    swept = sweep_mask(Mask(grid=layer.grid, inside=drawn), layer.field, widths).inside
    return true & ~swept & ~is_void


def halved(widths):
    return replace(widths, half=widths.half // 2, largest=widths.largest // 2)


def none(widths):
    return replace(widths, half=widths.half * 0, largest=widths.largest * 0)


# ---- the sample study -----------------------------------------------------------------------


class Study:
    """The committed study as the planner reads it, and its truth."""

    def __init__(self, folder):
        volume = load_volume(folder / "dicom")
        drawn = load_structures(folder / "structures.seg.nrrd", like=volume)
        true = load_structures(folder / "truth.seg.nrrd", like=volume)
        self.drawn = {s.name: s.mask.inside for s in drawn.structures}
        self.true = {s.name: s.mask.inside for s in true.structures}
        self.acquisition = acquisition_of(volume.source.mr, volume.grid)
        self.layer = metal_layer(drawn, [self.acquisition], TITANIUM)
        self.widths = sweep_widths(self.layer)
        self.is_void = void_mask(self.layer).inside

    def lost(self, widths):
        """Number of lost voxels by structure, where there are any."""
        counts = {
            name: np.count_nonzero(
                lost_voxels(self.true[name], drawn, self.layer, widths, self.is_void)
            )
            for name, drawn in self.drawn.items()
            if name not in metal.METAL_STRUCTURES and drawn.any()
        }
        return {name: n for name, n in counts.items() if n}


@pytest.fixture(scope="module")
def study(sample_data):
    return Study(sample_data / "implant")


def test_every_true_voxel_of_the_study_is_swept_or_void(study):
    assert set(study.drawn) == set(study.true), "nothing is hidden so far that it is not drawn"
    assert study.lost(study.widths) == {}


def test_the_metal_itself_is_void(study):
    for name in metal.METAL_STRUCTURES:
        np.testing.assert_array_equal(study.drawn[name], study.true[name])
        assert not (study.true[name] & ~study.is_void).any(), name


@pytest.mark.parametrize("narrower", [none, halved])
def test_a_narrower_sweep_of_the_study_loses_voxels(study, narrower):
    """The check above can say no, and the bound is not twice too wide."""
    lost = study.lost(narrower(study.widths))
    assert sum(lost.values()) > (500 if narrower is none else 0)


def test_the_sweep_of_the_study_is_not_vacuous(study):
    anatomy = build_anatomy(PhantomParameters(has_implant=True))
    grid = acquisition_grid(anatomy.parameters, AcquisitionParameters())
    scene = metal.metal_scene(anatomy, grid, near_factors=(2, 2, 2), near_margin_mm=30.0)
    packets, tissue = scene.blocks[0], scene.metal_share[0] < 0.5
    sequence = make.spin_sequence(AcquisitionParameters())
    landings = [
        landing(packets, scene.grid, replace(sequence, readout_sign=a, slice_sign=b))
        for a, b in SIGNS
    ]
    asked = ~study.is_void[packets.block]
    ratios = {}
    for name, drawn in study.drawn.items():
        swept = sweep_mask(
            Mask(grid=study.layer.grid, inside=drawn), study.layer.field, study.widths
        )
        swept_here, drawn_here = swept.inside[packets.block] & asked, drawn[packets.block]
        if name in metal.METAL_STRUCTURES or not (swept_here & ~drawn_here).any():
            continue
        needed = drawn_here | study.true[name][packets.block]
        for at in landings:
            needed |= any_of(drawn.ravel()[at] & tissue, packets.factors)
        ratios[name] = np.count_nonzero(swept_here) / np.count_nonzero(needed & asked)
    assert len(ratios) > 15
    assert max(ratios.values()) <= MOST_SWEPT, ratios


def landing(packets, grid, sequence):
    """Flat index of the image voxel that shows the middle of each packet."""
    field = packets.field_ppm
    shifts_mm = {0: sequence.slice_mm_per_ppm, sequence.readout_axis: sequence.readout_mm_per_ppm}
    index = []
    for axis, (start, factor) in enumerate(zip(packets.start_kji, packets.factors, strict=True)):
        at = start + (np.arange(field.shape[axis]) + 0.5) / factor - 0.5
        at = at.reshape([-1 if a == axis else 1 for a in range(3)])
        moved = field * (shifts_mm.get(axis, 0.0) / grid.spacing_kji_mm[axis])
        landed = np.rint(at + moved).astype(np.int32)
        index.append(np.clip(landed, 0, grid.shape_kji[axis] - 1))
    return np.ravel_multi_index(index, grid.shape_kji).astype(np.int32)


def any_of(packet_values, factors):
    """Whether any packet of each voxel is set."""
    for axis, factor in enumerate(factors):
        starts = np.arange(0, packet_values.shape[axis], factor)
        packet_values = np.logical_or.reduceat(packet_values, starts, axis=axis)
    return packet_values


# ---- other scanners, on a coarse scene beside the implant -------------------------------------

OBLIQUE_B0 = np.array([0.36, 0.48, 0.8])
PIXEL_MM, STEP_MM, THICKNESS_MM = 2.2, 3.3, 3.0
BANDWIDTH_HZ, RF_BANDWIDTH_HZ, ECHO_TIME_MS = 250.0, 1000.0, 2.0
DRAWN_SHARE = 0.2
"""A single voxel that is moved by half a voxel along two axes, and stretched, fills a fifth of
four: a contour that leaves all of them out has lost it, whatever the sweep."""

FAMILIES = (SequenceFamily.TSE, SequenceFamily.GRE)


class CoarseScene:
    """The implant and 26 mm around it; the planner's field and the phantom's, computed once."""

    def __init__(self):
        anatomy = build_anatomy(PhantomParameters(has_implant=True))
        size = AcquisitionParameters(shape_kji=(64, 132, 184), pixel_mm=PIXEL_MM)
        whole = acquisition_grid(anatomy.parameters, size)
        start, stop = metal.near_block(anatomy, whole, margin_mm=20.0)
        small = cropped(whole, [slice(a, b) for a, b in zip(start, stop, strict=True)])
        self.maps = rasterise(anatomy, small)
        self.scene = metal.metal_scene(anatomy, small, OBLIQUE_B0, near_factors=(4, 2, 2))
        self.grid = Grid(
            shape_kji=small.shape_kji,
            lps_from_kji=small.lps_from_kji,
            frame=FrameId("1", "phantom"),
        )
        implants = tuple(
            Structure(
                name=name,
                role=StructureRole.IMPLANT,
                mask=Mask(grid=self.grid, inside=self.maps.mask(name)),
                source=MaskSource(file="phantom", grid=self.grid),
            )
            for name in metal.METAL_STRUCTURES
        )
        every = [self.acquisition(t, f, a) for t, f, a in product((1.5, 3.0), FAMILIES, (1, 2))]
        self.layer = metal_layer(StructureSet(grid=self.grid, structures=implants), every, TITANIUM)

    def acquisition(self, field_t, family, readout_axis):
        axes = self.grid.axes_lps_from_kji
        return MRAcquisition(
            field_t=field_t,
            b0_direction_lps=OBLIQUE_B0,
            bandwidth_hz_per_px=BANDWIDTH_HZ,
            readout_pixel_mm=PIXEL_MM,
            phase_pixel_mm=PIXEL_MM,
            readout_axis_lps=np.array(axes[:, readout_axis]),
            slice_axis_lps=np.array(axes[:, 0]),
            slice_thickness_mm=THICKNESS_MM,
            rf_bandwidth_hz=RF_BANDWIDTH_HZ,
            acquisition="2D",
            sequence=family,
            echo_time_ms=ECHO_TIME_MS,
            repetition_time_ms=500.0,
        )

    def sequence(self, field_t, family, readout_axis, signs):
        return SpinSequence(
            field_t=field_t,
            bandwidth_hz_per_px=BANDWIDTH_HZ,
            readout_pixel_mm=PIXEL_MM,
            readout_axis=readout_axis,
            slice_thickness_mm=THICKNESS_MM,
            rf_bandwidth_hz=RF_BANDWIDTH_HZ,
            echo_time_ms=ECHO_TIME_MS,
            is_gradient_echo=family is SequenceFamily.GRE,
            readout_sign=signs[0],
            slice_sign=signs[1],
        )

    def stays_in(self, sequence):
        """Voxels whose spins are shown inside the scene, wherever the polarity sends them."""
        (packets,) = self.scene.blocks
        field = np.abs(packets.share(packets.field_ppm))
        stays = np.ones(field.shape, bool)
        for axis, mm_per_ppm in (
            (0, sequence.slice_mm_per_ppm),
            (sequence.readout_axis, sequence.readout_mm_per_ppm),
        ):
            n = field.shape[axis]
            at = np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)])
            voxels = field * abs(mm_per_ppm) / self.grid.spacing_kji_mm[axis] + 1.0
            stays &= (at - voxels >= 0) & (at + voxels <= n - 1)
        return stays


@cache
def coarse_scene():
    return CoarseScene()


@pytest.mark.parametrize("readout_axis", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_every_true_voxel_is_swept_or_void_on_other_scanners(field_t, family, readout_axis):
    scene = coarse_scene()
    layer = with_acquisition(scene.layer, scene.acquisition(field_t, family, readout_axis))
    widths, is_void = sweep_widths(layer), void_mask(layer).inside
    lost, lost_by_half, n_checked = {}, 0, 0
    for signs in SIGNS:
        sequence = scene.sequence(field_t, family, readout_axis, signs)
        asked = ~is_void & scene.stays_in(sequence)
        for name, drawn in scene.scene.drawn(scene.maps, sequence, DRAWN_SHARE).items():
            if name in metal.METAL_STRUCTURES or not drawn.any():
                continue
            true = scene.maps.mask(name) & asked
            n_checked += np.count_nonzero(true)
            n_lost = np.count_nonzero(lost_voxels(true, drawn, layer, widths, is_void))
            if n_lost:
                lost[name, signs] = n_lost
            lost_by_half += np.count_nonzero(
                lost_voxels(true, drawn, layer, halved(widths), is_void)
            )
    assert lost == {}
    assert n_checked > 50_000
    assert lost_by_half > 0, "half the sweep would have been enough"


# ---- the forward model itself -----------------------------------------------------------------


def test_the_phantoms_field_of_a_sphere():
    radius_mm, direction = 6.0, OBLIQUE_B0
    grid = grid_of("axial", (40, 50, 50), (1.2, 1.0, 1.0))
    share = share_of(grid, lambda p: np.linalg.norm(p, axis=-1) <= radius_mm, parts=4)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij"), axis=-1)
    points_lps_mm = grid.to_lps(index.reshape(-1, 3)).reshape(*grid.shape_kji, 3)
    b0_kji = grid.axes_lps_from_kji.T @ direction
    field = dipole_field(share, grid.spacing_kji_mm, b0_kji)
    outside = np.linalg.norm(points_lps_mm, axis=-1) > radius_mm + 2.0
    error = np.abs(field - sphere_field(points_lps_mm, radius_mm, direction))[outside]
    assert error.max() < 0.05 * 2 / 3


def sequence_of(readout_axis=2, **changes):
    known = SpinSequence(
        field_t=1.5,
        bandwidth_hz_per_px=250.0,
        readout_pixel_mm=1.0,
        readout_axis=readout_axis,
        slice_thickness_mm=3.0,
        rf_bandwidth_hz=1000.0,
        echo_time_ms=5.0,
        is_gradient_echo=False,
    )
    return replace(known, **changes)


def shown(signal, field_ppm, sequence, shape, factors, spacing_mm=(3.0, 1.0, 1.0)):
    image = np.zeros(shape)
    add_shown(image, signal, packets_of(field_ppm, factors), np.array(spacing_mm), sequence)
    return image


@pytest.mark.parametrize("readout_axis", [1, 2])
def test_a_uniform_field_moves_the_image_and_keeps_its_signal(readout_axis):
    shape, factors = (8, 12, 12), (3, 2, 2)
    fine = np.zeros([n * f for n, f in zip(shape, factors, strict=True)])
    fine[9:12, 8:12, 8:12] = 1.0  # slice 3, rows and columns 4 and 5
    sequence = sequence_of(readout_axis, slice_sign=-1)
    ppm = 1000.0 / sequence.hz_per_ppm  # one slice, four pixels
    image = shown(fine, np.full(fine.shape, ppm), sequence, shape, factors)
    expected = np.zeros(shape)
    rows, columns = (
        (slice(8, 10), slice(4, 6)) if readout_axis == 1 else (slice(4, 6), slice(8, 10))
    )
    expected[2, rows, columns] = 1.0
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_a_stretched_field_thins_and_a_folded_one_piles_up():
    shape, factors = (1, 1, 40), (2, 1, 2)
    at = np.arange(80) / 2.0
    sequence = sequence_of(is_3d=True)
    per_mm = 1.0 / sequence.readout_mm_per_ppm
    for slope, level in ((1.0, 0.5), (-0.5, 2.0), (-2.0, 1.0)):
        field = np.broadcast_to((at - 20.0) * slope * per_mm, (2, 1, 80))
        image = shown(np.ones((2, 1, 80)), field, sequence, shape, factors)
        assert image[0, 0, 18:22] == pytest.approx(level, rel=1e-3), slope


def test_gaps_between_slices_are_not_excited():
    factors = (11, 1, 1)
    fine = np.zeros((33, 1, 1))
    fine[16] = 1.0
    sequence = sequence_of()
    inside = shown(fine, np.zeros(fine.shape), sequence, (3, 1, 1), factors, (3.3, 1.0, 1.0))
    fine = np.roll(fine, 6, axis=0)  # half in the gap, half in slice 2's
    gap = shown(fine, np.zeros(fine.shape), sequence, (3, 1, 1), factors, (3.3, 1.0, 1.0))
    assert inside[:, 0, 0] == pytest.approx([0, 0.1, 0])
    assert gap[:, 0, 0] == pytest.approx([0, 0, 0.05])
