"""Received instances: names from UIDs alone, whole or not at all."""

from io import BytesIO

import pytest

from planner.geometry import FrameId, Grid
from planner.io.pacs.query import PacsError, plain_text
from planner.io.pacs.store import InstanceStore
from tests.dicom_writer import STUDY_UID, slice_dataset, texture
from tests.grids import ORIENTED_AXES


def content(**changes):
    grid = Grid.from_axes((2, 4, 5), (3.0, 1, 1), (0, 0, 0), ORIENTED_AXES["axial"], FrameId("1.2"))
    dataset = slice_dataset(grid, 0, texture(grid)[0])
    for name, value in changes.items():
        setattr(dataset, name, value)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_named_by_uids(tmp_path):
    store = InstanceStore(tmp_path, STUDY_UID)
    one = content(SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3")
    store.keep(one)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.dcm")] == ["1.2.3/1.2.3.4.dcm"]
    store.keep(one)
    assert store.received == store.kept == {"1.2.3.4"}
    with pytest.raises(PacsError, match="other content"):
        store.keep(one + b"\0")


@pytest.mark.parametrize("uid", ["../../evil", "/etc/passwd", "1.2/../3", "", "1." * 40, "1..2"])
@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID"])
def test_what_is_no_uid_becomes_no_name(tmp_path, keyword, uid):
    import pydicom

    folder = tmp_path / "inner"
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with pytest.raises(PacsError):
            InstanceStore(folder, STUDY_UID).keep(content(**{keyword: uid}))
    finally:
        pydicom.config.settings.writing_validation_mode = None
        pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    assert not list(tmp_path.rglob("*.dcm"))


def test_another_study_and_rubbish_are_refused(tmp_path):
    store = InstanceStore(tmp_path, "1.2.3")
    for wrong in (content(), b"rubbish", b""):
        with pytest.raises(PacsError):
            store.keep(wrong)
    assert not list(tmp_path.rglob("*"))


def test_texts_of_the_archive_steer_no_terminal():
    assert plain_text("a\x1b[31m\nb\u202ec") == "a [31m b c"
    assert len(plain_text("x" * 500)) == 64
