"""NIfTI, NRRD and MetaImage: one conversion to LPS, and refusals."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from planner.errors import InputError, PlannerError, SeriesGeometryError, UnsupportedObjectError
from planner.geometry import Grid
from planner.io import inspect_path, load_volume
from tests.dicom_writer import texture, write_series

TOL_MM = 1e-4
"""NIfTI stores its matrix in 32 bits: 1e-7 of some hundred mm."""

_REVERSE = np.eye(4)[[2, 1, 0, 3]]


def nifti(grid: Grid, values: np.ndarray) -> nib.Nifti1Image:
    """A NIfTI image of the same world, made with nibabel alone."""
    ras_from_ijk = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.lps_from_kji @ _REVERSE
    image = nib.Nifti1Image(values.T, ras_from_ijk)
    image.set_qform(ras_from_ijk, 1)
    image.set_sform(ras_from_ijk, 1)
    image.header.set_xyzt_units("mm")
    return image


def sitk_image(grid: Grid, values: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_kji_mm[::-1].tolist())
    image.SetOrigin(grid.origin_lps_mm.tolist())
    image.SetDirection(grid.axes_lps_from_kji[:, ::-1].ravel().tolist())
    return image


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_lands_in_lps(tmp_path: Path, oriented_grid: Grid, suffix: str) -> None:
    values = texture(oriented_grid)
    nib.save(nifti(oriented_grid, values), tmp_path / f"a{suffix}")
    volume = load_volume(tmp_path / f"a{suffix}")
    assert volume.grid.is_close(oriented_grid, tol_mm=TOL_MM)
    assert np.array_equal(volume.values, values)
    assert volume.values.dtype == np.uint16
    assert not volume.grid.frame.same_as(volume.grid.frame)
    assert volume.grid.frame.label == f"a{suffix}"


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_nrrd_and_metaimage(tmp_path: Path, oriented_grid: Grid, suffix: str) -> None:
    values = texture(oriented_grid, dtype=np.int16)
    sitk.WriteImage(sitk_image(oriented_grid, values), str(tmp_path / f"a{suffix}"))
    volume = load_volume(tmp_path / f"a{suffix}")
    assert volume.grid.is_close(oriented_grid, tol_mm=TOL_MM)
    assert np.array_equal(volume.values, values)
    assert volume.values.dtype == np.int16


def test_nifti_written_by_simpleitk_agrees(tmp_path: Path, oriented_grid: Grid) -> None:
    sitk.WriteImage(sitk_image(oriented_grid, texture(oriented_grid)), str(tmp_path / "a.nii"))
    volume = load_volume(tmp_path / "a.nii")
    assert volume.grid.is_close(oriented_grid, tol_mm=1e-3)


def test_slope_gives_float32(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    stored = np.frombuffer(bytes(raw[352:]), np.uint16).reshape(oriented_grid.shape_kji)
    volume = load_volume(tmp_path / "a.nii")
    assert volume.values.dtype == np.float32
    assert np.allclose(volume.values, stored * 0.5 - 10)


def test_big_endian_nifti(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    swapped = nib.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(">"))
    nib.save(swapped, tmp_path / "a.nii")
    volume = load_volume(tmp_path / "a.nii")
    assert np.array_equal(volume.values, texture(oriented_grid))
    assert volume.values.dtype.isnative


def test_double_becomes_float32_and_nan_is_told(tmp_path: Path, oriented_grid: Grid) -> None:
    values = texture(oriented_grid).astype(np.float64)
    values[0, 0, :3] = np.nan
    nib.save(nifti(oriented_grid, values), tmp_path / "a.nii")
    volume = load_volume(tmp_path / "a.nii")
    assert volume.values.dtype == np.float32
    assert f"3 of {values.size} voxels are not finite numbers" in volume.source.warnings


def test_no_qform_and_no_sform_is_refused(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    image.set_qform(None, 0)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(SeriesGeometryError, match="qform_code 0 and sform_code 0"):
        load_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("kept", ["qform", "sform"])
def test_one_of_qform_and_sform_is_enough(tmp_path: Path, oriented_grid: Grid, kept: str) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    if kept == "qform":
        image.set_sform(None, 0)
    else:
        image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    volume = load_volume(tmp_path / "a.nii")
    assert volume.grid.is_close(oriented_grid, tol_mm=1e-3)
    assert not volume.source.warnings


def test_disagreeing_forms_are_told_and_the_sform_is_used(
    tmp_path: Path, oriented_grid: Grid
) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    moved = image.affine.copy()
    moved[2, 3] += 7.0
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "a.nii")
    volume = load_volume(tmp_path / "a.nii")
    assert volume.grid.is_close(oriented_grid, tol_mm=TOL_MM)
    assert any("disagree by up to 7.00 mm" in w for w in volume.source.warnings)


def test_lost_origin_is_told(tmp_path: Path) -> None:
    grid = Grid.from_axes((4, 5, 6), (3, 1, 1), (0, 0, 0))
    nib.save(nifti(grid, texture(grid)), tmp_path / "a.nii")
    assert any("origin is exactly" in w for w in load_volume(tmp_path / "a.nii").source.warnings)


def test_sheared_nifti_is_refused(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    sheared = image.affine.copy()
    sheared[:3, 2] += 0.2 * sheared[:3, 1]
    image.set_qform(None, 0)
    image.set_sform(sheared, 1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(SeriesGeometryError, match="sheared"):
        load_volume(tmp_path / "a.nii")


def test_metres_are_refused(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(SeriesGeometryError, match="not the millimetre; seen: meter"):
        load_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 5), (6, 5, 1)])
def test_nifti_that_is_no_3d_volume_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(UnsupportedObjectError, match=" x ".join(map(str, shape))):
        load_volume(tmp_path / "a.nii")


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path, oriented_grid: Grid) -> None:
    image = nifti(oriented_grid, texture(oriented_grid))
    four = nib.Nifti1Image(np.asarray(image.dataobj)[..., None], image.affine)
    nib.save(four, tmp_path / "a.nii")
    assert np.array_equal(load_volume(tmp_path / "a.nii").values, texture(oriented_grid))


def test_colour_and_complex_nifti_are_refused(tmp_path: Path) -> None:
    rgb = np.zeros((4, 5, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "rgb.nii")
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.complex64), np.eye(4)), tmp_path / "c.nii")
    for name in ("rgb.nii", "c.nii"):
        with pytest.raises(UnsupportedObjectError, match="more than one number per voxel"):
            load_volume(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_vector_image_is_refused(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    with pytest.raises(UnsupportedObjectError, match="seen: 3 components"):
        load_volume(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_4d_image_is_refused(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 4, 5, 6), np.uint8), isVector=False)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    with pytest.raises(UnsupportedObjectError, match=r"6 x 5 x 4 x 2 \(4-D\)"):
        load_volume(tmp_path / f"a{suffix}")


def test_nrrd_without_a_patient_space_is_refused(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 3 4\nspacings: 1 1 2\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(24))
    with pytest.raises(SeriesGeometryError, match=r"does not say where it lies.*NRRD space"):
        load_volume(tmp_path / "a.nrrd")


def test_nrrd_in_ras_is_turned(tmp_path: Path) -> None:
    header = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 3 4\n"
        "space directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (10,20,30)\n"
        "encoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(24))
    grid = load_volume(tmp_path / "a.nrrd").grid
    assert np.allclose(grid.origin_lps_mm, [-10, -20, 30])
    assert np.allclose(grid.axes_lps_from_kji[:, 2], [-1, 0, 0])


def test_metaimage_without_orientation_is_refused(tmp_path: Path) -> None:
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\n"
        "ElementSpacing = 1 1 2\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(header.encode() + bytes(24))
    with pytest.raises(SeriesGeometryError, match="no TransformMatrix"):
        load_volume(tmp_path / "a.mha")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08broken"])
def test_damaged_file_is_an_input_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot be read.*in: {name}"):
        load_volume(tmp_path / name)
    assert inspect_path(tmp_path / name).n_plannable == 0


def test_cut_values_are_an_input_error(tmp_path: Path, oriented_grid: Grid) -> None:
    for name in ("a.nii", "a.nii.gz", "b.mha", "b.nrrd"):
        file = tmp_path / name
        if "nii" in name:
            nib.save(nifti(oriented_grid, texture(oriented_grid)), file)
        else:
            sitk.WriteImage(sitk_image(oriented_grid, texture(oriented_grid)), str(file))
        file.write_bytes(file.read_bytes()[:-400])
        with pytest.raises(PlannerError, match="cannot be read"):
            load_volume(file)


def test_inspect_of_a_file(tmp_path: Path, oriented_grid: Grid) -> None:
    nib.save(nifti(oriented_grid, texture(oriented_grid)), tmp_path / "a.nii")
    (volume,) = inspect_path(tmp_path / "a.nii").to_json_dict()["volumes"]
    assert volume["plannable"] is True
    assert volume["shape_kji"] == [9, 14, 11]
    assert volume["series_instance_uid"] is None


def test_dicom_and_nifti_of_one_grid_agree(tmp_path: Path, oriented_grid: Grid) -> None:
    write_series(tmp_path / "dicom", oriented_grid)
    nib.save(nifti(oriented_grid, texture(oriented_grid)), tmp_path / "a.nii")
    dicom, other = load_volume(tmp_path / "dicom"), load_volume(tmp_path / "a.nii")
    for kji in [(0, 0, 0), (8, 13, 10), (2, 9, 4)]:
        index = np.rint(other.grid.to_kji(dicom.grid.to_lps(kji))).astype(int)
        assert other.values[tuple(index)] == dicom.values[kji]
