"""Tissue taken for air: an even dark layer before the skin that was found, which ends at once.

Fat that a sequence suppresses may be nearer to air than to the tissue behind it. Ghosts, blur
and ringing fade away from the body; tissue goes on evenly up to its own skin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from planner.geometry.frames import FloatArray
from planner.skin.kernels import ImageArray

BIN_MM = 2.5
SLICE_MM = 10.0
FIRST_MM = 3.0
FARTHEST_MM = 60.0
N_SECTORS = 24

LEAST_BINS = 3
"""An even layer is at least this many bins thick: 7.5 mm, beside the first 3 mm."""

EVEN = 1.2
DROP = 1.4
"""Within the layer the median changes by less than the first factor; after it, within two bins,
it falls by more than the second. In eight real images 0 to 3 of 24 sectors do so; before an evenly
suppressed layer of fat all 24."""

LEAST_SECTORS_FRAC = 0.25
_LEAST_VOXELS = 12


def dark_layer_mm(
    image: ImageArray,
    body: NDArray[np.bool_],
    known: NDArray[np.bool_],
    spacing_kji_mm: FloatArray,
    lateral_axes: tuple[int, int],
) -> float:
    """Thickness (mm) of an even layer between the body and darker air; 0 where there is none.

    Parameters
    ----------
    image : ndarray, (k, j, i)
        Intensities above the image's floor, coarse.
    body, known : ndarray of bool, (k, j, i)
        The body found, and where there are measured values.
    spacing_kji_mm : ndarray, shape (3,)
    lateral_axes : (int, int)
        The axes across head-foot.

    Returns
    -------
    float
        Median over the directions that show such a layer, when a quarter of them do.
    """
    axial_axis = 3 - sum(lateral_axes)
    # Some slices stand for all.
    step = [1, 1, 1]
    step[axial_axis] = max(1, round(SLICE_MM / float(spacing_kji_mm[axial_axis])))
    some = tuple(slice(None, None, n) for n in step)
    image, body, known = image[some], body[some], known[some]
    distance_mm = distance_transform_edt(~body, sampling=spacing_kji_mm * step)
    where = np.nonzero(known & (distance_mm >= FIRST_MM) & (distance_mm < FARTHEST_MM))
    if not body.any() or where[0].size == 0:
        return 0.0
    middle = [float(np.mean(np.nonzero(body)[axis])) for axis in lateral_axes]
    first, second = (
        (where[axis] - centre) * spacing_kji_mm[axis]
        for axis, centre in zip(lateral_axes, middle, strict=True)
    )
    turn = np.arctan2(first, second) / (2 * np.pi) + 0.5
    sector = np.minimum((turn * N_SECTORS).astype(np.int64), N_SECTORS - 1)
    shell = ((distance_mm[where] - FIRST_MM) / BIN_MM).astype(np.int64)
    values = image[where]
    found = []
    seen = 0
    for number in range(N_SECTORS):
        chosen = sector == number
        profile = _profile(values[chosen], shell[chosen])
        seen += len(profile) > LEAST_BINS
        n_even = _even_bins(profile)
        if n_even:
            found.append(FIRST_MM + n_even * BIN_MM)
    if not found or len(found) < LEAST_SECTORS_FRAC * seen:
        return 0.0
    return float(np.median(found))


def _profile(values: ImageArray, shell: NDArray[np.int64]) -> FloatArray:
    """Median of each shell, up to the first with too few voxels."""
    medians = []
    for number in range(int(shell.max(initial=-1)) + 1):
        here = values[shell == number]
        if here.size < _LEAST_VOXELS:
            break
        medians.append(float(np.median(here)))
    return np.array(medians)


def _even_bins(profile: FloatArray) -> int:
    """How many bins the even layer has; 0 where the profile shows none."""
    if len(profile) <= LEAST_BINS or not profile[0] > 0:
        return 0
    ratio = np.maximum(profile, 1e-9) / profile[0]
    is_even = (ratio < EVEN) & (ratio > 1 / EVEN)
    n_even = len(profile) if is_even.all() else int(np.argmin(is_even))
    if n_even < LEAST_BINS or n_even + 1 >= len(profile):
        return 0
    layer = float(np.median(profile[:n_even]))
    return n_even if profile[n_even + 1] * DROP < layer else 0
