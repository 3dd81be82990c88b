"""Lists every series of a folder as Markdown: ``python docs/make_series_table.py DATA_DIR``.

Writes ``docs/series_table.md``. The page names folders, series and geometry, no patient.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from planner.errors import InputError
from planner.geometry.frames import orientation_letters
from planner.io import inspect_path
from planner.io.atomic import write_text_atomic
from planner.io.image_file import is_image_file
from planner.io.inspection import InspectedVolume
from planner.io.wording import counted

PAGE = Path(__file__).resolve().parent / "series_table.md"

MASK_NAME = re.compile(r"seg[._-]|_msk\.|labels\.|labeled|vertebrae_body")
"""Volume files named so are masks: nothing inside a NIfTI file tells a mask from an image."""

_DETAIL = r": | \((?!\d)"
"""What follows is left out of the table; numbers in brackets stay."""

NOT_DICOM = "not a DICOM file"
VOLUME_FILE = "a volume file"

HEAD = """# Every series of the real test data

Made by `python docs/make_series_table.py DATA_DIR` from the folder that `NEEDLE_PLANNER_DATA`
names; `tests/real/test_series_table.py` makes it again and compares. Each folder is read by
itself, as `needle-planner inspect` reads it. Rules: `series_reading.md`, `multiframe.md`.

- Grid and step: slices x rows x columns. Axes: where slice, row and column numbers grow, as
  letters of the patient (R/L, A/P, F/H; several for an oblique axis, the nearest first).
- Lies on: the side on the table, from the patient position; `?` where the file does not tell.
- Plannable: `yes`, or `no` with the reason. Warnings are given by their first words.
"""

COLUMNS = (
    "folder or file", "series", "volumes", "grid", "step, mm", "axes", "lies on", "plannable",
    "reason; warnings",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Writes the page; 2 when no data folder is given."""
    if len(argv) != 1 or not Path(argv[0]).is_dir():
        print("usage: python docs/make_series_table.py DATA_DIR", file=sys.stderr)
        return 2
    write_text_atomic(PAGE, page(Path(argv[0])))
    return 0


def page(data: Path) -> str:
    """The whole page for a data folder."""
    rows: list[tuple[str, ...]] = []
    others: list[tuple[str, str]] = []
    n_volumes = n_plannable = 0
    for path in _units(data):
        found = inspect_path(path)
        n_volumes += len(found.volumes)
        n_plannable += found.n_plannable
        name = path.relative_to(data).as_posix()
        rows += [_row(name, series) for series in _by_series(found.volumes)]
        others += [
            (path.parent.relative_to(data).as_posix() if path.is_file() else name, s.reason)
            for s in found.skipped
            if not s.reason.startswith((NOT_DICOM, VOLUME_FILE))
        ]
    lines = [
        HEAD,
        f"{len(rows)} series, {counted(n_volumes, 'volume')}, {n_plannable} plannable.\n",
    ]
    lines += _table(COLUMNS, rows)
    lines += ["", "## DICOM files that are no image", ""]
    counts = [(*key, str(len(list(g)))) for key, g in groupby(sorted(others))]
    lines += _table(("folder", "reason", "files"), counts)
    return "\n".join(lines) + "\n"


def _units(data: Path) -> Iterator[Path]:
    """Folders without sub-folders, image files, and single files beside sub-folders."""
    for folder in sorted({p.parent for p in data.rglob("*") if p.is_file()}):
        files = sorted(p for p in folder.iterdir() if p.is_file())
        images = [p for p in files if is_image_file(p)]
        if any(p.is_dir() for p in folder.iterdir()):
            yield from (p for p in files if p.suffix == ".dcm")
        elif len(images) < len(files):
            yield folder
        yield from (p for p in images if not MASK_NAME.search(p.name))


def _by_series(volumes: Sequence[InspectedVolume]) -> Iterator[list[InspectedVolume]]:
    """Parts of one series together."""

    def key(item: tuple[int, InspectedVolume]) -> tuple[object, ...]:
        n, volume = item
        return (volume.series_instance_uid,) if volume.part else ("", n)

    for _, series in groupby(enumerate(volumes), key):
        yield [volume for _, volume in series]


def _row(name: str, series: Sequence[InspectedVolume]) -> tuple[str, ...]:
    numbers = dict.fromkeys(str(v.series_number) for v in series if v.series_number is not None)
    kind = "volume file"
    if not is_image_file(Path(name)):
        first = series[0]
        kind = " ".join(filter(None, (first.modality, ", ".join(numbers), first.description)))
    parts = [v.part for v in series if v.part]
    return (
        name,
        kind,
        str(len(series)) + (f": {'; '.join(parts)}" if parts else ""),
        _each(series, _shape),
        _each(series, _step),
        _each(series, _axes),
        _each(series, lambda v: v.patient_position.lies_on or "?"),
        _each(series, lambda v: "yes" if v.plannable else "no"),
        _remarks(series),
    )


def _each(series: Sequence[InspectedVolume], cell: Callable[[InspectedVolume], str]) -> str:
    """What all say, once; else every different text."""
    return " / ".join(dict.fromkeys(filter(None, map(cell, series))))


def _shape(volume: InspectedVolume) -> str:
    return " x ".join(map(str, volume.grid.shape_kji)) if volume.grid else ""


def _step(volume: InspectedVolume) -> str:
    return " x ".join(f"{s:.3f}" for s in volume.grid.spacing_kji_mm) if volume.grid else ""


def _axes(volume: InspectedVolume) -> str:
    if volume.grid is None:
        return ""
    return " ".join(orientation_letters(axis) for axis in volume.grid.axes_lps_from_kji.T)


def _remarks(series: Sequence[InspectedVolume]) -> str:
    """Reasons, then warnings; how many volumes one is about, where it is not about all."""
    told: Counter[str] = Counter()
    for volume in series:
        reasons = [f"**{_problem(p)}**" for p in volume.problems]
        warnings = [re.split(_DETAIL, w)[0] for w in volume.warnings]
        told.update(list(dict.fromkeys([*reasons, *warnings])))
    n = len(series)
    return "; ".join(
        text if n_about == n else f"{n_about} of {n}: {text}"
        for text, n_about in sorted(told.items(), key=lambda item: not item[0].startswith("**"))
    )


def _problem(problem: InputError) -> str:
    return problem.what if problem.seen is None else f"{problem.what}: {problem.seen}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
