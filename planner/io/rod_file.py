"""Metal given as geometry: rods and screws as cylinders in a TOML file.

A mask drawn on an MR image shows the artefact, which is larger than the metal. Where the
implant is known from its maker or from CT, cylinders say it exactly::

    schema = "needle-rods/1"

    [[rods]]
    name = "rod left"
    start_lps_mm = [-22.0, 40.0, -80.0]
    end_lps_mm = [-24.0, 42.0, -20.0]
    diameter_mm = 5.5

Rods of one name make one structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from planner.errors import ConfigError, MaskError
from planner.geometry import Grid, Mask, Volume
from planner.geometry.lattice import TransferMethod
from planner.geometry.resample import MaskTransfer
from planner.io.stored_file import StoredFile, StoredLabel, sha256_of
from planner.model import StructureRole
from planner.model.mr import Cylinder
from planner.physics.metal_share import touched_by_cylinders
from planner.toml_file import read_toml, validated

ROD_GROWTH = 1.21
"""Voxel diagonals by which the mask of a rod may be larger: half of one at the centre of the
farthest box, times the root of two at the rod's rim, and half of one to the box's corner."""

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e4, le=1e4)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rod(_Table):
    name: Annotated[str, Field(min_length=1)]
    start_lps_mm: tuple[Coordinate, Coordinate, Coordinate]
    end_lps_mm: tuple[Coordinate, Coordinate, Coordinate]
    diameter_mm: Annotated[float, Field(ge=0.1, le=100.0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _has_a_length(self) -> _Rod:
        if not np.linalg.norm(np.subtract(self.end_lps_mm, self.start_lps_mm)) >= 0.1:
            raise ValueError("start_lps_mm and end_lps_mm must be at least 0.1 mm apart")
        return self


class _RodTable(_Table):
    schema_id: Literal["needle-rods/1"] = Field(alias="schema")
    rods: Annotated[tuple[_Rod, ...], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RodFile(StoredFile):
    """The rods of a file by name, in the order of its labels."""

    by_name: dict[str, tuple[Cylinder, ...]]

    def on_grid(self, label: StoredLabel, image: Grid, role: StructureRole) -> MaskTransfer:
        """Every voxel whose box a rod may touch, whatever the role."""
        inside = touched_by_cylinders(self.rods_of(label), image)
        return MaskTransfer(
            mask=Mask(grid=image, inside=inside),
            method=TransferMethod.COVER,
            grown_mm=ROD_GROWTH * float(np.linalg.norm(image.spacing_kji_mm)),
            n_outside=0,
        )

    def rods_of(self, label: StoredLabel) -> tuple[Cylinder, ...]:
        """The exact cylinders of one name."""
        assert label.name is not None
        return self.by_name[label.name]


def read_rod_file(path: Path, image: Volume) -> RodFile:
    """Rods in the image's patient coordinates (LPS, mm).

    Raises
    ------
    MaskError
        If the file is none of rods, or a rod is not valid.
    """
    try:
        file = read_toml(path, kind="file of rods")
        table = validated(_RodTable, file.data, where=path.name)
    except ConfigError as error:
        raise MaskError(
            error.what, seen=error.seen, needed=error.needed, where=path.name, fix=error.fix
        ) from error
    by_name: dict[str, tuple[Cylinder, ...]] = {}
    for rod in table.rods:
        cylinder = Cylinder(
            start_lps_mm=np.array(rod.start_lps_mm),
            end_lps_mm=np.array(rod.end_lps_mm),
            diameter_mm=rod.diameter_mm,
        )
        by_name[rod.name] = (*by_name.get(rod.name, ()), cylinder)
    return RodFile(
        file=path.name,
        stem=path.stem,
        sha256=sha256_of(path),
        grid=image.grid,
        labels=tuple(
            StoredLabel(layer=0, value=number, name=name, n_voxels=len(rods))
            for number, (name, rods) in enumerate(by_name.items(), start=1)
        ),
        kind="rods",
        by_name=by_name,
    )
