"""Files that claim, or unpack to, far more than they are: a refusal in words, at once.

Each is a few megabytes at most. The worker may take 1.5 GB of address space and 400 MB of
memory more than for good files, and 10 s.
"""

from __future__ import annotations

import bz2
import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.dicom_writer import save
from tests.fuzz.corpus import PROCEDURE
from tests.fuzz.guard import Answer, Guard
from tests.fuzz.mutators import nested_sequences

pytest.importorskip("resource", reason="the limit of memory needs a POSIX system")

HUGE_KJI = (5000, 60000, 60000)
ZEROS = b"\0" * 2**24


def _packed_zeros() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)


PACKED_ZEROS = _packed_zeros()
"""Packed so that it may be repeated."""

REFUSED = ("refused", "exit 1", "exit 3")


@pytest.fixture
def refused(guard: Guard) -> Callable[..., str]:
    """Gives a file to actions; all must refuse it. What the first one said."""

    def ask(path: Path, *actions: str, match: str = "") -> str:
        answers: list[Answer] = [guard.ask(action, path) for action in actions]
        for action, answer in zip(actions, answers, strict=True):
            assert answer.fault is None, f"{action}: {answer.fault}\n{answer.text[-2000:]}"
            assert answer.outcome in REFUSED, f"{action}: {answer.outcome}"
            assert re.search(match, answer.text), answer.text[-2000:]
        return answers[0].text

    return ask


def deflated(data: bytes, n_zeros: int, *, wbits: int = -zlib.MAX_WBITS) -> bytes:
    """Data with so many zeros behind them, packed; the checksum at the end is none."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + PACKED_ZEROS * (n_zeros // len(ZEROS)) + b"\x03\0"


def deflated_dicom(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """A DICOM file of the deflated transfer syntax around changed bytes of its data set."""
    dataset = pydicom.dcmread(source)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(dataset, target)
    whole = target.read_bytes()
    data_at = 144 + int.from_bytes(whole[140:144], "little")
    plain = zlib.decompress(whole[data_at:], -zlib.MAX_WBITS)
    target.write_bytes(whole[:data_at] + change(plain))
    return target


class TestHeadersThatClaimTerabytes:
    @pytest.mark.parametrize("name", ["classic", "enhanced.dcm", "mosaic.dcm"])
    def test_dicom_images(self, good, refused, tmp_path, name):
        source = good / name
        for n, file in enumerate(sorted(source.iterdir()) if source.is_dir() else [source]):
            dataset = pydicom.dcmread(file)
            _, dataset.Rows, dataset.Columns = HUGE_KJI
            if name == "enhanced.dcm":
                dataset.NumberOfFrames = HUGE_KJI[0]
            save(dataset, tmp_path / f"{n}.dcm")
        refused(tmp_path, "load_volume", "inspect", "plan_image")

    def test_compressed_frames(self, good, refused, tmp_path):
        for name in ("rle", "j2k", "jpegls", "jpegll"):
            folder = tmp_path / name
            folder.mkdir()
            for n, file in enumerate(sorted((good / name).iterdir())):
                dataset = pydicom.dcmread(file)
                _, dataset.Rows, dataset.Columns = HUGE_KJI
                save(dataset, folder / f"{n}.dcm")
            refused(folder, "load_volume")

    @pytest.mark.parametrize("name", ["seg.dcm", "seg_fraction.dcm", "labelmap.dcm"])
    def test_dicom_seg(self, good, refused, tmp_path, name):
        dataset = pydicom.dcmread(good / name)
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = HUGE_KJI
        save(dataset, tmp_path / name)
        refused(tmp_path / name, "load_structures", match="too large")

    @pytest.mark.parametrize("name", ["image.nii", "image2.nii", "image.nii.gz"])
    def test_nifti(self, good, refused, tmp_path, name):
        data = (good / name).read_bytes()
        data = bytearray(gzip.decompress(data) if name.endswith("gz") else data)
        if name == "image2.nii":
            struct.pack_into("<4q", data, 16, 3, *HUGE_KJI[::-1])
        else:
            struct.pack_into("<4h", data, 40, 3, 32000, 32000, 32000)
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        refused(path, "load_volume", "inspect", "load_structures", match="too large")

    @pytest.mark.parametrize("name", ["image.nrrd", "packed.nrrd", "apart.nhdr"])
    def test_nrrd(self, good, refused, tmp_path, name):
        data = (good / name).read_bytes()
        sizes = " ".join(str(n) for n in HUGE_KJI[::-1]).encode()
        (tmp_path / name).write_bytes(re.sub(rb"sizes: [\d ]+", b"sizes: " + sizes, data))
        (tmp_path / "apart.raw").write_bytes(b"\0" * 100)
        refused(tmp_path / name, "load_volume", "inspect", match="too large")
        if name != "apart.nhdr":
            refused(tmp_path / name, "load_structures", match="too large")

    @pytest.mark.parametrize("name", ["image.mha", "packed.mha", "apart.mhd"])
    def test_metaimage(self, good, refused, tmp_path, name):
        data = (good / name).read_bytes()
        sizes = " ".join(str(n) for n in HUGE_KJI[::-1]).encode()
        (tmp_path / name).write_bytes(re.sub(rb"DimSize = [\d ]+", b"DimSize = " + sizes, data))
        (tmp_path / "apart.raw").write_bytes(b"\0" * 100)
        refused(tmp_path / name, "load_volume", "inspect", match="too large")
        if name != "apart.mhd":
            refused(tmp_path / name, "load_structures", match="too large")

    def test_a_claim_just_under_the_limit_takes_no_memory(self, good, refused, tmp_path):
        data = (good / "packed.nrrd").read_bytes()
        path = tmp_path / "packed.nrrd"
        path.write_bytes(re.sub(rb"sizes: [\d ]+", b"sizes: 1500 1500 1700", data))
        refused(path, "load_volume", match="cut off|damaged")


class TestPackedBombs:
    @pytest.mark.parametrize("n_zeros", [2**30])
    def test_a_deflated_image(self, good, refused, tmp_path, n_zeros):
        for n, file in enumerate(sorted((good / "classic").iterdir())):
            deflated_dicom(file, tmp_path / f"{n}", lambda data: deflated(data, n_zeros))
        refused(tmp_path, "load_volume", match="more than .* bytes where .* promised")

    @pytest.mark.parametrize("n_zeros", [2**30])
    def test_a_deflated_header(self, good, refused, tmp_path, n_zeros):
        """Zeros before anything that is known: a private element of gigabytes."""
        (file, *_) = sorted((good / "classic").iterdir())
        head = b"\x09\x00\x10\x00UN\0\0" + n_zeros.to_bytes(4, "little")
        deflated_dicom(file, tmp_path / "bomb", lambda data: deflated(head, n_zeros))
        refused(tmp_path / "bomb", "load_volume", "inspect", "load_structures")

    @pytest.mark.parametrize("name", ["seg.dcm", "rtstruct.dcm"])
    def test_a_deflated_mask(self, good, refused, tmp_path, name):
        path = deflated_dicom(good / name, tmp_path / name, lambda data: deflated(data, 2**30))
        refused(path, "load_structures", match="too many|a damaged")

    def test_two_deflated_files_that_look_like_copies(self, good, refused, tmp_path):
        (file, *_) = sorted((good / "classic").iterdir())
        pixels = file.read_bytes()
        pixels = pixels[144 + int.from_bytes(pixels[140:144], "little") :]
        for n in (0, 1):
            bomb = deflated(pixels, 2**30 + n * len(ZEROS))
            deflated_dicom(file, tmp_path / f"{n}", lambda _, bomb=bomb: bomb)
        refused(tmp_path, "load_volume", "inspect")

    def test_gzip_nifti(self, good, refused, tmp_path):
        path = tmp_path / "image.nii.gz"
        content = gzip.decompress((good / "image.nii.gz").read_bytes())
        path.write_bytes(deflated(content, 2**30, wbits=31))
        refused(path, "load_volume", "load_structures", match="more than its header promises")

    def test_gzip_nifti_with_extensions_of_gigabytes(self, good, refused, tmp_path):
        data = bytearray(gzip.decompress((good / "image.nii.gz").read_bytes()))
        struct.pack_into("<f", data, 108, 2.0**30)  # vox_offset
        head = bytes(data[:348]) + b"\1\0\0\0" + struct.pack("<2i", 2**30 - 352, 4)
        path = tmp_path / "image.nii.gz"
        path.write_bytes(deflated(head, 2**30, wbits=31))
        refused(path, "load_volume", "load_structures", match="cannot begin at byte")

    @pytest.mark.parametrize("skip", ["", "byte skip: -1\n", "byte skip: 999999999999\n"])
    def test_gzip_nrrd(self, good, refused, tmp_path, skip):
        head, _, packed = (good / "packed.nrrd").read_bytes().partition(b"\n\n")
        head += b"\n" + skip.encode() if skip else b"\n"
        content = zlib.decompress(packed, 31)
        path = tmp_path / "packed.nrrd"
        path.write_bytes(head + b"\n" + deflated(content, 2**30, wbits=31))
        refused(path, "load_volume", "load_structures", match="more than|begin too late")

    def test_bzip2_nrrd(self, good, refused, tmp_path):
        head = (good / "packed.nrrd").read_bytes().partition(b"\n\n")[0]
        packed = bz2.compress(ZEROS * 16)
        path = tmp_path / "packed.nrrd"
        path.write_bytes(head.replace(b"gzip", b"bzip2") + b"\n\n" + packed)
        refused(path, "load_volume", "load_structures", match="more than its header promises")

    def test_many_empty_gzip_members(self, good, refused, tmp_path):
        path = tmp_path / "image.nii.gz"
        path.write_bytes(gzip.compress(b"") * 300_000)
        refused(path, "load_volume", "load_structures", match="packed parts")

    def test_zlib_metaimage(self, good, refused, tmp_path):
        head, _, packed = (good / "packed.mha").read_bytes().partition(b"LOCAL\n")
        path = tmp_path / "packed.mha"
        content = zlib.decompress(packed)
        path.write_bytes(head + b"LOCAL\n" + deflated(content, 2**30, wbits=zlib.MAX_WBITS))
        refused(path, "load_volume", "load_structures", match="more than its header promises")

    def test_voxels_as_text_in_one_endless_number(self, good, refused, tmp_path):
        head = (good / "image.nrrd").read_bytes().partition(b"\n\n")[0]
        path = tmp_path / "image.nrrd"
        numbers = b"0 " * (5 * 36 * 34 - 1) + b"1" * 20_000_000
        path.write_bytes(head.replace(b"raw", b"ascii") + b"\n\n" + numbers)
        refused(path, "load_volume", "load_structures", match="not a number")


class TestNesting:
    @pytest.mark.parametrize("depth", [100, 60_000])
    @pytest.mark.parametrize("name", ["classic", "seg.dcm", "rtstruct.dcm", "enhanced.dcm"])
    def test_sequences_in_sequences(self, guard, good, tmp_path, name, depth):
        """A shallow one is read; of the others the least is that nothing breaks."""
        source = good / name
        file = sorted(source.iterdir())[0] if source.is_dir() else source
        data = file.read_bytes()
        data_at = 144 + int.from_bytes(data[140:144], "little")
        at = data.index(b"\x10\x00\x10\x00PN", data_at)
        path = tmp_path / "nested.dcm"
        path.write_bytes(data[:at] + nested_sequences(depth, b"\x09\x00\x10\x10") + data[at:])
        masks = ("load_structures",) if name in ("seg.dcm", "rtstruct.dcm") else ()
        for action in ("load_volume", "inspect", *masks):
            answer = guard.ask(action, path)
            assert answer.fault is None, f"{action}: {answer.fault}\n{answer.text[-2000:]}"

    def test_functional_groups_in_functional_groups(self, good, refused, tmp_path):
        data = (good / "enhanced.dcm").read_bytes()
        at = data.index(b"\x00\x52\x29\x92SQ")
        groups = nested_sequences(100_000, b"\x00\x52\x30\x92")
        (tmp_path / "e.dcm").write_bytes(data[:at] + groups + data[at:])
        refused(tmp_path / "e.dcm", "load_volume", "inspect")

    @pytest.mark.parametrize("opening", ["[", '{"a":', '{"markups":[', '{"schema":['])
    def test_json(self, refused, tmp_path, opening):
        for name, actions in {
            "x.mrk.json": ("read_target", "plan_target"),
            "names.json": ("label_names",),
            "plan.json": ("load_plan", "verify"),
        }.items():
            (tmp_path / name).write_text(opening * 50_000)
            refused(tmp_path / name, *actions)

    @pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a." * 200_000 + "b = 1", "[" * 9000])
    def test_toml(self, refused, tmp_path, text):
        (tmp_path / "x.toml").write_text(text)
        refused(tmp_path / "x.toml", "load_config", "plan_config", "load_protocol")

    def test_elements_of_nothing(self, good, refused, tmp_path):
        """Eight bytes each, in a private sequence and at the top."""
        data = (good / "classic" / "IM0000").read_bytes()
        at = data.index(b"\x10\x00\x10\x00PN")
        opening = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        for n, start in enumerate((opening, b"")):
            file = tmp_path / f"{n}.dcm"
            file.write_bytes(data[:at] + start + b"\x09\x00\x10\x10LO\0\0" * 1_200_000)
            refused(file, "load_volume", "inspect", "load_structures")

    def test_zeros_behind_a_header(self, good, refused, tmp_path):
        data = (good / "rtstruct.dcm").read_bytes()
        (tmp_path / "rt.dcm").write_bytes(data + b"\0" * 20_000_000)
        refused(tmp_path / "rt.dcm", "load_volume", "load_structures")


class TestTexts:
    def test_a_toml_of_megabytes(self, refused, good, tmp_path):
        for name, actions in {
            "config.toml": ("load_config", "plan_config"),
            PROCEDURE: ("load_protocol", "show_protocol"),
        }.items():
            text = (good / name).read_text()
            (tmp_path / name).write_text("# comment\n" * 2_000_000 + text)
            refused(tmp_path / name, *actions, match="too large")

    def test_a_toml_of_many_long_keys(self, refused, tmp_path):
        """Dotted keys cost the parser the square of their parts."""
        lines = [f"{'a.' * 190}k{n} = 1" for n in range(500)]
        (tmp_path / "x.toml").write_text("\n".join(lines))
        refused(tmp_path / "x.toml", "load_config", "load_protocol")

    def test_markups_and_plans_of_megabytes(self, refused, good, tmp_path):
        for name, actions in {
            "target.mrk.json": ("read_target", "plan_target"),
            "target.fcsv": ("read_target", "plan_target"),
            "plan.json": ("load_plan", "verify"),
        }.items():
            text = (good / name).read_text()
            (tmp_path / name).write_text(text + " \n" * 50_000_000)
            refused(tmp_path / name, *actions, match="too large")

    def test_a_hundred_thousand_points(self, guard, good, tmp_path):
        markups = json.loads((good / "target.mrk.json").read_text())
        markups["markups"][0]["controlPoints"] *= 30_000
        (tmp_path / "t.mrk.json").write_text(json.dumps(markups))
        answer = guard.ask("read_target", tmp_path / "t.mrk.json")
        assert (answer.outcome, answer.fault) == ("refused", None)


class TestMasks:
    def test_a_mesh_of_four_billion_triangles(self, good, refused, tmp_path):
        data = bytearray((good / "ball.stl").read_bytes())
        data[80:84] = b"\xff\xff\xff\xff"
        (tmp_path / "a.stl").write_bytes(data)
        refused(tmp_path / "a.stl", "load_structures", match="4294967295 triangles")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.ply", "element vertex 4000000000\n"),
            ("a.ply", "element face 4000000000\n"),
            ("a.vtk", "POLYGONS 4000000000 16000000000\n"),
            ("a.vtk", "POINTS 4000000000 double\n"),
        ],
    )
    def test_text_meshes_that_claim_billions(self, good, refused, tmp_path, name, text):
        whole = (good / f"ball.{name[-3:]}").read_bytes()
        word = text.rsplit(" ", 1)[0].rsplit(" ", 1)[0].encode()
        if name == "a.ply":
            word = b" ".join(text.encode().split()[:2])
        line = re.compile(re.escape(word.split()[0]) + b"[^\n]*\n")
        if name == "a.ply":
            line = re.compile(re.escape(word) + b"[^\n]*\n")
        data = line.sub(text.encode(), whole, count=1)
        assert data != whole
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "load_structures")

    def test_a_million_contours(self, good, refused, tmp_path):
        """Contours of nothing: 60 bytes each in the file, thousands in pydicom."""
        contour = b"\x06\x30\x42\x00CS\x06\x00POINT " + b"\x06\x30\x50\x00DS\x06\x001\\1\\1 "
        item = b"\xfe\xff\x00\xe0" + len(contour).to_bytes(4, "little") + contour
        self._with_contours(good, tmp_path / "rt.dcm", item * 1_000_000)
        refused(tmp_path / "rt.dcm", "load_structures", match="too many elements")

    def test_contours_that_are_only_claimed(self, good, refused, tmp_path):
        path = tmp_path / "rt.dcm"
        self._with_contours(good, path, b"", claimed=0xFFFFFFF0)
        refused(path, "load_structures")

    @staticmethod
    def _with_contours(good: Path, path: Path, items: bytes, claimed: int | None = None) -> None:
        data = (good / "rtstruct.dcm").read_bytes()
        at = data.index(b"\x06\x30\x40\x00SQ")  # ContourSequence
        length = len(items) if claimed is None else claimed
        sequence = b"\x06\x30\x40\x00SQ\0\0" + length.to_bytes(4, "little") + items
        outer = data.index(b"\x06\x30\x39\x00SQ")  # ROIContourSequence, of a length now too small
        start = data[outer : outer + 8] + b"\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        number = b"\x06\x30\x84\x00IS\x02\x001 "
        assert at > outer
        path.write_bytes(data[:outer] + start + sequence + number + end)

    def test_a_million_frames_of_one_pixel(self, good, refused, tmp_path):
        dataset = pydicom.dcmread(good / "seg.dcm")
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 3_000_000, 1, 1
        save(dataset, tmp_path / "seg.dcm")
        data = (tmp_path / "seg.dcm").read_bytes()
        at = data.index(b"\x00\x52\x30\x92SQ")
        items = b"\xfe\xff\x00\xe0\0\0\0\0" * 3_000_000
        groups = data[at : at + 8] + len(items).to_bytes(4, "little") + items
        (tmp_path / "seg.dcm").write_bytes(data[:at] + groups)
        refused(tmp_path / "seg.dcm", "load_structures", match="too many elements")

    def test_entities_in_the_label_table_of_a_nifti(self, guard, good, tmp_path):
        """A billion laughs: the names are not read, the labels are."""
        import nibabel

        image = nibabel.load(good / "mask.nii")
        laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
        text = f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]><LabelTable><Label Key="1">&a11;</Label>'
        extension = nibabel.nifti1.Nifti1Extension(0, f"{text}</LabelTable>".encode())
        image.header.extensions[:] = [extension]
        nibabel.save(image, tmp_path / "mask.nii")
        answer = guard.ask("load_structures", tmp_path / "mask.nii")
        assert (answer.outcome, answer.fault) == ("ok", None), answer

    def test_a_label_map_with_a_name_for_every_number(self, guard, good, tmp_path):
        segments = b"".join(
            b"Segment%d_ID:=s%d\nSegment%d_Layer:=0\nSegment%d_LabelValue:=%d\n"
            % (n, n, n, n, n + 1)
            for n in range(50_000)
        )
        head, _, voxels = (good / "mask.nrrd").read_bytes().partition(b"\n\n")
        (tmp_path / "s.seg.nrrd").write_bytes(head + b"\n" + segments + b"\n" + voxels)
        answer = guard.ask("load_structures", tmp_path / "s.seg.nrrd")
        assert (answer.outcome, answer.fault) == ("refused", None), answer

    def test_a_folder_of_many_files_is_walked_without_opening_bombs(self, good, refused, tmp_path):
        for n in range(2):
            deflated_dicom(good / "seg.dcm", tmp_path / f"{n}.dcm", lambda _: deflated(b"", 2**26))
        refused(tmp_path, "load_structures", "inspect")


def test_the_guard_sees_what_it_must(guard: Guard, tmp_path: Path) -> None:
    """A guard that never finds a fault would pass all of the above."""
    fault = guard.ask("misbehave_memory", tmp_path / "x").fault
    assert fault and "MemoryError" in fault
    assert "no answer" in str(guard.ask("misbehave_hang", tmp_path / "x", limit_s=1.0).fault)
    assert "ZeroDivisionError" in str(guard.ask("misbehave_raise", tmp_path / "x").fault)
    assert "written outside" in str(guard.ask("misbehave_write", tmp_path / "x").fault)
    assert "who the patient is" in str(guard.ask("misbehave_tell", tmp_path / "x").fault)
    assert "control characters" in str(guard.ask("misbehave_steer", tmp_path / "x").fault)
    assert "crashed" in str(guard.ask("misbehave_crash", tmp_path / "x").fault)
    assert "MB of memory" in str(guard.ask("misbehave_fill", tmp_path / "x").fault)
