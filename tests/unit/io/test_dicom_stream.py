"""Opening DICOM files: what is stepped over, how much is read, and what a value may hold."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from planner.errors import InputError, MaskError
from planner.io import dicom_stream
from planner.io.dicom_stream import inflated, open_header, read_whole, skip_sequence
from planner.io.dicom_values import DicomTag, RawElements, uid_name
from tests.dicom_writer import save, slice_dataset, texture, write_series
from tests.fuzz.mutators import nested_sequences

TAGS = [Tag(int(tag)) for tag in DicomTag]
SYNTAXES = {True: ImplicitVRLittleEndian, False: pydicom.uid.ExplicitVRLittleEndian}


def one_slice(grid) -> Dataset:
    return slice_dataset(grid, 0, texture(grid)[0])


@pytest.fixture
def grid():
    from planner.geometry import FrameId, Grid

    return Grid.from_axes((2, 5, 4), (3.0, 1.0, 1.0), (0, 0, 0), frame=FrameId("1.2.3"))


@st.composite
def nested(draw: st.DrawFn, depth: int = 3) -> Dataset:
    """A data set with sequences in sequences."""
    dataset = Dataset()
    dataset.PatientComments = draw(st.text("ab c", max_size=9))
    dataset.add_new(0x00091001, "UN", draw(st.binary(max_size=8)))
    if depth and draw(st.booleans()):
        dataset.RequestAttributesSequence = draw(st.lists(nested(depth - 1), max_size=3))
        dataset["RequestAttributesSequence"].is_undefined_length = draw(st.booleans())
        for item in dataset.RequestAttributesSequence:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    return dataset


class TestSkipping:
    @settings(max_examples=60)
    @given(inner=nested(), is_implicit=st.booleans(), is_little=st.booleans())
    def test_ends_where_pydicom_ends(self, inner, is_implicit, is_little):
        """The stream stands at the element behind; pydicom's writer is the oracle."""
        is_little |= is_implicit
        outer = Dataset()
        outer.RequestAttributesSequence = [inner]
        outer["RequestAttributesSequence"].is_undefined_length = True
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, outer, implicit_vr=is_implicit, little_endian=is_little)
        end = stream.tell()
        stream.write(b"behind")
        stream.seek(0)
        assert skip_sequence(stream, is_implicit=is_implicit, is_little_endian=is_little) > 1
        assert stream.tell() == end

    @pytest.mark.parametrize("depth", [1, 5000])
    def test_sequences_of_any_depth(self, depth):
        stream = io.BytesIO(nested_sequences(depth) + b"behind")
        assert skip_sequence(stream, is_implicit=False, is_little_endian=True) == 4 * depth
        assert stream.read() == b"behind"

    @pytest.mark.parametrize("cut", [5, 25, -4])
    def test_an_end_that_does_not_come(self, cut):
        stream = io.BytesIO(nested_sequences(3)[:cut])
        with pytest.raises(ValueError, match="ends within a sequence"):
            skip_sequence(stream, is_implicit=False, is_little_endian=True)

    def test_too_many_elements(self, monkeypatch):
        monkeypatch.setattr(dicom_stream, "MAX_ELEMENTS", 11)
        with pytest.raises(ValueError, match="more than 11 elements"):
            skip_sequence(io.BytesIO(nested_sequences(3)), is_implicit=False, is_little_endian=True)

    def test_an_unknown_sequence_is_implicit_inside(self):
        inside = b"\x09\x00\x01\x10\x04\0\0\0abcd"
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inside + b"\xfe\xff\x0d\xe0\0\0\0\0"
        data = b"\x09\x00\x10\x10UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
        stream = io.BytesIO(data + b"behind")
        skip_sequence(stream, is_implicit=False, is_little_endian=True)
        assert stream.read() == b"behind"


class TestHeaders:
    @pytest.mark.parametrize("syntax", [*SYNTAXES.values(), ExplicitVRBigEndian])
    def test_elements_behind_a_skipped_sequence_are_read(self, tmp_path, grid, syntax):
        dataset = one_slice(grid)
        dataset.RequestAttributesSequence = [Dataset()]
        dataset.RequestAttributesSequence[0].PatientComments = "x"
        dataset["RequestAttributesSequence"].is_undefined_length = True
        dataset.ModalityLUTSequence = [Dataset()]
        dataset["ModalityLUTSequence"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        is_big = syntax == ExplicitVRBigEndian
        pydicom.dcmwrite(
            tmp_path / "a",
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=not is_big,
        )
        with (tmp_path / "a").open("rb") as stream:
            raw = RawElements.of(open_header(stream, "a", TAGS).dataset)
            behind = stream.read(4)
        assert behind == (b"\x7f\xe0\x00\x10" if is_big else b"\xe0\x7f\x10\x00")
        assert raw.short(DicomTag.Rows) == 5
        wanted = {int(e.tag) for e in dataset if e.tag in TAGS and e.value not in (None, "")}
        assert set(raw.by_tag) == wanted
        assert raw.text(DicomTag.SeriesInstanceUID) == dataset.SeriesInstanceUID
        assert DicomTag.ModalityLUTSequence in raw.by_tag

    def test_a_short_look_ends_behind_its_last_attribute(self, tmp_path, grid):
        (file, *_) = write_series(tmp_path, grid)
        with file.open("rb") as stream:
            found = open_header(stream, "a", [Tag(int(DicomTag.SOPClassUID))], is_short=True)
            assert stream.tell() < 600
        assert RawElements.of(found.dataset).text(DicomTag.SOPClassUID).endswith(".1.1.4")

    def test_a_header_of_endless_elements(self, tmp_path, grid, monkeypatch):
        monkeypatch.setattr(dicom_stream, "MAX_ELEMENTS", 20)
        (file, *_) = write_series(tmp_path, grid)
        with file.open("rb") as stream, pytest.raises(ValueError, match="more than 20 elements"):
            open_header(stream, "a", TAGS)


class TestWholeObjects:
    def test_as_pydicom_reads_it(self, tmp_path, grid):
        dataset = one_slice(grid)
        for syntax in (*SYNTAXES.values(), DeflatedExplicitVRLittleEndian):
            dataset.file_meta.TransferSyntaxUID = syntax
            save(dataset, tmp_path / "a")
            found = read_whole(tmp_path / "a", max_bytes=10**6)
            assert {e.keyword: e.value for e in found} == {e.keyword: e.value for e in dataset}
            assert not found.file_meta.TransferSyntaxUID.is_deflated

    @pytest.mark.parametrize("refusal", [InputError, MaskError])
    def test_sizes(self, tmp_path, grid, monkeypatch, refusal):
        save(one_slice(grid), tmp_path / "a")
        size = (tmp_path / "a").stat().st_size
        assert read_whole(tmp_path / "a", max_bytes=size).Rows == 5
        with pytest.raises(refusal, match="too many bytes") as caught:
            read_whole(tmp_path / "a", max_bytes=size - 1, refusal=refusal)
        assert type(caught.value) is refusal
        monkeypatch.setattr(dicom_stream, "MAX_PARTS", 10)
        with pytest.raises(refusal, match="too many elements"):
            read_whole(tmp_path / "a", max_bytes=size, refusal=refusal)

    def test_no_more_is_inflated_than_asked_for(self):
        import zlib

        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(bytes(10**6)) + packer.flush()
        assert inflated(packed, 10**7) == (bytes(10**6), True)
        assert inflated(packed, 1000) == (bytes(1000), False)
        data, is_whole = inflated(packed[:-20], 10**7)
        assert not is_whole
        assert len(data) <= 10**6


class TestValues:
    """A value whose length is damaged goes on into the next elements."""

    SWALLOWED = b"MR\x10\x00\x10\x00PN\x08\x00DOE^JOHN"

    def raw(self, tag: DicomTag, value: bytes) -> RawElements:
        return RawElements({int(tag): value}, True)

    def test_texts_end_at_a_nul(self):
        for tag in (DicomTag.Modality, DicomTag.SeriesDescription):
            raw = self.raw(tag, self.SWALLOWED)
            assert raw.text(tag) == "MR"
            assert raw.decoded(tag) == "MR"
        assert self.raw(DicomTag.Modality, b"MR\0garbage").text(DicomTag.Modality) == "MR"
        assert self.raw(DicomTag.Modality, b"\0 MR ").text(DicomTag.Modality) == "MR"

    def test_numbers_are_refused_without_being_quoted(self):
        raw = self.raw(DicomTag.SliceThickness, b"3.0DOE^JOHN")
        with pytest.raises(ValueError, match="a value is not a number") as caught:
            raw.number(DicomTag.SliceThickness)
        assert "DOE" not in str(caught.value)

    def test_what_is_no_uid_is_not_repeated(self):
        assert uid_name("1.2.840.10008.1.2.1") == "Explicit VR Little Endian"
        assert uid_name("1.2.3.4") == "'1.2.3.4'"
        for uid in ("1.2.3 DOE^JOHN", "1" * 65, "", "DOE"):
            assert uid_name(uid) == "a damaged UID"


def test_a_dicomdir_look_at_a_damaged_file_is_quiet(tmp_path: Path, recwarn) -> None:
    from planner.io.dicomdir import is_dicomdir

    meta = b"\x02\x00\x02\x00FD\x1a\x001.2.840.10008.5.1.4.1.1.4\x00"
    (tmp_path / "a").write_bytes(bytes(128) + b"DICM" + meta)
    assert is_dicomdir(tmp_path / "a") is False
    assert not recwarn.list
