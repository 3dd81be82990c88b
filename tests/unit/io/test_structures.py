"""Structures from files: formats, folders, other grids, and headers that contradict the image."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from planner.errors import MaskError, UnsupportedObjectError
from planner.geometry import Grid, Mask
from planner.io import load_structures
from planner.io.mask_file import mask_stem
from planner.model import StructureRole
from tests.mask_files import (
    SUFFIXES,
    image_on,
    moved_grid,
    nrrd_header,
    reading_notes,
    write_mask,
    write_metaimage,
    write_nifti,
    write_nrrd,
)


class TestFormats:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_one_structure_is_named_by_its_stem(self, tmp_path, oriented_grid, suffix, rng):
        labels = (rng.random(oriented_grid.shape_kji) < 0.3).astype(np.uint8)
        path = write_mask(tmp_path / f"L5 root{suffix}", labels, oriented_grid)
        structures = load_structures(path, image_on(oriented_grid))
        root = structures["L5 root"]
        assert np.array_equal(root.mask.inside, labels == 1)
        assert (root.role, root.margin_mm, root.structure_class) == (
            StructureRole.AVOID,
            None,
            "nerve",
        )
        assert root.source.method == "same grid"
        assert root.source.grown_mm == 0.0
        assert root.source.file == path.name
        assert root.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert root.source.role_from == "table generic"
        assert root.source.segment_name is None
        assert reading_notes(structures) == ()

    @pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.float32, np.float64])
    def test_number_types(self, tmp_path, grid, blob, kind):
        path = write_nifti(tmp_path / "aorta.nii.gz", blob.astype(kind), grid)
        assert load_structures(path, image_on(grid))["aorta"].mask.n_voxels == blob.sum()

    @pytest.mark.parametrize("value", [1, 255])
    def test_yes_no_masks(self, tmp_path, grid, blob, value):
        path = write_nifti(tmp_path / "aorta.nii", blob * np.uint8(value), grid)
        # The table would call label 1 the spinal cord; a yes/no mask is no label map.
        structures = load_structures(path, image_on(grid), label_table="totalspineseg")
        assert list(structures) == ["aorta"]

    @pytest.mark.parametrize(
        ("space", "sign"),
        [
            ("left-posterior-superior", (1, 1, 1)),
            ("LPS", (1, 1, 1)),
            ("right-anterior-superior", (-1, -1, 1)),
            ("RAS", (-1, -1, 1)),
            ("left-anterior-superior", (1, -1, 1)),
        ],
    )
    def test_nrrd_spaces(self, tmp_path, oriented_grid, rng, space, sign):
        labels = (rng.random(oriented_grid.shape_kji) < 0.3).astype(np.uint8)
        header = nrrd_header(oriented_grid)
        header |= {
            "space": space,
            "space directions": header["space directions"] * np.array(sign),
            "space origin": header["space origin"] * np.array(sign),
        }
        path = write_nrrd(tmp_path / "cord.nrrd", labels, header)
        cord = load_structures(path, image_on(oriented_grid))["cord"]
        assert np.array_equal(cord.mask.inside, labels == 1)
        assert cord.source.method == "same grid"

    def test_nifti_scaling_is_applied(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "scaled.nii", blob, grid)
        raw = bytearray(path.read_bytes())
        raw[112:120] = np.array([2.0, 0.0], "<f4").tobytes()  # scl_slope, scl_inter
        path.write_bytes(bytes(raw))
        structure = load_structures(path, image_on(grid))["scaled"]
        assert structure.source.label_value == 2
        assert structure.mask.n_voxels == blob.sum()

    def test_only_a_qform(self, tmp_path, oriented_grid, rng):
        labels = (rng.random(oriented_grid.shape_kji) < 0.3).astype(np.uint8)
        path = write_nifti(tmp_path / "ivc.nii.gz", labels, oriented_grid, codes=(1, 0))
        ivc = load_structures(path, image_on(oriented_grid))["ivc"]
        assert np.array_equal(ivc.mask.inside, labels == 1)

    def test_stems(self):
        assert mask_stem(Path("x/a.b.nii.gz")) == "a.b"
        assert mask_stem(Path("Segmentation.SEG.NRRD")) == "Segmentation"
        assert mask_stem(Path("skin.mha")) == "skin"


class TestFolder:
    def test_every_mask_file_of_a_folder(self, tmp_path, grid, blob):
        write_nifti(tmp_path / "aorta.nii.gz", blob, grid)
        write_nifti(tmp_path / "sacrum.nii.gz", np.roll(blob, 1, axis=0), grid)
        write_nifti(tmp_path / "liver.nii.gz", np.zeros_like(blob), grid)
        (tmp_path / "statistics.json").write_text("{}")
        structures = load_structures(tmp_path, image_on(grid))
        assert list(structures) == ["aorta", "sacrum"]
        assert any("files that are no masks: statistics.json" in w for w in structures.warnings)

    def test_a_folder_without_masks_is_refused(self, tmp_path, grid):
        (tmp_path / "a.txt").write_text("")
        with pytest.raises(UnsupportedObjectError, match="no mask file that is read here"):
            load_structures(tmp_path, image_on(grid))

    def test_a_folder_of_empty_masks_is_refused(self, tmp_path, grid, blob):
        write_nifti(tmp_path / "liver.nii.gz", np.zeros_like(blob), grid)
        with pytest.raises(MaskError, match="no mask of the folder has a voxel in the image"):
            load_structures(tmp_path, image_on(grid))


class TestOtherGrids:
    def test_flipped_axes_are_reordered(self, tmp_path, grid, rng):
        labels = (rng.random(grid.shape_kji) < 0.4).astype(np.uint8)
        flipped = Grid.from_axes(
            grid.shape_kji,
            grid.spacing_kji_mm,
            grid.to_lps([0, grid.shape_kji[1] - 1, 0]),
            grid.axes_lps_from_kji @ np.diag([1, -1, 1]),
        )
        path = write_nifti(tmp_path / "cord.nii.gz", labels[:, ::-1], flipped)
        cord = load_structures(path, image_on(grid))["cord"]
        assert np.array_equal(cord.mask.inside, labels == 1)
        assert (cord.source.method, cord.source.grown_mm) == ("reordered axes", 0.0)

    @pytest.mark.parametrize(
        ("role", "method"),
        [
            ("avoid", "conservative cover"),
            ("bone", "conservative cover"),
            ("implant", "conservative cover"),
            ("body", "nearest"),
            ("target", "nearest"),
            ("allowed", "nearest"),
        ],
    )
    def test_the_role_decides_how(self, tmp_path, grid, oriented_grid, rng, role, method):
        fine = Grid.from_axes(
            (40, 40, 40),
            (0.45, 0.45, 0.45),
            oriented_grid.centre_lps_mm - 9.0,
        )
        labels = (rng.random(fine.shape_kji) < 0.02).astype(np.uint8)
        path = write_nifti(tmp_path / "thing.nii.gz", labels, fine)
        structures = load_structures(path, image_on(oriented_grid), roles={"thing": role})
        thing = structures["thing"]
        assert thing.source.method == method
        assert thing.source.grown_mm > 0
        assert thing.source.grid.is_close(fine, tol_mm=1e-3)
        assert any(f"{thing.source.grown_mm:.2f} mm: thing" in w for w in structures.warnings)
        centres = fine.to_lps(np.argwhere(labels))
        centres = centres[oriented_grid.contains(centres)]
        lost = ~thing.mask.contains(centres)
        assert lost.any() == (method == "nearest")

    def test_nested_grids_do_not_grow_and_do_not_warn(self, tmp_path, grid, blob):
        coarse = Grid.from_axes(
            (3, 4, 7),
            grid.spacing_kji_mm * [2, 2, 1],
            grid.to_lps([0.5, 0.5, 0.0]),
            grid.axes_lps_from_kji,
        )
        labels = np.zeros(coarse.shape_kji, np.uint8)
        labels[1, 2, 3] = 1
        path = write_metaimage(tmp_path / "aorta.mha", labels, coarse)
        structures = load_structures(path, image_on(grid))
        assert reading_notes(structures) == ()
        assert structures["aorta"].mask.n_voxels == 4

    def test_voxels_outside_the_image_are_counted(self, tmp_path, grid, blob):
        part = grid.cropped((3, 0, 0), (6, 8, 7))
        path = write_nifti(tmp_path / "cord.nii.gz", blob, grid)
        structures = load_structures(path, image_on(part))
        assert structures["cord"].mask.n_voxels == 12
        assert "voxels outside the image volume: cord (12 of 24)" in structures.warnings[0]

    def test_a_structure_beyond_the_image_is_left_out_aloud(self, tmp_path, grid, blob):
        blob[5] = 2
        part = grid.cropped((1, 0, 0), (5, 8, 7))
        path = write_nifti(tmp_path / "s.nii.gz", blob, grid, {1: "cord", 2: "aorta"})
        structures = load_structures(path, image_on(part))
        assert list(structures) == ["cord"]
        assert "nothing of it is protected: aorta" in structures.warnings[0]


class TestHeaderAgainstImage:
    def test_half_a_voxel_is_covered(self, tmp_path, grid, blob):
        # The corner-or-centre mistake: half a voxel along every axis, bounded and told.
        half = moved_grid(grid, grid.axes_lps_from_kji @ (grid.spacing_kji_mm / 2))
        path = write_nifti(tmp_path / "cord.nii.gz", blob, half)
        structures = load_structures(path, image_on(grid))
        cord = structures["cord"]
        assert cord.source.method == "conservative cover"
        assert cord.source.grown_mm == pytest.approx(np.linalg.norm(grid.spacing_kji_mm) / 2)
        assert cord.mask.inside[blob == 1].all()
        assert "grown by up to 1.75 mm" in structures.warnings[0]

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_more_than_half_a_voxel_is_refused(self, tmp_path, oriented_grid, rng, axis):
        labels = (rng.random(oriented_grid.shape_kji) < 0.4).astype(np.uint8)
        step = oriented_grid.lps_from_kji[:3, axis]
        path = write_nifti(tmp_path / "a.nii.gz", labels, moved_grid(oriented_grid, 0.45 * step))
        assert load_structures(path, image_on(oriented_grid))["a"].source.grown_mm > 0
        path = write_nifti(tmp_path / "b.nii.gz", labels, moved_grid(oriented_grid, 0.55 * step))
        with pytest.raises(MaskError, match=r"header disagrees.*mm from their twins.*b\.nii\.gz"):
            load_structures(path, image_on(oriented_grid))

    def test_a_shift_by_whole_voxels_is_refused(self, tmp_path, grid, blob):
        # On the lattice, so it could be copied; but the twin voxels are elsewhere.
        path = write_nifti(tmp_path / "cord.nii.gz", blob, moved_grid(grid, (3.0, 0.0, 0.0)))
        with pytest.raises(MaskError, match="same size and voxel spacing, but another position"):
            load_structures(path, image_on(grid))

    def test_a_lost_origin_is_refused(self, tmp_path, grid, blob):
        lost = moved_grid(grid, -grid.origin_lps_mm)
        path = write_nifti(tmp_path / "cord.nii.gz", blob, lost)
        with pytest.raises(
            MaskError, match=r"first voxel at \(0\.0, 0\.0, 0\.0\).*lost its position"
        ):
            load_structures(path, image_on(grid))

    def test_lost_axes_are_refused(self, tmp_path, oriented_grid, rng):
        labels = (rng.random(oriented_grid.shape_kji) < 0.4).astype(np.uint8)
        turned = Grid.from_axes(
            oriented_grid.shape_kji,
            oriented_grid.spacing_kji_mm,
            oriented_grid.origin_lps_mm,
            oriented_grid.axes_lps_from_kji @ np.diag([1.0, -1.0, -1.0]),
        )
        path = write_nifti(tmp_path / "a.nii.gz", labels, turned)
        with pytest.raises(MaskError, match="header disagrees with the image"):
            load_structures(path, image_on(oriented_grid))

    def test_permuted_axes_with_a_wrong_header_are_refused(self, tmp_path, grid, blob):
        swapped = Grid.from_axes(
            (8, 6, 7), (1.0, 3.0, 1.5), grid.origin_lps_mm, grid.axes_lps_from_kji
        )
        path = write_nifti(tmp_path / "a.nii.gz", blob.swapaxes(0, 1).copy(), swapped)
        with pytest.raises(MaskError, match="header disagrees with the image"):
            load_structures(path, image_on(grid))

    def test_another_place_is_refused(self, tmp_path, grid):
        away = Grid.from_axes((5, 5, 5), (2.0, 2.0, 2.0), (300.0, 0.0, 0.0))
        path = write_nifti(tmp_path / "a.nii.gz", np.ones((5, 5, 5), np.uint8), away)
        with pytest.raises(
            MaskError, match=r"does not overlap.*another frame of reference.*304\.0"
        ):
            load_structures(path, image_on(grid))

    def test_nothing_in_the_image_is_refused(self, tmp_path, grid, blob):
        part = grid.cropped((4, 0, 0), (6, 8, 7))
        path = write_nifti(tmp_path / "cord.nii.gz", blob, grid)
        with pytest.raises(MaskError, match="no voxel of the mask lies in the image"):
            load_structures(path, image_on(part))
        path = write_nifti(tmp_path / "zero.nii.gz", np.zeros_like(blob), grid)
        with pytest.raises(MaskError, match="no voxel of the mask lies in the image"):
            load_structures(path, image_on(grid))


def test_masks_are_on_the_image_grid(tmp_path, grid, blob):
    path = write_nifti(tmp_path / "cord.nii", blob, grid)
    structures = load_structures([path], image_on(grid))
    assert structures.grid is grid
    assert isinstance(structures["cord"].mask, Mask)
    assert structures["cord"].mask.grid is grid
    assert structures["cord"].source.grid.frame is grid.frame


def test_no_files_give_an_empty_set(grid):
    assert len(load_structures([], image_on(grid))) == 0
