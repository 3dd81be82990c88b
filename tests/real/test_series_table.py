"""docs/series_table.md is what the program finds in the real data today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "series_table.md"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """docs is no package: its script is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "make_series_table", PAGE.parent / "make_series_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(maker: ModuleType, shared_data: Path) -> str:
    return maker.page(shared_data)


def test_the_page_is_up_to_date(made: str) -> None:
    committed = PAGE.read_text(encoding="utf-8")
    hint = "make it again: python docs/make_series_table.py DATA_DIR"
    assert committed.splitlines() == made.splitlines(), hint


def test_every_dicom_folder_has_a_row(made: str, shared_data: Path) -> None:
    """By their first bytes, not by the program's own scan."""
    folders = set()
    for file in shared_data.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    folders.add(file.parent.relative_to(shared_data).as_posix())
    rows = {line.split(" | ")[0].removeprefix("| ") for line in made.splitlines() if "|" in line}
    assert len(folders) > 20
    assert folders <= rows


def test_the_page_names_no_patient_and_no_path(made: str, shared_data: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    secrets = {str(shared_data), str(shared_data.resolve())}
    for folder in {p.parent for p in shared_data.rglob("*") if p.is_file()}:
        for file in sorted(p for p in folder.iterdir() if p.is_file())[:1]:
            try:
                ds = pydicom.dcmread(file, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                continue
            for keyword in ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName"):
                secrets.add(str(ds.get(keyword, "")))
    # a phantom, whose series has the same name; and a patient ID that is the data set's name
    public = {"PHANTOM_EXAMPLE", "dicom2nifti"}
    assert [s for s in secrets - public if len(s) > 3 and s.lower() in made.lower()] == []


def test_the_script_asks_for_a_folder(
    maker: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert maker.main([]) == 2
    assert maker.main(["nowhere"]) == 2
    assert "usage" in capsys.readouterr().err
