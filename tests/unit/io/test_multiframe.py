"""Enhanced multi-frame objects: every frame lands where a classic slice would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    EnhancedCTImageStorage,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from planner.errors import (
    SeriesGeometryError,
)
from planner.geometry import FrameId, Grid, PatientPosition
from planner.io import inspect_path, load_volume
from planner.io.dicom_scan import scan
from tests.dicom_writer import SECRETS, slice_dataset, texture, write_series
from tests.multiframe_files import (
    MAGNITUDE,
    PHASE,
    in_order,
    merged,
    oblique_flipped_grid,
    reason,
    single,
    volumes_of,
    write_object,
)
from tests.multiframe_writer import enhanced_dataset, item, use_undefined_lengths

GEOMETRY_TOL_MM = 1e-6


@pytest.fixture
def grid() -> Grid:
    return oblique_flipped_grid()


@pytest.mark.parametrize("constants", ["shared", "per_frame", "top"])
def test_shuffled_frames_give_the_volume_of_the_classic_series(
    tmp_path: Path, oriented_grid: Grid, constants: str
) -> None:
    values = texture(oriented_grid)
    write_series(tmp_path / "classic", oriented_grid, values)
    classic = load_volume(tmp_path / "classic")
    file = write_object(tmp_path / "e", single(oriented_grid, constants=constants))
    for path in (file, file.parent):
        volume = load_volume(path)
        assert np.array_equal(volume.values, classic.values)
        assert volume.values.dtype == classic.values.dtype
        off_mm = np.abs(volume.grid.lps_from_kji - classic.grid.lps_from_kji).max()
        assert off_mm <= GEOMETRY_TOL_MM
        assert volume.grid.frame.uid == "1.2.3.4"
        assert volume.source.patient_position is PatientPosition.HFS
        assert volume.source.files == (str(file),)
        assert volume.source.part is None


@pytest.mark.parametrize("is_implicit", [False, True])
@pytest.mark.parametrize("is_undefined", [False, True])
def test_every_way_to_write_sequences(
    tmp_path: Path, grid: Grid, is_implicit: bool, is_undefined: bool
) -> None:
    ds = single(grid, constants="per_frame")
    if is_undefined:
        use_undefined_lengths(ds)
    if is_implicit:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    volume = load_volume(write_object(tmp_path, ds))
    assert np.array_equal(in_order(volume.values, volume.grid, grid), texture(grid))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)))
def test_the_order_of_frames_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    grid = Grid.from_axes((5, 2, 3), (3.0, 0.8, 0.6), (-20.0, 35.0, 60.0), None, FrameId("1.2"))
    values = texture(grid)
    ds = enhanced_dataset(grid, [(values, {})], is_permuted=False)
    frames = ds.PerFrameFunctionalGroupsSequence
    ds.PerFrameFunctionalGroupsSequence = [frames[n] for n in order]
    ds.PixelData = b"".join(values[n].tobytes() for n in order)
    volume = load_volume(write_object(tmp_path_factory.mktemp("order"), ds))
    assert np.array_equal(volume.values, values)
    assert np.allclose(volume.grid.lps_from_kji, grid.lps_from_kji, atol=GEOMETRY_TOL_MM)


def test_position_written_into_the_frame_item_itself(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.ImagePositionPatient = frame.PlanePositionSequence[0].ImagePositionPatient
        del frame.PlanePositionSequence
    volume = load_volume(write_object(tmp_path, ds))
    assert np.array_equal(in_order(volume.values, volume.grid, grid), texture(grid))


@pytest.mark.parametrize(
    "uid",
    [
        EnhancedCTImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
    ],
)
def test_the_other_classes(tmp_path: Path, grid: Grid, uid: UID) -> None:
    ds = single(grid, modality="CT" if "CT" in uid.name else "MR")
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uid
    assert load_volume(write_object(tmp_path, ds)).values.shape == grid.shape_kji


def test_each_frame_has_its_own_rescale(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, modality="CT")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence = [
            item({"RescaleSlope": str(1.5 + n), "RescaleIntercept": str(-1024 + n)})
        ]
    volume = load_volume(write_object(tmp_path, ds))
    places = [f.FrameContentSequence[0].InStackPositionNumber - 1 for f in ds[0x52009230].value]
    n = np.argsort(places)[:, None, None]
    expected = texture(grid) * (1.5 + n) - 1024 + n
    assert volume.values.dtype == np.float32
    assert np.allclose(in_order(volume.values, volume.grid, grid), expected, rtol=1e-6)


def test_a_zero_slope_of_one_frame_refuses(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    ds.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence = [
        item({"RescaleSlope": "0", "RescaleIntercept": "0"})
    ]
    assert "RescaleSlope is 0" in reason(write_object(tmp_path, ds))


def test_a_missing_frame_is_named(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, is_permuted=False)
    del ds.PerFrameFunctionalGroupsSequence[2]
    ds.NumberOfFrames = 4
    ds.PixelData = ds.PixelData[: 4 * 96]
    with pytest.raises(SeriesGeometryError, match=r"1 slice missing.*emr.dcm, frame \d"):
        load_volume(write_object(tmp_path, ds))


def test_one_frame_may_have_its_geometry_at_the_top(tmp_path: Path, grid: Grid) -> None:
    for k in range(5):
        one = slice_dataset(grid, k, texture(grid)[k])
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        one.NumberOfFrames = 1
        write_object(tmp_path, one, f"{k}.dcm")
    volume = load_volume(tmp_path)
    assert np.array_equal(in_order(volume.values, volume.grid, grid), texture(grid))
    assert len(volume.source.files) == 5


def test_acquisition_values_have_their_classic_names(tmp_path: Path, grid: Grid) -> None:
    frame = merged(
        MAGNITUDE,
        {
            "MREchoSequence": {"EffectiveEchoTime": 12.5},
            "MRTimingAndRelatedParametersSequence": {
                "RepetitionTime": "3200",
                "FlipAngle": "150",
                "RFEchoTrainLength": 17,
            },
            "MRImagingModifierSequence": {"PixelBandwidth": "250", "TransmitterFrequency": 63.6},
            "MRFOVGeometrySequence": {
                "InPlanePhaseEncodingDirection": "COLUMN",
                "MRAcquisitionFrequencyEncodingSteps": 256,
                "MRAcquisitionPhaseEncodingStepsInPlane": 134,
                "PercentSampling": "80",
                "PercentPhaseFieldOfView": "75",
            },
            "MRAveragesSequence": {"NumberOfAverages": "2"},
            "MRModifierSequence": {"InversionTimes": [150.0], "InversionRecovery": "YES"},
        },
    )
    ds = enhanced_dataset(grid, [(texture(grid), frame)])
    ds.MagneticFieldStrength, ds.PulseSequenceName = "1.494", "*tir2d1_17"
    ds.EchoPulseSequence, ds.EchoPlanarPulseSequence = "SPIN", "NO"
    ds.MRAcquisitionType, ds.Manufacturer = "2D", "SIEMENS"
    assert load_volume(write_object(tmp_path, ds)).source.mr == {
        "field_t": 1.494,
        "imaging_frequency_mhz": 63.6,
        "bandwidth_hz_per_px": 250.0,
        "echo_time_ms": 12.5,
        "repetition_time_ms": 3200.0,
        "inversion_time_ms": 150.0,
        "flip_angle_deg": 150.0,
        "echo_train_length": 17,
        "number_of_averages": 2.0,
        "scanning_sequence": ("SE", "IR"),
        "sequence_name": "*tir2d1_17",
        "acquisition_type": "2D",
        "phase_encoding_direction": "COL",
        "acquisition_matrix": (256, 0, 0, 134),
        "percent_sampling": 80.0,
        "percent_phase_fov": 75.0,
        "slice_thickness_mm": 77.0,
        "spacing_between_slices_tag_mm": 77.0,
        "image_type": ("ORIGINAL", "PRIMARY", "M", "NONE"),
        "manufacturer": "SIEMENS",
    }


@pytest.mark.parametrize(
    ("direction", "traversal", "expected"),
    [
        ("ROW", None, "ROW"),
        ("COLUMN", "RECTILINEAR", "COL"),
        ("OTHER", None, None),
        ("ROW", "RADIAL", None),
        ("COLUMN", "SPIRAL", None),
    ],
)
def test_no_readout_axis_where_there_is_none(
    tmp_path: Path, grid: Grid, direction: str, traversal: str | None, expected: str | None
) -> None:
    content = {"MRFOVGeometrySequence": {"InPlanePhaseEncodingDirection": direction}}
    ds = enhanced_dataset(grid, [(texture(grid), content)])
    if traversal:
        ds.GeometryOfKSpaceTraversal = traversal
    mr = load_volume(write_object(tmp_path, ds)).source.mr
    assert mr.get("phase_encoding_direction") == expected


def test_frame_values_replace_those_of_the_object(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {"MREchoSequence": {"EffectiveEchoTime": 9.0}})])
    ds.EchoTime = "99"
    assert load_volume(write_object(tmp_path, ds)).source.mr["echo_time_ms"] == 9.0


def test_unassigned_values_of_a_converter_are_read(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, shared={
        "UnassignedSharedConvertedAttributesSequence": {"EchoTime": "11", "ScanningSequence": "GR"},
    })  # fmt: skip
    mr = load_volume(write_object(tmp_path, ds)).source.mr
    assert (mr["echo_time_ms"], mr["scanning_sequence"]) == (11.0, ("GR",))


def test_inspection_counts_files_and_tells_no_secret(tmp_path: Path, grid: Grid) -> None:
    file = write_object(tmp_path, enhanced_dataset(grid, volumes_of(grid, [MAGNITUDE, PHASE])))
    found = inspect_path(file)
    assert [v.n_files for v in found.volumes] == [1, 1]
    assert scan(tmp_path).n_files == 1
    text = found.to_text() + repr(scan(tmp_path))
    assert not [s for s in SECRETS if s in text]
