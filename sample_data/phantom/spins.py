"""Forward model of imaging beside metal: spins that are displaced and dephased.

Independent of the planner on purpose: its own field (the k-space dipole kernel on a
fine, twofold zero-padded grid), its own displacement (every packet of spins is a small box
that is moved, stretched and counted where it lands), its own dephasing. The planner's bounds
are tested against it. Arrays are [k, j, i]; axes: slices along k, in plane j and i.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import fft

GAMMA_HZ_PER_PPM_T = 42.577478518
_LEAST_WIDTH = 1e-6
"""A packet squeezed to a point keeps this width, in voxels, so that its density is finite."""


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

    @property
    def hz_per_ppm(self) -> float:
        """Frequency offset for each ppm of field."""
        return GAMMA_HZ_PER_PPM_T * self.field_t

    @property
    def readout_mm_per_ppm(self) -> float:
        """Signed shift along the readout axis of the array."""
        per_hz = self.readout_pixel_mm / self.bandwidth_hz_per_px
        return self.readout_sign * per_hz * self.hz_per_ppm

    @property
    def slice_mm_per_ppm(self) -> float:
        """Signed shift along the slice axis of the array; none in 3-D imaging."""
        per_hz = 0.0 if self.is_3d else self.slice_thickness_mm / self.rf_bandwidth_hz
        return self.slice_sign * per_hz * self.hz_per_ppm


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Packets:
    """Packets of spins that tile a block of an image, and the field each one is in.

    Attributes
    ----------
    start_kji : (3,) int
        First image voxel of the block.
    factors : (3,) int
        Packets per image voxel.
    edge_ppm : (planes + 1, rows, columns)
        Field at the lower and upper face of each plane of packets.
    """

    start_kji: tuple[int, int, int]
    factors: tuple[int, int, int]
    edge_ppm: np.ndarray

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Number of packets."""
        planes, rows, columns = self.edge_ppm.shape
        return planes - 1, rows, columns

    @property
    def block(self) -> tuple[slice, ...]:
        """The block as slices of an array on the image grid."""
        return tuple(
            slice(a, a + n // f)
            for a, n, f in zip(self.start_kji, self.shape_kji, self.factors, strict=True)
        )

    @property
    def field_ppm(self) -> np.ndarray:
        """Field at the middle of each packet."""
        return (self.edge_ppm[1:] + self.edge_ppm[:-1]) / 2

    def repeated(self, image_values: np.ndarray) -> np.ndarray:
        """Values of the image's voxels, one for each packet of the block."""
        values = image_values[self.block]
        for axis, factor in enumerate(self.factors):
            values = np.repeat(values, factor, axis=axis)
        return values

    def around(self, mask: np.ndarray) -> tuple["Packets", tuple[slice, ...]]:
        """The packets of the box of a mask's voxels in the block, and where they are in it.

        Those next to the box are kept too: the faces of a packet depend on its neighbours.
        """
        starts, where = [], []
        for axis, (block, factor) in enumerate(zip(self.block, self.factors, strict=True)):
            inside = mask[self.block].any(axis=tuple(a for a in range(3) if a != axis))
            hit = np.flatnonzero(inside) if inside.any() else np.array([0])
            low, high = max(hit[0] - 1, 0), min(hit[-1] + 2, inside.size)
            starts.append(int(block.start + low))
            where.append(slice(int(low * factor), int(high * factor)))
        planes = slice(where[0].start, where[0].stop + 1)
        part = Packets(
            start_kji=tuple(starts),
            factors=self.factors,
            edge_ppm=self.edge_ppm[planes, where[1], where[2]],
        )
        return part, tuple(where)

    def share(self, packet_values: np.ndarray) -> np.ndarray:
        """Mean of the packets of each voxel of the block."""
        size = [n for pair in zip(self.shape_kji, self.factors, strict=True) for n in pair]
        size[::2] = [n // f for n, f in zip(size[::2], size[1::2], strict=True)]
        return packet_values.reshape(size).mean(axis=(1, 3, 5), dtype=np.float32)


def packets_of(field_ppm, factors, start_kji=(0, 0, 0)) -> Packets:
    """Packets from the field at their middles, (k, j, i)."""
    edges = np.concatenate([field_ppm[:1], field_ppm, field_ppm[-1:]])
    return Packets(
        start_kji=tuple(start_kji), factors=tuple(factors), edge_ppm=(edges[1:] + edges[:-1]) / 2
    )


def dipole_field(chi_ppm, spacing_mm, b0_kji):
    """Relative field shift (ppm) by the k-space kernel, zero-padded to twice the size."""
    chi = np.asarray(chi_ppm, np.float32)
    shape = [fft.next_fast_len(2 * n, real=True) for n in chi.shape]
    k = np.fft.fftfreq(shape[0], spacing_mm[0]).astype(np.float32)[:, None, None]
    j = np.fft.fftfreq(shape[1], spacing_mm[1]).astype(np.float32)[None, :, None]
    i = np.fft.rfftfreq(shape[2], spacing_mm[2]).astype(np.float32)[None, None, :]
    along = (k * np.float32(b0_kji[0]) + j * np.float32(b0_kji[1]) + i * np.float32(b0_kji[2])) ** 2
    squared = k * k + j * j + i * i
    squared[0, 0, 0] = 1.0
    along /= squared
    kernel = np.float32(1.0 / 3.0) - along
    kernel[0, 0, 0] = 0.0
    del along, squared
    spectrum = fft.rfftn(chi, s=shape)
    spectrum *= kernel
    field = fft.irfftn(spectrum, s=shape, overwrite_x=True)
    return np.ascontiguousarray(field[tuple(slice(0, n) for n in chi.shape)])


def add_shown(image, signal, packets, spacing_mm, sequence):
    """Add to an image what the scanner shows of packets of spins.

    A packet is a box. Its faces move by the shift of the field there, along the slice
    and the readout axis; its signal is spread evenly over where it lands, thin where it is
    stretched and piled up where it is squeezed or folded. Between two slices
    (step longer than thickness) nothing is excited.

    Parameters
    ----------
    image : (k, j, i) float64
        Changed. Packets that do not move add their mean signal to their own voxel.
    signal : (k, j, i)
        Of each packet; metal has none.
    packets : Packets
    spacing_mm : (3,)
        Of the image.
    sequence : SpinSequence
    """
    read = sequence.readout_axis
    phase = 3 - read
    order = (0, phase, read)
    factors = np.array(packets.factors)[list(order)]
    start = np.array(packets.start_kji)[list(order)]
    _add_boxes(
        image.transpose(order),
        np.asarray(signal, np.float32).transpose(order),
        packets.edge_ppm.transpose(order),
        start,
        factors,
        sequence.slice_mm_per_ppm / spacing_mm[0],
        sequence.readout_mm_per_ppm / spacing_mm[read],
        sequence.slice_thickness_mm / spacing_mm[0],
    )


@njit(cache=True)
def _add_boxes(image, signal, edge_ppm, start, factors, slices_per_ppm, pixels_per_ppm, thickness):
    """Axes [slice, phase, readout]; places in voxels of the image, whole numbers at centres."""
    planes, rows, columns = signal.shape
    depth, width = 1.0 / factors[0], 1.0 / factors[2]
    volume = depth * width / factors[1] / thickness
    n_slices, _, n_pixels = image.shape
    for k in range(planes):
        low_k = start[0] - 0.5 + k * depth
        for j in range(rows):
            row = start[1] + j // factors[1]
            for i in range(columns):
                value = signal[k, j, i]
                if value == 0.0:
                    continue
                here = edge_ppm[k, j, i] + edge_ppm[k + 1, j, i]
                before = here if i == 0 else edge_ppm[k, j, i - 1] + edge_ppm[k + 1, j, i - 1]
                after = (
                    here if i == columns - 1 else edge_ppm[k, j, i + 1] + edge_ppm[k + 1, j, i + 1]
                )
                a = low_k + edge_ppm[k, j, i] * slices_per_ppm
                b = low_k + depth + edge_ppm[k + 1, j, i] * slices_per_ppm
                a, b = min(a, b), max(a, b)
                b = max(b, a + _LEAST_WIDTH)
                c = start[2] - 0.5 + i * width
                d = c + width + (here + after) / 4 * pixels_per_ppm
                c += (here + before) / 4 * pixels_per_ppm
                c, d = min(c, d), max(c, d)
                d = max(d, c + _LEAST_WIDTH)
                density = value * volume / (b - a) / (d - c)
                first, last = max(0, int(np.floor(a + 0.5))), int(np.floor(b + 0.5))
                left, right = max(0, int(np.floor(c + 0.5))), int(np.floor(d + 0.5))
                for at_k in range(first, min(last, n_slices - 1) + 1):
                    through = min(b, at_k + thickness / 2) - max(a, at_k - thickness / 2)
                    if through <= 0.0:
                        continue
                    for at_i in range(left, min(right, n_pixels - 1) + 1):
                        across = min(d, at_i + 0.5) - max(c, at_i - 0.5)
                        if across > 0.0:
                            image[at_k, row, at_i] += density * through * across


def signal_kept(packets, spacing_mm, sequence):
    """Share of each packet's signal left at the echo, (k, j, i) or 1.

    A refocused echo keeps all. A gradient echo keeps the sinc of the cycles across each
    edge of the acquired voxel.
    """
    if not sequence.is_gradient_echo:
        return np.float32(1.0)
    field_hz = packets.field_ppm * np.float32(sequence.hz_per_ppm)
    left = np.ones(field_hz.shape, np.float32)
    for axis in range(3):
        slope = np.gradient(field_hz, spacing_mm[axis] / packets.factors[axis], axis=axis)
        edge_mm = spacing_mm[axis]
        if axis == 0:
            edge_mm = sequence.slice_thickness_mm
        elif axis == sequence.readout_axis:
            edge_mm = sequence.readout_pixel_mm
        left *= np.abs(np.sinc(slope * np.float32(edge_mm * sequence.echo_time_ms * 1e-3)))
    return left
