"""`inspect`: what a path holds, what can be planned on, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError
from planner.geometry import Grid, PatientPosition
from planner.io.catalogue import Catalogue, CatalogueEntry, read_catalogue
from planner.io.dicom_scan import SkippedFile
from planner.io.image_file import ImageFile, is_image_file, open_image_file
from planner.io.mr_header import MrValue
from planner.io.volume_choice import existing_path, selectors
from planner.io.wording import counted, some_of

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedVolume:
    """One volume as `inspect` shows it.

    ``select`` is what ``load_volume(series=...)`` and ``--series`` take for it;
    ``reason`` is None exactly when ``plannable``. Geometry is None where the
    slices do not form a grid.
    """

    series_instance_uid: str | None
    series_number: int | None
    description: str
    modality: str
    part: str | None
    problems: tuple[InputError, ...]
    grid: Grid | None
    patient_position: PatientPosition
    frame_of_reference_uid: str | None
    n_files: int
    mr: Mapping[str, MrValue]
    warnings: tuple[str, ...]
    select: str | None

    @property
    def plannable(self) -> bool:
        """Whether a needle may be planned on it."""
        return not self.problems

    @property
    def reason(self) -> str | None:
        """Everything against it, in words."""
        return " | ".join(str(p) for p in self.problems) or None

    def to_json_dict(self) -> dict[str, JsonValue]:
        """The keys of DESIGN.md section 5, in its order."""
        grid = self.grid
        return {
            "series_instance_uid": self.series_instance_uid,
            "series_number": self.series_number,
            "description": self.description,
            "modality": self.modality,
            "part": self.part,
            "plannable": self.plannable,
            "reason": self.reason,
            "shape_kji": list(grid.shape_kji) if grid else None,
            "spacing_kji_mm": grid.spacing_kji_mm.tolist() if grid else None,
            "lps_from_kji": grid.lps_from_kji.tolist() if grid else None,
            "patient_position": self.patient_position.value,
            "frame_of_reference_uid": self.frame_of_reference_uid,
            "n_files": self.n_files,
            "mr": {k: list(v) if isinstance(v, tuple) else v for k, v in self.mr.items()},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything found under one path."""

    volumes: tuple[InspectedVolume, ...]
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_plannable(self) -> int:
        """Number of volumes a needle may be planned on."""
        return sum(v.plannable for v in self.volumes)

    def to_json_dict(self) -> dict[str, JsonValue]:
        """``{"volumes": [...], "skipped": [{"file", "reason"}]}``."""
        return {
            "volumes": [v.to_json_dict() for v in self.volumes],
            "skipped": [{"file": s.file, "reason": s.reason} for s in self.skipped],
        }

    def to_text(self) -> str:
        """A table for people; what was said of one volume is not said in full of the next."""
        lines = [f"{counted(len(self.volumes), 'volume')}, {self.n_plannable} plannable"]
        lines += [f"note: {text}" for text in self.notes]
        told: set[str] = set()
        for volume in self.volumes:
            lines += ["", *_volume_lines(volume, told)]
        if self.skipped:
            lines += ["", f"skipped: {counted(len(self.skipped), 'file')}"]
            lines += _skipped_lines(self.skipped)
        return "\n".join(lines) + "\n"


def inspect_path(path: str | Path) -> Inspection:
    """What a DICOM folder (searched recursively) or a volume file holds.

    Raises
    ------
    InputError
        There is nothing at the path, or a folder without any file.

    Notes
    -----
    Holds no patient name, birth date or institution; file names are relative to
    the path.
    """
    where = existing_path(path)
    if is_image_file(where) and where.is_file():
        return Inspection(volumes=(_of_image_file(where),), skipped=())
    return inspection_of(read_catalogue(where))


def inspection_of(catalogue: Catalogue) -> Inspection:
    """The inspection of a catalogue."""
    names = selectors(catalogue.entries)
    volumes = tuple(
        _of_entry(entry, name) for entry, name in zip(catalogue.entries, names, strict=True)
    )
    return Inspection(volumes=volumes, skipped=catalogue.skipped, notes=catalogue.notes)


def _of_entry(entry: CatalogueEntry, select: str) -> InspectedVolume:
    first = entry.first
    return InspectedVolume(
        series_instance_uid=first.series_instance_uid or None,
        series_number=first.series_number,
        description=first.description,
        modality=first.modality or "unknown",
        part=entry.part,
        problems=entry.problems,
        grid=entry.grid,
        patient_position=entry.patient_position,
        frame_of_reference_uid=first.frame_of_reference_uid or None,
        n_files=entry.n_files,
        mr=entry.mr,
        warnings=entry.warnings,
        select=select,
    )


def _of_image_file(path: Path) -> InspectedVolume:
    image: ImageFile | None = None
    problems: tuple[InputError, ...] = ()
    try:
        image = open_image_file(path)
    except InputError as error:
        problems = (error,)
    return InspectedVolume(
        series_instance_uid=None,
        series_number=None,
        description=path.name,
        modality="unknown",
        part=None,
        problems=problems,
        grid=image.grid if image else None,
        patient_position=PatientPosition.UNKNOWN,
        frame_of_reference_uid=None,
        n_files=1,
        mr={},
        warnings=image.warnings if image else (),
        select=None,
    )


_ACQUISITION = {
    "field_t": "field {} T",
    "bandwidth_hz_per_px": "bandwidth {} Hz per pixel",
    "echo_time_ms": "echo time {} ms",
    "phase_encoding_direction": "phase encoding along the {}",
}
_AXES = {"ROW": "rows", "COL": "columns"}


def _acquired(key: str, value: MrValue) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _ACQUISITION[key].format(_AXES.get(text, text))


def _volume_lines(volume: InspectedVolume, told: set[str]) -> list[str]:
    state = "plannable" if volume.plannable else "NOT plannable"
    kind = "image" if volume.modality == "unknown" else volume.modality
    name = f"{kind} '{volume.description}'" + (f" [{volume.part}]" if volume.part else "")
    select = f"--series '{volume.select}'  " if volume.select else ""
    lines = [f"{select}{name}: {state}"]
    if volume.grid is not None:
        shape = " x ".join(str(n) for n in volume.grid.shape_kji)
        spacing = " x ".join(f"{s:.3f}" for s in volume.grid.spacing_kji_mm)
        lines.append(
            f"  {shape} voxels of {spacing} mm (slice, row, column), "
            f"{counted(volume.n_files, 'file')}, {_position_text(volume.patient_position)}"
        )
    else:
        lines.append(f"  {counted(volume.n_files, 'file')}")
    for problem in volume.problems:
        lines += _problem_lines(problem, told)
    acquisition = [_acquired(key, volume.mr[key]) for key in _ACQUISITION if key in volume.mr]
    if acquisition:
        lines.append(f"  {', '.join(acquisition)}")
    return lines + [f"  warning: {_once(text, told)}" for text in volume.warnings]


def _position_text(position: PatientPosition) -> str:
    if not position.lies_on:
        return "patient position unknown"
    return f"patient {position} (lies on {position.lies_on})"


def _problem_lines(problem: InputError, told: set[str]) -> list[str]:
    """What, seen and needed; where it is and what to do only the first time."""
    parts = [problem.what]
    if problem.seen is not None:
        parts.append(f"seen: {problem.seen}")
    if problem.fix is None or problem.fix in told:
        return [f"  why not: {'; '.join(parts)}"]
    told.add(problem.fix)
    if problem.needed is not None:
        parts.append(f"needed: {problem.needed}")
    if problem.where is not None:
        parts.append(f"in: {problem.where}")
    return [f"  why not: {'; '.join(parts)}", f"    to do: {problem.fix}"]


def _once(warning: str, told: set[str]) -> str:
    """The whole warning the first time; what follows its first colon is not said again."""
    head, _, rest = warning.partition(": ")
    if rest in told:
        return head
    told.add(rest or head)
    return str(warning)


def _skipped_lines(skipped: Sequence[SkippedFile]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for file in skipped:
        by_reason.setdefault(file.reason, []).append(file.file)
    return [
        f"  {files[0]}: {reason}"
        if len(files) == 1
        else f"  {counted(len(files), 'file')}: {reason}: {some_of(files)}"
        for reason, files in by_reason.items()
    ]
