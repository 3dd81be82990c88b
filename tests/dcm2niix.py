"""Runs dcm2niix, a DICOM converter of other authors, and compares volumes by world position."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from planner.geometry import Volume

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class VolumeInLps:
    """An array with the matrix from its own index order to LPS, mm."""

    values: np.ndarray
    lps_from_index: np.ndarray


def converted(folder: Path, *options: str) -> list[VolumeInLps]:
    """Every volume that dcm2niix makes of a folder; the test skips where it is not installed."""
    nibabel = pytest.importorskip("nibabel")
    program = shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or shutil.which(
        "dcm2niix"
    )
    if program is None:
        pytest.skip("dcm2niix is not installed")
    found: list[VolumeInLps] = []
    with tempfile.TemporaryDirectory() as out:
        command = [program, "-b", "n", "-z", "n", "-f", "v", *options, "-o", out, str(folder)]
        subprocess.run(command, capture_output=True, check=False, timeout=120)
        for file in sorted(Path(out).glob("*.nii")):
            image = nibabel.load(file)
            values = np.asarray(image.dataobj)
            values = values.reshape(*values.shape[:3], -1)
            found += [
                VolumeInLps(values[..., n], _LPS_FROM_RAS @ image.affine)
                for n in range(values.shape[3])
            ]
    return found


def position_off_mm(volume: Volume, other: VolumeInLps) -> float:
    """Largest distance between a voxel of ours and the nearest voxel of the other's grid."""
    lps_mm = volume.grid.lps_from_kji @ _indices(volume)
    other_index = np.linalg.inv(other.lps_from_index) @ lps_mm
    nearest = other.lps_from_index @ np.vstack([np.rint(other_index[:3]), other_index[3:]])
    return float(np.abs(nearest - lps_mm).max())


def same_voxels(volume: Volume, other: VolumeInLps) -> bool:
    """Whether every voxel has the value that the other has at its world position."""
    if sorted(volume.values.shape) != sorted(other.values.shape):
        return False
    lps_mm = volume.grid.lps_from_kji @ _indices(volume)
    index = np.rint(np.linalg.inv(other.lps_from_index) @ lps_mm)[:3].astype(int)
    if np.any(index < 0) or np.any(index >= np.array(other.values.shape)[:, None]):
        return False
    return np.array_equal(other.values[tuple(index)], volume.values.ravel())


def _indices(volume: Volume) -> np.ndarray:
    kji = np.indices(volume.values.shape).reshape(3, -1)
    return np.vstack([kji, np.ones(kji.shape[1])])
