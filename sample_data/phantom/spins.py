"""Forward model of imaging beside metal: spins that are displaced and dephased.

Independent of the planner on purpose: its own field (the k-space dipole kernel on a
fine, twofold zero-padded grid), its own displacement (every fine voxel is a packet of
spins that is moved and counted where it lands), its own dephasing. The planner's bounds
are tested against it. Arrays are [k, j, i]; axes: slices along k, in plane j and i.
"""

from dataclasses import dataclass

import numpy as np

GAMMA_HZ_PER_PPM_T = 42.577478518


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinSequence:
    """What the scanner does. ``readout_axis`` is 1 (columns down) or 2 (along rows)."""

    field_t: float
    bandwidth_hz_per_px: float
    readout_pixel_mm: float
    readout_axis: int
    slice_thickness_mm: float
    rf_bandwidth_hz: float
    echo_time_ms: float
    is_gradient_echo: bool
    is_3d: bool = False
    readout_sign: int = 1
    slice_sign: int = 1


def dipole_field(chi_ppm, spacing_mm, b0_kji):
    """Relative field shift (ppm) by the k-space kernel, zero-padded to twice the size."""
    shape = tuple(2 * n for n in chi_ppm.shape)
    k = np.fft.fftfreq(shape[0], spacing_mm[0])[:, None, None]
    j = np.fft.fftfreq(shape[1], spacing_mm[1])[None, :, None]
    i = np.fft.rfftfreq(shape[2], spacing_mm[2])[None, None, :]
    squared = k * k + j * j + i * i
    squared[0, 0, 0] = 1.0
    kernel = 1.0 / 3.0 - (k * b0_kji[0] + j * b0_kji[1] + i * b0_kji[2]) ** 2 / squared
    kernel[0, 0, 0] = 0.0
    axes = (0, 1, 2)
    spectrum = np.fft.rfftn(chi_ppm, s=shape, axes=axes) * kernel
    field = np.fft.irfftn(spectrum, s=shape, axes=axes)
    return field[tuple(slice(0, n) for n in chi_ppm.shape)]


def image_of(fine_signal, offset_hz, fine_spacing_mm, factors, sequence):
    """What the scanner shows of spins on a fine grid.

    Parameters
    ----------
    fine_signal : (k, j, i)
        Signal of each packet, before dephasing; metal has none.
    offset_hz : (k, j, i)
        Frequency offset of each packet.
    fine_spacing_mm : (3,)
    factors : (3,)
        Fine voxels per image voxel.
    sequence : SpinSequence

    Returns
    -------
    (k, j, i) float
        On the image grid; a packet that is not moved adds its signal to its own voxel,
        divided by the number of packets per voxel.
    """
    signal = fine_signal * _dephasing(offset_hz, fine_spacing_mm, factors, sequence)
    moved_mm = {
        sequence.readout_axis: sequence.readout_sign
        * offset_hz
        * sequence.readout_pixel_mm
        / sequence.bandwidth_hz_per_px
    }
    if not sequence.is_3d:
        moved_mm[0] = (
            sequence.slice_sign * offset_hz * sequence.slice_thickness_mm / sequence.rf_bandwidth_hz
        )
    shape = tuple(n // f for n, f in zip(fine_signal.shape, factors, strict=True))
    inside = fine_signal != 0.0
    index = []
    for axis in range(3):
        at = np.arange(fine_signal.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        place = np.broadcast_to((at + 0.5) / factors[axis] - 0.5, fine_signal.shape)
        if axis in moved_mm:
            place = place + moved_mm[axis] / (fine_spacing_mm[axis] * factors[axis])
        landed = np.floor(place + 0.5).astype(np.int64)
        inside = inside & (landed >= 0) & (landed < shape[axis])
        index.append(landed)
    flat = np.ravel_multi_index([a[inside] for a in index], shape)
    total = np.bincount(flat, weights=signal[inside], minlength=int(np.prod(shape)))
    return total.reshape(shape) / np.prod(factors)


def _dephasing(offset_hz, fine_spacing_mm, factors, sequence):
    """Signal left of a gradient echo: sinc of the cycles across each acquired voxel edge."""
    if not sequence.is_gradient_echo:
        return 1.0
    left = np.ones(offset_hz.shape)
    for axis in range(3):
        slope = np.gradient(offset_hz, fine_spacing_mm[axis], axis=axis)
        edge_mm = fine_spacing_mm[axis] * factors[axis]
        if axis == 0:
            edge_mm = sequence.slice_thickness_mm
        elif axis == sequence.readout_axis:
            edge_mm = sequence.readout_pixel_mm
        left = left * np.abs(np.sinc(slope * edge_mm * sequence.echo_time_ms * 1e-3))
    return left
