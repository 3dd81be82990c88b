"""Geometry of real series against tools and objects that know nothing of this program.

The published voxels of PROSTATEx, equal compressed series, ground-truth NIfTI files and the
size of a phantom are in ``test_series_real.py``; the slice direction of a mosaic is in
``test_mosaic_real.py``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from planner.geometry import Grid, Volume
from planner.io import inspect_path, load_volume
from tests.dcm2niix import VolumeInLps, converted

CORNER_TOL_MM = 0.01
"""Of issue 3; NIfTI matrices are 32 bit, worth 0.0001 mm at 500 mm."""

MOSAIC = "dicom2nifti_multivendor/siemens/fmri/001"
"""dcm2niix has to guess its slices, because the image header was stripped from the files."""

PLANNABLE = {
    # folder: volumes that can be planned on
    "dcmqa_decubitus_HFS/HFS_t1_fl2d_sag_first12": 1,
    "dcmqa_table_ge_philips/Philips_dual_echo_mag_phase": 4,
    "dcmqi_ct_seg_nrrd/ct-3slice": 1,
    "dicom2nifti_multivendor/ge/anatomical/001": 1,
    "dicom2nifti_multivendor/generic/compressed_j2k/001": 1,
    "dicom2nifti_multivendor/generic/compressed_jpeg/001": 1,
    "dicom2nifti_multivendor/generic/compressed_jpegls/001": 1,
    "dicom2nifti_multivendor/generic/compressed_rle/001": 1,
    "dicom2nifti_multivendor/philips/anatomical/001_implicit": 1,
    "dicom2nifti_multivendor/philips/dti/001": 4,
    "dicom2nifti_multivendor/siemens/anatomical/001": 1,
    "hazen_acr_phantom_3vendors/GE_Artist_1.5T_T1": 1,
    "hazen_acr_phantom_3vendors/PhilipsAchieva2": 1,
    "hazen_acr_phantom_3vendors/Siemens_Aera_1.5T_T1": 1,
    "prostatex_0000_pelvis_mr/3.*": 1,
    "prostatex_0000_pelvis_mr/4.*": 1,
    "prostatex_0000_pelvis_mr/5.*": 1,
    "prostatex_0000_pelvis_mr/6.*": 3,
    "prostatex_0000_pelvis_mr/7.*": 1,
    "prostatex_0000_pelvis_mr/8.*": 1,
    "prostatex_0000_pelvis_mr/9.*": 1,
    "rtutils_rtstruct/mock_data": 1,
    "totalseg_ct_dicom_j2k/dicom": 1,
}


def corners_lps_mm(shape: tuple[int, ...], lps_from_index: np.ndarray) -> np.ndarray:
    """Centres of the eight corner voxels, sorted by nothing: shape (8, 3)."""
    picks = np.array(list(itertools.product(*((0, n - 1) for n in shape))), float)
    return picks @ lps_from_index[:3, :3].T + lps_from_index[:3, 3]


def corners_off_mm(grid: Grid, other: VolumeInLps) -> float:
    """Largest distance of a corner of either volume from the nearest corner of the other."""
    if sorted(grid.shape_kji) != sorted(other.values.shape):
        return np.inf
    ours = corners_lps_mm(grid.shape_kji, grid.lps_from_kji)
    theirs = corners_lps_mm(other.values.shape, other.lps_from_index)
    apart = np.linalg.norm(ours[:, None] - theirs[None, :], axis=-1)
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def values_off(volume: Volume, other: VolumeInLps) -> float:
    """Largest difference of the values at one place; infinite where the grids differ."""
    if corners_off_mm(volume.grid, other) > CORNER_TOL_MM:
        return np.inf
    index_from_kji = np.linalg.inv(other.lps_from_index) @ volume.grid.lps_from_kji
    kji = np.indices(volume.grid.shape_kji).reshape(3, -1)
    index = np.rint(index_from_kji[:3, :3] @ kji + index_from_kji[:3, 3:]).astype(int)
    found = other.values[tuple(index)]
    return float(np.abs(found - volume.values.ravel().astype(np.float64)).max())


@pytest.mark.parametrize(("pattern", "n_volumes"), PLANNABLE.items(), ids=PLANNABLE)
def test_corners_are_those_of_dcm2niix(shared_data: Path, pattern: str, n_volumes: int) -> None:
    """And the values, each volume with its own: echoes and b-values are not confused."""
    (folder,) = shared_data.glob(pattern)
    others = converted(folder, "-p", "n")  # the standard's rescaling, not Philips' own
    found = [v for v in inspect_path(folder).volumes if v.plannable]
    assert len(found) == n_volumes
    taken = set()
    for entry in found:
        volume = load_volume(folder, series=entry.select)
        off = [values_off(volume, other) for other in others]
        best = int(np.argmin(off))
        step = np.ptp(volume.values.astype(float)) * 1e-6  # slope and intercept in 32 bit
        assert off[best] <= step, (entry.select, off)
        taken.add(best)
    assert len(taken) == n_volumes


def test_every_plannable_series_is_compared(shared_data: Path) -> None:
    """A folder that joins the shared data must join the list."""
    listed = {p for pattern in (*PLANNABLE, MOSAIC) for p in shared_data.glob(pattern)}
    folders = [f for f in shared_data.rglob("*") if f.is_dir() and _is_leaf(f)]
    plannable = {f for f in folders if any(v.plannable for v in inspect_path(f).volumes)}
    assert plannable == listed


def _is_leaf(folder: Path) -> bool:
    return not any(p.is_dir() for p in folder.iterdir())


def test_a_shift_of_a_hundredth_is_seen() -> None:
    """The oracle's oracle: the comparison says no."""
    grid = Grid.from_axes((4, 5, 6), (3.0, 0.8, 0.6), (10.0, -20.0, 30.0), np.eye(3)[:, ::-1])
    other = VolumeInLps(np.zeros(grid.shape_kji), grid.lps_from_kji)
    assert corners_off_mm(grid, other) == 0.0
    shifted = np.array(grid.lps_from_kji)
    shifted[2, 3] += 2 * CORNER_TOL_MM
    assert corners_off_mm(grid, VolumeInLps(other.values, shifted)) > CORNER_TOL_MM
    stretched = np.array(grid.lps_from_kji)
    stretched[:, 0] *= 1.01  # 0.09 mm over three steps of 3 mm
    assert corners_off_mm(grid, VolumeInLps(other.values, stretched)) > CORNER_TOL_MM
    flipped = np.array(grid.lps_from_kji)
    flipped[:, 0] *= -1  # slices to the wrong side
    assert corners_off_mm(grid, VolumeInLps(other.values, flipped)) > CORNER_TOL_MM
