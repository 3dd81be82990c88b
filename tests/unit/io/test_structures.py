"""Structures from files: names, roles, other grids, and everything that is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import ConfigError, MaskError, UnsupportedObjectError
from planner.geometry import FrameId, Grid, Mask
from planner.io import load_structures, parse_role
from planner.io.mask_file import mask_stem
from planner.model import StructureRole
from tests.mask_files import (
    image_on,
    nrrd_header,
    reading_notes,
    write_metaimage,
    write_nifti,
    write_nrrd,
    write_slicer,
)

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha")


@pytest.fixture
def grid() -> Grid:
    return Grid.from_axes(
        (6, 8, 7), (3.0, 1.0, 1.5), (-20.0, 35.0, 110.0), frame=FrameId("1.2", "")
    )


@pytest.fixture
def blob(grid: Grid) -> np.ndarray:
    labels = np.zeros(grid.shape_kji, np.uint8)
    labels[2:4, 3:6, 1:5] = 1
    return labels


def write(path: Path, labels: np.ndarray, grid: Grid) -> Path:
    if path.name.endswith((".nii", ".nii.gz")):
        return write_nifti(path, labels, grid)
    if path.name.endswith(".mha"):
        return write_metaimage(path, labels, grid)
    return write_nrrd(path, labels, nrrd_header(grid))


def moved_grid(grid: Grid, by_lps_mm=(0.0, 0.0, 0.0), axes=None) -> Grid:
    return Grid.from_axes(
        grid.shape_kji,
        grid.spacing_kji_mm,
        grid.origin_lps_mm + by_lps_mm,
        grid.axes_lps_from_kji if axes is None else axes,
        grid.frame,
    )


class TestFormats:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_one_structure_is_named_by_its_stem(self, tmp_path, oriented_grid, suffix, rng):
        labels = (rng.random(oriented_grid.shape_kji) < 0.3).astype(np.uint8)
        path = write(tmp_path / f"L5 root{suffix}", labels, oriented_grid)
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


class TestSlicerSegments:
    def test_overlapping_segments_keep_all_their_voxels(self, tmp_path, oriented_grid, rng):
        shape = oriented_grid.shape_kji
        muscle, nerve = rng.random(shape) < 0.6, rng.random(shape) < 0.3
        vein = ~muscle & (rng.random(shape) < 0.3)
        layers = [muscle * np.uint8(1) + vein * np.uint8(7), nerve.astype(np.uint8)]
        segments = [("psoas left", 0, 1), ("L5 root", 1, 1), ("vein", 0, 7)]
        path = write_slicer(tmp_path / "s.seg.nrrd", layers, oriented_grid, segments)
        structures = load_structures(path, image_on(oriented_grid))
        for name, inside in (("psoas left", muscle), ("L5 root", nerve), ("vein", vein)):
            assert np.array_equal(structures[name].mask.inside, inside)
            assert structures[name].source.segment_name == name
        assert structures["vein"].source.label_value == 7
        assert (muscle & nerve).any()

    @pytest.mark.parametrize(
        ("stored", "name"),
        [
            (r"L5 root\nleft", "L5 root\nleft"),
            (r"aorta \\ vein", r"aorta \ vein"),
            (r"aorta \\n vein", r"aorta \n vein"),
            ("aorta éß 大動脈", "aorta éß 大動脈"),
            ("aorta: left := vein", "aorta: left := vein"),
        ],
    )
    def test_names_as_the_nrrd_format_escapes_them(self, tmp_path, grid, blob, stored, name):
        path = write_slicer(tmp_path / "s.seg.nrrd", [blob], grid, [("NAME", 0, 1)])
        path.write_bytes(path.read_bytes().replace(b":=NAME", b":=" + stored.encode(), 1))
        (structure,) = load_structures(path, image_on(grid)).values()
        assert (structure.name, structure.source.segment_name) == (name, name)
        assert np.array_equal(structure.mask.inside, blob == 1)

    def test_more_segments_than_any_anatomy_has(self, tmp_path, grid, blob):
        fields = slicer_fields([(f"s{n}", 0, n + 1) for n in range(301)])
        path = write_nrrd(tmp_path / "s.seg.nrrd", blob, nrrd_header(grid) | fields)
        with pytest.raises(MaskError, match="too many segments; seen: 301; needed: <= 300"):
            load_structures(path, image_on(grid))

    def test_layers_that_come_last(self, tmp_path, grid, blob):
        header = nrrd_header(grid)
        header["kinds"] = ["domain", "domain", "domain", "list"]
        header["space directions"] = np.vstack([header["space directions"], [np.nan] * 3])
        header |= slicer_fields([("cord", 0, 1), ("aorta", 1, 1)])
        voxels = np.stack([blob, np.roll(blob, 1, axis=0)])
        path = write_nrrd(tmp_path / "last.seg.nrrd", voxels, header)
        structures = load_structures(path, image_on(grid))
        assert np.array_equal(structures["aorta"].mask.inside, np.roll(blob, 1, axis=0) == 1)

    def test_old_files_without_layer_numbers(self, tmp_path, grid, blob):
        fields = slicer_fields([("cord", 0, 1), ("aorta", 1, 1)])
        old = {k: v for k, v in fields.items() if not k.endswith(("_Layer", "_LabelValue"))}
        header = layered_header(grid) | old
        voxels = np.moveaxis(np.stack([blob, np.roll(blob, 1, axis=0)]), 0, -1)
        path = write_nrrd(tmp_path / "old.seg.nrrd", voxels, header)
        structures = load_structures(path, image_on(grid))
        assert np.array_equal(structures["cord"].mask.inside, blob == 1)
        assert np.array_equal(structures["aorta"].mask.inside, np.roll(blob, 1, axis=0) == 1)

    def test_a_cropped_segmentation_is_the_same_lattice(self, tmp_path, grid, blob):
        part = grid.cropped((1, 2, 1), (5, 7, 6))
        path = write_slicer(
            tmp_path / "crop.seg.nrrd", [blob[1:5, 2:7, 1:6]], part, [("cord", 0, 1)]
        )
        cord = load_structures(path, image_on(grid))["cord"]
        assert np.array_equal(cord.mask.inside, blob == 1)
        assert (cord.source.method, cord.source.grown_mm) == ("same grid", 0.0)
        assert cord.source.grid.shape_kji == (4, 5, 5)

    def test_a_lone_default_name_gives_way_to_the_stem(self, tmp_path, grid, blob):
        path = write_slicer(tmp_path / "aorta.seg.nrrd", [blob], grid, [("Segment_1", 0, 1)])
        assert list(load_structures(path, image_on(grid))) == ["aorta"]
        path = write_slicer(tmp_path / "x.seg.nrrd", [blob], grid, [("L5 root", 0, 1)])
        assert list(load_structures(path, image_on(grid))) == ["L5 root"]

    def test_voxels_of_no_segment_are_kept_and_told(self, tmp_path, grid, blob):
        blob[5, 7, 6] = 9
        path = write_slicer(tmp_path / "s.seg.nrrd", [blob], grid, [("psoas", 0, 1)])
        structures = load_structures(path, image_on(grid))
        assert structures["s_9"].role is StructureRole.AVOID
        assert "without a name in the file's own table: 9" in structures.warnings[0]

    def test_an_empty_segment_is_left_out_aloud(self, tmp_path, grid, blob):
        segments = [("cord", 0, 1), ("L5 root", 0, 2)]
        path = write_slicer(tmp_path / "s.seg.nrrd", [blob], grid, segments)
        structures = load_structures(path, image_on(grid))
        assert list(structures) == ["cord"]
        assert "nothing of it is protected: L5 root" in structures.warnings[0]
        with pytest.raises(MaskError, match=r"'L5 root' \(avoid\) has no voxel in the image"):
            load_structures(path, image_on(grid), roles={"L5 root": "avoid"})

    def test_segments_that_share_voxels_in_one_layer_are_refused(self, tmp_path, grid, blob):
        header = nrrd_header(grid) | slicer_fields([("a", 0, 1), ("b", 0, 1)])
        path = write_nrrd(tmp_path / "s.seg.nrrd", blob, header)
        with pytest.raises(MaskError, match=r"two segments claim the same voxels.*'a' and 'b'"):
            load_structures(path, image_on(grid))

    def test_a_segment_in_a_layer_that_is_not_there_is_refused(self, tmp_path, grid, blob):
        header = nrrd_header(grid) | slicer_fields([("a", 1, 1)])
        path = write_nrrd(tmp_path / "s.seg.nrrd", blob, header)
        with pytest.raises(
            MaskError, match="segment 'a' is in a layer that the file does not have"
        ):
            load_structures(path, image_on(grid))

    @pytest.mark.parametrize("value", ["x", "0", "-1"])
    def test_a_useless_label_value_is_refused(self, tmp_path, grid, blob, value):
        header = nrrd_header(grid) | slicer_fields([("a", 0, 1)]) | {"Segment0_LabelValue": value}
        path = write_nrrd(tmp_path / "s.seg.nrrd", blob, header)
        with pytest.raises(MaskError, match="layer or label value"):
            load_structures(path, image_on(grid))

    def test_fractional_segmentations_are_refused(self, tmp_path, grid, blob):
        header = nrrd_header(grid) | {"Segmentation_MasterRepresentation": "Fractional labelmap"}
        path = write_nrrd(tmp_path / "s.seg.nrrd", blob, header)
        with pytest.raises(MaskError, match="stored as fractions"):
            load_structures(path, image_on(grid))


class TestNames:
    @pytest.fixture
    def two(self, grid: Grid) -> np.ndarray:
        labels = np.zeros(grid.shape_kji, np.uint8)
        labels[1:3, 2:4, 2:4], labels[4, 5:8, 1:4] = 23, 21
        return labels

    def test_label_table_in_the_nifti_header(self, tmp_path, grid, two):
        names = {21: "spinal_cord", 23: "aorta", 4: "gallbladder"}
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, names)
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"spinal_cord", "aorta"}
        assert structures["aorta"].source.label_value == 23
        assert structures["aorta"].source.segment_name == "aorta"
        assert structures["aorta"].source.role_from == "table TotalSegmentator/total"
        assert reading_notes(structures) == ()

    def test_a_label_missing_in_the_header_table(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {23: "aorta"})
        structures = load_structures(path, image_on(grid))
        assert structures["seg_21"].role is StructureRole.AVOID
        assert any("file's own table: 21" in w for w in structures.warnings)

    def test_an_unreadable_header_table_is_told(self, tmp_path, grid, two, monkeypatch):
        monkeypatch.setattr(
            "tests.mask_files.label_table_xml", lambda names: b"<LabelTable><Label Key='1'>"
        )
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {23: "aorta"})
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"seg_21", "seg_23"}
        assert "label table in the header is unreadable" in structures.warnings[0]

    def test_a_nameless_label_map_is_avoided(self, tmp_path, grid, two):
        # Not even the stem's own meaning counts: label 23 of psoas.nii.gz is not the psoas.
        path = write_nifti(tmp_path / "psoas.nii.gz", two, grid)
        structures = load_structures(path, image_on(grid))
        assert set(structures) == {"psoas_21", "psoas_23"}
        for structure in structures.values():
            assert structure.role is StructureRole.AVOID
            assert structure.margin_mm is None
            assert structure.structure_class is None
            assert structure.source.role_from == "default"
        assert (
            "labels without a name, avoided with the default margin: psoas_21, psoas_23"
            in (structures.warnings[0])
        )

    def test_numbers_are_read_by_the_table_the_user_chose(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid)
        structures = load_structures(path, image_on(grid), label_table="totalsegmentator/total_mr")
        assert structures["aorta"].structure_class == "vessel"
        assert "TotalSegmentator/total_mr (2.18.0)" in structures["aorta"].source.tool
        other = load_structures(path, image_on(grid), label_table="totalspineseg")
        assert set(other) == {"vertebrae_T1", "vertebrae_T3"}

    def test_a_lone_label_that_is_no_yes_or_no(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "crop.nii.gz", blob * np.uint8(60), grid)
        assert list(load_structures(path, image_on(grid))) == ["crop"]
        assert list(load_structures(path, image_on(grid), label_table="spineps")) == ["Spinal_Cord"]

    def test_names_in_the_file_win_over_the_chosen_table(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid, {21: "cord", 23: "aorta"})
        structures = load_structures(path, image_on(grid), label_table="totalspineseg")
        assert set(structures) == {"cord", "aorta"}
        assert structures["aorta"].source.tool is None

    def test_numbers_of_an_older_release_are_not_read_as_those_of_today(self, tmp_path, grid, blob):
        """41 is C1 in the one and L1 in the other; 202 tells which release it was."""
        labels = blob.astype(np.uint8) * 41
        labels[5, 7, 6] = 202
        path = write_nifti(tmp_path / "s.nii.gz", labels, grid)
        with pytest.raises(MaskError, match=r"not in it: 202; .*TotalSpineSeg/step2_2024"):
            load_structures(path, image_on(grid), label_table="totalspineseg")
        old = load_structures(path, image_on(grid), label_table="totalspineseg/step2_2024")
        assert set(old) == {"vertebrae_C1", "disc_L5_S"}
        # a number that no release knows is avoided and told, as ever
        labels[5, 7, 6] = 150
        odd = load_structures(
            write_nifti(tmp_path / "o.nii.gz", labels, grid),
            image_on(grid),
            label_table="totalspineseg",
        )
        assert odd["o_150"].role is StructureRole.AVOID

    def test_the_users_own_names(self, tmp_path, grid, two):
        path = write_nifti(tmp_path / "seg.nii.gz", two, grid)
        (tmp_path / "labels.json").write_text(
            json.dumps({"21": "L5 root", "23": "aorta", "4": "x"})
        )
        # The file beside it is never picked up without being asked for.
        assert set(load_structures(path, image_on(grid))) == {"seg_21", "seg_23"}
        for given in (tmp_path / "labels.json", {21: "L5 root", 23: "aorta"}):
            structures = load_structures(path, image_on(grid), label_names=given)
            assert structures["L5 root"].structure_class == "nerve"
            assert structures["aorta"].source.tool == "label names of the user"
            assert reading_notes(structures) == ()

    def test_names_not_needed_are_told(self, tmp_path, grid, blob):
        path = write_nifti(tmp_path / "aorta.nii.gz", blob, grid)
        structures = load_structures(path, image_on(grid), label_names={1: "vein"})
        assert list(structures) == ["aorta"]
        assert "the label names given were not used" in structures.warnings[0]

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ({"one": "aorta"}, "must map numbers to names; seen: 'one': 'aorta'"),
            ({1: ""}, "must map numbers to names; seen: 1: ''"),
            ({-1: "aorta"}, "must map numbers to names; seen: -1"),
            ([1, 2], "must map numbers to names"),
        ],
    )
    def test_useless_label_names_are_refused(self, grid, given, match):
        with pytest.raises(ConfigError, match=match):
            load_structures([], image_on(grid), label_names=given)

    def test_a_useless_label_file_is_refused(self, tmp_path, grid):
        (tmp_path / "bad.json").write_text("{")
        for name in ("bad.json", "absent.json"):
            with pytest.raises(ConfigError, match=f"label names cannot be read.*{name}"):
                load_structures([], image_on(grid), label_names=tmp_path / name)

    def test_two_structures_of_one_name_are_refused(self, tmp_path, grid, blob):
        (tmp_path / "b").mkdir()
        one = write_nifti(tmp_path / "aorta.nii.gz", blob, grid)
        two = write_nifti(tmp_path / "b" / "aorta.nii", blob, grid)
        with pytest.raises(MaskError, match=r"same name 'aorta'; in: aorta.nii.gz and aorta.nii\."):
            load_structures([one, two], image_on(grid))


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


class TestRoles:
    @pytest.fixture
    def path(self, tmp_path, grid, blob) -> Path:
        return write_nifti(tmp_path / "thing.nii.gz", blob, grid)

    @pytest.mark.parametrize(
        ("choice", "role", "margin_mm"),
        [
            ("avoid", StructureRole.AVOID, None),
            ("avoid:3.5", StructureRole.AVOID, 3.5),
            (("avoid", 3.0), StructureRole.AVOID, 3.0),
            (("bone", None), StructureRole.BONE, None),
            (StructureRole.IMPLANT, StructureRole.IMPLANT, None),
            ((StructureRole.AVOID, 0), StructureRole.AVOID, 0.0),
            ("Body", StructureRole.BODY, None),
        ],
    )
    def test_forms(self, path, grid, choice, role, margin_mm):
        structures = load_structures(path, image_on(grid), roles={"thing": choice})
        thing = structures["thing"]
        assert (thing.role, thing.margin_mm) == (role, margin_mm)
        assert thing.source.role_from == "user"
        assert reading_notes(structures) == ()

    def test_a_role_gives_an_unknown_name_its_class(self, path, grid):
        structures = load_structures(path, image_on(grid), roles={"thing": "body"})
        assert structures["thing"].structure_class == "skin_body"
        structures = load_structures(path, image_on(grid), roles={"thing": "avoid"})
        assert structures["thing"].structure_class is None

    def test_an_unknown_name_is_avoided_and_told(self, path, grid):
        structures = load_structures(path, image_on(grid))
        assert structures["thing"].role is StructureRole.AVOID
        assert structures["thing"].margin_mm is None
        assert structures["thing"].source.role_from == "default"
        assert "names that are not recognised" in structures.warnings[0]

    def test_a_role_for_a_name_that_is_not_there(self, path, grid):
        with pytest.raises(ConfigError, match=r"seen: 'thin'; needed: one of thing.*Did you mean"):
            load_structures(path, image_on(grid), roles={"thin": "avoid"})

    @pytest.mark.parametrize(
        ("choice", "match"),
        [
            ("avid", "'avid' is not a role.*role of 'thing'.*Did you mean 'avoid'"),
            ("", "'' is not a role"),
            ("avoid:x", "a margin must be a number.*seen: x"),
            ("avoid:nan", "a margin must be a number"),
            (("avoid", -1.0), "a margin must be a number.*seen: -1.0; needed: 0 to 100"),
            (("avoid", 101.0), "a margin must be a number"),
            (("body", 2.0), "the role body keeps no margin"),
            (("avoid", 1.0, 2.0), "a role must be"),
            (3, "a role must be"),
        ],
    )
    def test_bad_roles(self, path, grid, choice, match):
        with pytest.raises(ConfigError, match=match):
            load_structures(path, image_on(grid), roles={"thing": choice})


class TestParseRole:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("L5 root=avoid:3", ("L5 root", (StructureRole.AVOID, 3.0))),
            ("trunk=body", ("trunk", (StructureRole.BODY, None))),
            ("a=b:c=bone:0.5", ("a=b:c", (StructureRole.BONE, 0.5))),
        ],
    )
    def test_good(self, text, wanted):
        assert parse_role(text) == wanted

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("trunk", "needs the form NAME=ROLE"),
            ("=avoid", "needs the form NAME=ROLE"),
            ("trunk=", "'' is not a role"),
            ("trunk=bdy", "--role trunk=bdy. Did you mean 'body'"),
            ("root=avoid:", "a margin must be a number"),
            ("root=avoid:-2", "a margin must be a number"),
            ("lesion=target:2", "the role target keeps no margin"),
        ],
    )
    def test_bad(self, text, match):
        with pytest.raises(ConfigError, match=match):
            parse_role(text)


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
        path = write(tmp_path / f"cut{suffix}", labels, grid)
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


def slicer_fields(segments: list[tuple[str, int, int]]) -> dict[str, str]:
    fields = {}
    for n, (name, layer, value) in enumerate(segments):
        fields |= {
            f"Segment{n}_ID": f"Segment_{n + 1}",
            f"Segment{n}_Name": name,
            f"Segment{n}_Layer": str(layer),
            f"Segment{n}_LabelValue": str(value),
        }
    return fields


def layered_header(grid: Grid) -> dict[str, object]:
    header = nrrd_header(grid)
    header["kinds"] = ["list", "domain", "domain", "domain"]
    header["space directions"] = np.vstack([[np.nan] * 3, header["space directions"]])
    return header


def test_masks_are_on_the_image_grid(tmp_path, grid, blob):
    path = write_nifti(tmp_path / "cord.nii", blob, grid)
    structures = load_structures([path], image_on(grid))
    assert structures.grid is grid
    assert isinstance(structures["cord"].mask, Mask)
    assert structures["cord"].mask.grid is grid
    assert structures["cord"].source.grid.frame is grid.frame


def test_no_files_give_an_empty_set(grid):
    assert len(load_structures([], image_on(grid))) == 0
