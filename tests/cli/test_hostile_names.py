"""Names from masks and headers, end to end: text everywhere, never markup, code or a path."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.cli.conftest import (
    SHAPE_KJI,
    TARGET_LPS_MM,
    Cli,
    Scene,
    call_cli,
    run_cli,
)

NAMES = {
    "nerve": "../../x nerve",
    "vessel": "a|b `c` <script>alert(1)</script> $\\frac{1}{0}$ [l](http://x.y) vessel",
    "bone": "\x1b[31m\x1b]0;t\x07\u202ebone\n# heading\n- item",
    "lesion": "VERIFIED\nVERIFIED: all" + "n" * 3000,
}


def write_labels(scene: Scene, folder: Path) -> None:
    """All masks of the scene in one label map, and a file that names its values."""
    labels = np.zeros(SHAPE_KJI, np.uint8)
    for value, name in enumerate(NAMES, start=1):
        labels[sitk.GetArrayFromImage(sitk.ReadImage(str(scene.masks[name]))) > 0] = value
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(scene.masks["nerve"])))
    sitk.WriteImage(image, str(folder / "labels.nrrd"))
    names = {str(value): name for value, name in enumerate(NAMES.values(), start=1)}
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")


@pytest.fixture(scope="module")
def planned(scene: Scene, tmp_path_factory: pytest.TempPathFactory):
    """A plan with figures, run in ``inner/`` of an otherwise empty folder."""
    top = tmp_path_factory.mktemp("hostile")
    inner = top / "inner"
    inner.mkdir()
    write_labels(scene, inner)
    ran = run_cli(
        inner,
        *("plan", scene.image, "--procedure", "soft_tissue_biopsy"),
        *("--structures", "labels.nrrd", "--label-names", "names.json"),
        *("--structures", scene.masks["body"], "--role", "body=body"),
        *("--target", ",".join(str(x) for x in TARGET_LPS_MM)),
        *("--role", f"{NAMES['lesion']}=target"),
        *("--top", "2", "--out", "out"),
    )
    return top, ran


def test_the_hostile_names_were_really_read(planned):
    top, ran = planned
    assert ran.code == 0, ran.stderr
    plan = json.loads((top / "inner" / "out" / "plan.json").read_text(encoding="utf-8"))
    names = " ".join(s["name"] for s in plan["structures"])
    for part in ("../../x", "<script>", "\u202e", "n" * 1000, "$\\frac", "\x1b[31m", "# heading"):
        assert part in names


def test_nothing_is_written_outside_the_out_folder(planned):
    top, _ = planned
    found = sorted(p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file())
    outside = [name for name in found if not name.startswith("inner/out/")]
    assert outside == ["inner/labels.nrrd", "inner/names.json"]
    expected = re.compile(
        r"inner/out/(plan\.json|plan\.mrk\.json|report\.(md|html)|skin_risk\.vtp|figures/(path_0\d|skin_\w+)\.png)"
    )
    assert all(expected.fullmatch(name) for name in found if name not in outside)
    assert "inner/out/figures/path_01.png" in found


def test_the_terminal_gets_no_escape_and_no_forged_line(planned):
    _, ran = planned
    for text in (ran.stdout, ran.stderr):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert not re.search(r"^(# heading|- item)", ran.stdout, flags=re.MULTILINE)
    assert max(len(line) for line in ran.stdout.splitlines()) <= 200


def test_the_report_stays_well_formed(planned):
    top, _ = planned
    report = (top / "inner" / "out" / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", report)
    assert "<script" not in report and "http://" not in report and "$" not in report
    assert not re.search(r"^# heading|^- item", report, flags=re.MULTILINE)
    pictures = re.findall(r"(?<!\\)\]\(<?([^)>]*)>?\)", report)
    assert pictures and all(re.fullmatch(r"figures/\w+\.png", name) for name in pictures)
    for table in re.findall(r"(?:^\|.*\n)+", report, flags=re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(columns) == 1, table


def test_json_on_stdout_is_json_without_raw_escapes(planned, scene: Scene, tmp_path: Path):
    top, _ = planned
    plan = json.loads((top / "inner" / "out" / "plan.json").read_text(encoding="utf-8"))
    for structure in plan["structures"]:
        structure["voxels"] += 1
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    verify = ["verify", tmp_path / "plan.json", "--image", scene.image]
    verify += ["--structures", "labels.nrrd", "--label-names", "names.json"]
    verify += ["--structures", scene.masks["body"]]
    ran = call_cli(top / "inner", *verify, "--json")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", ran.stdout)
    failed = [c["claim"] for c in json.loads(ran.stdout)["checks"] if not c["ok"]]
    assert any(NAMES["lesion"] in claim for claim in failed)
    text = call_cli(top / "inner", *verify).stdout
    assert "NOT VERIFIED" in text
    assert not re.search(r"^VERIFIED", text, flags=re.MULTILINE), "a name forged the headline"


def test_a_hostile_series_description_is_text(cli: Cli, sample_data: Path, tmp_path: Path):
    (tmp_path / "dicom").mkdir()
    for file in sorted((sample_data / "plain" / "dicom").rglob("*.dcm"))[:4]:
        dataset = pydicom.dcmread(file)
        dataset.add_new("SeriesDescription", "LO", "t1\x1b[2J\u202e../../x\nNOT plannable")
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.save_as(tmp_path / "dicom" / file.name)
    for more in ([], ["--json"]):
        ran = cli("inspect", "dicom", *more)
        assert ran.code == 0, ran.stderr
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", ran.stdout)
        assert "../../x" in ran.stdout
        assert not re.search(r"^NOT plannable", ran.stdout, flags=re.MULTILINE)
