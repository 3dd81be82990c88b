"""Enhanced multi-frame files in a folder, and what the program says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from planner.geometry import FrameId, Grid
from planner.io import inspect_path
from tests.dicom_writer import save, texture
from tests.grids import ORIENTED_AXES
from tests.multiframe_writer import Macros, enhanced_dataset

MAGNITUDE: dict[str, Any] = {
    "MRImageFrameTypeSequence": {
        "FrameType": ["ORIGINAL", "PRIMARY", "M", "NONE"],
        "ComplexImageComponent": "MAGNITUDE",
    }
}
PHASE: dict[str, Any] = {
    "MRImageFrameTypeSequence": {
        "FrameType": ["ORIGINAL", "PRIMARY", "P", "NONE"],
        "ComplexImageComponent": "PHASE",
    }
}


def oblique_flipped_grid() -> Grid:
    """Anisotropic, and five slices."""
    return Grid.from_axes(
        (5, 6, 8),
        (3.0, 0.8, 0.6),
        (-20.0, 35.0, 60.0),
        ORIENTED_AXES["oblique_flipped"],
        FrameId("1.2.3.4", "test"),
    )


def write_object(folder: Path, ds: Dataset, name: str = "emr.dcm") -> Path:
    """Saves the object in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save(ds, folder / name)
    return folder / name


def single(grid: Grid, **options: Any) -> Dataset:
    """One volume of magnitudes."""
    return enhanced_dataset(grid, [(texture(grid), MAGNITUDE)], **options)


def parts(path: Path) -> dict[str | None, str]:
    """How each volume is told apart, and what selects it; all can be planned on."""
    found = inspect_path(path)
    assert all(v.plannable for v in found.volumes), found.to_text()
    return {v.part: v.select or "" for v in found.volumes}


def reason(path: Path) -> str:
    """Why the only volume cannot be planned on."""
    (volume,) = inspect_path(path).volumes
    assert not volume.plannable
    return volume.reason or ""


def in_order(values: np.ndarray, found: Grid, grid: Grid) -> np.ndarray:
    """Values in the k order of ``grid``; the reader always makes k right-handed."""
    is_turned = found.axes_lps_from_kji[:, 0] @ grid.axes_lps_from_kji[:, 0] < 0
    return values[::-1] if is_turned else values


def volumes_of(grid: Grid, contents: list[dict[str, Any]]) -> list[tuple[np.ndarray, Macros]]:
    """A volume of other voxels for each content of the frames."""
    return [(texture(grid) + 7 * n, content) for n, content in enumerate(contents)]


def merged(*contents: dict[str, Any]) -> dict[str, Any]:
    """The macros of all."""
    macros: dict[str, Any] = {}
    for content in contents:
        for keyword, attributes in content.items():
            macros[keyword] = {**macros.get(keyword, {}), **attributes}
    return macros
