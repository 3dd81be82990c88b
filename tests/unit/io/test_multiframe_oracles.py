"""Enhanced objects and mosaics against programs written by others: highdicom and dcm2niix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from planner.geometry import FrameId, Grid, Volume
from planner.io import inspect_path, load_volume
from tests.dcm2niix import VolumeInLps, converted, position_off_mm, same_voxels
from tests.dicom_writer import save, texture, write_series
from tests.grids import ORIENTED_AXES
from tests.multiframe_writer import enhanced_dataset, use_undefined_lengths

HIGHDICOM_TOL_MM = 1e-6
DCM2NIIX_TOL_MM = 0.01


@pytest.fixture
def grid(oriented_grid: Grid) -> Grid:
    return oriented_grid


def _same_as(volume: Volume, other: VolumeInLps, tol_mm: float) -> None:
    assert position_off_mm(volume, other) <= tol_mm
    assert same_voxels(volume, other)


def test_hand_written_object_equals_highdicom_and_dcm2niix(tmp_path: Path, grid: Grid) -> None:
    hd = pytest.importorskip("highdicom")
    file = tmp_path / "emr.dcm"
    ds = enhanced_dataset(grid, [(texture(grid), {})], has_true_step=True)
    ds.Manufacturer = "SIEMENS"
    save(ds, file)
    volume = load_volume(file)
    other = hd.imread(file).get_volume()
    _same_as(volume, VolumeInLps(other.array, other.affine), HIGHDICOM_TOL_MM)
    (nifti,) = converted(tmp_path)
    _same_as(volume, nifti, DCM2NIIX_TOL_MM)


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("is_undefined", [False, True])
def test_legacy_converted_object_equals_the_series_it_came_from(
    tmp_path: Path, grid: Grid, modality: str, is_undefined: bool
) -> None:
    hd = pytest.importorskip("highdicom")

    def edit(ds: pydicom.Dataset, k: int) -> None:
        ds.AcquisitionDate, ds.AcquisitionTime = "20240101", f"1200{k:02d}.5"
        ds.ContentDate, ds.ContentTime = ds.AcquisitionDate, ds.AcquisitionTime
        ds.StudyID, ds.AccessionNumber, ds.AcquisitionNumber = "1", "", 1
        ds.StudyDate, ds.StudyTime, ds.PatientSex = "20240101", "115900", "O"
        ds.Manufacturer, ds.ReferringPhysicianName, ds.BurnedInAnnotation = "X", "", "NO"
        ds.SpacingBetweenSlices = "4"
        ds.SliceThickness = "4"
        if modality == "MR":
            ds.EchoTime, ds.RepetitionTime, ds.FlipAngle = "12.5", "3200", "90"
            ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", ""
            ds.MRAcquisitionType, ds.EchoTrainLength, ds.PixelBandwidth = "2D", "1", "250"
            ds.InPlanePhaseEncodingDirection, ds.MagneticFieldStrength = "COL", "1.5"
        else:
            ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "2", "-1024", "HU"
            ds.KVP = "120"

    files = write_series(tmp_path / "classic", grid, edit=edit, modality=modality)
    classic = load_volume(tmp_path / "classic")
    convert = {
        "MR": hd.legacy.LegacyConvertedEnhancedMRImage,
        "CT": hd.legacy.LegacyConvertedEnhancedCTImage,
    }[modality]
    ds = convert(
        [pydicom.dcmread(f) for f in files],
        series_instance_uid=generate_uid(),
        series_number=5,
        sop_instance_uid=generate_uid(),
        instance_number=1,
    )
    if is_undefined:
        use_undefined_lengths(ds)
    file = tmp_path / "legacy.dcm"
    ds.save_as(file)
    volume = load_volume(file)
    assert np.array_equal(volume.values, classic.values)
    assert np.allclose(volume.grid.lps_from_kji, classic.grid.lps_from_kji, atol=1e-6)
    # highdicom computes the spacing tag anew, with the rounding of its arithmetic
    step_key = "spacing_between_slices_tag_mm"
    found, expected = dict(volume.source.mr), dict(classic.source.mr)
    # the frame type of an enhanced object has a fourth value
    assert found.pop("image_type", ())[:3] == expected.pop("image_type", ())
    assert found.pop(step_key, None) == pytest.approx(expected.pop(step_key, None))
    assert found == expected
    other = hd.imread(file).get_volume()
    _same_as(volume, VolumeInLps(other.array, other.affine), HIGHDICOM_TOL_MM)


@pytest.mark.parametrize("dimension", ["echo", "time"])
def test_every_volume_of_an_object_equals_dcm2niix(tmp_path: Path, dimension: str) -> None:
    """One dimension at a time: with two, dcm2niix itself puts slices in wrong places."""
    grid = Grid.from_axes(
        (5, 14, 11),
        (4.0, 0.7, 0.5),
        (-31.5, 12.25, 107.0),
        ORIENTED_AXES["oblique"],
        FrameId("1.2.3.4", "test"),
    )
    volumes = []
    for n in range(3):
        content = {
            "echo": {"MREchoSequence": {"EffectiveEchoTime": 4.5 + n}},
            "time": {"FrameContentSequence": {"TemporalPositionIndex": n + 1}},
        }[dimension]
        volumes.append((texture(grid) + 3 * n, content))
    ds = enhanced_dataset(grid, volumes, has_true_step=True)
    ds.Manufacturer = "Philips"
    for frame in ds.PerFrameFunctionalGroupsSequence:
        content = frame.FrameContentSequence[0]
        rank = content.get("TemporalPositionIndex", 1)
        if dimension == "echo":
            rank = int(frame.MREchoSequence[0].EffectiveEchoTime - 3.5)
        content.DimensionIndexValues = [1, content.InStackPositionNumber, rank]
    save(ds, tmp_path / "emr.dcm")
    others = converted(tmp_path)
    found = inspect_path(tmp_path)
    assert found.n_plannable == len(others) == 3
    for entry in found.volumes:
        volume = load_volume(tmp_path, series=entry.select)
        (equal,) = [other for other in others if same_voxels(volume, other)]
        assert position_off_mm(volume, equal) <= DCM2NIIX_TOL_MM
