"""Fingerprints of images and masks: they tell whether two runs saw the same input."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from planner.geometry.grid import Grid
from planner.geometry.volume import Mask, Volume


def volume_sha256(volume: Volume) -> str:
    """SHA-256 (hex) over the grid (shape, matrix), the number type and the voxel values."""
    digest = hashlib.sha256(b"needle-planner volume 1\0")
    digest.update(_grid_bytes(volume.grid))
    little = volume.values.dtype.newbyteorder("<")
    digest.update(little.str.encode())
    for image in volume.values:
        digest.update(np.ascontiguousarray(image, dtype=little).data)
    return digest.hexdigest()


def mask_sha256(mask: Mask) -> str:
    """SHA-256 (hex) over the grid (shape, matrix) and the mask packed to bits."""
    digest = hashlib.sha256(b"needle-planner mask 1\0")
    digest.update(_grid_bytes(mask.grid))
    digest.update(np.packbits(mask.inside.reshape(-1)).data)
    return digest.hexdigest()


def _grid_bytes(grid: Grid) -> bytes:
    # Adding zero turns -0.0 into 0.0: the two are the same place.
    matrix = np.ascontiguousarray(grid.lps_from_kji + 0.0, dtype="<f8")
    return struct.pack("<3q", *grid.shape_kji) + matrix.tobytes()
