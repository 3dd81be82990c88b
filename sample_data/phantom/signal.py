"""From tissues to a T2 TSE-like image: partial volume, texture, coil shading, ghosts, noise.

Stages are separate functions. Metal moves and loses signal by the forward model of
``spins`` and ``metal``, before coil shading, filter, ghosts and noise.
"""

import numpy as np
from scipy import ndimage

from sample_data.phantom.anatomy import Anatomy
from sample_data.phantom.labels import SlicePlane
from sample_data.phantom.metal import MetalScene
from sample_data.phantom.parameters import AcquisitionParameters, PhantomGrid, cropped, refined
from sample_data.phantom.spins import SpinSequence
from sample_data.phantom.tissues import SIGNAL, Tissue

MAX_STORED = 1023  # 10 significant bits
N_IN_PLANE_SAMPLES = 2
SLICE_SAMPLES_FRAC = (-0.34, 0.0, 0.34)  # of the slice thickness
NOISE_SIGMA = 4.0
GHOST_FRACTION = 0.02
GHOST_SHIFT_FRAC = 0.27  # of the phase-encoded field of view


def simulate(
    anatomy: Anatomy,
    grid: PhantomGrid,
    acquisition: AcquisitionParameters,
    metal: tuple[MetalScene, SpinSequence] | None = None,
) -> np.ndarray:
    """Stored pixel values (k, j, i) uint16 of the whole series.

    Rows are the phase-encoded direction. Deterministic for a given anatomy seed. ``metal``:
    the field of the implant and the sequence that is disturbed by it.
    """
    rng = np.random.default_rng(anatomy.parameters.seed)
    mean, texture = _sampled_signal(anatomy, grid, acquisition)
    signal = _with_texture(mean, texture, grid, rng)
    if metal is not None:
        signal = metal_artefact(anatomy, signal, signal - mean, *metal)
    signal *= coil_shading(grid, anatomy)
    signal = ndimage.gaussian_filter(signal, (0.0, 0.45, 0.3))  # fewer phase lines than rows
    signal += GHOST_FRACTION * _ghost(signal)
    signal += _table_pad(grid, anatomy)
    noisy = _rician(signal, rng)
    return np.clip(np.rint(noisy), 0, MAX_STORED).astype(np.uint16)


def _sampled_signal(anatomy: Anatomy, grid: PhantomGrid, acquisition: AcquisitionParameters):
    """Mean signal and texture amplitude per voxel from sub-samples."""
    mean_of, texture_of = _signal_tables()
    fine = refined(grid, (1, N_IN_PLANE_SAMPLES, N_IN_PLANE_SAMPLES))
    maps = np.zeros((2, *grid.shape_kji), np.float32)
    thickness_in_steps = acquisition.slice_thickness_mm / acquisition.slice_step_mm
    for k in range(grid.shape_kji[0]):
        for offset in SLICE_SAMPLES_FRAC:
            tissue = np.zeros(fine.shape_kji[1:], np.uint8)
            plane = SlicePlane(anatomy, fine, k + offset * thickness_in_steps, np.float32)
            plane.paint(tissue)
            for target, source in zip(maps, (mean_of[tissue], texture_of[tissue]), strict=True):
                target[k] += _block_mean(source) / len(SLICE_SAMPLES_FRAC)
    return maps


def _signal_tables() -> tuple[np.ndarray, np.ndarray]:
    """Mean signal and texture amplitude by tissue number."""
    mean_of = np.zeros(max(SIGNAL) + 1, np.float32)
    texture_of = np.zeros_like(mean_of)
    for tissue, values in SIGNAL.items():
        mean_of[tissue], texture_of[tissue] = values
    return mean_of, texture_of


def _block_mean(plane: np.ndarray) -> np.ndarray:
    n = N_IN_PLANE_SAMPLES
    return plane.reshape(plane.shape[0] // n, n, plane.shape[1] // n, n).mean(
        axis=(1, 3), dtype=np.float32
    )


def _with_texture(signal: np.ndarray, amplitude: np.ndarray, grid: PhantomGrid, rng) -> np.ndarray:
    """Add marrow and fat mottling and bright fat streaks along the muscle fibres."""
    step_kji_mm = grid.spacing_kji_mm

    def smooth_noise(sigma_kji_mm):
        white = rng.standard_normal(grid.shape_kji, dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, np.asarray(sigma_kji_mm) / step_kji_mm)
        return smooth / smooth.std()

    signal = signal + amplitude * 0.6 * smooth_noise((2.0, 1.6, 1.6))
    signal += amplitude * 0.6 * smooth_noise((6.0, 5.0, 5.0))
    streaks = np.clip(smooth_noise((9.0, 1.3, 1.8)) - 1.45, 0.0, 1.5)
    is_muscle = np.abs(signal - SIGNAL[Tissue.MUSCLE].mean) < 60.0
    return np.where(is_muscle & (amplitude > 5.0), signal + 190.0 * streaks, signal)


def coil_shading(grid: PhantomGrid, anatomy: Anatomy) -> np.ndarray:
    """Sensitivity of an array wrapped around the prone trunk: brighter near its elements."""
    j, i = np.meshgrid(np.arange(grid.shape_kji[1]), np.arange(grid.shape_kji[2]), indexing="ij")
    shading = np.empty(grid.shape_kji, np.float32)
    elements = [(x, 105.0, z) for x in (-75.0, 70.0) for z in (20.0, -55.0, -125.0)]
    elements += [(x, -125.0, z) for x in (-80.0, 85.0) for z in (0.0, -100.0)]
    for k in range(grid.shape_kji[0]):
        lps = grid.lps_from_index(np.stack([np.full(j.shape, k), j, i], -1))
        points = anatomy.parameters.anatomy_from_lps(lps)
        total = sum(
            1.0 / (1.0 + ((points - e) ** 2).sum(-1) / 85.0**2) ** 1.5 for e in np.asarray(elements)
        )
        shading[k] = 0.62 + 0.24 * total
    return shading


def _ghost(signal: np.ndarray) -> np.ndarray:
    """Breathing copies of the image along the phase axis (rows), both ways."""
    shift = round(GHOST_SHIFT_FRAC * signal.shape[1])
    soft = ndimage.gaussian_filter(signal, (0.0, 1.5, 1.5))
    return np.roll(soft, shift, axis=1) + np.roll(soft, -shift, axis=1)


def _table_pad(grid: PhantomGrid, anatomy: Anatomy) -> np.ndarray:
    """Faint blurred signal of the coil mat under the belly."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij", sparse=True)
    affine = grid.lps_from_kji
    lps = [affine[a, 0] * k + affine[a, 1] * j + affine[a, 2] * i + affine[a, 3] for a in range(3)]
    origin, scale = anatomy.parameters.origin_lps_mm, anatomy.parameters.scale
    x, y = ((lps[a] - origin[a]) / scale for a in (0, 1))
    across = 1.0 / (1.0 + np.exp((np.abs(x) - 150.0) / 8.0))
    return (22.0 * np.exp(-(((y + 124.0) / 5.0) ** 2)) * across).astype(np.float32)


def metal_artefact(
    anatomy: Anatomy,
    signal: np.ndarray,
    texture: np.ndarray,
    scene: MetalScene,
    sequence: SpinSequence,
) -> np.ndarray:
    """What the scanner shows of the signal (k, j, i) in the field of the metal.

    The block beside the metal is painted again on its packets and takes the texture of the
    image's voxels; elsewhere each voxel is one packet.
    """
    mean_of, _ = _signal_tables()
    signals = []
    for packets, spins in zip(scene.blocks, scene.spins(sequence), strict=True):
        if packets.factors == (1, 1, 1):
            signals.append(signal * spins)
            continue
        fine = refined(cropped(scene.grid, packets.block), packets.factors)
        tissue = np.zeros(fine.shape_kji, np.uint8)
        for k in range(fine.shape_kji[0]):
            SlicePlane(anatomy, fine, float(k), np.float32).paint(tissue[k])
        has_signal = mean_of[tissue] > 0.0
        here = np.maximum(mean_of[tissue] + packets.repeated(texture), 0.0)
        signals.append(np.where(has_signal, here, np.float32(0.0)) * spins)
    return scene.shown(signals, sequence).astype(np.float32)


def _rician(signal: np.ndarray, rng) -> np.ndarray:
    """Magnitude of signal plus complex noise, lightly correlated by the raw data filter."""
    parts = []
    for _ in range(2):
        white = rng.standard_normal(signal.shape, dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, (0.0, 0.55, 0.55))
        parts.append(NOISE_SIGMA * smooth / smooth.std())
    return np.hypot(signal + parts[0], parts[1])
