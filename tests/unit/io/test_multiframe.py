"""Enhanced multi-frame objects: every frame lands where a classic slice would."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    EnhancedCTImageStorage,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from planner.errors import (
    InputError,
    SeriesChoiceError,
    SeriesGeometryError,
    UnsupportedObjectError,
)
from planner.geometry import FrameId, Grid, PatientPosition
from planner.io import inspect_path, load_volume
from planner.io.dicom_scan import scan
from tests.dicom_writer import SECRETS, ds_texts, save, slice_dataset, texture, write_series
from tests.grids import ORIENTED_AXES
from tests.multiframe_writer import Macros, enhanced_dataset, item, use_undefined_lengths

GEOMETRY_TOL_MM = 1e-6
MAGNITUDE: dict[str, Any] = {
    "MRImageFrameTypeSequence": {
        "FrameType": ["ORIGINAL", "PRIMARY", "M", "NONE"],
        "ComplexImageComponent": "MAGNITUDE",
    }
}
PHASE: dict[str, Any] = {
    "MRImageFrameTypeSequence": {
        "FrameType": ["ORIGINAL", "PRIMARY", "P", "NONE"],
        "ComplexImageComponent": "PHASE",
    }
}


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (5, 6, 8),
        (3.0, 0.8, 0.6),
        (-20.0, 35.0, 60.0),
        ORIENTED_AXES["oblique_flipped"],
        FrameId("1.2.3.4", "test"),
    )


def write(folder: Path, ds: Dataset, name: str = "emr.dcm") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save(ds, folder / name)
    return folder / name


def single(grid: Grid, **options: Any) -> Dataset:
    return enhanced_dataset(grid, [(texture(grid), MAGNITUDE)], **options)


def parts(path: Path) -> dict[str | None, str]:
    found = inspect_path(path)
    assert all(v.plannable for v in found.volumes), found.to_text()
    return {v.part: v.select or "" for v in found.volumes}


def reason(path: Path) -> str:
    (volume,) = inspect_path(path).volumes
    assert not volume.plannable
    return volume.reason or ""


# ----------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("constants", ["shared", "per_frame", "top"])
def test_shuffled_frames_give_the_volume_of_the_classic_series(
    tmp_path: Path, oriented_grid: Grid, constants: str
) -> None:
    values = texture(oriented_grid)
    write_series(tmp_path / "classic", oriented_grid, values)
    classic = load_volume(tmp_path / "classic")
    file = write(tmp_path / "e", single(oriented_grid, constants=constants))
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
    volume = load_volume(write(tmp_path, ds))
    assert np.array_equal(_in_order(volume.values, volume.grid, grid), texture(grid))


def _in_order(values: np.ndarray, found: Grid, grid: Grid) -> np.ndarray:
    """Values in the k order of ``grid``; the reader always makes k right-handed."""
    is_turned = found.axes_lps_from_kji[:, 0] @ grid.axes_lps_from_kji[:, 0] < 0
    return values[::-1] if is_turned else values


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
    volume = load_volume(write(tmp_path_factory.mktemp("order"), ds))
    assert np.array_equal(volume.values, values)
    assert np.allclose(volume.grid.lps_from_kji, grid.lps_from_kji, atol=GEOMETRY_TOL_MM)


def test_position_written_into_the_frame_item_itself(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.ImagePositionPatient = frame.PlanePositionSequence[0].ImagePositionPatient
        del frame.PlanePositionSequence
    volume = load_volume(write(tmp_path, ds))
    assert np.array_equal(_in_order(volume.values, volume.grid, grid), texture(grid))


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
    assert load_volume(write(tmp_path, ds)).values.shape == grid.shape_kji


def test_each_frame_has_its_own_rescale(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, modality="CT")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence = [
            item({"RescaleSlope": str(1.5 + n), "RescaleIntercept": str(-1024 + n)})
        ]
    volume = load_volume(write(tmp_path, ds))
    places = [f.FrameContentSequence[0].InStackPositionNumber - 1 for f in ds[0x52009230].value]
    n = np.argsort(places)[:, None, None]
    expected = texture(grid) * (1.5 + n) - 1024 + n
    assert volume.values.dtype == np.float32
    assert np.allclose(_in_order(volume.values, volume.grid, grid), expected, rtol=1e-6)


def test_a_zero_slope_of_one_frame_refuses(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    ds.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence = [
        item({"RescaleSlope": "0", "RescaleIntercept": "0"})
    ]
    assert "RescaleSlope is 0" in reason(write(tmp_path, ds))


def test_a_missing_frame_is_named(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, is_permuted=False)
    del ds.PerFrameFunctionalGroupsSequence[2]
    ds.NumberOfFrames = 4
    ds.PixelData = ds.PixelData[: 4 * 96]
    with pytest.raises(SeriesGeometryError, match=r"1 slice missing.*emr.dcm, frame \d"):
        load_volume(write(tmp_path, ds))


def test_one_frame_may_have_its_geometry_at_the_top(tmp_path: Path, grid: Grid) -> None:
    for k in range(5):
        one = slice_dataset(grid, k, texture(grid)[k])
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        one.NumberOfFrames = 1
        write(tmp_path, one, f"{k}.dcm")
    volume = load_volume(tmp_path)
    assert np.array_equal(_in_order(volume.values, volume.grid, grid), texture(grid))
    assert len(volume.source.files) == 5


# ---------------------------------------------------------------- several volumes in one


def _volumes(grid: Grid, contents: list[dict[str, Any]]) -> list[tuple[np.ndarray, Macros]]:
    return [(texture(grid) + 7 * n, content) for n, content in enumerate(contents)]


def _merged(*contents: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for content in contents:
        for keyword, attributes in content.items():
            merged[keyword] = {**merged.get(keyword, {}), **attributes}
    return merged


def test_echo_kind_and_time_are_split_and_each_has_its_voxels(tmp_path: Path, grid: Grid) -> None:
    contents, labels = [], []
    for echo_ms in (4.5, 7.0):
        for kind, name in ((MAGNITUDE, "magnitude"), (PHASE, "phase")):
            for time in (1, 2, 3):
                echo = {"MREchoSequence": {"EffectiveEchoTime": echo_ms}}
                content = {"FrameContentSequence": {"TemporalPositionIndex": time}}
                contents.append(_merged(echo, kind, content))
                labels.append(f"TE={echo_ms:.1f} ms, {name}, time {time} of 3")
    volumes = _volumes(grid, contents)
    file = write(tmp_path, enhanced_dataset(grid, volumes))
    found = parts(file)
    assert list(found) == labels
    for (values, _), select in zip(volumes, found.values(), strict=True):
        volume = load_volume(file, series=select)
        assert np.array_equal(_in_order(volume.values, volume.grid, grid), values)
    with pytest.raises(
        SeriesChoiceError, match=r"(?s)12 volumes can be planned on.*TE=4\.5 ms, phase"
    ):
        load_volume(file)


def _diffusion(b_value: float, *directions: float) -> dict[str, Any]:
    content: dict[str, Any] = {"DiffusionBValue": b_value}
    if directions:
        content["DiffusionGradientDirectionSequence"] = {
            "DiffusionGradientOrientation": list(directions)
        }
    return {"MRDiffusionSequence": content}


@pytest.mark.parametrize(
    ("contents", "labels"),
    [
        (
            [_diffusion(0.0), _diffusion(400.0), _diffusion(1000.0)],
            ["b=0", "b=400", "b=1000"],
        ),
        (
            [_diffusion(0.0), _diffusion(800.0, 0, 1, 0), _diffusion(800.0, 1, 0, 0)],
            ["b=0", "b=800, direction 1 of 2", "b=800, direction 2 of 2"],
        ),
        (
            [{"MRModifierSequence": {"InversionTimes": [ti]}} for ti in (150.0, 900.0)],
            ["TI=150 ms", "TI=900 ms"],
        ),
        (
            [{"MRTimingAndRelatedParametersSequence": {"FlipAngle": flip}} for flip in ("5", "20")],
            ["flip=5 deg", "flip=20 deg"],
        ),
        (
            [
                {"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": t}}
                for t in (20.0, 60.0)
            ],
            ["trigger=20 ms", "trigger=60 ms"],
        ),
        (
            [{"FrameContentSequence": {"FrameAcquisitionNumber": n}} for n in (1, 2)],
            ["acquisition 1", "acquisition 2"],
        ),
        (
            [
                {"FrameContentSequence": {"FrameAcquisitionDateTime": f"2024010112000{n}.5"}}
                for n in (1, 2)
            ],
            ["time 1 of 2", "time 2 of 2"],
        ),
    ],
)
def test_what_tells_volumes_apart(
    tmp_path: Path, grid: Grid, contents: list[dict[str, Any]], labels: list[str]
) -> None:
    volumes = _volumes(grid, contents)
    file = write(tmp_path, enhanced_dataset(grid, volumes))
    found = parts(file)
    assert list(found) == labels
    for (values, _), select in zip(volumes, found.values(), strict=True):
        volume = load_volume(file, series=select)
        assert np.array_equal(_in_order(volume.values, volume.grid, grid), values)


def test_philips_private_b_values_stand_in_for_missing_ones(tmp_path: Path, grid: Grid) -> None:
    def add(ds: Dataset, creator: str) -> Dataset:
        for frame in ds.PerFrameFunctionalGroupsSequence:
            private = Dataset()
            b_value = 800.0 if frame.MRAveragesSequence[0].NumberOfAverages == 2 else 0.0
            private.private_block(0x2001, creator, create=True).add_new(0x03, "FL", b_value)
            block = frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
            block.add_new(0x0F, "SQ", [private])
            frame[0x2005100F].tag  # noqa: B018
            frame.add_new(0x2005140F, "SQ", [private])
            del frame[0x2005100F], frame[0x20050010]
        return ds

    averages = [{"MRAveragesSequence": {"NumberOfAverages": str(n)}} for n in (1, 2)]
    volumes = _volumes(grid, averages)
    good = write(tmp_path / "a", add(enhanced_dataset(grid, volumes), "Philips Imaging DD 001"))
    assert list(parts(good)) == ["b=0", "b=800"]
    other = write(tmp_path / "b", add(enhanced_dataset(grid, volumes), "SOMEONE ELSE"))
    assert "duplicate slices" in reason(other)


def test_stacks_are_told_apart_by_their_id(tmp_path: Path, grid: Grid) -> None:
    """Two parallel blocks with a gap between them are two volumes, not one with missing slices."""
    moved = Grid.from_axes(
        grid.shape_kji,
        grid.spacing_kji_mm,
        grid.to_lps([12.4, 0, 0]),
        ORIENTED_AXES["oblique_flipped"],
        grid.frame,
    )
    ds = enhanced_dataset(grid, [(texture(grid), {})], is_permuted=False)
    second = enhanced_dataset(moved, [(texture(grid) + 5, {})], is_permuted=False)
    for frame in second.PerFrameFunctionalGroupsSequence:
        frame.FrameContentSequence[0].StackID = "2"
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    ds.NumberOfFrames, ds.PixelData = 10, ds.PixelData + second.PixelData
    file = write(tmp_path, ds)
    assert list(parts(file)) == ["stack 1 of 2", "stack 2 of 2"]
    volume = load_volume(file, series="4:stack 2 of 2")
    assert np.array_equal(_in_order(volume.values, volume.grid, moved), texture(grid) + 5)


def test_two_objects_of_one_series_are_two_time_points(tmp_path: Path, grid: Grid) -> None:
    for n in (1, 2):
        content = {"FrameContentSequence": {"TemporalPositionIndex": n}}
        write(tmp_path, enhanced_dataset(grid, [(texture(grid) + n, content)]), f"{n}.dcm")
    assert list(parts(tmp_path)) == ["time 1 of 2", "time 2 of 2"]
    volume = load_volume(tmp_path, series="4:2")
    assert np.array_equal(_in_order(volume.values, volume.grid, grid), texture(grid) + 2)


def test_an_exact_copy_of_the_object_is_used_once(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    write(tmp_path, ds, "a.dcm")
    write(tmp_path, ds, "b.dcm")
    volume = load_volume(tmp_path)
    assert [Path(file).name for file in volume.source.files] == ["a.dcm"]
    assert any("1 file left out as exact copy" in w for w in volume.source.warnings)


def test_a_copy_of_the_object_with_one_other_pixel_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    write(tmp_path, ds, "a.dcm")
    ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]
    write(tmp_path, ds, "b.dcm")
    assert "equal SOPInstanceUID" in reason(tmp_path)


def test_frames_that_nothing_tells_apart_are_no_copies(tmp_path: Path, grid: Grid) -> None:
    text = reason(write(tmp_path, enhanced_dataset(grid, _volumes(grid, [{}, {}]))))
    assert "duplicate slices: 5 of 10" in text
    assert "SOPInstanceUID" not in text


# ------------------------------------------------------------------- acquisition values


def test_acquisition_values_have_their_classic_names(tmp_path: Path, grid: Grid) -> None:
    frame = _merged(
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
    assert load_volume(write(tmp_path, ds)).source.mr == {
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
    mr = load_volume(write(tmp_path, ds)).source.mr
    assert mr.get("phase_encoding_direction") == expected


def test_frame_values_replace_those_of_the_object(tmp_path: Path, grid: Grid) -> None:
    ds = enhanced_dataset(grid, [(texture(grid), {"MREchoSequence": {"EffectiveEchoTime": 9.0}})])
    ds.EchoTime = "99"
    assert load_volume(write(tmp_path, ds)).source.mr["echo_time_ms"] == 9.0


def test_unassigned_values_of_a_converter_are_read(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, shared={
        "UnassignedSharedConvertedAttributesSequence": {"EchoTime": "11", "ScanningSequence": "GR"},
    })  # fmt: skip
    mr = load_volume(write(tmp_path, ds)).source.mr
    assert (mr["echo_time_ms"], mr["scanning_sequence"]) == (11.0, ("GR",))


def test_inspection_counts_files_and_tells_no_secret(tmp_path: Path, grid: Grid) -> None:
    file = write(tmp_path, enhanced_dataset(grid, _volumes(grid, [MAGNITUDE, PHASE])))
    found = inspect_path(file)
    assert [v.n_files for v in found.volumes] == [1, 1]
    assert scan(tmp_path).n_files == 1
    text = found.to_text() + repr(scan(tmp_path))
    assert not [s for s in SECRETS if s in text]


# ------------------------------------------------------------------------------ refusals


def _edited(change: Callable[[Dataset], object]) -> Callable[[Grid], Dataset]:
    def make(grid: Grid) -> Dataset:
        ds = single(grid)
        change(ds)
        return ds

    return make


def _drop_positions(ds: Dataset) -> None:
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    ds.ImagePositionPatient = [1, 2, 3]


def _drop_one_position(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def _drop_groups(ds: Dataset) -> None:
    del ds.PerFrameFunctionalGroupsSequence


def _two_positions(ds: Dataset) -> None:
    sequence = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    sequence.append(item({"ImagePositionPatient": [9, 9, 9]}))


def _two_shared(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence.append(item({}))


def _too_many_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2_000_000_000


def _nested(ds: Dataset) -> None:
    inner = item({"PixelSpacing": [1, 1]})
    for _ in range(40):
        inner = item({"PixelMeasuresSequence": inner})
        inner.PixelMeasuresSequence = [inner.PixelMeasuresSequence]
    ds.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [inner]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda ds: setattr(ds, "NumberOfFrames", 6), "NumberOfFrames is 6, but .* 5 frames"),
        (lambda ds: setattr(ds, "NumberOfFrames", 4), "NumberOfFrames is 4, but .* 5 frames"),
        (lambda ds: setattr(ds, "NumberOfFrames", -3), "NumberOfFrames is -3"),
        (_too_many_frames, "NumberOfFrames is 2000000000: 1 to"),
        (_drop_positions, "5 of 5 frames have no ImagePositionPatient.*top level"),
        (_drop_one_position, "1 of 5 frames have no ImagePositionPatient"),
        (_drop_groups, "5 of 5 frames have no ImagePositionPatient"),
        (_two_positions, r"\(0020,9113\) has 2 items"),
        (_two_shared, "2 shared functional groups"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "pixel data is cut: 478"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData * 2), "there are pixels of 10 frames"),
        (lambda ds: delattr(ds, "PixelData"), "ends before its pixel data"),
        (lambda ds: setattr(ds, "Rows", 60000), "pixel data is cut"),
    ],
)
def test_an_object_that_contradicts_itself_is_refused(
    tmp_path: Path, grid: Grid, change: Callable[[Dataset], object], text: str
) -> None:
    seen = reason(write(tmp_path, _edited(change)(grid)))
    assert re.search(text, seen), seen


def test_sequences_nested_too_deep_are_refused(tmp_path: Path, grid: Grid) -> None:
    inner = item({"PixelSpacing": [1, 1]})
    for _ in range(40):
        outer = Dataset()
        outer.PixelMeasuresSequence = [inner]
        inner = outer
    ds = single(grid)
    ds.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [inner]
    assert "nested more than 12 deep" in reason(write(tmp_path, ds))


def test_a_position_shared_by_all_frames_is_no_volume(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid, shared={"PlanePositionSequence": {"ImagePositionPatient": ["1", "2", "3"]}})
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    assert "all 5 slices lie at one place" in reason(write(tmp_path, ds))


def test_more_orientations_than_a_radial_series_has_are_not_split(
    tmp_path: Path, grid: Grid
) -> None:
    thin = Grid.from_axes((120, 2, 2), (1.0, 1.0, 1.0), (0, 0, 0), None, grid.frame)
    ds = enhanced_dataset(thin, [(texture(thin), {})], constants="per_frame")
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        angle = np.radians(1.5 * n)
        axes = [np.cos(angle), np.sin(angle), 0, 0, 0, 1]
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = ds_texts(np.array(axes))
    assert "the slices are not parallel" in reason(write(tmp_path, ds))


@pytest.mark.parametrize(
    ("heights", "text"),
    [
        ([0, 0, 0, 0, 0], "the slices lie side by side in one plane"),
        ([0, 0, 0, 3, 6], "is shifted sideways.*uneven slice gaps: 0.000 to 3.000"),
        ([0, 0, 3, 3, 6], "is shifted sideways.*uneven slice gaps: 0.000 to 3.000"),
    ],
)
def test_slices_side_by_side_are_refused(
    tmp_path: Path, grid: Grid, heights: list[float], text: str
) -> None:
    ds = single(grid)
    axial = [1, 0, 0, 0, 1, 0]
    orientation = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = axial
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [[0, 5, 11, 2, 8][n], 0, heights[n]]
    seen = reason(write(tmp_path, ds))
    assert re.search(text, seen), seen


def test_no_orientation_anywhere_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    assert "ImageOrientationPatient is missing" in reason(write(tmp_path, ds))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ({"VolumetricProperties": "SAMPLED"}, "VolumetricProperties SAMPLED"),
        ({"VolumetricProperties": "DISTORTED"}, "VolumetricProperties DISTORTED"),
        ({"VolumeBasedCalculationTechnique": "MAX_IP"}, "Technique MAX_IP"),
        ({"VolumeBasedCalculationTechnique": "CURVED_MPR"}, "Technique CURVED_MPR"),
    ],
)
def test_projections_and_renderings_are_refused(
    tmp_path: Path, grid: Grid, kind: dict[str, str], text: str
) -> None:
    content = {"MRImageFrameTypeSequence": kind}
    ds = enhanced_dataset(grid, [(texture(grid), content)])
    assert f"no plane sections ({'' if 'Vol' in text else 'VolumeBasedCalculation'}{text})" in (
        reason(write(tmp_path / "frame", ds))
    )
    ds = single(grid)
    ds.update(item(kind))
    assert text in reason(write(tmp_path / "object", ds))


@pytest.mark.parametrize("technique", ["NONE", "MPR"])
def test_plane_sections_are_not_refused(tmp_path: Path, grid: Grid, technique: str) -> None:
    ds = single(grid)
    ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "VOLUME", technique
    assert load_volume(write(tmp_path, ds)).values.shape == grid.shape_kji


@pytest.mark.parametrize(("constants", "n_warnings"), [("top", 1), ("shared", 0), ("per_frame", 0)])
def test_geometry_at_the_top_is_told(
    tmp_path: Path, grid: Grid, constants: str, n_warnings: int
) -> None:
    volume = load_volume(write(tmp_path, single(grid, constants=constants)))
    told = [w for w in volume.source.warnings if "top level" in w]
    assert len(told) == n_warnings


def test_enhanced_colour_is_refused(tmp_path: Path, grid: Grid) -> None:
    ds = single(grid)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.3")
    assert "colour" in reason(write(tmp_path, ds))


def test_one_classic_slice_as_a_file_is_still_refused(tmp_path: Path, grid: Grid) -> None:
    files = write_series(tmp_path, grid)
    with pytest.raises(InputError, match="one DICOM slice is not a volume"):
        load_volume(files[0])


def test_a_series_that_is_not_in_the_file(tmp_path: Path, grid: Grid) -> None:
    file = write(tmp_path, single(grid))
    with pytest.raises(SeriesChoiceError, match="no series answers to '9'"):
        load_volume(file, series=9)
    assert load_volume(file, series=4).values.shape == grid.shape_kji


def test_random_damage_to_the_groups_never_ends_the_scan(
    tmp_path: Path, grid: Grid, rng: np.random.Generator
) -> None:
    ds = single(grid, constants="per_frame")
    use_undefined_lengths(ds)
    whole = write(tmp_path, ds).read_bytes()
    start, end = whole.index(b"\x00\x52\x30\x92"), whole.index(b"\xe0\x7f\x10\x00")
    for n in range(150):
        data = bytearray(whole)
        for place in rng.integers(start, end, 1 + n % 5):
            data[place] = int(rng.integers(256))
        (tmp_path / "emr.dcm").write_bytes(bytes(data))
        found = inspect_path(tmp_path)
        assert len(found.volumes) + len(found.skipped) >= 1


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_file_cut_within_its_groups_is_refused(tmp_path: Path, grid: Grid, cut: float) -> None:
    file = write(tmp_path, single(grid, constants="per_frame"))
    whole = file.read_bytes()
    start, end = whole.index(b"\x00\x52\x30\x92"), whole.index(b"\xe0\x7f\x10\x00")
    file.write_bytes(whole[: int(start + cut * (end - start))])
    with pytest.raises(UnsupportedObjectError, match="functional groups cannot be read"):
        load_volume(file)
