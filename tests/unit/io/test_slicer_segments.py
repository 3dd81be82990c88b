"""Segmentations of 3D Slicer: layers, names, and segments that contradict the voxels."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import MaskError
from planner.geometry import Grid
from planner.io import load_structures
from planner.model import StructureRole
from tests.mask_files import (
    image_on,
    nrrd_header,
    write_nrrd,
    write_slicer,
)


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
