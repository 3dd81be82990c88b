"""Mask files that are refused in words: damaged, without a position, or no masks at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import MaskError, UnsupportedObjectError
from planner.geometry import Grid
from planner.io import load_structures
from tests.mask_files import (
    SUFFIXES,
    image_on,
    moved_grid,
    nrrd_header,
    write_mask,
    write_metaimage,
    write_nifti,
    write_nrrd,
)


class TestRefusedFiles:
    def refuse(
        self, path: Path, grid: Grid, match: str, error: type[Exception] = MaskError
    ) -> None:
        with pytest.raises(error, match=match) as caught:
            load_structures(path, image_on(grid))
        assert path.name in str(caught.value)

    def test_missing(self, tmp_path, grid):
        self.refuse(tmp_path / "no.nii.gz", grid, "does not exist")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_garbage(self, tmp_path, grid, suffix):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(b"\x1f\x8b garbage" * 40)
        self.refuse(path, grid, "cannot be read|no position")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_cut_off(self, tmp_path, grid, rng, suffix):
        labels = (rng.random(grid.shape_kji) < 0.5).astype(np.uint8)
        path = write_mask(tmp_path / f"cut{suffix}", labels, grid)
        path.write_bytes(path.read_bytes()[:-60])
        self.refuse(path, grid, "cannot be read")

    @pytest.mark.parametrize(
        ("suffix", "kind"),
        [(".mhd", "separate data file"), (".xyz", "unknown kind")],
    )
    def test_other_kinds(self, tmp_path, grid, suffix, kind):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"solid")
        self.refuse(path, grid, f"not read: .*{kind}", UnsupportedObjectError)

    def test_dicom_is_recognised_by_its_content(self, tmp_path, grid):
        path = tmp_path / "IM0001"
        path.write_bytes(bytes(128) + b"DICM" + bytes(10))
        self.refuse(path, grid, "a DICOM object", UnsupportedObjectError)

    @pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
    def test_fractions(self, tmp_path, grid, blob, value):
        labels = blob.astype(np.float32)
        labels[5, 7, 6] = value
        self.refuse(write_nifti(tmp_path / "p.nii", labels, grid), grid, "not whole numbers")

    def test_negative(self, tmp_path, grid, blob):
        labels = blob.astype(np.int16)
        labels[0, 0, 0] = -1
        self.refuse(write_nifti(tmp_path / "n.nii", labels, grid), grid, "negative label; seen: -1")

    def test_too_large_a_label(self, tmp_path, grid, blob):
        labels = blob.astype(np.float64) * 2.0**40
        self.refuse(write_nifti(tmp_path / "n.nii", labels, grid), grid, "label that is too large")

    def test_an_image_given_as_a_mask(self, tmp_path, grid):
        values = (np.arange(np.prod(grid.shape_kji)) % 256).astype(np.uint8)
        path = write_nifti(tmp_path / "t2.nii", values.reshape(grid.shape_kji), grid)
        self.refuse(path, grid, "too many different values.*Is it an image")

    def test_too_many_voxels_are_refused_by_the_header(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "big.nii", blob, grid)
        raw = bytearray(path.read_bytes())
        raw[40:48] = np.array([3, 2000, 2000, 2000], "<i2").tobytes()
        path.write_bytes(bytes(raw))
        self.refuse(path, grid, r"too large to be read; seen: 8.00e\+09 voxels; needed: <= 2e\+09")
        path = write_nrrd(tmp_path / "big.nrrd", blob, nrrd_header(grid))
        text = path.read_bytes().replace(b"sizes: 7 8 6", b"sizes: 2000 2000 2000")
        path.write_bytes(text)
        self.refuse(path, grid, "too large to be read")
        path = write_metaimage(tmp_path / "big.mha", blob, grid)
        text = path.read_bytes().replace(b"DimSize = 7 8 6", b"DimSize = 2000 2000 2000")
        path.write_bytes(text)
        self.refuse(path, grid, "too large to be read")

    def test_too_many_masks_for_the_memory(self, tmp_path, grid, blob, monkeypatch):
        monkeypatch.setattr("planner.io.structures.MAX_MASK_BYTES", 335)
        path = write_nifti(tmp_path / "cord.nii", blob, grid)
        self.refuse(path, grid, "do not fit in memory")

    def test_four_axes(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "t.nii", np.stack([blob, blob]), grid)
        self.refuse(path, grid, "must have three axes")
        header = nrrd_header(grid) | {"kinds": ["domain"] * 4}
        header["space directions"] = np.vstack([header["space directions"], [np.nan] * 3])
        path = write_nrrd(tmp_path / "t.nrrd", np.stack([blob, blob]), header)
        self.refuse(path, grid, "must have three axes, or three and a list")

    def test_no_position_in_nifti(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "a.nii", blob, grid, codes=(0, 0))
        self.refuse(path, grid, "no position .qform and sform codes are 0")

    def test_two_positions_in_nifti(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "a.nii", blob, grid, codes=(1, 1))
        assert load_structures(path, image_on(grid))["a"].mask.n_voxels == blob.sum()
        raw = bytearray(path.read_bytes())
        raw[268:272] = np.array([77.0], "<f4").tobytes()  # qoffset_x
        path.write_bytes(bytes(raw))
        self.refuse(path, grid, r"two positions .*disagree; seen: \d+\.\d+ mm apart")

    def test_nifti_in_metres(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "a.nii", blob, grid)
        raw = bytearray(path.read_bytes())
        raw[123] = 1
        path.write_bytes(bytes(raw))
        self.refuse(path, grid, "not in millimetres; seen: meter")

    def test_a_position_far_from_any_scanner(self, tmp_path, grid, blob):
        far = moved_grid(grid, (0.0, 0.0, 1e6))
        path = write_nrrd(tmp_path / "a.nrrd", blob, nrrd_header(far))
        self.refuse(path, grid, r"not in a scanner room; seen: 1\.00011e\+06 mm")

    def test_sheared_axes(self, tmp_path, grid, blob):
        import nibabel

        affine = np.diag([1.5, 1.0, 3.0, 1.0])
        affine[0, 1] = 0.3
        path = tmp_path / "a.nii"
        nibabel.save(nibabel.Nifti1Image(blob.T, affine), path)
        self.refuse(path, grid, "position in the mask header cannot be used: .*sheared")

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"space": "scanner-xyz"}, "space that is not the patient's; seen: scanner-xyz"),
            ({"space": "3D-right-handed"}, "space that is not the patient's"),
            ({"space": None}, "no position.*no field 'space'"),
            ({"space origin": None}, "no position.*no field 'space origin'"),
            ({"space directions": None}, "no position.*no field 'space directions'"),
            ({"space units": ["um", "um", "um"]}, "not in millimetres"),
        ],
    )
    def test_nrrd_without_a_patient_position(self, tmp_path, grid, blob, change, match):
        header = {k: v for k, v in (nrrd_header(grid) | change).items() if v is not None}
        if "space" not in header:
            # Without a space the position fields may stay, but nothing says whose they are.
            header |= {"space dimension": 3}
        self.refuse(write_nrrd(tmp_path / "a.nrrd", blob, header), grid, match)

    def test_nrrd_with_its_voxels_elsewhere(self, tmp_path, grid, blob):
        path = write_nrrd(tmp_path / "a.nrrd", blob, nrrd_header(grid))
        head = path.read_bytes().split(b"\n\n")[0]
        path.write_bytes(head + b"\ndata file: /etc/hostname\n\n")
        self.refuse(path, grid, "keeps its voxels in another file")

    @pytest.mark.parametrize("field", ["Offset", "TransformMatrix"])
    def test_metaimage_without_a_position(self, tmp_path, grid, blob, field):
        path = write_metaimage(tmp_path / "a.mha", blob, grid)
        path.write_bytes(path.read_bytes().replace(field.encode(), b"Comment"))
        self.refuse(path, grid, f"no position in the patient; seen: no field '{field}'")

    def test_colours(self, tmp_path, grid, blob):
        import nibabel

        colours = np.zeros(blob.T.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
        path = tmp_path / "rgb.nii"
        nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), path)
        self.refuse(path, grid, "colours, not labels")
