"""The relative field shift that susceptibility causes: every voxel's own closed-form field.

Each voxel is a box magnetised by its susceptibility; the shift at a voxel centre is the
sum of the closed-form fields of all of them (``prism_kernels``), taken by a fast Fourier
transform that is zero-padded in full, so nothing wraps around. In this it differs from
the usual kernel 1/3 - (k.b)^2/k^2, which is sampled in k-space: that one is periodic,
and for an oblique B0 it is wrong at the Nyquist planes.

Voxels that are partly metal are then resolved below the voxel (``partial_voxels``).

Sources
-------
Field of a susceptibility distribution with the Lorentz sphere correction: Salomir 2003,
Marques and Bowtell 2005 (for what is summed). Closed form of a uniformly magnetised box:
its demagnetisation tensor, Joseph and Schloemann 1965.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import GridMismatchError, InputError
from planner.geometry import Grid
from planner.geometry.frames import FloatArray, unit
from planner.geometry.threads import in_chunks, n_threads

MAX_PADDED_VOXELS = 60_000_000
"""Size of one transform (float32: 240 MB, and as much again twice); larger grids go in slabs."""


def field_perturbation_ppm(
    susceptibility_ppm: ArrayLike, grid: Grid, b0_direction_lps: ArrayLike
) -> NDArray[np.float32]:
    """Relative shift of the field along B0 that a susceptibility map causes.

    Parameters
    ----------
    susceptibility_ppm : (k, j, i)
        Volume susceptibility (SI) relative to the tissue around, ppm. A voxel that is
        partly metal holds the share times the metal's value. Zero outside the grid.
    grid : Grid
        Any orientation and voxel size.
    b0_direction_lps : (3,)
        Direction of the main field.

    Returns
    -------
    (k, j, i) float32
        dB/B0 at the voxel centres, ppm, as a nucleus sees it (Lorentz sphere taken out:
        0 within a sphere, 1/3 of chi within a long cylinder along B0).

    Raises
    ------
    GridMismatchError
        If the map does not have the shape of the grid.
    InputError
        If the map is not finite, or the direction is not a direction.

    Notes
    -----
    Linear in chi (first order): right while chi is much smaller than 1, that is up to
    non-magnetic steel (0.4 % of chi); no ferromagnetic metal. Error against spheres and
    cylinders: see docs/field_map.md.
    """
    chi = np.asarray(susceptibility_ppm)
    if chi.shape != grid.shape_kji:
        raise GridMismatchError(
            "the susceptibility map does not have the shape of its grid",
            seen=chi.shape,
            needed=grid.shape_kji,
        )
    if not np.all(np.isfinite(chi)):
        raise InputError(
            "the susceptibility map holds values that are not finite", needed="finite ppm values"
        )
    b_kji = grid.axes_lps_from_kji.T @ unit(b0_direction_lps)
    b_kji[np.abs(b_kji) < 1e-9] = 0.0  # rounding of the axes would cost a logarithm per corner
    out = np.zeros(grid.shape_kji, np.float32)
    for start, stop in _pieces(chi):
        inner = np.ascontiguousarray(chi[_slices(start, stop)], dtype=np.float32)
        for slab in _slabs(grid.shape_kji, inner.shape):
            out[slab.low : slab.high] += _convolved(
                inner, start - (slab.low, 0, 0), slab.shape, grid.spacing_kji_mm, b_kji
            )
    from planner.physics.partial_voxels import resolve_partial_voxels

    resolve_partial_voxels(chi, out, grid.spacing_kji_mm, b_kji)
    return out


_PIECE_VOXELS = 8
"""Metal farther apart than this many voxels is taken in separate pieces where that is less work."""

_MAX_PIECES = 12

Block = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Slab:
    low: int
    high: int
    shape: tuple[int, int, int]


def _pieces(chi: NDArray[np.generic]) -> list[Block]:
    """Boxes that together hold all metal: one, or several where that makes less to transform."""
    from scipy import ndimage

    is_set = chi != 0
    whole = _bounds(is_set)
    if whole is None:
        return []
    coarse = is_set
    for axis in range(3):
        edges = np.arange(0, chi.shape[axis], _PIECE_VOXELS)
        coarse = np.logical_or.reduceat(coarse, edges, axis=axis)
    labels, n = ndimage.label(coarse, np.ones((3, 3, 3)))
    if n == 1 or n > _MAX_PIECES:
        return [whole]
    pieces = []
    for label in range(1, n + 1):
        chosen = labels == label
        for axis in range(3):
            blocks = np.arange(chi.shape[axis]) // _PIECE_VOXELS
            chosen = np.take(chosen, blocks, axis=axis)
        found = _bounds(is_set & chosen)
        assert found is not None
        pieces.append(found)
    if any(_overlap(a, b) for n, a in enumerate(pieces) for b in pieces[:n]):
        return [whole]
    shape = np.array(chi.shape)
    cost = sum(int(np.prod(shape + (b - a))) for a, b in pieces)
    return pieces if cost < int(np.prod(shape + (whole[1] - whole[0]))) else [whole]


def _overlap(one: Block, other: Block) -> bool:
    return bool(np.all(one[0] < other[1]) and np.all(other[0] < one[1]))


def _bounds(is_set: NDArray[np.bool_]) -> Block | None:
    """First and one-past-last index of what is set."""
    start, stop = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        hit = np.flatnonzero(is_set.any(axis=tuple(a for a in range(3) if a != axis)))
        if hit.size == 0:
            return None
        start[axis], stop[axis] = hit[0], hit[-1] + 1
    return start, stop


def _slices(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[slice, slice, slice]:
    k, j, i = (slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
    return k, j, i


def _slabs(shape: tuple[int, int, int], source: tuple[int, ...]) -> list[_Slab]:
    """The output in pieces along k whose transforms stay below the limit."""
    plane = (shape[1] + source[1]) * (shape[2] + source[2])
    thick = int(np.clip(MAX_PADDED_VOXELS // plane - source[0], 1, shape[0]))
    n = -(-shape[0] // thick)
    edges = np.linspace(0, shape[0], n + 1).astype(int)
    return [
        _Slab(low, high, (high - low, shape[1], shape[2]))
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]


def _convolved(
    inner: NDArray[np.float32],
    start: NDArray[np.int64],
    shape: tuple[int, int, int],
    spacing_mm: FloatArray,
    b_kji: FloatArray,
) -> NDArray[np.float32]:
    """Field in a box of ``shape`` of a source whose first voxel is at ``start`` in it."""
    from scipy import fft

    from planner.physics.prism_kernels import fill_octants

    inner_shape, out_shape = np.array(inner.shape), np.array(shape)
    # displacements output - source that occur: from -start-(inner-1) to out-1-start
    reach = np.stack([out_shape - 1 - start, start + inner_shape - 1], axis=1)
    reach = np.maximum(reach, 0)
    length = reach.sum(axis=1) + 1
    padded = tuple(fft.next_fast_len(int(n), real=True) for n in np.maximum(length, inner_shape))
    kernel = np.zeros(padded, np.float32)
    size = np.array(padded)
    in_chunks(
        lambda low, high: fill_octants(low, high, spacing_mm, b_kji, reach, size, kernel),
        int(reach[0].max()) + 1,
        least=4,
    )
    kernel[0, 0, 0] += np.float32(1.0 / 3.0)
    # the source at its own place (wrapped where it begins before the box): output o is index o
    source = np.zeros(padded, np.float32)
    places = [
        (np.arange(n) + first) % p
        for n, first, p in zip(inner.shape, start.tolist(), padded, strict=True)
    ]
    source[np.ix_(*places)] = inner
    workers = n_threads()
    spectrum = fft.rfftn(kernel, workers=workers, overwrite_x=True)
    spectrum *= fft.rfftn(source, workers=workers, overwrite_x=True)
    field = fft.irfftn(spectrum, s=padded, workers=workers, overwrite_x=True)
    return np.asarray(field[tuple(slice(0, n) for n in shape)], dtype=np.float32)
