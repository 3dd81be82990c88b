"""Acquisition values: what is there, with its unit; what is absent stays absent."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from planner.geometry import Grid
from planner.io import load_volume
from tests.dicom_writer import write_series


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes((4, 6, 5), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0))


def test_values_with_their_units(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.MagneticFieldStrength, ds.ImagingFrequency = "1.494", "63.6"
        ds.PixelBandwidth, ds.EchoTime, ds.RepetitionTime = "250", "12.5", "3200"
        ds.InversionTime, ds.FlipAngle, ds.EchoTrainLength = "150", "150", "17"
        ds.ScanningSequence, ds.SequenceVariant = ["SE", "IR"], ["SK", "SP"]
        ds.MRAcquisitionType, ds.SequenceName = "2D", "*tir2d1_17"
        ds.InPlanePhaseEncodingDirection, ds.AcquisitionMatrix = "COL", [256, 0, 0, 134]
        ds.SliceThickness, ds.SpacingBetweenSlices = "3", "3.6"
        ds.PercentSampling, ds.PercentPhaseFieldOfView = "80", "75"
        ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS", "Aera"
        ds.ProtocolName = "tirm_sag"
        siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        siemens.add_new(0x18, "IS", 2600)

    write_series(tmp_path, grid, edit=edit)
    mr = load_volume(tmp_path).source.mr
    assert mr == {
        "field_t": 1.494,
        "imaging_frequency_mhz": 63.6,
        "bandwidth_hz_per_px": 250.0,
        "echo_time_ms": 12.5,
        "repetition_time_ms": 3200.0,
        "inversion_time_ms": 150.0,
        "flip_angle_deg": 150.0,
        "echo_train_length": 17,
        "scanning_sequence": ("SE", "IR"),
        "sequence_variant": ("SK", "SP"),
        "sequence_name": "*tir2d1_17",
        "protocol_name": "tirm_sag",
        "acquisition_type": "2D",
        "phase_encoding_direction": "COL",
        "acquisition_matrix": (256, 0, 0, 134),
        "percent_sampling": 80.0,
        "percent_phase_fov": 75.0,
        "slice_thickness_mm": 3.0,
        "spacing_between_slices_tag_mm": 3.6,
        "image_type": ("ORIGINAL", "PRIMARY", "M"),
        "manufacturer": "SIEMENS",
        "manufacturer_model_name": "Aera",
        "siemens_dwell_time_ns": 2600.0,
    }


def test_absent_is_absent(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        del ds.SliceThickness, ds.SpacingBetweenSlices, ds.ImageType

    write_series(tmp_path, grid, edit=edit)
    assert load_volume(tmp_path).source.mr == {}


@pytest.mark.parametrize("value", ["", "0"])
def test_a_field_or_bandwidth_of_nothing_is_absent(tmp_path: Path, grid: Grid, value: str) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.MagneticFieldStrength = ds.PixelBandwidth = value

    write_series(tmp_path, grid, edit=edit)
    mr = load_volume(tmp_path).source.mr
    assert not {"field_t", "bandwidth_hz_per_px"} & set(mr)


def test_philips_water_fat_shift(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x22, "FL", 1.25)

    write_series(tmp_path, grid, edit=edit)
    assert load_volume(tmp_path).source.mr["philips_water_fat_shift_px"] == 1.25


def test_a_value_that_changes_between_slices_is_told(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, edit=lambda ds, k: setattr(ds, "PixelBandwidth", str(100 + k)))
    volume = load_volume(tmp_path)
    assert volume.source.mr["bandwidth_hz_per_px"] == 102.0
    assert (
        "differs between slices, value of the middle slice taken: bandwidth_hz_per_px"
        in volume.source.warnings
    )


def test_ct_has_none(tmp_path: Path, grid: Grid) -> None:
    write_series(tmp_path, grid, modality="CT")
    assert load_volume(tmp_path).source.mr == {}


def test_description_in_another_character_set(tmp_path: Path, grid: Grid) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SeriesDescription = "Wirbelsäule 腰椎"

    write_series(tmp_path, grid, edit=edit)
    assert load_volume(tmp_path).source.description == "Wirbelsäule 腰椎"
