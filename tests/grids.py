"""Voxel-axis orientations that every spatial test runs over."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

# Columns are the k, j, i directions in LPS.
_AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T
_SAGITTAL = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float).T
_CORONAL = np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]], float).T
_TILT = Rotation.from_euler("xyz", [17.0, -9.0, 31.0], degrees=True).as_matrix()

ORIENTED_AXES: dict[str, np.ndarray] = {
    "axial": _AXIAL,
    "sagittal": _SAGITTAL,
    "coronal": _CORONAL,
    "oblique": _TILT @ _AXIAL,
    "flipped": _AXIAL @ np.diag([-1.0, 1.0, 1.0]),
    "oblique_flipped": _TILT @ _CORONAL @ np.diag([1.0, -1.0, 1.0]),
}
