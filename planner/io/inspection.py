"""`inspect`: what a path holds, what can be planned on, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError
from planner.geometry import Grid, PatientPosition
from planner.io.catalogue import Catalogue, CatalogueEntry, read_catalogue
from planner.io.dicom_scan import SkippedFile
from planner.io.image_file import is_image_file, open_image_file
from planner.io.mr_header import MrValue
from planner.io.volume_choice import existing_path, selectors

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
    plannable: bool
    reason: str | None
    grid: Grid | None
    patient_position: PatientPosition
    frame_of_reference_uid: str | None
    n_files: int
    mr: Mapping[str, MrValue]
    warnings: tuple[str, ...]
    select: str | None

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
        """A table for people."""
        lines = [f"{_counted(len(self.volumes), 'volume')}, {self.n_plannable} plannable"]
        for volume in self.volumes:
            lines += ["", *_volume_lines(volume)]
        if self.skipped:
            lines += ["", f"skipped: {_counted(len(self.skipped), 'file')}"]
            lines += [f"  {s.file}: {s.reason}" for s in self.skipped]
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
    return Inspection(volumes=volumes, skipped=catalogue.skipped)


def _of_entry(entry: CatalogueEntry, select: str) -> InspectedVolume:
    first = entry.first
    reason = " | ".join(str(p) for p in entry.all_problems)
    return InspectedVolume(
        series_instance_uid=first.series_instance_uid or None,
        series_number=first.series_number,
        description=first.description,
        modality=first.modality or "unknown",
        part=entry.part,
        plannable=entry.is_plannable,
        reason=reason or None,
        grid=entry.grid,
        patient_position=entry.patient_position,
        frame_of_reference_uid=first.frame_of_reference_uid or None,
        n_files=len({h.file for h in entry.slices}),
        mr=entry.mr,
        warnings=entry.warnings,
        select=select,
    )


def _of_image_file(path: Path) -> InspectedVolume:
    image, reason = None, None
    try:
        image = open_image_file(path)
    except InputError as error:
        reason = str(error)
    return InspectedVolume(
        series_instance_uid=None,
        series_number=None,
        description=path.name,
        modality="unknown",
        part=None,
        plannable=image is not None,
        reason=reason,
        grid=image.grid if image else None,
        patient_position=PatientPosition.UNKNOWN,
        frame_of_reference_uid=None,
        n_files=1,
        mr={},
        warnings=image.warnings if image else (),
        select=None,
    )


def _volume_lines(volume: InspectedVolume) -> list[str]:
    state = "plannable" if volume.plannable else "NOT plannable"
    name = f"{volume.modality} '{volume.description}'" + (
        f" [{volume.part}]" if volume.part else ""
    )
    select = f"--series '{volume.select}'  " if volume.select else ""
    lines = [f"{select}{name}: {state}"]
    if volume.grid is not None:
        shape = " x ".join(str(n) for n in volume.grid.shape_kji)
        spacing = " x ".join(f"{s:.3f}" for s in volume.grid.spacing_kji_mm)
        lines.append(
            f"  {shape} voxels of {spacing} mm (slice, row, column), "
            f"{_counted(volume.n_files, 'file')}, patient {volume.patient_position.value}"
        )
    else:
        lines.append(f"  {_counted(volume.n_files, 'file')}")
    if volume.reason:
        lines += [f"  why not: {text}" for text in volume.reason.split(" | ")]
    shown = ("field_t", "bandwidth_hz_per_px", "echo_time_ms", "phase_encoding_direction")
    acquisition = [f"{key} {volume.mr[key]}" for key in shown if key in volume.mr]
    if acquisition:
        lines.append(f"  {', '.join(acquisition)}")
    return lines + [f"  warning: {text}" for text in volume.warnings]


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
