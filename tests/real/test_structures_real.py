"""Real segmentations: TotalSegmentator, SPINEPS, 3D Slicer, manual labels, and their traps."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from planner.errors import MaskError
from planner.geometry import FrameId, Grid, Volume
from planner.io import load_structures, load_volume
from planner.model import StructureRole
from tests.mask_files import reading_notes


def image_at(path: Path) -> Volume:
    """An image read by an independent reader, so that only the masks are under test."""
    if path.is_dir():
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
        image = SimpleITK.ReadImage(names)
    else:
        image = SimpleITK.ReadImage(path)
    values = SimpleITK.GetArrayFromImage(image)
    matrix = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = (axes * np.array(image.GetSpacing()))[:, ::-1]
    matrix[:3, 3] = image.GetOrigin()
    grid = Grid(shape_kji=values.shape, lps_from_kji=matrix, frame=FrameId(None, path.name))
    return Volume(grid=grid, values=values)


def label_counts(path: Path) -> dict[int, int]:
    values, counts = np.unique(np.asarray(nibabel.load(path).dataobj), return_counts=True)
    return {int(v): int(n) for v, n in zip(values, counts, strict=True) if v}


class TestDixonWithALostOrigin:
    def test_labels_of_the_water_image_are_refused_on_the_fat_image(self, shared_data):
        folder = shared_data / "lpm_tum01_lumbar_dixon"
        with pytest.raises(
            MaskError,
            match=r"header disagrees with the image: same size and voxel spacing.*"
            r"\(0\.0, 0\.0, 0\.0\).*317\.6 mm.*\(-204\.5, -147\.9, 192\.8\).*TUM01_water_labels",
        ):
            load_structures(
                folder / "TUM01_water_labels.nii.gz", image_at(folder / "TUM01_fat.nii.gz")
            )

    def test_each_image_takes_its_own(self, shared_data):
        folder = shared_data / "lpm_tum01_lumbar_dixon"
        for kind in ("water", "fat"):
            path = folder / f"TUM01_{kind}_labels.nii.gz"
            structures = load_structures(path, image_at(folder / f"TUM01_{kind}.nii.gz"))
            counts = {s.source.label_value: s.mask.n_voxels for s in structures.values()}
            assert counts == label_counts(path)
            assert {s.role for s in structures.values()} == {StructureRole.AVOID}

    def test_the_image_is_not_a_mask(self, shared_data):
        folder = shared_data / "lpm_tum01_lumbar_dixon"
        fat = folder / "TUM01_fat.nii.gz"
        with pytest.raises(MaskError, match="not whole numbers"):
            load_structures(fat, image_at(fat))


class TestTotalSegmentator:
    def test_the_flipped_mask_lands_on_the_dicom_grid(self, shared_data):
        folder = shared_data / "totalseg_ct_dicom_j2k"
        image = image_at(folder / "dicom")
        structures = load_structures(folder / "example_seg_dicom.nii.gz", image)
        assert sum(s.mask.n_voxels for s in structures.values()) == 739_420
        assert {s.source.method for s in structures.values()} == {"reordered axes"}
        assert reading_notes(structures) == ()
        names = json.loads((folder / "labels.json").read_text())
        assert set(structures) == set(names.values())
        # Right side up: the same places by an independent resampling.
        mask = SimpleITK.ReadImage(folder / "example_seg_dicom.nii.gz")
        files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / "dicom"))
        onto = SimpleITK.Resample(
            mask, SimpleITK.ReadImage(files), SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor
        )
        wanted = SimpleITK.GetArrayFromImage(onto)
        for structure in structures.values():
            assert np.array_equal(structure.mask.inside, wanted == structure.source.label_value)

    def test_names_come_from_the_header(self, shared_data):
        folder = shared_data / "totalseg_ct_pelvis_metal_implant"
        path = folder / "example_ct_seg.nii.gz"
        structures = load_structures(path, image_at(folder / "example_ct.nii.gz"))
        names = {
            int(n): name for n, name in json.loads((folder / "labels.json").read_text()).items()
        }
        assert {s.source.label_value: s.name for s in structures.values()} == names
        counts = {s.source.label_value: s.mask.n_voxels for s in structures.values()}
        assert counts == label_counts(path)
        assert {s.source.role_from for s in structures.values()} == {"table TotalSegmentator/total"}
        roles = {name: (s.role.value, s.structure_class) for name, s in structures.items()}
        assert roles["vertebrae_L5"] == roles["hip_left"] == roles["femur_left"] == ("bone", "bone")
        assert roles["iliac_artery_left"] == roles["iliac_vena_right"] == ("avoid", "vessel")
        assert roles["spinal_cord"] == ("avoid", "spinal_canal")
        assert roles["colon"] == ("avoid", "bowel")
        assert roles["gluteus_maximus_left"] == ("allowed", "muscle")
        assert reading_notes(structures) == ()

    def test_another_task_is_recognised_by_its_names(self, shared_data):
        folder = shared_data / "totalseg_ct_pelvis_metal_implant"
        image = image_at(folder / "example_ct.nii.gz")
        structures = load_structures(folder / "vertebrae_body.nii.gz", image)
        assert (
            structures["vertebrae_body"].source.role_from == "table TotalSegmentator/vertebrae_body"
        )
        assert structures["intervertebral_discs"].structure_class == "disc"

    def test_a_mask_on_a_part_of_the_image_at_another_spacing(self, shared_data):
        folder = shared_data / "totalseg_ct_pelvis_metal_implant"
        image = image_at(folder / "example_ct.nii.gz")
        coarse = Grid.from_axes(
            (40, 40, 40),
            (5.0, 4.0, 4.0),
            image.grid.to_lps([10, 20, 20]),
            image.grid.axes_lps_from_kji,
            image.grid.frame,
        )
        onto = Volume(grid=coarse, values=np.zeros(coarse.shape_kji, np.uint8))
        structures = load_structures(folder / "example_ct_seg.nii.gz", onto)
        mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(folder / "example_ct_seg.nii.gz"))
        stored = structures["aorta"].source.grid
        for structure in structures.values():
            points = stored.to_lps(np.argwhere(mask == structure.source.label_value))
            points = points[coarse.contains(points)]
            if structure.role.is_obstacle:
                assert structure.source.method == "conservative cover"
                assert structure.mask.contains(points).all()
            else:
                assert structure.source.method == "nearest"
        assert any("conservative cover, grown by up to" in w for w in structures.warnings)
        assert any("voxels outside the image volume" in w for w in structures.warnings)


class TestSlicer:
    def test_overlapping_segments_lose_no_voxel(self, shared_data):
        folder = shared_data / "slicerio_segnrrd"
        image = image_at(folder / "CTChest4.nrrd")
        path = folder / "SegmentationOverlapping.seg.nrrd"
        structures = load_structures(path, image)
        voxels, header = nrrd.read(str(path))
        assert voxels.shape[0] == 2
        for n in range(8):
            layer = voxels[int(header[f"Segment{n}_Layer"])]
            inside = layer == int(header[f"Segment{n}_LabelValue"])
            structure = structures[header[f"Segment{n}_Name"]]
            assert structure.mask.n_voxels == inside.sum() > 0
            assert np.array_equal(structure.mask.inside, inside.T)
        overlap = (
            structures["overlapping sphere"].mask.inside & structures["right lung"].mask.inside
        )
        assert overlap.any()
        assert structures["ribs"].role is StructureRole.BONE
        assert structures["left lung"].structure_class == "pleura_lung"
        assert "tissue, overlapping sphere" in structures.warnings[0]

    def test_one_layer(self, shared_data):
        folder = shared_data / "slicerio_segnrrd"
        structures = load_structures(
            folder / "Segmentation.seg.nrrd", image_at(folder / "CTChest4.nrrd")
        )
        assert len(structures) == 7


class TestSpinepsAndTPTBox:
    def test_sub_regions_by_the_table_the_user_names(self, shared_data):
        folder = shared_data / "tptbox_spine_crops" / "mri"
        image = image_at(folder / "sub-mri_label-6_T2w.nii.gz")
        path = folder / "sub-mri_seg-subreg_label-6_msk.nii.gz"
        structures = load_structures(path, image, label_table="spineps")
        assert structures["Spinal_Cord"].structure_class == "spinal_canal"
        assert structures["Vertebra_Disc"].role is StructureRole.AVOID
        assert structures["Arcus_Vertebrae"].role is StructureRole.BONE
        counts = {s.source.label_value: s.mask.n_voxels for s in structures.values()}
        assert counts == label_counts(path)
        assert all("TPTBox/subreg" in str(s.source.tool) for s in structures.values())
        assert reading_notes(structures) == ()

    def test_without_a_table_numbers_mean_nothing(self, shared_data):
        folder = shared_data / "tptbox_spine_crops" / "mri"
        image = image_at(folder / "sub-mri_label-6_T2w.nii.gz")
        structures = load_structures(folder / "sub-mri_seg-vert_label-6_msk.nii.gz", image)
        assert {s.role for s in structures.values()} == {StructureRole.AVOID}
        assert {s.structure_class for s in structures.values()} == {None}
        assert "labels without a name" in structures.warnings[0]

    def test_instances_are_not_called_levels(self, shared_data):
        folder = shared_data / "tptbox_spine_crops" / "mri"
        image = image_at(folder / "sub-mri_label-6_T2w.nii.gz")
        path = folder / "sub-mri_seg-vert_label-6_msk.nii.gz"
        structures = load_structures(path, image, label_table="spineps/instance")
        assert structures["vertebra_5"].role is StructureRole.BONE
        assert structures["disc_below_vertebra_5"].structure_class == "disc"

    def test_labelled_levels(self, shared_data):
        folder = shared_data / "tptbox_spine_crops" / "ct"
        image = image_at(folder / "sub-ct_label-22_ct.nii.gz")
        path = folder / "sub-ct_seg-vert_label-22_msk.nii.gz"
        structures = load_structures(path, image, label_table="tptbox/vert")
        assert list(structures) == ["L2", "L3", "L4"]


class TestManualLabels:
    def test_cord_on_its_own_and_on_the_thick_slices(self, shared_data):
        folder = shared_data / "sct_cervical_t2_cord_roots"
        path = folder / "t2_seg-manual.nii.gz"
        # "t2" is the contrast here, not the second thoracic vertebra.
        own = load_structures(path, image_at(folder / "t2.nii.gz"))["t2_seg-manual"]
        assert own.role is StructureRole.AVOID and own.source.role_from == "default"
        assert own.mask.n_voxels == sum(label_counts(path).values())
        thick = image_at(folder / "t2s_uncropped.nii.gz")
        other = load_structures(path, thick)["t2_seg-manual"]
        assert other.source.method == "conservative cover"
        assert other.source.grown_mm == pytest.approx(np.linalg.norm([0.5, 0.5, 7.5]), rel=1e-3)
        points = own.mask.grid.to_lps(np.argwhere(own.mask.inside))
        points = points[thick.grid.contains(points)]
        assert len(points) > 1000
        assert other.mask.contains(points).all()

    def test_rootlets_with_the_users_names(self, shared_data):
        folder = shared_data / "sct_cervical_t2_cord_roots"
        structures = load_structures(
            folder / "t2_seg-deepseg_rootlets-manual.nii.gz",
            image_at(folder / "t2.nii.gz"),
            roles={"C6 root": ("avoid", 2.0)},
            label_names={n: f"C{n} root" for n in range(3, 8)},
        )
        assert list(structures) == ["C5 root", "C6 root", "C7 root"]
        assert {s.structure_class for s in structures.values()} == {"nerve"}
        assert structures["C6 root"].margin_mm == 2.0

    def test_an_image_is_not_a_mask(self, shared_data):
        folder = shared_data / "sct_cervical_t2_cord_roots"
        image = folder / "t2s_uncropped.nii.gz"
        with pytest.raises(MaskError, match="too many different values"):
            load_structures(image, image_at(image))


class TestNrrdOfAnotherTool:
    def test_label_map_and_dicom_seg(self, shared_data):
        folder = shared_data / "dcmqi_ct_seg_nrrd"
        image = image_at(folder / "ct-3slice")
        structures = load_structures([folder / "liver_seg.nrrd", folder / "heart_seg.nrrd"], image)
        assert list(structures) == ["liver_seg", "heart_seg"]
        assert {s.structure_class for s in structures.values()} == {"organ"}
        # the same liver as a DICOM SEG, against the frame of reference that the DICOM image states
        of_dicom = load_structures(folder / "liver.dcm", load_volume(folder / "ct-3slice"))
        (liver,) = of_dicom.values()
        assert liver.role is StructureRole.AVOID
        assert liver.mask.n_voxels == structures["liver_seg"].mask.n_voxels
        with pytest.raises(MaskError, match="the image states none"):
            load_structures(folder / "liver.dcm", image)
