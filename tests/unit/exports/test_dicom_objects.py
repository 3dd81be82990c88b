"""What the DICOM exports say, read back with pydicom and our own loaders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from planner.errors import InputError, OutputError
from planner.exports import dicom_common
from planner.exports.dicom import FORMATS
from planner.exports.dicom_common import long_string, short_string, unique_long_strings
from planner.exports.dicom_rtstruct import write_rtstruct
from planner.exports.dicom_source import SourceImages
from planner.exports.dicom_sr import write_dicom_sr
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from tests.dicom_plan import dicom_plan

FLOAT32_TOL_MM = 1e-4
"""SCOORD3D holds 32-bit floats."""

Opened = tuple[PlanToExport, SourceImages]


def texts_of(item: pydicom.Dataset) -> list[str]:
    """Every text and code meaning in an object."""
    found = []
    for element in item.iterall():
        if element.VR in ("UT", "LO", "ST", "LT", "SH", "PN") and element.value:
            found.append(str(element.value))
    return found


def groups_of(report: pydicom.Dataset) -> list[pydicom.Dataset]:
    def walk(item: pydicom.Dataset):
        for child in item.get("ContentSequence", []):
            if child.ConceptNameCodeSequence[0].CodeValue == "125007":
                yield child
            yield from walk(child)

    return list(walk(report))


def numbers_of(group: pydicom.Dataset) -> dict[str, float]:
    return {
        c.ConceptNameCodeSequence[0].CodeMeaning: float(c.MeasuredValueSequence[0].NumericValue)
        for c in group.ContentSequence
        if c.ValueType == "NUM"
    }


# --- report -----------------------------------------------------------------------------------


def test_a_group_for_each_path_with_its_line_and_clearances(opened, tmp_path):
    plan, source = opened
    (file,) = write_dicom_sr(plan, source, tmp_path / "sr.dcm")
    report = pydicom.dcmread(file)
    groups = groups_of(report)
    assert len(groups) == len(plan.paths) == 2
    for group, path in zip(groups, plan.paths, strict=True):
        lines = [
            (n.ConceptNameCodeSequence[0].CodeMeaning, c)
            for n in group.ContentSequence
            for c in n.get("ContentSequence", [])
        ]
        by_name = {name: np.reshape(c.GraphicData, (-1, 3)) for name, c in lines}
        assert all(c.ReferencedFrameOfReferenceUID == "1.2.3.4" for _, c in lines)
        expected = [path.entry_lps_mm, path.tip_lps_mm]
        np.testing.assert_allclose(by_name["Length"], expected, atol=FLOAT32_TOL_MM)
        fired = [path.tip_lps_mm, path.throw_end_lps_mm]
        np.testing.assert_allclose(
            by_name["Throw of the needle beyond the tip"], fired, atol=FLOAT32_TOL_MM
        )
        numbers = numbers_of(group)
        assert abs(numbers["Length"] - path.length_mm) <= 5e-5
        assert numbers["Needle Length"] == 90.0
        for record in path.clearances:
            assert numbers[f"Clearance to {record.structure}"] == record.clearance_mm
            assert numbers[f"Required clearance to {record.structure}"] == record.required_mm
    referenced = {
        i.ReferencedSOPInstanceUID
        for s in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for i in s.ReferencedSOPSequence
    }
    assert referenced == source.volume.source.sop_instance_uids


def said_in(group: pydicom.Dataset) -> dict[str, str]:
    """Codes and texts of a group by the meaning of their names."""
    found = {}
    for item in group.ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if item.ValueType == "CODE":
            found[name] = item.ConceptCodeSequence[0].CodeMeaning
        elif item.ValueType in ("TEXT", "UIDREF"):
            found[name] = item.TextValue if item.ValueType == "TEXT" else item.UID
    return found


def test_a_group_says_status_verdict_procedure_needle_and_hash(opened, unverified, tmp_path):
    plan, source = opened
    report = pydicom.dcmread(write_dicom_sr(plan, source, tmp_path / "sr.dcm")[0])
    said = said_in(groups_of(report)[0])
    assert said["Tracking Identifier"] == "path 1" and said["Finding"] == "Path"
    assert said["Plan status"] == "Not approved" and said["Verdict of the path"] == "PASS"
    assert "Verification of the path" not in said
    assert said["SHA-256 of the plan file"] == plan.sha256
    assert said["Needle"].startswith("22G-90") and said["Procedure"] == "test_procedure: Test"
    assert "Research use only" in said["Research use statement"]
    assert said["Comment"] == plan.description_of(plan.paths[0])
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    report = pydicom.dcmread(write_dicom_sr(*unverified, tmp_path / "unverified.dcm")[0])
    said = said_in(groups_of(report)[0])
    assert said["Tracking Identifier"] == "UNVERIFIED path 1"
    assert said["Verification of the path"] == "UNVERIFIED"
    assert said["Verdict of the path"] == "UNKNOWN"


def test_a_clearance_is_never_rounded_up(opened, planned, tmp_path):
    _, source = opened

    def change(data: dict) -> None:
        record = data["trajectories"][0]["clearances"][0]
        record["clearance_mm"], record["required_mm"] = 3.70999999, 3.00001

    plan = plan_to_export(planned.changed(tmp_path / "plan.json", change))
    (file,) = write_dicom_sr(plan, source, tmp_path / "sr.dcm")
    numbers = numbers_of(groups_of(pydicom.dcmread(file))[0])
    name = plan.paths[0].clearances[0].structure
    assert numbers[f"Clearance to {name}"] == 3.7099
    assert numbers[f"Required clearance to {name}"] == 3.0001


@pytest.mark.parametrize(
    "long",
    ["superior gluteal nerve, left, drawn by hand on the T2 series, part ", "superior 神経根 " * 3],
)
def test_long_names_stay_apart_and_whole(opened, planned, tmp_path, long):
    _, source = opened
    names = [long + n for n in "ab"]

    def change(data: dict) -> None:
        for path in data["trajectories"]:
            for n, name in enumerate(names):
                path["clearances"][n]["structure"] = name

    plan = plan_to_export(planned.changed(tmp_path / "plan.json", change))
    (file,) = write_dicom_sr(plan, source, tmp_path / "sr.dcm")
    group = groups_of(pydicom.dcmread(file))[0]
    cleared = [name for name in numbers_of(group) if name.startswith("Clearance to superior")]
    assert len(cleared) == 2 and all(len(name.encode()) <= 64 for name in cleared)
    assert "; ".join(names) in texts_of(group)


# --- what every object says -------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_research_use_hash_and_verdict_are_in_every_object(opened, tmp_path, name):
    plan, source = opened
    for file in FORMATS[name](plan, source, tmp_path / "out"):
        ds = pydicom.dcmread(file)
        everything = "\n".join(texts_of(ds))
        assert plan.sha256 in everything
        assert "Research use only" in everything and "Not approved" in everything
        assert "UNVERIFIED" not in everything.replace("VERIFICATION", "")
        assert ds.FrameOfReferenceUID == "1.2.3.4" if "FrameOfReferenceUID" in ds else True
        assert ds.StudyInstanceUID == source.header.StudyInstanceUID
        assert ds.SeriesInstanceUID != source.header.SeriesInstanceUID
        assert (ds.PatientName, ds.PatientID) == ("DOE^JOHN", "4711")
        assert "GENERAL HOSPITAL" not in everything


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_unverified_is_said_in_series_and_content(unverified, tmp_path, name):
    plan, source = unverified
    files = FORMATS[name](plan, source, tmp_path / "out")
    for file in files:
        ds = pydicom.dcmread(file)
        assert ds.SeriesDescription.startswith("UNVERIFIED")
        everything = texts_of(ds)
        assert sum("UNVERIFIED" in text for text in everything) >= 3
        assert any("UNVERIFIED. Research use only" in text for text in everything)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_verdict_that_is_told_is_the_worst_exported(opened, planned, tmp_path, name):
    """The second path is a caution: the plan's own verdict would say pass."""
    _, source = opened

    def change(data: dict) -> None:
        data["verdict"] = "pass"
        for finding in data["trajectories"][1]["findings"][:1]:
            finding["verdict"] = "caution"

    file = planned.changed(tmp_path / "plan.json", change)
    for ranks, verdict in (((1,), "pass"), ((1, 2), "caution")):
        plan = plan_to_export(file, ranks=ranks)
        assert plan.document.verdict == "pass"
        ds = pydicom.dcmread(FORMATS[name](plan, source, tmp_path / f"out{len(ranks)}")[0])
        assert f"research use, {verdict} " in ds.SeriesDescription
        assert any(f"Verdict: {verdict}." in text for text in texts_of(ds))


def test_names_of_paths_say_it_one_by_one(unverified, tmp_path):
    plan, source = unverified
    rt = pydicom.dcmread(write_rtstruct(plan, source, tmp_path / "rt.dcm")[0])
    names = [roi.ROIName for roi in rt.StructureSetROISequence]
    assert all(name.startswith("UNVERIFIED path") for name in names[::2][:2])
    assert names[-1].startswith("UNVERIFIED target")
    assert rt.StructureSetLabel == "UNVERIFIED" and rt.ApprovalStatus == "UNAPPROVED"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_nothing_is_left_where_it_cannot_be_written(opened, tmp_path, name):
    plan, source = opened
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        FORMATS[name](plan, source, tmp_path / "file" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_failure_half_way_leaves_nothing(opened, tmp_path, name, monkeypatch):
    plan, source = opened
    calls = []

    def full(dataset: pydicom.Dataset) -> bytes:
        calls.append(dataset)
        if len(calls) > (3 if name == "dicom-images" else 0):
            raise ValueError("planted")
        return b"x"

    monkeypatch.setattr(dicom_common, "file_bytes", full)
    monkeypatch.setattr("planner.exports.dicom_burned_in.file_bytes", full)
    with pytest.raises(InputError, match="cannot be made from this plan"):
        FORMATS[name](plan, source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_in_other_character_sets_survive(tmp_path):
    def edit(ds: pydicom.Dataset, k: int) -> None:
        ds.SpecificCharacterSet = "ISO_IR 126"
        ds.PatientName = "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΝΙΚΟΣ"
        ds.StudyDescription = "Μέση"

    plan, source = dicom_plan(tmp_path, edit=edit, top=1).opened()
    for name, write in FORMATS.items():
        for file in write(plan, source, tmp_path / name):
            ds = pydicom.dcmread(file)
            assert str(ds.PatientName) == "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΝΙΚΟΣ" and ds.StudyDescription == "Μέση"


# --- contours ---------------------------------------------------------------------------------


def test_contours_are_entry_and_tip(opened, tmp_path):
    plan, source = opened
    rt = pydicom.dcmread(write_rtstruct(plan, source, tmp_path / "rt.dcm")[0])
    names = {roi.ROINumber: roi.ROIName for roi in rt.StructureSetROISequence}
    contours = {names[c.ReferencedROINumber]: c.ContourSequence[0] for c in rt.ROIContourSequence}
    for path in plan.paths:
        contour = contours[f"path {path.rank}"]
        assert contour.ContourGeometricType == "OPEN_NONPLANAR"
        points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
        np.testing.assert_allclose(points, [path.entry_lps_mm, path.tip_lps_mm], atol=1e-9)
        entry = contours[f"entry path {path.rank}"]
        np.testing.assert_allclose(np.array(entry.ContourData, float), path.entry_lps_mm)
    target = contours["target"]
    assert target.ContourGeometricType == "POINT"
    np.testing.assert_allclose(
        np.array(target.ContourData, float), plan.document.target.point_lps_mm, atol=1e-9
    )
    (frame,) = rt.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == "1.2.3.4"


# --- texts ------------------------------------------------------------------------------------


def test_texts_fit_their_fields():
    assert long_string("a\\b\r\n\x00 c") == "a/b c"
    assert len(long_string("x" * 90)) == 64
    same = unique_long_strings(["n" * 80, "n" * 81, "n" * 82, "m"])
    assert len(set(same)) == 4 and all(len(s) <= 64 for s in same)
    assert same[-1] == "m"


@pytest.mark.parametrize("letter", ["n", "ä", "血", "🩻"])
def test_texts_are_cut_to_bytes_and_keep_both_ends(letter):
    """Receivers count bytes of UTF-8; the side stands at the end of a name."""
    short = long_string("vertebra " + letter * 70 + " left")
    assert len(short.encode()) <= 64 and len(short.encode()) > 55
    assert short.startswith("vertebra") and short.endswith(" left") and "..." in short
    assert len(short_string(letter * 20).encode()) <= 16
    assert long_string(letter * 5) == letter * 5


def test_texts_cannot_be_turned_around():
    """A change of direction would show 'tfel' for what is called 'left'."""
    assert long_string("nerve \u202etfel\u2066 a\u200b\x85b") == "nerve tfel a b"


def test_the_json_of_the_plan_is_not_touched(planned, opened, tmp_path):
    before = Path(planned.file).read_bytes()
    write_dicom_sr(*opened, tmp_path / "sr.dcm")
    assert Path(planned.file).read_bytes() == before and json.loads(before)
