"""The table of metals: susceptibility relative to tissue, its range, its evidence."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from planner.errors import ConfigError
from planner.model.mr import Material
from planner.model.protocol_rules import Evidenced
from planner.toml_file import read_toml, validated

MATERIALS_FILE = Path(__file__).parent / "materials.toml"
UNKNOWN_METAL = "unknown"

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MaterialEntry(_Table):
    """One material of the file."""

    names: tuple[str, ...] = ()
    delta_chi_ppm: Number
    low_ppm: Number
    high_ppm: Number
    evidence: Annotated[str, Field(pattern=r"^[LMCE](: \S.*)?$")]

    @model_validator(mode="after")
    def _ordered(self) -> MaterialEntry:
        if not (self.low_ppm <= self.delta_chi_ppm <= self.high_ppm):
            raise ValueError("low_ppm, delta_chi_ppm and high_ppm must not decrease")
        return self


class MaterialFile(_Table):
    """``materials.toml``."""

    schema_id: Literal["needle-materials/1"] = Field(alias="schema")
    tissue_ppm: Number
    unknown_metal: tuple[str, ...]
    materials: dict[str, MaterialEntry]

    @model_validator(mode="after")
    def _brackets_exist(self) -> MaterialFile:
        missing = [name for name in self.unknown_metal if name not in self.materials]
        if missing:
            raise ValueError(f"unknown_metal names no material: {', '.join(missing)}")
        return self


def candidate_materials(name: str) -> tuple[Material, ...]:
    """The metals an implant may be made of: one when its material is known, else the bracket.

    Parameters
    ----------
    name : str
        A name or alias of the table, in any case, or ``"unknown"``.

    Raises
    ------
    ConfigError
        If the table does not have it.

    Examples
    --------
    >>> [m.name for m in candidate_materials("CoCr")]
    ['cobalt-chrome']
    >>> [m.name for m in candidate_materials("unknown")]
    ['titanium', 'cobalt-chrome', 'stainless steel']
    """
    table = _materials()
    wanted = " ".join(name.strip().lower().split())
    if wanted == UNKNOWN_METAL:
        return tuple(_material(n, table.materials[n]) for n in table.unknown_metal)
    for key, entry in table.materials.items():
        if wanted == key or wanted in entry.names:
            return (_material(key, entry),)
    raise ConfigError(
        "unknown implant material",
        seen=name,
        needed=", ".join([*table.materials, UNKNOWN_METAL]),
        where="--implant NAME=MATERIAL",
        fix="Where the metal is not known, say unknown: the strongest likely one counts.",
    )


def worst_ppm(materials: tuple[Material, ...]) -> float:
    """Largest size of the susceptibility among the candidates and their ranges, ppm."""
    return max(max(abs(m.low_ppm), abs(m.high_ppm)) for m in materials)


def _material(name: str, entry: MaterialEntry) -> Material:
    return Material(
        name=name,
        delta_chi_ppm=Evidenced(value=entry.delta_chi_ppm, evidence=entry.evidence),
        low_ppm=entry.low_ppm,
        high_ppm=entry.high_ppm,
    )


@functools.cache
def _materials() -> MaterialFile:
    file = read_toml(MATERIALS_FILE, kind="materials table")
    return validated(MaterialFile, file.data, where=file.path.name)
