"""The skin of real images. What is asserted was checked by eye on overlays first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import MaskError
from planner.geometry import FrameId, Grid, ImageSource, Volume
from planner.model import Verdict
from planner.skin import SkinEntries, find_body, skin_entries

sitk = pytest.importorskip("SimpleITK")


def _volume(image, modality: str) -> Volume:
    matrix = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = (axes * np.array(image.GetSpacing()))[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    grid = Grid(
        shape_kji=image.GetSize()[::-1], lps_from_kji=matrix, frame=FrameId(None, "unknown")
    )
    return Volume(
        grid=grid, values=sitk.GetArrayFromImage(image), source=ImageSource(modality=modality)
    )


def nifti(path: Path) -> Volume:
    return _volume(sitk.ReadImage(str(path)), "unknown")


def dicom(folder: Path, modality: str = "MR") -> Volume:
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    return _volume(sitk.ReadImage(files), modality)


def looking(entries: SkinEntries, direction_lps: tuple[float, float, float]) -> int:
    """Number of entries whose normal lies within 45 degrees of a direction."""
    cosine = entries.outward_normal_lps @ np.array(direction_lps)
    return int(np.count_nonzero(cosine > np.cos(np.radians(45))))


def test_lumbar_dixon_fat_has_skin_behind_and_none_at_the_anterior_field_of_view(
    shared_data: Path,
) -> None:
    volume = nifti(shared_data / "lpm_tum01_lumbar_dixon" / "TUM01_fat.nii.gz")
    found = find_body(volume)
    entries = skin_entries(found)
    assert {"k0", "k1", "j0"} <= set(found.cut_faces)  # the array goes on, the image does not
    posterior = looking(entries, (0.0, 1.0, 0.0))
    assert posterior > 5000
    # The front of the belly is cut over columns 120 to 290; its shoulders are real skin.
    column = entries.voxel_kji[:, 2]
    in_front = (entries.voxel_kji[:, 1] < 200) & (column > 130) & (column < 270)
    assert np.count_nonzero(in_front) == 0
    # Muscles, spine and bowel are body: the middle of every slice is full.
    middle = found.mask.inside[:, 110:250, 150:250]
    assert middle.all()
    labels = sitk.GetArrayFromImage(
        sitk.ReadImage(str(shared_data / "lpm_tum01_lumbar_dixon" / "TUM01_fat_labels.nii.gz"))
    )
    assert found.mask.inside[labels > 0].all()


def test_lumbar_dixon_water_agrees_with_fat_behind_and_warns(shared_data: Path) -> None:
    folder = shared_data / "lpm_tum01_lumbar_dixon"
    fat, water = (find_body(nifti(folder / f"TUM01_{n}.nii.gz")) for n in ("fat", "water"))
    # Same patient, same voxels: the back from row 230 on, columns of the trunk.
    back = np.s_[:, 230:, 60:340]
    differ = np.count_nonzero(fat.mask.inside[back] ^ water.mask.inside[back])
    surface = np.count_nonzero(np.diff(fat.mask.inside[back].astype(np.int8), axis=1))
    assert differ < 2.5 * surface
    # The dermis holds water and no fat: the fat image shows the skin one to two voxels too deep.
    assert np.count_nonzero(fat.mask.inside[back] & ~water.mask.inside[back]) < 50
    assert any("nearly as dark as air" in text for text in water.warnings)


def test_ct_pelvis_has_no_table_and_contains_the_anatomy(shared_data: Path) -> None:
    folder = shared_data / "totalseg_ct_pelvis_metal_implant"
    volume = nifti(folder / "example_ct.nii.gz")
    found = find_body(volume)
    assert found.method == "CT threshold"
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "example_ct_seg.nii.gz")))
    assert np.mean(found.mask.inside[labels > 0]) > 0.9995
    assert found.mask.inside[volume.values > 1500].all()  # the implant
    entries = skin_entries(found)
    assert looking(entries, (0.0, 1.0, 0.0)) > 3000
    assert looking(entries, (0.0, -1.0, 0.0)) > 3000
    # The table lies behind row j < 6 in the upper slices: never body there.
    assert not found.mask.inside[60:, :3].any()


def test_small_field_of_view_prostate_axial_has_anterior_skin_only(shared_data: Path) -> None:
    volume = dicom(shared_data / "prostatex_0000_pelvis_mr" / "4.000000-t2tsetra-00702")
    found = find_body(volume)
    entries = skin_entries(found)
    assert {"k0", "k1", "j1", "i0", "i1"} <= set(found.cut_faces)
    assert 300 < len(entries) < 2000
    assert entries.voxel_kji[:, 1].max() < 60  # rows: all in front
    assert looking(entries, (0.0, 1.0, 0.0)) == 0
    assert found.body_frac > 0.95


def test_no_entry_beside_the_padding_of_the_prostate_axial(shared_data: Path) -> None:
    """Zeros at the border: column 0, row 0, five to seven columns on the right (with strays)."""
    volume = dicom(shared_data / "prostatex_0000_pelvis_mr" / "4.000000-t2tsetra-00702")
    assert not volume.values[:, :, 0].any()
    assert np.mean(volume.values[:, :, 379:] < 10) > 0.98
    found = find_body(volume)
    entries = skin_entries(found)
    assert not found.imaged.inside[:, :, 379:].any()
    step_mm = 0.5
    column, row = entries.voxel_kji[:, 2], entries.voxel_kji[:, 1]
    assert (column * step_mm).min() > 5.0
    assert ((377 - column) * step_mm).min() > 5.0
    assert row.min() * step_mm > 5.0
    # Real skin: dark but measured outside, bright inside.
    out_mm, in_mm = np.arange(2.5, 7.6, 1.0), np.arange(3.0, 8.0, 1.0)
    air, tissue = (_values_along(volume, entries, far_mm) for far_mm in (out_mm, -in_mm))
    assert (np.median(tissue, axis=0) > 5 * np.median(air, axis=0)).all()
    assert (air.mean(axis=0) > 5.0).all()  # noise, not padding
    marked = skin_entries(found, with_image_ends=True)
    assert np.count_nonzero(marked.is_image_end) > 5000  # and the reason is kept


def _values_along(volume: Volume, entries: SkinEntries, far_mm: np.ndarray) -> np.ndarray:
    """Nearest values at distances outward from the entries, (distances, n)."""
    points = entries.entry_lps_mm + far_mm[:, None, None] * entries.outward_normal_lps
    index = np.floor(volume.grid.to_kji(points) + 0.5).astype(int)
    index[..., 0] = np.clip(index[..., 0], 0, volume.grid.shape_kji[0] - 1)
    return volume.values[tuple(np.moveaxis(index, -1, 0))]


@pytest.mark.parametrize("series", ["3.000000-t2tsesag-87368", "5.000000-t2tsecor-03471"])
def test_small_field_of_view_without_skin_gives_none(shared_data: Path, series: str) -> None:
    found = find_body(dicom(shared_data / "prostatex_0000_pelvis_mr" / series))
    assert len(skin_entries(found)) == 0
    assert any("no skin is in view" in text for text in found.warnings)


@pytest.mark.parametrize(
    "file",
    [
        "tptbox_spine_crops/mri/sub-mri_label-6_T2w.nii.gz",
        "tptbox_spine_crops/ct/sub-ct_label-22_ct.nii.gz",
        "sct_cervical_t2_cord_roots/t2.nii.gz",
    ],
)
def test_crops_without_skin_give_none(shared_data: Path, file: str) -> None:
    found = find_body(nifti(shared_data / file))
    assert found.method == "no air in view"
    assert len(skin_entries(found)) == 0


def test_neck_of_thick_slices_is_found(shared_data: Path) -> None:
    folder = shared_data / "sct_cervical_t2_cord_roots"
    volume = nifti(folder / "t2s_uncropped.nii.gz")
    found = find_body(volume)
    assert 0.4 < found.body_frac < 0.55
    cord = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "t2s_uncropped_gmseg_manual.nii.gz")))
    assert found.mask.inside[cord > 0].all()
    assert looking(skin_entries(found), (0.0, 1.0, 0.0)) > 2000


def test_head_is_found_whole(shared_data: Path) -> None:
    volume = dicom(shared_data / "dcmqa_decubitus_HFS" / "HFS_t1_fl2d_sag_first12")
    found = find_body(volume)
    entries = skin_entries(found)
    assert looking(entries, (0.0, 0.0, 1.0)) > 1000  # crown
    assert looking(entries, (0.0, 1.0, 0.0)) > 1000  # back of the head
    # Paranasal air, dark on T1, is inside.
    middle = found.mask.inside[0]
    filled = middle[130:150, 120:160]
    assert filled.all()


@pytest.mark.parametrize("folder", ["GE_Artist_1.5T_T1", "PhilipsAchieva2", "Siemens_Aera_1.5T_T1"])
def test_acr_phantom_has_its_known_diameter(shared_data: Path, folder: str) -> None:
    found = find_body(dicom(shared_data / "hazen_acr_phantom_3vendors" / folder))
    assert found.cut_faces == ("k0", "k1")
    spacing = found.mask.grid.spacing_kji_mm
    for k in (2, 6, 8):
        inside = found.mask.inside[k]
        # By area, which grooves and air bubbles touch least; then straight across.
        area_mm2 = np.count_nonzero(inside) * spacing[1] * spacing[2]
        # The body is up to a third of a voxel too large all round, on purpose.
        assert 2 * np.sqrt(area_mm2 / np.pi) == pytest.approx(190.0, abs=1.6 * spacing[1])
        rows = inside.sum(axis=1)
        across = np.median(rows[rows >= 0.98 * rows.max()]) * spacing[2]
        assert across == pytest.approx(190.0, abs=2.5 * spacing[2])


@pytest.mark.parametrize("folder", ["ge/anatomical/001", "philips/anatomical/001_implicit"])
def test_real_files_anonymised_to_noise_are_refused(shared_data: Path, folder: str) -> None:
    volume = dicom(shared_data / "dicom2nifti_multivendor" / folder)
    with pytest.raises(MaskError, match="noise or flat"):
        find_body(volume)


def test_chest_ct_of_thick_slices_keeps_the_lungs(shared_data: Path) -> None:
    volume = nifti(shared_data / "slicerio_segnrrd" / "CTChest4.nrrd")
    found = find_body(volume)
    k, lung = 19, (volume.values[19] < -700) & (volume.values[19] > -1000)
    lung[:35] = lung[95:] = False
    lung[:, :40] = lung[:, 90:] = False
    assert found.mask.inside[k][lung].all()
    imaged = found.imaged.inside
    assert not imaged[volume.values < -1100].any()  # outside the reconstruction circle


def test_ct_arms_cut_by_the_circle_have_no_skin_at_the_cut(shared_data: Path) -> None:
    volume = dicom(shared_data / "totalseg_ct_dicom_j2k" / "dicom", "CT")
    entries = skin_entries(find_body(volume))
    radius = np.hypot(entries.voxel_kji[:, 1] - 255.5, entries.voxel_kji[:, 2] - 255.5)
    outward = entries.voxel_kji[:, 1:] - 255.5
    normal_ji = entries.outward_normal_lps @ volume.grid.axes_lps_from_kji[:, 1:]
    along = np.sum(outward * normal_ji, axis=1) / radius
    at_cut = (radius > 248) & (along > 0.95)
    assert np.count_nonzero(at_cut) < 0.01 * len(entries)


def test_suppressed_fat_of_a_real_image_is_a_doubt_of_every_path(shared_data: Path) -> None:
    water = find_body(nifti(shared_data / "lpm_tum01_lumbar_dixon" / "TUM01_water.nii.gz"))
    fat = find_body(nifti(shared_data / "lpm_tum01_lumbar_dixon" / "TUM01_fat.nii.gz"))
    assert fat.findings == ()
    (finding,) = water.findings
    assert finding.constraint == "skin_unsure" and finding.verdict is Verdict.CAUTION
