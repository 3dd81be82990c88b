"""Settings of one planning run: from a TOML file, overridden by the command line.

Keys have the names of the command line options, with ``_`` for ``-``. Unknown keys
are refused. Relative paths in a file are relative to the file's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, field_validator

from planner.toml_file import read_toml, validated

Millimetres = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class PlanSettings(BaseModel):
    """What a planning run may be told. None means: the procedure or the planner decides.

    Attributes
    ----------
    procedure : str
        Id or file of the procedure.
    target : str
        ``"L,P,S"`` in mm, a markups file, ``structure:NAME``, ``region:NAME``, or
        ``anatomy:REGION``.
    frame : ``"lps"`` or ``"ras"``
        Of a target given in numbers; LPS when None.
    series : str
        Series Instance UID or series number.
    structures : tuple of Path
        Mask files.
    roles : mapping
        Structure name to ``"ROLE"`` or ``"ROLE:MARGIN_MM"``.
    mr : mapping
        Values of the MR acquisition by key (``planner.physics.acquisition_overrides``).
    implants : mapping
        Structure name to material; the structure gets the role implant.
    bore : str
        ``"RADIUS@L,P"`` in mm: the scanner's bore and where its axis runs in the patient.
    label_names, label_table
        File with the names of label values; name of a known segmenter's table.
    mesh_frame : ``"lps"`` or ``"ras"``
        Of surface meshes whose files do not say it.
    accept_frame_mismatch : bool
        Take masks that state another frame of reference than the image.
    seg_threshold : float
        Share from which a voxel of a fractional DICOM SEG is inside, above 0 to 1.
    needle : str
        ``"22G-90"``.
    opt_in : tuple of str
        What the procedure offers on request, such as ``transaortic``.
    throw_mm, entry_spacing_mm, min_separation_mm : float
        Millimetres.
    top : int
        How many paths to keep.
    table_side : str
        Side of the patient that lies on the table.
    forbid_entry : tuple of str
        Structures through whose skin no needle may enter.
    allow_bone : bool
        Overrides the bone rule of the procedure.
    threads : int
        Threads of the search.
    figures, require_pass : bool
        Whether figures are drawn; whether less than caution ends with code 1.
    procedure_dir : Path
        Folder with the user's own procedure files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    procedure: StrictStr | None = None
    target: StrictStr | None = None
    frame: Literal["lps", "ras"] | None = None
    series: StrictStr | StrictInt | None = None
    structures: tuple[Path, ...] = ()
    roles: dict[str, StrictStr] = Field(default_factory=dict)
    mr: dict[str, StrictStr | StrictInt | float | list[float]] = Field(default_factory=dict)
    implants: dict[str, StrictStr] = Field(default_factory=dict)
    bore: StrictStr | None = None
    label_names: Path | None = None
    label_table: StrictStr | None = None
    mesh_frame: Literal["lps", "ras"] | None = None
    accept_frame_mismatch: bool = False
    seg_threshold: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    needle: StrictStr | None = None
    opt_in: tuple[StrictStr, ...] = ()
    throw_mm: Annotated[Millimetres, Field(ge=0.0, le=50.0)] | None = None
    top: Annotated[StrictInt, Field(ge=1, le=1000)] = 10
    entry_spacing_mm: Annotated[Millimetres, Field(gt=0.0, le=50.0)] | None = None
    table_side: Literal["auto", "none", "posterior", "anterior", "left", "right"] = "auto"
    forbid_entry: tuple[StrictStr, ...] = ()
    allow_bone: StrictBool | None = None
    min_separation_mm: Annotated[Millimetres, Field(ge=0.0, le=200.0)] = 10.0
    threads: Annotated[StrictInt, Field(ge=1, le=256)] | None = None
    figures: StrictBool = True
    require_pass: StrictBool = False
    procedure_dir: Path | None = None

    @field_validator("target", mode="before")
    @classmethod
    def _numbers_as_text(cls, target: object) -> object:
        """``target = [-3.5, 2, 7]`` reads better in TOML than a text of numbers."""
        if isinstance(target, list) and all(type(n) in (int, float) for n in target):
            return ",".join(repr(n) for n in target)
        return target

    def public(self) -> dict[str, object]:
        """The settings for a plan file: plain values, files by name without folder."""
        values = self.model_dump(mode="json")
        values["structures"] = [path.name for path in self.structures]
        for key in ("label_names", "procedure_dir"):
            path = getattr(self, key)
            values[key] = None if path is None else path.name
        for key in ("target", "procedure", "needle"):
            values[key] = _without_folder(values[key])
        return values


def load_config(path: Path) -> PlanSettings:
    """The settings in a TOML file.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is unknown (the message names the file and
        a close match) or a value is out of range.
    """
    file = read_toml(path, kind="configuration file")
    settings = validated(PlanSettings, file.data, where=str(path))
    return settings.model_copy(update=_anchored(settings, path.parent))


def resolve_settings(
    overrides: Mapping[str, Any], *, file: Path | None = None, where: str = "the command line"
) -> PlanSettings:
    """The settings of a file with the overrides on top.

    Parameters
    ----------
    overrides : mapping
        Field name to value; None or an empty list or table means not given.
        ``roles``, ``mr`` and ``implants`` are merged by name, every other value replaces
        the file's.
    file : Path, optional
        TOML file to start from.
    where : str
        Where the overrides come from, for error messages.

    Raises
    ------
    ConfigError
        As ``load_config``, or when an override is unknown or out of range.
    """
    given = {key: value for key, value in overrides.items() if value not in (None, (), [], {})}
    checked = validated(PlanSettings, given, where=where)
    if file is None:
        return checked
    base = load_config(file)
    update = {key: getattr(checked, key) for key in checked.model_fields_set}
    for key in ("roles", "mr", "implants"):
        if key in update:
            update[key] = {**getattr(base, key), **update[key]}
    return base.model_copy(update=update)


def _anchored(settings: PlanSettings, folder: Path) -> dict[str, Any]:
    update: dict[str, Any] = {"structures": tuple(folder / path for path in settings.structures)}
    for key in ("label_names", "procedure_dir"):
        path = getattr(settings, key)
        update[key] = None if path is None else folder / path
    for key, suffixes in (("target", (".json", ".fcsv")), ("procedure", (".toml",))):
        text = getattr(settings, key)
        if text is not None and text.partition("#")[0].endswith(suffixes):
            update[key] = str(folder / text)
    return update


def _without_folder(text: str | None) -> str | None:
    if text is None or text.startswith("structure:"):
        return text
    return text.replace("\\", "/").rpartition("/")[2]
