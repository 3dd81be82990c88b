"""A derived target region as a 3D Slicer segmentation, so that a person can check it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

from planner.io.atomic import write_bytes_atomic
from planner.model import TargetRegion

_COLOUR = "1 0.2 0.2"
_TEXT_LIMIT = 1000


def save_region(region: TargetRegion, path: str | os.PathLike[str]) -> Path:
    """Writes the region's voxels as a segmentation (``.seg.nrrd``) and returns the path.

    Parameters
    ----------
    region : TargetRegion
        Its mask is written on its grid, in LPS; the derivation goes into the header.
    path : path-like
        Replaced as a whole if it exists. The bytes depend on the region alone.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    grid = region.mask.grid
    columns = grid.lps_from_kji[:3, :3].T[::-1]  # i, j, k: the fastest axis first
    header = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in reversed(grid.shape_kji)),
        "space directions: " + " ".join(_vector(column) for column in columns),
        "kinds: domain domain domain",
        "encoding: gzip",
        "space origin: " + _vector(grid.origin_lps_mm),
        f"Segment0_Color:={_COLOUR}",
        "Segment0_Extent:=" + _extent(region),
        "Segment0_ID:=target_region",
        "Segment0_LabelValue:=1",
        "Segment0_Layer:=0",
        f"Segment0_Name:={_one_line(region.name)}",
        f"target_region_words:={_one_line(region.words)}",
        *(f"target_region_{key}:={value:.3f}" for key, value in sorted(region.measures.items())),
        *(f"target_region_note_{n}:={_one_line(w)}" for n, w in enumerate(region.warnings)),
    ]
    data = gzip.compress(region.mask.inside.astype(np.uint8).tobytes(), mtime=0)
    content = ("\n".join(header) + "\n\n").encode("ascii", "replace") + data
    return write_bytes_atomic(path, content)


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(f"{float(x):.17g}" for x in numbers) + ")"


def _extent(region: TargetRegion) -> str:
    bounds = region.mask.bounds_kji()
    if bounds is None:
        return "0 -1 0 -1 0 -1"
    pairs = zip(reversed(bounds[0].tolist()), reversed(bounds[1].tolist()), strict=True)
    return " ".join(f"{low} {high - 1}" for low, high in pairs)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_TEXT_LIMIT].replace("\\", "/")
