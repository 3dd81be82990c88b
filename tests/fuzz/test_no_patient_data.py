"""Who the patient is, in every attribute that tells it, reaches no output of any command."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib.text
import numpy as np
import pydicom
import pytest

import planner
from planner.cli import main
from tests.dicom_writer import save
from tests.fuzz.corpus import IDENTITY, MARKS, marked
from tests.seg_writer import description, write_seg

PLAIN = Path(__file__).resolve().parents[2] / "sample_data" / "plain"
FOLDER_MARK = "XPATIENTFOLDER"
"""Folders are often named by the patient: what is written must not name them either."""

SOME = ("skin_body", "lesion", "nerve", "vessel")
"""Classes of masks that the procedure asks for; all fifty of the phantom tell no more."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom with every mark in its images and masks, and beside them damaged files."""
    folder = tmp_path_factory.mktemp("identity") / FOLDER_MARK
    (folder / "dicom").mkdir(parents=True)
    for n, file in enumerate(sorted((PLAIN / "dicom").rglob("*.dcm"))):
        dataset = pydicom.dcmread(file)
        marked(dataset)
        save(dataset, folder / "dicom" / f"{n:03d}")
    volume = planner.load_volume(folder / "dicom")
    masks = planner.load_structures([PLAIN / "structures.seg.nrrd"], like=volume)
    some = [name for name, mask in masks.items() if mask.structure_class in SOME]
    stacked = np.stack([masks[name].mask.inside for name in some], axis=-1)
    segments = [description(n, name) for n, name in enumerate(some, start=1)]
    slices = [Path(f) for f in volume.source.files]
    write_seg(folder / "seg.dcm", slices, volume.grid, stacked, segments, edit=marked)
    return folder


@pytest.fixture(scope="module")
def told(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything that plan and verify said, wrote and drew, by where it was."""
    out = tmp_path_factory.mktemp("out")
    point = json.loads((PLAIN / "truth.json").read_text())["targets_lps_mm"]["soft_tissue_lesion"]
    drawn: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        real = matplotlib.text.Text.set_text
        patch.setattr(
            matplotlib.text.Text, "set_text", lambda s, t: (drawn.append(str(t)), real(s, t))[1]
        )
        image, masks = str(study / "dicom"), str(study / "seg.dcm")
        target = "--target=" + ",".join(f"{v:.3f}" for v in point)
        arguments = ["plan", image, target, "--procedure", "soft_tissue_biopsy", "--top", "1"]
        assert main([*arguments, "--structures", masks, "--out", str(out)]) == 0
    found = {"the text of the figures": "\n".join(drawn)}
    for file in sorted(out.rglob("*")):
        if file.is_file():
            found[file.relative_to(out).as_posix()] = readable(file)
    return found


ARRAY = re.compile(r"(?<=>)[A-Za-z0-9+/=\s]{40,}(?=<)")
"""Numbers in base64."""

INSIDE = re.compile(r"data:image/(png|svg\+xml);base64,([A-Za-z0-9+/=]+)")


def readable(file: Path) -> str:
    """A file's text; of a picture what is not pixels (these hold any two letters by chance)."""
    data = file.read_bytes()
    if file.suffix == ".html":
        return INSIDE.sub(lambda held: embedded(held[1], held[2]), data.decode("utf-8"))
    if file.suffix == ".vtp":
        return ARRAY.sub("", data.decode("utf-8"))
    return png_text(data) if file.suffix == ".png" else data.decode("utf-8")


def embedded(kind: str, content: str) -> str:
    """What is to be read of a picture inside a page."""
    data = base64.b64decode(content)
    return png_text(data) if kind == "png" else data.decode("utf-8")


def png_text(data: bytes) -> str:
    """Everything of a PNG but its pixels."""
    at, found = 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        found += kind + (b"" if kind == b"IDAT" else data[at + 8 : at + 8 + length])
        at += 12 + length
    assert found.endswith(b"IEND")
    return found.decode("latin-1")


def assert_unmarked(texts: dict[str, str], *more: str) -> None:
    for where, text in texts.items():
        for mark in (*MARKS, *more):
            assert mark not in text, f"{where} tells '{mark}'"


def test_the_marks_are_in_the_images_and_in_the_masks(study: Path) -> None:
    for file in (study / "dicom" / "000", study / "seg.dcm"):
        dataset = pydicom.dcmread(file)
        assert all(str(dataset[keyword].value) == text for keyword, text in IDENTITY.items())


def test_nothing_that_is_written_or_drawn_names_the_patient(told: dict[str, str]) -> None:
    written = [name for name in told if "." in name]
    assert {"plan.json", "report.md", "plan.mrk.json"} <= set(written)
    assert any(name.endswith(".png") for name in written)
    assert len(told["the text of the figures"]) > 200
    assert_unmarked(told, FOLDER_MARK)


def test_nothing_that_is_said_names_the_patient(
    study: Path, told: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text(told["plan.json"])
    image, masks, plan = study / "dicom", study / "seg.dcm", tmp_path / "plan.json"
    tight = ["--target=0,0,9000", "--procedure", "soft_tissue_biopsy"]
    for arguments in (
        ["inspect", image],
        ["inspect", image, "--json"],
        ["inspect", masks],
        ["verify", plan, "--image", image, "--structures", masks],
        ["verify", plan, "--image", image, "--structures", masks, "--json"],
        ["plan", image, *tight],
        ["plan", image, *tight, "--series", "no such series"],
        ["plan", image, *tight, "--structures", image / "000"],
    ):
        main([str(a) for a in arguments])
        said = capfd.readouterr()
        assert said.out or said.err
        assert_unmarked({" ".join(map(str, arguments)): said.out + said.err})
        assert FOLDER_MARK not in said.out


@pytest.fixture
def mixed(study: Path, tmp_path: Path) -> Iterator[Path]:
    """Two patients in one folder, which is told, and a file without a Patient ID."""
    shutil.copytree(study / "dicom", tmp_path / "a")
    shutil.copytree(study / "dicom", tmp_path / "b")
    for file in (tmp_path / "b").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientID = "ZQOTHERPATIENT"
        if file.name == "003":
            del dataset.PatientID
        save(dataset, file)
    yield tmp_path


def test_patients_are_told_apart_without_being_named(
    mixed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--json"]):
        main(["inspect", str(mixed), *more])
        said = capfd.readouterr()
        assert re.search("patient", said.out, re.I)
        assert_unmarked({"inspect": said.out + said.err})
