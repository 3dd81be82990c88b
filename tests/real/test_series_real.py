"""Reading real scanner data written by nobody here (see shared data README for origins)."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from planner.errors import (
    PlannerError,
    SeriesChoiceError,
    SeriesGeometryError,
)
from planner.geometry import ImageWarning, Volume
from planner.io import inspect_path, load_volume
from planner.io.catalogue import read_catalogue
from planner.io.pixels import read_values

PROSTATEX = "prostatex_0000_pelvis_mr"
TRIO = "dicom2nifti_multivendor/generic/compressed_"
INDEX_TOL_VOX = 0.01
"""The published matrices carry six digits."""

WORLD_TOL_MM = 1e-3
"""NIfTI matrices are 32 bit; SimpleITK takes its step from the first two or all slices."""


def leaf_folders(root: Path) -> list[Path]:
    return sorted({p.parent for p in root.rglob("*") if p.is_file()})


@pytest.mark.parametrize(
    "name",
    [
        "dicom2nifti_multivendor",
        "hazen_acr_phantom_3vendors",
        PROSTATEX,
        "dcmqa_table_ge_philips",
        "dcmqa_decubitus_HFS",
        "totalseg_ct_dicom_j2k",
        "rtutils_rtstruct",
        "dcmqi_ct_seg_nrrd",
    ],
)
def test_every_folder_is_inspected_and_loads_or_is_refused_in_words(
    shared_data: Path, name: str
) -> None:
    for folder in leaf_folders(shared_data / name):
        found = inspect_path(folder)
        json.dumps(found.to_json_dict(), allow_nan=False)
        assert found.to_text()
        for volume in found.volumes:
            assert volume.plannable == (volume.reason is None)
            try:
                loaded = load_volume(folder, series=volume.select)
            except PlannerError as error:
                assert not volume.plannable
                assert str(error)
            else:
                assert volume.plannable
                assert loaded.values.shape == loaded.grid.shape_kji


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("sliceincrement", r"1 slice missing.*10\.000 mm between slice 3.*needed: 5\.000 mm"),
        ("notavolume", "all 4 slices lie at one place"),
        ("sliceorientation", "mixed orientation: 2 of 4 slices.*97.52 degrees"),
        ("sliceorientation", r"mixed pixel spacing.*0\.32 x 0\.32 mm in 2 images; 0\.55556"),
    ],
)
def test_broken_series_are_refused_with_numbers(shared_data: Path, folder: str, text: str) -> None:
    found = inspect_path(shared_data / "dicom2nifti_multivendor/failing" / folder)
    assert found.volumes
    for volume in found.volumes:
        assert not volume.plannable
        assert re.search(text, volume.reason or ""), volume.reason


def test_missing_slice_variant_names_the_gap(shared_data: Path) -> None:
    with pytest.raises(
        SeriesGeometryError, match=r"1 slice missing.*6\.000 mm between slice \d+ \(1-\d+\.dcm\)"
    ):
        load_volume(shared_data / PROSTATEX / "missing_slice_variant_of_series_8")


def test_annotated_positions_land_on_the_published_voxel(shared_data: Path) -> None:
    checked = set()
    with (shared_data / PROSTATEX / "targets.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            number = row["DCMSerNum"]
            folder = next((shared_data / PROSTATEX).glob(f"{number}.000000-*"))
            world = np.array(row["WorldMatrix"].split(","), float).reshape(4, 4)
            point = np.array(row["pos"].split(), float)
            # that matrix counts from the corner of voxel (0, 0, 0)
            expected_ijk = (np.linalg.inv(world) @ [*point, 1])[:3] - 0.5
            for volume in inspect_path(folder).volumes:
                assert volume.grid is not None
                found_ijk = volume.grid.to_kji(point)[::-1]
                assert np.abs(found_ijk - expected_ijk).max() < INDEX_TOL_VOX, number
            checked.add(number)
    assert checked == {"3", "4", "5", "6", "7", "8", "9"}


def test_spacing_of_gapped_slices_comes_from_positions(shared_data: Path) -> None:
    folder = next((shared_data / PROSTATEX).glob("3.000000-*"))
    volume = load_volume(folder)
    assert volume.source.mr["slice_thickness_mm"] == 3.0
    assert volume.grid.spacing_kji_mm[0] == pytest.approx(3.6, abs=1e-5)
    assert volume.source.patient_position.value == "FFS"


def test_diffusion_series_is_three_volumes(shared_data: Path) -> None:
    folder = next((shared_data / PROSTATEX).glob("6.000000-*"))
    parts = ["b=50", "b=400", "b=800"]
    assert [v.part for v in inspect_path(folder).volumes] == parts
    means = []
    for part in parts:
        volume = load_volume(folder, series=f"6:{part}")
        assert volume.grid.shape_kji == (19, 128, 84)
        means.append(volume.values.mean())
    assert means == sorted(means, reverse=True)  # signal falls with b


def test_derived_images_are_flagged(shared_data: Path) -> None:
    for number in (7, 8):
        folder = next((shared_data / PROSTATEX).glob(f"{number}.000000-*"))
        assert any("derived images" in w for w in load_volume(folder).source.warnings)


def test_study_with_many_volumes_lists_them(shared_data: Path) -> None:
    text = r"(?s)volumes can be planned on.*t2_tse_cor.*'6:2'.*b=400"
    with pytest.raises(SeriesChoiceError, match=text):
        load_volume(shared_data / PROSTATEX)
    assert load_volume(shared_data / PROSTATEX, series=5).grid.shape_kji == (15, 320, 320)


def test_localizer_is_three_parts(shared_data: Path) -> None:
    found = inspect_path(shared_data / "dcmqa_table_ge_philips/GE_3plane_localizer_FFS").volumes
    assert [v.n_files for v in found] == [7, 7, 7]
    assert [v.part for v in found] == [f"orientation {n} of 3" for n in (1, 2, 3)]
    assert all("a localizer" in (v.reason or "") for v in found)


def test_dual_echo_is_four_parts(shared_data: Path) -> None:
    folder = shared_data / "dcmqa_table_ge_philips/Philips_dual_echo_mag_phase"
    found = inspect_path(folder).volumes
    assert [(v.part, v.n_files) for v in found] == [
        (f"TE={te} ms, {kind}", 30) for te in ("7.0", "10.0") for kind in ("magnitude", "phase")
    ]
    phase = load_volume(folder, series="1301:TE=7.0 ms, phase")
    assert phase.values.dtype == np.float32
    assert phase.values.min() < -2000 < 2000 < phase.values.max()  # slope 1.53, intercept -3142


def test_directions_of_philips_dti(shared_data: Path) -> None:
    found = inspect_path(shared_data / "dicom2nifti_multivendor/philips/dti").volumes
    assert [(v.part, v.n_files) for v in found] == [
        ("b=0", 2),
        *((f"b=1000, direction {n} of 3", 2) for n in (1, 2, 3)),
    ]


def test_compressed_series_are_equal(shared_data: Path) -> None:
    volumes = [
        load_volume(shared_data / f"{TRIO}{kind}") for kind in ("j2k", "jpeg", "jpegls", "rle")
    ]
    for other in volumes[1:]:
        assert np.array_equal(volumes[0].values, other.values)
        assert np.array_equal(volumes[0].grid.lps_from_kji, other.grid.lps_from_kji)
    assert volumes[0].values.dtype == np.uint16
    assert volumes[0].values.std() > 10


@pytest.mark.parametrize(
    "folder",
    [
        "ge/anatomical/001",
        "siemens/anatomical/001",
        "philips/anatomical/001_implicit",
        "generic/compressed_rle",
    ],
)
def test_proper_volume_without_frame_of_reference_is_plannable(
    shared_data: Path, folder: str
) -> None:
    volume = load_volume(shared_data / "dicom2nifti_multivendor" / folder)
    assert volume.grid.frame.uid is None
    codes = [ImageWarning.code_of(w) for w in volume.source.warnings]
    assert codes[0] == "frame_unknown"


@pytest.mark.parametrize("vendor", ["ge", "siemens"])
def test_ground_truth_nifti_agrees(shared_data: Path, vendor: str) -> None:
    folder = shared_data / "dicom2nifti_multivendor" / vendor / "anatomical"
    truth = load_volume(folder / "001_ground_truth.nii.gz")
    volume = load_volume(folder / "001")
    assert_same_world(volume, truth)


def assert_same_world(volume: Volume, other: Volume) -> None:
    """Every voxel of one lies on a voxel of the other, with its value."""
    shape = volume.grid.shape_kji
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    found = other.grid.to_kji(volume.grid.to_lps(index))
    rounded = np.rint(found).astype(int)
    off_mm = np.abs(found - rounded).max() * other.grid.spacing_kji_mm.max()
    assert off_mm < WORLD_TOL_MM
    assert sorted(other.grid.shape_kji) == sorted(shape)
    assert np.array_equal(other.values[tuple(np.moveaxis(rounded, -1, 0))], volume.values)


def test_ct_in_jpeg_2000_with_empty_uids(shared_data: Path) -> None:
    volume = load_volume(shared_data / "totalseg_ct_dicom_j2k")
    assert volume.grid.shape_kji == (20, 512, 512)
    assert volume.grid.spacing_kji_mm == pytest.approx([2.0, 0.9765625, 0.9765625])
    assert volume.source.series_instance_uid is None
    assert volume.values.dtype == np.float32
    assert volume.values.min() == -1024.0
    body = volume.values[volume.values > -500]
    assert -150 < np.median(body) < 100  # fat to muscle, in HU


GOOD_SERIES = [
    f"{PROSTATEX}/3.000000-*",
    f"{PROSTATEX}/4.000000-*",
    f"{PROSTATEX}/5.000000-*",
    f"{PROSTATEX}/9.000000-*",
    "hazen_acr_phantom_3vendors/GE_Artist_1.5T_T1",
    "hazen_acr_phantom_3vendors/PhilipsAchieva2",
    "hazen_acr_phantom_3vendors/Siemens_Aera_1.5T_T1",
    "dcmqa_decubitus_HFS/HFS_t1_fl2d_sag_first12",
    "dcmqi_ct_seg_nrrd/ct-3slice",
    "rtutils_rtstruct/mock_data",
]


@pytest.mark.parametrize("pattern", GOOD_SERIES)
def test_simpleitk_reads_the_same_world(shared_data: Path, pattern: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    (folder,) = shared_data.glob(pattern)
    volume = load_volume(folder)
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder), volume.source.series_instance_uid)
    reader.SetFileNames(names)
    image = reader.Execute()
    other = Volume(
        grid=type(volume.grid)(
            shape_kji=image.GetSize()[::-1],
            lps_from_kji=_sitk_matrix(image),
            frame=volume.grid.frame,
        ),
        values=sitk.GetArrayFromImage(image),
    )
    assert_same_world(volume, other)


def _sitk_matrix(image) -> np.ndarray:
    matrix = np.eye(4)
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, :3] = axes[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    return matrix


ACR = "hazen_acr_phantom_3vendors"
ACR_DIAMETER_MM = 190.0
ACR_LENGTH_MM = 148.0
"""Inside of the large ACR phantom: ACR Phantom Test Guidance, geometric accuracy test."""

MIDDLE_SLICES = range(3, 8)
"""Off the ends of the phantom."""


def width(profile: np.ndarray, half: float) -> float:
    """From the first to the last crossing of a level, in samples, interpolated linearly."""
    above = np.flatnonzero(profile > half)
    first, last = above[0], above[-1]
    before = (profile[first] - half) / (profile[first] - profile[first - 1])
    after = (profile[last] - half) / (profile[last] - profile[last + 1])
    return float(last - first + before + after)


@pytest.mark.parametrize("name", ["GE_Artist_1.5T_T1", "PhilipsAchieva2", "Siemens_Aera_1.5T_T1"])
def test_phantom_has_its_known_diameter(shared_data: Path, name: str) -> None:
    """Along rows, columns and both diagonals: both pixel spacings and their order are right."""
    volume = load_volume(shared_data / ACR / name)
    pixel_mm = float(volume.grid.spacing_kji_mm[1:].max())
    step_mm = 0.25
    along_mm = np.arange(-120.0, 120.0, step_mm)
    _, column, row = volume.grid.axes_lps_from_kji.T
    for k in MIDDLE_SLICES:
        values = volume.values[k].astype(float)
        half = 0.5 * np.percentile(values, 90)
        inside = ndimage.binary_fill_holes(values > half)
        centre = volume.grid.to_lps([k, *ndimage.center_of_mass(inside)])
        for direction in (row, column, (row + column) / 2**0.5, (row - column) / 2**0.5):
            kji = volume.grid.to_kji(centre + along_mm[:, None] * direction)
            profile = ndimage.map_coordinates(values, kji[:, 1:].T, order=1, mode="nearest")
            diameter_mm = step_mm * width(profile, half)
            assert diameter_mm == pytest.approx(ACR_DIAMETER_MM, abs=pixel_mm), k


def test_phantom_has_its_known_length(shared_data: Path) -> None:
    """On the sagittal localizer, one slice: its header is read, a volume it is not."""
    (entry,) = read_catalogue(shared_data / ACR / "GE_Signa_1.5T_Sagittal_Localizer").entries
    assert not entry.is_plannable
    (header,) = entry.slices
    assert header.row_column_axes_lps is not None
    assert header.pixel_spacing_ji_mm is not None
    assert np.allclose(np.abs(header.row_column_axes_lps[3:]), [0, 0, 1])  # columns: head to foot
    pixel_mm = header.pixel_spacing_ji_mm[0]
    image = read_values([header])[0].astype(float)
    half = 0.5 * np.percentile(image, 85)
    lengths_mm = np.array([pixel_mm * width(v, half) for v in image.T if np.any(v > half)])
    # columns that meet an insert at an end are shorter: the longest half is the water alone
    assert np.median(np.sort(lengths_mm)[lengths_mm.size // 2 :]) == pytest.approx(
        ACR_LENGTH_MM, abs=pixel_mm
    )
