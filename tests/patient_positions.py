"""The same anatomy scanned in another patient position.

DICOM's world is fixed to the patient, so turning the patient over changes neither the LPS
point of a voxel nor its value. What changes is the prescription: the scanner's axes, and
with them rows, columns and slices, lie otherwise in the patient.
"""

from __future__ import annotations

import itertools

import numpy as np

from planner.geometry import Grid, Volume

_X, _Y, _Z = np.eye(3)

LPS_FROM_SCANNER = {
    # rows: the patient's left, back and head in scanner axes. Those are the axes of a patient
    # lying head first on the back: x to the left, y down to the table, z into the bore.
    "HFS": np.array([_X, _Y, _Z]),
    "HFP": np.array([-_X, -_Y, _Z]),
    "HFDR": np.array([-_Y, _X, _Z]),  # the right side is down, so left is up
    "HFDL": np.array([_Y, -_X, _Z]),
    "FFS": np.array([-_X, _Y, -_Z]),
    "FFP": np.array([_X, -_Y, -_Z]),
    "FFDR": np.array([-_Y, -_X, -_Z]),
    "FFDL": np.array([_Y, _X, -_Z]),
}
"""PS3.3 section C.7.3.1.1.2, by hand. ``[:, 1]`` is the way down to the table, in LPS."""


def reacquired(volume: Volume, before: str, after: str) -> Volume:
    """The voxels of a volume in the order in which a scan in another position stores them.

    Slices, rows and columns are permuted and flipped so that in scanner axes they lie as
    near as can be to where they lay before; nothing is resampled.
    """
    turn = LPS_FROM_SCANNER[after] @ np.linalg.inv(LPS_FROM_SCANNER[before])
    axes = volume.grid.axes_lps_from_kji
    order, signs = _nearest(axes, turn @ axes)
    values = np.transpose(volume.values, order)
    values = values[tuple(slice(None, None, int(s)) for s in signs)]
    spacing = volume.grid.spacing_kji_mm[list(order)]
    first = np.zeros(3)
    for axis, sign in zip(order, signs, strict=True):
        first[axis] = volume.grid.shape_kji[axis] - 1 if sign < 0 else 0
    grid = Grid.from_axes(
        values.shape,
        spacing,
        volume.grid.to_lps(first),
        axes[:, list(order)] * signs,
        volume.grid.frame,
    )
    return Volume(grid=grid, values=np.ascontiguousarray(values))


def _nearest(axes: np.ndarray, wanted: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Which of the old axes, with which sign, lie nearest to each wanted one."""
    cosines = axes.T @ wanted
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(cosines[a, n]) for n, a in enumerate(order)),
    )
    return best, np.sign([cosines[a, n] for n, a in enumerate(best)])
