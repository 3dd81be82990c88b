"""Voxels of NRRD, MetaImage and NIfTI files: as other readers give them, and never more."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, SeriesGeometryError
from planner.geometry import Grid
from planner.io import inflating, load_volume, voxel_data
from planner.io.inflating import inflated_blocks
from planner.io.metaimage_file import read_metaimage_header
from planner.io.nrrd_file import file_beside, read_nrrd_header
from planner.io.voxel_data import VoxelData, first_bytes
from tests.grids import ORIENTED_AXES
from tests.mask_files import nrrd_header

GRID = Grid.from_axes((3, 5, 4), (4.0, 1.5, 1.2), (-10.0, 5.0, 40.0), ORIENTED_AXES["oblique"])
TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


def values(kind: str) -> np.ndarray:
    numbers = np.arange(60).reshape(GRID.shape_kji) * (1.25 if kind[0] == "f" else 2) - 7
    return numbers.astype(kind) if kind[0] != "u" else (numbers + 7).astype(kind)


def write_sitk(path: Path, array: np.ndarray, compressed: bool) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(GRID.spacing_kji_mm[::-1].tolist())
    image.SetOrigin(GRID.origin_lps_mm.tolist())
    image.SetDirection(GRID.axes_lps_from_kji[:, ::-1].ravel().tolist())
    sitk.WriteImage(image, str(path), compressed)
    return path


class TestAgainstOtherReaders:
    @pytest.mark.parametrize("kind", TYPES)
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
    def test_as_simpleitk_writes_it(self, tmp_path, name, compressed, kind):
        array = values(kind)
        volume = load_volume(write_sitk(tmp_path / name, array, compressed))
        assert np.array_equal(volume.values, array.astype(volume.values.dtype))
        assert volume.grid.is_close(GRID, tol_mm=1e-6)

    @pytest.mark.parametrize("kind", TYPES)
    @pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_as_pynrrd_writes_it(self, tmp_path, order, encoding, kind):
        array = values(kind).astype(order + kind)
        header = nrrd_header(GRID, encoding=encoding)
        nrrd.write(str(tmp_path / "a.nrrd"), array.T, header, index_order="F")
        found = load_volume(tmp_path / "a.nrrd").values
        assert np.array_equal(found, array.astype(found.dtype))
        assert found.dtype.isnative

    @pytest.mark.parametrize("key", ["byte skip", "line skip"])
    @pytest.mark.parametrize("encoding", ["raw", "gzip"])
    def test_skipped_bytes_and_lines(self, tmp_path, encoding, key):
        """A line is skipped before unpacking, bytes after it."""
        array = values("i2")
        path = tmp_path / "a.nrrd"
        nrrd.write(str(path), array.T, nrrd_header(GRID, encoding="raw"), index_order="F")
        head, _, data = path.read_bytes().partition(b"\n\n")
        head = head.replace(b"encoding: raw", b"encoding: " + encoding.encode())
        pack = gzip.compress if encoding == "gzip" else bytes
        data = pack(b"12345" + data) if key == "byte skip" else b"a line\n" + pack(data)
        skip = b"5" if key == "byte skip" else b"1"
        path.write_bytes(head + b"\n" + key.encode() + b": " + skip + b"\n\n" + data)
        assert np.array_equal(load_volume(path).values, array)

    def test_voxels_that_end_the_file(self, tmp_path):
        array = values("i2")
        path = tmp_path / "a.nrrd"
        nrrd.write(str(path), array.T, nrrd_header(GRID, encoding="raw"), index_order="F")
        head, _, data = path.read_bytes().partition(b"\n\n")
        path.write_bytes(head + b"\nbyte skip: -1\n\n" + b"#" * 33 + data)
        assert np.array_equal(load_volume(path).values, array)

    def test_block_wise_gzip(self, tmp_path):
        image = nibabel.Nifti1Image(values("i2").T, np.diag([1.2, 1.5, 4.0, 1.0]))
        whole = image.to_bytes()
        parts = [gzip.compress(whole[n : n + 50]) for n in range(0, len(whole), 50)]
        (tmp_path / "a.nii.gz").write_bytes(b"".join(parts))
        assert np.array_equal(load_volume(tmp_path / "a.nii.gz").values, values("i2"))


class TestInflating:
    @given(data=st.binary(max_size=3000), cut=st.integers(1, 40), block=st.integers(1, 700))
    def test_any_bytes_in_any_pieces(self, data, cut, block):
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = {
            "gzip": gzip.compress(data[:cut]) + gzip.compress(data[cut:]),
            "zlib": zlib.compress(data),
            "deflate": packer.compress(data) + packer.flush(),
            "bzip2": bz2.compress(data[:cut]) + bz2.compress(data[cut:]),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inflating, "_BLOCK_BYTES", block)
            patch.setattr(inflating, "_PACKED_BLOCK_BYTES", cut)
            for packing, stored in packed.items():
                found = list(inflated_blocks(packing, io.BytesIO(stored)))
                assert b"".join(found) == data
                assert max(map(len, found), default=0) <= block
                with pytest.raises((EOFError, zlib.error, OSError)):
                    list(inflated_blocks(packing, io.BytesIO(stored[:-2])))

    def test_damage_is_found_by_the_checksum(self):
        stored = bytearray(gzip.compress(bytes(range(256)) * 40))
        stored[-6] ^= 1
        with pytest.raises(zlib.error):
            list(inflated_blocks("gzip", io.BytesIO(bytes(stored))))

    def test_too_many_members(self, monkeypatch):
        monkeypatch.setattr(inflating, "MAX_MEMBERS", 3)
        assert list(inflated_blocks("gzip", io.BytesIO(gzip.compress(b"a") * 3))) == [b"a"] * 3
        with pytest.raises(zlib.error, match="more than 3 packed parts"):
            list(inflated_blocks("gzip", io.BytesIO(gzip.compress(b"a") * 4)))

    def test_the_first_bytes_alone(self, tmp_path):
        (tmp_path / "a").write_bytes(gzip.compress(bytes(10**7)))
        assert first_bytes(tmp_path / "a", 20, is_gzip=True) == bytes(20)
        assert first_bytes(tmp_path / "a", 2, is_gzip=False) == b"\x1f\x8b"


class TestRefused:
    def data(self, path: Path, content: bytes, **how: object) -> VoxelData:
        path.write_bytes(content)
        how = {"start": 0, "shape": (2, 3), "dtype": np.dtype("<i2"), **how}
        return VoxelData(path=path, name=path.name, **how)

    @pytest.mark.parametrize(
        ("content", "how", "match"),
        [
            (bytes(11), {}, "it is cut off; seen: 11 bytes; needed: 12 bytes"),
            (bytes(12), {"start": 1}, "it is cut off"),
            (bytes(12), {"shape": (0, 3)}, "an axis is empty"),
            (bytes(12), {"shape": (10**6, 10**6)}, "too large; seen: 2e\\+03 GB; .* 8 GB"),
            (zlib.compress(bytes(11)), {"encoding": "zlib"}, "voxels are cut off"),
            (zlib.compress(bytes(13)), {"encoding": "zlib"}, "more than its header promises"),
            (zlib.compress(bytes(12))[:-5], {"encoding": "zlib"}, "packed voxels are damaged"),
            (b"not packed", {"encoding": "gzip"}, "packed voxels are damaged"),
            (zlib.compress(bytes(12)), {"encoding": "zlib", "skip": 10**12}, "begin too late"),
            (b"1 2 3 4 5", {"encoding": "text"}, "number of values is wrong; seen: 5; needed: 6"),
            (b"1 2 3 4 5 x", {"encoding": "text"}, "a voxel is not a number"),
            (b"1 2 3 4 5 " + b"1" * 41, {"encoding": "text"}, "a voxel is not a number"),
        ],
    )
    def test_in_words(self, tmp_path, content, how, match):
        with pytest.raises(InputError, match=match):
            self.data(tmp_path / "a", content, **how).read()

    def test_voxels_behind_too_much_else(self, tmp_path, monkeypatch):
        monkeypatch.setattr(voxel_data, "MAX_SKIPPED_BYTES", 100)
        behind = self.data(tmp_path / "a", zlib.compress(bytes(112)), encoding="zlib", skip=-1)
        assert behind.read().shape == (2, 3)
        behind = self.data(tmp_path / "a", zlib.compress(bytes(113)), encoding="zlib", skip=-1)
        with pytest.raises(InputError, match="more than its header promises"):
            behind.read()

    @pytest.mark.parametrize(
        "named",
        [
            "../a.raw",
            "/etc/passwd",
            "sub/a.raw",
            "..",
            "a\\b",
            "c:a",
            "LIST",
            "a%03d.raw",
            "no.raw",
        ],
    )
    def test_a_data_file_elsewhere(self, tmp_path, named):
        (tmp_path / "sub").mkdir()
        for place in (tmp_path, tmp_path / "sub", tmp_path.parent):
            (place / "a.raw").write_bytes(bytes(1000))
        assert file_beside(tmp_path / "a.mhd", "a.raw") == tmp_path / "a.raw"
        with pytest.raises(InputError, match="one file in the same folder"):
            file_beside(tmp_path / "a.mhd", named)
        for name, field in (("a.mhd", "ElementDataFile = "), ("a.nhdr", "data file: ")):
            path = write_sitk(tmp_path / name, values("i2"), False)
            lines = path.read_text().splitlines()
            changed = [f"{field}{named}" if line.startswith(field) else line for line in lines]
            path.write_text("\n".join(changed) + "\n")
            with pytest.raises(InputError, match="one file in the same folder"):
                load_volume(path)

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("NDims = 900", "'NDims'; seen: 900"),
            ("NDims = nan", "'NDims'"),
            ("DimSize = 4 5", "'DimSize'; seen: 4 5; needed: 3 finite numbers"),
            ("DimSize = 4 5 " + "9" * 400, "'DimSize'"),
            ("DimSize = 4 5 99999999999", "'DimSize'; seen: 1e\\+11"),
            ("ElementSpacing = 1 1 inf", "'ElementSpacing'"),
            ("CompressedData = maybe", "'CompressedData'"),
            ("ElementType = MET_STRING", "of a type that is not read"),
            ("DimSize = 4 5 3\nDimSize = 4 5 3", "'DimSize' twice"),
            ("ElementNumberOfChannels = 1e9", "1000000000 components"),
        ],
    )
    def test_metaimage_headers(self, tmp_path, line, match):
        path = write_sitk(tmp_path / "a.mha", values("i2"), False)
        key = line.split(" =", 1)[0]
        head, end, rest = path.read_bytes().partition(b"ElementDataFile")
        lines = [t for t in head.decode().splitlines() if not t.startswith(f"{key} =")]
        path.write_bytes("\n".join([*lines, line, ""]).encode() + end + rest)
        with pytest.raises(InputError, match=match):
            load_volume(path)

    def test_a_spacing_is_not_made_up(self, tmp_path):
        path = write_sitk(tmp_path / "a.mha", values("i2"), False)
        data = path.read_bytes()
        at = data.index(b"ElementSpacing")
        path.write_bytes(data[:at] + data[data.index(b"\n", at) + 1 :])
        with pytest.raises(InputError, match="'ElementSpacing'; seen: no such field"):
            read_metaimage_header(path)

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            (b"type: short", b"type: block", "voxels of an unknown type"),
            (b"endian: little", b"endian: middle", "voxels of an unknown type"),
            (b"encoding: raw", b"encoding: hex", "packed in a way that is not read"),
            (b"dimension: 3", b"dimension: 4", "contradicts itself"),
            (b"space: left-posterior-superior", b"space: scanner-xyz", "does not say where"),
            (b"\n\n", b"\nline skip: 1000000000\n\n", "line skip that cannot be"),
            (b"\n\n", b"\nbyte skip: -2\n\n", "byte skip that cannot be"),
            (b"\n\n", b'\nspace units: "m" "m" "m"\n\n', "not in millimetres"),
        ],
    )
    def test_nrrd_headers(self, tmp_path, old, new, match):
        path = write_sitk(tmp_path / "a.nrrd", values("i2"), False)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))
        with pytest.raises(InputError, match=match) as caught:
            load_volume(path)
        assert isinstance(caught.value, SeriesGeometryError) is ("space" in new.decode())

    def test_components_are_no_volume(self, tmp_path):
        nrrd.write(
            str(tmp_path / "a.nrrd"),
            np.zeros((3, 4, 5, 6), np.int16),
            {**nrrd_header(GRID), "kinds": ["RGB-color", "domain", "domain", "domain"]}
            | {"space directions": np.vstack([[np.nan] * 3, np.eye(3)])},
        )
        assert read_nrrd_header(tmp_path / "a.nrrd").list_axis == 0
        with pytest.raises(InputError, match="seen: 3 components"):
            load_volume(tmp_path / "a.nrrd")
